// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// Degraded mode: requests are executed on the CPU while the device is down.

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <vector>

#include "htp_runtime.hpp"
#include "support/check.hpp"
#include "support/client.hpp"

namespace {

constexpr Qnn_ErrorHandle_t reset = QNN_COMMON_ERROR_SYSTEM_COMMUNICATION;
constexpr Qnn_ErrorHandle_t fatal = QNN_COMMON_ERROR_SYSTEM_COMMUNICATION_FATAL;
constexpr std::uint64_t interval_us = 1000;

Qnn_ErrorHandle_t keep_queue(const Session& session, std::uint64_t time_budget_us = 8000000) {
  htp_rt_recovery_t recovery = {};
  recovery.struct_size = sizeof recovery;
  recovery.kind = HTP_RT_RECOVERY_MANAGED;
  recovery.attempts_max = 3;
  recovery.time_budget_us = time_budget_us;
  return htp_rt_context_set_recovery(session.context, &recovery);
}

Qnn_ErrorHandle_t fall_back(const Session& session, std::uint64_t interval = interval_us) {
  htp_rt_fallback_t fallback = {};
  fallback.struct_size = sizeof fallback;
  fallback.interval_us = interval;
  return htp_rt_context_set_fallback(session.context, &fallback);
}

htp_rt_context_stats_t stats_of(const Session& session) {
  htp_rt_context_stats_t stats = {};
  CHECK_EQ(htp_rt_context_stats(session.context, &stats), QNN_SUCCESS);
  return stats;
}

/** An execution, how it ended and where it was. */
struct Told {
  Execution execution;
  Mailbox mailbox;
  htp_rt_completion_t completion = {};

  static void on_done(void* param, const htp_rt_completion_t* completion) {
    auto* self = static_cast<Told*>(param);
    self->completion = *completion;
    self->mailbox.put(completion->error);
  }
  Qnn_ErrorHandle_t queue(const Client& client, const Session& session, std::size_t image) {
    execution.bind(client, session, image);
    return htp_rt_graph_try_execute_async(session.graph, &execution.input, 1,
                                          execution.outputs.data(), 2, nullptr, &Told::on_done,
                                          this, nullptr);
  }
};

/** How long the runs of a list took between their starts, at least. */
std::uint64_t least_interval_us(const std::vector<std::unique_ptr<Told>>& list) {
  std::uint64_t least = UINT64_MAX, last = 0;
  for (const auto& told : list) {
    const std::uint64_t begun = told->completion.dispatched_us;
    least = last != 0 && begun - last < least ? begun - last : least;
    last = begun;
  }
  return least;
}

}  // namespace

