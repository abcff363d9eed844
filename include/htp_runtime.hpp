// SPDX-License-Identifier: Apache-2.0 OR MIT

/** @file
 *  The runtime for C++17 and later: move-only owners over the QNN function table and the
 *  extension of htp_runtime.h.
 *
 *  Errors       No function throws; all are noexcept. What can fail returns an Error or a Result.
 *  Memory       Nothing here allocates. Objects have the size of what they hold.
 *  Threads      Different objects may be used by different threads. One object may be used by
 *               several threads through its const functions; whoever moves, assigns or frees it
 *               is alone with it.
 *  Callbacks    Come on the runtime's completion thread (or in htp_rt_poll), never inside the call
 *               that caused them and never under a lock. Keep them short: record, signal, return.
 *               They may call anything here; in them execute_async never waits.
 *  Empty        A default-constructed or moved-from object owns nothing. Its calls answer with an
 *               error of the runtime; destroying it does nothing.
 *  DSP restart  Backend and Device survive. Context, Graph and Memory are stale: their calls answer
 *               with an Error that says device_restarted(), and freeing them still works. Whoever
 *               sees that error frees its Context, creates it anew, retrieves its graphs and
 *               submits again what was not done. The new Context can be made at once. A Context
 *               whose set_recovery was called stays usable, with its Graphs and Memory.
 *
 *  What needs no owner (virtual device, statistics, initialisation) is called as htp_runtime.h has
 *  it; `htp::Error(htp_rt_...)` makes the answer readable.
 */

#ifndef HTP_RT_HTP_RUNTIME_HPP
#define HTP_RT_HTP_RUNTIME_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "QnnInterface.h"
#include "htp_runtime.h"
#include "htp_runtime/vocabulary.hpp"

namespace htp {

namespace detail {

/** Owns one handle and frees it once. */
template <typename Release>
class Owner {
 public:
  constexpr Owner() noexcept = default;
  /** Adopts a handle made through the C API. */
  constexpr explicit Owner(Qnn_Handle_t handle) noexcept : handle_(handle) {}
  Owner(Owner&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Owner& operator=(Owner&& other) noexcept {
    Qnn_Handle_t incoming = std::exchange(other.handle_, nullptr);
    (void)free();
    handle_ = incoming;
    return *this;
  }
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;
  ~Owner() { (void)free(); }

  /** Owns something. */
  explicit operator bool() const noexcept { return handle_ != nullptr; }
  /** For calls of the C API; stays owned here. */
  Qnn_Handle_t handle() const noexcept { return handle_; }

  /** Frees now and says how that went; empty afterwards in any case. Nothing to free is fine. */
  Error free() noexcept {
    Qnn_Handle_t handle = std::exchange(handle_, nullptr);
    return handle != nullptr ? Release::release(handle) : Error();
  }

 private:
  Qnn_Handle_t handle_ = nullptr;
};

struct ReleaseBackend {
  static Error release(Qnn_Handle_t handle) noexcept { return call(&Table::backendFree, handle); }
};
struct ReleaseDevice {
  static Error release(Qnn_Handle_t handle) noexcept { return call(&Table::deviceFree, handle); }
};
struct ReleaseContext {
  static Error release(Qnn_Handle_t handle) noexcept {
    return call(&Table::contextFree, handle, Qnn_ProfileHandle_t{nullptr});
  }
};
struct ReleaseMemory {
  static Error release(Qnn_Handle_t handle) noexcept {
    const Qnn_MemHandle_t* handles = &handle;
    return call(&Table::memDeRegister, handles, std::uint32_t{1});
  }
};

}  // namespace detail

/** The backend: root of everything else. Lives longer than what is created from it.
 *  A DSP restart leaves it valid.
 */
class Backend : public detail::Owner<detail::ReleaseBackend> {
 public:
  using Owner::Owner;

  /** Checks the version of the linked library too: QNN_COMMON_ERROR_NOT_SUPPORTED if it is older
   *  than these headers. The log, if any, is the caller's.
   */
  static Result<Backend> create(Qnn_LogHandle_t log = nullptr) noexcept {
    Qnn_BackendHandle_t handle = nullptr;
    const QnnBackend_Config_t** config = nullptr;
    if (Error error = detail::call(&detail::Table::backendCreate, log, config, &handle)) {
      return error;
    }
    return Backend(handle);
  }
};

/** The device. Lives longer than the contexts on it. A DSP restart leaves it valid. */
class Device : public detail::Owner<detail::ReleaseDevice> {
 public:
  using Owner::Owner;

