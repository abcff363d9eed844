// SPDX-License-Identifier: Apache-2.0 OR MIT
// The HTP options of a graph: each of them through a graph's life, and values of some.

#include <functional>

#include "HTP/QnnHtpDevice.h"
#include "HTP/QnnHtpGraph.h"
#include "QnnGraph.h"
#include "client.hpp"
#include "scenarios.hpp"

namespace {

/** An HTP option in its wrapper. Stays where it is. */
struct Custom {
  explicit Custom(std::uint32_t option) {
    custom.option = static_cast<QnnHtpGraph_ConfigOption_t>(option);
    config.option = QNN_GRAPH_CONFIG_OPTION_CUSTOM;
    config.customConfig = &custom;
  }
  Custom(const Custom&) = delete;
  Custom& operator=(const Custom&) = delete;
  const QnnGraph_Config_t** list() { return entries.data(); }

  QnnHtpGraph_CustomConfig_t custom = QNN_HTP_GRAPH_CUSTOM_CONFIG_INIT;
  QnnGraph_Config_t config = QNN_GRAPH_CONFIG_INIT;
  std::array<const QnnGraph_Config_t*, 2> entries = {&config, nullptr};
};

/** A value that the option is usually given. */
void set_usual(QnnHtpGraph_CustomConfig_t& custom) {
  switch (custom.option) {
    case QNN_HTP_GRAPH_CONFIG_OPTION_OPTIMIZATION:
      custom.optimizationOption.type = QNN_HTP_GRAPH_OPTIMIZATION_TYPE_FINALIZE_OPTIMIZATION_FLAG;
      custom.optimizationOption.floatValue = 3.0f;
      break;
    case QNN_HTP_GRAPH_CONFIG_OPTION_PRECISION:
      custom.precision = QNN_PRECISION_FLOAT16;
      break;
    case QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE_IN_MB:
      custom.vtcmSizeInMB = 4;
      break;
    case QNN_HTP_GRAPH_CONFIG_OPTION_NUM_HVX_THREADS:
      custom.numHvxThreads = 4;
      break;
    case QNN_HTP_GRAPH_CONFIG_OPTION_NUM_CORES:
      custom.numCores = 1;
      break;
    case QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE_IN_BYTES:
      custom.vtcmSizeInBytes = 4 << 20;
      break;
    case QNN_HTP_GRAPH_CONFIG_OPTION_FINALIZE_CONFIG:
      custom.finalizeConfig.key = "unknown_key";
      custom.finalizeConfig.value.dataType = QNN_DATATYPE_UINT_32;
      custom.finalizeConfig.value.uint32Value = 1;
      break;
    default:
      custom.foldReluActivationIntoConvOff = true;    // the others are switches
      break;
  }
}

void through_life(Report& report, const Backend& backend, std::uint32_t number) {
  Client client(backend);
  Custom option(number);
  set_usual(option.custom);
  AddGraph add(client.api);
  const auto name = [&](const char* step) { return text("graph HTP option %u: %s", number, step); };
  const auto set = [&] { return client.api.graphSetConfig(add.graph, option.list()); };
  const auto execute = [&] { return add.execute(); };
  const auto seen = [&] { return add.seen(); };
  const auto build = [&] { return add.build(client.context, "add", option.list()); };
  if (report.code(name("create+nodes"), build) != QNN_SUCCESS) {
    return;
  }
  report.code(name("graphSetConfig before finalize"), set);
  report.code(name("finalize"),
              [&] { return client.api.graphFinalize(add.graph, nullptr, nullptr); });
  report.code(name("execute"), execute, seen);
  report.code(name("graphSetConfig after execute"), set);
  report.code(name("execute again"), execute, seen);
}

/** Graphs with one value of one option each. */
class Values {
 public:
  Values(Report& report, const Backend& backend) : report_(report), client_(backend) {}

  void ask(const std::string& what, std::uint32_t option,
           const std::function<void(QnnHtpGraph_CustomConfig_t&)>& set) {
    Custom config(option);
    set(config.custom);
    AddGraph add(client_.api);
    const std::string name = text("graph%d", count_++);
    const auto build = [&] { return add.build(client_.context, name.c_str(), config.list()); };
    if (report_.code(what + ": create+nodes", build) == QNN_SUCCESS) {
      report_.code(what + ": finalize",
                   [&] { return client_.api.graphFinalize(add.graph, nullptr, nullptr); });
    }
  }

