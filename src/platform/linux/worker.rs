//! Threads.

pub use crate::platform::posix::worker::{
    abort, at_fork_in_child, current_thread, goes_on, spawn, ThreadId, HAS_THREADS,
};
