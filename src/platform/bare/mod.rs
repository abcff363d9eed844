//! No operating system: the integrator polls (`htp_rt_poll`), brings the memory and the critical
//! section.
//!
//! Nothing starts a thread and nobody sleeps: a blocking call drives the device itself, and one
//! that comes while somebody else drives (an interrupt, another core) ends at once with a time-out.
//!
//! A lock is the integrator's critical section (the `critical-section` crate, for which the C
//! library asks `htp_rt_critical_enter` and `htp_rt_critical_exit`), held for bounded work. The
//! role of the driver is held while the device computes, so it is a flag that is tried, and spun
//! on only by who must have the device.

pub mod clock;
pub mod library;
pub mod lock;
pub mod memory;
pub mod notify;
pub mod output;
mod sys;
pub mod wait;
pub mod worker;

pub use clock::now;
pub use lock::{AtomicBool, AtomicU32, AtomicU64, Guard, Mutex, Role};
pub use memory::{map_memory, map_shared, unmap_shared, MEMORY_DEFAULT_BYTES, MEMORY_MIN_BYTES};
pub use notify::Wake;
pub use wait::{Condvar, CAN_SLEEP};
pub use worker::{abort, at_fork_in_child, current_thread, goes_on, spawn, ThreadId, HAS_THREADS};
