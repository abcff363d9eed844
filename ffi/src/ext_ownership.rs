//! Who may write which memory at once.

#![allow(non_camel_case_types, reason = "names of the C interface")]

use runtime::error::HandleError;
use runtime::handle::kind;
use runtime::runtime::IoOwnership;

use crate::abi::*;
use crate::convert::{self, Code};
use crate::export::{answer, living};
use crate::refusal::{because, no_handle};

/// What becomes of an execution that would write memory which another one, accepted and not ended,
/// is going to write: the outputs of both overlap, whether they are registered buffers or not.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum htp_rt_io_ownership_t {
    /// Nobody looks, and its outputs do not count for others: what QNN does. The default.
    HTP_RT_IO_UNWATCHED = 0,
    /// It is accepted, and counted in `htp_rt_context_stats_t::overlaps`.
    HTP_RT_IO_COUNTED = 1,
    /// It is refused with `QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE`, and nothing is changed: give it
    /// other memory, or wait for a completion and submit it again.
    HTP_RT_IO_REFUSED = 2,
}

/// Chooses what becomes of executions in this context, from the next one on, whose outputs overlap
/// those of another one that has not ended. `ownership` is one of `htp_rt_io_ownership_t`. Contexts
/// that watch see each other's outputs, and no others. 1,024 outputs are watched at once, 4,096 if
/// all memory comes from the operating system; beyond them an execution waits for room as for a
/// full queue if overlaps are refused, and is not watched if they are counted.
///
/// Takes constant time. Holds across a restart, as long as the context does.
///
/// Errors: `QNN_CONTEXT_ERROR_INVALID_HANDLE`; `QNN_CONTEXT_ERROR_INVALID_ARGUMENT` for another
/// number; `QNN_COMMON_ERROR_SYSTEM_COMMUNICATION` if a restart made the context stale;
/// `QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE` during a restart: call again after it.
#[no_mangle]
pub extern "C" fn htp_rt_context_set_io_ownership(
    context: Qnn_ContextHandle_t,
    ownership: u32,
) -> Qnn_ErrorHandle_t {
    answer(c"htp_rt_context_set_io_ownership", set(context, ownership))
}

const UNWATCHED: u32 = htp_rt_io_ownership_t::HTP_RT_IO_UNWATCHED as u32;
const COUNTED: u32 = htp_rt_io_ownership_t::HTP_RT_IO_COUNTED as u32;
const REFUSED: u32 = htp_rt_io_ownership_t::HTP_RT_IO_REFUSED as u32;

fn set(context: Qnn_ContextHandle_t, ownership: u32) -> Result<(), Code> {
    let none = no_handle::<kind::Context>(QNN_CONTEXT_ERROR_INVALID_HANDLE, "context", context);
    let instance = living(&none)?;
    let id = convert::context_id(context).ok_or_else(&none)?;
    let ownership = match ownership {
        UNWATCHED => IoOwnership::Unwatched,
        COUNTED => IoOwnership::Counted,
        REFUSED => IoOwnership::Refused,
        other => {
            let code = QNN_CONTEXT_ERROR_INVALID_ARGUMENT;
            return Err(because!(code, "ownership is ", other, ", there are 0, 1 and 2"));
        }
    };
    let set = instance.driver.call(|machine, _| machine.context_set_io_ownership(id, ownership));
    set.map_err(|error| match error {
        HandleError::Recovering => QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE,
        error => convert::handle_error(error, none()),
    })
}

static_assertions::const_assert_eq!(runtime::limits::Capacities::DEFAULT.watched_outputs, 1_024);
static_assertions::const_assert_eq!(runtime::limits::Capacities::HOSTED.watched_outputs, 4_096);
