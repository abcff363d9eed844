// SPDX-License-Identifier: Apache-2.0 OR MIT

#include "report.hpp"

#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <system_error>

namespace {

constexpr std::size_t plain_steps = 4;
constexpr std::size_t bar_width = 40;

/** The value that this share of the samples does not exceed; 0 without samples. */
std::uint64_t percentile(std::vector<std::uint64_t> samples, std::size_t percent) {
  if (samples.empty()) {
    return 0;
  }
  const std::size_t rank = (samples.size() * percent + 99) / 100;
  const auto at = samples.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1) - 1);
  std::nth_element(samples.begin(), at, samples.end());
  return *at;
}

}  // namespace

Progress::Progress(std::size_t total) : total_(total), terminal_(isatty(STDERR_FILENO) != 0) {}

void Progress::draw(std::size_t completed) {
  if (terminal_) {
    std::string bar(completed * bar_width / total_, '=');
    bar.resize(bar_width, ' ');
    std::fprintf(stderr, "\r[%s] %zu of %zu images", bar.c_str(), completed, total_);
    return;
  }
  if (completed * plain_steps >= next_step_ * total_) {
    next_step_ = completed * plain_steps / total_ + 1;
    std::printf("%zu of %zu images\n", completed, total_);
    std::fflush(stdout);
  }
}

void Progress::finish() {
  if (terminal_) {
    std::fputc('\n', stderr);
  }
}

void print_streams(const std::vector<std::unique_ptr<Stream>>& streams) {
  std::printf("\n%-7s %-8s %-6s %9s %9s %9s %9s %9s %9s %11s\n", "stream", "priority", "offer",
              "submitted", "completed", "failed by", "submitted", "latency", "latency", "queue");
  std::printf("%-7s %-8s %-6s %9s %9s %9s %9s %9s %9s %11s\n", "", "", "", "", "", "restart",
              "again", "p50 us", "p99 us", "max / depth");
  for (const auto& stream : streams) {
    const StreamConfig& config = stream->config();
    const StreamReport& report = stream->report();
    std::printf("%-7s %-8s %-6s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64
                " %9" PRIu64 " %5" PRIu32 " / %3" PRIu32 "\n",
                config.name, config.priority_name,
                config.offer == Offer::waits ? "waits" : "tries", report.submitted,
                report.completed, report.failed_by_restart, report.submitted_again,
                percentile(report.latencies_us, 50), percentile(report.latencies_us, 99),
                report.queue_high_water, config.queue_depth);
  }
}

void print_timeline(const std::vector<Timeline::Entry>& entries) {
  if (entries.empty()) {
    return;
  }
  std::printf("\nrestart\n");
  for (const Timeline::Entry& entry : entries) {
    std::printf("%9" PRIu64 " us  %s\n", entry.at_us - entries.front().at_us, entry.text.c_str());
  }
}

void print_accuracy(const Digits& digits, const Ledger::Score& score) {
  std::printf("\naccuracy %.3f over all %zu images, %.3f over the %zu kept out of training\n",
              score.accuracy_all, digits.count(), score.accuracy_heldout, digits.heldout.size());
}

void print_result(std::size_t images, const Ledger::Score& score, std::uint32_t restarts) {
  std::printf("demo: images %zu completed %zu lost %zu duplicated %zu ", images, score.completed,
              score.lost, score.duplicated);
  std::printf("accuracy %.3f restarts %" PRIu32 "\n", score.accuracy_heldout, restarts);
}

bool write_trace_file(const std::string& path) {
  std::error_code failed;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), failed);
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) {
    std::fprintf(stderr, "cannot write %s\n", path.c_str());
    return false;
  }
  auto sink = [file](htp::Span<const std::uint8_t> bytes) {
    return std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  };
  const htp::Error error = htp::write_trace(sink);
  const bool closed = std::fclose(file) == 0;
  if (error || !closed) {
    std::fprintf(stderr, "cannot write %s: %s\n", path.c_str(), error.message());
    return false;
  }
  std::printf("trace: %s (open it in ui.perfetto.dev)\n", path.c_str());
  return true;
}
