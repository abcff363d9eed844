// SPDX-License-Identifier: Apache-2.0 OR MIT
// What a call costs here and on the vendor's backend: both libraries in one process, through the C
// table, in turns, so that whatever else the machine does meets both alike.
//
//     vendor OURS THEIRS    paths of the two libraries

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "QnnInterface.h"
#include "QnnOpDef.h"

namespace {

constexpr int rounds = 200;
constexpr int executions = 20;
constexpr int contexts = 10;
constexpr std::size_t elements = 1 * 8 * 8 * 32;

using Table = QNN_INTERFACE_VER_TYPE;

void expect(Qnn_ErrorHandle_t code, const char* call) {
  if (code != QNN_SUCCESS) {
    std::fprintf(stderr, "%s answered %llu\n", call, static_cast<unsigned long long>(code));
    std::exit(EXIT_FAILURE);
  }
}

const Table& load(const char* path) {
  // Local: both have the same names.
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  void* address = library == nullptr ? nullptr : dlsym(library, "QnnInterface_getProviders");
  if (address == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(EXIT_FAILURE);
  }
  const QnnInterface_t** providers = nullptr;
  uint32_t count = 0;
  expect(reinterpret_cast<decltype(&QnnInterface_getProviders)>(address)(&providers, &count),
         "QnnInterface_getProviders");
  return providers[0]->QNN_INTERFACE_VER_NAME;
}

// A backend with one graph: the sum of two tensors.
class Backend {
 public:
  explicit Backend(const char* path) : qnn_(load(path)) {
    expect(qnn_.backendCreate(nullptr, nullptr, &backend_), "QnnBackend_create");
    expect(qnn_.deviceCreate(nullptr, nullptr, &device_), "QnnDevice_create");
    expect(qnn_.contextCreate(backend_, device_, nullptr, &context_), "QnnContext_create");
    compose();
  }
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  ~Backend() {
    qnn_.contextFree(context_, nullptr);
    qnn_.deviceFree(device_);
    qnn_.backendFree(backend_);
  }

  void execute() {
    expect(qnn_.graphExecute(graph_, inputs_, 2, &output_, 1, nullptr, nullptr),
           "QnnGraph_execute");
  }

  void create_and_free() const {
    Qnn_ContextHandle_t context = nullptr;
    expect(qnn_.contextCreate(backend_, device_, nullptr, &context), "QnnContext_create");
    expect(qnn_.contextFree(context, nullptr), "QnnContext_free");
  }

  const std::vector<uint8_t>& sum() const { return sum_; }

 private:
  Qnn_Tensor_t tensor(const char* name, Qnn_TensorType_t type) {
    Qnn_Tensor_t made = QNN_TENSOR_INIT;
    made.v1.name = name;
    made.v1.type = type;
    made.v1.dataType = QNN_DATATYPE_UFIXED_POINT_8;
    made.v1.quantizeParams.encodingDefinition = QNN_DEFINITION_DEFINED;
    made.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_SCALE_OFFSET;
    made.v1.quantizeParams.scaleOffsetEncoding.scale = 0.5f;
    made.v1.rank = 4;
    made.v1.dimensions = dims_;
    expect(qnn_.tensorCreateGraphTensor(graph_, &made), "QnnTensor_createGraphTensor");
    return made;
  }

  void compose() {
    expect(qnn_.graphCreate(context_, "sum", nullptr, &graph_), "QnnGraph_create");
    inputs_[0] = tensor("a", QNN_TENSOR_TYPE_APP_WRITE);
    inputs_[1] = tensor("b", QNN_TENSOR_TYPE_APP_WRITE);
    output_ = tensor("c", QNN_TENSOR_TYPE_APP_READ);
    Qnn_OpConfig_t op = QNN_OPCONFIG_INIT;
    op.v1.name = "add";
    op.v1.packageName = QNN_OP_PACKAGE_NAME_QTI_AISW;
    op.v1.typeName = QNN_OP_ELEMENT_WISE_ADD;
    op.v1.numOfInputs = 2;
    op.v1.inputTensors = inputs_;
    op.v1.numOfOutputs = 1;
    op.v1.outputTensors = &output_;
    expect(qnn_.graphAddNode(graph_, op), "QnnGraph_addNode");
    expect(qnn_.graphFinalize(graph_, nullptr, nullptr), "QnnGraph_finalize");
    for (std::size_t index = 0; index < elements; ++index) {
      a_[index] = static_cast<uint8_t>(index % 100);
      b_[index] = static_cast<uint8_t>(index % 71);
    }
    bind(inputs_[0], a_);
    bind(inputs_[1], b_);
    bind(output_, sum_);
  }

  static void bind(Qnn_Tensor_t& tensor, std::vector<uint8_t>& data) {
    tensor.v1.clientBuf.data = data.data();
    tensor.v1.clientBuf.dataSize = static_cast<uint32_t>(data.size());
  }

  const Table& qnn_;
  Qnn_BackendHandle_t backend_ = nullptr;
  Qnn_DeviceHandle_t device_ = nullptr;
  Qnn_ContextHandle_t context_ = nullptr;
  Qnn_GraphHandle_t graph_ = nullptr;
  uint32_t dims_[4] = {1, 8, 8, 32};
  Qnn_Tensor_t inputs_[2] = {};
  Qnn_Tensor_t output_ = {};
  std::vector<uint8_t> a_ = std::vector<uint8_t>(elements);
  std::vector<uint8_t> b_ = std::vector<uint8_t>(elements);
  std::vector<uint8_t> sum_ = std::vector<uint8_t>(elements);
};

using Times = std::vector<double>;

template <typename Call>
void measure(int count, Times& times, Call call) {
  for (int index = 0; index < count; ++index) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    const std::chrono::duration<double, std::micro> passed =
        std::chrono::steady_clock::now() - begin;
    times.push_back(passed.count());
  }
}

double percentile(Times& times, double share) {
  std::sort(times.begin(), times.end());
  return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))];
}

void print(const char* what, Times& ours, Times& theirs, double goal) {
  const double own = percentile(ours, 0.5);
  const double other = percentile(theirs, 0.5);
  const double ratio = own / other;
  std::printf("%-42s%8.2f /%8.2f%9.2f /%8.2f%8.3f%8.1f  %s\n", what, own, percentile(ours, 0.99),
              other, percentile(theirs, 0.99), ratio, goal, ratio <= goal ? "met" : "missed");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: vendor OURS THEIRS\n");
    return EXIT_FAILURE;
  }
  Backend ours(argv[1]);
  Backend theirs(argv[2]);
  ours.execute();
  theirs.execute();
  if (ours.sum() != theirs.sum()) {
    std::fprintf(stderr, "the backends' sums differ\n");
    return EXIT_FAILURE;
  }
  Times execute[2];
  Times context[2];
  for (int round = 0; round < rounds; ++round) {
    measure(executions, execute[0], [&] { ours.execute(); });
    measure(executions, execute[1], [&] { theirs.execute(); });
    measure(contexts, context[0], [&] { ours.create_and_free(); });
    measure(contexts, context[1], [&] { theirs.create_and_free(); });
  }
  std::printf("%-42s%18s%19s%8s%8s\n", "microseconds: median / 99th of 100", "ours", "vendor",
              "ratio", "goal");
  print("QnnGraph_execute, Add u8 1x8x8x32", execute[0], execute[1], 0.2);
  print("QnnContext_create and _free", context[0], context[1], 1.0);
  return EXIT_SUCCESS;
}
