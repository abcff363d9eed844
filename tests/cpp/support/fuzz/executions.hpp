// SPDX-License-Identifier: Apache-2.0 OR MIT
// Executions: blocking, queued, tried, cancelled; with plain and with shared memory.

#pragma once

#include <thread>

#include "HTP/QnnHtpMem.h"
#include "HTP/QnnHtpProfile.h"
#include "values.hpp"

/** Inputs or outputs of one execution, in a list that is exactly as long as it says. */
struct TensorList {
  std::unique_ptr<Qnn_Tensor_t[]> tensors;
  std::uint32_t count = 0;
};

/** What one execution is given. */
class Operands {
 public:
  /** Tensors as the graph wants them, over memory that the request owns; sometimes wrong. */
  Operands(Values& values, const Ready& ready, Request& request)
      : values_(values), request_(request), context_(ready.context) {
    request.is_known = ready.is_digits;
    inputs = list(ready.inputs, ready.is_digits);
    outputs = list(ready.outputs, false);
    if (values.numbers.chance(2)) {
      TensorList& one = values.numbers.chance(50) ? inputs : outputs;
      // Another number, but none behind which there could be a tensor that is not.
      one.count = values.numbers.chance(50) ? values.numbers.below(one.count + 1)
                                            : 1000 + values.numbers.number();
      request.is_known = false;
    }
    if (values.numbers.chance(1)) {
      (values.numbers.chance(50) ? inputs : outputs).tensors.reset();
    }
  }

  TensorList inputs;
  TensorList outputs;

 private:
  TensorList list(const std::vector<Port>& ports, bool is_image) {
    TensorList made;
    made.count = static_cast<std::uint32_t>(ports.size());
    made.tensors.reset(new Qnn_Tensor_t[ports.size()]);
    for (std::size_t index = 0; index < ports.size(); ++index) {
      made.tensors[index] = tensor(ports[index], is_image);
    }
    return made;
  }

  Qnn_Tensor_t tensor(const Port& port, bool is_image) {
    Request::Block block(new std::uint8_t[port.bytes]());
    if (is_image) {
      request_.image = numbers_.below(digits().images.size() / Digits::image_bytes);
      std::memcpy(block.get(), digits().image(request_.image), Digits::image_bytes);
    }
    Qnn_Tensor_t made = QNN_TENSOR_INIT;
    made.v1.id = port.id;
    made.v1.memType = QNN_TENSORMEMTYPE_RAW;
    made.v1.clientBuf = {block.get(), port.bytes};
    request_.blocks.push_back(std::move(block));
    if (numbers_.chance(30)) {
      made = Values::second_version(made);
    }
    if (numbers_.chance(8) && port.bytes <= 4096) {
      share(made, port.bytes);
    } else if (numbers_.chance(2)) {
      request_.is_known = false;
      values_.spoil(made);
    }
    return made;
  }

  /** Registers memory for the tensor, and uses that. */
  void share(Qnn_Tensor_t& tensor, std::uint32_t bytes) {
    QnnMemHtp_Descriptor_t place;
    std::memset(&place, 0, sizeof place);
    place.type = QNN_HTP_MEM_SHARED_BUFFER;
    place.size = 4096;
    place.sharedBufferConfig = {numbers_.one_of(values_.round.files),
                                numbers_.below(4096 - bytes + 1)};
    Qnn_MemDescriptor_t wanted = QNN_MEM_DESCRIPTOR_INIT;
    wanted.memShape = {1, &bytes, nullptr};
    wanted.dataType = QNN_DATATYPE_UINT_8;
    wanted.memType = QNN_MEM_TYPE_CUSTOM;
    wanted.customInfo = &place;
    Qnn_MemHandle_t handle = nullptr;
    values_.keep(memories, QNN(memRegister, context_, &wanted, 1, &handle), handle);
    if (handle != nullptr) {
      tensor.v1.memType = QNN_TENSORMEMTYPE_MEMHANDLE;
      tensor.v1.memHandle = handle;
      request_.is_known = false;    // others may write there
    }
  }

