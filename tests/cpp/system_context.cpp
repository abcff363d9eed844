// SPDX-License-Identifier: Apache-2.0 OR MIT
// Context binaries described by the system library: what is in them, how long the answer lives, and
// what becomes of wrong arguments.

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "HTP/QnnHtpSystemContext.h"
#include "System/QnnSystemInterface.h"
#include "support/check.hpp"
#include "support/composed.hpp"
#include "support/digits.hpp"

namespace {

using SystemTable = QNN_SYSTEM_INTERFACE_VER_TYPE;
using Info = QnnSystemContext_BinaryInfo_t;

const SystemTable& qnn_system() {
  const QnnSystemInterface_t** providers = nullptr;
  uint32_t count = 0;
  QnnSystemInterface_getProviders(&providers, &count);
  return providers[0]->QNN_SYSTEM_INTERFACE_VER_NAME;
}

/** A system context, freed by the test or at its end. */
struct System {
  System() { error = qnn_system().systemContextCreate(&handle); }
  ~System() { qnn_system().systemContextFree(handle); }
  System(const System&) = delete;
  System& operator=(const System&) = delete;

  Qnn_ErrorHandle_t describe(std::vector<uint8_t>& binary, const Info** info) const {
    Qnn_ContextBinarySize_t size = 0;
    return qnn_system().systemContextGetBinaryInfo(handle, binary.data(), binary.size(), info,
                                                   &size);
  }

  QnnSystemContext_Handle_t handle = nullptr;
  Qnn_ErrorHandle_t error = QNN_SUCCESS;
};

uint64_t memory_used() {
  htp_rt_stats_t stats{};
  htp_rt_stats(&stats);
  return stats.memory_used_bytes;
}

std::vector<uint8_t> binary_of(Qnn_ContextHandle_t context) {
  Qnn_ContextBinarySize_t size = 0, written = 0;
  qnn().contextGetBinarySize(context, &size);
  std::vector<uint8_t> bytes(static_cast<std::size_t>(size));
  const auto code = qnn().contextGetBinary(context, bytes.data(), size, &written);
  return code == QNN_SUCCESS ? bytes : std::vector<uint8_t>{};
}

/** Compares a description with what the runtime knows of the loaded graph's tensor. */
void check_same(const Qnn_Tensor_t& described, const htp_rt_tensor_info_t& loaded) {
  CHECK_EQ(described.version, QNN_TENSOR_VERSION_1);
  const Qnn_TensorV1_t& tensor = described.v1;
  CHECK_EQ(tensor.id, loaded.id);
  CHECK(std::strcmp(tensor.name, reinterpret_cast<const char*>(loaded.name)) == 0);
  CHECK_EQ(tensor.type, loaded.kind);
  CHECK_EQ(tensor.dataFormat, QNN_TENSOR_DATA_FORMAT_DENSE);
  CHECK_EQ(tensor.dataType, loaded.data_type);
  CHECK_EQ(tensor.quantizeParams.encodingDefinition, QNN_DEFINITION_DEFINED);
  CHECK_EQ(tensor.quantizeParams.quantizationEncoding, QNN_QUANTIZATION_ENCODING_SCALE_OFFSET);
  CHECK(tensor.quantizeParams.scaleOffsetEncoding.scale == loaded.scale);
  CHECK(tensor.quantizeParams.scaleOffsetEncoding.offset == loaded.offset);
  CHECK_EQ(tensor.rank, loaded.rank);
  for (uint32_t axis = 0; axis < tensor.rank; ++axis) {
    CHECK_EQ(tensor.dimensions[axis], loaded.dims[axis]);
  }
  CHECK_EQ(tensor.memType, QNN_TENSORMEMTYPE_RAW);
  CHECK(tensor.clientBuf.data == nullptr && tensor.clientBuf.dataSize == 0);
}

}  // namespace