  static Result<Device> create(Qnn_LogHandle_t log = nullptr) noexcept {
    Qnn_DeviceHandle_t handle = nullptr;
    const QnnDevice_Config_t** config = nullptr;
    if (Error error = detail::call(&detail::Table::deviceCreate, log, config, &handle)) {
      return error;
    }
    return Device(handle);
  }
};

/** One input or output of a graph: what it is called, how large it is, how it is quantized. */
class Tensor {
 public:
  constexpr Tensor() noexcept = default;
  explicit Tensor(const htp_rt_tensor_info_t& info) noexcept : info_(info) {}

  const char* name() const noexcept { return reinterpret_cast<const char*>(info_.name); }
  std::uint64_t size_bytes() const noexcept { return info_.size_bytes; }
  const htp_rt_tensor_info_t& info() const noexcept { return info_; }

  /** The descriptor the calls take, with the caller's memory in it. It points into this Tensor
   *  (name, dimensions), which the calls read before they return, and to the memory, which stays
   *  until the execution has ended.
   */
  Qnn_Tensor_t bind(Span<std::uint8_t> memory) noexcept {
    Qnn_Tensor_t tensor = QNN_TENSOR_INIT;
    tensor.v1.id = info_.id;
    tensor.v1.name = name();
    tensor.v1.type = static_cast<Qnn_TensorType_t>(info_.kind);
    tensor.v1.dataType = static_cast<Qnn_DataType_t>(info_.data_type);
    tensor.v1.quantizeParams.encodingDefinition = QNN_DEFINITION_DEFINED;
    tensor.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_SCALE_OFFSET;
    tensor.v1.quantizeParams.scaleOffsetEncoding = {info_.scale, info_.offset};
    tensor.v1.rank = info_.rank;
    tensor.v1.dimensions = info_.dims;
    tensor.v1.memType = QNN_TENSORMEMTYPE_RAW;
    tensor.v1.clientBuf = {memory.data(), memory.count()};
    return tensor;
  }

 private:
  htp_rt_tensor_info_t info_{};
};

/** An accepted asynchronous execution. A plain value: dropping it cancels nothing. */
class Request {
 public:
  constexpr Request() noexcept = default;
  constexpr explicit Request(htp_rt_request_t raw) noexcept : raw_(raw) {}

  /** Asks for an early end. The one notification comes all the same: with
   *  QNN_GRAPH_ERROR_ABORTED, or as a success if the end was quicker. Any thread.
   */
  Error cancel() const noexcept { return Error(htp_rt_request_cancel(raw_)); }
  std::uint64_t id() const noexcept { return raw_.id; }

 private:
  htp_rt_request_t raw_{};
};

/** What try_execute_async may be told beyond its tensors. */
struct ExecuteOptions {
  /** Ends the request with QNN_GRAPH_ERROR_TIMED_OUT this long after the submit; 0: never. */
  std::uint64_t timeout_us = 0;
  /** Filled by this execution; not one that another request in flight uses. The caller's. */
  Qnn_ProfileHandle_t profile = nullptr;
};

/** A graph of a Context. A plain value that owns nothing: it is valid as long as the Context it
 *  was retrieved from, and stale with it after a DSP restart. Any thread may submit.
 *
 *  The tensors' memory is lent until the execution has ended: for the asynchronous calls that is
 *  the callback. An accepted submit is notified exactly once, whatever fails; a refused one never.
 */
class Graph {
 public:
  using Inputs = Span<const Qnn_Tensor_t>;
  using Outputs = Span<Qnn_Tensor_t>;

  constexpr Graph() noexcept = default;
  constexpr explicit Graph(Qnn_GraphHandle_t handle) noexcept : handle_(handle) {}

  Qnn_GraphHandle_t handle() const noexcept { return handle_; }

  /** The input or output of that name; QNN_GRAPH_ERROR_INVALID_TENSOR if there is none. */
  Result<Tensor> tensor(const char* name) const noexcept {
    std::uint32_t count = 0;
    if (Error error = Error(htp_rt_graph_tensor_count(handle_, &count))) {
      return error;
    }
    for (std::uint32_t index = 0; index < count; ++index) {
      htp_rt_tensor_info_t info = {};
      if (Error error = Error(htp_rt_graph_tensor(handle_, index, &info))) {
        return error;
      }
      const Tensor tensor(info);
      if (std::strcmp(tensor.name(), name) == 0) {
        return tensor;
      }
    }
    return Error(QNN_GRAPH_ERROR_INVALID_TENSOR);
  }