 private:
  Report& report_;
  Client client_;
  int count_ = 0;
};

void sizes_and_threads(Values& values) {
  for (const std::uint32_t mib : {0u, 1u, 4u, 8u, 12u, 1000u, 4294967295u}) {
    values.ask(text("VTCM_SIZE_IN_MB %u", mib), QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE_IN_MB,
               [&](auto& custom) { custom.vtcmSizeInMB = mib; });
  }
  for (const std::uint32_t bytes : {0u, 4096u, 1048576u, 8388608u, 9437184u}) {
    values.ask(text("VTCM_SIZE_IN_BYTES %u", bytes),
               QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE_IN_BYTES,
               [&](auto& custom) { custom.vtcmSizeInBytes = bytes; });
  }
  for (const std::uint32_t threads : {0u, 1u, 4u, 6u, 100u}) {
    values.ask(text("NUM_HVX_THREADS %u", threads), QNN_HTP_GRAPH_CONFIG_OPTION_NUM_HVX_THREADS,
               [&](auto& custom) { custom.numHvxThreads = threads; });
  }
}

void optimization(Values& values, const std::string& what, std::uint32_t type, float value) {
  values.ask(what, QNN_HTP_GRAPH_CONFIG_OPTION_OPTIMIZATION, [&](auto& custom) {
    custom.optimizationOption.type = static_cast<QnnHtpGraph_OptimizationType_t>(type);
    custom.optimizationOption.floatValue = value;
  });
}

void values(Report& report, const Backend& backend, std::uint32_t) {
  Values values(report, backend);
  sizes_and_threads(values);
  for (const int flag : {0, 1, 2, 3, 4, -1}) {
    optimization(values, text("FINALIZE_OPTIMIZATION_FLAG %d", flag),
                 QNN_HTP_GRAPH_OPTIMIZATION_TYPE_FINALIZE_OPTIMIZATION_FLAG,
                 static_cast<float>(flag));
  }
  for (const std::uint32_t precision : {0u, 1u, 99u}) {
    values.ask(text("PRECISION %u", precision), QNN_HTP_GRAPH_CONFIG_OPTION_PRECISION,
               [&](auto& custom) { custom.precision = static_cast<Qnn_Precision_t>(precision); });
  }
  for (const std::uint32_t type : {4u, 5u, 6u, 7u, 8u, 9u, 50u}) {
    optimization(values, text("OPTIMIZATION type %u = 1", type), type, 1.0f);
  }
  for (const std::uint32_t cores : {0u, 1u, 2u, 9u}) {
    values.ask(text("NUM_CORES %u", cores), QNN_HTP_GRAPH_CONFIG_OPTION_NUM_CORES,
               [&](auto& custom) { custom.numCores = cores; });
  }
}

Qnn_Tensor_t f32_tensor(const char* name, Qnn_TensorType_t type) {
  Qnn_Tensor_t made = u8_tensor(name, type, 1.0f);
  made.v1.dataType = QNN_DATATYPE_FLOAT_32;
  made.v1.quantizeParams = QNN_QUANTIZE_PARAMS_INIT;
  return made;
}

/** A device of architecture v73. */
Qnn_DeviceHandle_t v73(const Table& api) {
  QnnHtpDevice_CustomConfig_t custom = {};
  custom.option = QNN_HTP_DEVICE_CONFIG_OPTION_ARCH;
  custom.arch.arch = QNN_HTP_DEVICE_ARCH_V73;
  custom.arch.deviceId = 0;
  QnnDevice_Config_t config = QNN_DEVICE_CONFIG_INIT;
  config.option = QNN_DEVICE_CONFIG_OPTION_CUSTOM;
  config.customConfig = &custom;
  const QnnDevice_Config_t* list[] = {&config, nullptr};
  Qnn_DeviceHandle_t device = nullptr;
  api.deviceCreate(nullptr, list, &device);
  return device;
}

/** An addition of 32-bit floats: variant 1 asks for half precision, variant 2 for v73 as well. */
void floats(Report& report, const Backend& backend, std::uint32_t variant) {
  const Table& api = backend.api();
  Qnn_BackendHandle_t handle = nullptr;
  Qnn_DeviceHandle_t device = nullptr;
  Qnn_ContextHandle_t context = nullptr;
  api.backendCreate(nullptr, nullptr, &handle);
  if (variant == 2) {
    device = v73(api);
  } else {
    api.deviceCreate(nullptr, nullptr, &device);
  }
  api.contextCreate(handle, device, nullptr, &context);
  Custom precision(QNN_HTP_GRAPH_CONFIG_OPTION_PRECISION);
  precision.custom.precision = QNN_PRECISION_FLOAT16;
  AddGraph add(api);
  add.in[0] = f32_tensor("in_a", QNN_TENSOR_TYPE_APP_WRITE);
  add.in[1] = f32_tensor("in_b", QNN_TENSOR_TYPE_APP_WRITE);
  add.out = f32_tensor("out", QNN_TENSOR_TYPE_APP_READ);
  const char* const kinds[] = {"no precision config", "PRECISION_FLOAT16",
                               "PRECISION_FLOAT16, ARCH V73"};
  const std::string before = text("fp32 Add, %s: ", kinds[variant]);
  report.code(before + "addNode", [&] {
    return add.build(context, "add", variant == 0 ? nullptr : precision.list());
  });
  report.code(before + "finalize", [&] { return api.graphFinalize(add.graph, nullptr, nullptr); });
  std::vector<float> a(add_bytes, 1.1f);
  std::vector<float> b(add_bytes, 2.2f);
  std::vector<float> y(add_bytes, 0.0f);
  constexpr std::uint32_t bytes = add_bytes * sizeof(float);
  add.in[0].v1.clientBuf = {a.data(), bytes};
  add.in[1].v1.clientBuf = {b.data(), bytes};
  add.out.v1.clientBuf = {y.data(), bytes};
  report.code(
      before + "execute",
      [&] { return api.graphExecute(add.graph, add.in.data(), 2, &add.out, 1, nullptr, nullptr); },
      [&] { return text("out=%f (1.1+2.2)", y[0]); });
}

}  // namespace

Scenarios graph_option_scenarios() {
  Scenarios list;
  constexpr std::uint32_t options = 21;    // one more than there are
  for (std::uint32_t number = 1; number <= options; ++number) {
    list.push_back({text("graph.htpopt%02u", number), through_life, number});
  }
  list.push_back({"graph.htpvalues", values});
  for (const std::uint32_t variant : {0, 1, 2}) {
    list.push_back({text("float%u", variant), floats, variant});
  }
  return list;
}