TEST(the_description_is_that_of_the_loaded_graph) {
  CHECK_EQ(configure_device(HTP_RT_PLATFORM_QNX_ADAS), QNN_SUCCESS);
  Digits digits;
  REQUIRE(!digits.network.empty());
  System system;
  const Info* info = nullptr;
  REQUIRE(system.describe(digits.network, &info) == QNN_SUCCESS);
  REQUIRE(info->version == QNN_SYSTEM_CONTEXT_BINARY_INFO_VERSION_3);
  REQUIRE(info->contextBinaryInfoV3.numGraphs == 1);
  REQUIRE(info->contextBinaryInfoV3.graphs[0].version == QNN_SYSTEM_CONTEXT_GRAPH_INFO_VERSION_3);
  const QnnSystemContext_GraphInfoV3_t& graph = info->contextBinaryInfoV3.graphs[0].graphInfoV3;
  CHECK(std::strcmp(graph.graphName, "digits") == 0);
  REQUIRE(graph.numGraphInputs == 1 && graph.numGraphOutputs == 2);
  CHECK(std::strcmp(graph.graphInputs[0].v1.name, "image") == 0);

  Session session;
  Qnn_ContextHandle_t context = nullptr;
  Qnn_GraphHandle_t loaded = nullptr;
  REQUIRE(qnn().contextCreateFromBinary(session.backend, session.device, nullptr,
                                        digits.network.data(), digits.network.size(), &context,
                                        nullptr) == QNN_SUCCESS);
  REQUIRE(qnn().graphRetrieve(context, graph.graphName, &loaded) == QNN_SUCCESS);
  uint32_t count = 0;
  CHECK_EQ(htp_rt_graph_tensor_count(loaded, &count), QNN_SUCCESS);
  REQUIRE(count == 3);
  std::array<htp_rt_tensor_info_t, 3> tensors{};
  for (uint32_t index = 0; index < count; ++index) {
    CHECK_EQ(htp_rt_graph_tensor(loaded, index, &tensors[index]), QNN_SUCCESS);
  }
  check_same(graph.graphInputs[0], tensors[0]);
  check_same(graph.graphOutputs[0], tensors[1]);
  check_same(graph.graphOutputs[1], tensors[2]);
}

TEST(a_description_says_what_the_binary_was_made_for) {
  Digits digits;
  System system;
  const Info* info = nullptr;
  Qnn_ContextBinarySize_t size = 0;
  REQUIRE(qnn_system().systemContextGetBinaryInfo(system.handle, digits.network.data(),
                                                  digits.network.size(), &info,
                                                  &size) == QNN_SUCCESS);
  CHECK(size >= sizeof(Info) + sizeof(QnnSystemContext_GraphInfo_t) + 3 * sizeof(Qnn_Tensor_t));
  const QnnSystemContext_BinaryInfoV3_t& all = info->contextBinaryInfoV3;
  CHECK_EQ(all.backendId, QNN_BACKEND_ID_HTP);
  const char* build = nullptr;
  CHECK_EQ(qnn().backendGetBuildId(&build), QNN_SUCCESS);
  CHECK(std::strcmp(all.buildId, build) == 0);
  CHECK_EQ(all.coreApiVersion.major, QNN_API_VERSION_MAJOR);
  CHECK_EQ(all.coreApiVersion.minor, QNN_API_VERSION_MINOR);
  CHECK_EQ(all.backendApiVersion.major, QNN_HTP_API_VERSION_MAJOR);
  CHECK_EQ(all.contextBlobVersion.major, digits.network[4]);  // the format version
  CHECK_EQ(all.contextBlobSize, digits.network.size());
  CHECK(all.socVersion != nullptr && all.socVersion[0] == '\0');
  CHECK_EQ(all.socModel, QNN_SOC_MODEL_UNKNOWN);
  CHECK(all.numContextTensors == 0 && all.contextTensors == nullptr);

  REQUIRE(all.contextMetadataSize == sizeof(QnnHtpSystemContext_ContextBlobInfo_t));
  const auto* blob =
      static_cast<const QnnHtpSystemContext_ContextBlobInfo_t*>(all.contextMetadata);
  CHECK_EQ(blob->version, QNN_SYSTEM_CONTEXT_HTP_CONTEXT_INFO_BLOB_VERSION_V1);
  CHECK_EQ(blob->contextBinaryContextBlobInfoV1.dspArch, 73);

  const QnnSystemContext_GraphInfoV3_t& graph = all.graphs[0].graphInfoV3;
  REQUIRE(graph.graphBlobInfoSize == sizeof(QnnHtpSystemContext_GraphBlobInfo_t) +
                                         sizeof(QnnHtpSystemContext_GraphBlobInfoV2_t));
  const auto* graph_blob =
      static_cast<const QnnHtpSystemContext_GraphBlobInfo_t*>(graph.graphBlobInfo);
  CHECK_EQ(graph_blob->version, QNN_SYSTEM_CONTEXT_HTP_GRAPH_INFO_BLOB_VERSION_V1);
  CHECK_EQ(graph_blob->contextBinaryGraphBlobInfoV1.spillFillBufferSize, 0);
  // Version 2 lies behind version 1.
  QnnHtpSystemContext_GraphBlobInfoV2_t second{};
  std::memcpy(&second, graph_blob + 1, sizeof second);
  CHECK_EQ(second.version, QNN_SYSTEM_CONTEXT_HTP_GRAPH_INFO_BLOB_VERSION_V2);
  uint64_t exchanged = 0;
  for (const Qnn_Tensor_t& tensor : {graph.graphInputs[0], graph.graphOutputs[0],
                                     graph.graphOutputs[1]}) {
    uint64_t bytes = 0;
    CHECK_EQ(qnn_system().systemTensorGetMemoryFootprint(tensor, &bytes), QNN_SUCCESS);
    exchanged += bytes;
  }
  CHECK(exchanged > 0);
  CHECK_EQ(second.ioTensorSize, exchanged);
  CHECK(second.constSize > 0 && second.opDataSize > 0);
  CHECK(second.constSize + second.opDataSize < digits.network.size());
  CHECK(graph.numUpdateableTensors == 0 && graph.updateableTensors == nullptr);

  REQUIRE(all.platformInfo != nullptr);
  REQUIRE(all.platformInfo->version == QNN_DEVICE_PLATFORM_INFO_VERSION_1);
  REQUIRE(all.platformInfo->v1.numHwDevices == 1);
  const QnnDevice_HardwareDeviceInfo_t& hardware = all.platformInfo->v1.hwDevices[0];
  CHECK_EQ(hardware.v1.deviceId, 0);
  REQUIRE(hardware.v1.numCores == 1);
  CHECK_EQ(hardware.v1.cores[0].v1.coreId, 0);
}

