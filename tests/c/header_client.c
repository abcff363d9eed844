// std: c11
// SPDX-License-Identifier: Apache-2.0 OR MIT
// A client as it is written for QNN, in C11: compiling it without a warning is the test.
// (header_layout.c checks the layout, qnn_initializers.c what the initialisers contain.)

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "HTP/QnnHtpCommon.h"
#include "HTP/QnnHtpContext.h"
#include "HTP/QnnHtpDevice.h"
#include "HTP/QnnHtpGraph.h"
#include "HTP/QnnHtpMem.h"
#include "HTP/QnnHtpProfile.h"
#include "HTP/QnnHtpProperty.h"
#include "QnnInterface.h"
#include "QnnOpDef.h"
#include "QnnOpPackage.h"
#include "System/QnnSystemInterface.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// Numbers a client may have compiled in.
static_assert(QNN_SUCCESS == 0, "success");
static_assert(QNN_API_VERSION_MAJOR == 2 && QNN_API_VERSION_MINOR == 40, "core version");
static_assert(QNN_SYSTEM_API_VERSION_MAJOR == 1 && QNN_SYSTEM_API_VERSION_MINOR == 15, "system");
static_assert(QNN_HTP_API_VERSION_MAJOR == 5 && QNN_HTP_API_VERSION_MINOR == 51, "HTP version");
static_assert(QNN_BACKEND_ID_HTP == 6, "backend id");
static_assert(QNN_COMMON_ERROR_SYSTEM_COMMUNICATION == 1007, "communication error");
static_assert(QNN_COMMON_ERR_SYSTEM_COMMUNICATION == QNN_COMMON_ERROR_SYSTEM_COMMUNICATION,
              "both spellings");
static_assert(QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE == 1000, "context error");
static_assert(QNN_MIN_ERROR_CONTEXT == 5000 && QNN_MAX_ERROR_CONTEXT == 5999, "context errors");
static_assert(DCVS_VOLTAGE_CORNER_DISABLE == DCVS_VOLTAGE_VCORNER_DISABLE, "both spellings");
static_assert(QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE == QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE_IN_MB,
              "both spellings");
static_assert(QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIG_MAX_RPC_POLLING_TIME == 9999, "polling");
static_assert(offsetof(QnnInterface_t, QNN_INTERFACE_VER_NAME.backendRegisterOpPackageFromBinary) ==
                  40 + 74 * sizeof(void*),
              "last entry");
static_assert(sizeof(QNN_INTERFACE_VER_TYPE) == 75 * sizeof(void*), "core table");
static_assert(sizeof(QNN_SYSTEM_INTERFACE_VER_TYPE) == 89 * sizeof(void*), "system table");

static const QnnInterface_t* choose_provider(void) {
  const QnnInterface_t** providers = NULL;
  uint32_t count = 0;
  if (QnnInterface_getProviders(&providers, &count) != QNN_SUCCESS) {
    return NULL;
  }
  for (uint32_t i = 0; i < count; ++i) {
    const Qnn_Version_t* version = &providers[i]->apiVersion.coreApiVersion;
    if (providers[i]->backendId == QNN_BACKEND_ID_HTP && version->major == QNN_API_VERSION_MAJOR &&
        version->minor >= QNN_API_VERSION_MINOR &&
        strcmp(providers[i]->providerName, QNN_HTP_INTERFACE_PROVIDER_NAME) == 0) {
      return providers[i];
    }
  }
  return NULL;
}

static void on_log(const char* fmt, QnnLog_Level_t level, uint64_t timestamp, va_list args) {
  (void)timestamp;
  if (level <= QNN_LOG_LEVEL_WARN) {
    vfprintf(stderr, fmt, args);
  }
}

static void on_done(void* param, Qnn_NotifyStatus_t status) {
  *(Qnn_ErrorHandle_t*)param = status.error;
}

