// SPDX-License-Identifier: Apache-2.0 OR MIT
// What the example needs of a board. A file of `board/` brings it, together with the critical
// section that include/htp_runtime.h asks for.

#ifndef EXAMPLES_RTOS_BOARD_H
#define EXAMPLES_RTOS_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Microseconds since the start; never goes back. */
uint64_t board_now_us(void);

/** Sleeps until an interrupt, at the latest until about `until_us`; may return at once. */
void board_sleep(uint64_t until_us);

/** Has the timer's interrupt call a function, or no more if that is null; false on a board whose
 * interrupts are not set up. */
bool board_on_tick(void (*function)(void));

/** Writes bytes to the console. */
void board_write(const char* bytes, size_t count);

/** Ends the emulation; code 0 is success. */
void board_exit(int code);

/** Called by the board once memory is set up. */
int main(void);

#endif
