//! The extension API: what QNN has no call for. `include/htp_runtime.h` is generated from here and
//! the other `ext_*` files.
//!
//! Unless a function says otherwise it answers with a QNN error code, may be called from any thread
//! and from within notifications, does bounded work and never waits.

#![allow(non_camel_case_types, reason = "names of the C interface")]

use core::mem::MaybeUninit;

use core::ffi::c_void;

use runtime::limits::Capacities;
use runtime::runtime::Runtime;

use crate::abi::*;
use crate::ext_watch::htp_rt_ssr_state_t;
use crate::instance::{self, Setup};
use crate::refusal;

/// Major version of the extension API: changes when a client must be changed.
pub const HTP_RT_VERSION_MAJOR: u32 = 0;
/// Minor version of the extension API: changes when something is added.
pub const HTP_RT_VERSION_MINOR: u32 = 1;
/// Patch version.
pub const HTP_RT_VERSION_PATCH: u32 = 0;

/// Flag of `htp_rt_config_t`: no threads are started; the caller drives everything with
/// `htp_rt_poll`.
pub const HTP_RT_INIT_NO_THREADS: u32 = 1;

/// Version of the library: major << 16 | minor << 8 | patch.
#[no_mangle]
pub extern "C" fn htp_rt_version() -> u32 {
    HTP_RT_VERSION_MAJOR << 16 | HTP_RT_VERSION_MINOR << 8 | HTP_RT_VERSION_PATCH
}

/// How many objects the tables hold. All zero: the defaults. These are 64 contexts, 1024 graphs,
/// 4096 buffers, 19200 requests, 256 profiles and 16384 trace records with memory from the
/// operating system; 16 contexts, 64 graphs, 256 buffers, 4800 requests, 32 profiles and 16384
/// trace records with a block of memory from the caller. Where addresses have 32 bits a handle has
/// room for 1024 objects of a kind, and larger numbers are taken as that.
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

/// What `htp_rt_init` is given. Zero the struct, set `struct_size`, then what differs from the
/// defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_config_t {
    /// `sizeof(htp_rt_config_t)`.
    pub struct_size: u32,
    /// `HTP_RT_INIT_*`.
    pub flags: u32,
    /// Memory for the runtime's tables, contexts and graphs, handed over for the life of the
    /// process. NULL: from the operating system, where there is one: 16 GiB of address space
    /// (16 MiB where addresses have 32 bits) that is committed as it is used, 64 MiB on QNX,
    /// which commits it at once; or less if it refuses so much.
    pub memory: *mut c_void,
    /// Bytes at `memory`.
    pub memory_bytes: usize,
    /// Memory of the virtual device, handed over likewise, for its tables and for constants and
    /// scratch of each graph: 1 MiB is ample for small networks. NULL: as above.
    pub device_memory: *mut c_void,
    /// Bytes at `device_memory`.
    pub device_memory_bytes: usize,
    /// Sizes of the tables.
    pub capacities: htp_rt_capacities_t,
}

/// Bytes that the runtime's tables take of `htp_rt_config_t::memory`. Contexts and graphs come on
/// top when they are created. NULL: for the default capacities with memory from the caller.
///
/// # Safety
/// `capacities` is NULL or points to a struct.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_memory_required(capacities: *const htp_rt_capacities_t) -> usize {
    // SAFETY: the caller's promise.
    let capacities = unsafe { capacities.as_ref() }
        .map_or(Capacities::DEFAULT, |given| capacities_of(given, Capacities::DEFAULT));
    Runtime::memory_required(&capacities)
        .saturating_add(crate::objects::Objects::bytes(&capacities))
}

/// Initialises the library. Optional: the first QNN call does it with all defaults. Starts the
/// threads, the only ones the library ever starts.
///
/// Errors: `QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED` if it is initialised already;
/// `QNN_COMMON_ERROR_INVALID_ARGUMENT` if the struct is not understood or memory is given without
/// size; `QNN_COMMON_ERROR_MEM_ALLOC` if the memory is smaller than `htp_rt_memory_required`;
/// `QNN_COMMON_ERROR_NOT_SUPPORTED` where there are no threads and `HTP_RT_INIT_NO_THREADS` is not
/// given; `QNN_COMMON_ERROR_SYSTEM` if the system refuses a lock (one that lends priorities, or a
/// wait on the monotonic clock) or a thread. After that the library cannot be used in this process,
/// and memory that was handed over stays its own; only if it was the very first lock that was
/// refused, nothing was taken, and a later call may have more luck. The same answer has a process
/// that was forked from one where the library had threads, or where a thread was in this call.
///
/// # Safety
/// `config` is NULL or points to a struct whose memory blocks, if any, are the library's for the
/// life of the process.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_init(config: *const htp_rt_config_t) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let Some(config) = (unsafe { config.as_ref() }) else {
        return code_of(instance::init(Setup::DEFAULT));
    };
    if config.struct_size as usize != size_of::<htp_rt_config_t>()
        || config.flags & !HTP_RT_INIT_NO_THREADS != 0
        || config.memory.is_null() != (config.memory_bytes == 0)
        || config.device_memory.is_null() != (config.device_memory_bytes == 0)
    {
        return refusal::plain(QNN_COMMON_ERROR_INVALID_ARGUMENT);
    }
    let own_memory = !config.memory.is_null() || !config.device_memory.is_null();
    let default = if own_memory { Capacities::DEFAULT } else { Capacities::HOSTED };
    code_of(instance::init(Setup {
        capacities: capacities_of(&config.capacities, default),
        // SAFETY: the caller hands both blocks over for the life of the process.
        memory: unsafe { block(config.memory, config.memory_bytes) },
        // SAFETY: as above.
        device_memory: unsafe { block(config.device_memory, config.device_memory_bytes) },
        threaded: config.flags & HTP_RT_INIT_NO_THREADS == 0,
    }))
}

