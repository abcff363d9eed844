//! `System/QnnSystemLog.h`. There is one library: its logs hear of everything, whichever interface
//! made them.

use crate::abi::*;
use crate::export::{answer, log};

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnSystemLog_create(
    callback: QnnLog_Callback_t,
    maxLogLevel: QnnLog_Level_t,
    logger: *mut Qnn_LogHandle_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnSystemLog_create", unsafe { log::create(callback, maxLogLevel, logger) })
}

#[no_mangle]
pub(crate) extern "C" fn QnnSystemLog_setLogLevel(
    logger: Qnn_LogHandle_t,
    maxLogLevel: QnnLog_Level_t,
) -> Qnn_ErrorHandle_t {
    answer(c"QnnSystemLog_setLogLevel", log::set_level(logger, maxLogLevel))
}

#[no_mangle]
pub(crate) extern "C" fn QnnSystemLog_free(logger: Qnn_LogHandle_t) -> Qnn_ErrorHandle_t {
    answer(c"QnnSystemLog_free", log::free(logger))
}
