// SPDX-License-Identifier: Apache-2.0 OR MIT
// Context binaries: written, loaded, and what a loaded context allows.

#include <algorithm>

#include "binary_support.hpp"
#include "scenarios.hpp"

namespace {

void write(Report& report, const BinaryClient& client) {
  const Table& api = client.api;
  const Qnn_ContextHandle_t context = client.context;
  Qnn_ContextBinarySize_t size = 0;
  report.code("getBinarySize", [&] { return api.contextGetBinarySize(context, &size); });
  report.word("binary size > 0", size > 0 ? "yes" : "no");
  report.word("binary size", std::to_string(size));
  Bytes bytes(static_cast<std::size_t>(size));
  Qnn_ContextBinarySize_t written = 0;
  const auto get = [&](const char* name, void* buffer, Qnn_ContextBinarySize_t room,
                       Qnn_ContextBinarySize_t* count) {
    report.code(name, [&] { return api.contextGetBinary(context, buffer, room, count); });
  };
  get("getBinary(null buffer)", nullptr, size, &written);
  get("getBinary(size 0)", bytes.data(), 0, &written);
  get("getBinary(size-1)", bytes.data(), size - 1, &written);
  get("getBinary(null written)", bytes.data(), size, nullptr);
  report.code(
      "getBinary", [&] { return api.contextGetBinary(context, bytes.data(), size, &written); },
      [&] { return text("written==size:%d", written == size ? 1 : 0); });
  const bool same = binary_of(api, context) == bytes;
  report.word("two getBinary calls give identical bytes", same ? "yes" : "no");
  std::string first;
  for (std::size_t index = 0; index < 16 && index < bytes.size(); ++index) {
    first += text("%02x", bytes[index]);
  }
  report.word("first 16 bytes", first);
}

/** A loaded context: what works on it and what does not. */
void use_loaded(Report& report, BinaryClient& client) {
  const Table& api = client.api;
  Qnn_ContextHandle_t loaded = nullptr;
  report.code("createFromBinary", [&] { return client.load(client.binary, &loaded); });
  AddGraph add(api);
  add.in = client.add.in;
  add.out = client.add.out;
  report.code("graphRetrieve('add')", [&] { return api.graphRetrieve(loaded, "add", &add.graph); });
  Qnn_GraphHandle_t other = nullptr;
  report.code("graphRetrieve('nope')", [&] { return api.graphRetrieve(loaded, "nope", &other); });
  report.code("execute retrieved graph (tensors of original)", [&] { return add.execute(); },
              [&] { return add.seen(); });
  report.code("finalize(retrieved graph)",
              [&] { return api.graphFinalize(add.graph, nullptr, nullptr); });
  report.code("execute after that", [&] { return add.execute(); }, [&] { return add.seen(); });
  report.code("graphCreate in deserialized ctx",
              [&] { return api.graphCreate(loaded, "new", nullptr, &other); });
  Qnn_ContextBinarySize_t size = 0;
  report.code("getBinarySize of deserialized ctx",
              [&] { return api.contextGetBinarySize(loaded, &size); });
  report.code("addNode to retrieved graph", [&] { return api.graphAddNode(add.graph, add.op()); });
  Qnn_Tensor_t late = u8_tensor("late", QNN_TENSOR_TYPE_NATIVE, 0.1f);
  report.code("createGraphTensor on retrieved graph",
              [&] { return api.tensorCreateGraphTensor(add.graph, &late); });
  QnnGraph_Config_t low{};
  low.option = QNN_GRAPH_CONFIG_OPTION_PRIORITY;
  low.priority = QNN_PRIORITY_LOW;
  report.code("graphSetConfig(priority LOW) on retrieved graph", [&] {
    return api.graphSetConfig(add.graph, ConfigList<QnnGraph_Config_t>{low}.get());
  });
  report.code("contextFinalize(deserialized ctx)",
              [&] { return api.contextFinalize(loaded, nullptr); });
  report.code("contextFinalize(built ctx)",
              [&] { return api.contextFinalize(client.context, nullptr); });
  report.code("contextFree(deserialized)", [&] { return api.contextFree(loaded, nullptr); });
}

void load_arguments(Report& report, const BinaryClient& client) {
  const Table& api = client.api;
  const Bytes& binary = client.binary;
  Qnn_ContextHandle_t made = nullptr;
  const auto load = [&](const char* name, Qnn_BackendHandle_t backend, const void* bytes,
                        Qnn_ContextBinarySize_t size, Qnn_ContextHandle_t* out) {
    const Qnn_ErrorHandle_t code =
        report.code(std::string("createFromBinary(") + name + ")", [&] {
          return api.contextCreateFromBinary(backend, client.device, nullptr, bytes, size, out,
                                             nullptr);
        });
    if (code == QNN_SUCCESS) {
      api.contextFree(*out, nullptr);
    }
  };
  load("null buffer", client.backend, nullptr, binary.size(), &made);
  load("size 0", client.backend, binary.data(), 0, &made);
  load("null out", client.backend, binary.data(), binary.size(), nullptr);
  load("null backend", nullptr, binary.data(), binary.size(), &made);
  Bytes longer = binary;
  longer.resize(binary.size() + 4096);
  load("4096 trailing zero bytes", client.backend, longer.data(), longer.size(), &made);
  Bytes shifted(binary.size() + 1);
  std::copy(binary.begin(), binary.end(), shifted.begin() + 1);
  load("unaligned buffer", client.backend, shifted.data() + 1, binary.size(), &made);
}

void validate(Report& report, const BinaryClient& client) {
  const auto check = [&](const char* name, Qnn_BackendHandle_t backend, const void* bytes,
                         Qnn_ContextBinarySize_t size) {
    report.code(std::string("validateBinary(") + name + ")", [&] {
      return client.api.contextValidateBinary(backend, client.device, nullptr, bytes, size);
    });
  };
  const Bytes& binary = client.binary;
  check("good", client.backend, binary.data(), binary.size());
  check("null", client.backend, nullptr, binary.size());
  check("size 0", client.backend, binary.data(), 0);
  check("truncated half", client.backend, binary.data(), binary.size() / 2);
  check("null backend", nullptr, binary.data(), binary.size());
  Bytes damaged = binary;
  damaged[0] = static_cast<std::uint8_t>(~damaged[0]);
  check("first byte flipped", client.backend, damaged.data(), damaged.size());
  damaged = binary;
  damaged[binary.size() / 2] = static_cast<std::uint8_t>(~damaged[binary.size() / 2]);
  check("middle byte flipped", client.backend, damaged.data(), damaged.size());
  const Bytes zeros(4096);
  check("4096 zero bytes", client.backend, zeros.data(), zeros.size());
}

void binary(Report& report, const Backend& backend, std::uint32_t) {
  BinaryClient client(backend);
  const Table& api = client.api;
  Qnn_ContextHandle_t unfinished = nullptr;
  api.contextCreate(client.backend, client.device, nullptr, &unfinished);
  AddGraph add(api);
  report.code("build unfinalized", [&] { return add.build(unfinished); });
  Qnn_ContextBinarySize_t size = 0;
  report.code("getBinarySize(graph not finalized)",
              [&] { return api.contextGetBinarySize(unfinished, &size); });
  write(report, client);
  use_loaded(report, client);
  load_arguments(report, client);
  validate(report, client);
  const void* increment = nullptr;
  Qnn_ContextBinarySize_t offset = 0;
  report.code("getIncrementalBinary", [&] {
    return api.contextGetIncrementalBinary(client.context, &increment, &offset, &size);
  });
  report.code("releaseIncrementalBinary(null)",
              [&] { return api.contextReleaseIncrementalBinary(client.context, nullptr, 0); });
}

QnnContext_Config_t enable(const char* const* names) {
  QnnContext_Config_t config = context_option(QNN_CONTEXT_CONFIG_ENABLE_GRAPHS);
  config.enableGraphs = names;
  return config;
}

QnnContext_Config_t queue_depth(std::uint32_t depth) {
  QnnContext_Config_t config = context_option(QNN_CONTEXT_CONFIG_ASYNC_EXECUTION_QUEUE_DEPTH);
  config.asyncExeQueueDepth.type = QNN_CONTEXT_ASYNC_EXECUTION_QUEUE_DEPTH_TYPE_NUMERIC;
  config.asyncExeQueueDepth.depth = depth;
  return config;
}

const char* const only_g2[] = {"g2", nullptr};
const char* const unknown[] = {"no such graph", nullptr};
const char* const nobody[] = {nullptr};

/** A config option with a value of its own: a memory limit, a flag, a list of names. */
QnnContext_Config_t numbered(int number) {
  QnnContext_Config_t config = context_option(number);
  switch (number) {
    case QNN_CONTEXT_CONFIG_ASYNC_EXECUTION_QUEUE_DEPTH: return queue_depth(10);
    case QNN_CONTEXT_CONFIG_MEMORY_LIMIT_HINT: config.memoryLimitHint = 64; break;
    case QNN_CONTEXT_CONFIG_BINARY_COMPATIBILITY:
      config.binaryCompatibilityType = QNN_CONTEXT_BINARY_COMPATIBILITY_STRICT;
      break;
    case QNN_CONTEXT_CONFIG_GRAPH_RETENTION_ORDER: config.graphRetentionOrder = only_g2; break;
    default: config.isPersistentBinary = 1;
  }
  return config;
}

/** Loads with one option; `then` uses the context before it is freed. */
template <typename Then>
void load_with(Report& report, const BinaryClient& client, const std::string& name,
               const QnnContext_Config_t& config, Then then) {
  Qnn_ContextHandle_t made = nullptr;
  const Qnn_ErrorHandle_t code = report.code("createFromBinary(" + name + ")", [&] {
    return client.load(client.binary, &made, ContextConfigs{config}.get());
  });
  if (code == QNN_SUCCESS) {
    then(made);
    client.api.contextFree(made, nullptr);
  }
}

void multi(Report& report, const Backend& backend, std::uint32_t) {
  BinaryClient client(backend);
  const Table& api = client.api;
  Qnn_ContextHandle_t both = nullptr;
  api.contextCreate(client.backend, client.device, nullptr, &both);
  AddGraph g1(api);
  AddGraph g2(api);
  g1.build_and_finalize(both, "g1");
  g2.build_and_finalize(both, "g2");
  client.binary = binary_of(api, both);
  const auto nothing = [](Qnn_ContextHandle_t) {};
  load_with(report, client, "ENABLE_GRAPHS g2", enable(only_g2), [&](Qnn_ContextHandle_t made) {
    report.code("graphRetrieve enabled g2",
                [&] { return api.graphRetrieve(made, "g2", &g2.graph); });
    report.code("graphRetrieve disabled g1",
                [&] { return api.graphRetrieve(made, "g1", &g1.graph); });
    report.code("execute disabled g1", [&] { return g1.execute(); }, [&] { return g1.seen(); });
  });
  load_with(report, client, "ENABLE_GRAPHS unknown name", enable(unknown), nothing);
  load_with(report, client, "ENABLE_GRAPHS empty list", enable(nobody), nothing);
  for (const int number : {4, 6, 7, 8}) {
    load_with(report, client, text("config option %d", number), numbered(number), nothing);
  }
  load_with(report, client, "config option 9", numbered(9), [&](Qnn_ContextHandle_t made) {
    report.code("deferred init: graphRetrieve g1",
                [&] { return api.graphRetrieve(made, "g1", &g1.graph); });
    report.code("deferred init: contextFinalize",
                [&] { return api.contextFinalize(made, nullptr); });
  });
  for (const int number : {10, 99}) {
    load_with(report, client, text("config option %d", number), numbered(number), nothing);
  }
  for (const std::uint32_t depth : {0u, 300u, 301u}) {
    load_with(report, client, text("queue depth %u", depth), queue_depth(depth), nothing);
  }
}

void section(Report& report, const Backend& backend, std::uint32_t) {
  BinaryClient client(backend);
  const Table& api = client.api;
  const auto kind = [](int number) { return static_cast<QnnContext_SectionType_t>(number); };
  for (const int number : {1, 2, 3, 9}) {
    Qnn_ContextBinarySize_t size = 0;
    report.code(
        text("getBinarySectionSize(section %d)", number),
        [&] {
          return api.contextGetBinarySectionSize(client.context, client.add.graph, kind(number),
                                                 &size);
        },
        [&] { return text("size=%llu", static_cast<unsigned long long>(size)); });
  }
  Bytes zeros(4096);
  QnnContext_Buffer_t buffer{};
  buffer.version = QNN_CONTEXT_BUFFER_VERSION_1;
  buffer.v1.memType = QNN_CONTEXTMEMTYPE_RAW;
  buffer.v1.binaryBuf = {zeros.data(), zeros.size()};
  Qnn_ContextBinarySize_t written = 0;
  report.code("getBinarySection(UPDATABLE)", [&] {
    return api.contextGetBinarySection(client.context, client.add.graph, kind(1), &buffer, &written,
                                       nullptr, nullptr);
  });
  report.code("applyBinarySection(zeros)", [&] {
    return api.contextApplyBinarySection(client.context, client.add.graph, kind(1), &buffer,
                                         nullptr, nullptr);
  });
  QnnContext_Buffer_t update{};
  report.code("getBinarySectionUpdate(zeros)", [&] {
    return api.contextGetBinarySectionUpdate(&buffer, &buffer, nullptr, 0, 0, nullptr, nullptr,
                                             nullptr, &update);
  });
  report.code("contextAddToDlc(null dlc)",
              [&] { return api.contextAddToDlc(client.context, nullptr); });
}

}  // namespace

Scenarios binary_scenarios() {
  return {{"binary", binary}, {"binary.multi", multi}, {"binary.section", section}};
}
