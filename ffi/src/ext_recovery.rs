//! Managed recovery: contexts whose handles outlive a restart.

#![allow(non_camel_case_types, reason = "names of the C interface")]

use runtime::error::{HandleError, RecoveryError};
use runtime::handle::kind;
use runtime::ssr::{Queued, Recovery};

use crate::abi::*;
use crate::convert::{self, Code};
use crate::export::{answer, living, settled, MayRecover};
use crate::refusal::{because, no_handle};

/// What a restart of the DSP does to a context.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum htp_rt_recovery_kind_t {
    /// It goes stale; the client frees and creates it again, as QNN documents it. The default.
    HTP_RT_RECOVERY_NATIVE = 0,
    /// Its handles stay usable: the library rebuilds it on the new connection.
    HTP_RT_RECOVERY_MANAGED = 1,
}

/// What a restart does to requests of a managed context that had not gone to the device.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum htp_rt_recovery_queued_t {
    /// They keep their places and run afterwards; new ones are accepted meanwhile.
    HTP_RT_RECOVERY_QUEUED_REQUEUE = 0,
    /// They end with `QNN_COMMON_ERROR_SYSTEM_COMMUNICATION`; new ones are accepted when the
    /// context is usable again.
    HTP_RT_RECOVERY_QUEUED_COMPLETE = 1,
}

/// The recovery of a context. Zero the struct, set `struct_size`, then what differs from the native
/// recovery, which is all zero.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_recovery_t {
    /// `sizeof(htp_rt_recovery_t)`.
    pub struct_size: u32,
    /// One of `htp_rt_recovery_kind_t`. The fields below count for the managed kind only.
    pub kind: u32,
    /// One of `htp_rt_recovery_queued_t`.
    pub queued: u32,
    /// Rebuilds that may begin before one succeeds, 1 to 100. When they are spent the context is
    /// lost: its requests end with `QNN_COMMON_ERROR_SYSTEM_COMMUNICATION_FATAL`, its calls answer
    /// that, and only freeing works. Other contexts are not concerned.
    pub attempts_max: u32,
    /// Time from the crash until the context must be usable again, in microseconds, 1 to
    /// 8,000,000. When it is over the context is lost.
    pub time_budget_us: u64,
}

/// Sets what a restart does to a context, from the next crash on. Under managed recovery a request
/// that was on the device ends with `QNN_COMMON_ERROR_SYSTEM_COMMUNICATION` all the same, since
/// nothing is executed twice; when its client hears that, the context is usable again. Votes and
/// memory configuration are restored with it.
///
/// During a restart the call waits for its end (bounded); within a notification it does not, and
/// answers `QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE`.
///
/// Errors: `QNN_CONTEXT_ERROR_INVALID_HANDLE`; `QNN_CONTEXT_ERROR_INVALID_ARGUMENT` if the struct
/// is not understood; `QNN_CONTEXT_ERROR_INVALID_CONFIG` if a number is out of its range, or the
/// context has a fallback and would not keep its queue (the log says which);
/// `QNN_COMMON_ERROR_NOT_SUPPORTED` where a crashed DSP is not restarted;
/// `QNN_COMMON_ERROR_SYSTEM_COMMUNICATION` if a restart made the context stale before.
///
/// # Safety
/// `recovery` is NULL or points to a struct.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_context_set_recovery(
    context: Qnn_ContextHandle_t,
    recovery: *const htp_rt_recovery_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let recovery = unsafe { recovery.as_ref() };
    answer(c"htp_rt_context_set_recovery", set(context, recovery))
}

fn set(context: Qnn_ContextHandle_t, recovery: Option<&htp_rt_recovery_t>) -> Result<(), Code> {
    let none = no_handle::<kind::Context>(QNN_CONTEXT_ERROR_INVALID_HANDLE, "context", context);
    let instance = living(&none)?;
    let id = convert::context_id(context).ok_or_else(&none)?;
    let recovery = recovery.and_then(read).ok_or_else(|| {
        let why = "recovery is null, or has a struct_size, kind or queued that is not known";
        because!(QNN_CONTEXT_ERROR_INVALID_ARGUMENT, why)
    })?;
    let set = match instance.driver.on_completion_thread() {
        true => instance.driver.call(|machine, _| machine.context_set_recovery(id, recovery)),
        false => settled(instance, |machine, _| machine.context_set_recovery(id, recovery)),
    };
    set.map_err(|error| match error {
        RecoveryError::Handle(HandleError::Recovering) => QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE,
        RecoveryError::Handle(error) => convert::handle_error(error, none()),
        RecoveryError::Attempts => invalid_config("recovery.attempts_max is not 1 to 100"),
        RecoveryError::TimeBudget => invalid_config("recovery.time_budget_us is not 1 to 8000000"),
        RecoveryError::Fallback => {
            invalid_config("the context has a fallback, which needs its queue")
        }
        RecoveryError::NotSupported => QNN_COMMON_ERROR_NOT_SUPPORTED,
    })
}

fn invalid_config(why: &'static str) -> Code {
    because!(QNN_CONTEXT_ERROR_INVALID_CONFIG, why)
}

fn read(given: &htp_rt_recovery_t) -> Option<Recovery> {
    if given.struct_size as usize != size_of::<htp_rt_recovery_t>() {
        return None;
    }
    let queued = match given.queued {
        0 => Queued::Requeue,
        1 => Queued::Complete,
        _ => return None,
    };
    match given.kind {
        0 => Some(Recovery::Native),
        1 => Some(Recovery::Managed {
            attempts_max: given.attempts_max,
            time_budget_us: given.time_budget_us,
            queued,
        }),
        _ => None,
    }
}

static_assertions::const_assert_eq!(runtime::limits::REBUILD_ATTEMPTS_MAX, 100);
static_assertions::const_assert_eq!(runtime::limits::REBUILD_TIME_MAX_US, 8_000_000);

impl MayRecover for RecoveryError {
    fn is_recovering(&self) -> bool {
        *self == RecoveryError::Handle(HandleError::Recovering)
    }
}
