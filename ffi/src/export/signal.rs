//! `QnnSignal.h`: a signal ends the one call that it is attached to, on demand or after a time.

use core::mem::discriminant;

use runtime::error::CancelError;
use runtime::handle::RequestId;
use runtime::time::Instant;

use crate::abi::*;
use crate::client::{self, Configs};
use crate::convert::{from_client, to_client, Code};
use crate::export::{answer, backend, living, Machine};
use crate::instance::{self, Instance};
use crate::objects::{kind, Attached, Purpose, Signal, SignalId, HOST};
use crate::refusal::{because, no_handle, no_list, null};

const INVALID_HANDLE: Code = QNN_SIGNAL_ERROR_INVALID_HANDLE;
const BAD: Code = QNN_SIGNAL_ERROR_INVALID_ARGUMENT;

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnSignal_create(
    backend: Qnn_BackendHandle_t,
    config: *mut *const QnnSignal_Config_t,
    signal: *mut Qnn_SignalHandle_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnSignal_create", unsafe { create(backend, config, signal) })
}

/// # Safety
/// As the QNN API says.
unsafe fn create(
    backend: Qnn_BackendHandle_t,
    config: *mut *const QnnSignal_Config_t,
    signal: *mut Qnn_SignalHandle_t,
) -> Result<(), Code> {
    instance::get()?;
    let (instance, _) = backend::living_backend(backend, INVALID_HANDLE)?;
    // SAFETY: the caller's promise.
    let signal = unsafe { client::out(signal) }.ok_or_else(null(BAD, "signal"))?;
    // SAFETY: the caller's promise.
    let purpose = unsafe { read_config(config) }?.unwrap_or(Purpose::Unset);
    let new = Signal { purpose, attached: Attached::Nothing };
    let inserted = instance.objects.lock().signals.insert(HOST, new);
    *signal = to_client(inserted.map_err(|_| QNN_SIGNAL_ERROR_MEM_ALLOC)?);
    Ok(())
}

