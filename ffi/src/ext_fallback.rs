//! Degraded mode: contexts that are executed on the CPU while the device is down.

#![allow(non_camel_case_types, reason = "names of the C interface")]

use core::mem::MaybeUninit;

use runtime::device::PrepareError;
use runtime::error::{FallbackError, HandleError};
use runtime::handle::{kind, ContextId};
use runtime::region::{Region, RegionSlice};
use runtime::runtime::Fallback;
use runtime::time::Instant;
use runtime::vhtp::check_fallback;

use crate::abi::*;
use crate::convert::{self, Code};
use crate::export::{answer, living, settled, Machine, MayRecover};
use crate::instance::Instance;
use crate::refusal::{because, no_handle};

/// The fallback of a context. Zero the struct, set `struct_size` and the interval.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_fallback_t {
    /// `sizeof(htp_rt_fallback_t)`.
    pub struct_size: u32,
    /// Least time from the start of one execution on the CPU to that of the next of this context,
    /// in microseconds, 1 to 5,000,000.
    pub interval_us: u64,
}

/// Has requests of a context executed on the CPU while the device is down: during a restart, while
/// the context is rebuilt, and after the context or the DSP is lost. NULL ends it. Concerns the
/// graphs that are finalized now; call it again when more are: a request of another one holds back
/// those behind it until the device is there.
///
/// A request that waits in the queue is executed by the library's own kernels, on the thread that
/// otherwise drives the device, with the device's results bit by bit and much slower. At most one
/// of all contexts is executed at a time, in the order in which they would go to the device.
/// Exactly one notification comes as ever, with `htp_rt_completion_t::on_fallback` set;
/// `htp_rt_context_stats_t::on_fallback` counts them. A request that was on the device when it
/// crashed ends with `QNN_COMMON_ERROR_SYSTEM_COMMUNICATION` and is not executed again. A context
/// that is lost, or whose DSP is, goes on executing these graphs; its other calls answer the fatal
/// error.
///
/// Where a crashed DSP is restarted, the context needs managed recovery that keeps its queue first
/// (`htp_rt_context_set_recovery`). A block of the memory given at initialisation, for the largest
/// of these graphs, is taken for the life of the process and counted in
/// `htp_rt_stats_t::memory_fallback_bytes`; a later call that needs a larger one takes that too.
/// Each call prepares each graph on the CPU, and takes as long. In a restart it waits (bounded);
/// within a notification it answers `QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE`, as it does if it needs
/// more memory while the CPU executes for another context, if graphs are finalized by other threads
/// all the time, or, without threads, if it interrupts what drives the device: call again.
///
/// Errors: `QNN_CONTEXT_ERROR_INVALID_HANDLE`; `QNN_CONTEXT_ERROR_INVALID_ARGUMENT` if the struct
/// is not understood; `QNN_CONTEXT_ERROR_INVALID_CONFIG` if the interval is out of range, the
/// recovery does not keep the queue or no graph is finalized (the log says which);
/// `QNN_COMMON_ERROR_NOT_SUPPORTED` if the CPU cannot execute one of the graphs;
/// `QNN_CONTEXT_ERROR_MEM_ALLOC` if the memory does not suffice;
/// `QNN_COMMON_ERROR_SYSTEM_COMMUNICATION` if a restart made the context stale,
/// `QNN_COMMON_ERROR_SYSTEM_COMMUNICATION_FATAL` if it is lost.
///
/// # Safety
/// `fallback` is NULL or points to a struct.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_context_set_fallback(
    context: Qnn_ContextHandle_t,
    fallback: *const htp_rt_fallback_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let fallback = unsafe { fallback.as_ref() };
    answer(c"htp_rt_context_set_fallback", set(context, fallback))
}

fn set(context: Qnn_ContextHandle_t, fallback: Option<&htp_rt_fallback_t>) -> Result<(), Code> {
    let none = no_handle::<kind::Context>(QNN_CONTEXT_ERROR_INVALID_HANDLE, "context", context);
    let instance = living(&none)?;
    let id = convert::context_id(context).ok_or_else(&none)?;
    let size = size_of::<htp_rt_fallback_t>();
    if let Some(wrong) = fallback.filter(|given| given.struct_size as usize != size) {
        let (code, given) = (QNN_CONTEXT_ERROR_INVALID_ARGUMENT, wrong.struct_size);
        return Err(because!(code, "fallback->struct_size is ", given, ", ", size, " is needed"));
    }
    let fallback = fallback.map(|given| Fallback { interval_us: given.interval_us });
    let code = |error| match error {
        FallbackError::Handle(HandleError::Recovering) => QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE,
        FallbackError::Handle(error) => convert::handle_error(error, none()),
        FallbackError::Interval => {
            let given = fallback.map_or(0, |fallback| fallback.interval_us);
            let code = QNN_CONTEXT_ERROR_INVALID_CONFIG;
            because!(code, "fallback->interval_us is ", given, ", not 1 to 5000000")
        }
        FallbackError::QueueNotKept => {
            invalid("the recovery of the context does not keep its queue")
        }
        FallbackError::NoGraph => invalid("no graph of the context is finalized"),
        FallbackError::NotSupported => QNN_COMMON_ERROR_NOT_SUPPORTED,
    };
    for _ in 0..CHECKS_MAX {
        let look = |machine: &mut Machine, _: Instant| {
            machine.context_check_fallback(id, fallback)?;
            Ok(machine.graphs_ready())
        };
        let checked = outside_notification(instance, look).map_err(code)?;
        if fallback.is_some() {
            provide_memory(instance, id)?;
        }
        let set = |machine: &mut Machine, _: Instant| {
            if machine.graphs_ready() != checked && fallback.is_some() {
                return Ok(false); // one that was not looked at
            }
            machine.context_set_fallback(id, fallback).map(|()| true)
        };
        if outside_notification(instance, set).map_err(code)? {
            return Ok(());
        }
    }
    let why = "other threads finalize graphs all the time: call again";
    Err(because!(QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE, why))
}

