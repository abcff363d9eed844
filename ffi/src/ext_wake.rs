//! Taking notices on a thread of the client's own, woken by the operating system.

#![allow(non_camel_case_types, reason = "names of the C interface")]

use core::ffi::c_void;

use runtime::platform::os::Wake;
use runtime::platform::{WakeBy, WakeError};

use crate::abi::*;
use crate::instance;

/// How a client is woken.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum htp_rt_wake_kind_t {
    /// The number 1, as 8 bytes, is written to `descriptor`: an `eventfd`, or a pipe or socket
    /// whose other end stays open. It must be non-blocking.
    HTP_RT_WAKE_DESCRIPTOR = 1,
    /// QNX: a pulse.
    HTP_RT_WAKE_PULSE = 2,
    /// QNX: any event of the kernel's.
    HTP_RT_WAKE_EVENT = 3,
}

/// How a client that takes its notices itself is woken. Zero the struct, set `struct_size` and
/// `kind`, then what the kind needs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_wake_t {
    /// `sizeof(htp_rt_wake_t)`.
    pub struct_size: u32,
    /// One of `htp_rt_wake_kind_t`.
    pub kind: i32,
    /// The descriptor.
    pub descriptor: i32,
    /// Pulse: connection to the client's channel, from `ConnectAttach`.
    pub connection: i32,
    /// Pulse: its priority; -1 for that of the thread that sends it.
    pub priority: i32,
    /// Pulse: its code, 0 to 127.
    pub code: i32,
    /// Pulse: the value that comes with it.
    pub value: i32,
    /// Event: a `struct sigevent`, which is copied.
    pub event: *const c_void,
}

/// From here on notices (completions and phases of restarts) are not told on the library's own
/// thread: the client is woken, and takes them with `htp_rt_take_notices`. It is woken once when
/// there is something to take after there was nothing; should the system fail to, it is tried
/// again until it can. Call it after `htp_rt_init` and before the first request. Called again, it
/// replaces the former way.
///
/// Errors: `QNN_COMMON_ERROR_INVALID_ARGUMENT` if the struct is not understood, a number is out of
/// range or the descriptor may block; `QNN_COMMON_ERROR_NOT_SUPPORTED` if the platform has no such
/// thing; `QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED` without threads, where `htp_rt_poll` tells.
///
/// # Safety
/// `wake` is NULL or points to a struct whose event, if that is the kind, can be read.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_set_wake(wake: *const htp_rt_wake_t) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let Some(given) = (unsafe { wake.as_ref() }) else { return QNN_COMMON_ERROR_INVALID_ARGUMENT };
    if given.struct_size as usize != size_of::<htp_rt_wake_t>() {
        return QNN_COMMON_ERROR_INVALID_ARGUMENT;
    }
    // SAFETY: the caller's promise.
    let Some(by) = (unsafe { wake_by(given) }) else { return QNN_COMMON_ERROR_INVALID_ARGUMENT };
    let instance = match instance::get() {
        Ok(instance) => instance,
        Err(error) => return error,
    };
    if !instance.threaded {
        return QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED;
    }
    match Wake::new(by) {
        Ok(wake) => {
            instance.driver.wake_taker_by(wake);
            QNN_SUCCESS
        }
        Err(WakeError::Invalid) => QNN_COMMON_ERROR_INVALID_ARGUMENT,
        Err(WakeError::NotSupported) => QNN_COMMON_ERROR_NOT_SUPPORTED,
    }
}

/// # Safety
/// The event, if that is the kind, can be read.
unsafe fn wake_by(given: &htp_rt_wake_t) -> Option<WakeBy> {
    use htp_rt_wake_kind_t as Kind;
    let &htp_rt_wake_t { kind, descriptor, connection, priority, code, value, event, .. } = given;
    if kind == Kind::HTP_RT_WAKE_DESCRIPTOR as i32 {
        Some(WakeBy::Descriptor(descriptor))
    } else if kind == Kind::HTP_RT_WAKE_PULSE as i32 {
        Some(WakeBy::Pulse { connection, priority, code, value })
    } else if kind == Kind::HTP_RT_WAKE_EVENT as i32 {
        if event.is_null() {
            return None;
        }
        if !cfg!(target_os = "nto") {
            return Some(WakeBy::Event([0; 4])); // refused; no other system's struct is read
        }
        // SAFETY: not null, and on QNX an event has 32 bytes.
        Some(WakeBy::Event(unsafe { event.cast::<[u64; 4]>().read_unaligned() }))
    } else {
        None
    }
}

/// Tells the notices there are, at most 512, on the calling thread; one thread at a time. If some
/// are left, the client is woken again. That thread counts as the one on which notices are told
/// from here on, so its calls never wait for a notice: what would have to answers as it does within
/// a notification. `count`, if not NULL, receives how many there were.
///
/// Errors: `QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED` before `htp_rt_set_wake`.
///
/// # Safety
/// `count` is NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_take_notices(count: *mut u32) -> Qnn_ErrorHandle_t {
    let Some(instance) = instance::existing().filter(|instance| instance.driver.has_taker()) else {
        return QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED;
    };
    let taken = instance.driver.take_notices();
    // SAFETY: the caller's promise.
    if let Some(count) = unsafe { count.as_mut() } {
        *count = u32::try_from(taken).unwrap_or(u32::MAX);
    }
    QNN_SUCCESS
}
