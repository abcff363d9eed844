// SPDX-License-Identifier: Apache-2.0 OR MIT
// What the two libraries say of themselves.

#include <cstring>

#include "scenarios.hpp"

namespace {

std::string version(const Qnn_Version_t& v) {
  return text("%u.%u.%u", v.major, v.minor, v.patch);
}

std::string null_entries(const Table& api) {
  constexpr std::size_t known = 75;
  std::string nulls;
  for (std::size_t index = 0; index < known; ++index) {
    void* entry = nullptr;
    std::memcpy(&entry, reinterpret_cast<const char*>(&api) + index * sizeof entry, sizeof entry);
    nulls += entry == nullptr ? text(" %zu", index) : "";
  }
  return nulls.empty() ? "none" : nulls;
}

void provider(Report& report, const Backend& backend, std::uint32_t) {
  const QnnInterface_t** list = nullptr;
  std::uint32_t count = 0;
  report.code(
      "QnnInterface_getProviders", [&] { return backend.get_providers(&list, &count); },
      [&] { return text("numProviders=%u", count); });
  const QnnInterface_t& first = *list[0];
  report.word("provider", text("backendId=%u name=%s core=%s backend=%s", first.backendId,
                               first.providerName, version(first.apiVersion.coreApiVersion).c_str(),
                               version(first.apiVersion.backendApiVersion).c_str()));
  report.code("getProviders(null list)", [&] { return backend.get_providers(nullptr, &count); });
  report.code("getProviders(null count)", [&] { return backend.get_providers(&list, nullptr); });
  const QnnInterface_t** again = nullptr;
  backend.get_providers(&again, &count);
  report.word("same provider pointer on second call", again[0] == &first ? "yes" : "no");
  report.word("null table entries (of 75 known)", null_entries(backend.api()));

  const QnnSystemInterface_t** system = nullptr;
  report.code(
      "QnnSystemInterface_getProviders",
      [&] { return backend.get_system_providers(&system, &count); },
      [&] { return text("n=%u", count); });
  report.word("system provider",
              text("backendId=%u name=%s ver=%s", system[0]->backendId, system[0]->providerName,
                   version(system[0]->systemApiVersion).c_str()));
}

}  // namespace

Scenarios provider_scenarios() { return {{"provider", provider}}; }
