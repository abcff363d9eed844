// SPDX-License-Identifier: Apache-2.0 OR MIT
// A QNN client of the digit network, through the C function table alone.

#pragma once

#include "QnnInterface.h"
#include "digits.hpp"
#include "htp_runtime.h"

using Table = QNN_INTERFACE_VER_TYPE;

/** Backend and device, opened on the chosen platform. */
struct Client {
  Digits digits;
  const Table* api = nullptr;
  Qnn_BackendHandle_t backend = nullptr;
  Qnn_DeviceHandle_t device = nullptr;

  bool open(htp_rt_platform_t platform = HTP_RT_PLATFORM_QNX_ADAS) {
    const QnnInterface_t** providers = nullptr;
    std::uint32_t count = 0;
    if (configure_device(platform) != QNN_SUCCESS ||
        QnnInterface_getProviders(&providers, &count) != QNN_SUCCESS || count == 0) {
      return false;
    }
    api = &providers[0]->QNN_INTERFACE_VER_NAME;
    return api->backendCreate(nullptr, nullptr, &backend) == QNN_SUCCESS &&
           api->deviceCreate(nullptr, nullptr, &device) == QNN_SUCCESS;
  }
};

/** A context of the network with its graph. Frees nothing by itself: tests do that. */
struct Session {
  Qnn_ContextHandle_t context = nullptr;
  Qnn_GraphHandle_t graph = nullptr;
  std::array<htp_rt_tensor_info_t, 3> tensors{};    // image, logits, probabilities

  Qnn_ErrorHandle_t open(const Client& client, std::uint32_t depth = 10) {
    QnnContext_Config_t config = QNN_CONTEXT_CONFIG_INIT;
    config.option = QNN_CONTEXT_CONFIG_ASYNC_EXECUTION_QUEUE_DEPTH;
    config.asyncExeQueueDepth.type = QNN_CONTEXT_ASYNC_EXECUTION_QUEUE_DEPTH_TYPE_NUMERIC;
    config.asyncExeQueueDepth.depth = depth;
    const QnnContext_Config_t* list[] = {&config, nullptr};
    Qnn_ErrorHandle_t code = client.api->contextCreateFromBinary(
        client.backend, client.device, list, client.digits.network.data(),
        client.digits.network.size(), &context, nullptr);
    if (code == QNN_SUCCESS) {
      code = client.api->graphRetrieve(context, "digits", &graph);
    }
    return code == QNN_SUCCESS ? find_tensors() : code;
  }

 private:
  Qnn_ErrorHandle_t find_tensors() {
    const char* const names[] = {"image", "logits", "probabilities"};
    std::uint32_t count = 0;
    Qnn_ErrorHandle_t code = htp_rt_graph_tensor_count(graph, &count);
    for (std::uint32_t index = 0; code == QNN_SUCCESS && index < count; ++index) {
      htp_rt_tensor_info_t info = {};
      code = htp_rt_graph_tensor(graph, index, &info);
      for (std::size_t wanted = 0; wanted < tensors.size(); ++wanted) {
        if (std::strcmp(reinterpret_cast<const char*>(info.name), names[wanted]) == 0) {
          tensors[wanted] = info;
        }
      }
    }
    return code;
  }
};

/** One execution's tensors over buffers of its own. */
struct Execution {
  Buffers buffers;
  Qnn_Tensor_t input = QNN_TENSOR_INIT;
  std::array<Qnn_Tensor_t, 2> outputs{};
  std::array<htp_rt_tensor_info_t, 3> tensors{};    // descriptors point into it
  Mailbox* mailbox = nullptr;
  std::size_t image = 0;

  void bind(const Client& client, const Session& session, std::size_t index) {
    image = index;
    tensors = session.tensors;
    buffers.show(client.digits, index);
    input = descriptor(tensors[0], buffers.image.data());
    outputs = {descriptor(tensors[1], buffers.logits.data()),
               descriptor(tensors[2], buffers.probabilities.data())};
  }
  Qnn_ErrorHandle_t run(const Client& client, const Session& session,
                        Qnn_ProfileHandle_t profile = nullptr) {
    return client.api->graphExecute(session.graph, &input, 1, outputs.data(), 2, profile, nullptr);
  }
  Qnn_ErrorHandle_t queue(const Client& client, const Session& session, Mailbox& to) {
    mailbox = &to;
    return client.api->graphExecuteAsync(session.graph, &input, 1, outputs.data(), 2, nullptr,
                                         nullptr, &on_done, this);
  }
  bool right(const Client& client) const {
    return client.digits.is_answer(image, buffers.logits.data());
  }

 private:
  static void on_done(void* param, Qnn_NotifyStatus_t status) {
    static_cast<Execution*>(param)->mailbox->put(status.error);
  }
  static Qnn_Tensor_t descriptor(htp_rt_tensor_info_t& info, std::uint8_t* memory) {
    Qnn_Tensor_t tensor = QNN_TENSOR_INIT;
    tensor.v1.id = info.id;
    tensor.v1.name = reinterpret_cast<const char*>(info.name);
    tensor.v1.type = static_cast<Qnn_TensorType_t>(info.kind);
    tensor.v1.dataType = static_cast<Qnn_DataType_t>(info.data_type);
    tensor.v1.quantizeParams.encodingDefinition = QNN_DEFINITION_DEFINED;
    tensor.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_SCALE_OFFSET;
    tensor.v1.quantizeParams.scaleOffsetEncoding = {info.scale, info.offset};
    tensor.v1.rank = info.rank;
    tensor.v1.dimensions = info.dims;
    tensor.v1.memType = QNN_TENSORMEMTYPE_RAW;
    tensor.v1.clientBuf = {memory, static_cast<std::uint32_t>(info.size_bytes)};
    return tensor;
  }
};

/** An operation in the middle of which tests crash the device. */
constexpr std::uint32_t crashing_op = 3;

/** Crashes the device under a blocking execution; its code. */
inline Qnn_ErrorHandle_t crash(const Client& client, const Session& session) {
  Execution execution;
  execution.bind(client, session, 1);
  if (const Qnn_ErrorHandle_t code = htp_rt_vdev_crash(crashing_op)) {
    return code;
  }
  return execution.run(client, session);
}
