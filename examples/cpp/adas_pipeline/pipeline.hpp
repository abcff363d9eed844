// SPDX-License-Identifier: Apache-2.0 OR MIT
// The three cameras together: deals the images, releases the shutters, stages the crash.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "digits.hpp"
#include "htp_runtime.hpp"
#include "ledger.hpp"
#include "report.hpp"
#include "stream.hpp"
#include "timeline.hpp"

class Pipeline {
 public:
  Pipeline(const Digits& digits, std::uint32_t queue_depth, bool managed);

  /** Creates what lives as long as the process: backend, device, a context per camera. */
  htp::Error open();

  /** Until every image has its result, or a stream cannot go on.
   *
   *  The cameras share a shutter: it releases a burst of frames on each, and the next burst when
   *  all are done. A burst is far more than a queue holds, and the device is the bottleneck, so
   *  that the queues are full most of the time.
   */
  void run(bool crash);

  const std::vector<std::unique_ptr<Stream>>& streams() const { return streams_; }
  const Timeline& timeline() const { return timeline_; }
  const Ledger& ledger() const { return ledger_; }

 private:
  void release_burst();
  void crash_device();
  std::size_t wait_burst(Progress& progress);

  const Digits& digits_;
  Ledger ledger_;
  Timeline timeline_;
  htp::Backend backend_;
  htp::Device device_;
  std::vector<std::unique_ptr<Stream>> streams_;    // last: their contexts go first
  std::size_t released_ = 0;
};
