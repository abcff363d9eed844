// SPDX-License-Identifier: Apache-2.0 OR MIT
// What a client that calls at random needs: numbers, handles of all ages, requests that are
// counted.

#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "QnnCommon.h"

/** Numbers that follow from a seed (splitmix64). */
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t mixed = state_ += 0x9E3779B97F4A7C15ULL;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
    return mixed ^ (mixed >> 31);
  }
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(next() % bound); }
  bool chance(std::uint32_t percent) { return below(100) < percent; }
  /** Mostly small, sometimes as large as an enumeration of C may be. */
  std::uint32_t number() {
    const std::uint32_t any = static_cast<std::uint32_t>(next() & 0x7FFFFFFFU);
    return chance(90) ? any % 12 : any;
  }
  template <typename Enum>
  Enum any_of() {
    return static_cast<Enum>(number());
  }
  template <typename T, std::size_t N>
  const T& one_of(const std::array<T, N>& list) {
    return list[below(static_cast<std::uint32_t>(N))];
  }

 private:
  std::uint64_t state_;
};

enum Kind { contexts, graphs, backends, devices, profiles, signals, logs, memories, kinds };

/** Every handle there ever was, of each kind. */
class Handles {
 public:
  void add(Kind kind, void* handle) {
    const std::lock_guard<std::mutex> lock(mutex_);
    known_[kind].push_back(handle);
  }
  /** Mostly a recent one of this kind; also old ones, none, one of another kind, one that never
   *  was. */
  void* pick(Numbers& numbers, Kind kind) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const std::uint32_t choice = numbers.below(100);
    if (choice < 2) {
      return nullptr;
    }
    if (choice < 4) {
      return forge(numbers.next());
    }
    void* const handle = any(numbers, choice < 6 ? static_cast<Kind>(numbers.below(kinds)) : kind);
    const bool flipped = choice < 8;
    return flipped ? forge(number_of(handle) ^ (std::uint64_t{1} << numbers.below(64))) : handle;
  }
  std::vector<void*> all(Kind kind) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return known_[kind];
  }

 private:
  static void* forge(std::uint64_t number) {
    void* handle = nullptr;
    static_assert(sizeof handle <= sizeof number, "a handle is a number");
    std::memcpy(&handle, &number, sizeof handle);
    return handle;
  }
  static std::uint64_t number_of(const void* handle) {
    std::uint64_t number = 0;
    std::memcpy(&number, &handle, sizeof handle);
    return number;
  }
  void* any(Numbers& numbers, Kind kind) const {
    const std::vector<void*>& list = known_[kind];
    if (list.empty()) {
      return nullptr;
    }
    const std::size_t recent = numbers.chance(90) ? 6 : list.size();
    const std::size_t among = recent < list.size() ? recent : list.size();
    return list[list.size() - 1 - numbers.below(static_cast<std::uint32_t>(among))];
  }

  std::mutex mutex_;
  std::array<std::vector<void*>, kinds> known_;
};

/** One offered execution. Its memory goes when its notification comes, and is not to be written
 *  after that. */
struct Request {
  static constexpr std::size_t image_bytes = 64;
  static constexpr std::size_t result_bytes = 10;

  std::atomic<unsigned> heard{0};
  std::atomic<bool> accepted{false};
  std::uint64_t seed = 0;
  std::unique_ptr<std::uint8_t[]> image{new std::uint8_t[image_bytes]()};
  std::array<std::unique_ptr<std::uint8_t[]>, 2> results{
      {std::unique_ptr<std::uint8_t[]>(new std::uint8_t[result_bytes]),
       std::unique_ptr<std::uint8_t[]>(new std::uint8_t[result_bytes])}};

  void take_back() {
    image.reset();
    results[0].reset();
    results[1].reset();
  }
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
