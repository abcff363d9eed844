// SPDX-License-Identifier: Apache-2.0 OR MIT
// A client that composes its graphs itself, through the C function table alone.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "HTP/QnnHtpContext.h"
#include "QnnInterface.h"
#include "QnnOpDef.h"
#include "QnnOpPackage.h"
#include "htp_runtime.h"

using Table = QNN_INTERFACE_VER_TYPE;

inline const Table& qnn() {
  const QnnInterface_t** providers = nullptr;
  uint32_t count = 0;
  QnnInterface_getProviders(&providers, &count);
  return providers[0]->QNN_INTERFACE_VER_NAME;
}

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

inline QnnContext_Config_t depth_config(uint32_t depth) {
  QnnContext_Config_t config = QNN_CONTEXT_CONFIG_INIT;
  config.option = QNN_CONTEXT_CONFIG_ASYNC_EXECUTION_QUEUE_DEPTH;
  config.asyncExeQueueDepth.type = QNN_CONTEXT_ASYNC_EXECUTION_QUEUE_DEPTH_TYPE_NUMERIC;
  config.asyncExeQueueDepth.depth = depth;
  return config;
}

inline QnnContext_Config_t priority_config(Qnn_Priority_t priority) {
  QnnContext_Config_t config = QNN_CONTEXT_CONFIG_INIT;
  config.option = QNN_CONTEXT_CONFIG_OPTION_PRIORITY;
  config.priority = priority;
  return config;
}

/** Backend and device. */
struct Session {
  Session() {
    qnn().backendCreate(nullptr, nullptr, &backend);
    qnn().deviceCreate(nullptr, nullptr, &device);
  }
  Qnn_ContextHandle_t context(const QnnContext_Config_t** config = nullptr) const {
    Qnn_ContextHandle_t made = nullptr;
    qnn().contextCreate(backend, device, config, &made);
    return made;
  }
  Qnn_BackendHandle_t backend = nullptr;
  Qnn_DeviceHandle_t device = nullptr;
};

/** A tensor of 8-bit numbers with scale 1. */
inline Qnn_Tensor_t u8_tensor(const char* name, Qnn_TensorType_t type, uint32_t* dims,
                              uint32_t rank) {
  Qnn_Tensor_t made = QNN_TENSOR_INIT;
  made.v1.name = name;
  made.v1.type = type;
  made.v1.dataType = QNN_DATATYPE_UFIXED_POINT_8;
  made.v1.quantizeParams.encodingDefinition = QNN_DEFINITION_DEFINED;
  made.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_SCALE_OFFSET;
  made.v1.quantizeParams.scaleOffsetEncoding.scale = 1.0f;
  made.v1.rank = rank;
  made.v1.dimensions = dims;
  made.v1.memType = QNN_TENSORMEMTYPE_RAW;
  return made;
}

template <typename Container>
void set_data(Qnn_Tensor_t& tensor, Container& data) {
  tensor.v1.clientBuf.data = data.data();
  tensor.v1.clientBuf.dataSize =
      static_cast<uint32_t>(data.size() * sizeof(typename Container::value_type));
}

inline Qnn_OpConfig_t make_op(const char* name, const char* type, std::vector<Qnn_Tensor_t>& inputs,
                              std::vector<Qnn_Tensor_t>& outputs,
                              std::vector<Qnn_Param_t>& params) {
  Qnn_OpConfig_t op = QNN_OPCONFIG_INIT;
  op.v1.name = name;
  op.v1.packageName = QNN_OP_PACKAGE_NAME_QTI_AISW;
  op.v1.typeName = type;
  op.v1.numOfInputs = static_cast<uint32_t>(inputs.size());
  op.v1.inputTensors = inputs.data();
  op.v1.numOfOutputs = static_cast<uint32_t>(outputs.size());
  op.v1.outputTensors = outputs.data();
  op.v1.numOfParams = static_cast<uint32_t>(params.size());
  op.v1.params = params.data();
  return op;
}

/** Sums of 3x3 neighbours in a 4x4 picture with a border of zeros: a filter of ones, then Relu. */
class ConvRelu {
 public:
  static constexpr std::size_t bytes = 16;

  explicit ConvRelu(Qnn_ContextHandle_t context, const char* name = "net",
                    const QnnGraph_Config_t** config = nullptr) {
    error = qnn().graphCreate(context, name, config, &graph);
  }

  /** Tensors and operations, not finalized. The first error stays. */
  void compose() {
    for (Qnn_Tensor_t* tensor : {&x, &w_, &stride_, &pad_, &middle_, &y}) {
      keep(qnn().tensorCreateGraphTensor(graph, tensor));
    }
    params_[0].tensorParam = stride_;
    params_[1].tensorParam = pad_;
    std::vector<Qnn_Tensor_t> inputs{x, w_}, between{middle_}, outputs{y};
    std::vector<Qnn_Param_t> none;
    keep(qnn().graphAddNode(graph, make_op("conv", QNN_OP_CONV_2D, inputs, between, params_)));
    keep(qnn().graphAddNode(graph, make_op("relu", QNN_OP_RELU, between, outputs, none)));
  }

