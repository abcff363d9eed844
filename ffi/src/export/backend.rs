//! `QnnBackend.h`; `QnnBackend_validateOpConfig` stands in [`super::node`].

use core::ffi::{c_char, c_void, CStr};

use heapless::Vec;
use runtime::handle::ContextId;

use crate::abi::*;
use crate::client::{self, Configs};
use crate::convert::{from_client, to_client, Code};
use crate::export::interface::API_VERSION;
use crate::export::{answer, context, living, log};
use crate::instance::{self, Instance};
use crate::objects::{kind, Backend, BackendId, HOST};
use crate::refusal::{because, no_handle, no_list, null};

const INVALID_HANDLE: Code = QNN_BACKEND_ERROR_INVALID_HANDLE;
const BAD: Code = QNN_BACKEND_ERROR_INVALID_ARGUMENT;

/// The operations that the virtual device executes.
pub(crate) const OPERATIONS: &[&CStr] = runtime::vhtp::SUPPORTED_OPS;

struct Names([QnnBackend_OperationName_t; OPERATIONS.len()]);

// SAFETY: never written; it points to string constants.
unsafe impl Sync for Names {}

static NAMES: Names = {
    let none = QnnBackend_OperationName_t {
        packageName: client::address(QNN_OP_PACKAGE_NAME_QTI_AISW),
        name: core::ptr::null(),
        target: client::address(c"CPU"),
    };
    let mut names = [none; OPERATIONS.len()];
    let mut index = 0;
    while index < OPERATIONS.len() {
        names[index].name = client::address(OPERATIONS[index]);
        index += 1;
    }
    Names(names)
};

/// Name and version of the build.
pub(crate) const BUILD_ID: &CStr = match CStr::from_bytes_with_nul(
    concat!("htp-runtime-", env!("CARGO_PKG_VERSION"), "\0").as_bytes(),
) {
    Ok(id) => id,
    Err(_) => c"htp-runtime",
};

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnBackend_create(
    logger: Qnn_LogHandle_t,
    config: *mut *const QnnBackend_Config_t,
    backend: *mut Qnn_BackendHandle_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnBackend_create", unsafe { create(logger, config, backend) })
}

/// # Safety
/// As the QNN API says.
unsafe fn create(
    logger: Qnn_LogHandle_t,
    config: *mut *const QnnBackend_Config_t,
    backend: *mut Qnn_BackendHandle_t,
) -> Result<(), Code> {
    // SAFETY: the caller's promise.
    let backend = unsafe { client::out(backend) }.ok_or_else(null(BAD, "backend"))?;
    log::check_optional(logger, BAD)?;
    // SAFETY: the caller's promise.
    unsafe { check_config(config) }?;
    let inserted = instance::get()?.objects.lock().backends.insert(HOST, Backend);
    *backend = to_client(inserted.map_err(|_| QNN_BACKEND_ERROR_MEM_ALLOC)?);
    Ok(())
}

/// How errors are recorded is the backend's business: there is nothing to choose. Platform options
/// do not exist here.
///
/// # Safety
/// As the QNN API says of configuration lists.
unsafe fn check_config(config: *mut *const QnnBackend_Config_t) -> Result<(), Code> {
    const BAD_CONFIG: Code = QNN_BACKEND_ERROR_INVALID_CONFIG;
    // SAFETY: the caller's promise.
    let configs = unsafe { Configs::read(config) }.map_err(no_list(BAD_CONFIG, "config"))?;
    for (at, config) in configs.iter().enumerate() {
        // SAFETY: the option CUSTOM selects this member, a pointer that is only compared with null.
        let custom = || unsafe { config.u.customConfig };
        match config.option {
            QNN_BACKEND_CONFIG_OPTION_ERROR_REPORTING => {}
            QNN_BACKEND_CONFIG_OPTION_CUSTOM if custom().is_null() => {}
            QNN_BACKEND_CONFIG_OPTION_CUSTOM => {
                let why = "]->customConfig is not null: there are no such options";
                return Err(because!(BAD_CONFIG, "config[", at, why));
            }
            option => {
                let why = ", which is not offered";
                return Err(because!(BAD_CONFIG, "config[", at, "]->option is ", option, why));
            }
        }
    }
    Ok(())
}

/// The backend that the argument `backend` names, if it lives; `invalid` if not.
pub(crate) fn living_backend(
    backend: Qnn_BackendHandle_t,
    invalid: Code,
) -> Result<(&'static Instance, BackendId), Code> {
    let none = no_handle::<kind::Backend>(invalid, "backend", backend);
    let instance = living(&none)?;
    let id = from_client(backend).ok_or_else(&none)?;
    instance.objects.lock().backends.get(id).map_err(|_| none())?;
    Ok((instance, id))
}

