// SPDX-License-Identifier: Apache-2.0 OR MIT
// Contexts and graphs: created, loaded, composed, written, freed.

#pragma once

#include <string>

#include "binaries.hpp"
#include "configs.hpp"
#include "operations.hpp"

/** Remembers a graph that can be executed, with what it takes and gives. */
inline void learn(Values& values, Qnn_ContextHandle_t context, Qnn_GraphHandle_t graph,
                  bool is_digits) {
  Ready ready;
  ready.context = context;
  ready.graph = graph;
  ready.is_digits = is_digits;
  std::uint32_t count = 0;
  if (RUNTIME(graph_tensor_count, graph, &count) != QNN_SUCCESS) {
    return;
  }
  for (std::uint32_t index = 0; index < count; ++index) {
    htp_rt_tensor_info_t info = {};
    if (RUNTIME(graph_tensor, graph, index, &info) != QNN_SUCCESS || info.size_bytes > 1U << 20) {
      return;
    }
    const Port port = {info.id, static_cast<std::uint32_t>(info.size_bytes)};
    const bool is_input = info.kind == QNN_TENSOR_TYPE_APP_WRITE;
    (is_input ? ready.inputs : ready.outputs).push_back(port);
    if (std::strcmp(reinterpret_cast<const char*>(info.name), "logits") == 0) {
      std::swap(ready.outputs.front(), ready.outputs.back());
    }
  }
  values.round.handles.add(graphs, graph);
  values.round.ready.add(std::move(ready));
}

/** Names of the graphs that are composed. */
inline const char* any_name(Values& values) {
  static const std::string& endless = *new std::string(9000, 'x');
  static const std::array<const char*, 8> names{
      {"net", "a", "b", "c", "", nullptr, "\xFF\xFE", endless.c_str()}};
  return values.numbers.chance(95) ? names[values.numbers.below(4)]
                                   : values.numbers.one_of(names);
}

inline Qnn_ContextHandle_t create_context(Values& values) {
  Configs configs(values);
  Qnn_ContextHandle_t context = nullptr;
  const Qnn_ErrorHandle_t code =
      QNN(contextCreate, values.pick(backends), values.numbers.chance(50) ? values.pick(devices)
                                                                          : nullptr,
          configs.context().get(), &context);
  values.keep(contexts, code, context);
  return context;
}

/** Loads from memory that is gone after the call, and takes a graph of it. */
inline void load_bytes(Values& values, std::vector<std::uint8_t> bytes, const char* name) {
  Configs configs(values);
  Qnn_ContextHandle_t context = nullptr;
  const Qnn_BackendHandle_t backend = values.pick(backends);
  const Qnn_DeviceHandle_t device = values.numbers.chance(50) ? values.pick(devices) : nullptr;
  const Qnn_ErrorHandle_t code =
      values.numbers.chance(80)
          ? QNN(contextCreateFromBinary, backend, device, configs.context().get(), bytes.data(),
                bytes.size(), &context, values.seldom(profiles))
          : QNN(contextCreateFromBinaryWithSignal, backend, device, configs.context().get(),
                bytes.data(), bytes.size(), &context, values.seldom(profiles),
                values.seldom(signals));
  values.keep(contexts, code, context);
  Qnn_GraphHandle_t graph = nullptr;
  if (code == QNN_SUCCESS && QNN(graphRetrieve, context, name, &graph) == QNN_SUCCESS) {
    learn(values, context, graph, bytes == digits().network);
  }
}

inline void load(Values& values) { load_bytes(values, digits().network, "digits"); }

/** Loads from memory that stays. */
inline void load_in_place(Values& values) {
  QnnContext_Config_t config = QNN_CONTEXT_CONFIG_INIT;
  config.option = QNN_CONTEXT_CONFIG_PERSISTENT_BINARY;
  config.isPersistentBinary = 1;
  ConfigList<QnnContext_Config_t> list{config};
  const std::vector<std::uint8_t>& bytes = digits().network;
  Qnn_ContextHandle_t context = nullptr;
  Qnn_GraphHandle_t graph = nullptr;
  values.keep(contexts,
              QNN(contextCreateFromBinary, values.pick(backends), values.pick(devices), list.get(),
                  bytes.data(), bytes.size(), &context, nullptr),
              context);
  if (context != nullptr && QNN(graphRetrieve, context, "digits", &graph) == QNN_SUCCESS) {
    learn(values, context, graph, true);
  }
}

