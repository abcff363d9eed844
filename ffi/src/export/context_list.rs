//! Contexts made from a list of binaries, each of which is told of when it is there.
//!
//! They are made one after the other, on the thread of the caller, as `QnnContext_createFromBinary`
//! makes them; when the call returns, everything was told (C-120). So it needs no thread, and no
//! memory but for the names of one context's graphs. The clients' functions are called outside all
//! locks and may call the library.

use core::ffi::{c_char, c_void};

use heapless::Vec;
use runtime::binary::GRAPHS_MAX;
use runtime::capability::Capabilities;
use runtime::error::{CreateError, Status};
use runtime::handle::{ContextId, GraphId};
use runtime::region::RegionSlice;

use crate::abi::*;
use crate::client::{self, Configs};
use crate::convert::{to_client, Code, Family};
use crate::export::context::{release, Parents};
use crate::export::context_binary::{begin, end, Bound, Source};
use crate::export::context_config::{Call, Config};
use crate::export::{answer, settled, Machine};
use crate::instance::Instance;
use crate::refusal::{because, no_list, null, within};

const BAD: Code = QNN_CONTEXT_ERROR_INVALID_ARGUMENT;
const UNSUPPORTED: Code = QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE;

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnContext_createFromBinaryListAsync(
    backend: Qnn_BackendHandle_t,
    device: Qnn_DeviceHandle_t,
    contextParams: *mut *const QnnContext_Params_t,
    listConfig: *mut *const QnnContext_Config_t,
    signal: Qnn_SignalHandle_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let created = unsafe { create(backend, device, contextParams, listConfig, signal) };
    answer(c"QnnContext_createFromBinaryListAsync", created)
}

/// # Safety
/// As the QNN API says; what the lists lead to stays as it is until the call returns, a persistent
/// binary until its context is freed.
unsafe fn create(
    backend: Qnn_BackendHandle_t,
    device: Qnn_DeviceHandle_t,
    params: *mut *const QnnContext_Params_t,
    list_config: *mut *const QnnContext_Config_t,
    signal: Qnn_SignalHandle_t,
) -> Result<(), Code> {
    let parents = Parents::check(backend, device)?;
    let instance = parents.instance;
    if !instance.capabilities.contains(Capabilities::LIST_ASYNC) {
        return Err(because!(UNSUPPORTED, "lists of binaries are for Android and Windows"));
    }
    // SAFETY: the caller's promise.
    let params = unsafe { Configs::read(params) }.map_err(no_list(BAD, "contextParams"))?;
    if params.iter().next().is_none() {
        return Err(because!(BAD, "contextParams is null or has no entry"));
    }
    // SAFETY: the caller's promise.
    unsafe { Config::read_lists("listConfig", &[list_config], Call::CreateFromBinary) }?;
    for (at, params) in params.iter().enumerate() {
        // SAFETY: the caller's promise.
        let entry = unsafe { Entry::read(params) };
        // SAFETY: the caller's promise.
        let checked = entry.and_then(|it| unsafe { it.source(instance, list_config) }.map(|_| ()));
        checked.map_err(|code| in_entry(at, code))?;
    }
    let signal = begin(instance, signal)?;
    for (at, params) in params.iter().enumerate() {
        // SAFETY: the caller's promise. It was read before, so it is one.
        if let Ok(entry) = unsafe { Entry::read(params) } {
            // SAFETY: the caller's promise.
            let made = unsafe { make(&parents, &entry, list_config, signal) };
            tell_all(instance, &entry, made.map_err(|code| in_entry(at, code)));
        }
    }
    end(instance, signal);
    Ok(())
}

/// What is wrong with a context of the list, told with its place.
fn in_entry(at: usize, code: Code) -> Code {
    within!(code, "contextParams[", at, "]->")
}

type Notify = unsafe extern "C" fn(
    Qnn_ContextHandle_t,
    Qnn_GraphHandle_t,
    *const c_char,
    QnnContext_createFromBinaryAsyncNotifyType_t,
    *mut c_void,
    Qnn_ErrorHandle_t,
);

/// A context of the list, in whatever version the client gave it.
struct Entry {
    config: *mut *const QnnContext_Config_t,
    binary: (*const c_void, Qnn_ContextBinarySize_t),
    profile: Qnn_ProfileHandle_t,
    notify: Notify,
    param: *mut c_void,
}

