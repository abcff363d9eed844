//! Requests: submit, dispatch, complete, cancel.

use super::objects::{ContextState, GraphState};
use super::outbox::Control;
use super::ownership::IoOwnership;
use super::rebuild::Phase;
use super::{memories, Runtime};
use crate::capability::Capabilities;
use crate::device::{Command, ExecuteError, ExecutionReport};
use crate::error::{CancelError, HandleError, SubmitError};
use crate::event::{Completion, Outcome};
use crate::handle::{GraphId, ProfileId, RequestId};
use crate::limits::{DEADLINES_PER_CALL, DISPATCH_WINDOW};
use crate::memory::ClientMemory;
use crate::profile::TraceKind;
use crate::queue::{List, Mode, Nodes, RequestRef, RequestState};
use crate::sched::{Priority, Running};
use crate::ssr::State;
use crate::time::Instant;

/// Memory for one tensor of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoBinding {
    /// The QNN tensor id.
    pub tensor_id: u32,
    /// At least as long as the tensor.
    pub memory: ClientMemory,
}

/// The memories of an execution, wherever the caller keeps them. Inputs before outputs is fastest,
/// any order works.
pub trait IoSource {
    /// Number of bindings.
    fn count(&self) -> usize;
    /// Binding `index`.
    fn binding(&self, index: usize) -> Option<IoBinding>;
}

impl IoSource for [IoBinding] {
    fn count(&self) -> usize {
        self.len()
    }
    fn binding(&self, index: usize) -> Option<IoBinding> {
        self.get(index).copied()
    }
}

/// How to execute.
#[derive(Debug, Clone, Copy)]
pub struct SubmitOptions {
    /// How the client waits.
    pub mode: Mode,
    /// When it times out; `FAR` for never.
    pub deadline: Instant,
    /// Words that come back with the completion.
    pub user_data: [usize; 3],
    /// A profile object to fill.
    pub profile: Option<ProfileId>,
}

impl<'m> Runtime<'m> {
    /// Accepts one execution of a graph into its context's queue.
    ///
    /// `Ok` means exactly one completion will come: by [`Runtime::poll_notice`] in asynchronous
    /// mode, by [`Runtime::take_outcome`] in blocking mode. `Err` means none will. The memory
    /// is lent until then. Constant time in queue depth and object counts, linear in the number
    /// of the graph's tensors; logarithmic in the number of requests if there is a deadline. A
    /// restart ends the request with `DeviceReset`, or keeps it in its place if it has not gone to
    /// the device and its context's recovery says so; such a context accepts during a restart too.
    pub fn submit(
        &mut self,
        now: Instant,
        id: GraphId,
        io: &(impl IoSource + ?Sized),
        options: SubmitOptions,
    ) -> Result<RequestId, SubmitError> {
        let graph = self.graph_to_execute(id)?;
        let (context, priority) = (graph.context, graph.priority);
        let asynchronous = options.mode == Mode::Asynchronous;
        if asynchronous && !self.capabilities.contains(Capabilities::ASYNC_EXECUTION) {
            return Err(SubmitError::AsyncNotSupported);
        }
        self.check_executable(graph)?;
        if if asynchronous { graph.active_blocking } else { graph.active_async } > 0 {
            return Err(SubmitError::MixedModes);
        }
        self.check_profile(options.profile)?;
        let owner = self.contexts.get(context).map_err(|_| HandleError::Invalid)?;
        if owner.prepare_only {
            return Err(SubmitError::PrepareOnly);
        }
        let ownership = owner.ownership;
        let lost = owner.state == ContextState::Lost;
        let slot = owner.queue.free_slot().ok_or(SubmitError::QueueFull)?;
        // The row belongs to a free slot: writing it changes nothing yet.
        let graph = self.graphs.get_mut(id).map_err(|_| HandleError::Invalid)?;
        graph.bind(slot, io)?;
        let overlaps = self.lent.check(ownership, graph, slot)?;

        graph.executed = true;
        let active =
            if asynchronous { &mut graph.active_async } else { &mut graph.active_blocking };
        *active = active.saturating_add(1);
        let context = self.contexts.get_mut(context).map_err(|_| HandleError::Invalid)?;
        let generation = self.serial.wrapping_add(1);
        let (place, request) = context.queue.acquire(generation).ok_or(SubmitError::QueueFull)?;
        self.serial = generation;
        request.state = RequestState::Queued;
        request.mode = options.mode;
        request.priority = priority;
        request.graph = id;
        request.user_data = options.user_data;
        request.deadline = options.deadline;
        request.profile = options.profile;
        request.watched = ownership != IoOwnership::Unwatched;
        request.times.submitted = now;
        context.counts.submitted = context.counts.submitted.saturating_add(1);
        context.counts.overlaps = context.counts.overlaps.saturating_add(overlaps.into());
        let used = u32::from(context.queue.used());
        if let Some(profile) = options.profile.and_then(|id| self.profiles.get_mut(id).ok()) {
            profile.begin();
        }
        if ownership != IoOwnership::Unwatched {
            self.lend_outputs(place, id);
        }
        if options.deadline != Instant::FAR {
            self.deadlines.insert(&mut self.contexts, place);
        }
        self.enqueue(place, priority, lost);
        let request = place.with_generation(generation);
        self.record(now, TraceKind::Submitted, request, used);
        Ok(request)
    }

