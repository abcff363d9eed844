// SPDX-License-Identifier: Apache-2.0 OR MIT
// The system interface, and every function of both tables that is not offered.

#pragma once

#include "compositions.hpp"

/** Reads all of a tensor's description. */
inline std::uint64_t walk(const Qnn_Tensor_t& tensor) {
  CHECK_EQ(tensor.version, QNN_TENSOR_VERSION_1);
  std::uint64_t sum = tensor.v1.id + std::strlen(tensor.v1.name);
  for (std::uint32_t axis = 0; axis < tensor.v1.rank; ++axis) {
    sum += tensor.v1.dimensions[axis];
  }
  const Qnn_QuantizeParams_t& quantization = tensor.v1.quantizeParams;
  if (quantization.quantizationEncoding == QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET) {
    const Qnn_AxisScaleOffset_t& axis = quantization.axisScaleOffsetEncoding;
    for (std::uint32_t index = 0; index < axis.numScaleOffsets; ++index) {
      CHECK(axis.scaleOffset[index].scale > 0.0F);
    }
  }
  return sum;
}

/** Reads all of a description. */
inline std::uint64_t walk(const QnnSystemContext_BinaryInfo_t& info) {
  CHECK_EQ(info.version, QNN_SYSTEM_CONTEXT_BINARY_INFO_VERSION_3);
  std::uint64_t sum = 0;
  for (std::uint32_t index = 0; index < info.contextBinaryInfoV3.numGraphs; ++index) {
    const auto& graph = info.contextBinaryInfoV3.graphs[index].graphInfoV3;
    sum += std::strlen(graph.graphName);
    for (std::uint32_t tensor = 0; tensor < graph.numGraphInputs; ++tensor) {
      sum += walk(graph.graphInputs[tensor]);
    }
    for (std::uint32_t tensor = 0; tensor < graph.numGraphOutputs; ++tensor) {
      sum += walk(graph.graphOutputs[tensor]);
    }
  }
  return sum;
}

inline void create_system(Values& values) {
  QnnSystemContext_Handle_t made = nullptr;
  values.keep(systems, SYSTEM(systemContextCreate, &made), made);
}

/** Only handles that were handed out: what another thread reads must not go by a forged one. */
inline void free_system(Values& values) {
  const QnnSystemContext_Handle_t system = values.round.handles.real(values.numbers, systems);
  values.drop(systems, system, SYSTEM(systemContextFree, system));
}

/** Asks for the description of a binary, right or wrong. */
inline Qnn_ErrorHandle_t describe(Values& values, QnnSystemContext_Handle_t system,
                                  const QnnSystemContext_BinaryInfo_t** info) {
  std::vector<std::uint8_t> bytes =
      values.numbers.chance(30) ? digits().network : broken(values);
  Qnn_ContextBinarySize_t size = 0;
  return values.numbers.chance(50)
             ? SYSTEM(systemContextGetBinaryInfo, system, bytes.data(), bytes.size(), info, &size)
             : SYSTEM(systemContextGetMetaData, system, bytes.data(), bytes.size(), info);
}

inline void describe(Values& values) {
  const QnnSystemContext_BinaryInfo_t* info = nullptr;
  if (values.numbers.chance(50)) {
    describe(values, values.pick(systems), &info);
    return;
  }
  QnnSystemContext_Handle_t own = nullptr;
  if (SYSTEM(systemContextCreate, &own) == QNN_SUCCESS) {
    if (describe(values, own, &info) == QNN_SUCCESS) {
      walk(*info);
    }
    CHECK_EQ(SYSTEM(systemContextFree, own), QNN_SUCCESS);
  }
}