  /** Executes and waits for the end. Not while an asynchronous execution of the same graph is
   *  under way: QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED.
   */
  Error execute(Inputs inputs, Outputs outputs, Qnn_ProfileHandle_t profile = nullptr,
                Qnn_SignalHandle_t signal = nullptr) const noexcept {
    return detail::call(&detail::Table::graphExecute, handle_, inputs.data(), inputs.count(),
                        outputs.data(), outputs.count(), profile, signal);
  }

  /** Queues an execution. Waits while the queue is full, up to the runtime's limit:
   *  QNN_GRAPH_ERROR_TIMED_OUT.
   */
  Error execute_async(Inputs inputs, Outputs outputs, ErrorCallback done,
                      Qnn_ProfileHandle_t profile = nullptr,
                      Qnn_SignalHandle_t signal = nullptr) const noexcept {
    return detail::call(&detail::Table::graphExecuteAsync, handle_, inputs.data(), inputs.count(),
                        outputs.data(), outputs.count(), profile, signal, done.function(),
                        done.object());
  }

  /** Queues an execution and never waits: an Error that says queue_full() means later. */
  Result<Request> try_execute_async(Inputs inputs, Outputs outputs, CompletionCallback done,
                                    const ExecuteOptions& options = {}) const noexcept {
    htp_rt_execute_options_t raw = {};
    raw.struct_size = sizeof raw;
    raw.timeout_us = options.timeout_us;
    raw.profile = options.profile;
    htp_rt_request_t request = {};
    if (Error error = Error(htp_rt_graph_try_execute_async(
            handle_, inputs.data(), inputs.count(), outputs.data(), outputs.count(), &raw,
            done.function(), done.object(), &request))) {
      return error;
    }
    return Request(request);
  }

 private:
  Qnn_GraphHandle_t handle_ = nullptr;
};

/** The levels of the HTP's thread priorities. */
enum class Priority : std::uint32_t {
  low = QNN_PRIORITY_LOW,
  normal = QNN_PRIORITY_NORMAL,
  normal_high = QNN_PRIORITY_NORMAL_HIGH,
  high = QNN_PRIORITY_HIGH,
};

/** Fixed when the context is created. */
struct ContextConfig {
  /** Asynchronous executions queued at once, 1..=300. */
  std::uint32_t queue_depth = 10;
  /** Of all graphs that set none of their own. */
  Priority priority = Priority::normal;
  /** The binary's bytes stay where they are as long as the context lives: it is used in place
   *  instead of being copied. Means nothing to create.
   */
  bool persistent_binary = false;
};

/** What a DSP restart does to requests of a managed context that had not gone to the device. */
enum class Queued : std::uint32_t {
  /** They keep their places and run afterwards; new ones are accepted meanwhile. */
  requeue = HTP_RT_RECOVERY_QUEUED_REQUEUE,
  /** They end with the restart's error; new ones are accepted when the context is usable again. */
  complete = HTP_RT_RECOVERY_QUEUED_COMPLETE,
};

/** What becomes of an execution whose outputs overlap those of another one that has not ended. */
enum class IoOwnership : std::uint32_t {
  /** Nobody looks: what QNN does. */
  unwatched = HTP_RT_IO_UNWATCHED,
  /** It is accepted, and counted in the context's statistics. */
  counted = HTP_RT_IO_COUNTED,
  /** It is refused: QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE. Give it other memory, or wait. */
  refused = HTP_RT_IO_REFUSED,
};

/** How a context under managed recovery is rebuilt after a DSP restart. When attempts or time are
 *  spent it is lost: its requests end with the fatal error, and only freeing it works.
 */
struct ManagedRecovery {
  /** Rebuilds that may begin before one succeeds, 1..=100. */
  std::uint32_t attempts_max = 3;
  /** Time from the crash until the context must be usable again, 1..=8'000'000 microseconds. */
  std::uint64_t time_budget_us = 2'000'000;
  Queued queued = Queued::requeue;
};

/** A context: its graphs, its queue, its memory on the device.
 *
 *  Freeing it ends what is still queued: each request gets its one notification, which may come
 *  after the free returned, so what callbacks name outlives the context. A DSP restart makes it
 *  stale (see the top of this file); a stale context is freed like any other. One under managed
 *  recovery is rebuilt instead.
 */
class Context : public detail::Owner<detail::ReleaseContext> {
 public:
  using Owner::Owner;

