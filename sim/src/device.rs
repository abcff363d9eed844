//! The simulated device: it does what its decisions say, keeps to the contract of
//! [`htp_runtime::device`] until told to fail, and says where the runtime does not. Beside it the
//! CPU, which no crash touches.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use htp_runtime::capability::Capabilities;
use htp_runtime::device::{Event, ExecuteError, ExecutionReport, GraphReport, PrepareError};
use htp_runtime::handle::{BufferId, ContextId, Epoch, GraphId, RequestId};
use htp_runtime::limits::PARALLEL_PER_PRIORITY;
use htp_runtime::memory::ClientMemory;
use htp_runtime::power::{MemoryConfig, PowerSettings};
use htp_runtime::region::SharedBytes;
use htp_runtime::time::Instant;

use crate::check::{ensure, Check};
use crate::memory::{read, write, Pool};
use crate::order::{Execute, OnCpu, Order, What, TENSORS};
use crate::trace::shown;

/// How the device meets a connection attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Connect {
    Fail,
    Ignore,
}

/// A graph that the device has prepared.
pub struct Prepared<'m> {
    pub graph: GraphId,
    pub context: ContextId,
    _table: SharedBytes<'m>,
}

/// The device.
pub struct Device<'m> {
    capabilities: Capabilities,
    /// Life that the last connection began.
    pub epoch: Epoch,
    /// Connected.
    pub up: bool,
    /// Takes nothing and answers nothing until it is connected anew.
    pub hung: bool,
    inbox: VecDeque<Order<'m>>,
    /// Answers that it owes.
    owed: VecDeque<Event>,
    /// Answers under way to the host.
    pub outgoing: VecDeque<Event>,
    pub contexts: Vec<ContextId>,
    refused: Vec<ContextId>,
    pub graphs: Vec<Prepared<'m>>,
    pub buffers: Vec<BufferId>,
    /// Buffers that it refused to map, which are unmapped all the same.
    buffers_refused: Vec<BufferId>,
    pub executing: Vec<Execute>,
    /// What the CPU executes.
    on_cpu: Option<OnCpu<'m>>,
    pub votes: PowerSettings,
    pub memory: MemoryConfig,
    steps: u64,
    pub connects: VecDeque<Connect>,
    pub refuse_next: bool,
    pub ignore_aborts: bool,
}

/// What an execution turns its input into.
pub fn result_of(input: u64, graph: GraphId) -> u64 {
    input.rotate_left(7) ^ crate::trace::word(graph)
}

impl<'m> Device<'m> {
    /// Connected, in the first epoch, with nothing loaded.
    pub fn new(capabilities: Capabilities) -> Self {
        Self {
            capabilities,
            epoch: Epoch::FIRST,
            up: true,
            hung: false,
            inbox: VecDeque::new(),
            owed: VecDeque::new(),
            outgoing: VecDeque::new(),
            contexts: Vec::new(),
            refused: Vec::new(),
            graphs: Vec::new(),
            buffers: Vec::new(),
            buffers_refused: Vec::new(),
            executing: Vec::new(),
            on_cpu: None,
            votes: PowerSettings::NONE,
            memory: MemoryConfig::default(),
            steps: 0,
            connects: VecDeque::new(),
            refuse_next: false,
            ignore_aborts: false,
        }
    }

    /// An order arrives. A connection wipes what was there before it, and so does a shutdown; the
    /// rest waits to be taken; the CPU takes what it gets. Whether the order met a fault.
    pub fn submit(&mut self, order: Order<'m>) -> Check<bool> {
        let Some(epoch) = order.epoch else {
            return self.cpu(order.what).map(|()| false);
        };
        match order.what {
            What::Connect { .. } => {}
            What::Shutdown if self.connects.pop_front().is_some() => return Ok(true),
            What::Shutdown => {
                self.crash(true);
                return Ok(false);
            }
            _ => {
                if self.up {
                    self.inbox.push_back(order);
                }
                return Ok(false);
            }
        }
        self.forget();
        self.epoch = epoch;
        let fate = self.connects.pop_front();
        self.up = fate.is_none();
        match fate {
            None => self.owed.push_back(Event::Connected { epoch }),
            Some(Connect::Fail) => {
                self.owed.push_back(Event::ConnectFailed { epoch });
            }
            Some(Connect::Ignore) => {}
        }
        Ok(fate.is_some())
    }

