// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// A client on QNX that is woken by pulse or signal, and takes its notices itself. Runs the
// library's objects for QNX on Linux, where tests/foreign/shim.c is the kernel.

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "../cpp/support/check.hpp"
#include "../cpp/support/client.hpp"
#include "shim.h"

namespace {

/** Where pulses arrive, as a channel with one connection to it. */
struct Channel {
  std::array<int, 2> ends{-1, -1};

  bool open() { return pipe2(ends.data(), O_NONBLOCK) == 0 && fcntl(ends[0], F_SETFL, 0) == 0; }
  int connection() const { return ends[1]; }

  /** Waits for a pulse. */
  ForeignPulse receive() const {
    ForeignPulse pulse = {-1, -1, -1};
    CHECK(read(ends[0], &pulse, sizeof pulse) == static_cast<ssize_t>(sizeof pulse));
    return pulse;
  }

  /** Whether there is none left. */
  bool is_empty() const {
    ForeignPulse pulse = {};
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    const bool none = read(ends[0], &pulse, sizeof pulse) < 0;
    (void)fcntl(ends[0], F_SETFL, 0);
    return none;
  }
};

htp_rt_wake_t wake_by(htp_rt_wake_kind_t kind) {
  htp_rt_wake_t wake = {};
  wake.struct_size = sizeof wake;
  wake.kind = kind;
  return wake;
}

unsigned heard = 0;

void on_done(void*, Qnn_NotifyStatus_t status) {
  ++heard;
  CHECK_EQ(status.error, QNN_SUCCESS);
}

/** Three rounds: nothing is told and `woken` returns when there is something to be told after there
 *  was nothing; after it was told, `calm` says that nothing more came. */
template <typename Woken, typename Calm>
void run(const Client& client, Woken woken, Calm calm) {
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  for (unsigned round = 1; round <= 3; ++round) {
    Execution execution;
    execution.bind(client, session, round);
    REQUIRE(client.api->graphExecuteAsync(session.graph, &execution.input, 1,
                                          execution.outputs.data(), 2, nullptr, nullptr, &on_done,
                                          nullptr) == QNN_SUCCESS);
    woken();
    CHECK_EQ(heard, round - 1);
    std::uint32_t taken = 0;
    CHECK_EQ(htp_rt_take_notices(&taken), QNN_SUCCESS);
    CHECK_EQ(taken, 1u);
    CHECK_EQ(heard, round);
    CHECK(calm());
    CHECK(execution.right(client));
  }
}

void run(const Client& client, const Channel& channel, const ForeignPulse& expected) {
  const auto woken = [&] {
    const ForeignPulse pulse = channel.receive();
    CHECK_EQ(pulse.priority, expected.priority);
    CHECK_EQ(pulse.code, expected.code);
    CHECK_EQ(pulse.value, expected.value);
  };
  run(client, woken, [&] { return channel.is_empty(); });
}

}  // namespace

// REQ: ASYNC-012
TEST(a_pulse_wakes_the_client_once_for_each_change_from_nothing_to_something) {
  Channel channel;
  REQUIRE(channel.open());
  Client client;
  REQUIRE(client.open());
  htp_rt_wake_t wake = wake_by(HTP_RT_WAKE_PULSE);
  wake.connection = channel.connection();
  wake.priority = 12;
  wake.code = 5;
  wake.value = 77;
  REQUIRE(htp_rt_set_wake(&wake) == QNN_SUCCESS);
  run(client, channel, ForeignPulse{12, 5, 77});
}

TEST(an_event_wakes_the_client_too) {
  Channel channel;
  REQUIRE(channel.open());
  Client client;
  REQUIRE(client.open());
  ForeignEvent event = {};
  event.notify = FOREIGN_EVENT_PULSE | FOREIGN_EVENT_IS_NUMBER;
  event.connection = channel.connection();
  event.value = 78;
  event.code = 6;
  event.priority = 11;
  htp_rt_wake_t wake = wake_by(HTP_RT_WAKE_EVENT);
  wake.event = &event;
  REQUIRE(htp_rt_set_wake(&wake) == QNN_SUCCESS);
  event.notify = 0;    // it was copied
  run(client, channel, ForeignPulse{11, 6, 78});
}

TEST(a_signal_to_the_process_wakes_the_client_too) {
  sigset_t own;
  (void)sigemptyset(&own);
  (void)sigaddset(&own, SIGUSR1);
  REQUIRE(pthread_sigmask(SIG_BLOCK, &own, nullptr) == 0);
  Client client;
  REQUIRE(client.open());
  for (const int kind : {FOREIGN_EVENT_SIGNAL, FOREIGN_EVENT_SIGNAL_CODE}) {
    ForeignEvent event = {};
    event.notify = kind;
    event.connection = FOREIGN_SIGUSR1;
    htp_rt_wake_t wake = wake_by(HTP_RT_WAKE_EVENT);
    wake.event = &event;
    REQUIRE(htp_rt_set_wake(&wake) == QNN_SUCCESS);
    heard = 0;
    const auto woken = [&] {
      int signal = 0;
      CHECK(sigwait(&own, &signal) == 0 && signal == SIGUSR1);
    };
    run(client, woken, [&] {
      sigset_t pending;
      return sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 0;
    });
  }
}

// The kernel would deliver them to whichever thread has something to announce.
TEST(events_that_would_not_reach_the_client_are_refused) {
  Client client;
  REQUIRE(client.open());
  htp_rt_wake_t wake = wake_by(HTP_RT_WAKE_EVENT);
  ForeignEvent event = {};
  event.connection = FOREIGN_SIGUSR1;
  wake.event = &event;
  // None, as two forms; of 32 bits; to a thread, unblocking, an interrupt's, a new thread, memory.
  for (const int kind : {0, 0x80, 1, 4, 0x83, 0x85, 0x86, 0x87, 0x88, 0x800}) {
    event.notify = kind;
    CHECK_EQ(htp_rt_set_wake(&wake), QNN_COMMON_ERROR_INVALID_ARGUMENT);
    const char* text = nullptr;
    CHECK_EQ(client.api->errorGetMessage(QNN_COMMON_ERROR_INVALID_ARGUMENT, &text), QNN_SUCCESS);
    CHECK(std::strstr(text, "neither a pulse nor a signal to the process") != nullptr);
  }
  CHECK_EQ(htp_rt_take_notices(nullptr), QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
}

TEST(pulses_that_no_program_has_are_refused) {
  Client client;
  REQUIRE(client.open());
  htp_rt_wake_t wake = wake_by(HTP_RT_WAKE_PULSE);
  wake.connection = 1;
  wake.code = 128;
  CHECK_EQ(htp_rt_set_wake(&wake), QNN_COMMON_ERROR_INVALID_ARGUMENT);
  wake.code = -1;
  CHECK_EQ(htp_rt_set_wake(&wake), QNN_COMMON_ERROR_INVALID_ARGUMENT);
  wake.code = 0;
  wake.connection = -1;
  CHECK_EQ(htp_rt_set_wake(&wake), QNN_COMMON_ERROR_INVALID_ARGUMENT);
  wake.connection = 1;
  for (const int priority : {-2, 256, 32767}) {
    wake.priority = priority;
    CHECK_EQ(htp_rt_set_wake(&wake), QNN_COMMON_ERROR_INVALID_ARGUMENT);
  }
  wake.priority = 255;
  CHECK_EQ(htp_rt_set_wake(&wake), QNN_SUCCESS);
}
