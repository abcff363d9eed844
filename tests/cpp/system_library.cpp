// SPDX-License-Identifier: Apache-2.0 OR MIT
// What the system library offers beside descriptions of binaries: sizes of tensors, logs, files of
// profiling data; and what it does not.

#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "System/QnnSystemInterface.h"
#include "support/check.hpp"
#include "support/composed.hpp"

namespace {

using SystemTable = QNN_SYSTEM_INTERFACE_VER_TYPE;

const SystemTable& qnn_system() {
  const QnnSystemInterface_t** providers = nullptr;
  uint32_t count = 0;
  QnnSystemInterface_getProviders(&providers, &count);
  return providers[0]->QNN_SYSTEM_INTERFACE_VER_NAME;
}

/** The entries of the table, and eight behind them. */
std::vector<void*> entries(std::size_t beyond) {
  std::vector<void*> all(sizeof(SystemTable) / sizeof(void*) + beyond);
  std::memcpy(all.data(), &qnn_system(), all.size() * sizeof(void*));
  return all;
}

constexpr uint64_t untouched = 77;

/** Bytes of a tensor, or `untouched`; the code in `code`. */
uint64_t footprint(const Qnn_Tensor_t& tensor, Qnn_ErrorHandle_t code) {
  uint64_t bytes = untouched;
  CHECK_EQ(qnn_system().systemTensorGetMemoryFootprint(tensor, &bytes), code);
  return bytes;
}

std::array<uint32_t, 4> picture{{1, 8, 8, 3}};

Qnn_Tensor_t picture_of(Qnn_DataType_t type) {
  Qnn_Tensor_t made = u8_tensor("t", QNN_TENSOR_TYPE_APP_WRITE, picture.data(), 4);
  made.v1.dataType = type;
  return made;
}

/** A file that is there until the end of the test. */
struct LogFile {
  LogFile() {
    char pattern[] = "/tmp/htp_rt_profile_XXXXXX";
    folder = mkdtemp(pattern);
    target.type = QNN_SYSTEM_PROFILE_SERIALIZATION_TARGET_FILE;
    target.file = {name.c_str(), folder.c_str()};
  }
  ~LogFile() {
    std::remove(path().c_str());
    rmdir(folder.c_str());
  }
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  std::string path() const { return folder + "/" + name; }
  std::string text() const {
    std::stringstream all;
    all << std::ifstream(path()).rdbuf();
    return all.str();
  }
  Qnn_ErrorHandle_t open(QnnSystemProfile_SerializationTargetConfig_t* configs = nullptr,
                         uint32_t count = 0) {
    return qnn_system().systemProfileCreateSerializationTarget(target, configs, count, &handle);
  }

  std::string folder;
  std::string name = "profile.log";
  QnnSystemProfile_SerializationTarget_t target{};
  QnnSystemProfile_SerializationTargetHandle_t handle = nullptr;
};

QnnSystemProfile_ProfileEventV1_t event(const char* name, uint64_t value) {
  QnnSystemProfile_ProfileEventV1_t made{};
  made.type = QNN_SYSTEM_PROFILE_EVENT_DATA;
  made.eventData.type = QNN_PROFILE_EVENTTYPE_EXECUTE;
  made.eventData.unit = QNN_PROFILE_EVENTUNIT_MICROSEC;
  made.eventData.value = value;
  made.eventData.identifier = name;
  return made;
}

QnnSystemProfile_ProfileData_t data_of(std::vector<QnnSystemProfile_ProfileEventV1_t>& events) {
  QnnSystemProfile_ProfileData_t made{};
  made.version = QNN_SYSTEM_PROFILE_DATA_VERSION_1;
  made.v1.header = QNN_SYSTEM_PROFILE_HEADER_V1_INIT;
  made.v1.header.methodType = QNN_SYSTEM_PROFILE_METHOD_TYPE_BACKEND_EXECUTE;
  made.v1.header.startTime = 5;
  made.v1.header.stopTime = 9;
  made.v1.header.graphName = "net";
  made.v1.profilingEvents = events.data();
  made.v1.numProfilingEvents = static_cast<uint32_t>(events.size());
  return made;
}

Qnn_ErrorHandle_t write(const LogFile& file, const QnnSystemProfile_ProfileData_t& data) {
  const QnnSystemProfile_ProfileData_t* list[] = {&data};
  return qnn_system().systemProfileSerializeEventData(file.handle, list, 1);
}

}  // namespace