TEST(a_composed_context_is_described_graph_by_graph) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  const std::array<std::string, 3> names{{"first", "second", "third"}};
  std::vector<uint32_t> input_ids;
  for (const std::string& name : names) {
    ConvRelu net(context, name.c_str());
    net.compose();
    net.finalize();
    CHECK_EQ(net.error, QNN_SUCCESS);
    input_ids.push_back(net.x.v1.id);
  }
  std::vector<uint8_t> binary = binary_of(context);
  REQUIRE(!binary.empty());
  System system;
  const Info* info = nullptr;
  REQUIRE(qnn_system().systemContextGetMetaData(system.handle, binary.data(), binary.size(),
                                                &info) == QNN_SUCCESS);
  // What is said of a binary needs it no longer.
  binary.assign(binary.size(), 0xFF);
  REQUIRE(info->contextBinaryInfoV3.numGraphs == names.size());
  for (std::size_t index = 0; index < names.size(); ++index) {
    const auto& graph = info->contextBinaryInfoV3.graphs[index].graphInfoV3;
    CHECK(names[index] == graph.graphName);
    REQUIRE(graph.numGraphInputs == 1 && graph.numGraphOutputs == 1);
    const Qnn_TensorV1_t& x = graph.graphInputs[0].v1;
    const Qnn_TensorV1_t& y = graph.graphOutputs[0].v1;
    CHECK(std::strcmp(x.name, "x") == 0 && std::strcmp(y.name, "y") == 0);
    CHECK_EQ(x.id, input_ids[index]);
    CHECK(x.type == QNN_TENSOR_TYPE_APP_WRITE && y.type == QNN_TENSOR_TYPE_APP_READ);
    CHECK_EQ(x.dataType, QNN_DATATYPE_UFIXED_POINT_8);
    CHECK(x.quantizeParams.scaleOffsetEncoding.scale == 1.0f);
    REQUIRE(x.rank == 4 && y.rank == 4);
    const std::array<uint32_t, 4> dims{{1, 4, 4, 1}};
    CHECK(std::memcmp(x.dimensions, dims.data(), sizeof dims) == 0);
    CHECK(std::memcmp(y.dimensions, dims.data(), sizeof dims) == 0);
  }
}

