// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// A client with an event loop of its own: woken by descriptor, it takes its notices itself.

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "support/check.hpp"
#include "support/client.hpp"

namespace {

htp_rt_wake_t wake_by(int descriptor) {
  htp_rt_wake_t wake = {};
  wake.struct_size = sizeof wake;
  wake.kind = HTP_RT_WAKE_DESCRIPTOR;
  wake.descriptor = descriptor;
  return wake;
}

/** Waits until the descriptor says something, in the way of an event loop; how often it did. */
std::uint64_t wait_for(int descriptor) {
  pollfd waited = {descriptor, POLLIN, 0};
  std::uint64_t count = 0;
  const bool heard = poll(&waited, 1, -1) == 1 && read(descriptor, &count, sizeof count) > 0;
  return heard ? count : 0;
}

struct Heard {
  unsigned count = 0;
  pthread_t thread{};
  Qnn_ErrorHandle_t error = QNN_COMMON_ERROR_UNDEFINED;
};

void on_done(void* param, Qnn_NotifyStatus_t status) {
  Heard& heard = *static_cast<Heard*>(param);
  ++heard.count;
  heard.thread = pthread_self();
  heard.error = status.error;
}

Qnn_ErrorHandle_t queue(const Client& client, const Session& session, Execution& execution,
                        Heard& heard) {
  return client.api->graphExecuteAsync(session.graph, &execution.input, 1, execution.outputs.data(),
                                       2, nullptr, nullptr, &on_done, &heard);
}

/** Whether `wake` is refused with `code`, and the message says `words`. */
bool refused(const Client& client, const htp_rt_wake_t* wake, Qnn_ErrorHandle_t code,
             const char* words) {
  const char* text = nullptr;
  return htp_rt_set_wake(wake) == code &&
         client.api->errorGetMessage(code, &text) == QNN_SUCCESS &&
         std::strstr(text, words) != nullptr;
}

}  // namespace

// REQ: ASYNC-012
TEST(completions_are_told_on_the_thread_that_takes_them) {
  const int descriptor = eventfd(0, EFD_NONBLOCK);
  Client client;
  REQUIRE(client.open());
  const htp_rt_wake_t wake = wake_by(descriptor);
  REQUIRE(htp_rt_set_wake(&wake) == QNN_SUCCESS);
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  for (std::size_t round = 0; round < 3; ++round) {
    Execution execution;
    execution.bind(client, session, round);
    Heard heard;
    REQUIRE(queue(client, session, execution, heard) == QNN_SUCCESS);
    CHECK_EQ(wait_for(descriptor), 1u);
    CHECK_EQ(heard.count, 0u);
    std::uint32_t taken = 0;
    CHECK_EQ(htp_rt_take_notices(&taken), QNN_SUCCESS);
    CHECK_EQ(taken, 1u);
    CHECK_EQ(heard.count, 1u);
    CHECK(pthread_equal(heard.thread, pthread_self()) != 0);
    CHECK_EQ(heard.error, QNN_SUCCESS);
    CHECK(execution.right(client));
  }
  close(descriptor);
}

// The only thread that could tell does not wait to be told.
TEST(the_thread_that_takes_notices_never_waits_for_one) {
  const int descriptor = eventfd(0, EFD_NONBLOCK);
  Client client;
  REQUIRE(client.open());
  const htp_rt_wake_t wake = wake_by(descriptor);
  REQUIRE(htp_rt_set_wake(&wake) == QNN_SUCCESS);
  CHECK_EQ(htp_rt_take_notices(nullptr), QNN_SUCCESS);
  Session session;
  REQUIRE(session.open(client, 1) == QNN_SUCCESS);
  Execution first;
  Execution second;
  first.bind(client, session, 0);
  second.bind(client, session, 1);
  Heard heard;
  REQUIRE(queue(client, session, first, heard) == QNN_SUCCESS);
  CHECK_EQ(queue(client, session, second, heard), QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE);
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
  while (heard.count == 0) {
    CHECK_EQ(wait_for(descriptor), 1u);
    CHECK_EQ(htp_rt_take_notices(nullptr), QNN_SUCCESS);
  }
  CHECK_EQ(heard.count, 1u);
  htp_rt_stats_t stats = {};
  CHECK_EQ(htp_rt_stats(&stats), QNN_SUCCESS);
  CHECK_EQ(stats.faults, 0u);
  close(descriptor);
}

