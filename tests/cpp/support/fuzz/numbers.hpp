// SPDX-License-Identifier: Apache-2.0 OR MIT
// Numbers that follow from a seed, and handles of all ages.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <vector>

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
  std::uint32_t below(std::size_t bound) { return static_cast<std::uint32_t>(next() % bound); }
  bool chance(std::uint32_t percent) { return below(100) < percent; }
  /** Mostly small, sometimes as large as an enumeration of C may be. */
  std::uint32_t number(std::uint32_t usual = 12) {
    const std::uint32_t any = static_cast<std::uint32_t>(next() & 0x7FFFFFFFU);
    return chance(90) ? any % usual : any;
  }
  template <typename Enum>
  Enum any_of() {
    return static_cast<Enum>(number());
  }
  template <typename T, std::size_t N>
  const T& one_of(const std::array<T, N>& list) {
    return list[below(N)];
  }

 private:
  std::uint64_t state_;
};

enum Kind {
  contexts,
  graphs,
  backends,
  devices,
  profiles,
  signals,
  logs,
  memories,
  systems,
  targets,    // of profiling data
  kinds
};

/** Every handle there ever was, of each kind: those that may live, and those that were freed. */
class Handles {
 public:
  void add(Kind kind, void* handle) {
    const std::lock_guard<std::mutex> lock(mutex_);
    living_[kind].push_back(handle);
  }
  /** It was freed. */
  void retire(Kind kind, void* handle) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<void*>& list = living_[kind];
    const auto place = std::find(list.begin(), list.end(), handle);
    if (place != list.end()) {
      list.erase(place);
      freed_[kind].push_back(handle);
    }
  }
  /** Mostly one of this kind that may live; also freed ones, none, one of another kind, one that
   *  never was. */
  void* pick(Numbers& numbers, Kind kind) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const std::uint32_t choice = numbers.below(200);
    switch (choice) {
      case 0: return nullptr;
      case 1: return forge(numbers.next());
      case 2: return any(numbers, static_cast<Kind>(numbers.below(kinds)));
      case 3:
      case 4: return forge(number_of(any(numbers, kind)) ^ (1ULL << numbers.below(64)));
      default: return any(numbers, kind);
    }
  }
  /** One that was handed out, if there is any. */
  void* real(Numbers& numbers, Kind kind) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return any(numbers, kind);
  }
  /** Those that may live. */
  std::vector<void*> living(Kind kind) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return living_[kind];
  }
  void clear() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (std::size_t kind = 0; kind < kinds; ++kind) {
      living_[kind] = {};
      freed_[kind] = {};
    }
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
    const bool is_freed = !freed_[kind].empty() && numbers.chance(4);
    const std::vector<void*>& list = is_freed ? freed_[kind] : living_[kind];
    return list.empty() ? nullptr : list[numbers.below(list.size())];
  }

  std::mutex mutex_;
  std::array<std::vector<void*>, kinds> living_;
  std::array<std::vector<void*>, kinds> freed_;
};
