//! Time is what the polls say.

use crate::time::Instant;

/// Time for threads, which nobody asks for.
pub fn now() -> Instant {
    Instant::ZERO
}
