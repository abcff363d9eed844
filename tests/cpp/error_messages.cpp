// SPDX-License-Identifier: Apache-2.0 OR MIT
// QnnError_getMessage says which argument of the refused call was wrong, what was given, and what
// is allowed: to the thread that was refused, until its next refusal.

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "HTP/QnnHtpDevice.h"
#include "HTP/QnnHtpGraph.h"
#include "support/check.hpp"
#include "support/composed.hpp"

namespace {

using Picture = std::array<uint8_t, ConvRelu::bytes>;

std::string message(Qnn_ErrorHandle_t code) {
  const char* text = nullptr;
  CHECK_EQ(qnn().errorGetMessage(code, &text), QNN_SUCCESS);
  return text == nullptr ? "" : text;
}

/** Whether a call was refused with `code`, and the message names the call and says `words`. */
bool says(Qnn_ErrorHandle_t given, Qnn_ErrorHandle_t code, const std::string& words) {
  const std::string text = given == QNN_SUCCESS ? "done" : message(given);
  const bool right = given == code && text.find(": Qnn") != std::string::npos &&
                     text.find(": " + words) != std::string::npos;
  if (!right) {
    std::printf("%llu: %s\n", static_cast<unsigned long long>(given), text.c_str());
  }
  return right;
}

#define SAYS(call, code, words) CHECK(says((call), (code), (words)))

/** A graph under construction, and one tensor that a test spoils. */
struct Composing {
  Composing() : context(session.context()) {
    CHECK_EQ(qnn().graphCreate(context, "net", nullptr, &graph), QNN_SUCCESS);
  }
  Qnn_ErrorHandle_t create() { return qnn().tensorCreateGraphTensor(graph, &tensor); }
  Qnn_Tensor_t made(const char* name, Qnn_TensorType_t type) {
    Qnn_Tensor_t one = u8_tensor(name, type, dims.data(), 2);
    CHECK_EQ(qnn().tensorCreateGraphTensor(graph, &one), QNN_SUCCESS);
    return one;
  }
  Qnn_ErrorHandle_t add(const char* type) {
    return qnn().graphAddNode(graph, make_op("node", type, inputs, outputs, params));
  }

  Session session;
  Qnn_ContextHandle_t context;
  Qnn_GraphHandle_t graph = nullptr;
  std::array<uint32_t, 2> dims{{2, 3}};
  Qnn_Tensor_t tensor = u8_tensor("input", QNN_TENSOR_TYPE_APP_WRITE, dims.data(), 2);
  std::vector<Qnn_Tensor_t> inputs, outputs;
  std::vector<Qnn_Param_t> params;
};

Qnn_ErrorHandle_t graph_with(Qnn_ContextHandle_t context, QnnHtpGraph_CustomConfig_t& custom) {
  QnnGraph_Config_t config = QNN_GRAPH_CONFIG_INIT;
  config.option = QNN_GRAPH_CONFIG_OPTION_CUSTOM;
  config.customConfig = &custom;
  Qnn_GraphHandle_t graph = nullptr;
  return qnn().graphCreate(context, "configured", ConfigList<QnnGraph_Config_t>{config}.get(),
                           &graph);
}

Qnn_ErrorHandle_t context_with(const Session& session,
                               std::initializer_list<QnnContext_Config_t> list) {
  Qnn_ContextHandle_t context = nullptr;
  return qnn().contextCreate(session.backend, session.device,
                             ConfigList<QnnContext_Config_t>(list).get(), &context);
}

}  // namespace

