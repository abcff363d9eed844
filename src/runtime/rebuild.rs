//! Managed recovery: the plan that rebuilds contexts on a new connection.
//!
//! One context at a time, each as context, graphs, buffers; then votes and memory configuration.
//! So a crash meets the rebuild of one context, and it is that one's attempt that is spent
//! (docs/adr/005-managed-recovery.md).

use super::objects::{BufferState, Context, ContextState, GraphState};
use super::outbox::Control;
use super::Runtime;
use crate::capability::Capabilities;
use crate::error::{HandleError, RecoveryError};
use crate::event::Outcome;
use crate::handle::{ContextId, Epoch};
use crate::profile::TraceKind;
use crate::queue::{Nodes, RequestRef, RequestState};
use crate::ssr::{Recovery, State};
use crate::time::Instant;

/// Where a context stands in its rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Nothing is to be rebuilt.
    Settled,
    /// A restart took it from the device; its turn comes on the new connection.
    Waiting,
    /// The device sets up the context itself.
    Context,
    /// It prepares its graphs.
    Graphs,
    /// It maps its buffers.
    Buffers,
    /// It failed: what there is of graphs and buffers leaves the device.
    UndoObjects,
    /// The context itself leaves it.
    UndoContext,
}

/// The rebuild of one context.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Rebuild {
    pub phase: Phase,
    /// Rebuilds that began since it was usable last.
    attempts: u32,
    /// When it is lost; `FAR` while it is usable.
    deadline: Instant,
    /// The device refused something that it had accepted before.
    pub refused: bool,
}

impl Rebuild {
    pub const NONE: Rebuild =
        Rebuild { phase: Phase::Settled, attempts: 0, deadline: Instant::FAR, refused: false };

    /// Whether a rebuild has begun and was not taken back.
    fn is_building(&self) -> bool {
        matches!(self.phase, Phase::Context | Phase::Graphs | Phase::Buffers)
    }

    /// Whether the plan will come to the context's graphs.
    pub fn takes_graphs(&self) -> bool {
        !matches!(self.phase, Phase::Settled | Phase::Graphs | Phase::Buffers)
    }

    /// Whether the plan will come to its buffers.
    pub fn takes_buffers(&self) -> bool {
        !matches!(self.phase, Phase::Settled | Phase::Buffers)
    }
}

/// How a rebuild ended, as the trace has it.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Usable = 0,
    Refused = 1,
    Crashed = 2,
    OutOfTime = 3,
    Freed = 4,
}

/// The rebuilding of all contexts.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Plan {
    /// Slot of the context whose turn it is.
    current: Option<u16>,
    /// Something happened that may let the plan go on.
    pub due: bool,
    /// The earliest deadline of a context that is not usable yet.
    timer: Option<Instant>,
    /// The last life of the DSP in which clients could vote.
    voted: Epoch,
}

impl Plan {
    pub const NOTHING: Plan = Plan { current: None, due: false, timer: None, voted: Epoch::FIRST };

    pub fn timer(&self) -> Option<Instant> {
        self.timer
    }

    pub fn voted(&self) -> Epoch {
        self.voted
    }
}

