// SPDX-License-Identifier: Apache-2.0 OR MIT
// The scenarios by subject; each list is defined in the file of its name.

#pragma once

#include <vector>

#include "conformance.hpp"

using Scenarios = std::vector<Scenario>;

Scenarios provider_scenarios();
Scenarios graph_scenarios();
Scenarios graph_option_scenarios();
Scenarios tensor_scenarios();
Scenarios node_scenarios();
Scenarios execute_scenarios();

/** Every scenario, in the order of measured.tsv. */
inline Scenarios all_scenarios() {
  Scenarios all;
  for (const auto list : {provider_scenarios, graph_scenarios, graph_option_scenarios, tensor_scenarios,
                          node_scenarios, execute_scenarios}) {
    for (Scenario& scenario : list()) {
      all.push_back(scenario);
    }
  }
  return all;
}
