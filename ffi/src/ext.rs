//! The extension API: what QNN has no call for. `include/htp_runtime.h` is generated from here and `ext_vdev.rs`.
//!
//! Unless a function says otherwise it answers with a QNN error code, may be called from any thread and from within
//! notifications, does bounded work and never waits.

#![allow(non_camel_case_types, reason = "names of the C interface")]

use core::mem::MaybeUninit;

use cty::c_void;
use embedded_io::{ErrorType, Write};
use runtime::error::{CancelError, HandleError};
use runtime::graph::{Tensor, RANK_MAX};
use runtime::limits::Capacities;
use runtime::profile::trace;
use runtime::queue::Mode;
use runtime::runtime::{Runtime, SubmitOptions};
use runtime::ssr::State;
use runtime::time::Instant;

use crate::abi::*;
use crate::convert;
use crate::export::graph::Bindings;
use crate::instance::{self, Notify, Setup, Subscriber};

/// Major version of the extension API: changes when a client must be changed.
pub const HTP_RT_VERSION_MAJOR: u32 = 0;
/// Minor version of the extension API: changes when something is added.
pub const HTP_RT_VERSION_MINOR: u32 = 1;
/// Patch version.
pub const HTP_RT_VERSION_PATCH: u32 = 0;

/// Flag of `htp_rt_config_t`: no threads are started; the caller drives everything with `htp_rt_poll`.
pub const HTP_RT_INIT_NO_THREADS: u32 = 1;

/// Version of the library: major << 16 | minor << 8 | patch.
#[no_mangle]
pub extern "C" fn htp_rt_version() -> u32 {
    HTP_RT_VERSION_MAJOR << 16 | HTP_RT_VERSION_MINOR << 8 | HTP_RT_VERSION_PATCH
}

/// How many objects the tables hold. All zero: the defaults (16 contexts, 64 graphs, 256 buffers, 4800 requests, 32
/// profiles, 16384 trace records).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_capacities_t {
    /// Contexts that live at once.
    pub contexts: u16,
    /// Graphs of all contexts.
    pub graphs: u16,
    /// Registered buffers of all contexts.
    pub buffers: u16,
    /// Requests: the sum of the queue depths of all contexts.
    pub requests: u16,
    /// Profile objects.
    pub profiles: u16,
    /// Records of the trace ring; 0 with other numbers given: no trace.
    pub trace_records: u32,
}

/// What `htp_rt_init` is given. Zero the struct, set `struct_size`, then what differs from the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_config_t {
    /// `sizeof(htp_rt_config_t)`.
    pub struct_size: u32,
    /// `HTP_RT_INIT_*`.
    pub flags: u32,
    /// Memory for the runtime's tables, contexts and graphs, handed over for the life of the process. NULL: 1 GiB of
    /// address space from the operating system, committed as it is used.
    pub memory: *mut c_void,
    /// Bytes at `memory`.
    pub memory_bytes: usize,
    /// Memory of the virtual device, handed over likewise. NULL: as above.
    pub device_memory: *mut c_void,
    /// Bytes at `device_memory`.
    pub device_memory_bytes: usize,
    /// Sizes of the tables.
    pub capacities: htp_rt_capacities_t,
}

/// Bytes that the runtime's tables take of `htp_rt_config_t::memory`. Contexts and graphs come on top when they are
/// created. NULL: for the default capacities.
///
/// # Safety
/// `capacities` is NULL or points to a struct.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_memory_required(capacities: *const htp_rt_capacities_t) -> usize {
    // SAFETY: the caller's promise.
    let capacities = unsafe { capacities.as_ref() }.map_or(Capacities::DEFAULT, capacities_of);
    Runtime::memory_required(&capacities).saturating_add(crate::objects::Objects::BYTES)
}

