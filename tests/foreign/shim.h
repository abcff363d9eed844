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

/** An event of QNX on a 64-bit processor, as far as it is a pulse or a signal, which has its number
 *  where a pulse has its connection. */
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

#define FOREIGN_EVENT_SIGNAL 0x81
#define FOREIGN_EVENT_SIGNAL_CODE 0x82
#define FOREIGN_EVENT_PULSE 0x84
#define FOREIGN_EVENT_KIND 0xFF

/** A flag of an event beside its kind: the value is a number. */
#define FOREIGN_EVENT_IS_NUMBER 0x800

/** QNX's number of SIGUSR1. */
#define FOREIGN_SIGUSR1 16

#ifdef __cplusplus
extern "C" {
#endif

/** After so many mutexes and conditions that are initialised, one is refused; never if negative. */
void foreign_refuse_init_after(int count);

#ifdef __cplusplus
}
#endif

#endif
