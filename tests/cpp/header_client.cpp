// SPDX-License-Identifier: Apache-2.0 OR MIT
// A client as it is written for QNN, in C++14 or later: that it compiles without a warning is
// the test.

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>
#include <vector>

#include "HTP/QnnHtpCommon.h"
#include "HTP/QnnHtpContext.h"
#include "HTP/QnnHtpDevice.h"
#include "HTP/QnnHtpGraph.h"
#include "HTP/QnnHtpMem.h"
#include "HTP/QnnHtpPerfInfrastructure.h"
#include "HTP/QnnHtpProfile.h"
#include "HTP/QnnHtpSystemContext.h"
#include "QnnInterface.h"
#include "QnnOpDef.h"
#include "QnnOpPackage.h"
#include "System/QnnSystemInterface.h"

namespace {

constexpr bool same(const char* left, const char* right) {
  return *left == *right && (*left == '\0' || same(left + 1, right + 1));
}

static_assert(std::is_standard_layout<Qnn_Tensor_t>::value, "plain data");
static_assert(std::is_trivially_copyable<Qnn_Tensor_t>::value, "plain data");
static_assert(sizeof(Qnn_Tensor_t) == 144 && sizeof(Qnn_OpConfig_t) == 80, "sizes");
static_assert(std::is_enum<Qnn_TensorType_t>::value && sizeof(Qnn_ParamType_t) == 4, "enums");
static_assert(QNN_PARAMTYPE_UNDEFINED == 0xFFFFFFFFu, "all bits");
static_assert(same(QNN_OP_CONV_2D, "Conv2d"), "op name");
static_assert(same(QNN_OP_CONV_2D_PARAM_STRIDE, "stride"), "parameter name");
static_assert(same(QNN_OP_PACKAGE_NAME_QTI_AISW, "qti.aisw"), "package name");
static_assert(QNN_GET_ERROR_CODE(Qnn_ErrorHandle_t{0x103EF}) ==
                  QNN_COMMON_ERROR_SYSTEM_COMMUNICATION,
              "the code is in the low 16 bits");
static_assert(
    std::is_same<decltype(QnnInterface_t::QNN_INTERFACE_VER_NAME), QNN_INTERFACE_VER_TYPE>::value,
    "function table");
// Every exported function has the type of its table entry; a sample.
static_assert(std::is_same<decltype(&QnnGraph_executeAsync), QnnGraph_ExecuteAsyncFn_t>::value, "");
static_assert(std::is_same<decltype(&QnnContext_createFromBinaryListAsync),
                           QnnContext_CreateFromBinaryListAsyncFn_t>::value,
              "");
static_assert(std::is_same<decltype(&QnnGraph_addNode), QnnGraph_AddNodeFn_t>::value, "");

// Wraps a configuration list the way clients do: entries kept alive beside the pointers.
template <typename Config>
class ConfigList {
 public:
  explicit ConfigList(std::initializer_list<Config> configs) : configs_(configs) {
    for (const Config& config : configs_) {
      pointers_.push_back(&config);
    }
    pointers_.push_back(nullptr);
  }
  const Config** data() { return pointers_.data(); }

 private:
  std::vector<Config> configs_;
  std::vector<const Config*> pointers_;
};

class Client {
 public:
  explicit Client(const QnnInterface_t& interface) : api_(interface.QNN_INTERFACE_VER_NAME) {}

  Qnn_ErrorHandle_t open() {
    QnnContext_Config_t depth = QNN_CONTEXT_CONFIG_INIT;
    depth.option = QNN_CONTEXT_CONFIG_ASYNC_EXECUTION_QUEUE_DEPTH;
    depth.asyncExeQueueDepth = {QNN_CONTEXT_ASYNC_EXECUTION_QUEUE_DEPTH_TYPE_NUMERIC, 300};
    QnnHtpContext_CustomConfig_t prepare = QNN_HTP_CONTEXT_CUSTOM_CONFIG_INIT;
    prepare.option = QNN_HTP_CONTEXT_CONFIG_OPTION_PREPARE_ONLY;
    prepare.isPrepareOnly = true;
    QnnContext_Config_t custom = QNN_CONTEXT_CONFIG_INIT;
    custom.option = QNN_CONTEXT_CONFIG_OPTION_CUSTOM;
    custom.customConfig = reinterpret_cast<QnnContext_CustomConfig_t>(&prepare);
    ConfigList<QnnContext_Config_t> configs{depth, custom};
    const Qnn_ErrorHandle_t error = api_.backendCreate(nullptr, nullptr, &backend_);
    if (error != QNN_SUCCESS) {
      return error;
    }
    return api_.contextCreate(backend_, device_, configs.data(), &context_);
  }

  Qnn_ErrorHandle_t vote(std::uint32_t device, std::uint32_t core) {
    QnnDevice_Infrastructure_t infrastructure = nullptr;
    api_.deviceGetInfrastructure(&infrastructure);
    // The opaque struct of the core API is HTP's own: a static_cast is enough.
    auto* htp = static_cast<QnnHtpDevice_Infrastructure_t*>(infrastructure);
    QnnHtpDevice_PerfInfrastructure_t perf = QNN_HTP_DEVICE_PERF_INFRASTRUCTURE_INIT;
    perf = htp->perfInfra;
    std::uint32_t id = 0;
    perf.createPowerConfigId(device, core, &id);
    QnnHtpPerfInfrastructure_PowerConfig_t latency = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIG_INIT;
    latency.option = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_RPC_CONTROL_LATENCY;
    latency.rpcControlLatencyConfig = 100;
    ConfigList<QnnHtpPerfInfrastructure_PowerConfig_t> configs{latency};
    return perf.setPowerConfig(id, configs.data());
  }

