// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// Power and memory configurations: placed, dropped by a restart, placed again with the same id; and
// what wrong arguments are answered.

#include <vector>

#include "HTP/QnnHtpDevice.h"
#include "HTP/QnnHtpPerfInfrastructure.h"
#include "HTP/QnnHtpProfile.h"
#include "support/check.hpp"
#include "support/client.hpp"

namespace {

using Infrastructure = QnnHtpDevice_PerfInfrastructure_t;
using PowerConfig = QnnHtpPerfInfrastructure_PowerConfig_t;
using MemoryConfig = QnnHtpPerfInfrastructure_MemoryConfig_t;
using Corner = QnnHtpPerfInfrastructure_VoltageCorner_t;

constexpr Qnn_ErrorHandle_t bad_input = QNN_HTP_PERF_INFRASTRUCTURE_ERROR_INVALID_INPUT;
constexpr Qnn_ErrorHandle_t not_offered = QNN_HTP_PERF_INFRASTRUCTURE_ERROR_UNSUPPORTED;
constexpr Qnn_ErrorHandle_t unknown_option = QNN_HTP_PERF_INFRASTRUCTURE_ERROR_UNSUPPORTED_CONFIG;
constexpr std::uint32_t journal_vote = 10;
constexpr std::uint32_t journal_memory = 11;
constexpr std::uint32_t grow_bytes = 16U << 20U;

Infrastructure infrastructure(const Client& client) {
  QnnDevice_Infrastructure_t given = nullptr;
  const bool found = client.api->deviceGetInfrastructure(&given) == QNN_SUCCESS &&
                     given->infraType == QNN_HTP_DEVICE_INFRASTRUCTURE_TYPE_PERF;
  return found ? given->perfInfra : Infrastructure{};
}

/** The vote that the documents show, with the same corner six times. */
PowerConfig vote(std::uint32_t id, Corner corner) {
  PowerConfig config = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIG_INIT;
  config.option = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_DCVS_V3;
  config.dcvsV3Config.contextId = id;
  config.dcvsV3Config.setDcvsEnable = 1;
  config.dcvsV3Config.dcvsEnable = 0;
  config.dcvsV3Config.powerMode = QNN_HTP_PERF_INFRASTRUCTURE_POWERMODE_PERFORMANCE_MODE;
  config.dcvsV3Config.setSleepLatency = 1;
  config.dcvsV3Config.sleepLatency = 40;
  config.dcvsV3Config.setSleepDisable = 1;
  config.dcvsV3Config.sleepDisable = 1;
  config.dcvsV3Config.setBusParams = 1;
  config.dcvsV3Config.busVoltageCornerMin = corner;
  config.dcvsV3Config.busVoltageCornerTarget = corner;
  config.dcvsV3Config.busVoltageCornerMax = corner;
  config.dcvsV3Config.setCoreParams = 1;
  config.dcvsV3Config.coreVoltageCornerMin = corner;
  config.dcvsV3Config.coreVoltageCornerTarget = corner;
  config.dcvsV3Config.coreVoltageCornerMax = corner;
  return config;
}

/** An option whose value is one number. */
PowerConfig number(QnnHtpPerfInfrastructure_PowerConfigOption_t option, std::uint32_t value) {
  PowerConfig config = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIG_INIT;
  config.option = option;
  config.rpcControlLatencyConfig = value;
  return config;
}

PowerConfig matrix_vote() {
  PowerConfig config = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIG_INIT;
  config.option = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_HMX_V2;
  config.hmxV2Config = {0, DCVS_EXP_VCORNER_NOM, DCVS_EXP_VCORNER_TUR, DCVS_EXP_VCORNER_TUR,
                        QNN_HTP_PERF_INFRASTRUCTURE_CLK_PERF_HIGH};
  return config;
}

Qnn_ErrorHandle_t set(const Infrastructure& perf, std::uint32_t id,
                      const std::vector<PowerConfig>& configs) {
  std::vector<const PowerConfig*> list;
  for (const PowerConfig& config : configs) {
    list.push_back(&config);
  }
  list.push_back(nullptr);
  return perf.setPowerConfig(id, list.data());
}

Qnn_ErrorHandle_t grow(const Infrastructure& perf, std::uint32_t bytes) {
  MemoryConfig config = QNN_HTP_PERF_INFRASTRUCTURE_MEMORY_CONFIG_INIT;
  config.option = QNN_HTP_PERF_INFRASTRUCTURE_MEMORY_CONFIGOPTION_GROW_SIZE;
  config.memGrowSizeConfig = bytes;
  const MemoryConfig* list[] = {&config, nullptr};
  return perf.setMemoryConfig(0, 0, list);
}

/** The arguments of all journal lines of one kind in one life of the DSP. */
std::vector<std::uint64_t> journalled(std::uint32_t kind, std::uint32_t epoch) {
  std::vector<htp_rt_vdev_journal_entry_t> entries(1024);
  std::uint32_t count = 0;
  std::vector<std::uint64_t> arguments;
  if (htp_rt_vdev_journal(entries.data(), 1024, &count, nullptr) == QNN_SUCCESS) {
    entries.resize(count);
    for (const htp_rt_vdev_journal_entry_t& entry : entries) {
      if (entry.kind == kind && entry.epoch == epoch) {
        arguments.push_back(entry.arg);
      }
    }
  }
  return arguments;
}

/** A vote for the same corner six times, without the clock. */
std::uint64_t six(Corner corner) {
  return std::uint64_t{0x010101010101} * static_cast<std::uint64_t>(corner);
}

std::uint64_t without_clock(std::uint64_t argument) { return argument & 0xFFFFFFFFFFFFU; }

/** Microseconds on the device of one right execution; 0 if it is not right. */
std::uint64_t device_us(const Client& client, const Session& session) {
  Qnn_ProfileHandle_t profile = nullptr;
  Execution execution;
  execution.bind(client, session, 3);
  const QnnProfile_EventId_t* events = nullptr;
  std::uint32_t count = 0;
  if (client.api->profileCreate(client.backend, QNN_PROFILE_LEVEL_BASIC, &profile) != QNN_SUCCESS ||
      execution.run(client, session, profile) != QNN_SUCCESS || !execution.right(client) ||
      client.api->profileGetEvents(profile, &events, &count) != QNN_SUCCESS) {
    return 0;
  }
  std::uint64_t time_us = 0;
  for (std::uint32_t index = 0; index < count; ++index) {
    QnnProfile_EventData_t data = QNN_PROFILE_EVENT_DATA_INIT;
    const Qnn_ErrorHandle_t code = client.api->profileGetEventData(events[index], &data);
    if (code == QNN_SUCCESS &&
        data.type == QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_ACCEL_TIME_MICROSEC) {
      time_us = data.value;
    }
  }
  return client.api->profileFree(profile) == QNN_SUCCESS ? time_us : 0;
}

/** Crashes the device under an execution and opens the session again. */
bool restart(const Client& client, Session& session) {
  Execution execution;
  execution.bind(client, session, 1);
  return htp_rt_vdev_crash(3) == QNN_SUCCESS &&
         execution.run(client, session) == QNN_COMMON_ERROR_SYSTEM_COMMUNICATION &&
         client.api->contextFree(session.context, nullptr) == QNN_SUCCESS &&
         session.open(client) == QNN_SUCCESS;
}

}  // namespace

