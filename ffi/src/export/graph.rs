//! `QnnGraph.h`, without operations ([`super::node`]) and execution ([`super::execute`]).

use cty::c_char;
use runtime::error::{CreateError, Status};
use runtime::graph::GraphOptions;
use runtime::handle::GraphId;
use runtime::limits::BLOCKING_TIMEOUT_US;
use runtime::platform::drive::Answer;

use crate::abi::*;
use crate::client;
use crate::convert::{context_id, graph_id, handle_error, to_client, Code, Family};
pub(crate) use crate::export::execute::Bindings;
use crate::export::graph_config::Config;
use crate::export::{answer, begun, living, not_supported, profile, settled, Machine};
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
    let config = unsafe { Config::read(config, GraphOptions::default(), &instance.device) }?;
    if instance.objects.lock().owner(context).is_some_and(|owner| owner.loaded) {
        return Err(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
    }
    let id = settled(instance, |machine, _| {
        let id = machine.graph_create(context, name, config.priority)?;
        machine.graph_set_options(id, config.options)?;
        Ok(id)
    })
    .map_err(|error| Family::GRAPH.create_error(error))?;
    *graph = to_client(id);
    Ok(())
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
    let options = settled(instance, |machine, _| machine.graph_options(id))
        .map_err(|error| handle_error(error, INVALID_HANDLE))?;
    // SAFETY: the caller's promise.
    let config = unsafe { Config::read(config, options, &instance.device) }?;
    settled(instance, |machine, _| reconfigure(machine, id, &config)).map_err(|error| match error {
        // Requests of it are in flight (C-11).
        CreateError::Config => QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED,
        other => Family::GRAPH.create_error(other),
    })
}

/// All of it, or nothing after an error.
fn reconfigure(machine: &mut Machine, id: GraphId, config: &Config) -> Result<(), CreateError> {
    match machine.graph_set_options(id, config.options) {
        Err(CreateError::AlreadyFinalized) if config.is_for_composing => {
            return Err(CreateError::AlreadyFinalized);
        }
        Err(CreateError::AlreadyFinalized) if config.has_hvx_threads => {
            // Refused once it was executed; until then the priority can be set as well.
            machine.graph_set_hvx_threads(id, config.options.hvx_threads)?;
        }
        Err(CreateError::AlreadyFinalized) | Ok(()) => {}
        Err(error) => return Err(error),
    }
    match config.priority {
        Some(priority) => machine.graph_set_priority(id, priority),
        None => Ok(()),
    }
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
    let mut composed = started;
    begun(instance, |machine, _| {
        let composing = machine.graph_finalize(id);
        // Before the device, driven by another thread, begins with it.
        composed = instance.driver.now();
        match composing {
            Err(CreateError::AlreadyFinalized) => {
                machine.graph_status(id).and(Err(CreateError::NotSupported))
            }
            other => other,
        }
    })
    .map_err(|error| Family::GRAPH.create_error(error))?;
    wait_until_prepared(instance, id)?;
    profile::record_finalize(instance, profile, id, started, composed);
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
    if context.is_null() {
        return Err(BAD);
    }
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

/// What is not offered for any graph, with the wrong arguments told apart.
fn not_offered(graph: Qnn_GraphHandle_t, has_list: bool) -> Result<(), Code> {
    known(living(INVALID_HANDLE)?, graph)?;
    Err(if has_list { QNN_GRAPH_ERROR_UNSUPPORTED_FEATURE } else { BAD })
}

#[no_mangle]
pub(crate) extern "C" fn QnnGraph_prepareExecutionEnvironment(
    graphHandle: Qnn_GraphHandle_t,
    envs: *mut *mut QnnGraph_ExecuteEnvironment_t,
    envSize: u32,
) -> Qnn_ErrorHandle_t {
    let result = not_offered(graphHandle, !envs.is_null() && envSize > 0);
    answer(c"QnnGraph_prepareExecutionEnvironment", result)
}

#[no_mangle]
pub(crate) extern "C" fn QnnGraph_releaseExecutionEnvironment(
    graphHandle: Qnn_GraphHandle_t,
    envs: *mut *const QnnGraph_ExecuteEnvironment_t,
    envSize: u32,
) -> Qnn_ErrorHandle_t {
    let result = not_offered(graphHandle, !envs.is_null() && envSize > 0);
    answer(c"QnnGraph_releaseExecutionEnvironment", result)
}

#[no_mangle]
pub(crate) extern "C" fn QnnGraph_getProperty(
    graphHandle: Qnn_GraphHandle_t,
    properties: *mut *mut QnnGraph_Property_t,
) -> Qnn_ErrorHandle_t {
    answer(c"QnnGraph_getProperty", not_offered(graphHandle, !properties.is_null()))
}

not_supported! {
    QnnGraph_createSubgraph(Qnn_GraphHandle_t, *const c_char, *mut Qnn_GraphHandle_t);
    QnnGraph_validate(
        Qnn_GraphHandle_t, *mut *const QnnGraph_ValidateConfig_t,
        *mut *mut QnnGraph_ValidationResult_t,
    );
    QnnGraph_freeValidationResult(*mut QnnGraph_ValidationResult_t);
}
