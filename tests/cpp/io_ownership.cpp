// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// Two executions that would write the same memory: refused, counted, or nobody's business.

#include <array>
#include <cstdint>
#include <vector>

#include "htp_runtime.hpp"
#include "support/check.hpp"
#include "support/composed.hpp"
#include "support/waiter.hpp"

namespace {

using Picture = std::array<uint8_t, ConvRelu::bytes>;

/** A context whose executions stay in its queue as long as the device is held. */
struct Held {
  explicit Held(htp_rt_io_ownership_t ownership) : context(session.context()), net(context) {
    net.compose();
    net.finalize();
    CHECK_EQ(htp_rt_context_set_io_ownership(context, ownership), QNN_SUCCESS);
    CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  }
  Qnn_ErrorHandle_t submit(Picture& result) {
    const Qnn_ErrorHandle_t code =
        net.execute_async(picture, result, Waiter::notify, &waiter, nullptr, nullptr);
    accepted += code == QNN_SUCCESS ? 1 : 0;
    return code;
  }
  void end_all() {
    CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
    waiter.wait(accepted);
  }
  htp_rt_context_stats_t stats() const {
    htp_rt_context_stats_t stats{};
    CHECK_EQ(htp_rt_context_stats(context, &stats), QNN_SUCCESS);
    return stats;
  }

  Session session;
  Qnn_ContextHandle_t context;
  ConvRelu net;
  Picture picture{{1, 2, 3}};
  Waiter waiter;
  std::size_t accepted = 0;
};

}  // namespace

TEST(a_second_writer_is_refused_until_the_first_has_ended) {
  Held held(HTP_RT_IO_REFUSED);
  Picture one{}, other{};
  CHECK_EQ(held.submit(one), QNN_SUCCESS);
  CHECK_EQ(held.submit(one), QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE);
  CHECK_EQ(held.submit(other), QNN_SUCCESS);
  CHECK_EQ(held.stats().submitted, 2);
  held.end_all();
  CHECK(one == other);
  CHECK_EQ(held.submit(one), QNN_SUCCESS);
  held.end_all();
  CHECK_EQ(held.stats().overlaps, 0);
}

TEST(a_second_writer_is_counted) {
  Held held(HTP_RT_IO_COUNTED);
  Picture one{};
  CHECK_EQ(held.submit(one), QNN_SUCCESS);
  CHECK_EQ(held.submit(one), QNN_SUCCESS);
  CHECK_EQ(held.stats().overlaps, 1);
  held.end_all();
}

TEST(qnn_clients_are_not_watched) {
  Held held(HTP_RT_IO_UNWATCHED);
  Picture one{};
  CHECK_EQ(held.submit(one), QNN_SUCCESS);
  CHECK_EQ(held.submit(one), QNN_SUCCESS);
  CHECK_EQ(held.stats().overlaps, 0);
  held.end_all();
}

TEST(the_owner_of_a_context_chooses_for_it) {
  Held held(HTP_RT_IO_UNWATCHED);
  Picture one{};
  htp::Context owner(held.context);
  CHECK(!owner.set_io_ownership(htp::IoOwnership::refused));
  CHECK_EQ(held.submit(one), QNN_SUCCESS);
  CHECK_EQ(held.submit(one), QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE);
  CHECK(!owner.set_io_ownership(htp::IoOwnership::counted));
  CHECK_EQ(held.submit(one), QNN_SUCCESS);
  CHECK_EQ((*owner.stats()).overlaps, 1);
  held.end_all();
}

TEST(a_wrong_choice_changes_nothing) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  CHECK_EQ(htp_rt_context_set_io_ownership(context, 3), QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(htp_rt_context_set_io_ownership(nullptr, 1), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(htp_rt_context_set_io_ownership(context, HTP_RT_IO_REFUSED), QNN_SUCCESS);
}
