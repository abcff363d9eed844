//! Degraded mode: requests of a context that its client chose are executed on the CPU while the
//! device is down (docs/adr/013-cpu-fallback.md).
//!
//! A request is in one place at a time: waiting, on the device or on the fallback. It leaves the
//! waiting ones before the command about it is handed out, so it is executed once.

use super::objects::{Context, ContextState, Graph, GraphState};
use super::rebuild::Phase;
use super::{memories, Runtime};
use crate::capability::Capabilities;
use crate::device::{Command, ExecuteError};
use crate::error::{FallbackError, HandleError};
use crate::event::Outcome;
use crate::handle::{ContextId, GraphId, RequestId};
use crate::limits::FALLBACK_INTERVAL_US_MAX;
use crate::profile::TraceKind;
use crate::queue::{Nodes, RequestRef, RequestState};
use crate::sched::Running;
use crate::ssr::State;
use crate::time::Instant;

/// How a context uses the CPU while the device is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fallback {
    /// Least time from the start of one execution to that of the next, in microseconds, 1 to
    /// [`FALLBACK_INTERVAL_US_MAX`].
    pub interval_us: u64,
}

/// The fallback of one context.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Turn {
    pub setting: Fallback,
    /// When its next execution may start.
    not_before: Instant,
}

/// The one execution on the fallback, and what waits for it.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Desk {
    /// Contexts that have a fallback.
    contexts: u16,
    /// Requests in state `Aside`.
    aside: u32,
    running: Option<Running>,
    abort_due: bool,
    /// Something may have come that can start.
    look: bool,
    /// When something can start that cannot yet.
    timer: Option<Instant>,
    /// Slot of the context that was served last.
    last: u16,
}

impl Desk {
    pub const EMPTY: Desk = Desk {
        contexts: 0,
        aside: 0,
        running: None,
        abort_due: false,
        look: false,
        timer: None,
        last: 0,
    };

    pub fn timer(&self) -> Option<Instant> {
        self.timer
    }

    /// Whether there may be a command.
    pub fn is_due(&self) -> bool {
        self.abort_due || (self.look && self.running.is_none())
    }

    /// Whether nothing runs, and nothing waits that no device will execute.
    pub fn is_idle(&self) -> bool {
        self.running.is_none() && self.aside == 0
    }

    /// Whether it executes a request of this graph, which the device must not overtake.
    pub fn runs(&self, graph: GraphId) -> bool {
        self.running.is_some_and(|running| running.graph == graph)
    }

    /// Whether it executes a request of the context in this slot.
    pub fn runs_in(&self, context: u16) -> bool {
        self.running.is_some_and(|running| running.request.context == context)
    }

    /// A request was accepted or has gone, or the device went down.
    pub fn changed(&mut self) {
        self.look |= self.contexts > 0;
    }

    /// A request is set aside.
    pub fn put_aside(&mut self) {
        self.aside = self.aside.saturating_add(1);
    }

    /// One that was set aside has gone.
    pub fn take_aside(&mut self) {
        self.aside = self.aside.saturating_sub(1);
    }

    /// The running one shall stop.
    pub fn abort(&mut self) {
        self.abort_due = true;
    }

    /// A context with a fallback has gone.
    pub fn context_goes(&mut self) {
        self.contexts = self.contexts.saturating_sub(1);
    }
}

impl<'m> Runtime<'m> {
    /// Has requests of a context executed on the CPU while the device is down: during a restart,
    /// while the context is rebuilt, and after it or the connection is lost. Concerns the graphs
    /// that are executable now; `None` ends it. Linear in the number of graphs.
    ///
    /// At most one request of all contexts is on the fallback at a time. Which of a context's is
    /// the one that would go to the device first; priorities, cancelling and deadlines are as ever.
    /// It comes as [`Command::FallbackExecute`].
    ///
    /// Where a crashed DSP is restarted, the context's recovery must be managed and keep its queue.
    /// `Recovering` while a restart is under way or the fallback works for the context: call again.
    pub fn context_set_fallback(
        &mut self,
        id: ContextId,
        fallback: Option<Fallback>,
    ) -> Result<(), FallbackError> {
        self.context_check_fallback(id, fallback)?;
        for slot in 0..u16::try_from(self.graphs.capacity()).unwrap_or(u16::MAX) {
            if let Some(graph) = self.graphs.at_mut(slot).filter(|graph| can_fall_back(graph, id)) {
                graph.on_fallback = fallback.is_some();
            }
        }
        let Ok(context) = self.contexts.get_mut(id) else { return Ok(()) };
        let turn = |setting| Turn { setting, not_before: Instant::ZERO };
        let before = core::mem::replace(&mut context.fallback, fallback.map(turn));
        let contexts = self.fallback.contexts.saturating_add(fallback.is_some().into());
        self.fallback.contexts = contexts.saturating_sub(before.is_some().into());
        Ok(())
    }

