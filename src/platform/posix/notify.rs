//! Waking by descriptor.

use super::sys;
use crate::platform::WakeError;

/// A descriptor that is written to and never blocks.
#[derive(Debug, Clone, Copy)]
pub struct Descriptor(i32);

impl Descriptor {
    /// Refuses what may block or cannot be written to.
    pub fn new(fd: i32) -> Result<Self, WakeError> {
        sys::never_blocks(fd).then_some(Self(fd)).ok_or(WakeError::Invalid)
    }

    /// Writes the number 1. False if the system did not take it.
    pub fn wake(self) -> bool {
        let one = 1u64.to_ne_bytes();
        sys::write(self.0, &one) == Some(one.len())
    }
}
