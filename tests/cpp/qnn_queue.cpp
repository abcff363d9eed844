// SPDX-License-Identifier: Apache-2.0 OR MIT
// also: shared
// The queue of a context: its depth, what happens when it is full, and what ends requests early.

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "support/blocked.hpp"
#include "support/check.hpp"
#include "support/composed.hpp"
#include "support/waiter.hpp"

namespace {

using Picture = std::array<uint8_t, ConvRelu::bytes>;

/** A context with one graph and pictures to work on. */
struct Camera {
  explicit Camera(uint32_t depth = 0) {
    ConfigList<QnnContext_Config_t> list{depth_config(depth)};
    context = session.context(depth == 0 ? nullptr : list.get());
    net.reset(new ConvRelu(context));
    net->compose();
    net->finalize();
  }
  Qnn_ErrorHandle_t submit(Qnn_SignalHandle_t signal = nullptr,
                           Qnn_ProfileHandle_t profile = nullptr) {
    return net->execute_async(picture, result, Waiter::notify, &waiter, signal, profile);
  }
  uint32_t queued() const {
    htp_rt_context_stats_t stats{};
    htp_rt_context_stats(context, &stats);
    return stats.queue_used;
  }
  uint32_t depth() const {
    htp_rt_context_stats_t stats{};
    htp_rt_context_stats(context, &stats);
    return stats.queue_depth;
  }

  Session session;
  Qnn_ContextHandle_t context = nullptr;
  std::unique_ptr<ConvRelu> net;
  Picture picture{{1, 2, 3}}, result{};
  Waiter waiter;
};

Qnn_SignalHandle_t signal_with(const Session& session, QnnSignal_ConfigOption_t option,
                               uint64_t timeout_us = 0) {
  QnnSignal_Config_t config{};
  config.option = option;
  if (option == QNN_SIGNAL_CONFIG_OPTION_TIMEOUT) {
    config.timeoutDurationUs = timeout_us;
  }
  ConfigList<QnnSignal_Config_t> list{config};
  Qnn_SignalHandle_t signal = nullptr;
  qnn().signalCreate(session.backend, list.get(), &signal);
  return signal;
}

}  // namespace

// REQ: ASYNC-006, ASYNC-008, ASYNC-009, ASYNC-014, ASYNC-015, ASYNC-016
TEST(depths_are_1_to_300_and_10_by_default) {
  Session session;
  Qnn_ContextHandle_t context = nullptr;
  const auto depth_of = [&](const QnnContext_Config_t** list) {
    htp_rt_context_stats_t stats{};
    CHECK_EQ(qnn().contextCreate(session.backend, session.device, list, &context), QNN_SUCCESS);
    CHECK_EQ(htp_rt_context_stats(context, &stats), QNN_SUCCESS);
    return stats.queue_depth;
  };
  ConfigList<QnnContext_Config_t> empty{};
  ConfigList<QnnContext_Config_t> least{depth_config(1)}, documented{depth_config(25)},
      most{depth_config(300)};
  CHECK_EQ(depth_of(nullptr), 10);
  CHECK_EQ(depth_of(empty.get()), 10);
  CHECK_EQ(depth_of(least.get()), 1);
  CHECK_EQ(depth_of(documented.get()), 25);
  CHECK_EQ(depth_of(most.get()), 300);
  for (uint32_t depth : {0u, 301u, 65537u, 4294967295u}) {
    ConfigList<QnnContext_Config_t> list{depth_config(depth)};
    CHECK_EQ(qnn().contextCreate(session.backend, session.device, list.get(), &context),
             QNN_CONTEXT_ERROR_INVALID_CONFIG);
  }
}

// REQ: ASYNC-007, ASYNC-009, ASYNC-013, ASYNC-016
TEST(a_loaded_context_has_the_depth_it_is_loaded_with) {
  Camera camera(25);
  Qnn_ContextBinarySize_t size = 0, written = 0;
  CHECK_EQ(qnn().contextGetBinarySize(camera.context, &size), QNN_SUCCESS);
  std::vector<uint8_t> binary(static_cast<std::size_t>(size));
  CHECK_EQ(qnn().contextGetBinary(camera.context, binary.data(), size, &written), QNN_SUCCESS);
  const auto load = [&](const QnnContext_Config_t** list, Qnn_ContextHandle_t* context) {
    return qnn().contextCreateFromBinary(camera.session.backend, camera.session.device, list,
                                         binary.data(), size, context, nullptr);
  };
  const auto depth_of = [](Qnn_ContextHandle_t context) {
    htp_rt_context_stats_t stats{};
    htp_rt_context_stats(context, &stats);
    return stats.queue_depth;
  };
  Qnn_ContextHandle_t context = nullptr;
  CHECK_EQ(load(nullptr, &context), QNN_SUCCESS);
  CHECK_EQ(depth_of(context), 10);
  ConfigList<QnnContext_Config_t> most{depth_config(300)}, more{depth_config(301)};
  CHECK_EQ(load(most.get(), &context), QNN_SUCCESS);
  CHECK_EQ(depth_of(context), 300);
  CHECK_EQ(load(more.get(), &context), QNN_CONTEXT_ERROR_INVALID_CONFIG);
}

