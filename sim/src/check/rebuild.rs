//! Managed recovery: which context is rebuilt when, in what order, and when it is lost
//! (docs/recovery.md).

use htp_runtime::event::Outcome;
use htp_runtime::handle::ContextId;
use htp_runtime::time::Instant;

use super::{BufferState, Context, ContextState, Due, GraphState, Model, Phase};

/// What a restart does to a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Its objects are stale, its requests end.
    Native,
    /// It is rebuilt; `keeps`: what was never on the device keeps its place.
    Managed { attempts_max: u32, time_budget_us: u64, keeps: bool },
}

impl Policy {
    /// Whether requests that were never on the device outlive a restart.
    pub fn keeps_queued(self) -> bool {
        matches!(self, Policy::Managed { keeps: true, .. })
    }
}

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// There is none.
    Settled,
    /// Its turn comes.
    Waiting,
    Context,
    Graphs,
    Buffers,
    /// It failed, and what it made goes.
    UndoObjects,
    UndoContext,
}

/// The rebuild of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rebuild {
    pub stage: Stage,
    pub attempts: u32,
    /// When the context is lost, if it is not usable by then.
    pub limit: Option<Instant>,
    /// The device refused what it had accepted before.
    pub refused: bool,
}

impl Rebuild {
    /// No rebuild.
    pub const NONE: Rebuild =
        Rebuild { stage: Stage::Settled, attempts: 0, limit: None, refused: false };

    /// Whether it has yet to come to the graphs.
    pub fn comes_to_graphs(&self) -> bool {
        !matches!(self.stage, Stage::Settled | Stage::Graphs | Stage::Buffers)
    }

    /// Whether it has yet to come to the buffers.
    pub fn comes_to_buffers(&self) -> bool {
        !matches!(self.stage, Stage::Settled | Stage::Buffers)
    }
}

impl Context {
    /// Whether it lives, or may come to.
    pub fn lives(&self) -> bool {
        matches!(self.state, ContextState::Creating | ContextState::Ready)
    }

    /// Whether it waits for its rebuild, or is in it.
    pub fn is_rebuilding(&self) -> bool {
        self.rebuild.stage != Stage::Settled
    }

    /// Whether its requests wait for its rebuild.
    pub(super) fn keeps_queued(&self) -> bool {
        self.policy.keeps_queued() && self.rebuild.stage == Stage::Waiting
    }
}

impl Model {
    /// The DSP crashes: managed contexts that live wait for their rebuild.
    pub(super) fn await_rebuild(&mut self, now: Instant) {
        if self.link.phase == Phase::Online {
            self.voted = self.epoch();
        }
        self.turn = None;
        for context in &mut self.contexts {
            let Policy::Managed { time_budget_us, .. } = context.policy else { continue };
            context.creating = false;
            context.releasing = false;
            context.on_device = false;
            if context.lives() {
                context.rebuild.stage = Stage::Waiting;
                let limit = context.rebuild.limit.unwrap_or(now.after_us(time_budget_us));
                context.rebuild.limit = Some(limit);
            } else {
                context.rebuild = Rebuild::NONE;
            }
        }
    }

    /// Nothing is rebuilt when the DSP is lost.
    pub(super) fn abandon_plan_if_lost(&mut self) {
        if self.link.phase == Phase::Lost {
            self.turn = None;
            self.contexts.iter_mut().for_each(|context| context.rebuild = Rebuild::NONE);
            self.catch();
        }
    }

    /// When a context's time is over.
    pub(super) fn rebuild_timer(&self) -> Option<Instant> {
        let living = self.contexts.iter().filter(|context| context.lives());
        living.filter_map(|context| context.rebuild.limit).min()
    }

    /// Contexts whose time is over are lost.
    pub(super) fn expire_rebuilds(&mut self, now: Instant) {
        let over = |c: &&Context| c.lives() && c.rebuild.limit.is_some_and(|limit| limit <= now);
        let over: Vec<_> = self.contexts.iter().filter(over).map(|context| context.id).collect();
        over.into_iter().for_each(|id| self.lose_context(now, id));
    }

    fn lose_context(&mut self, now: Instant, id: ContextId) {
        let Some(context) = self.context_mut(id) else { return };
        context.state = ContextState::Lost;
        context.rebuild.limit = None;
        if context.rebuild.stage == Stage::Waiting {
            context.rebuild = Rebuild::NONE;
        }
        self.end_queued(now, id, Outcome::DeviceLost);
    }

    /// The device refused a part of a rebuild that it had accepted before.
    pub(super) fn refuse_rebuild(&mut self, id: ContextId) {
        if let Some(context) = self.context_mut(id) {
            context.rebuild.refused = true;
        }
    }

    /// The plan goes on as far as it goes without another answer: one context after the other,
    /// those that were tried least first, in the order of their slots; then the votes.
    pub fn drive_plan(&mut self, now: Instant) {
        while self.link.phase == Phase::Rebuilding {
            match self.turn {
                Some(id) => {
                    if !self.advance_rebuild(now, id) {
                        return;
                    }
                }
                None => self.next_turn(now),
            }
        }
    }

