//! `QnnContext.h`, without binaries ([`super::context_binary`]).

use core::ffi::c_void;

use runtime::error::{CreateError, HandleError, Status};
use runtime::handle::ContextId;
use runtime::limits::{BLOCKING_TIMEOUT_US, NO_TIMEOUT_US};
use runtime::platform::drive::{Answer, WaitTimeout};
use runtime::profile::ProfileCall;
use runtime::time::Instant;

use crate::abi::*;
use crate::client;
use crate::convert::{context_id, from_client, handle_error, to_client, Code, Family};
use crate::export::context_config::{Call, Config};
use crate::export::{
    answer, backend, begun, known_context, living, mem, not_supported, profile, settled, signal,
    Machine,
};
use crate::instance::Instance;
use crate::objects::{kind, BackendId, DeviceId, Owner, SignalId};
use crate::refusal::{because, no_handle, null};

const INVALID_HANDLE: Code = QNN_CONTEXT_ERROR_INVALID_HANDLE;
const BAD: Code = QNN_CONTEXT_ERROR_INVALID_ARGUMENT;

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnContext_create(
    backend: Qnn_BackendHandle_t,
    device: Qnn_DeviceHandle_t,
    config: *mut *const QnnContext_Config_t,
    context: *mut Qnn_ContextHandle_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnContext_create", unsafe { create(backend, device, config, context) })
}

/// # Safety
/// As the QNN API says.
unsafe fn create(
    backend: Qnn_BackendHandle_t,
    device: Qnn_DeviceHandle_t,
    config: *mut *const QnnContext_Config_t,
    context: *mut Qnn_ContextHandle_t,
) -> Result<(), Code> {
    let parents = Parents::check(backend, device)?;
    // SAFETY: the caller's promise.
    let context = unsafe { client::out(context) }.ok_or_else(null(BAD, "context"))?;
    // SAFETY: the caller's promise.
    let config = unsafe { Config::read(config, Call::Create) }?.context;
    let instance = parents.instance;
    let id = begun(instance, |machine, _| machine.context_create(&config))
        .map_err(|error| Family::CONTEXT.create_error(error))?;
    parents.finish(id, false, None)?;
    *context = to_client(id);
    Ok(())
}

/// What a context is made under.
pub(crate) struct Parents {
    pub(crate) instance: &'static Instance,
    backend: BackendId,
    device: Option<DeviceId>,
}

impl Parents {
    /// A living backend, and a living device or none.
    pub(crate) fn check(
        backend: Qnn_BackendHandle_t,
        device: Qnn_DeviceHandle_t,
    ) -> Result<Self, Code> {
        let (instance, backend) = backend::living_backend(backend, INVALID_HANDLE)?;
        let device = match device.is_null() {
            true => None,
            false => {
                let none = no_handle::<kind::Device>(INVALID_HANDLE, "device", device);
                let id: DeviceId = from_client(device).ok_or_else(&none)?;
                instance.objects.lock().devices.get(id).map_err(|_| none())?;
                Some(id)
            }
        };
        Ok(Self { instance, backend, device })
    }

    /// Waits until the device has set up a new context; takes it back if that fails, or if its
    /// signal ends it first.
    pub(crate) fn finish(
        &self,
        context: ContextId,
        loaded: bool,
        signal: Option<(SignalId, Instant)>,
    ) -> Result<(), Code> {
        let instance = self.instance;
        let ready = match self.own(context, loaded) {
            Ok(()) => wait_until_ready(instance, context, signal),
            error => error,
        };
        if ready.is_err() && release(instance, context).is_err() {
            // It is gone already, or a restart caught it.
            instance.driver.call(|machine, _| machine.context_abandon(context));
            instance.objects.lock().disown(context);
        }
        ready
    }

    /// Notes whose the context is; its parents may have been freed meanwhile.
    fn own(&self, context: ContextId, loaded: bool) -> Result<(), Code> {
        let (backend, device) = (self.backend, self.device);
        let mut objects = self.instance.objects.lock();
        objects.backends.get(backend).map_err(|_| INVALID_HANDLE)?;
        if let Some(device) = device {
            objects.devices.get(device).map_err(|_| INVALID_HANDLE)?;
        }
        let owner = Owner { context, backend, device, loaded };
        objects.own(owner).map_err(|_| QNN_CONTEXT_ERROR_MEM_ALLOC)
    }
}

