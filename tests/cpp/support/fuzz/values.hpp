// SPDX-License-Identifier: Apache-2.0 OR MIT
// What a client that calls at random passes: handles, tensors, parameters, each possibly wrong.

#pragma once

#include "round.hpp"

/** Makes arguments. What they point to stays readable until the next ones are made. */
class Values {
 public:
  explicit Values(std::uint64_t seed) : numbers(seed) {}

  void* pick(Kind kind) { return round.handles.pick(numbers, kind); }
  /** Often a graph that can be executed. */
  Qnn_GraphHandle_t graph() {
    return numbers.chance(60) ? round.ready.pick(numbers).graph : pick(graphs);
  }
  void* seldom(Kind kind) { return numbers.chance(15) ? pick(kind) : nullptr; }

  /** Remembers a new handle; a refused call leaves none. */
  void keep(Kind kind, Qnn_ErrorHandle_t code, void* const& handle) {
    CHECK((code == QNN_SUCCESS) == (handle != nullptr));
    if (code == QNN_SUCCESS) {
      round.handles.add(kind, handle);
    }
  }

  /** Remembers that a handle was freed, or was free. */
  void drop(Kind kind, void* handle, Qnn_ErrorHandle_t code) {
    static constexpr std::array<Qnn_ErrorHandle_t, kinds> invalid{
        {QNN_CONTEXT_ERROR_INVALID_HANDLE, QNN_GRAPH_ERROR_INVALID_HANDLE,
         QNN_BACKEND_ERROR_INVALID_HANDLE, QNN_DEVICE_ERROR_INVALID_HANDLE,
         QNN_PROFILE_ERROR_INVALID_HANDLE, QNN_SIGNAL_ERROR_INVALID_HANDLE,
         QNN_LOG_ERROR_INVALID_HANDLE, QNN_MEM_ERROR_INVALID_HANDLE,
         QNN_SYSTEM_CONTEXT_ERROR_INVALID_HANDLE, QNN_SYSTEM_PROFILE_ERROR_INVALID_HANDLE}};
    if (code == QNN_SUCCESS || code == invalid[kind]) {
      round.handles.retire(kind, handle);
    }
  }

  /** What a client does when a call on a context said that the device was restarted, or is lost. */
  void recover(Qnn_ContextHandle_t context, Qnn_ErrorHandle_t code) {
    if ((code == QNN_COMMON_ERROR_SYSTEM_COMMUNICATION && numbers.chance(60)) ||
        (code == QNN_COMMON_ERROR_SYSTEM_COMMUNICATION_FATAL && numbers.chance(20))) {
      drop(contexts, context, QNN(contextFree, context, nullptr));
    }
  }

  /** The same tensor as the other version of the struct has it. */
  static Qnn_Tensor_t second_version(const Qnn_Tensor_t& first) {
    Qnn_Tensor_t made = QNN_TENSOR_INIT;
    made.version = QNN_TENSOR_VERSION_2;
    made.v2 = QNN_TENSOR_V2_INIT;
    made.v2.id = first.v1.id;
    made.v2.name = first.v1.name;
    made.v2.type = first.v1.type;
    made.v2.dataFormat = first.v1.dataFormat;
    made.v2.dataType = first.v1.dataType;
    made.v2.quantizeParams = first.v1.quantizeParams;
    made.v2.rank = first.v1.rank;
    made.v2.dimensions = first.v1.dimensions;
    made.v2.memType = first.v1.memType;
    made.v2.clientBuf = first.v1.clientBuf;
    return made;
  }

  /** Makes one field wrong; memory that is pointed to stays readable. */
  void spoil(Qnn_Tensor_t& tensor) {
    // Both versions begin with the same fields.
    switch (numbers.below(11)) {
      case 0: tensor.version = numbers.any_of<Qnn_TensorVersion_t>(); break;
      case 1: tensor.v1.id = numbers.number(); break;
      case 2: tensor.v1.dimensions = nullptr; break;
      case 3: tensor.v1.dimensions = dims.data(); tensor.v1.rank = numbers.below(9); break;
      case 4: tensor.v1.type = numbers.any_of<Qnn_TensorType_t>(); break;
      case 5: tensor.v1.dataType = data_type(); break;
      case 6: tensor.v1.clientBuf.dataSize = numbers.below(10); break;
      case 7:
        tensor.v1.memType = QNN_TENSORMEMTYPE_MEMHANDLE;
        tensor.v1.memHandle = pick(memories);
        break;
      case 8: tensor.v1.dataFormat = numbers.number(); break;
      case 9: tensor.v1.memType = numbers.any_of<Qnn_TensorMemType_t>(); break;
      default: tensor.v1.clientBuf.data = nullptr; break;
    }
  }