    /// An accepted request goes to the end of its run list. The device executes nothing of a lost
    /// context, so that only the fallback shall find it.
    fn enqueue(&mut self, place: RequestRef, priority: Priority, lost: bool) {
        if lost {
            if let Some(request) = self.contexts.node_mut(place) {
                request.state = RequestState::Aside;
            }
            self.fallback.put_aside();
        } else {
            if let Some(list) = self.run_lists.get_mut(priority.level()) {
                list.push_back(&mut self.contexts, place);
            }
            self.queued = self.queued.saturating_add(1);
        }
        self.fallback.changed();
    }

    /// Whether the device holds a place in the queue of a graph's context, so that its progress
    /// makes room; otherwise clients hold all, who have not heard of their completions. Linear
    /// in the number of graphs.
    pub fn device_makes_room(&self, id: GraphId) -> bool {
        let Ok(context) = self.graphs.get(id).map(|graph| graph.context) else { return false };
        self.graphs.iter().any(|(_, graph)| {
            graph.context == context && (graph.active_async > 0 || graph.active_blocking > 0)
        })
    }

    /// Whether a usable graph is executable, or will be at the end of the rebuild under way.
    fn check_executable(&self, graph: &super::Graph<'_>) -> Result<(), SubmitError> {
        let context = self.contexts.get(graph.context).map_err(|_| HandleError::Invalid)?;
        let rebuilding = context.rebuild.phase != Phase::Settled;
        match graph.state {
            // One graph may be ready while others of its context are not: they may still fail, and
            // the context with them.
            _ if !matches!(context.state, ContextState::Ready | ContextState::Lost) => {
                return Err(SubmitError::NotFinalized)
            }
            GraphState::Ready | GraphState::Rebuilding | GraphState::Undoing => {}
            GraphState::Disabled => return Err(SubmitError::Disabled),
            _ => return Err(SubmitError::NotFinalized),
        }
        match rebuilding || !matches!(graph.state, GraphState::Ready) {
            true if !context.recovery.keeps_queued() => Err(HandleError::Recovering.into()),
            _ => Ok(()),
        }
    }

    /// Ends a request early. Queued: it completes as `Aborted` without running. Running: the device
    /// is told to stop at the next op border, and it completes as `Aborted`, or as `Completed`
    /// if it was faster. Constant time.
    pub fn cancel(&mut self, now: Instant, id: RequestId) -> Result<(), CancelError> {
        let place = self.find(id).ok_or(CancelError::Invalid)?;
        if self.end_early(now, place, Outcome::Aborted) {
            Ok(())
        } else {
            Err(CancelError::Ending)
        }
    }

