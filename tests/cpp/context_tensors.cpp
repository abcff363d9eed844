// SPDX-License-Identifier: Apache-2.0 OR MIT
// Tensors of a context: used by all its graphs, under one id.

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "System/QnnSystemInterface.h"
#include "support/check.hpp"
#include "support/composed.hpp"

namespace {

using Row = std::array<uint8_t, 4>;

std::array<uint32_t, 1> row_dims{{4}};

Qnn_Tensor_t row(const char* name, Qnn_TensorType_t type) {
  return u8_tensor(name, type, row_dims.data(), 1);
}

/** A context and graphs of one addition each. */
struct World {
  Session session;
  Qnn_ContextHandle_t context = session.context();

  Qnn_ErrorHandle_t create(Qnn_Tensor_t& tensor) const {
    return qnn().tensorCreateContextTensor(context, &tensor);
  }

  /** `out = a + b`, not finalized. */
  Qnn_GraphHandle_t add(const char* name, const Qnn_Tensor_t& a, const Qnn_Tensor_t& b,
                        const Qnn_Tensor_t& out, Qnn_ErrorHandle_t expected = QNN_SUCCESS) const {
    Qnn_GraphHandle_t graph = nullptr;
    CHECK_EQ(qnn().graphCreate(context, name, nullptr, &graph), QNN_SUCCESS);
    add_to(graph, a, b, out, expected);
    return graph;
  }

  void add_to(Qnn_GraphHandle_t graph, const Qnn_Tensor_t& a, const Qnn_Tensor_t& b,
              const Qnn_Tensor_t& out, Qnn_ErrorHandle_t expected) const {
    std::vector<Qnn_Tensor_t> inputs{a, b}, outputs{out};
    std::vector<Qnn_Param_t> none;
    CHECK_EQ(qnn().graphAddNode(graph, make_op("add", QNN_OP_ELEMENT_WISE_ADD, inputs, outputs,
                                               none)),
             expected);
  }
};

Qnn_Tensor_t over(Qnn_Tensor_t tensor, Row& memory) {
  set_data(tensor, memory);
  return tensor;
}

Qnn_ErrorHandle_t execute(Qnn_GraphHandle_t graph, std::vector<Qnn_Tensor_t> inputs,
                          std::vector<Qnn_Tensor_t> outputs) {
  return qnn().graphExecute(graph, inputs.data(), static_cast<uint32_t>(inputs.size()),
                            outputs.data(), static_cast<uint32_t>(outputs.size()), nullptr,
                            nullptr);
}

Qnn_ErrorHandle_t finalize(Qnn_GraphHandle_t graph) {
  return qnn().graphFinalize(graph, nullptr, nullptr);
}

}  // namespace

// REQ: CTX-057
TEST(a_constant_of_the_context_serves_all_its_graphs) {
  World world;
  Row data{{1, 2, 3, 4}};
  Qnn_Tensor_t constant = row("constant", QNN_TENSOR_TYPE_STATIC);
  set_data(constant, data);
  CHECK_EQ(world.create(constant), QNN_SUCCESS);
  CHECK(constant.v1.id != 0);
  data.fill(99);    // it was copied
  Qnn_Tensor_t out = row("sum", QNN_TENSOR_TYPE_APP_READ);
  CHECK_EQ(world.create(out), QNN_SUCCESS);
  CHECK(out.v1.id != constant.v1.id);
  for (const char* name : {"first", "second"}) {
    Qnn_GraphHandle_t graph = nullptr;
    CHECK_EQ(qnn().graphCreate(world.context, name, nullptr, &graph), QNN_SUCCESS);
    Qnn_Tensor_t x = row("x", QNN_TENSOR_TYPE_APP_WRITE);
    CHECK_EQ(qnn().tensorCreateGraphTensor(graph, &x), QNN_SUCCESS);
    world.add_to(graph, x, constant, out, QNN_SUCCESS);
    CHECK_EQ(finalize(graph), QNN_SUCCESS);
    Row input{{10, 20, 30, 40}}, result{};
    CHECK_EQ(execute(graph, {over(x, input)}, {over(out, result)}), QNN_SUCCESS);
    CHECK((result == Row{{11, 22, 33, 44}}));
  }
}

