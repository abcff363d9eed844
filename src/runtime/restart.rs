//! Restart: close the epoch, reconnect within the budget, or give up; and the watch that notices a
//! silent device.

use super::outbox::Control;
use super::Runtime;
use crate::capability::Capabilities;
use crate::handle::Epoch;
use crate::limits::HANG_BUDGET_US;
use crate::profile::TraceKind;
use crate::queue::{Nodes, RequestRef, RequestState};
use crate::ssr::{Failed, State};
use crate::time::Instant;

/// Watches for progress while something runs on the device.
///
/// The first probe after progress that no probe had seen forgives, since it cannot tell when the
/// work was done; so a hang is noticed after one budget, or after one and a half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HangWatch {
    /// When to look next; `None` while nothing runs.
    next: Option<Instant>,
    /// A probe is out.
    probing: bool,
    /// The device was told to shut down.
    stopping: bool,
    /// What the device said when it last showed a sign of life.
    steps: u64,
}

impl HangWatch {
    pub const IDLE: HangWatch = HangWatch { next: None, probing: false, stopping: false, steps: 0 };
    /// Half the budget passes before the probe, half is left for its answer.
    const INTERVAL_US: u64 = HANG_BUDGET_US / 2;

    pub fn timer(&self) -> Option<Instant> {
        self.next
    }

    /// Something went to the device.
    pub fn arm(&mut self, now: Instant) {
        self.next = Some(self.next.unwrap_or(now.after_us(Self::INTERVAL_US)));
    }

    /// Something came back.
    pub fn progressed(&mut self, now: Instant, idle: bool) {
        self.probing = false;
        self.next = (!idle).then(|| now.after_us(Self::INTERVAL_US));
    }
}

impl Runtime<'_> {
    pub(super) fn on_crash(&mut self, now: Instant) {
        if !self.ssr.close_epoch(now) {
            return;
        }
        self.record_state(now, State::BeforeShutdown);
        // What was running comes before what was queued, each list in its order.
        while let Some(running) = self.in_flight.pop() {
            self.interrupted.push_back(&mut self.contexts, running.request);
        }
        for list in &mut self.run_lists {
            self.interrupted.append(&mut self.contexts, list);
        }
        self.mark_interrupted();
        self.queued = 0;
        self.outbox.clear();
        self.hang = HangWatch::IDLE;
        self.record_state(now, self.state());
        if !self.capabilities.contains(Capabilities::SUBSYSTEM_RESTART) {
            self.ssr.give_up(now);
            self.record_state(now, self.state());
            self.resume_closing();
        } else {
            self.drive_restart(now);
        }
    }

    /// Starts the attempt that is due, or fails the one that takes too long.
    pub(super) fn drive_restart(&mut self, now: Instant) {
        if self.ssr.attempt_timed_out(now) {
            self.on_attempt_failed(now);
        }
        if let Some(attempt) = self.ssr.begin_attempt(now) {
            self.record_state(now, self.state());
            self.outbox.clear();
            self.send(Control::Connect { attempt });
        }
    }

    pub(super) fn on_connected(&mut self, now: Instant, epoch: Epoch) {
        if epoch != self.epoch() || self.state() != State::BeforePowerUp {
            return self.late();
        }
        self.ssr.connected(now);
        self.record_state(now, self.state());
        // No context is rebuilt automatically under the native policy.
        self.ssr.rebuilt(now);
        self.record_state(now, self.state());
        self.resume_closing();
    }

    pub(super) fn on_connect_failed(&mut self, now: Instant, epoch: Epoch) {
        if epoch != self.epoch() || self.state() != State::BeforePowerUp {
            return self.late();
        }
        self.on_attempt_failed(now);
    }

    pub(super) fn watch_for_hang(&mut self, now: Instant) {
        if self.hang.next.is_none_or(|at| at > now) {
            return;
        }
        self.hang.next = Some(now.after_us(HangWatch::INTERVAL_US));
        if self.hang.stopping {
            // It does not even let go.
            self.on_crash(now);
        } else if self.hang.probing {
            self.counters.hangs = self.counters.hangs.saturating_add(1);
            self.on_hang(now);
        } else {
            self.hang.probing = true;
            self.send(Control::Probe);
        }
    }

    /// A connection begins with nothing loaded. Where none follows, the device must let go of what
    /// it was given before that goes back to its owners.
    fn on_hang(&mut self, now: Instant) {
        if self.capabilities.contains(Capabilities::SUBSYSTEM_RESTART) {
            self.on_crash(now);
        } else {
            self.hang.stopping = true;
            self.send(Control::Shutdown);
        }
    }

    /// A sign of life forgives only if work was done since the last one.
    pub(super) fn on_alive(&mut self, now: Instant, steps: u64) {
        if self.hang.steps != steps {
            self.hang.steps = steps;
            self.hang.progressed(now, self.in_flight.is_empty());
        }
    }

    fn on_attempt_failed(&mut self, now: Instant) {
        let next = self.ssr.attempt_failed(now);
        self.record_state(now, self.state());
        if next == Failed::Lost {
            self.outbox.clear();
            self.resume_closing();
        }
    }

    /// Linear in the number of caught requests.
    fn mark_interrupted(&mut self) {
        let mut next = self.interrupted.front();
        while let Some(place) = next {
            if let Some(request) = self.contexts.node_mut(place) {
                request.state = RequestState::Interrupted;
            }
            next = crate::queue::List::after(&self.contexts, place);
        }
    }

    fn record_state(&mut self, now: Instant, state: State) {
        self.record(now, TraceKind::Restart, RequestRef::NONE.with_generation(0), state as u32);
    }
}
