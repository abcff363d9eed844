// SPDX-License-Identifier: Apache-2.0 OR MIT
// flags: -pthread
// Freeing backends and devices: what belongs to a backend goes with it or keeps it, whatever the
// device and other threads do.

#include "support/blocked.hpp"
#include "support/check.hpp"
#include "support/composed.hpp"
#include "support/digits.hpp"

namespace {

constexpr std::size_t contexts = 20;    // more than a backend lets go of at a time

/** The clock where nobody but the caller drives: it stands still unless it is turned. */
uint64_t clock_us = 1000;

htp_rt_stats_t stats() {
  htp_rt_stats_t now = {};
  CHECK_EQ(htp_rt_stats(&now), QNN_SUCCESS);
  return now;
}

/** Turns the clock to whatever is due until nothing is. */
void poll_to_the_end() {
  uint64_t next_us = 0;
  CHECK_EQ(htp_rt_poll(clock_us, &next_us), QNN_SUCCESS);
  while (next_us != UINT64_MAX) {
    clock_us = next_us;
    CHECK_EQ(htp_rt_poll(clock_us, &next_us), QNN_SUCCESS);
  }
}

bool initialise_without_threads() {
  htp_rt_config_t config = {};
  config.struct_size = sizeof config;
  config.flags = HTP_RT_INIT_NO_THREADS;
  config.capacities.contexts = contexts + 1;
  config.capacities.graphs = 4;
  config.capacities.requests = 10 * (contexts + 1);
  return htp_rt_init(&config) == QNN_SUCCESS && htp_rt_poll(clock_us, nullptr) == QNN_SUCCESS;
}

bool is_known(Qnn_BackendHandle_t backend) {
  const QnnBackend_OperationName_t* names = nullptr;
  uint32_t count = 0;
  return qnn().backendGetSupportedOperations(backend, &count, &names) == QNN_SUCCESS && count > 0;
}

void count(void* told, Qnn_NotifyStatus_t) { ++*static_cast<int*>(told); }

}  // namespace

