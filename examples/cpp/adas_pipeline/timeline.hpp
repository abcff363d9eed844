// SPDX-License-Identifier: Apache-2.0 OR MIT
// What happened around a restart, in order: the runtime's steps and the streams' own.

#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "htp_runtime.hpp"

class Timeline {
 public:
  struct Entry {
    std::uint64_t at_us;
    std::string text;
  };

  /** Hears the runtime from now on. */
  htp::Error subscribe();
  /** The runtime took a step. Called on the completion thread. */
  void on_step(const htp::SsrEvent& event);
  /** A stream did something. */
  void note(std::string text);

  /** In the order of their instants. */
  std::vector<Entry> entries() const;

 private:
  void add(std::uint64_t at_us, std::string text);

  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
  htp::SsrSubscription subscription_;    // last: it ends before what its callback uses
};
