// SPDX-License-Identifier: Apache-2.0 OR MIT
// A test program: included once, it has main. Every TEST runs in a process of its own, because the
// runtime and its virtual device are configured once per process. An argument chooses the tests
// whose names it is a part of.

#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace check {

/** Ends a test that hangs. */
constexpr unsigned int seconds_max = 60;

struct Test {
  Test(const char* test_name, void (*function)()) : name(test_name), run(function) {
    Test** end = &first();
    while (*end != nullptr) {
      end = &(*end)->next;
    }
    *end = this;
  }
  static Test*& first() {
    static Test* test = nullptr;
    return test;
  }

  const char* name;
  void (*run)();
  Test* next = nullptr;
};

inline int& failures() {
  static int count = 0;
  return count;
}

inline void that(bool holds, const char* text, const char* file, int line) {
  if (!holds) {
    std::printf("%s:%d: %s\n", file, line, text);
    ++failures();
  }
}

inline void equal(std::uint64_t left, std::uint64_t right, const char* text, const char* file,
                  int line) {
  if (left != right) {
    std::printf("%s:%d: %s: %llu and %llu\n", file, line, text,
                static_cast<unsigned long long>(left), static_cast<unsigned long long>(right));
    ++failures();
  }
}

/** Runs a function in a process of its own; whether that ended well. */
template <typename Function>
bool passes(const char* name, Function run) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    alarm(seconds_max);
    run();
    std::exit(failures() == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
  }
  int status = 0;
  const bool ended = child > 0 && waitpid(child, &status, 0) == child;
  if (ended && WIFSIGNALED(status)) {
    std::printf("%s: ended by signal %d\n", name, WTERMSIG(status));
  }
  return ended && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

}  // namespace check

#define TEST(name)                               \
  static void name();                            \
  static check::Test name##_entry(#name, &name); \
  static void name()

#define CHECK(condition) check::that((condition) ? true : false, #condition, __FILE__, __LINE__)
#define CHECK_EQ(left, right) \
  check::equal((left), (right), #left " is " #right, __FILE__, __LINE__)
// Ends the test: the rest would make no sense.
#define REQUIRE(condition)                                                 \
  do {                                                                     \
    if (!(condition)) {                                                    \
      check::that(false, #condition, __FILE__, __LINE__);                  \
      return;                                                              \
    }                                                                      \
  } while (false)

int main(int count, char** arguments) {
  const char* const chosen = count > 1 ? arguments[1] : "";
  int passed = 0;
  int failed = 0;
  for (const check::Test* test = check::Test::first(); test != nullptr; test = test->next) {
    if (std::strstr(test->name, chosen) == nullptr) {
      continue;
    }
    const bool good = check::passes(test->name, test->run);
    std::printf("%s %s\n", good ? "ok  " : "FAIL", test->name);
    ++(good ? passed : failed);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
