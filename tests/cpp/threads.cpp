// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// Eight client threads at once, on contexts that they share and on their own, while the device
// crashes, hangs in its reconnection, and recovers. `cargo xtask test --only threads` runs this
// under the thread sanitizer, with the library instrumented.

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "support/check.hpp"
#include "support/client.hpp"

namespace {

constexpr std::size_t thread_count = 8;
constexpr std::uint32_t rounds = 150;
constexpr Qnn_ErrorHandle_t reset = QNN_COMMON_ERROR_SYSTEM_COMMUNICATION;

/** Numbers that are the same in each run; each thread has its own. */
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15U + 1) {}
  std::uint32_t below(std::uint32_t end) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::uint32_t>((state_ >> 33) % end);
  }

 private:
  std::uint64_t state_;
};

/** What all threads have. */
struct World {
  Client client;
  std::array<Session, 2> shared;    // native, managed
  std::atomic<std::uint64_t> accepted{0}, heard{0}, right{0};
};

htp_rt_recovery_t managed() {
  htp_rt_recovery_t recovery = {};
  recovery.struct_size = sizeof recovery;
  recovery.kind = HTP_RT_RECOVERY_MANAGED;
  recovery.queued = HTP_RT_RECOVERY_QUEUED_REQUEUE;
  recovery.attempts_max = 100;
  recovery.time_budget_us = 8000000;
  return recovery;
}

/** Requests of one thread in one round, all heard before it ends. */
struct Batch {
  std::array<Execution, 4> executions;
  Mailbox mailbox;
  std::size_t accepted = 0;

  /** Submits without waiting, some with a time-out; cancels some. */
  void submit(World& world, const Session& session, Dice& dice) {
    for (Execution& execution : executions) {
      execution.bind(world.client, session, dice.below(100));
      htp_rt_execute_options_t options = {};
      options.struct_size = sizeof options;
      options.timeout_us = dice.below(4) == 0 ? 1 + dice.below(200) : 0;
      htp_rt_request_t request = {};
      const Qnn_ErrorHandle_t code = htp_rt_graph_try_execute_async(
          session.graph, &execution.input, 1, execution.outputs.data(), 2, &options, &on_done,
          &mailbox, &request);
      if (code != QNN_SUCCESS) {
        continue;
      }
      ++accepted;
      if (dice.below(4) == 0) {
        static_cast<void>(htp_rt_request_cancel(request));
      }
    }
  }
  /** Waits for all that were accepted. */
  void finish(World& world) {
    CHECK(mailbox.wait(accepted));
    CHECK_EQ(mailbox.count(), accepted);
    world.accepted += accepted;
    world.heard += mailbox.count();
  }

 private:
  static void on_done(void* param, const htp_rt_completion_t* completion) {
    static_cast<Mailbox*>(param)->put(completion->error);
  }
};

void execute(World& world, const Session& session, Dice& dice) {
  Execution execution;
  execution.bind(world.client, session, dice.below(100));
  const Qnn_ErrorHandle_t code = execution.run(world.client, session);
  if (code == QNN_SUCCESS) {
    CHECK(execution.right(world.client));
    ++world.right;
  }
}

void look(World& world, const Session& session) {
  htp_rt_stats_t stats = {};
  CHECK_EQ(htp_rt_stats(&stats), QNN_SUCCESS);
  CHECK_EQ(stats.faults, 0);
  htp_rt_context_stats_t of_context = {};
  static_cast<void>(htp_rt_context_stats(session.context, &of_context));
  Qnn_GraphHandle_t graph = nullptr;
  static_cast<void>(world.client.api->graphRetrieve(session.context, "digits", &graph));
}

