// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// htp_runtime.hpp: Error, Result, Span, callbacks. Compiles without exceptions and RTTI too.

#include <array>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "htp_runtime.hpp"
#include "support/check.hpp"

namespace {

/** Knows how many of it there are. */
struct Counted {
  static int alive;
  bool real = false;
  Counted() noexcept = default;
  explicit Counted(int) noexcept : real(true) { ++alive; }
  Counted(Counted&& other) noexcept : real(std::exchange(other.real, false)) {}
  Counted& operator=(Counted&& other) noexcept {
    std::swap(real, other.real);
    return *this;
  }
  ~Counted() { alive -= real ? 1 : 0; }
};
int Counted::alive = 0;

/** What a C library does with a callback. */
template <typename Argument>
void deliver(const htp::Callback<Argument>& callback, Argument argument) {
  callback.function()(callback.object(), argument);
}

struct Listener {
  htp::Error error;
  std::uint64_t latency_us = 0;
  std::uint32_t epoch = 0;
  void on_error(htp::Error told) { error = told; }
  void on_completion(const htp::Completion& told) { latency_us = told.latency_us(); }
  void on_step(const htp::SsrEvent& told) { epoch = told.epoch; }
};

}  // namespace

static_assert(std::is_nothrow_move_constructible_v<htp::Context>, "moves");
static_assert(std::is_nothrow_move_assignable_v<htp::Context>, "moves");
static_assert(!std::is_copy_constructible_v<htp::Context>, "has one owner");
static_assert(!std::is_copy_assignable_v<htp::SsrSubscription>, "has one owner");
static_assert(sizeof(htp::Context) == sizeof(Qnn_ContextHandle_t), "costs nothing");
static_assert(std::is_trivially_copyable_v<htp::Graph>, "a view");
static_assert(std::is_trivially_copyable_v<htp::Error>, "a code");
static_assert(!std::is_convertible_v<htp::Error, bool>, "no error by accident");
// A temporary would be gone when the callback comes.
struct Ignore {
  void operator()(htp::Error) const noexcept {}
};
static_assert(std::is_constructible_v<htp::ErrorCallback, Ignore&>, "a named callable");
static_assert(!std::is_constructible_v<htp::ErrorCallback, Ignore>, "not a temporary");
static_assert(!std::is_constructible_v<htp::ErrorCallback, const Ignore>, "not a temporary");
static_assert(!std::is_constructible_v<htp::SsrCallback, Ignore&>, "of another event");

TEST(an_error_knows_what_to_do_next) {
  const htp::Error none;
  CHECK(!none && none.code() == QNN_SUCCESS);
  const htp::Error restarted(QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
  CHECK(restarted && restarted.device_restarted() && !restarted.device_lost());
  CHECK(htp::Error(QNN_COMMON_ERROR_SYSTEM_COMMUNICATION_FATAL).device_lost());
  CHECK(htp::Error(QNN_COMMON_ERROR_SYSTEM).device_lost());
  CHECK(htp::Error(QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE).queue_full());
  CHECK(!htp::Error(QNN_GRAPH_ERROR_TIMED_OUT).device_restarted());
  const htp::Error with_upper_bits(Qnn_ErrorHandle_t{0x10000} |
                                   QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
  CHECK(with_upper_bits.device_restarted());
  CHECK(with_upper_bits != restarted && restarted == restarted);
}

TEST(every_error_has_a_message_of_its_own) {
  const htp::Error restarted(QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
  const htp::Error invalid(QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK(std::strlen(restarted.message()) > 0);
  CHECK(std::strcmp(restarted.message(), invalid.message()) != 0);
  CHECK(std::strlen(htp::Error(0xFFFF).message()) > 0);
}

TEST(a_result_holds_a_value_or_an_error) {
  {
    htp::Result<Counted> good = Counted(1);
    CHECK(good && !good.error() && good->real);
    Counted place;
    CHECK(!std::move(good).into(place));
    CHECK(place.real && Counted::alive == 1);
    htp::Result<Counted> bad = htp::Error(QNN_COMMON_ERROR_MEM_ALLOC);
    CHECK(!bad && bad.error().code() == QNN_COMMON_ERROR_MEM_ALLOC);
    CHECK(!bad->real);
    CHECK(std::move(bad).into(place).code() == QNN_COMMON_ERROR_MEM_ALLOC);
    CHECK(place.real);
  }
  CHECK_EQ(Counted::alive, 0);
  CHECK(!htp::Result<Counted>(htp::Error()));
}

TEST(a_span_sees_arrays_and_containers) {
  int array[] = {1, 2, 3};
  std::vector<int> vector = {4, 5};
  const std::array<int, 1> constant = {6};
  const htp::Span<int> from_array = array;
  const htp::Span<const int> from_vector = vector;
  const htp::Span<const int> from_constant = constant;
  CHECK(from_array.size() == 3 && from_array.data() == array);
  CHECK(from_vector.count() == 2 && from_vector.data() == vector.data());
  CHECK(from_constant.count() == 1 && *from_constant.data() == 6);
  CHECK(htp::Span<int>().size() == 0);
}

TEST(callbacks_reach_members_and_lambdas) {
  Listener listener;
  deliver(htp::ErrorCallback(htp::bind<&Listener::on_error>(listener)), Qnn_NotifyStatus_t{1007});
  CHECK(listener.error.device_restarted());
  htp_rt_completion_t completion = {};
  completion.submitted_us = 100;
  completion.completed_us = 350;
  const htp_rt_completion_t* told = &completion;
  deliver(htp::CompletionCallback(htp::bind<&Listener::on_completion>(listener)), told);
  CHECK_EQ(listener.latency_us, 250);
  htp_rt_ssr_event_t event = {};
  event.epoch = 4;
  const htp_rt_ssr_event_t* step = &event;
  deliver(htp::SsrCallback(htp::bind<&Listener::on_step>(listener)), step);
  CHECK_EQ(listener.epoch, 4);

  int calls = 0;
  auto count = [&calls](htp::Error error) { calls += error ? 10 : 1; };
  deliver(htp::ErrorCallback(count), Qnn_NotifyStatus_t{QNN_SUCCESS});
  deliver(htp::ErrorCallback(count), Qnn_NotifyStatus_t{1007});
  CHECK_EQ(calls, 11);
  CHECK(htp::ErrorCallback().function() == nullptr);
}

TEST(states_have_names) {
  CHECK(std::strcmp(htp::to_string(HTP_RT_SSR_ONLINE), "online") == 0);
  CHECK(std::strcmp(htp::to_string(HTP_RT_SSR_LOST), "lost") == 0);
}