static Qnn_ErrorHandle_t create_context(const QnnInterface_t* qnn, Qnn_BackendHandle_t backend,
                                        Qnn_DeviceHandle_t device, Qnn_ContextHandle_t* context) {
  static const char* enabled[] = {"front", "rear", NULL};
  QnnHtpContext_CustomConfig_t custom[3] = {QNN_HTP_CONTEXT_CUSTOM_CONFIG_INIT,
                                            QNN_HTP_CONTEXT_CUSTOM_CONFIG_INIT,
                                            QNN_HTP_CONTEXT_CUSTOM_CONFIG_INIT};
  custom[0].option = QNN_HTP_CONTEXT_CONFIG_OPTION_WEIGHT_SHARING_ENABLED;
  custom[0].weightSharingEnabled = true;
  custom[1].option = QNN_HTP_CONTEXT_CONFIG_OPTION_IO_MEM_ESTIMATION;
  custom[1].ioMemEstimation = true;
  custom[1].ioMemoryEstimation = true;
  custom[2].option = QNN_HTP_CONTEXT_CONFIG_OPTION_REGISTER_MULTI_CONTEXTS;
  custom[2].groupRegistration.firstGroupHandle = NULL;
  custom[2].groupRegistration.maxSpillFillBuffer = UINT64_C(1) << 20;

  QnnContext_Config_t configs[10];
  for (size_t i = 0; i < COUNT(configs); ++i) {
    configs[i] = (QnnContext_Config_t)QNN_CONTEXT_CONFIG_INIT;
  }
  configs[0].option = QNN_CONTEXT_CONFIG_OPTION_PRIORITY;
  configs[0].priority = QNN_PRIORITY_NORMAL_HIGH;
  configs[1].option = QNN_CONTEXT_CONFIG_ASYNC_EXECUTION_QUEUE_DEPTH;
  configs[1].asyncExeQueueDepth.type = QNN_CONTEXT_ASYNC_EXECUTION_QUEUE_DEPTH_TYPE_NUMERIC;
  configs[1].asyncExeQueueDepth.depth = 32;
  configs[2].option = QNN_CONTEXT_CONFIG_ENABLE_GRAPHS;
  configs[2].enableGraphs = enabled;
  configs[3].option = QNN_CONTEXT_CONFIG_MEMORY_LIMIT_HINT;
  configs[3].memoryLimitHint = 64;
  configs[4].option = QNN_CONTEXT_CONFIG_PERSISTENT_BINARY;
  configs[4].isPersistentBinary = 1;
  configs[5].option = QNN_CONTEXT_CONFIG_BINARY_COMPATIBILITY;
  configs[5].binaryCompatibilityType = QNN_CONTEXT_BINARY_COMPATIBILITY_STRICT;
  configs[6].option = QNN_CONTEXT_CONFIG_OPTION_DEFER_GRAPH_INIT;
  configs[6].isGraphInitDeferred = 1;
  for (size_t i = 0; i < COUNT(custom); ++i) {
    configs[7 + i].option = QNN_CONTEXT_CONFIG_OPTION_CUSTOM;
    configs[7 + i].customConfig = &custom[i];
  }
  const QnnContext_Config_t* list[COUNT(configs) + 1] = {NULL};
  for (size_t i = 0; i < COUNT(configs); ++i) {
    list[i] = &configs[i];
  }
  return qnn->QNN_INTERFACE_VER_NAME.contextCreate(backend, device, list, context);
}

static Qnn_Tensor_t make_input(uint32_t* dimensions, uint32_t rank) {
  Qnn_Tensor_t tensor = QNN_TENSOR_INIT;
  tensor.version = QNN_TENSOR_VERSION_1;
  tensor.v1.name = "image";
  tensor.v1.type = QNN_TENSOR_TYPE_APP_WRITE;
  tensor.v1.dataFormat = QNN_TENSOR_DATA_FORMAT_FLAT_BUFFER;
  tensor.v1.dataType = QNN_DATATYPE_UFIXED_POINT_8;
  tensor.v1.quantizeParams.encodingDefinition = QNN_DEFINITION_DEFINED;
  tensor.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_SCALE_OFFSET;
  tensor.v1.quantizeParams.scaleOffsetEncoding.scale = 1.0f / 255.0f;
  tensor.v1.quantizeParams.scaleOffsetEncoding.offset = 0;
  tensor.v1.rank = rank;
  tensor.v1.dimensions = dimensions;
  tensor.v1.memType = QNN_TENSORMEMTYPE_MEMHANDLE;
  tensor.v1.memHandle = NULL;
  return tensor;
}