    /// Whether an accepted request was not heard yet: queued, running, or its completion is on its
    /// way. Constant time.
    pub fn is_live(&self, id: RequestId) -> bool {
        self.find(id).is_some()
    }

    /// The outcome of a request in blocking mode, once; `None` while it has none. Constant time.
    pub fn take_outcome(&mut self, now: Instant, id: RequestId) -> Option<Completion> {
        let place = self.find(id)?;
        if self.contexts.node(place)?.state == RequestState::Interrupted {
            self.settle(now, place)?;
        }
        match self.contexts.node(place)?.mode {
            Mode::Blocking => self.hear(place),
            Mode::Asynchronous => None,
        }
    }

    /// Nobody will ask for the outcome of this request in blocking mode any more: it goes on as an
    /// asynchronous one whose completion has the words 0. Its memory stays lent until then.
    /// Constant time.
    pub fn abandon(&mut self, id: RequestId) {
        let Some(place) = self.find(id) else { return };
        let Some(request) = self.contexts.node_mut(place) else { return };
        if request.mode != Mode::Blocking {
            return;
        }
        if let RequestState::Done(_) = request.state {
            self.hear(place);
            return;
        }
        request.mode = Mode::Asynchronous;
        request.user_data = [0; 3];
        let graph = request.graph;
        if let Ok(graph) = self.graphs.get_mut(graph) {
            graph.active_blocking = graph.active_blocking.saturating_sub(1);
            graph.active_async = graph.active_async.saturating_add(1);
        }
    }

    /// The request at `place`, which may start, goes to the device.
    pub(super) fn dispatch(&mut self, now: Instant, place: RequestRef) -> Option<Command<'_, 'm>> {
        let request = self.contexts.node_mut(place)?;
        request.state = RequestState::Running { cancelled: None };
        request.dispatched = true;
        request.times.dispatched = now;
        let (graph, priority, generation) = (request.graph, request.priority, request.generation);
        self.run_lists.get_mut(priority.level())?.remove(&mut self.contexts, place);
        self.queued = self.queued.saturating_sub(1);
        if !self.in_flight.insert(priority, Running { request: place, graph }) {
            self.fault();
        }
        self.owed.note_execution(&mut self.hang, now);
        let threads = priority.threads();
        let request = place.with_generation(generation);
        self.record(now, TraceKind::Dispatched, request, threads.hmx.into());
        let object = self.graphs.get(graph).ok();
        let hvx_threads = object.map_or(0, |graph| graph.hvx_threads);
        let (epoch, priority, io) = (self.ssr.epoch(), threads, memories(object, place.slot));
        Some(Command::Execute { request, graph, epoch, priority, hvx_threads, io })
    }

    /// The request most important to start now. Looks at no more than [`DISPATCH_WINDOW`] requests
    /// of each priority.
    pub(super) fn next_to_start(&self) -> Option<RequestRef> {
        if self.queued == 0 || self.state() != State::Online {
            return None;
        }
        Priority::ALL.into_iter().find_map(|priority| self.runnable(priority))
    }

    /// The first of the three requests at the head of a priority's list that can run beside what
    /// runs. Those of a graph that the fallback still executes are passed over: they would keep all
    /// others from the device for as long as the CPU takes. Linear in their number.
    fn runnable(&self, priority: Priority) -> Option<RequestRef> {
        let mut next = self.run_lists.get(priority.level())?.front();
        if next.is_none() || !self.in_flight.has_room(priority) {
            return None;
        }
        for _ in 0..DISPATCH_WINDOW {
            let (place, graph) = self.beside_fallback(next)?;
            if !self.in_flight.runs(graph) {
                return Some(place);
            }
            next = List::after(&self.contexts, place);
        }
        None
    }

    /// The first request from `next` on whose graph the fallback does not execute.
    fn beside_fallback(&self, mut next: Option<RequestRef>) -> Option<(RequestRef, GraphId)> {
        loop {
            let place = next?;
            let graph = self.contexts.node(place)?.graph;
            if !self.fallback.runs(graph) {
                return Some((place, graph));
            }
            next = List::after(&self.contexts, place);
        }
    }

