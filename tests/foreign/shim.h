// SPDX-License-Identifier: Apache-2.0 OR MIT
// What the shim and the programs that run with it agree on.

#ifndef TESTS_FOREIGN_SHIM_H
#define TESTS_FOREIGN_SHIM_H

#include <stdint.h>

/** A pulse, as it is read from the other end of a connection. */
typedef struct {
  int priority;
  int code;
  int value;
} ForeignPulse;

/** An event of QNX on a 64-bit processor, as far as it is a pulse. */
typedef struct {
  int notify;
  int unused;
  int connection;
  int unused_too;
  int64_t value;
  int16_t code;
  int16_t priority;
  int32_t unused_either;
} ForeignEvent;

#define FOREIGN_EVENT_PULSE 4

#endif
