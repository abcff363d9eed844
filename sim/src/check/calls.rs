//! Calls of clients: what each must answer, and what it changes.

use htp_runtime::capability::Capabilities;
use htp_runtime::error::{
    CancelError, CreateError, HandleError, RecoveryError, Status, SubmitError,
};
use htp_runtime::event::Outcome;
use htp_runtime::handle::{BufferId, ContextId, GraphId, RequestId};
use htp_runtime::limits::QUEUE_DEPTH_MAX;
use htp_runtime::queue::Mode;
use htp_runtime::runtime::IoOwnership;
use htp_runtime::sched::Priority;
use htp_runtime::time::Instant;

use super::{
    ensure, Accepted, Buffer, BufferState, Check, Context, ContextState, Due, Graph, GraphState,
    Model, Policy, Rebuild, RequestState, Stage,
};
use crate::memory::TENSOR_IDS;
use crate::plan::Tensors;
use crate::trace::shown;

/// A submission as the client meant it.
#[derive(Debug, Clone, Copy)]
pub struct Submission {
    pub graph: GraphId,
    pub mode: Mode,
    pub deadline: Option<Instant>,
    pub tensors: Tensors,
    pub word: u32,
    pub block: u16,
    /// Where its output lies in the memory of the clients.
    pub output: (usize, usize),
}

impl Model {
    pub(super) fn has(&self, capability: Capabilities) -> bool {
        self.setup.capabilities.contains(capability)
    }

    fn allowed(&self, priority: Priority) -> Priority {
        if self.has(Capabilities::PRIVILEGED_PRIORITY) {
            priority
        } else {
            priority.max(Priority::Normal)
        }
    }

    /// Why such a context cannot be created now, or nothing.
    pub fn context_refusals(&self, depth: u16, policy: Policy) -> Vec<CreateError> {
        if let Err(error) = self.usable(self.epoch()) {
            return vec![error.into()];
        }
        let mut reasons = Vec::new();
        if depth == 0 || depth > QUEUE_DEPTH_MAX {
            reasons.push(CreateError::Config);
        }
        let managed = policy != Policy::Native;
        if managed && !self.has(Capabilities::SUBSYSTEM_RESTART) {
            reasons.push(CreateError::Recovery(RecoveryError::NotSupported));
        }
        let table_full = self.contexts.len() >= usize::from(self.setup.capacities.contexts);
        if table_full || depth > self.requests_free() {
            reasons.push(CreateError::CapacityExceeded);
        }
        reasons
    }

    /// A context was accepted.
    pub fn context_created(
        &mut self,
        id: ContextId,
        depth: u16,
        priority: Priority,
        policy: Policy,
    ) {
        self.contexts.push(Context {
            id,
            state: ContextState::Creating,
            epoch: self.epoch(),
            policy,
            ownership: IoOwnership::Unwatched,
            overlaps: 0,
            rebuild: Rebuild::NONE,
            fallback: None,
            depth,
            priority: self.allowed(priority),
            creating: true,
            releasing: false,
            on_device: false,
            submitted: 0,
            ended: [0; 4],
            on_fallback: 0,
        });
        self.owe(Due::ContextCreate(id));
    }

    /// A context's status; asking a failed one ends it.
    pub fn context_status(&mut self, id: ContextId) -> Result<Status, CreateError> {
        let context = self.context_usable(id)?;
        match context.state {
            ContextState::Creating => Ok(Status::Pending),
            ContextState::Ready if context.is_rebuilding() => Ok(Status::Pending),
            ContextState::Ready => Ok(Status::Ready),
            ContextState::Closing | ContextState::Lost => Err(HandleError::Invalid.into()),
            ContextState::Failed(error) => {
                self.close(id);
                Err(CreateError::Device(error))
            }
        }
    }

