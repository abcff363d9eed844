// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// Numbers of elements that no call takes are refused, and the elements are not looked at: behind
// the first lies memory that cannot be read.

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "System/QnnSystemInterface.h"
#include "support/check.hpp"
#include "support/composed.hpp"

namespace {

constexpr std::uint32_t absurd[] = {1000, 1U << 20, UINT32_MAX};

/** An element at the end of what can be read. */
template <typename Element>
Element* at_the_end(const Element& element) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* const pages = mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                           -1, 0);
  if (pages == MAP_FAILED) {
    std::exit(EXIT_FAILURE);
  }
  auto* const end = static_cast<std::uint8_t*>(pages) + page;
  if (mprotect(end, page, PROT_NONE) != 0) {
    std::exit(EXIT_FAILURE);
  }
  void* const place = end - sizeof(Element);
  std::memcpy(place, &element, sizeof(Element));
  return static_cast<Element*>(place);
}

/** A graph with an input and an output. */
struct Composition {
  Composition() {
    CHECK_EQ(qnn().graphCreate(context, "counts", nullptr, &graph), QNN_SUCCESS);
    CHECK_EQ(qnn().tensorCreateGraphTensor(graph, &x), QNN_SUCCESS);
    CHECK_EQ(qnn().tensorCreateGraphTensor(graph, &y), QNN_SUCCESS);
  }

  Session session;
  Qnn_ContextHandle_t context = session.context();
  Qnn_GraphHandle_t graph = nullptr;
  std::array<std::uint32_t, 2> dims{{2, 3}};
  Qnn_Tensor_t x = u8_tensor("x", QNN_TENSOR_TYPE_APP_WRITE, dims.data(), 2);
  Qnn_Tensor_t y = u8_tensor("y", QNN_TENSOR_TYPE_APP_READ, dims.data(), 2);
};

/** A descriptor of a file that is long enough for it. */
struct Described {
  Described() : fd(memfd_create("counts", 0)) {
    CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
    descriptor.memShape.numDim = 1;
    descriptor.memShape.dimSize = at_the_end<std::uint32_t>(4);
    descriptor.dataType = QNN_DATATYPE_UFIXED_POINT_8;
    descriptor.memType = QNN_MEM_TYPE_ION;
    descriptor.ionInfo.fd = fd;
  }
  int fd;
  Qnn_MemDescriptor_t descriptor = QNN_MEM_DESCRIPTOR_INIT;
};

}  // namespace

TEST(scales_of_an_axis_are_as_many_as_it_has_elements) {
  Composition net;
  std::array<std::uint32_t, 4> dims{{1, 1, 1, 1}};
  std::array<std::uint8_t, 4> data{};
  Qnn_Tensor_t weights = u8_tensor("w", QNN_TENSOR_TYPE_STATIC, dims.data(), 4);
  set_data(weights, data);
  auto& quantization = weights.v1.quantizeParams;
  quantization.quantizationEncoding = QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET;
  Qnn_ScaleOffset_t scale{};
  scale.scale = 1.0f;
  quantization.axisScaleOffsetEncoding.axis = 3;
  quantization.axisScaleOffsetEncoding.scaleOffset = at_the_end(scale);
  for (const std::uint32_t count : absurd) {
    quantization.axisScaleOffsetEncoding.numScaleOffsets = count;
    CHECK_EQ(qnn().tensorCreateGraphTensor(net.graph, &weights),
             QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM);
  }
  quantization.axisScaleOffsetEncoding.numScaleOffsets = 1;
  CHECK_EQ(qnn().tensorCreateGraphTensor(net.graph, &weights), QNN_SUCCESS);
}

TEST(operations_have_as_many_operands_and_parameters_as_can_be) {
  Composition net;
  Qnn_OpConfig_t op = QNN_OPCONFIG_INIT;
  Qnn_Param_t param = QNN_PARAM_INIT;
  param.name = "surplus";
  for (const std::uint32_t count : absurd) {
    for (int list = 0; list < 3; ++list) {
      op.v1.name = "op";
      op.v1.packageName = QNN_OP_PACKAGE_NAME_QTI_AISW;
      op.v1.typeName = QNN_OP_RELU;
      op.v1.inputTensors = at_the_end(net.x);
      op.v1.outputTensors = at_the_end(net.y);
      op.v1.params = at_the_end(param);
      op.v1.numOfInputs = list == 0 ? count : 1;
      op.v1.numOfOutputs = list == 1 ? count : 1;
      op.v1.numOfParams = list == 2 ? count : 0;
      CHECK_EQ(qnn().graphAddNode(net.graph, op), QNN_GRAPH_ERROR_INVALID_OP_CONFIG);
      CHECK_EQ(qnn().backendValidateOpConfig(net.session.backend, op),
               QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE);
    }
  }
}

TEST(buffers_have_a_rank_that_tensors_can_have) {
  Composition net;
  Described buffer;
  Qnn_MemHandle_t handle = nullptr;
  for (const std::uint32_t count : absurd) {
    buffer.descriptor.memShape.numDim = count;
    CHECK_EQ(qnn().memRegister(net.context, &buffer.descriptor, 1, &handle),
             QNN_MEM_ERROR_INVALID_SHAPE);
  }
  CHECK(handle == nullptr);
}

TEST(more_buffers_than_a_call_takes_are_not_registered) {
  Composition net;
  const Described buffer;
  std::array<Qnn_MemHandle_t, 1000> handles{};
  auto* const descriptors = at_the_end(buffer.descriptor);
  for (const std::uint32_t count : absurd) {
    CHECK_EQ(qnn().memRegister(net.context, descriptors, count, handles.data()),
             QNN_MEM_ERROR_INVALID_ARGUMENT);
    CHECK_EQ(qnn().memDeRegister(at_the_end(Qnn_MemHandle_t{}), 2 * count + 10000),
             QNN_MEM_ERROR_INVALID_ARGUMENT);
  }
  CHECK(handles[0] == nullptr);
  CHECK_EQ(qnn().memRegister(net.context, descriptors, 1, handles.data()), QNN_SUCCESS);
}

TEST(the_size_of_a_tensor_is_asked_for_a_rank_that_tensors_can_have) {
  const QnnSystemInterface_t** providers = nullptr;
  std::uint32_t count = 0;
  REQUIRE(QnnSystemInterface_getProviders(&providers, &count) == QNN_SUCCESS);
  const auto& system = providers[0]->QNN_SYSTEM_INTERFACE_VER_NAME;
  Qnn_Tensor_t tensor =
      u8_tensor("x", QNN_TENSOR_TYPE_APP_WRITE, at_the_end<std::uint32_t>(1), 1);
  std::uint64_t bytes = 0;
  CHECK_EQ(system.systemTensorGetMemoryFootprint(tensor, &bytes), QNN_SUCCESS);
  for (const std::uint32_t rank : absurd) {
    tensor.v1.rank = rank;
    CHECK_EQ(system.systemTensorGetMemoryFootprint(tensor, &bytes),
             QNN_SYSTEM_TENSOR_ERROR_INVALID_TENSOR);
  }
}
