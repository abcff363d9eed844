//! `QnnGraph_execute` and `QnnGraph_executeAsync`.

use core::ffi::c_void;

use runtime::error::{HandleError, SubmitError};
use runtime::event::Completion;
use runtime::graph::{GraphTable, TensorList};
use runtime::handle::{ContextId, GraphId, RequestId};
use runtime::limits::{BLOCKING_TIMEOUT_US, NO_TIMEOUT_US};
use runtime::memory::ClientMemory;
use runtime::platform::drive::{Answer, WaitTimeout};
use runtime::platform::os::Guard;
use runtime::queue::Mode;
use runtime::runtime::{IoBinding, IoSource, SubmitOptions};
use runtime::time::Instant;

use crate::abi::*;
use crate::client;
use crate::convert::{from_client, graph_id, outcome, submit_error, to_client, Code};
use crate::export::operand::{Fields, Memory, Place};
use crate::export::{answer, living, profile, signal, Machine, MayRecover};
use crate::instance::{self, Instance, Notify};
use crate::objects::{kind, Objects, SignalId};
use crate::refusal::{because, no_array, no_handle, within, Dims, Say, Words};

const INVALID_HANDLE: Code = QNN_GRAPH_ERROR_INVALID_HANDLE;
const BAD_TENSOR: Code = QNN_GRAPH_ERROR_INVALID_TENSOR;

/// How often a blocking call that gave up waiting goes on waiting for the device to let go of the
/// lent memory.
const STOP_WAITS_MAX: u32 = 8;

/// The tensors of one execution, as the client lists them.
pub(crate) struct Bindings<'a> {
    instance: &'a Instance,
    graph: Option<GraphId>,
    inputs: &'a [Qnn_Tensor_t],
    outputs: &'a [Qnn_Tensor_t],
}

impl<'a> Bindings<'a> {
    /// Views the lists.
    ///
    /// # Safety
    /// Both point to that many tensors, whose memory is the runtime's until the execution has
    /// ended.
    pub(crate) unsafe fn new(
        instance: &'a Instance,
        inputs: *const Qnn_Tensor_t,
        num_inputs: u32,
        outputs: *mut Qnn_Tensor_t,
        num_outputs: u32,
    ) -> Result<Self, Code> {
        const BAD: Code = QNN_GRAPH_ERROR_INVALID_ARGUMENT;
        if num_outputs == 0 {
            return Err(because!(BAD, "numOutputs is 0"));
        }
        let no_inputs = no_array(BAD, ("inputs", "numInputs"), num_inputs);
        let no_outputs = no_array(BAD, ("outputs", "numOutputs"), num_outputs);
        // SAFETY: the caller's promise.
        let inputs = unsafe { client::array(inputs, num_inputs, client::ARRAY_MAX) }
            .ok_or_else(no_inputs)?;
        // SAFETY: the caller's promise.
        let outputs = unsafe { client::array(outputs, num_outputs, client::ARRAY_MAX) }
            .ok_or_else(no_outputs)?;
        Ok(Self { instance, graph: None, inputs, outputs })
    }

    /// The same lists, to be compared with the inputs and outputs of `graph`.
    pub(crate) fn of_graph(mut self, graph: GraphId) -> Self {
        self.graph = Some(graph);
        self
    }

    /// What the lists say is compared with the graph; registered buffers are looked up. Locks the
    /// host objects until the result is dropped, so that none of those buffers goes meanwhile.
    pub(crate) fn resolve(&self, machine: &Machine) -> Result<Resolved<'_>, SubmitError> {
        let mut context = None;
        // A graph without a table is not finalized, which submit says better.
        if let Some(Ok((of, table))) = self.graph.map(|graph| machine.graph_to_bind(graph)) {
            self.check(&table)?;
            context = Some(of);
        }
        Ok(Resolved { bindings: self, context, objects: self.instance.objects.lock() })
    }

    /// Inputs are inputs of the graph, outputs are outputs, and dimensions, where given, are the
    /// graph's own. What is not so has been told, with the code of the error.
    fn check(&self, table: &GraphTable<'_>) -> Result<(), SubmitError> {
        for (name, number, list, own) in [
            ("inputs", "numInputs", self.inputs, table.inputs()),
            ("outputs", "numOutputs", self.outputs, table.outputs()),
        ] {
            let count = list.len();
            if count != own.len() {
                let error = match count {
                    0 => SubmitError::NoTensors,
                    _ => SubmitError::WrongTensorCount,
                };
                because!(submit_error(error), number, " is ", count, ", the graph has ", own.len());
                return Err(error);
            }
            for (position, tensor) in list.iter().enumerate() {
                check_tensor(tensor, own, position).inspect_err(|error| {
                    within!(submit_error(*error), Entry(name, position, tensor));
                })?;
            }
        }
        Ok(())
    }
}