  Qnn_ErrorHandle_t describe(std::vector<QnnHtpDevice_Arch_t>& architectures) {
    const QnnDevice_PlatformInfo_t* info = nullptr;
    const Qnn_ErrorHandle_t error = api_.deviceGetPlatformInfo(nullptr, &info);
    if (error != QNN_SUCCESS) {
      return error;
    }
    for (std::uint32_t i = 0; i < info->v1.numHwDevices; ++i) {
      const QnnHtpDevice_DeviceInfoExtension_t* extension =
          info->v1.hwDevices[i].v1.deviceInfoExtension;
      if (extension->devType == QNN_HTP_DEVICE_TYPE_ON_CHIP) {
        architectures.push_back(extension->onChipDevice.arch);
      }
    }
    return api_.deviceFreePlatformInfo(nullptr, info);
  }

  Qnn_ErrorHandle_t load(const std::vector<std::uint8_t>& binary) {
    Qnn_ContextBinaryCallback_t callback = {};
    callback.type = QNN_CONTEXT_CALLBACK_DMA_BUFFER;
    callback.dmaBufferCallback.version = QNN_CONTEXT_CALLBACK_DMA_BUFFER_VERSION_1;
    callback.dmaBufferCallback.v1.dataProvide = &Client::provide;
    callback.dmaBufferCallback.v1.dataRelease = &Client::release;
    callback.dmaBufferCallback.v1.notifyParam = this;
    const Qnn_ErrorHandle_t error = api_.contextCreateFromBinaryWithCallback(
        backend_, device_, nullptr, &callback, binary.data(), binary.size(), &context_, nullptr,
        nullptr);
    if (error == QNN_SUCCESS) {
      return error;
    }
    return api_.contextCreateFromBinary(backend_, device_, nullptr, binary.data(), binary.size(),
                                        &context_, nullptr);
  }

  Qnn_ErrorHandle_t execute(Qnn_GraphHandle_t graph) {
    std::array<std::uint32_t, 4> shape{1, 224, 224, 3};
    std::vector<Qnn_Tensor_t> inputs(1, Qnn_Tensor_t(QNN_TENSOR_INIT));
    inputs[0].v1.dimensions = shape.data();
    inputs[0].v1.rank = static_cast<std::uint32_t>(shape.size());
    Qnn_Tensor_t output = QNN_TENSOR_INIT;
    output.version = QNN_TENSOR_VERSION_2;
    output.v2 = QNN_TENSOR_V2_INIT;
    output.v2.memHandle = nullptr;
    Qnn_Param_t param = QNN_PARAM_INIT;
    param.name = QNN_OP_SOFTMAX_PARAM_BETA;
    param.paramType = QNN_PARAMTYPE_SCALAR;
    param.scalarParam = Qnn_Scalar_t{QNN_DATATYPE_FLOAT_32, {1.0f}};
    Qnn_OpConfig_t op = QNN_OPCONFIG_INIT;
    op.v1 = QNN_OPCONFIG_V1_INIT;
    op.v1.params = &param;
    op.v1.typeName = QNN_OP_SOFTMAX;
    api_.backendValidateOpConfig(backend_, op);
    return api_.graphExecuteAsync(graph, inputs.data(), 1, &output, 1, nullptr, nullptr,
                                  [](void*, Qnn_NotifyStatus_t) {}, this);
  }

 private:
  static Qnn_ErrorHandle_t provide(Qnn_ContextBinaryDataRequest_t request,
                                   Qnn_ContextBinaryDmaDataResponse_t* response, void*) {
    response->dataStartOffset = 0;
    response->alignedSize = request.size;
    response->dmaBuffer = QNN_MEM_DMA_BUF_INFO_INIT;
    return QNN_SUCCESS;
  }
  static Qnn_ErrorHandle_t release(Qnn_ContextBinaryDmaDataMem_t, void*) { return QNN_SUCCESS; }

  const QNN_INTERFACE_VER_TYPE& api_;
  Qnn_BackendHandle_t backend_ = nullptr;
  Qnn_DeviceHandle_t device_ = nullptr;
  Qnn_ContextHandle_t context_ = nullptr;
};

}  // namespace

int main() {
  const QnnInterface_t** providers = nullptr;
  std::uint32_t count = 0;
  QnnInterface_t interface = QNN_INTERFACE_INIT;
  QnnSystemInterface_t system = QNN_SYSTEM_INTERFACE_INIT;
  if (QnnInterface_getProviders(&providers, &count) == QNN_SUCCESS && count > 0) {
    interface = *providers[0];
  }
  std::vector<QnnHtpDevice_Arch_t> architectures;
  Client client(interface);
  const bool done = client.open() == QNN_SUCCESS && client.vote(0, 0) == QNN_SUCCESS &&
                    client.describe(architectures) == QNN_SUCCESS &&
                    client.load({}) == QNN_SUCCESS && client.execute(nullptr) == QNN_SUCCESS;
  return done && system.backendId == QNN_BACKEND_ID_NULL ? 0 : 1;
}
