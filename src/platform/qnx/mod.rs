//! QNX Neutrino 7.1 and 8.0: POSIX, with mutexes that inherit priorities by themselves; a client
//! that takes its notices itself is woken by a pulse or a signal.

pub mod clock;
pub mod library;
pub mod lock;
pub mod memory;
pub mod notify;
pub mod output;
pub mod sys;
pub mod wait;
pub mod worker;

pub use clock::now;
pub use lock::{AtomicBool, AtomicU32, AtomicU64, Guard, Mutex, Role};
pub use memory::{map_memory, map_shared, unmap_shared, MEMORY_DEFAULT_BYTES, MEMORY_MIN_BYTES};
pub use notify::Wake;
pub use wait::{Condvar, CAN_SLEEP};
pub use worker::{abort, at_fork_in_child, current_thread, goes_on, spawn, ThreadId, HAS_THREADS};
