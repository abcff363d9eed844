// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// flags: -pthread
// also: shared
// What notifications may do, and what calls promise about them.

#include <atomic>
#include <thread>

#include "support/check.hpp"
#include "support/client.hpp"
#include "support/door.hpp"

namespace {

struct Guarded {
  Door door;
  std::atomic<bool> returned{false};
};

void wait_at_door(void* param, Qnn_NotifyStatus_t) {
  Guarded& guarded = *static_cast<Guarded*>(param);
  guarded.door.enter();
  guarded.returned = true;
}

Qnn_ErrorHandle_t queue(const Client& client, const Session& session, Execution& execution,
                        Qnn_NotifyFn_t notify, void* param) {
  return client.api->graphExecuteAsync(session.graph, &execution.input, 1, execution.outputs.data(),
                                       2, nullptr, nullptr, notify, param);
}

/** A function that keeps half a megabyte on its stack. */
void fill_stack(void* param, Qnn_NotifyStatus_t) {
  volatile std::uint8_t buffer[1 << 19];
  for (std::size_t at = 0; at < sizeof buffer; at += 256) {
    buffer[sizeof buffer - 1 - at] = 1;
  }
  static_cast<Mailbox*>(param)->put(buffer[sizeof buffer - 1]);
}

}  // namespace

// A client frees what its notifications use when contextFree has returned.
// REQ: ASYNC-001
TEST(freeing_a_context_waits_for_its_last_notification_to_return) {
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  Execution execution;
  execution.bind(client, session, 0);
  Guarded guarded;
  REQUIRE(queue(client, session, execution, &wait_at_door, &guarded) == QNN_SUCCESS);
  REQUIRE(guarded.door.wait_for_entry());
  std::atomic<bool> early{false};
  std::thread freeing([&] {
    CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
    early = !guarded.returned;
  });
  // The context is gone for everybody else before the door opens.
  htp_rt_stats_t stats = {};
  do {
    std::this_thread::yield();
    CHECK_EQ(htp_rt_stats(&stats), QNN_SUCCESS);
  } while (stats.contexts != 0);
  for (int turn = 0; turn < 1000; ++turn) {
    std::this_thread::yield();
  }
  guarded.door.open();
  freeing.join();
  CHECK(!early);
}

// Another context's notification is no reason to wait.
TEST(freeing_a_context_does_not_wait_for_the_notification_of_another) {
  Client client;
  REQUIRE(client.open());
  Session busy, other;
  REQUIRE(busy.open(client) == QNN_SUCCESS && other.open(client) == QNN_SUCCESS);
  Execution execution;
  execution.bind(client, busy, 0);
  Guarded guarded;
  REQUIRE(queue(client, busy, execution, &wait_at_door, &guarded) == QNN_SUCCESS);
  REQUIRE(guarded.door.wait_for_entry());
  CHECK_EQ(client.api->contextFree(other.context, nullptr), QNN_SUCCESS);
  CHECK(!guarded.returned);
  guarded.door.open();
  CHECK_EQ(client.api->contextFree(busy.context, nullptr), QNN_SUCCESS);
  CHECK(guarded.returned);
}

// The place of a request that is being heard is free: a caller that waits for room gets it although
// the function that hears it does not return before.
// REQ: ASYNC-001
TEST(a_notification_may_wait_for_a_caller_that_waits_for_room) {
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client, 1) == QNN_SUCCESS);
  Execution first, second;
  first.bind(client, session, 0);
  second.bind(client, session, 1);
  REQUIRE(htp_rt_vdev_hold() == QNN_SUCCESS);
  Guarded guarded;
  Mailbox mailbox;
  REQUIRE(queue(client, session, first, &wait_at_door, &guarded) == QNN_SUCCESS);
  alarm(8);    // shorter than the 10 s after which the caller would look by itself
  std::thread queueing([&] {
    CHECK_EQ(second.queue(client, session, mailbox), QNN_SUCCESS);
    guarded.door.open();
  });
  // Let it come to wait; if it does not, this tests less, but never fails wrongly.
  for (int turn = 0; turn < 1000; ++turn) {
    std::this_thread::yield();
  }
  REQUIRE(htp_rt_vdev_resume() == QNN_SUCCESS);
  queueing.join();
  CHECK(mailbox.wait(1));
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
}

// A request that times out in the queue is heard at once, not after the execution under way.
// REQ: ASYNC-001
TEST(a_timed_out_request_does_not_wait_for_the_one_before_it) {
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client, 4) == QNN_SUCCESS);
  REQUIRE(htp_rt_vdev_hold() == QNN_SUCCESS);
  Execution first, second;
  first.bind(client, session, 0);
  second.bind(client, session, 1);
  Mailbox before, after;
  REQUIRE(first.queue(client, session, before) == QNN_SUCCESS);
  htp_rt_execute_options_t options = {};
  options.struct_size = sizeof options;
  options.timeout_us = 1;
  const auto notify = [](void* param, const htp_rt_completion_t* completion) {
    static_cast<Mailbox*>(param)->put(completion->error);
  };
  REQUIRE(htp_rt_graph_try_execute_async(session.graph, &second.input, 1, second.outputs.data(), 2,
                                         &options, notify, &after, nullptr) == QNN_SUCCESS);
  CHECK(after.wait(1));
  CHECK_EQ(after.count_of(QNN_GRAPH_ERROR_TIMED_OUT), 1);
  CHECK_EQ(before.count(), 0);
  REQUIRE(htp_rt_vdev_resume() == QNN_SUCCESS);
  CHECK(before.wait(1));
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
}

// Within a notification nothing waits for the thread that delivers notifications.
TEST(a_notification_may_free_its_own_context_and_execute_in_another) {
  struct Both {
    Client client;
    Session own, other;
    Execution execution;
    Mailbox mailbox;
  };
  static Both both;
  REQUIRE(both.client.open());
  REQUIRE(both.own.open(both.client) == QNN_SUCCESS);
  REQUIRE(both.other.open(both.client) == QNN_SUCCESS);
  both.execution.bind(both.client, both.other, 3);
  Execution execution;
  execution.bind(both.client, both.own, 0);
  const auto notify = [](void*, Qnn_NotifyStatus_t) {
    both.mailbox.put(both.client.api->contextFree(both.own.context, nullptr));
    both.mailbox.put(both.execution.run(both.client, both.other));
    both.mailbox.put(both.client.api->contextFree(both.other.context, nullptr));
  };
  REQUIRE(queue(both.client, both.own, execution, notify, nullptr) == QNN_SUCCESS);
  CHECK(both.mailbox.wait(3));
  CHECK_EQ(both.mailbox.count_of(QNN_SUCCESS), 3);
  CHECK(both.execution.right(both.client));
}

TEST(a_notification_has_room_on_its_stack) {
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  Execution execution;
  execution.bind(client, session, 0);
  Mailbox mailbox;
  REQUIRE(queue(client, session, execution, &fill_stack, &mailbox) == QNN_SUCCESS);
  CHECK(mailbox.wait(1));
}
