//! Linux and Android: priority-inheriting mutexes, condition variables on the monotonic clock,
//! threads made at init.

mod sys;

pub use sys::{
    at_fork_in_child, map_memory, Condvar, Guard, Mutex, SpawnError, ThreadId, ThreadMain,
};

use crate::time::Instant;

/// Reads the monotonic clock.
pub fn now() -> Instant {
    Instant::from_us(sys::monotonic_us())
}

/// Starts a thread that runs `M::main(argument)` for the life of the process. `name` has at most 15
/// bytes.
pub fn spawn<T: Sync, M: ThreadMain<T>>(
    argument: &'static T,
    name: &core::ffi::CStr,
) -> Result<ThreadId, SpawnError> {
    sys::spawn::<T, M>(argument, name)
}

/// The calling thread.
pub fn current_thread() -> ThreadId {
    sys::current_thread()
}
