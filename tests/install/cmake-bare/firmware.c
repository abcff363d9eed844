// SPDX-License-Identifier: Apache-2.0 OR MIT
// A client of an unpacked package without an operating system: memory from static arrays, and a
// loop that polls.

#include <stddef.h>
#include <stdint.h>

#include "QnnInterface.h"
#include "htp_runtime.h"

static uint8_t memory[1u << 20];
static uint8_t device_memory[1u << 20];

// A machine on which nothing interrupts.
uint32_t htp_rt_critical_enter(void) {
  return 0;
}

void htp_rt_critical_exit(uint32_t state) {
  (void)state;
}

int firmware(void);

int firmware(void) {
  const QnnInterface_t** providers = NULL;
  htp_rt_config_t config = {0};
  uint32_t count = 0;
  uint64_t now_us;
  uint64_t next_us;
  config.struct_size = sizeof config;
  config.flags = HTP_RT_INIT_NO_THREADS;
  config.memory = memory;
  config.memory_bytes = sizeof memory;
  config.device_memory = device_memory;
  config.device_memory_bytes = sizeof device_memory;
  if (htp_rt_init(&config) != QNN_SUCCESS) {
    return 1;
  }
  if (QnnInterface_getProviders(&providers, &count) != QNN_SUCCESS || count != 1) {
    return 1;
  }
  for (now_us = 0; htp_rt_poll(now_us, &next_us) == QNN_SUCCESS; ++now_us) {
  }
  return 1;
}
