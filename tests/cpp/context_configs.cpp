// SPDX-License-Identifier: Apache-2.0 OR MIT
// Configuration lists of contexts: the last entry of an option counts; which graphs of a binary are
// enabled; contexts that only prepare.

#include <vector>

#include "support/check.hpp"
#include "support/composed.hpp"

namespace {

using Picture = std::array<uint8_t, ConvRelu::bytes>;
using Configs = ConfigList<QnnContext_Config_t>;
constexpr Picture kPicture{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

QnnContext_Config_t custom(QnnHtpContext_CustomConfig_t* option) {
  QnnContext_Config_t config = QNN_CONTEXT_CONFIG_INIT;
  config.option = QNN_CONTEXT_CONFIG_OPTION_CUSTOM;
  config.customConfig = option;
  return config;
}

QnnHtpContext_CustomConfig_t prepare_only(bool on) {
  QnnHtpContext_CustomConfig_t option = QNN_HTP_CONTEXT_CUSTOM_CONFIG_INIT;
  option.option = QNN_HTP_CONTEXT_CONFIG_OPTION_PREPARE_ONLY;
  option.isPrepareOnly = on;
  return option;
}

QnnContext_Config_t enable(const char* const* names) {
  QnnContext_Config_t config = QNN_CONTEXT_CONFIG_INIT;
  config.option = QNN_CONTEXT_CONFIG_ENABLE_GRAPHS;
  config.enableGraphs = names;
  return config;
}

Qnn_ErrorHandle_t create(const Session& session, const QnnContext_Config_t** configs) {
  Qnn_ContextHandle_t context = nullptr;
  const Qnn_ErrorHandle_t code =
      qnn().contextCreate(session.backend, session.device, configs, &context);
  return code == QNN_SUCCESS ? qnn().contextFree(context, nullptr) : code;
}

/** The binary of a context with two graphs. */
std::vector<uint8_t> binary_of(Qnn_ContextHandle_t context, ConvRelu& day, ConvRelu& night) {
  for (ConvRelu* net : {&day, &night}) {
    net->compose();
    net->finalize();
  }
  Qnn_ContextBinarySize_t size = 0;
  CHECK_EQ(qnn().contextGetBinarySize(context, &size), QNN_SUCCESS);
  std::vector<uint8_t> binary(size);
  CHECK_EQ(qnn().contextGetBinary(context, binary.data(), size, &size), QNN_SUCCESS);
  return binary;
}

}  // namespace

// REQ: CTX-056
TEST(the_last_entry_of_an_option_counts) {
  Session session;
  const QnnContext_Config_t right = priority_config(QNN_PRIORITY_LOW);
  const QnnContext_Config_t wrong = priority_config(static_cast<Qnn_Priority_t>(600));
  QnnContext_Config_t unknown = QNN_CONTEXT_CONFIG_INIT;
  unknown.option = static_cast<QnnContext_ConfigOption_t>(99);
  CHECK_EQ(create(session, Configs{wrong, right}.get()), QNN_SUCCESS);
  CHECK_EQ(create(session, Configs{right, wrong}.get()), QNN_CONTEXT_ERROR_INVALID_CONFIG);
  CHECK_EQ(create(session, Configs{depth_config(301), depth_config(2)}.get()), QNN_SUCCESS);
  // An option that the call does not take is refused wherever it stands.
  CHECK_EQ(create(session, Configs{unknown, right}.get()), QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE);
  CHECK_EQ(create(session, Configs{wrong, unknown}.get()), QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE);

  QnnHtpContext_CustomConfig_t sharing = QNN_HTP_CONTEXT_CUSTOM_CONFIG_INIT;
  sharing.option = QNN_HTP_CONTEXT_CONFIG_OPTION_WEIGHT_SHARING_ENABLED;
  sharing.weightSharingEnabled = true;
  QnnHtpContext_CustomConfig_t not_sharing = sharing;
  not_sharing.weightSharingEnabled = false;
  CHECK_EQ(create(session, Configs{custom(&sharing), custom(&not_sharing)}.get()), QNN_SUCCESS);
  CHECK_EQ(create(session, Configs{custom(&not_sharing), custom(&sharing)}.get()),
           QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE);
}

// REQ: CTX-004, CTX-014, CTX-021, CTX-027
TEST(htp_options_that_are_not_for_this_call_are_refused) {
  Session session;
  const auto with = [&](int option, uint64_t value) {
    QnnHtpContext_CustomConfig_t htp{};
    htp.option = static_cast<QnnHtpContext_ConfigOption_t>(option);
    htp.fileReadMemoryBudgetInMb = value;
    return create(session, Configs{custom(&htp)}.get());
  };
  CHECK_EQ(with(QNN_HTP_CONTEXT_CONFIG_OPTION_WEIGHT_SHARING_ENABLED, 1),
           QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE);
  CHECK_EQ(with(QNN_HTP_CONTEXT_CONFIG_OPTION_REGISTER_MULTI_CONTEXTS, 1),
           QNN_CONTEXT_ERROR_INVALID_CONFIG);
  CHECK_EQ(with(QNN_HTP_CONTEXT_CONFIG_OPTION_SHARE_RESOURCES, 1),
           QNN_CONTEXT_ERROR_INVALID_CONFIG);
  CHECK_EQ(with(QNN_HTP_CONTEXT_CONFIG_OPTION_SHARE_RESOURCES, 0), QNN_SUCCESS);
  CHECK_EQ(with(QNN_HTP_CONTEXT_CONFIG_OPTION_FILE_READ_MEMORY_BUDGET, 0), QNN_SUCCESS);
  CHECK_EQ(with(QNN_HTP_CONTEXT_CONFIG_OPTION_FILE_READ_MEMORY_BUDGET, 1), QNN_SUCCESS);
  CHECK_EQ(with(26, 1), QNN_CONTEXT_ERROR_INVALID_CONFIG);
  CHECK_EQ(with(0, 0), QNN_CONTEXT_ERROR_INVALID_CONFIG);
}

// REQ: SWITCH-011
TEST(a_graph_that_is_not_enabled_cannot_be_executed) {
  Session session;
  const Qnn_ContextHandle_t composed = session.context();
  ConvRelu day(composed, "day");
  ConvRelu night(composed, "night");
  const std::vector<uint8_t> binary = binary_of(composed, day, night);
  const auto load = [&](const QnnContext_Config_t** configs, Qnn_ContextHandle_t* context) {
    return qnn().contextCreateFromBinary(session.backend, session.device, configs, binary.data(),
                                         binary.size(), context, nullptr);
  };
  const char* const only_night[] = {"night", nullptr};
  const char* const dusk[] = {"night", "dusk", nullptr};
  const char* const nobody[] = {nullptr};
  Qnn_ContextHandle_t context = nullptr;
  CHECK_EQ(load(Configs{enable(dusk)}.get(), &context), QNN_CONTEXT_ERROR_INVALID_CONFIG);
  CHECK(context == nullptr);
  const auto validate = [&](const char* const* names) {
    return qnn().contextValidateBinary(session.backend, session.device,
                                       Configs{enable(names)}.get(), binary.data(), binary.size());
  };
  CHECK_EQ(validate(dusk), QNN_CONTEXT_ERROR_INVALID_CONFIG);
  CHECK_EQ(validate(only_night), QNN_SUCCESS);
  Picture picture = kPicture, result{};
  REQUIRE(load(Configs{enable(only_night)}.get(), &context) == QNN_SUCCESS);
  CHECK_EQ(qnn().graphRetrieve(context, "day", &day.graph), QNN_SUCCESS);
  CHECK_EQ(day.execute(picture, result), QNN_GRAPH_ERROR_DISABLED);
  CHECK_EQ(qnn().graphFinalize(day.graph, nullptr, nullptr), QNN_COMMON_ERROR_NOT_SUPPORTED);
  CHECK_EQ(qnn().graphRetrieve(context, "night", &night.graph), QNN_SUCCESS);
  CHECK_EQ(night.execute(picture, result), QNN_SUCCESS);
  CHECK(result == ConvRelu::expected(kPicture));
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);

