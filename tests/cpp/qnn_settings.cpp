// SPDX-License-Identifier: Apache-2.0 OR MIT
// What is settled before the first graph: versions, the SoC, logs, op packages.

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "HTP/QnnHtpCommon.h"
#include "HTP/QnnHtpDevice.h"
#include "QnnGlobalConfig.h"
#include "support/check.hpp"
#include "support/composed.hpp"

namespace {

Qnn_ErrorHandle_t choose(std::initializer_list<uint32_t> socs) {
  std::vector<QnnGlobalConfig_t> configs;
  std::vector<const QnnGlobalConfig_t*> list;
  for (const uint32_t soc : socs) {
    QnnGlobalConfig_t config = QNN_GLOBAL_CONFIG_INIT;
    config.option = QNN_GLOBAL_CONFIG_OPTION_SOC_MODEL;
    config.socModel = static_cast<Qnn_SocModel_t>(soc);
    configs.push_back(config);
  }
  for (const QnnGlobalConfig_t& config : configs) {
    list.push_back(&config);
  }
  list.push_back(nullptr);
  return qnn().globalConfigSet(list.data());
}

uint32_t soc_there_is() {
  const QnnDevice_PlatformInfo_t* info = nullptr;
  CHECK_EQ(qnn().deviceGetPlatformInfo(nullptr, &info), QNN_SUCCESS);
  return info->v1.hwDevices[0].v1.deviceInfoExtension->onChipDevice.socModel;
}

constexpr Qnn_ErrorHandle_t not_permitted = QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED;
constexpr Qnn_ErrorHandle_t not_known = QNN_GLOBAL_CONFIG_ERROR_INVALID_CONFIG;

}  // namespace

// REQ: DEV-001
TEST(the_versions_are_those_of_the_headers) {
  Qnn_ApiVersion_t version = QNN_API_VERSION_INIT;
  REQUIRE(qnn().backendGetApiVersion(&version) == QNN_SUCCESS);
  const std::array<uint32_t, 6> told{
      {version.coreApiVersion.major, version.coreApiVersion.minor, version.coreApiVersion.patch,
       version.backendApiVersion.major, version.backendApiVersion.minor,
       version.backendApiVersion.patch}};
  const std::array<uint32_t, 6> declared{
      {QNN_API_VERSION_MAJOR, QNN_API_VERSION_MINOR, QNN_API_VERSION_PATCH,
       QNN_HTP_API_VERSION_MAJOR, QNN_HTP_API_VERSION_MINOR, QNN_HTP_API_VERSION_PATCH}};
  CHECK(told == declared);
}

TEST(the_soc_is_chosen_once_and_first) {
  CHECK_EQ(qnn().globalConfigSet(nullptr), QNN_SUCCESS);
  CHECK_EQ(choose({}), QNN_SUCCESS);
  CHECK_EQ(choose({9999}), not_known);
  // The last of a list counts.
  CHECK_EQ(choose({57, 9999}), not_known);
  CHECK_EQ(choose({43, 57}), QNN_SUCCESS);
  CHECK_EQ(choose({43}), not_permitted);
  CHECK_EQ(choose({57}), QNN_SUCCESS);
  CHECK_EQ(soc_there_is(), 57);
  CHECK_EQ(choose({43}), not_permitted);
  CHECK_EQ(choose({57}), QNN_SUCCESS);
}

TEST(the_soc_cannot_be_chosen_late) {
  const uint32_t soc = soc_there_is();
  CHECK_EQ(choose({57}), not_permitted);
  CHECK_EQ(choose({9999}), not_known);
  CHECK_EQ(choose({soc}), QNN_SUCCESS);
  CHECK_EQ(soc_there_is(), soc);
}

TEST(other_global_options_are_not_known) {
  QnnGlobalConfig_t config = QNN_GLOBAL_CONFIG_INIT;
  config.option = static_cast<QnnGlobalConfig_ConfigOption_t>(1);
  QnnGlobalConfig_t soc = config;
  soc.option = QNN_GLOBAL_CONFIG_OPTION_SOC_MODEL;
  soc.socModel = QNN_SOC_MODEL_SM8650;
  ConfigList<QnnGlobalConfig_t> list{soc, config};
  CHECK_EQ(qnn().globalConfigSet(list.get()), not_known);
  CHECK(soc_there_is() != QNN_SOC_MODEL_SM8650);
}

// REQ: DEV-011, DEV-012
TEST(a_signed_process_domain_is_not_there) {
  for (const bool wanted : {false, true}) {
    QnnHtpDevice_CustomConfig_t custom{};
    custom.option = QNN_HTP_DEVICE_CONFIG_OPTION_SIGNEDPD;
    custom.useSignedProcessDomain = {0, wanted};
    QnnDevice_Config_t config = QNN_DEVICE_CONFIG_INIT;
    config.option = QNN_DEVICE_CONFIG_OPTION_CUSTOM;
    config.customConfig = &custom;
    ConfigList<QnnDevice_Config_t> list{config};
    Qnn_DeviceHandle_t device = nullptr;
    CHECK_EQ(qnn().deviceCreate(nullptr, list.get(), &device),
             wanted ? QNN_DEVICE_ERROR_UNSUPPORTED_FEATURE : QNN_DEVICE_NO_ERROR);
  }
}