/// A tensor of a list is one of the graph's, at `position` or elsewhere.
fn check_tensor(
    tensor: &Qnn_Tensor_t,
    own: TensorList<'_>,
    position: usize,
) -> Result<(), SubmitError> {
    let fields = Fields::read(tensor, BAD_TENSOR).map_err(|_| SubmitError::BadTensor(0))?;
    let is_it = |tensor: &runtime::graph::Tensor<'_>| tensor.id() == fields.id;
    let found = own.at(position).filter(is_it).or_else(|| own.iter().find(is_it));
    let found = found.ok_or_else(|| {
        because!(BAD_TENSOR, fields.path, ".id is ", fields.id, ": the graph has no such tensor");
        SubmitError::BadTensor(fields.id)
    })?;
    // SAFETY: the caller of `Bindings::new` promised sound tensors.
    let dims = unsafe { fields.dims() }.filter(|dims| dims.len() == found.rank());
    match dims {
        Some(dims) if !found.dims().eq(dims.iter().copied()) => {
            let (given, own) = (Dims(dims.iter().copied()), Dims(found.dims()));
            because!(BAD_TENSOR, fields.path, ".dimensions are ", given, ", the graph has ", own);
            Err(SubmitError::BadTensor(fields.id))
        }
        _ => Ok(()),
    }
}

/// A tensor in a list, with its name if it has one.
struct Entry<'a>(&'static str, usize, &'a Qnn_Tensor_t);

impl Say for Entry<'_> {
    fn say(&self, words: &mut Words) {
        // SAFETY: the caller of `Bindings::new` promised sound tensors.
        let name = Fields::of(self.2).and_then(|fields| unsafe { fields.name() });
        Place(self.0, self.1, name).say(words);
    }
}

/// The memories of one execution.
pub(crate) struct Resolved<'a> {
    bindings: &'a Bindings<'a>,
    /// Registered buffers must belong to this context.
    context: Option<ContextId>,
    objects: Guard<'a, Objects>,
}

impl IoSource for Resolved<'_> {
    fn count(&self) -> usize {
        self.bindings.inputs.len().saturating_add(self.bindings.outputs.len())
    }

    fn binding(&self, index: usize) -> Option<IoBinding> {
        let (inputs, outputs) = (self.bindings.inputs, self.bindings.outputs);
        let output = index.checked_sub(inputs.len());
        let tensor = output.map_or_else(|| inputs.get(index), |output| outputs.get(output))?;
        let fields = Fields::of(tensor)?;
        let memory = match fields.memory {
            // SAFETY: the client lends the buffer until the execution has ended.
            Memory::Raw(buffer) => unsafe {
                ClientMemory::new(buffer.data.expose_provenance(), buffer.dataSize as usize)
            },
            Memory::Handle(handle) => self.registered(handle)?,
            Memory::Other => return None,
        };
        Some(IoBinding { tensor_id: fields.id, memory })
    }
}