TEST(a_wake_up_that_fails_is_counted_and_tried_again) {
  const int descriptor = eventfd(0, EFD_NONBLOCK);
  const std::uint64_t full = UINT64_MAX - 1;
  REQUIRE(write(descriptor, &full, sizeof full) == static_cast<ssize_t>(sizeof full));
  Client client;
  REQUIRE(client.open());
  const htp_rt_wake_t wake = wake_by(descriptor);
  REQUIRE(htp_rt_set_wake(&wake) == QNN_SUCCESS);
  htp_rt_stats_t stats = {};
  CHECK_EQ(htp_rt_stats(&stats), QNN_SUCCESS);
  CHECK_EQ(stats.wake_failures, 0u);
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  Execution execution;
  execution.bind(client, session, 0);
  Heard heard;
  REQUIRE(queue(client, session, execution, heard) == QNN_SUCCESS);
  while (stats.wake_failures == 0) {
    REQUIRE(htp_rt_stats(&stats) == QNN_SUCCESS);
    (void)sched_yield();
  }
  CHECK_EQ(wait_for(descriptor), full);    // now there is room
  CHECK_EQ(wait_for(descriptor), 1u);
  CHECK_EQ(heard.count, 0u);
  CHECK_EQ(htp_rt_take_notices(nullptr), QNN_SUCCESS);
  CHECK_EQ(heard.count, 1u);
  close(descriptor);
}

TEST(a_wake_up_that_cannot_be_is_refused_and_changes_nothing) {
  Client client;
  REQUIRE(client.open());
  CHECK_EQ(htp_rt_take_notices(nullptr), QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
  const Qnn_ErrorHandle_t bad = QNN_COMMON_ERROR_INVALID_ARGUMENT;
  CHECK(refused(client, nullptr, bad, "wake is null"));
  const int may_block = eventfd(0, 0);
  htp_rt_wake_t wake = wake_by(may_block);
  CHECK(refused(client, &wake, bad, "which is not open for writing or may block"));
  std::array<int, 2> ends{};
  REQUIRE(pipe2(ends.data(), O_NONBLOCK) == 0);
  wake = wake_by(ends[0]);
  CHECK(refused(client, &wake, bad, "which is not open for writing or may block"));
  close(ends[0]);
  close(ends[1]);
  wake = wake_by(-1);
  CHECK(refused(client, &wake, bad, "wake->descriptor is -1, which is not open for writing"));
  wake.struct_size = 8;
  CHECK(refused(client, &wake, bad, "wake->struct_size is 8, not 40"));
  wake = wake_by(may_block);
  wake.kind = 9;
  CHECK(refused(client, &wake, bad, "wake->kind is 9, there are 1, 2 and 3"));
  wake.kind = HTP_RT_WAKE_EVENT;
  CHECK(refused(client, &wake, bad, "wake->event is null"));
  const Qnn_ErrorHandle_t foreign = QNN_COMMON_ERROR_NOT_SUPPORTED;
  wake.event = &wake;
  CHECK(refused(client, &wake, foreign, "wake->kind is for another operating system"));
  wake.kind = HTP_RT_WAKE_PULSE;
  CHECK(refused(client, &wake, foreign, "wake->kind is for another operating system"));
  CHECK_EQ(htp_rt_take_notices(nullptr), QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
  close(may_block);
}

TEST(who_polls_is_not_woken) {
  htp_rt_config_t config = {};
  config.struct_size = sizeof config;
  config.flags = HTP_RT_INIT_NO_THREADS;
  REQUIRE(htp_rt_init(&config) == QNN_SUCCESS);
  const int descriptor = eventfd(0, EFD_NONBLOCK);
  const htp_rt_wake_t wake = wake_by(descriptor);
  CHECK_EQ(htp_rt_set_wake(&wake), QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
  close(descriptor);
}
