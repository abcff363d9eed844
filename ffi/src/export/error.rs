//! `QnnError.h`.

use core::ffi::c_char;

use crate::abi::*;
use crate::{client, messages, refusal};

/// The low bits of an error handle are its code.
const CODE_MASK: Qnn_ErrorHandle_t = 0xFFFF;

/// Asked with the code that this thread's last refused call gave, says which argument that was, and
/// why; asked with another, what the code means. The text begins with the code's name. It stays as
/// it is until this thread is refused again, or 64 other threads were; a general meaning stays for
/// ever. Asking is no call that is refused, and what succeeds changes nothing.
#[no_mangle]
pub(crate) unsafe extern "C" fn QnnError_getMessage(
    errorHandle: Qnn_ErrorHandle_t,
    errorMessage: *mut *const c_char,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let Some(message) = (unsafe { client::out(errorMessage) }) else {
        return QNN_ERROR_INVALID_ARGUMENT;
    };
    let code = errorHandle & CODE_MASK;
    match refusal::last(code).or_else(|| messages::text(code).map(client::address)) {
        Some(text) => {
            *message = text;
            QNN_SUCCESS
        }
        None => {
            // The exception to "written on success only": clients print it unasked.
            *message = core::ptr::null();
            QNN_ERROR_INVALID_ERROR_HANDLE
        }
    }
}

// These two are asked about a refusal, so they do not become one themselves.

#[no_mangle]
pub(crate) extern "C" fn QnnError_getVerboseMessage(
    _errorHandle: Qnn_ErrorHandle_t,
    _errorMessage: *mut *const c_char,
) -> Qnn_ErrorHandle_t {
    QNN_COMMON_ERROR_NOT_SUPPORTED
}

#[no_mangle]
pub(crate) extern "C" fn QnnError_freeVerboseMessage(
    _errorMessage: *const c_char,
) -> Qnn_ErrorHandle_t {
    QNN_COMMON_ERROR_NOT_SUPPORTED
}
