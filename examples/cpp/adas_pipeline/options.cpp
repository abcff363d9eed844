// SPDX-License-Identifier: Apache-2.0 OR MIT

#include "options.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr unsigned long queue_depth_max = 300;

bool parse_depth(const char* text, std::uint32_t& depth) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text, &end, 10);
  if (end == text || *end != '\0' || value < 1 || value > queue_depth_max) {
    return false;
  }
  depth = static_cast<std::uint32_t>(value);
  return true;
}

bool parse_recovery(const char* text, bool& managed) {
  managed = std::strcmp(text, "managed") == 0;
  return managed || std::strcmp(text, "native") == 0;
}

}  // namespace

Parsed parse(int count, char** arguments, Options& options) {
  for (int index = 1; index < count; ++index) {
    const char* name = arguments[index];
    const char* value = index + 1 < count ? arguments[index + 1] : nullptr;
    const auto is = [&](const char* option) { return std::strcmp(name, option) == 0; };
    if (is("--help")) {
      return Parsed::help;
    }
    if (is("--no-crash")) {
      options.crash = false;
      continue;
    }
    if (is("--recovery") && value != nullptr && parse_recovery(value, options.managed)) {
      ++index;
      continue;
    }
    if (is("--data") && value != nullptr) {
      options.data = value;
    } else if (is("--trace") && value != nullptr) {
      options.trace = value;
    } else if (!is("--queue-depth") || value == nullptr ||
               !parse_depth(value, options.queue_depth)) {
      std::fprintf(stderr, "cannot use `%s%s%s`\n", name, value != nullptr ? " " : "",
                   value != nullptr ? value : "");
      return Parsed::wrong;
    }
    ++index;
  }
  return Parsed::run;
}

void print_usage() {
  const Options defaults;
  std::printf(
      "Three cameras share one DSP; in the middle it crashes.\n\n"
      "  --data DIR        network and images (default %s)\n"
      "  --queue-depth N   of each camera's context, 1 to %lu (default %u)\n"
      "  --trace FILE      for ui.perfetto.dev (default %s)\n"
      "  --recovery KIND   native: each camera re-creates its context after the crash (default);\n"
      "                    managed: the runtime rebuilds it, and queued frames stay queued\n"
      "  --no-crash        leave the DSP alone\n"
      "  --help            this text\n",
      defaults.data.c_str(), queue_depth_max, defaults.queue_depth, defaults.trace.c_str());
}
