// SPDX-License-Identifier: Apache-2.0 OR MIT
// A plugin of QEMU that counts the instructions of a function with all that it calls: from its
// first to the one that follows its call. Instructions have four bytes, as on AArch64. QEMU's
// packages bring no header for plugins, so what is needed of version 1 is declared here.

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t Id;
typedef struct Block Block;
typedef struct Instruction Instruction;

size_t qemu_plugin_tb_n_insns(const Block* block);
Instruction* qemu_plugin_tb_get_insn(const Block* block, size_t index);
uint64_t qemu_plugin_insn_vaddr(const Instruction* instruction);
void qemu_plugin_outs(const char* text);
void qemu_plugin_register_vcpu_tb_trans_cb(Id id, void (*translated)(Id id, Block* block));
void qemu_plugin_register_vcpu_insn_exec_cb(Instruction* instruction,
                                            void (*executed)(unsigned cpu, void* data), int flags,
                                            void* data);
void qemu_plugin_register_atexit_cb(Id id, void (*at_exit)(Id id, void* data), void* data);

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int qemu_plugin_version = 1;

static uint64_t first;      // address of the function
static uint64_t last;       // address of what was executed before
static uint64_t back;       // where the call that is under way returns to; 0 without one
static uint64_t counted;

static void executed(unsigned cpu, void* data) {
  const uint64_t address = (uint64_t)(uintptr_t)data;
  (void)cpu;
  if (back == 0 && address == first) {
    back = last + 4;
  } else if (address == back) {
    back = 0;
  }
  counted += back != 0;
  last = address;
}

static void translated(Id id, Block* block) {
  const size_t count = qemu_plugin_tb_n_insns(block);
  size_t index;
  (void)id;
  for (index = 0; index < count; ++index) {
    Instruction* instruction = qemu_plugin_tb_get_insn(block, index);
    void* address = (void*)(uintptr_t)qemu_plugin_insn_vaddr(instruction);
    qemu_plugin_register_vcpu_insn_exec_cb(instruction, executed, 0, address);
  }
}

static void at_exit(Id id, void* data) {
  char text[80];
  (void)id;
  (void)data;
  (void)snprintf(text, sizeof text, "Collected : %llu\n", (unsigned long long)counted);
  qemu_plugin_outs(text);
}

EXPORTED int qemu_plugin_install(Id id, const void* info, int argc, char** argv);
EXPORTED int qemu_plugin_install(Id id, const void* info, int argc, char** argv) {
  (void)info;
  if (argc != 1 || strncmp(argv[0], "first=", 6) != 0) {
    return 1;
  }
  first = strtoull(argv[0] + 6, NULL, 0);
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, at_exit, NULL);
  return 0;
}
