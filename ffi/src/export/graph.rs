//! `QnnGraph.h`, without operations ([`super::node`]) and execution ([`super::execute`]).

use cty::c_char;
use runtime::error::{CreateError, Status};
use runtime::handle::GraphId;
use runtime::limits::BLOCKING_TIMEOUT_US;
use runtime::platform::drive::Answer;
use runtime::sched::Priority;

use crate::abi::*;
use crate::client::{self, Configs};
use crate::convert::{context_id, graph_id, handle_error, to_client, Code, Family};
pub(crate) use crate::export::execute::Bindings;
use crate::export::{answer, begun, living, not_supported, profile, settled};
use crate::instance::Instance;

const INVALID_HANDLE: Code = QNN_GRAPH_ERROR_INVALID_HANDLE;
const BAD: Code = QNN_GRAPH_ERROR_INVALID_ARGUMENT;

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnGraph_create(
    contextHandle: Qnn_ContextHandle_t,
    graphName: *const c_char,
    config: *mut *const QnnGraph_Config_t,
    graphHandle: *mut Qnn_GraphHandle_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnGraph_create", unsafe { create(contextHandle, graphName, config, graphHandle) })
}

/// # Safety
/// As the QNN API says.
unsafe fn create(
    context: Qnn_ContextHandle_t,
    name: *const c_char,
    config: *mut *const QnnGraph_Config_t,
    graph: *mut Qnn_GraphHandle_t,
) -> Result<(), Code> {
    let instance = living(INVALID_HANDLE)?;
    let context = context_id(context).ok_or(INVALID_HANDLE)?;
    // SAFETY: the caller's promise.
    let graph = unsafe { client::out(graph) }.ok_or(BAD)?;
    // SAFETY: the caller's promise.
    let name = unsafe { client::text(name) }.map_err(|_| QNN_GRAPH_ERROR_INVALID_NAME)?;
    // SAFETY: the caller's promise.
    let priority = unsafe { read_config(instance, config) }?;
    if instance.objects.lock().owner(context).is_some_and(|owner| owner.loaded) {
        return Err(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
    }
    let id = settled(instance, |machine, _| machine.graph_create(context, name, priority))
        .map_err(|error| Family::GRAPH.create_error(error))?;
    *graph = to_client(id);
    Ok(())
}

/// Reads a configuration list; gives the priority, if it names one. The last of several counts.
///
/// # Safety
/// As the QNN API says of configuration lists.
unsafe fn read_config(
    instance: &Instance,
    config: *mut *const QnnGraph_Config_t,
) -> Result<Option<Priority>, Code> {
    // SAFETY: the caller's promise.
    let configs = unsafe { Configs::read(config) }.map_err(|_| BAD)?;
    let mut priority = None;
    for config in configs.iter() {
        match config.option {
            QNN_GRAPH_CONFIG_OPTION_PRIORITY => {
                // SAFETY: the option selects this member; every bit pattern is a number.
                let number = unsafe { config.u.priority };
                priority = Some(Priority::from_qnn(number).ok_or(BAD)?);
            }
            QNN_GRAPH_CONFIG_OPTION_CUSTOM => {
                // SAFETY: the option selects this member, which points to an HTP option or is null.
                let custom = unsafe { config.u.customConfig }.cast::<QnnHtpGraph_CustomConfig_t>();
                // SAFETY: the caller's promise.
                check_custom(instance, unsafe { client::one(custom) }.ok_or(BAD)?)?;
            }
            _ => return Err(QNN_GRAPH_ERROR_UNSUPPORTED_FEATURE),
        }
    }
    Ok(priority)
}

/// Options that change nothing here are accepted: precision (C-20: float math is half precision),
/// the optimisation level (there is one), and an amount of VTCM that the device has.
fn check_custom(instance: &Instance, config: &QnnHtpGraph_CustomConfig_t) -> Result<(), Code> {
    match config.option {
        QNN_HTP_GRAPH_CONFIG_OPTION_PRECISION => Ok(()),
        QNN_HTP_GRAPH_CONFIG_OPTION_OPTIMIZATION => {
            // SAFETY: the option selects this member, two numbers.
            let option = unsafe { config.u.optimizationOption };
            match option.type_ {
                QNN_HTP_GRAPH_OPTIMIZATION_TYPE_FINALIZE_OPTIMIZATION_FLAG => Ok(()),
                QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_DLBC
                | QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_DLBC_WEIGHTS
                    if option.floatValue == 0.0 =>
                {
                    Ok(())
                }
                _ => Err(QNN_GRAPH_ERROR_UNSUPPORTED_FEATURE),
            }
        }
        QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE_IN_MB => {
            // SAFETY: the option selects this member, a number.
            let mib = unsafe { config.u.vtcmSizeInMB };
            if mib <= instance.device.vtcm_mib {
                Ok(())
            } else {
                Err(BAD)
            }
        }
        _ => Err(QNN_GRAPH_ERROR_UNSUPPORTED_FEATURE),
    }
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnGraph_setConfig(
    graphHandle: Qnn_GraphHandle_t,
    config: *mut *const QnnGraph_Config_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnGraph_setConfig", unsafe { set_config(graphHandle, config) })
}

/// # Safety
/// As the QNN API says.
unsafe fn set_config(
    graph: Qnn_GraphHandle_t,
    config: *mut *const QnnGraph_Config_t,
) -> Result<(), Code> {
    let instance = living(INVALID_HANDLE)?;
    let id = known(instance, graph)?;
    if config.is_null() {
        return Err(BAD);
    }
    // SAFETY: the caller's promise.
    let Some(priority) = unsafe { read_config(instance, config) }? else { return Ok(()) };
    settled(instance, |machine, _| machine.graph_set_priority(id, priority)).map_err(|error| {
        match error {
            // Requests of it are in flight (C-11).
            CreateError::Config => QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED,
            other => Family::GRAPH.create_error(other),
        }
    })
}

/// A graph that can be named now, stale ones excluded.
fn known(instance: &Instance, graph: Qnn_GraphHandle_t) -> Result<GraphId, Code> {
    let id = graph_id(graph).ok_or(INVALID_HANDLE)?;
    settled(instance, |machine, _| machine.graph_context(id))
        .map_err(|error| handle_error(error, INVALID_HANDLE))?;
    Ok(id)
}

#[no_mangle]
pub(crate) extern "C" fn QnnGraph_finalize(
    graphHandle: Qnn_GraphHandle_t,
    profileHandle: Qnn_ProfileHandle_t,
    signalHandle: Qnn_SignalHandle_t,
) -> Qnn_ErrorHandle_t {
    answer(c"QnnGraph_finalize", finalize(graphHandle, profileHandle, signalHandle))
}

fn finalize(
    graph: Qnn_GraphHandle_t,
    profile: Qnn_ProfileHandle_t,
    signal: Qnn_SignalHandle_t,
) -> Result<(), Code> {
    let instance = living(INVALID_HANDLE)?;
    let id = known(instance, graph)?;
    let profile = profile::optional(instance, profile, BAD)?;
    if !signal.is_null() {
        return Err(QNN_GRAPH_ERROR_UNSUPPORTED_FEATURE);
    }
    let started = instance.driver.now();
    // Finalizing again is not offered; a graph that failed says so again.
    begun(instance, |machine, _| match machine.graph_finalize(id) {
        Err(CreateError::AlreadyFinalized) => {
            machine.graph_status(id).and(Err(CreateError::NotSupported))
        }
        other => other,
    })
    .map_err(|error| Family::GRAPH.create_error(error))?;
    wait_until_prepared(instance, id)?;
    profile::record_call(instance, profile, QNN_PROFILE_EVENTTYPE_FINALIZE, started);
    Ok(())
}

fn wait_until_prepared(instance: &Instance, id: GraphId) -> Result<(), Code> {
    let prepared = instance.driver.call_blocking(BLOCKING_TIMEOUT_US, |machine, _| {
        match machine.graph_status(id) {
            Ok(Status::Pending) => Answer::Pending,
            Err(CreateError::Handle(runtime::error::HandleError::Recovering)) => Answer::Pending,
            Ok(Status::Ready) => Answer::Ready(Ok(())),
            Err(error) => Answer::Ready(Err(Family::GRAPH.create_error(error))),
        }
    });
    prepared.unwrap_or(Err(QNN_GRAPH_ERROR_TIMED_OUT))
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnGraph_retrieve(
    contextHandle: Qnn_ContextHandle_t,
    graphName: *const c_char,
    graphHandle: *mut Qnn_GraphHandle_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnGraph_retrieve", unsafe { retrieve(contextHandle, graphName, graphHandle) })
}

/// # Safety
/// As the QNN API says.
unsafe fn retrieve(
    context: Qnn_ContextHandle_t,
    name: *const c_char,
    graph: *mut Qnn_GraphHandle_t,
) -> Result<(), Code> {
    let instance = living(INVALID_HANDLE)?;
    let context = context_id(context).ok_or(INVALID_HANDLE)?;
    settled(instance, |machine, _| machine.context_status(context))
        .map_err(|error| Family::GRAPH.create_error(error))?;
    // SAFETY: the caller's promise.
    let graph = unsafe { client::out(graph) }.ok_or(BAD)?;
    // SAFETY: the caller's promise.
    let name = unsafe { client::text(name) }.map_err(|_| QNN_GRAPH_ERROR_INVALID_NAME)?;
    let id = settled(instance, |machine, _| machine.graph_by_name(context, name))
        .map_err(|error| handle_error(error, QNN_GRAPH_ERROR_INVALID_NAME))?;
    *graph = to_client(id);
    Ok(())
}

not_supported! {
    QnnGraph_createSubgraph(Qnn_GraphHandle_t, *const c_char, *mut Qnn_GraphHandle_t);
    QnnGraph_prepareExecutionEnvironment(
        Qnn_GraphHandle_t, *mut *mut QnnGraph_ExecuteEnvironment_t, u32,
    );
    QnnGraph_releaseExecutionEnvironment(
        Qnn_GraphHandle_t, *mut *const QnnGraph_ExecuteEnvironment_t, u32,
    );
    QnnGraph_getProperty(Qnn_GraphHandle_t, *mut *mut QnnGraph_Property_t);
    QnnGraph_validate(
        Qnn_GraphHandle_t, *mut *const QnnGraph_ValidateConfig_t,
        *mut *mut QnnGraph_ValidationResult_t,
    );
    QnnGraph_freeValidationResult(*mut QnnGraph_ValidationResult_t);
}
