//! What stands below the runtime: a [`Device`] takes commands and answers with events.
//!
//! The virtual HTP ([`crate::vhtp`]), a vendor backend and the scripted device of the tests are all
//! this one trait. A device never calls back; whoever drives the runtime carries commands down and
//! events up (see the crate doc).

use bitflags::bitflags;

use crate::handle::{BufferId, ContextId, Epoch, GraphId, RequestId};
use crate::memory::ClientMemory;
use crate::power::{MemoryConfig, PowerSettings};
use crate::region::SharedBytes;
use crate::time::Instant;

/// Thread priorities of one execution on the DSP. Smaller numbers are more important (PRIO-001,
/// PRIO-002).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ThreadPriority {
    /// Priority of the matrix (HMX) threads.
    pub hmx: u8,
    /// Priority of the vector (HVX) threads: one below the matrix threads.
    pub hvx: u8,
}

/// What the runtime wants done. Every command is answered by exactly one event, except `Probe`,
/// `Abort`, `FallbackAbort`, `PowerVote` and `MemorySet`, and unless the device crashes first; then
/// nothing of that epoch is answered any more.
pub enum Command<'a, 'm> {
    /// (Re)connect to the DSP and start epoch `epoch` with nothing loaded. Answer: `Connected` or
    /// `ConnectFailed`.
    Connect {
        /// Epoch that begins.
        epoch: Epoch,
        /// Which attempt of this restart, from 1.
        attempt: u32,
    },
    /// Set up the DSP side of a context. Answer: `ContextCreated`.
    ContextCreate {
        /// The context.
        context: ContextId,
        /// Present epoch.
        epoch: Epoch,
    },
    /// Tear down a context, whose graphs and buffers were released before. Answer:
    /// `ContextReleased`.
    ContextRelease {
        /// The context.
        context: ContextId,
        /// Present epoch.
        epoch: Epoch,
    },
    /// Plan memory for a graph and make it executable. Answer: `GraphPrepared`.
    GraphPrepare {
        /// The graph.
        graph: GraphId,
        /// Its context.
        context: ContextId,
        /// Present epoch.
        epoch: Epoch,
        /// The validated graph table. The device keeps this owner until the graph is released or
        /// lost.
        table: SharedBytes<'m>,
    },
    /// Forget a graph, which no execution uses. Answer: `GraphReleased`, after the table's owner
    /// was dropped.
    GraphRelease {
        /// The graph.
        graph: GraphId,
        /// Present epoch.
        epoch: Epoch,
    },
    /// Make a shared buffer visible to the DSP. Answer: `BufferMapped`.
    BufferMap {
        /// The buffer.
        buffer: BufferId,
        /// Present epoch.
        epoch: Epoch,
        /// Its memory on the host.
        memory: ClientMemory,
    },
    /// Take a shared buffer away from the DSP. Answer: `BufferUnmapped`.
    BufferUnmap {
        /// The buffer.
        buffer: BufferId,
        /// Present epoch.
        epoch: Epoch,
    },
    /// Execute a graph once. Answer: `Executed`.
    Execute {
        /// The request.
        request: RequestId,
        /// The graph, prepared and not executing.
        graph: GraphId,
        /// Present epoch.
        epoch: Epoch,
        /// Thread priorities to run with.
        priority: ThreadPriority,
        /// HVX threads to run with; 0, or more than there are: all.
        hvx_threads: u32,
        /// Memory of the inputs, then of the outputs, in the table's order, each exactly the
        /// tensor's size. The device copies this list; the memory itself is lent until
        /// `Executed`.
        io: &'a [ClientMemory],
    },
    /// Stop an execution at the next op border. No answer of its own: the `Executed` of that
    /// request says `Aborted`, or how it ended if it was faster.
    Abort {
        /// The request.
        request: RequestId,
        /// Present epoch.
        epoch: Epoch,
    },
    /// From now on this is all that is voted for. No answer: it is in effect for every command
    /// after it. A connection begins without votes.
    PowerVote {
        /// Present epoch.
        epoch: Epoch,
        /// The most demanding of all votes.
        settings: &'a PowerSettings,
    },
    /// Configure the memory of the DSP. No answer, as above; a connection begins with the
    /// defaults.
    MemorySet {
        /// Present epoch.
        epoch: Epoch,
        /// The whole configuration.
        config: MemoryConfig,
    },
    /// Execute a graph once on the CPU, whatever state the device is in. Not the device's: for
    /// whatever executes beside it ([`crate::vhtp::WithFallback`]). Comes only if a context has a
    /// fallback; the next one after the answer, `FallbackExecuted`, which no crash takes away.
    FallbackExecute {
        /// The request.
        request: RequestId,
        /// Its graph.
        graph: GraphId,
        /// The validated graph table, kept until the answer.
        table: SharedBytes<'m>,
        /// As for `Execute`.
        io: &'a [ClientMemory],
    },
    /// Stop that execution at the next op border, as `Abort` does.
    FallbackAbort {
        /// The request.
        request: RequestId,
    },
    /// Ask for a sign of life. Answer: `Alive`; a device that hangs does not answer.
    Probe {
        /// Present epoch.
        epoch: Epoch,
    },
    /// Give the DSP up, which hangs: stop whatever runs and let go of everything of this epoch.
    /// Answer: `Crashed`. Only where nothing connects it again.
    Shutdown {
        /// Present epoch.
        epoch: Epoch,
    },
}