impl Resolved<'_> {
    /// The answer to an execution that is not accepted, of the graph that an argument names.
    pub(crate) fn refused(
        &self,
        machine: &Machine,
        error: SubmitError,
        (argument, graph): (&'static str, GraphId),
    ) -> Code {
        let code = submit_error(error);
        match error {
            SubmitError::BadTensor(id) => self.refused_memory(machine, graph, id),
            SubmitError::Handle(HandleError::Invalid) => {
                no_handle::<runtime::handle::kind::Graph>(code, argument, to_client(graph))()
            }
            SubmitError::PrepareOnly => {
                because!(code, argument, " is of a context that only prepares graphs")
            }
            SubmitError::AsyncNotSupported => {
                because!(code, "this platform has no asynchronous execution; use QnnGraph_execute")
            }
            SubmitError::MixedModes => {
                let why = " has executions of the other kind under way (blocking, or not)";
                because!(code, argument, why)
            }
            SubmitError::OutputInUse(id) => {
                let why = " is to be written by an execution that has not ended";
                because!(code, "the memory of the output with tensor id ", id, why)
            }
            SubmitError::BadProfile => because!(code, "the profile object was freed"),
            _ => code,
        }
    }

    /// The answer to memory that the tensor with this id cannot use.
    fn refused_memory(&self, machine: &Machine, graph: GraphId, id: u32) -> Code {
        let table = machine.graph_table(graph).ok();
        let own = |tensor: &runtime::graph::Tensor<'_>| tensor.id() == id;
        let own = table.and_then(|table| table.tensors().find(own));
        let needed = own.map_or(0, |tensor| tensor.size_bytes());
        let lists = [("inputs", self.bindings.inputs), ("outputs", self.bindings.outputs)];
        for (name, list) in lists {
            for (position, tensor) in list.iter().enumerate() {
                let Some(fields) = Fields::of(tensor).filter(|fields| fields.id == id) else {
                    continue;
                };
                let told = match fields.memory {
                    Memory::Raw(buffer) if buffer.data.is_null() => {
                        because!(BAD_TENSOR, ".clientBuf.data is null")
                    }
                    Memory::Raw(buffer) => {
                        let size = buffer.dataSize;
                        let field = ".clientBuf.dataSize is ";
                        because!(BAD_TENSOR, field, size, ", ", needed, " are needed")
                    }
                    Memory::Handle(handle) => self.refused_buffer(handle, needed),
                    Memory::Other => because!(BAD_TENSOR, ".memType is not offered"),
                };
                return within!(told, Entry(name, position, tensor), fields.path);
            }
        }
        BAD_TENSOR
    }

    fn refused_buffer(&self, handle: Qnn_MemHandle_t, needed: usize) -> Code {
        let none = no_handle::<kind::Mapping>(BAD_TENSOR, ".memHandle", handle);
        let Some(mapping) = from_client(handle).and_then(|id| self.objects.mappings.get(id).ok())
        else {
            return none();
        };
        if mapping.released {
            return none();
        }
        if self.context.is_some_and(|context| context != mapping.context) {
            return because!(BAD_TENSOR, ".memHandle is registered with another context");
        }
        let (size, why) = (mapping.bytes, " bytes, ");
        because!(BAD_TENSOR, ".memHandle is of ", size, why, needed, " are needed")
    }

    fn registered(&self, handle: Qnn_MemHandle_t) -> Option<ClientMemory> {
        let mapping = self.objects.mappings.get(from_client(handle)?).ok()?;
        let without_graph = self.bindings.graph.is_none();
        let own = self.context.map_or(without_graph, |context| context == mapping.context);
        // SAFETY: the pages stay mapped while a request of their context is in flight.
        (own && !mapping.released)
            .then(|| unsafe { ClientMemory::new(mapping.address, mapping.bytes) })
    }
}

/// An execution that is to be accepted.
struct Submission<'a> {
    graph: GraphId,
    bindings: &'a Bindings<'a>,
    signal: Option<SignalId>,
    options: SubmitOptions,
}

/// Why an execution was not accepted now.
enum Refusal {
    /// Ask again after the next event.
    Later,
    /// The same, and it is clients who make room, not the device.
    Unheard,
    Never(Code),
}

