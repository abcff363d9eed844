// SPDX-License-Identifier: Apache-2.0 OR MIT
// What measured.tsv says of versions and devices, and a handle that nobody was given.

#pragma once

#include <string>

#include "HTP/QnnHtpDevice.h"
#include "conformance.hpp"

inline void* forged_handle() { return reinterpret_cast<void*>(0xDEADBEEFul); }

inline std::string shown(const Qnn_Version_t& v) {
  return text("%u.%u.%u", v.major, v.minor, v.patch);
}

/** One case for each part of a description, named after `what`. */
inline void describe_platform(Report& report, const std::string& what,
                              const QnnDevice_PlatformInfo_t& platform) {
  report.word(what + ".version", text("%d", platform.version));
  report.word(what + ".numHwDevices", text("%u", platform.v1.numHwDevices));
  for (std::uint32_t index = 0; index < platform.v1.numHwDevices; ++index) {
    const QnnDevice_HardwareDeviceInfo_t& device = platform.v1.hwDevices[index];
    const auto* extension = device.v1.deviceInfoExtension;
    const std::string name = text("%s.hw%u", what.c_str(), index);
    report.word(name, text("version=%d deviceId=%u deviceType=%u numCores=%u ext=%s",
                           device.version, device.v1.deviceId, device.v1.deviceType,
                           device.v1.numCores, extension == nullptr ? "null" : "nonnull"));
    for (std::uint32_t number = 0; number < device.v1.numCores; ++number) {
      const QnnDevice_CoreInfo_t& core = device.v1.cores[number];
      report.word(text("%s.core%u", name.c_str(), number),
                  text("version=%d coreId=%u coreType=%u ext=%s", core.version, core.v1.coreId,
                       core.v1.coreType,
                       core.v1.coreInfoExtension == nullptr ? "null" : "nonnull"));
    }
    if (extension != nullptr) {
      const QnnHtpDevice_OnChipDeviceInfoExtension_t& chip = extension->onChipDevice;
      report.word(name + ".ext",
                  text("devType=%d vtcmSize=%zu socModel=%u signedPd=%d dlbc=%d arch=%d",
                       extension->devType, chip.vtcmSize, chip.socModel, chip.signedPdSupport,
                       chip.dlbcSupport, chip.arch));
    }
  }
}
