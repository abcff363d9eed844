//! `QnnLog.h`.

use crate::abi::*;
use crate::convert::{from_client, to_client, Code};
use crate::export::{answer, living};
use crate::objects::{Log, LogId, HOST};
use crate::{client, instance, log};

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnLog_create(
    callback: QnnLog_Callback_t,
    maxLogLevel: QnnLog_Level_t,
    logger: *mut Qnn_LogHandle_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnLog_create", unsafe { create(callback, maxLogLevel, logger) })
}

/// # Safety
/// As the QNN API says.
unsafe fn create(
    callback: QnnLog_Callback_t,
    level_max: QnnLog_Level_t,
    logger: *mut Qnn_LogHandle_t,
) -> Result<(), Code> {
    // SAFETY: the caller's promise.
    let logger = unsafe { client::out(logger) }.ok_or(QNN_LOG_ERROR_INVALID_HANDLE)?;
    if level_max > QNN_LOG_LEVEL_DEBUG {
        return Err(QNN_LOG_ERROR_INVALID_ARGUMENT);
    }
    let mut objects = instance::get()?.objects.lock();
    let id = objects
        .logs
        .insert(HOST, Log { callback, level_max })
        .map_err(|_| QNN_LOG_ERROR_MEM_ALLOC)?;
    log::logs_changed(&objects);
    *logger = to_client(id);
    Ok(())
}

#[no_mangle]
pub(crate) extern "C" fn QnnLog_setLogLevel(
    logger: Qnn_LogHandle_t,
    maxLogLevel: QnnLog_Level_t,
) -> Qnn_ErrorHandle_t {
    answer(c"QnnLog_setLogLevel", set_level(logger, maxLogLevel))
}

fn set_level(logger: Qnn_LogHandle_t, level_max: QnnLog_Level_t) -> Result<(), Code> {
    let id = log_id(logger)?;
    if level_max > QNN_LOG_LEVEL_DEBUG {
        return Err(QNN_LOG_ERROR_INVALID_ARGUMENT);
    }
    let mut objects = living(QNN_LOG_ERROR_INVALID_HANDLE)?.objects.lock();
    objects.logs.get_mut(id).map_err(|_| QNN_LOG_ERROR_INVALID_HANDLE)?.level_max = level_max;
    log::logs_changed(&objects);
    Ok(())
}

#[no_mangle]
pub(crate) extern "C" fn QnnLog_free(logger: Qnn_LogHandle_t) -> Qnn_ErrorHandle_t {
    answer(c"QnnLog_free", free(logger))
}

fn free(logger: Qnn_LogHandle_t) -> Result<(), Code> {
    let id = log_id(logger)?;
    let mut objects = living(QNN_LOG_ERROR_INVALID_HANDLE)?.objects.lock();
    objects.logs.remove(id).map_err(|_| QNN_LOG_ERROR_INVALID_HANDLE)?;
    log::logs_changed(&objects);
    Ok(())
}

fn log_id(logger: Qnn_LogHandle_t) -> Result<LogId, Code> {
    from_client(logger).ok_or(QNN_LOG_ERROR_INVALID_HANDLE)
}

/// Whether a log that may be given (or null) is one.
pub(crate) fn check_optional(logger: Qnn_LogHandle_t, invalid: Code) -> Result<(), Code> {
    if logger.is_null() {
        return Ok(());
    }
    let id = log_id(logger).map_err(|_| invalid)?;
    let objects = living(invalid)?.objects.lock();
    objects.logs.get(id).map(|_| ()).map_err(|_| invalid)
}
