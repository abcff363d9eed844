//! `QnnLog.h`. Null is no handle; any other that names no living log is a wrong argument.

use crate::abi::*;
use crate::convert::{from_client, to_client, Code};
use crate::export::{answer, living};
use crate::objects::{kind, Log, LogId, HOST};
use crate::refusal::{because, no_handle, null};
use crate::{client, instance, log};

const BAD: Code = QNN_LOG_ERROR_INVALID_ARGUMENT;

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
pub(crate) unsafe fn create(
    callback: QnnLog_Callback_t,
    level_max: QnnLog_Level_t,
    logger: *mut Qnn_LogHandle_t,
) -> Result<(), Code> {
    let nowhere = null(QNN_LOG_ERROR_INVALID_HANDLE, "logger");
    // SAFETY: the caller's promise.
    let logger = unsafe { client::out(logger) }.ok_or_else(nowhere)?;
    check_level(level_max)?;
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

pub(crate) fn set_level(logger: Qnn_LogHandle_t, level_max: QnnLog_Level_t) -> Result<(), Code> {
    let none = no_handle::<kind::Log>(BAD, "logger", logger);
    let id = log_id(logger)?;
    check_level(level_max)?;
    let mut objects = living(&none)?.objects.lock();
    objects.logs.get_mut(id).map_err(|_| none())?.level_max = level_max;
    log::logs_changed(&objects);
    Ok(())
}

#[no_mangle]
pub(crate) extern "C" fn QnnLog_free(logger: Qnn_LogHandle_t) -> Qnn_ErrorHandle_t {
    answer(c"QnnLog_free", free(logger))
}

/// Nobody is in its callback any more when this returns, but for the caller, who may be. If that
/// does not come about in time the log is gone all the same: nobody enters its callback again.
pub(crate) fn free(logger: Qnn_LogHandle_t) -> Result<(), Code> {
    let none = no_handle::<kind::Log>(BAD, "logger", logger);
    let id = log_id(logger)?;
    let instance = living(&none)?;
    {
        let mut objects = instance.objects.lock();
        objects.logs.remove(id).map_err(|_| none())?;
        log::logs_changed(&objects);
    }
    match log::wait_until_left(instance, id) {
        true => Ok(()),
        false => {
            let why = "logger is gone, but another thread is in its callback still";
            Err(because!(QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE, why))
        }
    }
}

fn check_level(level: QnnLog_Level_t) -> Result<(), Code> {
    match level {
        ..=QNN_LOG_LEVEL_DEBUG => Ok(()),
        _ => Err(because!(BAD, "maxLogLevel is ", level, ", there are 0 to 5")),
    }
}

fn log_id(logger: Qnn_LogHandle_t) -> Result<LogId, Code> {
    let code = if logger.is_null() { QNN_LOG_ERROR_INVALID_HANDLE } else { BAD };
    from_client(logger).ok_or_else(no_handle::<kind::Log>(code, "logger", logger))
}

/// Whether a log that may be given (or null) is one.
pub(crate) fn check_optional(logger: Qnn_LogHandle_t, invalid: Code) -> Result<(), Code> {
    if logger.is_null() {
        return Ok(());
    }
    let none = no_handle::<kind::Log>(invalid, "logger", logger);
    let id = from_client(logger).ok_or_else(&none)?;
    let objects = living(&none)?.objects.lock();
    objects.logs.get(id).map(|_| ()).map_err(|_| none())
}
