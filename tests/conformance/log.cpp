// SPDX-License-Identifier: Apache-2.0 OR MIT
// Logs: levels, handles, and what reaches a callback.

#include <atomic>

#include "client.hpp"
#include "describe.hpp"
#include "scenarios.hpp"

namespace {

std::atomic<int> messages{0};

void count(const char*, QnnLog_Level_t, std::uint64_t, va_list) { ++messages; }

constexpr auto level(std::uint32_t number) { return static_cast<QnnLog_Level_t>(number); }

Qnn_LogHandle_t create(const Table& api) {
  Qnn_LogHandle_t log = nullptr;
  api.logCreate(count, QNN_LOG_LEVEL_ERROR, &log);
  return log;
}

void log(Report& report, const Backend& backend, std::uint32_t) {
  const Table& api = backend.api();
  Qnn_LogHandle_t h = nullptr, h2 = nullptr, plain = nullptr, other = nullptr;
  const auto creates = [&](const char* name, QnnLog_Callback_t callback, std::uint32_t number,
                           Qnn_LogHandle_t* out) {
    report.code(name, [&] { return api.logCreate(callback, level(number), out); });
  };
  creates("logCreate(cb,ERROR)", count, 1, &h);
  report.word("handle nonnull", h != nullptr ? "yes" : "no");
  creates("logCreate(second,cb,WARN)", count, 2, &h2);
  report.word("second handle", h2 != h ? "different" : "same");
  const Qnn_ErrorHandle_t without = api.logCreate(nullptr, level(2), &plain);
  report.word("null-cb handle", plain != nullptr ? "nonnull" : "null");
  report.code("logCreate(null cb,WARN)", [&] { return without; });
  creates("logCreate(cb,ERROR,null out)", count, 1, nullptr);
  creates("logCreate(cb,level 0)", count, 0, &other);
  creates("logCreate(cb,level 99)", count, 99, &other);
  creates("logCreate(cb,level MAX)", count, 0x7FFFFFFF, &other);
  for (const std::uint32_t number : {1u, 2u, 3u, 4u, 5u, 0u, 6u, 99u, 0x7FFFFFFFu}) {
    report.code(text("logSetLogLevel(h,%u)", number),
                [&] { return api.logSetLogLevel(h, level(number)); });
  }
  report.code("logSetLogLevel(null,ERROR)", [&] { return api.logSetLogLevel(nullptr, level(1)); });
  report.code("logFree(h)", [&] { return api.logFree(h); });
  report.code("logFree(h2)", [&] { return api.logFree(h2); });
  report.code("logFree(null)", [&] { return api.logFree(nullptr); });
}

void double_free(Report& report, const Backend& backend, std::uint32_t) {
  const Table& api = backend.api();
  const Qnn_LogHandle_t log = create(api);
  api.logFree(log);
  report.code("logFree(h) twice", [&] { return api.logFree(log); });
}

void bogus(Report& report, const Backend& backend, std::uint32_t) {
  const Table& api = backend.api();
  report.code("logFree(bogus)", [&] { return api.logFree(forged_handle()); });
  create(api);
  report.code("logSetLogLevel(bogus)",
              [&] { return api.logSetLogLevel(forged_handle(), level(1)); });
}

void after_free(Report& report, const Backend& backend, std::uint32_t) {
  const Table& api = backend.api();
  const Qnn_LogHandle_t log = create(api);
  api.logFree(log);
  report.code("logSetLogLevel(freed)", [&] { return api.logSetLogLevel(log, level(1)); });
}

void in_use(Report& report, const Backend& from, std::uint32_t) {
  const Table& api = from.api();
  const Qnn_LogHandle_t log = create(api);
  Qnn_BackendHandle_t backend = nullptr;
  report.code("backendCreate(log)", [&] { return api.backendCreate(log, nullptr, &backend); });
  report.code("logFree while backend alive", [&] { return api.logFree(log); });
  report.code("backendFree after its log freed", [&] { return api.backendFree(backend); });
}

void callback(Report& report, const Backend& from, std::uint32_t) {
  const Table& api = from.api();
  const auto delivered = [&](const char* name) {
    report.word(name, messages.exchange(0) > 0 ? ">0" : "0");
  };
  Qnn_LogHandle_t log = nullptr;
  api.logCreate(count, QNN_LOG_LEVEL_DEBUG, &log);
  messages = 0;
  Qnn_BackendHandle_t backend = nullptr;
  Qnn_DeviceHandle_t device = nullptr;
  Qnn_ContextHandle_t context = nullptr;
  api.backendCreate(log, nullptr, &backend);
  delivered("messages at DEBUG during backendCreate");
  api.deviceCreate(log, nullptr, &device);
  api.contextCreate(backend, device, nullptr, &context);
  AddGraph(api).build_and_finalize(context);
  delivered("messages at DEBUG during context+graph");
  api.logSetLogLevel(log, QNN_LOG_LEVEL_ERROR);
  messages = 0;
  AddGraph(api).build_and_finalize(context, "quiet");
  delivered("messages delivered after setLogLevel(ERROR) for a good graph");
}

}  // namespace

Scenarios log_scenarios() {
  return {{"log", log},
          {"log.doublefree", double_free},
          {"log.bogus", bogus},
          {"log.afterfree", after_free},
          {"log.inuse", in_use},
          {"log.callback", callback}};
}
