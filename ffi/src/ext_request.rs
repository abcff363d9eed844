//! Requests of the extension: execution that never waits, cancelling, what graphs take and give.

#![allow(non_camel_case_types, reason = "names of the C interface")]

use core::ffi::c_void;

use runtime::error::{CancelError, HandleError};
use runtime::graph::{Tensor, RANK_MAX};
use runtime::handle::{kind, RequestId};
use runtime::queue::Mode;
use runtime::runtime::SubmitOptions;
use runtime::time::Instant;

use crate::abi::*;
use crate::convert::{self, Code};
use crate::export::graph::Bindings;
use crate::instance::{self, Notify};
use crate::refusal::{self, because, no_handle};

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
    /// `QNN_SUCCESS`; `QNN_COMMON_ERROR_SYSTEM_COMMUNICATION` after a restart, when objects can be
    /// re-created already; `QNN_COMMON_ERROR_SYSTEM_COMMUNICATION_FATAL` if the DSP is lost;
    /// `QNN_GRAPH_ERROR_TIMED_OUT`; `QNN_GRAPH_ERROR_ABORTED`; `QNN_GRAPH_ERROR_GENERAL` if
    /// the device failed.
    pub error: Qnn_ErrorHandle_t,
    /// When it was accepted, in microseconds of `htp_rt_now_us`.
    pub submitted_us: u64,
    /// When the device, or the fallback, took it; 0 if neither did.
    pub dispatched_us: u64,
    /// When its outcome was known.
    pub completed_us: u64,
    /// Time on the device in microseconds, without the time it was yielded.
    pub device_time_us: u64,
    /// Cycles on the device.
    pub cycles: u64,
    /// How often it yielded to a more important graph.
    pub yields: u32,
    /// 1 if it went to the CPU instead of the device, see `htp_rt_context_set_fallback`; what was
    /// measured on the device is 0 then.
    pub on_fallback: u32,
}

/// Told once when a request has ended: on the completion thread, or within `htp_rt_poll`. Should be
/// short; may call any function of the library.
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
/// `QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE`, to be tried again after a completion; during a restart
/// it is that too, unless the context keeps its queue (`htp_rt_context_set_recovery`). `request`,
/// if not NULL, receives the request. After success exactly one notification comes, after an error
/// none. The tensors' memory is lent until then.
///
/// # Safety
/// `inputs` and `outputs` point to that many tensors; `options` is NULL or points to a struct;
/// `request` is NULL or writable; the tensors' memory stays valid until the notification.
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
    // SAFETY: the caller's promise, for all of it.
    let accepted = unsafe {
        let tensors = (inputs, num_inputs, outputs, num_outputs);
        try_execute(graph, tensors, options.as_ref(), (notify, param))
    };
    refusal::quiet(c"htp_rt_graph_try_execute_async", || {
        let accepted = accepted?;
        // SAFETY: the caller's promise.
        if let Some(request) = unsafe { request.as_mut() } {
            *request = convert::request(accepted);
        }
        Ok(())
    })
}

/// # Safety
/// As [`htp_rt_graph_try_execute_async`].
unsafe fn try_execute(
    graph: Qnn_GraphHandle_t,
    (inputs, num_inputs, outputs, num_outputs): (*const Qnn_Tensor_t, u32, *mut Qnn_Tensor_t, u32),
    options: Option<&htp_rt_execute_options_t>,
    (notify, param): (htp_rt_notify_fn_t, *mut c_void),
) -> Result<RequestId, Code> {
    const BAD: Code = QNN_GRAPH_ERROR_INVALID_ARGUMENT;
    let none = no_handle::<kind::Graph>(QNN_GRAPH_ERROR_INVALID_HANDLE, "graph", graph);
    let instance = instance::existing().ok_or_else(&none)?;
    let id = convert::graph_id(graph).ok_or_else(&none)?;
    if notify.is_none() {
        return Err(because!(BAD, "notify is null"));
    }
    let size = size_of::<htp_rt_execute_options_t>();
    if let Some(wrong) = options.filter(|options| options.struct_size as usize != size) {
        let given = wrong.struct_size;
        return Err(because!(BAD, "options->struct_size is ", given, ", ", size, " is needed"));
    }
    let (timeout_us, profile) =
        options.map_or((0, core::ptr::null_mut()), |options| (options.timeout_us, options.profile));
    let profile = convert::optional_profile(profile)
        .map_err(|code| no_handle::<kind::Profile>(code, "options->profile", profile)())?;
    // SAFETY: the caller's promise.
    let bindings =
        unsafe { Bindings::new(instance, inputs, num_inputs, outputs, num_outputs) }?.of_graph(id);
    let user_data = instance::user_data(Notify::Extension(notify), param);
    instance.driver.call(|machine, now| {
        let deadline = if timeout_us == 0 { Instant::FAR } else { now.after_us(timeout_us) };
        let options = SubmitOptions { mode: Mode::Asynchronous, deadline, user_data, profile };
        let io = bindings.resolve(machine).map_err(convert::submit_error)?;
        let accepted = machine.submit(now, id, &io, options);
        accepted.map_err(|error| io.refused(machine, error, ("graph", id)))
    })
}

