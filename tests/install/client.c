// SPDX-License-Identifier: Apache-2.0 OR MIT
// A client of the installed folder: built with its headers and one of its libraries, and given the
// folder of libraries, where it finds the backend under the names that QNN's clients know.

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "htp_runtime.h"
#include "../c/support/check.h"

typedef Qnn_ErrorHandle_t (*providers_fn)(const QnnInterface_t***, uint32_t*);
typedef Qnn_ErrorHandle_t (*system_providers_fn)(const QnnSystemInterface_t***, uint32_t*);

// The address of a function of a library in the folder, or NULL.
static void* function(const char* folder, const char* library, const char* name) {
  char path[4096];
  snprintf(path, sizeof(path), "%s/%s", folder, library);
  void* handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (handle == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return NULL;
  }
  return dlsym(handle, name);
}

static void test_backend(const char* folder) {
  void* address = function(folder, "libQnnHtp.so", "QnnInterface_getProviders");
  CHECK(address != NULL);
  providers_fn get_providers;
  memcpy(&get_providers, &address, sizeof(address));
  const QnnInterface_t** providers = NULL;
  uint32_t count = 0;
  CHECK(get_providers != NULL && get_providers(&providers, &count) == QNN_SUCCESS);
  CHECK(count == 1 && providers[0]->backendId == 6);
  CHECK(providers[0]->apiVersion.coreApiVersion.major == QNN_API_VERSION_MAJOR);
  CHECK(providers[0]->apiVersion.coreApiVersion.minor == QNN_API_VERSION_MINOR);
}

static void test_system(const char* folder) {
  void* address = function(folder, "libQnnSystem.so", "QnnSystemInterface_getProviders");
  CHECK(address != NULL);
  system_providers_fn get_providers;
  memcpy(&get_providers, &address, sizeof(address));
  const QnnSystemInterface_t** providers = NULL;
  uint32_t count = 0;
  CHECK(get_providers != NULL && get_providers(&providers, &count) == QNN_SUCCESS);
  CHECK(count == 1 && providers[0]->systemApiVersion.major == QNN_SYSTEM_API_VERSION_MAJOR);
}

static void test_linked(void) {
  const uint32_t version = htp_rt_version();
  CHECK(version >> 16 == HTP_RT_VERSION_MAJOR && (version >> 8 & 0xFF) == HTP_RT_VERSION_MINOR);
  const QnnInterface_t** providers = NULL;
  uint32_t count = 0;
  CHECK(QnnInterface_getProviders(&providers, &count) == QNN_SUCCESS && count == 1);
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: client FOLDER\n");
    return EXIT_FAILURE;
  }
  test_linked();
  test_backend(argv[1]);
  test_system(argv[1]);
  return check_report();
}
