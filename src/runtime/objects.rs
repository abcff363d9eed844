//! What the runtime's tables hold.

use super::fallback::Turn;
use super::ownership::IoOwnership;
use super::rebuild::{Phase, Rebuild};
use crate::device::{GraphReport, PrepareError};
use crate::error::HandleError;
use crate::graph::{GraphBuilder, GraphTable};
use crate::handle::{kind, ContextId, Epoch};
use crate::memory::ClientMemory;
use crate::queue::{Nodes, Queue, Request, RequestRef};
use crate::region::{RegionSlice, SharedBytes};
use crate::sched::Priority;
use crate::slots::Slots;
use crate::ssr::Recovery;

/// Life of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ContextState {
    /// The device sets it, or its graphs, up.
    Creating,
    Ready,
    /// The device refused; the client learns why and the context is torn down.
    Failed(PrepareError),
    /// Freed by the client; goes when its requests are heard and the device has let go.
    Closing,
    /// Its recovery's budget is spent; only releasing works.
    Lost,
}

pub(super) struct Context<'m> {
    pub state: ContextState,
    /// The life of the DSP in which the device was told of it last.
    pub epoch: Epoch,
    pub recovery: Recovery,
    pub rebuild: Rebuild,
    pub fallback: Option<Turn>,
    pub priority: Priority,
    /// Its graphs are not executed (CTX-042).
    pub prepare_only: bool,
    pub ownership: IoOwnership,
    pub queue: Queue<'m>,
    /// The binary it was loaded from, which its graphs' tables are parts of.
    pub binary: Option<SharedBytes<'m>>,
    /// The device's answers to creation and release of the context itself are awaited.
    pub create_due: bool,
    pub release_due: bool,
    /// All answers that the device owes to the context: those two, and those for its graphs.
    pub answers_due: u16,
    /// Those that it owes for buffers.
    pub maps_due: u16,
    pub graphs: u16,
    /// The device knows the context.
    pub on_device: bool,
    /// One builder with the tensors of its own, if it has any.
    pub tensors: RegionSlice<'m, GraphBuilder<'m>>,
    pub counts: super::ContextCounts,
}

impl Context<'_> {
    /// Whether it lives, or may come to.
    pub fn is_alive(&self) -> bool {
        matches!(self.state, ContextState::Creating | ContextState::Ready)
    }

    /// Whether its requests that have not gone to the device wait for its rebuild.
    pub fn keeps_queued(&self) -> bool {
        self.recovery.keeps_queued() && self.rebuild.phase == Phase::Waiting
    }

    /// Whether the device owes answers about it or its objects.
    pub fn awaits(&self) -> bool {
        self.answers_due > 0 || self.maps_due > 0
    }
}

/// Life of a graph.
#[allow(clippy::large_enum_variant, reason = "there is no heap to put the builder on")]
pub(super) enum GraphState<'m> {
    Composing(GraphBuilder<'m>),
    Preparing,
    Ready,
    /// Was ready before a restart, and the device prepares it anew.
    Rebuilding,
    /// The rebuild of its context is taken back; `GraphRelease` was sent.
    Undoing,
    Failed(PrepareError),
    /// Loaded by name only (SWITCH-011).
    Disabled,
    /// Teardown of its context; `GraphRelease` was sent.
    Releasing,
}

/// An input or output as submit sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct IoTensor {
    pub id: u32,
    pub size_bytes: usize,
    pub is_output: bool,
}

pub(super) struct Graph<'m> {
    pub state: GraphState<'m>,
    pub context: ContextId,
    /// The life of the DSP in which the device was told of it last.
    pub told: Option<Epoch>,
    pub priority: Priority,
    pub table: Option<SharedBytes<'m>>,
    /// Inputs, then outputs.
    pub io: RegionSlice<'m, IoTensor>,
    /// One row of `io.len()` memories for each slot of the context's queue.
    pub rows: RegionSlice<'m, ClientMemory>,
    /// Requests of each kind between submit and completion.
    pub active_async: u16,
    pub active_blocking: u16,
    pub report: GraphReport,
    /// HVX threads of its executions; 0: all there are.
    pub hvx_threads: u32,
    /// An execution was accepted.
    pub executed: bool,
    /// The fallback may execute it.
    pub on_fallback: bool,
}

impl Graph<'_> {
    /// The table, of a finalized graph.
    pub fn open_table(&self) -> Result<GraphTable<'_>, HandleError> {
        let table = self.table.as_deref().ok_or(HandleError::Invalid)?;
        GraphTable::open(table).map_err(|_| HandleError::Invalid)
    }

    /// The memories of the request in `slot`.
    pub fn row(&self, slot: u16) -> &[ClientMemory] {
        let start = usize::from(slot).saturating_mul(self.io.len());
        let row = self.rows.get(start..).and_then(|rows| rows.get(..self.io.len()));
        row.unwrap_or(&[])
    }

    /// The inputs and outputs, and the row of `slot` to fill.
    pub fn row_mut(&mut self, slot: u16) -> (&[IoTensor], &mut [ClientMemory]) {
        let len = self.io.len();
        let start = usize::from(slot).saturating_mul(len);
        let row = self.rows.get_mut(start..).and_then(|rows| rows.get_mut(..len));
        (&self.io, row.unwrap_or(&mut []))
    }
}

/// Life of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum BufferState {
    /// Registered; the device has not answered.
    Mapping,
    Ready,
    /// Was ready before a restart, and the device maps it anew.
    Rebuilding,
    /// The rebuild of its context is taken back; `BufferUnmap` was sent.
    Undoing,
    Failed(PrepareError),
}

/// A registered buffer.
pub(super) struct Buffer {
    pub state: BufferState,
    pub context: ContextId,
    /// The life of the DSP in which the device was told of it last.
    pub told: Option<Epoch>,
    pub memory: ClientMemory,
}

pub(super) type Contexts<'m> = Slots<'m, kind::Context, Context<'m>>;
pub(super) type Graphs<'m> = Slots<'m, kind::Graph, Graph<'m>>;
pub(super) type Buffers<'m> = Slots<'m, kind::Buffer, Buffer>;

impl Nodes for Contexts<'_> {
    fn node(&self, place: RequestRef) -> Option<&Request> {
        self.at(place.context)?.queue.get(place.slot)
    }

    fn node_mut(&mut self, place: RequestRef) -> Option<&mut Request> {
        self.at_mut(place.context)?.queue.get_mut(place.slot)
    }
}