/** What a composed context is written as, if it can be. */
inline std::vector<std::uint8_t> written(Values& values, Qnn_ContextHandle_t context) {
  Qnn_ContextBinarySize_t size = 0, count = 0;
  if (QNN(contextGetBinarySize, context, &size) != QNN_SUCCESS) {
    size = 100;
  }
  size -= values.numbers.chance(10) ? values.numbers.below(50) : 0;
  std::vector<std::uint8_t> bytes(size);
  const bool done = QNN(contextGetBinary, context, bytes.data(), size, &count) == QNN_SUCCESS;
  CHECK(count <= size);
  bytes.resize(done ? count : 0);
  return bytes;
}

inline void reload(Values& values) {
  std::vector<std::uint8_t> bytes = written(values, values.pick(contexts));
  if (!bytes.empty()) {
    load_bytes(values, std::move(bytes), any_name(values));
  }
}

/** The digit network, or a composed one, made wrong. */
inline std::vector<std::uint8_t> broken(Values& values) {
  std::vector<std::uint8_t> bytes;
  if (values.numbers.chance(50)) {
    bytes = written(values, values.pick(contexts));
  }
  return Binary(bytes.empty() ? digits().network : bytes).broken(values.numbers);
}

inline void load_broken(Values& values) {
  std::vector<std::uint8_t> bytes = broken(values);
  if (values.numbers.chance(30)) {
    Configs configs(values);
    QNN(contextValidateBinary, values.pick(backends), values.pick(devices),
        configs.context().get(), bytes.data(), bytes.size());
  } else {
    load_bytes(values, std::move(bytes), values.numbers.chance(50) ? "digits" : any_name(values));
  }
}

inline void free_context(Values& values) {
  const Qnn_ContextHandle_t context = values.pick(contexts);
  values.drop(contexts, context, QNN(contextFree, context, values.seldom(profiles)));
}

/** A graph of operations that the backend said it runs. */
inline void compose(Values& values) {
  Numbers& numbers = values.numbers;
  Configs configs(values);
  const Qnn_ContextHandle_t context =
      numbers.chance(60) ? create_context(values) : values.pick(contexts);
  Qnn_GraphHandle_t graph = nullptr;
  const Qnn_ErrorHandle_t code =
      QNN(graphCreate, context, any_name(values), configs.graph().get(), &graph);
  if (code != QNN_SUCCESS) {
    return values.recover(context, code);
  }
  values.round.handles.add(graphs, graph);
  std::vector<Known> known;
  for (std::uint32_t inputs = 1 + numbers.below(2); inputs > 0; --inputs) {
    std::vector<std::uint32_t> dims(1 + numbers.below(4));
    for (std::uint32_t& dim : dims) {
      dim = 1 + numbers.below(4);
    }
    const std::string name = "in" + std::to_string(inputs);
    Qnn_Tensor_t input = u8_tensor(name.c_str(), QNN_TENSOR_TYPE_APP_WRITE, dims.data(),
                                   static_cast<std::uint32_t>(dims.size()));
    input.v1.dataType = numbers.chance(60) ? QNN_DATATYPE_UFIXED_POINT_8 : values.data_type();
    if (numbers.chance(20)) {
      QNN(tensorCreateContextTensor, context, &input);
    } else {
      QNN(tensorCreateGraphTensor, graph, &input);
    }
    known.push_back({input.v1.id, input.v1.dataType, dims});
  }
  for (std::uint32_t steps = 1 + numbers.below(4); steps > 0; --steps) {
    const bool is_result = steps == 1 || numbers.chance(20);
    for (int attempts = 0; attempts < 12; ++attempts) {
      Proposal proposal(values, known,
                        is_result ? QNN_TENSOR_TYPE_APP_READ : QNN_TENSOR_TYPE_NATIVE);
      const Qnn_OpConfig_t asked = proposal.op("op");
      Tally& of_type = coverage().of("operation", asked.v1.typeName);
      if (of_type.note(QNN(backendValidateOpConfig, values.pick(backends), asked)) == QNN_SUCCESS) {
        const std::vector<Known> results = proposal.declare(graph);
        QNN(graphAddNode, graph, proposal.op(numbers.chance(95) ? "op" : nullptr));
        known.insert(known.end(), results.begin(), results.end());
        break;
      }
    }
  }
  if (QNN(graphFinalize, graph, values.seldom(profiles), nullptr) == QNN_SUCCESS) {
    learn(values, context, graph, false);
  }
}