TEST(a_tensor_names_its_wrong_field) {
  Composing net;
  const Qnn_Tensor_t good = net.tensor;
  net.dims[1] = 0;
  SAYS(net.create(), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM, "tensor 'input'.v1.dimensions[1] is 0");
  net.dims[1] = 3;
  net.tensor.v1.rank = 9;
  SAYS(net.create(), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM,
       "tensor 'input'.v1.rank is 9, at most 6 is offered");
  net.tensor = good;
  net.tensor.v1.dimensions = nullptr;
  SAYS(net.create(), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM,
       "tensor 'input'.v1.dimensions is null or not aligned, .rank is 2");
  net.tensor = good;
  net.tensor.v1.dataType = QNN_DATATYPE_FLOAT_64;
  SAYS(net.create(), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM,
       "tensor 'input'.v1.dataType is FLOAT_64, which is not offered");
  net.tensor.v1.dataType = static_cast<Qnn_DataType_t>(0x777);
  SAYS(net.create(), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM, "tensor 'input'.v1.dataType is 0x777");
  net.tensor = good;
  net.tensor.v1.type = QNN_TENSOR_TYPE_UPDATEABLE_STATIC;
  SAYS(net.create(), QNN_TENSOR_ERROR_UNSUPPORTED_TENSOR_PARAM, "tensor 'input'.v1.type is 6");
  net.tensor = good;
  net.tensor.v1.name = nullptr;
  SAYS(net.create(), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM, "tensor.v1.name is null");
  net.tensor = good;
  net.tensor.version = static_cast<Qnn_TensorVersion_t>(7);
  SAYS(net.create(), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM, "tensor.version is 7, not 1 or 2");
  SAYS(qnn().tensorCreateGraphTensor(net.graph, nullptr), QNN_TENSOR_ERROR_INVALID_HANDLE,
       "tensor is null");
}

TEST(a_tensor_names_its_wrong_scales_and_data) {
  Composing net;
  const Qnn_Tensor_t good = net.tensor;
  net.tensor.v1.quantizeParams.scaleOffsetEncoding.scale = -1.5f;
  SAYS(net.create(), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM,
       "tensor 'input'.v1.quantizeParams.scaleOffsetEncoding.scale is -1.5, a finite number above");
  net.tensor.v1.quantizeParams.scaleOffsetEncoding.scale = std::nanf("");
  SAYS(net.create(), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM,
       "tensor 'input'.v1.quantizeParams.scaleOffsetEncoding.scale is not a number");
  net.tensor = good;
  std::array<Qnn_ScaleOffset_t, 3> scales{{{1.0f, 0}, {0.25f, 0}, {0.5f, 0}}};
  net.tensor.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET;
  net.tensor.v1.quantizeParams.axisScaleOffsetEncoding = {1, 2, scales.data()};
  SAYS(net.create(), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM,
       "tensor 'input'.v1.quantizeParams.axisScaleOffsetEncoding.numScaleOffsets is 2, "
       ".dimensions[1] is 3");
  net.tensor.v1.quantizeParams.axisScaleOffsetEncoding.numScaleOffsets = 3;
  scales[1].scale = 0.0f;
  SAYS(net.create(), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM,
       "tensor 'input'.v1.quantizeParams.axisScaleOffsetEncoding.scaleOffset[1].scale is 0,");
  net.tensor.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_BLOCK;
  SAYS(net.create(), QNN_TENSOR_ERROR_UNSUPPORTED_TENSOR_PARAM,
       "tensor 'input'.v1.quantizeParams.quantizationEncoding is 4");
  net.tensor = good;
  std::array<uint8_t, 5> data{};
  net.tensor.v1.type = QNN_TENSOR_TYPE_STATIC;
  set_data(net.tensor, data);
  SAYS(net.create(), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM,
       "tensor 'input'.v1.clientBuf.dataSize is 5, 6 are needed");
  net.tensor.v1.type = QNN_TENSOR_TYPE_APP_WRITE;
  SAYS(net.create(), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM,
       "tensor 'input'.v1.clientBuf.data is not null");
  net.tensor = good;
  CHECK_EQ(net.create(), QNN_SUCCESS);
  SAYS(net.create(), QNN_TENSOR_ERROR_ALREADY_EXISTS, "tensor 'input'.v1.name is taken");
}