    /// Whether [`Runtime::context_set_fallback`] would do it now, and why not. Linear in the number
    /// of graphs.
    pub fn context_check_fallback(
        &self,
        id: ContextId,
        fallback: Option<Fallback>,
    ) -> Result<(), FallbackError> {
        let context = self.context_taking_more(id)?;
        let keeps = context.recovery.keeps_queued() || !self.restarts_dsp();
        let settled = context.state == ContextState::Ready
            && context.rebuild.phase == Phase::Settled
            && self.state() == State::Online;
        if let Some(Fallback { interval_us }) = fallback {
            if !self.capabilities.contains(Capabilities::CPU_FALLBACK) {
                return Err(FallbackError::NotSupported);
            }
            if interval_us == 0 || interval_us > FALLBACK_INTERVAL_US_MAX {
                return Err(FallbackError::Interval);
            }
            if !keeps {
                return Err(FallbackError::QueueNotKept);
            }
        }
        if !settled || self.fallback.runs_in(id.index()) {
            return Err(HandleError::Recovering.into());
        }
        if fallback.is_some() && !self.graphs.iter().any(|(_, graph)| can_fall_back(graph, id)) {
            return Err(FallbackError::NoGraph);
        }
        Ok(())
    }

    /// How a context uses the CPU while the device is down. Works on a lost context too.
    pub fn context_fallback(&self, id: ContextId) -> Result<Option<Fallback>, HandleError> {
        let context = self.contexts.get(id).map_err(|_| HandleError::Invalid)?;
        Ok(context.fallback.map(|turn| turn.setting))
    }

    pub(super) fn restarts_dsp(&self) -> bool {
        self.capabilities.contains(Capabilities::SUBSYSTEM_RESTART)
    }

