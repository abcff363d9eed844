//! No threads.

use core::ffi::CStr;

use crate::platform::{SpawnError, ThreadMain};

/// No threads can be started.
pub const HAS_THREADS: bool = false;

/// Identity of a thread, of which there is none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ThreadId {
    /// Whoever calls.
    Caller,
}

/// Starts nothing.
pub fn spawn<T: Sync, M: ThreadMain<T>>(_: &'static T, _: &CStr) -> Result<ThreadId, SpawnError> {
    Err(SpawnError)
}

/// There is no thread that could end.
pub const fn goes_on() -> bool {
    true
}

/// Whoever calls.
pub fn current_thread() -> ThreadId {
    ThreadId::Caller
}

/// Nothing forks.
pub fn at_fork_in_child(_: extern "C" fn()) {}

/// Stays where it is. For what cannot happen.
pub fn abort() -> ! {
    loop {
        core::hint::spin_loop();
    }
}
