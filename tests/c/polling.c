// SPDX-License-Identifier: Apache-2.0 OR MIT
// A system without threads, as README.md shows it: memory from static arrays, a clock of its own,
// htp_rt_poll in a loop. The scenario runs in two processes, whose traces must be the same bytes.

#define _POSIX_C_SOURCE 200809L    // popen

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "QnnInterface.h"
#include "htp_runtime.h"
#include "support/check.h"

#define DEPTH 8
#define IMAGE_BYTES 64
#define CLASSES 10
#define HEADROOM_BYTES (1u << 20)

static uint8_t memory[4u << 20];
static uint8_t device_memory[2u << 20];
static uint8_t network[1u << 20];
static uint8_t images[DEPTH * IMAGE_BYTES];
static uint8_t answers[DEPTH * CLASSES];

// The system's clock: it stands still unless it is turned.
static uint64_t clock_us = 1000;

static const QNN_INTERFACE_VER_TYPE* qnn;
static Qnn_BackendHandle_t backend;
static Qnn_DeviceHandle_t device;
static Qnn_ContextHandle_t context;
static Qnn_GraphHandle_t graph;

// One request: its memory, and what it was told.
typedef struct {
  htp_rt_tensor_info_t infos[3];
  Qnn_Tensor_t input;
  Qnn_Tensor_t outputs[2];
  uint8_t image[IMAGE_BYTES];
  uint8_t logits[CLASSES];
  uint8_t probabilities[CLASSES];
  Qnn_ErrorHandle_t error;
  unsigned told;
} Request;

static Request requests[DEPTH];
static unsigned told;

static void on_done(void* param, const htp_rt_completion_t* completion) {
  Request* request = (Request*)param;
  request->error = completion->error;
  ++request->told;
  ++told;
}

static size_t read_file(const char* path, uint8_t* bytes, size_t capacity) {
  size_t count = 0;
  FILE* file = fopen(path, "rb");
  if (file != NULL) {
    count = fread(bytes, 1, capacity, file);
    (void)fclose(file);
  }
  return count;
}

static void bind(const char* name, uint8_t* bytes, htp_rt_tensor_info_t* info,
                 Qnn_Tensor_t* tensor) {
  const Qnn_Tensor_t empty = QNN_TENSOR_INIT;
  uint32_t index = 0;
  *tensor = empty;
  while (htp_rt_graph_tensor(graph, index, info) == QNN_SUCCESS &&
         strcmp((const char*)info->name, name) != 0) {
    ++index;
  }
  tensor->v1.id = info->id;
  tensor->v1.type = info->kind;
  tensor->v1.dataType = info->data_type;
  tensor->v1.memType = QNN_TENSORMEMTYPE_RAW;
  tensor->v1.clientBuf.data = bytes;
  tensor->v1.clientBuf.dataSize = (uint32_t)info->size_bytes;
}

static void open_context(size_t network_bytes) {
  QnnContext_Config_t config = QNN_CONTEXT_CONFIG_INIT;
  const QnnContext_Config_t* list[2] = {NULL, NULL};
  unsigned index;
  config.option = QNN_CONTEXT_CONFIG_ASYNC_EXECUTION_QUEUE_DEPTH;
  config.asyncExeQueueDepth.type = QNN_CONTEXT_ASYNC_EXECUTION_QUEUE_DEPTH_TYPE_NUMERIC;
  config.asyncExeQueueDepth.depth = DEPTH;
  list[0] = &config;
  CHECK(qnn->contextCreateFromBinary(backend, device, list, network, network_bytes, &context,
                                     NULL) == QNN_SUCCESS);
  CHECK(qnn->graphRetrieve(context, "digits", &graph) == QNN_SUCCESS);
  for (index = 0; index < DEPTH; ++index) {
    Request* request = &requests[index];
    memcpy(request->image, images + index * IMAGE_BYTES, IMAGE_BYTES);
    bind("image", request->image, &request->infos[0], &request->input);
    bind("logits", request->logits, &request->infos[1], &request->outputs[0]);
    bind("probabilities", request->probabilities, &request->infos[2], &request->outputs[1]);
  }
}

