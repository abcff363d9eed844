// SPDX-License-Identifier: Apache-2.0 OR MIT
// flags: -pthread
// also: shared
// Contexts made from a list of binaries: who is told what, and what is refused.

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "support/check.hpp"
#include "support/composed.hpp"
#include "support/digits.hpp"

namespace {

using Picture = std::array<uint8_t, ConvRelu::bytes>;
const Picture kPicture{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

/** What a notification said. */
struct Told {
  Qnn_ContextHandle_t context;
  Qnn_GraphHandle_t graph;
  std::string name;
  QnnContext_createFromBinaryAsyncNotifyType_t type;
  Qnn_ErrorHandle_t status;
  std::thread::id thread;

  bool is_graph() const { return type == QNN_CONTEXT_NOTIFY_TYPE_GRAPH_INIT; }
};

/** Hears the notifications of the contexts of a list. */
struct Listener {
  static void notify(Qnn_ContextHandle_t context, Qnn_GraphHandle_t graph, const char* name,
                     QnnContext_createFromBinaryAsyncNotifyType_t type, void* param,
                     Qnn_ErrorHandle_t status) {
    auto* self = static_cast<Listener*>(param);
    self->told.push_back({context, graph, name == nullptr ? "" : name, type, status,
                          std::this_thread::get_id()});
    if (self->then) {
      self->then(Told(self->told.back()));
    }
  }

  std::vector<Told> graphs() const { return of_kind(true); }
  std::vector<Told> contexts() const { return of_kind(false); }

  std::vector<Told> told;
  std::function<void(const Told&)> then;

 private:
  std::vector<Told> of_kind(bool graph) const {
    std::vector<Told> found;
    for (const Told& one : told) {
      if (one.is_graph() == graph) {
        found.push_back(one);
      }
    }
    return found;
  }
};

using Bytes = std::vector<uint8_t>;

/** The binary of a context with these graphs. */
Bytes binary_of(const Session& session, std::initializer_list<const char*> names) {
  Qnn_ContextHandle_t context = session.context();
  for (const char* const name : names) {
    ConvRelu net(context, name);
    net.compose();
    net.finalize();
    CHECK_EQ(net.error, QNN_SUCCESS);
  }
  Qnn_ContextBinarySize_t size = 0, written = 0;
  CHECK_EQ(qnn().contextGetBinarySize(context, &size), QNN_SUCCESS);
  Bytes bytes(static_cast<std::size_t>(size));
  CHECK_EQ(qnn().contextGetBinary(context, bytes.data(), size, &written), QNN_SUCCESS);
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
  return bytes;
}

QnnContext_Params_t params_of(const Bytes& binary, Listener& listener,
                              const QnnContext_Config_t** config = nullptr) {
  return {QNN_CONTEXT_PARAMS_VERSION_1,
          {{config, binary.data(), binary.size(), nullptr, Listener::notify, &listener}}};
}

htp_rt_stats_t stats() {
  htp_rt_stats_t now = {};
  CHECK_EQ(htp_rt_stats(&now), QNN_SUCCESS);
  return now;
}

/** A platform that has the call, and two binaries. */
struct Subject {
  explicit Subject(uint32_t flags = 0) : Subject(HTP_RT_PLATFORM_ANDROID, flags) {}
  Subject(htp_rt_platform_t platform, uint32_t flags) : session(open(platform, flags)) {}

  Qnn_ErrorHandle_t create(std::initializer_list<QnnContext_Params_t> params,
                           const QnnContext_Config_t** config = nullptr,
                           Qnn_SignalHandle_t signal = nullptr) const {
    ConfigList<QnnContext_Params_t> list(params);
    return qnn().contextCreateFromBinaryListAsync(session.backend, session.device, list.get(),
                                                  config, signal);
  }
  Qnn_SignalHandle_t signal(QnnSignal_Config_t config) const {
    ConfigList<QnnSignal_Config_t> list{config};
    Qnn_SignalHandle_t made = nullptr;
    CHECK_EQ(qnn().signalCreate(session.backend, list.get(), &made), QNN_SUCCESS);
    return made;
  }

  Session session;
  Bytes one = binary_of(session, {"net"});
  Bytes two = binary_of(session, {"first", "a second graph"});
  htp_rt_stats_t before = stats();

 private:
  static Session open(htp_rt_platform_t platform, uint32_t flags) {
    CHECK_EQ(configure_device(platform), QNN_SUCCESS);
    htp_rt_config_t config = {};
    config.struct_size = sizeof config;
    config.flags = flags;
    CHECK_EQ(htp_rt_init(&config), QNN_SUCCESS);
    return Session();
  }
};

/** Executes a graph that a notification named, and compares the outputs. */
Qnn_ErrorHandle_t execute(Qnn_GraphHandle_t graph) {
  Qnn_ContextHandle_t scratch = nullptr;
  ConvRelu net(scratch);    // for its tensors alone
  net.graph = graph;
  for (uint32_t index = 0; index < 2; ++index) {
    htp_rt_tensor_info_t info = {};
    if (const Qnn_ErrorHandle_t code = htp_rt_graph_tensor(graph, index, &info)) {
      return code;
    }
    (index == 0 ? net.x : net.y).v1.id = info.id;
  }
  Picture picture = kPicture, result{};
  const Qnn_ErrorHandle_t code = net.execute(picture, result);
  CHECK(code != QNN_SUCCESS || result == ConvRelu::expected(kPicture));
  return code;
}

void free_all(const Listener& listener) {
  for (const Told& context : listener.contexts()) {
    CHECK_EQ(qnn().contextFree(context.context, nullptr), QNN_SUCCESS);
  }
}

}  // namespace

// REQ: LIST-003, LIST-004, LIST-007
TEST(each_graph_and_each_context_is_told_once_with_its_handle) {
  const Subject subject;
  Listener first, second;
  second.then = [](const Told& told) {
    if (told.is_graph()) {
      CHECK_EQ(execute(told.graph), QNN_SUCCESS);
    }
  };
  // Both versions of the struct.
  QnnContext_ParamsV2_t v2{nullptr,          subject.two.data(), subject.two.size(), nullptr,
                           Listener::notify, &second,            nullptr};
  QnnContext_Params_t other{QNN_CONTEXT_PARAMS_VERSION_2, {{}}};
  other.v2 = &v2;
  CHECK_EQ(subject.create({params_of(subject.one, first), other}), QNN_SUCCESS);
  REQUIRE(first.told.size() == 2 && first.graphs().size() == 1);
  CHECK(first.graphs()[0].name == "net");
  CHECK_EQ(execute(first.graphs()[0].graph), QNN_SUCCESS);
  REQUIRE(second.told.size() == 3 && second.graphs().size() == 2);
  CHECK((second.graphs()[0].name == "first") != (second.graphs()[1].name == "first"));
  CHECK(second.graphs()[0].graph != second.graphs()[1].graph);
  for (const Listener* listener : {&first, &second}) {
    const Qnn_ContextHandle_t context = listener->contexts()[0].context;
    for (const Told& told : listener->told) {
      CHECK_EQ(told.status, QNN_SUCCESS);
      CHECK(told.context == context);
      CHECK(told.thread == std::this_thread::get_id());
      Qnn_GraphHandle_t graph = nullptr;
      CHECK(told.is_graph() ||
            (told.graph == nullptr && told.name.empty() && &told == &listener->told.back()));
      CHECK(!told.is_graph() ||
            (qnn().graphRetrieve(context, told.name.c_str(), &graph) == QNN_SUCCESS &&
             graph == told.graph));
    }
    free_all(*listener);
  }
  CHECK_EQ(stats().memory_used_bytes, subject.before.memory_used_bytes);
}

// REQ: SSR-021
TEST(a_client_recovers_with_its_list_of_binaries) {
  const Subject subject;
  Listener lost, fresh;
  REQUIRE(subject.create({params_of(subject.one, lost), params_of(subject.two, lost)}) ==
          QNN_SUCCESS);
  REQUIRE(lost.told.size() == 5);
  for (const Told& told : lost.graphs()) {
    CHECK_EQ(execute(told.graph), QNN_SUCCESS);
  }
  CHECK_EQ(htp_rt_vdev_crash(1), QNN_SUCCESS);
  for (const Told& told : lost.graphs()) {
    CHECK_EQ(execute(told.graph), QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
  }
  free_all(lost);
  REQUIRE(subject.create({params_of(subject.one, fresh), params_of(subject.two, fresh)}) ==
          QNN_SUCCESS);
  REQUIRE(fresh.told.size() == 5);
  for (const Told& told : fresh.told) {
    CHECK_EQ(told.status, QNN_SUCCESS);
    for (const Told& stale : lost.told) {
      CHECK(told.context != stale.context && (!told.is_graph() || told.graph != stale.graph));
    }
  }
  for (const Told& told : fresh.graphs()) {
    CHECK_EQ(execute(told.graph), QNN_SUCCESS);
  }
  free_all(fresh);
  CHECK_EQ(stats().restarts, subject.before.restarts + 1);
  CHECK_EQ(stats().memory_used_bytes, subject.before.memory_used_bytes);
}

// REQ: LIST-008
TEST(a_context_that_fails_leaves_the_others_alone) {
  const Subject subject;
  Bytes broken = subject.two;
  broken[broken.size() / 2] ^= 1;
  Qnn_ContextHandle_t made = nullptr;
  const Qnn_ErrorHandle_t code =
      qnn().contextCreateFromBinary(subject.session.backend, subject.session.device, nullptr,
                                    broken.data(), broken.size(), &made, nullptr);
  REQUIRE(code != QNN_SUCCESS && made == nullptr);
  Listener good, bad;
  std::string why;
  bad.then = [&why](const Told& told) {
    const char* text = nullptr;
    CHECK_EQ(qnn().errorGetMessage(told.status, &text), QNN_SUCCESS);
    why = text;
  };
  CHECK_EQ(subject.create({params_of(subject.one, good), params_of(broken, bad),
                           params_of(subject.two, good)}),
           QNN_SUCCESS);
  REQUIRE(bad.told.size() == 1);
  CHECK_EQ(bad.told[0].type, QNN_CONTEXT_NOTIFY_TYPE_CONTEXT_INIT);
  CHECK_EQ(bad.told[0].status, code);
  CHECK(bad.told[0].context == nullptr && bad.told[0].graph == nullptr);
  CHECK(why.find("contextParams[1]->binaryBuffer is damaged") != std::string::npos);
  REQUIRE(good.told.size() == 5);
  for (const Told& told : good.graphs()) {
    CHECK_EQ(execute(told.graph), QNN_SUCCESS);
  }
  free_all(good);
  CHECK_EQ(stats().memory_used_bytes, subject.before.memory_used_bytes);
}

TEST(a_notification_may_free_its_context_and_make_others) {
  const Subject subject;
  Listener inner, early, late;
  early.then = [&](const Told& told) {
    // In the first it hears of: of a graph, with another one to come.
    CHECK_EQ(qnn().contextFree(told.context, nullptr),
             early.told.size() == 1 ? QNN_SUCCESS : QNN_CONTEXT_ERROR_INVALID_HANDLE);
  };
  late.then = [&](const Told& told) {
    if (!told.is_graph()) {
      CHECK_EQ(qnn().contextFree(told.context, nullptr), QNN_SUCCESS);
      CHECK_EQ(subject.create({params_of(subject.one, inner)}), QNN_SUCCESS);
    }
  };
  CHECK_EQ(subject.create({params_of(subject.two, early), params_of(subject.two, late)}),
           QNN_SUCCESS);
  CHECK_EQ(early.graphs().size(), 2);
  CHECK_EQ(early.contexts().size(), 1);
  CHECK(early.graphs()[1].name != early.graphs()[0].name && !early.graphs()[1].name.empty());
  CHECK_EQ(late.told.size(), 3);
  REQUIRE(inner.told.size() == 2);
  CHECK_EQ(execute(inner.graphs()[0].graph), QNN_SUCCESS);
  free_all(inner);
  CHECK_EQ(stats().contexts, 0);
  CHECK_EQ(stats().memory_used_bytes, subject.before.memory_used_bytes);
}

// REQ: LIST-012, LIST-013, CTX-014, CTX-027
TEST(wrong_arguments_are_refused_and_nobody_is_told) {
  const Subject subject;
  Listener listener;
  const auto refused = [&](Qnn_ErrorHandle_t code, const char* words, Qnn_ErrorHandle_t given) {
    CHECK_EQ(given, code);
    const char* text = nullptr;
    CHECK_EQ(qnn().errorGetMessage(given, &text), QNN_SUCCESS);
    CHECK(std::string(text).find(words) != std::string::npos);
  };
  const Qnn_ErrorHandle_t bad = QNN_CONTEXT_ERROR_INVALID_ARGUMENT;
  const auto raw = [&](Qnn_BackendHandle_t backend, const QnnContext_Params_t** list) {
    return qnn().contextCreateFromBinaryListAsync(backend, subject.session.device, list, nullptr,
                                                  nullptr);
  };
  refused(bad, "contextParams is null or", raw(subject.session.backend, nullptr));
  refused(bad, "contextParams is null or", subject.create({}));
  refused(QNN_CONTEXT_ERROR_INVALID_HANDLE, "backend is null", raw(nullptr, nullptr));
  // What is wrong with a later entry is seen before the first context is made.
  const QnnContext_Params_t right = params_of(subject.one, listener);
  const auto wrong = [&](QnnContext_Params_t params) { return subject.create({right, params}); };
  QnnContext_Params_t v1{QNN_CONTEXT_PARAMS_VERSION_1,
                         {{nullptr, subject.one.data(), subject.one.size(), nullptr, nullptr,
                           nullptr}}};
  refused(bad, "contextParams[1]->notifyFunc is null", wrong(v1));
  v1.v1.notifyFunc = Listener::notify;
  v1.v1.notifyParam = &listener;
  v1.version = static_cast<QnnContext_ParamsVersion_t>(3);
  refused(bad, "contextParams[1]->version is 3", wrong(v1));
  v1.version = QNN_CONTEXT_PARAMS_VERSION_1;
  v1.v1.profile = subject.session.backend;
  refused(bad, "contextParams[1]->profile is the handle of a backend", wrong(v1));
  v1.v1.profile = nullptr;
  v1.v1.binaryBuffer = nullptr;
  refused(bad, "contextParams[1]->binaryBuffer is null", wrong(v1));
  QnnContext_Params_t other{QNN_CONTEXT_PARAMS_VERSION_2, {{}}};
  other.v2 = nullptr;
  refused(bad, "contextParams[1]->v2 is null", wrong(other));
  const Qnn_ContextBinaryCallback_t callback{};
  QnnContext_ParamsV2_t v2{nullptr,          subject.one.data(), subject.one.size(), nullptr,
                           Listener::notify, &listener,          &callback};
  other.v2 = &v2;
  refused(QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE, "contextParams[1]->callback is", wrong(other));

  const auto configured = [&](QnnHtpContext_ConfigOption_t option, Qnn_ErrorHandle_t code) {
    QnnHtpContext_CustomConfig_t custom{};
    custom.option = option;
    custom.shareResources = true;
    QnnContext_Config_t config = QNN_CONTEXT_CONFIG_INIT;
    config.option = QNN_CONTEXT_CONFIG_OPTION_CUSTOM;
    config.customConfig = &custom;
    ConfigList<QnnContext_Config_t> list{depth_config(2), config};
    refused(code, ": listConfig[1]->", subject.create({right}, list.get()));
    refused(code, "contextParams[1]->config[1]->",
            wrong(params_of(subject.one, listener, list.get())));
  };
  configured(QNN_HTP_CONTEXT_CONFIG_OPTION_REGISTER_MULTI_CONTEXTS,
             QNN_CONTEXT_ERROR_INVALID_CONFIG);
  configured(QNN_HTP_CONTEXT_CONFIG_OPTION_REGISTER_CONCURRENT_RESOURCE_SHARING,
             QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE);
  configured(QNN_HTP_CONTEXT_CONFIG_OPTION_SHARE_RESOURCES, QNN_CONTEXT_ERROR_INVALID_CONFIG);
  refused(QNN_SIGNAL_ERROR_INVALID_HANDLE, "signal is the handle of a backend",
          subject.create({right}, nullptr, subject.session.backend));
  CHECK(listener.told.empty());
  CHECK_EQ(stats().contexts, 0);
  CHECK_EQ(stats().memory_used_bytes, subject.before.memory_used_bytes);
}

TEST(the_configuration_of_the_list_is_every_contexts_and_its_own_counts_after_it) {
  const Subject subject;
  const auto enable = [](const char** names) {
    QnnContext_Config_t config = QNN_CONTEXT_CONFIG_INIT;
    config.option = QNN_CONTEXT_CONFIG_ENABLE_GRAPHS;
    config.enableGraphs = names;
    return config;
  };
  const char* first[] = {"first", nullptr};
  const char* second[] = {"a second graph", nullptr};
  ConfigList<QnnContext_Config_t> of_list{enable(first)}, own{enable(second)};
  Listener listener, without;
  CHECK_EQ(subject.create({params_of(subject.two, listener),
                           params_of(subject.two, listener, own.get()),
                           params_of(subject.one, without)},
                          of_list.get()),
           QNN_SUCCESS);
  REQUIRE(listener.graphs().size() == 2);
  CHECK(listener.graphs()[0].name == "first");
  CHECK(listener.graphs()[1].name == "a second graph");
  // It has no graph of that name.
  REQUIRE(without.told.size() == 1);
  CHECK_EQ(without.told[0].status, QNN_CONTEXT_ERROR_INVALID_CONFIG);
  free_all(listener);
}

TEST(a_signal_ends_what_is_left_of_the_list) {
  const Subject subject;
  QnnSignal_Config_t config{};
  config.option = QNN_SIGNAL_CONFIG_OPTION_ABORT;
  const Qnn_SignalHandle_t abort = subject.signal(config);
  Listener first, second;
  first.then = [abort](const Told& told) {
    if (!told.is_graph()) {
      CHECK_EQ(qnn().signalFree(abort), QNN_SIGNAL_ERROR_SIGNAL_IN_USE);
      CHECK_EQ(qnn().signalTrigger(abort), QNN_SUCCESS);
    }
  };
  CHECK_EQ(subject.create({params_of(subject.one, first), params_of(subject.two, second)}, nullptr,
                          abort),
           QNN_SUCCESS);
  REQUIRE(first.told.size() == 2 && second.told.size() == 1);
  CHECK_EQ(first.told[1].status, QNN_SUCCESS);
  CHECK_EQ(second.told[0].status, QNN_CONTEXT_ERROR_ABORTED);
  CHECK(second.told[0].context == nullptr);
  free_all(first);
  CHECK_EQ(qnn().signalTrigger(abort), QNN_SIGNAL_ERROR_SIGNAL_IDLE);
  CHECK_EQ(qnn().signalFree(abort), QNN_SUCCESS);

  config.option = QNN_SIGNAL_CONFIG_OPTION_TIMEOUT;
  config.timeoutDurationUs = 1;    // to check a binary takes longer
  const Qnn_SignalHandle_t timeout = subject.signal(config);
  Listener late;
  CHECK_EQ(subject.create({params_of(subject.one, late), params_of(subject.two, late)}, nullptr,
                          timeout),
           QNN_SUCCESS);
  REQUIRE(late.told.size() == 2);
  CHECK_EQ(late.told[0].status, QNN_CONTEXT_ERROR_TIMED_OUT);
  CHECK_EQ(late.told[1].status, QNN_CONTEXT_ERROR_TIMED_OUT);
  CHECK_EQ(qnn().signalFree(timeout), QNN_SUCCESS);
  CHECK_EQ(stats().contexts, 0);
  CHECK_EQ(stats().memory_used_bytes, subject.before.memory_used_bytes);
}

// Time stands still, so it is certain which creation the crash meets.
TEST(a_crash_ends_the_creation_that_it_meets) {
  const Subject subject(HTP_RT_INIT_NO_THREADS);
  Listener first, second, third;
  first.then = [](const Told& told) {
    if (!told.is_graph()) {
      CHECK_EQ(htp_rt_vdev_crash(HTP_RT_VDEV_CRASH_NOW), QNN_SUCCESS);
    }
  };
  CHECK_EQ(subject.create({params_of(subject.one, first), params_of(subject.two, second),
                           params_of(subject.one, third)}),
           QNN_SUCCESS);
  REQUIRE(first.told.size() == 2 && second.told.size() == 1 && third.told.size() == 2);
  CHECK_EQ(first.told[1].status, QNN_SUCCESS);
  CHECK_EQ(second.told[0].status, QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
  CHECK_EQ(execute(first.graphs()[0].graph), QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
  CHECK_EQ(execute(third.graphs()[0].graph), QNN_SUCCESS);
  free_all(first);
  free_all(third);
  CHECK_EQ(stats().contexts, 0);
  CHECK_EQ(stats().memory_used_bytes, subject.before.memory_used_bytes);
}

// REQ: LIST-009
TEST(threads_make_lists_while_the_device_crashes) {
  const Subject subject;
  std::vector<std::thread> threads;
  for (int index = 0; index < 4; ++index) {
    threads.emplace_back([&subject, index] {
      for (int turn = 0; turn < 20; ++turn) {
        Listener listener;
        listener.then = [&](const Told& told) {
          if (index == 0 && turn % 4 == 0 && told.is_graph()) {
            CHECK_EQ(htp_rt_vdev_crash(HTP_RT_VDEV_CRASH_NOW), QNN_SUCCESS);
          }
        };
        CHECK_EQ(subject.create({params_of(subject.one, listener),
                                 params_of(subject.two, listener)}),
                 QNN_SUCCESS);
        CHECK_EQ(listener.contexts().size(), 2);
        for (const Told& told : listener.told) {
          CHECK(told.thread == std::this_thread::get_id());
          CHECK((told.status == QNN_SUCCESS) == (told.context != nullptr));
          CHECK(told.status == QNN_SUCCESS ||
                told.status == QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
          if (told.is_graph()) {
            const Qnn_ErrorHandle_t code = execute(told.graph);
            CHECK(code == QNN_SUCCESS || code == QNN_COMMON_ERROR_SYSTEM_COMMUNICATION);
          } else if (told.context != nullptr) {
            CHECK_EQ(qnn().contextFree(told.context, nullptr), QNN_SUCCESS);
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK_EQ(stats().contexts, 0);
  CHECK_EQ(stats().memory_used_bytes, subject.before.memory_used_bytes);
}

namespace {

void offered_on(htp_rt_platform_t platform, bool offered) {
  const Subject subject(platform, 0);
  Listener listener;
  CHECK_EQ(subject.create({params_of(subject.one, listener)}),
           offered ? QNN_SUCCESS : QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE);
  CHECK_EQ(listener.told.size(), offered ? 2 : 0);
  CHECK_EQ(qnn().propertyHasCapability(QNN_PROPERTY_CONTEXT_SUPPORT_CREATE_FROM_BINARY_LIST_ASYNC),
           offered ? QNN_PROPERTY_SUPPORTED : QNN_PROPERTY_NOT_SUPPORTED);
}

}  // namespace

// REQ: LIST-002
TEST(android) { offered_on(HTP_RT_PLATFORM_ANDROID, true); }
// REQ: LIST-002
TEST(windows) { offered_on(HTP_RT_PLATFORM_WINDOWS, true); }
// REQ: LIST-002
TEST(qnx_adas) { offered_on(HTP_RT_PLATFORM_QNX_ADAS, false); }
// REQ: LIST-002
TEST(qnx_ivi) { offered_on(HTP_RT_PLATFORM_QNX_IVI, false); }
// REQ: LIST-002
TEST(linux_on_arm) { offered_on(HTP_RT_PLATFORM_LINUX_ARM, false); }
