// SPDX-License-Identifier: Apache-2.0 OR MIT
// Three cameras, one DSP, and a crash in the middle: every image gets its result exactly once.

#include <cstdio>
#include <cstdlib>

#include "digits.hpp"
#include "htp_runtime.hpp"
#include "options.hpp"
#include "pipeline.hpp"
#include "report.hpp"

namespace {

/** The car this runs in: QNX, Hexagon v73, and as fast as the model of the DSP says. */
htp::Error configure_device() {
  htp_rt_vdev_config_t config = {};
  config.struct_size = sizeof config;
  config.platform = HTP_RT_PLATFORM_QNX_ADAS;
  config.arch = 73;
  config.pacing = HTP_RT_PACING_MODELLED;
  return htp::Error(htp_rt_vdev_configure(&config));
}

/** True if every image was completed exactly once. */
bool report(const Digits& digits, const Pipeline& pipeline, const Options& options) {
  const Ledger::Score score = pipeline.ledger().score();
  htp_rt_stats_t stats = {};
  const htp::Error no_stats(htp_rt_stats(&stats));
  print_streams(pipeline.streams());
  print_timeline(pipeline.timeline().entries());
  print_accuracy(digits, score);
  const bool traced = write_trace_file(options.trace);
  print_result(digits.count(), score, stats.restarts);
  return score.lost == 0 && score.duplicated == 0 && traced && !no_stats;
}

}  // namespace

int main(int count, char** arguments) {
  Options options;
  switch (parse(count, arguments, options)) {
    case Parsed::help:
      print_usage();
      return EXIT_SUCCESS;
    case Parsed::wrong:
      print_usage();
      return EXIT_FAILURE;
    case Parsed::run:
      break;
  }
  Digits digits;
  if (!digits.load(options.data)) {
    return EXIT_FAILURE;
  }
  if (htp::Error error = configure_device()) {
    std::fprintf(stderr, "cannot configure the virtual device: %s\n", error.message());
    return EXIT_FAILURE;
  }
  Pipeline pipeline(digits, options.queue_depth, options.managed);
  if (htp::Error error = pipeline.open()) {
    std::fprintf(stderr, "cannot open the DSP: %s\n", error.message());
    return EXIT_FAILURE;
  }
  pipeline.run(options.crash);
  return report(digits, pipeline, options) ? EXIT_SUCCESS : EXIT_FAILURE;
}
