// SPDX-License-Identifier: Apache-2.0 OR MIT

#include "stream.hpp"

#include <algorithm>
#include <cstdio>

namespace {

/** Beside those in the queue: up to two running on the device, one being filled. */
constexpr std::size_t slots_beside_queue = 3;
/** Room in the queue normally shows through our own completions; this bounds the wait for it. */
constexpr std::chrono::milliseconds retry_after{20};

}  // namespace

Stream::Stream(const StreamConfig& config, const Shared& shared)
    : config_(config), shared_(shared), slots_(config.queue_depth + slots_beside_queue) {
  free_.reserve(slots_.size());
  again_.reserve(slots_.size());
  for (Slot& slot : slots_) {
    slot.stream = this;
    free_.push_back(&slot);
  }
}

Stream::~Stream() {
  stop();
  join();
}

void Stream::deal(std::size_t image) {
  Frame frame;
  frame.image = image;
  frames_.push_back(frame);
}

htp::Error Stream::open() {
  if (htp::Error error = network_.open(shared_.backend, shared_.device, shared_.digits,
                                       config_.queue_depth, config_.priority)) {
    return error;
  }
  if (config_.managed) {
    if (htp::Error error = network_.context.set_recovery(htp::ManagedRecovery{})) {
      return error;
    }
  }
  for (Slot& slot : slots_) {
    slot.inputs = {network_.image.bind(slot.image)};
    slot.outputs = {network_.logits.bind(slot.logits),
                    network_.probabilities.bind(slot.probabilities)};
  }
  return {};
}

void Stream::start() {
  report_.latencies_us.reserve(frames_.size());    // the callback never allocates
  thread_ = std::thread(&Stream::run, this);
}

void Stream::stop() {
  const std::lock_guard<std::mutex> lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

void Stream::join() {
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Stream::release(std::size_t count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::uint64_t now_us = htp_rt_now_us();
  for (; count > 0 && released_ < frames_.size(); --count) {
    frames_[released_++].released_us = now_us;
  }
  changed_.notify_all();
}

bool Stream::wait_filled(std::chrono::milliseconds at_most) {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, at_most, [this] {
    const std::uint64_t ended = report_.completed + report_.failed_by_restart;
    const bool all_accepted = !may_offer() && report_.submitted == ended + in_flight_;
    return report_.submitted >= ended + config_.queue_depth || all_accepted || stopped_;
  });
}

// The camera's thread: offers frames until all have their result.
void Stream::run() {
  while (wait_until_ready()) {
    offer(take_slot());
  }
  note_high_water();
  if (fatal_) {
    std::fprintf(stderr, "%s: %s\n", config_.name, fatal_.message());
  }
}

// Waits for a frame to offer and a slot to carry it; recovers first if the DSP restarted. False
// when there is nothing left to do.
bool Stream::wait_until_ready() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    // Every accepted request is still notified once: after the last, nothing uses the context.
    changed_.wait(lock, [this] {
      const bool over = stopped_ || finished();
      return over || restarted_ ? in_flight_ == 0 : may_offer() && !free_.empty();
    });
    if (stopped_ || finished()) {
      return false;
    }
    if (!restarted_) {
      return true;
    }
    restarted_ = false;
    lock.unlock();
    recover();
    lock.lock();
  }
}

// A free slot with the frame it is to carry: one that the restart took, or else the next.
Stream::Slot& Stream::take_slot() {
  const std::lock_guard<std::mutex> lock(mutex_);
  Slot& slot = *free_.back();
  free_.pop_back();
  if (again_.empty()) {
    slot.frame = next_++;
  } else {
    slot.frame = again_.front();
    again_.erase(again_.begin());
  }
  return slot;
}

void Stream::offer(Slot& slot) {
  const Frame& frame = frames_[slot.frame];
  const bool again = frame.failed;
  std::copy_n(shared_.digits.image(frame.image), slot.image.size(), slot.image.begin());
  {
    // Before the call: the notification may be here before the call is back.
    const std::lock_guard<std::mutex> lock(mutex_);
    slot.in_flight = true;
    ++in_flight_;
  }
  if (htp::Error error = submit(slot)) {
    settle(slot, error);
    return;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  ++report_.submitted;
  report_.submitted_again += again ? 1U : 0U;
  changed_.notify_all();
}

htp::Error Stream::submit(Slot& slot) {
  if (config_.offer == Offer::waits) {
    return network_.graph.execute_async(slot.inputs, slot.outputs,
                                        htp::bind<&Slot::on_error_code>(slot));
  }
  return network_.graph
      .try_execute_async(slot.inputs, slot.outputs, htp::bind<&Slot::on_completion>(slot))
      .error();
}

// The submit was refused: no notification will come for it, so the frame is ours again.
void Stream::settle(Slot& slot, htp::Error refusal) {
  std::unique_lock<std::mutex> lock(mutex_);
  slot.in_flight = false;
  --in_flight_;
  again_.insert(again_.begin(), slot.frame);
  free_.push_back(&slot);
  if (refusal.queue_full()) {
    const std::size_t in_flight = in_flight_;
    changed_.wait_for(lock, retry_after,
                      [&] { return in_flight_ < in_flight || restarted_ || stopped_; });
  } else if (refusal.device_restarted()) {
    restarted_ = true;
  } else {
    give_up(refusal);
  }
}

// The DSP restarted: free the stale context, create it anew, go on where we were.
void Stream::recover() {
  note_high_water();
  const htp::Error error = open();
  std::unique_lock<std::mutex> lock(mutex_);
  if (error.device_restarted()) {
    restarted_ = true;    // again, while we were at it
  } else if (error) {
    give_up(error);
  } else {
    const std::string failed = std::to_string(again_.size());
    lock.unlock();
    shared_.timeline.note(std::string(config_.name) + ": context re-created, " + failed +
                          " frames to offer again");
  }
}

// Under the lock. The thread says why when it ends.
void Stream::give_up(htp::Error error) noexcept {
  fatal_ = error;
  stopped_ = true;
  changed_.notify_all();
  shared_.ledger.give_up();
}

void Stream::note_high_water() {
  if (auto stats = network_.context.stats()) {
    report_.queue_high_water = std::max(report_.queue_high_water, stats->queue_used_max);
  }
}

// On the completion thread: record, signal, return.
void Stream::on_done(Slot& slot, htp::Error error) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!slot.in_flight) {
    shared_.ledger.unexpected();
    return;
  }
  slot.in_flight = false;
  --in_flight_;
  free_.push_back(&slot);
  Frame& frame = frames_[slot.frame];
  if (!error) {
    ++report_.completed;
    report_.latencies_us.push_back(htp_rt_now_us() - frame.released_us);
    shared_.ledger.complete(frame.image, best_class(slot.logits));
  } else if (error.device_restarted()) {
    ++report_.failed_by_restart;
    frame.failed = true;
    again_.push_back(slot.frame);
    restarted_ = !config_.managed;
  } else {
    give_up(error);
  }
  changed_.notify_all();
}