// REQ: PERF-001
TEST(the_infrastructure_is_there_before_everything_else) {
  const QnnInterface_t** providers = nullptr;
  std::uint32_t count = 0;
  REQUIRE(QnnInterface_getProviders(&providers, &count) == QNN_SUCCESS && count == 1);
  Client client;
  client.api = &providers[0]->QNN_INTERFACE_VER_NAME;
  const Infrastructure perf = infrastructure(client);
  CHECK(perf.createPowerConfigId != nullptr);
  CHECK(perf.destroyPowerConfigId != nullptr);
  CHECK(perf.setPowerConfig != nullptr);
  CHECK(perf.setMemoryConfig != nullptr);
  CHECK_EQ(client.api->deviceGetInfrastructure(nullptr), QNN_DEVICE_ERROR_INVALID_ARGUMENT);
}

// REQ: SSR-025, PERF-017
TEST(a_restart_drops_the_vote_and_the_same_id_places_it_again) {
  Client client;
  REQUIRE(client.open());
  const Infrastructure perf = infrastructure(client);
  REQUIRE(perf.createPowerConfigId != nullptr);
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  const std::uint64_t default_us = device_us(client, session);
  std::uint32_t id = 0;
  REQUIRE(perf.createPowerConfigId(0, 0, &id) == QNN_SUCCESS);

  constexpr Corner slow = DCVS_VOLTAGE_VCORNER_SVS2;
  CHECK_EQ(set(perf, id, {vote(id, slow)}), QNN_SUCCESS);
  const std::uint64_t slow_us = device_us(client, session);
  CHECK(slow_us > default_us);
  REQUIRE(journalled(journal_vote, 1).size() == 1);
  CHECK_EQ(without_clock(journalled(journal_vote, 1)[0]), six(slow));

  REQUIRE(restart(client, session));
  CHECK_EQ(device_us(client, session), default_us);
  CHECK_EQ(journalled(journal_vote, 2).size(), 0);

  CHECK_EQ(set(perf, id, {vote(id, slow)}), QNN_SUCCESS);
  CHECK_EQ(device_us(client, session), slow_us);
  REQUIRE(journalled(journal_vote, 2).size() == 1);
  CHECK_EQ(journalled(journal_vote, 2)[0], journalled(journal_vote, 1)[0]);

  REQUIRE(restart(client, session));
  CHECK_EQ(perf.destroyPowerConfigId(id), QNN_SUCCESS);
  CHECK_EQ(perf.destroyPowerConfigId(id), bad_input);
  CHECK_EQ(set(perf, id, {vote(id, slow)}), bad_input);
  CHECK_EQ(device_us(client, session), default_us);
  CHECK_EQ(journalled(journal_vote, 3).size(), 0);
}

