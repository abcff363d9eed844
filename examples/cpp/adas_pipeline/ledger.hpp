// SPDX-License-Identifier: Apache-2.0 OR MIT
// What became of every image: the exactly-once bookkeeping.

#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "digits.hpp"

class Ledger {
 public:
  struct Score {
    std::size_t completed = 0;
    std::size_t lost = 0;
    std::size_t duplicated = 0;
    double accuracy_all = 0;
    double accuracy_heldout = 0;
  };

  explicit Ledger(const Digits& digits);

  /** A notification that brought a result. Called on the completion thread. */
  void complete(std::size_t image, std::uint8_t digit) noexcept;
  /** A notification nobody was waiting for. */
  void unexpected() noexcept;
  /** A stream cannot go on: waiting ends. */
  void give_up() noexcept;

  /** Waits until this many images are completed, a stream gave up, or the time is over.
   *  Returns how many are completed.
   */
  std::size_t wait_completed(std::size_t count, std::chrono::milliseconds at_most);
  bool given_up() const;

  Score score() const;

 private:
  const Digits& digits_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::uint8_t> answers_;    // per image: the digit seen, or none
  std::size_t completed_ = 0;
  std::size_t duplicated_ = 0;
  bool given_up_ = false;
};
