//! Nobody sleeps.

use super::lock::Guard;
use crate::platform::LockError;
use crate::time::Instant;

/// Nobody can sleep here until others have done something.
pub const CAN_SLEEP: bool = false;

/// What there is to wait for is polled.
pub struct Condvar;

impl Condvar {
    /// Nothing to wait on.
    pub const fn new() -> Self {
        Self
    }

    /// Nothing to prepare.
    pub fn init(&'static self) -> Result<(), LockError> {
        Ok(())
    }

    /// Ends at once, as waiting may for no reason.
    pub fn wait_until<'a, T>(&self, guard: Guard<'a, T>, _: Instant) -> Guard<'a, T> {
        guard
    }

    /// Nobody waits.
    pub fn notify_one(&self) {}

    /// Nobody waits.
    pub fn notify_all(&self) {}
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}
