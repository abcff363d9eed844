// SPDX-License-Identifier: Apache-2.0 OR MIT
// The events of a profile object as measured.tsv writes them.

#pragma once

#include <string>

#include "conformance.hpp"

/** A handle that no backend gives out. */
inline void* bogus_handle() { return reinterpret_cast<void*>(std::uintptr_t{0xABCDEF}); }

inline std::string event_text(const Table& api, QnnProfile_EventId_t id, std::string* name) {
  QnnProfile_EventData_t data = QNN_PROFILE_EVENT_DATA_INIT;
  const Qnn_ErrorHandle_t code = api.profileGetEventData(id, &data);
  *name = data.identifier == nullptr ? "" : data.identifier;
  return text("rc=%llu type=%u unit=%u id='%s'", static_cast<unsigned long long>(code), data.type,
              data.unit, name->c_str());
}

/** One case for the list, and one for each event and each of its parts. */
inline void report_events(Report& report, const Table& api, Qnn_ProfileHandle_t profile,
                          const std::string& after) {
  const QnnProfile_EventId_t* ids = nullptr;
  std::uint32_t count = 0;
  report.code(
      after + ".getEvents", [&] { return api.profileGetEvents(profile, &ids, &count); },
      [&] { return text("n=%u", count); });
  for (std::uint32_t index = 0; index < count; ++index) {
    const std::string name = after + ".event" + std::to_string(index);
    std::string identifier;
    std::string line = event_text(api, ids[index], &identifier);
    const QnnProfile_EventId_t* parts = nullptr;
    std::uint32_t part_count = 0;
    const Qnn_ErrorHandle_t part_code =
        api.profileGetSubEvents(ids[index], &parts, &part_count);
    QnnProfile_ExtendedEventData_t extended = QNN_PROFILE_EXTENDED_EVENT_DATA_INIT;
    const Qnn_ErrorHandle_t extended_code = api.profileGetExtendedEventData(ids[index], &extended);
    line += text(" subrc=%llu nsub=%u extrc=%llu", static_cast<unsigned long long>(part_code),
                 part_count, static_cast<unsigned long long>(extended_code));
    report.word(name, line);
    for (std::uint32_t part = 0; part < part_count; ++part) {
      report.word(name + ".sub" + std::to_string(part), event_text(api, parts[part], &identifier));
    }
  }
}
