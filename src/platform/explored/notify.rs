//! Waking a client that takes its notices itself: a number that it waits for.

use std::boxed::Box;

use loom::sync::{Condvar, Mutex};

use crate::platform::{WakeBy, WakeError};

/// What an event descriptor is: a number that wakes who waits for it, and is 0 again when read.
pub struct Event {
    count: Mutex<u64>,
    written: Condvar,
}

/// How the client is woken.
#[derive(Clone, Copy)]
pub struct Wake {
    event: &'static Event,
    /// A mistake on purpose: it says that it has woken, and has not.
    is_deaf: bool,
}

impl Wake {
    /// There are no descriptors here.
    pub fn new(_: WakeBy) -> Result<Self, WakeError> {
        Err(WakeError::NotSupported)
    }

    /// By a number of its own.
    pub fn by_event(is_deaf: bool) -> Self {
        let event = Event { count: Mutex::new(0), written: Condvar::new() };
        Self { event: Box::leak(Box::new(event)), is_deaf }
    }

    /// Wakes.
    pub fn wake(&self) -> bool {
        if let Ok(mut count) = self.event.count.lock() {
            if !self.is_deaf {
                *count += 1;
                self.event.written.notify_all();
            }
        }
        true
    }

    /// Waits until it was written, and reads it.
    pub fn wait(&self) {
        let Ok(mut count) = self.event.count.lock() else { return };
        while *count == 0 {
            match self.event.written.wait(count) {
                Ok(held) => count = held,
                Err(_) => return,
            }
        }
        *count = 0;
    }
}