    /// A context is freed, with all that is in it.
    pub fn context_freed(&mut self, now: Instant, id: ContextId) -> Result<(), HandleError> {
        let context = self.context(id).ok_or(HandleError::Invalid)?;
        if context.state == ContextState::Closing {
            return Err(HandleError::Invalid);
        }
        let recovering = self.usable(context.epoch) == Err(HandleError::Recovering);
        if recovering && context.policy == Policy::Native {
            return Err(HandleError::Recovering);
        }
        for place in 0..self.requests.len() {
            if self.requests[place].context == id {
                self.stop(now, place, Outcome::Aborted);
            }
        }
        self.close(id);
        Ok(())
    }

    fn close(&mut self, id: ContextId) {
        if let Some(context) = self.context_mut(id) {
            context.state = ContextState::Closing;
            if context.rebuild.stage == Stage::Waiting {
                context.rebuild = Rebuild::NONE;
            }
        }
        self.begin();
        self.advance_teardown();
    }

    /// The priority of a context and all its graphs.
    pub fn context_priority(&mut self, id: ContextId, to: Priority) -> Result<(), CreateError> {
        self.context_usable(id)?;
        let frozen =
            |graph: &Graph| graph.context == id && self.active(graph.id, Mode::Asynchronous) > 0;
        if self.graphs.iter().any(frozen) {
            return Err(CreateError::Config);
        }
        let to = self.allowed(to);
        self.graphs.iter_mut().filter(|g| g.context == id).for_each(|g| g.priority = to);
        if let Some(context) = self.context_mut(id) {
            context.priority = to;
        }
        Ok(())
    }

    /// The priority of a graph.
    pub fn graph_priority(&mut self, id: GraphId, to: Priority) -> Result<(), CreateError> {
        self.graph_usable(id)?;
        if self.active(id, Mode::Asynchronous) > 0 {
            return Err(CreateError::Config);
        }
        let to = self.allowed(to);
        if let Some(graph) = self.graph_mut(id) {
            graph.priority = to;
        }
        Ok(())
    }

    /// Why a graph cannot be made in this context now, or nothing.
    pub fn graph_refusals(&self, context: ContextId, composed: bool) -> Vec<CreateError> {
        let mut reasons = Vec::new();
        if composed && !self.has(Capabilities::ONLINE_COMPOSITION) {
            reasons.push(CreateError::NotSupported);
        }
        match self.context_usable(context).map(|context| context.state) {
            Err(error) => reasons.push(error.into()),
            Ok(ContextState::Ready) => {}
            Ok(ContextState::Creating) if !composed => {}
            Ok(_) => reasons.push(HandleError::Invalid.into()),
        }
        if self.graphs.len() >= usize::from(self.setup.capacities.graphs) {
            reasons.push(CreateError::CapacityExceeded);
        }
        reasons
    }

    /// A graph was accepted: composed ones are prepared later.
    pub fn graph_created(
        &mut self,
        id: GraphId,
        context: ContextId,
        priority: Option<Priority>,
        composed: bool,
    ) {
        let inherited = self.context(context).map_or(Priority::DEFAULT, |c| c.priority);
        let state = if composed { GraphState::Composing } else { GraphState::Preparing };
        let priority = self.allowed(priority.unwrap_or(inherited));
        let (told, on_fallback) = (None, false);
        self.graphs.push(Graph { id, context, state, told, priority, on_fallback });
        if !composed {
            self.tell_of_graph(id, context);
        }
    }

    /// The device hears of a graph now, or when the rebuild of its context comes to it.
    fn tell_of_graph(&mut self, id: GraphId, context: ContextId) {
        if self.context(context).is_some_and(|context| context.rebuild.comes_to_graphs()) {
            return;
        }
        let told = Some(self.epoch());
        if let Some(graph) = self.graph_mut(id) {
            graph.told = told;
        }
        self.owe(Due::GraphPrepare(id));
    }

