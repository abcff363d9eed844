// SPDX-License-Identifier: Apache-2.0 OR MIT
// Lists of binaries, of which contexts are made together.

#pragma once

#include "executions.hpp"

/** One context of a list, and what is heard of it. */
struct Listed {
  explicit Listed(Values& given)
      : values(given), bytes(given.numbers.chance(70) ? digits().network : broken(given)) {}

  static void notify(Qnn_ContextHandle_t context, Qnn_GraphHandle_t graph, const char* name,
                     QnnContext_createFromBinaryAsyncNotifyType_t type, void* param,
                     Qnn_ErrorHandle_t status) {
    Listed& self = *static_cast<Listed*>(param);
    Values& values = self.values;
    CHECK_EQ(self.contexts_told, 0);
    CHECK((status == QNN_SUCCESS) == (context != nullptr));
    Codes::note(status);
    if (type == QNN_CONTEXT_NOTIFY_TYPE_GRAPH_INIT) {
      CHECK(context != nullptr && graph != nullptr && name != nullptr);
      learn(values, context, graph,
            std::strcmp(name, "digits") == 0 && self.bytes == digits().network);
    } else {
      CHECK_EQ(type, QNN_CONTEXT_NOTIFY_TYPE_CONTEXT_INIT);
      ++self.contexts_told;
      values.keep(contexts, status, context);
    }
    call_from_callback(values.numbers.next(), 10);
  }

  /** In one version of the struct or the other, now and then wrong. */
  QnnContext_Params_t params(const QnnContext_Config_t** config) {
    Numbers& numbers = values.numbers;
    const auto function = numbers.chance(98) ? notify : nullptr;
    const void* const data = numbers.chance(98) ? bytes.data() : nullptr;
    const Qnn_ProfileHandle_t profile = values.seldom(profiles);
    QnnContext_Params_t made{QNN_CONTEXT_PARAMS_VERSION_1,
                             {{config, data, bytes.size(), profile, function, this}}};
    if (numbers.chance(30)) {
      v2.reset(new QnnContext_ParamsV2_t{config, data, bytes.size(), profile, function, this,
                                         numbers.chance(95) ? nullptr : &callback});
      made.version = QNN_CONTEXT_PARAMS_VERSION_2;
      made.v2 = numbers.chance(98) ? v2.get() : nullptr;
    } else if (numbers.chance(2)) {
      made.version = static_cast<QnnContext_ParamsVersion_t>(3 + numbers.below(3));
    }
    return made;
  }

  Values& values;
  std::vector<std::uint8_t> bytes;
  std::unique_ptr<QnnContext_ParamsV2_t> v2;
  Qnn_ContextBinaryCallback_t callback{};
  unsigned contexts_told = 0;
};

/** Whether the call is offered is the platform's. */
inline void load_list(Values& values) {
  Numbers& numbers = values.numbers;
  Configs configs(values);
  auto for_all = configs.context();
  auto own = configs.context();
  std::deque<Listed> listed;
  std::deque<QnnContext_Params_t> params;
  std::vector<const QnnContext_Params_t*> list;
  for (std::uint32_t count = numbers.below(4); count > 0; --count) {
    listed.emplace_back(values);
    params.push_back(listed.back().params(numbers.chance(30) ? own.get() : nullptr));
    list.push_back(&params.back());
  }
  list.push_back(nullptr);
  const Qnn_ErrorHandle_t code =
      COUNTED("qnn, of some platforms", "contextCreateFromBinaryListAsync",
              qnn().contextCreateFromBinaryListAsync(
                  values.pick(backends), numbers.chance(50) ? values.pick(devices) : nullptr,
                  numbers.chance(98) ? list.data() : nullptr,
                  numbers.chance(30) ? for_all.get() : nullptr, values.seldom(signals)));
  for (const Listed& one : listed) {
    CHECK_EQ(one.contexts_told, code == QNN_SUCCESS ? 1 : 0);
  }
}
