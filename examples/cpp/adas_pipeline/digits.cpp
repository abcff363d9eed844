// SPDX-License-Identifier: Apache-2.0 OR MIT

#include "digits.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>

namespace {

bool read_file(const std::string& path, std::vector<std::uint8_t>& bytes) {
  std::ifstream file(path, std::ios::binary);
  bytes.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  if (!file.good() && !file.eof()) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    return false;
  }
  return true;
}

}  // namespace

bool Digits::load(const std::string& folder) {
  std::vector<std::uint8_t> indices;
  if (!read_file(folder + "/digits.htpb", network) || !read_file(folder + "/images.bin", images) ||
      !read_file(folder + "/labels.bin", labels) || !read_file(folder + "/heldout.bin", indices)) {
    return false;
  }
  heldout.clear();
  for (std::size_t at = 0; at + 1 < indices.size(); at += 2) {
    heldout.push_back(static_cast<std::uint32_t>(indices[at] | indices[at + 1] << 8));
  }
  const auto inside = [this](std::uint32_t index) { return index < count(); };
  if (labels.empty() || heldout.empty() || images.size() != count() * image_bytes ||
      !std::all_of(heldout.begin(), heldout.end(), inside)) {
    std::fprintf(stderr, "the files of %s do not fit together\n", folder.c_str());
    return false;
  }
  return true;
}

htp::Error Network::open(const htp::Backend& backend, const htp::Device& device,
                         const Digits& digits, std::uint32_t queue_depth,
                         htp::Priority priority) {
  if (htp::Error error = context.free()) {
    return error;
  }
  htp::ContextConfig config;
  config.queue_depth = queue_depth;
  config.priority = priority;
  config.persistent_binary = true;
  if (htp::Error error =
          htp::Context::from_binary(backend, device, digits.network, config).into(context)) {
    return error;
  }
  if (htp::Error error = context.graph("digits").into(graph)) {
    return error;
  }
  if (htp::Error error = graph.tensor("image").into(image)) {
    return error;
  }
  if (htp::Error error = graph.tensor("logits").into(logits)) {
    return error;
  }
  return graph.tensor("probabilities").into(probabilities);
}

std::uint8_t best_class(const std::array<std::uint8_t, Network::classes>& logits) {
  const auto best = std::max_element(logits.begin(), logits.end());
  return static_cast<std::uint8_t>(std::distance(logits.begin(), best));
}