fn wait_until_ready(
    instance: &Instance,
    id: ContextId,
    signal: Option<(SignalId, Instant)>,
) -> Result<(), Code> {
    let now = instance.driver.now();
    let left_us = signal.map_or(NO_TIMEOUT_US, |(_, deadline)| deadline.since_us(now));
    let waited = instance.driver.call_blocking(left_us, |machine, now| {
        if let Some((signal, deadline)) = signal {
            if signal::call_aborted(instance, signal) {
                return Answer::Ready(Err(QNN_CONTEXT_ERROR_ABORTED));
            }
            // Ready too late is too late, whoever drove the device meanwhile.
            if now >= deadline {
                return Answer::Ready(Err(QNN_CONTEXT_ERROR_TIMED_OUT));
            }
        }
        match machine.context_status(id) {
            Ok(Status::Ready) => Answer::Ready(Ok(())),
            Ok(Status::Pending) => Answer::Pending,
            Err(CreateError::Handle(HandleError::Recovering)) => Answer::Pending,
            Err(error) => Answer::Ready(Err(Family::CONTEXT.create_error(error))),
        }
    });
    waited.unwrap_or(Err(QNN_CONTEXT_ERROR_TIMED_OUT))
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnContext_setConfig(
    context: Qnn_ContextHandle_t,
    config: *mut *const QnnContext_Config_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnContext_setConfig", unsafe { set_config(context, config) })
}

/// # Safety
/// As the QNN API says.
unsafe fn set_config(
    context: Qnn_ContextHandle_t,
    config: *mut *const QnnContext_Config_t,
) -> Result<(), Code> {
    let (instance, id) = known_context("context", context, Family::CONTEXT)?;
    if config.is_null() {
        return Err(because!(BAD, "config is null"));
    }
    // SAFETY: the caller's promise.
    let config = unsafe { Config::read(config, Call::Set) }?;
    if config.has_depth {
        let text = c"the queue depth is fixed for the life of a context: not changed";
        crate::log::emit(QNN_LOG_LEVEL_WARN, c"QnnContext_setConfig", text);
    }
    let context = config.context;
    settled(instance, |machine, _| {
        if config.has_priority {
            machine.context_set_priority(id, context.priority)?;
        }
        if config.has_prepare_only {
            machine.context_set_prepare_only(id, context.prepare_only)?;
        }
        Ok(())
    })
    .map_err(|error| match error {
        // Requests of its graphs are in flight (C-11).
        CreateError::Config => {
            let why = "executions of the context are under way: its priority stays until they end";
            because!(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED, why)
        }
        other => Family::CONTEXT.create_error(other),
    })
}

#[no_mangle]
pub(crate) extern "C" fn QnnContext_free(
    context: Qnn_ContextHandle_t,
    profile: Qnn_ProfileHandle_t,
) -> Qnn_ErrorHandle_t {
    answer(c"QnnContext_free", free(context, profile))
}

fn free(context: Qnn_ContextHandle_t, profile: Qnn_ProfileHandle_t) -> Result<(), Code> {
    let none = no_handle::<runtime::handle::kind::Context>(INVALID_HANDLE, "context", context);
    let instance = living(&none)?;
    let id = context_id(context).ok_or_else(&none)?;
    let started = instance.driver.now();
    let profile = profile::optional(instance, profile, ("profile", BAD))?;
    let device_us = release_timed(instance, id).map_err(|code| match code {
        INVALID_HANDLE => none(),
        other => other,
    })?;
    let total_us = instance.driver.now().since_us(started);
    profile::record(instance, profile, ProfileCall::Free { total_us, device_us });
    Ok(())
}

/// Frees a context, stale or not, and waits until it has let go of its memory and the last of its
/// notifications has returned, so that the client may free what they use. Within a notification it
/// does not wait: the context goes when the notifications of its requests were heard.
pub(crate) fn release(instance: &Instance, id: ContextId) -> Result<(), Code> {
    release_timed(instance, id).map(|_| ())
}

/// As [`release`]; gives the microseconds until the context was gone.
fn release_timed(instance: &Instance, id: ContextId) -> Result<u64, Code> {
    let started = instance.driver.now();
    let waits = !instance.driver.on_completion_thread();
    let mut free = |machine: &mut Machine, now: Instant| machine.context_free(now, id);
    let freed = if waits { begun(instance, &mut free) } else { settled(instance, &mut free) };
    if matches!(freed, Ok(()) | Err(HandleError::Invalid)) {
        // One that could not be made, or that another thread frees, has no owner either.
        instance.objects.lock().disown(id);
    }
    freed.map_err(|error| handle_error(error, INVALID_HANDLE))?;
    if waits {
        let gone = instance.driver.call_blocking(BLOCKING_TIMEOUT_US, |machine, _| {
            if machine.context_is_gone(id) && !instance.driver.is_telling(id) {
                Answer::Ready(())
            } else {
                Answer::Pending
            }
        });
        if gone == Err(WaitTimeout) {
            let text =
                c"the device has not let go of the context yet; its memory goes back when it does";
            crate::log::emit(QNN_LOG_LEVEL_WARN, c"QnnContext_free", text);
        }
    }
    let waited_us = instance.driver.now().since_us(started);
    mem::sweep(instance);
    Ok(waited_us)
}

not_supported! {
    QnnContext_createFromBinaryWithCallback(
        Qnn_BackendHandle_t, Qnn_DeviceHandle_t, *mut *const QnnContext_Config_t,
        *const Qnn_ContextBinaryCallback_t, *const c_void, Qnn_ContextBinarySize_t,
        *mut Qnn_ContextHandle_t, Qnn_ProfileHandle_t, Qnn_SignalHandle_t,
    );
    QnnContext_finalize(Qnn_ContextHandle_t, Qnn_ProfileHandle_t);
}