  Values& values_;
  Numbers& numbers_ = values_.numbers;
  Request& request_;
  Qnn_ContextHandle_t context_;
};

/** Nested calls of callbacks come to an end. */
class Nesting {
 public:
  Nesting() { ++depth(); }
  ~Nesting() { --depth(); }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  static bool is_deep() { return depth() > 2; }

 private:
  static int& depth() {
    static thread_local int levels = 0;
    return levels;
  }
};

/** A callback may call the library. */
inline void call_from_callback(std::uint64_t seed, std::uint32_t percent) {
  const Nesting nesting;
  Numbers numbers(seed);
  Round& round = *shared_round();
  if (!Nesting::is_deep() && numbers.chance(percent) && round.enter()) {
    Values values(numbers.next());
    any_call(values);
    round.leave();
  }
}

/** What comes out of the digit network is right whatever happens around it. */
inline void check_answer(const Request& request, Qnn_ErrorHandle_t error) {
  if (error == QNN_SUCCESS) {
    ++shared_round().load()->completed;
    CHECK(!request.is_known || digits().is_answer(request.image, request.blocks.at(1).get()));
  }
}

inline void heard(void* param, Qnn_ErrorHandle_t error) {
  Request& request = *static_cast<Request*>(param);
  check_answer(request, error);
  request.take_back();
  call_from_callback(request.seed, 20);
  ++request.heard;
}
inline void on_notify(void* param, Qnn_NotifyStatus_t status) { heard(param, status.error); }
inline void on_completion(void* param, const htp_rt_completion_t* completion) {
  heard(param, completion->error);
}

/** The graph that the operands are for, or any. */
inline Qnn_GraphHandle_t graph_for(Values& values, const Ready& ready, Request& request) {
  const Qnn_GraphHandle_t graph = values.numbers.chance(95) ? ready.graph : values.pick(graphs);
  request.is_known = request.is_known && graph == ready.graph;
  return graph;
}

/** A graph that cannot be executed any more is not tried again. */
inline void reconsider(Values& values, const Ready& ready, Qnn_ErrorHandle_t code) {
  values.recover(ready.context, code);
  if (code == QNN_GRAPH_ERROR_INVALID_HANDLE) {
    values.round.ready.forget(ready.graph);
    values.drop(graphs, ready.graph, code);
  }
}

inline void conclude(Values& values, const Ready& ready, Request& request,
                     Qnn_ErrorHandle_t code) {
  if (code == QNN_SUCCESS) {
    request.accepted = true;
    return;
  }
  request.take_back();
  reconsider(values, ready, code);
}

inline void try_execute(Values& values) {
  Numbers& numbers = values.numbers;
  const Ready ready = values.round.ready.pick(numbers);
  Request& request = values.round.requests.add(numbers.next());
  const Operands lent(values, ready, request);
  htp_rt_execute_options_t options = {};
  options.struct_size = numbers.chance(97) ? sizeof options : numbers.number();
  options.timeout_us = numbers.chance(30) ? numbers.below(3000) : 0;
  options.profile = values.seldom(profiles);
  htp_rt_request_t accepted = {};
  const Qnn_ErrorHandle_t code = RUNTIME(
      graph_try_execute_async, graph_for(values, ready, request), lent.inputs.tensors.get(),
      lent.inputs.count, lent.outputs.tensors.get(), lent.outputs.count,
      numbers.chance(50) ? &options : nullptr, numbers.chance(99) ? &on_completion : nullptr,
      &request, numbers.chance(95) ? &accepted : nullptr);
  conclude(values, ready, request, code);
  if (code == QNN_SUCCESS) {
    values.round.last_request = accepted.id;
  }
}

inline void execute_async(Values& values, Qnn_SignalHandle_t signal) {
  Numbers& numbers = values.numbers;
  const Ready ready = values.round.ready.pick(numbers);
  Request& request = values.round.requests.add(numbers.next());
  const Operands lent(values, ready, request);
  const Qnn_NotifyFn_t notify = numbers.chance(99) ? &on_notify : nullptr;
  conclude(values, ready, request,
           QNN(graphExecuteAsync, graph_for(values, ready, request), lent.inputs.tensors.get(),
               lent.inputs.count, lent.outputs.tensors.get(), lent.outputs.count,
               values.seldom(profiles), signal, notify, &request));
}
inline void execute_async(Values& values) { execute_async(values, values.seldom(signals)); }

