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
    /// Its graph, prepared or not yet; nothing if it cannot be executed.
    work: Option<Preparing<'m>>,
    /// The op that runs next, once the graph is prepared.
    next_op: Option<usize>,
    aborted: bool,
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
        let (io, work) = match kept {
            Some(Ok(io)) => {
                let config = VhtpConfig::default();
                (io, Some(Preparing::new(NO_GRAPH, table, &config, Instant::ZERO)))
            }
            _ => (RegionSlice::empty(), None),
        };
        self.job = Some(Job { request, io, work, next_op: None, aborted: false });
    }

    fn abort(&mut self, request: RequestId) {
        if let Some(job) = self.job.as_mut().filter(|job| job.request == request) {
            job.aborted = true;
        }
    }

    /// A part of the preparation, or one op; `None` if there is nothing to do. Works where the job
    /// lies: it is large.
    fn step(&mut self) -> Option<Step> {
        let job = self.job.as_mut()?;
        let request = job.request;
        let ended = match (&mut job.work, &mut self.memory) {
            _ if job.aborted => Err(ExecuteError::Aborted),
            (Some(work), Some(memory)) => match &mut job.next_op {
                Some(op) => run(work.graph(), op),
                none => prepare(work, &job.io, memory).map(|is_ready| {
                    *none = is_ready.then_some(0);
                    false
                }),
            },
            _ => Err(ExecuteError::Internal),
        };
        let result = match ended {
            Ok(false) => return Some(Step::Worked),
            Ok(true) => Ok(()),
            Err(error) => Err(error),
        };
        self.release();
        Some(Step::Event(Event::FallbackExecuted { request, result }))
    }

    fn release(&mut self) {
        let (Some(job), Some(memory)) = (self.job.take(), &mut self.memory) else { return };
        if let Some(work) = job.work {
            work.release(memory);
        }
        memory.free(job.io);
    }
}

/// A part of the preparation; whether it is done, and the inputs are read.
fn prepare<'m>(
    work: &mut Preparing<'m>,
    io: &[ClientMemory],
    memory: &mut Region<'m>,
) -> Result<bool, ExecuteError> {
    match work.advance(memory, &VhtpConfig::default(), Instant::ZERO) {
        Ok(None) => Ok(false),
        Ok(Some(_)) => {
            let graph = work.graph();
            let lent = graph.lend(io) && graph.read_inputs();
            lent.then_some(true).ok_or(ExecuteError::BadMemory)
        }
        Err(_) => Err(ExecuteError::Internal),
    }
}

/// One op; whether it was the last, and the outputs are written.
fn run(graph: &mut Graph<'_>, op: &mut usize) -> Result<bool, ExecuteError> {
    if *op >= graph.op_count() {
        return graph.write_outputs().then_some(true).ok_or(ExecuteError::BadMemory);
    }
    graph.run_op(*op).ok_or(ExecuteError::Internal)?;
    *op = op.saturating_add(1);
    Ok(false)
}

impl<'m, D: Device<'m>> Device<'m> for WithFallback<'m, D> {
    fn submit(&mut self, now: Instant, command: Command<'_, 'm>) {
        match command {
            Command::FallbackExecute { request, table, io, .. } => {
                self.cpu.begin(request, table, io);
            }
            Command::FallbackAbort { request } => self.cpu.abort(request),
            command => {
                // What it answers at once shall not wait for an op of the CPU.
                self.device_was_last = false;
                self.device.submit(now, command);
            }
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
