// SPDX-License-Identifier: Apache-2.0 OR MIT
// Signals: creation, configuration, and the calls that they are given to.

#include "client.hpp"
#include "profile_events.hpp"
#include "scenarios.hpp"

namespace {

using SignalConfigs = ConfigList<QnnSignal_Config_t>;

QnnSignal_Config_t option(int number, std::uint64_t value = 0) {
  QnnSignal_Config_t config{};
  config.option = static_cast<QnnSignal_ConfigOption_t>(number);
  config.timeoutDurationUs = value;
  return config;
}

const QnnSignal_Config_t aborting = option(QNN_SIGNAL_CONFIG_OPTION_ABORT);

QnnSignal_Config_t timeout(std::uint64_t us) {
  return option(QNN_SIGNAL_CONFIG_OPTION_TIMEOUT, us);
}

Qnn_SignalHandle_t make(const Client& client, const QnnSignal_Config_t** config) {
  Qnn_SignalHandle_t made = nullptr;
  client.api.signalCreate(client.backend, config, &made);
  return made;
}

void configure(Report& report, const Client& client, Qnn_SignalHandle_t signal) {
  const Table& api = client.api;
  const auto set = [&](const char* name, Qnn_SignalHandle_t on, const QnnSignal_Config_t& config) {
    report.code(text("signalSetConfig(%s)", name),
                [&] { return api.signalSetConfig(on, SignalConfigs{config}.get()); });
  };
  const auto trigger = [&](const char* name) {
    report.code(text("signalTrigger(%s idle)", name), [&] { return api.signalTrigger(signal); });
  };
  trigger("unconfigured");
  set("ABORT", signal, aborting);
  trigger("ABORT");
  set("TIMEOUT 1s", signal, timeout(1'000'000));
  trigger("TIMEOUT");
  set("TIMEOUT 0", signal, timeout(0));
  set("CUSTOM null", signal, option(QNN_SIGNAL_CONFIG_OPTION_CUSTOM));
  set("option 99", signal, option(99));
  report.code("signalSetConfig(s,null)", [&] { return api.signalSetConfig(signal, nullptr); });
  set("null", nullptr, aborting);
}

void create_configured(Report& report, const Client& client) {
  const auto create = [&](const char* name, const QnnSignal_Config_t** configs) {
    Qnn_SignalHandle_t made = nullptr;
    report.code(text("signalCreate(cfg %s)", name),
                [&] { return client.api.signalCreate(client.backend, configs, &made); });
    if (made != nullptr) {
      client.api.signalFree(made);
    }
  };
  create("ABORT", SignalConfigs{aborting}.get());
  create("TIMEOUT 5s", SignalConfigs{timeout(5'000'000)}.get());
  create("ABORT+TIMEOUT", SignalConfigs{aborting, timeout(5'000'000)}.get());
}

void use(Report& report, const Client& client) {
  AddGraph add(client.api);
  add.build(client.context);
  const Qnn_SignalHandle_t stop = make(client, SignalConfigs{aborting}.get());
  const Qnn_SignalHandle_t late = make(client, SignalConfigs{timeout(5'000'000)}.get());
  const Qnn_SignalHandle_t unset = make(client, nullptr);
  const Qnn_SignalHandle_t soon = make(client, SignalConfigs{timeout(1)}.get());
  if (report.code("finalize with ABORT signal", [&] {
        return client.api.graphFinalize(add.graph, nullptr, stop);
      }) != QNN_SUCCESS) {
    client.api.graphFinalize(add.graph, nullptr, nullptr);
  }
  const auto execute = [&](const char* name, Qnn_SignalHandle_t signal) {
    report.code(text("execute with %s", name), [&] { return add.execute(nullptr, signal); },
                [&] { return add.seen(); });
  };
  execute("ABORT signal (not triggered)", stop);
  execute("TIMEOUT 5s signal", late);
  execute("unconfigured signal", unset);
  report.code("execute with TIMEOUT 1us signal", [&] { return add.execute(nullptr, soon); });
}

void signal(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Table& api = client.api;
  Qnn_SignalHandle_t made = nullptr;
  report.code("signalCreate(b,null,&s)",
              [&] { return api.signalCreate(client.backend, nullptr, &made); });
  report.code("signalCreate(null backend)", [&] {
    Qnn_SignalHandle_t other = nullptr;
    return api.signalCreate(nullptr, nullptr, &other);
  });
  report.code("signalCreate(null out)",
              [&] { return api.signalCreate(client.backend, nullptr, nullptr); });
  configure(report, client, made);
  create_configured(report, client);
  use(report, client);
  report.code("signalFree(s)", [&] { return api.signalFree(made); });
  report.code("signalFree(null)", [&] { return api.signalFree(nullptr); });
}

void free_twice(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Qnn_SignalHandle_t made = make(client, nullptr);
  client.api.signalFree(made);
  report.code("signalFree twice", [&] { return client.api.signalFree(made); });
  report.code("signalTrigger(freed)", [&] { return client.api.signalTrigger(made); });
}

void bogus(Report& report, const Backend& backend, std::uint32_t) {
  const Table& api = backend.api();
  report.code("signalFree(bogus)", [&] { return api.signalFree(bogus_handle()); });
  report.code("signalTrigger(bogus)", [&] { return api.signalTrigger(bogus_handle()); });
}

void after_backend(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  const Qnn_SignalHandle_t made = make(client, nullptr);
  report.code("backendFree with signal alive",
              [&] { return client.api.backendFree(client.backend); });
  report.code("signalFree after backendFree", [&] { return client.api.signalFree(made); });
}

void finalize_timeout(Report& report, const Backend& backend, std::uint32_t) {
  Client client(backend);
  AddGraph add(client.api);
  add.build(client.context);
  const Qnn_SignalHandle_t soon = make(client, SignalConfigs{timeout(1)}.get());
  report.code("finalize with TIMEOUT 1us",
              [&] { return client.api.graphFinalize(add.graph, nullptr, soon); });
  report.code("finalize again without signal",
              [&] { return client.api.graphFinalize(add.graph, nullptr, nullptr); });
}

}  // namespace

Scenarios signal_scenarios() {
  return {{"signal", signal},
          {"signal.doublefree", free_twice},
          {"signal.bogus", bogus},
          {"signal.afterbackend", after_backend},
          {"signal.finalizetimeout", finalize_timeout}};
}
