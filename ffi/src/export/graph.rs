//! `QnnGraph.h`, without operations ([`super::node`]) and execution ([`super::execute`]).

use core::ffi::c_char;

use runtime::device::PrepareError;
use runtime::error::{CreateError, Status};
use runtime::graph::{BuildError, GraphOptions};
use runtime::handle::{kind, GraphId};
use runtime::limits::NO_TIMEOUT_US;
use runtime::platform::drive::Answer;

use crate::abi::*;
use crate::client;
use crate::convert::{context_id, handle_error, to_client, Code, Family};
pub(crate) use crate::export::execute::Bindings;
use crate::export::graph_config::Config;
use crate::export::{
    answer, begun, known_context, known_graph, living, node, not_supported, profile, settled,
    Machine,
};
use crate::instance::{Device, Instance};
use crate::refusal::{because, no_handle, no_text, null, within, Name, Short};

const INVALID_HANDLE: Code = QNN_GRAPH_ERROR_INVALID_HANDLE;
const BAD: Code = QNN_GRAPH_ERROR_INVALID_ARGUMENT;
const BAD_NAME: Code = QNN_GRAPH_ERROR_INVALID_NAME;

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
    let none = no_handle::<kind::Context>(INVALID_HANDLE, "contextHandle", context);
    let instance = living(&none)?;
    let context = context_id(context).ok_or_else(&none)?;
    // SAFETY: the caller's promise.
    let graph = unsafe { client::out(graph) }.ok_or_else(null(BAD, "graphHandle"))?;
    // SAFETY: the caller's promise.
    let name = unsafe { client::text(name) }.map_err(no_text(BAD_NAME, "graphName"))?;
    // SAFETY: the caller's promise.
    let config = unsafe { Config::read(config, GraphOptions::default(), &instance.device) }?;
    if instance.objects.lock().owner(context).is_some_and(|owner| owner.loaded) {
        let why = "contextHandle was loaded from a binary: it takes no more graphs";
        return Err(because!(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED, why));
    }
    let id = settled(instance, |machine, _| {
        let id = machine.graph_create(context, name, config.priority)?;
        machine.graph_set_options(id, config.options)?;
        Ok(id)
    })
    .map_err(|error| match error {
        CreateError::Handle(error) => handle_error(error, none()),
        CreateError::DuplicateName => {
            because!(BAD_NAME, "graphName ", Name(name), " is taken in the context")
        }
        other => Family::GRAPH.create_error(other),
    })?;
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
    let (instance, id) = known_graph("graphHandle", graph, INVALID_HANDLE)?;
    if config.is_null() {
        return Err(because!(BAD, "config is null"));
    }
    let options = settled(instance, |machine, _| machine.graph_options(id))
        .map_err(|error| handle_error(error, INVALID_HANDLE))?;
    // SAFETY: the caller's promise.
    let config = unsafe { Config::read(config, options, &instance.device) }?;
    settled(instance, |machine, _| reconfigure(machine, id, &config)).map_err(|error| match error {
        // Requests of it are in flight (C-11).
        CreateError::Config => {
            let why = "executions of the graph are under way: its priority stays until they ended";
            because!(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED, why)
        }
        CreateError::AlreadyFinalized => {
            let why = "config has an option that only a graph under construction takes";
            because!(QNN_GRAPH_ERROR_GRAPH_FINALIZED, why)
        }
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
    let (instance, id) = known_graph("graphHandle", graph, INVALID_HANDLE)?;
    let profile = profile::optional(instance, profile, ("profileHandle", BAD))?;
    if !signal.is_null() {
        let why = "signalHandle is not null: a finalization cannot be ended";
        return Err(because!(QNN_GRAPH_ERROR_UNSUPPORTED_FEATURE, why));
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
    .map_err(|error| not_prepared(instance, id, error))?;
    wait_until_prepared(instance, id)?;
    profile::record_finalize(instance, profile, id, started, composed);
    Ok(())
}

fn wait_until_prepared(instance: &Instance, id: GraphId) -> Result<(), Code> {
    let prepared =
        instance.driver.call_blocking(NO_TIMEOUT_US, |machine, _| match machine.graph_status(id) {
            Ok(Status::Pending) => Answer::Pending,
            Err(CreateError::Handle(runtime::error::HandleError::Recovering)) => Answer::Pending,
            Ok(Status::Ready) => Answer::Ready(Ok(())),
            Err(error) => Answer::Ready(Err(error)),
        });
    let prepared = prepared.map(|done| done.map_err(|error| not_prepared(instance, id, error)));
    prepared.unwrap_or(Err(QNN_GRAPH_ERROR_TIMED_OUT))
}

/// The answer to a graph that cannot be prepared: which of its operations, or what it lacks.
fn not_prepared(instance: &Instance, id: GraphId, error: CreateError) -> Code {
    let code = Family::GRAPH.create_error(error);
    match error {
        CreateError::Build(BuildError::EmptyGraph) => because!(code, "the graph has no operation"),
        CreateError::Build(BuildError::OutputNotWritten) => {
            because!(code, "no operation writes one of the tensors that the client reads")
        }
        CreateError::NotSupported => {
            because!(code, "graphHandle is final already: it is finalized once")
        }
        CreateError::Device(
            PrepareError::UnsupportedOp { op } | PrepareError::InvalidOp { op },
        ) => instance.driver.call(|machine, _| {
            let table = machine.graph_table(id).ok();
            let op = usize::try_from(op).ok().and_then(|op| table?.op(op));
            let Some(op) = op else { return code };
            let Err(why) = Device::validate_op(&op) else { return code };
            node::refused_op(code, why, &op);
            within!(code, "operation ", Short(op.type_name()), " ", Name(op.name()), ": ")
        }),
        _ => code,
    }
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
        return Err(because!(BAD, "contextHandle is null"));
    }
    let (instance, context) = known_context("contextHandle", context, Family::GRAPH)?;
    // SAFETY: the caller's promise.
    let graph = unsafe { client::out(graph) }.ok_or_else(null(BAD, "graphHandle"))?;
    // SAFETY: the caller's promise.
    let name = unsafe { client::text(name) }.map_err(no_text(BAD_NAME, "graphName"))?;
    let id =
        settled(instance, |machine, _| machine.graph_by_name(context, name)).map_err(|error| {
            let unknown = because!(BAD_NAME, "the context has no graph ", Name(name));
            handle_error(error, unknown)
        })?;
    *graph = to_client(id);
    Ok(())
}

/// What is not offered for any graph, with the wrong arguments told apart.
fn not_offered(graph: Qnn_GraphHandle_t, has_list: bool) -> Result<(), Code> {
    known_graph("graphHandle", graph, INVALID_HANDLE)?;
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
