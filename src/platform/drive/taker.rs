//! A client that takes its notices itself, on a thread of its own.

use super::{Driver, NoticeSink};
use crate::device::Device;
use crate::limits::NOTICES_PER_POLL;
use crate::platform::os::{self, Wake};
use crate::time::Instant;

/// How long a wake-up that failed rests before it is tried again: at first, and at most, as it
/// doubles with each failure. In microseconds.
pub(super) const RETRY_US: u64 = 1_000;
pub(super) const RETRY_MAX_US: u64 = 100_000;

/// The client takes its notices itself.
pub(super) struct Taker {
    wake: Wake,
    /// It was woken, and has not found everything taken since.
    told: bool,
    /// How long the next failure rests, and when the last one has.
    rest_us: u64,
    due: Instant,
    /// Wake-ups that the system refused, also those of a former way.
    failures: u64,
}

impl Taker {
    /// Wakes it, unless it was told or a failure rests. Whether it is told.
    fn wake(&mut self, now: Instant) -> bool {
        if self.told || now < self.due {
            return self.told;
        }
        self.told = self.wake.wake();
        if self.told {
            self.rest_us = RETRY_US;
        } else {
            self.failures = self.failures.saturating_add(1);
            self.due = now.after_us(self.rest_us);
            self.rest_us = self.rest_us.saturating_mul(2).min(RETRY_MAX_US);
        }
        self.told
    }
}

impl<D: Device<'static> + Send, S: NoticeSink> Driver<D, S> {
    /// From here on the client takes its notices itself, with [`Driver::take_notices`]. It is woken
    /// once when there is something to take after there was nothing. Before the first request.
    pub fn wake_taker_by(&self, wake: Wake) {
        let runtime = self.runtime.lock();
        let mut taker = self.taker.lock();
        let failures = taker.as_ref().map_or(0, |former| former.failures);
        let (rest_us, due) = (RETRY_US, Instant::ZERO);
        *taker = Some(Taker { wake, told: false, rest_us, due, failures });
        drop(taker);
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
    /// is none, or it could not be woken, now or a short time ago. Under the runtime's lock, when
    /// there is a notice.
    pub(super) fn wake_taker(&self) -> bool {
        self.taker.lock().as_mut().is_some_and(|taker| taker.wake(self.now()))
    }

    /// When a wake-up that failed is tried again.
    pub(super) fn wake_due(&self) -> Instant {
        self.taker.lock().as_ref().map_or(Instant::FAR, |taker| taker.due)
    }

    /// Wake-ups that the system refused so far.
    pub fn wake_failures(&self) -> u64 {
        self.taker.lock().as_ref().map_or(0, |taker| taker.failures)
    }

    /// What comes next is worth a wake-up of its own, and at once: the client is there.
    pub(super) fn tell_taker_again(&self) {
        if let Some(taker) = self.taker.lock().as_mut() {
            taker.told = false;
            taker.rest_us = RETRY_US;
            taker.due = Instant::ZERO;
        }
    }
}
