//! Parts of `QnnContext.h` that are not offered: sections of binaries, properties, DLC containers.
//!
//! There are no updatable tensors, so a binary has no sections to take out or to apply, and no
//! external buffers whose sizes could be asked for. What can be checked is checked first, so that a
//! wrong call hears what is wrong with it.

use core::ffi::c_void;

use crate::abi::*;
use crate::convert::{Code, Family};
use crate::export::{answer, known_context, not_supported};
use crate::refusal::because;

const INVALID_HANDLE: Code = QNN_CONTEXT_ERROR_INVALID_HANDLE;
const BAD: Code = QNN_CONTEXT_ERROR_INVALID_ARGUMENT;

/// The answer to a call on a context that is right so far and not offered.
fn not_offered(
    (argument, context): (&'static str, Qnn_ContextHandle_t),
    complaint: impl FnOnce() -> Option<Code>,
) -> Result<(), Code> {
    known_context(argument, context, Family::CONTEXT)?;
    Err(complaint().unwrap_or(QNN_COMMON_ERROR_NOT_SUPPORTED))
}

/// What is wrong with a section and the place that goes with it.
fn section_complaint<T>(
    section: QnnContext_SectionType_t,
    (argument, place): (&'static str, *const T),
) -> Option<Code> {
    let known = QNN_CONTEXT_SECTION_UPDATABLE..=QNN_CONTEXT_SECTION_UPDATABLE_QUANT_PARAMS;
    if !known.contains(&section) {
        return Some(because!(BAD, "section is ", section, ", not a known one"));
    }
    place.is_null().then(|| because!(BAD, argument, " is null"))
}

#[no_mangle]
pub(crate) extern "C" fn QnnContext_getBinarySectionSize(
    context: Qnn_ContextHandle_t,
    _: Qnn_GraphHandle_t,
    section: QnnContext_SectionType_t,
    binaryBufferSize: *mut Qnn_ContextBinarySize_t,
) -> Qnn_ErrorHandle_t {
    let complaint =
        || section_complaint(section, ("binaryBufferSize", binaryBufferSize.cast_const()));
    answer(c"QnnContext_getBinarySectionSize", not_offered(("context", context), complaint))
}

#[no_mangle]
pub(crate) extern "C" fn QnnContext_getBinarySection(
    context: Qnn_ContextHandle_t,
    _: Qnn_GraphHandle_t,
    section: QnnContext_SectionType_t,
    binaryBuffer: *const QnnContext_Buffer_t,
    _: *mut Qnn_ContextBinarySize_t,
    _: Qnn_ProfileHandle_t,
    _: Qnn_SignalHandle_t,
) -> Qnn_ErrorHandle_t {
    let complaint = || section_complaint(section, ("binaryBuffer", binaryBuffer));
    answer(c"QnnContext_getBinarySection", not_offered(("context", context), complaint))
}

#[no_mangle]
pub(crate) extern "C" fn QnnContext_applyBinarySection(
    context: Qnn_ContextHandle_t,
    _: Qnn_GraphHandle_t,
    section: QnnContext_SectionType_t,
    binaryBuffer: *const QnnContext_Buffer_t,
    _: Qnn_ProfileHandle_t,
    _: Qnn_SignalHandle_t,
) -> Qnn_ErrorHandle_t {
    let complaint = || section_complaint(section, ("binaryBuffer", binaryBuffer));
    answer(c"QnnContext_applyBinarySection", not_offered(("context", context), complaint))
}

#[no_mangle]
pub(crate) extern "C" fn QnnContext_getProperty(
    contextHandle: Qnn_ContextHandle_t,
    properties: *mut *mut QnnContext_Property_t,
) -> Qnn_ErrorHandle_t {
    let complaint = || properties.is_null().then(|| because!(BAD, "properties is null"));
    let context = ("contextHandle", contextHandle);
    answer(c"QnnContext_getProperty", not_offered(context, complaint))
}

#[no_mangle]
pub(crate) extern "C" fn QnnContext_addToDlc(
    context: Qnn_ContextHandle_t,
    dlcHandle: QnnSystemDlc_Handle_t,
) -> Qnn_ErrorHandle_t {
    let complaint = || dlcHandle.is_null().then(|| because!(INVALID_HANDLE, "dlcHandle is null"));
    answer(c"QnnContext_addToDlc", not_offered(("context", context), complaint))
}

not_supported! {
    QnnContext_getBinarySectionUpdate(
        *const QnnContext_Buffer_t, *const QnnContext_Buffer_t, *mut *const Qnn_Tensor_t, u64, u8,
        Qnn_LogHandle_t, Qnn_ProfileHandle_t, Qnn_SignalHandle_t, *mut QnnContext_Buffer_t,
    );
    QnnContext_freeBinarySectionUpdate(QnnContext_Buffer_t, Qnn_LogHandle_t);
    QnnContext_getIncrementalBinary(
        Qnn_ContextHandle_t, *mut *const c_void, *mut Qnn_ContextBinarySize_t,
        *mut Qnn_ContextBinarySize_t,
    );
    QnnContext_releaseIncrementalBinary(
        Qnn_ContextHandle_t, *const c_void, Qnn_ContextBinarySize_t,
    );
}