inline void create_graph(Values& values) {
  Configs configs(values);
  Qnn_GraphHandle_t graph = nullptr;
  const Qnn_ErrorHandle_t code = QNN(graphCreate, values.pick(contexts), any_name(values),
                                     configs.graph().get(), &graph);
  values.keep(graphs, code, graph);
}

inline void retrieve(Values& values) {
  const Qnn_ContextHandle_t context = values.pick(contexts);
  Qnn_GraphHandle_t graph = nullptr;
  values.keep(graphs, QNN(graphRetrieve, context, any_name(values), &graph), graph);
  if (graph != nullptr) {
    learn(values, context, graph, false);
  }
}

inline void add_tensor(Values& values) {
  Qnn_Tensor_t tensor = values.any_tensor();
  if (values.numbers.chance(70)) {
    QNN(tensorCreateGraphTensor, values.pick(graphs), &tensor);
  } else {
    QNN(tensorCreateContextTensor, values.pick(contexts), &tensor);
  }
  const Qnn_Tensor_t* const list[] = {values.numbers.chance(90) ? &tensor : nullptr};
  QNN(tensorUpdateGraphTensors, values.graph(), const_cast<const Qnn_Tensor_t**>(list),
      values.numbers.below(2));
}

/** An operation with nothing certain about it. */
inline void add_node(Values& values) {
  Numbers& numbers = values.numbers;
  static constexpr std::array<const char*, 6> types{
      {QNN_OP_CONV_2D, QNN_OP_RELU, QNN_OP_RESHAPE, QNN_OP_CONCAT, QNN_OP_SOFTMAX, "None"}};
  std::vector<Qnn_Tensor_t> inputs, outputs;
  std::vector<Qnn_Param_t> params;
  const auto any_count = [&numbers] { return numbers.below(numbers.chance(98) ? 4 : 200); };
  for (std::uint32_t count = any_count(); count > 0; --count) {
    inputs.push_back(values.any_tensor());
  }
  for (std::uint32_t count = any_count(); count > 0; --count) {
    outputs.push_back(values.any_tensor());
  }
  for (std::uint32_t count = any_count(); count > 0; --count) {
    params.push_back(values.any_param());
  }
  Qnn_OpConfig_t op = make_op(any_name(values), numbers.one_of(types), inputs, outputs, params);
  switch (numbers.below(20)) {
    case 0: op.version = numbers.any_of<Qnn_OpConfigVersion_t>(); break;
    case 1: op.v1.packageName = nullptr; break;
    case 2: op.v1.inputTensors = nullptr; break;
    case 3: op.v1.params = nullptr; break;
    case 4: op.v1.name = nullptr; break;
    case 5: op.v1.typeName = nullptr; break;
    default: break;
  }
  if (numbers.chance(50)) {
    QNN(backendValidateOpConfig, values.pick(backends), op);
  } else {
    QNN(graphAddNode, values.pick(graphs), op);
  }
}

inline void finalize(Values& values) {
  QNN(graphFinalize, values.pick(graphs), values.seldom(profiles), values.seldom(signals));
}
