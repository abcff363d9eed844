//! Sleeping. Nobody is woken by time: who would need it sleeps for ever, and is found.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;

use super::lock::Guard;
use super::worker::goes_on;
use crate::platform::LockError;
use crate::time::Instant;

/// Callers can sleep here while others work.
pub const CAN_SLEEP: bool = true;

/// A condition of the explorer's.
pub struct Condvar {
    condition: OnceLock<loom::sync::Condvar>,
    mute: AtomicBool,
}

impl Condvar {
    /// A condition.
    pub const fn new() -> Self {
        Self { condition: OnceLock::new(), mute: AtomicBool::new(false) }
    }

    /// Nothing to prepare.
    pub fn init(&'static self) -> Result<(), LockError> {
        Ok(())
    }

    fn condition(&self) -> &loom::sync::Condvar {
        self.condition.get_or_init(loom::sync::Condvar::new)
    }

    /// Gives the lock up until someone notifies; at once if threads end.
    pub fn wait_until<'a, T>(&self, guard: Guard<'a, T>, _: Instant) -> Guard<'a, T> {
        if goes_on() {
            guard.raw().wait(self.condition());
        }
        guard
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        if !self.mute.load(Ordering::Relaxed) {
            self.condition().notify_one();
        }
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        if !self.mute.load(Ordering::Relaxed) {
            self.condition().notify_all();
        }
    }

    /// A mistake on purpose: from here on nobody is woken.
    pub fn forget(&self) {
        self.mute.store(true, Ordering::Relaxed);
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}
