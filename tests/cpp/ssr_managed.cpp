// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// Managed recovery: the same handles before and after a restart of the DSP.

#include <array>
#include <thread>

#include "htp_runtime.hpp"
#include "support/check.hpp"
#include "support/client.hpp"

namespace {

constexpr std::size_t per_context = 8;
constexpr Qnn_ErrorHandle_t reset = QNN_COMMON_ERROR_SYSTEM_COMMUNICATION;
constexpr Qnn_ErrorHandle_t fatal = QNN_COMMON_ERROR_SYSTEM_COMMUNICATION_FATAL;

htp_rt_recovery_t managed(htp_rt_recovery_queued_t queued = HTP_RT_RECOVERY_QUEUED_REQUEUE) {
  htp_rt_recovery_t recovery = {};
  recovery.struct_size = sizeof recovery;
  recovery.kind = HTP_RT_RECOVERY_MANAGED;
  recovery.queued = static_cast<std::uint32_t>(queued);
  recovery.attempts_max = 3;
  recovery.time_budget_us = 8000000;
  return recovery;
}

Qnn_ErrorHandle_t set(const Session& session, const htp_rt_recovery_t& recovery) {
  return htp_rt_context_set_recovery(session.context, &recovery);
}

htp_rt_context_stats_t stats_of(const Session& session) {
  htp_rt_context_stats_t stats = {};
  CHECK_EQ(htp_rt_context_stats(session.context, &stats), QNN_SUCCESS);
  return stats;
}

/** Requests queued on a context while the device is held. */
struct Queued {
  Session session;
  Mailbox mailbox;
  std::array<Execution, per_context> executions;

  bool fill(const Client& client) {
    for (std::size_t index = 0; index < executions.size(); ++index) {
      executions[index].bind(client, session, index);
      if (executions[index].queue(client, session, mailbox) != QNN_SUCCESS) {
        return false;
      }
    }
    return true;
  }
  /** Answers that are right, among those that were written. */
  std::size_t right(const Client& client) const {
    std::size_t count = 0;
    for (const Execution& execution : executions) {
      count += execution.right(client) ? 1 : 0;
    }
    return count;
  }
};

bool runs(const Client& client, const Session& session) {
  Execution execution;
  execution.bind(client, session, 42);
  return execution.run(client, session) == QNN_SUCCESS && execution.right(client);
}

}  // namespace

TEST(what_was_queued_runs_on_the_same_handles) {
  Client client;
  REQUIRE(client.open());
  std::array<Queued, 2> all;
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  for (Queued& queued : all) {
    REQUIRE(queued.session.open(client) == QNN_SUCCESS);
    CHECK_EQ(set(queued.session, managed()), QNN_SUCCESS);
    REQUIRE(queued.fill(client));
  }
  CHECK_EQ(htp_rt_vdev_crash(crashing_op), QNN_SUCCESS);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  std::size_t ended_by_reset = 0;
  for (Queued& queued : all) {
    REQUIRE(queued.mailbox.wait(per_context));
    const std::size_t completed = queued.mailbox.count_of(QNN_SUCCESS);
    ended_by_reset += queued.mailbox.count_of(reset);
    CHECK_EQ(completed + queued.mailbox.count_of(reset), per_context);
    CHECK(queued.right(client) >= completed);
    const htp_rt_context_stats_t stats = stats_of(queued.session);
    CHECK_EQ(stats.completed, completed);
    CHECK_EQ(stats.requeued, completed);
    CHECK_EQ(stats.rebuilds, 1);
  }
  // Only what was on the device when it crashed: a pair at most.
  CHECK(ended_by_reset >= 1 && ended_by_reset <= 2);
  for (Queued& queued : all) {
    CHECK(runs(client, queued.session));
    CHECK_EQ(queued.mailbox.count(), per_context);
    Qnn_GraphHandle_t graph = nullptr;
    CHECK_EQ(client.api->graphRetrieve(queued.session.context, "digits", &graph), QNN_SUCCESS);
    CHECK(graph == queued.session.graph);
    CHECK_EQ(client.api->contextFree(queued.session.context, nullptr), QNN_SUCCESS);
  }
  htp_rt_stats_t stats = {};
  CHECK_EQ(htp_rt_stats(&stats), QNN_SUCCESS);
  CHECK_EQ(stats.rebuilds, 2);
  CHECK_EQ(stats.contexts_lost, 0);
  CHECK_EQ(stats.faults, 0);
  CHECK_EQ(stats.contexts, 0);
}

