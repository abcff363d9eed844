// SPDX-License-Identifier: Apache-2.0 OR MIT
// What profile objects tell of each call, level by level.

#include <cstring>
#include <string>
#include <vector>

#include "HTP/QnnHtpProfile.h"
#include "support/check.hpp"
#include "support/composed.hpp"
#include "support/waiter.hpp"

namespace {

using Picture = std::array<uint8_t, ConvRelu::bytes>;
constexpr Picture kPicture{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

/** One event with its parts. */
struct Event {
  QnnProfile_EventType_t type;
  QnnProfile_EventUnit_t unit;
  uint64_t value;
  std::string name;
  std::vector<Event> parts;
};

std::vector<Event> read(const QnnProfile_EventId_t* ids, uint32_t count) {
  std::vector<Event> events;
  for (uint32_t i = 0; i < count; ++i) {
    QnnProfile_EventData_t data = QNN_PROFILE_EVENT_DATA_INIT;
    const QnnProfile_EventId_t* parts = nullptr;
    uint32_t part_count = 0;
    CHECK_EQ(qnn().profileGetEventData(ids[i], &data), QNN_SUCCESS);
    CHECK_EQ(qnn().profileGetSubEvents(ids[i], &parts, &part_count), QNN_SUCCESS);
    QnnProfile_ExtendedEventData_t extended = QNN_PROFILE_EXTENDED_EVENT_DATA_INIT;
    CHECK_EQ(qnn().profileGetExtendedEventData(ids[i], &extended), QNN_SUCCESS);
    CHECK(extended.v1.value.uint64Value == data.value && extended.v1.type == data.type);
    events.push_back({data.type, data.unit, data.value, data.identifier, read(parts, part_count)});
  }
  return events;
}

std::vector<Event> events_of(Qnn_ProfileHandle_t profile) {
  const QnnProfile_EventId_t* ids = nullptr;
  uint32_t count = 0;
  CHECK_EQ(qnn().profileGetEvents(profile, &ids, &count), QNN_SUCCESS);
  return read(ids, count);
}

std::vector<QnnProfile_EventType_t> types(const std::vector<Event>& events) {
  std::vector<QnnProfile_EventType_t> list;
  for (const Event& event : events) {
    list.push_back(event.type);
  }
  return list;
}

const Event& find(const std::vector<Event>& events, QnnProfile_EventType_t type) {
  static const Event none{};
  for (const Event& event : events) {
    if (event.type == type) {
      return event;
    }
  }
  CHECK(false);
  return none;
}

uint64_t sum(const std::vector<Event>& events) {
  uint64_t total = 0;
  for (const Event& event : events) {
    total += event.value;
  }
  return total;
}

struct Profiled {
  explicit Profiled(QnnProfile_Level_t level) : net(session.context()) {
    net.compose();
    CHECK_EQ(qnn().profileCreate(session.backend, level, &profile), QNN_SUCCESS);
  }
  Session session;
  ConvRelu net;
  Qnn_ProfileHandle_t profile = nullptr;
  Picture picture = kPicture;
  Picture result{};
};

using Types = std::vector<QnnProfile_EventType_t>;
constexpr QnnProfile_EventType_t hvx = QNN_HTP_PROFILE_EVENTTYPE_GRAPH_NUMBER_OF_HVX_THREADS;
constexpr QnnProfile_EventType_t yields = QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_YIELD_COUNT;
constexpr QnnProfile_EventType_t vtcm = QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_VTCM_ACQUIRE_TIME;
constexpr QnnProfile_EventType_t power =
    QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_RESOURCE_POWER_UP_TIME;
constexpr QnnProfile_EventType_t cycles = QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_ACCEL_TIME_CYCLE;
constexpr QnnProfile_EventType_t critical =
    QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_CRITICAL_ACCEL_TIME_CYCLE;
constexpr QnnProfile_EventType_t device =
    QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_ACCEL_TIME_MICROSEC;
constexpr QnnProfile_EventType_t total = QNN_PROFILE_EVENTTYPE_EXECUTE;

}  // namespace

// REQ: PROF-001, PROF-009
TEST(the_basic_level_sums_up_each_call) {
  Profiled with(QNN_PROFILE_LEVEL_BASIC);
  CHECK(events_of(with.profile).empty());
  CHECK_EQ(qnn().graphFinalize(with.net.graph, with.profile, nullptr), QNN_SUCCESS);
  std::vector<Event> events = events_of(with.profile);
  CHECK(types(events) == Types{QNN_PROFILE_EVENTTYPE_FINALIZE});
  CHECK(events[0].parts.empty());
  CHECK_EQ(with.net.execute(with.picture, with.result, with.profile), QNN_SUCCESS);
  events = events_of(with.profile);
  CHECK((types(events) == Types{hvx, device, total}));
  CHECK_EQ(events[0].value, 4);
  CHECK(find(events, device).value > 0);
  CHECK(sum(find(events, total).parts) == 0);
}

// REQ: PROF-010
TEST(the_detailed_level_tells_the_cycles_of_each_operation) {
  Profiled with(QNN_PROFILE_LEVEL_DETAILED);
  CHECK_EQ(qnn().graphFinalize(with.net.graph, with.profile, nullptr), QNN_SUCCESS);
  std::vector<Event> events = events_of(with.profile);
  REQUIRE(events.size() == 1);
  CHECK_EQ(events[0].parts.size(), 8);
  CHECK(sum(events[0].parts) <= events[0].value);
  CHECK_EQ(with.net.execute(with.picture, with.result, with.profile), QNN_SUCCESS);
  events = events_of(with.profile);
  CHECK((types(events) == Types{hvx, yields, vtcm, power, cycles, device, total}));
  const Event& all = find(events, cycles);
  REQUIRE(all.parts.size() >= 3);
  CHECK(all.value > 0 && sum(all.parts) == all.value);
  CHECK(all.parts.front().name == "Input OpId_2 (cycles)");
  CHECK(all.parts[1].name == "conv:OpId_16 (cycles)" && all.parts[1].value > 0);
  CHECK(all.parts.back().name == "Output OpId_3 (cycles)");
  for (const Event& part : all.parts) {
    CHECK(part.type == QNN_PROFILE_EVENTTYPE_NODE && part.unit == QNN_PROFILE_EVENTUNIT_CYCLES);
  }
}

// REQ: PROF-012, PROF-013, PROF-014, PROF-015, PROF-018, PROF-019, PROF-020
TEST(linting_tells_what_each_operation_waited_for_and_ran_on) {
  Profiled with(QNN_HTP_PROFILE_LEVEL_LINTING);
  with.net.finalize();
  CHECK_EQ(with.net.execute(with.picture, with.result, with.profile), QNN_SUCCESS);
  const std::vector<Event> events = events_of(with.profile);
  CHECK((types(events) == Types{hvx, yields, vtcm, power, critical, device, total}));
  const Event& path = find(events, critical);
  uint64_t known = 0;
  const Types parts = {QNN_HTP_PROFILE_EVENTTYPE_NODE_WAIT, QNN_HTP_PROFILE_EVENTTYPE_NODE_OVERLAP,
                       QNN_HTP_PROFILE_EVENTTYPE_NODE_WAIT_OVERLAP,
                       QNN_HTP_PROFILE_EVENTTYPE_NODE_RESOURCEMASK};
  for (const Event& node : path.parts) {
    CHECK(types(node.parts) == parts);
    known += node.value + find(node.parts, QNN_HTP_PROFILE_EVENTTYPE_NODE_WAIT).value;
  }
  CHECK(path.value > 0 && known == path.value);
  REQUIRE(path.parts.size() >= 3);
  const uint64_t vector_and_matrix = 3;
  CHECK_EQ(find(path.parts[1].parts, QNN_HTP_PROFILE_EVENTTYPE_NODE_RESOURCEMASK).value,
           vector_and_matrix);
}

TEST(lists_stay_until_another_call_was_measured) {
  Profiled with(QNN_PROFILE_LEVEL_DETAILED);
  with.net.finalize();
  CHECK_EQ(with.net.execute(with.picture, with.result, with.profile), QNN_SUCCESS);
  const QnnProfile_EventId_t* first = nullptr;
  const QnnProfile_EventId_t* again = nullptr;
  uint32_t count = 0;
  CHECK_EQ(qnn().profileGetEvents(with.profile, &first, &count), QNN_SUCCESS);
  CHECK_EQ(qnn().profileGetEvents(with.profile, &again, &count), QNN_SUCCESS);
  CHECK(first == again);
  QnnProfile_EventData_t data = QNN_PROFILE_EVENT_DATA_INIT;
  CHECK_EQ(qnn().profileGetEventData(first[0] + (uint64_t{999} << 32), &data),
           QNN_PROFILE_ERROR_INVALID_ARGUMENT);
}

// The names of operations go with their graph; what was read before stays.
TEST(operations_of_a_graph_that_is_gone_are_not_told) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  ConvRelu net(context);
  net.compose();
  net.finalize();
  Qnn_ProfileHandle_t profile = nullptr;
  CHECK_EQ(qnn().profileCreate(session.backend, QNN_PROFILE_LEVEL_DETAILED, &profile), QNN_SUCCESS);
  Picture picture = kPicture, result{};
  CHECK_EQ(net.execute(picture, result, profile), QNN_SUCCESS);
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
  CHECK(find(events_of(profile), cycles).parts.empty());

