// SPDX-License-Identifier: Apache-2.0 OR MIT
// Graphs: creation, names, configuration, priorities, what else can be asked of them.

#include "QnnGraph.h"
#include "HTP/QnnHtpGraph.h"
#include "client.hpp"
#include "scenarios.hpp"

namespace {

using GraphConfigs = ConfigList<QnnGraph_Config_t>;

QnnGraph_Config_t option(std::uint32_t number) {
  QnnGraph_Config_t made = QNN_GRAPH_CONFIG_INIT;
  made.option = static_cast<QnnGraph_ConfigOption_t>(number);
  return made;
}

QnnGraph_Config_t priority(std::uint32_t number) {
  QnnGraph_Config_t made = option(QNN_GRAPH_CONFIG_OPTION_PRIORITY);
  made.priority = static_cast<Qnn_Priority_t>(number);
  return made;
}

/** Creates graph after graph, each under a name of its own. */
struct Creator {
  Report& report;
  Client client;
  int count = 0;

  void with(const std::string& what, const QnnGraph_Config_t& config) {
    GraphConfigs configs{config};
    const std::string name = text("graph%d", count++);
    Qnn_GraphHandle_t graph = nullptr;
    report.code("graphCreate(" + what + ")", [&] {
      return client.api.graphCreate(client.context, name.c_str(), configs.get(), &graph);
    });
  }
};

Qnn_GraphHandle_t names(Report& report, const Client& client) {
  const Table& api = client.api;
  Qnn_GraphHandle_t graph = nullptr;
  Qnn_GraphHandle_t other = nullptr;
  const std::string long_name(5000, 'x');
  const auto create = [&](const std::string& what, Qnn_ContextHandle_t context, const char* name,
                          Qnn_GraphHandle_t* out) {
    report.code(what, [&] { return api.graphCreate(context, name, nullptr, out); });
  };
  create("graphCreate(c,'g')", client.context, "g", &graph);
  create("graphCreate duplicate name", client.context, "g", &other);
  create("graphCreate(null name)", client.context, nullptr, &other);
  create("graphCreate(empty name)", client.context, "", &other);
  create("graphCreate(null ctx)", nullptr, "n", &other);
  create("graphCreate(5000 char name)", client.context, long_name.c_str(), &other);
  Qnn_GraphHandle_t retrieved = nullptr;
  report.code("graphRetrieve before finalize",
              [&] { return api.graphRetrieve(client.context, "g", &retrieved); });
  report.word("retrieved handle equals created", retrieved == graph ? "yes" : "no");
  report.code("graphRetrieve missing name",
              [&] { return api.graphRetrieve(client.context, "nope", &retrieved); });
  report.code("graphRetrieve(null name)",
              [&] { return api.graphRetrieve(client.context, nullptr, &retrieved); });
  report.code("graphRetrieve(null ctx)",
              [&] { return api.graphRetrieve(nullptr, "g", &retrieved); });
  return graph;
}

void profiling_options(Creator& creator) {
  QnnGraph_Config_t config = option(QNN_GRAPH_CONFIG_OPTION_PROFILE_HANDLE);
  config.profileHandle = nullptr;
  creator.with("PROFILE_HANDLE null", config);
  config = option(QNN_GRAPH_CONFIG_OPTION_SET_PROFILING_STATE);
  config.profilingState = QNN_GRAPH_PROFILING_STATE_DISABLED;
  creator.with("PROFILING_STATE disabled", config);
  config = option(QNN_GRAPH_CONFIG_OPTION_SET_PROFILING_NUM_EXECUTIONS);
  config.numProfilingExecutions = 3;
  creator.with("NUM_EXECUTIONS 3", config);
  config = option(QNN_GRAPH_CONFIG_OPTION_ENABLE_BINARY_SECTION_WEIGHTS_UPDATES);
  config.enableBinarySectionWeightsUpdates = 1;
  creator.with("BINARY_SECTION_WEIGHTS_UPDATES", config);
  config = option(QNN_GRAPH_CONFIG_OPTION_PROFILE_HANDLE);
  const Client& client = creator.client;
  client.api.profileCreate(client.backend, QNN_PROFILE_LEVEL_BASIC, &config.profileHandle);
  creator.with("PROFILE_HANDLE p", config);
  creator.with("same PROFILE_HANDLE on second graph", config);
}

void create(Report& report, const Backend& backend, std::uint32_t) {
  Creator creator{report, Client(backend)};
  const Table& api = creator.client.api;
  const Qnn_GraphHandle_t graph = names(report, creator.client);
  for (const std::uint32_t number : {0, 50, 100, 150, 200, 300, 400, 500, 77, 600}) {
    creator.with(text("priority %u", number), priority(number));
  }
  creator.with("option 99", option(99));
  creator.with("option 1", option(1));
  creator.with("option UNDEFINED", option(QNN_GRAPH_CONFIG_OPTION_UNDEFINED));
  profiling_options(creator);
  report.code("graphFinalize(empty graph)",
              [&] { return api.graphFinalize(graph, nullptr, nullptr); });
  report.code("graphFinalize(null)", [&] { return api.graphFinalize(nullptr, nullptr, nullptr); });
  Qnn_GraphHandle_t subgraph = nullptr;
  report.code("graphCreateSubgraph",
              [&] { return api.graphCreateSubgraph(graph, "sub", &subgraph); });
  report.code("graphCreateSubgraph(null)",
              [&] { return api.graphCreateSubgraph(nullptr, "sub", &subgraph); });
}

void custom_null(Report& report, const Backend& backend, std::uint32_t) {
  Creator creator{report, Client(backend)};
  QnnGraph_Config_t config = option(QNN_GRAPH_CONFIG_OPTION_CUSTOM);
  config.customConfig = nullptr;
  creator.with("CUSTOM null", config);
}

void null_out(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  report.code("graphCreate(null out)",
              [&] { return client.api.graphCreate(client.context, "g", nullptr, nullptr); });
}

void retrieve_null(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  Qnn_GraphHandle_t graph = nullptr;
  client.api.graphCreate(client.context, "g", nullptr, &graph);
  report.code("graphRetrieve(null out)",
              [&] { return client.api.graphRetrieve(client.context, "g", nullptr); });
}

/** Sets what a graph may be configured with again, in one of its states. */
struct Setter {
  Report& report;
  const Table& api;

