// SPDX-License-Identifier: Apache-2.0 OR MIT

/** @file
 *  What htp_runtime.hpp speaks in: Error, Result, Span, Completion, Callback. Included by it.
 */

#ifndef HTP_RT_HTP_RUNTIME_VOCABULARY_HPP
#define HTP_RT_HTP_RUNTIME_VOCABULARY_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "QnnInterface.h"
#include "htp_runtime.h"

namespace htp {

class Error;

namespace detail {

using Table = QNN_INTERFACE_VER_TYPE;

/** The provider's table, if it has every entry these headers know; nullptr otherwise. */
inline const Table* find_table() noexcept {
  const QnnInterface_t** providers = nullptr;
  std::uint32_t count = 0;
  if (QnnInterface_getProviders(&providers, &count) != QNN_SUCCESS || providers == nullptr) {
    return nullptr;
  }
  for (std::uint32_t index = 0; index < count; ++index) {
    const Qnn_Version_t& version = providers[index]->apiVersion.coreApiVersion;
    if (version.major == QNN_API_VERSION_MAJOR && version.minor >= QNN_API_VERSION_MINOR) {
      return &providers[index]->QNN_INTERFACE_VER_NAME;
    }
  }
  return nullptr;
}

/** Looked up once, by whoever comes first. */
inline const Table* table() noexcept {
  static const Table* const found = find_table();
  return found;
}

/** Calls an entry of the table; one that is not there is not supported. */
template <typename Entry, typename... Arguments>
Error call(Entry Table::* entry, Arguments... arguments) noexcept;

}  // namespace detail

/** A QNN code. True if it is an error, as with std::error_code. A plain value. */
class [[nodiscard]] Error {
 public:
  /** No error. */
  constexpr Error() noexcept = default;
  constexpr explicit Error(Qnn_ErrorHandle_t handle) noexcept : handle_(handle) {}

  constexpr explicit operator bool() const noexcept { return handle_ != QNN_SUCCESS; }

  /** The code proper (`QNN_..._ERROR_...`), without the bits above it; 0 is success. */
  constexpr std::uint32_t code() const noexcept {
    return static_cast<std::uint32_t>(QNN_GET_ERROR_CODE(handle_));
  }
  /** As the C API has it. */
  constexpr Qnn_ErrorHandle_t handle() const noexcept { return handle_; }

  /** The DSP restarted and is usable again: free, create anew, submit again. */
  constexpr bool device_restarted() const noexcept {
    return code() == QNN_COMMON_ERROR_SYSTEM_COMMUNICATION;
  }
  /** The DSP did not come back, or this platform cannot restart it. Only freeing helps. */
  constexpr bool device_lost() const noexcept {
    return code() == QNN_COMMON_ERROR_SYSTEM_COMMUNICATION_FATAL ||
           code() == QNN_COMMON_ERROR_SYSTEM;
  }
  /** The queue is full: try again after a completion. */
  constexpr bool queue_full() const noexcept {
    return code() == QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE;
  }

  /** What it means, in static memory; never nullptr. */
  const char* message() const noexcept {
    const char* text = nullptr;
    const detail::Table* table = detail::table();
    if (table != nullptr && table->errorGetMessage != nullptr) {
      (void)table->errorGetMessage(handle_, &text);
    }
    return text != nullptr ? text : "unknown error";
  }

  friend constexpr bool operator==(Error left, Error right) noexcept {
    return left.handle_ == right.handle_;
  }
  friend constexpr bool operator!=(Error left, Error right) noexcept { return !(left == right); }

 private:
  Qnn_ErrorHandle_t handle_ = QNN_SUCCESS;
};

template <typename Entry, typename... Arguments>
Error detail::call(Entry Table::* entry, Arguments... arguments) noexcept {
  const Table* found = table();
  if (found == nullptr || found->*entry == nullptr) {
    return Error(QNN_COMMON_ERROR_NOT_SUPPORTED);
  }
  return Error((found->*entry)(arguments...));
}

/** A value or an Error. True if it has the value.
 *
 *  Without a value, `*result` is a default-constructed T: an empty object, so that a check
 *  forgotten ends in one more error and never in undefined behaviour.
 */
template <typename T>
class [[nodiscard]] Result {
  static_assert(std::is_nothrow_default_constructible_v<T>, "an error needs an empty value");
  static_assert(std::is_nothrow_move_constructible_v<T>, "values are moved out");

 public:
  Result(T value) noexcept : value_(std::move(value)) {}
  Result(Error error) noexcept
      : error_(error ? error : Error(QNN_COMMON_ERROR_UNDEFINED)) {}

  explicit operator bool() const noexcept { return !error_; }
  Error error() const noexcept { return error_; }