inline void execute(Values& values) {
  const Ready ready = values.round.ready.pick(values.numbers);
  Request request;
  const Operands lent(values, ready, request);
  const Qnn_ErrorHandle_t code =
      QNN(graphExecute, graph_for(values, ready, request), lent.inputs.tensors.get(),
          lent.inputs.count, lent.outputs.tensors.get(), lent.outputs.count,
          values.seldom(profiles), values.seldom(signals));
  check_answer(request, code);
  reconsider(values, ready, code);
}

inline void cancel(Values& values) {
  Numbers& numbers = values.numbers;
  htp_rt_request_t request = {values.round.last_request};
  if (numbers.chance(30)) {
    request.id = numbers.chance(50) ? numbers.next() : request.id ^ (1ULL << numbers.below(64));
  }
  RUNTIME(request_cancel, request);
}

/** Ends an execution by its signal. */
inline void signalled(Values& values) {
  QnnSignal_Config_t config = QNN_SIGNAL_CONFIG_INIT;
  config.option = QNN_SIGNAL_CONFIG_OPTION_ABORT;
  ConfigList<QnnSignal_Config_t> list{config};
  Qnn_SignalHandle_t signal = nullptr;
  values.keep(signals, QNN(signalCreate, values.pick(backends), list.get(), &signal), signal);
  if (signal != nullptr) {
    execute_async(values, signal);
    QNN(signalTrigger, signal);
  }
}

/** Fills queues while the device stands still. */
inline void hold(Values& values) {
  COUNTED("runtime", "vdev_hold", htp_rt_vdev_hold());
  for (int offered = 0; offered < 12; ++offered) {
    try_execute(values);
  }
  cancel(values);
  COUNTED("runtime", "vdev_resume", htp_rt_vdev_resume());
}

/** Asks all about events and their parts. */
inline void read_events(const QnnProfile_EventId_t* events, std::uint32_t count) {
  for (std::uint32_t index = 0; index < count; ++index) {
    const QnnProfile_EventId_t* parts = nullptr;
    std::uint32_t part_count = 0;
    QnnProfile_EventData_t data = QNN_PROFILE_EVENT_DATA_INIT;
    QnnProfile_ExtendedEventData_t extended = QNN_PROFILE_EXTENDED_EVENT_DATA_INIT;
    QNN(profileGetExtendedEventData, events[index], &extended);
    if (QNN(profileGetEventData, events[index], &data) == QNN_SUCCESS) {
      CHECK(data.identifier != nullptr);
    }
    QNN(profileGetSubEvents, events[index], &parts, &part_count);
    read_events(parts, part_count);
  }
}

/** A profile object of one's own tells what the execution that used it measured. */
inline void profiled(Values& values) {
  Qnn_ProfileHandle_t profile = nullptr;
  static constexpr std::array<QnnProfile_Level_t, 3> levels{
      {QNN_PROFILE_LEVEL_BASIC, QNN_PROFILE_LEVEL_DETAILED, QNN_HTP_PROFILE_LEVEL_LINTING}};
  const QnnProfile_Level_t level = values.numbers.one_of(levels);
  if (QNN(profileCreate, values.pick(backends), level, &profile) != QNN_SUCCESS) {
    return;
  }
  const Ready ready = values.round.ready.pick(values.numbers);
  Request request;
  const Operands lent(values, ready, request);
  check_answer(request, QNN(graphExecute, ready.graph, lent.inputs.tensors.get(),
                            lent.inputs.count, lent.outputs.tensors.get(), lent.outputs.count,
                            profile, nullptr));
  const QnnProfile_EventId_t* events = nullptr;
  std::uint32_t count = 0;
  // Forged handles may name it too, so it may be gone.
  QNN(profileGetEvents, profile, &events, &count);
  read_events(events, count);
  QNN(profileFree, profile);
}