static Qnn_Tensor_t make_weights(uint32_t* dimensions, Qnn_ScaleOffset_t* scales, void* data,
                                 uint32_t size) {
  Qnn_Tensor_t tensor = QNN_TENSOR_INIT;
  tensor.version = QNN_TENSOR_VERSION_2;
  tensor.v2 = (Qnn_TensorV2_t)QNN_TENSOR_V2_INIT;
  tensor.v2.name = "weights";
  tensor.v2.type = QNN_TENSOR_TYPE_STATIC;
  tensor.v2.dataType = QNN_DATATYPE_SFIXED_POINT_8;
  tensor.v2.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET;
  tensor.v2.quantizeParams.axisScaleOffsetEncoding.axis = 3;
  tensor.v2.quantizeParams.axisScaleOffsetEncoding.numScaleOffsets = dimensions[3];
  tensor.v2.quantizeParams.axisScaleOffsetEncoding.scaleOffset = scales;
  tensor.v2.rank = 4;
  tensor.v2.dimensions = dimensions;
  tensor.v2.memType = QNN_TENSORMEMTYPE_RAW;
  tensor.v2.clientBuf.data = data;
  tensor.v2.clientBuf.dataSize = size;
  tensor.v2.isDynamicDimensions = NULL;
  tensor.v2.sparseParams.type = QNN_SPARSE_LAYOUT_UNDEFINED;
  return tensor;
}

static Qnn_ErrorHandle_t add_convolution(const QnnInterface_t* qnn, Qnn_GraphHandle_t graph,
                                         Qnn_Tensor_t* inputs, uint32_t count,
                                         Qnn_Tensor_t* output, uint32_t* strideShape,
                                         uint32_t* stride) {
  Qnn_Param_t params[2] = {QNN_PARAM_INIT, QNN_PARAM_INIT};
  params[0].paramType = QNN_PARAMTYPE_TENSOR;
  params[0].name = QNN_OP_CONV_2D_PARAM_STRIDE;
  params[0].tensorParam = make_input(strideShape, 1);
  params[0].tensorParam.v1.type = QNN_TENSOR_TYPE_STATIC;
  params[0].tensorParam.v1.memType = QNN_TENSORMEMTYPE_RAW;
  params[0].tensorParam.v1.clientBuf.data = stride;
  params[0].tensorParam.v1.clientBuf.dataSize = 2 * sizeof(uint32_t);
  params[1].paramType = QNN_PARAMTYPE_SCALAR;
  params[1].name = QNN_OP_CONV_2D_PARAM_GROUP;
  params[1].scalarParam.dataType = QNN_DATATYPE_UINT_32;
  params[1].scalarParam.uint32Value = 1;
  Qnn_OpConfig_t op = QNN_OPCONFIG_INIT;
  op.version = QNN_OPCONFIG_VERSION_1;
  op.v1.name = "conv0";
  op.v1.packageName = QNN_OP_PACKAGE_NAME_QTI_AISW;
  op.v1.typeName = QNN_OP_CONV_2D;
  op.v1.numOfParams = COUNT(params);
  op.v1.params = params;
  op.v1.numOfInputs = count;
  op.v1.inputTensors = inputs;
  op.v1.numOfOutputs = 1;
  op.v1.outputTensors = output;
  return qnn->QNN_INTERFACE_VER_NAME.graphAddNode(graph, op);
}

