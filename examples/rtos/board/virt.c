// SPDX-License-Identifier: Apache-2.0 OR MIT
// 64-bit Arm without an operating system (qemu-system-aarch64 -M virt): generic timer, critical
// section by masking interrupts, console and exit through semihosting.

#include "../board.h"

#include "htp_runtime.h"

static uint64_t semihosting(uint64_t operation, const void* argument) {
  register uint64_t x0 __asm__("x0") = operation;
  register const void* x1 __asm__("x1") = argument;
  __asm__ volatile("hlt #0xF000" : "+r"(x0) : "r"(x1) : "memory");
  return x0;
}

void board_write(const char* bytes, size_t count) {
  size_t index;
  for (index = 0; index < count; ++index) {
    (void)semihosting(0x03, &bytes[index]);    // SYS_WRITEC
  }
}

void board_exit(int code) {
  const uint64_t block[2] = {0x20026, (uint64_t)code};    // the application ended
  (void)semihosting(0x18, block);                         // SYS_EXIT
  for (;;) {
  }
}

uint64_t board_now_us(void) {
  uint64_t count;
  uint64_t frequency;
  __asm__ volatile("mrs %0, cntpct_el0" : "=r"(count));
  __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
  return count / frequency * 1000000u + count % frequency * 1000000u / frequency;
}

void board_sleep(uint64_t until_us) {
  (void)until_us;    // no interrupt is set up that would end a sleep
}

bool board_on_tick(void (*function)(void)) {
  (void)function;
  return false;
}

uint32_t htp_rt_critical_enter(void) {
  uint64_t state;
  __asm__ volatile("mrs %0, daif\n\tmsr daifset, #3" : "=r"(state)::"memory");
  return (uint32_t)state;
}

void htp_rt_critical_exit(uint32_t state) {
  __asm__ volatile("msr daif, %0" ::"r"((uint64_t)state) : "memory");
}

// Bss is zero: the emulator clears memory and loads no bytes for it.
__attribute__((used)) static void run(void) {
  board_exit(main());
}

__asm__(
    "  .section .text.start, \"ax\"\n"
    "  .global _start\n"
    "_start:\n"
    "  adrp x0, stack_top\n"
    "  add x0, x0, :lo12:stack_top\n"
    "  mov sp, x0\n"
    "  mov x0, #(3 << 20)\n"    // floating point
    "  msr cpacr_el1, x0\n"
    "  isb\n"
    "  b run\n");
