// SPDX-License-Identifier: Apache-2.0 OR MIT
// Objects are created and freed; handles that are null, of another kind, forged, released or freed
// twice get a code.

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "HTP/QnnHtpDevice.h"
#include "HTP/QnnHtpMem.h"
#include "QnnSdkBuildId.h"
#include "support/check.hpp"
#include "support/composed.hpp"

namespace {

/** A handle that was never given out, but looks like one: the neighbour of a real one. */
template <typename Handle>
Handle forged(Handle handle) {
  return reinterpret_cast<Handle>(reinterpret_cast<uintptr_t>(handle) + 1);
}

QnnHtpDevice_CustomConfig_t htp_soc(uint32_t soc) {
  QnnHtpDevice_CustomConfig_t custom{};
  custom.option = QNN_HTP_DEVICE_CONFIG_OPTION_SOC;
  custom.socModel = soc;
  return custom;
}

QnnHtpDevice_CustomConfig_t htp_arch(QnnHtpDevice_Arch_t arch, uint32_t device = 0) {
  QnnHtpDevice_CustomConfig_t custom{};
  custom.option = QNN_HTP_DEVICE_CONFIG_OPTION_ARCH;
  custom.arch.arch = arch;
  custom.arch.deviceId = device;
  return custom;
}

Qnn_ErrorHandle_t device_with(std::vector<QnnHtpDevice_CustomConfig_t> customs) {
  std::vector<QnnDevice_Config_t> configs(customs.size());
  std::vector<const QnnDevice_Config_t*> list;
  for (std::size_t i = 0; i < customs.size(); ++i) {
    configs[i].option = QNN_DEVICE_CONFIG_OPTION_CUSTOM;
    configs[i].customConfig = &customs[i];
    list.push_back(&configs[i]);
  }
  list.push_back(nullptr);
  Qnn_DeviceHandle_t device = nullptr;
  return qnn().deviceCreate(nullptr, list.data(), &device);
}

/** Memory behind a descriptor. */
class Shared {
 public:
  explicit Shared(std::size_t bytes) : fd(memfd_create("shared", 0)) {
    if (ftruncate(fd, static_cast<off_t>(bytes)) == 0) {
      data = static_cast<uint8_t*>(
          mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    }
  }
  int fd;
  uint8_t* data = nullptr;
};

struct Descriptor {
  Descriptor(int fd, std::vector<uint32_t> shape) : dims(std::move(shape)) {
    fill(QNN_MEM_TYPE_ION);
    descriptor.ionInfo.fd = fd;
  }
  Descriptor(int fd, uint64_t offset, uint64_t total, std::vector<uint32_t> shape)
      : dims(std::move(shape)) {
    fill(QNN_MEM_TYPE_CUSTOM);
    htp.type = QNN_HTP_MEM_SHARED_BUFFER;
    htp.size = total;
    htp.sharedBufferConfig.fd = fd;
    htp.sharedBufferConfig.offset = offset;
    descriptor.customInfo = &htp;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  void fill(Qnn_MemType_t type) {
    descriptor.memShape.numDim = static_cast<uint32_t>(dims.size());
    descriptor.memShape.dimSize = dims.data();
    descriptor.dataType = QNN_DATATYPE_UFIXED_POINT_8;
    descriptor.memType = type;
  }
  Qnn_ErrorHandle_t add_to(Qnn_ContextHandle_t context, Qnn_MemHandle_t* handle) {
    return qnn().memRegister(context, &descriptor, 1, handle);
  }

  std::vector<uint32_t> dims;
  QnnMemHtp_Descriptor_t htp{};
  Qnn_MemDescriptor_t descriptor{};
};

}  // namespace

TEST(backends) {
  Qnn_BackendHandle_t first = nullptr, second = nullptr;
  CHECK_EQ(qnn().backendFree(nullptr), QNN_BACKEND_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().backendCreate(nullptr, nullptr, nullptr), QNN_BACKEND_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().backendCreate(nullptr, nullptr, &first), QNN_SUCCESS);
  CHECK_EQ(qnn().backendCreate(nullptr, nullptr, &second), QNN_SUCCESS);
  CHECK(first != nullptr && first != second);
  CHECK_EQ(qnn().backendCreate(first, nullptr, &second), QNN_BACKEND_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().backendSetConfig(first, nullptr), QNN_SUCCESS);
  CHECK_EQ(qnn().backendSetConfig(forged(second), nullptr), QNN_BACKEND_ERROR_INVALID_HANDLE);
  QnnBackend_Config_t platform{};
  platform.option = QNN_BACKEND_CONFIG_OPTION_PLATFORM;
  ConfigList<QnnBackend_Config_t> list{platform};
  CHECK_EQ(qnn().backendSetConfig(first, list.get()), QNN_BACKEND_ERROR_INVALID_CONFIG);

  Qnn_ApiVersion_t version{};
  const char* build = nullptr;
  CHECK_EQ(qnn().backendGetApiVersion(&version), QNN_SUCCESS);
  CHECK_EQ(version.coreApiVersion.major, QNN_API_VERSION_MAJOR);
  CHECK_EQ(qnn().backendGetApiVersion(nullptr), QNN_BACKEND_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().backendGetBuildId(&build), QNN_SUCCESS);
  CHECK(build != nullptr && std::strcmp(build, QNN_SDK_BUILD_ID) == 0);
  CHECK_EQ(qnn().backendGetProperty(first, nullptr), QNN_BACKEND_ERROR_NOT_SUPPORTED);
  CHECK_EQ(qnn().backendRegisterOpPackage(first, nullptr, "p", nullptr),
           QNN_BACKEND_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().backendRegisterOpPackage(first, "a.so", "p", nullptr),
           QNN_BACKEND_ERROR_OP_PACKAGE_REGISTRATION_FAILED);

  const QnnBackend_OperationName_t* operations = nullptr;
  uint32_t count = 0;
  CHECK_EQ(qnn().backendGetSupportedOperations(first, &count, &operations), QNN_SUCCESS);
  bool has_conv = false;
  for (uint32_t i = 0; i < count; ++i) {
    has_conv |= std::strcmp(operations[i].name, QNN_OP_CONV_2D) == 0;
  }
  CHECK(has_conv);
  CHECK_EQ(qnn().backendGetSupportedOperations(first, nullptr, &operations),
           QNN_BACKEND_ERROR_INVALID_ARGUMENT);

  CHECK_EQ(qnn().backendFree(first), QNN_SUCCESS);
  CHECK_EQ(qnn().backendFree(first), QNN_BACKEND_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().backendGetSupportedOperations(first, &count, &operations),
           QNN_BACKEND_ERROR_INVALID_HANDLE);
  Qnn_ContextHandle_t context = nullptr;
  CHECK_EQ(qnn().contextCreate(first, nullptr, nullptr, &context),
           QNN_CONTEXT_ERROR_INVALID_HANDLE);
}

TEST(a_backend_takes_its_contexts_along) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  Qnn_BackendHandle_t other = nullptr;
  Qnn_ContextHandle_t kept = nullptr;
  CHECK_EQ(qnn().backendCreate(nullptr, nullptr, &other), QNN_SUCCESS);
  CHECK_EQ(qnn().contextCreate(other, nullptr, nullptr, &kept), QNN_SUCCESS);
  CHECK_EQ(qnn().backendFree(session.backend), QNN_SUCCESS);
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().contextFree(kept, nullptr), QNN_SUCCESS);
}

