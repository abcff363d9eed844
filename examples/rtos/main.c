// SPDX-License-Identifier: Apache-2.0 OR MIT
// A client without an operating system's threads, in C99: memory from static arrays, the network in
// flash, and a main loop that polls. It classifies images, sees the DSP crash, loads the network
// again and classifies the rest. `cargo xtask test --target thumbv7em` builds and runs it.
//
// On an RTOS the main loop is the task that owns the library, and `board_sleep` a wait for its
// event with a time-out.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "QnnInterface.h"
#include "board.h"
#include "htp_runtime.h"

#define IMAGES 32
#define BATCH 8
#define IMAGE_BYTES 64
#define CLASSES 10

extern const uint8_t digits_network[];
extern const uint8_t digits_network_end[];
extern const uint8_t digits_images[IMAGES * IMAGE_BYTES];
extern const uint8_t digits_logits[IMAGES * CLASSES];

static uint8_t memory[3u << 19];
static uint8_t device_memory[1u << 20];

static const QNN_INTERFACE_VER_TYPE* qnn;
static Qnn_BackendHandle_t backend;
static Qnn_DeviceHandle_t device;
static Qnn_ContextHandle_t context;
static Qnn_GraphHandle_t graph;

// One request of a batch: its memory, and what it was told.
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

static Request requests[BATCH];
static unsigned told;
// That of the timer's interrupt, which has the next image classified once the last one is.
static Request ticked;
static unsigned passed;
static unsigned failed;

static void say(const char* text) {
  size_t count = 0;
  while (text[count] != '\0') {
    ++count;
  }
  board_write(text, count);
}

