// SPDX-License-Identifier: Apache-2.0 OR MIT
// The HTP options of graphs: which values are taken, when, and what becomes of them.

#include <array>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "HTP/QnnHtpGraph.h"
#include "HTP/QnnHtpProfile.h"
#include "HTP/QnnHtpSystemContext.h"
#include "System/QnnSystemInterface.h"
#include "support/check.hpp"
#include "support/composed.hpp"

namespace {

using Picture = std::array<uint8_t, ConvRelu::bytes>;

constexpr Qnn_ErrorHandle_t kBad = QNN_GRAPH_ERROR_INVALID_ARGUMENT;
constexpr Qnn_ErrorHandle_t kUnsupported = QNN_GRAPH_ERROR_UNSUPPORTED_FEATURE;
constexpr Qnn_ErrorHandle_t kFinal = QNN_GRAPH_ERROR_GRAPH_FINALIZED;

/** HTP options as calls take them: wrapped, behind each other, null at the end. */
class Options {
 public:
  Options(std::initializer_list<QnnHtpGraph_CustomConfig_t> options) : options_(options) {
    configs_.resize(options_.size(), QNN_GRAPH_CONFIG_INIT);
    for (std::size_t index = 0; index < options_.size(); ++index) {
      configs_[index].option = QNN_GRAPH_CONFIG_OPTION_CUSTOM;
      configs_[index].customConfig = &options_[index];
      list_.push_back(&configs_[index]);
    }
    list_.push_back(nullptr);
  }
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;
  const QnnGraph_Config_t** get() { return list_.data(); }

 private:
  std::vector<QnnHtpGraph_CustomConfig_t> options_;
  std::vector<QnnGraph_Config_t> configs_;
  std::vector<const QnnGraph_Config_t*> list_;
};

QnnHtpGraph_CustomConfig_t option(QnnHtpGraph_ConfigOption_t which) {
  QnnHtpGraph_CustomConfig_t made = QNN_HTP_GRAPH_CUSTOM_CONFIG_INIT;
  made.option = which;
  return made;
}

QnnHtpGraph_CustomConfig_t threads(uint64_t count) {
  QnnHtpGraph_CustomConfig_t made = option(QNN_HTP_GRAPH_CONFIG_OPTION_NUM_HVX_THREADS);
  made.numHvxThreads = count;
  return made;
}

QnnHtpGraph_CustomConfig_t vtcm_mb(uint32_t size) {
  QnnHtpGraph_CustomConfig_t made = option(QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE_IN_MB);
  made.vtcmSizeInMB = size;
  return made;
}

QnnHtpGraph_CustomConfig_t vtcm_bytes(uint32_t size) {
  QnnHtpGraph_CustomConfig_t made = option(QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE_IN_BYTES);
  made.vtcmSizeInBytes = size;
  return made;
}

QnnHtpGraph_CustomConfig_t optimization(uint32_t type, float value) {
  QnnHtpGraph_CustomConfig_t made = option(QNN_HTP_GRAPH_CONFIG_OPTION_OPTIMIZATION);
  made.optimizationOption.type = static_cast<QnnHtpGraph_OptimizationType_t>(type);
  made.optimizationOption.floatValue = value;
  return made;
}

QnnHtpGraph_CustomConfig_t level(float value) {
  return optimization(QNN_HTP_GRAPH_OPTIMIZATION_TYPE_FINALIZE_OPTIMIZATION_FLAG, value);
}

/** Opens the virtual device with this hardware. */
void configure(uint32_t arch, uint32_t vtcm_mib, uint32_t hvx_units) {
  htp_rt_vdev_config_t config = {};
  config.struct_size = sizeof config;
  config.platform = HTP_RT_PLATFORM_QNX_ADAS;
  config.arch = arch;
  config.vtcm_mib = vtcm_mib;
  config.hvx_units = hvx_units;
  config.pacing = HTP_RT_PACING_FREE;
  CHECK_EQ(htp_rt_vdev_configure(&config), QNN_SUCCESS);
}

/** A context in which graphs are created with options. */
struct Creator {
  Session session;
  Qnn_ContextHandle_t context = session.context();
  int count = 0;

