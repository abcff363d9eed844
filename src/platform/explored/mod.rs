//! Linux under the explorer of thread orders: locks, conditions and shared numbers are loom's, time
//! stands still, and what else there is is Linux's.

pub mod lock;
pub mod notify;
pub(super) mod sys;
pub mod wait;
pub mod worker;

pub use super::linux::{clock, library, memory, output};
pub use lock::{AtomicBool, AtomicU32, AtomicU64, Guard, Mutex, Role};
pub use memory::{map_memory, map_shared, unmap_shared, MEMORY_DEFAULT_BYTES, MEMORY_MIN_BYTES};
pub use notify::Wake;
pub use wait::{Condvar, CAN_SLEEP};
pub use worker::{abort, at_fork_in_child, current_thread, goes_on, spawn, ThreadId, HAS_THREADS};

use crate::time::Instant;

/// Nothing that is due later comes.
pub fn now() -> Instant {
    Instant::from_us(1_000)
}
