// SPDX-License-Identifier: Apache-2.0 OR MIT
// A process of an operating system, where the example runs as well. The library has the system's
// locks there, so no critical section is asked for.

#define _POSIX_C_SOURCE 199309L

#include "../board.h"

#include <stdio.h>
#include <time.h>

void board_write(const char* bytes, size_t count) {
  (void)fwrite(bytes, 1, count, stdout);
}

uint64_t board_now_us(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

void board_sleep(uint64_t until_us) {
  (void)until_us;    // polls again at once
}

bool board_on_tick(void (*function)(void)) {
  (void)function;
  return false;
}