TEST(every_entry_is_there_and_none_behind_them) {
  constexpr std::size_t beyond = 8;
  const std::vector<void*> all = entries(beyond);
  for (std::size_t index = 0; index < all.size(); ++index) {
    CHECK((all[index] == nullptr) == (index >= all.size() - beyond));
  }
}

TEST(model_containers_are_not_offered) {
  QnnSystemDlc_Handle_t container = nullptr;
  const uint8_t bytes[16] = {};
  CHECK_EQ(qnn_system().systemDlcCreateFromFile(nullptr, "model.dlc", &container),
           QNN_SYSTEM_DLC_ERROR_UNSUPPORTED_FEATURE);
  CHECK_EQ(qnn_system().systemDlcCreateFromBinary(nullptr, bytes, sizeof bytes, &container),
           QNN_SYSTEM_DLC_ERROR_UNSUPPORTED_FEATURE);
  CHECK(container == nullptr);
  CHECK_EQ(qnn_system().systemDlcFree(nullptr), QNN_SYSTEM_DLC_ERROR_UNSUPPORTED_FEATURE);
}

TEST(a_tensor_has_a_size) {
  CHECK_EQ(footprint(picture_of(QNN_DATATYPE_UFIXED_POINT_8), QNN_SUCCESS), 192);
  CHECK_EQ(footprint(picture_of(QNN_DATATYPE_BFLOAT_16), QNN_SUCCESS), 384);
  CHECK_EQ(footprint(picture_of(QNN_DATATYPE_FLOAT_32), QNN_SUCCESS), 768);
  CHECK_EQ(footprint(picture_of(QNN_DATATYPE_FLOAT_64), QNN_SUCCESS), 1536);
  Qnn_Tensor_t scalar = picture_of(QNN_DATATYPE_INT_32);
  scalar.v1.rank = 0;
  scalar.v1.dimensions = nullptr;
  CHECK_EQ(footprint(scalar, QNN_SUCCESS), 4);
  Qnn_Tensor_t second = QNN_TENSOR_INIT;
  second.version = QNN_TENSOR_VERSION_2;
  second.v2 = QNN_TENSOR_V2_INIT;
  second.v2.dataType = QNN_DATATYPE_FLOAT_16;
  second.v2.rank = 4;
  second.v2.dimensions = picture.data();
  CHECK_EQ(footprint(second, QNN_SUCCESS), 384);
}

