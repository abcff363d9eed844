//! Contexts, graphs and buffers: what they wait for, and how they go.

use htp_runtime::device::PrepareError;
use htp_runtime::error::HandleError;
use htp_runtime::handle::{BufferId, ContextId, Epoch, GraphId};
use htp_runtime::runtime::IoOwnership;
use htp_runtime::sched::Priority;

use super::{Due, Fallback, Model, Phase, Policy, Rebuild, Stage};

/// Life of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContextState {
    Creating,
    Ready,
    Failed(PrepareError),
    Closing,
    /// The budget of its recovery is spent.
    Lost,
}

/// A context.
#[derive(Debug, Clone, Hash)]
pub struct Context {
    pub id: ContextId,
    pub state: ContextState,
    /// Life of the DSP in which the device was told of it.
    pub epoch: Epoch,
    pub policy: Policy,
    pub ownership: IoOwnership,
    /// Requests accepted though they write what another one writes.
    pub overlaps: u64,
    pub rebuild: Rebuild,
    pub fallback: Option<Fallback>,
    pub depth: u16,
    pub priority: Priority,
    /// The device owes its creation.
    pub creating: bool,
    /// The device owes its release.
    pub releasing: bool,
    /// The device has it.
    pub on_device: bool,
    /// Requests accepted, and ended by outcome: completed, timed out, aborted, failed.
    pub submitted: u64,
    pub ended: [u64; 4],
    /// Executed by the CPU.
    pub on_fallback: u64,
}

/// Life of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GraphState {
    Composing,
    Preparing,
    Ready,
    /// Was ready; the device prepares it anew.
    Rebuilding,
    /// Was ready; what the rebuild has made of it leaves the device.
    Undoing,
    Failed(PrepareError),
    Releasing,
}

/// A graph.
#[derive(Debug, Clone, Hash)]
pub struct Graph {
    pub id: GraphId,
    pub context: ContextId,
    pub state: GraphState,
    /// Life of the DSP in which the device was told of it.
    pub told: Option<Epoch>,
    pub priority: Priority,
    /// The fallback of its context covers it.
    pub on_fallback: bool,
}

/// Life of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BufferState {
    Mapping,
    Mapped,
    /// As of a graph.
    Rebuilding,
    Undoing,
    Failed(PrepareError),
}

/// A registered buffer.
#[derive(Debug, Clone, Hash)]
pub struct Buffer {
    pub id: BufferId,
    pub context: ContextId,
    pub state: BufferState,
    pub told: Option<Epoch>,
    /// Its block in the pool.
    pub block: u16,
}

impl Model {
    /// A context in the table.
    pub fn context(&self, id: ContextId) -> Option<&Context> {
        self.contexts.iter().find(|context| context.id == id)
    }

    pub(super) fn context_mut(&mut self, id: ContextId) -> Option<&mut Context> {
        self.contexts.iter_mut().find(|context| context.id == id)
    }

    /// A graph in the table.
    pub fn graph(&self, id: GraphId) -> Option<&Graph> {
        self.graphs.iter().find(|graph| graph.id == id)
    }

    pub(super) fn graph_mut(&mut self, id: GraphId) -> Option<&mut Graph> {
        self.graphs.iter_mut().find(|graph| graph.id == id)
    }

    /// What a call on this context is answered, if it cannot work.
    pub fn context_usable(&self, id: ContextId) -> Result<&Context, HandleError> {
        let context = self.context(id).ok_or(HandleError::Invalid)?;
        if context.state == ContextState::Closing {
            return Err(HandleError::Invalid);
        }
        self.alive(context).map(|()| context)
    }

    /// What a call on something of this context is answered, if it cannot work. Handles of managed
    /// contexts outlive a restart.
    pub(super) fn alive(&self, context: &Context) -> Result<(), HandleError> {
        if self.link.phase == Phase::Lost || context.state == ContextState::Lost {
            return Err(HandleError::Lost);
        }
        match context.policy {
            Policy::Native => self.usable(context.epoch),
            Policy::Managed { .. } => Ok(()),
        }
    }

    /// As `context_usable`, of a graph: it needs its context.
    pub fn graph_usable(&self, id: GraphId) -> Result<&Graph, HandleError> {
        let graph = self.graph(id).ok_or(HandleError::Invalid)?;
        self.context_usable(graph.context).map(|_| graph)
    }

    /// Requests that new contexts may still have.
    pub fn requests_free(&self) -> u16 {
        let taken: u16 = self.contexts.iter().map(|context| context.depth).sum();
        self.setup.capacities.requests - taken
    }