    /// A graph that can be executed: a usable one, or one of a lost context that has a fallback.
    pub(super) fn graph_to_execute(&self, id: GraphId) -> Result<&Graph<'m>, HandleError> {
        let found = self.graph(id);
        if !matches!(found, Err(HandleError::Lost)) {
            return found;
        }
        let graph = self.graphs.get(id).map_err(|_| HandleError::Invalid)?;
        match self.has_fallback(graph) {
            true => Ok(graph),
            false => Err(HandleError::Lost),
        }
    }

    fn has_fallback(&self, graph: &Graph<'_>) -> bool {
        let context = self.contexts.get(graph.context);
        graph.on_fallback && context.is_ok_and(|context| context.fallback.is_some())
    }

    /// Whether the fallback can execute a request.
    pub(super) fn may_fall_back(&self, place: RequestRef) -> bool {
        let graph = self.contexts.node(place).and_then(|node| self.graphs.get(node.graph).ok());
        graph.is_some_and(|graph| self.has_fallback(graph))
    }

    /// A queued request of a lost context leaves its run list: the device shall never see it.
    pub(super) fn set_aside(&mut self, place: RequestRef) {
        self.leave_run_list(place);
        if let Some(request) = self.contexts.node_mut(place) {
            request.state = RequestState::Aside;
            self.fallback.put_aside();
        }
    }

    /// A queued request leaves its run list.
    pub(super) fn leave_run_list(&mut self, place: RequestRef) {
        let Some(priority) = self.contexts.node(place).map(|request| request.priority) else {
            return;
        };
        if let Some(list) = self.run_lists.get_mut(priority.level()) {
            list.remove(&mut self.contexts, place);
        }
        self.queued = self.queued.saturating_sub(1);
    }

    /// Time has come for something that waited for it.
    pub(super) fn watch_fallback(&mut self, now: Instant) {
        if self.fallback.timer.is_some_and(|at| at <= now) {
            self.fallback.timer = None;
            self.fallback.look = true;
        }
    }

    /// What the fallback is to do. Nothing where no context has one. Otherwise, if something
    /// changed while the device is down, linear in the number of contexts, and in the queue depth
    /// of those that have one.
    pub(super) fn fallback_command(&mut self, now: Instant) -> Option<Command<'_, 'm>> {
        if !self.fallback.is_due() {
            return None;
        }
        if core::mem::take(&mut self.fallback.abort_due) {
            let place = self.fallback.running?.request;
            let generation = self.contexts.node(place)?.generation;
            return Some(Command::FallbackAbort { request: place.with_generation(generation) });
        }
        let place = self.next_on_fallback(now)?;
        let graph = self.contexts.node(place)?.graph;
        let table = self.graphs.get(graph).ok()?.table.clone()?;
        match self.contexts.node(place)?.state {
            RequestState::Aside => self.fallback.take_aside(),
            _ => self.leave_run_list(place),
        }
        let context = self.contexts.at_mut(place.context)?;
        let turn = context.fallback.as_mut()?;
        turn.not_before = now.after_us(turn.setting.interval_us);
        let request = context.queue.get_mut(place.slot)?;
        request.state = RequestState::OnFallback { cancelled: None };
        request.dispatched = true;
        request.times.dispatched = now;
        request.times.on_fallback = true;
        let generation = request.generation;
        self.fallback.running = Some(Running { request: place, graph });
        self.fallback.last = place.context;
        let request = place.with_generation(generation);
        self.record(now, TraceKind::FellBack, request, 0);
        let io = memories(self.graphs.get(graph).ok(), place.slot);
        Some(Command::FallbackExecute { request, graph, table, io })
    }

    /// The next request for the fallback: contexts take turns.
    fn next_on_fallback(&mut self, now: Instant) -> Option<RequestRef> {
        self.fallback.look = false;
        self.fallback.timer = None;
        if self.state() == State::Online && self.fallback.aside == 0 {
            return None; // the device has all there is
        }
        let capacity = u16::try_from(self.contexts.capacity()).unwrap_or(u16::MAX);
        let behind = self.fallback.last.saturating_add(1);
        for index in (behind..capacity).chain(0..behind.min(capacity)) {
            let Some(context) = self.contexts.at(index) else { continue };
            let Some(turn) = context.fallback.filter(|_| self.is_down(context)) else { continue };
            let Some(place) = first_waiting(context, index, self.serial) else { continue };
            if !self.may_fall_back(place) {
                continue;
            }
            if turn.not_before <= now {
                return Some(place);
            }
            let earliest = self.fallback.timer.unwrap_or(Instant::FAR);
            self.fallback.timer = Some(earliest.min(turn.not_before));
        }
        None
    }

    /// Whether the device executes nothing of a context.
    fn is_down(&self, context: &Context<'_>) -> bool {
        self.state() != State::Online
            || context.state == ContextState::Lost
            || context.rebuild.phase != Phase::Settled
    }

    pub(super) fn on_fallback_executed(
        &mut self,
        now: Instant,
        id: RequestId,
        result: Result<(), ExecuteError>,
    ) {
        let running = self.fallback.running.map(|running| running.request);
        let place = self.find(id).filter(|place| running == Some(*place));
        let Some(place) = place else { return self.late() };
        self.fallback.running = None;
        self.fallback.abort_due = false;
        self.fallback.changed();
        let cancelled = match self.contexts.node(place).map(|request| request.state) {
            Some(RequestState::OnFallback { cancelled }) => cancelled,
            _ => return self.fault(),
        };
        let outcome = match result {
            Ok(()) => Outcome::Completed,
            Err(ExecuteError::Aborted) => cancelled.unwrap_or(Outcome::Aborted),
            Err(_) => Outcome::Failed,
        };
        if let Some(context) = self.contexts.at_mut(place.context).filter(|_| result.is_ok()) {
            context.counts.on_fallback = context.counts.on_fallback.saturating_add(1);
        }
        self.finish(now, place, outcome);
    }
}

/// Whether a graph of a context can be executed without the device.
fn can_fall_back(graph: &Graph<'_>, context: ContextId) -> bool {
    graph.context == context && matches!(graph.state, GraphState::Ready) && graph.table.is_some()
}

/// The request of a context that would go to the device first. Linear in the queue depth.
fn first_waiting(context: &Context<'_>, index: u16, serial: u32) -> Option<RequestRef> {
    if context.queue.used() == 0 {
        return None;
    }
    let waiting = (0..context.queue.depth()).filter_map(|slot| {
        let request = context.queue.get(slot)?;
        let waits = matches!(request.state, RequestState::Queued | RequestState::Aside);
        let later_than = u32::MAX.wrapping_sub(serial.wrapping_sub(request.generation));
        waits.then_some((request.priority.level(), later_than, slot))
    });
    waiting.min().map(|(_, _, slot)| RequestRef { context: index, slot })
}