    /// Composition ends.
    pub fn graph_finalized(&mut self, id: GraphId) -> Result<(), CreateError> {
        let graph = self.graph_usable(id)?;
        if graph.state != GraphState::Composing {
            return Err(CreateError::AlreadyFinalized);
        }
        let context = graph.context;
        if let Some(graph) = self.graph_mut(id) {
            graph.state = GraphState::Preparing;
        }
        self.tell_of_graph(id, context);
        Ok(())
    }

    /// A graph's status.
    pub fn graph_status(&self, id: GraphId) -> Result<Status, CreateError> {
        let graph = self.graph_usable(id)?;
        let rebuilding = self.context(graph.context).is_some_and(Context::is_rebuilding);
        match graph.state {
            GraphState::Ready if rebuilding => Ok(Status::Pending),
            GraphState::Ready => Ok(Status::Ready),
            GraphState::Preparing | GraphState::Rebuilding | GraphState::Undoing => {
                Ok(Status::Pending)
            }
            GraphState::Failed(error) => Err(CreateError::Device(error)),
            GraphState::Composing | GraphState::Releasing => Err(HandleError::Invalid.into()),
        }
    }

    /// Why a buffer cannot be registered now, or nothing.
    pub fn buffer_refusals(&self, context: ContextId, empty: bool) -> Vec<CreateError> {
        let mut reasons = Vec::new();
        if !self.has(Capabilities::SHARED_BUFFERS) {
            reasons.push(CreateError::NotSupported);
        }
        match self.context_usable(context).map(|context| context.state) {
            Err(error) => reasons.push(error.into()),
            Ok(ContextState::Failed(_)) => reasons.push(HandleError::Invalid.into()),
            Ok(_) => {}
        }
        if empty {
            reasons.push(CreateError::Config);
        }
        if self.buffers.len() >= usize::from(self.setup.capacities.buffers) {
            reasons.push(CreateError::CapacityExceeded);
        }
        reasons
    }

    /// A buffer was accepted.
    pub fn buffer_registered(&mut self, id: BufferId, context: ContextId, block: u16) {
        let later = self.context(context).is_some_and(|c| c.rebuild.comes_to_buffers());
        let told = (!later).then_some(self.epoch());
        self.buffers.push(Buffer { id, context, state: BufferState::Mapping, told, block });
        if !later {
            self.owe(Due::BufferMap(id));
        }
    }

    /// A buffer's status.
    pub fn buffer_status(&self, id: BufferId) -> Result<Status, CreateError> {
        let buffer = self.buffers.iter().find(|buffer| buffer.id == id);
        let buffer = buffer.ok_or(HandleError::Invalid)?;
        let context = self.context(buffer.context).ok_or(HandleError::Invalid)?;
        self.alive(context)?;
        match buffer.state {
            BufferState::Mapped if context.is_rebuilding() => Ok(Status::Pending),
            BufferState::Mapped => Ok(Status::Ready),
            BufferState::Mapping | BufferState::Rebuilding | BufferState::Undoing => {
                Ok(Status::Pending)
            }
            BufferState::Failed(error) => Err(CreateError::Device(error)),
        }
    }

    /// A buffer goes.
    pub fn buffer_deregistered(&mut self, id: BufferId) -> Result<(), HandleError> {
        let known = self.buffers.iter().any(|buffer| buffer.id == id);
        self.drop_buffer(id);
        known.then_some(()).ok_or(HandleError::Invalid)
    }

