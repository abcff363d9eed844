// SPDX-License-Identifier: Apache-2.0 OR MIT
// The command line.

#pragma once

#include <cstdint>
#include <string>

struct Options {
  std::string data = "data/digits";
  std::string trace = "target/adas_pipeline.trace.json";
  std::uint32_t queue_depth = 25;
  bool crash = true;
  bool managed = false;
};

enum class Parsed { run, help, wrong };

/** Says on standard error what is wrong. */
Parsed parse(int count, char** arguments, Options& options);

void print_usage();