/// Initialises the library. Optional: the first QNN call does it with all defaults. Starts the threads, the only ones
/// the library ever starts.
///
/// Errors: `QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED` if it is initialised already; `QNN_COMMON_ERROR_INVALID_ARGUMENT`
/// if the struct is not understood or memory is given without size; `QNN_COMMON_ERROR_MEM_ALLOC` if the memory is
/// smaller than `htp_rt_memory_required`; `QNN_COMMON_ERROR_SYSTEM` if a thread cannot be started.
///
/// # Safety
/// `config` is NULL or points to a struct whose memory blocks, if any, are the library's for the life of the process.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_init(config: *const htp_rt_config_t) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let Some(config) = (unsafe { config.as_ref() }) else {
        return instance::init(Setup::DEFAULT);
    };
    if config.struct_size as usize != size_of::<htp_rt_config_t>()
        || config.flags & !HTP_RT_INIT_NO_THREADS != 0
        || config.memory.is_null() != (config.memory_bytes == 0)
        || config.device_memory.is_null() != (config.device_memory_bytes == 0)
    {
        return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    }
    instance::init(Setup {
        capacities: capacities_of(&config.capacities),
        // SAFETY: the caller hands both blocks over for the life of the process.
        memory: unsafe { block(config.memory, config.memory_bytes) },
        // SAFETY: as above.
        device_memory: unsafe { block(config.device_memory, config.device_memory_bytes) },
        threaded: config.flags & HTP_RT_INIT_NO_THREADS == 0,
    })
}

/// # Safety
/// The block is NULL or handed over for the life of the process.
unsafe fn block(memory: *mut c_void, bytes: usize) -> Option<&'static mut [MaybeUninit<u8>]> {
    // SAFETY: the caller's promise.
    (!memory.is_null()).then(|| unsafe { core::slice::from_raw_parts_mut(memory.cast(), bytes) })
}

fn capacities_of(given: &htp_rt_capacities_t) -> Capacities {
    let tables = [given.contexts, given.graphs, given.buffers, given.requests, given.profiles];
    if tables == [0; 5] && given.trace_records == 0 {
        return Capacities::DEFAULT;
    }
    Capacities {
        contexts: given.contexts,
        graphs: given.graphs,
        buffers: given.buffers,
        requests: given.requests,
        profiles: given.profiles,
        trace_records: given.trace_records,
    }
}

/// Drives everything, for systems without threads: works on the device and delivers notifications until nothing more
/// can be done at time `now_us`, which never goes back. `next_us`, if not NULL, receives the time of the next thing to
/// do, `UINT64_MAX` if only a call can bring something. Work is bounded by what is queued.
///
/// Errors: `QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED` if the library runs threads.
///
/// # Safety
/// `next_us` is NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_poll(now_us: u64, next_us: *mut u64) -> Qnn_ErrorHandle_t {
    let instance = match instance::get() {
        Ok(instance) if instance.threaded => return QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED,
        Ok(instance) => instance,
        Err(error) => return error,
    };
    let due_us = instance.driver.poll(now_us);
    // SAFETY: the caller's promise.
    if let Some(next_us) = unsafe { next_us.as_mut() } {
        *next_us = due_us;
    }
    QNN_SUCCESS
}

/// The library's clock in microseconds: the monotonic clock, or the time of the last `htp_rt_poll`. 0 before
/// initialisation.
#[no_mangle]
pub extern "C" fn htp_rt_now_us() -> u64 {
    instance::existing().map_or(0, |instance| instance.driver.now().as_us())
}

/// One accepted request. 0 is none.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct htp_rt_request_t {
    /// Not to be interpreted.
    pub id: u64,
}

/// How a request ended.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_completion_t {
    /// The request.
    pub request: htp_rt_request_t,
    /// `QNN_SUCCESS`; `QNN_COMMON_ERROR_SYSTEM_COMMUNICATION` after a restart, when objects can be re-created already;
    /// `QNN_COMMON_ERROR_SYSTEM_COMMUNICATION_FATAL` if the DSP is lost; `QNN_GRAPH_ERROR_TIMED_OUT`;
    /// `QNN_GRAPH_ERROR_ABORTED`; `QNN_GRAPH_ERROR_GENERAL` if the device failed.
    pub error: Qnn_ErrorHandle_t,
    /// When it was accepted, in microseconds of `htp_rt_now_us`.
    pub submitted_us: u64,
    /// When the device took it; 0 if it never did.
    pub dispatched_us: u64,
    /// When its outcome was known.
    pub completed_us: u64,
    /// Time on the device in microseconds, without the time it was yielded.
    pub device_time_us: u64,
    /// Cycles on the device.
    pub cycles: u64,
    /// How often it yielded to a more important graph.
    pub yields: u32,
}

/// Told once when a request has ended: on the completion thread, or within `htp_rt_poll`. Should be short; may call
/// any function of the library.
pub type htp_rt_notify_fn_t =
    Option<unsafe extern "C" fn(param: *mut c_void, completion: *const htp_rt_completion_t)>;