static Qnn_ErrorHandle_t submit(Request* request) {
  request->told = 0;
  memset(request->logits, 0xAA, sizeof request->logits);
  return htp_rt_graph_try_execute_async(graph, &request->input, 1, request->outputs, 2, NULL,
                                        &on_done, request, NULL);
}

// Submits the requests from `first` on; none is told anything before the next poll.
static void submit_from(unsigned first) {
  unsigned index;
  told = 0;
  for (index = first; index < DEPTH; ++index) {
    CHECK(submit(&requests[index]) == QNN_SUCCESS);
  }
  CHECK(told == 0);
}

// The loop of such a system, until this many were told: poll, then sleep until something is due.
static void poll_until(unsigned count) {
  uint64_t next_us = 0;
  while (told < count && next_us != UINT64_MAX) {
    CHECK(htp_rt_poll(clock_us, &next_us) == QNN_SUCCESS);
    CHECK(htp_rt_now_us() == clock_us);
    if (told < count && next_us != UINT64_MAX) {
      CHECK(next_us > clock_us);
      clock_us = next_us;
    }
  }
  CHECK(told == count);
}

static void check_each(unsigned first, unsigned end, Qnn_ErrorHandle_t error) {
  unsigned index;
  for (index = first; index < end; ++index) {
    const Request* request = &requests[index];
    CHECK(request->told == 1);
    CHECK(request->error == error);
    if (error == QNN_SUCCESS) {
      CHECK(memcmp(request->logits, answers + index * CLASSES, CLASSES) == 0);
    }
  }
}