  for (const QnnContext_Config_t& all : {enable(nobody), enable(nullptr)}) {
    REQUIRE(load(Configs{all}.get(), &context) == QNN_SUCCESS);
    CHECK_EQ(qnn().graphRetrieve(context, "day", &day.graph), QNN_SUCCESS);
    CHECK_EQ(day.execute(picture, result), QNN_SUCCESS);
    CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
  }
  CHECK_EQ(create(session, Configs{enable(only_night)}.get()),
           QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE);
}

// REQ: SWITCH-022
TEST(a_retention_order_without_a_memory_limit_has_no_effect) {
  Session session;
  const Qnn_ContextHandle_t composed = session.context();
  ConvRelu day(composed, "day");
  ConvRelu night(composed, "night");
  const std::vector<uint8_t> binary = binary_of(composed, day, night);
  QnnContext_Config_t order = QNN_CONTEXT_CONFIG_INIT;
  const char* const names[] = {"night", nullptr};
  order.option = QNN_CONTEXT_CONFIG_GRAPH_RETENTION_ORDER;
  order.graphRetentionOrder = names;
  CHECK_EQ(create(session, Configs{order}.get()), QNN_SUCCESS);
  Qnn_ContextHandle_t context = nullptr;
  CHECK_EQ(qnn().contextCreateFromBinary(session.backend, session.device, Configs{order}.get(),
                                         binary.data(), binary.size(), &context, nullptr),
           QNN_SUCCESS);
  Picture picture = kPicture, result{};
  CHECK_EQ(qnn().graphRetrieve(context, "day", &day.graph), QNN_SUCCESS);
  CHECK_EQ(day.execute(picture, result), QNN_SUCCESS);
}