/// Options of one execution. Zero the struct, set `struct_size`, then what is wanted.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_execute_options_t {
    /// `sizeof(htp_rt_execute_options_t)`.
    pub struct_size: u32,
    /// Time from now after which the request ends as timed out, in microseconds; 0: never.
    pub timeout_us: u64,
    /// Profile object to fill, or NULL. Not one that another request in flight uses.
    pub profile: Qnn_ProfileHandle_t,
}

/// Like `QnnGraph_executeAsync`, but never waits: if the queue is full the answer is
/// `QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE`, to be tried again after a completion; during a restart it is that too.
/// `request`, if not NULL, receives the request. After success exactly one notification comes, after an error none.
/// The tensors' memory is lent until then.
///
/// # Safety
/// `inputs` and `outputs` point to that many tensors; `options` is NULL or points to a struct; `request` is NULL or
/// writable; the tensors' memory stays valid until the notification.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_graph_try_execute_async(
    graph: Qnn_GraphHandle_t,
    inputs: *const Qnn_Tensor_t,
    num_inputs: u32,
    outputs: *mut Qnn_Tensor_t,
    num_outputs: u32,
    options: *const htp_rt_execute_options_t,
    notify: htp_rt_notify_fn_t,
    param: *mut c_void,
    request: *mut htp_rt_request_t,
) -> Qnn_ErrorHandle_t {
    let Some(instance) = instance::existing() else { return QNN_GRAPH_ERROR_INVALID_HANDLE };
    let Some(id) = convert::graph_id(graph) else { return QNN_GRAPH_ERROR_INVALID_HANDLE };
    if notify.is_none() {
        return QNN_GRAPH_ERROR_INVALID_ARGUMENT;
    }
    // SAFETY: the caller's promise.
    let options = unsafe { options.as_ref() };
    let options_fit = |options: &htp_rt_execute_options_t| {
        options.struct_size as usize == size_of::<htp_rt_execute_options_t>()
    };
    if !options.is_none_or(options_fit) {
        return QNN_GRAPH_ERROR_INVALID_ARGUMENT;
    }
    let (timeout_us, profile) =
        options.map_or((0, core::ptr::null_mut()), |options| (options.timeout_us, options.profile));
    let profile = match convert::optional_profile(profile) {
        Ok(profile) => profile,
        Err(error) => return error,
    };
    // SAFETY: the caller's promise.
    let bindings = unsafe { Bindings::new(instance, inputs, num_inputs, outputs, num_outputs) };
    let bindings = match bindings {
        Ok(bindings) => bindings.of_graph(id),
        Err(error) => return error,
    };
    let user_data = instance::user_data(Notify::Extension(notify), param);
    let accepted = instance.driver.call(|machine, now| {
        let deadline = if timeout_us == 0 { Instant::FAR } else { now.after_us(timeout_us) };
        let options = SubmitOptions { mode: Mode::Asynchronous, deadline, user_data, profile };
        machine.submit(now, id, &bindings.resolve(machine)?, options)
    });
    match accepted {
        Ok(accepted) => {
            // SAFETY: the caller's promise.
            if let Some(request) = unsafe { request.as_mut() } {
                *request = convert::request(accepted);
            }
            QNN_SUCCESS
        }
        Err(error) => convert::submit_error(error),
    }
}

/// Ends a request early. Its notification still comes, exactly once, and says `QNN_GRAPH_ERROR_ABORTED`, or success
/// if the device was faster.
///
/// Errors: `QNN_COMMON_ERROR_INVALID_ARGUMENT` if the request was notified already or never existed;
/// `QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED` if it is ending anyway.
#[no_mangle]
pub extern "C" fn htp_rt_request_cancel(request: htp_rt_request_t) -> Qnn_ErrorHandle_t {
    let Some(instance) = instance::existing() else { return QNN_COMMON_ERROR_INVALID_ARGUMENT };
    let id = convert::request_id(request);
    match instance.driver.call(|machine, now| machine.cancel(now, id)) {
        Ok(()) => QNN_SUCCESS,
        Err(CancelError::Invalid) => QNN_COMMON_ERROR_INVALID_ARGUMENT,
        Err(CancelError::Ending) => QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED,
    }
}

/// State of a context's queue and what became of its requests.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_context_stats_t {
    /// Queue depth in requests.
    pub queue_depth: u32,
    /// Requests between acceptance and the end of their completion.
    pub queue_used: u32,
    /// The most there ever were at once.
    pub queue_used_max: u32,
    /// Requests accepted.
    pub submitted: u64,
    /// Requests that ended with written outputs.
    pub completed: u64,
    /// Requests ended by a restart.
    pub reset: u64,
    /// Requests ended by their time-out.
    pub timed_out: u64,
    /// Requests cancelled, or ended by freeing the context.
    pub aborted: u64,
    /// Requests that failed on the device.
    pub failed: u64,
}