// REQ: ASYNC-010, ASYNC-011
TEST(a_depth_is_fixed_for_life) {
  Camera camera(7);
  ConfigList<QnnContext_Config_t> deeper{depth_config(20)}, absurd{depth_config(1000)};
  CHECK_EQ(qnn().contextSetConfig(camera.context, deeper.get()), QNN_SUCCESS);
  CHECK_EQ(qnn().contextSetConfig(camera.context, absurd.get()), QNN_SUCCESS);
  CHECK_EQ(camera.depth(), 7);
}

// REQ: ASYNC-003, ASYNC-012
TEST(a_full_queue_blocks_until_there_is_room) {
  Camera camera(2);
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  CHECK_EQ(camera.submit(), QNN_SUCCESS);
  CHECK_EQ(camera.submit(), QNN_SUCCESS);
  CHECK_EQ(camera.queued(), 2);
  // The call that never waits says so; the one that waits has not come back.
  Qnn_Tensor_t input = camera.net->x, output = camera.net->y;
  set_data(input, camera.picture);
  set_data(output, camera.result);
  const auto ignore = [](void*, const htp_rt_completion_t*) {};
  CHECK_EQ(htp_rt_graph_try_execute_async(camera.net->graph, &input, 1, &output, 1, nullptr, ignore,
                                          nullptr, nullptr),
           QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE);
  BlockedCall third([&] { return camera.submit(); });
  CHECK(third.is_waiting());
  CHECK_EQ(camera.queued(), 2);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  CHECK_EQ(third.error(), QNN_SUCCESS);
  for (Qnn_ErrorHandle_t error : camera.waiter.wait(3)) {
    CHECK_EQ(error, QNN_SUCCESS);
  }
  CHECK(camera.result == ConvRelu::expected(camera.picture));
}

TEST(blocking_executions_wait_for_room_too) {
  Camera camera(1);
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  CHECK_EQ(camera.submit(), QNN_SUCCESS);
  ConvRelu other(camera.context, "other");
  other.compose();
  other.finalize();
  Picture picture{{9}}, result{};
  BlockedCall second([&] { return other.execute(picture, result); });
  CHECK(second.is_waiting());
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  CHECK_EQ(second.error(), QNN_SUCCESS);
  CHECK(result == ConvRelu::expected(picture));
  CHECK_EQ(camera.waiter.wait(1)[0], QNN_SUCCESS);
}

