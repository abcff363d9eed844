//! Degraded mode: which request goes to the CPU, and when (docs/recovery.md).

use htp_runtime::capability::Capabilities;
use htp_runtime::device::ExecuteError;
use htp_runtime::error::{FallbackError, HandleError};
use htp_runtime::event::Outcome;
use htp_runtime::handle::{ContextId, GraphId, RequestId};
use htp_runtime::limits::FALLBACK_INTERVAL_US_MAX;
use htp_runtime::time::Instant;

use super::{
    ensure, Accepted, Check, Context, ContextState, Graph, GraphState, Model, Phase, RequestState,
};
use crate::memory::Pool;
use crate::order::OnCpu;
use crate::trace::shown;

/// What a context asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fallback {
    pub interval_us: u64,
    /// When the CPU may start the next one.
    not_before: Instant,
}

/// The CPU.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Cpu {
    /// It must be told to stop.
    abort_due: bool,
    /// Slot of the context that was served last.
    served: u16,
    /// When the runtime was last told the time while a context had a fallback.
    told: Instant,
}

impl Cpu {
    /// Nothing was executed.
    pub const NEW: Cpu = Cpu { abort_due: false, served: 0, told: Instant::ZERO };
}

impl Model {
    /// Why a context cannot have this fallback now, or nothing.
    pub fn fallback_refusals(&self, id: ContextId, interval_us: Option<u64>) -> Vec<FallbackError> {
        let context = match self.context_usable(id) {
            Err(error) => return vec![error.into()],
            Ok(Context { state: ContextState::Failed(_), .. }) => {
                return vec![HandleError::Invalid.into()];
            }
            Ok(context) => context,
        };
        let mut reasons = Vec::new();
        let on_cpu = self.on_cpu().is_some_and(|request| request.context == id);
        if context.state != ContextState::Ready || self.is_down(context) || on_cpu {
            reasons.push(HandleError::Recovering.into());
        }
        let Some(interval_us) = interval_us else { return reasons };
        if !self.has(Capabilities::CPU_FALLBACK) {
            reasons.push(FallbackError::NotSupported);
        }
        if !(1..=FALLBACK_INTERVAL_US_MAX).contains(&interval_us) {
            reasons.push(FallbackError::Interval);
        }
        if self.restarts() && !context.policy.keeps_queued() {
            reasons.push(FallbackError::QueueNotKept);
        }
        let ready = |graph: &Graph| graph.context == id && graph.state == GraphState::Ready;
        if !self.graphs.iter().any(ready) {
            reasons.push(FallbackError::NoGraph);
        }
        reasons
    }

    /// A context has this fallback from here on, for the graphs that can be executed now.
    pub fn fallback_chosen(&mut self, id: ContextId, interval_us: Option<u64>) {
        let ready = |g: &&mut Graph| g.context == id && g.state == GraphState::Ready;
        let graphs = self.graphs.iter_mut().filter(ready);
        graphs.for_each(|graph| graph.on_fallback = interval_us.is_some());
        let fallback = |interval_us| Fallback { interval_us, not_before: Instant::ZERO };
        if let Some(context) = self.context_mut(id) {
            context.fallback = interval_us.map(fallback);
        }
    }

    /// Whether the device executes nothing of a context.
    fn is_down(&self, context: &Context) -> bool {
        let lost = context.state == ContextState::Lost;
        self.link.phase != Phase::Online || lost || context.is_rebuilding()
    }

    /// Whether the CPU may execute requests of this graph.
    pub(super) fn is_covered(&self, graph: GraphId) -> bool {
        let graph = self.graph(graph).filter(|graph| graph.on_fallback);
        let context = graph.and_then(|graph| self.context(graph.context));
        context.is_some_and(|context| context.fallback.is_some())
    }

    /// As `graph_usable`, of a graph to execute: the CPU goes on with what is lost.
    pub fn graph_to_execute(&self, id: GraphId) -> Result<&Graph, HandleError> {
        let covered = self.graph(id).filter(|_| self.is_covered(id));
        match self.graph_usable(id) {
            Err(HandleError::Lost) => covered.ok_or(HandleError::Lost),
            usable => usable,
        }
    }

    /// What the CPU executes.
    pub fn on_cpu(&self) -> Option<&Accepted> {
        let is_it = |r: &&Accepted| matches!(r.state, RequestState::OnCpu { .. });
        self.requests.iter().find(is_it)
    }

    /// Whether the CPU executes a request of this graph.
    pub(super) fn graph_is_on_cpu(&self, graph: GraphId) -> bool {
        self.on_cpu().is_some_and(|request| request.graph == graph)
    }

