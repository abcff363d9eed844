// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// flags: -pthread
// also: shared
// The library in the life of a process: its threads, signals, forks, the end, and unloading.

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <thread>

#include "QnnGlobalConfig.h"
#include "support/check.hpp"
#include "support/client.hpp"

namespace {

std::atomic<int> threads_refused{0};
/** Called once, by the next thread that starts one. */
std::atomic<void (*)()> before_a_thread{nullptr};

bool answers(const Client& client, const Session& session) {
  Execution execution;
  execution.bind(client, session, 5);
  return execution.run(client, session) == QNN_SUCCESS && execution.right(client);
}

/** Whether `told` says so in a forked process, within five seconds. */
template <typename Told>
bool in_a_fork(const Told& told) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(5);
    _exit(told() ? EXIT_SUCCESS : EXIT_FAILURE);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == EXIT_SUCCESS;
}

/** Chooses a SoC; the same one every time. */
Qnn_ErrorHandle_t choose_soc() {
  QnnGlobalConfig_t soc{};
  soc.option = QNN_GLOBAL_CONFIG_OPTION_SOC_MODEL;
  soc.socModel = QNN_SOC_MODEL_SM8650;
  const QnnGlobalConfig_t* list[] = {&soc, nullptr};
  return QnnGlobalConfig_Set(list);
}

/** Frees its context when static objects are destroyed, after main. */
struct Late {
  Client client;
  Session session;
  bool opened = false;

  ~Late() {
    const bool freed = opened && answers(client, session) &&
                       client.api->contextFree(session.context, nullptr) == QNN_SUCCESS &&
                       client.api->backendFree(client.backend) == QNN_SUCCESS;
    if (!freed) {
      _exit(EXIT_FAILURE);
    }
  }
};

}  // namespace

// Stands before the C library's, so that the library's threads are started by it; the one whose
// turn it is cannot be started.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*routine)(void*), void* argument) noexcept {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const Create create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  if (void (*const call)() = before_a_thread.exchange(nullptr)) {
    call();
  }
  if (threads_refused > 0 && --threads_refused == 0) {
    return EAGAIN;
  }
  return create(thread, attributes, routine, argument);
}

TEST(a_static_object_frees_its_context_after_main) {
  static Late late;
  REQUIRE(late.client.open());
  late.opened = late.session.open(late.client) == QNN_SUCCESS;
  CHECK(late.opened);
}

// Plain arrays have no destructor: the memory lent is there until the end.
TEST(a_process_ends_while_requests_wait_and_run) {
  static Client& client = *new Client;
  REQUIRE(client.open());
  static Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  static std::array<Execution, 8> executions;
  static Mailbox& mailbox = *new Mailbox;
  for (Execution& execution : executions) {
    execution.bind(client, session, 1);
    REQUIRE(execution.queue(client, session, mailbox) == QNN_SUCCESS);
  }
  client.api = nullptr;
}

// The locks of a forked process may be held by threads that it does not have, so nothing waits for
// them there.
TEST(a_forked_process_is_told_that_the_runtime_is_not_there) {
  Client client;
  REQUIRE(client.open());
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) {
      CHECK(answers(client, session));
    }
  });
  for (int time = 0; time < 50; ++time) {
    CHECK(in_a_fork([&] {
      Execution execution;
      execution.bind(client, session, 5);
      Qnn_BackendHandle_t backend = nullptr;
      htp_rt_stats_t stats = {};
      return execution.run(client, session) == QNN_GRAPH_ERROR_INVALID_HANDLE &&
             client.api->contextFree(session.context, nullptr) ==
                 QNN_CONTEXT_ERROR_INVALID_HANDLE &&
             client.api->backendCreate(nullptr, nullptr, &backend) == QNN_COMMON_ERROR_SYSTEM &&
             htp_rt_init(nullptr) == QNN_COMMON_ERROR_SYSTEM &&
             htp_rt_vdev_hold() != QNN_SUCCESS && htp_rt_stats(&stats) != QNN_SUCCESS;
    }));
  }
  stop = true;
  busy.join();
  CHECK(answers(client, session));
  CHECK_EQ(client.api->contextFree(session.context, nullptr), QNN_SUCCESS);
}

// The locks of the thread that initialises are held for ever in the fork.
TEST(a_process_forked_while_the_library_is_initialised_is_told_so) {
  static std::atomic<bool> told{false};
  before_a_thread = [] {
    std::thread([] {
      // The library starts threads with signals blocked, and this one was started meanwhile.
      sigset_t none;
      sigemptyset(&none);
      pthread_sigmask(SIG_SETMASK, &none, nullptr);
      told = in_a_fork([] {
        const htp_rt_vdev_config_t device = {};
        return choose_soc() == QNN_COMMON_ERROR_SYSTEM &&
               htp_rt_vdev_configure(&device) != QNN_SUCCESS &&
               htp_rt_init(nullptr) == QNN_COMMON_ERROR_SYSTEM;
      });
    }).join();
  };
  CHECK_EQ(htp_rt_init(nullptr), QNN_SUCCESS);
  CHECK(told);
}

