// SPDX-License-Identifier: Apache-2.0 OR MIT
// Counts what holds and what does not. Included once by a program.

#ifndef TESTS_C_SUPPORT_CHECK_H
#define TESTS_C_SUPPORT_CHECK_H

#include <stdio.h>
#include <stdlib.h>

static int passed;
static int failed;

static void check(int holds, const char* what, const char* file, int line) {
  if (holds) {
    ++passed;
  } else {
    ++failed;
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
  }
}

#define CHECK(condition) check((condition) ? 1 : 0, #condition, __FILE__, __LINE__)

// The closing line and the code of the program.
static int check_report(void) {
  printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
