// SPDX-License-Identifier: Apache-2.0 OR MIT

#include "ledger.hpp"

namespace {

constexpr std::uint8_t none = 0xFF;

double share(std::size_t part, std::size_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

Ledger::Ledger(const Digits& digits) : digits_(digits), answers_(digits.count(), none) {}

void Ledger::complete(std::size_t image, std::uint8_t digit) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (answers_[image] != none) {
    ++duplicated_;
    return;
  }
  answers_[image] = digit;
  ++completed_;
  changed_.notify_one();
}

void Ledger::unexpected() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++duplicated_;
}

void Ledger::give_up() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  given_up_ = true;
  changed_.notify_one();
}

std::size_t Ledger::wait_completed(std::size_t count, std::chrono::milliseconds at_most) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_for(lock, at_most, [&] { return completed_ >= count || given_up_; });
  return completed_;
}

bool Ledger::given_up() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return given_up_;
}

Ledger::Score Ledger::score() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Score score;
  score.completed = completed_;
  score.lost = digits_.count() - completed_;
  score.duplicated = duplicated_;
  std::size_t right = 0;
  for (std::size_t image = 0; image < digits_.count(); ++image) {
    right += answers_[image] == digits_.labels[image] ? 1U : 0U;
  }
  std::size_t right_heldout = 0;
  for (const std::uint32_t image : digits_.heldout) {
    right_heldout += answers_[image] == digits_.labels[image] ? 1U : 0U;
  }
  score.accuracy_all = share(right, digits_.count());
  score.accuracy_heldout = share(right_heldout, digits_.heldout.size());
  return score;
}
