//! Nobody takes notices but who polls, and is told on the spot.

use crate::platform::{WakeBy, WakeError};

/// There is none.
#[derive(Debug, Clone, Copy)]
pub enum Wake {}

impl Wake {
    /// Refuses.
    pub fn new(_: WakeBy) -> Result<Self, WakeError> {
        Err(WakeError::NotSupported)
    }

    /// Wakes nobody, as there is no way.
    pub fn wake(&self) -> bool {
        match *self {}
    }
}
