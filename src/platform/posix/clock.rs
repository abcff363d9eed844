//! Time.

use super::sys;
use crate::time::Instant;

/// Reads the monotonic clock.
pub fn now() -> Instant {
    Instant::from_us(sys::monotonic_us())
}
