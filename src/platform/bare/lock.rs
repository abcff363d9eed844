//! Critical sections.

use core::cell::Cell;
use core::sync::atomic::Ordering;
pub use core::sync::atomic::{AtomicBool, AtomicU32};

use super::sys;
use crate::platform::mutex;

/// A mutex whose lock is the integrator's critical section. Locks are given back in the reverse
/// order.
pub type Mutex<T> = mutex::Mutex<sys::CriticalSection, T>;
/// A held [`Mutex`].
pub type Guard<'a, T> = mutex::Guard<'a, sys::CriticalSection, T>;
/// The lock of the driver's role: interrupts stay on while the device computes.
pub type Role<T> = mutex::Mutex<sys::Spin, T>;

/// A number that processors without 64-bit atomics share.
pub struct AtomicU64(critical_section::Mutex<Cell<u64>>);

impl AtomicU64 {
    /// A number.
    pub const fn new(value: u64) -> Self {
        Self(critical_section::Mutex::new(Cell::new(value)))
    }

    /// Reads it. Whatever the order asked for, critical sections are in one.
    pub fn load(&self, _: Ordering) -> u64 {
        critical_section::with(|section| self.0.borrow(section).get())
    }

    /// Writes it.
    pub fn store(&self, value: u64, _: Ordering) {
        critical_section::with(|section| self.0.borrow(section).set(value));
    }

    /// Raises it to `value` if it is lower. Gives what it was.
    pub fn fetch_max(&self, value: u64, _: Ordering) -> u64 {
        critical_section::with(|section| {
            let place = self.0.borrow(section);
            let former = place.get();
            place.set(former.max(value));
            former
        })
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn one_at_a_time_counts() {
        static COUNT: Mutex<u32> = Mutex::new(0);
        static MOST: AtomicU64 = AtomicU64::new(0);
        COUNT.init().unwrap();
        let count = || {
            for _ in 0..1000 {
                let mut held = COUNT.lock();
                let former = *held;
                *held = former + 1;
                MOST.fetch_max(u64::from(*held), Ordering::AcqRel);
            }
        };
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(count)).collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!((*COUNT.lock(), MOST.load(Ordering::Acquire)), (4000, 4000));
    }

    #[test]
    fn a_held_lock_is_not_given_twice_not_even_to_its_holder() {
        static LOCK: Mutex<u32> = Mutex::new(7);
        static ROLE: Role<u32> = Role::new(8);
        let (lock, role) = (LOCK.lock(), ROLE.lock());
        assert!(LOCK.try_lock().is_none() && ROLE.try_lock().is_none());
        assert_eq!((*lock, *role), (7, 8));
        drop(lock);
        drop(role);
        assert_eq!(LOCK.try_lock().map(|value| *value), Some(7));
        assert_eq!(ROLE.try_lock().map(|value| *value), Some(8));
    }

    #[test]
    fn locks_nest_and_the_inner_one_leaves_the_outer_held() {
        static OUTER: Mutex<u32> = Mutex::new(1);
        static INNER: Mutex<u32> = Mutex::new(2);
        let outer = OUTER.lock();
        drop(INNER.lock());
        let other = thread::spawn(|| *OUTER.lock());
        assert!(OUTER.try_lock().is_none());
        assert!(!other.is_finished());
        drop(outer);
        assert_eq!(other.join().unwrap(), 1);
    }
}
