// SPDX-License-Identifier: Apache-2.0 OR MIT
// The smallest whole use of the QNN interface: find the provider, compose, finalize, execute, free.
// And what a log callback is given: a va_list that is made by hand.

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "QnnInterface.h"
#include "QnnOpDef.h"
#include "System/QnnSystemInterface.h"
#include "support/check.h"

static const QNN_INTERFACE_VER_TYPE* qnn;

static void test_provider(void) {
  const QnnInterface_t** providers = NULL;
  uint32_t count = 0;
  CHECK(QnnInterface_getProviders(NULL, &count) == QNN_COMMON_ERROR_INVALID_ARGUMENT);
  CHECK(QnnInterface_getProviders(&providers, NULL) == QNN_COMMON_ERROR_INVALID_ARGUMENT);
  CHECK(QnnInterface_getProviders(&providers, &count) == QNN_SUCCESS);
  CHECK(count == 1 && providers != NULL && providers[0]->backendId == 6);
  qnn = &providers[0]->QNN_INTERFACE_VER_NAME;
  const void* entries[75];
  memcpy(entries, qnn, sizeof(entries));
  int present = 0;
  for (int i = 0; i < 75; ++i) {
    present += entries[i] != NULL;
  }
  CHECK(present == 75);
  CHECK(qnn->contextFinalize(NULL, NULL) == QNN_COMMON_ERROR_NOT_SUPPORTED);
}

static void test_system_provider(void) {
  const QnnSystemInterface_t** providers = NULL;
  uint32_t count = 0;
  CHECK(QnnSystemInterface_getProviders(NULL, &count) == QNN_COMMON_ERROR_INVALID_ARGUMENT);
  CHECK(QnnSystemInterface_getProviders(&providers, &count) == QNN_SUCCESS && count == 1);
  QnnSystemContext_Handle_t handle = NULL;
  const QNN_SYSTEM_INTERFACE_VER_TYPE* system = &providers[0]->QNN_SYSTEM_INTERFACE_VER_NAME;
  CHECK(system->systemContextCreate(&handle) == QNN_SUCCESS && handle != NULL);
  CHECK(system->systemContextFree(handle) == QNN_SUCCESS);
  CHECK(system->systemContextFree(handle) == QNN_SYSTEM_CONTEXT_ERROR_INVALID_HANDLE);
  Qnn_LogHandle_t log = NULL;
  CHECK(system->systemLogCreate(NULL, QNN_LOG_LEVEL_ERROR, &log) == QNN_SUCCESS && log != NULL);
  CHECK(system->systemLogFree(log) == QNN_SUCCESS);
  CHECK(system->systemDlcFree(NULL) == QNN_COMMON_ERROR_NOT_SUPPORTED);
}

static char last_message[256];
static int messages;

static void on_log(const char* format, QnnLog_Level_t level, uint64_t timestamp, va_list args) {
  (void)level;
  (void)timestamp;
  vsnprintf(last_message, sizeof(last_message), format, args);
  ++messages;
}

static void test_log(void) {
  Qnn_LogHandle_t log = NULL;
  CHECK(qnn->logCreate(on_log, QNN_LOG_LEVEL_ERROR, NULL) == QNN_LOG_ERROR_INVALID_HANDLE);
  CHECK(qnn->logCreate(on_log, QNN_LOG_LEVEL_MAX, &log) == QNN_LOG_ERROR_INVALID_ARGUMENT);
  CHECK(qnn->logCreate(on_log, QNN_LOG_LEVEL_ERROR, &log) == QNN_SUCCESS && log != NULL);
  CHECK(qnn->backendFree(NULL) == QNN_BACKEND_ERROR_INVALID_HANDLE);
  CHECK(messages == 1);
  const char* expected = "QnnBackend_free: QNN_BACKEND_ERROR_INVALID_HANDLE: ";
  CHECK(strncmp(last_message, expected, strlen(expected)) == 0);
  CHECK(qnn->logSetLogLevel(log, (QnnLog_Level_t)0) == QNN_SUCCESS);
  CHECK(qnn->backendFree(NULL) == QNN_BACKEND_ERROR_INVALID_HANDLE && messages == 1);
  CHECK(qnn->logFree(log) == QNN_SUCCESS);
  CHECK(qnn->logFree(log) == QNN_LOG_ERROR_INVALID_ARGUMENT);
  CHECK(qnn->logFree(NULL) == QNN_LOG_ERROR_INVALID_HANDLE);
  CHECK(qnn->logSetLogLevel(log, QNN_LOG_LEVEL_WARN) == QNN_LOG_ERROR_INVALID_ARGUMENT);
}