TEST(a_backend_stays_while_a_restart_does_not_end) {
  REQUIRE(initialise_without_threads());
  const uint64_t before = stats().memory_used_bytes;
  const Session session;
  for (std::size_t made = 0; made < contexts; ++made) {
    CHECK(session.context() != nullptr);
  }
  // The first attempt to connect fails at once, the next one is made when the clock has moved on.
  CHECK_EQ(htp_rt_vdev_reconnect_fails(2), QNN_SUCCESS);
  CHECK_EQ(htp_rt_vdev_crash(HTP_RT_VDEV_CRASH_NOW), QNN_SUCCESS);
  CHECK_EQ(htp_rt_poll(clock_us, nullptr), QNN_SUCCESS);
  CHECK_EQ(stats().ssr_state, HTP_RT_SSR_AFTER_SHUTDOWN);

  for (int time = 0; time < 2; ++time) {
    CHECK_EQ(qnn().backendFree(session.backend), QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
    CHECK(is_known(session.backend));
    CHECK_EQ(stats().contexts, contexts);
  }
  CHECK_EQ(htp_rt_now_us(), clock_us);

  poll_to_the_end();
  CHECK_EQ(stats().ssr_state, HTP_RT_SSR_ONLINE);
  CHECK(session.context() != nullptr);
  CHECK_EQ(qnn().backendFree(session.backend), QNN_SUCCESS);
  CHECK(!is_known(session.backend));
  CHECK_EQ(qnn().backendFree(session.backend), QNN_BACKEND_ERROR_INVALID_HANDLE);
  CHECK_EQ(stats().contexts, 0);
  CHECK_EQ(stats().memory_used_bytes, before);
}

TEST(a_backend_goes_while_the_device_hangs) {
  REQUIRE(initialise_without_threads());
  const uint64_t before = stats().memory_used_bytes;
  const Session session;
  ConvRelu net(session.context());
  net.compose();
  net.finalize();
  std::array<uint8_t, ConvRelu::bytes> picture{};
  std::array<uint8_t, ConvRelu::bytes> result{};
  int told = 0;
  CHECK_EQ(htp_rt_vdev_hang(), QNN_SUCCESS);
  CHECK_EQ(net.execute_async(picture, result, &count, &told), QNN_SUCCESS);
  CHECK_EQ(htp_rt_poll(clock_us, nullptr), QNN_SUCCESS);

  // The context goes as well, when the watch over the device has restarted it.
  CHECK_EQ(qnn().backendFree(session.backend), QNN_SUCCESS);
  CHECK(!is_known(session.backend));
  CHECK_EQ(stats().contexts, 1);
  CHECK_EQ(told, 0);
  poll_to_the_end();
  CHECK_EQ(told, 1);
  CHECK_EQ(stats().hangs, 1);
  CHECK_EQ(stats().contexts, 0);
  CHECK_EQ(stats().memory_used_bytes, before);
}

// Nothing reconnects the device there, so it must let go by itself.
TEST(memory_comes_back_from_a_device_that_hangs_for_good) {
  REQUIRE(configure_device(HTP_RT_PLATFORM_X86_SIMULATION) == QNN_SUCCESS);
  REQUIRE(initialise_without_threads());
  const uint64_t before = stats().memory_used_bytes;
  const Session session;
  ConvRelu net(session.context());
  net.compose();
  net.finalize();
  std::array<uint8_t, ConvRelu::bytes> picture{};
  std::array<uint8_t, ConvRelu::bytes> result{};
  CHECK_EQ(htp_rt_vdev_hang(), QNN_SUCCESS);
  CHECK_EQ(net.execute(picture, result), QNN_GRAPH_ERROR_TIMED_OUT);
  poll_to_the_end();
  CHECK_EQ(stats().ssr_state, HTP_RT_SSR_LOST);
  CHECK_EQ(net.execute(picture, result), QNN_COMMON_ERROR_SYSTEM);
  CHECK_EQ(qnn().backendFree(session.backend), QNN_SUCCESS);
  CHECK_EQ(stats().contexts, 0);
  CHECK_EQ(stats().blocks_leaked, 0);
  CHECK_EQ(stats().memory_used_bytes, before);
}

TEST(a_creation_that_a_restart_ends_leaves_nothing) {
  REQUIRE(initialise_without_threads());
  const uint64_t before = stats().memory_used_bytes;
  const Session session;
  for (int time = 0; time < 2 * static_cast<int>(contexts); ++time) {
    CHECK_EQ(htp_rt_vdev_reconnect_fails(1), QNN_SUCCESS);
    CHECK_EQ(htp_rt_vdev_crash(HTP_RT_VDEV_CRASH_NOW), QNN_SUCCESS);
    Qnn_ContextHandle_t made = nullptr;
    CHECK_EQ(qnn().contextCreate(session.backend, session.device, nullptr, &made),
             QNN_CONTEXT_ERROR_TIMED_OUT);
    CHECK(made == nullptr);
    poll_to_the_end();
    CHECK_EQ(stats().contexts, 0);
    CHECK_EQ(stats().memory_used_bytes, before);
  }
  CHECK_EQ(qnn().deviceFree(session.device), QNN_SUCCESS);
}

// A restart delays the creation, so that the backend can go meanwhile.
TEST(no_context_outlives_its_backend) {
  REQUIRE(htp_rt_init(nullptr) == QNN_SUCCESS);
  for (uint32_t round = 0; round < 20; ++round) {
    const Session session;
    CHECK_EQ(htp_rt_vdev_reconnect_fails(4), QNN_SUCCESS);
    CHECK_EQ(htp_rt_vdev_crash(HTP_RT_VDEV_CRASH_NOW), QNN_SUCCESS);
    while (stats().restarts == round) {
      sched_yield();
    }
    Qnn_ContextHandle_t made = nullptr;
    BlockedCall creation(
        [&] { return qnn().contextCreate(session.backend, session.device, nullptr, &made); });
    creation.is_waiting();
    CHECK_EQ(qnn().backendFree(session.backend), QNN_SUCCESS);
    creation.error();
    CHECK_EQ(qnn().contextFree(made, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
    CHECK_EQ(stats().contexts, 0);
    CHECK_EQ(qnn().deviceFree(session.device), QNN_SUCCESS);
  }
}

TEST(a_context_that_was_not_made_does_not_keep_its_device) {
  static std::array<uint64_t, 1 << 17> device_memory;
  htp_rt_config_t config = {};
  config.struct_size = sizeof config;
  config.device_memory = device_memory.data();
  config.device_memory_bytes = sizeof device_memory;
  config.capacities.contexts = 100;
  config.capacities.graphs = 100;
  config.capacities.requests = 1000;
  REQUIRE(htp_rt_init(&config) == QNN_SUCCESS);
  const Session session;
  Digits digits;
  std::vector<Qnn_ContextHandle_t> made;
  Qnn_ErrorHandle_t code = QNN_SUCCESS;
  while (code == QNN_SUCCESS && made.size() < 1000) {
    Qnn_ContextHandle_t context = nullptr;
    code = qnn().contextCreateFromBinary(session.backend, session.device, nullptr,
                                         digits.network.data(), digits.network.size(), &context,
                                         nullptr);
    made.push_back(context);
  }
  CHECK_EQ(code, QNN_COMMON_ERROR_MEM_ALLOC);
  made.pop_back();
  for (Qnn_ContextHandle_t context : made) {
    CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
  }
  CHECK_EQ(qnn().deviceFree(session.device), QNN_SUCCESS);
}
