// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// flags: -pthread
// Random calls from four threads and from callbacks, with every count, version, enumeration and
// handle possibly wrong, while the device crashes and hangs. Whatever happens: no crash, every
// accepted execution is heard exactly once, no refused one is, and when all is freed the runtime's
// memory is as it was. HTP_FUZZ_SEED chooses other calls,
// HTP_FUZZ_MINUTES goes on with further seeds for that long.

#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdarg>
#include <thread>

#include "support/check.hpp"
#include "support/fuzz_values.hpp"

namespace {

constexpr std::uint32_t calls_per_thread = 12000;
constexpr unsigned int threads = 4;
constexpr std::size_t memory_bytes = 6U << 20;

std::uint64_t variable(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

std::atomic<std::uint64_t> phases_heard{0};

void on_log(const char*, QnnLog_Level_t, std::uint64_t, va_list) {}
void on_restart(void*, const htp_rt_ssr_event_t*) { ++phases_heard; }
bool on_text(void*, const std::uint8_t*, std::size_t) { return true; }

/** One caller: a thread, or a callback. */
class Caller : private Values {
 public:
  explicit Caller(std::uint64_t seed) : Values(seed) {}

  void call() {
    using Action = void (Caller::*)();
    static constexpr std::array<Action, 32> actions{{
        &Caller::try_execute,     &Caller::try_execute,     &Caller::try_execute,
        &Caller::execute_async,   &Caller::execute_async,   &Caller::execute_async,
        &Caller::execute,         &Caller::execute,         &Caller::cancel,
        &Caller::load,            &Caller::load,            &Caller::load_broken,
        &Caller::create_context,  &Caller::create_context,  &Caller::free_context,
        &Caller::compose,         &Caller::compose,         &Caller::add_tensor,
        &Caller::add_node,        &Caller::configure,       &Caller::configure,
        &Caller::finalize,        &Caller::binary,          &Caller::host_objects,
        &Caller::host_objects,    &Caller::free_object,     &Caller::memory,
        &Caller::memory,          &Caller::ask,             &Caller::ask,
        &Caller::not_offered,     &Caller::trouble,
    }};
    ++shared_round()->calls;
    (this->*numbers_.one_of(actions))();
  }

 private:

  // --- executions ---

  Qnn_Tensor_t described(std::uint32_t id, std::uint8_t* memory, std::size_t bytes) {
    Qnn_Tensor_t tensor = QNN_TENSOR_INIT;
    if (numbers_.chance(30)) {
      tensor.version = QNN_TENSOR_VERSION_2;
      tensor.v2 = QNN_TENSOR_V2_INIT;
      tensor.v2.id = id;
      tensor.v2.memType = QNN_TENSORMEMTYPE_RAW;
      tensor.v2.clientBuf = {memory, static_cast<std::uint32_t>(bytes)};
    } else {
      tensor.v1.id = id;
      tensor.v1.memType = QNN_TENSORMEMTYPE_RAW;
      tensor.v1.clientBuf = {memory, static_cast<std::uint32_t>(bytes)};
    }
    if (numbers_.chance(3)) {
      spoil(tensor);
    }
    return tensor;
  }

  struct Lists {
    std::unique_ptr<Qnn_Tensor_t[]> inputs{new Qnn_Tensor_t[1]};
    std::unique_ptr<Qnn_Tensor_t[]> outputs{new Qnn_Tensor_t[2]};
    std::uint32_t num_inputs = 1;
    std::uint32_t num_outputs = 2;
  };
  Lists lists(Request& request) {
    Lists made;
    made.inputs[0] = described(shared_round()->ids[0], request.image.get(), Request::image_bytes);
    for (std::size_t which = 0; which < 2; ++which) {
      made.outputs[which] = described(shared_round()->ids[which + 1], request.results[which].get(),
                                      Request::result_bytes);
    }
    if (numbers_.chance(3)) {
      (numbers_.chance(50) ? made.num_inputs : made.num_outputs) = numbers_.number();
    }
    if (numbers_.chance(1)) {
      (numbers_.chance(50) ? made.inputs : made.outputs).reset();
    }
    // Graphs with other inputs and outputs take other lists, which would be read beyond their ends.
    return made;
  }

  /** Often one that can be executed. */
  Qnn_GraphHandle_t graph() {
    return numbers_.chance(60) ? shared_round()->last_loaded.load() : pick(graphs);
  }
  Request& offer() { return shared_round()->requests.add(numbers_.next()); }
  static void conclude(Request& request, Qnn_ErrorHandle_t code) {
    if (code == QNN_SUCCESS) {
      request.accepted = true;
    } else {
      request.take_back();
    }
  }
  static void heard(void* param) {
    Request& request = *static_cast<Request*>(param);
    request.take_back();
    Numbers numbers(request.seed);
    if (numbers.chance(25)) {
      Caller(numbers.next()).call();
    }
    ++request.heard;
  }
  static void on_notify(void* param, Qnn_NotifyStatus_t) { heard(param); }
  static void on_completion(void* param, const htp_rt_completion_t*) { heard(param); }

  void try_execute() {
    Request& request = offer();
    Lists lent = lists(request);
    htp_rt_execute_options_t options = {};
    options.struct_size = numbers_.chance(97) ? sizeof options : numbers_.number();
    options.timeout_us = numbers_.chance(30) ? numbers_.below(3000) : 0;
    options.profile = seldom(profiles);
    htp_rt_request_t accepted = {};
    const Qnn_ErrorHandle_t code = htp_rt_graph_try_execute_async(
        graph(), lent.inputs.get(), lent.num_inputs, lent.outputs.get(), lent.num_outputs,
        numbers_.chance(50) ? &options : nullptr, numbers_.chance(99) ? &on_completion : nullptr,
        &request, &accepted);
    conclude(request, code);
    if (code == QNN_SUCCESS) {
      shared_round()->last_request = accepted.id;
    }
  }
  void execute_async() {
    Request& request = offer();
    Lists lent = lists(request);
    const Qnn_NotifyFn_t notify = numbers_.chance(99) ? &on_notify : nullptr;
    conclude(request, qnn().graphExecuteAsync(graph(), lent.inputs.get(), lent.num_inputs,
                                              lent.outputs.get(), lent.num_outputs,
                                              seldom(profiles), seldom(signals), notify, &request));
  }
  void execute() {
    Request request;
    Lists lent = lists(request);
    qnn().graphExecute(graph(), lent.inputs.get(), lent.num_inputs, lent.outputs.get(),
                       lent.num_outputs, seldom(profiles), seldom(signals));
  }
  void cancel() {
    htp_rt_request_t request = {shared_round()->last_request};
    if (numbers_.chance(30)) {
      request.id = numbers_.chance(50) ? numbers_.next()
                                       : request.id ^ (1ULL << numbers_.below(64));
    }
    htp_rt_request_cancel(request);
  }

  // --- contexts ---

  void create_context() {
    Qnn_ContextHandle_t context = nullptr;
    keep(contexts,
         qnn().contextCreate(pick(backends), numbers_.chance(50) ? pick(devices) : nullptr,
                             context_list(), &context),
         context);
  }
  /** Loads from memory that is gone after the call; takes the graph. */
  void load_bytes(std::vector<std::uint8_t> bytes) {
    Qnn_ContextHandle_t context = nullptr;
    const Qnn_DeviceHandle_t device = numbers_.chance(50) ? pick(devices) : nullptr;
    const QnnContext_Config_t** const configs = context_list();
    const Qnn_ErrorHandle_t code =
        numbers_.chance(80)
            ? qnn().contextCreateFromBinary(pick(backends), device, configs, bytes.data(),
                                            bytes.size(), &context, seldom(profiles))
            : qnn().contextCreateFromBinaryWithSignal(pick(backends), device, configs, bytes.data(),
                                                      bytes.size(), &context, seldom(profiles),
                                                      seldom(signals));
    keep(contexts, code, context);
    Qnn_GraphHandle_t graph = nullptr;
    if (code == QNN_SUCCESS) {
      keep(graphs, qnn().graphRetrieve(context, "digits", &graph), graph);
      learn(graph);
      shared_round()->last_loaded = graph;
    }
  }
  static void learn(Qnn_GraphHandle_t graph) {
    for (std::uint32_t index = 0; index < 3; ++index) {
      htp_rt_tensor_info_t info = {};
      if (htp_rt_graph_tensor(graph, index, &info) == QNN_SUCCESS) {
        shared_round()->ids[index] = info.id;
      }
    }
  }
  void load() { load_bytes(shared_round()->digits.network); }
  void load_broken() {
    std::vector<std::uint8_t> bytes = shared_round()->digits.network;
    if (numbers_.chance(50)) {
      bytes.resize(numbers_.below(static_cast<std::uint32_t>(bytes.size())) + 1);
    }
    for (std::uint32_t flips = numbers_.below(4); flips > 0; --flips) {
      // Half of them where the head is, which says where everything else is.
      const std::size_t bound = numbers_.chance(50) && bytes.size() > 256 ? 256 : bytes.size();
      bytes[numbers_.below(static_cast<std::uint32_t>(bound))] ^=
          static_cast<std::uint8_t>(1U << numbers_.below(8));
    }
    if (numbers_.chance(50)) {
      qnn().contextValidateBinary(pick(backends), pick(devices), context_list(), bytes.data(),
                                  bytes.size());
    } else {
      load_bytes(std::move(bytes));
    }
  }
  void free_context() { qnn().contextFree(pick(contexts), seldom(profiles)); }
  void binary() {
    const Qnn_ContextHandle_t context = pick(contexts);
    Qnn_ContextBinarySize_t size = 0, written = 0;
    if (qnn().contextGetBinarySize(context, &size) != QNN_SUCCESS) {
      size = 100;
    }
    size -= numbers_.chance(10) ? numbers_.below(50) : 0;
    std::vector<std::uint8_t> bytes(size);
    const Qnn_ErrorHandle_t code = qnn().contextGetBinary(context, bytes.data(), size, &written);
    CHECK(written <= size);
    if (code == QNN_SUCCESS) {
      bytes.resize(written);
      load_bytes(std::move(bytes));
    }
  }

  // --- composition ---

  void compose() {
    const Qnn_ContextHandle_t context = pick(contexts);
    if (numbers_.chance(50)) {
      Qnn_GraphHandle_t graph = nullptr;
      static const std::array<const char*, 4> names{{"a", "b", "", nullptr}};
      keep(graphs, qnn().graphCreate(context, numbers_.one_of(names), graph_list(), &graph), graph);
      return;
    }
    ConvRelu net(context, numbers_.chance(50) ? "net" : "other");
    if (net.graph != nullptr) {
      shared_round()->handles.add(graphs, net.graph);
    }
    net.finalize();
  }
  void add_tensor() {
    Qnn_Tensor_t tensor = any_tensor();
    qnn().tensorCreateGraphTensor(pick(graphs), &tensor);
  }
  void add_node() {
    std::vector<Qnn_Tensor_t> inputs, outputs;
    std::vector<Qnn_Param_t> params;
    for (std::uint32_t count = numbers_.below(4); count > 0; --count) {
      inputs.push_back(any_tensor());
    }
    for (std::uint32_t count = numbers_.below(3); count > 0; --count) {
      outputs.push_back(any_tensor());
    }
    for (std::uint32_t count = numbers_.below(4); count > 0; --count) {
      params.push_back(any_param());
    }
    Qnn_OpConfig_t op = make_op("op", numbers_.one_of(types), inputs, outputs, params);
    if (numbers_.chance(5)) {
      op.version = numbers_.any_of<Qnn_OpConfigVersion_t>();
    }
    if (numbers_.chance(5)) {
      op.v1.packageName = nullptr;
    }
    if (numbers_.chance(5)) {
      op.v1.inputTensors = nullptr;
    }
    if (numbers_.chance(50)) {
      qnn().backendValidateOpConfig(pick(backends), op);
    } else {
      qnn().graphAddNode(pick(graphs), op);
    }
  }
  void finalize() { qnn().graphFinalize(pick(graphs), seldom(profiles), seldom(signals)); }
  void configure() {
    switch (numbers_.below(4)) {
      case 0: qnn().contextSetConfig(pick(contexts), context_list()); break;
      case 1: qnn().graphSetConfig(pick(graphs), graph_list()); break;
      case 2: qnn().signalSetConfig(pick(signals), signal_list()); break;
      default: qnn().logSetLogLevel(pick(logs), numbers_.any_of<QnnLog_Level_t>()); break;
    }
  }

  // --- objects of the host ---

  void host_objects() {
    void* made = nullptr;
    switch (numbers_.below(7)) {
      case 0:
        if (numbers_.chance(50)) {
          keep(backends, qnn().backendCreate(seldom(logs), nullptr, &made), made);
        }
        break;
      case 1: keep(devices, qnn().deviceCreate(seldom(logs), device_list(), &made), made); break;
      case 2: {
        const auto level = numbers_.any_of<QnnProfile_Level_t>();
        keep(profiles, qnn().profileCreate(pick(backends), level, &made), made);
        break;
      }
      case 3:
      case 4:
        keep(signals, qnn().signalCreate(pick(backends), signal_list(), &made), made);
        break;
      case 5: qnn().signalTrigger(pick(signals)); break;
      default: {
        const auto level = numbers_.any_of<QnnLog_Level_t>();
        keep(logs, qnn().logCreate(numbers_.chance(90) ? &on_log : nullptr, level, &made), made);
        break;
      }
    }
  }
  void free_object() {
    switch (numbers_.below(12)) {
      case 0:
        if (numbers_.chance(20)) {
          qnn().backendFree(pick(backends));
        }
        break;
      case 1:
      case 2: qnn().deviceFree(pick(devices)); break;
      case 3:
      case 4:
      case 5: qnn().profileFree(pick(profiles)); break;
      case 6:
      case 7:
      case 8: qnn().signalFree(pick(signals)); break;
      default: qnn().logFree(pick(logs)); break;
    }
  }
  void memory() {
    if (numbers_.chance(50)) {
      const std::array<Qnn_MemHandle_t, 2> taken{{pick(memories), pick(memories)}};
      qnn().memDeRegister(taken.data(), numbers_.below(3));
      return;
    }
    std::array<std::uint32_t, 2> sizes{{numbers_.below(5000), numbers_.chance(90) ? 1U : 1U << 31}};
    std::array<Qnn_MemDescriptor_t, 2> wanted{{QNN_MEM_DESCRIPTOR_INIT, QNN_MEM_DESCRIPTOR_INIT}};
    for (Qnn_MemDescriptor_t& one : wanted) {
      one.memShape = {2, sizes.data(), nullptr};
      one.dataType = QNN_DATATYPE_UFIXED_POINT_8;
      one.memType = numbers_.chance(80) ? QNN_MEM_TYPE_ION : numbers_.any_of<Qnn_MemType_t>();
      if (one.memType == QNN_MEM_TYPE_CUSTOM) {
        one.customInfo = custom();
      } else {
        one.ionInfo.fd = numbers_.chance(95) ? numbers_.one_of(shared_round()->files) : -1;
      }
    }
    std::array<Qnn_MemHandle_t, 2> made{};
    const std::uint32_t count = numbers_.below(3);
    const auto code = qnn().memRegister(pick(contexts), wanted.data(), count, made.data());
    for (std::uint32_t index = 0; code == QNN_SUCCESS && index < count; ++index) {
      shared_round()->handles.add(memories, made[index]);
    }
  }

  // --- questions, and what is not there ---

  void ask() {
    htp_rt_context_stats_t stats = {};
    htp_rt_tensor_info_t info = {};
    std::uint32_t count = 0;
    switch (numbers_.below(9)) {
      case 0: htp_rt_context_stats(pick(contexts), &stats); break;
      case 1: htp_rt_graph_tensor_count(pick(graphs), &count); break;
      case 2: htp_rt_graph_tensor(pick(graphs), numbers_.number(), &info); break;
      case 3: {
        const QnnProfile_EventId_t* events = nullptr;
        qnn().profileGetEvents(pick(profiles), &events, &count);
        QnnProfile_EventData_t data = QNN_PROFILE_EVENT_DATA_INIT;
        qnn().profileGetEventData(numbers_.next() >> numbers_.below(64), &data);
        break;
      }
      case 4: {
        const char* text = nullptr;
        qnn().errorGetMessage(numbers_.number(), &text);
        if (qnn().errorGetVerboseMessage(numbers_.number(), &text) == QNN_SUCCESS) {
          qnn().errorFreeVerboseMessage(text);
        }
        break;
      }
      case 5: qnn().propertyHasCapability(numbers_.number()); break;
      case 6: {
        std::array<htp_rt_vdev_journal_entry_t, 8> entries{};
        htp_rt_vdev_journal(entries.data(), numbers_.below(9), &count, nullptr);
        CHECK(count <= 8);
        break;
      }
      case 7: {
        Qnn_GraphHandle_t graph = nullptr;
        keep(graphs, qnn().graphRetrieve(pick(contexts), "net", &graph), graph);
        break;
      }
      default:
        if (numbers_.chance(2)) {
          htp_rt_trace_write_json(&on_text, nullptr);
        }
        break;
    }
  }
  void not_offered() {
    const Table& api = qnn();
    const Qnn_ContextHandle_t context = pick(contexts);
    const Qnn_GraphHandle_t graph = pick(graphs);
    Qnn_GraphHandle_t made = nullptr;
    Qnn_ContextBinarySize_t size = 0;
    api.graphCreateSubgraph(graph, "s", &made);
    api.graphPrepareExecutionEnvironment(graph, nullptr, numbers_.number());
    api.graphReleaseExecutionEnvironment(graph, nullptr, numbers_.number());
    api.graphGetProperty(graph, nullptr);
    api.contextFinalize(context, seldom(profiles));
    api.contextGetProperty(context, nullptr);
    api.contextGetBinarySectionSize(context, graph, QNN_CONTEXT_SECTION_UPDATABLE, &size);
    api.contextReleaseIncrementalBinary(context, nullptr, numbers_.number());
    api.tensorUpdateGraphTensors(graph, nullptr, numbers_.number());
    api.tensorCreateContextTensor(context, nullptr);
    api.backendGetProperty(pick(backends), nullptr);
    api.backendSetConfig(pick(backends), nullptr);
    api.profileSetConfig(pick(profiles), nullptr);
    api.deviceSetConfig(pick(devices), device_list());
    api.globalConfigSet(nullptr);
  }
  void trouble() {
    switch (numbers_.below(40)) {
      case 0:
      case 1:
        htp_rt_vdev_crash(numbers_.chance(50) ? HTP_RT_VDEV_CRASH_NOW : numbers_.below(8)); break;
      case 2: {
        htp_rt_vdev_hold();
        for (int offered = 0; offered < 12; ++offered) {
          try_execute();
        }
        htp_rt_vdev_resume();
        break;
      }
      case 3: {
        htp_rt_subscription_t subscription = {};
        htp_rt_ssr_subscribe(&on_restart, nullptr, &subscription);
        htp_rt_ssr_unsubscribe({subscription.id + numbers_.below(2)});
        break;
      }
      default:
        if (shared_round()->polled) {
          htp_rt_poll(clock_us += 50 * numbers_.below(100), nullptr);
        }
        break;
    }
  }

 public:
  static std::uint64_t clock_us;

 private:
  static constexpr std::array<const char*, 10> types{
      {QNN_OP_CONV_2D, QNN_OP_RELU, QNN_OP_RESHAPE, QNN_OP_CONCAT, QNN_OP_MAT_MUL,
       QNN_OP_FULLY_CONNECTED, QNN_OP_POOL_MAX_2D, QNN_OP_TRANSPOSE, QNN_OP_SOFTMAX, "None"}};

};

std::uint64_t Caller::clock_us = 1;

/** Waits, or polls, until every accepted request was heard. */
bool all_heard(Round& round) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (round.requests.heard() < round.requests.accepted()) {
    if (round.polled) {
      htp_rt_poll(Caller::clock_us += 10000, nullptr);
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

/** Frees everything there ever was. Nothing of it may be left. */
void clean_up(Round& round) {
  for (int time = 0; time < 2; ++time) {
    for (void* const context : round.handles.all(contexts)) {
      qnn().contextFree(context, nullptr);
    }
    CHECK(all_heard(round));    // a callback may have made more
  }
  for (void* const memory : round.handles.all(memories)) {
    qnn().memDeRegister(&memory, 1);
  }
  for (void* const profile : round.handles.all(profiles)) {
    qnn().profileFree(profile);
  }
  for (void* const signal : round.handles.all(signals)) {
    qnn().signalFree(signal);
  }
  for (void* const backend : round.handles.all(backends)) {
    qnn().backendFree(backend);
  }
  for (void* const device : round.handles.all(devices)) {
    qnn().deviceFree(device);
  }
  for (void* const log : round.handles.all(logs)) {
    qnn().logFree(log);
  }
}

/** Gives the number of accepted executions. */
std::size_t play(std::uint64_t seed, unsigned int callers, const htp_rt_stats_t& before,
                 bool polled) {
  auto round = std::make_unique<Round>();
  shared_round() = round.get();
  round->polled = polled;
  for (int& file : round->files) {
    file = memfd_create("buffer", 0);
    CHECK(file >= 0 && ftruncate(file, 4096) == 0);
  }
  Qnn_BackendHandle_t backend = nullptr;
  CHECK_EQ(qnn().backendCreate(nullptr, nullptr, &backend), QNN_SUCCESS);
  round->handles.add(backends, backend);
  std::vector<std::thread> running;
  for (unsigned int index = 1; index < callers; ++index) {
    running.emplace_back([seed, index] {
      Caller caller(seed + index);
      for (std::uint32_t call = 0; call < calls_per_thread; ++call) {
        caller.call();
      }
    });
  }
  Caller caller(seed);
  for (std::uint32_t call = 0; call < calls_per_thread; ++call) {
    caller.call();
    if (call == calls_per_thread / 2) {
      // Once a round: the device hangs, and does not come back at once.
      htp_rt_vdev_reconnect_fails(2);
      htp_rt_vdev_hang();
    }
  }
  for (std::thread& thread : running) {
    thread.join();
  }
  clean_up(*round);
  CHECK_EQ(round->requests.wrong(), 0);
  const htp_rt_stats_t after = stats();
  CHECK_EQ(after.contexts, 0);
  CHECK_EQ(after.faults, 0);
  CHECK_EQ(after.blocks_leaked, 0);
  CHECK_EQ(after.memory_used_bytes, before.memory_used_bytes);
  std::printf("  seed %llu: %llu calls, %zu accepted, %u restarts, %llu hangs, %llu late\n",
              static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(round->calls.load()), round->requests.accepted(),
              after.restarts, static_cast<unsigned long long>(after.hangs),
              static_cast<unsigned long long>(after.late_events));
  for (const int file : round->files) {
    CHECK_EQ(close(file), 0);
  }
  return round->requests.accepted();
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

void play_for_long(unsigned int callers, const htp_rt_stats_t& before, bool polled, int rounds) {
  const std::uint64_t minutes = variable("HTP_FUZZ_MINUTES", 0);
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(minutes);
  std::uint64_t seed = variable("HTP_FUZZ_SEED", 1);
  alarm(minutes == 0 ? check::seconds_max : static_cast<unsigned int>(minutes * 60 + 120));
  for (int round = 0; round < rounds || std::chrono::steady_clock::now() < end; ++round) {
    CHECK(play(seed, callers, before, polled) > 0);
    seed += 1000;
    if (check::failures() != 0) {
      return;
    }
  }
}

}  // namespace

// REQ: ASYNC-001
TEST(random_calls_on_four_threads_lose_nothing) { play_for_long(threads, init(0), false, 3); }

TEST(random_calls_without_threads_lose_nothing) {
  play_for_long(1, init(HTP_RT_INIT_NO_THREADS), true, 2);
}

// The DSP does not come back: everything can still be freed.
TEST(random_calls_on_a_lost_device_lose_nothing) {
  const htp_rt_stats_t before = init(0);
  CHECK_EQ(htp_rt_vdev_reconnect_fails(UINT32_MAX), QNN_SUCCESS);
  play(variable("HTP_FUZZ_SEED", 1), threads, before, false);
  CHECK_EQ(stats().ssr_state, HTP_RT_SSR_LOST);
}