// REQ: CTX-057
TEST(a_state_connects_graphs_and_survives_their_executions) {
  World world;
  Qnn_Tensor_t state = row("state", QNN_TENSOR_TYPE_APP_READWRITE);
  Qnn_Tensor_t step = row("step", QNN_TENSOR_TYPE_APP_WRITE);
  Qnn_Tensor_t out = row("out", QNN_TENSOR_TYPE_APP_READ);
  for (Qnn_Tensor_t* tensor : {&state, &step, &out}) {
    CHECK_EQ(world.create(*tensor), QNN_SUCCESS);
  }
  const Qnn_GraphHandle_t counts = world.add("counts", state, step, state);
  const Qnn_GraphHandle_t shows = world.add("shows", state, state, out);
  CHECK_EQ(finalize(counts), QNN_SUCCESS);
  CHECK_EQ(finalize(shows), QNN_SUCCESS);
  Row memory{{1, 1, 1, 1}}, by{{1, 2, 3, 4}}, result{};
  for (int time = 0; time < 3; ++time) {
    CHECK_EQ(execute(counts, {over(state, memory), over(step, by)}, {over(state, memory)}),
             QNN_SUCCESS);
  }
  CHECK((memory == Row{{4, 7, 10, 13}}));
  CHECK_EQ(execute(shows, {over(state, memory)}, {over(out, result)}), QNN_SUCCESS);
  CHECK((result == Row{{8, 14, 20, 26}}));
  // Old and new state may be two buffers.
  Row next{};
  CHECK_EQ(execute(counts, {over(step, by), over(state, memory)}, {over(state, next)}),
           QNN_SUCCESS);
  CHECK((memory == Row{{4, 7, 10, 13}}) && (next == Row{{5, 9, 13, 17}}));
  CHECK_EQ(execute(shows, {over(step, by)}, {over(out, result)}), QNN_GRAPH_ERROR_INVALID_TENSOR);
}

