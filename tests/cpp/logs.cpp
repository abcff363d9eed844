// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// flags: -pthread
// also: shared
// When the callbacks of logs are called, and when no more.

#include <atomic>
#include <thread>

#include "support/blocked.hpp"
#include "support/check.hpp"
#include "support/client.hpp"
#include "support/door.hpp"

namespace {

const Table* table() {
  const QnnInterface_t** providers = nullptr;
  std::uint32_t count = 0;
  return QnnInterface_getProviders(&providers, &count) == QNN_SUCCESS && count > 0
             ? &providers[0]->QNN_INTERFACE_VER_NAME
             : nullptr;
}

Door door;
std::atomic<bool> inside{false};
Qnn_LogHandle_t log_handle = nullptr;
Qnn_ErrorHandle_t freed = QNN_COMMON_ERROR_UNDEFINED;
int calls = 0;

void wait_at_the_door(const char*, QnnLog_Level_t, std::uint64_t, va_list) {
  inside = true;
  door.enter();
  inside = false;
}

void free_own_log(const char*, QnnLog_Level_t, std::uint64_t, va_list) {
  ++calls;
  freed = table()->logFree(log_handle);
}

void succeed_and_fail(const char*, QnnLog_Level_t, std::uint64_t, va_list) {
  ++calls;
  if (calls < 100) {
    CHECK_EQ(table()->logSetLogLevel(log_handle, QNN_LOG_LEVEL_DEBUG), QNN_SUCCESS);
    CHECK_EQ(table()->contextFree(nullptr, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  }
}

}  // namespace

TEST(a_log_is_freed_when_the_callback_that_another_thread_is_in_has_returned) {
  const Table* const api = table();
  REQUIRE(api != nullptr);
  REQUIRE(api->logCreate(&wait_at_the_door, QNN_LOG_LEVEL_ERROR, &log_handle) == QNN_SUCCESS);
  std::thread failing([api] { api->contextFree(nullptr, nullptr); });
  CHECK(door.wait_for_entry());

  BlockedCall freeing([api] { return api->logFree(log_handle); });
  CHECK(freeing.is_waiting());
  // It is gone for everybody else.
  while (api->logSetLogLevel(log_handle, QNN_LOG_LEVEL_ERROR) == QNN_SUCCESS) {
  }
  CHECK_EQ(api->logSetLogLevel(log_handle, QNN_LOG_LEVEL_ERROR), QNN_LOG_ERROR_INVALID_ARGUMENT);
  CHECK(inside);
  door.open();
  CHECK_EQ(freeing.error(), QNN_SUCCESS);
  CHECK(!inside);
  failing.join();
}

TEST(a_callback_frees_its_own_log) {
  const Table* const api = table();
  REQUIRE(api != nullptr);
  REQUIRE(api->logCreate(&free_own_log, QNN_LOG_LEVEL_ERROR, &log_handle) == QNN_SUCCESS);
  CHECK_EQ(api->contextFree(nullptr, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(freed, QNN_SUCCESS);
  CHECK_EQ(api->contextFree(nullptr, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(static_cast<std::uint64_t>(calls), 1U);
}

TEST(what_a_callback_calls_is_not_logged) {
  const Table* const api = table();
  REQUIRE(api != nullptr);
  REQUIRE(api->logCreate(&succeed_and_fail, QNN_LOG_LEVEL_ERROR, &log_handle) == QNN_SUCCESS);
  CHECK_EQ(api->contextFree(nullptr, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(static_cast<std::uint64_t>(calls), 1U);
  // Nor is that remembered: the next call is logged again.
  CHECK_EQ(api->contextFree(nullptr, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(static_cast<std::uint64_t>(calls), 2U);
}
