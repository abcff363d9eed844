// SPDX-License-Identifier: Apache-2.0 OR MIT
// Contexts without binaries: creation, configuration, release.

#include "HTP/QnnHtpContext.h"
#include "client.hpp"
#include "profile_events.hpp"
#include "scenarios.hpp"

namespace {

QnnContext_Config_t option(int number) {
  QnnContext_Config_t config{};
  config.option = static_cast<QnnContext_ConfigOption_t>(number);
  return config;
}

QnnContext_Config_t queue_depth(std::uint32_t depth) {
  QnnContext_Config_t config = option(QNN_CONTEXT_CONFIG_ASYNC_EXECUTION_QUEUE_DEPTH);
  config.asyncExeQueueDepth.type = QNN_CONTEXT_ASYNC_EXECUTION_QUEUE_DEPTH_TYPE_NUMERIC;
  config.asyncExeQueueDepth.depth = depth;
  return config;
}

QnnContext_Config_t priority(std::int64_t number) {
  QnnContext_Config_t config = option(QNN_CONTEXT_CONFIG_OPTION_PRIORITY);
  config.priority = static_cast<Qnn_Priority_t>(number);
  return config;
}

QnnContext_Config_t reporting(Qnn_ErrorReportingLevel_t level) {
  QnnContext_Config_t config = option(QNN_CONTEXT_CONFIG_OPTION_ERROR_REPORTING);
  config.errorConfig.reportingLevel = level;
  config.errorConfig.storageLimit = 1024;
  return config;
}

struct Named {
  std::string name;
  QnnContext_Config_t config;
};

const char* const graph_names[] = {"add", nullptr};

/** What a context can be asked for at its creation. */
std::vector<Named> creation_options() {
  std::vector<Named> list;
  for (const std::uint32_t depth :
       {0u, 1u, 2u, 10u, 25u, 26u, 100u, 299u, 300u, 301u, 1000u, 1000000u, 4294967295u}) {
    list.push_back({text("queue depth %u", depth), queue_depth(depth)});
  }
  QnnContext_Config_t untyped = queue_depth(10);
  untyped.asyncExeQueueDepth.type = QNN_CONTEXT_ASYNC_EXECUTION_QUEUE_DEPTH_TYPE_UNDEFINED;
  list.push_back({"queue depth type UNDEFINED", untyped});
  for (const int number : {0, 50, 100, 150, 200, 300, 400, 500, 77, 600, -1, 0x7FFFFFFF}) {
    list.push_back({text("priority %d", number), priority(number)});
  }
  list.push_back(
      {"ERROR_REPORTING detailed", reporting(QNN_ERROR_REPORTING_LEVEL_DETAILED)});
  list.push_back({"ERROR_REPORTING brief", reporting(QNN_ERROR_REPORTING_LEVEL_BRIEF)});
  QnnContext_Config_t next = option(QNN_CONTEXT_CONFIG_OPTION_OEM_STRING);
  next.oemString = "oem";
  list.push_back({"OEM_STRING", next});
  next = option(QNN_CONTEXT_CONFIG_ENABLE_GRAPHS);
  next.enableGraphs = graph_names;
  list.push_back({"ENABLE_GRAPHS", next});
  next = option(QNN_CONTEXT_CONFIG_GRAPH_RETENTION_ORDER);
  next.graphRetentionOrder = graph_names;
  list.push_back({"GRAPH_RETENTION_ORDER", next});
  next = option(QNN_CONTEXT_CONFIG_MEMORY_LIMIT_HINT);
  next.memoryLimitHint = 64;
  list.push_back({"MEMORY_LIMIT_HINT 64", next});
  next = option(QNN_CONTEXT_CONFIG_PERSISTENT_BINARY);
  next.isPersistentBinary = 1;
  list.push_back({"PERSISTENT_BINARY", next});
  next = option(QNN_CONTEXT_CONFIG_BINARY_COMPATIBILITY);
  next.binaryCompatibilityType = QNN_CONTEXT_BINARY_COMPATIBILITY_STRICT;
  list.push_back({"BINARY_COMPATIBILITY strict", next});
  next = option(QNN_CONTEXT_CONFIG_OPTION_DEFER_GRAPH_INIT);
  next.isGraphInitDeferred = 1;
  list.push_back({"DEFER_GRAPH_INIT", next});
  list.push_back({"unknown option 11", option(11)});
  list.push_back({"unknown option 99", option(99)});
  list.push_back({"option UNDEFINED", option(QNN_CONTEXT_CONFIG_UNDEFINED)});
  return list;
}

void create_with_options(Report& report, const Client& client) {
  const Table& api = client.api;
  for (const Named& named : creation_options()) {
    Qnn_ContextHandle_t made = nullptr;
    const Qnn_ErrorHandle_t code = report.code("contextCreate(" + named.name + ")", [&] {
      return api.contextCreate(client.backend, client.device,
                               ConfigList<QnnContext_Config_t>{named.config}.get(), &made);
    });
    if (code == QNN_SUCCESS) {
      api.contextFree(made, nullptr);
    }
  }
}

void set_options(Report& report, const Client& client, Qnn_ContextHandle_t context) {
  const auto set = [&](const char* name, Qnn_ContextHandle_t on,
                       const QnnContext_Config_t& config) {
    report.code(std::string("contextSetConfig(") + name + ")", [&] {
      return client.api.contextSetConfig(on, ConfigList<QnnContext_Config_t>{config}.get());
    });
  };
  set("c,PRIORITY HIGH", context, priority(QNN_PRIORITY_HIGH));
  set("c,PRIORITY LOW", context, priority(QNN_PRIORITY_LOW));
  report.code("contextSetConfig(c,null)",
              [&] { return client.api.contextSetConfig(context, nullptr); });
  set("null,l", nullptr, priority(QNN_PRIORITY_LOW));
  set("c,QUEUE_DEPTH 5", context, queue_depth(5));
  set("c,option 99", context, option(99));
}

void context(Report& report, const Backend& backend, std::uint32_t) {
  const Table& api = backend.api();
  Client client(backend);
  api.contextFree(client.context, nullptr);
  Qnn_ContextHandle_t first = nullptr;
  Qnn_ContextHandle_t second = nullptr;
  report.code("contextCreate(b,null,null,&c)",
              [&] { return api.contextCreate(client.backend, nullptr, nullptr, &first); });
  report.code("contextCreate second", [&] {
    return api.contextCreate(client.backend, client.device, nullptr, &second);
  });
  report.word("second handle", first == second ? "same" : "different");
  report.code("contextCreate(null out)", [&] {
    return api.contextCreate(client.backend, client.device, nullptr, nullptr);
  });
  report.code("contextCreate(empty cfg list)", [&] {
    Qnn_ContextHandle_t made = nullptr;
    const Qnn_ErrorHandle_t code = api.contextCreate(
        client.backend, client.device, ConfigList<QnnContext_Config_t>{}.get(), &made);
    api.contextFree(made, nullptr);
    return code;
  });
  create_with_options(report, client);
  set_options(report, client, first);

  Qnn_ContextBinarySize_t size = 0;
  report.code(
      "contextGetBinarySize(no graphs)", [&] { return api.contextGetBinarySize(first, &size); },
      [&] { return text("size>0=%d", size > 0 ? 1 : 0); });
  report.code("contextGetBinarySize(null ctx)",
              [&] { return api.contextGetBinarySize(nullptr, &size); });
  report.code("contextGetBinarySize(null out)",
              [&] { return api.contextGetBinarySize(first, nullptr); });
  report.code("contextFree(c,null)", [&] { return api.contextFree(first, nullptr); });
  report.code("contextFree(c2,null)", [&] { return api.contextFree(second, nullptr); });
  report.code("contextFree(null)", [&] { return api.contextFree(nullptr, nullptr); });
  report.code("backendFree", [&] { return api.backendFree(client.backend); });
}

void free_twice(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  client.api.contextFree(client.context, nullptr);
  report.code("contextFree twice", [&] { return client.api.contextFree(client.context, nullptr); });
}

void bogus(Report& report, const Backend& backend, std::uint32_t) {
  const Table& api = backend.api();
  report.code("contextFree(bogus)", [&] { return api.contextFree(bogus_handle(), nullptr); });
  Qnn_GraphHandle_t graph = nullptr;
  report.code("graphCreate(bogus ctx)",
              [&] { return api.graphCreate(bogus_handle(), "add", nullptr, &graph); });
}

void after_free(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Table& api = client.api;
  AddGraph add(api);
  add.build_and_finalize(client.context);
  api.contextFree(client.context, nullptr);
  Qnn_GraphHandle_t graph = nullptr;
  report.code("graphCreate(freed ctx)",
              [&] { return api.graphCreate(client.context, "late", nullptr, &graph); });
  report.code("graphRetrieve(freed ctx)",
              [&] { return api.graphRetrieve(client.context, "add", &graph); });
  report.code("graphExecute(graph of freed ctx)", [&] { return add.execute(); });
  Qnn_ContextBinarySize_t size = 0;
  report.code("contextGetBinarySize(freed ctx)",
              [&] { return api.contextGetBinarySize(client.context, &size); });
}

void backend_first(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Table& api = client.api;
  AddGraph add(api);
  add.build_and_finalize(client.context);
  report.code("backendFree while context alive", [&] { return api.backendFree(client.backend); });
  report.code("graphExecute after backendFree", [&] { return add.execute(); },
              [&] { return add.seen(); });
  report.code("contextFree after backendFree",
              [&] { return api.contextFree(client.context, nullptr); });
  report.code("backendFree again", [&] { return api.backendFree(client.backend); });
}

void free_profile(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Table& api = client.api;
  AddGraph add(api);
  add.build_and_finalize(client.context);
  Qnn_ProfileHandle_t profile = nullptr;
  api.profileCreate(client.backend, QNN_PROFILE_LEVEL_BASIC, &profile);
  report.code("contextFree(c,profile)", [&] { return api.contextFree(client.context, profile); });
  report_events(report, api, profile, "after contextFree");
  report.code("profileFree", [&] { return api.profileFree(profile); });
}

/** Each HTP option with 1 in its first byte: on, one megabyte, handle 1 ... */
void htp_option(Report& report, const Backend& backend, std::uint32_t number) {
  Client client(backend);
  const Table& api = client.api;
  QnnHtpContext_CustomConfig_t custom{};
  custom.option = static_cast<QnnHtpContext_ConfigOption_t>(number);
  custom.fileReadMemoryBudgetInMb = 1;
  QnnContext_Config_t config = option(QNN_CONTEXT_CONFIG_OPTION_CUSTOM);
  config.customConfig = &custom;
  Qnn_ContextHandle_t made = nullptr;
  const std::string name = text("HTP custom option %u", number);
  const Qnn_ErrorHandle_t code = report.code("contextCreate(" + name + ")", [&] {
    return api.contextCreate(client.backend, client.device,
                             ConfigList<QnnContext_Config_t>{config}.get(), &made);
  });
  if (code != QNN_SUCCESS) {
    return;
  }
  AddGraph add(api);
  report.code(name + ": graph build+finalize", [&] { return add.build_and_finalize(made); });
  report.code(name + ": contextSetConfig", [&] {
    return api.contextSetConfig(made, ConfigList<QnnContext_Config_t>{config}.get());
  });
  api.contextFree(made, nullptr);
  api.contextFree(client.context, nullptr);
  api.deviceFree(client.device);
  api.backendFree(client.backend);
}

void htp_option_null(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  Qnn_ContextHandle_t made = nullptr;
  const QnnContext_Config_t config = option(QNN_CONTEXT_CONFIG_OPTION_CUSTOM);
  report.code("contextCreate(CUSTOM null)", [&] {
    return client.api.contextCreate(client.backend, client.device,
                                    ConfigList<QnnContext_Config_t>{config}.get(), &made);
  });
}

void property(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Table& api = client.api;
  AddGraph add(api);
  add.build_and_finalize(client.context);
  QnnHtpContext_CustomProperty_t custom = QNN_HTP_CONTEXT_CUSTOM_PROPERTY_INIT;
  QnnContext_Property_t wanted = QNN_CONTEXT_PROPERTY_INIT;
  QnnContext_Property_t* list[] = {&wanted, nullptr};
  for (const int number : {1, 2, 3, 4, 5, 6, 7, 50}) {
    custom.option = static_cast<QnnHtpContext_GetPropertyOption_t>(number);
    wanted.option = QNN_CONTEXT_PROPERTY_OPTION_CUSTOM;
    wanted.customProperty = &custom;
    report.code(text("contextGetProperty(HTP prop %d)", number),
                [&] { return api.contextGetProperty(client.context, list); });
  }
  report.code("contextGetProperty(c,null)",
              [&] { return api.contextGetProperty(client.context, nullptr); });
  report.code("contextGetProperty(null)", [&] { return api.contextGetProperty(nullptr, nullptr); });
  wanted.option = static_cast<QnnContext_PropertyOption_t>(9);
  report.code("contextGetProperty(option 9)",
              [&] { return api.contextGetProperty(client.context, list); });
}

}  // namespace

Scenarios context_scenarios() {
  Scenarios list = {{"context", context},
                    {"context.doublefree", free_twice},
                    {"context.bogus", bogus},
                    {"context.afterfree", after_free},
                    {"context.backendfirst", backend_first},
                    {"context.freeprofile", free_profile}};
  for (std::uint32_t number = 1; number <= 26; ++number) {
    list.push_back({text("context.htpopt%02u", number), htp_option, number});
  }
  list.push_back({"context.htpoptnull", htp_option_null});
  list.push_back({"context.property", property});
  return list;
}
