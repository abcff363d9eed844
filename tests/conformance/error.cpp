// SPDX-License-Identifier: Apache-2.0 OR MIT
// Texts of errors.

#include "scenarios.hpp"

namespace {

constexpr std::uint64_t codes[] = {
    0, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1100, 2000, 2001, 3000,
    4000, 4003, 4005, 4011, 5000, 5001, 5002, 5003, 5004, 5005, 5008, 5010, 5012, 6000, 6001, 6003,
    6004, 6005, 6007, 6021, 6022, 6023, 6024, 6031, 7003, 8000, 9000, 10000, 10001, 11004, 12000,
    13001, 14001, 15000, 30001, 60004, 12345678, 1,
};

void error(Report& report, const Backend& backend, std::uint32_t) {
  const Table& api = backend.api();
  for (const std::uint64_t code : codes) {
    const char* message = "";
    const std::uint64_t rc = api.errorGetMessage(code, &message);
    report.word(text("errorGetMessage(%lu)", code),
                text("rc=%lu msg=%s", rc, message == nullptr ? "(null)" : "(present)"));
  }
  report.code("errorGetMessage(null out)", [&] { return api.errorGetMessage(5000, nullptr); });
  const char* message = nullptr;
  report.code("errorGetVerboseMessage(5000)",
              [&] { return api.errorGetVerboseMessage(5000, &message); });
  report.code("errorGetVerboseMessage(null out)",
              [&] { return api.errorGetVerboseMessage(5000, nullptr); });
  report.code("errorFreeVerboseMessage(null)",
              [&] { return api.errorFreeVerboseMessage(nullptr); });
}

}  // namespace

Scenarios error_scenarios() { return {{"error", error}}; }
