// SPDX-License-Identifier: Apache-2.0 OR MIT
// A refused operation is named in the client's log, with the reason.

#include <array>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "support/check.hpp"
#include "support/composed.hpp"

namespace {

/** What the log was told since it was last cleared. */
std::string& heard() {
  static std::string text;
  return text;
}

void on_message(const char* format, QnnLog_Level_t level, uint64_t, va_list arguments) {
  std::array<char, 1024> line{};
  std::vsnprintf(line.data(), line.size(), format, arguments);
  CHECK_EQ(level, QNN_LOG_LEVEL_ERROR);
  heard() += line.data();
  heard() += '\n';
}

bool heard_of(const char* words) { return heard().find(words) != std::string::npos; }

/** A session whose errors are heard, and an addition that the device runs. */
struct Logged {
  Logged() { qnn().logCreate(&on_message, QNN_LOG_LEVEL_ERROR, &log); }

  Qnn_ErrorHandle_t ask(const char* type, const char* name = "node_17") {
    heard().clear();
    op = make_op(name, type, inputs, outputs, params);
    return qnn().backendValidateOpConfig(session.backend, op);
  }

  Session session;
  Qnn_LogHandle_t log = nullptr;
  std::array<uint32_t, 2> dims{{2, 3}};
  std::vector<Qnn_Tensor_t> inputs{u8_tensor("a", QNN_TENSOR_TYPE_NATIVE, dims.data(), 2),
                                   u8_tensor("b", QNN_TENSOR_TYPE_NATIVE, dims.data(), 2)};
  std::vector<Qnn_Tensor_t> outputs{u8_tensor("y", QNN_TENSOR_TYPE_NATIVE, dims.data(), 2)};
  std::vector<Qnn_Param_t> params;
  Qnn_OpConfig_t op = QNN_OPCONFIG_INIT;
};

}  // namespace

TEST(what_the_device_runs_is_not_logged) {
  Logged logged;
  CHECK_EQ(logged.ask(QNN_OP_ELEMENT_WISE_ADD), QNN_SUCCESS);
  CHECK(heard().empty());
}

TEST(an_unknown_operation_is_named) {
  Logged logged;
  CHECK_EQ(logged.ask("Sorcery"), QNN_BACKEND_ERROR_OP_PACKAGE_NOT_FOUND);
  CHECK(heard_of("QnnBackend_validateOpConfig: QNN_BACKEND_ERROR_OP_PACKAGE_NOT_FOUND: "
                 "Sorcery 'node_17': the device has no operation of this typeName"));
}

TEST(an_unknown_package_is_told_from_an_unknown_operation) {
  Logged logged;
  logged.op = make_op("node_17", QNN_OP_ELEMENT_WISE_ADD, logged.inputs, logged.outputs,
                      logged.params);
  logged.op.v1.packageName = "other";
  CHECK_EQ(qnn().backendValidateOpConfig(logged.session.backend, logged.op),
           QNN_BACKEND_ERROR_OP_PACKAGE_NOT_FOUND);
  CHECK(heard_of("ElementWiseAdd 'node_17': packageName is 'other', there is only"));
}

TEST(an_operation_that_does_not_fit_is_named) {
  Logged logged;
  logged.inputs.pop_back();
  CHECK_EQ(logged.ask(QNN_OP_ELEMENT_WISE_ADD), QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE);
  CHECK(heard_of("ElementWiseAdd 'node_17': numOfInputs is 1, 2 are needed"));
}

TEST(a_wrong_operand_is_told_from_an_unfit_operation) {
  Logged logged;
  logged.inputs[1].v1.quantizeParams.scaleOffsetEncoding.scale = -1.0f;
  CHECK_EQ(logged.ask(QNN_OP_ELEMENT_WISE_ADD), QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE);
  CHECK(heard_of("ElementWiseAdd 'node_17': inputTensors[1] 'b'.v1.quantizeParams."
                 "scaleOffsetEncoding.scale is -1, "));
}

TEST(a_long_name_is_cut) {
  Logged logged;
  const std::string name(5000, 'n');
  CHECK_EQ(logged.ask("Sorcery", name.c_str()), QNN_BACKEND_ERROR_OP_PACKAGE_NOT_FOUND);
  CHECK(heard_of("Sorcery 'nnnn"));
  CHECK(heard().size() < 600);
}

TEST(a_log_may_call_the_library) {
  static Qnn_BackendHandle_t made = nullptr;
  const auto on_call = [](const char*, QnnLog_Level_t, uint64_t, va_list) {
    if (made == nullptr) {
      CHECK_EQ(qnn().backendCreate(nullptr, nullptr, &made), QNN_SUCCESS);
    }
  };
  Logged logged;
  Qnn_LogHandle_t second = nullptr;
  CHECK_EQ(qnn().logCreate(on_call, QNN_LOG_LEVEL_ERROR, &second), QNN_SUCCESS);
  CHECK_EQ(logged.ask("Sorcery"), QNN_BACKEND_ERROR_OP_PACKAGE_NOT_FOUND);
  CHECK(made != nullptr);
}