TEST(an_operation_names_its_wrong_operand) {
  Composing net;
  const Qnn_Tensor_t x = net.made("x", QNN_TENSOR_TYPE_APP_WRITE);
  const Qnn_Tensor_t middle = net.made("middle", QNN_TENSOR_TYPE_NATIVE);
  const Qnn_Tensor_t y = net.made("y", QNN_TENSOR_TYPE_APP_READ);
  net.inputs = {middle};
  net.outputs = {y};
  SAYS(net.add(QNN_OP_RELU), QNN_GRAPH_ERROR_UNCONNECTED_NODE,
       "Relu 'node': inputTensors[0] 'middle' is not produced yet");
  net.inputs = {x, x};
  net.inputs[1].v1.id = 4711;
  SAYS(net.add(QNN_OP_ELEMENT_WISE_ADD), QNN_GRAPH_ERROR_INVALID_OP_CONFIG,
       "ElementWiseAdd 'node': inputTensors[1] 'x'.v1.id is 4711: neither");
  net.inputs = {x};
  net.outputs = {x};
  SAYS(net.add(QNN_OP_RELU), QNN_GRAPH_ERROR_INVALID_OP_CONFIG,
       "Relu 'node': outputTensors[0] 'x' is constant, written by the client");
  net.outputs = {y};
  SAYS(net.add(QNN_OP_TRANSPOSE), QNN_GRAPH_ERROR_INVALID_ARGUMENT,
       "Transpose 'node': params lacks 'perm', which it needs");
  Qnn_Param_t param = QNN_PARAM_INIT;
  param.paramType = QNN_PARAMTYPE_SCALAR;
  param.name = "perm";
  param.scalarParam.dataType = QNN_DATATYPE_STRING;
  net.params = {param};
  SAYS(net.add(QNN_OP_TRANSPOSE), QNN_GRAPH_ERROR_INVALID_OP_CONFIG,
       "Transpose 'node': params[0] 'perm'.scalarParam.dataType is STRING");
  net.params[0].paramType = static_cast<Qnn_ParamType_t>(9);
  SAYS(net.add(QNN_OP_TRANSPOSE), QNN_GRAPH_ERROR_INVALID_OP_CONFIG,
       "Transpose 'node': params[0] 'perm'.paramType is 9");
  Qnn_OpConfig_t op = make_op("node", QNN_OP_RELU, net.inputs, net.outputs, net.params);
  op.v1.packageName = "other";
  SAYS(qnn().graphAddNode(net.graph, op), QNN_GRAPH_ERROR_INVALID_OP_CONFIG,
       "Relu 'node': packageName is 'other', there is only 'qti.aisw'");
  op.v1.typeName = nullptr;
  SAYS(qnn().graphAddNode(net.graph, op), QNN_GRAPH_ERROR_INVALID_OP_CONFIG,
       "opConfig.v1.typeName is null");
  op.version = static_cast<Qnn_OpConfigVersion_t>(3);
  SAYS(qnn().graphAddNode(net.graph, op), QNN_GRAPH_ERROR_INVALID_OP_CONFIG,
       "opConfig.version is 3, only 1 exists");
}

