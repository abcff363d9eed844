//! The virtual HTP: a [`Device`] that really executes quantized graphs, on the CPU that it runs on.
//!
//! ```text
//! submit ─► control queue ─► objects: contexts, buffers, prepared graphs (ops + plan + kernels)
//!        └► executions ────► exec: one op at a time, the most important first, yields at op
//! borders
//! ```
//!
//! It has its own memory (the [`Region`] it is given is the DSP's), models time in cycles, goes
//! wrong on demand ([`Vhtp::inject`]) and keeps a journal of everything it was told and answered.
//! It is a function of its commands, the `now` values and its configuration: the same run gives the
//! same events and the same bytes on every machine.
//!
//! Everything that an execution needs is computed and allocated when its graph is prepared; an
//! execution allocates nothing and ends well unless it is aborted, the DSP crashes, or the client's
//! memory cannot be accessed.

mod control;
mod exec;
mod fallback;
mod faults;
mod journal;
mod kernels;
mod model;
mod objects;
mod ops;
mod plan;
mod prepared;
mod timing;

pub use fallback::{check_fallback, WithFallback};
pub use faults::Fault;
pub use journal::{JournalEntry, JournalKind};
pub use model::{Pacing, Soc, VhtpConfig, SOCS};
pub use ops::{Refusal as OpRefusal, SUPPORTED_OPS};
pub use plan::Placement;

use crate::capability::Capabilities;
use crate::device::{Command, Device, Event, ExecutionReport, OpReport, Step};
use crate::graph::Op;
use crate::handle::{kind, Epoch, GraphId};
use crate::memory::ClientMemory;
use crate::power::{MemoryConfig, PowerSettings};
use crate::region::{OutOfMemory, Region, RegionSlice};
use crate::time::Instant;

use exec::{Busy, Execution, EXECUTIONS_MAX};
use faults::Faults;
use journal::Journal;
use objects::{Control, Fifo, Table};
use prepared::{Graph, Preparing};

/// How many objects the device holds. Handles index its tables, so these are the runtime's own
/// capacities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct VhtpCapacities {
    /// Contexts.
    pub contexts: u16,
    /// Graphs, of all contexts together.
    pub graphs: u16,
    /// Shared buffers, of all contexts together.
    pub buffers: u16,
    /// Journal entries that are kept.
    pub journal: u16,
}

impl Default for VhtpCapacities {
    fn default() -> Self {
        Self { contexts: 8, graphs: 32, buffers: 64, journal: 1024 }
    }
}

