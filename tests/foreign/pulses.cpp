// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// A client on QNX that is woken by pulse, and takes its notices itself. Runs the library's objects
// for QNX on Linux, where tests/foreign/shim.c is the kernel.

#include <fcntl.h>
#include <unistd.h>

#include <array>

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

/** Three rounds: nothing is told and one pulse comes when there is something to be told after there
 *  was nothing. */
void run(const Client& client, const Channel& channel, const ForeignPulse& expected) {
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  for (unsigned round = 1; round <= 3; ++round) {
    Execution execution;
    execution.bind(client, session, round);
    REQUIRE(client.api->graphExecuteAsync(session.graph, &execution.input, 1,
                                          execution.outputs.data(), 2, nullptr, nullptr, &on_done,
                                          nullptr) == QNN_SUCCESS);
    const ForeignPulse pulse = channel.receive();
    CHECK_EQ(pulse.priority, expected.priority);
    CHECK_EQ(pulse.code, expected.code);
    CHECK_EQ(pulse.value, expected.value);
    CHECK_EQ(heard, round - 1);
    std::uint32_t taken = 0;
    CHECK_EQ(htp_rt_take_notices(&taken), QNN_SUCCESS);
    CHECK_EQ(taken, 1u);
    CHECK_EQ(heard, round);
    CHECK(channel.is_empty());
    CHECK(execution.right(client));
  }
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
  event.notify = FOREIGN_EVENT_PULSE;
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
  wake.priority = -2;
  CHECK_EQ(htp_rt_set_wake(&wake), QNN_COMMON_ERROR_INVALID_ARGUMENT);
}
