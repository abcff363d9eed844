// SPDX-License-Identifier: Apache-2.0 OR MIT
// The images, what they show, and the network that tells them apart.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "htp_runtime.hpp"

/** The committed data set: 8x8 images of handwritten digits. */
struct Digits {
  static constexpr std::size_t image_bytes = 64;

  std::vector<std::uint8_t> network;      // context binary
  std::vector<std::uint8_t> images;       // image_bytes each; the network's input as it stands
  std::vector<std::uint8_t> labels;       // the digit of each image
  std::vector<std::uint32_t> heldout;     // images the network was not trained on

  std::size_t count() const { return labels.size(); }
  const std::uint8_t* image(std::size_t index) const { return &images[index * image_bytes]; }

  /** False if a file is missing or does not fit the others; says which on standard error. */
  bool load(const std::string& folder);
};

/** The network on the device: a context of its own, its graph, the graph's tensors. */
struct Network {
  static constexpr std::size_t classes = 10;

  htp::Context context;
  htp::Graph graph;
  htp::Tensor image;
  htp::Tensor logits;
  htp::Tensor probabilities;

  /** Frees what was open before. The binary's bytes are used in place. */
  htp::Error open(const htp::Backend& backend, const htp::Device& device, const Digits& digits,
                  std::uint32_t queue_depth, htp::Priority priority);
};

/** The class with the largest logit. */
std::uint8_t best_class(const std::array<std::uint8_t, Network::classes>& logits);
