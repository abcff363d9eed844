//! Locks.

pub use crate::platform::posix::lock::{AtomicBool, AtomicU32, AtomicU64, Guard, Mutex, Role};
