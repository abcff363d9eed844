// SPDX-License-Identifier: Apache-2.0 OR MIT
// Wrong handles while an object of the kind lives.

#include "client.hpp"
#include "profile_events.hpp"
#include "scenarios.hpp"

namespace {

void bogus_graphs(Report& report, const Client& client) {
  const Table& api = client.api;
  const Qnn_GraphHandle_t bogus = bogus_handle();
  Qnn_GraphHandle_t graph = nullptr;
  report.code("graphCreate(bogus ctx), context alive",
              [&] { return api.graphCreate(bogus_handle(), "add", nullptr, &graph); });
  report.code("graphRetrieve(bogus ctx), context alive",
              [&] { return api.graphRetrieve(bogus_handle(), "add", &graph); });
  report.code("graphFinalize(bogus)", [&] { return api.graphFinalize(bogus, nullptr, nullptr); });
  Qnn_Tensor_t tensor = u8_tensor("late", QNN_TENSOR_TYPE_NATIVE, 0.1f);
  report.code("createGraphTensor(bogus graph), context alive",
              [&] { return api.tensorCreateGraphTensor(bogus, &tensor); });
  AddGraph add(api);
  report.code("addNode(bogus graph)", [&] { return api.graphAddNode(bogus, add.op()); });
  QnnGraph_Config_t low{};
  low.option = QNN_GRAPH_CONFIG_OPTION_PRIORITY;
  low.priority = QNN_PRIORITY_LOW;
  report.code("graphSetConfig(bogus graph)", [&] {
    return api.graphSetConfig(bogus, ConfigList<QnnGraph_Config_t>{low}.get());
  });
}

void live(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Table& api = client.api;
  Qnn_LogHandle_t log = nullptr;
  api.logCreate(nullptr, QNN_LOG_LEVEL_ERROR, &log);
  AddGraph add(api);
  add.build_and_finalize(client.context);
  Qnn_ProfileHandle_t profile = nullptr;
  api.profileCreate(client.backend, QNN_PROFILE_LEVEL_BASIC, &profile);

  report.code("logFree(bogus), logger alive", [&] { return api.logFree(bogus_handle()); });
  report.code("backendFree(bogus), backend alive",
              [&] { return api.backendFree(bogus_handle()); });
  report.code("deviceFree(bogus), device alive", [&] { return api.deviceFree(bogus_handle()); });
  report.code("contextFree(bogus), context alive",
              [&] { return api.contextFree(bogus_handle(), nullptr); });
  bogus_graphs(report, client);
  report.code("profileFree(bogus), profile alive",
              [&] { return api.profileFree(bogus_handle()); });
  const QnnProfile_EventId_t* ids = nullptr;
  std::uint32_t count = 0;
  report.code("profileGetEvents(bogus), profile alive",
              [&] { return api.profileGetEvents(bogus_handle(), &ids, &count); });
  Qnn_ContextBinarySize_t size = 0;
  report.code("getBinarySize(bogus)",
              [&] { return api.contextGetBinarySize(bogus_handle(), &size); });
  report.code("contextFree(c, bogus profile)",
              [&] { return api.contextFree(client.context, bogus_handle()); });
  report.code("execute after that", [&] { return add.execute(); }, [&] { return add.seen(); });
}

}  // namespace

Scenarios bogus_scenarios() { return {{"bogus.live", live}}; }
