// SPDX-License-Identifier: Apache-2.0 OR MIT
// Cortex-M4 on an MPS2 board (qemu-system-arm -M mps2-an386): system tick, critical section by
// PRIMASK, console and exit through semihosting.

#include "../board.h"

#include "htp_runtime.h"

#define REGISTER(address) (*(volatile uint32_t*)(address))
#define CPACR REGISTER(0xE000ED88u)
#define SYST_CSR REGISTER(0xE000E010u)
#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_CVR REGISTER(0xE000E018u)
#define CLOCK_HZ 25000000u
#define TICKS_PER_S 1000u

extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[], stack_top[];

static volatile uint32_t ticks;
static void (*volatile tick_function)(void);

static uint32_t semihosting(uint32_t operation, const void* argument) {
  register uint32_t r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void board_write(const char* bytes, size_t count) {
  size_t index;
  for (index = 0; index < count; ++index) {
    (void)semihosting(0x03, &bytes[index]);    // SYS_WRITEC
  }
}

void board_exit(int code) {
  // SYS_EXIT: the application ended, or a run-time error.
  (void)semihosting(0x18, (const void*)(code == 0 ? 0x20026u : 0x20023u));
  for (;;) {
  }
}

// A millisecond each; they last for 49 days.
uint64_t board_now_us(void) {
  return (uint64_t)ticks * (1000000u / TICKS_PER_S);
}

void board_sleep(uint64_t until_us) {
  (void)until_us;    // the tick wakes early enough
  __asm__ volatile("wfi");
}

uint32_t htp_rt_critical_enter(void) {
  uint32_t state;
  __asm__ volatile("mrs %0, primask\n\tcpsid i" : "=r"(state)::"memory");
  return state;
}

void htp_rt_critical_exit(uint32_t state) {
  __asm__ volatile("msr primask, %0" ::"r"(state) : "memory");
}

bool board_on_tick(void (*function)(void)) {
  tick_function = function;
  return true;
}

static void on_tick(void) {
  void (*const function)(void) = tick_function;
  ++ticks;
  if (function != NULL) {
    function();
  }
}

static void on_fault(void) {
  static const char text[] = "fault\n";
  board_write(text, sizeof text - 1);
  board_exit(1);
}

static void reset(void) {
  uint32_t* to = data_start;
  const uint32_t* from = data_load;
  CPACR |= 0xFu << 20;    // floating point
  __asm__ volatile("dsb\n\tisb");
  while (to != data_end) {
    *to++ = *from++;
  }
  for (to = bss_start; to != bss_end; ++to) {
    *to = 0;
  }
  SYST_RVR = CLOCK_HZ / TICKS_PER_S - 1;
  SYST_CVR = 0;
  SYST_CSR = 7;
  board_exit(main());
}

// Stack, reset, NMI and the faults; the system tick is the last.
__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))(uintptr_t)stack_top,
    reset,
    on_fault,
    on_fault,
    on_fault,
    on_fault,
    on_fault,
    NULL,
    NULL,
    NULL,
    NULL,
    on_fault,
    on_fault,
    NULL,
    on_fault,
    on_tick,
};