TEST(validation_says_which_operand_and_why) {
  Composing net;
  std::array<uint32_t, 2> other{{2, 4}};
  net.inputs = {net.tensor, net.tensor};
  net.outputs = {net.tensor};
  net.outputs[0].v1.type = QNN_TENSOR_TYPE_NATIVE;
  const auto ask = [&](const char* type) {
    const Qnn_OpConfig_t op = make_op("node", type, net.inputs, net.outputs, net.params);
    return qnn().backendValidateOpConfig(net.session.backend, op);
  };
  const Qnn_ErrorHandle_t refused = QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE;
  CHECK_EQ(ask(QNN_OP_ELEMENT_WISE_ADD), QNN_SUCCESS);
  net.inputs[1].v1.dimensions = other.data();
  SAYS(ask(QNN_OP_ELEMENT_WISE_ADD), refused,
       "ElementWiseAdd 'node': inputTensors[1]: its dimensions do not fit the operation; given are "
       "UFIXED_POINT_8[2,3], UFIXED_POINT_8[2,4] -> UFIXED_POINT_8[2,3]");
  net.inputs[1] = net.tensor;
  net.inputs[1].v1.dataType = QNN_DATATYPE_INT_32;
  SAYS(ask(QNN_OP_ELEMENT_WISE_ADD), refused,
       "ElementWiseAdd 'node': inputTensors[1]: the device does not take this data type there; "
       "given are UFIXED_POINT_8[2,3], INT_32[2,3] -> ");
  net.inputs[1].v1.dataType = QNN_DATATYPE_BFLOAT_16;
  SAYS(ask(QNN_OP_ELEMENT_WISE_ADD), refused,
       "ElementWiseAdd 'node': inputTensors[1] 'input'.v1.dataType is BFLOAT_16");
  net.inputs[1] = net.tensor;
  net.inputs[1].v1.quantizeParams.encodingDefinition = QNN_DEFINITION_UNDEFINED;
  SAYS(ask(QNN_OP_ELEMENT_WISE_ADD), refused,
       "ElementWiseAdd 'node': inputTensors[1]: its quantizeParams do not fit");
  net.inputs.pop_back();
  SAYS(ask(QNN_OP_ELEMENT_WISE_ADD), refused,
       "ElementWiseAdd 'node': numOfInputs is 1, 2 are needed");
  Qnn_Param_t param = QNN_PARAM_INIT;
  param.paramType = QNN_PARAMTYPE_SCALAR;
  param.name = "sparkle";
  param.scalarParam.dataType = QNN_DATATYPE_UINT_32;
  net.params = {param};
  SAYS(ask(QNN_OP_RELU), refused, "Relu 'node': params[0] 'sparkle' is no parameter of this");
  net.params[0].name = "operation";
  net.params[0].scalarParam.uint32Value = 99;
  SAYS(ask(QNN_OP_ELEMENT_WISE_NEURON), refused,
       "ElementWiseNeuron 'node': params 'operation' has a wrong type or value");
  net.params.clear();
  SAYS(ask("Sorcery"), QNN_BACKEND_ERROR_OP_PACKAGE_NOT_FOUND, "Sorcery 'node': the device has no");
}

TEST(a_finalization_names_the_operation) {
  Composing net;
  SAYS(qnn().graphFinalize(net.graph, nullptr, nullptr), QNN_GRAPH_ERROR_FINALIZE_FAILED,
       "the graph has no operation");
  Qnn_Tensor_t odd = u8_tensor("odd", QNN_TENSOR_TYPE_APP_READ, net.dims.data(), 1);
  CHECK_EQ(qnn().tensorCreateGraphTensor(net.graph, &odd), QNN_SUCCESS);
  net.inputs = {net.made("x", QNN_TENSOR_TYPE_APP_WRITE)};
  net.outputs = {odd};
  CHECK_EQ(net.add(QNN_OP_RELU), QNN_SUCCESS);
  SAYS(qnn().graphFinalize(net.graph, nullptr, nullptr), QNN_GRAPH_ERROR_FINALIZE_FAILED,
       "operation Relu 'node': outputTensors[0] 'odd': its dimensions do not fit the operation; "
       "given are UFIXED_POINT_8[2,3] -> UFIXED_POINT_8[2]");
}