/// Reads a context's statistics. Works on a stale context too, until it is freed.
///
/// # Safety
/// `stats` is writable.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_context_stats(
    context: Qnn_ContextHandle_t,
    stats: *mut htp_rt_context_stats_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let Some(stats) = (unsafe { stats.as_mut() }) else {
        return QNN_CONTEXT_ERROR_INVALID_ARGUMENT;
    };
    let (Some(instance), Some(id)) = (instance::existing(), convert::context_id(context)) else {
        return QNN_CONTEXT_ERROR_INVALID_HANDLE;
    };
    match instance.driver.call(|machine, _| machine.context_stats(id)) {
        Ok(read) => {
            *stats = htp_rt_context_stats_t {
                queue_depth: read.queue_depth.into(),
                queue_used: read.queue_used.into(),
                queue_used_max: read.queue_used_max.into(),
                submitted: read.counts.submitted,
                completed: read.counts.completed,
                reset: read.counts.reset,
                timed_out: read.counts.timed_out,
                aborted: read.counts.aborted,
                failed: read.counts.failed,
            };
            QNN_SUCCESS
        }
        Err(_) => QNN_CONTEXT_ERROR_INVALID_HANDLE,
    }
}

/// An input or output of a graph.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_tensor_info_t {
    /// Tensor id, as `Qnn_Tensor_t` carries it.
    pub id: u32,
    /// `QNN_TENSOR_TYPE_APP_WRITE` or `QNN_TENSOR_TYPE_APP_READ`.
    pub kind: Qnn_TensorType_t,
    /// Element type.
    pub data_type: Qnn_DataType_t,
    /// Number of dimensions.
    pub rank: u32,
    /// Dimensions, outermost first.
    pub dims: [u32; RANK_MAX],
    /// Bytes of the whole tensor.
    pub size_bytes: u64,
    /// Scale of a per-tensor quantization; 0 if there is none.
    pub scale: f32,
    /// Offset of a per-tensor quantization.
    pub offset: i32,
    /// Name, ended by a zero; cut if it is longer.
    pub name: [u8; 64],
}

/// Number of inputs and outputs of a finalized graph.
///
/// # Safety
/// `count` is writable.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_graph_tensor_count(
    graph: Qnn_GraphHandle_t,
    count: *mut u32,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let Some(count) = (unsafe { count.as_mut() }) else {
        return QNN_GRAPH_ERROR_INVALID_ARGUMENT;
    };
    with_graph(graph, |table| {
        let tensors = table.inputs().len().saturating_add(table.outputs().len());
        *count = u32::try_from(tensors).unwrap_or(u32::MAX);
        QNN_SUCCESS
    })
}

/// Describes input or output `index` of a finalized graph: inputs first, then outputs, in order of creation.
///
/// # Safety
/// `info` is writable.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_graph_tensor(
    graph: Qnn_GraphHandle_t,
    index: u32,
    info: *mut htp_rt_tensor_info_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let Some(info) = (unsafe { info.as_mut() }) else {
        return QNN_GRAPH_ERROR_INVALID_ARGUMENT;
    };
    with_graph(graph, |table| {
        let index = index as usize;
        let output = index.checked_sub(table.inputs().len());
        let tensor = match output {
            None => table.inputs().at(index),
            Some(output) => table.outputs().at(output),
        };
        match tensor {
            Some(tensor) => {
                *info = tensor_info(&tensor);
                QNN_SUCCESS
            }
            None => QNN_GRAPH_ERROR_INVALID_ARGUMENT,
        }
    })
}

