// SPDX-License-Identifier: Apache-2.0 OR MIT
// Backends: configuration, identity, operations, and packages of others.

#include <algorithm>
#include <map>
#include <string>

#include "client.hpp"
#include "describe.hpp"
#include "scenarios.hpp"

namespace {

QnnBackend_Config_t option(std::uint32_t number) {
  QnnBackend_Config_t made = QNN_BACKEND_CONFIG_INIT;
  made.option = static_cast<QnnBackend_ConfigOption_t>(number);
  return made;
}

QnnBackend_Config_t errors(Qnn_ErrorReportingLevel_t level) {
  QnnBackend_Config_t made = option(QNN_BACKEND_CONFIG_OPTION_ERROR_REPORTING);
  made.errorConfig.reportingLevel = level;
  made.errorConfig.storageLimit = 0;
  return made;
}

QnnBackend_Config_t platform(const char* options) {
  QnnBackend_Config_t made = option(QNN_BACKEND_CONFIG_OPTION_PLATFORM);
  made.platformOption = options;
  return made;
}

void creation(Report& report, const Table& api, Qnn_BackendHandle_t* b, Qnn_BackendHandle_t* b2) {
  report.code("backendCreate(null,null,&b)",
              [&] { return api.backendCreate(nullptr, nullptr, b); });
  report.word("handle nonnull", *b != nullptr ? "yes" : "no");
  report.code("backendCreate second", [&] { return api.backendCreate(nullptr, nullptr, b2); });
  report.word("second handle", *b2 != *b ? "different" : "same");
  report.code("backendCreate(null out)",
              [&] { return api.backendCreate(nullptr, nullptr, nullptr); });
  const auto with = [&](const char* name, std::initializer_list<QnnBackend_Config_t> configs) {
    ConfigList<QnnBackend_Config_t> list(configs);
    Qnn_BackendHandle_t other = nullptr;
    report.code(name, [&] { return api.backendCreate(nullptr, list.get(), &other); });
  };
  with("backendCreate(empty cfg list)", {});
  with("backendCreate(ERROR_REPORTING brief)", {errors(QNN_ERROR_REPORTING_LEVEL_BRIEF)});
  with("backendCreate(ERROR_REPORTING detailed)", {errors(QNN_ERROR_REPORTING_LEVEL_DETAILED)});
  with("backendCreate(PLATFORM 'foo:bar')", {platform("foo:bar")});
  with("backendCreate(PLATFORM null)", {platform(nullptr)});
  with("backendCreate(CUSTOM null)", {option(QNN_BACKEND_CONFIG_OPTION_CUSTOM)});
  with("backendCreate(unknown option 99)", {option(99)});
  with("backendCreate(option UNDEFINED)", {option(QNN_BACKEND_CONFIG_OPTION_UNDEFINED)});
  ConfigList<QnnBackend_Config_t> reporting{errors(QNN_ERROR_REPORTING_LEVEL_BRIEF)};
  report.code("backendSetConfig(b,ERROR_REPORTING)",
              [&] { return api.backendSetConfig(*b, reporting.get()); });
  report.code("backendSetConfig(b,null)", [&] { return api.backendSetConfig(*b, nullptr); });
  report.code("backendSetConfig(null,null)",
              [&] { return api.backendSetConfig(nullptr, nullptr); });
}

void identity(Report& report, const Table& api) {
  Qnn_ApiVersion_t version = QNN_API_VERSION_INIT;
  report.code(
      "backendGetApiVersion", [&] { return api.backendGetApiVersion(&version); },
      [&] { return shown(version.coreApiVersion) + "/" + shown(version.backendApiVersion); });
  report.code("backendGetApiVersion(null)", [&] { return api.backendGetApiVersion(nullptr); });
  const char* id = "(none)";
  report.code(
      "backendGetBuildId", [&] { return api.backendGetBuildId(&id); },
      [&] { return std::string(id); });
  report.code("backendGetBuildId(null)", [&] { return api.backendGetBuildId(nullptr); });
}

void operations(Report& report, const Table& api, Qnn_BackendHandle_t b) {
  std::uint32_t count = 0;
  const QnnBackend_OperationName_t* list = nullptr;
  report.code(
      "backendGetSupportedOperations",
      [&] { return api.backendGetSupportedOperations(b, &count, &list); },
      [&] {
        return text("n=%u first=%s/%s/%s", count, list->packageName, list->name, list->target);
      });
  std::map<std::string, int> packages;
  std::string names;
  for (std::uint32_t index = 0; index < count; ++index) {
    ++packages[text("%s/%s", list[index].packageName, list[index].target)];
    names += std::string(index == 0 ? "" : " ") + list[index].name;
  }
  for (const auto& package : packages) {
    report.word("ops by package/target " + package.first, std::to_string(package.second));
  }
  report.word("supported op names part 0", names);
  report.code("backendGetSupportedOperations(null backend)",
              [&] { return api.backendGetSupportedOperations(nullptr, &count, &list); });
  report.code("backendGetSupportedOperations(null n)",
              [&] { return api.backendGetSupportedOperations(b, nullptr, &list); });
  report.code("backendGetSupportedOperations(null ops)",
              [&] { return api.backendGetSupportedOperations(b, &count, nullptr); });
}

void packages(Report& report, const Table& api, Qnn_BackendHandle_t b) {
  const auto registers = [&](const char* given, Qnn_BackendHandle_t backend, const char* path,
                             const char* provider) {
    report.code(text("backendRegisterOpPackage(%s)", given), [&] {
      return api.backendRegisterOpPackage(backend, path, provider, "CPU");
    });
  };
  const char* missing = "/nonexistent/libOps.so";
  registers("missing path", b, missing, "provider");
  registers("null path", b, nullptr, "provider");
  registers("null provider", b, missing, nullptr);
  registers("null backend", nullptr, missing, "provider");
  registers("libm, missing symbol", b, "libm.so.6", "no_such_symbol");
  const char zeros[64] = {};
  report.code("backendRegisterOpPackageFromBinary(null buf)", [&] {
    return api.backendRegisterOpPackageFromBinary(b, nullptr, 0, "provider", "CPU");
  });
  report.code("backendRegisterOpPackageFromBinary(zeros)", [&] {
    return api.backendRegisterOpPackageFromBinary(b, zeros, sizeof zeros, "provider", "CPU");
  });
  QnnBackend_Property_t custom = QNN_BACKEND_PROPERTY_INIT;
  custom.option = QNN_BACKEND_PROPERTY_OPTION_CUSTOM;
  QnnBackend_Property_t* properties[] = {&custom, nullptr};
  report.code("backendGetProperty(CUSTOM null)",
              [&] { return api.backendGetProperty(b, properties); });
  report.code("backendGetProperty(null)", [&] { return api.backendGetProperty(b, nullptr); });
}

void backend(Report& report, const Backend& from, std::uint32_t) {
  const Table& api = from.api();
  Qnn_BackendHandle_t b = nullptr, b2 = nullptr;
  creation(report, api, &b, &b2);
  identity(report, api);
  operations(report, api, b);
  packages(report, api, b);
  report.code("backendFree(b)", [&] { return api.backendFree(b); });
  report.code("backendFree(b2)", [&] { return api.backendFree(b2); });
  report.code("backendFree(null)", [&] { return api.backendFree(nullptr); });
}

void double_free(Report& report, const Backend& from, std::uint32_t) {
  const Table& api = from.api();
  Qnn_BackendHandle_t b = nullptr;
  api.backendCreate(nullptr, nullptr, &b);
  api.backendFree(b);
  report.code("backendFree twice", [&] { return api.backendFree(b); });
}

void bogus(Report& report, const Backend& from, std::uint32_t) {
  const Table& api = from.api();
  Qnn_BackendHandle_t b = nullptr;
  Qnn_ContextHandle_t c = nullptr;
  report.code("backendFree(bogus)", [&] { return api.backendFree(forged_handle()); });
  report.code("backendCreate(bogus logger)",
              [&] { return api.backendCreate(forged_handle(), nullptr, &b); });
  report.code("contextCreate(bogus backend)",
              [&] { return api.contextCreate(forged_handle(), nullptr, nullptr, &c); });
  report.code("contextCreate(null backend)",
              [&] { return api.contextCreate(nullptr, nullptr, nullptr, &c); });
}

void after_free(Report& report, const Backend& from, std::uint32_t) {
  const Table& api = from.api();
  Qnn_BackendHandle_t b = nullptr;
  Qnn_ContextHandle_t c = nullptr;
  Qnn_ProfileHandle_t p = nullptr;
  api.backendCreate(nullptr, nullptr, &b);
  api.backendFree(b);
  report.code("contextCreate(freed backend)",
              [&] { return api.contextCreate(b, nullptr, nullptr, &c); });
  report.code("profileCreate(freed backend)",
              [&] { return api.profileCreate(b, QNN_PROFILE_LEVEL_BASIC, &p); });
  report.code("backendRegisterOpPackage(freed backend)", [&] {
    return api.backendRegisterOpPackage(b, "/nonexistent/libOps.so", "provider", "CPU");
  });
}

/** An addition whose operands a case changes before the backend is asked about it. */
struct Asked {
  explicit Asked(const Table& table) : graph(table), op(graph.op()) {}

