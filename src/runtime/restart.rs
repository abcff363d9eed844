//! Restart: close the epoch, reconnect within the budget, or give up; and the watch that notices a
//! silent device.

use super::outbox::Control;
use super::Runtime;
use crate::capability::Capabilities;
use crate::handle::Epoch;
use crate::limits::HANG_BUDGET_US;
use crate::profile::TraceKind;
use crate::queue::{List, Nodes, RequestRef, RequestState};
use crate::ssr::{Failed, State};
use crate::time::Instant;

/// Watches for progress while something runs on the device.
///
/// The first probe after progress that no probe had seen forgives, since it cannot tell when the
/// work was done; so a hang is noticed after one budget, or after one and a half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct HangWatch {
    /// When to look next; `None` while nothing runs.
    next: Option<Instant>,
    /// A probe is out.
    probing: bool,
    /// The device was told to shut down.
    stopping: bool,
    /// What the device said when it last showed a sign of life.
    steps: u64,
    /// When the device was last seen to have done something.
    progress: Instant,
}

impl HangWatch {
    pub const IDLE: HangWatch = HangWatch {
        next: None,
        probing: false,
        stopping: false,
        steps: 0,
        progress: Instant::ZERO,
    };
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
        self.progress = now;
        self.forgive(now, idle);
    }

    /// The device does not hang.
    fn forgive(&mut self, now: Instant, idle: bool) {
        self.probing = false;
        self.next = (!idle).then(|| now.after_us(Self::INTERVAL_US));
    }
}

/// Answers that the device owes. The watch goes on until it has given them.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Owed {
    executions: u32,
    objects: u32,
    /// Counted apart: a deregistered buffer is not there to tell whether its answer was due, so
    /// one that comes twice counts for another of them, but for nothing that a client waits
    /// for.
    gone_buffers: u32,
}

impl Owed {
    pub const NOTHING: Owed = Owed { executions: 0, objects: 0, gone_buffers: 0 };

    /// A command goes to the device; `gone`: it concerns a buffer that was deregistered.
    pub fn note(&mut self, control: &Control, gone: bool, hang: &mut HangWatch, now: Instant) {
        let count = match control {
            Control::BufferMap(_) | Control::BufferUnmap(_) if gone => &mut self.gone_buffers,
            Control::ContextCreate(_)
            | Control::ContextRelease(_)
            | Control::GraphPrepare(_)
            | Control::GraphRelease(_)
            | Control::BufferMap(_)
            | Control::BufferUnmap(_) => &mut self.objects,
            Control::Connect { .. }
            | Control::Abort(_)
            | Control::PowerVote
            | Control::MemorySet
            | Control::Probe
            | Control::Shutdown => return,
        };
        *count = count.saturating_add(1);
        hang.arm(now);
    }

    /// So does an execution.
    pub fn note_execution(&mut self, hang: &mut HangWatch, now: Instant) {
        self.executions = self.executions.saturating_add(1);
        hang.arm(now);
    }

    /// An execution has ended.
    pub fn paid_execution(&mut self, hang: &mut HangWatch, now: Instant) {
        self.executions = self.executions.saturating_sub(1);
        hang.progressed(now, self.is_nothing());
    }

    /// The device has answered for an object in the tables.
    pub fn paid(&mut self, hang: &mut HangWatch, now: Instant) {
        self.objects = self.objects.saturating_sub(1);
        hang.progressed(now, self.is_nothing());
    }

    /// A buffer goes whose answer is due.
    pub fn buffer_goes(&mut self) {
        self.objects = self.objects.saturating_sub(1);
        self.gone_buffers = self.gone_buffers.saturating_add(1);
    }

    /// The device has answered for a buffer that is gone; `false` if it owes no such answer.
    pub fn paid_for_gone_buffer(&mut self, hang: &mut HangWatch, now: Instant) -> bool {
        if self.gone_buffers == 0 {
            return false;
        }
        self.gone_buffers = self.gone_buffers.saturating_sub(1);
        hang.progressed(now, self.is_nothing());
        true
    }

    pub fn is_nothing(&self) -> bool {
        self.executions == 0 && self.objects == 0 && self.gone_buffers == 0
    }
}