// REQ: DEV-013, DEV-014, DEV-015, DEV-018, DEV-020
TEST(devices_are_what_they_are) {
  htp_rt_vdev_config_t vdev{};
  vdev.struct_size = sizeof(vdev);
  vdev.soc = 57;
  CHECK_EQ(htp_rt_vdev_configure(&vdev), QNN_SUCCESS);
  const QnnDevice_PlatformInfo_t* info = nullptr;
  CHECK_EQ(qnn().deviceGetPlatformInfo(nullptr, nullptr), QNN_DEVICE_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().deviceGetPlatformInfo(nullptr, &info), QNN_SUCCESS);
  REQUIRE(info != nullptr && info->v1.numHwDevices == 1);
  const auto& chip = info->v1.hwDevices[0].v1.deviceInfoExtension->onChipDevice;
  CHECK_EQ(chip.socModel, 57);
  CHECK_EQ(chip.arch, QNN_HTP_DEVICE_ARCH_V75);
  CHECK_EQ(chip.vtcmSize, 8);
  CHECK(!chip.signedPdSupport && !chip.dlbcSupport);

  CHECK_EQ(device_with({htp_soc(57)}), QNN_SUCCESS);
  CHECK_EQ(device_with({htp_soc(43)}), QNN_DEVICE_ERROR_HARDWARE_UNAVAILABLE);
  CHECK_EQ(device_with({htp_soc(0)}), QNN_DEVICE_ERROR_INVALID_CONFIG);
  CHECK_EQ(device_with({htp_soc(9999)}), QNN_DEVICE_ERROR_INVALID_CONFIG);
  CHECK_EQ(device_with({htp_arch(QNN_HTP_DEVICE_ARCH_V75)}), QNN_SUCCESS);
  CHECK_EQ(device_with({htp_arch(QNN_HTP_DEVICE_ARCH_NONE)}), QNN_SUCCESS);
  CHECK_EQ(device_with({htp_arch(QNN_HTP_DEVICE_ARCH_V73)}),
           QNN_DEVICE_ERROR_HARDWARE_UNAVAILABLE);
  CHECK_EQ(device_with({htp_arch(QNN_HTP_DEVICE_ARCH_V75, 1)}), QNN_DEVICE_ERROR_INVALID_CONFIG);
  // The SoC counts.
  CHECK_EQ(device_with({htp_soc(57), htp_arch(QNN_HTP_DEVICE_ARCH_V73)}), QNN_SUCCESS);

  QnnDevice_Config_t config{};
  config.option = QNN_DEVICE_CONFIG_OPTION_PLATFORM_INFO;
  config.hardwareInfo = const_cast<QnnDevice_PlatformInfo_t*>(info);
  ConfigList<QnnDevice_Config_t> list{config};
  Qnn_DeviceHandle_t device = nullptr;
  CHECK_EQ(qnn().deviceCreate(nullptr, list.get(), nullptr), QNN_DEVICE_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().deviceCreate(nullptr, list.get(), &device), QNN_SUCCESS);
  const QnnDevice_PlatformInfo_t* own = nullptr;
  CHECK_EQ(qnn().deviceGetInfo(device, &own), QNN_SUCCESS);
  CHECK_EQ(qnn().deviceGetInfo(device, nullptr), QNN_DEVICE_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().deviceGetInfo(nullptr, &own), QNN_DEVICE_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().deviceSetConfig(device, nullptr), QNN_SUCCESS);
  CHECK_EQ(qnn().deviceFreePlatformInfo(nullptr, info), QNN_SUCCESS);
  CHECK_EQ(qnn().deviceFreePlatformInfo(nullptr, nullptr), QNN_DEVICE_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().deviceFree(device), QNN_SUCCESS);
  CHECK_EQ(qnn().deviceFree(device), QNN_DEVICE_ERROR_INVALID_HANDLE);
}

