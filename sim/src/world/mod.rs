//! One run: clients, runtime, device, memory and the model that watches them.

mod clients;
mod faults;
mod finale;
mod ledger;
mod networks;
mod turns;
mod walk;

pub use walk::{walk, walk_to_rest, Action, Reached, Scenario, REQUESTS};

use std::collections::VecDeque;
use std::mem::MaybeUninit;

use htp_runtime::device::Event;
use htp_runtime::handle::{BufferId, ContextId, GraphId, PowerConfigId, RequestId};
use htp_runtime::region::Region;
use htp_runtime::runtime::Runtime;
use htp_runtime::ssr::State;
use htp_runtime::time::Instant;

use crate::check::{ensure, Check, Model, Violation};
use crate::coverage::{Coverage, Fault, FAULTS};
use crate::device::Device;
use crate::memory::Pool;
use crate::mutant::Mutant;
use crate::plan::{Decision, Plan};
use crate::port::Port;
use crate::trace::{time, Trace};

/// Bytes of the arena that a run needs.
pub const ARENA_BYTES: usize = 1 << 20;
/// Blocks of memory that registered buffers share.
const BUFFER_BLOCKS: u16 = 4;
/// Handles of each kind, and events, that clients and faults remember.
const REMEMBERED: usize = 24;

/// What runs have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub runs: u64,
    /// Decisions, and what the end of a run does.
    pub steps: u64,
    /// Requests accepted, and refused.
    pub requests: u64,
    pub refused: u64,
    /// Requests that went to the CPU, and those of lost contexts or with a lost DSP among them.
    pub on_cpu: u64,
    pub on_cpu_lost: u64,
    pub faults: [u64; FAULTS.len()],
    /// Restarts after which the connection was back.
    pub recoveries: u64,
    /// Runs in which the DSP was lost.
    pub lost: u64,
    /// The hashes of all runs, in no order.
    pub hash: u64,
}

impl Tally {
    /// Adds what others have done.
    pub fn add(&mut self, other: &Tally) {
        self.runs += other.runs;
        self.steps += other.steps;
        self.requests += other.requests;
        self.refused += other.refused;
        self.on_cpu += other.on_cpu;
        self.on_cpu_lost += other.on_cpu_lost;
        self.faults.iter_mut().zip(other.faults).for_each(|(sum, more)| *sum += more);
        self.recoveries += other.recoveries;
        self.lost += other.lost;
        self.hash = self.hash.wrapping_add(other.hash);
    }

    /// All faults together.
    pub fn faults_all(&self) -> u64 {
        self.faults.iter().sum()
    }
}

/// A failed run: after how many of its decisions (all of them: in its end), and why.
#[derive(Debug, Clone)]
pub struct Failure {
    pub decisions: usize,
    pub violation: Violation,
}

/// A run in progress.
pub struct World<'m> {
    port: Port<'m>,
    device: Device<'m>,
    model: Model,
    trace: Trace,
    now: Instant,
    tally: Tally,
    last_fault: Fault,
    contexts: Vec<ContextId>,
    graphs: Vec<GraphId>,
    buffers: Vec<BufferId>,
    powers: Vec<PowerConfigId>,
    requests: Vec<RequestId>,
    history: VecDeque<Event>,
    /// Words given to requests.
    words: u32,
    bytes_at_start: usize,
    /// Graph tables that the device held when the runtime gave it up without asking: a hung device
    /// on a platform without restarts keeps them for ever.
    tables_lost: u64,
    /// Counts of its own, where one is kept.
    ledger: Option<Box<ledger::Ledger>>,
    /// Outlives the runtime and the device, which it is lent to.
    pool: Pool,
}

/// Does the whole run of `plan` in `arena`.
pub fn run(
    plan: &Plan,
    mutant: Option<Mutant>,
    arena: &mut [MaybeUninit<u8>],
    trace: &mut Trace,
    coverage: &mut Coverage,
) -> Result<Tally, Failure> {
    let mut world = World::new(plan, mutant, arena, std::mem::take(trace));
    let result = world.run(plan, coverage);
    *trace = world.trace;
    world.tally.hash = trace.hash();
    world.tally.runs = 1;
    result.map(|()| world.tally)
}