  /** An empty context, for graphs composed with the C API. */
  static Result<Context> create(const Backend& backend, const Device& device,
                                const ContextConfig& config = {}) noexcept {
    ConfigList list(config, false);
    Qnn_ContextHandle_t handle = nullptr;
    if (Error error = detail::call(&detail::Table::contextCreate, backend.handle(),
                                   device.handle(), list.data(), &handle)) {
      return error;
    }
    return Context(handle);
  }

  /** A context with the graphs of a context binary. */
  static Result<Context> from_binary(const Backend& backend, const Device& device,
                                     Span<const std::uint8_t> binary,
                                     const ContextConfig& config = {}) noexcept {
    ConfigList list(config, config.persistent_binary);
    Qnn_ContextHandle_t handle = nullptr;
    const void* bytes = binary.data();
    if (Error error = detail::call(&detail::Table::contextCreateFromBinary, backend.handle(),
                                   device.handle(), list.data(), bytes,
                                   Qnn_ContextBinarySize_t{binary.size()}, &handle,
                                   Qnn_ProfileHandle_t{nullptr})) {
      return error;
    }
    return Context(handle);
  }

  /** The graph of that name. */
  Result<Graph> graph(const char* name) const noexcept {
    Qnn_GraphHandle_t graph = nullptr;
    if (Error error = detail::call(&detail::Table::graphRetrieve, handle(), name, &graph)) {
      return error;
    }
    return Graph(graph);
  }

  /** From the next DSP restart on the library rebuilds this context, and its handles stay usable.
   *  A request that was on the device ends with the restart's error all the same: nothing is
   *  executed twice.
   */
  Error set_recovery(const ManagedRecovery& recovery) const noexcept {
    htp_rt_recovery_t given = native_recovery();
    given.kind = HTP_RT_RECOVERY_MANAGED;
    given.queued = static_cast<std::uint32_t>(recovery.queued);
    given.attempts_max = recovery.attempts_max;
    given.time_budget_us = recovery.time_budget_us;
    return Error(htp_rt_context_set_recovery(handle(), &given));
  }

  /** From the next DSP restart on this context goes stale again, as it did from the start. */
  Error set_native_recovery() const noexcept {
    const htp_rt_recovery_t given = native_recovery();
    return Error(htp_rt_context_set_recovery(handle(), &given));
  }

  /** What becomes of executions, from the next one on, that would write memory which another one
   *  is going to write. Contexts that watch see each other's outputs, and no others.
   */
  Error set_io_ownership(IoOwnership ownership) const noexcept {
    return Error(
        htp_rt_context_set_io_ownership(handle(), static_cast<std::uint32_t>(ownership)));
  }

  /** While the device is down, and after it or the context is lost, requests for the graphs that
   *  are finalized now are executed on the CPU: slower, with the same results, at most one at a
   *  time and one of this context in `interval_us` (1..=5'000'000 microseconds). Its notification
   *  says so (`on_fallback`). Needs set_recovery with Queued::requeue first, where a crashed DSP is
   *  restarted.
   */
  Error set_fallback(std::uint64_t interval_us) const noexcept {
    htp_rt_fallback_t given = {};
    given.struct_size = sizeof given;
    given.interval_us = interval_us;
    return Error(htp_rt_context_set_fallback(handle(), &given));
  }

  /** Requests wait for the device again. */
  Error set_no_fallback() const noexcept {
    return Error(htp_rt_context_set_fallback(handle(), nullptr));
  }

  /** How full the queue is and was, and how its requests ended. */
  Result<htp_rt_context_stats_t> stats() const noexcept {
    htp_rt_context_stats_t stats = {};
    if (Error error = Error(htp_rt_context_stats(handle(), &stats))) {
      return error;
    }
    return stats;
  }

 private:
  static htp_rt_recovery_t native_recovery() noexcept {
    htp_rt_recovery_t given = {};
    given.struct_size = sizeof given;
    return given;
  }

