//! Commands that outlive the call that gave them.

use htp_runtime::device::{Command, ThreadPriority};
use htp_runtime::handle::{BufferId, ContextId, Epoch, GraphId, RequestId};
use htp_runtime::memory::ClientMemory;
use htp_runtime::power::{MemoryConfig, PowerSettings};
use htp_runtime::region::SharedBytes;

use crate::trace::{request_word, shown, word};

/// Tensors of every graph of the simulation: one input, one output.
pub const TENSORS: usize = 2;

/// A command with everything in it.
#[derive(Clone)]
pub struct Order<'m> {
    /// Epoch that it names, if it is for the device.
    pub epoch: Option<Epoch>,
    /// What to do.
    pub what: What<'m>,
}

/// See [`Command`].
#[derive(Clone)]
pub enum What<'m> {
    Connect { attempt: u32 },
    ContextCreate(ContextId),
    ContextRelease(ContextId),
    GraphPrepare { graph: GraphId, context: ContextId, table: SharedBytes<'m> },
    GraphRelease(GraphId),
    BufferMap { buffer: BufferId, memory: ClientMemory },
    BufferUnmap(BufferId),
    Execute(Execute),
    Abort(RequestId),
    PowerVote(PowerSettings),
    MemorySet(MemoryConfig),
    Probe,
    Shutdown,
    FallbackExecute(OnCpu<'m>),
    FallbackAbort(RequestId),
}

/// An execution as it was ordered.
#[derive(Clone, Copy)]
pub struct Execute {
    /// The request.
    pub request: RequestId,
    /// Its graph.
    pub graph: GraphId,
    /// Thread priorities.
    pub priority: ThreadPriority,
    /// Lent memory; `None` where the command had another number of tensors.
    pub io: Option<[ClientMemory; TENSORS]>,
}

/// An execution on the CPU as it was ordered.
#[derive(Clone)]
pub struct OnCpu<'m> {
    pub request: RequestId,
    pub graph: GraphId,
    /// As of [`Execute`].
    pub io: Option<[ClientMemory; TENSORS]>,
    /// Kept until it ends.
    pub _table: SharedBytes<'m>,
}

impl<'m> From<Command<'_, 'm>> for Order<'m> {
    fn from(command: Command<'_, 'm>) -> Self {
        let (epoch, what) = match command {
            Command::FallbackExecute { request, graph, table, io } => {
                let io = io.try_into().ok();
                let execution = OnCpu { request, graph, io, _table: table };
                return Self { epoch: None, what: What::FallbackExecute(execution) };
            }
            Command::FallbackAbort { request } => {
                return Self { epoch: None, what: What::FallbackAbort(request) };
            }
            Command::Connect { epoch, attempt } => (epoch, What::Connect { attempt }),
            Command::ContextCreate { context, epoch } => (epoch, What::ContextCreate(context)),
            Command::ContextRelease { context, epoch } => (epoch, What::ContextRelease(context)),
            Command::GraphPrepare { graph, context, epoch, table } => {
                (epoch, What::GraphPrepare { graph, context, table })
            }
            Command::GraphRelease { graph, epoch } => (epoch, What::GraphRelease(graph)),
            Command::BufferMap { buffer, epoch, memory } => {
                (epoch, What::BufferMap { buffer, memory })
            }
            Command::BufferUnmap { buffer, epoch } => (epoch, What::BufferUnmap(buffer)),
            Command::Execute { request, graph, epoch, priority, io, .. } => {
                let io = io.try_into().ok();
                (epoch, What::Execute(Execute { request, graph, priority, io }))
            }
            Command::Abort { request, epoch } => (epoch, What::Abort(request)),
            Command::PowerVote { epoch, settings } => (epoch, What::PowerVote(*settings)),
            Command::MemorySet { epoch, config } => (epoch, What::MemorySet(config)),
            Command::Probe { epoch } => (epoch, What::Probe),
            Command::Shutdown { epoch } => (epoch, What::Shutdown),
        };
        Self { epoch: Some(epoch), what }
    }
}

impl Order<'_> {
    /// Its words for the trace.
    pub fn words(&self) -> [u64; 3] {
        let (kind, about) = match &self.what {
            What::Connect { attempt } => (1, u64::from(*attempt)),
            What::ContextCreate(context) => (2, word(*context)),
            What::ContextRelease(context) => (3, word(*context)),
            What::GraphPrepare { graph, .. } => (4, word(*graph)),
            What::GraphRelease(graph) => (5, word(*graph)),
            What::BufferMap { buffer, .. } => (6, word(*buffer)),
            What::BufferUnmap(buffer) => (7, word(*buffer)),
            What::Execute(execute) => (8, request_word(execute.request)),
            What::Abort(request) => (9, request_word(*request)),
            What::PowerVote(settings) => (10, u64::from(settings.sleep_latency_us.unwrap_or(0))),
            What::MemorySet(config) => (11, u64::from(config.grow_bytes)),
            What::Probe => (12, 0),
            What::Shutdown => (13, 0),
            What::FallbackExecute(execution) => (14, request_word(execution.request)),
            What::FallbackAbort(request) => (15, request_word(*request)),
        };
        [kind, about, self.epoch.map_or(0, |epoch| u64::from(epoch.number()))]
    }

    /// Its line for the trace.
    pub fn text(&self) -> String {
        let what = match &self.what {
            What::Connect { attempt } => format!("Connect, attempt {attempt}"),
            What::ContextCreate(context) => format!("ContextCreate {context:?}"),
            What::ContextRelease(context) => format!("ContextRelease {context:?}"),
            What::GraphPrepare { graph, context, .. } => {
                format!("GraphPrepare {graph:?} of {context:?}")
            }
            What::GraphRelease(graph) => format!("GraphRelease {graph:?}"),
            What::BufferMap { buffer, .. } => format!("BufferMap {buffer:?}"),
            What::BufferUnmap(buffer) => format!("BufferUnmap {buffer:?}"),
            What::Execute(Execute { request, graph, .. }) => {
                format!("Execute {} of graph {graph:?}", shown(*request))
            }
            What::Abort(request) => format!("Abort {}", shown(*request)),
            What::PowerVote(settings) => {
                format!("PowerVote sleep {:?}, bus {:?}", settings.sleep_latency_us, settings.bus)
            }
            What::MemorySet(config) => format!("MemorySet grow by {}", config.grow_bytes),
            What::Probe => "Probe".into(),
            What::Shutdown => "Shutdown".into(),
            What::FallbackExecute(OnCpu { request, graph, .. }) => {
                format!("FallbackExecute {} of graph {graph:?}", shown(*request))
            }
            What::FallbackAbort(request) => format!("FallbackAbort {}", shown(*request)),
        };
        let epoch = self.epoch.map(|epoch| format!("  (epoch {})", epoch.number()));
        format!("    command  {what}{}", epoch.unwrap_or_default())
    }
}
