// SPDX-License-Identifier: Apache-2.0 OR MIT
// The committed network, its images, and what it must answer; and a place to wait for answers.

#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <mutex>
#include <vector>

#include "htp_runtime.h"

struct Digits {
  static constexpr std::size_t image_bytes = 64;
  static constexpr std::size_t classes = 10;

  std::vector<std::uint8_t> network = read("data/digits/digits.htpb");
  std::vector<std::uint8_t> images = read("data/digits/images.bin");
  std::vector<std::uint8_t> answers = read("data/digits/logits.bin");

  const std::uint8_t* image(std::size_t index) const { return &images.at(index * image_bytes); }
  bool is_answer(std::size_t index, const std::uint8_t* logits) const {
    return std::memcmp(&answers.at(index * classes), logits, classes) == 0;
  }

 private:
  static std::vector<std::uint8_t> read(const char* path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
};

/** Buffers of one execution. */
struct Buffers {
  std::array<std::uint8_t, Digits::image_bytes> image{};
  std::array<std::uint8_t, Digits::classes> logits{};
  std::array<std::uint8_t, Digits::classes> probabilities{};

  void show(const Digits& digits, std::size_t index) {
    std::memcpy(image.data(), digits.image(index), image.size());
    logits.fill(0);
  }
};

/** Collects what notifications say. */
class Mailbox {
 public:
  void put(Qnn_ErrorHandle_t code) {
    const std::lock_guard<std::mutex> lock(mutex_);
    codes_.push_back(code);
    changed_.notify_all();
  }
  /** Waits until there are this many; false if that takes too long. */
  bool wait(std::size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30),
                             [&] { return codes_.size() >= count; });
  }
  std::size_t count() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return codes_.size();
  }
  std::size_t count_of(Qnn_ErrorHandle_t code) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::size_t count = 0;
    for (const Qnn_ErrorHandle_t seen : codes_) {
      count += seen == code ? 1U : 0U;
    }
    return count;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Qnn_ErrorHandle_t> codes_;
};

/** A virtual device that does not wait for model time. */
inline Qnn_ErrorHandle_t configure_device(htp_rt_platform_t platform) {
  htp_rt_vdev_config_t config = {};
  config.struct_size = sizeof config;
  config.platform = static_cast<std::uint32_t>(platform);
  config.arch = 73;
  config.pacing = HTP_RT_PACING_FREE;
  return htp_rt_vdev_configure(&config);
}
