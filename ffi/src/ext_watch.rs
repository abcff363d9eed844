//! Watching the runtime: phases of restarts, the trace.

#![allow(non_camel_case_types, reason = "names of the C interface")]

use core::ffi::c_void;

use embedded_io::{ErrorType, Write};
use runtime::profile::trace;
use runtime::ssr::State;

use crate::abi::*;
use crate::instance::{self, Subscriber};
use crate::refusal;

/// Phase of the connection to the DSP.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum htp_rt_ssr_state_t {
    /// Connected; requests run.
    HTP_RT_SSR_ONLINE = 0,
    /// A crash was seen; nothing new is sent.
    HTP_RT_SSR_BEFORE_SHUTDOWN = 1,
    /// The old epoch is closed: its handles are stale.
    HTP_RT_SSR_AFTER_SHUTDOWN = 2,
    /// A connection attempt is under way or waits for its back-off.
    HTP_RT_SSR_BEFORE_POWER_UP = 3,
    /// Connected again.
    HTP_RT_SSR_AFTER_POWER_UP = 4,
    /// The DSP did not come back. Only teardown works.
    HTP_RT_SSR_LOST = 5,
}

impl htp_rt_ssr_state_t {
    pub(crate) fn of(state: State) -> Self {
        match state {
            State::Online => Self::HTP_RT_SSR_ONLINE,
            State::BeforeShutdown => Self::HTP_RT_SSR_BEFORE_SHUTDOWN,
            State::AfterShutdown => Self::HTP_RT_SSR_AFTER_SHUTDOWN,
            State::BeforePowerUp => Self::HTP_RT_SSR_BEFORE_POWER_UP,
            State::AfterPowerUp => Self::HTP_RT_SSR_AFTER_POWER_UP,
            State::Lost => Self::HTP_RT_SSR_LOST,
        }
    }
}

/// A phase of a restart.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_ssr_event_t {
    /// When, in microseconds of `htp_rt_now_us`.
    pub at_us: u64,
    /// Phase that was left.
    pub from: htp_rt_ssr_state_t,
    /// Phase that was entered.
    pub to: htp_rt_ssr_state_t,
    /// Life of the DSP after the transition.
    pub epoch: u32,
    /// Connection attempts so far in this restart.
    pub attempts: u32,
}

/// Told of each phase of a restart, in order, before the requests it caught are notified; on the
/// completion thread, or within `htp_rt_poll`. Should be short; may call any function of the
/// library.
pub type htp_rt_ssr_fn_t =
    Option<unsafe extern "C" fn(param: *mut c_void, event: *const htp_rt_ssr_event_t)>;

/// A subscription. 0 is none.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct htp_rt_subscription_t {
    /// Not to be interpreted.
    pub id: u32,
}

/// Subscribes to the phases of restarts. At most 8 subscribers at once, then the answer is
/// `QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE`.
///
/// # Safety
/// `function` may be called with `param` until it is unsubscribed; `subscription` is writable.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_ssr_subscribe(
    function: htp_rt_ssr_fn_t,
    param: *mut c_void,
    subscription: *mut htp_rt_subscription_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let (Some(_), Some(subscription)) = (function, unsafe { subscription.as_mut() }) else {
        return refusal::plain(QNN_COMMON_ERROR_INVALID_ARGUMENT);
    };
    if let Err(error) = instance::get() {
        return refusal::plain(error);
    }
    let mut subscribers = instance::SUBSCRIBERS.lock();
    let id = subscribers.last_id.wrapping_add(1).max(1);
    let Some(slot) = subscribers.list.iter_mut().find(|slot| slot.is_none()) else {
        return refusal::plain(QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE);
    };
    *slot = Some(Subscriber { id, function, param: param.expose_provenance() });
    subscribers.last_id = id;
    *subscription = htp_rt_subscription_t { id };
    QNN_SUCCESS
}

/// Ends a subscription. A call that is under way on another thread may still be running when this
/// returns.
///
/// Errors: `QNN_COMMON_ERROR_INVALID_ARGUMENT` if there is no such subscription.
#[no_mangle]
pub extern "C" fn htp_rt_ssr_unsubscribe(subscription: htp_rt_subscription_t) -> Qnn_ErrorHandle_t {
    if instance::existing().is_none() {
        return refusal::plain(QNN_COMMON_ERROR_INVALID_ARGUMENT);
    }
    let mut subscribers = instance::SUBSCRIBERS.lock();
    let is_it = |slot: &&mut Option<Subscriber>| slot.is_some_and(|s| s.id == subscription.id);
    match subscribers.list.iter_mut().find(is_it) {
        Some(slot) => {
            *slot = None;
            QNN_SUCCESS
        }
        None => refusal::plain(QNN_COMMON_ERROR_INVALID_ARGUMENT),
    }
}

/// Takes the next bytes of a document; `false` stops the writing.
pub type htp_rt_write_fn_t =
    Option<unsafe extern "C" fn(param: *mut c_void, bytes: *const u8, count: usize) -> bool>;

/// Writes the trace (queues, device, restarts) as a JSON document that ui.perfetto.dev opens. The
/// runtime is locked meanwhile: for the end of a run, not the middle of one. Without an operating
/// system that lock is the critical section (`htp_rt_critical_enter`), and `write` is called inside
/// it: it must not wait for an interrupt, such as that of a serial line with a buffer; nor for a
/// task, where the section is a mutex of tasks. Work is linear in the number of trace records.
///
/// Errors: `QNN_COMMON_ERROR_INVALID_ARGUMENT` without a function; `QNN_COMMON_ERROR_SYSTEM` if it
/// stopped the writing.
///
/// # Safety
/// `write` may be called with `param`; it must not call the library.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_trace_write_json(
    write: htp_rt_write_fn_t,
    param: *mut c_void,
) -> Qnn_ErrorHandle_t {
    let Some(function) = write else { return refusal::plain(QNN_COMMON_ERROR_INVALID_ARGUMENT) };
    let instance = match instance::get() {
        Ok(instance) => instance,
        Err(error) => return refusal::plain(error),
    };
    let mut out = ClientWriter { function, param };
    let written =
        instance.driver.call(|machine, _| trace::write_json(machine.trace().records(), &mut out));
    match written {
        Ok(()) => QNN_SUCCESS,
        Err(_) => refusal::plain(QNN_COMMON_ERROR_SYSTEM),
    }
}

/// A client's write function as a writer.
struct ClientWriter {
    function: unsafe extern "C" fn(*mut c_void, *const u8, usize) -> bool,
    param: *mut c_void,
}

impl ErrorType for ClientWriter {
    type Error = embedded_io::ErrorKind;
}

impl Write for ClientWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        // SAFETY: the client promised a function that may be called with its parameter.
        let taken = unsafe { (self.function)(self.param, bytes.as_ptr(), bytes.len()) };
        if taken {
            Ok(bytes.len())
        } else {
            Err(embedded_io::ErrorKind::Other)
        }
    }

    /// The provided one panics when nothing is taken.
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.write(bytes).map(|_| ())
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}