    /// Takes one order out of its inbox; `false` if there is none.
    pub fn take(&mut self) -> Check<bool> {
        if self.hung || !self.up {
            return Ok(false);
        }
        let Some(order) = self.inbox.pop_front() else { return Ok(false) };
        ensure!(
            order.epoch == Some(self.epoch),
            "device: epoch of a command",
            "it names {:?}, the device lives in {:?}",
            order.epoch,
            self.epoch
        );
        match order.what {
            What::Execute(execute) => self.execute(execute)?,
            What::Abort(request) => self.abort(request),
            What::Probe => {
                self.outgoing.push_back(Event::Alive {
                    epoch: self.epoch,
                    steps: self.steps,
                    held: false,
                });
            }
            What::PowerVote(settings) => self.votes = settings,
            What::MemorySet(config) => self.memory = config,
            other => self.control(other)?,
        }
        Ok(true)
    }

    fn control(&mut self, what: What<'m>) -> Check {
        let epoch = self.epoch;
        let event = match what {
            What::ContextCreate(context) => {
                let known = self.contexts.contains(&context);
                ensure!(!known, "device: created twice", "context {context:?}");
                // What it refused may be asked of it again.
                self.refused.retain(|refused| *refused != context);
                let result = self.refusal().map_or(Ok(()), Err);
                let list = if result.is_ok() { &mut self.contexts } else { &mut self.refused };
                list.push(context);
                Event::ContextCreated { context, epoch, result }
            }
            What::ContextRelease(context) => {
                let index = self.contexts.iter().position(|known| *known == context);
                ensure!(index.is_some(), "device: releases what it knows", "context {context:?}");
                let empty = self.graphs.iter().all(|prepared| prepared.context != context);
                ensure!(empty, "device: releases empty contexts", "{context:?} has graphs");
                self.contexts.retain(|known| *known != context);
                Event::ContextReleased { context, epoch }
            }
            What::GraphPrepare { graph, context, table } => self.prepare(graph, context, table)?,
            What::GraphRelease(graph) => {
                let runs = self.executing.iter().any(|running| running.graph == graph);
                ensure!(!runs, "device: releases idle graphs", "{graph:?} executes");
                let index = self.graphs.iter().position(|prepared| prepared.graph == graph);
                ensure!(index.is_some(), "device: releases what it knows", "graph {graph:?}");
                self.graphs.retain(|prepared| prepared.graph != graph);
                Event::GraphReleased { graph, epoch }
            }
            What::BufferMap { buffer, memory } => {
                ensure!(!memory.is_empty(), "device: maps memory", "{buffer:?} is empty");
                let known = self.buffers.contains(&buffer);
                ensure!(!known, "device: mapped twice", "buffer {buffer:?}");
                self.buffers_refused.retain(|refused| *refused != buffer);
                let result = self.refusal().map_or(Ok(()), Err);
                let maps = result.is_ok();
                let list = if maps { &mut self.buffers } else { &mut self.buffers_refused };
                list.push(buffer);
                Event::BufferMapped { buffer, epoch, result }
            }
            What::BufferUnmap(buffer) => {
                let known = |list: &[BufferId]| list.contains(&buffer);
                let heard_of = known(&self.buffers) || known(&self.buffers_refused);
                ensure!(heard_of, "device: unmaps what it knows", "buffer {buffer:?}");
                self.buffers.retain(|known| *known != buffer);
                self.buffers_refused.retain(|known| *known != buffer);
                Event::BufferUnmapped { buffer, epoch }
            }
            _ => return Ok(()),
        };
        self.owed.push_back(event);
        Ok(())
    }

    fn prepare(
        &mut self,
        graph: GraphId,
        context: ContextId,
        table: SharedBytes<'m>,
    ) -> Check<Event> {
        let known = self.contexts.contains(&context);
        ensure!(
            known || self.refused.contains(&context),
            "device: prepares in contexts it was told of",
            "graph {graph:?} of {context:?}"
        );
        let twice = self.graphs.iter().any(|prepared| prepared.graph == graph);
        ensure!(!twice, "device: prepared twice", "graph {graph:?}");
        let refusal = self.refusal().or((!known).then_some(PrepareError::CapacityExceeded));
        let result = match refusal {
            Some(error) => Err(error),
            None => {
                self.graphs.push(Prepared { graph, context, _table: table });
                Ok(GraphReport { scratch_bytes: 64, ..GraphReport::default() })
            }
        };
        Ok(Event::GraphPrepared { graph, epoch: self.epoch, result })
    }