// REQ: DEV-008
TEST(op_packages_of_others_are_refused) {
  Qnn_BackendHandle_t backend = nullptr;
  REQUIRE(qnn().backendCreate(nullptr, nullptr, &backend) == QNN_SUCCESS);
  for (const char* target : {static_cast<const char*>(nullptr), "CPU", "HTP"}) {
    CHECK_EQ(qnn().backendRegisterOpPackage(backend, "libOps.so", "provider", target),
             QNN_BACKEND_ERROR_OP_PACKAGE_REGISTRATION_FAILED);
  }
  for (const char* target : {"GPU", "", "htp"}) {
    CHECK_EQ(qnn().backendRegisterOpPackage(backend, "libOps.so", "provider", target),
             QNN_BACKEND_ERROR_INVALID_ARGUMENT);
  }
  CHECK_EQ(qnn().propertyHasCapability(QNN_PROPERTY_BACKEND_SUPPORT_OP_PACKAGE),
           QNN_PROPERTY_NOT_SUPPORTED);
}

namespace {

std::vector<std::string> heard;

void on_message(const char* format, QnnLog_Level_t level, uint64_t, va_list arguments) {
  std::array<char, 256> text{};
  std::vsnprintf(text.data(), text.size(), format, arguments);
  heard.push_back(std::to_string(level) + " " + text.data());
}

}  // namespace

TEST(a_log_hears_what_its_level_says) {
  Qnn_LogHandle_t log = nullptr;
  Qnn_BackendHandle_t backend = nullptr;
  REQUIRE(qnn().logCreate(on_message, QNN_LOG_LEVEL_VERBOSE, &log) == QNN_SUCCESS);
  CHECK_EQ(qnn().backendCreate(log, nullptr, &backend), QNN_SUCCESS);
  CHECK(heard.empty());
  CHECK_EQ(qnn().logSetLogLevel(log, QNN_LOG_LEVEL_DEBUG), QNN_SUCCESS);
  heard.clear();
  CHECK_EQ(qnn().backendCreate(log, nullptr, &backend), QNN_SUCCESS);
  CHECK(heard == std::vector<std::string>{"5 QnnBackend_create: done"});
  CHECK_EQ(qnn().logSetLogLevel(log, static_cast<QnnLog_Level_t>(0)), QNN_SUCCESS);
  heard.clear();
  CHECK_EQ(qnn().backendFree(nullptr), QNN_BACKEND_ERROR_INVALID_HANDLE);
  CHECK(heard.empty());
}

TEST(a_log_without_a_function_writes_to_the_error_stream) {
  const int stream = memfd_create("stream", 0);
  REQUIRE(stream >= 0 && dup2(stream, STDERR_FILENO) == STDERR_FILENO);
  CHECK_EQ(qnn().propertyHasCapability(QNN_PROPERTY_LOG_SUPPORTS_DEFAULT_STREAM),
           QNN_PROPERTY_SUPPORTED);
  Qnn_LogHandle_t log = nullptr, twin = nullptr;
  REQUIRE(qnn().logCreate(nullptr, QNN_LOG_LEVEL_ERROR, &log) == QNN_SUCCESS);
  REQUIRE(qnn().logCreate(nullptr, QNN_LOG_LEVEL_ERROR, &twin) == QNN_SUCCESS);
  CHECK_EQ(qnn().backendFree(nullptr), QNN_BACKEND_ERROR_INVALID_HANDLE);
  std::array<char, 1024> text{};
  const ssize_t bytes = pread(stream, text.data(), text.size(), 0);
  REQUIRE(bytes > 0);
  const std::string line(text.data(), static_cast<std::size_t>(bytes));
  CHECK(line.compare(0, 36, "htp-runtime: error: QnnBackend_free:") == 0);
  // One line, however many logs.
  CHECK(line.find('\n') == line.size() - 1);
}

TEST(a_wrong_log_is_refused_by_those_that_take_one) {
  Qnn_LogHandle_t log = nullptr;
  REQUIRE(qnn().logCreate(on_message, QNN_LOG_LEVEL_ERROR, &log) == QNN_SUCCESS);
  CHECK_EQ(qnn().logFree(log), QNN_SUCCESS);
  Qnn_BackendHandle_t backend = nullptr;
  Qnn_DeviceHandle_t device = nullptr;
  const QnnDevice_PlatformInfo_t* info = nullptr;
  CHECK_EQ(qnn().backendCreate(log, nullptr, &backend), QNN_BACKEND_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().deviceCreate(log, nullptr, &device), QNN_LOG_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn().deviceGetPlatformInfo(log, &info), QNN_LOG_ERROR_INVALID_ARGUMENT);
  CHECK(backend == nullptr && device == nullptr && info == nullptr);
}