  Asked& operands(Qnn_DataType_t type) {
    for (Qnn_Tensor_t* tensor : {&graph.in[0], &graph.in[1], &graph.out}) {
      tensor->v1.dataType = type;
      tensor->v1.quantizeParams.encodingDefinition = QNN_DEFINITION_UNDEFINED;
      tensor->v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_UNDEFINED;
    }
    return *this;
  }

  AddGraph graph;
  Qnn_OpConfig_t op;
};

void validate(Report& report, const Backend& from, std::uint32_t) {
  const Table& api = from.api();
  Qnn_BackendHandle_t b = nullptr;
  api.backendCreate(nullptr, nullptr, &b);
  const auto asks = [&](const char* name, const Asked& asked) {
    report.code(text("validateOpConfig(%s)", name),
                [&] { return api.backendValidateOpConfig(b, asked.op); });
  };
  asks("Add u8 ok", Asked(api));
  Asked one_input(api), no_output(api), unknown(api), foreign(api), no_name(api);
  one_input.op.v1.numOfInputs = 1;
  asks("Add, one input", one_input);
  no_output.op.v1.numOfOutputs = 0;
  asks("Add, no output", no_output);
  unknown.op.v1.typeName = "NoSuchOp";
  asks("unknown op", unknown);
  foreign.op.v1.packageName = "no.such.package";
  asks("unknown package", foreign);
  no_name.op.v1.typeName = nullptr;
  asks("null type name", no_name);
  Asked good(api);
  report.code("validateOpConfig(null backend)",
              [&] { return api.backendValidateOpConfig(nullptr, good.op); });
  Asked fp32(api), fp16(api), fp64(api), int64(api), shapes(api), parameter(api);
  asks("Add fp32", fp32.operands(QNN_DATATYPE_FLOAT_32));
  asks("Add fp16", fp16.operands(QNN_DATATYPE_FLOAT_16));
  asks("Add fp64", fp64.operands(QNN_DATATYPE_FLOAT_64));
  asks("Add int64", int64.operands(QNN_DATATYPE_INT_64));
  std::uint32_t odd[] = {1, 8, 8, 31};
  shapes.graph.in[1].v1.dimensions = odd;
  asks("Add incompatible shapes", shapes);
  Qnn_Param_t extra = QNN_PARAM_INIT;
  extra.paramType = QNN_PARAMTYPE_SCALAR;
  extra.name = "no_such_param";
  extra.scalarParam.dataType = QNN_DATATYPE_UINT_32;
  extra.scalarParam.uint32Value = 1;
  parameter.op.v1.numOfParams = 1;
  parameter.op.v1.params = &extra;
  asks("Add with unknown param", parameter);
}

}  // namespace

Scenarios backend_scenarios() {
  return {{"backend", backend},
          {"backend.doublefree", double_free},
          {"backend.bogus", bogus},
          {"backend.afterfree", after_free},
          {"backend.validateOp", validate}};
}