// REQ: CTX-057
TEST(a_binary_has_the_tensors_of_its_context_and_names_them) {
  World world;
  Row data{{1, 2, 3, 4}};
  Qnn_Tensor_t constant = row("constant", QNN_TENSOR_TYPE_STATIC);
  set_data(constant, data);
  Qnn_Tensor_t state = row("state", QNN_TENSOR_TYPE_APP_READWRITE);
  Qnn_Tensor_t unused = row("unused", QNN_TENSOR_TYPE_APP_WRITE);
  for (Qnn_Tensor_t* tensor : {&constant, &state, &unused}) {
    CHECK_EQ(world.create(*tensor), QNN_SUCCESS);
  }
  for (const char* name : {"first", "second"}) {
    CHECK_EQ(finalize(world.add(name, state, constant, state)), QNN_SUCCESS);
  }
  Qnn_ContextBinarySize_t size = 0, written = 0;
  CHECK_EQ(qnn().contextGetBinarySize(world.context, &size), QNN_SUCCESS);
  std::vector<uint8_t> binary(static_cast<std::size_t>(size));
  CHECK_EQ(qnn().contextGetBinary(world.context, binary.data(), size, &written), QNN_SUCCESS);

  const QnnSystemInterface_t** providers = nullptr;
  uint32_t count = 0;
  QnnSystemInterface_getProviders(&providers, &count);
  const auto& system = providers[0]->QNN_SYSTEM_INTERFACE_VER_NAME;
  QnnSystemContext_Handle_t handle = nullptr;
  CHECK_EQ(system.systemContextCreate(&handle), QNN_SUCCESS);
  const QnnSystemContext_BinaryInfo_t* info = nullptr;
  Qnn_ContextBinarySize_t info_size = 0;
  CHECK_EQ(system.systemContextGetBinaryInfo(handle, binary.data(), size, &info, &info_size),
           QNN_SUCCESS);
  const QnnSystemContext_BinaryInfoV3_t& all = info->contextBinaryInfoV3;
  REQUIRE(all.numContextTensors == 2);
  std::vector<std::string> names;
  for (uint32_t index = 0; index < all.numContextTensors; ++index) {
    names.emplace_back(all.contextTensors[index].v1.name);
    const bool is_state = names.back() == "state";
    CHECK_EQ(all.contextTensors[index].v1.id, is_state ? state.v1.id : constant.v1.id);
    CHECK_EQ(all.contextTensors[index].v1.type,
             is_state ? QNN_TENSOR_TYPE_APP_READWRITE : QNN_TENSOR_TYPE_STATIC);
  }
  CHECK(names[0] != names[1]);

  Qnn_ContextHandle_t loaded = nullptr;
  CHECK_EQ(qnn().contextCreateFromBinary(world.session.backend, world.session.device, nullptr,
                                         binary.data(), size, &loaded, nullptr),
           QNN_SUCCESS);
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(qnn().graphRetrieve(loaded, "second", &graph), QNN_SUCCESS);
  Row memory{{5, 5, 5, 5}};
  CHECK_EQ(execute(graph, {over(state, memory)}, {over(state, memory)}), QNN_SUCCESS);
  CHECK((memory == Row{{6, 7, 8, 9}}));
  // Its graphs are final, so it takes no more tensors.
  CHECK_EQ(qnn().tensorCreateContextTensor(loaded, &unused),
           QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
  CHECK_EQ(system.systemContextFree(handle), QNN_SUCCESS);
}

// REQ: CTX-057
TEST(wrong_tensors_are_refused) {
  World world;
  Qnn_Tensor_t tensor = row("native", QNN_TENSOR_TYPE_NATIVE);
  CHECK_EQ(world.create(tensor), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM);
  tensor = row("constant", QNN_TENSOR_TYPE_STATIC);
  CHECK_EQ(world.create(tensor), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM);
  CHECK_EQ(tensor.v1.id, 0);
  Row data{};
  tensor = over(row("input", QNN_TENSOR_TYPE_APP_WRITE), data);
  CHECK_EQ(world.create(tensor), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM);
  tensor = row("input", QNN_TENSOR_TYPE_APP_WRITE);
  CHECK_EQ(world.create(tensor), QNN_SUCCESS);
  CHECK_EQ(world.create(tensor), QNN_TENSOR_ERROR_ALREADY_EXISTS);
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(qnn().graphCreate(world.context, "g", nullptr, &graph), QNN_SUCCESS);
  CHECK_EQ(qnn().tensorCreateGraphTensor(graph, &tensor), QNN_TENSOR_ERROR_ALREADY_EXISTS);
  tensor = row("state", QNN_TENSOR_TYPE_APP_READWRITE);
  CHECK_EQ(qnn().tensorCreateGraphTensor(graph, &tensor), QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM);
  CHECK_EQ(qnn().tensorCreateContextTensor(nullptr, &tensor), QNN_TENSOR_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().tensorCreateContextTensor(graph, &tensor), QNN_TENSOR_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().tensorCreateContextTensor(world.context, nullptr),
           QNN_TENSOR_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().contextFree(world.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(world.create(tensor), QNN_TENSOR_ERROR_INVALID_HANDLE);
}

// REQ: CTX-057
TEST(an_operation_that_is_refused_leaves_none_of_them_in_the_graph) {
  World world;
  Qnn_Tensor_t input = row("input", QNN_TENSOR_TYPE_APP_WRITE);
  Qnn_Tensor_t out = row("out", QNN_TENSOR_TYPE_APP_READ);
  CHECK_EQ(world.create(input), QNN_SUCCESS);
  CHECK_EQ(world.create(out), QNN_SUCCESS);
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(qnn().graphCreate(world.context, "g", nullptr, &graph), QNN_SUCCESS);
  Qnn_Tensor_t own = row("own", QNN_TENSOR_TYPE_APP_WRITE);
  CHECK_EQ(qnn().tensorCreateGraphTensor(graph, &own), QNN_SUCCESS);
  world.add_to(graph, input, own, own, QNN_GRAPH_ERROR_INVALID_OP_CONFIG);
  world.add_to(graph, own, own, out, QNN_SUCCESS);
  CHECK_EQ(finalize(graph), QNN_SUCCESS);
  Row data{{1, 2, 3, 4}}, result{};
  CHECK_EQ(execute(graph, {over(own, data)}, {over(out, result)}), QNN_SUCCESS);
  CHECK((result == Row{{2, 4, 6, 8}}));
}

// REQ: CTX-057
TEST(freeing_the_context_gives_their_memory_back) {
  Session session;
  htp_rt_stats_t before{}, after{};
  CHECK_EQ(qnn().contextFree(session.context(), nullptr), QNN_SUCCESS);
  htp_rt_stats(&before);
  const Qnn_ContextHandle_t context = session.context();
  for (int index = 0; index < 20; ++index) {
    const std::string name = "t" + std::to_string(index);
    Row data{};
    Qnn_Tensor_t tensor = over(row(name.c_str(), QNN_TENSOR_TYPE_STATIC), data);
    CHECK_EQ(qnn().tensorCreateContextTensor(context, &tensor), QNN_SUCCESS);
  }
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
  htp_rt_stats(&after);
  CHECK_EQ(after.memory_used_bytes, before.memory_used_bytes);
}
