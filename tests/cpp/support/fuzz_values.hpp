// SPDX-License-Identifier: Apache-2.0 OR MIT
// What a client that calls at random passes: handles, lists, tensors, each possibly wrong.

#pragma once

#include <atomic>

#include "HTP/QnnHtpDevice.h"
#include "HTP/QnnHtpMem.h"
#include "composed.hpp"
#include "digits.hpp"
#include "fuzz.hpp"

/** What all threads share in one round. */
struct Round {
  Digits digits;
  Handles handles;
  Requests requests;
  std::array<int, 3> files{{-1, -1, -1}};
  std::array<std::atomic<std::uint32_t>, 3> ids{};    // the digit network's tensors
  std::atomic<std::uint64_t> calls{0};
  std::atomic<std::uint64_t> last_request{0};
  std::atomic<Qnn_GraphHandle_t> last_loaded{nullptr};
  bool polled = false;
};

inline Round*& shared_round() {
  static Round* round = nullptr;
  return round;
}

/** Makes arguments. What they point to stays readable until the next ones are made. */
class Values {
 protected:
  explicit Values(std::uint64_t seed) : numbers_(seed) {}

  void* pick(Kind kind) { return shared_round()->handles.pick(numbers_, kind); }
  void* seldom(Kind kind) { return numbers_.chance(15) ? pick(kind) : nullptr; }
  void keep(Kind kind, Qnn_ErrorHandle_t code, void* const& handle) {
    if (code == QNN_SUCCESS) {
      CHECK(handle != nullptr);
      shared_round()->handles.add(kind, handle);
    }
  }
  /** Makes one field wrong; memory that is pointed to stays readable. */
  void spoil(Qnn_Tensor_t& tensor) {
    switch (numbers_.below(9)) {
      case 0: tensor.version = numbers_.any_of<Qnn_TensorVersion_t>(); break;
      case 1: tensor.v1.id = numbers_.number(); break;
      case 2: tensor.v1.rank = numbers_.number(); break;
      case 3: tensor.v1.dimensions = dims_.data(); tensor.v1.rank = numbers_.below(9); break;
      case 4: tensor.v1.type = numbers_.any_of<Qnn_TensorType_t>(); break;
      case 5: tensor.v1.dataType = numbers_.any_of<Qnn_DataType_t>(); break;
      case 6: tensor.v1.clientBuf.dataSize = numbers_.below(10); break;
      case 7:
        tensor.v1.memType = QNN_TENSORMEMTYPE_MEMHANDLE;
        tensor.v1.memHandle = pick(memories);
        break;
      default: tensor.v1.clientBuf.data = nullptr; break;
    }
  }
  void* custom() {
    custom_.fill(0);
    const std::uint32_t option = numbers_.number();
    std::memcpy(custom_.data(), &option, sizeof option);
    custom_[1] = numbers_.below(3);
    return numbers_.chance(95) ? custom_.data() : nullptr;
  }
  /** A list of none to three entries, or none at all. `make` fills one in. */
  template <typename Config, typename Make>
  const Config** list_of(std::array<Config, 3>& storage, std::array<const Config*, 4>& pointers,
                         Make make) {
    if (numbers_.chance(60)) {
      return nullptr;
    }
    const std::uint32_t count = numbers_.below(4);
    pointers.fill(nullptr);
    for (std::uint32_t index = 0; index < count; ++index) {
      storage[index] = make();
      pointers[index] = &storage[index];
    }
    return pointers.data();
  }
  const QnnContext_Config_t** context_list() {
    return list_of(context_storage_, context_pointers_, [this] {
      QnnContext_Config_t config;
      std::memset(&config, 0, sizeof config);
      config.option = numbers_.any_of<QnnContext_ConfigOption_t>();
      if (config.option == QNN_CONTEXT_CONFIG_OPTION_CUSTOM) {
        config.customConfig = custom();
      } else if (numbers_.chance(60)) {
        config = depth_config(numbers_.chance(80) ? numbers_.below(12) : numbers_.below(400));
      } else if (numbers_.chance(60)) {
        config = priority_config(numbers_.one_of(priorities));
      } else if (config.option != QNN_CONTEXT_CONFIG_PERSISTENT_BINARY) {
        config.memoryLimitHint = 0;
      }
      return config;
    });
  }
  const QnnGraph_Config_t** graph_list() {
    return list_of(graph_storage_, graph_pointers_, [this] {
      QnnGraph_Config_t config;
      std::memset(&config, 0, sizeof config);
      config.option = numbers_.any_of<QnnGraph_ConfigOption_t>();
      if (config.option == QNN_GRAPH_CONFIG_OPTION_CUSTOM) {
        config.customConfig = custom();
      } else {
        config.option = numbers_.chance(80) ? QNN_GRAPH_CONFIG_OPTION_PRIORITY : config.option;
        config.priority = numbers_.one_of(priorities);
      }
      return config;
    });
  }
  Qnn_Tensor_t any_tensor() {
    Qnn_Tensor_t tensor = u8_tensor(numbers_.chance(90) ? "t" : nullptr,
                                    numbers_.any_of<Qnn_TensorType_t>(), dims_.data(),
                                    numbers_.chance(90) ? numbers_.below(7) : numbers_.number());
    tensor.v1.id = numbers_.number();
    tensor.v1.clientBuf = {data_.data(), numbers_.below(257)};
    Qnn_QuantizeParams_t& quantization = tensor.v1.quantizeParams;
    if (numbers_.chance(20)) {
      quantization.quantizationEncoding = QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET;
      quantization.axisScaleOffsetEncoding.axis = static_cast<std::int32_t>(numbers_.below(6)) - 1;
      quantization.axisScaleOffsetEncoding.numScaleOffsets = numbers_.below(9);
      quantization.axisScaleOffsetEncoding.scaleOffset = scales_.data();
    } else if (numbers_.chance(10)) {
      quantization.scaleOffsetEncoding.scale = 0.0F;
    }
    for (std::uint32_t& dim : dims_) {
      dim = numbers_.chance(98) ? numbers_.below(5) : static_cast<std::uint32_t>(numbers_.next());
    }
    if (numbers_.chance(30)) {
      spoil(tensor);
      tensor.v1.dimensions = dims_.data();
    }
    return tensor;
  }
  Qnn_Param_t any_param() {
    static const std::array<const char*, 9> names{
        {"stride", "pad_amount", "axis", "group", "min_value", "max_value", "filter_size", "perm",
         nullptr}};
    Qnn_Param_t param = QNN_PARAM_INIT;
    param.name = numbers_.one_of(names);
    param.paramType =
        numbers_.chance(95) ? QNN_PARAMTYPE_SCALAR : numbers_.any_of<Qnn_ParamType_t>();
    if (numbers_.chance(40)) {
      param.paramType = QNN_PARAMTYPE_TENSOR;
      param.tensorParam = any_tensor();
      param.tensorParam.v1.type = QNN_TENSOR_TYPE_STATIC;
      param.tensorParam.v1.dataType = QNN_DATATYPE_UINT_32;
    } else {
      param.scalarParam.dataType = numbers_.chance(50) ? QNN_DATATYPE_UINT_32
                                                       : numbers_.any_of<Qnn_DataType_t>();
      param.scalarParam.uint64Value = numbers_.next() >> numbers_.below(64);
    }
    return param;
  }
  const QnnSignal_Config_t** signal_list() {
    return list_of(signal_storage_, signal_pointers_, [this] {
      QnnSignal_Config_t config = QNN_SIGNAL_CONFIG_INIT;
      config.option = numbers_.any_of<QnnSignal_ConfigOption_t>();
      config.timeoutDurationUs = numbers_.below(5000);
      return config;
    });
  }
  const QnnDevice_Config_t** device_list() {
    return list_of(device_storage_, device_pointers_, [this] {
      QnnDevice_Config_t config;
      std::memset(&config, 0, sizeof config);
      config.option = numbers_.any_of<QnnDevice_ConfigOption_t>();
      if (config.option == QNN_DEVICE_CONFIG_OPTION_CUSTOM) {
        config.customConfig = custom();
      }
      return config;
    });
  }

  static constexpr std::array<Qnn_Priority_t, 6> priorities{
      {QNN_PRIORITY_LOW, QNN_PRIORITY_NORMAL, QNN_PRIORITY_NORMAL_HIGH, QNN_PRIORITY_HIGH,
       QNN_PRIORITY_UNDEFINED, static_cast<Qnn_Priority_t>(77)}};
  Numbers numbers_;
  std::array<std::uint32_t, 8> dims_{};
  std::array<std::uint8_t, 256> data_{};
  std::array<Qnn_ScaleOffset_t, 8> scales_{};
  std::array<std::uint64_t, 32> custom_{};
  std::array<QnnContext_Config_t, 3> context_storage_;
  std::array<const QnnContext_Config_t*, 4> context_pointers_{};
  std::array<QnnGraph_Config_t, 3> graph_storage_;
  std::array<const QnnGraph_Config_t*, 4> graph_pointers_{};
  std::array<QnnSignal_Config_t, 3> signal_storage_;
  std::array<const QnnSignal_Config_t*, 4> signal_pointers_{};
  std::array<QnnDevice_Config_t, 3> device_storage_;
  std::array<const QnnDevice_Config_t*, 4> device_pointers_{};
};
