//! The virtual HTP's kernels on the CPU, beside a device that may be down.
//!
//! One execution at a time, in memory of its own: the graph is prepared there, executed op by op,
//! and released, so the memory is empty before and after, and a graph that fitted once fits again.

use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};

use super::model::VhtpConfig;
use super::prepared::{Graph, Preparing};
use crate::capability::Capabilities;
use crate::device::{
    Command, Device, Event, ExecuteError, ExecutionReport, OpReport, PrepareError, Step,
};
use crate::graph::GraphTable;
use crate::handle::{Epoch, GraphId, RequestId};
use crate::memory::ClientMemory;
use crate::region::{Region, RegionSlice, SharedBytes};
use crate::time::Instant;

/// A device, and beside it what executes graphs on the CPU while the device is down. Everything
/// but that is the device's.
pub struct WithFallback<'m, D> {
    device: D,
    cpu: Cpu<'m>,
    /// The device did the last step: both take turns, so that neither waits for all of the other's
    /// work.
    device_was_last: bool,
}

/// What executes on the CPU.
struct Cpu<'m> {
    memory: Option<Region<'m>>,
    job: Option<Job<'m>>,
}

/// The execution under way.
struct Job<'m> {
    request: RequestId,
    io: RegionSlice<'m, ClientMemory>,
    stage: Stage<'m>,
    aborted: bool,
}

enum Stage<'m> {
    Preparing(Preparing<'m>),
    /// The op that runs next.
    Running(Graph<'m>, usize),
    /// It cannot be executed.
    Refused,
}

impl<'m, D: Device<'m>> WithFallback<'m, D> {
    /// Puts `device` beside a CPU that has no memory yet.
    pub const fn new(device: D) -> Self {
        let cpu = Cpu { memory: None, job: None };
        Self { device, cpu, device_was_last: false }
    }

    /// Bytes of memory for executions on the CPU.
    pub fn fallback_memory_bytes(&self) -> usize {
        self.cpu.memory.as_ref().map_or(0, Region::capacity_bytes)
    }

    /// Whether nothing is executed on the CPU.
    pub fn fallback_is_idle(&self) -> bool {
        self.cpu.job.is_none()
    }

    /// Gives memory for executions on the CPU, instead of what it has, which is not given back:
    /// for the one graph that is executed, its scratch area and what it is compiled into. `false`,
    /// and nothing is changed, while one is under way.
    pub fn set_fallback_memory(&mut self, memory: Region<'m>) -> bool {
        let idle = self.fallback_is_idle();
        if idle {
            self.cpu.memory = Some(memory);
        }
        idle
    }

    /// Bytes of it in use: none between executions.
    pub fn fallback_used_bytes(&self) -> usize {
        self.cpu.memory.as_ref().map_or(0, Region::used_bytes)
    }
}

