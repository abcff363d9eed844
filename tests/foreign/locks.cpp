// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// A system that refuses a lock or a condition. The shim itself ends a program that initialises one
// twice, or uses one that nobody initialised.

#include "../cpp/support/check.hpp"
#include "../cpp/support/client.hpp"
#include "shim.h"

namespace {

/** In a process of its own, with one of the initialisations refused: whether the library says so,
 *  and is not there. */
bool is_refused(int after) {
  return check::passes("refused", [after] {
    foreign_refuse_init_after(after);
    CHECK_EQ(htp_rt_init(nullptr), QNN_COMMON_ERROR_SYSTEM);
    CHECK_EQ(htp_rt_now_us(), 0u);
    CHECK_EQ(htp_rt_take_notices(nullptr), QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
    htp_rt_stats_t stats = {};
    // Before the lock of the making there is nothing that could be half made.
    CHECK_EQ(htp_rt_stats(&stats), after == 0 ? QNN_SUCCESS : QNN_COMMON_ERROR_SYSTEM);
  });
}

bool is_made(int after) {
  return check::passes("made", [after] {
    foreign_refuse_init_after(after);
    CHECK_EQ(htp_rt_init(nullptr), QNN_SUCCESS);
  });
}

}  // namespace

TEST(a_lock_that_the_system_refuses_is_an_answer) {
  // One in the making, four locks and three conditions of the driver's, five of the interface.
  for (int after = 0; after < 13; ++after) {
    CHECK(is_refused(after));
  }
  CHECK(is_made(13));
}

TEST(words_need_a_lock_and_codes_do_not) {
  foreign_refuse_init_after(0);
  CHECK_EQ(htp_rt_set_wake(nullptr), QNN_COMMON_ERROR_INVALID_ARGUMENT);
  foreign_refuse_init_after(-1);
  Client client;
  REQUIRE(client.open());
  const char* text = nullptr;
  CHECK_EQ(htp_rt_set_wake(nullptr), QNN_COMMON_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(client.api->errorGetMessage(QNN_COMMON_ERROR_INVALID_ARGUMENT, &text), QNN_SUCCESS);
  CHECK(std::strstr(text, "wake is null") != nullptr);
}
