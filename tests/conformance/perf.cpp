// SPDX-License-Identifier: Apache-2.0 OR MIT
// Power and memory settings: ids, each option with good and bad values, unknown ids.

#include "client.hpp"
#include "describe.hpp"
#include "scenarios.hpp"

namespace {

using Power = QnnHtpPerfInfrastructure_PowerConfig_t;
using Memory = QnnHtpPerfInfrastructure_MemoryConfig_t;
using Infrastructure = QnnHtpDevice_PerfInfrastructure_t;

template <typename Enum>
constexpr Enum as(std::uint32_t number) {
  return static_cast<Enum>(number);
}

Power option(std::uint32_t number) {
  Power made{};
  made.option = as<QnnHtpPerfInfrastructure_PowerConfigOption_t>(number);
  return made;
}

/** The vote of a client that wants all there is. */
Power burst(std::uint32_t id) {
  constexpr auto most = DCVS_VOLTAGE_VCORNER_MAX_VOLTAGE_CORNER;
  Power made = option(QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_DCVS_V3);
  QnnHtpPerfInfrastructure_DcvsV3_t& vote = made.dcvsV3Config;
  vote.contextId = id;
  vote.setDcvsEnable = 1;
  vote.dcvsEnable = 0;
  vote.powerMode = QNN_HTP_PERF_INFRASTRUCTURE_POWERMODE_PERFORMANCE_MODE;
  vote.setSleepLatency = 1;
  vote.sleepLatency = 40;
  vote.setBusParams = 1;
  vote.busVoltageCornerMin = vote.busVoltageCornerTarget = vote.busVoltageCornerMax = most;
  vote.setCoreParams = 1;
  vote.coreVoltageCornerMin = vote.coreVoltageCornerTarget = vote.coreVoltageCornerMax = most;
  return made;
}

Power sleeping(std::uint32_t id, std::uint32_t latency) {
  Power made = burst(id);
  made.dcvsV3Config.sleepLatency = latency;
  return made;
}

Power bad_mode(std::uint32_t id) {
  Power made = burst(id);
  made.dcvsV3Config.dcvsEnable = 1;
  made.dcvsV3Config.powerMode = as<QnnHtpPerfInfrastructure_PowerMode_t>(77);
  return made;
}

Power crossed(std::uint32_t id) {
  Power made = burst(id);
  made.dcvsV3Config.coreVoltageCornerMax = DCVS_VOLTAGE_VCORNER_SVS;
  return made;
}

Power odd_corner(std::uint32_t id) {
  Power made = burst(id);
  QnnHtpPerfInfrastructure_DcvsV3_t& vote = made.dcvsV3Config;
  vote.coreVoltageCornerMin = vote.coreVoltageCornerTarget = vote.coreVoltageCornerMax =
      as<QnnHtpPerfInfrastructure_VoltageCorner_t>(7);
  return made;
}

/** Any option whose member is one number. */
Power number(std::uint32_t option_number, std::uint32_t value) {
  Power made = option(option_number);
  made.rpcControlLatencyConfig = value;
  return made;
}

Power hmx(bool by_default) {
  Power made = option(QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_HMX_V2);
  QnnHtpPerfInfrastructure_HmxV2_t& vote = made.hmxV2Config;
  vote.hmxPickDefault = by_default;
  vote.hmxVoltageCornerMin = vote.hmxVoltageCornerTarget = vote.hmxVoltageCornerMax =
      DCVS_EXP_VCORNER_TUR;
  vote.hmxPerfMode = QNN_HTP_PERF_INFRASTRUCTURE_CLK_PERF_HIGH;
  return made;
}

Power engine() {
  Power made = option(QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_CENG);
  QnnHtpPerfInfrastructure_Ceng_t& vote = made.cengConfig;
  vote.cengVoltageCornerMin = vote.cengVoltageCornerTarget = vote.cengVoltageCornerMax =
      DCVS_VOLTAGE_VCORNER_TURBO;
  vote.cengPerfMode = QNN_HTP_PERF_INFRASTRUCTURE_CLK_PERF_HIGH;
  return made;
}

const Infrastructure& infrastructure(const Table& api) {
  QnnDevice_Infrastructure_t infra = nullptr;
  api.deviceGetInfrastructure(&infra);
  return infra->perfInfra;
}

/** The cases of one infrastructure. */
struct Perf {
  Report& report;
  const Infrastructure& infra;

  std::uint32_t create(const char* name, std::uint32_t device, std::uint32_t core, bool shown) {
    std::uint32_t id = 0;
    report.code(
        text("createPowerConfigId(%s", name),
        [&] { return infra.createPowerConfigId(device, core, &id); },
        [&] { return shown ? text("id=%u", id) : std::string(); });
    return id;
  }

  void set(const char* name, std::uint32_t id, const Power& config) {
    ConfigList<Power> list{config};
    report.code(text("setPowerConfig(%s)", name),
                [&] { return infra.setPowerConfig(id, list.get()); });
  }

  void memory(const char* name, std::uint32_t device, std::uint32_t kind, std::uint32_t bytes) {
    Memory config = QNN_HTP_PERF_INFRASTRUCTURE_MEMORY_CONFIG_INIT;
    config.option = as<QnnHtpPerfInfrastructure_MemoryConfigOption_t>(kind);
    config.memGrowSizeConfig = bytes;
    ConfigList<Memory> list{config};
    report.code(text("setMemoryConfig(%s)", name),
                [&] { return infra.setMemoryConfig(device, 0, list.get()); });
  }