  Qnn_DataType_t data_type() {
    static constexpr std::array<Qnn_DataType_t, 14> known{
        {QNN_DATATYPE_UFIXED_POINT_8, QNN_DATATYPE_SFIXED_POINT_8, QNN_DATATYPE_UFIXED_POINT_16,
         QNN_DATATYPE_SFIXED_POINT_16, QNN_DATATYPE_SFIXED_POINT_32, QNN_DATATYPE_FLOAT_16,
         QNN_DATATYPE_FLOAT_32, QNN_DATATYPE_INT_8, QNN_DATATYPE_INT_32, QNN_DATATYPE_INT_64,
         QNN_DATATYPE_UINT_8, QNN_DATATYPE_UINT_32, QNN_DATATYPE_BOOL_8, QNN_DATATYPE_BFLOAT_16}};
    return numbers.chance(95) ? numbers.one_of(known) : numbers.any_of<Qnn_DataType_t>();
  }

  void quantize(Qnn_QuantizeParams_t& quantization) {
    if (numbers.chance(20)) {
      quantization.quantizationEncoding = QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET;
      quantization.axisScaleOffsetEncoding.axis = static_cast<std::int32_t>(numbers.below(6)) - 1;
      quantization.axisScaleOffsetEncoding.numScaleOffsets = numbers.below(9);
      quantization.axisScaleOffsetEncoding.scaleOffset = scales.data();
    } else if (numbers.chance(10)) {
      quantization.scaleOffsetEncoding.scale = 0.0F;
    } else if (numbers.chance(10)) {
      std::uint32_t bits = static_cast<std::uint32_t>(numbers.next());
      std::memcpy(&quantization.scaleOffsetEncoding.scale, &bits, sizeof bits);
      quantization.scaleOffsetEncoding.offset = static_cast<std::int32_t>(numbers.next());
    } else if (numbers.chance(5)) {
      // Not an encoding that has pointers.
      quantization.quantizationEncoding = QNN_QUANTIZATION_ENCODING_BW_SCALE_OFFSET;
    }
  }

  /** A tensor with nothing certain about it. */
  Qnn_Tensor_t any_tensor() {
    for (std::uint32_t& dim : dims) {
      dim = numbers.chance(98) ? numbers.below(5) : static_cast<std::uint32_t>(numbers.next());
    }
    for (Qnn_ScaleOffset_t& scale : scales) {
      scale = {numbers.chance(95) ? 0.5F : 0.0F, 0};
    }
    Qnn_Tensor_t tensor = u8_tensor(numbers.chance(90) ? "t" : nullptr,
                                    numbers.any_of<Qnn_TensorType_t>(), dims.data(),
                                    numbers.chance(90) ? numbers.below(7) : numbers.number());
    tensor.v1.id = numbers.number();
    tensor.v1.clientBuf = {data.data(), numbers.below(data.size() + 1)};
    quantize(tensor.v1.quantizeParams);
    if (numbers.chance(50)) {
      tensor.v1.dataType = data_type();
    }
    if (numbers.chance(30)) {
      tensor = second_version(tensor);
      tensor.v2.isDynamicDimensions = numbers.chance(20) ? data.data() : nullptr;
    }
    if (numbers.chance(20)) {
      spoil(tensor);
    }
    return tensor;
  }

  Qnn_Param_t any_param() {
    static const std::array<const char*, 9> names{
        {"stride", "pad_amount", "axis", "group", "min_value", "max_value", "filter_size", "perm",
         nullptr}};
    Qnn_Param_t param = QNN_PARAM_INIT;
    param.name = numbers.one_of(names);
    param.paramType =
        numbers.chance(95) ? QNN_PARAMTYPE_SCALAR : numbers.any_of<Qnn_ParamType_t>();
    if (numbers.chance(40)) {
      param.paramType = QNN_PARAMTYPE_TENSOR;
      param.tensorParam = any_tensor();
    } else {
      param.scalarParam.dataType = numbers.chance(50) ? QNN_DATATYPE_UINT_32 : data_type();
      param.scalarParam.uint64Value = numbers.next() >> numbers.below(64);
    }
    return param;
  }

  Numbers numbers;
  Round& round = *shared_round();
  std::array<std::uint32_t, 9> dims{};
  std::array<std::uint8_t, 256> data{};
  std::array<Qnn_ScaleOffset_t, 9> scales{};
};

// A call at random; what callbacks make too.
void any_call(Values& values);