impl Entry {
    /// # Safety
    /// The version selects the member, which points to what it says or is null.
    unsafe fn read(params: &QnnContext_Params_t) -> Result<Self, Code> {
        let (v1, callback) = match params.version {
            // SAFETY: the version selects this member; its pointers are looked at later.
            QNN_CONTEXT_PARAMS_VERSION_1 => (unsafe { params.u.v1 }, core::ptr::null()),
            QNN_CONTEXT_PARAMS_VERSION_2 => {
                // SAFETY: the version selects this member, which points to one or is null.
                let v2 = unsafe { client::one(params.u.v2.cast_const()) };
                let v2 = v2.ok_or_else(null(BAD, "v2"))?;
                let v1 = QnnContext_ParamsV1_t {
                    config: v2.config,
                    binaryBuffer: v2.binaryBuffer,
                    binaryBufferSize: v2.binaryBufferSize,
                    profile: v2.profile,
                    notifyFunc: v2.notifyFunc,
                    notifyParam: v2.notifyParam,
                };
                (v1, v2.callback)
            }
            version => return Err(because!(BAD, "version is ", version, ", there are 1 and 2")),
        };
        if !callback.is_null() {
            let why = "callback is not null: the library itself reads the binaries of a list";
            return Err(because!(UNSUPPORTED, why));
        }
        let nobody = || because!(BAD, "notifyFunc is null: nobody would get the context");
        Ok(Self {
            config: v1.config,
            binary: (v1.binaryBuffer, v1.binaryBufferSize),
            profile: v1.profile,
            notify: v1.notifyFunc.ok_or_else(nobody)?,
            param: v1.notifyParam,
        })
    }

    /// What the context is made of. Its own configuration counts after that of the list.
    ///
    /// # Safety
    /// As the QNN API says.
    unsafe fn source(
        &self,
        instance: &Instance,
        list_config: *mut *const QnnContext_Config_t,
    ) -> Result<Source<'_>, Code> {
        // SAFETY: the caller's promise.
        unsafe { Source::read(instance, &[list_config, self.config], self.binary, self.profile) }
    }
}

/// A context, and which of its graphs can be executed.
struct Made {
    context: ContextId,
    /// Each with the place of its name.
    graphs: Vec<(GraphId, usize), GRAPHS_MAX>,
    /// Names, each with a zero behind it.
    names: RegionSlice<'static, u8>,
}

/// Makes a context. Not inlined: what it needs is not on the stack below the client's function.
///
/// # Safety
/// As the QNN API says.
#[inline(never)]
unsafe fn make(
    parents: &Parents,
    entry: &Entry,
    list_config: *mut *const QnnContext_Config_t,
    signal: Option<Bound>,
) -> Result<Made, Code> {
    let instance = parents.instance;
    // SAFETY: the caller's promise.
    let context = unsafe { entry.source(instance, list_config) }?.create(parents, signal)?;
    settled(instance, |machine, _| name_graphs(machine, context)).map_err(|error| {
        // Nobody knows of it. If it is gone or lost, so much the better.
        let _ = release(instance, context);
        Family::CONTEXT.create_error(error)
    })
}

/// Copies the names: the client may free the context before it has heard of all its graphs.
fn name_graphs(machine: &mut Machine, context: ContextId) -> Result<Made, CreateError> {
    machine.context_status(context)?;
    let is_ready = |id: &GraphId| machine.graph_status(*id) == Ok(Status::Ready);
    let ids: Vec<GraphId, GRAPHS_MAX> =
        machine.graphs_of(context).filter(is_ready).take(GRAPHS_MAX).collect();
    let mut graphs = Vec::new();
    let mut bytes: usize = 0;
    for id in ids {
        // There is room for as many as there are.
        let _ = graphs.push((id, bytes));
        let name = machine.graph_table(id)?.name();
        bytes = bytes.saturating_add(name.len()).saturating_add(1);
    }
    let mut names = machine.region_mut().alloc(bytes, 0u8)?;
    for (id, at) in &graphs {
        if let Ok(table) = machine.graph_table(*id) {
            let place = names.get_mut(*at..).unwrap_or(&mut []);
            place.iter_mut().zip(table.name().bytes()).for_each(|(to, byte)| *to = byte);
        }
    }
    Ok(Made { context, graphs, names })
}

/// Tells of a context: of each of its graphs, then of itself. One that could not be made has no
/// graphs. Not inlined: packaging/stack.toml names it.
#[inline(never)]
fn tell_all(instance: &Instance, entry: &Entry, made: Result<Made, Code>) {
    const CALL: &core::ffi::CStr = c"QnnContext_createFromBinaryListAsync";
    let status = answer(CALL, made.as_ref().map(|_| ()).map_err(|code| *code));
    let mut context = core::ptr::null_mut();
    if let Ok(made) = made {
        context = to_client(made.context);
        for (id, at) in made.graphs {
            let name = made.names.get(at..).map_or(core::ptr::null(), <[u8]>::as_ptr).cast();
            let told = QNN_CONTEXT_NOTIFY_TYPE_GRAPH_INIT;
            // SAFETY: the client promised a function that may be called with its parameter; the
            // name ends.
            unsafe { (entry.notify)(context, to_client(id), name, told, entry.param, status) };
        }
        instance.driver.call(|machine, _| machine.region_mut().free(made.names));
    }
    let (graph, name) = (core::ptr::null_mut(), core::ptr::null());
    let told = QNN_CONTEXT_NOTIFY_TYPE_CONTEXT_INIT;
    // SAFETY: as above.
    unsafe { (entry.notify)(context, graph, name, told, entry.param, status) };
}
