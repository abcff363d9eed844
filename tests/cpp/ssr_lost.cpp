// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// Reconnecting: with several attempts, in vain, and where there is no restart at all.

#include <mutex>
#include <vector>

#include "support/check.hpp"
#include "support/client.hpp"

namespace {

struct Steps {
  std::mutex mutex;
  std::vector<htp_rt_ssr_event_t> events;

  static void on_step(void* param, const htp_rt_ssr_event_t* event) {
    auto* self = static_cast<Steps*>(param);
    const std::lock_guard<std::mutex> lock(self->mutex);
    self->events.push_back(*event);
  }
};

/** After a crash without return: every call of the device fails alike, teardown works. */
void stays_lost(const Client& client, const Session& session, Qnn_ErrorHandle_t code) {
  Session fresh;
  CHECK_EQ(fresh.open(client), code);
  Execution execution;
  execution.bind(client, session, 3);
  CHECK_EQ(execution.run(client, session), code);
  htp_rt_stats_t stats = {};
  CHECK_EQ(htp_rt_stats(&stats), QNN_SUCCESS);
  CHECK_EQ(stats.ssr_state, HTP_RT_SSR_LOST);
  CHECK_EQ(stats.restarts, 1);    // began, and failed
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(client.api->deviceFree(client.device), QNN_SUCCESS);
  CHECK_EQ(client.api->backendFree(client.backend), QNN_SUCCESS);
}

}  // namespace

// REQ: SSR-001, SSR-002
TEST(reconnecting_is_tried_again) {
  Client client;
  REQUIRE(client.open());
  Steps steps;
  htp_rt_subscription_t subscription = {};
  CHECK_EQ(htp_rt_ssr_subscribe(&Steps::on_step, &steps, &subscription), QNN_SUCCESS);
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  CHECK_EQ(htp_rt_vdev_reconnect_fails(2), QNN_SUCCESS);
  CHECK_EQ(crash(client, session), QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(session.open(client), QNN_SUCCESS);
  // An asynchronous execution's notification comes after those of the restart.
  Execution execution;
  Mailbox mailbox;
  execution.bind(client, session, 0);
  CHECK_EQ(execution.queue(client, session, mailbox), QNN_SUCCESS);
  REQUIRE(mailbox.wait(1));

  const std::lock_guard<std::mutex> lock(steps.mutex);
  REQUIRE(!steps.events.empty());
  CHECK_EQ(steps.events.front().from, HTP_RT_SSR_ONLINE);
  CHECK_EQ(steps.events.front().to, HTP_RT_SSR_BEFORE_SHUTDOWN);
  CHECK_EQ(steps.events.back().to, HTP_RT_SSR_ONLINE);
  std::uint32_t attempts = 0;
  for (std::size_t index = 0; index < steps.events.size(); ++index) {
    attempts = attempts < steps.events[index].attempts ? steps.events[index].attempts : attempts;
    CHECK(index == 0 || steps.events[index].from == steps.events[index - 1].to);
    CHECK(index == 0 || steps.events[index].at_us >= steps.events[index - 1].at_us);
  }
  CHECK_EQ(attempts, 3);
  CHECK_EQ(htp_rt_ssr_unsubscribe(subscription), QNN_SUCCESS);
}

// REQ: SSR-006
TEST(a_device_that_does_not_come_back_is_lost) {
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  CHECK_EQ(htp_rt_vdev_reconnect_fails(UINT32_MAX), QNN_SUCCESS);
  CHECK_EQ(crash(client, session), QNN_COMMON_ERROR_SYSTEM_COMMUNICATION_FATAL);
  stays_lost(client, session, QNN_COMMON_ERROR_SYSTEM_COMMUNICATION_FATAL);
}

// REQ: SSR-002
TEST(a_platform_without_restart_says_system_error) {
  Client client;
  REQUIRE(client.open(HTP_RT_PLATFORM_X86_SIMULATION));
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  CHECK_EQ(crash(client, session), QNN_COMMON_ERROR_SYSTEM);
  stays_lost(client, session, QNN_COMMON_ERROR_SYSTEM);
}
