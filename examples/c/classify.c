// SPDX-License-Identifier: Apache-2.0 OR MIT
// The smallest useful client, in C99: loads a context binary and classifies some images, one after
// the other. Runs from the repository's root:
//
//   cc -std=c99 -I include -I include/qnn examples/c/classify.c
//      target/release/libhtp_runtime.a -lpthread -ldl -o target/classify && target/classify

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "QnnInterface.h"
#include "htp_runtime.h"

#define BINARY_BYTES_MAX (1u << 20)
#define IMAGE_BYTES 64
#define CLASSES 10
#define IMAGES 10

typedef QNN_INTERFACE_VER_TYPE Table;

static const Table* api;
static uint8_t binary[BINARY_BYTES_MAX];

// Says what a code means; true if it is success.
static int succeeded(const char* what, Qnn_ErrorHandle_t code) {
  const char* message = "no message";
  if (code == QNN_SUCCESS) {
    return 1;
  }
  if (api != NULL) {
    (void)api->errorGetMessage(code, &message);
  }
  fprintf(stderr, "%s: %" PRIu64 " (%s)\n", what, code, message);
  return 0;
}

// Bytes read; 0 if the file is not there.
static size_t read_file(const char* path, uint8_t* bytes, size_t capacity) {
  size_t count = 0;
  FILE* file = fopen(path, "rb");
  if (file != NULL) {
    count = fread(bytes, 1, capacity, file);
    (void)fclose(file);
  }
  if (count == 0) {
    fprintf(stderr, "cannot read %s\n", path);
  }
  return count;
}

static int find_interface(void) {
  const QnnInterface_t** providers = NULL;
  uint32_t count = 0;
  uint32_t index;
  if (QnnInterface_getProviders(&providers, &count) != QNN_SUCCESS) {
    return 0;
  }
  for (index = 0; index < count; ++index) {
    const Qnn_Version_t* version = &providers[index]->apiVersion.coreApiVersion;
    if (version->major == QNN_API_VERSION_MAJOR && version->minor >= QNN_API_VERSION_MINOR) {
      api = &providers[index]->QNN_INTERFACE_VER_NAME;
      return 1;
    }
  }
  return 0;
}

// The graph's input or output of that name, over the caller's memory. `info` outlives the tensor.
static int bind(Qnn_GraphHandle_t graph, const char* name, uint8_t* memory,
                htp_rt_tensor_info_t* info, Qnn_Tensor_t* tensor) {
  const Qnn_Tensor_t empty = QNN_TENSOR_INIT;
  uint32_t index;
  for (index = 0; htp_rt_graph_tensor(graph, index, info) == QNN_SUCCESS; ++index) {
    if (strcmp((const char*)info->name, name) == 0) {
      *tensor = empty;
      tensor->v1.id = info->id;
      tensor->v1.name = (const char*)info->name;
      tensor->v1.type = info->kind;
      tensor->v1.dataType = info->data_type;
      tensor->v1.quantizeParams.encodingDefinition = QNN_DEFINITION_DEFINED;
      tensor->v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_SCALE_OFFSET;
      tensor->v1.quantizeParams.scaleOffsetEncoding.scale = info->scale;
      tensor->v1.quantizeParams.scaleOffsetEncoding.offset = info->offset;
      tensor->v1.rank = info->rank;
      tensor->v1.dimensions = info->dims;
      tensor->v1.memType = QNN_TENSORMEMTYPE_RAW;
      tensor->v1.clientBuf.data = memory;
      tensor->v1.clientBuf.dataSize = (uint32_t)info->size_bytes;
      return 1;
    }
  }
  fprintf(stderr, "the graph has no tensor %s\n", name);
  return 0;
}

static unsigned best_class(const uint8_t* logits) {
  unsigned best = 0;
  unsigned index;
  for (index = 1; index < CLASSES; ++index) {
    best = logits[index] > logits[best] ? index : best;
  }
  return best;
}

static int classify(Qnn_GraphHandle_t graph) {
  static uint8_t images[IMAGES * IMAGE_BYTES];
  static uint8_t labels[IMAGES];
  uint8_t pixels[IMAGE_BYTES];
  uint8_t logits[CLASSES];
  uint8_t probabilities[CLASSES];
  htp_rt_tensor_info_t infos[3];
  Qnn_Tensor_t input;
  Qnn_Tensor_t outputs[2];
  unsigned index;
  if (read_file("data/digits/images.bin", images, sizeof images) != sizeof images ||
      read_file("data/digits/labels.bin", labels, sizeof labels) != sizeof labels ||
      !bind(graph, "image", pixels, &infos[0], &input) ||
      !bind(graph, "logits", logits, &infos[1], &outputs[0]) ||
      !bind(graph, "probabilities", probabilities, &infos[2], &outputs[1])) {
    return 0;
  }
  for (index = 0; index < IMAGES; ++index) {
    memcpy(pixels, images + index * IMAGE_BYTES, IMAGE_BYTES);
    if (!succeeded("execute", api->graphExecute(graph, &input, 1, outputs, 2, NULL, NULL))) {
      return 0;
    }
    printf("image %u shows a %u: seen as a %u\n", index, labels[index], best_class(logits));
  }
  return 1;
}

int main(void) {
  Qnn_BackendHandle_t backend = NULL;
  Qnn_DeviceHandle_t device = NULL;
  Qnn_ContextHandle_t context = NULL;
  Qnn_GraphHandle_t graph = NULL;
  const size_t bytes = read_file("data/digits/digits.htpb", binary, sizeof binary);
  int good = bytes > 0 && find_interface() &&
             succeeded("backend", api->backendCreate(NULL, NULL, &backend)) &&
             succeeded("device", api->deviceCreate(NULL, NULL, &device)) &&
             succeeded("context", api->contextCreateFromBinary(backend, device, NULL, binary,
                                                               bytes, &context, NULL)) &&
             succeeded("graph", api->graphRetrieve(context, "digits", &graph)) && classify(graph);
  if (context != NULL) {
    good = succeeded("free context", api->contextFree(context, NULL)) && good;
  }
  if (device != NULL) {
    good = succeeded("free device", api->deviceFree(device)) && good;
  }
  if (backend != NULL) {
    good = succeeded("free backend", api->backendFree(backend)) && good;
  }
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