TEST(under_complete_a_client_that_is_told_can_submit_at_once) {
  Client client;
  REQUIRE(client.open());
  struct Told {
    const Client* client;
    const Session* session;
    Execution again;
    Mailbox submitted, done;
    static void on_done(void* param, Qnn_NotifyStatus_t status) {
      auto* self = static_cast<Told*>(param);
      const bool told = status.error == reset;
      self->submitted.put(told ? self->again.queue(*self->client, *self->session, self->done)
                               : status.error + 1);
    }
  } told;
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  CHECK_EQ(set(session, managed(HTP_RT_RECOVERY_QUEUED_COMPLETE)), QNN_SUCCESS);
  told.client = &client;
  told.session = &session;
  told.again.bind(client, session, 7);
  Execution execution;
  execution.bind(client, session, 0);
  CHECK_EQ(htp_rt_vdev_crash(crashing_op), QNN_SUCCESS);
  CHECK_EQ(client.api->graphExecuteAsync(session.graph, &execution.input, 1,
                                         execution.outputs.data(), 2, nullptr, nullptr,
                                         &Told::on_done, &told),
           QNN_SUCCESS);
  REQUIRE(told.submitted.wait(1));
  CHECK_EQ(told.submitted.count_of(QNN_SUCCESS), 1);
  REQUIRE(told.done.wait(1));
  CHECK(told.done.count_of(QNN_SUCCESS) == 1 && told.again.right(client));
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
}

TEST(a_blocking_call_during_the_restart_comes_back_with_its_result) {
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  CHECK_EQ(set(session, managed()), QNN_SUCCESS);
  for (std::uint32_t attempts_lost = 0; attempts_lost < 3; ++attempts_lost) {
    CHECK_EQ(htp_rt_vdev_reconnect_fails(attempts_lost), QNN_SUCCESS);
    CHECK_EQ(htp_rt_vdev_crash(HTP_RT_VDEV_CRASH_NOW), QNN_SUCCESS);
    Execution execution;
    execution.bind(client, session, attempts_lost);
    const Qnn_ErrorHandle_t code = execution.run(client, session);
    // It may have been on the device when the crash came.
    CHECK(code == reset || (code == QNN_SUCCESS && execution.right(client)));
    CHECK(runs(client, session));
  }
  CHECK_EQ(stats_of(session).rebuilds, 3);
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
}

TEST(beside_a_lost_context_the_others_live) {
  Client client;
  REQUIRE(client.open());
  Session lost, lives, native;
  for (Session* session : {&lost, &lives, &native}) {
    REQUIRE(session->open(client) == QNN_SUCCESS);
  }
  htp_rt_recovery_t hasty = managed();
  hasty.time_budget_us = 1;
  CHECK_EQ(set(lost, hasty), QNN_SUCCESS);
  CHECK_EQ(set(lives, managed()), QNN_SUCCESS);
  CHECK_EQ(htp_rt_vdev_reconnect_fails(1), QNN_SUCCESS);
  CHECK_EQ(crash(client, native), reset);
  CHECK(runs(client, lives));
  Execution execution;
  execution.bind(client, lost, 3);
  CHECK_EQ(execution.run(client, lost), fatal);
  CHECK_EQ(set(lost, managed()), fatal);
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(client.api->graphRetrieve(lost.context, "digits", &graph), fatal);
  CHECK_EQ(set(native, managed()), reset);
  CHECK_EQ(execution.run(client, native), reset);
  htp_rt_stats_t stats = {};
  CHECK_EQ(htp_rt_stats(&stats), QNN_SUCCESS);
  CHECK_EQ(stats.contexts_lost, 1);
  CHECK_EQ(stats.ssr_state, HTP_RT_SSR_ONLINE);
  for (Session* session : {&lost, &lives, &native}) {
    CHECK_EQ(client.api->contextFree(session->context, nullptr), QNN_SUCCESS);
  }
}