static Qnn_ErrorHandle_t create_graph(const QnnInterface_t* qnn, Qnn_ContextHandle_t context,
                                      Qnn_GraphHandle_t* graph) {
  QnnHtpGraph_CustomConfig_t precision = QNN_HTP_GRAPH_CUSTOM_CONFIG_INIT;
  precision.option = QNN_HTP_GRAPH_CONFIG_OPTION_PRECISION;
  precision.precision = QNN_PRECISION_FLOAT16;
  QnnHtpGraph_CustomConfig_t optimization = QNN_HTP_GRAPH_CUSTOM_CONFIG_INIT;
  optimization.option = QNN_HTP_GRAPH_CONFIG_OPTION_OPTIMIZATION;
  optimization.optimizationOption.type =
      QNN_HTP_GRAPH_OPTIMIZATION_TYPE_FINALIZE_OPTIMIZATION_FLAG;
  optimization.optimizationOption.floatValue = 3.0f;
  QnnHtpGraph_CustomConfig_t vtcm = QNN_HTP_GRAPH_CUSTOM_CONFIG_INIT;
  vtcm.option = QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE;
  vtcm.vtcmSizeInMB = 8;
  QnnGraph_Config_t configs[4] = {QNN_GRAPH_CONFIG_INIT, QNN_GRAPH_CONFIG_INIT,
                                  QNN_GRAPH_CONFIG_INIT, QNN_GRAPH_CONFIG_INIT};
  configs[0].option = QNN_GRAPH_CONFIG_OPTION_CUSTOM;
  configs[0].customConfig = &precision;
  configs[1].option = QNN_GRAPH_CONFIG_OPTION_CUSTOM;
  configs[1].customConfig = &optimization;
  configs[2].option = QNN_GRAPH_CONFIG_OPTION_CUSTOM;
  configs[2].customConfig = &vtcm;
  configs[3].option = QNN_GRAPH_CONFIG_OPTION_PRIORITY;
  configs[3].priority = QNN_PRIORITY_DEFAULT;
  const QnnGraph_Config_t* list[] = {&configs[0], &configs[1], &configs[2], &configs[3], NULL};
  return qnn->QNN_INTERFACE_VER_NAME.graphCreate(context, "front", list, graph);
}

static Qnn_ErrorHandle_t vote(QnnDevice_Infrastructure_t infrastructure) {
  // The opaque struct of the core API is HTP's: no cast is needed.
  const QnnHtpDevice_Infrastructure_t* htp = infrastructure;
  if (htp->infraType != QNN_HTP_DEVICE_INFRASTRUCTURE_TYPE_PERF) {
    return QNN_DEVICE_ERROR_UNSUPPORTED_FEATURE;
  }
  uint32_t id = 0;
  Qnn_ErrorHandle_t error = htp->perfInfra.createPowerConfigId(0, 0, &id);
  if (error != QNN_SUCCESS) {
    return QNN_GET_ERROR_CODE(error);
  }
  QnnHtpPerfInfrastructure_PowerConfig_t dcvs = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIG_INIT;
  dcvs.option = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_DCVS_V3;
  dcvs.dcvsV3Config.contextId = id;
  dcvs.dcvsV3Config.setDcvsEnable = 1;
  dcvs.dcvsV3Config.dcvsEnable = 0;
  dcvs.dcvsV3Config.powerMode = QNN_HTP_PERF_INFRASTRUCTURE_POWERMODE_PERFORMANCE_MODE;
  dcvs.dcvsV3Config.setBusParams = 1;
  dcvs.dcvsV3Config.busVoltageCornerMin = DCVS_VOLTAGE_VCORNER_TURBO;
  dcvs.dcvsV3Config.busVoltageCornerTarget = DCVS_VOLTAGE_VCORNER_TURBO;
  dcvs.dcvsV3Config.busVoltageCornerMax = DCVS_VOLTAGE_VCORNER_MAX_VOLTAGE_CORNER;
  dcvs.dcvsV3Config.setCoreParams = 1;
  dcvs.dcvsV3Config.coreVoltageCornerMin = DCVS_VOLTAGE_CORNER_DISABLE;
  QnnHtpPerfInfrastructure_PowerConfig_t polling = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIG_INIT;
  polling.option = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_RPC_POLLING_TIME;
  polling.rpcPollingTimeConfig = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIG_MAX_RPC_POLLING_TIME;
  QnnHtpPerfInfrastructure_PowerConfig_t hmx = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIG_INIT;
  hmx.option = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_HMX_V2;
  hmx.hmxV2Config.hmxPickDefault = 0;
  hmx.hmxV2Config.hmxVoltageCornerMin = DCVS_EXP_VCORNER_TUR;
  hmx.hmxV2Config.hmxPerfMode = QNN_HTP_PERF_INFRASTRUCTURE_CLK_PERF_HIGH;
  const QnnHtpPerfInfrastructure_PowerConfig_t* list[] = {&dcvs, &polling, &hmx, NULL};
  QnnHtpPerfInfrastructure_MemoryConfig_t memory = QNN_HTP_PERF_INFRASTRUCTURE_MEMORY_CONFIG_INIT;
  memory.option = QNN_HTP_PERF_INFRASTRUCTURE_MEMORY_CONFIGOPTION_GROW_SIZE;
  memory.memGrowSizeConfig = 1u << 20;
  const QnnHtpPerfInfrastructure_MemoryConfig_t* memories[] = {&memory, NULL};
  error = htp->perfInfra.setPowerConfig(id, list);
  if (error == QNN_HTP_PERF_INFRASTRUCTURE_ERROR_INVALID_INPUT) {
    return error;
  }
  error = htp->perfInfra.setMemoryConfig(0, 0, memories);
  return error != QNN_SUCCESS ? error : htp->perfInfra.destroyPowerConfigId(id);
}

