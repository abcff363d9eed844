// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// flags: -pthread
// Random calls of every function from four threads and from callbacks, with every count, version,
// enumeration and handle possibly wrong, while the device crashes and hangs. Whatever happens: no
// crash, every accepted execution is heard exactly once, no refused one is, answers are right,
// every code has a message, and when all is freed the runtime's memory is as it was.
// HTP_FUZZ_SEED chooses other calls, HTP_FUZZ_MINUTES goes on with further seeds for that long and
// shows how often each function was called.

#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "support/fuzz/compositions.hpp"
#include "support/fuzz/executions.hpp"
#include "support/fuzz/host_calls.hpp"
#include "support/fuzz/lists.hpp"
#include "support/fuzz/system_calls.hpp"

namespace {

constexpr std::uint32_t calls_per_round = 12000;
constexpr std::size_t memory_bytes = 6U << 20;

std::uint64_t variable(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

struct Weighted {
  std::uint32_t weight;
  void (*call)(Values&);
};

constexpr std::array<Weighted, 36> kinds_of_calls{{
    {16, &try_execute},
    {10, &execute_async},
    {8, &execute},
    {2, &signalled},
    {2, &cancel},
    {2, &profiled},
    {3, &load},
    {1, &load_in_place},
    {4, &load_broken},
    {2, &load_list},
    {3, &free_context},
    {6, &compose},
    {1, &reload},
    {1, &create_graph},
    {2, &retrieve},
    {2, &add_tensor},
    {3, &add_node},
    {1, &finalize},
    {5, &configure},
    {3, &set_recovery},
    {4, &create_object},
    {4, &free_object},
    {4, &share_memory},
    {3, &power},
    {6, &ask},
    {3, &ask_constants},
    {1, &create_system},
    {1, &free_system},
    {2, &describe},
    {1, &profile_into_files},
    {1, &measure},
    {1, &not_offered},
    {1, &not_offered_by_system},
    {1, &not_offered_of_quantization},
    {1, &not_offered_of_binaries},
    {4, &trouble},
}};

constexpr std::uint32_t total_weight() {
  std::uint32_t sum = 0;
  for (const Weighted& kind : kinds_of_calls) {
    sum += kind.weight;
  }
  return sum;
}

/** Waits, or polls, until every accepted request was heard. */
bool all_heard(Round& round) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (round.requests.heard() < round.requests.accepted()) {
    if (round.polled) {
      htp_rt_poll(clock_us() += 10000, nullptr);
    }
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    std::this_thread::yield();
  }
  return true;
}

htp_rt_stats_t stats() {
  htp_rt_stats_t now = {};
  CHECK_EQ(htp_rt_stats(&now), QNN_SUCCESS);
  return now;
}

/** Where nobody else drives: drives until a restart or a hang is over. */
void settle(const Round& round) {
  for (int turn = 0; round.polled && turn < 200; ++turn) {
    htp_rt_poll(clock_us() += 10000, nullptr);
  }
}

void free_contexts(Round& round) {
  settle(round);
  for (void* const context : round.handles.living(contexts)) {
    const Qnn_ErrorHandle_t code = qnn().contextFree(context, nullptr);
    CHECK(code == QNN_SUCCESS || code == QNN_CONTEXT_ERROR_INVALID_HANDLE);
  }
  settle(round);
  CHECK(all_heard(round));
}

/** Frees everything there ever was. */
void clean_up(Round& round) {
  free_contexts(round);
  round.close();    // a callback may have made more
  free_contexts(round);
  CHECK_EQ(stats().contexts, 0);
  for (void* const memory : round.handles.living(memories)) {
    qnn().memDeRegister(&memory, 1);
  }
  for (void* const profile : round.handles.living(profiles)) {
    qnn().profileFree(profile);
  }
  for (void* const signal : round.handles.living(signals)) {
    qnn().signalFree(signal);
  }
  for (void* const backend : round.handles.living(backends)) {
    const Qnn_ErrorHandle_t code = qnn().backendFree(backend);
    CHECK(code == QNN_SUCCESS || code == QNN_BACKEND_ERROR_INVALID_HANDLE);
  }
  for (void* const device : round.handles.living(devices)) {
    const Qnn_ErrorHandle_t code = qnn().deviceFree(device);
    CHECK(code == QNN_SUCCESS || code == QNN_DEVICE_ERROR_INVALID_HANDLE);
  }
  for (void* const log : round.handles.living(logs)) {
    qnn().logFree(log);
  }
  for (void* const system : round.handles.living(systems)) {
    qnn_system().systemContextFree(system);
  }
  for (void* const target : round.handles.living(targets)) {
    qnn_system().systemProfileFreeSerializationTarget(target);
  }
  QnnDevice_Infrastructure_t device = nullptr;
  CHECK_EQ(qnn().deviceGetInfrastructure(&device), QNN_SUCCESS);
  for (const std::atomic<std::uint32_t>& id : round.power_ids) {
    device->perfInfra.destroyPowerConfigId(id);
  }
  for (std::uint32_t id = round.last_subscription; id > 0; --id) {
    htp_rt_ssr_unsubscribe({id});
  }
}

Round& open_round(bool polled) {
  static std::vector<Round*>& all = *new std::vector<Round*>;
  all.push_back(new Round);
  Round& round = *all.back();
  shared_round() = &round;
  round.polled = polled;
  for (int& file : round.files) {
    file = memfd_create("buffer", 0);
    CHECK(file >= 0 && ftruncate(file, 4096) == 0);
  }
  Qnn_BackendHandle_t backend = nullptr;
  CHECK_EQ(qnn().backendCreate(nullptr, nullptr, &backend), QNN_SUCCESS);
  round.handles.add(backends, backend);
  return round;
}

void make_calls(Round& round, std::uint64_t seed, std::uint32_t count) {
  Values values(seed);
  for (; count > 0; --count) {
    any_call(values);
    ++round.calls;
  }
}

/** Gives the number of executions with right results. */
std::size_t play(Round& round, std::uint64_t seed, std::uint32_t callers,
                 const htp_rt_stats_t& before, std::uint32_t calls_wanted = calls_per_round) {
  std::vector<std::thread> running;
  for (std::uint32_t index = 1; index < callers; ++index) {
    running.emplace_back(make_calls, std::ref(round), seed + index, calls_wanted / callers);
  }
  make_calls(round, seed, calls_wanted / callers / 2);
  // Once a round: the device hangs, and does not come back at once.
  htp_rt_vdev_reconnect_fails(round.comes_back ? 2 : UINT32_MAX);
  htp_rt_vdev_hang();
  make_calls(round, ~seed, calls_wanted / callers / 2);
  for (std::thread& thread : running) {
    thread.join();
  }
  clean_up(round);
  CHECK_EQ(round.requests.wrong(), 0);
  const htp_rt_stats_t after = stats();
  CHECK_EQ(after.contexts, 0);
  CHECK_EQ(after.faults, 0);
  CHECK_EQ(after.blocks_leaked, 0);
  CHECK_EQ(after.memory_used_bytes - after.memory_fallback_bytes,
           before.memory_used_bytes - before.memory_fallback_bytes);
  const std::uint64_t completed = round.completed;
  std::printf("  seed %llu: %llu calls, %zu accepted, %llu completed, %u restarts, %llu hangs\n",
              static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(round.calls.load()), round.requests.accepted(),
              static_cast<unsigned long long>(completed), after.restarts,
              static_cast<unsigned long long>(after.hangs));
  for (const int file : round.files) {
    CHECK_EQ(close(file), 0);
  }
  round.forget();
  return completed;
}

/** Initialises with little memory, so that it also runs out. */
htp_rt_stats_t init(std::uint32_t flags) {
  // Plain arrays: the library's threads use them even after all destructors.
  static std::array<std::uint64_t, memory_bytes / 8> memory;
  static std::array<std::uint64_t, memory_bytes / 8> device_memory;
  htp_rt_config_t config = {};
  config.struct_size = sizeof config;
  config.flags = flags;
  config.memory = memory.data();
  config.memory_bytes = memory_bytes;
  config.device_memory = device_memory.data();
  config.device_memory_bytes = memory_bytes;
  CHECK_EQ(htp_rt_init(&config), QNN_SUCCESS);
  return stats();
}

/** Every function of the tables was called, and every offered one accepted at least once. */
void check_coverage() {
  const std::size_t entry = sizeof(void (*)());
  CHECK_EQ(coverage().called("qnn") + coverage().called("qnn, of some platforms") +
               coverage().called("qnn, not offered"),
           sizeof(Table) / entry);
  CHECK_EQ(coverage().called("system") + coverage().called("system, not offered"),
           sizeof(QNN_SYSTEM_INTERFACE_VER_TYPE) / entry);
  CHECK_EQ(coverage().never_accepted("qnn"), 0);
  CHECK_EQ(coverage().never_accepted("system"), 0);
  CHECK_EQ(coverage().called("perf"), 4);
  CHECK_EQ(coverage().never_accepted("perf"), 0);
  CHECK_EQ(Codes::without_message(), 0);
}

/** Goes on with further seeds for as long as is wanted, but for some rounds. */
template <typename Play>
void play_for_long(int rounds, Play play_with) {
  const std::uint64_t minutes = variable("HTP_FUZZ_MINUTES", 0);
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(minutes);
  std::uint64_t seed = variable("HTP_FUZZ_SEED", 1);
  alarm(minutes == 0 ? check::seconds_max : static_cast<unsigned int>(minutes * 60 + 120));
  for (int round = 0; round < rounds || std::chrono::steady_clock::now() < end; ++round) {
    CHECK(play_with(seed) > 0);
    seed += 1000;
    if (check::failures() != 0) {
      return;
    }
  }
  if (minutes > 0) {
    coverage().print();
  }
}

}  // namespace

