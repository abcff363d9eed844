//! Threads.

pub use crate::platform::posix::worker::{
    abort, at_fork_in_child, current_thread, spawn, ThreadId, HAS_THREADS,
};