/// Ends a request early. Its notification still comes, exactly once, and says
/// `QNN_GRAPH_ERROR_ABORTED`, or success if the device was faster.
///
/// Errors: `QNN_COMMON_ERROR_INVALID_ARGUMENT` if the request was notified already or never
/// existed; `QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED` if it is ending anyway.
#[no_mangle]
pub extern "C" fn htp_rt_request_cancel(request: htp_rt_request_t) -> Qnn_ErrorHandle_t {
    let Some(instance) = instance::existing() else {
        return refusal::plain(QNN_COMMON_ERROR_INVALID_ARGUMENT);
    };
    let id = convert::request_id(request);
    match instance.driver.call(|machine, now| machine.cancel(now, id)) {
        Ok(()) => QNN_SUCCESS,
        Err(CancelError::Invalid) => refusal::plain(QNN_COMMON_ERROR_INVALID_ARGUMENT),
        Err(CancelError::Ending) => refusal::plain(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED),
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
    /// Requests that a restart left in the queue, once for each restart.
    pub requeued: u64,
    /// Rebuilds that made the context usable again.
    pub rebuilds: u64,
    /// Requests accepted though they write memory that an accepted one writes, see
    /// `htp_rt_context_set_io_ownership`.
    pub overlaps: u64,
    /// Requests executed on the CPU while the device was down, see `htp_rt_context_set_fallback`.
    pub on_fallback: u64,
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
        return refusal::plain(QNN_CONTEXT_ERROR_INVALID_ARGUMENT);
    };
    let (Some(instance), Some(id)) = (instance::existing(), convert::context_id(context)) else {
        return refusal::plain(QNN_CONTEXT_ERROR_INVALID_HANDLE);
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
                requeued: read.counts.requeued,
                rebuilds: read.counts.rebuilds,
                overlaps: read.counts.overlaps,
                on_fallback: read.counts.on_fallback,
            };
            QNN_SUCCESS
        }
        Err(_) => refusal::plain(QNN_CONTEXT_ERROR_INVALID_HANDLE),
    }
}

/// Most dimensions a tensor has.
pub const HTP_RT_RANK_MAX: usize = 6;
static_assertions::const_assert_eq!(HTP_RT_RANK_MAX, RANK_MAX);

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
    pub dims: [u32; HTP_RT_RANK_MAX],
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
        return refusal::plain(QNN_GRAPH_ERROR_INVALID_ARGUMENT);
    };
    with_graph(graph, |table| {
        let tensors = table.inputs().len().saturating_add(table.outputs().len());
        *count = u32::try_from(tensors).unwrap_or(u32::MAX);
        QNN_SUCCESS
    })
}

/// Describes input or output `index` of a finalized graph: inputs first, then outputs, in order of
/// creation.
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
        return refusal::plain(QNN_GRAPH_ERROR_INVALID_ARGUMENT);
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
            None => refusal::plain(QNN_GRAPH_ERROR_INVALID_ARGUMENT),
        }
    })
}

fn with_graph(
    graph: Qnn_GraphHandle_t,
    look: impl FnOnce(&runtime::graph::GraphTable<'_>) -> Qnn_ErrorHandle_t,
) -> Qnn_ErrorHandle_t {
    let (Some(instance), Some(id)) = (instance::existing(), convert::graph_id(graph)) else {
        return refusal::plain(QNN_GRAPH_ERROR_INVALID_HANDLE);
    };
    instance.driver.call(|machine, _| match machine.graph_table(id) {
        Ok(table) => look(&table),
        Err(HandleError::Invalid) => refusal::plain(QNN_GRAPH_ERROR_INVALID_HANDLE),
        Err(error) => refusal::plain(convert::handle_error(error, QNN_GRAPH_ERROR_INVALID_HANDLE)),
    })
}

fn tensor_info(tensor: &Tensor<'_>) -> htp_rt_tensor_info_t {
    let mut dims = [0; HTP_RT_RANK_MAX];
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