TEST(a_device_that_a_context_uses_stays) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  CHECK_EQ(qnn().deviceFree(session.device), QNN_DEVICE_ERROR_ASSOCIATED_TO_CONTEXT);
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
  CHECK_EQ(qnn().deviceFree(session.device), QNN_SUCCESS);
}

TEST(power_configurations_have_ids) {
  QnnDevice_Infrastructure_t infra = nullptr;
  CHECK_EQ(qnn().deviceGetInfrastructure(nullptr), QNN_DEVICE_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().deviceGetInfrastructure(&infra), QNN_SUCCESS);
  REQUIRE(infra != nullptr && infra->infraType == QNN_HTP_DEVICE_INFRASTRUCTURE_TYPE_PERF);
  const QnnHtpDevice_PerfInfrastructure_t& perf = infra->perfInfra;
  uint32_t first = 0, second = 0;
  CHECK_EQ(perf.createPowerConfigId(0, 0, &first), QNN_SUCCESS);
  CHECK_EQ(perf.createPowerConfigId(0, 0, &second), QNN_SUCCESS);
  CHECK(first != second);
  CHECK_EQ(perf.createPowerConfigId(1, 0, &second),
           QNN_HTP_PERF_INFRASTRUCTURE_ERROR_INVALID_INPUT);
  CHECK_EQ(perf.createPowerConfigId(0, 0, nullptr), QNN_HTP_PERF_INFRASTRUCTURE_ERROR_FAILED);
  CHECK_EQ(perf.destroyPowerConfigId(first), QNN_SUCCESS);
  CHECK_EQ(perf.destroyPowerConfigId(first), QNN_HTP_PERF_INFRASTRUCTURE_ERROR_INVALID_INPUT);
}

