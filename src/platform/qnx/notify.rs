//! Waking a client that takes its notices itself: by pulse, by an event of the kernel's that is a
//! pulse or a signal to the process, or by descriptor.

use core::ops::RangeInclusive;

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
const CODES: RangeInclusive<i32> = 0..=127;
/// Priorities of the kernel's, and that of the sender.
const PRIORITIES: RangeInclusive<i32> = -1..=255;

impl Wake {
    /// Checks what the client asks for. Whether a connection leads anywhere shows when it is used.
    pub fn new(by: WakeBy) -> Result<Self, WakeError> {
        match by {
            WakeBy::Pulse { connection, priority, code, value } => {
                let fits =
                    connection >= 0 && PRIORITIES.contains(&priority) && CODES.contains(&code);
                let pulse = sys::Pulse { connection, priority, code, value };
                fits.then_some(Wake::Pulse(pulse)).ok_or(WakeError::Invalid)
            }
            WakeBy::Event(bytes) => {
                let event = sys::Event(bytes);
                event.is_for_process().then_some(Wake::Event(event)).ok_or(WakeError::Invalid)
            }
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