impl Submission<'_> {
    /// Attaches the signal to the call, which may have to wait for room before it has a request.
    /// Gives how long to wait in all, for room and for everything else: what the signal allows. Its
    /// time runs from here.
    fn begin(&mut self, instance: &Instance) -> Result<u64, Code> {
        let Some(signal) = self.signal else { return Ok(NO_TIMEOUT_US) };
        instance.driver.call(|machine, now| {
            let deadline = signal::deadline(instance, machine, signal, now)?;
            signal::attach_call(instance, signal, true);
            self.options.deadline = self.options.deadline.min(deadline);
            Ok(deadline.since_us(now))
        })
    }

    /// Nothing was accepted: the signal is free again.
    fn give_up(&self, instance: &Instance) {
        if let Some(signal) = self.signal {
            instance.driver.call(|_, _| signal::attach_call(instance, signal, false));
        }
    }

    /// Tries to have it accepted.
    fn submit(
        &mut self,
        instance: &Instance,
        machine: &mut Machine,
        now: Instant,
    ) -> Result<RequestId, Refusal> {
        if self.signal.is_some_and(|signal| signal::call_aborted(instance, signal)) {
            return Err(Refusal::Never(QNN_GRAPH_ERROR_ABORTED));
        }
        let io = self.bindings.resolve(machine);
        let io = io.map_err(|error| Refusal::Never(submit_error(error)))?;
        let accepted = machine.submit(now, self.graph, &io, self.options);
        let accepted = accepted.map_err(|error| match error {
            SubmitError::QueueFull if !machine.device_makes_room(self.graph) => Refusal::Unheard,
            SubmitError::QueueFull => Refusal::Later,
            error if error.is_recovering() => Refusal::Later,
            error => Refusal::Never(io.refused(machine, error, ("graphHandle", self.graph))),
        });
        // It holds the lock of the host objects, among which the signal is.
        drop(io);
        let request = accepted?;
        if let Some(signal) = self.signal {
            signal::attach(instance, signal, request);
        }
        Ok(request)
    }
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnGraph_execute(
    graphHandle: Qnn_GraphHandle_t,
    inputs: *const Qnn_Tensor_t,
    numInputs: u32,
    outputs: *mut Qnn_Tensor_t,
    numOutputs: u32,
    profileHandle: Qnn_ProfileHandle_t,
    signalHandle: Qnn_SignalHandle_t,
) -> Qnn_ErrorHandle_t {
    let call = c"QnnGraph_execute";
    let checked = check(graphHandle, profileHandle, signalHandle);
    answer(
        call,
        checked.and_then(|arguments| {
            let instance = arguments.instance;
            // SAFETY: the caller's promise.
            let bindings =
                unsafe { Bindings::new(instance, inputs, numInputs, outputs, numOutputs) }?
                    .of_graph(arguments.graph);
            let options = arguments.options(Mode::Blocking, [0; 3]);
            let (graph, signal) = (arguments.graph, arguments.signal);
            execute(instance, Submission { graph, bindings: &bindings, signal, options })
        }),
    )
}

/// What both kinds of execution are given, checked.
struct Arguments {
    instance: &'static Instance,
    graph: GraphId,
    profile: Option<runtime::handle::ProfileId>,
    signal: Option<SignalId>,
}

impl Arguments {
    fn options(&self, mode: Mode, user_data: [usize; 3]) -> SubmitOptions {
        SubmitOptions { mode, deadline: Instant::FAR, user_data, profile: self.profile }
    }
}

fn check(
    graph: Qnn_GraphHandle_t,
    profile: Qnn_ProfileHandle_t,
    signal: Qnn_SignalHandle_t,
) -> Result<Arguments, Code> {
    let none = no_handle::<runtime::handle::kind::Graph>(INVALID_HANDLE, "graphHandle", graph);
    let instance = living(&none)?;
    let graph = graph_id(graph).ok_or_else(&none)?;
    let invalid = ("profileHandle", QNN_GRAPH_ERROR_INVALID_ARGUMENT);
    let profile = profile::optional(instance, profile, invalid)?;
    let signal = match signal.is_null() {
        true => None,
        false => {
            const INVALID: Code = QNN_SIGNAL_ERROR_INVALID_HANDLE;
            let none = no_handle::<kind::Signal>(INVALID, "signalHandle", signal);
            Some(from_client(signal).ok_or_else(none)?)
        }
    };
    Ok(Arguments { instance, graph, profile, signal })
}

/// Executes and waits, also for room in the queue and for the end of a restart. The memory is lent
/// until the device has let go of it, so a wait that takes too long ends the execution and goes on
/// until that is so.
fn execute(instance: &Instance, mut submission: Submission<'_>) -> Result<(), Code> {
    let mut accepted = None;
    // Only notifications free places that asynchronous requests hold; within one, nobody could wait
    // for the next.
    let may_wait = !instance.driver.on_completion_thread();
    let wait_us = submission.begin(instance)?;
    let waited = instance.driver.call_blocking(wait_us, |machine, now| {
        let request = match accepted {
            Some(request) => request,
            None => match submission.submit(instance, machine, now) {
                Ok(request) => *accepted.insert(request),
                Err(Refusal::Never(code)) => return Answer::Ready(Err(code)),
                Err(_) if !may_wait => {
                    return Answer::Ready(Err(QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE))
                }
                Err(Refusal::Later) => return Answer::Pending,
                Err(Refusal::Unheard) => return Answer::Elsewhere,
            },
        };
        ended(machine, now, request)
    });
    if accepted.is_none() {
        submission.give_up(instance);
    }
    match (waited, accepted) {
        (Ok(result), _) => result,
        (Err(WaitTimeout), None) => Err(QNN_GRAPH_ERROR_TIMED_OUT),
        (Err(WaitTimeout), Some(request)) => stop(instance, request),
    }
}