/// What happened on the device. An event carries the epoch of the command it answers; late ones are
/// recognised by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event {
    /// The DSP is connected; nothing is loaded on it.
    Connected {
        /// Epoch that began.
        epoch: Epoch,
    },
    /// The DSP did not come up.
    ConnectFailed {
        /// Epoch that was to begin.
        epoch: Epoch,
    },
    /// Answer to `ContextCreate`.
    ContextCreated {
        /// The context.
        context: ContextId,
        /// Epoch of the command.
        epoch: Epoch,
        /// Whether it was set up.
        result: Result<(), PrepareError>,
    },
    /// Answer to `ContextRelease`.
    ContextReleased {
        /// The context.
        context: ContextId,
        /// Epoch of the command.
        epoch: Epoch,
    },
    /// Answer to `GraphPrepare`.
    GraphPrepared {
        /// The graph.
        graph: GraphId,
        /// Epoch of the command.
        epoch: Epoch,
        /// What the graph takes, or why it cannot run. After an error the device has dropped the
        /// table.
        result: Result<GraphReport, PrepareError>,
    },
    /// Answer to `GraphRelease`.
    GraphReleased {
        /// The graph.
        graph: GraphId,
        /// Epoch of the command.
        epoch: Epoch,
    },
    /// Answer to `BufferMap`.
    BufferMapped {
        /// The buffer.
        buffer: BufferId,
        /// Epoch of the command.
        epoch: Epoch,
        /// Whether the DSP can see it.
        result: Result<(), PrepareError>,
    },
    /// Answer to `BufferUnmap`.
    BufferUnmapped {
        /// The buffer.
        buffer: BufferId,
        /// Epoch of the command.
        epoch: Epoch,
    },
    /// Answer to `Execute`. The lent memory is not touched any more.
    Executed {
        /// The request.
        request: RequestId,
        /// Epoch of the command.
        epoch: Epoch,
        /// Measurements, or why there is no result.
        result: Result<ExecutionReport, ExecuteError>,
    },
    /// Answer to `FallbackExecute`; of no epoch, as it did not live on the device. The table's
    /// owner is dropped and the lent memory is not touched any more.
    FallbackExecuted {
        /// The request.
        request: RequestId,
        /// Whether the outputs are written.
        result: Result<(), ExecuteError>,
    },
    /// Answer to `Probe`.
    Alive {
        /// Epoch of the command.
        epoch: Epoch,
        /// Steps of work done since the connection; a number that moved means progress.
        steps: u64,
        /// Whether it was told to stand still: it makes no progress and does not hang either.
        held: bool,
    },
    /// The DSP crashed, or was shut down: everything of this epoch is gone, lent memory is not
    /// touched any more.
    Crashed {
        /// Epoch that ended.
        epoch: Epoch,
    },
}

/// What a prepared graph takes on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GraphReport {
    /// Bytes of the one scratch area that holds inputs, outputs and intermediate tensors.
    pub scratch_bytes: u64,
    /// Bytes of constant data used in place.
    pub constant_bytes: u64,
    /// Operations that are executed; one that was folded into another is none of its own.
    pub ops: u32,
    /// Modelled cycles of one uninterrupted execution.
    pub cycles_estimated: u64,
    /// How long its preparation took.
    pub times: PrepareTimes,
}

