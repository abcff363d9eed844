// SPDX-License-Identifier: Apache-2.0 OR MIT
// Hears notifications and lets a test wait for them.

#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <vector>

#include "QnnInterface.h"

/** Give `notify` and its address to an asynchronous execution. */
class Waiter {
 public:
  static void notify(void* param, Qnn_NotifyStatus_t status) {
    auto* self = static_cast<Waiter*>(param);
    const std::lock_guard<std::mutex> lock(self->mutex_);
    self->errors_.push_back(status.error);
    self->changed_.notify_all();
  }

  /** Errors heard so far, when there are at least `count`. */
  std::vector<Qnn_ErrorHandle_t> wait(std::size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return errors_.size() >= count; });
    return errors_;
  }

  std::size_t count() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return errors_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Qnn_ErrorHandle_t> errors_;
};
