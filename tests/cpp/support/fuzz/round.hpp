// SPDX-License-Identifier: Apache-2.0 OR MIT
// What all threads share in one round: handles, graphs that can be executed, requests that are
// counted.

#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <thread>

#include "../composed.hpp"
#include "../digits.hpp"
#include "coverage.hpp"
#include "numbers.hpp"

/** An input or output of a graph. */
struct Port {
  std::uint32_t id;
  std::uint32_t bytes;
};

/** A graph that was ready once. */
struct Ready {
  Qnn_ContextHandle_t context = nullptr;
  Qnn_GraphHandle_t graph = nullptr;
  bool is_digits = false;    // its answers are known
  std::vector<Port> inputs;
  std::vector<Port> outputs;
};

/** The graphs that became ready last and were not found unusable since. */
class ReadyGraphs {
 public:
  void add(Ready ready) {
    const std::lock_guard<std::mutex> lock(mutex_);
    list_.push_back(std::move(ready));
    if (list_.size() > 12) {
      list_.pop_front();
    }
  }
  Ready pick(Numbers& numbers) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return list_.empty() ? Ready() : list_[numbers.below(list_.size())];
  }
  void forget(Qnn_GraphHandle_t graph) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto is_it = [graph](const Ready& ready) { return ready.graph == graph; };
    list_.erase(std::remove_if(list_.begin(), list_.end(), is_it), list_.end());
  }

 private:
  std::mutex mutex_;
  std::deque<Ready> list_;
};

/** One offered execution. Its memory goes when its notification comes, and is not to be written
 *  after that. */
struct Request {
  using Block = std::unique_ptr<std::uint8_t[]>;

  std::atomic<unsigned> heard{0};
  std::atomic<bool> accepted{false};
  std::uint64_t seed = 0;
  std::size_t image = 0;    // of the digit network
  bool is_known = false;    // its first output must be that image's answer
  std::vector<Block> blocks;    // inputs, then outputs

  void take_back() { blocks.clear(); }
};

/** All requests of a round. */
class Requests {
 public:
  Request& add(std::uint64_t seed) {
    const std::lock_guard<std::mutex> lock(mutex_);
    list_.emplace_back();
    list_.back().seed = seed;
    return list_.back();
  }
  std::size_t accepted() { return count([](const Request& it) { return it.accepted.load(); }); }
  std::size_t heard() { return count([](const Request& it) { return it.heard.load() > 0; }); }
  /** Accepted ones not heard exactly once, refused ones heard at all. */
  std::size_t wrong() {
    return count([](const Request& it) { return it.heard.load() != (it.accepted.load() ? 1 : 0); });
  }
  void clear() {
    const std::lock_guard<std::mutex> lock(mutex_);
    list_.clear();
  }

 private:
  template <typename Test>
  std::size_t count(Test test) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::size_t found = 0;
    for (const Request& request : list_) {
      found += test(request) ? 1U : 0U;
    }
    return found;
  }

  std::mutex mutex_;
  std::deque<Request> list_;
};

/** The committed network; the same in all rounds. */
inline const Digits& digits() {
  static const Digits& read = *new Digits;
  return read;
}

struct Round {
  Handles handles;
  ReadyGraphs ready;
  Requests requests;
  std::array<int, 3> files{{-1, -1, -1}};    // memory to be shared
  std::array<std::atomic<std::uint32_t>, 4> power_ids{};
  std::atomic<std::uint64_t> calls{0};
  std::atomic<std::uint64_t> completed{0};
  std::atomic<std::uint64_t> last_request{0};
  std::atomic<std::uint32_t> last_subscription{0};
  std::atomic<std::uint64_t> phases_heard{0};
  std::atomic<std::uint64_t> messages_heard{0};
  bool polled = false;
  bool comes_back = true;    // after a crash

  /** A callback wants to call the library; to be left again if it may. */
  bool enter() {
    ++inside_;
    if (open_) {
      return true;
    }
    --inside_;
    return false;
  }
  void leave() { --inside_; }
  /** From now on no callback calls. */
  void close() {
    open_ = false;
    while (inside_ > 0) {
      std::this_thread::yield();
    }
  }
  /** Callbacks that come late find nothing in it. */
  void forget() {
    handles.clear();
    requests.clear();
  }

 private:
  std::atomic<bool> open_{true};
  std::atomic<int> inside_{0};
};

/** The present round. Rounds stay, for callbacks that come late. */
inline std::atomic<Round*>& shared_round() {
  static std::atomic<Round*> round{nullptr};
  return round;
}

/** Time where nobody but the client has a clock. */
inline std::atomic<std::uint64_t>& clock_us() {
  static std::atomic<std::uint64_t> now{1ULL << 50};    // far from that of the system
  return now;
}
