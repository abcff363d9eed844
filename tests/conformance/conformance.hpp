// SPDX-License-Identifier: Apache-2.0 OR MIT
// What the scenarios are written with. A scenario asks a backend a list of questions (cases) and
// reports each answer; which answers are right is not its business: `cargo xtask conformance`
// compares them with the measured ones.

#pragma once

#include <cstdint>
#include <string>

#include "QnnInterface.h"
#include "System/QnnSystemInterface.h"

using Table = QNN_INTERFACE_VER_TYPE;
using SystemTable = QNN_SYSTEM_INTERFACE_VER_TYPE;

/** Formats as `printf` does. */
[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...);

/** Takes the answers of one scenario. A case is named before it runs, so that a crash is its. */
class Report {
 public:
  explicit Report(int descriptor) : descriptor_(descriptor) {}

  /** A call that answers a QNN code. Returns the code. */
  template <typename Call>
  Qnn_ErrorHandle_t code(const std::string& name, Call call) {
    return code(name, call, [] { return std::string(); });
  }

  /** A call that answers a QNN code, and something to see after it. */
  template <typename Call, typename Detail>
  Qnn_ErrorHandle_t code(const std::string& name, Call call, Detail detail) {
    begin(name);
    const Qnn_ErrorHandle_t answer = call();
    end(std::to_string(answer), detail());
    return answer;
  }

  /** An observation in words. */
  void word(const std::string& name, const std::string& answer, const std::string& detail = "") {
    begin(name);
    end(answer, detail);
  }

 private:
  void begin(const std::string& name) { write(name + "\t"); }
  void end(const std::string& answer, const std::string& detail) {
    write(answer + "\t" + detail + "\n");
  }
  void write(const std::string& bytes);

  int descriptor_;
};

/** The backend under test. Loaded anew for every scenario, in a process of its own. */
struct Backend {
  const QnnInterface_t* provider = nullptr;
  const QnnSystemInterface_t* system_provider = nullptr;
  decltype(&QnnInterface_getProviders) get_providers = nullptr;
  decltype(&QnnSystemInterface_getProviders) get_system_providers = nullptr;

  const Table& api() const { return provider->QNN_INTERFACE_VER_NAME; }
  const SystemTable& system() const { return system_provider->QNN_SYSTEM_INTERFACE_VER_NAME; }
};

/** One scenario: its name in the measured table and what it asks. */
struct Scenario {
  std::string name;
  void (*run)(Report& report, const Backend& backend, std::uint32_t variant);
  std::uint32_t variant = 0;    // scenarios that differ in one value share a function
};