  /** The list the C API wants: pointers to entries, ended by nullptr. */
  class ConfigList {
   public:
    ConfigList(const ContextConfig& config, bool persistent) noexcept {
      entries_[0].option = QNN_CONTEXT_CONFIG_ASYNC_EXECUTION_QUEUE_DEPTH;
      entries_[0].asyncExeQueueDepth.type =
          QNN_CONTEXT_ASYNC_EXECUTION_QUEUE_DEPTH_TYPE_NUMERIC;
      entries_[0].asyncExeQueueDepth.depth = config.queue_depth;
      entries_[1].option = QNN_CONTEXT_CONFIG_OPTION_PRIORITY;
      entries_[1].priority = static_cast<Qnn_Priority_t>(config.priority);
      entries_[2].option = QNN_CONTEXT_CONFIG_PERSISTENT_BINARY;
      entries_[2].isPersistentBinary = 1;
      pointers_[2] = persistent ? &entries_[2] : nullptr;
    }
    ConfigList(const ConfigList&) = delete;
    ConfigList& operator=(const ConfigList&) = delete;

    const QnnContext_Config_t** data() noexcept { return pointers_; }

   private:
    QnnContext_Config_t entries_[3] = {};
    const QnnContext_Config_t* pointers_[4] = {&entries_[0], &entries_[1], nullptr, nullptr};
  };
};

/** A buffer registered with a context. Goes before its context does. A DSP restart makes it
 *  stale: free it and register the same buffer with the new context.
 */
class Memory : public detail::Owner<detail::ReleaseMemory> {
 public:
  using Owner::Owner;

  /** The memory stays the caller's and outlives this object. */
  static Result<Memory> register_buffer(const Context& context,
                                        const Qnn_MemDescriptor_t& descriptor) noexcept {
    Qnn_MemHandle_t handle = nullptr;
    const Qnn_MemDescriptor_t* descriptors = &descriptor;
    if (Error error = detail::call(&detail::Table::memRegister, context.handle(), descriptors,
                                   std::uint32_t{1}, &handle)) {
      return error;
    }
    return Memory(handle);
  }
};

/** Hears every step of a restart, on the completion thread, until it is destroyed. At most 8 at
 *  once in a process. Unsubscribing does not wait for a call that is under way on another thread.
 */
class SsrSubscription {
 public:
  constexpr SsrSubscription() noexcept = default;
  SsrSubscription(SsrSubscription&& other) noexcept
      : raw_(other.raw_), active_(std::exchange(other.active_, false)) {}
  SsrSubscription& operator=(SsrSubscription&& other) noexcept {
    const bool incoming = std::exchange(other.active_, false);
    const htp_rt_subscription_t raw = other.raw_;
    (void)free();
    raw_ = raw;
    active_ = incoming;
    return *this;
  }
  SsrSubscription(const SsrSubscription&) = delete;
  SsrSubscription& operator=(const SsrSubscription&) = delete;
  ~SsrSubscription() { (void)free(); }

  static Result<SsrSubscription> create(SsrCallback callback) noexcept {
    SsrSubscription made;
    if (Error error = Error(
            htp_rt_ssr_subscribe(callback.function(), callback.object(), &made.raw_))) {
      return error;
    }
    made.active_ = true;
    return made;
  }

  explicit operator bool() const noexcept { return active_; }

  /** Unsubscribes now and says how that went. */
  Error free() noexcept {
    return std::exchange(active_, false) ? Error(htp_rt_ssr_unsubscribe(raw_)) : Error();
  }

 private:
  htp_rt_subscription_t raw_{};
  bool active_ = false;
};

/** The state's name, in words. */
constexpr const char* to_string(htp_rt_ssr_state_t state) noexcept {
  switch (state) {
    case HTP_RT_SSR_ONLINE: return "online";
    case HTP_RT_SSR_BEFORE_SHUTDOWN: return "before shutdown";
    case HTP_RT_SSR_AFTER_SHUTDOWN: return "after shutdown";
    case HTP_RT_SSR_BEFORE_POWER_UP: return "before power up";
    case HTP_RT_SSR_AFTER_POWER_UP: return "after power up";
    case HTP_RT_SSR_LOST: return "lost";
  }
  return "unknown";
}

/** Writes what the runtime recorded as JSON for ui.perfetto.dev. The sink is called during this
 *  call, with a Span<const uint8_t> at a time; it returns false to stop, and calls nothing of the
 *  runtime, which stands still meanwhile: for the end of a run.
 */
template <typename Sink>
Error write_trace(Sink& sink) noexcept {
  const htp_rt_write_fn_t write = [](void* param, const std::uint8_t* bytes, std::size_t count) {
    return (*static_cast<Sink*>(param))(Span<const std::uint8_t>(bytes, count));
  };
  return Error(htp_rt_trace_write_json(write, std::addressof(sink)));
}

}  // namespace htp

#endif  // HTP_RT_HTP_RUNTIME_HPP