static void initialise(void) {
  htp_rt_vdev_config_t vdev;
  htp_rt_config_t config;
  const QnnInterface_t** providers = NULL;
  uint32_t count = 0;
  memset(&vdev, 0, sizeof vdev);
  vdev.struct_size = sizeof vdev;
  vdev.pacing = HTP_RT_PACING_MODELLED;
  vdev.seed = 7;
  CHECK(htp_rt_vdev_configure(&vdev) == QNN_SUCCESS);
  memset(&config, 0, sizeof config);
  config.struct_size = sizeof config;
  config.flags = HTP_RT_INIT_NO_THREADS;
  config.memory = memory;
  config.memory_bytes = sizeof memory;
  config.device_memory = device_memory;
  config.device_memory_bytes = sizeof device_memory;
  config.capacities.contexts = 2;
  config.capacities.graphs = 2;
  config.capacities.requests = 2 * DEPTH;
  config.capacities.trace_records = 4096;
  CHECK(htp_rt_memory_required(&config.capacities) + HEADROOM_BYTES <= sizeof memory);
  CHECK(htp_rt_poll(clock_us, NULL) == QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
  CHECK(htp_rt_init(&config) == QNN_SUCCESS);
  CHECK(htp_rt_poll(clock_us, NULL) == QNN_SUCCESS);
  CHECK(QnnInterface_getProviders(&providers, &count) == QNN_SUCCESS && count == 1);
  qnn = &providers[0]->QNN_INTERFACE_VER_NAME;
  CHECK(qnn->backendCreate(NULL, NULL, &backend) == QNN_SUCCESS);
  CHECK(qnn->deviceCreate(NULL, NULL, &device) == QNN_SUCCESS);
}

static void on_qnn_done(void* param, Qnn_NotifyStatus_t status) {
  (void)param;
  (void)status;
  ++told;
}

// A full queue refuses. Where nobody else drives and the clock stands still, waiting for room would
// be waiting for ever: that call ends with a time-out at once, and has queued nothing.
static void check_a_full_queue(void) {
  Request* request = &requests[0];
  const uint64_t before_us = htp_rt_now_us();
  CHECK(submit(request) == QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE);
  CHECK(qnn->graphExecuteAsync(graph, &request->input, 1, request->outputs, 2, NULL, NULL,
                               &on_qnn_done, NULL) == QNN_GRAPH_ERROR_TIMED_OUT);
  CHECK(htp_rt_now_us() == before_us);
}

static void check_the_end(uint64_t memory_used_bytes) {
  htp_rt_stats_t stats;
  CHECK(htp_rt_stats(&stats) == QNN_SUCCESS);
  CHECK(stats.contexts == 0);
  CHECK(stats.restarts == 1 && stats.epoch == 2);
  CHECK(stats.faults == 0 && stats.hangs == 0 && stats.blocks_leaked == 0);
  CHECK(stats.memory_used_bytes == memory_used_bytes);
  CHECK(qnn->deviceFree(device) == QNN_SUCCESS);
  CHECK(qnn->backendFree(backend) == QNN_SUCCESS);
}

static bool to_stdout(void* param, const uint8_t* bytes, size_t count) {
  (void)param;
  return fwrite(bytes, 1, count, stdout) == count;
}

static void run_scenario(void) {
  const size_t network_bytes = read_file("data/digits/digits.htpb", network, sizeof network);
  htp_rt_stats_t empty;
  CHECK(network_bytes > 0 && network_bytes < sizeof network);
  CHECK(read_file("data/digits/images.bin", images, sizeof images) == sizeof images);
  CHECK(read_file("data/digits/logits.bin", answers, sizeof answers) == sizeof answers);
  initialise();
  CHECK(htp_rt_stats(&empty) == QNN_SUCCESS);
  open_context(network_bytes);

  // Three requests are served, then the DSP crashes under the other five.
  submit_from(0);
  check_a_full_queue();
  poll_until(3);
  check_each(0, 3, QNN_SUCCESS);
  CHECK(htp_rt_vdev_crash(HTP_RT_VDEV_CRASH_NOW) == QNN_SUCCESS);
  poll_until(DEPTH);
  check_each(3, DEPTH, QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
  CHECK(submit(&requests[3]) == QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);

  // The client frees, loads again, and submits what was not done.
  CHECK(qnn->contextFree(context, NULL) == QNN_SUCCESS);
  open_context(network_bytes);
  submit_from(3);
  poll_until(DEPTH - 3);
  check_each(3, DEPTH, QNN_SUCCESS);

  // Freeing a context with a full queue: each request is told once, by the next polls.
  submit_from(0);
  CHECK(qnn->contextFree(context, NULL) == QNN_SUCCESS);
  poll_until(DEPTH);
  check_each(0, DEPTH, QNN_GRAPH_ERROR_ABORTED);
  CHECK(htp_rt_poll(clock_us, NULL) == QNN_SUCCESS);
  CHECK(told == DEPTH);
  check_the_end(empty.memory_used_bytes);
}

// What a process prints that runs the scenario; to be freed. NULL if one of its checks failed.
static char* trace_of(const char* program, size_t* length) {
  static char command[4096];
  size_t capacity = 1u << 22;
  char* text = (char*)malloc(capacity);
  FILE* output = NULL;
  const char* runner = getenv("HTP_TEST_RUNNER");    // set where only an emulator runs this
  (void)snprintf(command, sizeof command, "%s '%s' scenario", runner == NULL ? "" : runner,
                 program);
  output = popen(command, "r");
  if (text == NULL || output == NULL) {
    free(text);
    return NULL;
  }
  *length = fread(text, 1, capacity, output);
  if (pclose(output) != 0 || *length == capacity) {
    free(text);
    return NULL;
  }
  return text;
}

// REQ: ASYNC-002, ASYNC-023, ASYNC-024, ASYNC-040
static int scenario(void) {
  run_scenario();
  CHECK(htp_rt_trace_write_json(&to_stdout, NULL) == QNN_SUCCESS);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char** argv) {
  size_t length = 0;
  size_t again_length = 0;
  char* trace;
  char* again;
  if (argc > 1) {
    return scenario();
  }
  trace = trace_of(argv[0], &length);
  again = trace_of(argv[0], &again_length);
  CHECK(trace != NULL && length > 1000);
  CHECK(again != NULL && again_length == length);
  CHECK(trace != NULL && again != NULL && memcmp(trace, again, length) == 0);
  free(trace);
  free(again);
  return check_report();
}
