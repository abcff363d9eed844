//! Sleeping.

use super::lock::Guard;
use super::sys::RawCondvar;
use crate::platform::LockError;
use crate::time::Instant;

/// Callers can sleep here while others work.
pub const CAN_SLEEP: bool = true;

/// A condition variable on the monotonic clock.
pub struct Condvar {
    raw: RawCondvar,
}

impl Condvar {
    /// A condition variable. Call [`Condvar::init`] once it lies where it stays.
    pub const fn new() -> Self {
        Self { raw: RawCondvar::NEW }
    }

    /// Prepares it, before its first use. Any thread may, at any time: it is done once.
    pub fn init(&'static self) -> Result<(), LockError> {
        self.raw.init()
    }

    /// Gives the lock up until someone notifies, or `deadline` passes, or for no reason; then takes
    /// it back.
    pub fn wait_until<'a, T>(&self, guard: Guard<'a, T>, deadline: Instant) -> Guard<'a, T> {
        self.raw.wait_until(&guard, deadline);
        guard
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        self.raw.notify_one();
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        self.raw.notify_all();
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}
