// SPDX-License-Identifier: Apache-2.0 OR MIT
// The client that scenarios share: backend, device, context, and a graph of one addition.

#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "QnnOpDef.h"
#include "QnnOpPackage.h"
#include "conformance.hpp"

/** Entries kept alive beside the array of pointers that calls take. */
template <typename Config>
class ConfigList {
 public:
  ConfigList(std::initializer_list<Config> configs) : configs_(configs) {
    for (const Config& config : configs_) {
      pointers_.push_back(&config);
    }
    pointers_.push_back(nullptr);
  }
  ConfigList(const ConfigList&) = delete;
  ConfigList& operator=(const ConfigList&) = delete;
  const Config** get() { return pointers_.data(); }

 private:
  std::vector<Config> configs_;
  std::vector<const Config*> pointers_;
};

/** Backend, device and context, not freed by itself: a scenario frees, or does not. */
struct Client {
  explicit Client(const Backend& from) : api(from.api()) {
    api.backendCreate(nullptr, nullptr, &backend);
    api.deviceCreate(nullptr, nullptr, &device);
    api.contextCreate(backend, device, nullptr, &context);
  }

  const Table& api;
  Qnn_BackendHandle_t backend = nullptr;
  Qnn_DeviceHandle_t device = nullptr;
  Qnn_ContextHandle_t context = nullptr;
};

/** A tensor of 1x8x8x32 8-bit numbers. The name and the dimensions must outlive it. */
inline std::array<std::uint32_t, 4> add_dims = {1, 8, 8, 32};
constexpr std::size_t add_bytes = 8 * 8 * 32;

inline Qnn_Tensor_t u8_tensor(const char* name, Qnn_TensorType_t type, float scale) {
  Qnn_Tensor_t made = QNN_TENSOR_INIT;
  made.v1.name = name;
  made.v1.type = type;
  made.v1.dataFormat = QNN_TENSOR_DATA_FORMAT_FLAT_BUFFER;
  made.v1.dataType = QNN_DATATYPE_UFIXED_POINT_8;
  made.v1.quantizeParams.encodingDefinition = QNN_DEFINITION_DEFINED;
  made.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_SCALE_OFFSET;
  made.v1.quantizeParams.scaleOffsetEncoding.scale = scale;
  made.v1.rank = 4;
  made.v1.dimensions = add_dims.data();
  made.v1.memType = QNN_TENSORMEMTYPE_RAW;
  return made;
}

/** `out = in_a + in_b`: 20 and 40 in every element, at scale 0.1, so 30 at scale 0.2 comes out. */
struct AddGraph {
  explicit AddGraph(const Table& table) : api(table) {
    in[0] = u8_tensor("in_a", QNN_TENSOR_TYPE_APP_WRITE, 0.1f);
    in[1] = u8_tensor("in_b", QNN_TENSOR_TYPE_APP_WRITE, 0.1f);
    out = u8_tensor("out", QNN_TENSOR_TYPE_APP_READ, 0.2f);
    a.assign(add_bytes, 20);
    b.assign(add_bytes, 40);
    y.assign(add_bytes, 0);
  }

  /** Creates the graph with its tensors and its node. */
  Qnn_ErrorHandle_t build(Qnn_ContextHandle_t context, const char* name = "add",
                          const QnnGraph_Config_t** config = nullptr) {
    Qnn_ErrorHandle_t code = api.graphCreate(context, name, config, &graph);
    for (Qnn_Tensor_t* tensor : {&in[0], &in[1], &out}) {
      if (code == QNN_SUCCESS) {
        code = api.tensorCreateGraphTensor(graph, tensor);
      }
    }
    return code == QNN_SUCCESS ? api.graphAddNode(graph, op()) : code;
  }

  Qnn_ErrorHandle_t build_and_finalize(Qnn_ContextHandle_t context, const char* name = "add",
                                       const QnnGraph_Config_t** config = nullptr) {
    const Qnn_ErrorHandle_t code = build(context, name, config);
    return code == QNN_SUCCESS ? api.graphFinalize(graph, nullptr, nullptr) : code;
  }

  /** The tensors as an execution takes them: with buffers. */
  void bind() {
    in[0].v1.clientBuf = {a.data(), static_cast<std::uint32_t>(a.size())};
    in[1].v1.clientBuf = {b.data(), static_cast<std::uint32_t>(b.size())};
    out.v1.clientBuf = {y.data(), static_cast<std::uint32_t>(y.size())};
  }

  Qnn_ErrorHandle_t execute(Qnn_ProfileHandle_t profile = nullptr,
                            Qnn_SignalHandle_t signal = nullptr) {
    bind();
    y.assign(y.size(), 0);
    return api.graphExecute(graph, in.data(), 2, &out, 1, profile, signal);
  }

  /** What measured.tsv says of an output. */
  std::string seen() const { return text("out[0]=%d expected 30", y[0]); }

  Qnn_OpConfig_t op() {
    Qnn_OpConfig_t made = QNN_OPCONFIG_INIT;
    made.v1.name = "node";
    made.v1.packageName = QNN_OP_PACKAGE_NAME_QTI_AISW;
    made.v1.typeName = QNN_OP_ELEMENT_WISE_ADD;
    made.v1.numOfInputs = 2;
    made.v1.inputTensors = in.data();
    made.v1.numOfOutputs = 1;
    made.v1.outputTensors = &out;
    return made;
  }

  const Table& api;
  Qnn_GraphHandle_t graph = nullptr;
  std::array<Qnn_Tensor_t, 2> in{};
  Qnn_Tensor_t out = QNN_TENSOR_INIT;
  std::vector<std::uint8_t> a;
  std::vector<std::uint8_t> b;
  std::vector<std::uint8_t> y;
};