/** A context of this thread's, made again when it is stale, freed with requests in it. */
void own(World& world, Session& session, bool is_managed, Dice& dice) {
  if (session.context == nullptr) {
    if (session.open(world.client, 4) != QNN_SUCCESS) {
      // A crash may come between the context and its graph.
      if (session.context != nullptr) {
        CHECK_EQ(world.client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
      }
      session = Session{};
      return;
    }
    if (is_managed) {
      const htp_rt_recovery_t recovery = managed();
      static_cast<void>(htp_rt_context_set_recovery(session.context, &recovery));
    }
  }
  Batch batch;
  batch.submit(world, session, dice);
  if (dice.below(3) == 0) {
    CHECK_EQ(world.client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
    session = Session{};
  }
  batch.finish(world);
}

void trouble(Dice& dice) {
  switch (dice.below(4)) {
    case 0:
      CHECK_EQ(htp_rt_vdev_crash(HTP_RT_VDEV_CRASH_NOW), QNN_SUCCESS);
      break;
    case 1:
      CHECK_EQ(htp_rt_vdev_crash(crashing_op), QNN_SUCCESS);
      break;
    case 2:
      CHECK_EQ(htp_rt_vdev_reconnect_fails(1), QNN_SUCCESS);
      CHECK_EQ(htp_rt_vdev_crash(HTP_RT_VDEV_CRASH_NOW), QNN_SUCCESS);
      break;
    default:
      CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
      CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
      break;
  }
}

void client_thread(World& world, std::size_t index) {
  Dice dice(index);
  Session mine;
  for (std::uint32_t round = 0; round < rounds; ++round) {
    const Session& session = world.shared[dice.below(2)];
    switch (dice.below(index == 0 ? 8 : 6)) {
      case 0:
      case 1:
        execute(world, session, dice);
        break;
      case 2: {
        Batch batch;
        batch.submit(world, session, dice);
        batch.finish(world);
        break;
      }
      case 3:
        look(world, session);
        break;
      case 4:
      case 5:
        own(world, mine, index % 2 == 0, dice);
        break;
      default:
        trouble(dice);
        break;
    }
  }
  if (mine.context != nullptr) {
    CHECK_EQ(world.client.api->contextFree(mine.context, nullptr), QNN_SUCCESS);
  }
}

/** Phases of restarts, told on the completion thread. */
struct Phases {
  std::atomic<std::uint32_t> online{0};
  static void told(void* param, const htp_rt_ssr_event_t* event) {
    if (event->to == HTP_RT_SSR_ONLINE) {
      ++static_cast<Phases*>(param)->online;
    }
  }
};

}  // namespace

TEST(eight_threads_while_the_device_crashes) {
  World world;
  REQUIRE(world.client.open());
  for (Session& session : world.shared) {
    REQUIRE(session.open(world.client, 20) == QNN_SUCCESS);
  }
  const htp_rt_recovery_t recovery = managed();
  REQUIRE(htp_rt_context_set_recovery(world.shared[1].context, &recovery) == QNN_SUCCESS);
  Phases phases;
  htp_rt_subscription_t subscription = {};
  REQUIRE(htp_rt_ssr_subscribe(&Phases::told, &phases, &subscription) == QNN_SUCCESS);
  std::array<std::thread, thread_count> threads;
  for (std::size_t index = 0; index < thread_count; ++index) {
    threads[index] = std::thread([&world, index] { client_thread(world, index); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  // One crash more that is heard of for certain, then all works as before.
  const Qnn_ErrorHandle_t last = crash(world.client, world.shared[1]);
  CHECK(last == reset || last == QNN_SUCCESS);
  Execution execution;
  execution.bind(world.client, world.shared[1], 5);
  CHECK_EQ(execution.run(world.client, world.shared[1]), QNN_SUCCESS);
  CHECK(execution.right(world.client));
  for (const Session& session : world.shared) {
    CHECK_EQ(world.client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
  }
  CHECK_EQ(htp_rt_ssr_unsubscribe(subscription), QNN_SUCCESS);
  CHECK(phases.online >= 1);
  CHECK_EQ(world.accepted, world.heard);
  CHECK(world.accepted > 0 && world.right > 0);
  htp_rt_stats_t stats = {};
  CHECK_EQ(htp_rt_stats(&stats), QNN_SUCCESS);
  CHECK_EQ(stats.faults, 0);
  CHECK_EQ(stats.contexts, 0);
  std::printf("  %llu requests, %u recoveries\n",
              static_cast<unsigned long long>(world.accepted.load()), phases.online.load());
}
