// SPDX-License-Identifier: Apache-2.0 OR MIT
// What QnnProperty_hasCapability says is what the functions do, on every platform: each capability
// is asked for, and the call that it is about is made.

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "HTP/QnnHtpMem.h"
#include "support/check.hpp"
#include "support/composed.hpp"
#include "support/waiter.hpp"

namespace {

using Picture = std::array<uint8_t, ConvRelu::bytes>;

/** Any answer but "not offered", which all families of codes share. */
bool offered(Qnn_ErrorHandle_t code) { return code != QNN_COMMON_ERROR_NOT_SUPPORTED; }

/** A composed network, its binary, and the questions. */
struct Subject {
  Subject() : context(session.context()), net(context) {
    net.compose();
    net.finalize();
    Qnn_ContextBinarySize_t size = 0, written = 0;
    qnn().contextGetBinarySize(context, &size);
    binary.resize(static_cast<std::size_t>(size));
    qnn().contextGetBinary(context, binary.data(), size, &written);
  }

  Qnn_ErrorHandle_t load(QnnContext_Config_t config) {
    ConfigList<QnnContext_Config_t> list{config};
    Qnn_ContextHandle_t made = nullptr;
    return qnn().contextCreateFromBinary(session.backend, session.device, list.get(),
                                         binary.data(), binary.size(), &made, nullptr);
  }

  /** The code of the call, or else of the context. */
  Qnn_ErrorHandle_t load_list() {
    Qnn_ErrorHandle_t told = QNN_COMMON_ERROR_UNDEFINED;
    const auto notify = [](Qnn_ContextHandle_t, Qnn_GraphHandle_t, const char*,
                           QnnContext_createFromBinaryAsyncNotifyType_t, void* param,
                           Qnn_ErrorHandle_t status) {
      *static_cast<Qnn_ErrorHandle_t*>(param) = status;
    };
    ConfigList<QnnContext_Params_t> list{
        {QNN_CONTEXT_PARAMS_VERSION_1,
         {{nullptr, binary.data(), binary.size(), nullptr, notify, &told}}}};
    const Qnn_ErrorHandle_t code = qnn().contextCreateFromBinaryListAsync(
        session.backend, session.device, list.get(), nullptr, nullptr);
    return code == QNN_SUCCESS ? told : code;
  }

  Qnn_ErrorHandle_t register_buffer(Qnn_MemType_t type) {
    uint32_t dims[] = {16};
    Qnn_MemDescriptor_t descriptor = QNN_MEM_DESCRIPTOR_INIT;
    descriptor.memShape = {1, dims, nullptr};
    descriptor.dataType = QNN_DATATYPE_UFIXED_POINT_8;
    descriptor.memType = type;
    const int fd = memfd_create("buffer", 0);
    if (ftruncate(fd, 16) != 0) {
      return QNN_COMMON_ERROR_SYSTEM;
    }
    QnnMemHtp_Descriptor_t shared{};
    shared.type = QNN_HTP_MEM_SHARED_BUFFER;
    shared.size = 16;
    shared.sharedBufferConfig.fd = fd;
    switch (type) {
      case QNN_MEM_TYPE_CUSTOM: descriptor.customInfo = &shared; break;
      case QNN_MEM_TYPE_DMA_BUF: descriptor.dmaBufInfo.fd = fd; break;
      default: descriptor.ionInfo.fd = fd;
    }
    Qnn_MemHandle_t handle = nullptr;
    const Qnn_ErrorHandle_t code = qnn().memRegister(context, &descriptor, 1, &handle);
    close(fd);
    return code;
  }

  Qnn_ErrorHandle_t configure_profile(QnnProfile_ConfigOption_t option) {
    QnnProfile_Config_t config = QNN_PROFILE_CONFIG_INIT;
    config.option = option;
    config.numMaxEvents = 1;
    ConfigList<QnnProfile_Config_t> list{config};
    Qnn_ProfileHandle_t profile = nullptr;
    qnn().profileCreate(session.backend, QNN_PROFILE_LEVEL_DETAILED, &profile);
    return qnn().profileSetConfig(profile, list.get());
  }

