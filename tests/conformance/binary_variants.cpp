// SPDX-License-Identifier: Apache-2.0 OR MIT
// Other ways to load a context binary, and damaged ones.

#include <algorithm>
#include <atomic>

#include "binary_support.hpp"
#include "scenarios.hpp"

namespace {

QnnSignal_Config_t timeout(std::uint64_t us) {
  QnnSignal_Config_t config{};
  config.option = QNN_SIGNAL_CONFIG_OPTION_TIMEOUT;
  config.timeoutDurationUs = us;
  return config;
}

void with_signal(Report& report, const Backend& backend, std::uint32_t) {
  BinaryClient client(backend);
  const Table& api = client.api;
  const auto load = [&](const char* name, Qnn_SignalHandle_t signal) {
    Qnn_ContextHandle_t made = nullptr;
    const Qnn_ErrorHandle_t code =
        report.code(text("createFromBinaryWithSignal(%s)", name), [&] {
          return api.contextCreateFromBinaryWithSignal(client.backend, client.device, nullptr,
                                                       client.binary.data(), client.binary.size(),
                                                       &made, nullptr, signal);
        });
    if (code == QNN_SUCCESS) {
      api.contextFree(made, nullptr);
    }
  };
  load("null signal", nullptr);
  QnnSignal_Config_t abort{};
  abort.option = QNN_SIGNAL_CONFIG_OPTION_ABORT;
  const struct {
    const char* name;
    QnnSignal_Config_t config;
  } kinds[] = {{"ABORT signal", abort},
               {"TIMEOUT 1us", timeout(1)},
               {"TIMEOUT 5s", timeout(5'000'000)}};
  for (const auto& kind : kinds) {
    Qnn_SignalHandle_t signal = nullptr;
    api.signalCreate(client.backend, ConfigList<QnnSignal_Config_t>{kind.config}.get(), &signal);
    load(kind.name, signal);
  }
  Qnn_SignalHandle_t unset = nullptr;
  api.signalCreate(client.backend, nullptr, &unset);
  load("unconfigured signal", unset);
}

std::atomic<int> notified{0};

void on_created(Qnn_ContextHandle_t, Qnn_GraphHandle_t, const char*,
                QnnContext_createFromBinaryAsyncNotifyType_t, void*, Qnn_ErrorHandle_t) {
  ++notified;
}

void list_async(Report& report, const Backend& backend, std::uint32_t) {
  BinaryClient client(backend);
  const auto params = [&](std::size_t size) {
    return QnnContext_Params_t{
        QNN_CONTEXT_PARAMS_VERSION_1,
        {{nullptr, client.binary.data(), size, nullptr, on_created, nullptr}}};
  };
  const QnnContext_Params_t whole = params(client.binary.size());
  const QnnContext_Params_t half = params(client.binary.size() / 2);
  const auto load = [&](const char* name, const QnnContext_Params_t** list) {
    report.code(text("createFromBinaryListAsync(%s)", name), [&] {
      return client.api.contextCreateFromBinaryListAsync(client.backend, client.device, list,
                                                         nullptr, nullptr);
    });
  };
  const QnnContext_Params_t* one[] = {&whole, nullptr};
  const QnnContext_Params_t* two[] = {&whole, &whole, nullptr};
  const QnnContext_Params_t* truncated[] = {&half, nullptr};
  const QnnContext_Params_t* empty[] = {nullptr};
  load("1", one);
  load("2", two);
  notified = 0;
  load("truncated binary", truncated);
  report.word("truncated callback", notified == 0 ? "none" : "heard");
  load("null list", nullptr);
  load("empty list", empty);
}

struct Calls {
  int provided = 0;
  int released = 0;
  std::string seen() const { return text("%d/%d", provided, released); }
};

Qnn_ErrorHandle_t provide_raw(Qnn_ContextBinaryDataRequest_t, Qnn_ContextBinaryRawDataResponse_t*,
                              void* calls) {
  ++static_cast<Calls*>(calls)->provided;
  return QNN_CONTEXT_ERROR_INVALID_ARGUMENT;
}

Qnn_ErrorHandle_t release_raw(Qnn_ContextBinaryRawDataMem_t, void* calls) {
  ++static_cast<Calls*>(calls)->released;
  return QNN_SUCCESS;
}

Qnn_ErrorHandle_t provide_dma(Qnn_ContextBinaryDataRequest_t, Qnn_ContextBinaryDmaDataResponse_t*,
                              void* calls) {
  ++static_cast<Calls*>(calls)->provided;
  return QNN_CONTEXT_ERROR_INVALID_ARGUMENT;
}

Qnn_ErrorHandle_t release_dma(Qnn_ContextBinaryDmaDataMem_t, void* calls) {
  ++static_cast<Calls*>(calls)->released;
  return QNN_SUCCESS;
}

void with_callback(Report& report, const Backend& backend, std::uint32_t) {
  BinaryClient client(backend);
  const auto load = [&](const char* name, const Qnn_ContextBinaryCallback_t* callback) {
    Qnn_ContextHandle_t made = nullptr;
    report.code(text("createFromBinaryWithCallback(%s)", name), [&] {
      return client.api.contextCreateFromBinaryWithCallback(
          client.backend, client.device, nullptr, callback, client.binary.data(),
          client.binary.size(), &made, nullptr, nullptr);
    });
  };
  Calls calls;
  Qnn_ContextBinaryCallback_t raw{};
  raw.type = QNN_CONTEXT_CALLBACK_RAW_BUFFER;
  raw.rawBufferCallback.version = QNN_CONTEXT_CALLBACK_RAW_BUFFER_VERSION_1;
  raw.rawBufferCallback.v1 = {provide_raw, release_raw, &calls};
  load("raw", &raw);
  report.word("provider/release calls", calls.seen());
  load("null callback", nullptr);
  calls = Calls();
  Qnn_ContextBinaryCallback_t dma{};
  dma.type = QNN_CONTEXT_CALLBACK_DMA_BUFFER;
  dma.dmaBufferCallback.version = QNN_CONTEXT_CALLBACK_DMA_BUFFER_VERSION_1;
  dma.dmaBufferCallback.v1 = {provide_dma, release_dma, &calls};
  load("dma", &dma);
  report.word("dma provider/release calls", calls.seen());
}

/** How a binary is damaged: cut, one byte inverted, or overwritten. */
struct Damage {
  const char* name;
  Bytes (*done)(Bytes, double);
  double amount;
};

Bytes cut_to_bytes(Bytes bytes, double count) {
  bytes.resize(static_cast<std::size_t>(count));
  return bytes;
}

Bytes cut_to_percent(Bytes bytes, double percent) {
  const double kept = static_cast<double>(bytes.size()) * percent / 100;
  return cut_to_bytes(std::move(bytes), std::max(kept, 1.0));
}

Bytes cut_last(Bytes bytes, double) {
  bytes.pop_back();
  return bytes;
}

Bytes invert_at(Bytes bytes, double at) {
  std::uint8_t& byte = bytes[static_cast<std::size_t>(at)];
  byte = static_cast<std::uint8_t>(~byte);
  return bytes;
}

Bytes invert_at_percent(Bytes bytes, double percent) {
  const double at = static_cast<double>(bytes.size()) * percent / 100;
  return invert_at(std::move(bytes), at);
}

Bytes invert_last(Bytes bytes, double) {
  const double last = static_cast<double>(bytes.size() - 1);
  return invert_at(std::move(bytes), last);
}

Bytes zeros(Bytes bytes, double) { return Bytes(bytes.size()); }

Bytes noise(Bytes bytes, double) {
  std::uint32_t state = 12345;
  for (std::uint8_t& byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

Bytes overwrite_second_half(Bytes bytes, double) {
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 2), bytes.end(),
            std::uint8_t{0xFF});
  return bytes;
}

const Damage damages[] = {
    {"size 1", cut_to_bytes, 1},
    {"truncated to 0.01%", cut_to_percent, 0.01},
    {"truncated to 1.00%", cut_to_percent, 1},
    {"truncated to 10.00%", cut_to_percent, 10},
    {"truncated to 25.00%", cut_to_percent, 25},
    {"truncated to 50.00%", cut_to_percent, 50},
    {"truncated to 90.00%", cut_to_percent, 90},
    {"truncated by 1 byte", cut_last, 0},
    {"byte 0 inverted", invert_at, 0},
    {"byte 1 inverted", invert_at, 1},
    {"byte 2 inverted", invert_at, 2},
    {"byte 3 inverted", invert_at, 3},
    {"byte 4 inverted", invert_at, 4},
    {"byte 8 inverted", invert_at, 8},
    {"byte 12 inverted", invert_at, 12},
    {"byte 16 inverted", invert_at, 16},
    {"byte 20 inverted", invert_at, 20},
    {"byte 24 inverted", invert_at, 24},
    {"byte 32 inverted", invert_at, 32},
    {"byte 48 inverted", invert_at, 48},
    {"byte 64 inverted", invert_at, 64},
    {"byte 100 inverted", invert_at, 100},
    {"byte 200 inverted", invert_at, 200},
    {"byte 400 inverted", invert_at, 400},
    {"byte at 25% inverted", invert_at_percent, 25},
    {"byte at 50% inverted", invert_at_percent, 50},
    {"last byte inverted", invert_last, 0},
    {"all zeros", zeros, 0},
    {"pseudo-random bytes", noise, 0},
    {"second half 0xff", overwrite_second_half, 0},
};

void corrupt(Report& report, const Backend& backend, std::uint32_t number) {
  BinaryClient client(backend);
  const Table& api = client.api;
  const Damage& damage = damages[number];
  Bytes bytes = damage.done(client.binary, damage.amount);
  const std::string name = damage.name;
  Qnn_ContextHandle_t made = nullptr;
  if (report.code("createFromBinary(" + name + ")", [&] { return client.load(bytes, &made); }) ==
      QNN_SUCCESS) {
    AddGraph add(api);
    add.in = client.add.in;
    add.out = client.add.out;
    report.code(name + ": graphRetrieve",
                [&] { return api.graphRetrieve(made, "add", &add.graph); });
    report.code(name + ": execute", [&] { return add.execute(); }, [&] {
      return add.y == std::vector<std::uint8_t>(add_bytes, 30) ? "output correct" : "output wrong";
    });
  }
  const SystemTable& system = backend.system();
  QnnSystemContext_Handle_t described = nullptr;
  system.systemContextCreate(&described);
  const QnnSystemContext_BinaryInfo_t* info = nullptr;
  Qnn_ContextBinarySize_t size = 0;
  report.code("system getBinaryInfo(" + name + ")", [&] {
    return system.systemContextGetBinaryInfo(described, bytes.data(), bytes.size(), &info, &size);
  });
  system.systemContextFree(described);
}

}  // namespace

Scenarios binary_variant_scenarios() {
  Scenarios list = {{"binary.signal", with_signal},
                    {"binary.listasync", list_async},
                    {"binary.callback", with_callback}};
  std::uint32_t number = 0;
  for (const Damage& damage : damages) {
    static_cast<void>(damage);
    list.push_back({text("binary.corrupt%02u", number), corrupt, number});
    ++number;
  }
  return list;
}