impl VhtpCapacities {
    /// Bytes of region memory that the device's own tables take, without the allocator's overhead
    /// and without anything that is loaded later.
    pub fn table_bytes(&self) -> usize {
        let slots = |count: u16, size: usize| usize::from(count).saturating_mul(size);
        slots(self.journal, size_of::<JournalEntry>())
            .saturating_add(self.control_max().saturating_mul(size_of::<Option<Control<'_>>>()))
            .saturating_add(Table::<kind::Context, ()>::bytes(self.contexts))
            .saturating_add(Table::<kind::Graph, Graph<'_>>::bytes(self.graphs))
            .saturating_add(Table::<kind::Buffer, ClientMemory>::bytes(self.buffers))
            .saturating_add(EXECUTIONS_MAX.saturating_mul(size_of::<Option<Execution>>()))
    }

    /// Unanswered control commands: at most one for each object, and an unmapping behind a mapping.
    fn control_max(&self) -> usize {
        let objects = [self.contexts, self.graphs, self.buffers, self.buffers];
        objects.into_iter().fold(0, |sum, count| sum.saturating_add(usize::from(count)))
    }
}

/// The virtual HTP. It starts connected, in [`Epoch::FIRST`], with nothing loaded.
pub struct Vhtp<'m> {
    region: Region<'m>,
    config: VhtpConfig,
    now: Instant,

    epoch: Epoch,
    connected: bool,
    hung: bool,
    held: bool,
    faults: Faults,
    journal: Journal<'m>,

    power: PowerSettings,
    memory: MemoryConfig,

    connect: Option<(Epoch, u32)>,
    probe: bool,
    control: Fifo<'m, Control<'m>>,
    /// A graph whose preparation is under way.
    preparing: Option<Preparing<'m>>,
    contexts: Table<'m, kind::Context, ()>,
    graphs: Table<'m, kind::Graph, Graph<'m>>,
    buffers: Table<'m, kind::Buffer, ClientMemory>,

    executions: RegionSlice<'m, Option<Execution>>,
    busy: Option<Busy>,
    /// Slot of the execution that ran last and is still in flight.
    last_run: Option<usize>,
    turn: u64,
    execution_count: u64,
    steps: u64,
    /// Cycles of all ops that took effect.
    cycles: u64,
    refused: u64,
}

impl<'m> Vhtp<'m> {
    /// A device whose memory is `region`. Allocates its tables there; the rest is for graphs.
    pub fn new(
        mut region: Region<'m>,
        config: VhtpConfig,
        capacities: VhtpCapacities,
    ) -> Result<Self, OutOfMemory> {
        let memory = &mut region;
        let journal = Journal::new(memory, capacities.journal)?;
        let control = Fifo::new(memory, capacities.control_max())?;
        let contexts = Table::new(memory, capacities.contexts)?;
        let graphs = Table::new(memory, capacities.graphs)?;
        let buffers = Table::new(memory, capacities.buffers)?;
        let executions = memory.alloc_with(EXECUTIONS_MAX, |_| None)?;
        Ok(Self {
            region,
            config,
            now: Instant::ZERO,
            epoch: Epoch::FIRST,
            connected: true,
            hung: false,
            held: false,
            faults: Faults::default(),
            journal,
            power: PowerSettings::NONE,
            memory: MemoryConfig::default(),
            connect: None,
            probe: false,
            control,
            preparing: None,
            contexts,
            graphs,
            buffers,
            executions,
            busy: None,
            last_run: None,
            turn: 0,
            execution_count: 0,
            steps: 0,
            cycles: 0,
            refused: 0,
        })
    }

    /// What it is a model of.
    pub fn config(&self) -> &VhtpConfig {
        &self.config
    }

    /// What is voted for. A crash and a connection drop it.
    pub fn power(&self) -> &PowerSettings {
        &self.power
    }

    /// How its memory is configured. A crash and a connection bring the default back.
    pub fn memory_config(&self) -> MemoryConfig {
        self.memory
    }

    /// Its clock in MHz: that of the core's target corner, or the default without a core vote. An
    /// execution keeps the clock with which its first op started.
    pub fn frequency_mhz(&self) -> u32 {
        let default_mhz = self.config.frequency_mhz();
        let target = self.power.core.map(|core| core.target());
        target.map_or(default_mhz, |corner| self.config.frequency_mhz_at(corner))
    }

    /// Arms a fault. Takes effect in [`Device::step`].
    pub fn inject(&mut self, fault: Fault) {
        let arg = match fault {
            Fault::CrashAtOp { op } => u64::from(op) << 32,
            Fault::CrashNow => 1,
            Fault::Hang => 2,
            Fault::ReconnectFails { times } => u64::from(times) << 32 | 3,
        };
        self.note(JournalKind::Fault, arg);
        self.faults.arm(fault);
    }

    /// From now on no op starts and none under way takes effect; control commands and aborts still
    /// work.
    pub fn hold(&mut self) {
        self.note(JournalKind::Hold, 0);
        self.held = true;
    }

    /// Ends [`Vhtp::hold`]. Step the device afterwards.
    pub fn resume(&mut self) {
        self.note(JournalKind::Resume, 0);
        self.held = false;
    }

    /// Whether execution is held.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Whether the DSP is up; a crashed one is not, until `Connected`.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Present epoch; that of the crash while not connected.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The journal's entries that are still kept, oldest first.
    pub fn journal(&self) -> impl Iterator<Item = &JournalEntry> {
        self.journal.iter()
    }

    /// Entries ever written to the journal; more than it keeps means that the oldest were
    /// overwritten.
    pub fn journal_total(&self) -> u64 {
        self.journal.total()
    }

    /// Bytes of device memory in use, its own tables included.
    pub fn used_bytes(&self) -> usize {
        self.region.used_bytes()
    }

    /// The most bytes of device memory that were ever in use.
    pub fn used_bytes_max(&self) -> usize {
        self.region.used_bytes_max()
    }

    /// Contexts, graphs and buffers that are loaded.
    pub fn object_counts(&self) -> [usize; 3] {
        [self.contexts.count(), self.graphs.count(), self.buffers.count()]
    }

    /// Executions in flight.
    pub fn executions_in_flight(&self) -> usize {
        self.executions.iter().flatten().count()
    }

    /// Commands that found no room, which a runtime that keeps the contract of [`Command`] never
    /// causes.
    pub fn refused_commands(&self) -> u64 {
        self.refused
    }

    /// The memory plan of a prepared graph: where its tensors lie, and when. Nothing for an unknown
    /// graph.
    pub fn graph_plan(&self, graph: GraphId) -> impl Iterator<Item = Placement> + '_ {
        self.graphs.get(graph).into_iter().flat_map(Graph::places)
    }

    /// Whether the device can run `op`. Costs about as much as preparing it.
    pub fn validate_op(op: &Op<'_>) -> Result<(), OpRefusal> {
        let mut extras = ops::Extras::counting();
        let mut outputs = ops::outputs(op);
        outputs.try_for_each(|output| ops::compile(op, output, &mut extras).map(|_| ()))
    }

    /// Parameters that every op of this type must have.
    pub fn required_params(type_name: &str) -> &'static [&'static str] {
        ops::required(type_name)
    }