// REQ: CTX-041, CTX-042
TEST(a_context_that_only_prepares_executes_nothing) {
  Session session;
  QnnHtpContext_CustomConfig_t on = prepare_only(true);
  QnnHtpContext_CustomConfig_t off = prepare_only(false);
  const Qnn_ContextHandle_t context = session.context(Configs{custom(&on)}.get());
  ConvRelu net(context);
  net.compose();
  net.finalize();
  CHECK_EQ(net.error, QNN_SUCCESS);
  Picture picture = kPicture, result{};
  CHECK_EQ(net.execute(picture, result), QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  Qnn_ContextBinarySize_t size = 0;
  CHECK_EQ(qnn().contextGetBinarySize(context, &size), QNN_SUCCESS);
  CHECK_EQ(qnn().contextSetConfig(context, Configs{custom(&off)}.get()), QNN_SUCCESS);
  CHECK_EQ(net.execute(picture, result), QNN_SUCCESS);
  CHECK_EQ(qnn().contextSetConfig(context, Configs{custom(&on)}.get()), QNN_SUCCESS);
  CHECK_EQ(net.execute(picture, result), QNN_GRAPH_ERROR_INVALID_ARGUMENT);
  // Other options leave it as it is.
  const QnnContext_Config_t low = priority_config(QNN_PRIORITY_LOW);
  CHECK_EQ(qnn().contextSetConfig(context, Configs{low}.get()), QNN_SUCCESS);
  CHECK_EQ(net.execute(picture, result), QNN_GRAPH_ERROR_INVALID_ARGUMENT);
}

TEST(named_priorities_are_accepted) {
  Session session;
  for (const Qnn_Priority_t priority :
       {QNN_PRIORITY_LOW, QNN_PRIORITY_NORMAL_LOW, QNN_PRIORITY_NORMAL, QNN_PRIORITY_NORMAL_HIGH,
        QNN_PRIORITY_HIGH, QNN_PRIORITY_HIGH_PLUS, QNN_PRIORITY_CRITICAL,
        QNN_PRIORITY_CRITICAL_PLUS}) {
    CHECK_EQ(create(session, Configs{priority_config(priority)}.get()), QNN_SUCCESS);
  }
}

TEST(calls_that_are_not_offered_say_first_what_is_wrong_with_them) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  Qnn_ContextBinarySize_t size = 0;
  const auto section = [&](Qnn_ContextHandle_t of, int kind, Qnn_ContextBinarySize_t* out) {
    return qnn().contextGetBinarySectionSize(of, nullptr,
                                             static_cast<QnnContext_SectionType_t>(kind), out);
  };
  CHECK_EQ(section(context, 1, &size), QNN_COMMON_ERROR_NOT_SUPPORTED);
  CHECK_EQ(section(context, 9, &size), QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(section(context, 1, nullptr), QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(section(nullptr, 1, &size), QNN_CONTEXT_ERROR_INVALID_HANDLE);
  CHECK_EQ(qnn().contextGetProperty(context, nullptr), QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().contextAddToDlc(context, nullptr), QNN_CONTEXT_ERROR_INVALID_HANDLE);
}