impl<'m> World<'m> {
    fn new(
        plan: &Plan,
        mutant: Option<Mutant>,
        arena: &'m mut [MaybeUninit<u8>],
        trace: Trace,
    ) -> Self {
        let setup = plan.setup;
        let runtime = Runtime::new(Region::new(arena), &setup.capacities, setup.capabilities);
        #[allow(clippy::expect_used, reason = "the arena is larger than every set-up needs")]
        let runtime = runtime.expect("the arena is large enough");
        Self {
            bytes_at_start: runtime.region().used_bytes(),
            port: Port::new(runtime, mutant),
            device: Device::new(setup.capabilities),
            model: Model::new(setup),
            trace,
            now: Instant::from_us(1_000),
            tally: Tally::default(),
            last_fault: Fault::None,
            contexts: Vec::new(),
            graphs: Vec::new(),
            buffers: Vec::new(),
            powers: Vec::new(),
            requests: Vec::new(),
            history: VecDeque::new(),
            words: 0,
            tables_lost: 0,
            ledger: None,
            pool: Pool::new(setup.capacities.requests + 1, BUFFER_BLOCKS),
        }
    }

    fn run(&mut self, plan: &Plan, coverage: &mut Coverage) -> Result<(), Failure> {
        for (decisions, decision) in plan.decisions.iter().enumerate() {
            coverage.reach(self.last_fault, self.port.runtime.state(), decision);
            let now = self.now;
            self.trace.note(&[decisions as u64], || {
                format!("{decisions:>4}  {:>12}  {decision:?}", time(now))
            });
            let done = self.step(*decision);
            done.map_err(|violation| Failure { decisions: decisions + 1, violation })?;
        }
        let decisions = plan.decisions.len();
        self.finale().map_err(|violation| Failure { decisions, violation })
    }

    fn step(&mut self, decision: Decision) -> Check {
        self.tally.steps += 1;
        self.model.begin();
        self.decide(decision)?;
        self.check()?;
        if self.tally.steps.is_multiple_of(8) {
            self.model.queues(&self.port.runtime)?;
        }
        Ok(())
    }

    fn decide(&mut self, decision: Decision) -> Check {
        match decision {
            Decision::Poll { count } => self.poll(count).map(drop),
            Decision::Take { count } => self.take(count).map(drop),
            Decision::Deliver { pick } => self.deliver(pick).map(drop),
            Decision::Hear { count } => self.hear(count).map(drop),
            Decision::Pass { us } => {
                self.now = self.now.after_us(u64::from(us));
                Ok(())
            }
            Decision::Timeout => self.timeout(),
            Decision::NextTimer => self.next_timer().map(drop),
            Decision::Turn => self.turn().map(drop),
            Decision::Serve { turns } => self.serve(turns),
            Decision::Answer { pick } => {
                self.device.answer(pick);
                Ok(())
            }
            Decision::Work { pick } => {
                self.device.work_on_cpu(&self.pool)?;
                self.device.work(pick, &self.pool)
            }
            Decision::Finish { pick } => {
                self.device.finish(self.now, pick, None, &self.pool).map(drop)
            }
            Decision::FinishOnCpu { failing } => self.finish_on_cpu(failing),
            Decision::StartOver { graphs, depth, policy, interval_us } => {
                if self.start_over(graphs, depth, policy)? {
                    self.context_fallback(self.contexts.last().copied(), interval_us)?;
                }
                Ok(())
            }
            call if self.call(call)? => Ok(()),
            fault => self.go_wrong(fault),
        }
    }

    /// A lost device is switched off by whoever drives it.
    fn switch_off(&mut self) {
        if self.port.runtime.state() == State::Lost && self.device.up {
            self.tables_lost += self.device.tables();
            self.device.crash(false);
        }
    }

    /// What must hold whatever happened.
    fn check(&mut self) -> Check {
        let leaked = self.port.runtime.counters().blocks_leaked;
        let allowed = self.tables_lost;
        ensure!(leaked <= allowed, "memory comes back", "{leaked} blocks are held by the device");
        self.model.holds(&self.port.runtime, self.port.poll_timeout())?;
        let lent = self.model.requests.len() + self.pool.free_count();
        let all = usize::from(self.model.setup.capacities.requests) + 1;
        ensure!(lent == all, "blocks of the simulation", "{lent} of {all} are accounted for");
        Ok(())
    }

    fn fault(&mut self, fault: Fault) {
        self.last_fault = fault;
        self.tally.faults[fault as usize] += 1;
    }
}

/// Remembers a handle, and forgets the oldest.
fn remember<T>(list: &mut Vec<T>, handle: T) {
    if list.len() >= REMEMBERED {
        list.remove(0);
    }
    list.push(handle);
}

/// The `n`-th of a list, around and around.
fn pick<T: Copy>(list: &[T], n: u16) -> Option<T> {
    list.get(usize::from(n) % list.len().max(1)).copied()
}