TEST(contexts_and_graphs) {
  Session session;
  CHECK_EQ(qnn().contextCreate(session.backend, session.device, nullptr, nullptr),
           QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  Qnn_ContextHandle_t context = nullptr;
  CHECK_EQ(qnn().contextCreate(nullptr, nullptr, nullptr, &context),
           QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().contextCreate(session.device, nullptr, nullptr, &context),
           QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().contextCreate(session.backend, forged(session.device), nullptr, &context),
           QNN_CONTEXT_ERROR_INVALID_HANDLE);
  context = session.context();
  REQUIRE(context != nullptr);
  CHECK_EQ(qnn().contextFree(nullptr, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().contextFree(forged(context), nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().contextFree(session.backend, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().contextFree(context, session.backend), QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().contextFree(&context, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);

  Qnn_GraphHandle_t graph = nullptr, found = nullptr;
  CHECK_EQ(qnn().graphCreate(nullptr, "g", nullptr, &graph), QNN_GRAPH_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().graphCreate(context, nullptr, nullptr, &graph), QNN_GRAPH_ERROR_INVALID_NAME);
  CHECK_EQ(qnn().graphCreate(context, "g", nullptr, nullptr), QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().graphCreate(context, "g", nullptr, &graph), QNN_SUCCESS);
  CHECK_EQ(qnn().graphCreate(context, "g", nullptr, &found), QNN_GRAPH_ERROR_INVALID_NAME);
  CHECK_EQ(qnn().graphRetrieve(context, "g", &found), QNN_SUCCESS);
  CHECK(found == graph);
  CHECK_EQ(qnn().graphFinalize(graph, nullptr, nullptr), QNN_GRAPH_ERROR_FINALIZE_FAILED);
  CHECK_EQ(qnn().graphFinalize(nullptr, nullptr, nullptr), QNN_GRAPH_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().graphFinalize(context, nullptr, nullptr), QNN_GRAPH_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().graphFinalize(forged(graph), nullptr, nullptr), QNN_GRAPH_ERROR_INVALID_HANDLE);

  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().graphFinalize(graph, nullptr, nullptr), QNN_GRAPH_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().graphRetrieve(context, "g", &found), QNN_GRAPH_ERROR_INVALID_HANDLE);
  // The place is used again; the old handle does not lead there.
  const Qnn_ContextHandle_t next = session.context();
  CHECK(next != context);
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().contextFree(next, nullptr), QNN_SUCCESS);
}

// REQ: CTX-056
TEST(options_of_contexts_and_graphs) {
  Session session;
  Qnn_ContextHandle_t context = nullptr;
  const auto create = [&](QnnContext_Config_t config) {
    ConfigList<QnnContext_Config_t> list{config};
    return qnn().contextCreate(session.backend, session.device, list.get(), &context);
  };
  QnnHtpContext_CustomConfig_t sharing = QNN_HTP_CONTEXT_CUSTOM_CONFIG_INIT;
  sharing.option = QNN_HTP_CONTEXT_CONFIG_OPTION_WEIGHT_SHARING_ENABLED;
  sharing.weightSharingEnabled = false;
  QnnContext_Config_t custom = QNN_CONTEXT_CONFIG_INIT;
  custom.option = QNN_CONTEXT_CONFIG_OPTION_CUSTOM;
  custom.customConfig = &sharing;
  CHECK_EQ(create(custom), QNN_SUCCESS);
  sharing.weightSharingEnabled = true;
  CHECK_EQ(create(custom), QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE);
  custom.customConfig = nullptr;
  CHECK_EQ(create(custom), QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  QnnContext_Config_t unknown = QNN_CONTEXT_CONFIG_INIT;
  unknown.option = static_cast<QnnContext_ConfigOption_t>(99);
  CHECK_EQ(create(unknown), QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE);
  CHECK_EQ(create(priority_config(static_cast<Qnn_Priority_t>(77))),
           QNN_CONTEXT_ERROR_INVALID_CONFIG);
  CHECK_EQ(create(priority_config(QNN_PRIORITY_LOW)), QNN_SUCCESS);

  CHECK_EQ(qnn().contextSetConfig(context, nullptr), QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().contextSetConfig(nullptr, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  ConfigList<QnnContext_Config_t> high{priority_config(QNN_PRIORITY_HIGH)};
  CHECK_EQ(qnn().contextSetConfig(context, high.get()), QNN_SUCCESS);

  ConvRelu net(context);
  QnnGraph_Config_t priority = QNN_GRAPH_CONFIG_INIT;
  priority.option = QNN_GRAPH_CONFIG_OPTION_PRIORITY;
  priority.priority = QNN_PRIORITY_LOW;
  ConfigList<QnnGraph_Config_t> low{priority};
  CHECK_EQ(qnn().graphSetConfig(net.graph, low.get()), QNN_SUCCESS);
  CHECK_EQ(qnn().graphSetConfig(net.graph, nullptr), QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  priority.priority = static_cast<Qnn_Priority_t>(600);
  ConfigList<QnnGraph_Config_t> wrong{priority};
  CHECK_EQ(qnn().graphSetConfig(net.graph, wrong.get()), QNN_GRAPH_ERROR_INVALID_ARGUMENT);
}

TEST(tensors) {
  Session session;
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(qnn().graphCreate(session.context(), "g", nullptr, &graph), QNN_SUCCESS);
  std::array<uint32_t, 8> dims{{1, 2, 2, 1, 1, 1, 1, 1}};
  std::array<uint8_t, 4> data{{1, 2, 3, 4}};
  const Qnn_Tensor_t good = u8_tensor("t", QNN_TENSOR_TYPE_NATIVE, dims.data(), 4);
  const auto code = [&](Qnn_Tensor_t tensor) {
    return qnn().tensorCreateGraphTensor(graph, &tensor);
  };
  const auto changed = [&](void (*change)(Qnn_Tensor_t&)) {
    Qnn_Tensor_t tensor = good;
    change(tensor);
    return code(tensor);
  };
  const Qnn_ErrorHandle_t bad = QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM;
  CHECK_EQ(changed([](Qnn_Tensor_t& t) { t.v1.name = nullptr; }), bad);
  CHECK_EQ(changed([](Qnn_Tensor_t& t) { t.v1.dimensions = nullptr; }), bad);
  CHECK_EQ(changed([](Qnn_Tensor_t& t) { t.v1.rank = 7; }), bad);
  CHECK_EQ(changed([](Qnn_Tensor_t& t) { t.v1.type = QNN_TENSOR_TYPE_APP_READWRITE; }), bad);
  CHECK_EQ(changed([](Qnn_Tensor_t& t) { t.v1.type = QNN_TENSOR_TYPE_STATIC; }), bad);
  CHECK_EQ(changed([](Qnn_Tensor_t& t) { t.v1.dataType = static_cast<Qnn_DataType_t>(0x999); }),
           bad);
  CHECK_EQ(changed([](Qnn_Tensor_t& t) { t.v1.dataFormat = 3; }),
           QNN_TENSOR_ERROR_UNSUPPORTED_TENSOR_PARAM);
  CHECK_EQ(changed([](Qnn_Tensor_t& t) { t.v1.quantizeParams.scaleOffsetEncoding.scale = 0.0f; }),
           bad);
  CHECK_EQ(changed([](Qnn_Tensor_t& t) { t.version = static_cast<Qnn_TensorVersion_t>(3); }), bad);
  Qnn_Tensor_t app = u8_tensor("a", QNN_TENSOR_TYPE_APP_WRITE, dims.data(), 4);
  set_data(app, data);
  CHECK_EQ(code(app), bad);
  app.v1.type = QNN_TENSOR_TYPE_STATIC;
  app.v1.clientBuf.dataSize = 3;
  CHECK_EQ(code(app), bad);
  app.v1.clientBuf.dataSize = 4;
  CHECK_EQ(code(app), QNN_SUCCESS);
  CHECK_EQ(code(app), QNN_TENSOR_ERROR_ALREADY_EXISTS);
  CHECK_EQ(code(good), QNN_SUCCESS);
  Qnn_Tensor_t scalar = u8_tensor("s", QNN_TENSOR_TYPE_NATIVE, nullptr, 0);
  CHECK_EQ(code(scalar), QNN_SUCCESS);
  CHECK_EQ(qnn().tensorCreateGraphTensor(graph, nullptr), QNN_TENSOR_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().tensorCreateGraphTensor(nullptr, &app), QNN_GRAPH_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().tensorCreateGraphTensor(forged(graph), &app), QNN_TENSOR_ERROR_INVALID_HANDLE);
}

TEST(wrong_operations_get_a_code) {
  Session session;
  ConvRelu net(session.context());
  std::vector<Qnn_Tensor_t> tensors{net.x};
  std::vector<Qnn_Param_t> none;
  const Qnn_OpConfig_t good = make_op("op", QNN_OP_RELU, tensors, tensors, none);
  const auto changed = [&](void (*change)(Qnn_OpConfig_t&)) {
    Qnn_OpConfig_t op = good;
    change(op);
    return qnn().graphAddNode(net.graph, op);
  };
  const Qnn_ErrorHandle_t bad = QNN_GRAPH_ERROR_INVALID_OP_CONFIG;
  CHECK_EQ(qnn().graphAddNode(net.graph, good), bad);  // the tensor was never created
  CHECK_EQ(changed([](Qnn_OpConfig_t& op) { op.v1.name = nullptr; }), bad);
  CHECK_EQ(changed([](Qnn_OpConfig_t& op) { op.v1.typeName = nullptr; }), bad);
  CHECK_EQ(changed([](Qnn_OpConfig_t& op) { op.v1.packageName = nullptr; }), bad);
  CHECK_EQ(changed([](Qnn_OpConfig_t& op) { op.v1.packageName = "other"; }), bad);
  CHECK_EQ(changed([](Qnn_OpConfig_t& op) { op.v1.inputTensors = nullptr; }), bad);
  CHECK_EQ(changed([](Qnn_OpConfig_t& op) { op.v1.numOfParams = 2; }), bad);
  CHECK_EQ(changed([](Qnn_OpConfig_t& op) { op.version = static_cast<Qnn_OpConfigVersion_t>(2); }),
           bad);
  CHECK_EQ(qnn().graphAddNode(nullptr, good), QNN_GRAPH_ERROR_INVALID_HANDLE);
}

// REQ: BUF-001, BUF-002, BUF-015, BUF-017, BUF-023
TEST(registered_buffers_are_used_in_place) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  ConvRelu net(context);
  net.compose();
  net.finalize();
  Shared in(ConvRelu::bytes), out(ConvRelu::bytes);
  const std::vector<uint32_t> shape{1, 4, 4, 1};
  Descriptor input(in.fd, shape), output(out.fd, shape);
  Qnn_MemHandle_t mem[3] = {nullptr, nullptr, nullptr};
  CHECK_EQ(input.add_to(nullptr, &mem[0]), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(input.add_to(context, nullptr), QNN_MEM_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(input.add_to(context, &mem[0]), QNN_SUCCESS);
  CHECK_EQ(output.add_to(context, &mem[1]), QNN_SUCCESS);
  CHECK_EQ(input.add_to(context, &mem[2]), QNN_MEM_ERROR_ALREADY_REGISTERED);
  CHECK_EQ(Descriptor(-1, shape).add_to(context, &mem[2]), QNN_MEM_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(Descriptor(in.fd, {}).add_to(context, &mem[2]), QNN_MEM_ERROR_INVALID_SHAPE);
  CHECK_EQ(Descriptor(in.fd, {0}).add_to(context, &mem[2]), QNN_MEM_ERROR_INVALID_SHAPE);
  Shared small(8);
  CHECK_EQ(Descriptor(small.fd, shape).add_to(context, &mem[2]), QNN_MEM_ERROR_MAPPING);
  CHECK(mem[2] == nullptr);

  Qnn_Tensor_t x = net.x, y = net.y;
  x.v1.memType = y.v1.memType = QNN_TENSORMEMTYPE_MEMHANDLE;
  x.v1.memHandle = mem[0];
  y.v1.memHandle = mem[1];
  std::array<uint8_t, ConvRelu::bytes> picture{};
  for (std::size_t i = 0; i < picture.size(); ++i) {
    in.data[i] = picture[i] = static_cast<uint8_t>(2 * i);
  }
  CHECK_EQ(qnn().graphExecute(net.graph, &x, 1, &y, 1, nullptr, nullptr), QNN_SUCCESS);
  CHECK(std::memcmp(out.data, ConvRelu::expected(picture).data(), ConvRelu::bytes) == 0);
  // A buffer of another context does not do.
  ConvRelu other(session.context());
  other.compose();
  other.finalize();
  Qnn_Tensor_t other_x = other.x, other_y = other.y;
  other_x.v1.memType = QNN_TENSORMEMTYPE_MEMHANDLE;
  other_x.v1.memHandle = mem[0];
  set_data(other_y, picture);
  CHECK_EQ(qnn().graphExecute(other.graph, &other_x, 1, &other_y, 1, nullptr, nullptr),
           QNN_GRAPH_ERROR_INVALID_TENSOR);

  CHECK_EQ(qnn().memDeRegister(nullptr, 1), QNN_MEM_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().memDeRegister(mem, 0), QNN_MEM_ERROR_INVALID_ARGUMENT);
  // All or none: one that is named wrongly, or twice, leaves the others as they are.
  const Qnn_MemHandle_t wrong[2] = {mem[0], forged(mem[1])}, twice[2] = {mem[1], mem[1]};
  CHECK_EQ(qnn().memDeRegister(wrong, 2), QNN_MEM_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().memDeRegister(twice, 2), QNN_MEM_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().graphExecute(net.graph, &x, 1, &y, 1, nullptr, nullptr), QNN_SUCCESS);
  CHECK_EQ(qnn().memDeRegister(mem, 2), QNN_SUCCESS);
  CHECK_EQ(qnn().memDeRegister(mem, 1), QNN_MEM_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().graphExecute(net.graph, &x, 1, &y, 1, nullptr, nullptr),
           QNN_GRAPH_ERROR_INVALID_TENSOR);
}

// REQ: BUF-003, BUF-020, BUF-021, BUF-024, BUF-025
TEST(tensors_share_one_buffer) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  ConvRelu net(context);
  net.compose();
  net.finalize();
  const uint64_t half = ConvRelu::bytes, total = 2 * half;
  Shared memory(total);
  const std::vector<uint32_t> shape{1, 4, 4, 1};
  Descriptor first(memory.fd, 0, total, shape), second(memory.fd, half, total, shape);
  Qnn_MemHandle_t mem[2] = {nullptr, nullptr};
  Descriptor beyond(memory.fd, half + 1, total, shape), absurd(memory.fd, UINT64_MAX, total, shape);
  Descriptor longer(memory.fd, half + 1, total + 1, shape);
  CHECK_EQ(beyond.add_to(context, mem), QNN_MEM_ERROR_INVALID_SHAPE);
  CHECK_EQ(absurd.add_to(context, mem), QNN_MEM_ERROR_INVALID_SHAPE);
  CHECK_EQ(longer.add_to(context, mem), QNN_MEM_ERROR_MAPPING);
  // All or none: the first of these two is taken back.
  const Qnn_MemDescriptor_t one_wrong[2] = {first.descriptor, beyond.descriptor};
  CHECK_EQ(qnn().memRegister(context, one_wrong, 2, mem), QNN_MEM_ERROR_INVALID_SHAPE);
  CHECK(mem[0] == nullptr && mem[1] == nullptr);
  const Qnn_MemDescriptor_t both[2] = {first.descriptor, second.descriptor};
  CHECK_EQ(qnn().memRegister(context, both, 2, mem), QNN_SUCCESS);
  CHECK(mem[0] != mem[1]);

  Qnn_Tensor_t x = net.x, y = net.y;
  x.v1.memType = y.v1.memType = QNN_TENSORMEMTYPE_MEMHANDLE;
  x.v1.memHandle = mem[0];
  y.v1.memHandle = mem[1];
  memory.data[0] = 7;
  CHECK_EQ(qnn().graphExecute(net.graph, &x, 1, &y, 1, nullptr, nullptr), QNN_SUCCESS);
  CHECK_EQ(memory.data[half + 5], 7);
  CHECK_EQ(qnn().memDeRegister(&mem[0], 1), QNN_SUCCESS);
  x.v1.memHandle = mem[1];
  CHECK_EQ(qnn().graphExecute(net.graph, &x, 1, &y, 1, nullptr, nullptr), QNN_SUCCESS);
  // Freeing the context first is allowed.
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
  CHECK_EQ(qnn().memDeRegister(&mem[1], 1), QNN_SUCCESS);
}

// REQ: CANCEL-004
TEST(signals) {
  Session session;
  Qnn_SignalHandle_t signal = nullptr;
  QnnSignal_Config_t abort_config{}, timeout_config{};
  abort_config.option = QNN_SIGNAL_CONFIG_OPTION_ABORT;
  timeout_config.option = QNN_SIGNAL_CONFIG_OPTION_TIMEOUT;
  timeout_config.timeoutDurationUs = 1000;
  ConfigList<QnnSignal_Config_t> aborts{abort_config}, times{timeout_config},
      both{abort_config, timeout_config};
  CHECK_EQ(qnn().signalCreate(session.backend, nullptr, nullptr),
           QNN_SIGNAL_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().signalCreate(nullptr, nullptr, &signal), QNN_SIGNAL_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().signalCreate(session.backend, both.get(), &signal),
           QNN_SIGNAL_ERROR_INCOMPATIBLE_SIGNAL_TYPE);
  // Of several times the last counts.
  QnnSignal_Config_t none_config = timeout_config;
  none_config.timeoutDurationUs = 0;
  ConfigList<QnnSignal_Config_t> ends_with_none{timeout_config, none_config},
      ends_with_time{none_config, timeout_config};
  CHECK_EQ(qnn().signalCreate(session.backend, ends_with_none.get(), &signal),
           QNN_SIGNAL_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().signalCreate(session.backend, ends_with_time.get(), &signal), QNN_SUCCESS);
  CHECK_EQ(qnn().signalFree(signal), QNN_SUCCESS);
  CHECK_EQ(qnn().signalCreate(session.backend, nullptr, &signal), QNN_SUCCESS);
  CHECK_EQ(qnn().signalTrigger(signal), QNN_SIGNAL_ERROR_INCOMPATIBLE_SIGNAL_TYPE);
  CHECK_EQ(qnn().signalSetConfig(signal, aborts.get()), QNN_SUCCESS);
  CHECK_EQ(qnn().signalTrigger(signal), QNN_SIGNAL_ERROR_SIGNAL_IDLE);
  CHECK_EQ(qnn().signalSetConfig(signal, times.get()), QNN_SUCCESS);
  CHECK_EQ(qnn().signalTrigger(signal), QNN_SIGNAL_ERROR_INCOMPATIBLE_SIGNAL_TYPE);
  CHECK_EQ(qnn().signalSetConfig(signal, nullptr), QNN_SIGNAL_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().signalFree(forged(signal)), QNN_SIGNAL_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().signalFree(signal), QNN_SUCCESS);
  CHECK_EQ(qnn().signalFree(signal), QNN_SIGNAL_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().signalTrigger(signal), QNN_SIGNAL_ERROR_INVALID_HANDLE);
}

TEST(capabilities_are_truthful) {
  CHECK_EQ(qnn().propertyHasCapability(QNN_PROPERTY_GRAPH_SUPPORT_ASYNC_EXECUTION), QNN_SUCCESS);
  CHECK_EQ(qnn().propertyHasCapability(QNN_PROPERTY_GROUP_DEVICE), QNN_SUCCESS);
  CHECK_EQ(qnn().propertyHasCapability(QNN_PROPERTY_BACKEND_SUPPORT_OP_PACKAGE),
           QNN_PROPERTY_NOT_SUPPORTED);
  CHECK_EQ(qnn().propertyHasCapability(QNN_PROPERTY_CONTEXT_SUPPORT_DEFERRED_GRAPH_INIT),
           QNN_PROPERTY_NOT_SUPPORTED);
  CHECK_EQ(qnn().propertyHasCapability(0), QNN_PROPERTY_ERROR_UNKNOWN_KEY);
  CHECK_EQ(qnn().propertyHasCapability(99999), QNN_PROPERTY_ERROR_UNKNOWN_KEY);
}

TEST(everything_can_be_made_again_and_again) {
  htp_rt_stats_t before{}, after{};
  for (int cycle = 0; cycle < 300; ++cycle) {
    Session session;
    const Qnn_ContextHandle_t context = session.context();
    ConvRelu net(context);
    net.compose();
    net.finalize();
    CHECK_EQ(net.error, QNN_SUCCESS);
    CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
    CHECK_EQ(qnn().deviceFree(session.device), QNN_SUCCESS);
    CHECK_EQ(qnn().backendFree(session.backend), QNN_SUCCESS);
    if (cycle == 0) {
      htp_rt_stats(&before);
    }
  }
  htp_rt_stats(&after);
  CHECK_EQ(after.memory_used_bytes, before.memory_used_bytes);
  CHECK_EQ(after.faults + after.blocks_leaked, 0);
}
