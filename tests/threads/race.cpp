// SPDX-License-Identifier: Apache-2.0 OR MIT
// A race on purpose, inside the library: two threads have one answer written to one place, which
// nobody may do. The thread sanitizer must see it.

#include <cstdint>
#include <cstdio>
#include <thread>

#include "QnnInterface.h"

int main() {
  static const QnnInterface_t** providers;
  static std::uint32_t count;
  const auto ask = [] {
    for (int round = 0; round < 100; ++round) {
      QnnInterface_getProviders(&providers, &count);
    }
  };
  std::thread other(ask);
  ask();
  other.join();
  std::puts("1 passed, 0 failed");
}
