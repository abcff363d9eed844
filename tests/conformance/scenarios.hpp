// SPDX-License-Identifier: Apache-2.0 OR MIT
// The scenarios by subject; each list is defined in the file of its name.

#pragma once

#include <vector>

#include "conformance.hpp"

using Scenarios = std::vector<Scenario>;

Scenarios provider_scenarios();
Scenarios context_scenarios();
Scenarios binary_scenarios();
Scenarios binary_variant_scenarios();
Scenarios profile_scenarios();
Scenarios signal_scenarios();
Scenarios mem_scenarios();
Scenarios async_scenarios();
Scenarios bogus_scenarios();

/** Every scenario, in the order of measured.tsv. */
inline Scenarios all_scenarios() {
  Scenarios all;
  for (const auto list :
       {provider_scenarios, context_scenarios, binary_scenarios, binary_variant_scenarios,
        profile_scenarios, signal_scenarios, mem_scenarios, async_scenarios, bogus_scenarios}) {
    for (Scenario& scenario : list()) {
      all.push_back(scenario);
    }
  }
  return all;
}