static Qnn_ErrorHandle_t share_memory(const QnnInterface_t* qnn, Qnn_ContextHandle_t context,
                                      int fd, uint32_t* dimensions, Qnn_MemHandle_t* handles) {
  QnnMemHtp_Descriptor_t htp = {QNN_HTP_MEM_SHARED_BUFFER, 4096, {0}};
  htp.sharedBufferConfig.fd = fd;
  htp.sharedBufferConfig.offset = 2048;
  htp.type = QNN_HTP_MEM_SHARED_SPILLFILL_BUFFER;
  htp.sharedSpillfillBufferConfig.fd = fd;
  htp.spillfillBufferConfig.fd = fd;
  Qnn_MemDescriptor_t descriptors[2] = {QNN_MEM_DESCRIPTOR_INIT, QNN_MEM_DESCRIPTOR_INIT};
  descriptors[0].memShape.numDim = 4;
  descriptors[0].memShape.dimSize = dimensions;
  descriptors[0].dataType = QNN_DATATYPE_UFIXED_POINT_8;
  descriptors[0].memType = QNN_MEM_TYPE_ION;
  descriptors[0].ionInfo.fd = fd;
  descriptors[1].memType = QNN_MEM_TYPE_CUSTOM;
  descriptors[1].customInfo = &htp;
  return qnn->QNN_INTERFACE_VER_NAME.memRegister(context, descriptors, COUNT(descriptors), handles);
}