  void destroy(const char* name, std::uint32_t id) {
    report.code(text("destroyPowerConfigId(%s", name),
                [&] { return infra.destroyPowerConfigId(id); });
  }
};

void settings(Perf& perf, std::uint32_t id) {
  perf.set("DCVS_V3 burst", id, burst(id));
  perf.set("DCVS_V3 sleepLatency 5", id, sleeping(id, 5));
  perf.set("DCVS_V3 sleepLatency 70000", id, sleeping(id, 70000));
  perf.set("DCVS_V3 bad powerMode", id, bad_mode(id));
  perf.set("DCVS_V3 min>max", id, crossed(id));
  perf.set("DCVS_V3 undefined corner", id, odd_corner(id));
  perf.set("DCVS_V3 contextId mismatch", id, burst(id + 1));
  struct Numbers {
    const char* name;
    std::uint32_t option;
    std::vector<std::uint32_t> values;
  };
  const Numbers all[] = {
      {"RPC_CONTROL_LATENCY", 2, {0, 100, 40, 1'000'000}},
      {"RPC_POLLING_TIME", 3, {0, 9999, 10'000}},
      {"HMX_TIMEOUT", 4, {0, 300'000}},
      {"ADAPTIVE_POLLING", 6, {0, 1000, 9999, 10'000}},
      {"DDR_PERF_MODE", 7, {1}},
  };
  for (const Numbers& numbers : all) {
    for (const std::uint32_t value : numbers.values) {
      perf.set(text("%s %u", numbers.name, value).c_str(), id, number(numbers.option, value));
    }
  }
  perf.set("HMX_V2 default", id, hmx(true));
  perf.set("HMX_V2 TUR", id, hmx(false));
  perf.set("CENG TURBO", id, engine());
  perf.set("DCVS_V3_EXP zero", id, option(9));
  perf.set("CENG_EXP zero", id, option(10));
  perf.set("option 99", id, option(99));
  perf.set("option UNKNOWN", id, option(0x7FFFFFFF));
  perf.report.code("setPowerConfig(id,null)",
                   [&] { return perf.infra.setPowerConfig(id, nullptr); });
  ConfigList<Power> empty{};
  perf.report.code("setPowerConfig(id,empty list)",
                   [&] { return perf.infra.setPowerConfig(id, empty.get()); });
  perf.set("id 0", 0, burst(0));
  perf.set("never created id 4242", 4242, burst(4242));
}

void perf(Report& report, const Backend& from, std::uint32_t) {
  const Table& api = from.api();
  Qnn_BackendHandle_t backend = nullptr;
  Qnn_DeviceHandle_t device = nullptr;
  api.backendCreate(nullptr, nullptr, &backend);
  Perf perf{report, infrastructure(api)};
  perf.create("0,0) before deviceCreate", 0, 0, true);
  api.deviceCreate(nullptr, nullptr, &device);
  const std::uint32_t id = perf.create("0,0)", 0, 0, false);
  report.word("first id", std::to_string(id));
  const std::uint32_t id2 = perf.create("0,0) again", 0, 0, false);
  report.word("second id", std::to_string(id2));
  perf.create("dev 1)", 1, 0, true);
  perf.create("core 1)", 0, 1, true);
  perf.create("core 9)", 0, 9, true);
  report.code("createPowerConfigId(null)",
              [&] { return perf.infra.createPowerConfigId(0, 0, nullptr); });
  settings(perf, id);
  constexpr std::uint32_t grow = QNN_HTP_PERF_INFRASTRUCTURE_MEMORY_CONFIGOPTION_GROW_SIZE;
  perf.memory("0,0,GROW 16MiB", 0, grow, 16 << 20);
  perf.memory("0,0,GROW 0", 0, grow, 0);
  perf.memory("option 9", 0, 9, 0);
  report.code("setMemoryConfig(null)", [&] { return perf.infra.setMemoryConfig(0, 0, nullptr); });
  perf.memory("dev 7", 7, grow, 16 << 20);
  perf.destroy("id)", id);
  perf.destroy("id) twice", id);
  perf.set("destroyed id", id, burst(id));
  perf.destroy("0)", 0);
  perf.destroy("4242)", 4242);
  perf.destroy("id2)", id2);
}

void without_backend(Report& report, const Backend& from, std::uint32_t) {
  const Table& api = from.api();
  QnnDevice_Infrastructure_t infra = nullptr;
  report.code("deviceGetInfrastructure as the first call in the process",
              [&] { return api.deviceGetInfrastructure(&infra); });
  const QnnDevice_PlatformInfo_t* platform = nullptr;
  api.deviceGetPlatformInfo(nullptr, &platform);
  report.code("deviceGetInfrastructure after deviceGetPlatformInfo",
              [&] { return api.deviceGetInfrastructure(&infra); });
}

void backend_only(Report& report, const Backend& from, std::uint32_t) {
  const Table& api = from.api();
  Qnn_BackendHandle_t backend = nullptr;
  api.backendCreate(nullptr, nullptr, &backend);
  QnnDevice_Infrastructure_t infra = nullptr;
  report.code("deviceGetInfrastructure after backendCreate only",
              [&] { return api.deviceGetInfrastructure(&infra); });
}

}  // namespace

Scenarios perf_scenarios() {
  return {{"perf.noinit", without_backend}, {"perf.backendonly", backend_only}, {"perf", perf}};
}
