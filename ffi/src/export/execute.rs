//! `QnnGraph_execute` and `QnnGraph_executeAsync`.

use cty::c_void;
use runtime::error::SubmitError;
use runtime::event::Completion;
use runtime::handle::{ContextId, GraphId, RequestId};
use runtime::limits::BLOCKING_TIMEOUT_US;
use runtime::memory::ClientMemory;
use runtime::platform::drive::{Answer, WaitTimeout};
use runtime::platform::os::Guard;
use runtime::queue::Mode;
use runtime::runtime::{IoBinding, IoSource, SubmitOptions};
use runtime::time::Instant;

use crate::abi::*;
use crate::client;
use crate::convert::{from_client, graph_id, outcome, submit_error, Code};
use crate::export::operand::{Fields, Memory};
use crate::export::{answer, living, profile, signal, Machine, MayRecover};
use crate::instance::{self, Instance, Notify};
use crate::objects::{Objects, SignalId};

const INVALID_HANDLE: Code = QNN_GRAPH_ERROR_INVALID_HANDLE;

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
            return Err(BAD);
        }
        // SAFETY: the caller's promise.
        let inputs = unsafe { client::array(inputs, num_inputs) }.ok_or(BAD)?;
        // SAFETY: the caller's promise.
        let outputs = unsafe { client::array(outputs, num_outputs) }.ok_or(BAD)?;
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
        if let Some(graph) = self.graph {
            self.check(machine, graph)?;
            context = machine.graph_context(graph).ok();
        }
        Ok(Resolved { bindings: self, context, objects: self.instance.objects.lock() })
    }

    /// Inputs are inputs of the graph, outputs are outputs, and dimensions, where given, are the
    /// graph's own.
    fn check(&self, machine: &Machine, graph: GraphId) -> Result<(), SubmitError> {
        // A graph without a table is not finalized, which submit says better.
        let Ok(table) = machine.graph_table(graph) else { return Ok(()) };
        for (list, own) in [(self.inputs, table.inputs()), (self.outputs, table.outputs())] {
            if list.is_empty() && !own.is_empty() {
                return Err(SubmitError::NoTensors);
            }
            if list.len() != own.len() {
                return Err(SubmitError::WrongTensorCount);
            }
            for (position, tensor) in list.iter().enumerate() {
                let fields = Fields::of(tensor).ok_or(SubmitError::BadTensor(0))?;
                let is_it = |tensor: &runtime::graph::Tensor<'_>| tensor.id() == fields.id;
                let found = own.at(position).filter(is_it);
                let found = found.or_else(|| own.iter().find(is_it));
                let found = found.ok_or(SubmitError::BadTensor(fields.id))?;
                // SAFETY: the caller of `new` promised sound tensors.
                let dims = unsafe { fields.dims() }.filter(|dims| dims.len() == found.rank());
                if dims.is_some_and(|dims| !found.dims().eq(dims.iter().copied())) {
                    return Err(SubmitError::BadTensor(fields.id));
                }
            }
        }
        Ok(())
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
    fn registered(&self, handle: Qnn_MemHandle_t) -> Option<ClientMemory> {
        let mapping = self.objects.mappings.get(from_client(handle)?).ok()?;
        let own = self.context.is_none_or(|context| context == mapping.context);
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
    Never(Code),
}

impl Submission<'_> {
    /// How long to wait at most, for room and for everything else: what the signal allows, and
    /// never longer than any blocking call. The signal's time runs from here.
    fn wait_us(&mut self, instance: &Instance) -> Result<u64, Code> {
        let Some(signal) = self.signal else { return Ok(BLOCKING_TIMEOUT_US) };
        instance.driver.call(|machine, now| {
            let deadline = signal::deadline(instance, machine, signal, now)?;
            self.options.deadline = self.options.deadline.min(deadline);
            Ok(deadline.since_us(now).min(BLOCKING_TIMEOUT_US))
        })
    }

    /// Tries to have it accepted.
    fn submit(
        &mut self,
        instance: &Instance,
        machine: &mut Machine,
        now: Instant,
    ) -> Result<RequestId, Refusal> {
        if let Some(signal) = self.signal {
            // It may have been attached to another call since.
            signal::deadline(instance, machine, signal, now).map_err(Refusal::Never)?;
        }
        let io = self.bindings.resolve(machine);
        let accepted = io.and_then(|io| machine.submit(now, self.graph, &io, self.options));
        match accepted {
            Ok(request) => {
                if let Some(signal) = self.signal {
                    signal::attach(instance, signal, request);
                }
                Ok(request)
            }
            Err(SubmitError::QueueFull) => Err(Refusal::Later),
            Err(error) if error.is_recovering() => Err(Refusal::Later),
            Err(error) => Err(Refusal::Never(submit_error(error))),
        }
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
    let instance = living(INVALID_HANDLE)?;
    let graph = graph_id(graph).ok_or(INVALID_HANDLE)?;
    let profile = profile::optional(instance, profile, QNN_GRAPH_ERROR_INVALID_ARGUMENT)?;
    let signal = match signal.is_null() {
        true => None,
        false => Some(from_client(signal).ok_or(QNN_SIGNAL_ERROR_INVALID_HANDLE)?),
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
    let wait_us = submission.wait_us(instance)?;
    let waited = instance.driver.call_blocking(wait_us, |machine, now| {
        let request = match accepted {
            Some(request) => request,
            None => match submission.submit(instance, machine, now) {
                Ok(request) => *accepted.insert(request),
                Err(Refusal::Later) if may_wait => return Answer::Pending,
                Err(Refusal::Later) => {
                    return Answer::Ready(Err(QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE))
                }
                Err(Refusal::Never(code)) => return Answer::Ready(Err(code)),
            },
        };
        ended(machine, now, request)
    });
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
                return Err(QNN_GRAPH_ERROR_INVALID_ARGUMENT);
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
    let wait_us = submission.wait_us(instance)?;
    let first = instance.driver.call(|machine, now| submission.submit(instance, machine, now));
    match first {
        Ok(_) => return Ok(()),
        Err(Refusal::Never(code)) => return Err(code),
        Err(Refusal::Later) if instance.driver.on_completion_thread() => {
            return Err(QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE)
        }
        Err(Refusal::Later) => {}
    }
    let waited = instance.driver.call_blocking(wait_us, |machine, now| {
        match submission.submit(instance, machine, now) {
            Ok(_) => Answer::Ready(Ok(())),
            Err(Refusal::Never(code)) => Answer::Ready(Err(code)),
            Err(Refusal::Later) => Answer::Pending,
        }
    });
    waited.unwrap_or(Err(QNN_GRAPH_ERROR_TIMED_OUT))
}
