// SPDX-License-Identifier: Apache-2.0 OR MIT
// Objects of the host, configuration, shared memory, power, and what can be asked.

#pragma once

#include <unistd.h>

#include <cstdarg>

#include "executions.hpp"
#include "configs.hpp"

/** Reads the message, and may call the library. */
inline void on_log(const char* format, QnnLog_Level_t, std::uint64_t, va_list arguments) {
  std::array<char, 400> text;
  CHECK(std::vsnprintf(text.data(), text.size(), format, arguments) > 0);
  // Not of the time, which may stand still: the same call would be made again and again.
  call_from_callback(++shared_round().load()->messages_heard, 1);
}

inline void create_object(Values& values) {
  Configs configs(values);
  Numbers& numbers = values.numbers;
  void* made = nullptr;
  switch (numbers.below(6)) {
    case 0:
      values.keep(backends,
                  QNN(backendCreate, values.seldom(logs), configs.backend().get(), &made), made);
      break;
    case 1:
      values.keep(devices, QNN(deviceCreate, values.seldom(logs), configs.device().get(), &made),
                  made);
      break;
    case 2: {
      const auto level = numbers.chance(70) ? QNN_PROFILE_LEVEL_DETAILED
                                            : numbers.any_of<QnnProfile_Level_t>();
      values.keep(profiles, QNN(profileCreate, values.pick(backends), level, &made), made);
      break;
    }
    case 3:
    case 4:
      values.keep(signals, QNN(signalCreate, values.pick(backends), configs.signal().get(), &made),
                  made);
      break;
    default: {
      const auto level = numbers.any_of<QnnLog_Level_t>();
      const QnnLog_Callback_t callback = numbers.chance(90) ? &on_log : nullptr;
      values.keep(logs,
                  numbers.chance(50) ? QNN(logCreate, callback, level, &made)
                                     : SYSTEM(systemLogCreate, callback, level, &made),
                  made);
      break;
    }
  }
}

inline void free_object(Values& values) {
  static constexpr std::array<Kind, 5> freed{{backends, devices, profiles, signals, logs}};
  const Kind kind = values.numbers.one_of(freed);
  void* const handle = values.pick(kind);
  switch (kind) {
    case backends:
      if (values.numbers.chance(10)) {
        values.drop(kind, handle, QNN(backendFree, handle));
      }
      break;
    case devices: values.drop(kind, handle, QNN(deviceFree, handle)); break;
    case profiles: values.drop(kind, handle, QNN(profileFree, handle)); break;
    case signals: values.drop(kind, handle, QNN(signalFree, handle)); break;
    default:
      values.drop(kind, handle,
                  values.numbers.chance(50) ? QNN(logFree, handle) : SYSTEM(systemLogFree, handle));
      break;
  }
}

inline void configure(Values& values) {
  Configs configs(values);
  switch (values.numbers.below(9)) {
    case 0:
    case 1: QNN(contextSetConfig, values.pick(contexts), configs.context().get()); break;
    case 2:
    case 3: QNN(graphSetConfig, values.graph(), configs.graph().get()); break;
    case 4:
      QNN(signalSetConfig, values.pick(signals), configs.signal().get());
      QNN(signalTrigger, values.pick(signals));
      break;
    case 5: QNN(profileSetConfig, values.pick(profiles), configs.profile().get()); break;
    case 6: QNN(backendSetConfig, values.pick(backends), configs.backend().get()); break;
    case 7: QNN(deviceSetConfig, values.pick(devices), configs.device().get()); break;
    default:
      QNN(logSetLogLevel, values.pick(logs), values.numbers.any_of<QnnLog_Level_t>());
      SYSTEM(systemLogSetLogLevel, values.pick(logs), values.numbers.any_of<QnnLog_Level_t>());
      QNN(globalConfigSet, configs.global().get());
      break;
  }
}

