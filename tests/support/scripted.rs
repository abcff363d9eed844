//! A device whose answers the test gives by hand: at once, later, in another order, wrong, late,
//! twice or never.
//!
//! It also checks the runtime's side of the [`Device`] contract with each command, so every test
//! that drives it does.

use std::collections::{HashMap, HashSet, VecDeque};

use htp_runtime::capability::Capabilities;
use htp_runtime::device::{
    Command, Device, Event, ExecuteError, ExecutionReport, GraphReport, PrepareError, PrepareTimes,
    Step,
};
use htp_runtime::handle::{BufferId, ContextId, Epoch, GraphId, RequestId};
use htp_runtime::limits::{IN_FLIGHT_MAX, PARALLEL_PER_PRIORITY};
use htp_runtime::memory::ClientMemory;
use htp_runtime::power::{MemoryConfig, PowerSettings};
use htp_runtime::region::SharedBytes;
use htp_runtime::time::Instant;

/// A command as the journal keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Connect(u32),
    ContextCreate(ContextId),
    ContextRelease(ContextId),
    GraphPrepare(GraphId),
    GraphRelease(GraphId),
    BufferMap(BufferId),
    BufferUnmap(BufferId),
    Execute(RequestId),
    FallbackExecute(RequestId),
    FallbackAbort(RequestId),
    Abort(RequestId),
    PowerVote(PowerSettings),
    MemorySet(MemoryConfig),
    Probe,
    Shutdown,
}

/// What clients placed on a device: slots, tables and settings.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceState {
    pub contexts: Vec<u16>,
    pub graphs: Vec<(u16, u16, Vec<u8>)>,
    pub buffers: Vec<u16>,
    pub power: PowerSettings,
    pub memory: MemoryConfig,
}

/// How the device meets a connection attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connect {
    Succeed,
    Fail,
    Ignore,
}

/// An execution on the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executing {
    pub request: RequestId,
    pub graph: GraphId,
    pub hmx: u8,
    pub hvx_threads: u32,
    /// What it was lent.
    pub io: Vec<ClientMemory>,
}

