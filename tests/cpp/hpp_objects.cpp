// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// flags: -fno-exceptions -fno-rtti -Wold-style-cast
// htp_runtime.hpp: owners, graphs, requests and subscriptions over the real library. Compiles
// without exceptions and RTTI too.

#include <atomic>
#include <string>
#include <utility>

#include "htp_runtime.hpp"
#include "support/check.hpp"
#include "support/digits.hpp"

namespace {

/** The digit network, opened through the classes. */
struct Rig {
  Digits digits;
  htp::Backend backend;
  htp::Device device;
  htp::Context context;
  htp::Graph graph;
  htp::Tensor image;
  htp::Tensor logits;
  htp::Tensor probabilities;
  std::uint32_t queue_depth = 10;
  htp::Priority priority = htp::Priority::normal;

  htp::Error open() {
    (void)configure_device(HTP_RT_PLATFORM_QNX_ADAS);
    if (htp::Error error = htp::Backend::create().into(backend)) {
      return error;
    }
    if (htp::Error error = htp::Device::create().into(device)) {
      return error;
    }
    return load();
  }
  htp::Error load() {
    htp::ContextConfig config;
    config.queue_depth = queue_depth;
    config.priority = priority;
    config.persistent_binary = true;
    if (htp::Error error =
            htp::Context::from_binary(backend, device, digits.network, config).into(context)) {
      return error;
    }
    if (htp::Error error = context.graph("digits").into(graph)) {
      return error;
    }
    if (htp::Error error = graph.tensor("image").into(image)) {
      return error;
    }
    if (htp::Error error = graph.tensor("logits").into(logits)) {
      return error;
    }
    return graph.tensor("probabilities").into(probabilities);
  }
};

/** One execution over buffers of its own. */
struct Shot {
  Buffers buffers;
  Qnn_Tensor_t inputs[1];
  Qnn_Tensor_t outputs[2];
  Mailbox mailbox;

  Shot(Rig& rig, std::size_t index)
      : inputs{rig.image.bind(buffers.image)},
        outputs{rig.logits.bind(buffers.logits), rig.probabilities.bind(buffers.probabilities)} {
    buffers.show(rig.digits, index);
  }
  void on_error(htp::Error error) { mailbox.put(error.handle()); }
  void on_completion(const htp::Completion& done) { mailbox.put(done.error().handle()); }
};

std::uint32_t contexts_alive() {
  htp_rt_stats_t stats = {};
  CHECK_EQ(htp_rt_stats(&stats), QNN_SUCCESS);
  return stats.contexts;
}

}  // namespace

