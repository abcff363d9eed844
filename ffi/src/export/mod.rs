//! The QNN provider: one file per QNN header, each function under the name that the QNN API gives
//! it.
//!
//! Every function is exported and stands in the table of [`interface`]. What they promise, and what
//! their callers must promise, is the QNN API's; where that is silent, docs/decisions.md rules.
//! Common to all:
//! - Null, misaligned, forged, stale and released arguments are answered with a code.
//! - Output parameters are written on success only.
//! - A call that meets a restart waits for its end (bounded); its caller can re-create at once.

#![allow(non_snake_case, reason = "names of the QNN API")]
#![allow(clippy::missing_safety_doc, reason = "the contract of each function is the QNN API's")]

pub(crate) mod backend;
pub(crate) mod context;
pub(crate) mod context_binary;
pub(crate) mod context_config;
pub(crate) mod context_list;
pub(crate) mod context_section;
pub(crate) mod device;
pub(crate) mod error;
pub(crate) mod execute;
pub(crate) mod global_config;
pub(crate) mod graph;
pub(crate) mod graph_config;
pub(crate) mod htp_context_config;
pub(crate) mod infrastructure;
pub(crate) mod interface;
pub(crate) mod log;
pub(crate) mod mem;
pub(crate) mod node;
pub(crate) mod operand;
pub(crate) mod perf;
pub(crate) mod profile;
pub(crate) mod property;
pub(crate) mod signal;
pub(crate) mod system_context;
pub(crate) mod system_interface;
pub(crate) mod system_log;
pub(crate) mod system_profile;
pub(crate) mod system_tensor;
pub(crate) mod tensor;

use core::ffi::CStr;

use runtime::error::{CreateError, HandleError, SubmitError};
use runtime::handle::{kind, ContextId, GraphId};
use runtime::limits::NO_TIMEOUT_US;
use runtime::platform::drive::{Answer, WaitTimeout};
use runtime::runtime::Runtime;
use runtime::time::Instant;

use crate::abi::*;
use crate::convert::{context_id, graph_id, handle_error, Code, Family};
use crate::instance::{self, Instance};
use crate::refusal::{self, no_handle};

/// The runtime as the C interface owns it.
pub(crate) type Machine = Runtime<'static>;

/// Functions that are not offered: they answer `QNN_COMMON_ERROR_NOT_SUPPORTED` whatever they are
/// given.
macro_rules! not_supported {
    ($($name:ident($($argument:ty),* $(,)?);)*) => {
        $(
            #[no_mangle]
            pub(crate) extern "C" fn $name($(_: $argument),*) -> Qnn_ErrorHandle_t {
                $crate::export::answer(
                    const { $crate::messages::c_text(concat!(stringify!($name), "\0")) },
                    Err(QNN_COMMON_ERROR_NOT_SUPPORTED),
                )
            }
        )*
    };
}
pub(crate) use not_supported;

/// What a call answers. The logs are told: an error as such, a success at their lowest level.
pub(crate) fn answer(call: &'static CStr, result: Result<(), Code>) -> Qnn_ErrorHandle_t {
    match result {
        Ok(()) => {
            refusal::end_well();
            crate::log::emit(QNN_LOG_LEVEL_DEBUG, call, c"done");
            QNN_SUCCESS
        }
        Err(code) => {
            crate::log::error(call, code);
            code
        }
    }
}

/// The instance, for calls on objects: without one there can be no object, so `none` is the answer.
pub(crate) fn living(none: impl Fn() -> Code) -> Result<&'static Instance, Code> {
    instance::existing().ok_or_else(none)
}

/// The context that an argument names, which can be used now; the codes are those of `family`.
pub(crate) fn known_context(
    argument: &'static str,
    context: Qnn_ContextHandle_t,
    family: Family,
) -> Result<(&'static Instance, ContextId), Code> {
    let none = no_handle::<kind::Context>(family.invalid_handle, argument, context);
    let instance = living(&none)?;
    let id = context_id(context).ok_or_else(&none)?;
    settled(instance, |machine, _| machine.context_status(id)).map_err(|error| match error {
        CreateError::Handle(error) => handle_error(error, none()),
        other => family.create_error(other),
    })?;
    Ok((instance, id))
}

/// The graph that an argument names, stale ones excluded.
pub(crate) fn known_graph(
    argument: &'static str,
    graph: Qnn_GraphHandle_t,
    invalid: Code,
) -> Result<(&'static Instance, GraphId), Code> {
    let none = no_handle::<kind::Graph>(invalid, argument, graph);
    let instance = living(&none)?;
    let id = graph_id(graph).ok_or_else(&none)?;
    settled(instance, |machine, _| machine.graph_context(id))
        .map_err(|error| handle_error(error, none()))?;
    Ok((instance, id))
}

/// An error that may be "a restart is under way".
pub(crate) trait MayRecover {
    fn is_recovering(&self) -> bool;
}

impl MayRecover for HandleError {
    fn is_recovering(&self) -> bool {
        *self == HandleError::Recovering
    }
}

impl MayRecover for CreateError {
    fn is_recovering(&self) -> bool {
        *self == CreateError::Handle(HandleError::Recovering)
    }
}

impl MayRecover for SubmitError {
    fn is_recovering(&self) -> bool {
        *self == SubmitError::Handle(HandleError::Recovering)
    }
}

/// Makes a call on the runtime; one that meets a restart is made again at its end.
pub(crate) fn settled<R, E: MayRecover>(
    instance: &Instance,
    mut call: impl FnMut(&mut Machine, Instant) -> Result<R, E>,
) -> Result<R, E> {
    let first = instance.driver.call(&mut call);
    settle(instance, first, call)
}

/// The same before a blocking call that waits for what this one asks of the device.
pub(crate) fn begun<R, E: MayRecover>(
    instance: &Instance,
    mut call: impl FnMut(&mut Machine, Instant) -> Result<R, E>,
) -> Result<R, E> {
    let first = instance.driver.begin(&mut call);
    settle(instance, first, call)
}

fn settle<R, E: MayRecover>(
    instance: &Instance,
    first: Result<R, E>,
    mut call: impl FnMut(&mut Machine, Instant) -> Result<R, E>,
) -> Result<R, E> {
    let recovering = match first {
        Err(error) if error.is_recovering() => error,
        other => return other,
    };
    let again =
        instance.driver.call_blocking(NO_TIMEOUT_US, |machine, now| match call(machine, now) {
            Err(error) if error.is_recovering() => Answer::Pending,
            other => Answer::Ready(other),
        });
    match again {
        Ok(answer) => answer,
        Err(WaitTimeout) => Err(recovering),
    }
}
