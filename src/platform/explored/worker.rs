//! Threads.

use core::cell::Cell;
use core::ffi::CStr;

pub use loom::thread::ThreadId;

pub use super::super::linux::worker::{abort, at_fork_in_child};
use crate::platform::{SpawnError, ThreadMain};

/// Threads can be started.
pub const HAS_THREADS: bool = true;

std::thread_local! {
    // All threads of the explorer's are one thread of the system's.
    static GOES_ON: Cell<bool> = const { Cell::new(true) };
}

/// Starts a thread of the explorer's.
pub fn spawn<T: Sync, M: ThreadMain<T>>(
    argument: &'static T,
    _: &CStr,
) -> Result<ThreadId, SpawnError> {
    Ok(loom::thread::spawn(move || M::main(argument)).thread().id())
}

/// Whether threads of the runtime go on: an exploration has an end.
pub fn goes_on() -> bool {
    GOES_ON.get()
}

/// Lets them go on, or end when they look next. Under the lock that they sleep under.
pub fn let_go_on(goes_on: bool) {
    GOES_ON.set(goes_on);
}

/// The calling thread.
pub fn current_thread() -> ThreadId {
    loom::thread::current().id()
}