fn with_graph(
    graph: Qnn_GraphHandle_t,
    look: impl FnOnce(&runtime::graph::GraphTable<'_>) -> Qnn_ErrorHandle_t,
) -> Qnn_ErrorHandle_t {
    let (Some(instance), Some(id)) = (instance::existing(), convert::graph_id(graph)) else {
        return QNN_GRAPH_ERROR_INVALID_HANDLE;
    };
    instance.driver.call(|machine, _| match machine.graph_table(id) {
        Ok(table) => look(&table),
        Err(HandleError::Invalid) => QNN_GRAPH_ERROR_INVALID_HANDLE,
        Err(error) => convert::handle_error(error, QNN_GRAPH_ERROR_INVALID_HANDLE),
    })
}

fn tensor_info(tensor: &Tensor<'_>) -> htp_rt_tensor_info_t {
    let mut dims = [0; RANK_MAX];
    for (to, from) in dims.iter_mut().zip(tensor.dims()) {
        *to = from;
    }
    let mut name = [0; 64];
    for (to, from) in name.iter_mut().take(63).zip(tensor.name().bytes()) {
        *to = from;
    }
    let quant = tensor.quant(0).filter(|_| tensor.quant_count() == 1);
    htp_rt_tensor_info_t {
        id: tensor.id(),
        kind: tensor.kind().qnn(),
        data_type: tensor.data_type().qnn(),
        rank: u32::try_from(tensor.rank()).unwrap_or(0),
        dims,
        size_bytes: tensor.size_bytes() as u64,
        scale: quant.map_or(0.0, |quant| quant.scale),
        offset: quant.map_or(0, |quant| quant.offset),
        name,
    }
}

/// Phase of the connection to the DSP.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum htp_rt_ssr_state_t {
    /// Connected; requests run.
    HTP_RT_SSR_ONLINE = 0,
    /// A crash was seen; nothing new is sent.
    HTP_RT_SSR_BEFORE_SHUTDOWN = 1,
    /// The old epoch is closed: its handles are stale.
    HTP_RT_SSR_AFTER_SHUTDOWN = 2,
    /// A connection attempt is under way or waits for its back-off.
    HTP_RT_SSR_BEFORE_POWER_UP = 3,
    /// Connected again.
    HTP_RT_SSR_AFTER_POWER_UP = 4,
    /// The DSP did not come back. Only teardown works.
    HTP_RT_SSR_LOST = 5,
}

impl htp_rt_ssr_state_t {
    pub(crate) fn of(state: State) -> Self {
        match state {
            State::Online => Self::HTP_RT_SSR_ONLINE,
            State::BeforeShutdown => Self::HTP_RT_SSR_BEFORE_SHUTDOWN,
            State::AfterShutdown => Self::HTP_RT_SSR_AFTER_SHUTDOWN,
            State::BeforePowerUp => Self::HTP_RT_SSR_BEFORE_POWER_UP,
            State::AfterPowerUp => Self::HTP_RT_SSR_AFTER_POWER_UP,
            State::Lost => Self::HTP_RT_SSR_LOST,
        }
    }
}

/// State of the whole runtime.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_stats_t {
    /// Phase of the connection to the DSP.
    pub ssr_state: htp_rt_ssr_state_t,
    /// Present life of the DSP, counted from 1.
    pub epoch: u32,
    /// Restarts that began since initialisation.
    pub restarts: u32,
    /// Contexts that are not gone yet.
    pub contexts: u32,
    /// Answers of the device that were dropped because they came from an earlier epoch or to nothing asked.
    pub late_events: u64,
    /// Internal rules that did not hold: each is a bug worth reporting.
    pub faults: u64,
    /// Restarts because the device made no progress.
    pub hangs: u64,
    /// Blocks of memory that a device had not given back.
    pub blocks_leaked: u64,
    /// Bytes of memory that the runtime was given.
    pub memory_bytes: u64,
    /// Bytes of it in use.
    pub memory_used_bytes: u64,
    /// The most that was ever in use.
    pub memory_used_max_bytes: u64,
}

/// Reads the runtime's statistics.
///
/// # Safety
/// `stats` is writable.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_stats(stats: *mut htp_rt_stats_t) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let Some(stats) = (unsafe { stats.as_mut() }) else {
        return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    };
    let instance = match instance::get() {
        Ok(instance) => instance,
        Err(error) => return error,
    };
    *stats = instance.driver.call(|machine, _| {
        let counters = machine.counters();
        let region = machine.region();
        htp_rt_stats_t {
            ssr_state: htp_rt_ssr_state_t::of(machine.state()),
            epoch: machine.epoch().number(),
            restarts: machine.restarts(),
            contexts: machine.context_count().into(),
            late_events: counters.late_events,
            faults: counters.faults,
            hangs: counters.hangs,
            blocks_leaked: counters.blocks_leaked,
            memory_bytes: region.capacity_bytes() as u64,
            memory_used_bytes: region.used_bytes() as u64,
            memory_used_max_bytes: region.used_bytes_max() as u64,
        }
    });
    QNN_SUCCESS
}