/** What a restart does to a context, what executes it meanwhile, and outputs that overlap. */
inline void set_recovery(Values& values) {
  Numbers& numbers = values.numbers;
  htp_rt_recovery_t recovery = {};
  recovery.struct_size = numbers.chance(97) ? sizeof recovery : numbers.number();
  recovery.kind = numbers.chance(90) ? 1 : numbers.number(4);    // managed
  recovery.queued = numbers.chance(95) ? numbers.below(2) : numbers.number();
  recovery.attempts_max = numbers.number(8);
  recovery.time_budget_us = numbers.chance(50) ? 8000000 : numbers.number(50000);
  RUNTIME(context_set_recovery, values.pick(contexts), numbers.chance(99) ? &recovery : nullptr);
  htp_rt_fallback_t fallback = {};
  fallback.struct_size = numbers.chance(97) ? sizeof fallback : numbers.number();
  fallback.interval_us = numbers.chance(90) ? 1 + numbers.below(20000) : numbers.number();
  RUNTIME(context_set_fallback, values.pick(contexts), numbers.chance(80) ? &fallback : nullptr);
  RUNTIME(context_set_io_ownership, values.pick(contexts), numbers.number(4));
}

inline void share_memory(Values& values) {
  Numbers& numbers = values.numbers;
  if (numbers.chance(50)) {
    const std::array<Qnn_MemHandle_t, 2> taken{{values.pick(memories), values.pick(memories)}};
    // If the second of two is not known, the first is gone all the same.
    values.drop(memories, taken[0], QNN(memDeRegister, taken.data(), numbers.below(3)));
    return;
  }
  Custom place(values, 5);
  std::array<std::uint32_t, 2> sizes{{numbers.below(5000), numbers.chance(90) ? 1U : 1U << 31}};
  std::array<Qnn_MemDescriptor_t, 2> wanted{{QNN_MEM_DESCRIPTOR_INIT, QNN_MEM_DESCRIPTOR_INIT}};
  for (Qnn_MemDescriptor_t& one : wanted) {
    one.memShape = {2, sizes.data(), nullptr};
    one.dataType = numbers.chance(80) ? QNN_DATATYPE_UFIXED_POINT_8 : values.data_type();
    one.memType = numbers.chance(80) ? QNN_MEM_TYPE_ION : numbers.any_of<Qnn_MemType_t>();
    if (one.memType == QNN_MEM_TYPE_CUSTOM) {
      one.customInfo = place.get();
    } else {
      one.ionInfo.fd = numbers.chance(95) ? numbers.one_of(values.round.files) : -1;
    }
  }
  std::array<Qnn_MemHandle_t, 2> made{};
  const std::uint32_t count = numbers.below(3);
  const auto code = QNN(memRegister, values.pick(contexts), wanted.data(), count, made.data());
  for (std::uint32_t index = 0; code == QNN_SUCCESS && index < count; ++index) {
    values.round.handles.add(memories, made[index]);
  }
}

/** Power and memory settings. */
inline void power(Values& values) {
  Numbers& numbers = values.numbers;
  QnnDevice_Infrastructure_t given = nullptr;
  CHECK_EQ(QNN(deviceGetInfrastructure, &given), QNN_SUCCESS);
  const QnnHtpDevice_PerfInfrastructure_t& perf = given->perfInfra;
  Configs configs(values);
  std::atomic<std::uint32_t>& place = values.round.power_ids[numbers.below(4)];
  std::uint32_t id = numbers.chance(90) ? place.load() : static_cast<std::uint32_t>(numbers.next());
  const std::uint32_t device = numbers.chance(95) ? 0 : numbers.number();
  const std::uint32_t core = numbers.chance(95) ? 0 : numbers.number();
  switch (numbers.below(5)) {
    case 0:
      if (COUNTED("perf", "createPowerConfigId", perf.createPowerConfigId(device, core, &id)) ==
          QNN_SUCCESS) {
        id = place.exchange(id);
        COUNTED("perf", "destroyPowerConfigId", perf.destroyPowerConfigId(id));
      }
      break;
    case 1:
      COUNTED("perf", "setMemoryConfig",
              perf.setMemoryConfig(device, core, configs.memory().get()));
      break;
    default:
      COUNTED("perf", "setPowerConfig", perf.setPowerConfig(id, configs.power(id).get()));
      break;
  }
}

