//! What is Linux's own.

#![allow(unsafe_code, reason = "calls into the C library")]

pub(in crate::platform) use ::libc::{self, mremap, MREMAP_MAYMOVE};

/// Has mutexes inherit priorities, and says whether they will.
///
/// # Safety
/// The attributes are initialised.
pub(in crate::platform) unsafe fn inherit_priority(
    attributes: *mut libc::pthread_mutexattr_t,
) -> bool {
    // SAFETY: the caller's promise.
    unsafe { libc::pthread_mutexattr_setprotocol(attributes, libc::PTHREAD_PRIO_INHERIT) == 0 }
}
