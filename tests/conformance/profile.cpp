// SPDX-License-Identifier: Apache-2.0 OR MIT
// Profile objects: levels, the events of each call, arguments.

#include "HTP/QnnHtpProfile.h"
#include "binary_support.hpp"
#include "profile_events.hpp"
#include "scenarios.hpp"

namespace {

/** The graph `add` with a node called `add0`, not finalized. */
void build_add0(AddGraph& add, Qnn_ContextHandle_t context) {
  const Table& api = add.api;
  api.graphCreate(context, "add", nullptr, &add.graph);
  for (Qnn_Tensor_t* tensor : {&add.in[0], &add.in[1], &add.out}) {
    api.tensorCreateGraphTensor(add.graph, tensor);
  }
  Qnn_OpConfig_t node = add.op();
  node.v1.name = "add0";
  api.graphAddNode(add.graph, node);
}

void level(Report& report, const Backend& backend, std::uint32_t number) {
  Client client(backend);
  const Table& api = client.api;
  AddGraph add(api);
  build_add0(add, client.context);
  Qnn_ProfileHandle_t profile = nullptr;
  report.code(text("profileCreate(level %u)", number),
              [&] { return api.profileCreate(client.backend, number, &profile); });
  const QnnProfile_EventId_t* ids = nullptr;
  std::uint32_t count = 0;
  report.code(
      "profileGetEvents before use", [&] { return api.profileGetEvents(profile, &ids, &count); },
      [&] { return text("n=%u", count); });
  report.code("finalize(profile)", [&] { return api.graphFinalize(add.graph, profile, nullptr); });
  report_events(report, api, profile, "finalize");
  report.code("execute(same profile)", [&] { return add.execute(profile); });
  report_events(report, api, profile, "execute");
  Qnn_ProfileHandle_t second = nullptr;
  api.profileCreate(client.backend, number, &second);
  report.code("execute(second profile)", [&] { return add.execute(second); });
  report_events(report, api, second, "execute2");
  const Bytes binary = binary_of(api, client.context);
  Qnn_ContextHandle_t loaded = nullptr;
  report.code("contextCreateFromBinary(profile)", [&] {
    return api.contextCreateFromBinary(client.backend, client.device, nullptr, binary.data(),
                                       binary.size(), &loaded, profile);
  });
  report_events(report, api, profile, "createFromBinary");
  report.code("profileFree(in use by nothing)", [&] { return api.profileFree(profile); });
  report.code("profileFree(p2)", [&] { return api.profileFree(second); });
}

QnnProfile_Config_t option(int number, std::uint64_t value) {
  QnnProfile_Config_t config{};
  config.option = static_cast<QnnProfile_ConfigOption_t>(number);
  config.numMaxEvents = value;
  return config;
}

void set_options(Report& report, const Table& api, Qnn_ProfileHandle_t basic,
                 Qnn_ProfileHandle_t detailed) {
  const auto set = [&](const char* name, Qnn_ProfileHandle_t on, int number, std::uint64_t value) {
    report.code(std::string("profileSetConfig(") + name, [&] {
      return api.profileSetConfig(
          on, ConfigList<QnnProfile_Config_t>{option(number, value)}.get());
    });
  };
  set("MAX_EVENTS 10)", basic, QNN_PROFILE_CONFIG_OPTION_MAX_EVENTS, 10);
  set("OPTRACE)", basic, QNN_PROFILE_CONFIG_OPTION_ENABLE_OPTRACE, 1);
  set("OPTRACE) on DETAILED", detailed, QNN_PROFILE_CONFIG_OPTION_ENABLE_OPTRACE, 1);
  set("CUSTOM null)", basic, QNN_PROFILE_CONFIG_OPTION_CUSTOM, 0);
  set("option 99)", basic, 99, 0);
  report.code("profileSetConfig(p,null)", [&] { return api.profileSetConfig(basic, nullptr); });
  report.code("profileSetConfig(null)", [&] {
    return api.profileSetConfig(
        nullptr,
        ConfigList<QnnProfile_Config_t>{option(QNN_PROFILE_CONFIG_OPTION_MAX_EVENTS, 10)}.get());
  });
}

void arguments(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Table& api = client.api;
  for (const std::uint32_t number : {0u, 3u, 99u, 1000u, 7000u, 7002u}) {
    Qnn_ProfileHandle_t made = nullptr;
    const Qnn_ErrorHandle_t code =
        report.code(text("profileCreate(level %u)", number),
                    [&] { return api.profileCreate(client.backend, number, &made); });
    if (code == QNN_SUCCESS) {
      api.profileFree(made);
    }
  }
  Qnn_ProfileHandle_t basic = nullptr;
  Qnn_ProfileHandle_t detailed = nullptr;
  api.profileCreate(client.backend, QNN_PROFILE_LEVEL_BASIC, &basic);
  api.profileCreate(client.backend, QNN_PROFILE_LEVEL_DETAILED, &detailed);
  report.code("profileCreate(null backend)", [&] {
    Qnn_ProfileHandle_t made = nullptr;
    return api.profileCreate(nullptr, QNN_PROFILE_LEVEL_BASIC, &made);
  });
  report.code("profileCreate(null out)", [&] {
    return api.profileCreate(client.backend, QNN_PROFILE_LEVEL_BASIC, nullptr);
  });
  const QnnProfile_EventId_t* ids = nullptr;
  std::uint32_t count = 0;
  report.code("profileGetEvents(null events)",
              [&] { return api.profileGetEvents(basic, nullptr, &count); });
  report.code("profileGetEvents(null n)",
              [&] { return api.profileGetEvents(basic, &ids, nullptr); });
  report.code("profileGetEvents(null profile)",
              [&] { return api.profileGetEvents(nullptr, &ids, &count); });
  QnnProfile_EventData_t data = QNN_PROFILE_EVENT_DATA_INIT;
  report.code("profileGetEventData(bogus id)",
              [&] { return api.profileGetEventData(0x123456789ABC, &data); });
  report.code("profileGetEventData(id 0)", [&] { return api.profileGetEventData(0, &data); });
  report.code("profileGetSubEvents(bogus id)",
              [&] { return api.profileGetSubEvents(0x123456789ABC, &ids, &count); });
  set_options(report, api, basic, detailed);
  report.code("profileFree(p)", [&] { return api.profileFree(basic); });
  report.code("profileFree(null)", [&] { return api.profileFree(nullptr); });
}

void free_twice(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  Qnn_ProfileHandle_t profile = nullptr;
  client.api.profileCreate(client.backend, QNN_PROFILE_LEVEL_BASIC, &profile);
  client.api.profileFree(profile);
  report.code("profileFree twice", [&] { return client.api.profileFree(profile); });
}

void after_free(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Table& api = client.api;
  AddGraph add(api);
  add.build_and_finalize(client.context);
  Qnn_ProfileHandle_t profile = nullptr;
  api.profileCreate(client.backend, QNN_PROFILE_LEVEL_BASIC, &profile);
  add.execute(profile);
  const QnnProfile_EventId_t* ids = nullptr;
  std::uint32_t count = 0;
  api.profileGetEvents(profile, &ids, &count);
  const QnnProfile_EventId_t id = count == 0 ? 0 : ids[0];
  api.profileFree(profile);
  QnnProfile_EventData_t data = QNN_PROFILE_EVENT_DATA_INIT;
  report.code("profileGetEventData(id of freed profile)",
              [&] { return api.profileGetEventData(id, &data); });
  report.code("profileGetEvents(freed)",
              [&] { return api.profileGetEvents(profile, &ids, &count); });
  report.code("execute(freed profile)", [&] { return add.execute(profile); });
}

void bogus(Report& report, const Backend& backend, std::uint32_t) {
  const Table& api = backend.api();
  const QnnProfile_EventId_t* ids = nullptr;
  std::uint32_t count = 0;
  report.code("profileFree(bogus)", [&] { return api.profileFree(bogus_handle()); });
  report.code("profileGetEvents(bogus)",
              [&] { return api.profileGetEvents(bogus_handle(), &ids, &count); });
}

void bound(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Table& api = client.api;
  Qnn_ProfileHandle_t profile = nullptr;
  api.profileCreate(client.backend, QNN_PROFILE_LEVEL_BASIC, &profile);
  QnnGraph_Config_t config{};
  config.option = QNN_GRAPH_CONFIG_OPTION_PROFILE_HANDLE;
  config.profileHandle = profile;
  ConfigList<QnnGraph_Config_t> configs{config};
  AddGraph add(api);
  const Qnn_ErrorHandle_t code =
      report.code("graphCreate with PROFILE_HANDLE config + nodes",
                  [&] { return add.build(client.context, "add", configs.get()); });
  if (code != QNN_SUCCESS) {
    add.build(client.context);
  }
  report.code("graphSetConfig(PROFILE_HANDLE)",
              [&] { return api.graphSetConfig(add.graph, configs.get()); });
  report.code("finalize", [&] { return api.graphFinalize(add.graph, nullptr, nullptr); });
  report_events(report, api, profile, "bound.finalize");
  report.code("execute", [&] { return add.execute(); });
  report_events(report, api, profile, "bound.execute");
  report.code("profileFree while bound", [&] { return api.profileFree(profile); });
}

}  // namespace

Scenarios profile_scenarios() {
  return {{"profile.level1", level, QNN_PROFILE_LEVEL_BASIC},
          {"profile.level2", level, QNN_PROFILE_LEVEL_DETAILED},
          {"profile.level7001", level, QNN_HTP_PROFILE_LEVEL_LINTING},
          {"profile.args", arguments},
          {"profile.doublefree", free_twice},
          {"profile.afterfree", after_free},
          {"profile.bogus", bogus},
          {"profile.bound", bound}};
}