inline void ask(Values& values) {
  Numbers& numbers = values.numbers;
  htp_rt_context_stats_t stats = {};
  htp_rt_tensor_info_t info = {};
  std::uint32_t count = 0;
  switch (numbers.below(6)) {
    case 0: RUNTIME(context_stats, values.pick(contexts), &stats); break;
    case 1: RUNTIME(graph_tensor_count, values.graph(), &count); break;
    case 2: RUNTIME(graph_tensor, values.graph(), numbers.number(), &info); break;
    case 3: {
      // Whatever is pointed to may be somebody else's by now: it is not looked at.
      const QnnProfile_EventId_t* events = nullptr;
      QNN(profileGetEvents, values.pick(profiles), &events, &count);
      QnnProfile_EventData_t data = QNN_PROFILE_EVENT_DATA_INIT;
      QnnProfile_ExtendedEventData_t extended = QNN_PROFILE_EXTENDED_EVENT_DATA_INIT;
      const QnnProfile_EventId_t event =
          numbers.chance(50) ? numbers.next() >> numbers.below(64)
                             : 9ULL << 60 | std::uint64_t{numbers.below(9)} << 32 |
                                   numbers.below(200) << 16 | numbers.below(32);
      QNN(profileGetEventData, event, &data);
      QNN(profileGetExtendedEventData, event, &extended);
      QNN(profileGetSubEvents, event, &events, &count);
      break;
    }
    case 4: {
      std::array<htp_rt_vdev_journal_entry_t, 8> entries{};
      RUNTIME(vdev_journal, entries.data(), numbers.below(9), &count, nullptr);
      CHECK(count <= 8);
      break;
    }
    default: {
      htp_rt_stats_t all = {};
      RUNTIME(stats, &all);
      CHECK_EQ(all.faults, 0);
      break;
    }
  }
}

/** Questions about what never changes. */
inline void ask_constants(Values& values) {
  Numbers& numbers = values.numbers;
  const char* text = nullptr;
  switch (numbers.below(6)) {
    case 0: QNN(errorGetMessage, 1000 * numbers.below(16) + numbers.number(20), &text); break;
    case 1: QNN(propertyHasCapability, 100 * numbers.below(7) + 1 + numbers.number(24)); break;
    case 2: {
      Qnn_ApiVersion_t version = QNN_API_VERSION_INIT;
      QNN(backendGetApiVersion, numbers.chance(90) ? &version : nullptr);
      break;
    }
    case 3:
      if (QNN(backendGetBuildId, numbers.chance(90) ? &text : nullptr) == QNN_SUCCESS) {
        CHECK(std::strlen(text) > 0);
      }
      break;
    case 4: {
      const QnnDevice_PlatformInfo_t* info = nullptr;
      QNN(deviceGetPlatformInfo, values.seldom(logs), &info);
      QNN(deviceFreePlatformInfo, values.seldom(logs), numbers.chance(90) ? info : nullptr);
      break;
    }
    default: {
      const QnnDevice_PlatformInfo_t* info = nullptr;
      QNN(deviceGetInfo, values.pick(devices), numbers.chance(90) ? &info : nullptr);
      break;
    }
  }
}

inline void on_restart(void*, const htp_rt_ssr_event_t* event) {
  call_from_callback(++shared_round().load()->phases_heard ^ event->at_us, 20);
}
inline bool on_text(void*, const std::uint8_t*, std::size_t) { return true; }

/** Not within a restart, whose attempts may not all fail. */
inline bool is_online() {
  htp_rt_stats_t stats = {};
  return htp_rt_stats(&stats) == QNN_SUCCESS && stats.ssr_state == HTP_RT_SSR_ONLINE;
}

/** What goes wrong, who hears of it, and what was recorded. */
inline void trouble(Values& values) {
  Numbers& numbers = values.numbers;
  const std::uint32_t choice = numbers.below(100);
  if (choice < 2) {
    RUNTIME(vdev_crash, numbers.chance(50) ? HTP_RT_VDEV_CRASH_NOW : numbers.below(8));
  } else if (choice < 4 && values.round.comes_back && is_online()) {
    RUNTIME(vdev_reconnect_fails, numbers.below(3));
  } else if (choice < 10) {
    hold(values);
  } else if (choice < 15) {
    htp_rt_subscription_t subscription = {};
    if (RUNTIME(ssr_subscribe, &on_restart, nullptr, &subscription) == QNN_SUCCESS) {
      values.round.last_subscription = subscription.id;
    }
    if (numbers.chance(60)) {
      RUNTIME(ssr_unsubscribe, {values.round.last_subscription - numbers.below(2)});
    }
  } else if (choice == 15) {
    RUNTIME(trace_write_json, &on_text, nullptr);
  } else if (values.round.polled) {
    std::uint64_t next_us = 0;
    const std::uint64_t step_us = numbers.chance(5) ? 20000 : 50;
    RUNTIME(poll, clock_us() += step_us * numbers.below(100), &next_us);
  }
}
