// SPDX-License-Identifier: Apache-2.0 OR MIT

#include "pipeline.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace {

constexpr std::size_t burst = 100;
constexpr std::uint32_t crashing_op = 3;
constexpr std::chrono::milliseconds redraw_after{100};
constexpr std::chrono::milliseconds queues_fill_within{5000};

void check(const char* what, htp::Error error) {
  if (error) {
    std::fprintf(stderr, "%s: %s\n", what, error.message());
  }
}

}  // namespace

Pipeline::Pipeline(const Digits& digits, std::uint32_t queue_depth, bool managed)
    : digits_(digits), ledger_(digits) {
  const StreamConfig configs[] = {
      {"front", "high", htp::Priority::high, Offer::tries, queue_depth, managed},
      {"side", "normal", htp::Priority::normal, Offer::waits, queue_depth, managed},
      {"rear", "low", htp::Priority::low, Offer::waits, queue_depth, managed},
  };
  const Shared shared{digits_, backend_, device_, ledger_, timeline_};
  for (const StreamConfig& config : configs) {
    streams_.push_back(std::make_unique<Stream>(config, shared));
  }
  for (std::size_t image = 0; image < digits.count(); ++image) {
    streams_[image % streams_.size()]->deal(image);
  }
}

htp::Error Pipeline::open() {
  if (htp::Error error = htp::Backend::create().into(backend_)) {
    return error;
  }
  if (htp::Error error = htp::Device::create().into(device_)) {
    return error;
  }
  if (htp::Error error = timeline_.subscribe()) {
    return error;
  }
  for (const auto& stream : streams_) {
    if (htp::Error error = stream->open()) {
      return error;
    }
  }
  return {};
}

void Pipeline::run(bool crash) {
  Progress progress(digits_.count());
  for (const auto& stream : streams_) {
    stream->start();
  }
  std::size_t completed = 0;
  while (completed < digits_.count() && !ledger_.given_up()) {
    if (crash && 2 * completed >= digits_.count()) {
      crash = false;
      crash_device();
    } else {
      release_burst();
    }
    completed = wait_burst(progress);
  }
  progress.finish();
  for (const auto& stream : streams_) {
    if (ledger_.given_up()) {
      stream->stop();
    }
    stream->join();
  }
}

void Pipeline::release_burst() {
  for (const auto& stream : streams_) {
    stream->release(burst);
  }
  released_ = std::min(released_ + burst * streams_.size(), digits_.count());
}

// The device is held until every queue is full, so that the crash meets all three cameras: with
// one request in the middle of an op and the others waiting.
void Pipeline::crash_device() {
  check("hold", htp::Error(htp_rt_vdev_hold()));
  release_burst();
  for (const auto& stream : streams_) {
    if (!stream->wait_filled(queues_fill_within)) {
      std::fprintf(stderr, "%s: the queue did not fill\n", stream->config().name);
    }
  }
  timeline_.note("all queues are full; the DSP is about to crash in the middle of op " +
                 std::to_string(crashing_op));
  check("crash", htp::Error(htp_rt_vdev_crash(crashing_op)));
  check("resume", htp::Error(htp_rt_vdev_resume()));
}

std::size_t Pipeline::wait_burst(Progress& progress) {
  std::size_t completed = 0;
  do {
    completed = ledger_.wait_completed(released_, redraw_after);
    progress.draw(completed);
  } while (completed < released_ && !ledger_.given_up());
  return completed;
}
