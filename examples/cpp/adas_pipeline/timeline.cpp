// SPDX-License-Identifier: Apache-2.0 OR MIT

#include "timeline.hpp"

#include <algorithm>
#include <utility>

htp::Error Timeline::subscribe() {
  return htp::SsrSubscription::create(htp::bind<&Timeline::on_step>(*this)).into(subscription_);
}

void Timeline::on_step(const htp::SsrEvent& event) {
  std::string text = std::string("DSP: ") + htp::to_string(event.from) + " -> " +
                     htp::to_string(event.to) + ", epoch " + std::to_string(event.epoch);
  add(event.at_us, std::move(text));
}

void Timeline::note(std::string text) { add(htp_rt_now_us(), std::move(text)); }

std::vector<Timeline::Entry> Timeline::entries() const {
  std::vector<Entry> sorted;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    sorted = entries_;
  }
  const auto earlier = [](const Entry& a, const Entry& b) { return a.at_us < b.at_us; };
  std::stable_sort(sorted.begin(), sorted.end(), earlier);
  return sorted;
}

void Timeline::add(std::uint64_t at_us, std::string text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  entries_.push_back({at_us, std::move(text)});
}