  Qnn_ErrorHandle_t operator()(std::initializer_list<QnnHtpGraph_CustomConfig_t> list) {
    Options options(list);
    const std::string name = "graph" + std::to_string(count++);
    return ConvRelu(context, name.c_str(), options.get()).error;
  }
};

Qnn_ErrorHandle_t set(const ConvRelu& net,
                      std::initializer_list<QnnHtpGraph_CustomConfig_t> list) {
  Options options(list);
  return qnn().graphSetConfig(net.graph, options.get());
}

/** What a binary with the one graph of a context says of it. */
QnnHtpSystemContext_GraphBlobInfoV1_t described(Qnn_ContextHandle_t context) {
  Qnn_ContextBinarySize_t size = 0, written = 0;
  CHECK_EQ(qnn().contextGetBinarySize(context, &size), QNN_SUCCESS);
  std::vector<uint8_t> binary(static_cast<std::size_t>(size));
  CHECK_EQ(qnn().contextGetBinary(context, binary.data(), size, &written), QNN_SUCCESS);
  const QnnSystemInterface_t** providers = nullptr;
  uint32_t count = 0;
  QnnSystemInterface_getProviders(&providers, &count);
  const auto& system = providers[0]->QNN_SYSTEM_INTERFACE_VER_NAME;
  QnnSystemContext_Handle_t handle = nullptr;
  CHECK_EQ(system.systemContextCreate(&handle), QNN_SUCCESS);
  const QnnSystemContext_BinaryInfo_t* info = nullptr;
  Qnn_ContextBinarySize_t info_size = 0;
  CHECK_EQ(system.systemContextGetBinaryInfo(handle, binary.data(), size, &info, &info_size),
           QNN_SUCCESS);
  const auto* blob = static_cast<const QnnHtpSystemContext_GraphBlobInfo_t*>(
      info->contextBinaryInfoV3.graphs[0].graphInfoV3.graphBlobInfo);
  const QnnHtpSystemContext_GraphBlobInfoV1_t copy = blob->contextBinaryGraphBlobInfoV1;
  CHECK_EQ(system.systemContextFree(handle), QNN_SUCCESS);
  return copy;
}

/** Executes a graph and gives the HVX threads that the device says it used. */
uint64_t threads_used(const Session& session, ConvRelu& net) {
  Qnn_ProfileHandle_t profile = nullptr;
  CHECK_EQ(qnn().profileCreate(session.backend, QNN_PROFILE_LEVEL_BASIC, &profile), QNN_SUCCESS);
  Picture picture{}, result{};
  CHECK_EQ(net.execute(picture, result, profile), QNN_SUCCESS);
  const QnnProfile_EventId_t* events = nullptr;
  uint32_t count = 0;
  CHECK_EQ(qnn().profileGetEvents(profile, &events, &count), QNN_SUCCESS);
  uint64_t used = 0;
  for (uint32_t index = 0; index < count; ++index) {
    QnnProfile_EventData_t event = QNN_PROFILE_EVENT_DATA_INIT;
    CHECK_EQ(qnn().profileGetEventData(events[index], &event), QNN_SUCCESS);
    if (event.type == QNN_HTP_PROFILE_EVENTTYPE_GRAPH_NUMBER_OF_HVX_THREADS) {
      used = event.value;
    }
  }
  CHECK_EQ(qnn().profileFree(profile), QNN_SUCCESS);
  return used;
}

/** The description of a graph that was created with these options. */
QnnHtpSystemContext_GraphBlobInfoV1_t description(
    const Session& session, std::initializer_list<QnnHtpGraph_CustomConfig_t> list) {
  Options options(list);
  const Qnn_ContextHandle_t context = session.context();
  ConvRelu net(context, "net", options.get());
  net.compose();
  net.finalize();
  CHECK_EQ(net.error, QNN_SUCCESS);
  const QnnHtpSystemContext_GraphBlobInfoV1_t info = described(context);
  CHECK_EQ(qnn().contextFree(context, nullptr), QNN_SUCCESS);
  return info;
}

}  // namespace