    fn refusal(&mut self) -> Option<PrepareError> {
        std::mem::take(&mut self.refuse_next).then_some(PrepareError::OutOfMemory)
    }

    fn execute(&mut self, order: Execute) -> Check {
        let Execute { request, graph, priority, .. } = order;
        let named = || shown(request);
        let known = self.graphs.iter().any(|prepared| prepared.graph == graph);
        ensure!(known, "device: executes what it knows", "{} of {graph:?}", named());
        let on_cpu = self.on_cpu.as_ref().is_some_and(|other| other.graph == graph);
        let twice = on_cpu || self.executing.iter().any(|other| other.graph == graph);
        ensure!(!twice, "device: a graph runs once at a time", "{} of {graph:?}", named());
        ensure!(
            priority.hvx == priority.hmx + 1,
            "device: thread priorities",
            "{} has {priority:?}",
            named()
        );
        let equals = self.executing.iter().filter(|o| o.priority.hmx == priority.hmx).count();
        let parallel = self.capabilities.contains(Capabilities::PARALLEL_GRAPHS);
        let most = if parallel { PARALLEL_PER_PRIORITY } else { 1 };
        ensure!(equals < most, "device: at most a pair", "{} is one more", named());
        ensure!(order.io.is_some(), "device: number of tensors", "{}", named());
        self.executing.push(order);
        Ok(())
    }

    fn abort(&mut self, request: RequestId) {
        let place = self.executing.iter().position(|running| running.request == request);
        if let Some(place) = place.filter(|_| !self.ignore_aborts) {
            self.end(place, Err(ExecuteError::Aborted));
        }
    }

    fn end(&mut self, place: usize, result: Result<ExecutionReport, ExecuteError>) {
        let request = self.executing.remove(place).request;
        self.steps += 1;
        self.owed.push_back(Event::Executed { request, epoch: self.epoch, result });
    }

    /// The `pick`-th execution touches its memory.
    pub fn work(&mut self, pick: u16, pool: &Pool) -> Check {
        if self.hung || self.executing.is_empty() {
            return Ok(());
        }
        let running = &self.executing[usize::from(pick) % self.executing.len()];
        touch(running.io, running.request, running.graph, pool)?;
        self.steps += 1;
        Ok(())
    }

    /// The `pick`-th execution ends, with this error or with its outputs written. Whether there was
    /// one.
    pub fn finish(
        &mut self,
        now: Instant,
        pick: u16,
        error: Option<ExecuteError>,
        pool: &Pool,
    ) -> Check<bool> {
        if self.hung || self.executing.is_empty() {
            return Ok(false);
        }
        self.work(pick, pool)?;
        let place = usize::from(pick) % self.executing.len();
        let report = ExecutionReport {
            device_time_us: 40 + self.steps,
            cycles: 1_000 * self.steps,
            started: now,
            ..ExecutionReport::default()
        };
        self.end(place, error.map_or(Ok(report), Err));
        Ok(true)
    }

    /// The CPU takes an order.
    fn cpu(&mut self, what: What<'m>) -> Check {
        match what {
            What::FallbackExecute(execution) => {
                let named = || shown(execution.request);
                ensure!(self.on_cpu.is_none(), "CPU: one at a time", "{} is one more", named());
                let twice = self.holds(execution.request);
                ensure!(!twice, "CPU: not what the device executes", "{}", named());
                ensure!(execution.io.is_some(), "CPU: number of tensors", "{}", named());
                self.on_cpu = Some(execution);
            }
            What::FallbackAbort(request) if self.is_on_cpu(request) && !self.ignore_aborts => {
                self.end_on_cpu(Err(ExecuteError::Aborted));
            }
            _ => {}
        }
        Ok(())
    }

    fn is_on_cpu(&self, request: RequestId) -> bool {
        self.on_cpu.as_ref().is_some_and(|execution| execution.request == request)
    }

