// SPDX-License-Identifier: Apache-2.0 OR MIT
// Configuration lists of every kind, with known and unknown options, right and wrong values.

#pragma once

#include "HTP/QnnHtpDevice.h"
#include "HTP/QnnHtpGraph.h"
#include "HTP/QnnHtpMem.h"
#include "HTP/QnnHtpPerfInfrastructure.h"
#include "values.hpp"

/** A list of none to three entries, or no list at all. `make` fills an entry in, which begins as
 *  zeros. */
template <typename Config>
class AnyList {
 public:
  template <typename Make>
  AnyList(Values& values, Make make) : is_null_(values.numbers.chance(40)) {
    std::memset(entries_.data(), 0, sizeof entries_);
    const std::uint32_t count = values.numbers.below(4);
    for (std::uint32_t index = 0; index < count; ++index) {
      make(entries_[index]);
      pointers_[index] = &entries_[index];
    }
  }
  AnyList(const AnyList&) = delete;
  AnyList& operator=(const AnyList&) = delete;
  const Config** get() { return is_null_ ? nullptr : pointers_.data(); }

 private:
  bool is_null_;
  std::array<Config, 3> entries_;
  std::array<const Config*, 4> pointers_{};
};

/** An option of HTP's own: its number, then words as members of any kind find them. */
class Custom {
 public:
  explicit Custom(Values& values, std::uint32_t options) {
    words_[0] = values.numbers.number(options);
    for (std::size_t word = 2; word < 6; ++word) {
      // No option that is read holds an address.
      words_[word] =
          values.numbers.chance(70) ? values.numbers.below(3) : values.numbers.number(80);
    }
    is_null_ = values.numbers.chance(3);
  }
  void* get() { return is_null_ ? nullptr : words_.data(); }

 private:
  bool is_null_;
  alignas(8) std::array<std::uint32_t, 64> words_{};
};

class Configs {
 public:
  explicit Configs(Values& given)
      : values(given), custom_context_(given, 26), custom_graph_(given, 21),
        custom_device_(given, 8) {}