void any_call(Values& values) {
  std::uint32_t choice = values.numbers.below(total_weight());
  for (const Weighted& kind : kinds_of_calls) {
    if (choice < kind.weight) {
      return kind.call(values);
    }
    choice -= kind.weight;
  }
}

// REQ: ASYNC-001
TEST(random_calls_on_four_threads_lose_nothing) {
  const htp_rt_stats_t before = init(0);
  play_for_long(2, [&](std::uint64_t seed) { return play(open_round(false), seed, 4, before); });
  check_coverage();
}

TEST(random_calls_without_threads_lose_nothing) {
  const htp_rt_stats_t before = init(HTP_RT_INIT_NO_THREADS);
  play_for_long(1, [&](std::uint64_t seed) { return play(open_round(true), seed, 1, before); });
}

// Nobody but the callers drives, and any of them does.
TEST(random_calls_on_four_threads_that_poll_lose_nothing) {
  const htp_rt_stats_t before = init(HTP_RT_INIT_NO_THREADS);
  play_for_long(1, [&](std::uint64_t seed) { return play(open_round(true), seed, 4, before); });
}

// The DSP does not come back: everything can still be freed.
TEST(random_calls_on_a_lost_device_lose_nothing) {
  play_for_long(1, [](std::uint64_t seed) {
    return check::passes("lost", [seed] {
      const htp_rt_stats_t before = init(0);
      Round& round = open_round(false);
      round.comes_back = false;
      CHECK(play(round, seed, 4, before) > 0);
      CHECK_EQ(stats().ssr_state, HTP_RT_SSR_LOST);
    });
  });
}

// Not every platform has every function, and one does not restart the DSP.
TEST(random_calls_on_every_platform_lose_nothing) {
  play_for_long(6, [](std::uint64_t seed) {
    return check::passes("platform", [seed] {
      const auto platform = static_cast<htp_rt_platform_t>(seed / 1000 % 6);
      CHECK_EQ(configure_device(platform), QNN_SUCCESS);
      const htp_rt_stats_t before = init(0);
      Round& round = open_round(false);
      round.comes_back = platform != HTP_RT_PLATFORM_X86_SIMULATION;
      play(round, seed, 4, before, calls_per_round / 6);
      const bool has_lists =
          platform == HTP_RT_PLATFORM_ANDROID || platform == HTP_RT_PLATFORM_WINDOWS;
      CHECK_EQ(coverage().never_accepted("qnn, of some platforms"), has_lists ? 0 : 1);
    });
  });
}

// Threads call until the very end.
TEST(a_process_ends_in_the_middle_of_random_calls) {
  init(0);
  Round& round = open_round(false);
  for (std::uint32_t index = 1; index < 4; ++index) {
    std::thread(make_calls, std::ref(round), index, UINT32_MAX).detach();
  }
  make_calls(round, 0, calls_per_round / 5);
}
