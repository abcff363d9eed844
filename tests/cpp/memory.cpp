// SPDX-License-Identifier: Apache-2.0 OR MIT
// std: c++17
// not emulated: the memory of the process is then mostly the emulator's
// The memory that the library takes from the system by itself.

#include <sys/mman.h>
#include <sys/resource.h>

#include <string>

#include "System/QnnSystemContext.h"
#include "support/check.hpp"
#include "support/client.hpp"

namespace {

bool executes() {
  Client client;
  Session session;
  if (!client.open() || session.open(client) != QNN_SUCCESS) {
    return false;
  }
  Execution execution;
  execution.bind(client, session, 0);
  return execution.run(client, session) == QNN_SUCCESS && execution.right(client);
}

std::uint64_t reserved_bytes() {
  htp_rt_stats_t stats = {};
  CHECK_EQ(htp_rt_stats(&stats), QNN_SUCCESS);
  return stats.memory_bytes;
}

/** A line of this process's status, in KiB. */
unsigned long status_kib(const char* wanted) {
  std::FILE* const file = std::fopen("/proc/self/status", "r");
  if (file == nullptr) {
    return ~0UL;
  }
  char line[256];
  unsigned long kib = ~0UL;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::strncmp(line, wanted, std::strlen(wanted)) == 0) {
      kib = std::strtoul(line + std::strlen(wanted), nullptr, 10);
    }
  }
  std::fclose(file);
  return kib;
}

}  // namespace

TEST(large_models_have_room) {
  CHECK(executes());
  CHECK(reserved_bytes() >= (sizeof(void*) == 8 ? 16ULL << 30 : 16ULL << 20));
}

TEST(memory_that_nobody_used_stays_out_of_locked_memory) {
  const unsigned long before = status_kib("VmRSS:");
  REQUIRE(mlockall(MCL_FUTURE) == 0);
  CHECK(executes());
  CHECK(status_kib("VmLck:") < 64 * 1024);
  CHECK(status_kib("VmRSS:") - before < 64 * 1024);
}

TEST(a_process_with_many_models_has_room) {
  const unsigned long before = status_kib("VmRSS:");
  const QnnInterface_t** providers = nullptr;
  std::uint32_t count = 0;
  REQUIRE(QnnInterface_getProviders(&providers, &count) == QNN_SUCCESS);
  const Table& api = providers[0]->QNN_INTERFACE_VER_NAME;
  for (int model = 0; model < 64; ++model) {
    Qnn_LogHandle_t log = nullptr;
    Qnn_BackendHandle_t backend = nullptr;
    Qnn_DeviceHandle_t device = nullptr;
    Qnn_ContextHandle_t context = nullptr;
    Qnn_ProfileHandle_t profile = nullptr;
    QnnSystemContext_Handle_t described = nullptr;
    REQUIRE(api.logCreate(nullptr, QNN_LOG_LEVEL_ERROR, &log) == QNN_SUCCESS);
    REQUIRE(api.backendCreate(log, nullptr, &backend) == QNN_SUCCESS);
    REQUIRE(api.deviceCreate(log, nullptr, &device) == QNN_SUCCESS);
    REQUIRE(api.contextCreate(backend, device, nullptr, &context) == QNN_SUCCESS);
    REQUIRE(api.profileCreate(backend, QNN_PROFILE_LEVEL_BASIC, &profile) == QNN_SUCCESS);
    REQUIRE(QnnSystemContext_create(&described) == QNN_SUCCESS);
    for (int index = 0; index < 16; ++index) {
      Qnn_GraphHandle_t graph = nullptr;
      const std::string name = "graph" + std::to_string(index);
      REQUIRE(api.graphCreate(context, name.c_str(), nullptr, &graph) == QNN_SUCCESS);
    }
  }
  CHECK(status_kib("VmRSS:") - before < 32 * 1024);
}

// The sanitizer itself takes more address space than the limit.
#ifndef __SANITIZE_ADDRESS__
TEST(a_limit_on_address_space_is_shared_with_the_client) {
  const rlimit limit{1U << 30, 1U << 30};
  REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
  CHECK(executes());
  CHECK(reserved_bytes() >= 256U << 20);
  void* const own = mmap(nullptr, 64U << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                         -1, 0);
  CHECK(own != MAP_FAILED);
}
#endif