/// The scripted device.
pub struct Scripted {
    pub capabilities: Capabilities,
    /// Control commands wait for `answer_controls`.
    pub hold_controls: bool,
    /// Executions wait for `finish`.
    pub hold_executions: bool,
    /// Aborts are not followed: the execution goes on.
    pub ignore_aborts: bool,
    /// Probes are not answered.
    pub ignore_probes: bool,
    /// It does not shut down.
    pub ignore_shutdown: bool,
    /// Answer to the next set-up of a context, graph or buffer, if not success.
    pub refuse_next: Option<PrepareError>,
    /// Set-ups that succeed before `refuse_next` counts.
    pub refuse_after: usize,
    /// Answers to the next connection attempts; then all succeed.
    pub connects: VecDeque<Connect>,
    /// Steps of work that a probe reports.
    pub steps: u64,
    /// Every command, in order.
    pub journal: Vec<Seen>,
    /// Every answer given, in order.
    pub answered: Vec<Event>,
    pub executing: Vec<Executing>,
    /// What the CPU executes beside it, with the graph's table.
    pub fallback: Option<(RequestId, SharedBytes<'static>)>,
    /// All requests that were executed, wherever: none comes twice.
    started: HashSet<RequestId>,
    epoch: Epoch,
    /// Crashed and not connected again: commands go unheard.
    down: bool,
    held: VecDeque<Event>,
    outgoing: VecDeque<Event>,
    contexts: Vec<ContextId>,
    buffers: Vec<BufferId>,
    power: PowerSettings,
    memory: MemoryConfig,
    graphs: HashMap<GraphId, (ContextId, SharedBytes<'static>)>,
}

impl Scripted {
    pub fn new(capabilities: Capabilities) -> Self {
        Self {
            capabilities,
            hold_controls: false,
            hold_executions: true,
            ignore_aborts: false,
            ignore_probes: false,
            ignore_shutdown: false,
            refuse_next: None,
            refuse_after: 0,
            connects: VecDeque::new(),
            steps: 0,
            fallback: None,
            started: HashSet::new(),
            journal: Vec::new(),
            answered: Vec::new(),
            executing: Vec::new(),
            epoch: Epoch::FIRST,
            down: false,
            held: VecDeque::new(),
            outgoing: VecDeque::new(),
            contexts: Vec::new(),
            buffers: Vec::new(),
            power: PowerSettings::NONE,
            memory: MemoryConfig::default(),
            graphs: HashMap::new(),
        }
    }

    /// Epoch of the last connection attempt.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Ends an execution with `result`.
    pub fn finish(&mut self, request: RequestId, result: Result<ExecutionReport, ExecuteError>) {
        let index = self.executing.iter().position(|running| running.request == request);
        self.executing.remove(index.expect("the request runs"));
        self.steps += 1;
        self.say(Event::Executed { request, epoch: self.epoch, result });
    }

    /// Ends the execution on the CPU with `result`.
    pub fn finish_fallback(&mut self, result: Result<(), ExecuteError>) {
        let (request, table) = self.fallback.take().expect("one is on the fallback");
        drop(table);
        self.say(Event::FallbackExecuted { request, result });
    }

    /// Says something, true or not.
    pub fn say(&mut self, event: Event) {
        self.outgoing.push_back(event);
    }

    /// Answers the control commands that were held back, and holds back no more.
    pub fn answer_controls(&mut self) {
        self.hold_controls = false;
        self.outgoing.append(&mut self.held);
    }

    /// Everything is gone, and the host hears of it.
    pub fn crash(&mut self) {
        self.forget();
        self.down = true;
        self.say(Event::Crashed { epoch: self.epoch });
    }

    /// As `crash`, and what was answered but not delivered is lost with it.
    pub fn crash_at_once(&mut self) {
        self.outgoing.clear();
        self.crash();
    }

    /// Everything that clients placed on the device, in order of their handles.
    pub fn state(&self) -> DeviceState {
        let mut contexts: Vec<_> = self.contexts.iter().map(|id| id.index()).collect();
        let mut buffers: Vec<_> = self.buffers.iter().map(|id| id.index()).collect();
        let graphs = self.graphs.iter();
        let mut graphs: Vec<_> = graphs
            .map(|(id, (context, table))| (id.index(), context.index(), table.to_vec()))
            .collect();
        contexts.sort();
        buffers.sort();
        graphs.sort();
        DeviceState { contexts, graphs, buffers, power: self.power, memory: self.memory }
    }

    /// Contexts and graphs that the device holds.
    pub fn objects(&self) -> (usize, usize) {
        (self.contexts.len(), self.graphs.len())
    }

    fn forget(&mut self) {
        self.executing.clear();
        self.held.clear();
        self.contexts.clear();
        self.graphs.clear();
        self.buffers.clear();
        self.power = PowerSettings::NONE;
        self.memory = MemoryConfig::default();
        self.steps = 0;
    }

    fn verdict(&mut self) -> Result<(), PrepareError> {
        match self.refuse_next {
            Some(_) if self.refuse_after > 0 => {
                self.refuse_after -= 1;
                Ok(())
            }
            _ => self.refuse_next.take().map_or(Ok(()), Err),
        }
    }

    fn answer(&mut self, event: Event) {
        let queue = if self.hold_controls { &mut self.held } else { &mut self.outgoing };
        queue.push_back(event);
    }

    fn connect(&mut self, epoch: Epoch) {
        self.forget();
        self.epoch = epoch;
        self.down = false;
        match self.connects.pop_front().unwrap_or(Connect::Succeed) {
            Connect::Succeed => self.answer(Event::Connected { epoch }),
            Connect::Fail => self.answer(Event::ConnectFailed { epoch }),
            Connect::Ignore => {}
        }
    }

    /// What a running request was lent: inputs, then outputs.
    pub fn lent(&self, request: RequestId) -> &[ClientMemory] {
        let running = self.executing.iter().find(|running| running.request == request);
        &running.expect("it runs").io
    }

    fn execute(&mut self, running: Executing) {
        assert!(self.started.insert(running.request), "executed twice");
        let on_cpu = self.fallback.as_ref().map(|(request, _)| *request);
        assert_ne!(on_cpu, Some(running.request));
        assert!(self.graphs.contains_key(&running.graph), "executes a graph that was not prepared");
        let same_graph = self.executing.iter().any(|other| other.graph == running.graph);
        assert!(!same_graph, "a graph is on the device twice");
        let more_important = self.executing.iter().any(|other| other.hmx < running.hmx);
        assert!(!more_important, "starts beside something more important");
        let (request, hmx) = (running.request, running.hmx);
        self.executing.push(running);
        let equals = self.executing.iter().filter(|other| other.hmx == hmx).count();
        assert!(equals <= PARALLEL_PER_PRIORITY, "more than a pair of equal priority");
        let parallel = self.capabilities.contains(Capabilities::PARALLEL_GRAPHS);
        assert!(parallel || equals == 1, "a pair where the platform has none");
        assert!(self.executing.len() <= IN_FLIGHT_MAX);
        if !self.hold_executions {
            self.finish(request, Ok(REPORT));
        }
    }

    fn abort(&mut self, request: RequestId) {
        let runs = self.executing.iter().any(|running| running.request == request);
        if runs && !self.ignore_aborts {
            self.finish(request, Err(ExecuteError::Aborted));
        }
    }

    fn check_epoch(&self, epoch: Epoch) {
        assert_eq!(epoch, self.epoch, "a command of another epoch");
    }
}

/// What every finished execution reports.
pub const REPORT: ExecutionReport = ExecutionReport {
    device_time_us: 40,
    cycles: 52_000,
    yields: 1,
    wait_cycles: 0,
    started: Instant::ZERO,
    hvx_threads: 4,
    power_up_us: 0,
    number: 0,
};

/// What every prepared graph reports.
pub const GRAPH_REPORT: GraphReport = GraphReport {
    scratch_bytes: 4096,
    constant_bytes: 0,
    ops: 1,
    cycles_estimated: 52_000,
    times: PrepareTimes { check_us: 0, place_us: 0, compile_us: 0 },
};

impl Device<'static> for Scripted {
    fn submit(&mut self, _now: Instant, command: Command<'_, 'static>) {
        // The CPU works also while the device is down.
        let command = match command {
            Command::FallbackExecute { request, table, .. } => {
                assert!(self.fallback.is_none(), "two on the fallback");
                assert!(self.started.insert(request), "executed twice");
                self.fallback = Some((request, table));
                return self.journal.push(Seen::FallbackExecute(request));
            }
            Command::FallbackAbort { request } => {
                let on_cpu = self.fallback.as_ref().map(|(request, _)| *request);
                assert_eq!(on_cpu, Some(request), "stops what does not run");
                if !self.ignore_aborts {
                    self.finish_fallback(Err(ExecuteError::Aborted));
                }
                return self.journal.push(Seen::FallbackAbort(request));
            }
            command => command,
        };
        if self.down && !matches!(command, Command::Connect { .. }) {
            return;
        }
        let seen = match command {
            Command::Connect { epoch, attempt } => {
                self.connect(epoch);
                Seen::Connect(attempt)
            }
            Command::ContextCreate { context, epoch } => {
                self.check_epoch(epoch);
                let result = self.verdict();
                if result.is_ok() {
                    assert!(!self.contexts.contains(&context), "creates a context twice");
                    self.contexts.push(context);
                }
                self.answer(Event::ContextCreated { context, epoch, result });
                Seen::ContextCreate(context)
            }
            Command::ContextRelease { context, epoch } => {
                self.check_epoch(epoch);
                let index = self.contexts.iter().position(|known| *known == context);
                self.contexts.remove(index.expect("releases a context that it knows"));
                let empty = self.graphs.values().all(|(owner, _)| *owner != context);
                assert!(empty, "releases a context that has graphs");
                self.answer(Event::ContextReleased { context, epoch });
                Seen::ContextRelease(context)
            }
            Command::GraphPrepare { graph, context, epoch, table } => {
                self.check_epoch(epoch);
                assert!(self.contexts.contains(&context), "prepares in an unknown context");
                let result = self.verdict().map(|()| GRAPH_REPORT);
                if result.is_ok() {
                    let before = self.graphs.insert(graph, (context, table));
                    assert!(before.is_none(), "prepares a graph twice");
                }
                self.answer(Event::GraphPrepared { graph, epoch, result });
                Seen::GraphPrepare(graph)
            }
            Command::GraphRelease { graph, epoch } => {
                self.check_epoch(epoch);
                let runs = self.executing.iter().any(|running| running.graph == graph);
                assert!(!runs, "releases a graph that executes");
                assert!(self.graphs.remove(&graph).is_some(), "releases an unknown graph");
                self.answer(Event::GraphReleased { graph, epoch });
                Seen::GraphRelease(graph)
            }
            Command::BufferMap { buffer, epoch, .. } => {
                self.check_epoch(epoch);
                let result = self.verdict();
                if result.is_ok() {
                    assert!(!self.buffers.contains(&buffer), "maps a buffer twice");
                    self.buffers.push(buffer);
                }
                self.answer(Event::BufferMapped { buffer, epoch, result });
                Seen::BufferMap(buffer)
            }
            Command::BufferUnmap { buffer, epoch } => {
                self.check_epoch(epoch);
                self.buffers.retain(|known| *known != buffer);
                self.answer(Event::BufferUnmapped { buffer, epoch });
                Seen::BufferUnmap(buffer)
            }
            Command::PowerVote { epoch, settings } => {
                self.check_epoch(epoch);
                self.power = *settings;
                Seen::PowerVote(*settings)
            }
            Command::MemorySet { epoch, config } => {
                self.check_epoch(epoch);
                self.memory = config;
                Seen::MemorySet(config)
            }
            Command::Execute { request, graph, epoch, priority, hvx_threads, io } => {
                self.check_epoch(epoch);
                assert_eq!(priority.hvx, priority.hmx + 1);
                let (hmx, io) = (priority.hmx, io.to_vec());
                self.execute(Executing { request, graph, hmx, hvx_threads, io });
                Seen::Execute(request)
            }
            Command::Abort { request, epoch } => {
                self.check_epoch(epoch);
                self.abort(request);
                Seen::Abort(request)
            }
            Command::Probe { epoch } => {
                self.check_epoch(epoch);
                if !self.ignore_probes {
                    self.say(Event::Alive { epoch, steps: self.steps, held: false });
                }
                Seen::Probe
            }
            Command::FallbackExecute { .. } | Command::FallbackAbort { .. } => unreachable!(),
            Command::Shutdown { epoch } => {
                self.check_epoch(epoch);
                if !self.ignore_shutdown {
                    self.crash();
                }
                Seen::Shutdown
            }
        };
        self.journal.push(seen);
    }

    fn due(&self) -> Option<Instant> {
        (!self.outgoing.is_empty()).then_some(Instant::ZERO)
    }

    fn step(&mut self, _now: Instant) -> Step {
        match self.outgoing.pop_front() {
            Some(event) => {
                self.answered.push(event);
                Step::Event(event)
            }
            None => Step::Waiting(None),
        }
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }
}