    /// Every reason why this is not accepted; accepted if there is none.
    fn submit_refusals(&self, submission: &Submission) -> Vec<SubmitError> {
        let graph = match self.graph_to_execute(submission.graph) {
            Ok(graph) => graph,
            Err(error) => return vec![error.into()],
        };
        let mut reasons = Vec::new();
        let other = match submission.mode {
            Mode::Asynchronous => Mode::Blocking,
            Mode::Blocking => Mode::Asynchronous,
        };
        if submission.mode == Mode::Asynchronous && !self.has(Capabilities::ASYNC_EXECUTION) {
            reasons.push(SubmitError::AsyncNotSupported);
        }
        let context = self.context(graph.context);
        let was_ready = |state| matches!(state, ContextState::Ready | ContextState::Lost);
        let in_ready = context.is_some_and(|context| was_ready(context.state));
        let rebuilding = context.is_some_and(Context::is_rebuilding);
        match graph.state {
            _ if !in_ready => reasons.push(SubmitError::NotFinalized),
            GraphState::Ready if !rebuilding => {}
            GraphState::Ready | GraphState::Rebuilding | GraphState::Undoing => {
                if !context.is_some_and(|context| context.policy.keeps_queued()) {
                    reasons.push(HandleError::Recovering.into());
                }
            }
            _ => reasons.push(SubmitError::NotFinalized),
        }
        if self.active(graph.id, other) > 0 {
            reasons.push(SubmitError::MixedModes);
        }
        let depth = context.map_or(0, |context| usize::from(context.depth));
        if self.used(graph.context) >= depth {
            reasons.push(SubmitError::QueueFull);
        }
        match submission.tensors {
            Tensors::OneMissing => reasons.push(SubmitError::WrongTensorCount),
            Tensors::TooShort => reasons.push(SubmitError::BadTensor(TENSOR_IDS[1])),
            Tensors::Right | Tensors::OtherOrder | Tensors::Common(_) => {}
        }
        if context.is_some_and(|context| context.ownership == IoOwnership::Refused) {
            if self.overlaps(submission.output) {
                reasons.push(SubmitError::OutputInUse(TENSOR_IDS[1]));
            } else if self.watched_room() == 0 {
                reasons.push(SubmitError::QueueFull);
            }
        }
        reasons
    }

    /// The runtime accepted a submission or did not.
    pub fn submitted(
        &mut self,
        now: Instant,
        submission: &Submission,
        result: &Result<RequestId, SubmitError>,
    ) -> Check {
        let reasons = self.submit_refusals(submission);
        // Whether a blocking request that a restart caught has ended may not be certain.
        let maybe_mixed = reasons == [SubmitError::MixedModes]
            && submission.mode == Mode::Asynchronous
            && self.may_have_ended(submission.graph);
        let fits = match result {
            Ok(_) => reasons.is_empty() || maybe_mixed,
            Err(error) => reasons.contains(error),
        };
        ensure!(fits, "accepted if and only if there is room", "{result:?}, given {reasons:?}");
        let (Ok(id), Some(graph)) = (result, self.graph(submission.graph)) else { return Ok(()) };
        let (id, context, priority) = (*id, graph.context, graph.priority);
        let depth = self.context(context).map_or(0, |context| context.depth);
        let taken = |other: &Accepted| {
            let same_place = other.id.context == id.context && other.id.slot == id.slot;
            same_place || other.id.generation == id.generation
        };
        let fresh = id.slot < depth && !self.requests.iter().any(taken);
        ensure!(fresh, "a request has a place of its own", "{}", shown(id));
        let watched = self.watch(context, submission.output);
        let common = match submission.tensors {
            Tensors::Common(place) => Some(place),
            _ => None,
        };
        self.requests.push(Accepted {
            id,
            common,
            watched,
            word: submission.word,
            heard_word: submission.word,
            context,
            graph: submission.graph,
            priority,
            mode: submission.mode,
            block: submission.block,
            state: RequestState::Queued,
            deadline: submission.deadline,
            submitted: now,
            dispatched: Instant::ZERO,
            report: None,
            on_fallback: false,
            passed: false,
            passed_lost: false,
        });
        if let Some(context) = self.context_mut(context) {
            context.submitted += 1;
        }
        Ok(())
    }

    /// A request is to end early.
    pub fn cancelled(&mut self, now: Instant, id: RequestId) -> Result<(), CancelError> {
        let place = self.place_of(id).ok_or(CancelError::Invalid)?;
        let stopped = self.stop(now, place, Outcome::Aborted);
        self.advance_teardown();
        stopped.then_some(()).ok_or(CancelError::Ending)
    }
}
