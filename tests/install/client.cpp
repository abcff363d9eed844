// SPDX-License-Identifier: Apache-2.0 OR MIT
// A client of an unpacked package in C++: built with its headers and one of its libraries.

#include "htp_runtime.hpp"

#include "../c/support/check.h"

int main() {
  const auto backend = htp::Backend::create();
  CHECK(!backend.error());
  const auto device = htp::Device::create();
  CHECK(!device.error());
  const htp::Context nothing;
  CHECK(nothing.graph("digits").error());
  return check_report();
}