/// # Safety
/// As the QNN API says of configuration lists.
unsafe fn read_config(config: *mut *const QnnSignal_Config_t) -> Result<Option<Purpose>, Code> {
    // SAFETY: the caller's promise.
    let configs = unsafe { Configs::read(config) }.map_err(no_list(BAD, "config"))?;
    let mut purpose: Option<Purpose> = None;
    let mut last = 0;
    for (at, config) in configs.iter().enumerate() {
        let next = match config.option {
            QNN_SIGNAL_CONFIG_OPTION_ABORT => Purpose::Abort,
            QNN_SIGNAL_CONFIG_OPTION_TIMEOUT => {
                // SAFETY: the option selects this member, a number.
                Purpose::Timeout(unsafe { config.u.timeoutDurationUs })
            }
            option => {
                let code = match option {
                    QNN_SIGNAL_CONFIG_OPTION_CUSTOM => QNN_SIGNAL_ERROR_UNSUPPORTED,
                    _ => BAD,
                };
                let why = ", ABORT and TIMEOUT are offered";
                return Err(because!(code, "config[", at, "]->option is ", option, why));
            }
        };
        last = at;
        // One signal has one purpose; of several times the last counts (C-119).
        if purpose.replace(next).is_some_and(|other| discriminant(&other) != discriminant(&next)) {
            let why = "] gives a second purpose, a signal has one";
            let code = QNN_SIGNAL_ERROR_INCOMPATIBLE_SIGNAL_TYPE;
            return Err(because!(code, "config[", at, why));
        }
    }
    if purpose == Some(Purpose::Timeout(0)) {
        return Err(because!(BAD, "config[", last, "]->timeoutDurationUs is 0"));
    }
    Ok(purpose)
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnSignal_setConfig(
    signal: Qnn_SignalHandle_t,
    config: *mut *const QnnSignal_Config_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnSignal_setConfig", unsafe { set_config(signal, config) })
}

/// # Safety
/// As the QNN API says.
unsafe fn set_config(
    signal: Qnn_SignalHandle_t,
    config: *mut *const QnnSignal_Config_t,
) -> Result<(), Code> {
    let none = no_handle::<kind::Signal>(INVALID_HANDLE, "signal", signal);
    let id = from_client(signal).ok_or_else(&none)?;
    let instance = living(&none)?;
    // SAFETY: the caller's promise.
    let purpose = unsafe { read_config(config) };
    instance.driver.call(|machine, _| {
        let signal = idle(instance, machine, id)?;
        let purpose = purpose?.ok_or_else(|| because!(BAD, "config is null or empty"))?;
        store(instance, id, Signal { purpose, ..signal });
        Ok(())
    })
}

/// A signal that no call uses.
fn idle(instance: &Instance, machine: &Machine, id: SignalId) -> Result<Signal, Code> {
    let none = no_handle::<kind::Signal>(INVALID_HANDLE, "signal", to_client(id));
    let signal = *instance.objects.lock().signals.get(id).map_err(|_| none())?;
    let busy = match signal.attached {
        Attached::Nothing => false,
        Attached::Request(request) => machine.is_live(request),
        Attached::Call { .. } => true,
    };
    if busy {
        Err(QNN_SIGNAL_ERROR_SIGNAL_IN_USE)
    } else {
        Ok(signal)
    }
}

fn store(instance: &Instance, id: SignalId, signal: Signal) {
    if let Ok(place) = instance.objects.lock().signals.get_mut(id) {
        *place = signal;
    }
}

#[no_mangle]
pub(crate) extern "C" fn QnnSignal_trigger(signal: Qnn_SignalHandle_t) -> Qnn_ErrorHandle_t {
    answer(c"QnnSignal_trigger", trigger(signal))
}

fn trigger(signal: Qnn_SignalHandle_t) -> Result<(), Code> {
    let none = no_handle::<kind::Signal>(INVALID_HANDLE, "signal", signal);
    let id = from_client(signal).ok_or_else(&none)?;
    let instance = living(&none)?;
    instance.driver.call(|machine, now| {
        let signal = *instance.objects.lock().signals.get(id).map_err(|_| none())?;
        if signal.purpose != Purpose::Abort {
            let why = "signal was not configured to abort";
            return Err(because!(QNN_SIGNAL_ERROR_INCOMPATIBLE_SIGNAL_TYPE, why));
        }
        match signal.attached {
            Attached::Nothing => Err(QNN_SIGNAL_ERROR_SIGNAL_IDLE),
            Attached::Request(request) => match machine.cancel(now, request) {
                Ok(()) | Err(CancelError::Ending) => Ok(()),
                Err(CancelError::Invalid) => Err(QNN_SIGNAL_ERROR_SIGNAL_IDLE),
            },
            Attached::Call { .. } => {
                let attached = Attached::Call { aborted: true };
                store(instance, id, Signal { attached, ..signal });
                Ok(())
            }
        }
    })
}

#[no_mangle]
pub(crate) extern "C" fn QnnSignal_free(signal: Qnn_SignalHandle_t) -> Qnn_ErrorHandle_t {
    answer(c"QnnSignal_free", free(signal))
}

fn free(signal: Qnn_SignalHandle_t) -> Result<(), Code> {
    let none = no_handle::<kind::Signal>(INVALID_HANDLE, "signal", signal);
    let id = from_client(signal).ok_or_else(&none)?;
    let instance = living(&none)?;
    instance.driver.call(|machine, _| {
        idle(instance, machine, id)?;
        let removed = instance.objects.lock().signals.remove(id);
        removed.map(|_| ()).map_err(|_| none())
    })
}

/// The deadline that a signal gives a call that begins now. Refused while another call uses the
/// signal (C-09).
pub(crate) fn deadline(
    instance: &Instance,
    machine: &Machine,
    id: SignalId,
    now: Instant,
) -> Result<Instant, Code> {
    let signal = idle(instance, machine, id).map_err(|code| match code {
        QNN_SIGNAL_ERROR_SIGNAL_IN_USE => QNN_GRAPH_ERROR_SIGNAL_IN_USE,
        other => other,
    })?;
    Ok(match signal.purpose {
        Purpose::Timeout(us) => now.after_us(us),
        Purpose::Unset | Purpose::Abort => Instant::FAR,
    })
}

/// Attaches a signal to an accepted request; it is free again when the request was heard.
pub(crate) fn attach(instance: &Instance, id: SignalId, request: RequestId) {
    if let Ok(signal) = instance.objects.lock().signals.get_mut(id) {
        signal.attached = Attached::Request(request);
    }
}

/// Attaches a signal to a call that has no request, or detaches it.
pub(crate) fn attach_call(instance: &Instance, id: SignalId, begins: bool) {
    if let Ok(signal) = instance.objects.lock().signals.get_mut(id) {
        signal.attached = match begins {
            true => Attached::Call { aborted: false },
            false => Attached::Nothing,
        };
    }
}

/// Whether the signal of a call that has no request was triggered.
pub(crate) fn call_aborted(instance: &Instance, id: SignalId) -> bool {
    let objects = instance.objects.lock();
    let signal = objects.signals.get(id);
    signal.is_ok_and(|signal| signal.attached == Attached::Call { aborted: true })
}