TEST(an_execution_names_the_tensor_and_its_size) {
  Session session;
  ConvRelu net(session.context());
  net.compose();
  net.finalize();
  CHECK_EQ(net.error, QNN_SUCCESS);
  Picture picture{}, result{};
  Qnn_Tensor_t input = net.x, output = net.y;
  set_data(input, picture);
  set_data(output, result);
  const auto execute = [&](Qnn_Tensor_t* inputs, uint32_t count) {
    return qnn().graphExecute(net.graph, inputs, count, &output, 1, nullptr, nullptr);
  };
  CHECK_EQ(execute(&input, 1), QNN_SUCCESS);
  SAYS(execute(nullptr, 0), QNN_GRAPH_ERROR_INVALID_ARGUMENT, "numInputs is 0, the graph has 1");
  SAYS(execute(nullptr, 1), QNN_GRAPH_ERROR_INVALID_ARGUMENT, "inputs is null, not aligned or too");
  std::array<Qnn_Tensor_t, 2> two{{input, input}};
  SAYS(execute(two.data(), 2), QNN_GRAPH_ERROR_INVALID_TENSOR, "numInputs is 2, the graph has 1");
  input.v1.clientBuf.dataSize = 12;
  SAYS(execute(&input, 1), QNN_GRAPH_ERROR_INVALID_TENSOR,
       "inputs[0] 'x'.v1.clientBuf.dataSize is 12, 16 are needed");
  input.v1.clientBuf.data = nullptr;
  SAYS(execute(&input, 1), QNN_GRAPH_ERROR_INVALID_TENSOR,
       "inputs[0] 'x'.v1.clientBuf.data is null");
  input.v1.memType = QNN_TENSORMEMTYPE_MEMHANDLE;
  input.v1.memHandle = net.graph;
  SAYS(execute(&input, 1), QNN_GRAPH_ERROR_INVALID_TENSOR,
       "inputs[0] 'x'.v1.memHandle is the handle of a graph, not of a registered buffer");
  input = net.x;
  set_data(input, picture);
  input.v1.id = 99;
  SAYS(execute(&input, 1), QNN_GRAPH_ERROR_INVALID_TENSOR,
       "inputs[0] 'x'.v1.id is 99: the graph has no such tensor");
  input.v1.id = net.x.v1.id;
  std::array<uint32_t, 4> dims{{1, 4, 2, 2}};
  input.v1.dimensions = dims.data();
  SAYS(execute(&input, 1), QNN_GRAPH_ERROR_INVALID_TENSOR,
       "inputs[0] 'x'.v1.dimensions are [1,4,2,2], the graph has [1,4,4,1]");
  SAYS(net.execute_async(picture, result, nullptr, nullptr), QNN_GRAPH_ERROR_INVALID_ARGUMENT,
       "notifyFn is null");
  SAYS(net.execute(picture, result, net.graph), QNN_GRAPH_ERROR_INVALID_ARGUMENT,
       "profileHandle is the handle of a graph, not of a profile object");
  SAYS(net.execute(picture, result, nullptr, session.backend), QNN_SIGNAL_ERROR_INVALID_HANDLE,
       "signalHandle is the handle of a backend, not of a signal");
}

TEST(configurations_name_the_entry_the_field_and_the_value) {
  Session session;
  SAYS(context_with(session, {priority_config(QNN_PRIORITY_HIGH), depth_config(301)}),
       QNN_CONTEXT_ERROR_INVALID_CONFIG,
       "config[1]->asyncExeQueueDepth.depth is 301, not 1 to 300");
  SAYS(context_with(session, {priority_config(static_cast<Qnn_Priority_t>(7))}),
       QNN_CONTEXT_ERROR_INVALID_CONFIG, "config[0]->priority is 7, which is no QNN_PRIORITY");
  QnnContext_Config_t only_binaries = QNN_CONTEXT_CONFIG_INIT;
  only_binaries.option = QNN_CONTEXT_CONFIG_PERSISTENT_BINARY;
  SAYS(context_with(session, {only_binaries}), QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE,
       "config[0]->option is 7, which is not for this call");
  QnnHtpContext_CustomConfig_t sharing = QNN_HTP_CONTEXT_CUSTOM_CONFIG_INIT;
  sharing.option = QNN_HTP_CONTEXT_CONFIG_OPTION_WEIGHT_SHARING_ENABLED;
  sharing.weightSharingEnabled = true;
  QnnContext_Config_t custom = QNN_CONTEXT_CONFIG_INIT;
  custom.option = QNN_CONTEXT_CONFIG_OPTION_CUSTOM;
  custom.customConfig = &sharing;
  SAYS(context_with(session, {custom}), QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE,
       "config[0]->customConfig->option is WEIGHT_SHARING_ENABLED, which this call does not offer");
  custom.customConfig = nullptr;
  SAYS(context_with(session, {custom}), QNN_CONTEXT_ERROR_INVALID_ARGUMENT,
       "config[0]->customConfig is null");

  const Qnn_ContextHandle_t context = session.context();
  QnnHtpGraph_CustomConfig_t option = QNN_HTP_GRAPH_CUSTOM_CONFIG_INIT;
  option.option = QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE_IN_MB;
  option.vtcmSizeInMB = 4096;
  SAYS(graph_with(context, option), QNN_GRAPH_ERROR_INVALID_ARGUMENT,
       "config[0]->customConfig->vtcmSizeInMB is 4096, the device has 8");
  option.option = QNN_HTP_GRAPH_CONFIG_OPTION_OPTIMIZATION;
  option.optimizationOption.type = QNN_HTP_GRAPH_OPTIMIZATION_TYPE_FINALIZE_OPTIMIZATION_FLAG;
  option.optimizationOption.floatValue = 2.5f;
  SAYS(graph_with(context, option), QNN_GRAPH_ERROR_INVALID_ARGUMENT,
       "config[0]->customConfig->optimizationOption.floatValue is 2.5, the levels are 0 to 3");

  QnnHtpDevice_CustomConfig_t soc{};
  soc.option = QNN_HTP_DEVICE_CONFIG_OPTION_SOC;
  soc.socModel = 4000000;
  QnnDevice_Config_t config = QNN_DEVICE_CONFIG_INIT;
  config.option = QNN_DEVICE_CONFIG_OPTION_CUSTOM;
  config.customConfig = &soc;
  Qnn_DeviceHandle_t device = nullptr;
  SAYS(qnn().deviceCreate(nullptr, ConfigList<QnnDevice_Config_t>{config}.get(), &device),
       QNN_DEVICE_ERROR_INVALID_CONFIG, "config names socModel 4000000, the device is ");
}