/** Where profiling data goes: nowhere, or where it cannot go. */
inline void create_target(Values& values) {
  Numbers& numbers = values.numbers;
  QnnSystemProfile_SerializationTarget_t target;
  std::memset(&target, 0, sizeof target);
  target.type = numbers.chance(90) ? QNN_SYSTEM_PROFILE_SERIALIZATION_TARGET_FILE
                                   : numbers.any_of<QnnSystemProfile_SerializationTargetType_t>();
  target.file = {numbers.chance(95) ? "null" : nullptr, numbers.chance(90) ? "/dev" : "/none"};
  QnnSystemProfile_SerializationTargetConfig_t config;
  std::memset(&config, 0, sizeof config);
  config.type = static_cast<QnnSystemProfile_SerializationTargetConfigType_t>(numbers.number(3));
  if (config.type == QNN_SYSTEM_PROFILE_SERIALIZATION_TARGET_CONFIG_SERIALIZATION_HEADER) {
    config.serializationHeader = {"client", "1 \" \n", numbers.chance(90) ? "" : nullptr};
  }
  QnnSystemProfile_SerializationTargetHandle_t made = nullptr;
  values.keep(targets,
              SYSTEM(systemProfileCreateSerializationTarget, target, &config, numbers.below(2),
                     &made),
              made);
}

/** Events in events, of right and wrong kinds. */
inline void serialize(Values& values) {
  Numbers& numbers = values.numbers;
  std::array<QnnSystemProfile_ProfileEventV1_t, 10> events;
  std::memset(events.data(), 0, sizeof events);
  for (std::size_t index = 0; index < events.size(); ++index) {
    QnnSystemProfile_ProfileEventV1_t& event = events[index];
    event.type = static_cast<QnnSystemProfile_EventDataType_t>(numbers.chance(95) ? 0 : 2);
    event.eventData = {numbers.number(), numbers.number(), numbers.next(),
                       numbers.chance(90) ? "\x01 event" : nullptr};
    if (numbers.chance(30)) {
      event.type = QNN_SYSTEM_PROFILE_EXTENDED_EVENT_DATA;
      event.extendedEventData = QNN_PROFILE_EXTENDED_EVENT_DATA_INIT;
      event.extendedEventData.v1.value.dataType = values.data_type();
    }
    if (index + 1 < events.size() && numbers.chance(50)) {
      event.profileSubEventData = &events[index + 1];
      event.numSubEvents = 1;
    }
  }
  QnnSystemProfile_ProfileData_t data;
  std::memset(&data, 0, sizeof data);
  data.version = numbers.chance(95) ? QNN_SYSTEM_PROFILE_DATA_VERSION_1
                                    : numbers.any_of<QnnSystemProfile_ProfileDataVersion_t>();
  data.v1.header.graphName = numbers.chance(90) ? "digits" : nullptr;
  data.v1.profilingEvents = events.data();
  data.v1.numProfilingEvents = numbers.below(events.size() + 1);
  std::array<const QnnSystemProfile_ProfileData_t*, 2> list{
      {&data, numbers.chance(90) ? &data : nullptr}};
  SYSTEM(systemProfileSerializeEventData, values.pick(targets), list.data(), numbers.below(3));
}

inline void free_target(Values& values) {
  const QnnSystemProfile_SerializationTargetHandle_t target = values.pick(targets);
  values.drop(targets, target, SYSTEM(systemProfileFreeSerializationTarget, target));
}

inline void profile_into_files(Values& values) {
  create_target(values);
  serialize(values);
  free_target(values);
}

inline void measure(Values& values) {
  Qnn_Tensor_t tensor = values.any_tensor();
  tensor.v1.rank %= static_cast<std::uint32_t>(values.dims.size() + 1);
  std::uint64_t bytes = 0;
  SYSTEM(systemTensorGetMemoryFootprint, tensor, values.numbers.chance(95) ? &bytes : nullptr);
}

/** An argument of any type: numbers, zeros to point to, nothing. */
template <typename Argument>
class Anything {
 public:
  explicit Anything(Values& values) { fill(values, std::is_pointer<Argument>()); }
  Argument get() const { return value_; }