TEST(an_owner_frees_once_however_it_moves) {
  Rig rig;
  REQUIRE(!rig.open());
  CHECK_EQ(contexts_alive(), 1);
  htp::Context second = std::move(rig.context);
  CHECK(second && !rig.context);
  CHECK(!rig.context.free());
  CHECK_EQ(contexts_alive(), 1);
  htp::Context& alias = second;
  second = std::move(alias);
  CHECK(second && contexts_alive() == 1);
  REQUIRE(!rig.load());
  CHECK_EQ(contexts_alive(), 2);
  second = std::move(rig.context);
  CHECK_EQ(contexts_alive(), 1);
  const Qnn_ContextHandle_t handle = second.handle();
  CHECK(!second.free() && !second && !second.free());
  CHECK_EQ(contexts_alive(), 0);
  htp::Context adopted(handle);
  CHECK_EQ(adopted.free().code(), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  {
    REQUIRE(!rig.load());
    const htp::Context scoped = std::move(rig.context);
    CHECK_EQ(contexts_alive(), 1);
  }
  CHECK_EQ(contexts_alive(), 0);
}

TEST(empty_objects_answer_with_errors) {
  Rig rig;
  REQUIRE(!rig.open());
  const htp::Context empty;
  CHECK(!empty.graph("digits"));
  CHECK(!empty.stats());
  CHECK(!htp::Context::from_binary({}, rig.device, rig.digits.network));
  CHECK(htp::Graph().tensor("image").error());
  Shot shot(rig, 0);
  CHECK(htp::Graph().execute(shot.inputs, shot.outputs));
  CHECK(htp::Graph().execute_async(shot.inputs, shot.outputs, htp::bind<&Shot::on_error>(shot)));
  CHECK(htp::Request().cancel());
}

TEST(errors_say_what_is_wrong) {
  Rig rig;
  REQUIRE(!rig.open());
  CHECK_EQ(rig.context.graph("letters").error().code(), QNN_GRAPH_ERROR_INVALID_NAME);
  CHECK_EQ(rig.graph.tensor("sound").error().code(), QNN_GRAPH_ERROR_INVALID_TENSOR);
  const htp::Span<const std::uint8_t> half(rig.digits.network.data(),
                                           rig.digits.network.size() / 2);
  const auto truncated = htp::Context::from_binary(rig.backend, rig.device, half);
  CHECK(!truncated && std::string(truncated.error().message()).size() > 5);
  CHECK_EQ(contexts_alive(), 1);
}

// REQ: ASYNC-009
TEST(the_queue_depth_is_checked) {
  Rig rig;
  REQUIRE(!rig.open());
  const std::uint32_t wrong[] = {0, 301, UINT32_MAX};
  for (const std::uint32_t depth : wrong) {
    htp::ContextConfig config;
    config.queue_depth = depth;
    CHECK_EQ(htp::Context::create(rig.backend, rig.device, config).error().code(),
             QNN_CONTEXT_ERROR_INVALID_CONFIG);
    CHECK_EQ(htp::Context::from_binary(rig.backend, rig.device, rig.digits.network, config)
                 .error()
                 .code(),
             QNN_CONTEXT_ERROR_INVALID_CONFIG);
  }
  htp::ContextConfig config;
  config.queue_depth = 300;
  CHECK(htp::Context::create(rig.backend, rig.device, config));
  CHECK_EQ(contexts_alive(), 1);
}

TEST(a_graph_describes_its_tensors) {
  Rig rig;
  REQUIRE(!rig.open());
  CHECK_EQ(rig.image.size_bytes(), 64);
  CHECK_EQ(rig.image.info().rank, 4);
  CHECK_EQ(rig.image.info().dims[1], 8);
  CHECK_EQ(rig.image.info().kind, QNN_TENSOR_TYPE_APP_WRITE);
  CHECK_EQ(rig.logits.info().kind, QNN_TENSOR_TYPE_APP_READ);
  CHECK_EQ(rig.logits.info().data_type, QNN_DATATYPE_UFIXED_POINT_8);
  CHECK_EQ(rig.probabilities.size_bytes(), 10);
}

// REQ: ASYNC-002
TEST(each_way_of_executing_gives_the_answer) {
  Rig rig;
  REQUIRE(!rig.open());
  Shot first(rig, 11);
  CHECK(!rig.graph.execute(first.inputs, first.outputs));
  CHECK(rig.digits.is_answer(11, first.buffers.logits.data()));

  Shot second(rig, 12);
  std::atomic<int> calls{0};
  auto done = [&](htp::Error error) {
    ++calls;
    second.mailbox.put(error.handle());
  };
  CHECK(!rig.graph.execute_async(second.inputs, second.outputs, done));
  CHECK(second.mailbox.wait(1));
  CHECK(rig.digits.is_answer(12, second.buffers.logits.data()));

  Shot third(rig, 13);
  const auto request = rig.graph.try_execute_async(third.inputs, third.outputs,
                                                   htp::bind<&Shot::on_completion>(third));
  CHECK(request && request->id() != 0);
  CHECK(third.mailbox.wait(1));
  CHECK_EQ(third.mailbox.count_of(QNN_SUCCESS), 1);
  CHECK(rig.digits.is_answer(13, third.buffers.logits.data()));
  CHECK_EQ(static_cast<std::uint64_t>(calls.load()), 1);
}

// REQ: ASYNC-007
TEST(a_full_queue_refuses_without_waiting) {
  Rig rig;
  rig.queue_depth = 2;
  REQUIRE(!rig.open());
  Shot shots[] = {{rig, 0}, {rig, 1}, {rig, 2}};
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  const auto submit = [&](Shot& shot) {
    return rig.graph.try_execute_async(shot.inputs, shot.outputs,
                                       htp::bind<&Shot::on_completion>(shot));
  };
  CHECK(submit(shots[0]) && submit(shots[1]));
  CHECK(submit(shots[2]).error().queue_full());
  const auto stats = rig.context.stats();
  CHECK(stats && stats->queue_depth == 2 && stats->queue_used == 2 && stats->queue_used_max == 2);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  CHECK(shots[0].mailbox.wait(1) && shots[1].mailbox.wait(1));
  CHECK(submit(shots[2]) && shots[2].mailbox.wait(1));
  for (Shot& shot : shots) {
    CHECK_EQ(shot.mailbox.count_of(QNN_SUCCESS), 1);
  }
}

// REQ: ASYNC-002, ASYNC-012
TEST(a_caller_that_waited_for_room_is_told_once) {
  Rig rig;
  rig.queue_depth = 2;
  REQUIRE(!rig.open());
  constexpr std::size_t rounds = 300;
  Shot shots[] = {{rig, 0}, {rig, 1}, {rig, 2}, {rig, 3}};
  for (std::size_t round = 1; round <= rounds; ++round) {
    for (Shot& shot : shots) {
      shot.buffers.logits.fill(0);
      CHECK(!rig.graph.execute_async(shot.inputs, shot.outputs, htp::bind<&Shot::on_error>(shot)));
    }
    for (std::size_t index = 0; index < 4; ++index) {
      REQUIRE(shots[index].mailbox.wait(round));
      CHECK(rig.digits.is_answer(index, shots[index].buffers.logits.data()));
    }
  }
  for (Shot& shot : shots) {
    CHECK_EQ(shot.mailbox.count(), rounds);
    CHECK_EQ(shot.mailbox.count_of(QNN_SUCCESS), rounds);
  }
  const auto stats = rig.context.stats();
  CHECK(stats && stats->submitted == 4 * rounds && stats->completed == 4 * rounds);
}

// REQ: ASYNC-026
TEST(the_priority_of_a_context_counts) {
  Rig low;
  Rig high;
  low.priority = htp::Priority::low;
  high.priority = htp::Priority::high;
  REQUIRE(!low.open() && !high.open());
  std::atomic<int> ended{0};
  std::atomic<int> ended_before_urgent{-1};
  auto note = [&](htp::Error) { ++ended; };
  Shot urgent(high, 0);
  auto note_urgent = [&](htp::Error error) {
    ended_before_urgent = ended++;
    urgent.mailbox.put(error.handle());
  };
  Shot waiting[] = {{low, 1}, {low, 2}, {low, 3}, {low, 4}, {low, 5}, {low, 6}};
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  for (Shot& shot : waiting) {
    CHECK(!low.graph.execute_async(shot.inputs, shot.outputs, note));
  }
  CHECK(!high.graph.execute_async(urgent.inputs, urgent.outputs, note_urgent));
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  CHECK(urgent.mailbox.wait(1));
  // The device may have had two before the urgent one came.
  CHECK(ended_before_urgent >= 0 && ended_before_urgent <= 2);
  // Notifications come in order: after this one nothing refers to the locals.
  Shot last(low, 7);
  CHECK(!low.graph.execute_async(last.inputs, last.outputs, htp::bind<&Shot::on_error>(last)));
  CHECK(last.mailbox.wait(1));
}

TEST(a_request_is_cancelled_or_runs_out_of_time) {
  Rig rig;
  REQUIRE(!rig.open());
  Shot running(rig, 0);
  Shot cancelled(rig, 1);
  Shot late(rig, 2);
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  CHECK(rig.graph.try_execute_async(running.inputs, running.outputs,
                                    htp::bind<&Shot::on_completion>(running)));
  const auto request = rig.graph.try_execute_async(cancelled.inputs, cancelled.outputs,
                                                   htp::bind<&Shot::on_completion>(cancelled));
  REQUIRE(request);
  CHECK(!request->cancel());
  CHECK(cancelled.mailbox.wait(1));
  CHECK_EQ(cancelled.mailbox.count_of(QNN_GRAPH_ERROR_ABORTED), 1);
  CHECK(request->cancel());
  htp::ExecuteOptions options;
  options.timeout_us = 1;
  CHECK(rig.graph.try_execute_async(late.inputs, late.outputs,
                                    htp::bind<&Shot::on_completion>(late), options));
  CHECK(late.mailbox.wait(1));
  CHECK_EQ(late.mailbox.count_of(QNN_GRAPH_ERROR_TIMED_OUT), 1);
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  CHECK(running.mailbox.wait(1));
  CHECK_EQ(running.mailbox.count_of(QNN_SUCCESS), 1);
}

// REQ: SSR-003, SSR-011, SSR-019, SSR-023
TEST(a_restart_is_seen_and_survived) {
  Rig rig;
  REQUIRE(!rig.open());
  Mailbox steps;
  auto on_step = [&](const htp::SsrEvent& event) {
    steps.put(static_cast<Qnn_ErrorHandle_t>(event.to));
  };
  htp::SsrSubscription subscription;
  REQUIRE(!htp::SsrSubscription::create(on_step).into(subscription));
  CHECK_EQ(htp_rt_vdev_crash(3), QNN_SUCCESS);
  Shot shot(rig, 20);
  const htp::Error error = rig.graph.execute(shot.inputs, shot.outputs);
  CHECK(error.device_restarted());
  CHECK(rig.graph.execute(shot.inputs, shot.outputs).device_restarted());
  CHECK(!rig.context.free());
  REQUIRE(!rig.load());
  Shot again(rig, 20);
  CHECK(!rig.graph.execute_async(again.inputs, again.outputs, htp::bind<&Shot::on_error>(again)));
  CHECK(again.mailbox.wait(1));
  CHECK(rig.digits.is_answer(20, again.buffers.logits.data()));
  CHECK_EQ(steps.count_of(HTP_RT_SSR_BEFORE_SHUTDOWN), 1);
  CHECK_EQ(steps.count_of(HTP_RT_SSR_ONLINE), 1);
  CHECK(!subscription.free() && !subscription && !subscription.free());
}

TEST(subscriptions_are_owned) {
  Rig rig;
  REQUIRE(!rig.open());
  auto ignore = [](const htp::SsrEvent&) {};
  // Far more than there may be at once: each is given back.
  for (int round = 0; round < 20; ++round) {
    htp::Result<htp::SsrSubscription> made = htp::SsrSubscription::create(ignore);
    REQUIRE(made);
    const htp::SsrSubscription moved = *std::move(made);
    CHECK(moved && !*made);
  }
}

TEST(the_trace_is_written) {
  Rig rig;
  REQUIRE(!rig.open());
  Shot shot(rig, 0);
  CHECK(!rig.graph.execute(shot.inputs, shot.outputs));
  std::string text;
  auto sink = [&text](htp::Span<const std::uint8_t> bytes) {
    text.append(bytes.data(), bytes.data() + bytes.size());
    return true;
  };
  CHECK(!htp::write_trace(sink));
  CHECK(text.size() > 2 && (text.front() == '{' || text.front() == '['));
  auto refuse = [](htp::Span<const std::uint8_t>) { return false; };
  CHECK(htp::write_trace(refuse));
}