// REQ: SSR-026, PERF-062
TEST(a_restart_drops_the_memory_configuration) {
  Client client;
  REQUIRE(client.open());
  const Infrastructure perf = infrastructure(client);
  REQUIRE(perf.setMemoryConfig != nullptr);
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  CHECK_EQ(grow(perf, grow_bytes), QNN_SUCCESS);
  CHECK(device_us(client, session) > 0);
  REQUIRE(journalled(journal_memory, 1).size() == 1);
  CHECK_EQ(journalled(journal_memory, 1)[0], grow_bytes);

  REQUIRE(restart(client, session));
  CHECK(device_us(client, session) > 0);
  CHECK_EQ(journalled(journal_memory, 2).size(), 0);

  // It is not there any more: the same again is news for the device.
  CHECK_EQ(grow(perf, grow_bytes), QNN_SUCCESS);
  CHECK(device_us(client, session) > 0);
  REQUIRE(journalled(journal_memory, 2).size() == 1);
  CHECK_EQ(journalled(journal_memory, 2)[0], grow_bytes);
}

// REQ: PERF-034
TEST(the_greatest_of_all_votes_counts_and_goes_with_its_id) {
  Client client;
  REQUIRE(client.open());
  const Infrastructure perf = infrastructure(client);
  REQUIRE(perf.createPowerConfigId != nullptr);
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  REQUIRE(perf.createPowerConfigId(0, 0, &low) == QNN_SUCCESS);
  REQUIRE(perf.createPowerConfigId(0, 0, &high) == QNN_SUCCESS);
  CHECK(low != high);
  CHECK_EQ(set(perf, low, {vote(low, DCVS_VOLTAGE_VCORNER_SVS)}), QNN_SUCCESS);
  const std::uint64_t low_us = device_us(client, session);
  CHECK_EQ(set(perf, high, {vote(high, DCVS_VOLTAGE_VCORNER_TURBO)}), QNN_SUCCESS);
  CHECK(device_us(client, session) < low_us);
  CHECK_EQ(perf.destroyPowerConfigId(high), QNN_SUCCESS);
  CHECK_EQ(device_us(client, session), low_us);
}

// REQ: PERF-009, PERF-012, PERF-013, PERF-015, PERF-016, PERF-055
TEST(wrong_arguments_are_refused_and_change_nothing) {
  Client client;
  REQUIRE(client.open());
  const Infrastructure perf = infrastructure(client);
  REQUIRE(perf.createPowerConfigId != nullptr);
  Session session;
  REQUIRE(session.open(client) == QNN_SUCCESS);
  std::uint32_t id = 0;
  CHECK_EQ(perf.createPowerConfigId(0, 0, nullptr), QNN_HTP_PERF_INFRASTRUCTURE_ERROR_FAILED);
  CHECK_EQ(perf.createPowerConfigId(1, 0, &id), bad_input);
  CHECK_EQ(perf.createPowerConfigId(0, 1, &id), bad_input);
  CHECK_EQ(id, 0);
  REQUIRE(perf.createPowerConfigId(0, 0, &id) == QNN_SUCCESS);

  const PowerConfig good = vote(id, DCVS_VOLTAGE_VCORNER_NOM);
  PowerConfig config = good;
  config.dcvsV3Config.contextId = id + 1;
  CHECK_EQ(set(perf, id, {config}), bad_input);
  for (const std::uint32_t latency_us : {9U, 65536U}) {
    config = good;
    config.dcvsV3Config.sleepLatency = latency_us;
    CHECK_EQ(set(perf, id, {config}), bad_input);
  }
  config = good;
  config.dcvsV3Config.coreVoltageCornerMin = DCVS_VOLTAGE_VCORNER_TURBO;
  CHECK_EQ(set(perf, id, {config}), bad_input);
  config = good;
  config.dcvsV3Config.busVoltageCornerMax = DCVS_VOLTAGE_VCORNER_UNKNOWN;
  CHECK_EQ(set(perf, id, {config}), bad_input);
  config = good;
  config.dcvsV3Config.dcvsEnable = 1;
  config.dcvsV3Config.powerMode = QNN_HTP_PERF_INFRASTRUCTURE_POWERMODE_UNKNOWN;
  CHECK_EQ(set(perf, id, {config}), bad_input);
  // A list counts as a whole.
  constexpr auto unknown = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_UNKNOWN;
  CHECK_EQ(set(perf, id, {good, number(unknown, 1)}), unknown_option);
  CHECK_EQ(perf.setPowerConfig(id, nullptr), bad_input);
  CHECK_EQ(set(perf, 0, {}), bad_input);
  CHECK_EQ(set(perf, 4242, {}), bad_input);
  CHECK_EQ(perf.destroyPowerConfigId(0), bad_input);
  CHECK_EQ(set(perf, id, {}), QNN_SUCCESS);

  MemoryConfig memory = QNN_HTP_PERF_INFRASTRUCTURE_MEMORY_CONFIG_INIT;
  const MemoryConfig* memories[] = {&memory, nullptr};
  CHECK_EQ(perf.setMemoryConfig(0, 0, memories), unknown_option);
  CHECK_EQ(perf.setMemoryConfig(0, 0, nullptr), bad_input);
  CHECK_EQ(perf.setMemoryConfig(7, 0, memories), bad_input);

  CHECK(device_us(client, session) > 0);
  CHECK_EQ(journalled(journal_vote, 1).size(), 0);
  CHECK_EQ(journalled(journal_memory, 1).size(), 0);
}

