// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// A restart of the DSP while requests are queued.

#include <array>
#include <thread>
#include <vector>

#include "support/check.hpp"
#include "support/client.hpp"

namespace {

constexpr std::size_t per_context = 8;

/** Requests queued on a context while the device is held. */
struct Queued {
  Session session;
  Mailbox mailbox;
  std::array<Execution, per_context> executions;

  bool fill(const Client& client) {
    if (session.open(client) != QNN_SUCCESS) {
      return false;
    }
    for (std::size_t index = 0; index < executions.size(); ++index) {
      executions[index].bind(client, session, index);
      if (executions[index].queue(client, session, mailbox) != QNN_SUCCESS) {
        return false;
      }
    }
    return true;
  }
};

/** Frees the stale context and runs one image on a new one. */
bool recovers(const Client& client, Session& session) {
  if (client.api->contextFree(session.context, nullptr) != QNN_SUCCESS ||
      session.open(client) != QNN_SUCCESS) {
    return false;
  }
  Execution execution;
  Mailbox mailbox;
  execution.bind(client, session, 42);
  return execution.queue(client, session, mailbox) == QNN_SUCCESS && mailbox.wait(1) &&
         mailbox.count_of(QNN_SUCCESS) == 1 && execution.right(client);
}

}  // namespace

// REQ: ASYNC-023, ASYNC-024, SSR-001
TEST(each_queued_request_is_told_once) {
  Client client;
  REQUIRE(client.open());
  std::array<Queued, 3> all;
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  for (Queued& queued : all) {
    REQUIRE(queued.fill(client));
  }
  CHECK_EQ(htp_rt_vdev_crash(crashing_op), QNN_SUCCESS);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  for (Queued& queued : all) {
    CHECK(queued.mailbox.wait(per_context));
  }
  for (Queued& queued : all) {
    CHECK(recovers(client, queued.session));
  }
  // By now a second notification of an old request would have come before the new ones.
  for (Queued& queued : all) {
    CHECK_EQ(queued.mailbox.count(), per_context);
    CHECK_EQ(queued.mailbox.count_of(QNN_COMMON_ERROR_SYSTEM_COMMUNICATION), per_context);
    CHECK_EQ(client.api->contextFree(queued.session.context, nullptr), QNN_SUCCESS);
  }
}

// REQ: SSR-010
TEST(threads_recover_without_waiting_for_each_other) {
  Client client;
  REQUIRE(client.open());
  std::array<Queued, 4> all;
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  for (Queued& queued : all) {
    REQUIRE(queued.fill(client));
  }
  CHECK_EQ(htp_rt_vdev_crash(crashing_op), QNN_SUCCESS);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  // The first cleans up while the others still hold stale handles.
  CHECK(all[0].mailbox.wait(per_context));
  CHECK(recovers(client, all[0].session));
  std::array<bool, all.size()> recovered{};
  std::vector<std::thread> threads;
  for (std::size_t index = 1; index < all.size(); ++index) {
    threads.emplace_back([&, index] {
      recovered[index] =
          all[index].mailbox.wait(per_context) && recovers(client, all[index].session);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (std::size_t index = 1; index < all.size(); ++index) {
    CHECK(recovered[index]);
  }
}

// REQ: ASYNC-024
TEST(a_caller_blocked_by_a_full_queue_is_told_too) {
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client, 1) == QNN_SUCCESS);
  Mailbox mailbox;
  std::array<Execution, 2> executions;
  executions[0].bind(client, session, 0);
  executions[1].bind(client, session, 1);
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  CHECK_EQ(executions[0].queue(client, session, mailbox), QNN_SUCCESS);
  CHECK_EQ(htp_rt_vdev_crash(crashing_op), QNN_SUCCESS);
  Qnn_ErrorHandle_t code = QNN_SUCCESS;
  // Whether it is already waiting when the crash comes or arrives after it: the answer is one.
  std::thread blocked([&] { code = executions[1].queue(client, session, mailbox); });
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  blocked.join();
  CHECK_EQ(code, QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
  CHECK(mailbox.wait(1));
  CHECK(recovers(client, session));
  CHECK_EQ(mailbox.count(), 1);
}

// REQ: SSR-005
TEST(a_notified_client_can_create_at_once) {
  Client client;
  REQUIRE(client.open());
  struct Notified {
    const Client* client;
    Session fresh;
    Mailbox mailbox;
    static void on_done(void* param, Qnn_NotifyStatus_t status) {
      auto* self = static_cast<Notified*>(param);
      const bool told = status.error == QNN_COMMON_ERROR_SYSTEM_COMMUNICATION;
      self->mailbox.put(told ? self->fresh.open(*self->client) : status.error + 1);
    }
  } notified;
  notified.client = &client;
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  Execution execution;
  execution.bind(client, session, 0);
  CHECK_EQ(htp_rt_vdev_crash(crashing_op), QNN_SUCCESS);
  CHECK_EQ(client.api->graphExecuteAsync(session.graph, &execution.input, 1,
                                         execution.outputs.data(), 2, nullptr, nullptr,
                                         &Notified::on_done, &notified),
           QNN_SUCCESS);
  REQUIRE(notified.mailbox.wait(1));
  CHECK_EQ(notified.mailbox.count_of(QNN_SUCCESS), 1);
  execution.bind(client, notified.fresh, 7);
  CHECK_EQ(execution.run(client, notified.fresh), QNN_SUCCESS);
  CHECK(execution.right(client));
}