impl Runtime<'_> {
    pub(super) fn on_crash(&mut self, now: Instant) {
        let (before, epoch) = (self.state(), self.epoch());
        if !self.ssr.close_epoch(now) {
            return;
        }
        self.record_state(now, State::BeforeShutdown);
        self.await_rebuild(now, before, epoch);
        // What an earlier restart caught comes first, then what was running, then what was queued,
        // each list in its order.
        let mut earlier = core::mem::replace(&mut self.interrupted, List::EMPTY);
        while let Some(place) = earlier.pop_front(&mut self.contexts) {
            self.interrupt(place);
        }
        while let Some(running) = self.in_flight.pop() {
            self.interrupt(running.request);
        }
        self.catch_queued();
        self.outbox.clear();
        self.hang = HangWatch { progress: self.hang.progress, ..HangWatch::IDLE };
        self.owed = Owed::NOTHING;
        self.record_state(now, self.state());
        if !self.capabilities.contains(Capabilities::SUBSYSTEM_RESTART) {
            self.ssr.give_up(now);
            self.lose_everything(now);
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
        // Without contexts under managed recovery the plan is empty, and ends at once.
        self.plan.due = true;
        self.drive_plan(now);
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

    /// When the device was last seen to have done something: it answered, or had done work when it
    /// was asked for a sign of life. Constant time.
    pub fn last_progress(&self) -> Instant {
        self.hang.progress
    }

    /// The device did a step of work of which it says nothing by itself. Constant time.
    pub fn note_work(&mut self, now: Instant) {
        self.hang.progress = self.hang.progress.max(now);
    }

    /// A sign of life forgives only if work was done since the last one, or none is to be done.
    pub(super) fn on_alive(&mut self, now: Instant, steps: u64, held: bool) {
        if self.hang.steps != steps {
            self.hang.steps = steps;
            self.hang.progressed(now, self.owed.is_nothing());
        } else if held {
            self.hang.forgive(now, self.owed.is_nothing());
        }
    }

    fn on_attempt_failed(&mut self, now: Instant) {
        match self.ssr.attempt_failed(now) {
            Failed::Retry => self.record_state(now, self.state()),
            Failed::Lost => self.lose_everything(now),
        }
    }

    /// The DSP did not come back: nothing that waits for it will have it.
    fn lose_everything(&mut self, now: Instant) {
        self.record_state(now, self.state());
        self.outbox.clear();
        self.abandon_plan();
        self.catch_queued();
        self.interrupted.append(&mut self.contexts, &mut self.held);
        self.resume_closing();
    }

    /// Requests that have not gone to the device: those of contexts that keep them stay where they
    /// are, the others are caught. Where the device does not come back, those stay that the
    /// fallback can execute. Linear in their number.
    fn catch_queued(&mut self) {
        let is_final = self.state() == State::Lost || !self.restarts_dsp();
        self.fallback.changed();
        for level in 0..self.run_lists.len() {
            let mut next = self.run_lists.get(level).and_then(List::front);
            while let Some(place) = next {
                next = List::after(&self.contexts, place);
                if is_final {
                    if self.may_fall_back(place) {
                        continue;
                    }
                } else if let Some(context) =
                    self.contexts.at_mut(place.context).filter(|context| context.keeps_queued())
                {
                    context.counts.requeued = context.counts.requeued.saturating_add(1);
                    continue;
                }
                self.leave_run_list(place);
                self.interrupt(place);
            }
        }
    }

    /// A request is caught; it is in no list.
    fn interrupt(&mut self, place: RequestRef) {
        let Some(request) = self.contexts.node_mut(place) else { return self.fault() };
        request.state = RequestState::Interrupted;
        let managed = self.contexts.at(place.context).is_some_and(|c| c.recovery.is_managed());
        let list = if managed { &mut self.held } else { &mut self.interrupted };
        list.push_back(&mut self.contexts, place);
    }

    pub(super) fn record_state(&mut self, now: Instant, state: State) {
        self.record(now, TraceKind::Restart, RequestRef::NONE.with_generation(0), state as u32);
    }
}