namespace {

/** One operation between graph inputs and outputs; gives the binary. */
std::vector<uint8_t> one_op(const Session& session, const char* type,
                            std::vector<Qnn_Tensor_t> inputs, Qnn_Tensor_t output) {
  const Qnn_ContextHandle_t context = session.context();
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(qnn().graphCreate(context, "one", nullptr, &graph), QNN_SUCCESS);
  for (Qnn_Tensor_t& input : inputs) {
    CHECK_EQ(qnn().tensorCreateGraphTensor(graph, &input), QNN_SUCCESS);
  }
  std::vector<Qnn_Tensor_t> outputs{output};
  CHECK_EQ(qnn().tensorCreateGraphTensor(graph, &outputs[0]), QNN_SUCCESS);
  std::vector<Qnn_Param_t> none;
  CHECK_EQ(qnn().graphAddNode(graph, make_op("op", type, inputs, outputs, none)), QNN_SUCCESS);
  CHECK_EQ(qnn().graphFinalize(graph, nullptr, nullptr), QNN_SUCCESS);
  return binary_of(context);
}

}  // namespace

TEST(tensors_without_scale_are_described_without) {
  Session session;
  std::array<uint32_t, 2> dims{{2, 3}};
  Qnn_Tensor_t x = u8_tensor("x", QNN_TENSOR_TYPE_APP_WRITE, dims.data(), 2);
  x.v1.dataType = QNN_DATATYPE_FLOAT_32;
  x.v1.quantizeParams = QNN_QUANTIZE_PARAMS_INIT;
  Qnn_Tensor_t y = x;
  y.v1.name = "y";
  y.v1.type = QNN_TENSOR_TYPE_APP_READ;
  std::vector<uint8_t> binary = one_op(session, QNN_OP_RELU, {x}, y);
  System system;
  const Info* info = nullptr;
  REQUIRE(!binary.empty() && system.describe(binary, &info) == QNN_SUCCESS);
  const Qnn_TensorV1_t& told = info->contextBinaryInfoV3.graphs[0].graphInfoV3.graphInputs[0].v1;
  CHECK_EQ(told.dataType, QNN_DATATYPE_FLOAT_32);
  CHECK_EQ(told.quantizeParams.encodingDefinition, QNN_DEFINITION_UNDEFINED);
  CHECK_EQ(told.quantizeParams.quantizationEncoding, QNN_QUANTIZATION_ENCODING_UNDEFINED);
}

TEST(a_tensor_with_a_scale_for_each_channel_is_described_with_all) {
  Session session;
  std::array<uint32_t, 2> picture{{1, 4}};
  std::array<uint32_t, 2> filter{{3, 4}};
  std::array<uint32_t, 2> result{{1, 3}};
  std::array<Qnn_ScaleOffset_t, 3> scales{{{0.5f, 0}, {0.25f, 0}, {0.125f, 0}}};
  Qnn_Tensor_t x = u8_tensor("x", QNN_TENSOR_TYPE_APP_WRITE, picture.data(), 2);
  Qnn_Tensor_t w = u8_tensor("w", QNN_TENSOR_TYPE_APP_WRITE, filter.data(), 2);
  w.v1.dataType = QNN_DATATYPE_SFIXED_POINT_8;
  w.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET;
  w.v1.quantizeParams.axisScaleOffsetEncoding = {0, 3, scales.data()};
  Qnn_Tensor_t y = u8_tensor("y", QNN_TENSOR_TYPE_APP_READ, result.data(), 2);
  std::vector<uint8_t> binary = one_op(session, QNN_OP_FULLY_CONNECTED, {x, w}, y);
  System system;
  const Info* info = nullptr;
  REQUIRE(!binary.empty() && system.describe(binary, &info) == QNN_SUCCESS);
  const auto& graph = info->contextBinaryInfoV3.graphs[0].graphInfoV3;
  REQUIRE(graph.numGraphInputs == 2);
  const Qnn_QuantizeParams_t& told = graph.graphInputs[1].v1.quantizeParams;
  CHECK_EQ(told.encodingDefinition, QNN_DEFINITION_DEFINED);
  REQUIRE(told.quantizationEncoding == QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET);
  CHECK_EQ(told.axisScaleOffsetEncoding.axis, 0);
  REQUIRE(told.axisScaleOffsetEncoding.numScaleOffsets == scales.size());
  for (std::size_t channel = 0; channel < scales.size(); ++channel) {
    const Qnn_ScaleOffset_t& one = told.axisScaleOffsetEncoding.scaleOffset[channel];
    CHECK(one.scale == scales[channel].scale && one.offset == 0);
  }
}