// REQ: GRAPH-007, GRAPH-024, GRAPH-025, GRAPH-033, VTCM-001
TEST(a_binary_says_what_was_chosen_and_the_defaults_otherwise) {
  Session session;
  QnnHtpSystemContext_GraphBlobInfoV1_t info = description(session, {});
  CHECK_EQ(info.vtcmSize, 4u << 20);
  CHECK_EQ(info.numHvxThreads, 4);
  CHECK_EQ(info.optimizationLevel, 0);
  CHECK_EQ(info.htpDlbc, 0);
  info = description(session, {vtcm_mb(2), threads(3), level(1.0f)});
  CHECK_EQ(info.vtcmSize, 2u << 20);
  CHECK_EQ(info.numHvxThreads, 3);
  CHECK_EQ(info.optimizationLevel, 1);
}

// REQ: VTCM-002, VTCM-003
TEST(vtcm_is_at_most_what_the_device_has_and_0_is_all_of_it) {
  configure(73, 6, 4);
  Creator create;
  for (const uint32_t size : {0u, 1u, 6u}) {
    CHECK_EQ(create({vtcm_mb(size)}), QNN_SUCCESS);
  }
  for (const uint32_t size : {7u, 8u, 4096u, UINT32_MAX}) {
    CHECK_EQ(create({vtcm_mb(size)}), kBad);
  }
  CHECK_EQ(description(create.session, {vtcm_mb(0)}).vtcmSize, 6u << 20);
}

// REQ: VTCM-004
TEST(vtcm_in_bytes_is_refused_before_v81) {
  configure(79, 8, 8);
  Creator create;
  CHECK_EQ(create({vtcm_bytes(1 << 20)}), kUnsupported);
}

// REQ: VTCM-004, VTCM-005, VTCM-007
TEST(vtcm_in_bytes_comes_in_steps_and_the_last_request_counts) {
  configure(81, 8, 8);
  Creator create;
  CHECK_EQ(create({vtcm_bytes(8323072)}), QNN_SUCCESS);
  for (const uint32_t size : {8323073u, 32768u, 9437184u}) {
    CHECK_EQ(create({vtcm_bytes(size)}), kBad);
  }
  const Session& session = create.session;
  CHECK_EQ(description(session, {vtcm_mb(4), vtcm_bytes(2 << 20)}).vtcmSize, 2u << 20);
  CHECK_EQ(description(session, {vtcm_bytes(2 << 20), vtcm_mb(4)}).vtcmSize, 4u << 20);
  CHECK_EQ(description(session, {vtcm_bytes(0)}).vtcmSize, 8u << 20);
}

// REQ: GRAPH-023
TEST(hvx_threads_are_at_most_the_units_of_the_device) {
  configure(75, 8, 6);
  Creator create;
  for (const uint64_t count : {1u, 6u}) {
    CHECK_EQ(create({threads(count)}), QNN_SUCCESS);
  }
  for (const uint64_t count : {uint64_t{0}, uint64_t{7}, uint64_t{1} << 40}) {
    CHECK_EQ(create({threads(count)}), kBad);
  }
}