TEST(handles_are_told_apart) {
  Session session;
  Qnn_ContextHandle_t context = session.context();
  Qnn_GraphHandle_t graph = nullptr;
  SAYS(qnn().graphCreate(session.backend, "net", nullptr, &graph), QNN_GRAPH_ERROR_INVALID_HANDLE,
       "contextHandle is the handle of a backend, not of a context");
  SAYS(qnn().graphCreate(&session, "net", nullptr, &graph), QNN_GRAPH_ERROR_INVALID_HANDLE,
       "contextHandle is no handle that was given out");
  SAYS(qnn().graphCreate(context, "net", nullptr, nullptr), QNN_GRAPH_ERROR_INVALID_ARGUMENT,
       "graphHandle is null");
  CHECK_EQ(qnn().graphCreate(context, "net", nullptr, &graph), QNN_SUCCESS);
  SAYS(qnn().graphCreate(context, "net", nullptr, &graph), QNN_GRAPH_ERROR_INVALID_NAME,
       "graphName 'net' is taken in the context");
  SAYS(qnn().graphRetrieve(context, "ten", &graph), QNN_GRAPH_ERROR_INVALID_NAME,
       "the context has no graph 'ten'");
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
  SAYS(qnn().contextFree(context, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE,
       "context names no living context: it was freed, or never made");
  SAYS(qnn().contextCreate(nullptr, session.device, nullptr, &context),
       QNN_CONTEXT_ERROR_INVALID_HANDLE, "backend is null");
  SAYS(qnn().contextCreate(session.backend, session.backend, nullptr, &context),
       QNN_CONTEXT_ERROR_INVALID_HANDLE, "device is the handle of a backend, not of a device");
}

TEST(a_registration_names_the_descriptor) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  const int fd = memfd_create("buffer", 0);
  CHECK_EQ(ftruncate(fd, 4096), 0);
  std::array<uint32_t, 1> dims{{8192}};
  std::array<Qnn_MemDescriptor_t, 2> both{};
  both[0].memShape = {1, dims.data(), nullptr};
  both[0].dataType = QNN_DATATYPE_UINT_8;
  both[0].memType = QNN_MEM_TYPE_ION;
  both[0].ionInfo.fd = fd;
  both[1] = both[0];
  std::array<Qnn_MemHandle_t, 2> handles{};
  const auto enter = [&](uint32_t count) {
    return qnn().memRegister(context, both.data(), count, handles.data());
  };
  const std::string behind = "the descriptor " + std::to_string(fd) + " ";
  SAYS(enter(2), QNN_MEM_ERROR_MAPPING,
       "memDescriptors[0]: " + behind + "has less memory than the buffer needs");
  dims[0] = 16;
  SAYS(enter(2), QNN_MEM_ERROR_ALREADY_REGISTERED,
       "memDescriptors[1]: the memory behind " + behind + "is registered with this context");
  both[1].ionInfo.fd = -1;
  SAYS(enter(2), QNN_MEM_ERROR_INVALID_ARGUMENT,
       "memDescriptors[1]: the descriptor -1 is not open");
  both[1].memType = static_cast<Qnn_MemType_t>(77);
  SAYS(enter(2), QNN_MEM_ERROR_UNSUPPORTED_MEMTYPE, "memDescriptors[1].memType is 77");
  both[0].dataType = QNN_DATATYPE_UFIXED_POINT_4;
  SAYS(enter(1), QNN_MEM_ERROR_INVALID_ARGUMENT,
       "memDescriptors[0].dataType is UFIXED_POINT_4, which is not offered");
  SAYS(enter(0), QNN_MEM_ERROR_INVALID_ARGUMENT, "numDescriptors is 0");
  handles[0] = context;
  SAYS(qnn().memDeRegister(handles.data(), 1), QNN_MEM_ERROR_INVALID_HANDLE,
       "memHandles[0] is the handle of a context, not of a registered buffer");
  CHECK_EQ(close(fd), 0);
}

