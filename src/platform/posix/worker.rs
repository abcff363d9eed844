//! Threads.

use core::ffi::CStr;

use super::sys;
pub use super::sys::ThreadId;
use crate::platform::{SpawnError, ThreadMain};

/// Threads can be started.
pub const HAS_THREADS: bool = true;

/// Starts a thread that runs `M::main(argument)` for the life of the process. `name` has at most 15
/// bytes.
pub fn spawn<T: Sync, M: ThreadMain<T>>(
    argument: &'static T,
    name: &CStr,
) -> Result<ThreadId, SpawnError> {
    sys::spawn::<T, M>(argument, name)
}

/// Whether a thread of the runtime goes on: for the life of the process.
pub const fn goes_on() -> bool {
    true
}

/// The calling thread.
pub fn current_thread() -> ThreadId {
    sys::current_thread()
}

/// Has `call` called in every process that this one forks, before the fork returns there, in the
/// order of these calls. A fork takes along the locks as they are, and none of the threads that
/// would release them.
pub fn at_fork_in_child(call: extern "C" fn()) {
    sys::at_fork_in_child(call);
}

/// Ends the process. For what cannot happen.
pub fn abort() -> ! {
    sys::abort()
}
