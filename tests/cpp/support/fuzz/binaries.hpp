// SPDX-License-Identifier: Apache-2.0 OR MIT
// Context binaries made wrong, with checksums made right again, so that what stands behind the
// checksums is looked at. docs/formats.md has the layout.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "numbers.hpp"

class Binary {
 public:
  explicit Binary(std::vector<std::uint8_t> bytes) : bytes_(std::move(bytes)) {}

  /** Changes a few places, mostly of headers and records, mostly unnoticed by checksums. */
  std::vector<std::uint8_t> broken(Numbers& numbers) {
    const bool sealed = numbers.chance(85);
    for (std::uint32_t changes = 1 + numbers.below(3); changes > 0; --changes) {
      change(numbers);
    }
    if (numbers.chance(10)) {
      bytes_.resize(1 + numbers.below(bytes_.size() + 64));
      store<std::uint64_t>(total_bytes, bytes_.size());
    }
    if (sealed) {
      seal();
    }
    return std::move(bytes_);
  }

 private:
  // Header of 32 bytes, then records of 24 bytes for each section: the directory, then graphs.
  static constexpr std::size_t total_bytes = 8;
  static constexpr std::size_t section_count = 24;
  static constexpr std::size_t header_crc = 28;
  static constexpr std::size_t header_end = 32;
  static constexpr std::size_t record_bytes = 24;

  template <typename Number>
  Number load(std::size_t at) const {
    Number number = 0;
    if (at + sizeof number <= bytes_.size()) {
      std::memcpy(&number, &bytes_[at], sizeof number);
    }
    return number;
  }
  template <typename Number>
  void store(std::size_t at, Number number) {
    if (at + sizeof number <= bytes_.size()) {
      std::memcpy(&bytes_[at], &number, sizeof number);
    }
  }

  /** Where the directory, the table of a graph, and so on begin. */
  std::size_t begin_of(std::size_t section) const {
    return load<std::uint64_t>(header_end + section * record_bytes + 8);
  }
  std::size_t sections() const {
    return std::min<std::size_t>(load<std::uint32_t>(section_count), 65);
  }

  void change(Numbers& numbers) {
    // The head; a graph's records, which stand before its constants; anything.
    std::size_t from = 0;
    std::size_t among = std::min<std::size_t>(256, bytes_.size());
    if (numbers.chance(70) && sections() > 1) {
      from = begin_of(1 + numbers.below(sections() - 1));
      among = 4096;
    } else if (numbers.chance(30)) {
      among = bytes_.size();
    }
    if (from >= bytes_.size()) {
      return;
    }
    const std::size_t at = from + numbers.below(std::min(among, bytes_.size() - from));
    if (numbers.chance(40)) {
      bytes_[at] ^= static_cast<std::uint8_t>(1U << numbers.below(8));
      return;
    }
    const std::size_t word = at / 4 * 4;
    const std::uint32_t old = load<std::uint32_t>(word);
    const std::array<std::uint32_t, 8> usual{
        {0, 1, UINT32_MAX, old + 1, old - 1, old * 2, static_cast<std::uint32_t>(numbers.next()),
         load<std::uint32_t>(from + 4 * numbers.below(among / 4 + 1))}};
    store(word, numbers.one_of(usual));
  }

  void seal() {
    for (std::size_t section = 0; section < sections(); ++section) {
      const std::size_t record = header_end + section * record_bytes;
      const std::uint64_t offset = begin_of(section);
      const std::uint64_t count = load<std::uint64_t>(record + 16);
      if (offset <= bytes_.size() && count <= bytes_.size() - offset) {
        store(record + 4, crc(0, bytes_.data() + offset, count));
      }
    }
    store<std::uint32_t>(header_crc, 0);
    const std::size_t end = std::min(header_end + sections() * record_bytes, bytes_.size());
    store(header_crc, crc(0, bytes_.data(), end));
  }

  /** CRC-32 as in Ethernet and zip files. */
  static std::uint32_t crc(std::uint32_t sum, const std::uint8_t* bytes, std::size_t count) {
    static const std::array<std::uint32_t, 256> table = [] {
      std::array<std::uint32_t, 256> made{};
      for (std::uint32_t index = 0; index < 256; ++index) {
        std::uint32_t value = index;
        for (int bit = 0; bit < 8; ++bit) {
          value = (value >> 1) ^ ((value & 1U) != 0 ? 0xEDB88320U : 0U);
        }
        made[index] = value;
      }
      return made;
    }();
    sum = ~sum;
    for (std::size_t index = 0; index < count; ++index) {
      sum = (sum >> 8) ^ table[(sum ^ bytes[index]) & 0xFFU];
    }
    return ~sum;
  }

  std::vector<std::uint8_t> bytes_;
};
