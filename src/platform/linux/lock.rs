//! Locks.

pub use crate::platform::posix::lock::{AtomicU64, Guard, Mutex, Role};
