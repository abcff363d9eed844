// SPDX-License-Identifier: Apache-2.0 OR MIT
// What is printed.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ledger.hpp"
#include "stream.hpp"
#include "timeline.hpp"

/** A line that is redrawn on a terminal (standard error); a few plain lines elsewhere. */
class Progress {
 public:
  explicit Progress(std::size_t total);
  void draw(std::size_t completed);
  /** Leaves the line as it is and goes to the next. */
  void finish();

 private:
  const std::size_t total_;
  const bool terminal_;
  std::size_t next_step_ = 1;
};

void print_streams(const std::vector<std::unique_ptr<Stream>>& streams);
void print_timeline(const std::vector<Timeline::Entry>& entries);
void print_accuracy(const Digits& digits, const Ledger::Score& score);
/** The last line. */
void print_result(std::size_t images, const Ledger::Score& score, std::uint32_t restarts);

/** False if the file cannot be written; says so on standard error. Creates its folder. */
bool write_trace_file(const std::string& path);