  Qnn_ErrorHandle_t configure_signal(QnnSignal_ConfigOption_t option) {
    QnnSignal_Config_t config = QNN_SIGNAL_CONFIG_INIT;
    config.option = option;
    config.timeoutDurationUs = 1000;
    ConfigList<QnnSignal_Config_t> list{config};
    Qnn_SignalHandle_t signal = nullptr;
    return qnn().signalCreate(session.backend, list.get(), &signal);
  }

  Session session;
  Qnn_ContextHandle_t context;
  ConvRelu net;
  std::vector<uint8_t> binary;
};

QnnContext_Config_t context_option(QnnContext_ConfigOption_t option) {
  QnnContext_Config_t config = QNN_CONTEXT_CONFIG_INIT;
  config.option = option;
  return config;
}

void agrees(const char* name, QnnProperty_Key_t key, bool works) {
  const Qnn_ErrorHandle_t told = qnn().propertyHasCapability(key);
  if ((told == QNN_PROPERTY_SUPPORTED) != works) {
    std::printf("%s: %s\n", name, works ? "works" : "does not work");
  }
  CHECK((told == QNN_PROPERTY_SUPPORTED) == works);
}

#define AGREES(key, works) agrees(#key, QNN_PROPERTY_##key, (works))

void contexts(Subject& it) {
  const Table& api = qnn();
  Qnn_ContextHandle_t made = nullptr;
  uint64_t size = 0, offset = 0;
  AGREES(CONTEXT_SUPPORT_CACHING, !it.binary.empty());
  AGREES(CONTEXT_SUPPORT_CONFIGURATION, offered(api.contextSetConfig(it.context, nullptr)));
  static const char* names[] = {"net", nullptr};
  QnnContext_Config_t config = context_option(QNN_CONTEXT_CONFIG_ENABLE_GRAPHS);
  config.enableGraphs = names;
  AGREES(CONTEXT_SUPPORT_CONFIG_ENABLE_GRAPHS, offered(it.load(config)));
  // QNN_CONTEXT_CONFIG_GRAPH_RETENTION_ORDER is no question: an order is taken as a hint, and
  // nothing is ever switched.
  config = context_option(QNN_CONTEXT_CONFIG_MEMORY_LIMIT_HINT);
  config.memoryLimitHint = 64;
  AGREES(CONTEXT_SUPPORT_CONFIG_MEMORY_LIMIT_HINT, offered(it.load(config)));
  config = context_option(QNN_CONTEXT_CONFIG_PERSISTENT_BINARY);
  config.isPersistentBinary = 1;
  AGREES(CONTEXT_SUPPORT_CONFIG_PERSISTENT_BINARY, offered(it.load(config)));
  config = context_option(QNN_CONTEXT_CONFIG_BINARY_COMPATIBILITY);
  config.binaryCompatibilityType = QNN_CONTEXT_BINARY_COMPATIBILITY_STRICT;
  AGREES(CONTEXT_SUPPORT_CONFIG_BINARY_COMPATIBILITY_TYPE, offered(it.load(config)));
  config = context_option(QNN_CONTEXT_CONFIG_OPTION_DEFER_GRAPH_INIT);
  config.isGraphInitDeferred = 1;
  AGREES(CONTEXT_SUPPORT_DEFERRED_GRAPH_INIT, offered(it.load(config)));

  const Qnn_BackendHandle_t backend = it.session.backend;
  AGREES(CONTEXT_SUPPORT_VALIDATE_BINARY,
         offered(api.contextValidateBinary(backend, it.session.device, nullptr, it.binary.data(),
                                           it.binary.size())));
  AGREES(CONTEXT_SUPPORT_CREATE_FROM_BINARY_WITH_SIGNALS,
         offered(api.contextCreateFromBinaryWithSignal(backend, it.session.device, nullptr,
                                                       it.binary.data(), it.binary.size(), &made,
                                                       nullptr, nullptr)));
  AGREES(CONTEXT_SUPPORT_CREATE_FROM_BINARY_LIST_ASYNC, it.load_list() == QNN_SUCCESS);
  AGREES(CONTEXT_SUPPORT_CREATE_FROM_BINARY_WITH_CALLBACK,
         offered(api.contextCreateFromBinaryWithCallback(backend, it.session.device, nullptr,
                                                         nullptr, nullptr, 0, &made, nullptr,
                                                         nullptr)));
  AGREES(CONTEXT_SUPPORT_INCREMENTAL_BINARY,
         offered(api.contextGetIncrementalBinary(nullptr, nullptr, &offset, &size)));
  std::uint8_t bytes[16] = {};
  QnnContext_Buffer_t section = {};
  section.version = QNN_CONTEXT_BUFFER_VERSION_1;
  section.v1.memType = QNN_CONTEXTMEMTYPE_RAW;
  section.v1.binaryBuf.dataSize = sizeof bytes;
  section.v1.binaryBuf.data = bytes;
  AGREES(CONTEXT_SUPPORT_BINARY_UPDATES,
         offered(api.contextApplyBinarySection(it.context, it.net.graph,
                                               QNN_CONTEXT_SECTION_UPDATABLE, &section, nullptr,
                                               nullptr)));
  AGREES(CONTEXT_SUPPORT_BINARY_SECTION_UPDATES,
         offered(api.contextGetBinarySectionUpdate(nullptr, nullptr, nullptr, 0, 0, nullptr,
                                                   nullptr, nullptr, nullptr)));
}

void graphs(Subject& it) {
  const Table& api = qnn();
  Qnn_GraphHandle_t graph = nullptr;
  AGREES(GRAPH_SUPPORT_CONFIG, offered(api.graphSetConfig(it.net.graph, nullptr)));
  AGREES(GRAPH_SUPPORT_SUBGRAPH, offered(api.graphCreateSubgraph(it.net.graph, "sub", &graph)));
  AGREES(GRAPH_SUPPORT_GRAPH_VALIDATION, offered(api.graphValidate(nullptr, nullptr, nullptr)));
  QnnGraph_ExecuteEnvironment_t* environments[] = {nullptr};
  QnnGraph_Property_t* properties[] = {nullptr};
  AGREES(GRAPH_SUPPORT_ENV_OPTION_BIND_MEM_HANDLES,
         offered(api.graphPrepareExecutionEnvironment(it.net.graph, environments, 1)));
  AGREES(GRAPH_SUPPORT_CUSTOM_PROPERTY, offered(api.graphGetProperty(it.net.graph, properties)));
  Picture picture{{1, 2, 3}}, result{};
  AGREES(GRAPH_SUPPORT_EXECUTE, it.net.execute(picture, result) == QNN_SUCCESS);
  Waiter waiter;
  const bool queues = offered(it.net.execute_async(picture, result, Waiter::notify, &waiter));
  if (queues) {
    waiter.wait(1);
  }
  AGREES(GRAPH_SUPPORT_ASYNC_EXECUTION, queues);

  Qnn_Tensor_t tensor = it.net.x;
  AGREES(TENSOR_SUPPORT_CONTEXT_TENSORS,
         offered(api.tensorCreateContextTensor(it.context, &tensor)));
  AGREES(BACKEND_SUPPORT_COMPOSITION, it.net.error == QNN_SUCCESS);
  AGREES(GRAPH_SUPPORT_ONLINE_PREPARE, it.net.error == QNN_SUCCESS);
}

void others(Subject& it) {
  const Table& api = qnn();
  const char* text = nullptr;
  AGREES(ERROR_GET_VERBOSE_MESSAGE, offered(api.errorGetVerboseMessage(1004, &text)));
  AGREES(GROUP_ERROR, api.errorGetMessage(1004, &text) == QNN_SUCCESS);
  AGREES(BACKEND_SUPPORT_CUSTOM_PROPERTY,
         api.backendGetProperty(it.session.backend, nullptr) != QNN_BACKEND_ERROR_NOT_SUPPORTED);
  const auto memory = [&](Qnn_MemType_t type) {
    return it.register_buffer(type) == QNN_SUCCESS;
  };
  AGREES(MEMORY_SUPPORT_MEM_TYPE_ION, memory(QNN_MEM_TYPE_ION));
  AGREES(MEMORY_SUPPORT_MEM_TYPE_CUSTOM, memory(QNN_MEM_TYPE_CUSTOM));
  AGREES(MEMORY_SUPPORT_MEM_TYPE_DMA_BUF, memory(QNN_MEM_TYPE_DMA_BUF));
  AGREES(TENSOR_SUPPORT_MEMHANDLE_TYPE, memory(QNN_MEM_TYPE_ION));
  AGREES(GROUP_MEMORY, memory(QNN_MEM_TYPE_ION));
  AGREES(SIGNAL_SUPPORT_ABORT, it.configure_signal(QNN_SIGNAL_CONFIG_OPTION_ABORT) == QNN_SUCCESS);
  AGREES(SIGNAL_SUPPORT_TIMEOUT,
         it.configure_signal(QNN_SIGNAL_CONFIG_OPTION_TIMEOUT) == QNN_SUCCESS);
  AGREES(PROFILE_SUPPORT_CUSTOM_CONFIG,
         offered(it.configure_profile(QNN_PROFILE_CONFIG_OPTION_CUSTOM)));
  AGREES(PROFILE_SUPPORT_MAX_EVENTS_CONFIG,
         offered(it.configure_profile(QNN_PROFILE_CONFIG_OPTION_MAX_EVENTS)));
  AGREES(PROFILE_SUPPORT_OPTRACE_CONFIG,
         offered(it.configure_profile(QNN_PROFILE_CONFIG_OPTION_ENABLE_OPTRACE)));
  Qnn_LogHandle_t log = nullptr;
  AGREES(LOG_SUPPORTS_DEFAULT_STREAM,
         api.logCreate(nullptr, static_cast<QnnLog_Level_t>(0), &log) == QNN_SUCCESS);
  QnnDevice_Infrastructure_t infra = nullptr;
  AGREES(DEVICE_SUPPORT_INFRASTRUCTURE, api.deviceGetInfrastructure(&infra) == QNN_SUCCESS);
}

void truths_of(htp_rt_platform_t platform, uint32_t arch) {
  htp_rt_vdev_config_t vdev{};
  vdev.struct_size = sizeof vdev;
  vdev.platform = static_cast<uint32_t>(platform);
  vdev.arch = arch;
  REQUIRE(htp_rt_vdev_configure(&vdev) == QNN_SUCCESS);
  Subject subject;
  contexts(subject);
  graphs(subject);
  others(subject);
}

}  // namespace

TEST(qnx_adas) { truths_of(HTP_RT_PLATFORM_QNX_ADAS, 73); }
TEST(qnx_ivi_of_an_older_architecture) { truths_of(HTP_RT_PLATFORM_QNX_IVI, 69); }
TEST(android) { truths_of(HTP_RT_PLATFORM_ANDROID, 75); }
TEST(linux_on_arm) { truths_of(HTP_RT_PLATFORM_LINUX_ARM, 73); }
TEST(windows) { truths_of(HTP_RT_PLATFORM_WINDOWS, 73); }
TEST(the_host_simulation) { truths_of(HTP_RT_PLATFORM_X86_SIMULATION, 73); }