/// The same for the calls of the backend.
pub(crate) fn known(backend: Qnn_BackendHandle_t) -> Result<(&'static Instance, BackendId), Code> {
    living_backend(backend, INVALID_HANDLE)
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnBackend_setConfig(
    backend: Qnn_BackendHandle_t,
    config: *mut *const QnnBackend_Config_t,
) -> Qnn_ErrorHandle_t {
    let result = known(backend).and_then(|_| {
        // SAFETY: the caller's promise.
        unsafe { check_config(config) }
    });
    answer(c"QnnBackend_setConfig", result)
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnBackend_getApiVersion(
    pVersion: *mut Qnn_ApiVersion_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let version = unsafe { client::out(pVersion) }.ok_or_else(null(BAD, "pVersion"));
    answer(c"QnnBackend_getApiVersion", version.map(|version| *version = API_VERSION))
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnBackend_getBuildId(id: *mut *const c_char) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let id = unsafe { client::out(id) }.ok_or_else(null(BAD, "id"));
    answer(c"QnnBackend_getBuildId", id.map(|id| *id = client::address(BUILD_ID)))
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnBackend_registerOpPackage(
    backend: Qnn_BackendHandle_t,
    packagePath: *const c_char,
    interfaceProvider: *const c_char,
    target: *const c_char,
) -> Qnn_ErrorHandle_t {
    let result = known(backend).and_then(|_| {
        // SAFETY: the caller's promise.
        let target_known =
            target.is_null() || matches!(unsafe { client::text(target) }, Ok("CPU" | "HTP"));
        if packagePath.is_null() {
            return Err(because!(BAD, "packagePath is null"));
        }
        if interfaceProvider.is_null() {
            return Err(because!(BAD, "interfaceProvider is null"));
        }
        if !target_known {
            return Err(because!(BAD, "target is neither null nor CPU nor HTP"));
        }
        // Code of others is never loaded into this process.
        Err(QNN_BACKEND_ERROR_OP_PACKAGE_REGISTRATION_FAILED)
    });
    answer(c"QnnBackend_registerOpPackage", result)
}

#[no_mangle]
pub(crate) extern "C" fn QnnBackend_registerOpPackageFromBinary(
    _backend: Qnn_BackendHandle_t,
    _opPackageBuffer: *const c_void,
    _opPackageBufferSize: u64,
    _interfaceProvider: *const c_char,
    _target: *const c_char,
) -> Qnn_ErrorHandle_t {
    let call = c"QnnBackend_registerOpPackageFromBinary";
    answer(call, Err(QNN_BACKEND_ERROR_NOT_SUPPORTED))
}

#[no_mangle]
pub(crate) extern "C" fn QnnBackend_getProperty(
    _backendHandle: Qnn_BackendHandle_t,
    _properties: *mut *mut QnnBackend_Property_t,
) -> Qnn_ErrorHandle_t {
    answer(c"QnnBackend_getProperty", Err(QNN_BACKEND_ERROR_NOT_SUPPORTED))
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnBackend_getSupportedOperations(
    backend: Qnn_BackendHandle_t,
    numOperations: *mut u32,
    operations: *mut *const QnnBackend_OperationName_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let outputs = unsafe { (client::out(numOperations), client::out(operations)) };
    let result = known(backend).and_then(|_| match outputs {
        (Some(count), Some(list)) => {
            *count = OPERATIONS.len() as u32;
            *list = NAMES.0.as_ptr();
            Ok(())
        }
        (None, _) => Err(null(BAD, "numOperations")()),
        (_, None) => Err(null(BAD, "operations")()),
    });
    answer(c"QnnBackend_getSupportedOperations", result)
}

#[no_mangle]
pub(crate) extern "C" fn QnnBackend_free(backend: Qnn_BackendHandle_t) -> Qnn_ErrorHandle_t {
    answer(c"QnnBackend_free", free(backend))
}

/// How often contexts that others make on a backend are released before it is said to be busy.
const RELEASES_MAX: u32 = 8;

/// A backend takes its contexts with it. If one cannot go now, because a restart does not end, the
/// backend stays and can be freed later.
fn free(backend: Qnn_BackendHandle_t) -> Result<(), Code> {
    let none = no_handle::<kind::Backend>(INVALID_HANDLE, "backend", backend);
    let (instance, id) = known(backend)?;
    for _ in 0..RELEASES_MAX {
        release_contexts(instance, id)?;
        let mut objects = instance.objects.lock();
        if !objects.owners().any(|owner| owner.backend == id) {
            return objects.backends.remove(id).map(|_| ()).map_err(|_| none());
        }
    }
    Err(QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE)
}

/// Each round takes the contexts it sees out of the list, or ends with an error.
fn release_contexts(instance: &Instance, id: BackendId) -> Result<(), Code> {
    loop {
        let mut own = Vec::<ContextId, 16>::new();
        for owner in instance.objects.lock().owners().filter(|owner| owner.backend == id) {
            if own.push(owner.context).is_err() {
                break;
            }
        }
        if own.is_empty() {
            return Ok(());
        }
        for &context in &own {
            match context::release(instance, context) {
                // One that another thread frees at the same time is gone as well.
                Err(QNN_CONTEXT_ERROR_INVALID_HANDLE) => {}
                other => other?,
            }
        }
    }
}