    fn next_turn(&mut self, now: Instant) {
        let waiting = self.contexts.iter().filter(|c| c.rebuild.stage == Stage::Waiting);
        let turn = |context: &&Context| (context.rebuild.attempts, context.id.index());
        let Some(id) = waiting.min_by_key(turn).map(|context| context.id) else {
            let lives = |c: &Context| c.policy != Policy::Native && c.lives();
            if self.contexts.iter().any(lives) {
                self.restore_votes(self.voted);
            }
            return self.link.rebuilt(now);
        };
        let epoch = self.epoch();
        let Some(context) = self.context_mut(id) else { return };
        let Policy::Managed { attempts_max, .. } = context.policy else { return };
        let rebuild = &mut context.rebuild;
        if rebuild.attempts >= attempts_max || rebuild.limit.is_some_and(|limit| limit <= now) {
            return self.lose_context(now, id);
        }
        rebuild.attempts += 1;
        rebuild.refused = false;
        rebuild.stage = Stage::Context;
        context.epoch = epoch;
        context.creating = true;
        self.turn = Some(id);
        self.begin();
        self.owe(Due::ContextCreate(id));
    }

    /// The next stage, if nothing is awaited; whether there was one.
    fn advance_rebuild(&mut self, now: Instant, id: ContextId) -> bool {
        let context = self.context(id).filter(|c| c.state != ContextState::Closing).cloned();
        let Some(context) = context else {
            if let Some(context) = self.context_mut(id) {
                context.rebuild = Rebuild::NONE;
            }
            self.turn = None;
            return true;
        };
        if self.waits(&context) || self.waits_for_buffers(id) {
            return false;
        }
        let failed = context.rebuild.refused || !context.lives();
        let next = match context.rebuild.stage {
            Stage::Context | Stage::Graphs | Stage::Buffers if failed => Stage::UndoObjects,
            Stage::Context => Stage::Graphs,
            Stage::Graphs => Stage::Buffers,
            Stage::Buffers => return self.finish_rebuild(id),
            Stage::UndoObjects => Stage::UndoContext,
            Stage::UndoContext if context.lives() => Stage::Waiting,
            Stage::UndoContext | Stage::Settled | Stage::Waiting => Stage::Settled,
        };
        if let Some(context) = self.context_mut(id) {
            context.rebuild.stage = next;
        }
        self.begin();
        match next {
            Stage::Graphs => self.prepare_graphs(id),
            Stage::Buffers => self.map_buffers(id),
            Stage::UndoObjects => {
                if !context.lives() && context.state != ContextState::Lost {
                    self.end_queued(now, id, Outcome::Failed);
                }
                self.undo_objects(id);
            }
            Stage::UndoContext => self.undo_context(id),
            Stage::Context | Stage::Waiting | Stage::Settled => self.turn = None,
        }
        true
    }

    fn finish_rebuild(&mut self, id: ContextId) -> bool {
        if let Some(context) = self.context_mut(id) {
            context.state = ContextState::Ready;
            context.rebuild = Rebuild::NONE;
        }
        self.turn = None;
        true
    }

    fn prepare_graphs(&mut self, id: ContextId) {
        let told = Some(self.epoch());
        let mut due = Vec::new();
        for graph in self.graphs.iter_mut().filter(|graph| graph.context == id) {
            match graph.state {
                GraphState::Preparing => {}
                GraphState::Ready | GraphState::Rebuilding | GraphState::Undoing => {
                    graph.state = GraphState::Rebuilding;
                }
                GraphState::Composing | GraphState::Failed(_) | GraphState::Releasing => continue,
            }
            graph.told = told;
            due.push(Due::GraphPrepare(graph.id));
        }
        due.into_iter().for_each(|due| self.owe(due));
    }

    fn map_buffers(&mut self, id: ContextId) {
        let told = Some(self.epoch());
        let mut due = Vec::new();
        for buffer in self.buffers.iter_mut().filter(|buffer| buffer.context == id) {
            match buffer.state {
                BufferState::Mapping => {}
                BufferState::Failed(_) => continue,
                _ => buffer.state = BufferState::Rebuilding,
            }
            buffer.told = told;
            due.push(Due::BufferMap(buffer.id));
        }
        due.into_iter().for_each(|due| self.owe(due));
    }

    fn undo_objects(&mut self, id: ContextId) {
        let told = Some(self.epoch());
        let mut due = Vec::new();
        for graph in self.graphs.iter_mut().filter(|graph| graph.context == id) {
            if graph.state == GraphState::Ready && graph.told == told {
                graph.state = GraphState::Undoing;
                due.push(Due::GraphRelease(graph.id));
            }
        }
        for buffer in self.buffers.iter_mut().filter(|buffer| buffer.context == id) {
            if buffer.state == BufferState::Mapped && buffer.told == told {
                buffer.state = BufferState::Undoing;
                due.push(Due::BufferUnmap(buffer.id));
            }
        }
        due.into_iter().for_each(|due| self.owe(due));
    }

    fn undo_context(&mut self, id: ContextId) {
        if let Some(context) = self.context_mut(id).filter(|context| context.on_device) {
            context.releasing = true;
            self.owe(Due::ContextRelease(id));
        }
    }
}
