//! `System/QnnSystemContext.h`: descriptions of context binaries.
//!
//! A description belongs to its system context: it stays until that is freed, however many follow.
//! Binaries of every architecture are described, not only those that the device can run. Restarts
//! of the DSP do not matter here.

use core::ffi::c_void;

use runtime::binary::ContextBinary;

use crate::abi::*;
use crate::binary_info::Descriptions;
use crate::client;
use crate::convert::{from_client, to_client, Code};
use crate::export::context_binary::{bytes, refused};
use crate::export::{answer, living};
use crate::instance::{self, Instance};
use crate::objects::{kind, SystemContextId, HOST};
use crate::refusal::{instead, no_handle, null};

const INVALID_HANDLE: Code = QNN_SYSTEM_CONTEXT_ERROR_INVALID_HANDLE;
const BAD: Code = QNN_SYSTEM_CONTEXT_ERROR_INVALID_ARGUMENT;

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnSystemContext_create(
    sysCtxHandle: *mut QnnSystemContext_Handle_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnSystemContext_create", unsafe { create(sysCtxHandle) })
}

/// # Safety
/// As the QNN API says.
unsafe fn create(handle: *mut QnnSystemContext_Handle_t) -> Result<(), Code> {
    // SAFETY: the caller's promise.
    let handle = unsafe { client::out(handle) }.ok_or_else(null(BAD, "sysCtxHandle"))?;
    let mut objects = instance::get()?.objects.lock();
    let inserted = objects.system_contexts.insert(HOST, Descriptions::NONE);
    *handle = to_client(inserted.map_err(|_| QNN_COMMON_ERROR_MEM_ALLOC)?);
    Ok(())
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnSystemContext_getBinaryInfo(
    sysCtxHandle: QnnSystemContext_Handle_t,
    binaryBuffer: *mut c_void,
    binaryBufferSize: u64,
    binaryInfo: *mut *const QnnSystemContext_BinaryInfo_t,
    binaryInfoSize: *mut Qnn_ContextBinarySize_t,
) -> Qnn_ErrorHandle_t {
    let result = known(sysCtxHandle).and_then(|system| {
        // SAFETY: the caller's promise.
        let outputs = unsafe { (client::out(binaryInfo), client::out(binaryInfoSize)) };
        let info = outputs.0.ok_or_else(null(BAD, "binaryInfo"))?;
        let size = outputs.1.ok_or_else(null(BAD, "binaryInfoSize"))?;
        // SAFETY: the caller's promise.
        let described = unsafe { describe(system, binaryBuffer, binaryBufferSize) }?;
        (*info, *size) = described;
        Ok(())
    });
    answer(c"QnnSystemContext_getBinaryInfo", result)
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnSystemContext_getMetadata(
    sysCtxHandle: QnnSystemContext_Handle_t,
    binaryBuffer: *const c_void,
    binaryBufferSize: Qnn_ContextBinarySize_t,
    binaryInfo: *mut *const QnnSystemContext_BinaryInfo_t,
) -> Qnn_ErrorHandle_t {
    let result = known(sysCtxHandle).and_then(|system| {
        // SAFETY: the caller's promise.
        let info = unsafe { client::out(binaryInfo) }.ok_or_else(null(BAD, "binaryInfo"))?;
        // SAFETY: the caller's promise.
        (*info, _) = unsafe { describe(system, binaryBuffer, binaryBufferSize) }?;
        Ok(())
    });
    answer(c"QnnSystemContext_getMetadata", result)
}

type System = (&'static Instance, SystemContextId);

/// The system context that a handle names, if it lives.
fn known(handle: QnnSystemContext_Handle_t) -> Result<System, Code> {
    let none = no_handle::<kind::SystemContext>(INVALID_HANDLE, "sysCtxHandle", handle);
    let instance = living(&none)?;
    let id = from_client(handle).ok_or_else(&none)?;
    instance.objects.lock().system_contexts.get(id).map_err(|_| none())?;
    Ok((instance, id))
}

/// Describes a binary: address and size in bytes of the description.
///
/// # Safety
/// The binary is null or points to that many readable bytes.
unsafe fn describe(
    (instance, id): System,
    binary: *const c_void,
    size: u64,
) -> Result<(*const QnnSystemContext_BinaryInfo_t, Qnn_ContextBinarySize_t), Code> {
    // SAFETY: the caller's promise; nothing of it is kept.
    let bytes = unsafe { bytes((binary, size)) }.map_err(|code| instead(code, BAD))?;
    let binary = ContextBinary::parse(bytes)
        .map_err(|error| instead(refused(error), QNN_SYSTEM_CONTEXT_ERROR_MALFORMED_BINARY))?;
    instance.driver.call(|machine, _| {
        let region = machine.region_mut();
        let mut objects = instance.objects.lock();
        // Another thread may have freed it.
        let context = objects.system_contexts.get_mut(id).map_err(|_| INVALID_HANDLE)?;
        let (info, bytes) = context.add(region, &binary).map_err(|_| QNN_COMMON_ERROR_MEM_ALLOC)?;
        Ok((info, bytes as Qnn_ContextBinarySize_t))
    })
}

#[no_mangle]
pub(crate) extern "C" fn QnnSystemContext_free(
    sysCtxHandle: QnnSystemContext_Handle_t,
) -> Qnn_ErrorHandle_t {
    answer(c"QnnSystemContext_free", free(sysCtxHandle))
}

fn free(handle: QnnSystemContext_Handle_t) -> Result<(), Code> {
    let (instance, id) = known(handle)?;
    instance.driver.call(|machine, _| {
        let removed = instance.objects.lock().system_contexts.remove(id);
        let context = removed.map_err(|_| INVALID_HANDLE)?;
        context.release(machine.region_mut());
        Ok(())
    })
}