  void with(Qnn_GraphHandle_t graph, const std::string& what, const QnnGraph_Config_t& config) {
    GraphConfigs configs{config};
    report.code("graphSetConfig(" + what,
                [&] { return api.graphSetConfig(graph, configs.get()); });
  }

  void priorities(Qnn_GraphHandle_t graph, std::initializer_list<std::uint32_t> numbers,
                  const char* when) {
    for (const std::uint32_t number : numbers) {
      with(graph, text("priority %u) %s", number, when), priority(number));
    }
  }

  void threads(Qnn_GraphHandle_t graph, const char* when) {
    QnnHtpGraph_CustomConfig_t custom = QNN_HTP_GRAPH_CUSTOM_CONFIG_INIT;
    custom.option = QNN_HTP_GRAPH_CONFIG_OPTION_NUM_HVX_THREADS;
    custom.numHvxThreads = 4;
    QnnGraph_Config_t config = option(QNN_GRAPH_CONFIG_OPTION_CUSTOM);
    config.customConfig = &custom;
    with(graph, text("NUM_HVX_THREADS 4) %s", when), config);
  }
};

void set_config(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  Setter set{report, client.api};
  AddGraph add(client.api);
  add.build(client.context);
  set.priorities(add.graph, {100, 200}, "before finalize");
  client.api.graphFinalize(add.graph, nullptr, nullptr);
  set.priorities(add.graph, {0, 100, 150, 200, 77}, "after finalize, before execute");
  add.execute();
  set.priorities(add.graph, {0, 100, 150, 200, 300, 400, 500, 77}, "after execute");
  set.threads(add.graph, "after first execution");
  AddGraph fresh(client.api);
  fresh.build_and_finalize(client.context, "fresh");
  set.threads(fresh.graph, "after finalize, before first execution");
  report.code("graphSetConfig(g,null)",
              [&] { return client.api.graphSetConfig(add.graph, nullptr); });
  GraphConfigs none{};
  report.code("graphSetConfig(null)",
              [&] { return client.api.graphSetConfig(nullptr, none.get()); });
  report.code("execute afterwards", [&] { return add.execute(); }, [&] { return add.seen(); });
}

void environments(Report& report, const Table& api, const AddGraph& add) {
  QnnGraph_ExecuteEnvironment_t environment = {};
  environment.option = QNN_GRAPH_EXECUTE_ENVIRONMENT_OPTION_POPULATE_CLIENT_BUFS;
  QnnGraph_ExecuteEnvironment_t* list[] = {&environment};
  const QnnGraph_ExecuteEnvironment_t* same[] = {&environment};
  report.code("prepareExecutionEnvironment(POPULATE_CLIENT_BUFS)",
              [&] { return api.graphPrepareExecutionEnvironment(add.graph, list, 1); });
  report.code("releaseExecutionEnvironment",
              [&] { return api.graphReleaseExecutionEnvironment(add.graph, same, 1); });
  environment.option = QNN_GRAPH_EXECUTE_ENVIRONMENT_OPTION_BIND_MEM_HANDLES;
  report.code("prepareExecutionEnvironment(BIND_MEM_HANDLES)",
              [&] { return api.graphPrepareExecutionEnvironment(add.graph, list, 1); });
  report.code("prepareExecutionEnvironment(null,0)",
              [&] { return api.graphPrepareExecutionEnvironment(add.graph, nullptr, 0); });
}

void misc(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Table& api = client.api;
  AddGraph add(api);
  add.build_and_finalize(client.context);
  AddGraph open(api);
  open.build(client.context, "open");
  environments(report, api, add);
  QnnGraph_Property_t property = QNN_GRAPH_PROPERTY_INIT;
  property.option = QNN_GRAPH_PROPERTY_OPTION_CUSTOM;
  property.customProperty = nullptr;
  QnnGraph_Property_t* properties[] = {&property, nullptr};
  report.code("graphGetProperty(CUSTOM null)",
              [&] { return api.graphGetProperty(add.graph, properties); });
  report.code("graphGetProperty(null)", [&] { return api.graphGetProperty(add.graph, nullptr); });
  const Qnn_Tensor_t* tensors[] = {&add.in[0]};
  report.code("tensorUpdateGraphTensors(non-updateable)",
              [&] { return api.tensorUpdateGraphTensors(add.graph, tensors, 1); });
  report.code("tensorUpdateGraphTensors(null,0)",
              [&] { return api.tensorUpdateGraphTensors(add.graph, nullptr, 0); });
  report.code("tensorUpdateContextTensors",
              [&] { return api.tensorUpdateContextTensors(client.context, tensors, 1); });
  const QnnGraph_ValidateConfig_t* configs[] = {nullptr};
  QnnGraph_ValidationResult_t* result = nullptr;
  report.code("graphValidate(finalized)",
              [&] { return api.graphValidate(add.graph, configs, &result); });
  report.code("graphValidate(unfinalized)",
              [&] { return api.graphValidate(open.graph, configs, &result); });
  report.code("graphValidate(null out)",
              [&] { return api.graphValidate(add.graph, configs, nullptr); });
  report.code("graphFreeValidationResult(null)",
              [&] { return api.graphFreeValidationResult(nullptr); });
}

}  // namespace

Scenarios graph_scenarios() {
  return {{"graph.create", create},       {"graph.customnull", custom_null},
          {"graph.nullout", null_out},    {"graph.retrievenull", retrieve_null},
          {"graph.setconfig", set_config}, {"graph.misc", misc}};
}