  AnyList<QnnContext_Config_t> context() {
    return {values, [this](QnnContext_Config_t& config) {
              config.option = numbers.any_of<QnnContext_ConfigOption_t>();
              if (numbers.chance(50)) {
                config = depth_config(numbers.chance(80) ? numbers.below(20) : numbers.below(400));
              } else if (numbers.chance(50)) {
                config = priority_config(numbers.one_of(priorities));
              } else if (config.option == QNN_CONTEXT_CONFIG_OPTION_CUSTOM) {
                config.customConfig = custom_context_.get();
              } else if (config.option == QNN_CONTEXT_CONFIG_ASYNC_EXECUTION_QUEUE_DEPTH) {
                config.asyncExeQueueDepth.type =
                    numbers.any_of<QnnContext_AsyncExecutionQueueDepthType_t>();
              } else if (config.option == QNN_CONTEXT_CONFIG_ENABLE_GRAPHS) {
                config.enableGraphs = numbers.chance(90) ? names_.data() : nullptr;
              } else if (config.option == QNN_CONTEXT_CONFIG_BINARY_COMPATIBILITY) {
                config.binaryCompatibilityType =
                    numbers.any_of<QnnContext_BinaryCompatibilityType_t>();
              }
              // Binaries do not stay, so none is called persistent.
            }};
  }
  AnyList<QnnGraph_Config_t> graph() {
    return {values, [this](QnnGraph_Config_t& config) {
              config.option = numbers.chance(60) ? QNN_GRAPH_CONFIG_OPTION_PRIORITY
                                                 : numbers.any_of<QnnGraph_ConfigOption_t>();
              if (config.option == QNN_GRAPH_CONFIG_OPTION_PRIORITY) {
                config.priority = numbers.one_of(priorities);
              } else if (numbers.chance(50)) {
                config.option = QNN_GRAPH_CONFIG_OPTION_CUSTOM;
                config.customConfig = custom_graph_.get();
              }
            }};
  }
  AnyList<QnnSignal_Config_t> signal() {
    return {values, [this](QnnSignal_Config_t& config) {
              config.option = numbers.chance(60)
                                  ? QNN_SIGNAL_CONFIG_OPTION_ABORT
                                  : static_cast<QnnSignal_ConfigOption_t>(numbers.number(4));
              if (config.option == QNN_SIGNAL_CONFIG_OPTION_TIMEOUT) {
                config.timeoutDurationUs = numbers.below(5000);
              }
            }};
  }
  AnyList<QnnProfile_Config_t> profile() {
    return {values, [this](QnnProfile_Config_t& config) {
              config.option = static_cast<QnnProfile_ConfigOption_t>(numbers.number(4));
            }};
  }
  AnyList<QnnBackend_Config_t> backend() {
    return {values, [this](QnnBackend_Config_t& config) {
              config.option = numbers.chance(60)
                                  ? QNN_BACKEND_CONFIG_OPTION_ERROR_REPORTING
                                  : static_cast<QnnBackend_ConfigOption_t>(numbers.number(4));
            }};
  }
  AnyList<QnnGlobalConfig_t> global() {
    return {values, [this](QnnGlobalConfig_t& config) {
              config.option = static_cast<QnnGlobalConfig_ConfigOption_t>(numbers.number(2));
              config.socModel =
                  static_cast<Qnn_SocModel_t>(numbers.chance(50) ? 52 : numbers.number(100));
            }};
  }
  AnyList<QnnDevice_Config_t> device() {
    return {values, [this](QnnDevice_Config_t& config) {
              config.option = static_cast<QnnDevice_ConfigOption_t>(numbers.number(3));
              if (config.option == QNN_DEVICE_CONFIG_OPTION_CUSTOM) {
                config.customConfig = custom_device_.get();
              } else if (config.option == QNN_DEVICE_CONFIG_OPTION_PLATFORM_INFO) {
                config.hardwareInfo = platform();
              }
            }};
  }
  AnyList<QnnHtpPerfInfrastructure_PowerConfig_t> power(std::uint32_t id) {
    return {values, [this, id](QnnHtpPerfInfrastructure_PowerConfig_t& config) {
              static constexpr std::array<std::uint32_t, 10> usual{
                  {0, 0, 1, 1, 16, 64, 96, 100, 256, 9999}};
              std::array<std::uint32_t, sizeof config / 4> words{};
              for (std::uint32_t& word : words) {
                word = numbers.chance(95) ? numbers.one_of(usual) : numbers.number();
              }
              words[0] = numbers.chance(50) ? 1 : numbers.number(12);
              words[1] = words[0] == 1 && numbers.chance(90) ? id : words[1];
              std::memcpy(static_cast<void*>(&config), words.data(), sizeof words);
            }};
  }
  AnyList<QnnHtpPerfInfrastructure_MemoryConfig_t> memory() {
    return {values, [this](QnnHtpPerfInfrastructure_MemoryConfig_t& config) {
              config.option = numbers.chance(80)
                                  ? QNN_HTP_PERF_INFRASTRUCTURE_MEMORY_CONFIGOPTION_GROW_SIZE
                                  : static_cast<QnnHtpPerfInfrastructure_MemoryConfigOption_t>(
                                        numbers.number(4));
              config.memGrowSizeConfig = numbers.number(1U << 30);
            }};
  }

 private:
  /** The description of the platform, as it is or changed. */
  QnnDevice_PlatformInfo_t* platform() {
    const QnnDevice_PlatformInfo_t* given = nullptr;
    if (qnn().deviceGetPlatformInfo(nullptr, &given) != QNN_SUCCESS || numbers.chance(10)) {
      return nullptr;
    }
    platform_ = *given;
    devices_.fill(given->v1.hwDevices[0]);
    platform_.v1.hwDevices = numbers.chance(95) ? devices_.data() : nullptr;
    if (numbers.chance(30)) {
      platform_.v1.numHwDevices = numbers.below(3);
    }
    if (numbers.chance(20)) {
      (numbers.chance(50) ? devices_[0].v1.deviceId : devices_[0].v1.numCores) = numbers.number();
    }
    if (numbers.chance(10)) {
      platform_.version = numbers.any_of<QnnDevice_PlatformInfoVersion_t>();
    }
    if (numbers.chance(20)) {
      devices_[0].v1.deviceInfoExtension = nullptr;
    }
    return &platform_;
  }

  static constexpr std::array<Qnn_Priority_t, 6> priorities{
      {QNN_PRIORITY_LOW, QNN_PRIORITY_NORMAL, QNN_PRIORITY_NORMAL_HIGH, QNN_PRIORITY_HIGH,
       QNN_PRIORITY_UNDEFINED, static_cast<Qnn_Priority_t>(77)}};

  Values& values;
  Numbers& numbers = values.numbers;
  std::array<const char*, 3> names_{
      {numbers.chance(80) ? "digits" : "net", numbers.chance(20) ? "a" : nullptr, nullptr}};
  Custom custom_context_;
  Custom custom_graph_;
  Custom custom_device_;
  QnnDevice_PlatformInfo_t platform_;
  std::array<QnnDevice_HardwareDeviceInfo_t, 2> devices_;
};