/// A phase of a restart.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_ssr_event_t {
    /// When, in microseconds of `htp_rt_now_us`.
    pub at_us: u64,
    /// Phase that was left.
    pub from: htp_rt_ssr_state_t,
    /// Phase that was entered.
    pub to: htp_rt_ssr_state_t,
    /// Life of the DSP after the transition.
    pub epoch: u32,
    /// Connection attempts so far in this restart.
    pub attempts: u32,
}

/// Told of each phase of a restart, in order, before the requests it caught are notified; on the completion thread, or
/// within `htp_rt_poll`. Should be short; may call any function of the library.
pub type htp_rt_ssr_fn_t =
    Option<unsafe extern "C" fn(param: *mut c_void, event: *const htp_rt_ssr_event_t)>;

/// A subscription. 0 is none.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct htp_rt_subscription_t {
    /// Not to be interpreted.
    pub id: u32,
}

/// Subscribes to the phases of restarts. At most 8 subscribers at once, then the answer is
/// `QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE`.
///
/// # Safety
/// `function` may be called with `param` until it is unsubscribed; `subscription` is writable.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_ssr_subscribe(
    function: htp_rt_ssr_fn_t,
    param: *mut c_void,
    subscription: *mut htp_rt_subscription_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let (Some(_), Some(subscription)) = (function, unsafe { subscription.as_mut() }) else {
        return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    };
    if let Err(error) = instance::get() {
        return error;
    }
    let mut subscribers = instance::SUBSCRIBERS.lock();
    let id = subscribers.last_id.wrapping_add(1).max(1);
    let Some(slot) = subscribers.list.iter_mut().find(|slot| slot.is_none()) else {
        return QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE;
    };
    *slot = Some(Subscriber { id, function, param: param.expose_provenance() });
    subscribers.last_id = id;
    *subscription = htp_rt_subscription_t { id };
    QNN_SUCCESS
}

/// Ends a subscription. A call that is under way on another thread may still be running when this returns.
///
/// Errors: `QNN_COMMON_ERROR_INVALID_ARGUMENT` if there is no such subscription.
#[no_mangle]
pub extern "C" fn htp_rt_ssr_unsubscribe(subscription: htp_rt_subscription_t) -> Qnn_ErrorHandle_t {
    if instance::existing().is_none() {
        return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    }
    let mut subscribers = instance::SUBSCRIBERS.lock();
    let is_it = |slot: &&mut Option<Subscriber>| slot.is_some_and(|s| s.id == subscription.id);
    match subscribers.list.iter_mut().find(is_it) {
        Some(slot) => {
            *slot = None;
            QNN_SUCCESS
        }
        None => QNN_COMMON_ERROR_INVALID_ARGUMENT,
    }
}

/// Takes the next bytes of a document; `false` stops the writing.
pub type htp_rt_write_fn_t =
    Option<unsafe extern "C" fn(param: *mut c_void, bytes: *const u8, count: usize) -> bool>;

/// Writes the trace (queues, device, restarts) as a JSON document that ui.perfetto.dev opens. The runtime is locked
/// meanwhile: for the end of a run, not the middle of one. Work is linear in the number of trace records.
///
/// Errors: `QNN_COMMON_ERROR_INVALID_ARGUMENT` without a function; `QNN_COMMON_ERROR_SYSTEM` if it stopped the writing.
///
/// # Safety
/// `write` may be called with `param`; it must not call the library.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_trace_write_json(
    write: htp_rt_write_fn_t,
    param: *mut c_void,
) -> Qnn_ErrorHandle_t {
    let Some(function) = write else { return QNN_COMMON_ERROR_INVALID_ARGUMENT };
    let instance = match instance::get() {
        Ok(instance) => instance,
        Err(error) => return error,
    };
    let mut out = ClientWriter { function, param };
    let written =
        instance.driver.call(|machine, _| trace::write_json(machine.trace().records(), &mut out));
    match written {
        Ok(()) => QNN_SUCCESS,
        Err(_) => QNN_COMMON_ERROR_SYSTEM,
    }
}

/// A client's write function as a writer.
struct ClientWriter {
    function: unsafe extern "C" fn(*mut c_void, *const u8, usize) -> bool,
    param: *mut c_void,
}

impl ErrorType for ClientWriter {
    type Error = embedded_io::ErrorKind;
}

impl Write for ClientWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        // SAFETY: the client promised a function that may be called with its parameter.
        let taken = unsafe { (self.function)(self.param, bytes.as_ptr(), bytes.len()) };
        if taken {
            Ok(bytes.len())
        } else {
            Err(embedded_io::ErrorKind::Other)
        }
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}
