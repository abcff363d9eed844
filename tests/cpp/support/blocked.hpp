// SPDX-License-Identifier: Apache-2.0 OR MIT
// A call on a thread of its own that is expected not to come back yet.

#pragma once

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <string>
#include <thread>

#include "QnnCommon.h"

/** Runs a call on its own thread, and sees when that thread sleeps in the kernel. */
class BlockedCall {
 public:
  template <typename Call>
  explicit BlockedCall(Call call)
      : thread_([this, call] {
          id_ = syscall(SYS_gettid);
          error_ = call();
          ended_ = true;
        }) {}
  BlockedCall(const BlockedCall&) = delete;
  BlockedCall& operator=(const BlockedCall&) = delete;
  ~BlockedCall() {
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  /** Returns when the thread sleeps (true) or the call has come back (false). */
  bool is_waiting() const {
    while (!ended_) {
      if (id_ != 0 && state_of(id_) == 'S') {
        return !ended_;
      }
      sched_yield();
    }
    return false;
  }

  /** Waits for the call; what it answered. */
  Qnn_ErrorHandle_t error() {
    thread_.join();
    return error_;
  }

 private:
  /** The kernel's letter for what a thread of this process does: S is an interruptible sleep. */
  static char state_of(long id) {
    const std::string path = "/proc/self/task/" + std::to_string(id) + "/stat";
    std::FILE* file = std::fopen(path.c_str(), "r");
    char state = '?';
    if (file != nullptr) {
      if (std::fscanf(file, "%*d (%*[^)]) %c", &state) != 1) {
        state = '?';
      }
      std::fclose(file);
    }
    return state;
  }

  std::atomic<long> id_{0};
  std::atomic<bool> ended_{false};
  Qnn_ErrorHandle_t error_ = QNN_COMMON_ERROR_UNDEFINED;
  std::thread thread_;    // last: it uses the others from the start
};