/// What a call without words answers.
pub(crate) fn code_of(result: Result<(), Qnn_ErrorHandle_t>) -> Qnn_ErrorHandle_t {
    result.err().unwrap_or(QNN_SUCCESS)
}

/// # Safety
/// The block is NULL or handed over for the life of the process.
unsafe fn block(memory: *mut c_void, bytes: usize) -> Option<&'static mut [MaybeUninit<u8>]> {
    // SAFETY: the caller's promise.
    (!memory.is_null()).then(|| unsafe { core::slice::from_raw_parts_mut(memory.cast(), bytes) })
}

fn capacities_of(given: &htp_rt_capacities_t, default: Capacities) -> Capacities {
    let tables = [given.contexts, given.graphs, given.buffers, given.requests, given.profiles];
    if tables == [0; 5] && given.trace_records == 0 {
        return default;
    }
    Capacities {
        contexts: given.contexts,
        graphs: given.graphs,
        buffers: given.buffers,
        requests: given.requests,
        profiles: given.profiles,
        power_configs: default.power_configs,
        watched_outputs: default.watched_outputs,
        trace_records: given.trace_records,
    }
}

/// Drives everything, for systems without threads: works on the device and delivers notifications
/// until nothing more can be done at time `now_us`, which never goes back, or 512 were delivered.
/// `next_us`, if not NULL, receives the time of the next thing to do: `now_us` if notifications may
/// be left, `UINT64_MAX` if only a call can bring something. Work is bounded by what is queued,
/// also if every notification submits anew. The virtual HTP, and the CPU of a fallback, compute in
/// this call: it goes on until they are done with what is queued, at `now_us` all the time, so what
/// is too late is found out by the next call.
///
/// Errors: `QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED` if the library was not initialised, or runs
/// threads.
///
/// # Safety
/// `next_us` is NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_poll(now_us: u64, next_us: *mut u64) -> Qnn_ErrorHandle_t {
    let Some(instance) = instance::existing().filter(|instance| !instance.threaded) else {
        return refusal::plain(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
    };
    let due_us = instance.driver.poll(now_us);
    // SAFETY: the caller's promise.
    if let Some(next_us) = unsafe { next_us.as_mut() } {
        *next_us = due_us;
    }
    QNN_SUCCESS
}

/// The library's clock in microseconds: the monotonic clock, or the time of the last `htp_rt_poll`.
/// 0 before initialisation.
#[no_mangle]
pub extern "C" fn htp_rt_now_us() -> u64 {
    instance::existing().map_or(0, |instance| instance.driver.now().as_us())
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
    /// Answers of the device that were dropped because they came from an earlier epoch or to
    /// nothing asked.
    pub late_events: u64,
    /// Internal rules that did not hold: each is a bug worth reporting.
    pub faults: u64,
    /// Restarts because the device made no progress.
    pub hangs: u64,
    /// Blocks of memory that a device had not given back.
    pub blocks_leaked: u64,
    /// Rebuilds that made a context under managed recovery usable again.
    pub rebuilds: u64,
    /// Contexts under managed recovery whose budget was spent.
    pub contexts_lost: u64,
    /// Bytes of memory that the runtime was given.
    pub memory_bytes: u64,
    /// Bytes of it in use.
    pub memory_used_bytes: u64,
    /// The most that was ever in use.
    pub memory_used_max_bytes: u64,
    /// Bytes in use that executions on the CPU keep for good (`htp_rt_context_set_fallback`).
    pub memory_fallback_bytes: u64,
    /// Wake-ups that the system refused (`htp_rt_set_wake`). One that grows for long is a client
    /// that hears nothing: its connection or descriptor is gone, or full.
    pub wake_failures: u64,
}

/// Reads the runtime's statistics.
///
/// # Safety
/// `stats` is writable.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_stats(stats: *mut htp_rt_stats_t) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let Some(stats) = (unsafe { stats.as_mut() }) else {
        return refusal::plain(QNN_COMMON_ERROR_INVALID_ARGUMENT);
    };
    let instance = match instance::get() {
        Ok(instance) => instance,
        Err(error) => return refusal::plain(error),
    };
    let memory_fallback_bytes = instance.objects.lock().fallback_bytes as u64;
    let wake_failures = instance.driver.wake_failures();
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
            rebuilds: counters.rebuilds,
            contexts_lost: counters.contexts_lost,
            memory_bytes: region.capacity_bytes() as u64,
            memory_used_bytes: region.used_bytes() as u64,
            memory_used_max_bytes: region.used_bytes_max() as u64,
            memory_fallback_bytes,
            wake_failures,
        }
    });
    QNN_SUCCESS
}
