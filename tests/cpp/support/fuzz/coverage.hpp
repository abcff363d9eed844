// SPDX-License-Identifier: Apache-2.0 OR MIT
// Counts every call by function: how often it was accepted, how often refused.

#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "../check.hpp"
#include "../composed.hpp"
#include "System/QnnSystemInterface.h"

/** The codes that calls gave. */
class Codes {
 public:
  static void note(Qnn_ErrorHandle_t code) {
    CHECK(code < seen().size());
    seen()[code % seen().size()] = true;
  }
  /** Codes that say nothing to the client. */
  static std::size_t without_message() {
    std::size_t count = 0;
    for (std::size_t code = 0; code < seen().size(); ++code) {
      const char* text = nullptr;
      if (seen()[code] && qnn().errorGetMessage(code, &text) != QNN_SUCCESS) {
        std::printf("code %zu has no message\n", code);
        ++count;
      }
    }
    return count;
  }

 private:
  static std::array<std::atomic<bool>, 65536>& seen() {
    static std::array<std::atomic<bool>, 65536> codes{};
    return codes;
  }
};

/** Calls of one function. */
struct Tally {
  Qnn_ErrorHandle_t note(Qnn_ErrorHandle_t code) {
    Codes::note(code);
    ++(code == QNN_SUCCESS ? accepted : refused);
    return code;
  }
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
};

/** All functions that were called, of each library. */
class Coverage {
 public:
  Tally& of(const char* library, const char* function) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return tallies_[{library, function}];
  }
  std::size_t called(const std::string& library) {
    return count(library, [](const Tally& it) { return it.accepted + it.refused > 0; });
  }
  std::size_t never_accepted(const std::string& library) {
    return count(library, [](const Tally& it) { return it.accepted == 0; });
  }
  void print() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::printf("  %-50s %12s %12s\n", "calls", "accepted", "refused");
    for (const auto& entry : tallies_) {
      const std::string name = entry.first.first + " " + entry.first.second;
      std::printf("  %-50s %12llu %12llu\n", name.c_str(),
                  static_cast<unsigned long long>(entry.second.accepted),
                  static_cast<unsigned long long>(entry.second.refused));
    }
  }

 private:
  template <typename Test>
  std::size_t count(const std::string& library, Test test) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::size_t found = 0;
    for (const auto& entry : tallies_) {
      found += entry.first.first == library && test(entry.second) ? 1U : 0U;
    }
    return found;
  }

  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, Tally> tallies_;
};

/** Lives as long as the process: threads may call to the very end. */
inline Coverage& coverage() {
  static Coverage* const all = new Coverage;
  return *all;
}

inline const QNN_SYSTEM_INTERFACE_VER_TYPE& qnn_system() {
  const QnnSystemInterface_t** providers = nullptr;
  std::uint32_t count = 0;
  QnnSystemInterface_getProviders(&providers, &count);
  return providers[0]->QNN_SYSTEM_INTERFACE_VER_NAME;
}

// Notes the code that a call of `function` gave.
#define COUNTED(library, function, code)                        \
  [&] {                                                         \
    static Tally& tally = coverage().of((library), (function)); \
    return tally.note(code);                                    \
  }()
#define QNN(function, ...) COUNTED("qnn", #function, qnn().function(__VA_ARGS__))
#define SYSTEM(function, ...) COUNTED("system", #function, qnn_system().function(__VA_ARGS__))
#define RUNTIME(function, ...) COUNTED("runtime", #function, htp_rt_##function(__VA_ARGS__))