    fn note(&mut self, what: JournalKind, arg: u64) {
        self.record(self.epoch, what, (0, 0), arg);
    }

    fn record(&mut self, epoch: Epoch, what: JournalKind, object: (u16, u32), arg: u64) {
        let (index, generation) = object;
        self.journal.push(JournalEntry { at: self.now, epoch, what, index, generation, arg });
    }

    /// Everything loaded is gone; region memory returns, owners of tables are dropped.
    fn drop_everything(&mut self) {
        while self.control.pop().is_some() {}
        if let Some(preparing) = self.preparing.take() {
            preparing.release(&mut self.region);
        }
        self.graphs.drain().for_each(|graph| graph.release(&mut self.region));
        self.contexts.drain().for_each(drop);
        self.buffers.drain().for_each(drop);
        self.executions.iter_mut().for_each(|slot| *slot = None);
        self.busy = None;
        self.last_run = None;
        self.probe = false;
        self.power = PowerSettings::NONE;
        self.memory = MemoryConfig::default();
        self.hung = false;
        self.faults.crash_now = false;
    }

    /// The DSP dies.
    fn crash(&mut self) -> Step {
        self.drop_everything();
        self.connected = false;
        self.emit(Event::Crashed { epoch: self.epoch })
    }

    /// Begins `epoch`, with nothing loaded, unless the connection fails.
    fn begin(&mut self, epoch: Epoch) -> Step {
        self.drop_everything();
        self.connected = !self.faults.connect_fails();
        if !self.connected {
            return self.emit(Event::ConnectFailed { epoch });
        }
        self.epoch = epoch;
        self.steps = 0;
        self.emit(Event::Connected { epoch })
    }
}

impl<'m> Device<'m> for Vhtp<'m> {
    fn submit(&mut self, now: Instant, command: Command<'_, 'm>) {
        self.now = self.now.max(now);
        self.take_in(command);
    }

    /// One control command or a part of one, or one op of the most important execution, or one
    /// completion.
    fn step(&mut self, now: Instant) -> Step {
        self.now = self.now.max(now);
        let now = self.now;
        if let Some((epoch, _)) = self.connect.take() {
            return self.begin(epoch);
        }
        if !self.connected {
            return Step::Waiting(None);
        }
        if self.faults.crash_now {
            return self.crash();
        }
        if self.hung {
            return Step::Waiting(None);
        }
        // Whoever asks has waited long.
        if core::mem::take(&mut self.probe) {
            let (epoch, steps, held) = (self.epoch, self.steps, self.held);
            return self.emit(Event::Alive { epoch, steps, held });
        }
        if let Some(preparing) = self.preparing.take() {
            return self.prepare_on(preparing);
        }
        if let Some(control) = self.control.pop() {
            return self.process(control);
        }
        self.execute(now)
    }

    fn op_report(
        &self,
        graph: GraphId,
        execution: &ExecutionReport,
        op: usize,
    ) -> Option<OpReport> {
        let mut report = self.graphs.get(graph)?.op_report(op, execution)?;
        let place = u64::try_from(op).unwrap_or(u64::MAX);
        report.cycles = timing::varied(report.cycles, self.config.seed, execution.number, place);
        Some(report)
    }

    fn due(&self) -> Option<Instant> {
        let now = Some(Instant::ZERO);
        if self.connect.is_some() {
            return now;
        }
        if !self.connected {
            return None;
        }
        if self.faults.crash_now {
            return now;
        }
        if self.hung {
            return None;
        }
        if self.probe || self.preparing.is_some() || !self.control.is_empty() {
            return now;
        }
        self.execution_due()
    }

    fn capabilities(&self) -> Capabilities {
        self.config.platform.capabilities(self.config.arch)
    }
}