 private:
  void fill(Values& values, std::true_type) {
    void* pointer = values.numbers.chance(50) ? zeros_.data() : nullptr;
    // Most pointers to nothing in particular are handles.
    if (std::is_same<Argument, void*>() && values.numbers.chance(70)) {
      pointer = values.pick(static_cast<Kind>(values.numbers.below(kinds)));
    }
    std::memcpy(&value_, &pointer, sizeof value_);
  }
  void fill(Values& values, std::false_type) {
    std::memset(&value_, 0, sizeof value_);
    const std::uint32_t number = values.numbers.number();
    std::memcpy(&value_, &number, std::min(sizeof value_, sizeof number));
  }

  alignas(16) std::array<std::uint8_t, 512> zeros_{};
  Argument value_;
};

/** Calls a function with anything. */
template <typename... Arguments>
Qnn_ErrorHandle_t with_anything(Values& values, Qnn_ErrorHandle_t (*function)(Arguments...)) {
  return function(Anything<Arguments>(values).get()...);
}

// A function of a table that answers that it is not offered, whatever it is given.
#define NOT_OFFERED(library, table, function) \
  CHECK(COUNTED(library, #function, with_anything(values, (table).function)) != QNN_SUCCESS)
#define NO_QNN(function) NOT_OFFERED("qnn, not offered", qnn(), function)
#define NO_SYSTEM(function) NOT_OFFERED("system, not offered", qnn_system(), systemDlc##function)

inline void not_offered(Values& values) {
  NO_QNN(backendRegisterOpPackage); NO_QNN(backendRegisterOpPackageFromBinary);
  NO_QNN(backendGetProperty); NO_QNN(contextAddToDlc); NO_QNN(contextGetProperty);
  NO_QNN(contextCreateFromBinaryWithCallback);
  NO_QNN(contextGetBinarySectionSize); NO_QNN(contextGetBinarySection);
  NO_QNN(contextApplyBinarySection); NO_QNN(contextGetBinarySectionUpdate);
  NO_QNN(contextFreeBinarySectionUpdate); NO_QNN(contextGetIncrementalBinary);
  NO_QNN(contextReleaseIncrementalBinary); NO_QNN(contextFinalize); NO_QNN(errorGetVerboseMessage);
  NO_QNN(errorFreeVerboseMessage); NO_QNN(graphCreateSubgraph); NO_QNN(graphFreeValidationResult);
  NO_QNN(graphPrepareExecutionEnvironment); NO_QNN(graphReleaseExecutionEnvironment);
  NO_QNN(graphGetProperty); NO_QNN(graphValidate); NO_QNN(tensorUpdateContextTensors);
}

inline void not_offered_by_system(Values& values) {
  NO_SYSTEM(CreateFromFile); NO_SYSTEM(CreateFromBinary); NO_SYSTEM(ComposeGraphs);
  NO_SYSTEM(GetOpMappings); NO_SYSTEM(Free); NO_SYSTEM(GetRecordByName);
  NO_SYSTEM(GetRecordsByType); NO_SYSTEM(GetRecordDataSize); NO_SYSTEM(FreeRecord);
  NO_SYSTEM(ReadRecordDataMemoryMapped); NO_SYSTEM(Save); NO_SYSTEM(GetBinarySize);
  NO_SYSTEM(CreateFromFileWithDestinationDir); NO_SYSTEM(CreateFromBinaryWithDestinationDir);
  NO_SYSTEM(GetBinary); NO_SYSTEM(CreateWithDestinationDir); NO_SYSTEM(FreeRecordRange);
  NO_SYSTEM(GetComposableGraphInfoHandles); NO_SYSTEM(GetContextBinaryInfoHandles);
  NO_SYSTEM(GetComposableGraphInfo); NO_SYSTEM(GetContextBinaryInfo);
  NO_SYSTEM(GetComposableGraphInfoGraphName); NO_SYSTEM(GetComposableGraphInfoNumInputTensors);
  NO_SYSTEM(GetComposableGraphInfoNumOutputTensors); NO_SYSTEM(GetGraphInfoInputTensorInfo);
  NO_SYSTEM(GetGraphInfoOutputTensorInfo); NO_SYSTEM(GetTensorInfoName);
  NO_SYSTEM(GetTensorInfoId); NO_SYSTEM(GetTensorInfoType); NO_SYSTEM(GetTensorInfoDataFormat);
  NO_SYSTEM(GetTensorInfoDataType); NO_SYSTEM(GetTensorInfoRank);
  NO_SYSTEM(GetTensorInfoDimensions); NO_SYSTEM(GetTensorInfoQuantParams);
}

inline void not_offered_of_quantization(Values& values) {
  NO_SYSTEM(GetQuantParamsEncodingDefinition); NO_SYSTEM(GetQuantParamsEncoding);
  NO_SYSTEM(GetQuantParamsScaleOffsetScale); NO_SYSTEM(GetQuantParamsScaleOffsetOffset);
  NO_SYSTEM(GetQuantParamsBwScaleOffsetBitwidth); NO_SYSTEM(GetQuantParamsBwScaleOffsetScale);
  NO_SYSTEM(GetQuantParamsBwScaleOffsetOffset); NO_SYSTEM(GetQuantParamsAxisScaleOffsetAxis);
  NO_SYSTEM(GetQuantParamsAxisScaleOffsetNumScaleOffsets);
  NO_SYSTEM(GetQuantParamsAxisScaleOffsetScaleAtIndex);
  NO_SYSTEM(GetQuantParamsAxisScaleOffsetOffsetAtIndex);
  NO_SYSTEM(GetQuantParamsBwAxisScaleOffsetBitwidth);
  NO_SYSTEM(GetQuantParamsBwAxisScaleOffsetAxis);
  NO_SYSTEM(GetQuantParamsBwAxisScaleOffsetNumElements);
  NO_SYSTEM(GetQuantParamsBwAxisScaleOffsetScaleAtIndex);
  NO_SYSTEM(GetQuantParamsBwAxisScaleOffsetOffsetAtIndex);
}

inline void not_offered_of_binaries(Values& values) {
  NO_SYSTEM(GetContextBinaryInfoBackendId); NO_SYSTEM(GetContextBinaryInfoBuildId);
  NO_SYSTEM(GetContextBinaryInfoCoreApiVersion); NO_SYSTEM(GetContextBinaryInfoBackendApiVersion);
  NO_SYSTEM(GetContextBinaryInfoSocVersion); NO_SYSTEM(GetContextBinaryInfoHwInfoBlobVersion);
  NO_SYSTEM(GetContextBinaryInfoContextBlobVersion); NO_SYSTEM(GetContextBinaryInfoHwInfoBlobSize);
  NO_SYSTEM(GetContextBinaryInfoHwInfoBlob); NO_SYSTEM(GetContextBinaryInfoContextBlobSize);
  NO_SYSTEM(GetContextBinaryInfoNumContextTensors);
  NO_SYSTEM(GetContextBinaryInfoContextTensorInfo); NO_SYSTEM(GetContextBinaryInfoNumGraphs);
  NO_SYSTEM(GetContextGraphInfoHandle); NO_SYSTEM(GetContextBinaryInfoSocModel);
  NO_SYSTEM(GetContextBinaryInfoContextMetadataSize);
  NO_SYSTEM(GetContextBinaryInfoContextMetadata); NO_SYSTEM(GetContextGraphInfoGraphName);
  NO_SYSTEM(GetContextGraphInfoNumInputTensors); NO_SYSTEM(GetContextGraphInfoNumOutputTensors);
  NO_SYSTEM(GetContextGraphInfoNumUpdateableTensors);
  NO_SYSTEM(GetContextGraphInfoGraphBlobInfoSize); NO_SYSTEM(GetContextGraphInfoGraphBlobInfo);
  NO_SYSTEM(GetContextGraphInfoStartOpIndex); NO_SYSTEM(GetContextGraphInfoEndOpIndex);
  NO_SYSTEM(GetContextGraphInfoInputTensorInfo); NO_SYSTEM(GetContextGraphInfoOutputTensorInfo);
  NO_SYSTEM(GetContextGraphInfoUpdateableTensorInfo);
}

#undef NO_SYSTEM
#undef NO_QNN
#undef NOT_OFFERED