impl Runtime<'_> {
    /// Changes what a restart does to a context. Holds for the next crash. Constant time.
    ///
    /// `Recovering` while a restart or a rebuild is under way: call again after it.
    pub fn context_set_recovery(
        &mut self,
        id: ContextId,
        recovery: Recovery,
    ) -> Result<(), RecoveryError> {
        self.context(id)?;
        self.check_recovery(recovery)?;
        if self.state() != State::Online {
            return Err(HandleError::Recovering.into());
        }
        let fallback = self.contexts.get(id).is_ok_and(|context| context.fallback.is_some());
        if fallback && self.restarts_dsp() && !recovery.keeps_queued() {
            return Err(RecoveryError::Fallback);
        }
        if let Ok(context) = self.contexts.get_mut(id) {
            context.recovery = recovery;
        }
        Ok(())
    }

    /// What a restart does to a context.
    pub fn context_recovery(&self, id: ContextId) -> Result<Recovery, HandleError> {
        Ok(self.context(id)?.recovery)
    }

    pub(super) fn check_recovery(&self, recovery: Recovery) -> Result<(), RecoveryError> {
        recovery.check()?;
        if recovery.is_managed() && !self.capabilities.contains(Capabilities::SUBSYSTEM_RESTART) {
            return Err(RecoveryError::NotSupported);
        }
        Ok(())
    }

    /// A crash ended life `epoch`, in phase `before`: what the runtime rebuilds waits from here on.
    /// Linear in the number of contexts.
    pub(super) fn await_rebuild(&mut self, now: Instant, before: State, epoch: Epoch) {
        if before == State::Online {
            self.plan.voted = epoch;
        }
        self.plan.current = None;
        self.plan.due = false;
        for index in self.context_slots() {
            let Some(context) = self.contexts.at_mut(index) else { continue };
            let Recovery::Managed { time_budget_us, .. } = context.recovery else { continue };
            let was_building = context.rebuild.is_building();
            context.answers_due = 0;
            context.maps_due = 0;
            context.create_due = false;
            context.release_due = false;
            context.on_device = false;
            if context.is_alive() {
                context.rebuild.phase = Phase::Waiting;
                if context.rebuild.deadline == Instant::FAR {
                    context.rebuild.deadline = now.after_us(time_budget_us);
                }
            } else {
                context.rebuild = Rebuild::NONE;
            }
            if was_building {
                self.record_rebuild(now, index, TraceKind::RebuildEnded, Ended::Crashed as u32);
            }
        }
        self.set_plan_timer();
    }

    /// The DSP is lost: nothing will be rebuilt. Linear in the number of contexts.
    pub(super) fn abandon_plan(&mut self) {
        self.plan = Plan::NOTHING;
        for index in self.context_slots() {
            if let Some(context) = self.contexts.at_mut(index) {
                context.rebuild = Rebuild::NONE;
            }
        }
    }

    /// Goes on with the plan as far as it goes without another answer of the device. A step is
    /// linear in the number of contexts, graphs and buffers.
    pub(super) fn drive_plan(&mut self, now: Instant) {
        while core::mem::take(&mut self.plan.due) {
            match self.plan.current {
                Some(index) => self.advance_rebuild(now, index),
                None if self.state() == State::AfterPowerUp => self.rebuild_next(now),
                None => {}
            }
        }
    }

    /// Contexts whose time is over are lost. Linear in the number of contexts, if one is.
    pub(super) fn expire_rebuilds(&mut self, now: Instant) {
        if self.plan.timer.is_none_or(|at| at > now) {
            return;
        }
        for index in self.context_slots() {
            let context = self.contexts.at(index);
            if context.is_some_and(|c| c.is_alive() && c.rebuild.deadline <= now) {
                self.lose_context(now, index);
            }
        }
        self.set_plan_timer();
    }

    /// The waiting context that was tried least, so that one which fails again and again does not
    /// use up the time of those behind it; the first of them.
    fn next_to_rebuild(&self) -> Option<u16> {
        let attempts = |index: u16| {
            let waits = |context: &&Context<'_>| context.rebuild.phase == Phase::Waiting;
            let context = self.contexts.at(index).filter(waits)?;
            Some((context.rebuild.attempts, index))
        };
        self.context_slots().filter_map(attempts).min().map(|(_, index)| index)
    }

    fn rebuild_next(&mut self, now: Instant) {
        while let Some(index) = self.next_to_rebuild() {
            self.begin_rebuild(now, index);
            if self.plan.current.is_some() {
                return;
            }
        }
        self.restore_votes();
        self.ssr.rebuilt(now);
        self.record_state(now, self.state());
        // Whoever hears of the restart from here on finds its context usable, or lost.
        self.interrupted.append(&mut self.contexts, &mut self.held);
    }

    fn begin_rebuild(&mut self, now: Instant, index: u16) {
        let epoch = self.epoch();
        let Some(id) = self.contexts.handle_at(index) else { return };
        let Some(context) = self.contexts.at_mut(index) else { return };
        let Recovery::Managed { attempts_max, .. } = context.recovery else { return };
        let rebuild = &mut context.rebuild;
        if rebuild.attempts >= attempts_max || rebuild.deadline <= now {
            self.lose_context(now, index);
            return self.set_plan_timer();
        }
        rebuild.attempts = rebuild.attempts.saturating_add(1);
        rebuild.refused = false;
        rebuild.phase = Phase::Context;
        let attempt = rebuild.attempts;
        context.epoch = epoch;
        context.create_due = true;
        context.answers_due = 1;
        self.plan.current = Some(index);
        self.record_rebuild(now, index, TraceKind::RebuildBegun, attempt);
        self.send(Control::ContextCreate(id));
    }

    /// The next step of the rebuild under way, once the device owes nothing for the last.
    fn advance_rebuild(&mut self, now: Instant, index: u16) {
        let context = self.contexts.at(index).filter(|c| c.state != ContextState::Closing);
        let (Some(context), Some(id)) = (context, self.contexts.handle_at(index)) else {
            return self.drop_rebuild(now, index);
        };
        if context.awaits() {
            return;
        }
        let failed = context.rebuild.refused || !context.is_alive();
        let lost = context.state == ContextState::Lost;
        let next = match context.rebuild.phase {
            Phase::Context | Phase::Graphs | Phase::Buffers if failed => Phase::UndoObjects,
            Phase::Context => Phase::Graphs,
            Phase::Graphs => Phase::Buffers,
            Phase::Buffers => return self.finish_rebuild(now, index),
            Phase::UndoObjects => Phase::UndoContext,
            Phase::UndoContext if context.is_alive() => Phase::Waiting,
            Phase::UndoContext | Phase::Settled | Phase::Waiting => Phase::Settled,
        };
        self.set_phase(index, next);
        self.plan.due = true;
        match next {
            Phase::Graphs => self.prepare_graphs(id),
            Phase::Buffers => self.map_buffers(id),
            Phase::UndoObjects => {
                if !lost {
                    self.record_rebuild(now, index, TraceKind::RebuildEnded, Ended::Refused as u32);
                    self.end_refused(now, index);
                }
                self.release_objects(id);
            }
            Phase::UndoContext => self.release_context(id),
            Phase::Context | Phase::Waiting | Phase::Settled => self.plan.current = None,
        }
    }

    /// The context is usable again.
    fn finish_rebuild(&mut self, now: Instant, index: u16) {
        if let Some(context) = self.contexts.at_mut(index) {
            context.state = ContextState::Ready;
            context.rebuild = Rebuild::NONE;
            context.counts.rebuilds = context.counts.rebuilds.saturating_add(1);
        }
        self.counters.rebuilds = self.counters.rebuilds.saturating_add(1);
        self.record_rebuild(now, index, TraceKind::RebuildEnded, Ended::Usable as u32);
        self.set_plan_timer();
        self.plan.current = None;
        self.plan.due = true;
    }

    /// The context whose turn it was is freed: its teardown goes on by itself.
    fn drop_rebuild(&mut self, now: Instant, index: u16) {
        let was_building = self.contexts.at(index).is_some_and(|c| c.rebuild.is_building());
        if let Some(context) = self.contexts.at_mut(index) {
            context.rebuild = Rebuild::NONE;
        }
        if was_building {
            self.record_rebuild(now, index, TraceKind::RebuildEnded, Ended::Freed as u32);
        }
        self.set_plan_timer();
        self.plan.current = None;
        self.plan.due = true;
    }

    /// The budget of a context is spent: its requests end, and what the device has of it leaves.
    /// Linear in the queue depth.
    fn lose_context(&mut self, now: Instant, index: u16) {
        let Some(context) = self.contexts.at_mut(index) else { return };
        let was_building = context.rebuild.is_building();
        context.state = ContextState::Lost;
        context.rebuild.deadline = Instant::FAR;
        if context.rebuild.phase == Phase::Waiting {
            context.rebuild = Rebuild::NONE;
        }
        self.counters.contexts_lost = self.counters.contexts_lost.saturating_add(1);
        if was_building {
            self.record_rebuild(now, index, TraceKind::RebuildEnded, Ended::OutOfTime as u32);
        }
        self.record_rebuild(now, index, TraceKind::ContextLost, 0);
        self.end_queued(now, index, Outcome::DeviceLost);
        self.fallback.changed();
        self.plan.due = true;
    }

    /// A context that never was usable has failed: what was queued for a graph of it cannot run.
    fn end_refused(&mut self, now: Instant, index: u16) {
        if self.contexts.at(index).is_some_and(|context| !context.is_alive()) {
            self.end_queued(now, index, Outcome::Failed);
        }
    }

    /// Requests that have not started end with `outcome`; those of a lost context only if it has no
    /// fallback for them.
    fn end_queued(&mut self, now: Instant, index: u16, outcome: Outcome) {
        let depth = self.contexts.at(index).map_or(0, |context| context.queue.depth());
        for slot in 0..depth {
            let place = RequestRef { context: index, slot };
            let state = self.contexts.node(place).map(|request| request.state);
            if state != Some(RequestState::Queued) {
                continue;
            }
            if outcome == Outcome::DeviceLost && self.may_fall_back(place) {
                self.set_aside(place);
            } else {
                self.end_early(now, place, outcome);
            }
        }
    }

    fn prepare_graphs(&mut self, context: ContextId) {
        let epoch = self.epoch();
        for slot in 0..u16::try_from(self.graphs.capacity()).unwrap_or(u16::MAX) {
            let Some(id) = self.graphs.handle_at(slot) else { continue };
            let Some(graph) = self.graphs.at_mut(slot).filter(|g| g.context == context) else {
                continue;
            };
            match graph.state {
                GraphState::Preparing => {}
                GraphState::Ready | GraphState::Rebuilding | GraphState::Undoing => {
                    graph.state = GraphState::Rebuilding;
                }
                GraphState::Composing(_)
                | GraphState::Failed(_)
                | GraphState::Disabled
                | GraphState::Releasing => continue,
            }
            graph.told = Some(epoch);
            self.await_answers(context, 1, 0);
            self.send(Control::GraphPrepare(id));
        }
    }

    fn map_buffers(&mut self, context: ContextId) {
        let epoch = self.epoch();
        for slot in 0..u16::try_from(self.buffers.capacity()).unwrap_or(u16::MAX) {
            let Some(id) = self.buffers.handle_at(slot) else { continue };
            let Some(buffer) = self.buffers.at_mut(slot).filter(|b| b.context == context) else {
                continue;
            };
            match buffer.state {
                BufferState::Mapping => {}
                BufferState::Ready | BufferState::Rebuilding | BufferState::Undoing => {
                    buffer.state = BufferState::Rebuilding;
                }
                BufferState::Failed(_) => continue,
            }
            buffer.told = Some(epoch);
            self.await_answers(context, 0, 1);
            self.send(Control::BufferMap(id));
        }
    }

    /// What this life of the DSP has of the context's graphs and buffers leaves it.
    fn release_objects(&mut self, context: ContextId) {
        let told = Some(self.epoch());
        for slot in 0..u16::try_from(self.graphs.capacity()).unwrap_or(u16::MAX) {
            let Some(id) = self.graphs.handle_at(slot) else { continue };
            let Some(graph) = self.graphs.at_mut(slot).filter(|g| g.context == context) else {
                continue;
            };
            if matches!(graph.state, GraphState::Ready) && graph.told == told {
                graph.state = GraphState::Undoing;
                self.await_answers(context, 1, 0);
                self.send(Control::GraphRelease(id));
            }
        }
        for slot in 0..u16::try_from(self.buffers.capacity()).unwrap_or(u16::MAX) {
            let Some(id) = self.buffers.handle_at(slot) else { continue };
            let Some(buffer) = self.buffers.at_mut(slot).filter(|b| b.context == context) else {
                continue;
            };
            if buffer.state == BufferState::Ready && buffer.told == told {
                buffer.state = BufferState::Undoing;
                self.await_answers(context, 0, 1);
                self.send(Control::BufferUnmap(id));
            }
        }
    }

    fn release_context(&mut self, id: ContextId) {
        let Ok(context) = self.contexts.get_mut(id) else { return };
        if context.on_device {
            context.release_due = true;
            self.await_answers(id, 1, 0);
            self.send(Control::ContextRelease(id));
        }
    }

    /// The device owes a context some answers more.
    pub(super) fn await_answers(&mut self, id: ContextId, answers: u16, maps: u16) {
        if let Ok(context) = self.contexts.get_mut(id) {
            context.answers_due = context.answers_due.saturating_add(answers);
            context.maps_due = context.maps_due.saturating_add(maps);
        }
    }

    fn set_phase(&mut self, index: u16, phase: Phase) {
        if let Some(context) = self.contexts.at_mut(index) {
            context.rebuild.phase = phase;
        }
    }

    pub(super) fn set_plan_timer(&mut self) {
        let waits = |context: &Context<'_>| {
            Some(context.rebuild.deadline).filter(|&at| context.is_alive() && at != Instant::FAR)
        };
        self.plan.timer = self.contexts.iter().filter_map(|(_, context)| waits(context)).min();
    }

    fn context_slots(&self) -> core::ops::Range<u16> {
        0..u16::try_from(self.contexts.capacity()).unwrap_or(u16::MAX)
    }

    fn record_rebuild(&mut self, now: Instant, index: u16, kind: TraceKind, value: u32) {
        let context = RequestRef { context: index, slot: u16::MAX };
        self.record(now, kind, context.with_generation(0), value);
    }
}