    /// Whether the device owes this context an answer, about itself or its graphs.
    pub(super) fn waits(&self, context: &Context) -> bool {
        let graph_waits = |graph: &Graph| {
            let told = graph.told == Some(self.epoch());
            let owed = match graph.state {
                GraphState::Preparing | GraphState::Rebuilding | GraphState::Undoing => told,
                GraphState::Releasing => true,
                GraphState::Composing | GraphState::Ready | GraphState::Failed(_) => false,
            };
            graph.context == context.id && owed
        };
        context.creating || context.releasing || self.graphs.iter().any(graph_waits)
    }

    /// Whether it owes an answer about a buffer.
    fn buffer_waits(&self, buffer: &Buffer) -> bool {
        let idle = matches!(buffer.state, BufferState::Mapped | BufferState::Failed(_));
        !idle && buffer.told == Some(self.epoch())
    }

    /// Whether it owes an answer about a buffer of this context.
    pub(super) fn waits_for_buffers(&self, context: ContextId) -> bool {
        self.buffers.iter().any(|buffer| buffer.context == context && self.buffer_waits(buffer))
    }

    /// Whether the device owes any answer about objects of this epoch.
    pub fn awaits_objects(&self) -> bool {
        let now = self.epoch();
        self.contexts.iter().any(|context| context.epoch == now && self.waits(context))
            || self.buffers.iter().any(|buffer| self.buffer_waits(buffer))
    }

    /// A context whose objects were all answered is usable.
    pub(super) fn advance_creation(&mut self, id: ContextId, error: Option<PrepareError>) {
        let Some(context) = self.context(id) else { return };
        let state = match (context.state, error) {
            (ContextState::Creating, Some(error)) => ContextState::Failed(error),
            // One that is rebuilt is ready when all of it is.
            (ContextState::Creating, None)
                if !self.waits(context) && context.rebuild.stage == Stage::Settled =>
            {
                ContextState::Ready
            }
            (state, _) => state,
        };
        if let Some(context) = self.context_mut(id) {
            context.state = state;
        }
    }

    /// Whatever can go on going away does.
    pub(super) fn advance_teardown(&mut self) {
        let closing = |context: &&Context| context.state == ContextState::Closing;
        let ids: Vec<_> = self.contexts.iter().filter(closing).map(|context| context.id).collect();
        for id in ids {
            let Some(context) = self.context(id).cloned() else { continue };
            if self.on_cpu().is_some_and(|request| request.context == id) {
                continue;
            }
            match self.usable(context.epoch) {
                Ok(()) => self.close_on_device(&context),
                Err(HandleError::Recovering) => {}
                Err(_) => self.close_on_host(&context),
            }
        }
    }

    fn close_on_device(&mut self, context: &Context) {
        let id = context.id;
        let runs = self.requests.iter().any(|request| request.context == id && request.runs());
        if runs || self.waits(context) {
            return;
        }
        let mut releasing = Vec::new();
        let now = Some(self.epoch());
        self.graphs.retain_mut(|graph| {
            if graph.context == id && graph.state == GraphState::Ready && graph.told == now {
                graph.state = GraphState::Releasing;
                releasing.push(graph.id);
            }
            graph.context != id || graph.state == GraphState::Releasing
        });
        if !releasing.is_empty() {
            releasing.into_iter().for_each(|graph| self.owe(Due::GraphRelease(graph)));
            return;
        }
        let mapped: Vec<_> = self.buffers.iter().filter(|b| b.context == id).cloned().collect();
        for buffer in mapped {
            self.drop_buffer(buffer.id);
        }
        if context.on_device {
            if let Some(context) = self.context_mut(id) {
                context.releasing = true;
            }
            // Apart from the buffers, which must be gone before it.
            self.begin();
            self.owe(Due::ContextRelease(id));
        } else {
            self.close_on_host(context);
        }
    }

    fn close_on_host(&mut self, context: &Context) {
        let id = context.id;
        if self.requests.iter().all(|request| request.context != id) {
            self.graphs.retain(|graph| graph.context != id);
            self.buffers.retain(|buffer| buffer.context != id);
            self.contexts.retain(|context| context.id != id);
        }
    }

    /// A buffer goes; the device hears of it if it heard of the buffer.
    pub(super) fn drop_buffer(&mut self, id: BufferId) {
        let Some(place) = self.buffers.iter().position(|buffer| buffer.id == id) else { return };
        let buffer = self.buffers.remove(place);
        if buffer.told != Some(self.epoch()) || !self.link.is_up() {
            return;
        }
        let undoing = buffer.state == BufferState::Undoing;
        let last = if undoing { Due::BufferUnmap(id) } else { Due::BufferMap(id) };
        let unsent = self.owed.iter().position(|(_, due)| *due == last);
        match unsent {
            Some(_) if undoing => {}
            Some(place) => drop(self.owed.remove(place)),
            None => {
                self.owed_for_gone += u32::from(self.buffer_waits(&buffer));
                if !undoing {
                    self.owe(Due::BufferUnmap(id));
                }
            }
        }
    }
}