  void finalize() { keep(qnn().graphFinalize(graph, nullptr, nullptr)); }

  /** What the outputs must be. */
  static std::array<uint8_t, bytes> expected(const std::array<uint8_t, bytes>& picture) {
    std::array<uint8_t, bytes> result{};
    for (int row = 0; row < 4; ++row) {
      for (int column = 0; column < 4; ++column) {
        int sum = 0;
        for (int r = row - 1; r <= row + 1; ++r) {
          for (int c = column - 1; c <= column + 1; ++c) {
            const bool inside = r >= 0 && r < 4 && c >= 0 && c < 4;
            sum += inside ? picture[static_cast<std::size_t>(4 * r + c)] : 0;
          }
        }
        result[static_cast<std::size_t>(4 * row + column)] = static_cast<uint8_t>(sum);
      }
    }
    return result;
  }

  Qnn_ErrorHandle_t execute(std::array<uint8_t, bytes>& picture, std::array<uint8_t, bytes>& result,
                            Qnn_ProfileHandle_t profile = nullptr,
                            Qnn_SignalHandle_t signal = nullptr) {
    Qnn_Tensor_t input = x, output = y;
    set_data(input, picture);
    set_data(output, result);
    return qnn().graphExecute(graph, &input, 1, &output, 1, profile, signal);
  }

  Qnn_ErrorHandle_t execute_async(std::array<uint8_t, bytes>& picture,
                                  std::array<uint8_t, bytes>& result, Qnn_NotifyFn_t notify,
                                  void* param, Qnn_SignalHandle_t signal = nullptr,
                                  Qnn_ProfileHandle_t profile = nullptr) {
    Qnn_Tensor_t input = x, output = y;
    set_data(input, picture);
    set_data(output, result);
    return qnn().graphExecuteAsync(graph, &input, 1, &output, 1, profile, signal, notify, param);
  }

  Qnn_GraphHandle_t graph = nullptr;
  Qnn_ErrorHandle_t error = QNN_SUCCESS;

 private:
  void keep(Qnn_ErrorHandle_t next) { error = error == QNN_SUCCESS ? next : error; }

  Qnn_Tensor_t words(const char* name, uint32_t* dims, uint32_t rank, uint32_t* data,
                     uint32_t count) {
    Qnn_Tensor_t made = QNN_TENSOR_INIT;
    made.v1.name = name;
    made.v1.type = QNN_TENSOR_TYPE_STATIC;
    made.v1.dataType = QNN_DATATYPE_UINT_32;
    made.v1.rank = rank;
    made.v1.dimensions = dims;
    made.v1.memType = QNN_TENSORMEMTYPE_RAW;
    made.v1.clientBuf.data = data;
    made.v1.clientBuf.dataSize = count * 4;
    return made;
  }

  Qnn_Tensor_t weights() {
    Qnn_Tensor_t made = u8_tensor("w", QNN_TENSOR_TYPE_STATIC, filter_dims_.data(), 4);
    set_data(made, weights_);
    return made;
  }

  static Qnn_Param_t param(const char* name) {
    Qnn_Param_t made = QNN_PARAM_INIT;
    made.paramType = QNN_PARAMTYPE_TENSOR;
    made.name = name;
    return made;
  }

  std::array<uint32_t, 4> picture_dims_{{1, 4, 4, 1}};
  std::array<uint32_t, 4> filter_dims_{{3, 3, 1, 1}};
  std::array<uint32_t, 1> two_{{2}};
  std::array<uint32_t, 2> two_by_two_{{2, 2}};
  std::array<uint32_t, 2> stride_data_{{1, 1}};
  std::array<uint32_t, 4> pad_data_{{1, 1, 1, 1}};
  std::array<uint8_t, 9> weights_{{1, 1, 1, 1, 1, 1, 1, 1, 1}};
  Qnn_Tensor_t w_ = weights();
  Qnn_Tensor_t stride_ = words("stride", two_.data(), 1, stride_data_.data(), 2);
  Qnn_Tensor_t pad_ = words("pad", two_by_two_.data(), 2, pad_data_.data(), 4);
  Qnn_Tensor_t middle_ = u8_tensor("middle", QNN_TENSOR_TYPE_NATIVE, picture_dims_.data(), 4);
  std::vector<Qnn_Param_t> params_{param(QNN_OP_CONV_2D_PARAM_STRIDE),
                                   param(QNN_OP_CONV_2D_PARAM_PAD_AMOUNT)};

 public:
  Qnn_Tensor_t x = u8_tensor("x", QNN_TENSOR_TYPE_APP_WRITE, picture_dims_.data(), 4);
  Qnn_Tensor_t y = u8_tensor("y", QNN_TENSOR_TYPE_APP_READ, picture_dims_.data(), 4);
};