    /// If the CPU is free: of each context of which the device executes nothing the request that it
    /// would start first, and when the CPU may.
    fn waiting_for_cpu(&self) -> impl Iterator<Item = (Instant, &Accepted)> {
        let free = self.on_cpu().is_none();
        self.contexts.iter().filter(move |_| free).filter_map(|context| {
            let fallback = context.fallback.filter(|_| self.is_down(context))?;
            let waits = |r: &&Accepted| r.context == context.id && r.state == RequestState::Queued;
            let waiting = self.requests.iter().filter(waits);
            let first = waiting.min_by_key(|request| request.priority.level())?;
            self.is_covered(first.graph).then_some((fallback.not_before, first))
        })
    }

    /// The one request that the CPU must start next, if it may start one at this time: contexts
    /// take turns.
    fn next_on_cpu(&self, now: Instant) -> Option<&Accepted> {
        let may = self.waiting_for_cpu().filter(|(not_before, _)| *not_before <= now);
        let slot = |request: &Accepted| request.context.index();
        let turn = |request: &&Accepted| (slot(request) <= self.cpu.served, slot(request));
        may.map(|(_, request)| request).min_by_key(turn)
    }

    /// What the CPU must be told: what could have been started when the runtime was told the time.
    pub(super) fn owes_cpu(&self) -> Option<RequestId> {
        let stops = self.on_cpu().filter(|_| self.cpu.abort_due);
        stops.or_else(|| self.next_on_cpu(self.cpu.told)).map(|request| request.id)
    }

    /// When the CPU may start something.
    pub(super) fn cpu_timer(&self) -> Option<Instant> {
        self.waiting_for_cpu().map(|(not_before, _)| not_before).min()
    }

    /// The runtime was told the time.
    pub(super) fn tell_cpu(&mut self, now: Instant) {
        if self.contexts.iter().any(|context| context.fallback.is_some()) {
            self.cpu.told = now;
        }
    }

    /// What the CPU executes shall end.
    pub(super) fn stop_on_cpu(&mut self, place: usize, outcome: Outcome) {
        self.requests[place].state = RequestState::OnCpu { stop: Some(outcome) };
        self.cpu.abort_due = true;
    }

    /// The CPU is told to execute.
    pub(super) fn starts_on_cpu(
        &mut self,
        now: Instant,
        execution: &OnCpu<'_>,
        pool: &Pool,
    ) -> Check {
        let id = execution.request;
        let next = self.next_on_cpu(now).map(|request| request.id);
        let expected = next.map_or("nothing".into(), shown);
        ensure!(next == Some(id), "order on the CPU", "{} starts, not {expected}", shown(id));
        let Some(place) = self.place_of(id) else { return Ok(()) };
        let request = &mut self.requests[place];
        let io = Some(pool.memories(request.block, request.common));
        let right = execution.graph == request.graph && execution.io == io;
        ensure!(right, "executions are what clients gave", "{}", shown(id));
        request.state = RequestState::OnCpu { stop: None };
        request.dispatched = now;
        request.on_fallback = true;
        let context = request.context;
        self.cpu.served = context.index();
        let fallback = self.context_mut(context).and_then(|context| context.fallback.as_mut());
        if let Some(fallback) = fallback {
            fallback.not_before = now.after_us(fallback.interval_us);
        }
        Ok(())
    }

    /// The CPU is told to stop.
    pub(super) fn stops_on_cpu(&mut self, id: RequestId) -> Check {
        let due = std::mem::take(&mut self.cpu.abort_due);
        let right = due && self.on_cpu().is_some_and(|request| request.id == id);
        ensure!(right, "commands that were due", "{} shall stop on the CPU", shown(id));
        Ok(())
    }

    /// The CPU says how an execution ended; `false` if it has none of this name.
    pub(super) fn executed_on_cpu(
        &mut self,
        now: Instant,
        id: RequestId,
        result: Result<(), ExecuteError>,
    ) -> bool {
        let Some(place) = self.place_of(id) else { return false };
        let RequestState::OnCpu { stop } = self.requests[place].state else { return false };
        let outcome = match result {
            Ok(()) => Outcome::Completed,
            Err(ExecuteError::Aborted) => stop.unwrap_or(Outcome::Aborted),
            Err(_) => Outcome::Failed,
        };
        self.cpu.abort_due = false;
        let context = self.requests[place].context;
        if let Some(context) = self.context_mut(context) {
            context.on_fallback += u64::from(result.is_ok());
        }
        self.end(now, place, outcome);
        true
    }
}