static Qnn_ErrorHandle_t run(const QnnInterface_t* qnn, QnnSystemContext_Handle_t system) {
  const QNN_INTERFACE_VER_TYPE* api = &qnn->QNN_INTERFACE_VER_NAME;
  Qnn_LogHandle_t log = NULL;
  Qnn_BackendHandle_t backend = NULL;
  Qnn_DeviceHandle_t device = NULL;
  Qnn_ContextHandle_t context = NULL;
  Qnn_GraphHandle_t graph = NULL;
  Qnn_ProfileHandle_t profile = NULL;
  Qnn_SignalHandle_t signal = NULL;
  QnnBackend_Config_t backendConfig = QNN_BACKEND_CONFIG_INIT;
  backendConfig.option = QNN_BACKEND_CONFIG_OPTION_ERROR_REPORTING;
  backendConfig.errorConfig.reportingLevel = QNN_ERROR_REPORTING_LEVEL_BRIEF;
  const QnnBackend_Config_t* backendConfigs[] = {&backendConfig, NULL};
  QnnHtpDevice_CustomConfig_t arch = {QNN_HTP_DEVICE_CONFIG_OPTION_ARCH, {0}};
  arch.arch.arch = QNN_HTP_DEVICE_ARCH_V73;
  arch.arch.deviceId = 0;
  QnnDevice_Config_t deviceConfig = QNN_DEVICE_CONFIG_INIT;
  deviceConfig.option = QNN_DEVICE_CONFIG_OPTION_CUSTOM;
  deviceConfig.customConfig = &arch;
  const QnnDevice_Config_t* deviceConfigs[] = {&deviceConfig, NULL};
  QnnSignal_Config_t signalConfig = QNN_SIGNAL_CONFIG_INIT;
  signalConfig.option = QNN_SIGNAL_CONFIG_OPTION_TIMEOUT;
  signalConfig.timeoutDurationUs = 10000;
  const QnnSignal_Config_t* signalConfigs[] = {&signalConfig, NULL};
  Qnn_ErrorHandle_t done = QNN_SUCCESS;
  uint32_t shape[4] = {1, 32, 32, 3};
  uint32_t kernel[4] = {3, 3, 3, 1};
  uint32_t strideShape[1] = {2};
  uint32_t stride[2] = {1, 1};
  int8_t weights[27] = {0};
  Qnn_ScaleOffset_t scales[1] = {QNN_SCALE_OFFSET_INIT};
  Qnn_MemHandle_t handles[2] = {NULL, NULL};
  QnnDevice_Infrastructure_t infrastructure = NULL;
  const QnnProfile_EventId_t* events = NULL;
  uint32_t eventCount = 0;

  Qnn_Tensor_t inputs[2] = {make_input(shape, 4),
                            make_weights(kernel, scales, weights, sizeof weights)};
  Qnn_Tensor_t output = make_input(shape, 4);
  output.v1.type = QNN_TENSOR_TYPE_APP_READ;
  Qnn_ErrorHandle_t errors[] = {
      api->logCreate(on_log, QNN_LOG_LEVEL_WARN, &log),
      api->backendCreate(log, backendConfigs, &backend),
      api->deviceCreate(log, deviceConfigs, &device),
      api->deviceGetInfrastructure(&infrastructure),
      vote(infrastructure),
      api->profileCreate(backend, QNN_PROFILE_LEVEL_BASIC, &profile),
      api->signalCreate(backend, signalConfigs, &signal),
      create_context(qnn, backend, device, &context),
      create_graph(qnn, context, &graph),
      api->tensorCreateGraphTensor(graph, &inputs[0]),
      add_convolution(qnn, graph, inputs, COUNT(inputs), &output, strideShape, stride),
      api->graphFinalize(graph, profile, signal),
      share_memory(qnn, context, 3, shape, handles),
      api->graphExecuteAsync(graph, inputs, 1, &output, 1, profile, signal, on_done, &done),
      api->profileGetEvents(profile, &events, &eventCount),
      api->propertyHasCapability(QNN_PROPERTY_GRAPH_SUPPORT_ASYNC_EXECUTION),
      QnnSystemContext_free(system),
      api->contextFree(context, profile),
  };
  for (size_t i = 0; i < COUNT(errors); ++i) {
    if (QNN_GET_ERROR_CODE(errors[i]) != QNN_SUCCESS) {
      return errors[i];
    }
  }
  return done;
}

int main(void) {
  const QnnInterface_t* qnn = choose_provider();
  const QnnSystemInterface_t** systems = NULL;
  uint32_t count = 0;
  QnnSystemContext_Handle_t system = NULL;
  if (qnn == NULL || QnnSystemInterface_getProviders(&systems, &count) != QNN_SUCCESS ||
      count == 0 ||
      systems[0]->QNN_SYSTEM_INTERFACE_VER_NAME.systemContextCreate(&system) != QNN_SUCCESS) {
    return 1;
  }
  return run(qnn, system) == QNN_SUCCESS ? 0 : 1;
}
