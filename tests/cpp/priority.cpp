// SPDX-License-Identifier: Apache-2.0 OR MIT
// Which thread priority the device is given for each execution, as its journal says.

#include <array>
#include <cstdint>
#include <vector>

#include "support/check.hpp"
#include "support/composed.hpp"
#include "support/waiter.hpp"

namespace {

using Picture = std::array<uint8_t, ConvRelu::bytes>;

constexpr uint32_t execute_kind = 7;
constexpr uint64_t hmx_low = 0xC5;
constexpr uint64_t hmx_normal = 0xC0;
constexpr uint64_t hmx_normal_high = 0xBD;
constexpr uint64_t hmx_high = 0xBB;

QnnGraph_Config_t graph_priority(Qnn_Priority_t priority) {
  QnnGraph_Config_t config = QNN_GRAPH_CONFIG_INIT;
  config.option = QNN_GRAPH_CONFIG_OPTION_PRIORITY;
  config.priority = priority;
  return config;
}

Qnn_ErrorHandle_t set_priority(Qnn_GraphHandle_t graph, Qnn_Priority_t priority) {
  ConfigList<QnnGraph_Config_t> list{graph_priority(priority)};
  return qnn().graphSetConfig(graph, list.get());
}

/** A graph that was created with a priority, ready. */
void make_ready(ConvRelu& net) {
  net.compose();
  net.finalize();
  CHECK_EQ(net.error, QNN_SUCCESS);
}

/** HMX priorities of all executions so far, in the order in which the device was given them. */
std::vector<uint64_t> started() {
  std::vector<htp_rt_vdev_journal_entry_t> entries(1024);
  uint32_t count = 0;
  CHECK_EQ(htp_rt_vdev_journal(entries.data(), 1024, &count, nullptr), QNN_SUCCESS);
  std::vector<uint64_t> priorities;
  for (uint32_t index = 0; index < count; ++index) {
    if (entries[index].kind == execute_kind) {
      priorities.push_back(entries[index].arg >> 32);
    }
  }
  return priorities;
}

/** HMX priority of one execution made now. */
uint64_t runs_at(ConvRelu& net) {
  Picture picture{}, result{};
  CHECK_EQ(net.execute(picture, result), QNN_SUCCESS);
  return started().back();
}

}  // namespace

// REQ: PRIO-003, PRIO-004, PRIO-005, PRIO-006, PRIO-007, PRIO-008
TEST(a_graph_runs_at_the_priority_it_was_created_with) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  ConvRelu net(context);
  make_ready(net);
  CHECK_EQ(runs_at(net), hmx_normal);
  const struct {
    Qnn_Priority_t asked;
    uint64_t hmx;
    const char* name;
  } levels[] = {{QNN_PRIORITY_LOW, hmx_low, "low"},
                {QNN_PRIORITY_NORMAL, hmx_normal, "normal"},
                {QNN_PRIORITY_NORMAL_HIGH, hmx_normal_high, "normal high"},
                {QNN_PRIORITY_HIGH, hmx_high, "high"}};
  for (const auto& level : levels) {
    ConfigList<QnnGraph_Config_t> list{graph_priority(level.asked)};
    ConvRelu other(context, level.name, list.get());
    make_ready(other);
    CHECK_EQ(runs_at(other), level.hmx);
  }
}

// REQ: PRIO-009
TEST(a_priority_changes_between_executions) {
  Session session;
  ConvRelu net(session.context());
  make_ready(net);
  CHECK_EQ(set_priority(net.graph, QNN_PRIORITY_LOW), QNN_SUCCESS);
  CHECK_EQ(runs_at(net), hmx_low);
  CHECK_EQ(set_priority(net.graph, QNN_PRIORITY_NORMAL), QNN_SUCCESS);
  CHECK_EQ(runs_at(net), hmx_normal);
}

// REQ: PRIO-011
TEST(a_context_sets_the_priority_of_all_its_graphs) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  const Qnn_ContextHandle_t another = session.context();
  ConvRelu first(context, "first"), second(context, "second"), third(context, "third");
  ConvRelu bystander(another);
  for (ConvRelu* net : {&first, &second, &third, &bystander}) {
    make_ready(*net);
  }
  CHECK_EQ(set_priority(first.graph, QNN_PRIORITY_LOW), QNN_SUCCESS);
  CHECK_EQ(set_priority(second.graph, QNN_PRIORITY_NORMAL_HIGH), QNN_SUCCESS);
  ConfigList<QnnContext_Config_t> high{priority_config(QNN_PRIORITY_HIGH)};
  CHECK_EQ(qnn().contextSetConfig(context, high.get()), QNN_SUCCESS);
  for (ConvRelu* net : {&first, &second, &third}) {
    CHECK_EQ(runs_at(*net), hmx_high);
  }
  CHECK_EQ(runs_at(bystander), hmx_normal);
}

// REQ: ASYNC-026, ASYNC-039
TEST(the_more_important_start_first_and_equals_in_order) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  ConvRelu low(context, "low"), high(context, "high");
  make_ready(low);
  make_ready(high);
  CHECK_EQ(set_priority(low.graph, QNN_PRIORITY_LOW), QNN_SUCCESS);
  CHECK_EQ(set_priority(high.graph, QNN_PRIORITY_HIGH), QNN_SUCCESS);
  CHECK_EQ(htp_rt_vdev_hold(), QNN_SUCCESS);
  // The first low one is the device's at once; of those behind it, the high ones go first.
  Picture picture{}, result{};
  Waiter waiter;
  ConvRelu* const order[] = {&low, &low, &low, &high, &high};
  for (ConvRelu* net : order) {
    CHECK_EQ(net->execute_async(picture, result, Waiter::notify, &waiter), QNN_SUCCESS);
    if (net == order[0]) {
      while (started().empty()) {
        // The journal is read under the device's lock: the worker gets its turn in between.
      }
    }
  }
  CHECK_EQ(htp_rt_vdev_resume(), QNN_SUCCESS);
  CHECK_EQ(waiter.wait(5).size(), 5);
  const std::vector<uint64_t> expected = {hmx_low, hmx_high, hmx_high, hmx_low, hmx_low};
  CHECK(started() == expected);
}