TEST(a_binary_is_refused_with_the_reason) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  ConvRelu net(context);
  net.compose();
  Qnn_ContextBinarySize_t size = 0;
  SAYS(qnn().contextGetBinarySize(context, &size), QNN_CONTEXT_ERROR_NOT_FINALIZED,
       "a graph is not finalized");
  net.finalize();
  CHECK_EQ(qnn().contextGetBinarySize(context, &size), QNN_SUCCESS);
  std::vector<uint8_t> binary(static_cast<std::size_t>(size));
  SAYS(qnn().contextGetBinary(context, binary.data(), size - 1, &size),
       QNN_CONTEXT_ERROR_GET_BINARY_FAILED,
       "binaryBufferSize is " + std::to_string(size - 1) + ", " + std::to_string(size));
  CHECK_EQ(qnn().contextGetBinary(context, binary.data(), size, &size), QNN_SUCCESS);
  const auto load = [&](const std::vector<uint8_t>& bytes, std::size_t count) {
    Qnn_ContextHandle_t loaded = nullptr;
    return qnn().contextCreateFromBinary(session.backend, session.device, nullptr, bytes.data(),
                                         count, &loaded, nullptr);
  };
  const Qnn_ErrorHandle_t refused = QNN_CONTEXT_ERROR_CREATE_FROM_BINARY;
  std::vector<uint8_t> wrong = binary;
  wrong[0] ^= 1;
  SAYS(load(wrong, wrong.size()), refused, "binaryBuffer does not begin as a context binary");
  SAYS(load(binary, binary.size() - 1), refused,
       "binaryBufferSize is not the size that the header in binaryBuffer says");
  wrong = binary;
  wrong.back() ^= 1;
  SAYS(load(wrong, wrong.size()), refused,
       "binaryBuffer is damaged: the checksum is wrong of section 1");
  SAYS(load(binary, 0), QNN_CONTEXT_ERROR_INVALID_ARGUMENT, "binaryBufferSize is 0");
}

TEST(signals_profiles_and_logs_name_their_arguments) {
  Session session;
  QnnSignal_Config_t config = QNN_SIGNAL_CONFIG_INIT;
  config.option = QNN_SIGNAL_CONFIG_OPTION_TIMEOUT;
  config.timeoutDurationUs = 0;
  Qnn_SignalHandle_t signal = nullptr;
  SAYS(qnn().signalCreate(session.backend, ConfigList<QnnSignal_Config_t>{config}.get(), &signal),
       QNN_SIGNAL_ERROR_INVALID_ARGUMENT, "config[0]->timeoutDurationUs is 0");
  Qnn_ProfileHandle_t profile = nullptr;
  SAYS(qnn().profileCreate(session.backend, 17, &profile), QNN_PROFILE_ERROR_INVALID_ARGUMENT,
       "level is 17, there are 1 (BASIC) and 2 (DETAILED)");
  Qnn_LogHandle_t log = nullptr;
  SAYS(qnn().logCreate(nullptr, static_cast<QnnLog_Level_t>(6), &log),
       QNN_LOG_ERROR_INVALID_ARGUMENT, "maxLogLevel is 6, there are 0 to 5");
}