TEST(descriptions_stay_until_their_context_is_freed) {
  Digits digits;
  const uint64_t before = memory_used();
  QnnSystemContext_Handle_t handle = nullptr;
  CHECK_EQ(qnn_system().systemContextCreate(&handle), QNN_SUCCESS);
  const Info* first = nullptr;
  for (int time = 0; time < 100; ++time) {
    const Info* info = nullptr;
    REQUIRE(qnn_system().systemContextGetMetaData(handle, digits.network.data(),
                                                  digits.network.size(), &info) == QNN_SUCCESS);
    CHECK(info != first);
    first = first == nullptr ? info : first;
  }
  CHECK(std::strcmp(first->contextBinaryInfoV3.graphs[0].graphInfoV3.graphName, "digits") == 0);
  CHECK(memory_used() > before);
  CHECK_EQ(qnn_system().systemContextFree(handle), QNN_SUCCESS);
  CHECK_EQ(memory_used(), before);
}

TEST(system_contexts) {
  CHECK_EQ(qnn_system().systemContextFree(nullptr), QNN_SYSTEM_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn_system().systemContextCreate(nullptr), QNN_SYSTEM_CONTEXT_ERROR_INVALID_ARGUMENT);
  Session session;
  CHECK_EQ(qnn_system().systemContextFree(session.backend),
           QNN_SYSTEM_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn_system().systemContextFree(session.context()),
           QNN_SYSTEM_CONTEXT_ERROR_INVALID_HANDLE);
  std::vector<QnnSystemContext_Handle_t> handles;
  QnnSystemContext_Handle_t next = nullptr;
  Qnn_ErrorHandle_t code = QNN_SUCCESS;
  while ((code = qnn_system().systemContextCreate(&next)) == QNN_SUCCESS && handles.size() < 1000) {
    handles.push_back(next);
  }
  CHECK_EQ(code, QNN_COMMON_ERROR_MEM_ALLOC);
  REQUIRE(handles.size() >= 2);
  CHECK(handles[0] != handles[1]);
  const Info* info = nullptr;
  Digits digits;
  for (QnnSystemContext_Handle_t handle : handles) {
    CHECK_EQ(qnn_system().systemContextFree(handle), QNN_SUCCESS);
    CHECK_EQ(qnn_system().systemContextFree(handle), QNN_SYSTEM_CONTEXT_ERROR_INVALID_HANDLE);
    CHECK_EQ(qnn_system().systemContextGetMetaData(handle, digits.network.data(),
                                                   digits.network.size(), &info),
             QNN_SYSTEM_CONTEXT_ERROR_INVALID_HANDLE);
  }
  CHECK_EQ(qnn_system().systemContextCreate(&next), QNN_SUCCESS);
  CHECK_EQ(qnn_system().systemContextFree(next), QNN_SUCCESS);
  CHECK(info == nullptr);
}

