//! Locks.

use super::sys;
use crate::platform::mutex;

/// A mutex that lends the holder the priority of the most important waiter.
pub type Mutex<T> = mutex::Mutex<sys::RawMutex, T>;
/// The lock of the driver's role, which is held while the device computes: a mutex like any other.
pub type Role<T> = Mutex<T>;
/// A held [`Mutex`].
pub type Guard<'a, T> = mutex::Guard<'a, sys::RawMutex, T>;
pub use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