/// Makes a call on the runtime, again at the end of a restart that it meets; not within a
/// notification, which would wait for itself.
fn outside_notification<R>(
    instance: &Instance,
    mut call: impl FnMut(&mut Machine, Instant) -> Result<R, FallbackError>,
) -> Result<R, FallbackError> {
    match instance.driver.on_completion_thread() {
        true => instance.driver.call(&mut call),
        false => settled(instance, call),
    }
}

fn invalid(why: &'static str) -> Code {
    because!(QNN_CONTEXT_ERROR_INVALID_CONFIG, why)
}

/// How often graphs may be finalized by others between the look at them and the setting.
const CHECKS_MAX: usize = 8;
/// The least that is tried.
const BYTES_MIN: usize = 64 << 10;
/// What a block has beyond what was tried: at another address it may hold less.
const SLACK: usize = 4096;

type Block = RegionSlice<'static, MaybeUninit<u8>>;

/// Gives the CPU memory for the largest graph of a context, unless it has it.
fn provide_memory(instance: &Instance, context: ContextId) -> Result<(), Code> {
    let mut bytes = BYTES_MIN;
    loop {
        let mut block = take(instance, bytes.saturating_add(SLACK))?;
        let fits = check_graphs(instance, context, block.get_mut(..bytes).unwrap_or(&mut []));
        match fits {
            Ok(()) => return hand_over(instance, block),
            Err(why) => {
                give_back(instance, block);
                if why != PrepareError::OutOfMemory {
                    let why = "the CPU cannot execute one of the graphs";
                    return Err(because!(QNN_COMMON_ERROR_NOT_SUPPORTED, why));
                }
            }
        }
        bytes = bytes.saturating_mul(2);
    }
}

fn take(instance: &Instance, bytes: usize) -> Result<Block, Code> {
    let block = instance
        .driver
        .call(|machine, _| machine.region_mut().alloc_with(bytes, |_| MaybeUninit::<u8>::uninit()));
    block.map_err(|_| QNN_CONTEXT_ERROR_MEM_ALLOC)
}

fn give_back(instance: &Instance, block: Block) {
    instance.driver.call(|machine, _| machine.region_mut().free(block));
}

/// Whether each graph of the context fits that is ready or will be, when a restart is over. Each is
/// prepared outside the lock.
fn check_graphs(
    instance: &Instance,
    context: ContextId,
    block: &mut [MaybeUninit<u8>],
) -> Result<(), PrepareError> {
    let mut next = 0;
    loop {
        let lent = instance.driver.call(|machine, _| {
            let mut rest = machine.graphs_of(context).filter(|graph| graph.index() >= next);
            let graph = rest.find(|graph| machine.graph_status(*graph).is_ok())?;
            drop(rest);
            next = graph.index().saturating_add(1);
            Some(machine.lend_table(graph).ok())
        });
        let Some(lent) = lent else { return Ok(()) };
        let Some(table) = lent else { continue };
        let fits = check_fallback(block, &table);
        instance.driver.call(|machine, _| machine.return_table(table));
        fits?;
    }
}

/// The block is the CPU's, unless it has one of that size.
fn hand_over(instance: &Instance, block: Block) -> Result<(), Code> {
    let bytes = block.len();
    let mut block = Some(block);
    let done = instance.driver.with_device(|device| {
        if device.fallback_memory_bytes() >= bytes {
            return Ok(());
        }
        if !device.fallback_is_idle() {
            return Err(QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE);
        }
        if let Some(block) = block.take() {
            device.set_fallback_memory(Region::new(block.leak()));
        }
        Ok(())
    });
    match block {
        Some(unused) => give_back(instance, unused),
        None => {
            let total = &mut instance.objects.lock().fallback_bytes;
            *total = total.saturating_add(bytes);
        }
    }
    done.unwrap_or(Err(QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE))
}

static_assertions::const_assert_eq!(runtime::limits::FALLBACK_INTERVAL_US_MAX, 5_000_000);

impl MayRecover for FallbackError {
    fn is_recovering(&self) -> bool {
        *self == FallbackError::Handle(HandleError::Recovering)
    }
}
