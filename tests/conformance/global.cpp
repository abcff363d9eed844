// SPDX-License-Identifier: Apache-2.0 OR MIT
// Settings of the whole process.

#include "client.hpp"
#include "scenarios.hpp"

namespace {

QnnGlobalConfig_t option(std::uint32_t number, std::uint32_t value) {
  QnnGlobalConfig_t made = QNN_GLOBAL_CONFIG_INIT;
  made.option = static_cast<QnnGlobalConfig_ConfigOption_t>(number);
  made.socModel = static_cast<Qnn_SocModel_t>(value);
  return made;
}

void set(Report& report, const Table& api, const char* name,
         std::initializer_list<QnnGlobalConfig_t> configs) {
  ConfigList<QnnGlobalConfig_t> list(configs);
  report.code(text("globalConfigSet(%s", name), [&] { return api.globalConfigSet(list.get()); });
}

constexpr std::uint32_t soc = QNN_GLOBAL_CONFIG_OPTION_SOC_MODEL;

void soc_first(Report& report, const Backend& backend, std::uint32_t) {
  const Table& api = backend.api();
  set(report, api, "SOC 43) before anything", {option(soc, 43)});
  set(report, api, "SOC 57) again", {option(soc, 57)});
  Qnn_ContextHandle_t context = nullptr;
  report.code("setup after", [&] {
    const Client client(backend);
    context = client.context;
    return context != nullptr ? QNN_SUCCESS : QNN_COMMON_ERROR_GENERAL;
  });
  report.code("graph", [&] { return AddGraph(api).build_and_finalize(context); });
}

void soc_late(Report& report, const Backend& backend, std::uint32_t) {
  const Client client(backend);
  set(report, client.api, "SOC 43) after context", {option(soc, 43)});
}

/** An option beyond the declared ones: which machine the process runs on. */
constexpr std::uint32_t machine_type = 1;

void misc(Report& report, const Backend& backend, std::uint32_t) {
  const Table& api = backend.api();
  report.code("globalConfigSet(null)", [&] { return api.globalConfigSet(nullptr); });
  set(report, api, "empty list)", {});
  set(report, api, "MACHINE_TYPE host)", {option(machine_type, 0)});
  set(report, api, "MACHINE_TYPE device)", {option(machine_type, 1)});
  set(report, api, "option 99)", {option(99, 0)});
  set(report, api, "SOC 99999)", {option(soc, 99999)});
}

}  // namespace

Scenarios global_scenarios() {
  return {{"global.soc_first", soc_first}, {"global.soc_late", soc_late}, {"global.misc", misc}};
}
