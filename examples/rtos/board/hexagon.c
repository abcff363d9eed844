// SPDX-License-Identifier: Apache-2.0 OR MIT
// Hexagon, as a process of qemu-hexagon without a C library: two system calls, and a clock that
// advances with each look at it. No interrupts, so the critical section has nothing to do.

#include "../board.h"

#include "htp_runtime.h"

static int call(int number, int first, const void* second, size_t third) {
  register int r0 __asm__("r0") = first;
  register const void* r1 __asm__("r1") = second;
  register size_t r2 __asm__("r2") = third;
  register int r6 __asm__("r6") = number;
  __asm__ volatile("trap0(#1)" : "+r"(r0) : "r"(r1), "r"(r2), "r"(r6) : "memory");
  return r0;
}

void board_write(const char* bytes, size_t count) {
  (void)call(64, 1, bytes, count);    // write
}

void board_exit(int code) {
  (void)call(94, code, NULL, 0);    // exit_group
  for (;;) {
  }
}

uint64_t board_now_us(void) {
  static uint64_t now_us;
  now_us += 100;
  return now_us;
}

void board_sleep(uint64_t until_us) {
  (void)until_us;
}

bool board_on_tick(void (*function)(void)) {
  (void)function;
  return false;
}

uint32_t htp_rt_critical_enter(void) {
  return 0;
}

void htp_rt_critical_exit(uint32_t state) {
  (void)state;
}

void _start(void);
void _start(void) {
  board_exit(main());
}