/// Whether the CPU can execute a graph in `memory`, by preparing it there and releasing it.
/// Another block that is 4 KiB longer serves as well. Linear in the size of the table.
pub fn check_fallback<'m>(
    memory: &'m mut [MaybeUninit<u8>],
    table: &SharedBytes<'m>,
) -> Result<(), PrepareError> {
    let memory = &mut Region::new(memory);
    let io = match GraphTable::open(table) {
        Ok(table) => table.inputs().len().saturating_add(table.outputs().len()),
        Err(_) => return Err(PrepareError::InvalidTable),
    };
    let io = memory.alloc(io, ClientMemory::NONE)?;
    let config = VhtpConfig::default();
    let mut preparing = Preparing::new(NO_GRAPH, table.clone(), &config, Instant::ZERO);
    let result = loop {
        match preparing.advance(memory, &config, Instant::ZERO) {
            Ok(None) => {}
            Ok(Some(_)) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    preparing.release(memory);
    memory.free(io);
    result
}

/// The CPU keeps no graphs, so none has a handle there.
const NO_GRAPH: GraphId = GraphId::from_parts(0, 0, Epoch::FIRST);

impl<'m> Cpu<'m> {
    fn begin(&mut self, request: RequestId, table: SharedBytes<'m>, io: &[ClientMemory]) {
        let kept =
            self.memory.as_mut().map(|memory| memory.alloc_from(io.len(), io, ClientMemory::NONE));
        let (io, stage) = match kept {
            Some(Ok(io)) => {
                let config = VhtpConfig::default();
                (io, Stage::Preparing(Preparing::new(NO_GRAPH, table, &config, Instant::ZERO)))
            }
            _ => (RegionSlice::empty(), Stage::Refused),
        };
        self.job = Some(Job { request, io, stage, aborted: false });
    }

    fn abort(&mut self, request: RequestId) {
        if let Some(job) = self.job.as_mut().filter(|job| job.request == request) {
            job.aborted = true;
        }
    }

    /// A part of the preparation, or one op; `None` if there is nothing to do.
    fn step(&mut self) -> Option<Step> {
        let mut job = self.job.take()?;
        let memory = self.memory.as_mut();
        let (stage, ended) = match (job.stage, memory) {
            (Stage::Preparing(preparing), Some(memory)) => {
                prepare(preparing, job.aborted, &job.io, memory)
            }
            (Stage::Running(graph, op), _) => run(graph, op, job.aborted),
            (refused, _) => (refused, Some(Err(ExecuteError::Internal))),
        };
        job.stage = stage;
        let Some(result) = ended else {
            self.job = Some(job);
            return Some(Step::Worked);
        };
        let Job { request, io, stage, .. } = job;
        if let Some(memory) = &mut self.memory {
            match stage {
                Stage::Preparing(preparing) => preparing.release(memory),
                Stage::Running(graph, _) => graph.release(memory),
                Stage::Refused => {}
            }
            memory.free(io);
        }
        Some(Step::Event(Event::FallbackExecuted { request, result }))
    }
}

type Ended = Option<Result<(), ExecuteError>>;

fn prepare<'m>(
    mut preparing: Preparing<'m>,
    aborted: bool,
    io: &[ClientMemory],
    memory: &mut Region<'m>,
) -> (Stage<'m>, Ended) {
    if aborted {
        return (Stage::Preparing(preparing), Some(Err(ExecuteError::Aborted)));
    }
    match preparing.advance(memory, &VhtpConfig::default(), Instant::ZERO) {
        Ok(None) => (Stage::Preparing(preparing), None),
        Ok(Some(_)) => {
            let mut graph = preparing.into_graph();
            let lent = graph.lend(io) && graph.read_inputs();
            let ended = (!lent).then_some(Err(ExecuteError::BadMemory));
            (Stage::Running(graph, 0), ended)
        }
        Err(_) => (Stage::Preparing(preparing), Some(Err(ExecuteError::Internal))),
    }
}

fn run(mut graph: Graph<'_>, op: usize, aborted: bool) -> (Stage<'_>, Ended) {
    let ended = if aborted {
        Some(Err(ExecuteError::Aborted))
    } else if op >= graph.op_count() {
        Some(graph.write_outputs().then_some(()).ok_or(ExecuteError::BadMemory))
    } else {
        graph.run_op(op).is_none().then_some(Err(ExecuteError::Internal))
    };
    (Stage::Running(graph, op.saturating_add(1)), ended)
}

impl<'m, D: Device<'m>> Device<'m> for WithFallback<'m, D> {
    fn submit(&mut self, now: Instant, command: Command<'_, 'm>) {
        match command {
            Command::FallbackExecute { request, table, io, .. } => {
                self.cpu.begin(request, table, io);
            }
            Command::FallbackAbort { request } => self.cpu.abort(request),
            command => self.device.submit(now, command),
        }
    }

    fn step(&mut self, now: Instant) -> Step {
        if core::mem::take(&mut self.device_was_last) {
            if let Some(step) = self.cpu.step() {
                return step;
            }
        }
        match self.device.step(now) {
            Step::Waiting(due) => self.cpu.step().unwrap_or(Step::Waiting(due)),
            step => {
                self.device_was_last = true;
                step
            }
        }
    }

    fn op_report(
        &self,
        graph: GraphId,
        execution: &ExecutionReport,
        op: usize,
    ) -> Option<OpReport> {
        self.device.op_report(graph, execution, op)
    }

    fn due(&self) -> Option<Instant> {
        match self.cpu.job {
            Some(_) => Some(Instant::ZERO),
            None => self.device.due(),
        }
    }

    fn capabilities(&self) -> Capabilities {
        self.device.capabilities().union(Capabilities::CPU_FALLBACK)
    }
}

impl<D> Deref for WithFallback<'_, D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.device
    }
}

impl<D> DerefMut for WithFallback<'_, D> {
    fn deref_mut(&mut self) -> &mut D {
        &mut self.device
    }
}