// REQ: ASYNC-038
TEST(one_graph_is_executed_in_one_way_at_a_time) {
  Camera camera;
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  CHECK_EQ(camera.submit(), QNN_SUCCESS);
  Picture result{};
  CHECK_EQ(camera.net->execute(camera.picture, result), QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  camera.waiter.wait(1);
  CHECK_EQ(camera.net->execute(camera.picture, result), QNN_SUCCESS);
}

// REQ: ASYNC-027
TEST(priorities_are_fixed_while_requests_are_in_flight) {
  Camera camera;
  QnnGraph_Config_t config = QNN_GRAPH_CONFIG_INIT;
  config.option = QNN_GRAPH_CONFIG_OPTION_PRIORITY;
  config.priority = QNN_PRIORITY_LOW;
  ConfigList<QnnGraph_Config_t> low{config};
  ConfigList<QnnContext_Config_t> high{priority_config(QNN_PRIORITY_HIGH)};
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  CHECK_EQ(camera.submit(), QNN_SUCCESS);
  CHECK_EQ(qnn().graphSetConfig(camera.net->graph, low.get()),
           QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
  CHECK_EQ(qnn().contextSetConfig(camera.context, high.get()),
           QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  camera.waiter.wait(1);
  CHECK_EQ(qnn().graphSetConfig(camera.net->graph, low.get()), QNN_SUCCESS);
}

// REQ: ASYNC-040
TEST(freeing_a_context_notifies_every_request_and_releases_blocked_callers) {
  Camera camera(3);
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  for (int i = 0; i < 3; ++i) {
    CHECK_EQ(camera.submit(), QNN_SUCCESS);
  }
  BlockedCall fourth([&] { return camera.submit(); });
  CHECK(fourth.is_waiting());
  CHECK_EQ(qnn().contextFree(camera.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(fourth.error(), QNN_GRAPH_ERROR_INVALID_HANDLE);
  const auto errors = camera.waiter.wait(3);
  CHECK_EQ(errors.size(), 3);
  for (Qnn_ErrorHandle_t error : errors) {
    CHECK_EQ(error, QNN_GRAPH_ERROR_ABORTED);
  }
  htp_rt_stats_t stats{};
  htp_rt_stats(&stats);
  CHECK_EQ(stats.contexts, 0);
  CHECK_EQ(stats.faults + stats.blocks_leaked, 0);
}

// REQ: ASYNC-029
TEST(a_signal_ends_the_request_that_it_is_attached_to) {
  Camera camera;
  const Qnn_SignalHandle_t signal = signal_with(camera.session, QNN_SIGNAL_CONFIG_OPTION_ABORT);
  REQUIRE(signal != nullptr);
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  CHECK_EQ(camera.submit(signal), QNN_SUCCESS);
  CHECK_EQ(camera.submit(signal), QNN_GRAPH_ERROR_SIGNAL_IN_USE);
  CHECK_EQ(camera.submit(), QNN_SUCCESS);
  CHECK_EQ(qnn().signalFree(signal), QNN_SIGNAL_ERROR_SIGNAL_IN_USE);
  CHECK_EQ(qnn().signalTrigger(signal), QNN_SUCCESS);
  CHECK_EQ(camera.waiter.wait(1)[0], QNN_GRAPH_ERROR_ABORTED);
  CHECK_EQ(qnn().signalTrigger(signal), QNN_SIGNAL_ERROR_SIGNAL_IDLE);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  CHECK_EQ(camera.waiter.wait(2)[1], QNN_SUCCESS);
  CHECK_EQ(camera.submit(signal), QNN_SUCCESS);
  CHECK_EQ(camera.waiter.wait(3)[2], QNN_SUCCESS);
  CHECK_EQ(qnn().signalFree(signal), QNN_SUCCESS);
  CHECK_EQ(camera.submit(signal), QNN_SIGNAL_ERROR_INVALID_HANDLE);
}

// REQ: ASYNC-029
TEST(a_signal_bounds_the_time_of_a_request) {
  Camera camera;
  const Qnn_SignalHandle_t brief =
      signal_with(camera.session, QNN_SIGNAL_CONFIG_OPTION_TIMEOUT, 1);
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  CHECK_EQ(camera.submit(brief), QNN_SUCCESS);
  CHECK_EQ(camera.waiter.wait(1)[0], QNN_GRAPH_ERROR_TIMED_OUT);
  Picture result{};
  CHECK_EQ(camera.net->execute(camera.picture, result, nullptr, brief), QNN_GRAPH_ERROR_TIMED_OUT);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  CHECK_EQ(camera.net->execute(camera.picture, result), QNN_SUCCESS);
}

// REQ: ASYNC-029
TEST(a_signal_bounds_the_wait_for_room_too) {
  Camera camera(1);
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  CHECK_EQ(camera.submit(), QNN_SUCCESS);
  const Qnn_SignalHandle_t brief =
      signal_with(camera.session, QNN_SIGNAL_CONFIG_OPTION_TIMEOUT, 1);
  CHECK_EQ(camera.submit(brief), QNN_GRAPH_ERROR_TIMED_OUT);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  CHECK_EQ(camera.waiter.wait(1)[0], QNN_SUCCESS);
  CHECK_EQ(qnn().signalFree(brief), QNN_SUCCESS);
  CHECK_EQ(qnn().contextFree(camera.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(camera.waiter.count(), 1);
}

// REQ: ASYNC-029
TEST(a_signal_ends_the_wait_for_room_and_nothing_is_queued) {
  Camera camera(1);
  ConvRelu other(camera.context, "other");
  other.compose();
  other.finalize();
  Picture picture{{9}}, result{};
  const Qnn_SignalHandle_t signal = signal_with(camera.session, QNN_SIGNAL_CONFIG_OPTION_ABORT);
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  CHECK_EQ(camera.submit(), QNN_SUCCESS);
  {
    BlockedCall second([&] { return camera.submit(signal); });
    CHECK(second.is_waiting());
    CHECK_EQ(camera.submit(signal), QNN_GRAPH_ERROR_SIGNAL_IN_USE);
    CHECK_EQ(qnn().signalFree(signal), QNN_SIGNAL_ERROR_SIGNAL_IN_USE);
    CHECK_EQ(qnn().signalTrigger(signal), QNN_SUCCESS);
    CHECK_EQ(second.error(), QNN_GRAPH_ERROR_ABORTED);
  }
  CHECK_EQ(qnn().signalTrigger(signal), QNN_SIGNAL_ERROR_SIGNAL_IDLE);
  {
    BlockedCall third([&] { return other.execute(picture, result, nullptr, signal); });
    CHECK(third.is_waiting());
    CHECK_EQ(qnn().signalTrigger(signal), QNN_SUCCESS);
    CHECK_EQ(third.error(), QNN_GRAPH_ERROR_ABORTED);
  }
  CHECK_EQ(qnn().signalTrigger(signal), QNN_SIGNAL_ERROR_SIGNAL_IDLE);
  CHECK_EQ(camera.queued(), 1);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  CHECK_EQ(camera.waiter.wait(1)[0], QNN_SUCCESS);
  CHECK_EQ(other.execute(picture, result, nullptr, signal), QNN_SUCCESS);
  CHECK_EQ(qnn().signalFree(signal), QNN_SUCCESS);
  CHECK_EQ(qnn().contextFree(camera.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(camera.waiter.count(), 1);
}

// REQ: ASYNC-031, ASYNC-037
TEST(a_profile_object_serves_one_request_at_a_time) {
  Camera camera;
  Qnn_ProfileHandle_t profile = nullptr;
  CHECK_EQ(qnn().profileCreate(camera.session.backend, QNN_PROFILE_LEVEL_BASIC, &profile),
           QNN_SUCCESS);
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  CHECK_EQ(camera.submit(nullptr, profile), QNN_SUCCESS);
  CHECK_EQ(camera.submit(nullptr, profile), QNN_GRAPH_ERROR_PROFILE_IN_USE);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  camera.waiter.wait(1);
  const QnnProfile_EventId_t* events = nullptr;
  uint32_t count = 0;
  CHECK_EQ(qnn().profileGetEvents(profile, &events, &count), QNN_SUCCESS);
  CHECK_EQ(count, 3);
}

// REQ: ASYNC-017
TEST(memory_may_be_shared_and_deregistered_in_flight) {
  Camera camera;
  const int fd = memfd_create("shared", 0);
  REQUIRE(fd >= 0 && ftruncate(fd, ConvRelu::bytes) == 0);
  std::array<uint32_t, 1> bytes{{ConvRelu::bytes}};
  Qnn_MemDescriptor_t descriptor{};
  descriptor.memShape.numDim = 1;
  descriptor.memShape.dimSize = bytes.data();
  descriptor.dataType = QNN_DATATYPE_UFIXED_POINT_8;
  descriptor.memType = QNN_MEM_TYPE_ION;
  descriptor.ionInfo.fd = fd;
  Qnn_MemHandle_t mem = nullptr;
  CHECK_EQ(qnn().memRegister(camera.context, &descriptor, 1, &mem), QNN_SUCCESS);
  Qnn_Tensor_t input = camera.net->x, output = camera.net->y;
  set_data(input, camera.picture);
  output.v1.memType = QNN_TENSORMEMTYPE_MEMHANDLE;
  output.v1.memHandle = mem;
  const auto submit = [&] {
    return qnn().graphExecuteAsync(camera.net->graph, &input, 1, &output, 1, nullptr, nullptr,
                                   Waiter::notify, &camera.waiter);
  };
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  CHECK_EQ(submit(), QNN_SUCCESS);
  CHECK_EQ(submit(), QNN_SUCCESS);
  CHECK_EQ(qnn().memDeRegister(&mem, 1), QNN_SUCCESS);
  CHECK_EQ(submit(), QNN_GRAPH_ERROR_INVALID_TENSOR);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  for (Qnn_ErrorHandle_t error : camera.waiter.wait(2)) {
    CHECK_EQ(error, QNN_SUCCESS);
  }
  Picture seen{};
  CHECK(pread(fd, seen.data(), seen.size(), 0) == static_cast<ssize_t>(seen.size()));
  CHECK(seen == ConvRelu::expected(camera.picture));
}

namespace {

/** A notification that uses the library. */
struct Chain {
  Camera* camera;
  Waiter* waiter;
  std::atomic<int> left;
  Qnn_ErrorHandle_t full;
};

void next(void* param, Qnn_NotifyStatus_t status) {
  auto* chain = static_cast<Chain*>(param);
  CHECK_EQ(status.error, QNN_SUCCESS);
  if (--chain->left > 0) {
    CHECK_EQ(chain->camera->net->execute_async(chain->camera->picture, chain->camera->result, next,
                                               chain),
             QNN_SUCCESS);
    // The one place is taken again: waiting for it here would be waiting for oneself.
    chain->full = chain->camera->net->execute_async(chain->camera->picture, chain->camera->result,
                                                    next, chain);
  } else {
    CHECK_EQ(qnn().contextFree(chain->camera->context, nullptr), QNN_SUCCESS);
    Waiter::notify(chain->waiter, status);
  }
}

}  // namespace

TEST(notifications_may_call_the_library) {
  Camera camera(1);
  Waiter waiter;
  Chain chain{&camera, &waiter, {5}, QNN_SUCCESS};
  CHECK_EQ(camera.net->execute_async(camera.picture, camera.result, next, &chain), QNN_SUCCESS);
  waiter.wait(1);
  CHECK(chain.full == QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE);
  CHECK_EQ(qnn().contextFree(camera.context, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
}

// REQ: ASYNC-032
TEST(a_profile_object_for_all_executions_is_refused) {
  Camera camera;
  Qnn_ProfileHandle_t profile = nullptr;
  CHECK_EQ(qnn().profileCreate(camera.session.backend, QNN_PROFILE_LEVEL_BASIC, &profile),
           QNN_SUCCESS);
  QnnGraph_Config_t config = QNN_GRAPH_CONFIG_INIT;
  config.option = QNN_GRAPH_CONFIG_OPTION_PROFILE_HANDLE;
  config.profileHandle = profile;
  ConfigList<QnnGraph_Config_t> list{config};
  CHECK_EQ(qnn().graphSetConfig(camera.net->graph, list.get()),
           QNN_GRAPH_ERROR_UNSUPPORTED_FEATURE);
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(qnn().graphCreate(camera.context, "other", list.get(), &graph),
           QNN_GRAPH_ERROR_UNSUPPORTED_FEATURE);
  CHECK_EQ(camera.submit(), QNN_SUCCESS);
  CHECK_EQ(camera.waiter.wait(1)[0], QNN_SUCCESS);
}

// REQ: ASYNC-021, ASYNC-022
TEST(elsewhere_asynchronous_execution_is_refused) {
  htp_rt_vdev_config_t vdev{};
  vdev.struct_size = sizeof(vdev);
  vdev.platform = HTP_RT_PLATFORM_X86_SIMULATION;
  CHECK_EQ(htp_rt_vdev_configure(&vdev), QNN_SUCCESS);
  Camera camera;
  CHECK_EQ(camera.submit(), QNN_GRAPH_ERROR_UNSUPPORTED_FEATURE);
  CHECK_EQ(camera.waiter.count(), 0);
  CHECK_EQ(qnn().propertyHasCapability(QNN_PROPERTY_GRAPH_SUPPORT_ASYNC_EXECUTION),
           QNN_PROPERTY_NOT_SUPPORTED);
  CHECK_EQ(camera.net->execute(camera.picture, camera.result), QNN_SUCCESS);
}

TEST(wrong_arguments_of_asynchronous_execution) {
  Camera camera;
  CHECK_EQ(camera.net->execute_async(camera.picture, camera.result, nullptr, nullptr),
           QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().graphExecuteAsync(nullptr, nullptr, 0, nullptr, 0, nullptr, nullptr,
                                   Waiter::notify, &camera.waiter),
           QNN_GRAPH_ERROR_INVALID_HANDLE);
  ConvRelu unfinished(camera.context, "unfinished");
  unfinished.compose();
  CHECK_EQ(unfinished.execute_async(camera.picture, camera.result, Waiter::notify, &camera.waiter),
           QNN_GRAPH_ERROR_GRAPH_NOT_FINALIZED);
  CHECK_EQ(camera.waiter.count(), 0);
}
