// SPDX-License-Identifier: Apache-2.0 OR MIT
// What the Rust compiler calls under the thread sanitizer and GCC's sanitizer has no name for: its
// own copies, which it checks under the names of the C library.

#include <cstring>

extern "C" {
void* __tsan_memcpy(void* to, const void* from, std::size_t bytes);
void* __tsan_memmove(void* to, const void* from, std::size_t bytes);
void* __tsan_memset(void* to, int value, std::size_t bytes);

void* __tsan_memcpy(void* to, const void* from, std::size_t bytes) {
  return std::memcpy(to, from, bytes);
}
void* __tsan_memmove(void* to, const void* from, std::size_t bytes) {
  return std::memmove(to, from, bytes);
}
void* __tsan_memset(void* to, int value, std::size_t bytes) {
  return std::memset(to, value, bytes);
}
}
