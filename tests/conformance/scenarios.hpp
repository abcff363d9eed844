// SPDX-License-Identifier: Apache-2.0 OR MIT
// The scenarios by subject; each list is defined in the file of its name.

#pragma once

#include <vector>

#include "conformance.hpp"

using Scenarios = std::vector<Scenario>;

Scenarios provider_scenarios();
Scenarios log_scenarios();
Scenarios backend_scenarios();
Scenarios device_scenarios();
Scenarios perf_scenarios();
Scenarios property_scenarios();
Scenarios error_scenarios();
Scenarios global_scenarios();
Scenarios system_scenarios();
Scenarios handle_scenarios();
Scenarios context_scenarios();
Scenarios binary_scenarios();
Scenarios binary_variant_scenarios();
Scenarios profile_scenarios();
Scenarios signal_scenarios();
Scenarios mem_scenarios();
Scenarios async_scenarios();
Scenarios bogus_scenarios();
Scenarios graph_scenarios();
Scenarios graph_option_scenarios();
Scenarios tensor_scenarios();
Scenarios node_scenarios();
Scenarios execute_scenarios();

/** Every scenario. */
inline Scenarios all_scenarios() {
  Scenarios all;
  for (const auto list : {
           provider_scenarios,
           log_scenarios,
           backend_scenarios,
           device_scenarios,
           perf_scenarios,
           property_scenarios,
           error_scenarios,
           global_scenarios,
           system_scenarios,
           handle_scenarios,
           context_scenarios,
           binary_scenarios,
           binary_variant_scenarios,
           profile_scenarios,
           signal_scenarios,
           mem_scenarios,
           async_scenarios,
           bogus_scenarios,
           graph_scenarios,
           graph_option_scenarios,
           tensor_scenarios,
           node_scenarios,
           execute_scenarios,
       }) {
    for (Scenario& scenario : list()) {
      all.push_back(scenario);
    }
  }
  return all;
}