static void test_messages(void) {
  const char* text = NULL;
  CHECK(qnn->errorGetMessage(1007, &text) == QNN_SUCCESS);
  CHECK(text != NULL && strstr(text, "QNN_COMMON_ERROR_SYSTEM_COMMUNICATION: ") == text);
  CHECK(qnn->errorGetMessage(0x103EF, &text) == QNN_SUCCESS);  // the code is in the low 16 bits
  CHECK(qnn->errorGetMessage(2001, &text) == QNN_ERROR_INVALID_ERROR_HANDLE && text == NULL);
  CHECK(qnn->errorGetMessage(0, NULL) == QNN_ERROR_INVALID_ARGUMENT);
}

static uint32_t shape[4] = {1, 1, 1, 4};

static Qnn_Tensor_t tensor(const char* name, Qnn_TensorType_t type) {
  Qnn_Tensor_t made = QNN_TENSOR_INIT;
  made.v1.name = name;
  made.v1.type = type;
  made.v1.dataType = QNN_DATATYPE_UFIXED_POINT_8;
  made.v1.quantizeParams.encodingDefinition = QNN_DEFINITION_DEFINED;
  made.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_SCALE_OFFSET;
  made.v1.quantizeParams.scaleOffsetEncoding.scale = 0.5f;
  made.v1.rank = 4;
  made.v1.dimensions = shape;
  return made;
}

// REQ: CTX-051
static void test_add(void) {
  Qnn_BackendHandle_t backend = NULL;
  Qnn_DeviceHandle_t device = NULL;
  Qnn_ContextHandle_t context = NULL;
  Qnn_GraphHandle_t graph = NULL;
  CHECK(qnn->backendCreate(NULL, NULL, &backend) == QNN_SUCCESS);
  CHECK(qnn->deviceCreate(NULL, NULL, &device) == QNN_SUCCESS);
  CHECK(qnn->contextCreate(backend, device, NULL, &context) == QNN_SUCCESS);
  QnnGraph_Config_t low = QNN_GRAPH_CONFIG_INIT;
  low.option = QNN_GRAPH_CONFIG_OPTION_PRIORITY;
  low.priority = QNN_PRIORITY_LOW;
  const QnnGraph_Config_t* configs[] = {&low, NULL};
  CHECK(qnn->graphCreate(context, "other", NULL, &graph) == QNN_SUCCESS);
  CHECK(qnn->graphCreate(context, "add", configs, &graph) == QNN_SUCCESS);

  Qnn_Tensor_t inputs[2] = {tensor("a", QNN_TENSOR_TYPE_APP_WRITE),
                            tensor("b", QNN_TENSOR_TYPE_APP_WRITE)};
  Qnn_Tensor_t output = tensor("sum", QNN_TENSOR_TYPE_APP_READ);
  CHECK(qnn->tensorCreateGraphTensor(graph, &inputs[0]) == QNN_SUCCESS && inputs[0].v1.id > 0);
  CHECK(qnn->tensorCreateGraphTensor(graph, &inputs[1]) == QNN_SUCCESS);
  CHECK(inputs[1].v1.id == inputs[0].v1.id + 1);
  CHECK(qnn->tensorCreateGraphTensor(graph, &output) == QNN_SUCCESS);

  Qnn_OpConfig_t op = QNN_OPCONFIG_INIT;
  op.v1.name = "add0";
  op.v1.packageName = QNN_OP_PACKAGE_NAME_QTI_AISW;
  op.v1.typeName = QNN_OP_ELEMENT_WISE_ADD;
  op.v1.numOfInputs = 2;
  op.v1.inputTensors = inputs;
  op.v1.numOfOutputs = 1;
  op.v1.outputTensors = &output;
  CHECK(qnn->backendValidateOpConfig(backend, op) == QNN_SUCCESS);
  CHECK(qnn->graphAddNode(graph, op) == QNN_SUCCESS);
  CHECK(qnn->graphFinalize(graph, NULL, NULL) == QNN_SUCCESS);

  uint8_t a[4] = {1, 2, 3, 250};
  uint8_t b[4] = {10, 20, 30, 40};
  uint8_t sum[4] = {0};
  inputs[0].v1.clientBuf.data = a;
  inputs[0].v1.clientBuf.dataSize = sizeof(a);
  inputs[1].v1.clientBuf.data = b;
  inputs[1].v1.clientBuf.dataSize = sizeof(b);
  output.v1.clientBuf.data = sum;
  output.v1.clientBuf.dataSize = sizeof(sum);
  CHECK(qnn->graphExecute(graph, inputs, 2, &output, 1, NULL, NULL) == QNN_SUCCESS);
  CHECK(sum[0] == 11 && sum[1] == 22 && sum[2] == 33 && sum[3] == 255);

  CHECK(qnn->contextFree(context, NULL) == QNN_SUCCESS);
  CHECK(qnn->contextFree(context, NULL) == QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK(qnn->deviceFree(device) == QNN_SUCCESS);
  CHECK(qnn->backendFree(backend) == QNN_SUCCESS);
}

int main(void) {
  test_provider();
  test_system_provider();
  test_log();
  test_messages();
  test_add();
  return check_report();
}