// REQ: GRAPH-027, GRAPH-028
TEST(hvx_threads_can_be_changed_until_the_first_execution) {
  Session session;
  ConvRelu net(session.context());
  net.compose();
  CHECK_EQ(set(net, {threads(1)}), QNN_SUCCESS);
  net.finalize();
  CHECK_EQ(set(net, {threads(2)}), QNN_SUCCESS);
  CHECK_EQ(set(net, {threads(5)}), kBad);
  CHECK_EQ(threads_used(session, net), 2);
  CHECK_EQ(set(net, {threads(3)}), QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
  CHECK_EQ(threads_used(session, net), 2);
}

// REQ: GRAPH-011, GRAPH-013, GRAPH-014, GRAPH-015
TEST(compression_can_be_left_off_only) {
  Creator create;
  constexpr uint32_t inputs = QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_DLBC;
  constexpr uint32_t weights = QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_DLBC_WEIGHTS;
  CHECK_EQ(create({optimization(inputs, 0), optimization(weights, 0)}), QNN_SUCCESS);
  for (const uint32_t type : {inputs, weights}) {
    for (const float on : {1.0f, 2.5f}) {
      CHECK_EQ(create({optimization(type, on)}), kUnsupported);
    }
    for (const float nothing : {0.5f, -1.0f, NAN, INFINITY}) {
      CHECK_EQ(create({optimization(type, nothing)}), kBad);
    }
  }
}

// REQ: GRAPH-003, GRAPH-004
TEST(the_precision_changes_nothing) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  QnnHtpGraph_CustomConfig_t half = option(QNN_HTP_GRAPH_CONFIG_OPTION_PRECISION);
  half.precision = QNN_PRECISION_FLOAT16;
  QnnHtpGraph_CustomConfig_t single = half;
  single.precision = QNN_PRECISION_FLOAT32;
  Options none{}, with_half{half}, with_single{single};
  std::vector<float> results;
  for (Options* options : {&none, &with_half, &with_single}) {
    const std::string name = "graph" + std::to_string(results.size());
    Qnn_GraphHandle_t graph = nullptr;
    CHECK_EQ(qnn().graphCreate(context, name.c_str(), options->get(), &graph), QNN_SUCCESS);
    std::array<uint32_t, 1> dims{{1}};
    Qnn_Tensor_t x = u8_tensor("x", QNN_TENSOR_TYPE_APP_WRITE, dims.data(), 1);
    Qnn_Tensor_t y = u8_tensor("y", QNN_TENSOR_TYPE_APP_READ, dims.data(), 1);
    for (Qnn_Tensor_t* tensor : {&x, &y}) {
      tensor->v1.dataType = QNN_DATATYPE_FLOAT_32;
      CHECK_EQ(qnn().tensorCreateGraphTensor(graph, tensor), QNN_SUCCESS);
    }
    std::vector<Qnn_Tensor_t> inputs{x, x}, outputs{y};
    std::vector<Qnn_Param_t> no_params;
    CHECK_EQ(qnn().graphAddNode(graph, make_op("add", QNN_OP_ELEMENT_WISE_ADD, inputs, outputs,
                                               no_params)),
             QNN_SUCCESS);
    CHECK_EQ(qnn().graphFinalize(graph, nullptr, nullptr), QNN_SUCCESS);
    std::array<float, 1> input{{1.1f}}, output{{0.0f}};
    set_data(x, input);
    set_data(y, output);
    CHECK_EQ(qnn().graphExecute(graph, &x, 1, &y, 1, nullptr, nullptr), QNN_SUCCESS);
    results.push_back(output[0]);
  }
  CHECK(results[0] == results[1] && results[1] == results[2] && results[0] != 2.2f);
}

// REQ: GRAPH-010
TEST(values_without_a_meaning_are_refused) {
  Creator create;
  QnnHtpGraph_CustomConfig_t key = option(QNN_HTP_GRAPH_CONFIG_OPTION_FINALIZE_CONFIG);
  key.finalizeConfig.key = "any";
  QnnHtpGraph_CustomConfig_t cores = option(QNN_HTP_GRAPH_CONFIG_OPTION_NUM_CORES);
  cores.numCores = 2;
  for (const QnnHtpGraph_CustomConfig_t& bad :
       {key, cores, level(4), level(-1), level(2.5f), level(NAN), optimization(50, 1),
        optimization(QNN_HTP_GRAPH_OPTIMIZATION_TYPE_FINALIZE_RETRIES, 1),
        optimization(QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_SLC_ALLOCATOR, 2),
        option(QNN_HTP_GRAPH_CONFIG_OPTION_UNKNOWN)}) {
    CHECK_EQ(create({bad}), kBad);
  }
  for (const int unknown : {0, 9, 11, 21, 1000}) {
    CHECK_EQ(create({option(static_cast<QnnHtpGraph_ConfigOption_t>(unknown))}), kUnsupported);
  }
  cores.numCores = 1;
  for (const QnnHtpGraph_CustomConfig_t& good : {cores, level(0), level(1), level(2), level(3)}) {
    CHECK_EQ(create({good}), QNN_SUCCESS);
  }
}