  const Qnn_ContextHandle_t next = session.context();
  ConvRelu second(next);
  second.compose();
  second.finalize();
  CHECK_EQ(second.execute(picture, result, profile), QNN_SUCCESS);
  const QnnProfile_EventId_t* ids = nullptr;
  uint32_t count = 0;
  CHECK_EQ(qnn().profileGetEvents(profile, &ids, &count), QNN_SUCCESS);
  CHECK_EQ(qnn().contextFree(next, nullptr), QNN_SUCCESS);
  CHECK(find(read(ids, count), cycles).parts.size() >= 3);
}

// REQ: ASYNC-031
TEST(an_asynchronous_execution_tells_how_long_it_was_queued) {
  Profiled with(QNN_PROFILE_LEVEL_DETAILED);
  with.net.finalize();
  Waiter waiter;
  CHECK_EQ(with.net.execute_async(with.picture, with.result, Waiter::notify, &waiter, nullptr,
                                  with.profile),
           QNN_SUCCESS);
  waiter.wait(1);
  const std::vector<Event> events = events_of(with.profile);
  CHECK((types(events) == Types{hvx, yields, vtcm, power, cycles, device,
                                QNN_PROFILE_EVENTTYPE_EXECUTE_QUEUE_WAIT, total}));
}

TEST(creating_from_a_binary_and_freeing_are_measured) {
  Profiled with(QNN_PROFILE_LEVEL_BASIC);
  const Qnn_ContextHandle_t context = with.session.context();
  ConvRelu net(context);
  net.compose();
  net.finalize();
  Qnn_ContextBinarySize_t size = 0;
  CHECK_EQ(qnn().contextGetBinarySize(context, &size), QNN_SUCCESS);
  std::vector<uint8_t> binary(size);
  CHECK_EQ(qnn().contextGetBinary(context, binary.data(), size, &size), QNN_SUCCESS);
  Qnn_ContextHandle_t loaded = nullptr;
  CHECK_EQ(qnn().contextCreateFromBinary(with.session.backend, with.session.device, nullptr,
                                         binary.data(), size, &loaded, with.profile),
           QNN_SUCCESS);
  const std::vector<Event> load = events_of(with.profile);
  CHECK((types(load) == Types{QNN_HTP_PROFILE_EVENTTYPE_CONTEXT_LOAD_BIN_ACCEL_TIME_MICROSEC,
                              QNN_PROFILE_EVENTTYPE_INIT}));
  CHECK(load[0].value <= load[1].value);
  CHECK_EQ(qnn().contextFree(loaded, with.profile), QNN_SUCCESS);
  const std::vector<Event> freed = events_of(with.profile);
  CHECK((types(freed) == Types{QNN_HTP_PROFILE_EVENTTYPE_GRAPH_DEINIT_ACCEL_TIME_MICROSEC,
                               QNN_PROFILE_EVENTTYPE_DEINIT}));
  CHECK(freed[0].value <= freed[1].value);
}

TEST(levels_and_options_that_do_not_exist_are_refused) {
  Session session;
  Qnn_ProfileHandle_t profile = nullptr;
  CHECK_EQ(qnn().profileCreate(session.backend, 3, &profile), QNN_PROFILE_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().profileCreate(session.backend, 7002, &profile), QNN_PROFILE_ERROR_UNSUPPORTED);
  const auto trace = [&](QnnProfile_Level_t level) {
    CHECK_EQ(qnn().profileCreate(session.backend, level, &profile), QNN_SUCCESS);
    QnnProfile_Config_t config = QNN_PROFILE_CONFIG_INIT;
    config.option = QNN_PROFILE_CONFIG_OPTION_ENABLE_OPTRACE;
    config.enableOptrace = 1;
    return qnn().profileSetConfig(profile, ConfigList<QnnProfile_Config_t>{config}.get());
  };
  CHECK_EQ(trace(QNN_PROFILE_LEVEL_BASIC), QNN_PROFILE_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(trace(QNN_PROFILE_LEVEL_DETAILED), QNN_SUCCESS);
}