TEST(wrong_arguments_of_a_description) {
  Digits digits;
  System system;
  const uint64_t before = memory_used();
  const Info* info = nullptr;
  Qnn_ContextBinarySize_t size = 7;
  uint8_t* const bytes = digits.network.data();
  const uint64_t count = digits.network.size();
  const auto get = [&](QnnSystemContext_Handle_t handle, void* buffer, uint64_t buffer_size,
                       const Info** out, Qnn_ContextBinarySize_t* out_size) {
    return qnn_system().systemContextGetBinaryInfo(handle, buffer, buffer_size, out, out_size);
  };
  const auto get_metadata = [&](QnnSystemContext_Handle_t handle, const void* buffer,
                                uint64_t buffer_size, const Info** out) {
    return qnn_system().systemContextGetMetaData(handle, buffer, buffer_size, out);
  };
  const Qnn_ErrorHandle_t bad = QNN_SYSTEM_CONTEXT_ERROR_INVALID_ARGUMENT;
  CHECK_EQ(get(nullptr, bytes, count, &info, &size), QNN_SYSTEM_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(get(system.handle, nullptr, count, &info, &size), bad);
  CHECK_EQ(get(system.handle, bytes, 0, &info, &size), bad);
  CHECK_EQ(get(system.handle, bytes, UINT64_MAX, &info, &size), bad);
  CHECK_EQ(get(system.handle, bytes, count, nullptr, &size), bad);
  CHECK_EQ(get(system.handle, bytes, count, &info, nullptr), bad);
  auto* const crooked = reinterpret_cast<const Info**>(reinterpret_cast<uintptr_t>(&info) + 1);
  CHECK_EQ(get(system.handle, bytes, count, crooked, &size), bad);
  CHECK_EQ(get_metadata(nullptr, bytes, count, &info), QNN_SYSTEM_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(get_metadata(system.handle, nullptr, count, &info), bad);
  CHECK_EQ(get_metadata(system.handle, bytes, 0, &info), bad);
  CHECK_EQ(get_metadata(system.handle, bytes, count, nullptr), bad);
  CHECK(info == nullptr && size == 7);
  CHECK_EQ(memory_used(), before);
}

TEST(a_damaged_binary_is_not_described) {
  Digits digits;
  System system;
  const uint64_t before = memory_used();
  const Info* info = nullptr;
  const Qnn_ErrorHandle_t malformed = QNN_SYSTEM_CONTEXT_ERROR_MALFORMED_BINARY;
  const std::vector<uint8_t>& whole = digits.network;
  for (std::size_t size : {std::size_t{1}, std::size_t{4}, std::size_t{31}, whole.size() / 100,
                           whole.size() / 2, whole.size() - 1}) {
    std::vector<uint8_t> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_EQ(system.describe(part, &info), malformed);
  }
  std::vector<uint8_t> longer = whole;
  longer.push_back(0);
  CHECK_EQ(system.describe(longer, &info), malformed);
  for (std::size_t place = 0; place < whole.size(); place += 97) {
    std::vector<uint8_t> damaged = whole;
    damaged[place] ^= 0xFF;
    CHECK_EQ(system.describe(damaged, &info), malformed);
  }
  std::vector<uint8_t> zeros(4096);
  CHECK_EQ(system.describe(zeros, &info), malformed);
  CHECK(info == nullptr);
  CHECK_EQ(memory_used(), before);
  // An address without alignment is as good as any.
  std::vector<uint8_t> shifted(whole.size() + 1);
  std::memcpy(shifted.data() + 1, whole.data(), whole.size());
  CHECK_EQ(qnn_system().systemContextGetMetaData(system.handle, shifted.data() + 1, whole.size(),
                                                 &info),
           QNN_SUCCESS);
}

TEST(without_memory_nothing_is_kept) {
  // Enough for the tables and a few descriptions. It is the library's for the life of the process.
  static std::vector<uint8_t> memory(htp_rt_memory_required(nullptr) + 16384);
  htp_rt_config_t config{};
  config.struct_size = sizeof config;
  config.memory = memory.data();
  config.memory_bytes = memory.size();
  REQUIRE(htp_rt_init(&config) == QNN_SUCCESS);
  Digits digits;
  QnnSystemContext_Handle_t handle = nullptr;
  CHECK_EQ(qnn_system().systemContextCreate(&handle), QNN_SUCCESS);
  const uint64_t before = memory_used();
  Qnn_ErrorHandle_t code = QNN_SUCCESS;
  uint64_t kept = before;
  int described = 0;
  while (code == QNN_SUCCESS && described < 10000) {
    kept = memory_used();
    const Info* info = nullptr;
    code = qnn_system().systemContextGetMetaData(handle, digits.network.data(),
                                                 digits.network.size(), &info);
    ++described;
  }
  CHECK_EQ(code, QNN_COMMON_ERROR_MEM_ALLOC);
  CHECK(described > 2);
  CHECK_EQ(memory_used(), kept);
  CHECK_EQ(qnn_system().systemContextFree(handle), QNN_SUCCESS);
  CHECK_EQ(memory_used(), before);
}
