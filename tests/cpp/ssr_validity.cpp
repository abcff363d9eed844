// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// What a restart of the DSP leaves valid, what becomes stale, and what stale objects answer.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdarg>

#include "support/check.hpp"
#include "support/client.hpp"

namespace {

int messages_logged = 0;

void on_message(const char*, QnnLog_Level_t, std::uint64_t, va_list) { ++messages_logged; }

void on_completion(void*, const htp_rt_completion_t*) {}

/** Opens both, then crashes the device. */
bool open_and_crash(Client& client, Session& session) {
  return client.open() && session.open(client) == QNN_SUCCESS &&
         crash(client, session) == QNN_COMMON_ERROR_SYSTEM_COMMUNICATION;
}

/** Executes an image and compares the bytes. */
bool answers(const Client& client, const Session& session, Qnn_ProfileHandle_t profile = nullptr) {
  Execution execution;
  execution.bind(client, session, 5);
  return execution.run(client, session, profile) == QNN_SUCCESS && execution.right(client);
}

}  // namespace

// REQ: SSR-003, SSR-004, SSR-005, SSR-011, SSR-013, SSR-014, SSR-019, SSR-023
TEST(a_client_recovers_from_its_binary) {
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  CHECK(answers(client, session));
  CHECK_EQ(crash(client, session), QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
  const Session stale = session;
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(session.open(client), QNN_SUCCESS);
  CHECK(session.context != stale.context);
  CHECK(session.graph != stale.graph);
  CHECK(answers(client, session));
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(client.api->deviceFree(client.device), QNN_SUCCESS);
  CHECK_EQ(client.api->backendFree(client.backend), QNN_SUCCESS);
}

// REQ: SSR-020
TEST(a_client_recovers_under_a_signal) {
  Client client;
  Session session;
  REQUIRE(open_and_crash(client, session));
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
  QnnSignal_Config_t config = {};
  config.option = QNN_SIGNAL_CONFIG_OPTION_TIMEOUT;
  config.timeoutDurationUs = 10000000;
  const QnnSignal_Config_t* configs[] = {&config, nullptr};
  Qnn_SignalHandle_t signal = nullptr;
  CHECK_EQ(client.api->signalCreate(client.backend, configs, &signal), QNN_SUCCESS);
  CHECK_EQ(client.api->contextCreateFromBinaryWithSignal(
               client.backend, client.device, nullptr, client.digits.network.data(),
               client.digits.network.size(), &session.context, nullptr, signal),
           QNN_SUCCESS);
  CHECK_EQ(client.api->graphRetrieve(session.context, "digits", &session.graph), QNN_SUCCESS);
  CHECK(answers(client, session));
  CHECK_EQ(client.api->signalFree(signal), QNN_SUCCESS);
}

// REQ: SSR-017
TEST(a_stale_context_is_freed_once) {
  Client client;
  Session session;
  REQUIRE(open_and_crash(client, session));
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(client.api->graphRetrieve(session.context, "digits", &graph),
           QNN_GRAPH_ERROR_INVALID_HANDLE);
}

// REQ: SSR-007, SSR-008, SSR-009
TEST(calls_on_stale_objects_say_so) {
  Client client;
  Session session;
  REQUIRE(open_and_crash(client, session));
  constexpr Qnn_ErrorHandle_t stale = QNN_COMMON_ERROR_SYSTEM_COMMUNICATION;

  Execution execution;
  Mailbox mailbox;
  execution.bind(client, session, 2);
  CHECK_EQ(execution.run(client, session), stale);
  CHECK_EQ(execution.queue(client, session, mailbox), stale);
  CHECK_EQ(htp_rt_graph_try_execute_async(session.graph, &execution.input, 1,
                                          execution.outputs.data(), 2, nullptr, &on_completion,
                                          nullptr, nullptr),
           stale);
  Qnn_GraphHandle_t graph = nullptr;
  CHECK_EQ(client.api->graphRetrieve(session.context, "digits", &graph), stale);
  const QnnContext_Config_t* no_config[] = {nullptr};
  CHECK_EQ(client.api->contextSetConfig(session.context, no_config), stale);
  const QnnGraph_Config_t* no_graph_config[] = {nullptr};
  CHECK_EQ(client.api->graphSetConfig(session.graph, no_graph_config), stale);
  std::uint32_t count = 0;
  CHECK_EQ(htp_rt_graph_tensor_count(session.graph, &count), stale);
  CHECK_EQ(mailbox.count(), 0);
  // What happened can still be asked.
  htp_rt_context_stats_t stats = {};
  CHECK_EQ(htp_rt_context_stats(session.context, &stats), QNN_SUCCESS);
  CHECK_EQ(stats.reset, 1);
}

// REQ: SSR-015
TEST(a_log_survives) {
  Client client;
  REQUIRE(client.open());
  Qnn_LogHandle_t log = nullptr;
  CHECK_EQ(client.api->logCreate(&on_message, QNN_LOG_LEVEL_ERROR, &log), QNN_SUCCESS);
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  CHECK_EQ(crash(client, session), QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
  messages_logged = 0;
  CHECK_EQ(client.api->logSetLogLevel(log, QNN_LOG_LEVEL_DEBUG), QNN_SUCCESS);
  Session fresh;
  CHECK_EQ(fresh.open(client, 301), QNN_CONTEXT_ERROR_INVALID_CONFIG);
  CHECK(messages_logged > 0);
  CHECK_EQ(client.api->logFree(log), QNN_SUCCESS);
}

// REQ: SSR-016
TEST(a_profile_survives) {
  Client client;
  REQUIRE(client.open());
  Qnn_ProfileHandle_t profile = nullptr;
  CHECK_EQ(client.api->profileCreate(client.backend, QNN_PROFILE_LEVEL_BASIC, &profile),
           QNN_SUCCESS);
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  CHECK_EQ(crash(client, session), QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
  REQUIRE(session.open(client) == QNN_SUCCESS);
  CHECK(answers(client, session, profile));
  const QnnProfile_EventId_t* events = nullptr;
  std::uint32_t count = 0;
  CHECK_EQ(client.api->profileGetEvents(profile, &events, &count), QNN_SUCCESS);
  CHECK(count > 0);
  CHECK_EQ(client.api->profileFree(profile), QNN_SUCCESS);
}

// REQ: SSR-024
TEST(a_stale_buffer_is_deregistered_once_and_registered_again) {
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  const int fd = memfd_create("image", 0);
  REQUIRE(fd >= 0 && ftruncate(fd, 4096) == 0);
  std::uint32_t dimensions[] = {1, 8, 8, 1};
  Qnn_MemDescriptor_t buffer = QNN_MEM_DESCRIPTOR_INIT;
  buffer.memShape = {4, dimensions, nullptr};
  buffer.dataType = QNN_DATATYPE_UFIXED_POINT_8;
  buffer.memType = QNN_MEM_TYPE_ION;
  buffer.ionInfo.fd = fd;
  Qnn_MemHandle_t memory = nullptr;
  REQUIRE(client.api->memRegister(session.context, &buffer, 1, &memory) == QNN_SUCCESS);

  CHECK_EQ(crash(client, session), QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
  CHECK_EQ(client.api->memDeRegister(&memory, 1), QNN_SUCCESS);
  CHECK_EQ(client.api->memDeRegister(&memory, 1), QNN_MEM_ERROR_INVALID_HANDLE);
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
  REQUIRE(session.open(client) == QNN_SUCCESS);
  REQUIRE(client.api->memRegister(session.context, &buffer, 1, &memory) == QNN_SUCCESS);

  // Without a copy: the image is written to the shared pages alone.
  void* pages = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(pages != MAP_FAILED);
  std::memcpy(pages, client.digits.image(9), Digits::image_bytes);
  Execution execution;
  execution.bind(client, session, 9);
  execution.buffers.image.fill(0);
  execution.input.v1.memType = QNN_TENSORMEMTYPE_MEMHANDLE;
  execution.input.v1.memHandle = memory;
  CHECK_EQ(execution.run(client, session), QNN_SUCCESS);
  CHECK(execution.right(client));
  CHECK_EQ(client.api->memDeRegister(&memory, 1), QNN_SUCCESS);
  CHECK_EQ(munmap(pages, 4096), 0);
  CHECK_EQ(close(fd), 0);
}

// REQ: SSR-028
TEST(restarts_repeat_and_leave_nothing_behind) {
  Client client;
  REQUIRE(client.open());
  htp_rt_stats_t before = {};
  CHECK_EQ(htp_rt_stats(&before), QNN_SUCCESS);
  for (std::uint32_t restart = 1; restart <= 20; ++restart) {
    Session session;
    REQUIRE(session.open(client) == QNN_SUCCESS);
    CHECK(answers(client, session));
    CHECK_EQ(crash(client, session), QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
    CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
    htp_rt_stats_t stats = {};
    CHECK_EQ(htp_rt_stats(&stats), QNN_SUCCESS);
    CHECK_EQ(stats.restarts, restart);
    CHECK_EQ(stats.epoch, before.epoch + restart);
    CHECK_EQ(stats.contexts, before.contexts);
    CHECK_EQ(stats.memory_used_bytes, before.memory_used_bytes);
    CHECK_EQ(stats.blocks_leaked, 0);
  }
}
