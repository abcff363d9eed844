//! Waking a client that takes its notices itself: by pulse, by any event of the kernel's, or by
//! descriptor.

use super::sys;
use crate::platform::posix::notify::Descriptor;
use crate::platform::{WakeBy, WakeError};

/// How the client is woken.
#[derive(Debug, Clone, Copy)]
pub enum Wake {
    /// A pulse.
    Pulse(sys::Pulse),
    /// An event.
    Event(sys::Event),
    /// A descriptor.
    Descriptor(Descriptor),
}

/// Codes that pulses of programs have; negative ones are the system's.
const CODES: core::ops::RangeInclusive<i32> = 0..=127;

impl Wake {
    /// Checks what the client asks for. Whether a connection leads anywhere shows when it is used.
    pub fn new(by: WakeBy) -> Result<Self, WakeError> {
        match by {
            WakeBy::Pulse { connection, priority, code, value } => {
                let fits = connection >= 0 && priority >= -1 && CODES.contains(&code);
                let pulse = sys::Pulse { connection, priority, code, value };
                fits.then_some(Wake::Pulse(pulse)).ok_or(WakeError::Invalid)
            }
            WakeBy::Event(bytes) => Ok(Wake::Event(sys::Event(bytes))),
            WakeBy::Descriptor(fd) => Descriptor::new(fd).map(Wake::Descriptor),
        }
    }

    /// Wakes; never waits. False if the system could not.
    pub fn wake(&self) -> bool {
        match self {
            Wake::Pulse(pulse) => pulse.send(),
            Wake::Event(event) => event.deliver(),
            Wake::Descriptor(descriptor) => descriptor.wake(),
        }
    }
}