// REQ: PERF-020, PERF-025
TEST(options_that_the_platform_lacks_are_not_offered) {
  Client client;
  REQUIRE(client.open(HTP_RT_PLATFORM_QNX_ADAS));
  const Infrastructure perf = infrastructure(client);
  std::uint32_t id = 0;
  REQUIRE(perf.createPowerConfigId != nullptr && perf.createPowerConfigId(0, 0, &id) == 0);
  const PowerConfig good = vote(id, DCVS_VOLTAGE_VCORNER_NOM);
  for (const auto option : {QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_RPC_CONTROL_LATENCY,
                            QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_RPC_POLLING_TIME,
                            QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_DDR_PERF_MODE,
                            QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_CENG,
                            QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_DCVS_V3_EXP,
                            QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_CENG_EXP}) {
    CHECK_EQ(set(perf, id, {good, number(option, 1)}), not_offered);
  }
  CHECK_EQ(set(perf, id, {good, matrix_vote()}), not_offered);
  CHECK_EQ(set(perf, id, {good}), QNN_SUCCESS);
}

// REQ: PERF-014, PERF-019, PERF-022, PERF-024, PERF-030
TEST(options_of_a_mobile_platform_are_checked) {
  htp_rt_vdev_config_t device = {};
  device.struct_size = sizeof device;
  device.platform = HTP_RT_PLATFORM_ANDROID;
  device.soc = 57;    // architecture 75
  REQUIRE(htp_rt_vdev_configure(&device) == QNN_SUCCESS);
  const QnnInterface_t** providers = nullptr;
  std::uint32_t count = 0;
  REQUIRE(QnnInterface_getProviders(&providers, &count) == QNN_SUCCESS && count == 1);
  Client client;
  client.api = &providers[0]->QNN_INTERFACE_VER_NAME;
  const Infrastructure perf = infrastructure(client);
  std::uint32_t id = 0;
  REQUIRE(perf.createPowerConfigId != nullptr && perf.createPowerConfigId(0, 0, &id) == 0);

  constexpr auto latency = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_RPC_CONTROL_LATENCY;
  constexpr auto polling = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_RPC_POLLING_TIME;
  constexpr auto adaptive = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_ADAPTIVE_POLLING_TIME;
  constexpr auto timeout = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_HMX_TIMEOUT_INTERVAL_US;
  CHECK_EQ(set(perf, id, {number(adaptive, 1000)}), bad_input);
  CHECK_EQ(set(perf, id, {number(polling, 10000)}), bad_input);
  CHECK_EQ(set(perf, id, {number(timeout, 0)}), bad_input);
  CHECK_EQ(set(perf, id, {matrix_vote()}), bad_input);
  CHECK_EQ(set(perf, id, {number(latency, 100), number(polling, 9999)}), QNN_SUCCESS);
  CHECK_EQ(set(perf, id, {number(adaptive, 1000), number(timeout, 300000)}), QNN_SUCCESS);
  CHECK_EQ(set(perf, id, {matrix_vote(), vote(id, DCVS_VOLTAGE_VCORNER_MAX_VOLTAGE_CORNER)}),
           QNN_SUCCESS);
  CHECK_EQ(perf.destroyPowerConfigId(id), QNN_SUCCESS);
}