TEST(frames_are_kept_when_the_dsp_does_not_come_back) {
  Client client;
  REQUIRE(client.open());
  Session session, plain;
  for (Session* each : {&session, &plain}) {
    REQUIRE(each->open(client) == QNN_SUCCESS);
    CHECK_EQ(keep_queue(*each), QNN_SUCCESS);
  }
  CHECK_EQ(fall_back(session), QNN_SUCCESS);
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  std::vector<std::unique_ptr<Told>> all;
  for (std::size_t image = 0; image < 8; ++image) {
    all.push_back(std::make_unique<Told>());
    CHECK_EQ(all.back()->queue(client, session, image), QNN_SUCCESS);
  }
  CHECK_EQ(htp_rt_vdev_reconnect_fails(100), QNN_SUCCESS);
  CHECK_EQ(htp_rt_vdev_crash(HTP_RT_VDEV_CRASH_NOW), QNN_SUCCESS);
  for (const auto& told : all) {
    REQUIRE(told->mailbox.wait(1));
  }
  // The one that was on the device is heard when the device is given up; the others are executed.
  CHECK(all[0]->completion.error == fatal && all[0]->completion.on_fallback == 0);
  all.erase(all.begin());
  for (const auto& told : all) {
    CHECK_EQ(told->completion.error, QNN_SUCCESS);
    CHECK_EQ(told->completion.on_fallback, 1);
    CHECK_EQ(told->completion.device_time_us, 0);
    CHECK(told->execution.right(client));
  }
  CHECK(least_interval_us(all) >= interval_us);
  htp_rt_stats_t stats = {};
  CHECK_EQ(htp_rt_stats(&stats), QNN_SUCCESS);
  CHECK(stats.ssr_state == HTP_RT_SSR_LOST);
  // Blocking calls go on as well; those of a context without a fallback do not.
  for (std::size_t image = 20; image < 24; ++image) {
    Execution execution;
    execution.bind(client, session, image);
    CHECK(execution.run(client, session) == QNN_SUCCESS && execution.right(client));
    execution.bind(client, plain, image);
    CHECK_EQ(execution.run(client, plain), fatal);
  }
  CHECK_EQ(stats_of(session).on_fallback, 11);
  CHECK_EQ(stats_of(session).completed, 11);
  CHECK_EQ(stats_of(plain).on_fallback, 0);
  Told last;
  CHECK_EQ(last.queue(client, session, 0), QNN_SUCCESS);
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
  REQUIRE(last.mailbox.wait(1));
  CHECK_EQ(client.api->contextFree(plain.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(htp_rt_stats(&stats), QNN_SUCCESS);
  CHECK_EQ(stats.contexts, 0);
  CHECK_EQ(stats.faults, 0);
  CHECK_EQ(stats.blocks_leaked, 0);
}

TEST(a_lost_context_goes_on_beside_others_on_the_device) {
  Client client;
  REQUIRE(client.open());
  Session lost, lives;
  REQUIRE(lost.open(client) == QNN_SUCCESS);
  REQUIRE(lives.open(client) == QNN_SUCCESS);
  CHECK_EQ(keep_queue(lost, 1), QNN_SUCCESS);
  CHECK_EQ(keep_queue(lives), QNN_SUCCESS);
  CHECK_EQ(fall_back(lost), QNN_SUCCESS);
  CHECK_EQ(htp_rt_vdev_reconnect_fails(1), QNN_SUCCESS);
  CHECK_EQ(crash(client, lives), reset);
  for (std::size_t image = 0; image < 4; ++image) {
    Told on_cpu, on_device;
    CHECK_EQ(on_cpu.queue(client, lost, image), QNN_SUCCESS);
    CHECK_EQ(on_device.queue(client, lives, image), QNN_SUCCESS);
    REQUIRE(on_cpu.mailbox.wait(1) && on_device.mailbox.wait(1));
    CHECK(on_cpu.completion.error == QNN_SUCCESS && on_cpu.completion.on_fallback == 1);
    CHECK(on_device.completion.error == QNN_SUCCESS && on_device.completion.on_fallback == 0);
    CHECK(on_cpu.execution.right(client) && on_device.execution.right(client));
  }
  // Tensors are compared with the graph as ever, and memory of another context is nobody's here.
  const int fd = memfd_create("fallback", 0);
  CHECK_EQ(ftruncate(fd, 4096), 0);
  Execution execution;
  execution.bind(client, lost, 0);
  std::array<std::uint32_t, 1> dims{{execution.input.v1.clientBuf.dataSize}};
  Qnn_MemDescriptor_t shared = QNN_MEM_DESCRIPTOR_INIT;
  shared.memShape.numDim = 1;
  shared.memShape.dimSize = dims.data();
  shared.dataType = QNN_DATATYPE_UFIXED_POINT_8;
  shared.memType = QNN_MEM_TYPE_ION;
  shared.ionInfo.fd = fd;
  Qnn_MemHandle_t memory = nullptr;
  CHECK_EQ(client.api->memRegister(lives.context, &shared, 1, &memory), QNN_SUCCESS);
  execution.input.v1.memType = QNN_TENSORMEMTYPE_MEMHANDLE;
  execution.input.v1.memHandle = memory;
  CHECK_EQ(execution.run(client, lost), QNN_GRAPH_ERROR_INVALID_TENSOR);
  CHECK_EQ(client.api->memDeRegister(&memory, 1), QNN_SUCCESS);
  CHECK_EQ(close(fd), 0);
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(client.api->graphRetrieve(lost.context, "digits", &graph), fatal);
  CHECK_EQ(fall_back(lost), fatal);
  CHECK_EQ(client.api->contextFree(lost.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(client.api->contextFree(lives.context, nullptr), QNN_SUCCESS);
}

TEST(what_is_not_understood_is_refused) {
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  CHECK_EQ(fall_back(session), QNN_CONTEXT_ERROR_INVALID_CONFIG);
  CHECK_EQ(keep_queue(session), QNN_SUCCESS);
  CHECK_EQ(fall_back(session, 0), QNN_CONTEXT_ERROR_INVALID_CONFIG);
  CHECK_EQ(fall_back(session, 5000001), QNN_CONTEXT_ERROR_INVALID_CONFIG);
  htp_rt_fallback_t fallback = {};
  fallback.struct_size = 4;
  fallback.interval_us = 1;
  CHECK_EQ(htp_rt_context_set_fallback(session.context, &fallback),
           QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(htp_rt_context_set_fallback(nullptr, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  htp_rt_stats_t before = {}, after = {};
  CHECK_EQ(htp_rt_stats(&before), QNN_SUCCESS);
  CHECK_EQ(fall_back(session, 5000000), QNN_SUCCESS);
  CHECK_EQ(htp_rt_stats(&after), QNN_SUCCESS);
  CHECK(after.memory_used_bytes > before.memory_used_bytes);
  // Once for all: the next one takes nothing.
  CHECK_EQ(fall_back(session), QNN_SUCCESS);
  CHECK_EQ(htp_rt_stats(&before), QNN_SUCCESS);
  CHECK_EQ(after.memory_used_bytes, before.memory_used_bytes);
  htp_rt_recovery_t native = {};
  native.struct_size = sizeof native;
  CHECK_EQ(htp_rt_context_set_recovery(session.context, &native),
           QNN_CONTEXT_ERROR_INVALID_CONFIG);
  CHECK_EQ(htp_rt_context_set_fallback(session.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(htp_rt_context_set_recovery(session.context, &native), QNN_SUCCESS);
  Qnn_ContextHandle_t empty = nullptr;
  CHECK_EQ(client.api->contextCreate(client.backend, nullptr, nullptr, &empty), QNN_SUCCESS);
  Session without;
  without.context = empty;
  CHECK_EQ(keep_queue(without), QNN_SUCCESS);
  CHECK_EQ(fall_back(without), QNN_CONTEXT_ERROR_INVALID_CONFIG);
  CHECK_EQ(client.api->contextFree(empty, nullptr), QNN_SUCCESS);
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(fall_back(session), QNN_CONTEXT_ERROR_INVALID_HANDLE);
}

TEST(the_owner_of_a_context_sets_it) {
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  htp::Context context(session.context);
  CHECK_EQ(context.set_fallback(interval_us).code(), QNN_CONTEXT_ERROR_INVALID_CONFIG);
  CHECK(!context.set_recovery({}));
  CHECK(!context.set_fallback(interval_us));
  CHECK(!context.set_no_fallback());
  CHECK(!context.set_native_recovery());
  CHECK_EQ((*context.stats()).on_fallback, 0);
}
