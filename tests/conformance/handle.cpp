// SPDX-License-Identifier: Apache-2.0 OR MIT
// Handles: of which kind they are, what their values look like, and whole lives of all objects.

#include "client.hpp"
#include "scenarios.hpp"

namespace {

void kinds(Report& report, const Backend& from, std::uint32_t) {
  const Client client(from);
  const Table& api = client.api;
  AddGraph add(api);
  add.build_and_finalize(client.context);
  Qnn_GraphHandle_t graph = nullptr;
  report.code("graphCreate(graph handle as context)",
              [&] { return api.graphCreate(add.graph, "other", nullptr, &graph); });
  report.code("contextFree(graph handle)", [&] { return api.contextFree(add.graph, nullptr); });
  report.code("contextFree(backend handle)",
              [&] { return api.contextFree(client.backend, nullptr); });
  report.code("backendFree(context handle)", [&] { return api.backendFree(client.context); });
  report.code("deviceFree(backend handle)", [&] { return api.deviceFree(client.backend); });
  report.code(
      "execute still works", [&] { return add.execute(); }, [&] { return add.seen(); });
}

std::string shape(const void* handle) {
  const auto value = reinterpret_cast<std::uintptr_t>(handle);
  return value < 0x10000 ? text("small integer %lu", value) : "large (pointer-like)";
}

void values(Report& report, const Backend& from, std::uint32_t) {
  const Client client(from);
  const Table& api = client.api;
  report.word("backend handle", shape(client.backend));
  report.word("device handle", shape(client.device));
  report.word("context handle", shape(client.context));
  Qnn_ContextHandle_t second = nullptr;
  api.contextCreate(client.backend, client.device, nullptr, &second);
  report.word("second context handle", shape(second));
  AddGraph add(api);
  add.build(client.context);
  report.word("graph handle", shape(add.graph));
  Qnn_ProfileHandle_t profile = nullptr;
  api.profileCreate(client.backend, QNN_PROFILE_LEVEL_BASIC, &profile);
  report.word("profile handle", shape(profile));
  Qnn_SignalHandle_t signal = nullptr;
  const Qnn_ErrorHandle_t code = api.signalCreate(client.backend, nullptr, &signal);
  report.word("signal handle", shape(signal),
              code == QNN_SUCCESS
                  ? ""
                  : text("(void: signalCreate returns %lu, no handle is made)", code));
  Qnn_LogHandle_t log = nullptr;
  api.logCreate(nullptr, QNN_LOG_LEVEL_ERROR, &log);
  report.word("log handle", shape(log));
}

/** Every object is made, used and freed; the first and the last round are told. */
void lifecycle(Report& report, const Backend& from, std::uint32_t) {
  constexpr int rounds = 20;
  for (int round = 0; round < rounds; ++round) {
    const Client client(from);
    const Table& api = client.api;
    AddGraph add(api);
    const Qnn_ErrorHandle_t used = add.build_and_finalize(client.context);
    const Qnn_ErrorHandle_t context = api.contextFree(client.context, nullptr);
    const Qnn_ErrorHandle_t device = api.deviceFree(client.device);
    const Qnn_ErrorHandle_t backend = api.backendFree(client.backend);
    if (round == 0 || round == rounds - 1) {
      report.word(text("cycle %d", round),
                  text("%lu %lu %lu %lu", used, context, device, backend));
    }
  }
}

}  // namespace

Scenarios handle_scenarios() {
  return {{"handle.kinds", kinds}, {"handle.values", values}, {"lifecycle", lifecycle}};
}
