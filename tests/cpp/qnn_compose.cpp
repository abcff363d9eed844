// SPDX-License-Identifier: Apache-2.0 OR MIT
// Composing a graph, executing it in both ways, and taking it through a context binary.

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "support/check.hpp"
#include "support/composed.hpp"
#include "support/waiter.hpp"

namespace {

using Picture = std::array<uint8_t, ConvRelu::bytes>;

const Picture kPicture{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

std::vector<uint8_t> binary_of(Qnn_ContextHandle_t context) {
  Qnn_ContextBinarySize_t size = 0, written = 0;
  if (qnn().contextGetBinarySize(context, &size) != QNN_SUCCESS) {
    return {};
  }
  std::vector<uint8_t> bytes(static_cast<std::size_t>(size));
  if (qnn().contextGetBinary(context, bytes.data(), size, &written) != QNN_SUCCESS ||
      written != size) {
    return {};
  }
  return bytes;
}

Qnn_ErrorHandle_t load(const Session& session, const std::vector<uint8_t>& binary,
                       Qnn_ContextHandle_t* context, const QnnContext_Config_t** config = nullptr) {
  return qnn().contextCreateFromBinary(session.backend, session.device, config, binary.data(),
                                       binary.size(), context, nullptr);
}

/** A context with one finalized graph, and its binary. */
struct Prepared {
  Prepared() : context(session.context()), net(context) {
    net.compose();
    net.finalize();
    binary = binary_of(context);
  }
  Session session;
  Qnn_ContextHandle_t context;
  ConvRelu net;
  std::vector<uint8_t> binary;
};

}  // namespace

TEST(computes_what_the_operations_say) {
  Session session;
  ConvRelu net(session.context());
  net.compose();
  CHECK_EQ(net.error, QNN_SUCCESS);
  Picture picture = kPicture, result{};
  CHECK_EQ(net.execute(picture, result), QNN_GRAPH_ERROR_GRAPH_NOT_FINALIZED);
  net.finalize();
  CHECK_EQ(net.error, QNN_SUCCESS);
  CHECK_EQ(net.execute(picture, result), QNN_SUCCESS);
  CHECK(result == ConvRelu::expected(kPicture));
  CHECK_EQ(result[5], 54);
}

// REQ: ASYNC-001, ASYNC-002
TEST(an_asynchronous_execution_returns_before_it_is_done_and_notifies_once) {
  Prepared prepared;
  Picture picture = kPicture, result{};
  Waiter waiter;
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  CHECK_EQ(prepared.net.execute_async(picture, result, Waiter::notify, &waiter), QNN_SUCCESS);
  CHECK_EQ(waiter.count(), 0);
  CHECK(result == Picture{});
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  CHECK_EQ(waiter.wait(1)[0], QNN_SUCCESS);
  CHECK(result == ConvRelu::expected(kPicture));
  CHECK_EQ(qnn().contextFree(prepared.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(waiter.count(), 1);
}

TEST(a_binary_gives_the_same_graph) {
  Prepared prepared;
  REQUIRE(!prepared.binary.empty());
  CHECK(binary_of(prepared.context) == prepared.binary);
  Qnn_ContextHandle_t loaded = nullptr;
  CHECK_EQ(load(prepared.session, prepared.binary, &loaded), QNN_SUCCESS);
  CHECK_EQ(qnn().contextFree(prepared.context, nullptr), QNN_SUCCESS);

  ConvRelu other = prepared.net;
  CHECK_EQ(qnn().graphRetrieve(loaded, "none", &other.graph), QNN_GRAPH_ERROR_INVALID_NAME);
  CHECK_EQ(qnn().graphRetrieve(loaded, nullptr, &other.graph), QNN_GRAPH_ERROR_INVALID_NAME);
  CHECK_EQ(qnn().graphRetrieve(loaded, "net", nullptr), QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().graphRetrieve(loaded, "net", &other.graph), QNN_SUCCESS);
  Picture picture = kPicture, result{};
  CHECK_EQ(other.execute(picture, result), QNN_SUCCESS);
  CHECK(result == ConvRelu::expected(kPicture));

  // What was loaded is final.
  Qnn_ContextBinarySize_t size = 0;
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(qnn().contextGetBinarySize(loaded, &size), QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
  CHECK_EQ(qnn().graphCreate(loaded, "new", nullptr, &graph),
           QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
  CHECK_EQ(qnn().graphFinalize(other.graph, nullptr, nullptr), QNN_COMMON_ERROR_NOT_SUPPORTED);
  CHECK_EQ(qnn().tensorCreateGraphTensor(other.graph, &other.x), QNN_GRAPH_ERROR_GRAPH_FINALIZED);
  CHECK_EQ(qnn().contextFree(loaded, nullptr), QNN_SUCCESS);
}

// REQ: BIN-001, BIN-002, BIN-005, BIN-006
TEST(an_unfit_binary_is_refused_before_anything_is_created) {
  Prepared prepared;
  REQUIRE(prepared.binary.size() > 64);
  const auto refused = [&](const std::vector<uint8_t>& bytes, Qnn_ErrorHandle_t code) {
    htp_rt_stats_t before{}, after{};
    htp_rt_stats(&before);
    Qnn_ContextHandle_t context = nullptr;
    CHECK_EQ(load(prepared.session, bytes, &context), code);
    CHECK(context == nullptr);
    CHECK_EQ(qnn().contextValidateBinary(prepared.session.backend, prepared.session.device, nullptr,
                                         bytes.data(), bytes.size()),
             code);
    htp_rt_stats(&after);
    CHECK_EQ(after.contexts, before.contexts);
    CHECK_EQ(after.memory_used_bytes, before.memory_used_bytes);
  };
  std::vector<uint8_t> shorter = prepared.binary, longer = prepared.binary;
  shorter.pop_back();
  longer.resize(longer.size() + 4096);
  refused(shorter, QNN_CONTEXT_ERROR_CREATE_FROM_BINARY);
  refused(longer, QNN_CONTEXT_ERROR_CREATE_FROM_BINARY);
  refused(std::vector<uint8_t>(4096), QNN_CONTEXT_ERROR_CREATE_FROM_BINARY);
  const std::size_t size = prepared.binary.size();
  for (std::size_t place : {std::size_t{0}, size / 2, size - 1}) {
    std::vector<uint8_t> damaged = prepared.binary;
    damaged[place] ^= 0xFF;
    refused(damaged, QNN_CONTEXT_ERROR_CREATE_FROM_BINARY);
  }
  std::vector<uint8_t> newer = prepared.binary;
  newer[4] ^= 0xFF;  // the format version stands behind the magic
  refused(newer, QNN_CONTEXT_ERROR_BINARY_VERSION);
  CHECK_EQ(qnn().contextValidateBinary(prepared.session.backend, nullptr, nullptr,
                                       prepared.binary.data(), prepared.binary.size()),
           QNN_SUCCESS);
}

TEST(arguments_of_the_binary_calls) {
  Prepared prepared;
  Qnn_ContextHandle_t context = nullptr;
  Qnn_ContextBinarySize_t size = prepared.binary.size(), written = 7;
  std::vector<uint8_t> buffer(prepared.binary.size());
  const auto create = [&](Qnn_BackendHandle_t backend, const void* bytes,
                          Qnn_ContextBinarySize_t count, Qnn_ContextHandle_t* out) {
    return qnn().contextCreateFromBinary(backend, nullptr, nullptr, bytes, count, out, nullptr);
  };
  const Qnn_BackendHandle_t backend = prepared.session.backend;
  CHECK_EQ(create(backend, nullptr, size, &context), QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(create(backend, buffer.data(), 0, &context), QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(create(backend, prepared.binary.data(), size, nullptr),
           QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(create(nullptr, prepared.binary.data(), size, &context),
           QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().contextGetBinary(prepared.context, nullptr, size, &written),
           QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().contextGetBinary(prepared.context, buffer.data(), size - 1, &written),
           QNN_CONTEXT_ERROR_GET_BINARY_FAILED);
  CHECK_EQ(qnn().contextGetBinary(prepared.context, buffer.data(), size, nullptr),
           QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(written, 7);
  CHECK_EQ(qnn().contextGetBinarySize(prepared.context, nullptr),
           QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  ConvRelu unfinished(prepared.context, "unfinished");
  CHECK_EQ(qnn().contextGetBinarySize(prepared.context, &size), QNN_CONTEXT_ERROR_NOT_FINALIZED);
}

TEST(a_persistent_binary_is_used_in_place) {
  Prepared prepared;
  QnnContext_Config_t persistent = QNN_CONTEXT_CONFIG_INIT;
  persistent.option = QNN_CONTEXT_CONFIG_PERSISTENT_BINARY;
  persistent.isPersistentBinary = 1;
  ConfigList<QnnContext_Config_t> list{persistent};
  htp_rt_stats_t before{}, in_place{}, copied{};
  Qnn_ContextHandle_t first = nullptr, second = nullptr;
  htp_rt_stats(&before);
  CHECK_EQ(load(prepared.session, prepared.binary, &first, list.get()), QNN_SUCCESS);
  htp_rt_stats(&in_place);
  CHECK_EQ(load(prepared.session, prepared.binary, &second), QNN_SUCCESS);
  htp_rt_stats(&copied);
  const uint64_t with = copied.memory_used_bytes - in_place.memory_used_bytes;
  const uint64_t without = in_place.memory_used_bytes - before.memory_used_bytes;
  CHECK(with >= without + prepared.binary.size());
  ConvRelu other = prepared.net;
  Picture picture = kPicture, result{};
  CHECK_EQ(qnn().graphRetrieve(first, "net", &other.graph), QNN_SUCCESS);
  CHECK_EQ(other.execute(picture, result), QNN_SUCCESS);
  CHECK(result == ConvRelu::expected(kPicture));
  CHECK_EQ(qnn().contextFree(first, nullptr), QNN_SUCCESS);
  CHECK_EQ(qnn().contextFree(second, nullptr), QNN_SUCCESS);
  htp_rt_stats(&copied);
  CHECK_EQ(copied.memory_used_bytes, before.memory_used_bytes);
}

TEST(a_creation_may_have_a_signal) {
  Prepared prepared;
  const Session& session = prepared.session;
  QnnSignal_Config_t config{};
  config.option = QNN_SIGNAL_CONFIG_OPTION_TIMEOUT;
  config.timeoutDurationUs = 60000000;
  ConfigList<QnnSignal_Config_t> list{config};
  Qnn_SignalHandle_t signal = nullptr;
  CHECK_EQ(qnn().signalCreate(session.backend, list.get(), &signal), QNN_SUCCESS);
  Qnn_ContextHandle_t context = nullptr;
  const auto create = [&](Qnn_SignalHandle_t handle) {
    return qnn().contextCreateFromBinaryWithSignal(session.backend, session.device, nullptr,
                                                   prepared.binary.data(), prepared.binary.size(),
                                                   &context, nullptr, handle);
  };
  CHECK_EQ(create(session.backend), QNN_SIGNAL_ERROR_INVALID_HANDLE);
  CHECK_EQ(create(nullptr), QNN_SUCCESS);
  CHECK_EQ(create(signal), QNN_SUCCESS);
  ConvRelu other = prepared.net;
  CHECK_EQ(qnn().graphRetrieve(context, "net", &other.graph), QNN_SUCCESS);
  // A request that uses the signal keeps it from a creation.
  Picture picture = kPicture, result{};
  Waiter waiter;
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  CHECK_EQ(other.execute_async(picture, result, Waiter::notify, &waiter, signal), QNN_SUCCESS);
  CHECK_EQ(create(signal), QNN_SIGNAL_ERROR_SIGNAL_IN_USE);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  CHECK_EQ(waiter.wait(1)[0], QNN_SUCCESS);
  CHECK_EQ(qnn().signalFree(signal), QNN_SUCCESS);
}

// REQ: CANCEL-001
TEST(a_creation_ends_early_when_its_signal_says_so) {
  Prepared prepared;
  const Session& session = prepared.session;
  QnnSignal_Config_t config{};
  config.option = QNN_SIGNAL_CONFIG_OPTION_TIMEOUT;
  config.timeoutDurationUs = 1;    // to check the binary takes longer
  ConfigList<QnnSignal_Config_t> list{config};
  Qnn_SignalHandle_t signal = nullptr;
  CHECK_EQ(qnn().signalCreate(session.backend, list.get(), &signal), QNN_SUCCESS);
  htp_rt_stats_t before{}, after{};
  htp_rt_stats(&before);
  Qnn_ContextHandle_t context = nullptr;
  const auto create = [&](Qnn_SignalHandle_t handle) {
    return qnn().contextCreateFromBinaryWithSignal(session.backend, session.device, nullptr,
                                                   prepared.binary.data(), prepared.binary.size(),
                                                   &context, nullptr, handle);
  };
  CHECK_EQ(create(signal), QNN_CONTEXT_ERROR_TIMED_OUT);
  CHECK(context == nullptr);
  // Nothing is left of it, the signal is free, and the same binary loads at once.
  CHECK_EQ(qnn().signalFree(signal), QNN_SUCCESS);
  CHECK_EQ(create(nullptr), QNN_SUCCESS);
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
  htp_rt_stats(&after);
  CHECK_EQ(after.contexts, before.contexts);
  CHECK_EQ(after.memory_used_bytes, before.memory_used_bytes);
}

// REQ: DEV-003
TEST(operations_come_in_the_order_of_their_data) {
  Session session;
  std::array<uint32_t, 1> dims{{4}};
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(qnn().graphCreate(session.context(), "g", nullptr, &graph), QNN_SUCCESS);
  Qnn_Tensor_t x = u8_tensor("x", QNN_TENSOR_TYPE_APP_WRITE, dims.data(), 1);
  Qnn_Tensor_t n = u8_tensor("n", QNN_TENSOR_TYPE_NATIVE, dims.data(), 1);
  Qnn_Tensor_t y = u8_tensor("y", QNN_TENSOR_TYPE_APP_READ, dims.data(), 1);
  for (Qnn_Tensor_t* tensor : {&x, &n, &y}) {
    CHECK_EQ(qnn().tensorCreateGraphTensor(graph, tensor), QNN_SUCCESS);
  }
  std::vector<Qnn_Tensor_t> first{x}, between{n}, last{y};
  std::vector<Qnn_Param_t> none;
  CHECK_EQ(qnn().graphAddNode(graph, make_op("b", QNN_OP_RELU, between, last, none)),
           QNN_GRAPH_ERROR_UNCONNECTED_NODE);
  CHECK_EQ(qnn().graphFinalize(graph, nullptr, nullptr), QNN_GRAPH_ERROR_FINALIZE_FAILED);
  CHECK_EQ(qnn().graphAddNode(graph, make_op("a", QNN_OP_RELU, first, between, none)), QNN_SUCCESS);
  CHECK_EQ(qnn().graphAddNode(graph, make_op("b", QNN_OP_RELU, between, last, none)), QNN_SUCCESS);
  CHECK_EQ(qnn().graphAddNode(graph, make_op("c", QNN_OP_RELU, first, last, none)),
           QNN_GRAPH_ERROR_INVALID_OP_CONFIG);
  CHECK_EQ(qnn().graphFinalize(graph, nullptr, nullptr), QNN_SUCCESS);
  CHECK_EQ(qnn().graphFinalize(graph, nullptr, nullptr), QNN_COMMON_ERROR_NOT_SUPPORTED);
  CHECK_EQ(qnn().graphAddNode(graph, make_op("d", QNN_OP_RELU, first, between, none)),
           QNN_GRAPH_ERROR_GRAPH_FINALIZED);
}

TEST(an_operation_that_the_device_lacks_fails_to_finalize) {
  Session session;
  std::array<uint32_t, 1> dims{{4}};
  const Qnn_ContextHandle_t context = session.context();
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(qnn().graphCreate(context, "g", nullptr, &graph), QNN_SUCCESS);
  Qnn_Tensor_t x = u8_tensor("x", QNN_TENSOR_TYPE_APP_WRITE, dims.data(), 1);
  Qnn_Tensor_t y = u8_tensor("y", QNN_TENSOR_TYPE_APP_READ, dims.data(), 1);
  CHECK_EQ(qnn().tensorCreateGraphTensor(graph, &x), QNN_SUCCESS);
  CHECK_EQ(qnn().tensorCreateGraphTensor(graph, &y), QNN_SUCCESS);
  std::vector<Qnn_Tensor_t> inputs{x}, outputs{y};
  std::vector<Qnn_Param_t> none;
  Qnn_OpConfig_t op = make_op("l", QNN_OP_LSTM, inputs, outputs, none);
  CHECK_EQ(qnn().backendValidateOpConfig(session.backend, op),
           QNN_BACKEND_ERROR_OP_PACKAGE_NOT_FOUND);
  CHECK_EQ(qnn().graphAddNode(graph, op), QNN_SUCCESS);
  CHECK_EQ(qnn().graphFinalize(graph, nullptr, nullptr), QNN_GRAPH_ERROR_FINALIZE_FAILED);
  CHECK_EQ(qnn().graphFinalize(graph, nullptr, nullptr), QNN_GRAPH_ERROR_FINALIZE_FAILED);
  std::array<uint8_t, 4> data{};
  set_data(x, data);
  set_data(y, data);
  CHECK_EQ(qnn().graphExecute(graph, &x, 1, &y, 1, nullptr, nullptr),
           QNN_GRAPH_ERROR_GRAPH_NOT_FINALIZED);
  // Another graph of the context is not affected.
  ConvRelu good(context, "good");
  good.compose();
  good.finalize();
  Picture picture = kPicture, result{};
  CHECK_EQ(good.execute(picture, result), QNN_SUCCESS);
}

TEST(an_operation_can_be_asked_about_alone) {
  Session session;
  std::array<uint32_t, 2> dims{{2, 3}};
  std::array<uint32_t, 2> other{{3, 2}};
  std::vector<Qnn_Tensor_t> two{u8_tensor("a", QNN_TENSOR_TYPE_NATIVE, dims.data(), 2),
                                u8_tensor("a", QNN_TENSOR_TYPE_NATIVE, dims.data(), 2)};
  std::vector<Qnn_Tensor_t> one{two[0]}, unequal{two[0], u8_tensor("b", QNN_TENSOR_TYPE_NATIVE,
                                                                   other.data(), 2)};
  std::vector<Qnn_Tensor_t> output{u8_tensor("y", QNN_TENSOR_TYPE_NATIVE, dims.data(), 2)};
  std::vector<Qnn_Param_t> none;
  const auto verdict = [&](Qnn_OpConfig_t op) {
    return qnn().backendValidateOpConfig(session.backend, op);
  };
  const char* add = QNN_OP_ELEMENT_WISE_ADD;
  htp_rt_stats_t before{}, after{};
  htp_rt_stats(&before);
  CHECK_EQ(verdict(make_op("op", add, two, output, none)), QNN_SUCCESS);
  CHECK_EQ(verdict(make_op("op", add, one, output, none)), QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE);
  CHECK_EQ(verdict(make_op("op", add, unequal, output, none)),
           QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE);
  Qnn_OpConfig_t foreign = make_op("op", add, two, output, none);
  foreign.v1.packageName = "other";
  CHECK_EQ(verdict(foreign), QNN_BACKEND_ERROR_OP_PACKAGE_NOT_FOUND);
  foreign.v1.packageName = nullptr;
  CHECK_EQ(verdict(foreign), QNN_BACKEND_ERROR_OP_PACKAGE_NOT_FOUND);
  CHECK_EQ(qnn().backendValidateOpConfig(nullptr, foreign), QNN_BACKEND_ERROR_INVALID_HANDLE);
  htp_rt_stats(&after);
  CHECK_EQ(after.memory_used_bytes, before.memory_used_bytes);
}

TEST(wrong_tensors_are_refused_at_execution) {
  Prepared prepared;
  Picture picture = kPicture, result{};
  Qnn_Tensor_t x = prepared.net.x, y = prepared.net.y;
  set_data(x, picture);
  set_data(y, result);
  const Qnn_GraphHandle_t graph = prepared.net.graph;
  const auto run = [&](const Qnn_Tensor_t& in, Qnn_Tensor_t out) {
    return qnn().graphExecute(graph, &in, 1, &out, 1, nullptr, nullptr);
  };
  CHECK_EQ(run(x, y), QNN_SUCCESS);
  CHECK_EQ(qnn().graphExecute(graph, nullptr, 1, &y, 1, nullptr, nullptr),
           QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().graphExecute(graph, &x, 1, &y, 0, nullptr, nullptr),
           QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().graphExecute(graph, &x, 0, &y, 1, nullptr, nullptr),
           QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(run(y, x), QNN_GRAPH_ERROR_INVALID_TENSOR);
  Qnn_Tensor_t wrong = x;
  wrong.v1.id = 0;
  CHECK_EQ(run(wrong, y), QNN_GRAPH_ERROR_INVALID_TENSOR);
  wrong = x;
  wrong.v1.clientBuf.data = nullptr;
  CHECK_EQ(run(wrong, y), QNN_GRAPH_ERROR_INVALID_TENSOR);
  wrong = x;
  wrong.v1.clientBuf.dataSize = ConvRelu::bytes - 1;
  CHECK_EQ(run(wrong, y), QNN_GRAPH_ERROR_INVALID_TENSOR);
  wrong = x;
  wrong.version = static_cast<Qnn_TensorVersion_t>(3);
  CHECK_EQ(run(wrong, y), QNN_GRAPH_ERROR_INVALID_TENSOR);
  wrong = x;
  wrong.v1.memType = QNN_TENSORMEMTYPE_MEMHANDLE;
  wrong.v1.memHandle = nullptr;
  CHECK_EQ(run(wrong, y), QNN_GRAPH_ERROR_INVALID_TENSOR);
  std::array<uint32_t, 4> smaller{{1, 4, 4, 2}};
  wrong = x;
  wrong.v1.dimensions = smaller.data();
  CHECK_EQ(run(wrong, y), QNN_GRAPH_ERROR_INVALID_TENSOR);
  // Neither the name nor the dimensions have to be given, and version 2 is as good.
  Qnn_Tensor_t bare = x;
  bare.v1.name = nullptr;
  bare.v1.dimensions = nullptr;
  CHECK_EQ(run(bare, y), QNN_SUCCESS);
  Qnn_Tensor_t second = QNN_TENSOR_INIT;
  second.version = QNN_TENSOR_VERSION_2;
  second.v2 = QNN_TENSOR_V2_INIT;
  second.v2.id = x.v1.id;
  second.v2.memType = QNN_TENSORMEMTYPE_RAW;
  second.v2.clientBuf = x.v1.clientBuf;
  CHECK_EQ(run(second, y), QNN_SUCCESS);
}

TEST(a_profile_object_tells_of_the_last_call) {
  Session session;
  ConvRelu net(session.context());
  net.compose();
  Qnn_ProfileHandle_t profile = nullptr;
  CHECK_EQ(qnn().profileCreate(session.backend, QNN_PROFILE_LEVEL_DETAILED, &profile), QNN_SUCCESS);
  const QnnProfile_EventId_t* events = nullptr;
  uint32_t count = 9;
  CHECK_EQ(qnn().profileGetEvents(profile, &events, &count), QNN_SUCCESS);
  CHECK_EQ(count, 0);
  CHECK_EQ(qnn().graphFinalize(net.graph, profile, nullptr), QNN_SUCCESS);
  CHECK_EQ(qnn().profileGetEvents(profile, &events, &count), QNN_SUCCESS);
  REQUIRE(count == 1);
  QnnProfile_EventData_t data{};
  CHECK_EQ(qnn().profileGetEventData(events[0], &data), QNN_SUCCESS);
  CHECK_EQ(data.type, QNN_PROFILE_EVENTTYPE_FINALIZE);

  Picture picture = kPicture, result{};
  CHECK_EQ(net.execute(picture, result, profile), QNN_SUCCESS);
  CHECK_EQ(qnn().profileGetEvents(profile, &events, &count), QNN_SUCCESS);
  REQUIRE(count == 7);
  uint64_t cycles = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const QnnProfile_EventId_t* parts = nullptr;
    uint32_t part_count = 9;
    CHECK_EQ(qnn().profileGetEventData(events[i], &data), QNN_SUCCESS);
    cycles += data.unit == QNN_PROFILE_EVENTUNIT_CYCLES ? data.value : 0;
    CHECK(std::strlen(data.identifier) > 0);
    CHECK_EQ(qnn().profileGetSubEvents(events[i], &parts, &part_count), QNN_SUCCESS);
    CHECK_EQ(part_count > 0, data.unit == QNN_PROFILE_EVENTUNIT_CYCLES);
    QnnProfile_ExtendedEventData_t extended{};
    CHECK_EQ(qnn().profileGetExtendedEventData(events[i], &extended), QNN_SUCCESS);
    CHECK_EQ(extended.v1.value.uint64Value, data.value);
  }
  CHECK(cycles > 0);
  const QnnProfile_EventId_t event = events[0];
  CHECK_EQ(qnn().profileGetEventData(0, &data), QNN_PROFILE_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().profileFree(profile), QNN_SUCCESS);
  CHECK_EQ(qnn().profileGetEventData(event, &data), QNN_PROFILE_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().profileFree(profile), QNN_PROFILE_ERROR_INVALID_HANDLE);
  CHECK_EQ(net.execute(picture, result, profile), QNN_GRAPH_ERROR_INVALID_ARGUMENT);
}
