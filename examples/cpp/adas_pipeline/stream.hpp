// SPDX-License-Identifier: Apache-2.0 OR MIT
// One camera: a thread that offers frames to its own context and survives the DSP's restart.

#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "digits.hpp"
#include "htp_runtime.hpp"
#include "ledger.hpp"
#include "timeline.hpp"

/** What all streams use. Outlives them. */
struct Shared {
  const Digits& digits;
  const htp::Backend& backend;
  const htp::Device& device;
  Ledger& ledger;
  Timeline& timeline;
};

/** What the producer does when the queue is full. */
enum class Offer {
  waits,    // QnnGraph_executeAsync: the call waits for room
  tries,    // htp_rt_graph_try_execute_async: never waits in it, retries after a completion
};

struct StreamConfig {
  const char* name;
  const char* priority_name;
  htp::Priority priority;
  Offer offer;
  std::uint32_t queue_depth;
  bool managed;    // the runtime rebuilds the context after a restart
};

struct StreamReport {
  std::uint64_t submitted = 0;
  std::uint64_t completed = 0;
  std::uint64_t failed_by_restart = 0;
  std::uint64_t submitted_again = 0;
  std::uint32_t queue_high_water = 0;
  std::vector<std::uint64_t> latencies_us;    // from the shutter to the result
};

class Stream {
 public:
  Stream(const StreamConfig& config, const Shared& shared);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /** Before start: one more frame for this camera. */
  void deal(std::size_t image);
  htp::Error open();
  void start();

  /** The camera's shutter: this many more frames may be offered. */
  void release(std::size_t count);
  /** Waits until the queue is full or holds all released frames; false if that takes too long. */
  bool wait_filled(std::chrono::milliseconds at_most);

  /** Offers nothing more, finished or not. */
  void stop();
  /** Waits for the thread's end: all frames done, or stopped. */
  void join();
  const StreamConfig& config() const { return config_; }
  /** After join. */
  const StreamReport& report() const { return report_; }

 private:
  /** An image on its way. */
  struct Frame {
    std::size_t image = 0;
    std::uint64_t released_us = 0;
    bool failed = false;    // the restart took it once
  };

  /** The buffers of one request in flight. */
  struct Slot {
    Stream* stream = nullptr;
    std::size_t frame = 0;
    bool in_flight = false;
    std::array<std::uint8_t, Digits::image_bytes> image{};
    std::array<std::uint8_t, Network::classes> logits{};
    std::array<std::uint8_t, Network::classes> probabilities{};
    std::array<Qnn_Tensor_t, 1> inputs{};
    std::array<Qnn_Tensor_t, 2> outputs{};

    void on_error_code(htp::Error error) noexcept { stream->on_done(*this, error); }
    void on_completion(const htp::Completion& done) noexcept {
      stream->on_done(*this, done.error());
    }
  };

  void run();
  bool wait_until_ready();
  Slot& take_slot();
  void offer(Slot& slot);
  htp::Error submit(Slot& slot);
  void settle(Slot& slot, htp::Error refusal);
  void recover();
  void give_up(htp::Error error) noexcept;
  void note_high_water();
  void on_done(Slot& slot, htp::Error error) noexcept;
  bool may_offer() const { return !again_.empty() || next_ < released_; }
  bool finished() const { return report_.completed == frames_.size(); }

  const StreamConfig config_;
  const Shared shared_;
  Network network_;

  std::mutex mutex_;    // guards everything below that both threads touch
  std::condition_variable changed_;
  std::vector<Frame> frames_;
  std::vector<std::size_t> again_;    // frames to submit again, oldest first
  std::size_t next_ = 0;              // first frame never offered
  std::size_t released_ = 0;
  std::vector<Slot> slots_;
  std::vector<Slot*> free_;
  std::size_t in_flight_ = 0;
  bool restarted_ = false;
  bool stopped_ = false;
  htp::Error fatal_;
  StreamReport report_;
  std::thread thread_;
};