// Whether the lock that this takes was held when the process was forked is chance.
TEST(a_process_forked_while_the_library_is_configured_is_answered) {
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) {
      CHECK_EQ(choose_soc(), QNN_SUCCESS);
    }
  });
  for (int time = 0; time < 100; ++time) {
    CHECK(in_a_fork([] {
      const Qnn_ErrorHandle_t answer = choose_soc();
      return answer == QNN_SUCCESS || answer == QNN_COMMON_ERROR_SYSTEM;
    }));
  }
  stop = true;
  busy.join();
}

TEST(without_threads_a_forked_process_goes_on) {
  htp_rt_config_t config = {};
  config.struct_size = sizeof config;
  config.flags = HTP_RT_INIT_NO_THREADS;
  REQUIRE(htp_rt_init(&config) == QNN_SUCCESS);
  CHECK_EQ(htp_rt_init(nullptr), QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
  const auto goes_on = [] {
    htp_rt_stats_t stats = {};
    return htp_rt_poll(1000, nullptr) == QNN_SUCCESS && htp_rt_stats(&stats) == QNN_SUCCESS;
  };
  CHECK(in_a_fork(goes_on));
  CHECK(goes_on());
}

TEST(where_nothing_was_initialised_a_forked_process_may) {
  std::array<std::byte, 64> little{};
  htp_rt_config_t config = {};
  config.struct_size = sizeof config;
  config.memory = little.data();
  config.memory_bytes = little.size();
  CHECK_EQ(htp_rt_init(&config), QNN_COMMON_ERROR_MEM_ALLOC);
  CHECK(in_a_fork([] {
    Client client;
    Session session;
    return client.open() && session.open(client) == QNN_SUCCESS && answers(client, session);
  }));
}

// Handlers were written for the client's threads.
TEST(signals_of_the_process_are_not_handled_on_threads_of_the_library) {
  Client client;
  REQUIRE(client.open());    // starts the threads
  struct sigaction action = {};
  action.sa_handler = [](int) { _exit(EXIT_FAILURE); };
  REQUIRE(sigaction(SIGUSR1, &action, nullptr) == 0);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGUSR1);
  REQUIRE(pthread_sigmask(SIG_BLOCK, &wanted, nullptr) == 0);
  REQUIRE(kill(getpid(), SIGUSR1) == 0);
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  CHECK(answers(client, session));
  int signal_taken = 0;
  CHECK(sigwait(&wanted, &signal_taken) == 0 && signal_taken == SIGUSR1);
  // The caller's own mask is as it was.
  sigset_t now;
  REQUIRE(pthread_sigmask(SIG_BLOCK, nullptr, &now) == 0);
  CHECK(sigismember(&now, SIGUSR2) == 0);
}

TEST(without_its_first_thread_the_library_says_so_every_time) {
  threads_refused = 1;
  CHECK_EQ(htp_rt_init(nullptr), QNN_COMMON_ERROR_SYSTEM);
  CHECK_EQ(htp_rt_init(nullptr), QNN_COMMON_ERROR_SYSTEM);
}

// The other thread runs already, on what a second attempt would write over.
TEST(without_its_second_thread_the_library_says_so_every_time) {
  threads_refused = 2;
  Client client;
  CHECK(!client.open());
  CHECK(!client.open());
  CHECK_EQ(htp_rt_init(nullptr), QNN_COMMON_ERROR_SYSTEM);
  htp_rt_stats_t stats = {};
  CHECK(htp_rt_stats(&stats) != QNN_SUCCESS);
}

// The threads run until the process ends, so their code stays.
TEST(the_shared_library_can_be_closed_while_its_threads_run) {
  const char* const path = std::getenv("HTP_RUNTIME_SHARED_LIBRARY");
  REQUIRE(path != nullptr);
  for (int time = 0; time < 3; ++time) {
    void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    using Init = Qnn_ErrorHandle_t (*)(const htp_rt_config_t*);
    using Crash = Qnn_ErrorHandle_t (*)(std::uint32_t);
    const Init init = reinterpret_cast<Init>(dlsym(library, "htp_rt_init"));
    const Crash crash = reinterpret_cast<Crash>(dlsym(library, "htp_rt_vdev_crash"));
    REQUIRE(init != nullptr && crash != nullptr);
    CHECK_EQ(init(nullptr), time == 0 ? QNN_SUCCESS : QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
    CHECK_EQ(crash(HTP_RT_VDEV_CRASH_NOW), QNN_SUCCESS);    // gives the threads something to do
    CHECK_EQ(dlclose(library), 0);
    for (int turn = 0; turn < 1000; ++turn) {
      std::this_thread::yield();
    }
  }
}
