//! Waking by descriptor, which is all that Linux and Android have.

use super::sys;
use crate::platform::{WakeBy, WakeError};

/// How the client is woken.
#[derive(Debug, Clone, Copy)]
pub struct Wake(Descriptor);

impl Wake {
    /// Checks what the client asks for.
    pub fn new(by: WakeBy) -> Result<Self, WakeError> {
        match by {
            WakeBy::Descriptor(fd) => Descriptor::new(fd).map(Self),
            WakeBy::Pulse { .. } | WakeBy::Event(_) => Err(WakeError::NotSupported),
        }
    }

    /// Wakes; never waits. False if the system could not.
    pub fn wake(&self) -> bool {
        self.0.wake()
    }
}

/// A descriptor that never blocks.
#[derive(Debug, Clone, Copy)]
pub struct Descriptor(i32);

impl Descriptor {
    /// Refuses what may block.
    pub fn new(fd: i32) -> Result<Self, WakeError> {
        sys::never_blocks(fd).then_some(Self(fd)).ok_or(WakeError::Invalid)
    }

    /// Writes the number 1. False if the system did not take it.
    pub fn wake(self) -> bool {
        let one = 1u64.to_ne_bytes();
        sys::write(self.0, &one) == Some(one.len())
    }
}