TEST(another_thread_and_another_code_hear_the_general_meaning) {
  Session session;
  const Qnn_ErrorHandle_t code = QNN_CONTEXT_ERROR_INVALID_CONFIG;
  const std::string general = message(code);
  CHECK(general.find("QNN_CONTEXT_ERROR_INVALID_CONFIG: an option") == 0);
  const std::string other = message(QNN_GRAPH_ERROR_INVALID_HANDLE);
  CHECK_EQ(context_with(session, {depth_config(0)}), code);
  const std::string own = message(code);
  CHECK(own.find("QNN_CONTEXT_ERROR_INVALID_CONFIG: QnnContext_create: config[0]->") == 0);
  CHECK(message(QNN_GRAPH_ERROR_INVALID_HANDLE) == other);
  std::string there, there_refused;
  std::thread([&] {
    there = message(code);
    CHECK_EQ(context_with(session, {depth_config(999)}), code);
    there_refused = message(code);
  }).join();
  CHECK(there == general);
  CHECK(there_refused.find("depth is 999") != std::string::npos);
  CHECK(message(code) == own);
  const char* text = own.c_str();
  CHECK_EQ(qnn().errorGetMessage(12345, &text), QNN_ERROR_INVALID_ERROR_HANDLE);
  CHECK(text == nullptr);
}

TEST(words_stay_until_the_next_refusal_and_no_longer) {
  Session session;
  const Qnn_ErrorHandle_t code = QNN_GRAPH_ERROR_INVALID_HANDLE;
  const std::string general = message(code);
  const Qnn_ContextHandle_t context = session.context();
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(qnn().graphCreate(nullptr, "net", nullptr, &graph), code);
  const char* text = nullptr;
  CHECK_EQ(qnn().errorGetMessage(code, &text), QNN_SUCCESS);
  // What succeeds, and asking, changes nothing.
  CHECK_EQ(qnn().graphCreate(context, "net", nullptr, &graph), QNN_SUCCESS);
  CHECK_EQ(qnn().errorGetVerboseMessage(code, &text), QNN_COMMON_ERROR_NOT_SUPPORTED);
  CHECK(message(code) == text);
  CHECK(message(code) != general);
  // The code may come with other bits above it.
  CHECK(message(code | 0x10000) == text);
  // A refusal with another code takes the words along.
  CHECK_EQ(qnn().graphCreate(context, nullptr, nullptr, &graph), QNN_GRAPH_ERROR_INVALID_NAME);
  CHECK(message(code) == general);
  // One without words of its own leaves those of an earlier one nowhere.
  CHECK_EQ(qnn().contextFinalize(context, nullptr), QNN_COMMON_ERROR_NOT_SUPPORTED);
  CHECK(message(QNN_GRAPH_ERROR_INVALID_NAME).find("graphName") == std::string::npos);
}

TEST(long_names_are_cut_and_the_value_is_told) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  Qnn_GraphHandle_t graph = nullptr;
  // 62 bytes, then characters of two bytes each: the cut is between two of them.
  std::string name(61, 'n');
  for (int count = 0; count < 1000; ++count) {
    name += "\u00e4";
  }
  SAYS(qnn().graphRetrieve(context, name.c_str(), &graph), QNN_GRAPH_ERROR_INVALID_NAME,
       "the context has no graph '" + name.substr(0, 63) + "...'");
}

TEST(more_threads_than_places_lose_only_the_oldest_words) {
  Session session;
  const Qnn_ErrorHandle_t code = QNN_CONTEXT_ERROR_INVALID_CONFIG;
  const std::string general = message(code);
  CHECK_EQ(context_with(session, {depth_config(1000)}), code);
  const std::string own = message(code);
  // None is joined before all have ended, so each has an identity of its own.
  std::vector<std::thread> threads;
  std::array<bool, 64> right{};
  for (std::size_t index = 0; index < right.size(); ++index) {
    threads.emplace_back([&, index] {
      const uint32_t depth = 1001 + static_cast<uint32_t>(index);
      context_with(session, {depth_config(depth)});
      const std::string expected = "depth is " + std::to_string(depth) + ",";
      right[index] = message(code).find(expected) != std::string::npos;
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const bool one : right) {
    CHECK(one);
  }
  CHECK(message(code) == general);
  CHECK_EQ(context_with(session, {depth_config(1000)}), code);
  CHECK(message(code) == own);
}