TEST(one_wrong_value_and_nothing_of_a_list_is_taken) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  ConvRelu net(context);
  net.compose();
  CHECK_EQ(set(net, {threads(2), vtcm_mb(100)}), kBad);
  net.finalize();
  CHECK_EQ(described(context).numHvxThreads, 4);
}

// REQ: GRAPH-031, GRAPH-032
TEST(finalization_fixes_what_the_graph_is_made_of) {
  Session session;
  ConvRelu net(session.context());
  net.compose();
  constexpr uint32_t slc = QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_SLC_ALLOCATOR;
  QnnHtpGraph_CustomConfig_t fold =
      option(QNN_HTP_GRAPH_CONFIG_OPTION_FOLD_RELU_ACTIVATION_INTO_CONV_OFF);
  QnnHtpGraph_CustomConfig_t depth =
      option(QNN_HTP_GRAPH_CONFIG_OPTION_SHORT_DEPTH_CONV_ON_HMX_OFF);
  fold.foldReluActivationIntoConvOff = depth.shortDepthConvOnHmxOff = true;
  CHECK_EQ(set(net, {fold, depth, level(3), vtcm_mb(2)}), QNN_SUCCESS);
  net.finalize();
  for (const QnnHtpGraph_CustomConfig_t& fixed :
       {fold, depth, level(3), vtcm_mb(2), optimization(slc, 1)}) {
    CHECK_EQ(set(net, {fixed}), kFinal);
  }
  CHECK_EQ(set(net, {optimization(slc, 0)}), QNN_SUCCESS);
  // Prepared with the allocator, it can be masked and unmasked (C-23).
  Options with_slc{optimization(slc, 1)};
  ConvRelu other(session.context(), "other", with_slc.get());
  other.compose();
  other.finalize();
  for (const float value : {0.0f, 1.0f}) {
    CHECK_EQ(set(other, {optimization(slc, value)}), QNN_SUCCESS);
  }
}

// REQ: GRAPH-005, GRAPH-006, GRAPH-009
TEST(permissions_do_not_change_results) {
  Session session;
  const Qnn_ContextHandle_t context = session.context();
  QnnHtpGraph_CustomConfig_t fold =
      option(QNN_HTP_GRAPH_CONFIG_OPTION_FOLD_RELU_ACTIVATION_INTO_CONV_OFF);
  fold.foldReluActivationIntoConvOff = true;
  std::vector<QnnHtpGraph_CustomConfig_t> list{fold};
  for (int number = QNN_HTP_GRAPH_CONFIG_OPTION_WEIGHTS_PACKING;
       number <= QNN_HTP_GRAPH_CONFIG_OPTION_FP16_CLAMP_OVERFLOW; ++number) {
    list.push_back(option(static_cast<QnnHtpGraph_ConfigOption_t>(number)));
    list.back().weightsPacking = true;
  }
  for (const uint32_t hint : {1u, 6u, 8u, 9u}) {
    list.push_back(optimization(hint, 1));
  }
  const Picture picture{{9, 8, 7, 6, 5, 4, 3, 2, 1, 2, 3, 4, 5, 6, 7, 8}};
  for (const QnnHtpGraph_CustomConfig_t& permission : list) {
    Options options{permission};
    const std::string name = "graph" + std::to_string(&permission - list.data());
    ConvRelu net(context, name.c_str(), options.get());
    net.compose();
    net.finalize();
    Picture input = picture, result{};
    CHECK_EQ(net.execute(input, result), QNN_SUCCESS);
    CHECK(result == ConvRelu::expected(picture));
  }
}