    pub(super) fn on_executed(
        &mut self,
        now: Instant,
        id: RequestId,
        result: Result<ExecutionReport, ExecuteError>,
    ) {
        let place = self.find(id).filter(|place| self.in_flight.remove(*place));
        let Some(request) = place.and_then(|place| self.contexts.node_mut(place)) else {
            return self.late();
        };
        let cancelled = match request.state {
            RequestState::Running { cancelled } => cancelled,
            _ => None,
        };
        let outcome = match result {
            Ok(report) => {
                request.times.device_time_us = report.device_time_us;
                request.times.cycles = report.cycles;
                request.times.yields = report.yields;
                let (graph, profile) = (request.graph, request.profile);
                if let Some(profile) = profile.and_then(|id| self.profiles.get_mut(id).ok()) {
                    profile.executed(graph, &report);
                }
                Outcome::Completed
            }
            Err(ExecuteError::Aborted) => cancelled.unwrap_or(Outcome::Aborted),
            Err(_) => Outcome::Failed,
        };
        self.owed.paid_execution(&mut self.hang, now);
        if let Some(place) = place {
            self.finish(now, place, outcome);
        }
    }

    /// Gives a request its one outcome. It is in no run list, not running, and not done.
    pub(super) fn finish(&mut self, now: Instant, place: RequestRef, outcome: Outcome) {
        let Some(request) = self.contexts.node_mut(place) else { return self.fault() };
        request.state = RequestState::Done(outcome);
        request.times.completed = now;
        let (graph, mode, profile) = (request.graph, request.mode, request.profile);
        let (times, watched) = (request.times, request.watched);
        let kind = if request.dispatched { TraceKind::Ended } else { TraceKind::Withdrawn };
        let id = place.with_generation(request.generation);
        if request.deadline != Instant::FAR {
            self.deadlines.remove(&mut self.contexts, place);
        }
        if watched {
            self.return_outputs(place, graph);
        }
        if let Ok(graph) = self.graphs.get_mut(graph) {
            let active = match mode {
                Mode::Asynchronous => &mut graph.active_async,
                Mode::Blocking => &mut graph.active_blocking,
            };
            *active = active.saturating_sub(1);
        }
        if let Some(profile) = profile.and_then(|id| self.profiles.get_mut(id).ok()) {
            profile.end(&times, mode);
        }
        if let Some(context) = self.contexts.at_mut(place.context) {
            context.counts.count(outcome);
        }
        if mode == Mode::Asynchronous {
            self.done.push_back(&mut self.contexts, place);
        }
        self.record(now, kind, id, outcome as u32);
        self.advance_close(place.context);
    }

    /// Oldest asynchronous completion that was not heard.
    fn take_completion(&mut self) -> Option<Completion> {
        let place = self.done.pop_front(&mut self.contexts)?;
        let heard = self.hear(place);
        if heard.is_none() {
            self.fault();
        }
        heard
    }

    /// Frees the slot of an ended request; the completion is the caller's to deliver. `None` if it
    /// has not ended.
    fn hear(&mut self, place: RequestRef) -> Option<Completion> {
        let context = self.contexts.at_mut(place.context)?;
        let request = context.queue.get(place.slot)?;
        let RequestState::Done(outcome) = request.state else { return None };
        let id = place.with_generation(request.generation);
        let (user_data, times) = (request.user_data, request.times);
        context.queue.release_slot(place.slot);
        self.advance_close(place.context);
        Some(Completion { request: id, user_data, outcome, times })
    }

    /// The next completion to hear. Requests caught by a restart get their outcome here, once the
    /// connection is back or lost. Constant time, amortised: each caught request is moved once.
    pub(super) fn next_completion(&mut self, now: Instant) -> Option<Completion> {
        loop {
            if let Some(completion) = self.take_completion() {
                return Some(completion);
            }
            let caught = self.interrupted.front()?;
            self.settle(now, caught)?;
        }
    }

