// SPDX-License-Identifier: Apache-2.0 OR MIT
// The system library: what it says of a context binary, and of a tensor's size.

#include <algorithm>

#include "HTP/QnnHtpSystemContext.h"
#include "client.hpp"
#include "describe.hpp"
#include "scenarios.hpp"

namespace {

using BinaryInfo = QnnSystemContext_BinaryInfo_t;

/** The binary of a context with one addition. */
std::vector<std::uint8_t> binary_of_add(const Client& client) {
  AddGraph add(client.api);
  add.build_and_finalize(client.context);
  Qnn_ContextBinarySize_t size = 0, written = 0;
  client.api.contextGetBinarySize(client.context, &size);
  std::vector<std::uint8_t> binary(size);
  client.api.contextGetBinary(client.context, binary.data(), size, &written);
  binary.resize(written);
  return binary;
}

std::string tensor(const Qnn_Tensor_t& tensor) {
  const Qnn_TensorV1_t& v = tensor.v1;
  std::string dims;
  for (std::uint32_t axis = 0; axis < v.rank; ++axis) {
    dims += text("%u,", v.dimensions[axis]);
  }
  const Qnn_ScaleOffset_t& quant = v.quantizeParams.scaleOffsetEncoding;
  return text("ver=%d id=%u name=%s type=%d fmt=%u dtype=0x%x rank=%u dims=%s quantDef=%d enc=%d "
              "scale=%g off=%d memType=%d",
              tensor.version, v.id, v.name, v.type, v.dataFormat, v.dataType, v.rank, dims.c_str(),
              v.quantizeParams.encodingDefinition, v.quantizeParams.quantizationEncoding,
              static_cast<double>(quant.scale), quant.offset, v.memType);
}

void describe_graph(Report& report, const QnnSystemContext_GraphInfo_t& graph) {
  report.word("graph0.version", text("%d", graph.version));
  const QnnSystemContext_GraphInfoV3_t& v = graph.graphInfoV3;
  report.word("graph0", text("name=%s in=%u out=%u", v.graphName, v.numGraphInputs,
                             v.numGraphOutputs));
  report.word("graph0.v3", text("updateable=%u blobInfoSize=%u startOp=%u endOp=%u",
                                v.numUpdateableTensors, v.graphBlobInfoSize, v.startOpIndex,
                                v.endOpIndex));
  for (std::uint32_t index = 0; index < v.numGraphInputs; ++index) {
    report.word(text("graph0.in%u", index), tensor(v.graphInputs[index]));
  }
  for (std::uint32_t index = 0; index < v.numGraphOutputs; ++index) {
    report.word(text("graph0.out%u", index), tensor(v.graphOutputs[index]));
  }
  const auto& blob = *static_cast<const QnnHtpSystemContext_GraphBlobInfo_t*>(v.graphBlobInfo);
  report.word("graph0.blobInfo.version", text("%d", blob.version));
  const QnnHtpSystemContext_GraphBlobInfoV1_t& first = blob.contextBinaryGraphBlobInfoV1;
  report.word("graph0.blobInfo",
              text("spillFill=%lu vtcm=%u optLevel=%u htpDlbc=%u hvx=%lu",
                   first.spillFillBufferSize, first.vtcmSize, first.optimizationLevel,
                   first.htpDlbc, first.numHvxThreads));
}

void describe_binary(Report& report, const BinaryInfo& info) {
  const QnnSystemContext_BinaryInfoV3_t& v = info.contextBinaryInfoV3;
  report.word("V3", text("backendId=%u buildId=%s core=%s be=%s soc=%s ctxBlob=%s "
                         "numCtxTensors=%u numGraphs=%u platform=%s metaSize>0:%d socModel=%u",
                         v.backendId, v.buildId, shown(v.coreApiVersion).c_str(),
                         shown(v.backendApiVersion).c_str(), v.socVersion,
                         shown(v.contextBlobVersion).c_str(), v.numContextTensors, v.numGraphs,
                         v.platformInfo == nullptr ? "null" : "nonnull",
                         v.contextMetadataSize > 0, v.socModel));
  if (v.platformInfo != nullptr) {
    describe_platform(report, "V3.platformInfo", *v.platformInfo);
  }
  describe_graph(report, v.graphs[0]);
}

/** One question about a binary. */
struct Question {
  const char* name;
  QnnSystemContext_Handle_t handle;
  void* binary;
  std::uint64_t size;
  const BinaryInfo** info;
};

void footprints(Report& report, const SystemTable& system) {
  Qnn_Tensor_t u8 = u8_tensor("t", QNN_TENSOR_TYPE_APP_WRITE, 0.1f);
  std::uint64_t bytes = 0;
  report.code("systemTensorGetMemoryFootprint(u8 1x8x8x32)",
              [&] { return system.systemTensorGetMemoryFootprint(u8, &bytes); });
  report.word("footprint", std::to_string(bytes));
  Qnn_Tensor_t s4 = u8;
  s4.v1.dataType = QNN_DATATYPE_SFIXED_POINT_4;
  report.code("systemTensorGetMemoryFootprint(s4)",
              [&] { return system.systemTensorGetMemoryFootprint(s4, &bytes); });
  report.word("footprint s4", std::to_string(bytes));
  report.code("systemTensorGetMemoryFootprint(null)",
              [&] { return system.systemTensorGetMemoryFootprint(u8, nullptr); });
}

void system(Report& report, const Backend& from, std::uint32_t) {
  const SystemTable& system = from.system();
  std::vector<std::uint8_t> binary = binary_of_add(Client(from));
  QnnSystemContext_Handle_t context = nullptr;
  report.code("systemContextCreate", [&] { return system.systemContextCreate(&context); });
  report.code("systemContextCreate(null)", [&] { return system.systemContextCreate(nullptr); });
  const BinaryInfo* info = nullptr;
  Qnn_ContextBinarySize_t size = 0;
  const auto asks = [&](const Question& question) {
    return report.code(question.name, [&] {
      return system.systemContextGetBinaryInfo(question.handle, question.binary, question.size,
                                               question.info, &size);
    });
  };
  asks({"systemContextGetBinaryInfo", context, binary.data(), binary.size(), &info});
  report.word("BinaryInfo.version", text("%d", info->version));
  report.word("binaryInfoSize vs binary size", text("info<=bin:%d", size <= binary.size()));
  describe_binary(report, *info);
  const Question refused[] = {
      {"systemContextGetBinaryInfo(null handle)", nullptr, binary.data(), binary.size(), &info},
      {"systemContextGetBinaryInfo(null buf)", context, nullptr, binary.size(), &info},
      {"systemContextGetBinaryInfo(size 0)", context, binary.data(), 0, &info},
      {"systemContextGetBinaryInfo(null out)", context, binary.data(), binary.size(), nullptr},
  };
  for (const Question& question : refused) {
    asks(question);
  }
  const BinaryInfo* described = nullptr;
  report.code("systemContextGetMetaData", [&] {
    return system.systemContextGetMetaData(context, binary.data(), binary.size(), &described);
  });
  report.word("getMetaData version", text("%d", described->version));
  report.code("systemContextGetMetaData(truncated half)", [&] {
    return system.systemContextGetMetaData(context, binary.data(), binary.size() / 2, &described);
  });
  footprints(report, system);
  report.code("systemContextFree", [&] { return system.systemContextFree(context); });
  report.code("systemContextFree(null)", [&] { return system.systemContextFree(nullptr); });
}

void double_free(Report& report, const Backend& from, std::uint32_t) {
  const SystemTable& system = from.system();
  QnnSystemContext_Handle_t context = nullptr;
  system.systemContextCreate(&context);
  system.systemContextFree(context);
  report.code("systemContextFree twice", [&] { return system.systemContextFree(context); });
}

}  // namespace

Scenarios system_scenarios() {
  return {{"system", system}, {"system.doublefree", double_free}};
}