  T& operator*() & noexcept { return value_; }
  const T& operator*() const& noexcept { return value_; }
  T&& operator*() && noexcept { return std::move(value_); }
  T* operator->() noexcept { return &value_; }
  const T* operator->() const noexcept { return &value_; }

  /** Moves the value to where it is wanted; on an error leaves that place alone. */
  Error into(T& place) && noexcept {
    if (!error_) {
      place = std::move(value_);
    }
    return error_;
  }

 private:
  T value_{};
  Error error_{};
};

/** Pointer and count of elements owned by somebody else; made from arrays and containers. */
template <typename T>
class Span {
 public:
  constexpr Span() noexcept = default;
  constexpr Span(T* data, std::size_t size) noexcept : data_(data), size_(size) {}
  template <std::size_t N>
  constexpr Span(T (&array)[N]) noexcept : data_(array), size_(N) {}
  template <typename Container,
            typename = std::enable_if_t<std::is_convertible_v<
                decltype(std::declval<Container&>().data()), T*>>>
  constexpr Span(Container& container) noexcept
      : data_(container.data()), size_(container.size()) {}

  constexpr T* data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  /** For the counts of the C API; what does not fit becomes a count no call accepts. */
  constexpr std::uint32_t count() const noexcept {
    return size_ <= UINT32_MAX ? static_cast<std::uint32_t>(size_) : UINT32_MAX;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

/** How an asynchronous execution ended, with its times on the runtime's clock. A plain value. */
class Completion {
 public:
  explicit Completion(const htp_rt_completion_t& raw) noexcept : raw_(raw) {}

  Error error() const noexcept { return Error(raw_.error); }
  /** From the accepted submit to the completion, in microseconds. */
  std::uint64_t latency_us() const noexcept { return raw_.completed_us - raw_.submitted_us; }
  const htp_rt_completion_t& raw() const noexcept { return raw_; }

 private:
  htp_rt_completion_t raw_;
};

/** A step of the restart machine: states `from` and `to`, instant, epoch, reconnect attempts. */
using SsrEvent = htp_rt_ssr_event_t;

/** A member function of an object, ready to be a callback: see bind. */
template <auto Function, typename Object>
struct Bound {
  Object* object;
};

/** `htp::bind<&Camera::on_done>(camera)`: the object must live until the callback came. */
template <auto Function, typename Object>
constexpr Bound<Function, Object> bind(Object& object) noexcept {
  return {std::addressof(object)};
}

namespace detail {

inline Error event(Qnn_NotifyStatus_t status) noexcept { return Error(status.error); }
inline Completion event(const htp_rt_completion_t* raw) noexcept { return Completion(*raw); }
inline const SsrEvent& event(const htp_rt_ssr_event_t* raw) noexcept { return *raw; }

template <typename Argument>
using Event = decltype(event(std::declval<Argument>()));

}  // namespace detail

/** A function pointer and an object, the pair every C callback takes. Does not own the object,
 *  does not allocate. Made from bind, or from a callable that has a name (a lambda in a variable);
 *  a temporary is refused, because the callback comes later.
 */
template <typename Argument>
class Callback {
 public:
  using Function = void (*)(void*, Argument);

  /** No callback. */
  constexpr Callback() noexcept = default;

  template <typename Callable,
            typename = std::enable_if_t<std::is_invocable_v<Callable&, detail::Event<Argument>>>>
  Callback(Callable& callable) noexcept
      : function_(&invoke<Callable>), object_(erase(std::addressof(callable))) {}

  template <typename Callable,
            typename = std::enable_if_t<std::is_invocable_v<Callable&, detail::Event<Argument>>>>
  Callback(const Callable&&) = delete;

  template <auto Member, typename Object>
  Callback(Bound<Member, Object> bound) noexcept
      : function_(&invoke_member<Member, Object>), object_(erase(bound.object)) {}

  Function function() const noexcept { return function_; }
  void* object() const noexcept { return object_; }

 private:
  static void* erase(const void* object) noexcept { return const_cast<void*>(object); }

  template <typename Callable>
  static void invoke(void* object, Argument argument) noexcept {
    (*static_cast<Callable*>(object))(detail::event(argument));
  }
  template <auto Member, typename Object>
  static void invoke_member(void* object, Argument argument) noexcept {
    (static_cast<Object*>(object)->*Member)(detail::event(argument));
  }

  Function function_ = nullptr;
  void* object_ = nullptr;
};

/** Receives an Error. */
using ErrorCallback = Callback<Qnn_NotifyStatus_t>;
/** Receives a Completion. */
using CompletionCallback = Callback<const htp_rt_completion_t*>;
/** Receives a `const SsrEvent&`. */
using SsrCallback = Callback<const htp_rt_ssr_event_t*>;

}  // namespace htp

#endif  // HTP_RT_HTP_RUNTIME_VOCABULARY_HPP