    fn settle(&mut self, now: Instant, place: RequestRef) -> Option<()> {
        let context = self.contexts.at(place.context)?;
        let outcome = match self.state() {
            // It is in `held`.
            State::AfterPowerUp if context.recovery.is_managed() => return None,
            State::Online if context.state == ContextState::Lost => Outcome::DeviceLost,
            State::Online | State::AfterPowerUp => Outcome::DeviceReset,
            State::Lost => Outcome::DeviceLost,
            State::BeforeShutdown | State::AfterShutdown | State::BeforePowerUp => return None,
        };
        self.interrupted.remove(&mut self.contexts, place);
        self.finish(now, place, outcome);
        Some(())
    }

    pub(super) fn expire_deadlines(&mut self, now: Instant) {
        for _ in 0..DEADLINES_PER_CALL {
            let Some(place) = self.deadlines.pop_expired(&mut self.contexts, now) else { return };
            self.end_early(now, place, Outcome::TimedOut);
        }
    }

    /// Ends a queued request with `outcome`, or has the device stop a running one. `false` if it
    /// ends anyway.
    pub(super) fn end_early(&mut self, now: Instant, place: RequestRef, outcome: Outcome) -> bool {
        let Some(request) = self.contexts.node_mut(place) else { return false };
        match request.state {
            RequestState::Queued => {
                self.leave_run_list(place);
                self.fallback.changed();
                self.finish(now, place, outcome);
                true
            }
            RequestState::Aside => {
                self.fallback.take_aside();
                self.fallback.changed();
                self.finish(now, place, outcome);
                true
            }
            RequestState::OnFallback { cancelled: None } => {
                request.state = RequestState::OnFallback { cancelled: Some(outcome) };
                self.fallback.abort();
                true
            }
            RequestState::Running { cancelled: None } => {
                request.state = RequestState::Running { cancelled: Some(outcome) };
                let id = place.with_generation(request.generation);
                self.send(Control::Abort(id));
                true
            }
            _ => false,
        }
    }

    pub(super) fn find(&self, id: RequestId) -> Option<RequestRef> {
        let place = RequestRef { context: id.context, slot: id.slot };
        let request = self.contexts.node(place)?;
        let live = request.state != RequestState::Free && request.generation == id.generation;
        live.then_some(place)
    }

    fn check_profile(&self, profile: Option<ProfileId>) -> Result<(), SubmitError> {
        match profile.map(|id| self.profiles.get(id)) {
            Some(Err(_)) => Err(SubmitError::BadProfile),
            Some(Ok(profile)) if profile.in_use => Err(SubmitError::ProfileInUse),
            _ => Ok(()),
        }
    }
}

impl super::objects::Graph<'_> {
    /// Fills the row of `slot` with the memory of each tensor, by id.
    fn bind(&mut self, slot: u16, io: &(impl IoSource + ?Sized)) -> Result<(), SubmitError> {
        let (tensors, row) = self.row_mut(slot);
        if io.count() != tensors.len() {
            return Err(SubmitError::WrongTensorCount);
        }
        for (index, (tensor, memory)) in tensors.iter().zip(row).enumerate() {
            let is_it = |binding: &IoBinding| binding.tensor_id == tensor.id;
            let in_order = io.binding(index).filter(is_it);
            let elsewhere = || {
                // A tensor that is both written and read comes twice, as an input first.
                let same = tensors.iter().take(index).filter(|other| other.id == tensor.id);
                let mut others = (0..io.count()).filter_map(|other| io.binding(other));
                others.by_ref().filter(is_it).nth(same.count())
            };
            let binding = in_order.or_else(elsewhere);
            *memory = binding
                .filter(|binding| !binding.memory.is_empty())
                .and_then(|binding| binding.memory.part(0, tensor.size_bytes))
                .ok_or(SubmitError::BadTensor(tensor.id))?;
        }
        Ok(())
    }
}