    fn end_on_cpu(&mut self, result: Result<(), ExecuteError>) {
        if let Some(OnCpu { request, .. }) = self.on_cpu.take() {
            self.outgoing.push_back(Event::FallbackExecuted { request, result });
        }
    }

    /// The CPU touches the memory of its execution.
    pub fn work_on_cpu(&self, pool: &Pool) -> Check {
        let Some(execution) = &self.on_cpu else { return Ok(()) };
        touch(execution.io, execution.request, execution.graph, pool)
    }

    /// As `finish`, of what the CPU executes.
    pub fn finish_on_cpu(&mut self, error: Option<ExecuteError>, pool: &Pool) -> Check<bool> {
        self.work_on_cpu(pool)?;
        let runs = self.on_cpu.is_some();
        self.end_on_cpu(error.map_or(Ok(()), Err));
        Ok(runs)
    }

    /// The `pick`-th answer that it owes goes on its way. Whether there was one.
    pub fn answer(&mut self, pick: u16) -> bool {
        if self.hung || self.owed.is_empty() {
            return false;
        }
        let place = usize::from(pick) % self.owed.len();
        self.outgoing.extend(self.owed.remove(place));
        true
    }

    /// Everything is gone. `heard`: the host is told.
    pub fn crash(&mut self, heard: bool) {
        self.forget();
        self.up = false;
        if heard {
            self.outgoing.push_back(Event::Crashed { epoch: self.epoch });
        }
    }

    /// Graph tables that it holds, prepared or not.
    pub fn tables(&self) -> u64 {
        let ordered = |order: &&Order<'_>| matches!(order.what, What::GraphPrepare { .. });
        (self.graphs.len() + self.inbox.iter().filter(ordered).count()) as u64
    }

    /// Whether it has nothing to do and nothing to say.
    pub fn is_quiet(&self) -> bool {
        let waits = self.inbox.is_empty() && self.owed.is_empty() && self.executing.is_empty();
        (waits || self.hung) && self.outgoing.is_empty() && self.on_cpu.is_none()
    }

    /// Whether an order of this execution is there, done or not.
    pub fn holds(&self, request: RequestId) -> bool {
        let ordered = |order: &Order<'_>| match &order.what {
            What::Execute(execute) => execute.request == request,
            _ => false,
        };
        self.executing.iter().any(|running| running.request == request)
            || self.inbox.iter().any(ordered)
            || self.is_on_cpu(request)
    }

    /// Hashes all that decides what it does from here on.
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        (self.epoch, self.up, self.hung, &self.owed, &self.outgoing).hash(hasher);
        (&self.contexts, &self.refused, &self.buffers, &self.buffers_refused).hash(hasher);
        self.inbox.iter().for_each(|order| order.words().hash(hasher));
        self.graphs.iter().for_each(|prepared| (prepared.graph, prepared.context).hash(hasher));
        self.executing.iter().for_each(|running| running.request.hash(hasher));
        self.on_cpu.as_ref().map(|execution| execution.request).hash(hasher);
        (self.inbox.len(), self.graphs.len(), self.executing.len()).hash(hasher);
        (self.votes, self.memory, self.steps, &self.connects).hash(hasher);
        (self.refuse_next, self.ignore_aborts).hash(hasher);
    }

    /// Answers that it owes, and executions.
    pub fn counts(&self) -> [usize; 2] {
        [self.owed.len(), self.executing.len()]
    }

    fn forget(&mut self) {
        self.hung = false;
        self.inbox.clear();
        self.owed.clear();
        self.contexts.clear();
        self.refused.clear();
        self.graphs.clear();
        self.buffers.clear();
        self.buffers_refused.clear();
        self.executing.clear();
        self.votes = PowerSettings::NONE;
        self.memory = MemoryConfig::default();
        self.steps = 0;
    }
}

/// An execution reads its input and writes its output.
fn touch(
    io: Option<[ClientMemory; TENSORS]>,
    request: RequestId,
    graph: GraphId,
    pool: &Pool,
) -> Check {
    let Some(io) = io else { return Ok(()) };
    ensure!(
        pool.is_lent_to(&io, request),
        "memory stays lent while the device uses it",
        "{}",
        shown(request)
    );
    write(io[1], result_of(read(io[0]), graph));
    Ok(())
}
