//! A client that takes its notices itself, on a thread of its own.

use super::{Driver, NoticeSink};
use crate::device::Device;
use crate::limits::NOTICES_PER_POLL;
use crate::platform::os::{self, Wake};

/// The client takes its notices itself.
pub(super) struct Taker {
    wake: Wake,
    /// It was woken, and has not found everything taken since.
    told: bool,
}

impl<D: Device<'static> + Send, S: NoticeSink> Driver<D, S> {
    /// From here on the client takes its notices itself, with [`Driver::take_notices`]. It is woken
    /// once when there is something to take after there was nothing. Before the first request.
    pub fn wake_taker_by(&self, wake: Wake) {
        let runtime = self.runtime.lock();
        *self.taker.lock() = Some(Taker { wake, told: false });
        self.announce(&runtime);
    }

    /// Delivers the notices there are to the sink, at most [`NOTICES_PER_POLL`], on the calling
    /// thread, which counts as the one that delivers them from here on: it never waits for a
    /// notice. One thread at a time. Gives how many there were. If some are left, the client is
    /// woken again.
    pub fn take_notices(&self) -> usize {
        *self.completion_thread.lock() = Some(os::current_thread());
        let mut taken: usize = 0;
        while taken < NOTICES_PER_POLL && self.deliver_one() {
            taken = taken.saturating_add(1);
        }
        if taken == NOTICES_PER_POLL {
            let runtime = self.runtime.lock();
            self.tell_taker_again();
            self.announce(&runtime);
        }
        taken
    }

    /// Whether the client takes its notices itself.
    pub fn has_taker(&self) -> bool {
        self.taker.lock().is_some()
    }

    /// Wakes the client that takes its notices itself, unless it was told already. False if there
    /// is none, or it could not be woken. Under the runtime's lock, when there is a notice.
    pub(super) fn wake_taker(&self) -> bool {
        self.taker.lock().as_mut().is_some_and(|taker| {
            taker.told = taker.told || taker.wake.wake();
            taker.told
        })
    }

    /// What comes next is worth a wake-up of its own.
    pub(super) fn tell_taker_again(&self) {
        if let Some(taker) = self.taker.lock().as_mut() {
            taker.told = false;
        }
    }
}
