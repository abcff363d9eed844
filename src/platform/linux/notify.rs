//! Waking a client that takes its notices itself.

use crate::platform::posix::notify::Descriptor;
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