TEST(it_is_freed_by_another_thread_while_it_is_rebuilt) {
  Client client;
  REQUIRE(client.open());
  for (std::uint32_t round = 0; round < 20; ++round) {
    Queued freed, kept;
    CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
    for (Queued* queued : {&freed, &kept}) {
      REQUIRE(queued->session.open(client) == QNN_SUCCESS);
      CHECK_EQ(set(queued->session, managed()), QNN_SUCCESS);
      REQUIRE(queued->fill(client));
    }
    CHECK_EQ(htp_rt_vdev_reconnect_fails(round % 3), QNN_SUCCESS);
    CHECK_EQ(htp_rt_vdev_crash(crashing_op), QNN_SUCCESS);
    Qnn_ErrorHandle_t code = QNN_COMMON_ERROR_UNDEFINED;
    std::thread other([&] { code = client.api->contextFree(freed.session.context, nullptr); });
    CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
    other.join();
    CHECK_EQ(code, QNN_SUCCESS);
    CHECK_EQ(freed.mailbox.count(), per_context);
    REQUIRE(kept.mailbox.wait(per_context));
    CHECK(runs(client, kept.session));
    CHECK_EQ(client.api->contextFree(kept.session.context, nullptr), QNN_SUCCESS);
  }
  htp_rt_stats_t stats = {};
  CHECK_EQ(htp_rt_stats(&stats), QNN_SUCCESS);
  CHECK_EQ(stats.contexts, 0);
  CHECK_EQ(stats.faults + stats.blocks_leaked + stats.contexts_lost, 0);
}

TEST(a_recovery_that_cannot_be_is_refused) {
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  const auto changed = [&](auto change) {
    htp_rt_recovery_t recovery = managed();
    change(recovery);
    return set(session, recovery);
  };
  const Qnn_ErrorHandle_t range = QNN_CONTEXT_ERROR_INVALID_CONFIG;
  CHECK_EQ(changed([](auto& it) { it.attempts_max = 0; }), range);
  CHECK_EQ(changed([](auto& it) { it.attempts_max = 101; }), range);
  CHECK_EQ(changed([](auto& it) { it.time_budget_us = 0; }), range);
  CHECK_EQ(changed([](auto& it) { it.time_budget_us = 8000001; }), range);
  const Qnn_ErrorHandle_t argument = QNN_CONTEXT_ERROR_INVALID_ARGUMENT;
  CHECK_EQ(changed([](auto& it) { it.struct_size -= 1; }), argument);
  CHECK_EQ(changed([](auto& it) { it.kind = 2; }), argument);
  CHECK_EQ(changed([](auto& it) { it.queued = 2; }), argument);
  CHECK_EQ(htp_rt_context_set_recovery(session.context, nullptr), argument);
  const htp_rt_recovery_t good = managed();
  const Qnn_ErrorHandle_t handle = QNN_CONTEXT_ERROR_INVALID_HANDLE;
  CHECK_EQ(htp_rt_context_set_recovery(nullptr, &good), handle);
  CHECK_EQ(htp_rt_context_set_recovery(session.graph, &good), handle);
  // None of it took effect.
  CHECK_EQ(crash(client, session), reset);
  CHECK_EQ(set(session, good), reset);
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(set(session, good), handle);
}

TEST(where_nothing_restarts_there_is_no_managed_recovery) {
  Client client;
  REQUIRE(client.open(HTP_RT_PLATFORM_X86_SIMULATION));
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  CHECK_EQ(set(session, managed()), QNN_COMMON_ERROR_NOT_SUPPORTED);
  htp_rt_recovery_t native = managed();
  native.kind = HTP_RT_RECOVERY_NATIVE;
  CHECK_EQ(set(session, native), QNN_SUCCESS);
}

TEST(the_same_from_cpp) {
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  htp::Context context(session.context);
  htp::ManagedRecovery recovery;
  CHECK(!context.set_recovery(recovery));
  CHECK_EQ(crash(client, session), reset);
  CHECK(runs(client, session));
  recovery.attempts_max = 0;
  CHECK(context.set_recovery(recovery));
  CHECK(!context.set_native_recovery());
  CHECK_EQ(crash(client, session), reset);
  CHECK(context.set_recovery({}).device_restarted());
}
