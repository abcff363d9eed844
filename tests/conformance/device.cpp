// SPDX-License-Identifier: Apache-2.0 OR MIT
// Devices: what they say of themselves, and every way to configure one.

#include <functional>
#include <memory>

#include "client.hpp"
#include "describe.hpp"
#include "scenarios.hpp"

namespace {

using HtpConfig = QnnHtpDevice_CustomConfig_t;

HtpConfig htp(std::uint32_t option) {
  HtpConfig made{};
  made.option = static_cast<QnnHtpDevice_ConfigOption_t>(option);
  return made;
}

HtpConfig soc(std::uint32_t model) {
  HtpConfig made = htp(QNN_HTP_DEVICE_CONFIG_OPTION_SOC);
  made.socModel = model;
  return made;
}

HtpConfig arch(std::uint32_t number, std::uint32_t device = 0) {
  HtpConfig made = htp(QNN_HTP_DEVICE_CONFIG_OPTION_ARCH);
  made.arch = {device, static_cast<QnnHtpDevice_Arch_t>(number)};
  return made;
}

HtpConfig signed_pd(bool wanted) {
  HtpConfig made = htp(QNN_HTP_DEVICE_CONFIG_OPTION_SIGNEDPD);
  made.useSignedProcessDomain = {0, wanted};
  return made;
}

/** An option whose member is a device id and a flag, as several are. */
HtpConfig flag(std::uint32_t option) {
  HtpConfig made = htp(option);
  made.asyncExecute = {0, true};
  return made;
}

HtpConfig number(std::uint32_t option, std::uint32_t value) {
  HtpConfig made = htp(option);
  made.appUid = value;
  return made;
}

QnnDevice_Config_t entry(std::uint32_t option, void* custom = nullptr) {
  QnnDevice_Config_t made = QNN_DEVICE_CONFIG_INIT;
  made.option = static_cast<QnnDevice_ConfigOption_t>(option);
  made.customConfig = custom;
  return made;
}

/** A case of configuration: its words in the table, and the list it stands for. */
struct Configuration {
  const char* name;
  std::vector<HtpConfig> options;
  /** Instead of options of HTP: an entry of another kind. */
  std::function<QnnDevice_Config_t(const Table&)> other = nullptr;
};

QnnDevice_Config_t own_platform(const Table& api) {
  const QnnDevice_PlatformInfo_t* platform = nullptr;
  api.deviceGetPlatformInfo(nullptr, &platform);
  QnnDevice_Config_t made = entry(QNN_DEVICE_CONFIG_OPTION_PLATFORM_INFO);
  made.hardwareInfo = const_cast<QnnDevice_PlatformInfo_t*>(platform);
  return made;
}

const std::vector<Configuration>& configurations() {
  static const std::vector<Configuration> all = {
      {"SOC model 0", {soc(0)}},
      {"SOC model 1", {soc(1)}},
      {"SOC model 30", {soc(30)}},
      {"SOC model 35", {soc(35)}},
      {"SOC model 36", {soc(36)}},
      {"SOC model 43", {soc(43)}},
      {"SOC model 57", {soc(57)}},
      {"SOC model 60", {soc(60)}},
      {"SOC model 69", {soc(69)}},
      {"SOC model 72", {soc(72)}},
      {"SOC model 9999", {soc(9999)}},
      {"SOC model -1", {soc(~0u)}},
      {"ARCH 0", {arch(0)}},
      {"ARCH 1", {arch(1)}},
      {"ARCH 65", {arch(65)}},
      {"ARCH 66", {arch(66)}},
      {"ARCH 68", {arch(68)}},
      {"ARCH 69", {arch(69)}},
      {"ARCH 73", {arch(73)}},
      {"ARCH 75", {arch(75)}},
      {"ARCH 79", {arch(79)}},
      {"ARCH 81", {arch(81)}},
      {"ARCH 85", {arch(85)}},
      {"ARCH 89", {arch(89)}},
      {"ARCH 100", {arch(100)}},
      {"SIGNEDPD true", {signed_pd(true)}},
      {"SIGNEDPD false", {signed_pd(false)}},
      {"SECUREPD true", {flag(QNN_HTP_DEVICE_CONFIG_OPTION_SECUREPD)}},
      {"ASYNC_EXECUTE true", {flag(QNN_HTP_DEVICE_CONFIG_OPTION_ASYNC_EXECUTE)}},
      {"DYNAMIC_PARTITIONING true", {flag(QNN_HTP_DEVICE_CONFIG_OPTION_DYNAMIC_PARTITIONING)}},
      {"APP_UID 1000", {number(QNN_HTP_DEVICE_CONFIG_OPTION_APP_UID, 1000)}},
      {"HTP option 50", {htp(50)}},
      {"HTP option UNKNOWN", {htp(QNN_HTP_DEVICE_CONFIG_OPTION_UNKNOWN)}},
      {"ARCH V73 deviceId 5", {arch(73, 5)}},
      {"SOC SM8550 + ARCH V75", {soc(QNN_SOC_MODEL_SM8550), arch(75)}},
      {"SOC twice 43 then 57", {soc(43), soc(57)}},
      {"CUSTOM null pointer", {}, [](auto&) { return entry(QNN_DEVICE_CONFIG_OPTION_CUSTOM); }},
      {"core option 99", {}, [](auto&) { return entry(99); }},
      {"PLATFORM_INFO null",
       {},
       [](auto&) { return entry(QNN_DEVICE_CONFIG_OPTION_PLATFORM_INFO); }},
      {"PLATFORM_INFO from getPlatformInfo", {}, own_platform},
  };
  return all;
}

/** Creates a device so, and if there is one, computes on it. */
void configured(Report& report, const Backend& from, std::uint32_t index) {
  const Table& api = from.api();
  const Configuration& given = configurations()[index];
  std::vector<HtpConfig> options = given.options;
  std::vector<QnnDevice_Config_t> entries;
  for (HtpConfig& config : options) {
    entries.push_back(entry(QNN_DEVICE_CONFIG_OPTION_CUSTOM, &config));
  }
  if (given.other) {
    entries.push_back(given.other(api));
  }
  std::vector<const QnnDevice_Config_t*> list;
  for (const QnnDevice_Config_t& config : entries) {
    list.push_back(&config);
  }
  list.push_back(nullptr);

  Qnn_BackendHandle_t backend = nullptr;
  Qnn_DeviceHandle_t device = nullptr;
  Qnn_ContextHandle_t context = nullptr;
  api.backendCreate(nullptr, nullptr, &backend);
  const std::string name = text("deviceCreate(%s)", given.name);
  if (report.code(name, [&] { return api.deviceCreate(nullptr, list.data(), &device); }) != 0) {
    return;
  }
  const QnnDevice_PlatformInfo_t* platform = nullptr;
  if (api.deviceGetInfo(device, &platform) == QNN_SUCCESS) {
    describe_platform(report, "info", *platform);
  }
  report.code(name + " then contextCreate",
              [&] { return api.contextCreate(backend, device, nullptr, &context); });
  AddGraph add(api);
  if (report.code(name + " then Add u8 graph build+finalize",
                  [&] { return add.build_and_finalize(context); }) == QNN_SUCCESS) {
    report.code(
        name + " then execute", [&] { return add.execute(); }, [&] { return add.seen(); });
  }
}

void platform_and_infrastructure(Report& report, const Table& api) {
  const QnnDevice_PlatformInfo_t* platform = nullptr;
  report.code("deviceGetPlatformInfo(null log)",
              [&] { return api.deviceGetPlatformInfo(nullptr, &platform); });
  describe_platform(report, "platformInfo", *platform);
  report.code("deviceGetPlatformInfo(null out)",
              [&] { return api.deviceGetPlatformInfo(nullptr, nullptr); });
  report.code("deviceFreePlatformInfo(p)",
              [&] { return api.deviceFreePlatformInfo(nullptr, platform); });
  report.code("deviceFreePlatformInfo(null)",
              [&] { return api.deviceFreePlatformInfo(nullptr, nullptr); });
  QnnDevice_Infrastructure_t infra = nullptr;
  report.code("deviceGetInfrastructure", [&] { return api.deviceGetInfrastructure(&infra); });
  const QnnHtpDevice_PerfInfrastructure_t& perf = infra->perfInfra;
  report.word("infra", text("nonnull infraType=%d fns=%d%d%d%d", infra->infraType,
                            perf.createPowerConfigId != nullptr,
                            perf.destroyPowerConfigId != nullptr, perf.setPowerConfig != nullptr,
                            perf.setMemoryConfig != nullptr));
  report.code("deviceGetInfrastructure(null)",
              [&] { return api.deviceGetInfrastructure(nullptr); });
}

void device(Report& report, const Backend& from, std::uint32_t) {
  const Table& api = from.api();
  Qnn_BackendHandle_t backend = nullptr;
  api.backendCreate(nullptr, nullptr, &backend);
  platform_and_infrastructure(report, api);
  Qnn_DeviceHandle_t d = nullptr, d2 = nullptr;
  report.code("deviceCreate(null,null,&d)", [&] { return api.deviceCreate(nullptr, nullptr, &d); });
  report.code("deviceCreate second", [&] { return api.deviceCreate(nullptr, nullptr, &d2); });
  report.word("second handle", d2 != d ? "different" : "same");
  report.code("deviceCreate(null out)",
              [&] { return api.deviceCreate(nullptr, nullptr, nullptr); });
  const QnnDevice_PlatformInfo_t* info = nullptr;
  report.code("deviceGetInfo(d)", [&] { return api.deviceGetInfo(d, &info); });
  report.code("deviceGetInfo(null)", [&] { return api.deviceGetInfo(nullptr, &info); });
  report.code("deviceGetInfo(d,null)", [&] { return api.deviceGetInfo(d, nullptr); });
  HtpConfig model = soc(QNN_SOC_MODEL_SM8550);
  ConfigList<QnnDevice_Config_t> list{entry(QNN_DEVICE_CONFIG_OPTION_CUSTOM, &model)};
  report.code("deviceSetConfig(d,SOC)", [&] { return api.deviceSetConfig(d, list.get()); });
  report.code("deviceSetConfig(d,null)", [&] { return api.deviceSetConfig(d, nullptr); });
  report.code("deviceSetConfig(null,null)", [&] { return api.deviceSetConfig(nullptr, nullptr); });
  report.code("deviceFree(d)", [&] { return api.deviceFree(d); });
  report.code("deviceFree(d2)", [&] { return api.deviceFree(d2); });
  report.code("deviceFree(null)", [&] { return api.deviceFree(nullptr); });
}

void double_free(Report& report, const Backend& from, std::uint32_t) {
  const Table& api = from.api();
  Qnn_DeviceHandle_t d = nullptr;
  api.deviceCreate(nullptr, nullptr, &d);
  api.deviceFree(d);
  report.code("deviceFree twice", [&] { return api.deviceFree(d); });
}

void bogus(Report& report, const Backend& from, std::uint32_t) {
  const Table& api = from.api();
  Qnn_BackendHandle_t backend = nullptr;
  Qnn_ContextHandle_t context = nullptr;
  Qnn_DeviceHandle_t d = nullptr;
  report.code("deviceFree(bogus)", [&] { return api.deviceFree(forged_handle()); });
  api.backendCreate(nullptr, nullptr, &backend);
  report.code("contextCreate(b,bogus device)",
              [&] { return api.contextCreate(backend, forged_handle(), nullptr, &context); });
  report.code("deviceCreate(bogus logger)",
              [&] { return api.deviceCreate(forged_handle(), nullptr, &d); });
}

void free_in_use(Report& report, const Backend& from, std::uint32_t) {
  const Client client(from);
  const Table& api = client.api;
  report.code("deviceFree while a context uses it", [&] { return api.deviceFree(client.device); });
  report.code("graph build after device freed",
              [&] { return AddGraph(api).build_and_finalize(client.context); });
  report.code("contextFree", [&] { return api.contextFree(client.context, nullptr); });
  report.code("deviceFree after context freed", [&] { return api.deviceFree(client.device); });
}

void free_platform_twice(Report& report, const Backend& from, std::uint32_t) {
  const Table& api = from.api();
  const QnnDevice_PlatformInfo_t* platform = nullptr;
  api.deviceGetPlatformInfo(nullptr, &platform);
  api.deviceFreePlatformInfo(nullptr, platform);
  report.code("deviceFreePlatformInfo twice",
              [&] { return api.deviceFreePlatformInfo(nullptr, platform); });
}

}  // namespace

Scenarios device_scenarios() {
  Scenarios all = {{"device", device}};
  for (std::uint32_t index = 0; index < configurations().size(); ++index) {
    all.push_back({text("device.cfg%02u", index), configured, index});
  }
  all.push_back({"device.doublefree", double_free});
  all.push_back({"device.bogus", bogus});
  all.push_back({"device.freeinuse", free_in_use});
  all.push_back({"device.platdoublefree", free_platform_twice});
  return all;
}
