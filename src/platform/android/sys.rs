//! What is Android's own.

#![allow(unsafe_code, reason = "calls into the C library")]

use core::ffi::{c_int, c_void};

pub(in crate::platform) use ::libc;

/// As the C library defines it; the `libc` crate has it for other systems only.
const PTHREAD_PRIO_INHERIT: c_int = 1;
/// As the kernel defines it; the `libc` crate has neither this nor the call for Android.
pub(in crate::platform) const MREMAP_MAYMOVE: c_int = 1;

extern "C" {
    /// Since API level 28.
    fn pthread_mutexattr_setprotocol(
        attributes: *mut libc::pthread_mutexattr_t,
        protocol: c_int,
    ) -> c_int;
    pub(in crate::platform) fn mremap(
        address: *mut c_void,
        bytes: usize,
        new_bytes: usize,
        flags: c_int,
        ...
    ) -> *mut c_void;
}

/// Has mutexes inherit priorities, and says whether they will.
///
/// # Safety
/// The attributes are initialised.
pub(in crate::platform) unsafe fn inherit_priority(
    attributes: *mut libc::pthread_mutexattr_t,
) -> bool {
    // SAFETY: the caller's promise; declared as the C library defines it.
    unsafe { pthread_mutexattr_setprotocol(attributes, PTHREAD_PRIO_INHERIT) == 0 }
}