static void say_number(unsigned number) {
  char digits[10];
  size_t first = sizeof digits;
  do {
    digits[--first] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  board_write(digits + first, sizeof digits - first);
}

static void check(bool holds, const char* what, unsigned line) {
  if (holds) {
    ++passed;
    return;
  }
  ++failed;
  say("line ");
  say_number(line);
  say(": ");
  say(what);
  say("\n");
}

#define CHECK(condition) check((condition), #condition, __LINE__)

// The library's time. With STEADY_CLOCK it depends on nothing but how often it was asked for, so a
// run is the same on every machine, and so is its trace.
static uint64_t now_us(void) {
#ifdef STEADY_CLOCK
  static uint64_t steady_us;
  steady_us += 100;
  return steady_us;
#else
  return board_now_us();
#endif
}

#ifdef STEADY_CLOCK
// FNV-1a of the trace as it comes.
static uint64_t trace_hash = 0xcbf29ce484222325u;

static bool hash_bytes(void* param, const uint8_t* bytes, size_t count) {
  size_t index;
  (void)param;
  for (index = 0; index < count; ++index) {
    trace_hash = (trace_hash ^ bytes[index]) * 0x100000001b3u;
  }
  return true;
}

static void say_trace(void) {
  int shift;
  CHECK(htp_rt_trace_write_json(&hash_bytes, NULL) == QNN_SUCCESS);
  say("trace ");
  for (shift = 60; shift >= 0; shift -= 4) {
    board_write(&"0123456789abcdef"[trace_hash >> shift & 0xf], 1);
  }
  say("\n");
}
#endif

static bool same(const void* one, const void* other, size_t count) {
  const uint8_t* a = (const uint8_t*)one;
  const uint8_t* b = (const uint8_t*)other;
  while (count > 0 && *a == *b) {
    ++a;
    ++b;
    --count;
  }
  return count == 0;
}

// Lends memory to the graph's input or output of that name; its length counts, with the end.
static void lend(const char* name, size_t length, uint8_t* bytes, htp_rt_tensor_info_t* info,
                 Qnn_Tensor_t* tensor) {
  const Qnn_Tensor_t empty = QNN_TENSOR_INIT;
  uint32_t index = 0;
  while (htp_rt_graph_tensor(graph, index, info) == QNN_SUCCESS &&
         !same(info->name, name, length)) {
    ++index;
  }
  *tensor = empty;
  tensor->v1.id = info->id;
  tensor->v1.type = info->kind;
  tensor->v1.dataType = info->data_type;
  tensor->v1.memType = QNN_TENSORMEMTYPE_RAW;
  tensor->v1.clientBuf.data = bytes;
  tensor->v1.clientBuf.dataSize = (uint32_t)info->size_bytes;
}

#define LEND(name, bytes, info, tensor) lend(name, sizeof name, bytes, info, tensor)

static void lend_request(Request* request) {
  LEND("image", request->image, &request->infos[0], &request->input);
  LEND("logits", request->logits, &request->infos[1], &request->outputs[0]);
  LEND("probabilities", request->probabilities, &request->infos[2], &request->outputs[1]);
}

static void load_network(void) {
  const size_t bytes = (size_t)(digits_network_end - digits_network);
  QnnContext_Config_t config = QNN_CONTEXT_CONFIG_INIT;
  const QnnContext_Config_t* list[2] = {NULL, NULL};
  unsigned index;
  config.option = QNN_CONTEXT_CONFIG_ASYNC_EXECUTION_QUEUE_DEPTH;
  config.asyncExeQueueDepth.type = QNN_CONTEXT_ASYNC_EXECUTION_QUEUE_DEPTH_TYPE_NUMERIC;
  config.asyncExeQueueDepth.depth = BATCH + 1;
  list[0] = &config;
  CHECK(qnn->contextCreateFromBinary(backend, device, list, digits_network, bytes, &context,
                                     NULL) == QNN_SUCCESS);
  CHECK(qnn->graphRetrieve(context, "digits", &graph) == QNN_SUCCESS);
  for (index = 0; index < BATCH; ++index) {
    lend_request(&requests[index]);
  }
  lend_request(&ticked);
}

static void start(void) {
  htp_rt_config_t config = {0};
  const QnnInterface_t** providers = NULL;
  uint32_t count = 0;
  config.struct_size = sizeof config;
  config.flags = HTP_RT_INIT_NO_THREADS;
  config.memory = memory;
  config.memory_bytes = sizeof memory;
  config.device_memory = device_memory;
  config.device_memory_bytes = sizeof device_memory;
  config.capacities.contexts = 1;
  config.capacities.graphs = 1;
  config.capacities.buffers = 1;
  config.capacities.requests = 2 * BATCH;
  config.capacities.profiles = 1;
  config.capacities.trace_records = 512;
  CHECK(htp_rt_init(&config) == QNN_SUCCESS);
  CHECK(QnnInterface_getProviders(&providers, &count) == QNN_SUCCESS && count == 1);
  qnn = &providers[0]->QNN_INTERFACE_VER_NAME;
  CHECK(qnn->backendCreate(NULL, NULL, &backend) == QNN_SUCCESS);
  CHECK(qnn->deviceCreate(NULL, NULL, &device) == QNN_SUCCESS);
}

// Called by `htp_rt_poll`.
static void on_done(void* param, const htp_rt_completion_t* completion) {
  Request* request = (Request*)param;
  request->error = completion->error;
  ++request->told;
  ++told;
}

static void fill(Request* request, unsigned index) {
  const uint8_t* image = digits_images + index * IMAGE_BYTES;
  unsigned byte;
  request->told = 0;
  for (byte = 0; byte < IMAGE_BYTES; ++byte) {
    request->image[byte] = image[byte];
  }
  for (byte = 0; byte < CLASSES; ++byte) {
    request->logits[byte] = 0xAA;
  }
}

// Gives a batch of images to the network; returns at once.
static void submit(unsigned first_image) {
  unsigned index;
  told = 0;
  for (index = 0; index < BATCH; ++index) {
    Request* request = &requests[index];
    fill(request, first_image + index);
    CHECK(htp_rt_graph_try_execute_async(graph, &request->input, 1, request->outputs, 2, NULL,
                                         &on_done, request, NULL) == QNN_SUCCESS);
  }
  CHECK(told == 0);
}

// The main loop, until the batch is done: poll, do what else there is, sleep until something is
// due.
static void run(void) {
  uint64_t next_us = 0;
  while (told < BATCH) {
    const Qnn_ErrorHandle_t error = htp_rt_poll(now_us(), &next_us);
    if (error != QNN_SUCCESS || (told < BATCH && next_us == UINT64_MAX)) {
      CHECK(false);    // nothing more will come
      return;
    }
    if (told < BATCH && next_us > now_us()) {
      board_sleep(next_us);
    }
  }
}

static void check_batch(unsigned first_image, Qnn_ErrorHandle_t error) {
  unsigned index;
  for (index = 0; index < BATCH; ++index) {
    const Request* request = &requests[index];
    CHECK(request->told == 1);
    CHECK(request->error == error);
    if (error == QNN_SUCCESS) {
      CHECK(same(request->logits, digits_logits + (first_image + index) * CLASSES, CLASSES));
    }
  }
}

#ifndef STEADY_CLOCK
static volatile unsigned ticked_accepted;
static volatile unsigned ticked_told;
static unsigned ticked_wrong;

// Called by `htp_rt_poll` as well.
static void on_ticked_done(void* param, const htp_rt_completion_t* completion) {
  const uint8_t* logits = digits_logits + ticked_told * CLASSES;
  (void)param;
  if (completion->error != QNN_SUCCESS || !same(ticked.logits, logits, CLASSES)) {
    ++ticked_wrong;
  }
  ++ticked_told;
}

// Called by the timer's interrupt, whatever the main loop is doing.
static void on_tick(void) {
  if (ticked_accepted != ticked_told || ticked_accepted == IMAGES) {
    return;
  }
  fill(&ticked, ticked_accepted);
  if (htp_rt_graph_try_execute_async(graph, &ticked.input, 1, ticked.outputs, 2, NULL,
                                     &on_ticked_done, NULL, NULL) == QNN_SUCCESS) {
    ++ticked_accepted;
  }
}

// The interrupt submits one image after the other while the main loop goes on with its own.
static void check_interrupts(void) {
  uint64_t next_us = 0;
  unsigned image;
  if (!board_on_tick(&on_tick)) {
    return;
  }
  for (image = 0; image < IMAGES; image += BATCH) {
    submit(image);
    run();
    check_batch(image, QNN_SUCCESS);
  }
  while (ticked_told < IMAGES && htp_rt_poll(now_us(), &next_us) == QNN_SUCCESS) {
    board_sleep(next_us);
  }
  CHECK(board_on_tick(NULL));
  CHECK(ticked_accepted == IMAGES && ticked_told == IMAGES);
  CHECK(ticked_wrong == 0);
  say_number(ticked_told);
  say(" images submitted from an interrupt\n");
}
#endif

int main(void) {
  htp_rt_stats_t stats;
  unsigned image;
  start();
  load_network();
  for (image = 0; image < IMAGES / 2; image += BATCH) {
    submit(image);
    run();
    check_batch(image, QNN_SUCCESS);
  }
  say("half of the images done; now the DSP crashes under the next batch\n");
  submit(image);
  CHECK(htp_rt_vdev_crash(HTP_RT_VDEV_CRASH_NOW) == QNN_SUCCESS);
  run();
  check_batch(image, QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
  CHECK(qnn->contextFree(context, NULL) == QNN_SUCCESS);
  load_network();
  for (; image < IMAGES; image += BATCH) {
    submit(image);
    run();
    check_batch(image, QNN_SUCCESS);
  }
#ifndef STEADY_CLOCK
  check_interrupts();
#endif
  CHECK(qnn->contextFree(context, NULL) == QNN_SUCCESS);
  CHECK(htp_rt_stats(&stats) == QNN_SUCCESS);
  CHECK(stats.restarts == 1 && stats.contexts == 0 && stats.faults == 0);
#ifdef STEADY_CLOCK
  say_trace();
#endif
  CHECK(qnn->deviceFree(device) == QNN_SUCCESS);
  CHECK(qnn->backendFree(backend) == QNN_SUCCESS);
  say_number(passed);
  say(" passed, ");
  say_number(failed);
  say(" failed\n");
  return failed == 0 ? 0 : 1;
}