TEST(a_size_is_refused_where_there_is_none) {
  constexpr Qnn_ErrorHandle_t bad = QNN_SYSTEM_TENSOR_ERROR_INVALID_TENSOR;
  CHECK_EQ(qnn_system().systemTensorGetMemoryFootprint(picture_of(QNN_DATATYPE_INT_8), nullptr),
           QNN_SYSTEM_TENSOR_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(footprint(picture_of(QNN_DATATYPE_SFIXED_POINT_4), bad), untouched);
  CHECK_EQ(footprint(picture_of(QNN_DATATYPE_STRING), bad), untouched);
  Qnn_Tensor_t tensor = picture_of(QNN_DATATYPE_FLOAT_32);
  tensor.v1.dimensions = nullptr;
  CHECK_EQ(footprint(tensor, bad), untouched);
  std::array<uint32_t, 4> huge{{0x10000, 0x10000, 0x10000, 0x10000}};
  tensor.v1.dimensions = huge.data();
  CHECK_EQ(footprint(tensor, bad), untouched);
  tensor = picture_of(QNN_DATATYPE_FLOAT_32);
  tensor.v1.dataFormat = QNN_TENSOR_DATA_FORMAT_SPARSE;
  CHECK_EQ(footprint(tensor, QNN_SYSTEM_TENSOR_ERROR_UNSUPPORTED_FEATURE), untouched);
  tensor.version = QNN_TENSOR_VERSION_UNDEFINED;
  CHECK_EQ(footprint(tensor, bad), untouched);
}

namespace {

int heard = 0;

void on_message(const char*, QnnLog_Level_t, uint64_t, va_list) { ++heard; }

}  // namespace

TEST(logs_of_the_system_library_hear_of_everything) {
  Qnn_LogHandle_t log = nullptr;
  CHECK_EQ(qnn_system().systemLogCreate(on_message, QNN_LOG_LEVEL_ERROR, &log), QNN_SUCCESS);
  CHECK_EQ(qnn().backendFree(nullptr), QNN_BACKEND_ERROR_INVALID_HANDLE);
  CHECK_EQ(heard, 1);
  CHECK_EQ(qnn_system().systemLogSetLogLevel(log, QNN_LOG_LEVEL_MAX),
           QNN_LOG_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(heard, 2);
  CHECK_EQ(qnn_system().systemLogSetLogLevel(log, QNN_LOG_LEVEL_DEBUG), QNN_SUCCESS);
  CHECK(heard > 2);
  const int before = heard;
  CHECK_EQ(qnn_system().systemLogFree(log), QNN_SUCCESS);
  CHECK_EQ(qnn_system().systemLogFree(log), QNN_LOG_ERROR_INVALID_ARGUMENT);
  CHECK_EQ(qnn_system().systemLogFree(nullptr), QNN_LOG_ERROR_INVALID_HANDLE);
  CHECK_EQ(heard, before);
}

TEST(profiling_data_becomes_lines) {
  LogFile file;
  QnnSystemProfile_SerializationTargetConfig_t header{};
  header.type = QNN_SYSTEM_PROFILE_SERIALIZATION_TARGET_CONFIG_SERIALIZATION_HEADER;
  header.serializationHeader = {"app", "1.2", "3.4"};
  REQUIRE(file.open(&header, 1) == QNN_SUCCESS);
  std::vector<QnnSystemProfile_ProfileEventV1_t> inner{event("a \"quoted\\\" name\n", 2)};
  std::vector<QnnSystemProfile_ProfileEventV1_t> events{event("total", 1), event(nullptr, 3)};
  events[0].profileSubEventData = inner.data();
  events[0].numSubEvents = 1;
  events[1].type = QNN_SYSTEM_PROFILE_EXTENDED_EVENT_DATA;
  events[1].extendedEventData = {};
  events[1].extendedEventData.version = QNN_PROFILE_DATA_VERSION_1;
  events[1].extendedEventData.v1.type = QNN_PROFILE_EVENTTYPE_FINALIZE;
  events[1].extendedEventData.v1.unit = QNN_PROFILE_EVENTUNIT_COUNT;
  events[1].extendedEventData.v1.value.dataType = QNN_DATATYPE_INT_32;
  events[1].extendedEventData.v1.value.int32Value = -7;
  events[1].extendedEventData.v1.timestamp = 8;
  CHECK_EQ(write(file, data_of(events)), QNN_SUCCESS);
  CHECK_EQ(qnn_system().systemProfileFreeSerializationTarget(file.handle), QNN_SUCCESS);
  CHECK(file.text() ==
        "{\"app\":\"app\",\"app_version\":\"1.2\",\"backend_version\":\"3.4\"}\n"
        "{\"graph\":\"net\",\"method\":1,\"visibility\":0,\"start\":5,\"stop\":9,"
        "\"start_memory\":0,\"stop_memory\":0}\n"
        "{\"depth\":1,\"name\":\"total\",\"type\":400,\"unit\":1,\"value\":1}\n"
        "{\"depth\":2,\"name\":\"a \\\"quoted\\\\\\\" name \","
        "\"type\":400,\"unit\":1,\"value\":2}\n"
        "{\"depth\":1,\"name\":\"\",\"type\":300,\"unit\":4,\"value\":-7,\"timestamp\":8}\n");
}

TEST(a_file_is_continued) {
  LogFile file;
  std::vector<QnnSystemProfile_ProfileEventV1_t> none;
  for (int round = 0; round < 2; ++round) {
    REQUIRE(file.open() == QNN_SUCCESS);
    CHECK_EQ(write(file, data_of(none)), QNN_SUCCESS);
    CHECK_EQ(qnn_system().systemProfileFreeSerializationTarget(file.handle), QNN_SUCCESS);
  }
  const std::string text = file.text();
  const std::string half = text.substr(0, text.size() / 2);
  CHECK(!half.empty() && text == half + half);
}

TEST(wrong_profiling_data_writes_nothing) {
  constexpr Qnn_ErrorHandle_t bad = QNN_SYSTEM_PROFILE_ERROR_INVALID_ARGUMENT;
  LogFile file;
  REQUIRE(file.open() == QNN_SUCCESS);
  std::vector<QnnSystemProfile_ProfileEventV1_t> events{event("good", 1), event("bad", 2)};
  events[1].type = QNN_SYSTEM_PROFILE_EVENT_DATA_UNDEFINED;
  QnnSystemProfile_ProfileData_t data = data_of(events);
  CHECK_EQ(write(file, data), bad);
  // An event within itself.
  events[1] = events[0];
  events[1].profileSubEventData = &events[1];
  events[1].numSubEvents = 1;
  CHECK_EQ(write(file, data), bad);
  data.v1.profilingEvents = nullptr;
  CHECK_EQ(write(file, data), bad);
  data.version = QNN_SYSTEM_PROFILE_DATA_VERSION_UNDEFINED;
  CHECK_EQ(write(file, data), bad);
  CHECK_EQ(qnn_system().systemProfileSerializeEventData(file.handle, nullptr, 1), bad);
  CHECK_EQ(qnn_system().systemProfileSerializeEventData(file.handle, nullptr, 0), QNN_SUCCESS);
  CHECK_EQ(qnn_system().systemProfileFreeSerializationTarget(file.handle), QNN_SUCCESS);
  CHECK(file.text().empty());
}

TEST(wrong_targets_are_refused) {
  constexpr Qnn_ErrorHandle_t bad = QNN_SYSTEM_PROFILE_ERROR_INVALID_ARGUMENT;
  constexpr Qnn_ErrorHandle_t gone = QNN_SYSTEM_PROFILE_ERROR_INVALID_HANDLE;
  const SystemTable& api = qnn_system();
  LogFile file;
  CHECK_EQ(api.systemProfileCreateSerializationTarget(file.target, nullptr, 0, nullptr), gone);
  CHECK_EQ(file.open(nullptr, 1), bad);
  QnnSystemProfile_SerializationTargetConfig_t most{};
  most.type = QNN_SYSTEM_PROFILE_SERIALIZATION_TARGET_CONFIG_MAX_NUM_MESSAGES;
  CHECK_EQ(file.open(&most, 1), QNN_SYSTEM_PROFILE_ERROR_UNSUPPORTED_FEATURE);
  most.type = QNN_SYSTEM_PROFILE_SERIALIZATION_TARGET_CONFIG_SERIALIZATION_HEADER;
  CHECK_EQ(file.open(&most, 1), bad);
  file.target.file.fileName = nullptr;
  CHECK_EQ(file.open(), bad);
  file.target.file = {file.name.c_str(), "/nonexistent"};
  CHECK_EQ(file.open(), bad);
  file.target.file.fileDirectory = file.folder.c_str();
  file.target.type = QNN_SYSTEM_PROFILE_SERIALIZATION_TARGET_UNDEFINED;
  CHECK_EQ(file.open(), QNN_SYSTEM_PROFILE_ERROR_UNSUPPORTED_FEATURE);
  CHECK(file.handle == nullptr);

  file.target.type = QNN_SYSTEM_PROFILE_SERIALIZATION_TARGET_FILE;
  REQUIRE(file.open() == QNN_SUCCESS);
  std::vector<QnnSystemProfile_ProfileEventV1_t> none;
  CHECK_EQ(api.systemProfileFreeSerializationTarget(nullptr), gone);
  CHECK_EQ(api.systemProfileFreeSerializationTarget(file.handle), QNN_SUCCESS);
  CHECK_EQ(api.systemProfileFreeSerializationTarget(file.handle), gone);
  CHECK_EQ(write(file, data_of(none)), gone);
}