/// How long the device took for each part of a preparation, on the clock of `now`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PrepareTimes {
    /// Checking the table and the operations, in microseconds.
    pub check_us: u64,
    /// Planning the memory, in microseconds.
    pub place_us: u64,
    /// Making the operations executable, in microseconds.
    pub compile_us: u64,
}

/// Measurements of one execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ExecutionReport {
    /// Device time from the first op's start to the last op's end, without the time it was
    /// yielded, in microseconds.
    pub device_time_us: u64,
    /// Cycles of the execution (modelled on the virtual HTP).
    pub cycles: u64,
    /// How often it yielded to a more important graph.
    pub yields: u32,
    /// When the first op started, on the clock of `now`.
    pub started: Instant,
    /// Cycles between its operations in which the device ran other executions.
    pub wait_cycles: u64,
    /// Vector threads that it was granted.
    pub hvx_threads: u32,
    /// Time until the vector and matrix units were powered and acquired, in microseconds; a part
    /// of the time before `started`.
    pub power_up_us: u64,
    /// The device's number of this execution, to ask [`Device::op_report`] about it.
    pub number: u64,
}

bitflags! {
    /// Units that an operation uses.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Resources: u32 {
        /// Vector units.
        const HVX = 1;
        /// Matrix unit.
        const HMX = 2;
        /// Transfers between DDR and VTCM.
        const DMA = 4;
    }
}

/// Measurements of one operation in one execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpReport {
    /// Cycles (modelled on the virtual HTP).
    pub cycles: u64,
    /// Cycles before it in which the device ran other executions; `None` if they are not known any
    /// more, because the graph was executed again.
    pub wait_cycles: Option<u64>,
    /// What it ran on.
    pub resources: Resources,
}

/// Why a context, a graph or a buffer was not set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PrepareError {
    /// The device has no memory left for it.
    OutOfMemory,
    /// Operation `op` (index in execution order) is not supported.
    UnsupportedOp {
        /// Index of the operation.
        op: u32,
    },
    /// Operation `op` has operands or parameters that do not fit it or are not supported.
    InvalidOp {
        /// Index of the operation.
        op: u32,
    },
    /// The table is not valid.
    InvalidTable,
    /// More objects than the device holds.
    CapacityExceeded,
}

/// Why an execution gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ExecuteError {
    /// Stopped by `Abort`; the outputs are unspecified.
    Aborted,
    /// The device does not know the graph.
    NoSuchGraph,
    /// The device could not read or write the lent memory.
    BadMemory,
    /// The device failed inside; the outputs are unspecified.
    Internal,
}

/// Result of one [`Device::step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Step {
    /// Something happened; hand the event to the runtime and step again.
    Event(Event),
    /// Work was done and more is left; step again.
    Worked,
    /// Nothing to do before this time, if any, unless a command comes.
    Waiting(Option<Instant>),
}

/// A device: commands in, events out, no callbacks, no blocking.
pub trait Device<'m> {
    /// Takes a command in. Bounded by a copy of its fields; the work happens in [`Device::step`].
    /// Never fails: the runtime sends at most one unanswered command per object, and the device
    /// has room for all of them.
    fn submit(&mut self, now: Instant, command: Command<'_, 'm>);

    /// Does a bounded piece of work (at most one op of one graph) or reports one event.
    fn step(&mut self, now: Instant) -> Step;

    /// What operation `op` (index in the graph table) of `graph` took in `execution`, which the
    /// device has reported; `None` if it was not executed by itself, if none are measured, or
    /// if the graph is not known any more.
    fn op_report(
        &self,
        graph: GraphId,
        execution: &ExecutionReport,
        op: usize,
    ) -> Option<OpReport> {
        let _ = (graph, execution, op);
        None
    }

    /// When [`Device::step`] has something to do without another command: a time that has passed if
    /// it has something now, `None` if never. It may be too early, but is never too late.
    fn due(&self) -> Option<Instant>;

    /// What the device can do.
    fn capabilities(&self) -> crate::capability::Capabilities;
}
