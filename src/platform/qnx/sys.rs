//! What is QNX's own.

#![allow(unsafe_code, reason = "calls the kernel")]

use core::ffi::c_int;

use static_assertions::const_assert_eq;

/// Nothing to do: the documented default of a mutex's attributes is to inherit.
///
/// # Safety
/// None; the signature is that of the systems that must be told.
pub(in crate::platform) unsafe fn inherit_priority(_: *mut libc::pthread_mutexattr_t) {}

/// A pulse to the client's channel.
#[derive(Debug, Clone, Copy)]
pub struct Pulse {
    pub(super) connection: c_int,
    pub(super) priority: c_int,
    pub(super) code: c_int,
    pub(super) value: c_int,
}

impl Pulse {
    pub(super) fn send(self) -> bool {
        let Pulse { connection, priority, code, value } = self;
        // SAFETY: numbers, which the kernel checks.
        unsafe { libc::MsgSendPulse_r(connection, priority, code, value) == 0 }
    }
}

/// The bytes of a `struct sigevent`.
#[derive(Debug, Clone, Copy)]
pub struct Event(pub(super) [u64; 4]);

const_assert_eq!(size_of::<libc::sigevent>(), size_of::<Event>());

impl Event {
    /// To this process itself, which is what no receive id means.
    pub(super) fn deliver(&self) -> bool {
        // SAFETY: as large and as aligned as an event; the kernel checks what it says.
        unsafe { libc::MsgDeliverEvent_r(0, self.0.as_ptr().cast()) == 0 }
    }
}
