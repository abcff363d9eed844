//! Locks and shared numbers.

use core::sync::atomic::Ordering;
use std::sync::OnceLock;

use loom::sync::atomic;

use super::sys;
use crate::platform::mutex;

/// As the other platforms'.
pub type Mutex<T> = mutex::Mutex<sys::RawMutex, T>;
/// As the other platforms'.
pub type Role<T> = Mutex<T>;
/// A held [`Mutex`].
pub type Guard<'a, T> = mutex::Guard<'a, sys::RawMutex, T>;

/// A number of the explorer's, which begins when it is first used: its own cannot be constants.
macro_rules! shared {
    ($name:ident, $of:ty) => {
        /// As the language's.
        pub struct $name {
            first: $of,
            value: OnceLock<atomic::$name>,
        }

        impl $name {
            /// A number.
            pub const fn new(first: $of) -> Self {
                Self { first, value: OnceLock::new() }
            }

            fn value(&self) -> &atomic::$name {
                self.value.get_or_init(|| atomic::$name::new(self.first))
            }

            /// Reads it.
            pub fn load(&self, order: Ordering) -> $of {
                self.value().load(order)
            }

            /// Writes it.
            pub fn store(&self, value: $of, order: Ordering) {
                self.value().store(value, order);
            }
        }
    };
}

shared!(AtomicBool, bool);
shared!(AtomicU32, u32);
shared!(AtomicU64, u64);

impl AtomicU32 {
    /// Gives what it was.
    pub fn fetch_add(&self, more: u32, order: Ordering) -> u32 {
        self.value().fetch_add(more, order)
    }

    /// Gives what it was.
    pub fn fetch_sub(&self, less: u32, order: Ordering) -> u32 {
        self.value().fetch_sub(less, order)
    }

    /// Gives what it was.
    pub fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.value().swap(value, order)
    }
}

impl AtomicU64 {
    /// Gives what it was.
    pub fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
        self.value().fetch_max(value, order)
    }
}