fn ended(machine: &mut Machine, now: Instant, request: RequestId) -> Answer<Result<(), Code>> {
    match machine.take_outcome(now, request) {
        Some(completion) => Answer::Ready(code_of(&completion)),
        None => Answer::Pending,
    }
}

fn code_of(completion: &Completion) -> Result<(), Code> {
    match outcome(completion.outcome) {
        QNN_SUCCESS => Ok(()),
        code => Err(code),
    }
}

/// Ends an execution that takes too long. A device that does not stop it is restarted by the watch
/// over it.
fn stop(instance: &Instance, request: RequestId) -> Result<(), Code> {
    // Whatever the answer, the outcome is what counts.
    let _ = instance.driver.call(|machine, now| machine.cancel(now, request));
    for _ in 0..STOP_WAITS_MAX {
        let waited = instance
            .driver
            .call_blocking(BLOCKING_TIMEOUT_US, |machine, now| ended(machine, now, request));
        match waited {
            Ok(Err(QNN_GRAPH_ERROR_ABORTED)) => return Err(QNN_GRAPH_ERROR_TIMED_OUT),
            Ok(result) => return result,
            Err(WaitTimeout) => {}
        }
    }
    // Without threads nothing ends it before the next poll: it must not hold its place for ever.
    instance.driver.call(|machine, _| machine.abandon(request));
    Err(QNN_GRAPH_ERROR_TIMED_OUT)
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnGraph_executeAsync(
    graphHandle: Qnn_GraphHandle_t,
    inputs: *const Qnn_Tensor_t,
    numInputs: u32,
    outputs: *mut Qnn_Tensor_t,
    numOutputs: u32,
    profileHandle: Qnn_ProfileHandle_t,
    signalHandle: Qnn_SignalHandle_t,
    notifyFn: Qnn_NotifyFn_t,
    notifyParam: *mut c_void,
) -> Qnn_ErrorHandle_t {
    let call = c"QnnGraph_executeAsync";
    let checked = check(graphHandle, profileHandle, signalHandle);
    answer(
        call,
        checked.and_then(|arguments| {
            let instance = arguments.instance;
            if notifyFn.is_none() {
                return Err(because!(QNN_GRAPH_ERROR_INVALID_ARGUMENT, "notifyFn is null"));
            }
            // SAFETY: the caller's promise.
            let bindings =
                unsafe { Bindings::new(instance, inputs, numInputs, outputs, numOutputs) }?
                    .of_graph(arguments.graph);
            let user_data = instance::user_data(Notify::Qnn(notifyFn), notifyParam);
            let options = arguments.options(Mode::Asynchronous, user_data);
            let (graph, signal) = (arguments.graph, arguments.signal);
            enqueue(instance, Submission { graph, bindings: &bindings, signal, options })
        }),
    )
}

/// Queues; waits for room in a full queue, and for the end of a restart, unless called from within
/// a notification.
fn enqueue(instance: &Instance, mut submission: Submission<'_>) -> Result<(), Code> {
    let wait_us = submission.begin(instance)?;
    let queued = submit_or_wait(instance, &mut submission, wait_us);
    if queued.is_err() {
        submission.give_up(instance);
    }
    queued
}

fn submit_or_wait(
    instance: &Instance,
    submission: &mut Submission<'_>,
    wait_us: u64,
) -> Result<(), Code> {
    let first = instance.driver.call(|machine, now| submission.submit(instance, machine, now));
    match first {
        Ok(_) => return Ok(()),
        Err(Refusal::Never(code)) => return Err(code),
        Err(_) if instance.driver.on_completion_thread() => {
            return Err(QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE)
        }
        Err(Refusal::Later | Refusal::Unheard) => {}
    }
    let waited = instance.driver.call_blocking(wait_us, |machine, now| {
        match submission.submit(instance, machine, now) {
            Ok(_) => Answer::Ready(Ok(())),
            Err(Refusal::Never(code)) => Answer::Ready(Err(code)),
            Err(Refusal::Later) => Answer::Pending,
            Err(Refusal::Unheard) => Answer::Elsewhere,
        }
    });
    waited.unwrap_or(Err(QNN_GRAPH_ERROR_TIMED_OUT))
}
