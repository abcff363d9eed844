// SPDX-License-Identifier: Apache-2.0 OR MIT
// The scenarios by subject; each list is defined in the file of its name.

#pragma once

#include <vector>

#include "conformance.hpp"

using Scenarios = std::vector<Scenario>;

Scenarios provider_scenarios();

/** Every scenario, in the order of measured.tsv. */
inline Scenarios all_scenarios() {
  Scenarios all;
  for (const auto list : {provider_scenarios}) {
    for (Scenario& scenario : list()) {
      all.push_back(scenario);
    }
  }
  return all;
}
