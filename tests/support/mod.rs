//! A runtime on a scripted device, with a clock that the test turns.

mod scripted;

pub use scripted::{Connect, Scripted, Seen, GRAPH_REPORT, REPORT};

use std::collections::HashMap;

use htp_runtime::capability::{Capabilities, PlatformKind};
use htp_runtime::device::{Device, ExecuteError, Step};
use htp_runtime::error::{Status, SubmitError};
use htp_runtime::event::{Completion, Notice, Outcome, Transition};
use htp_runtime::graph::{DataType, GraphBuilder, OpSpec, ScaleOffset, TensorKind, TensorSpec};
use htp_runtime::handle::{ContextId, GraphId, RequestId};
use htp_runtime::limits::Capacities;
use htp_runtime::memory::ClientMemory;
use htp_runtime::queue::Mode;
use htp_runtime::region::{Region, SharedBytes};
use htp_runtime::runtime::{ContextConfig, IoBinding, Runtime, SubmitOptions};
use htp_runtime::sched::Priority;
use htp_runtime::ssr::State;
use htp_runtime::time::Instant;

/// Turns of the loop after which a test counts as stuck.
const TURNS_MAX: usize = 20_000;
/// Elements of each tensor of a test graph.
pub const TENSOR_BYTES: usize = 8;

/// Room for a test.
pub const CAPACITIES: Capacities = Capacities {
    contexts: 8,
    graphs: 16,
    buffers: 8,
    requests: 1000,
    profiles: 4,
    power_configs: 4,
    watched_outputs: 8,
    trace_records: 64,
};

/// Everything that the platforms offer, with restarts and privileged priorities.
pub fn all_capabilities() -> Capabilities {
    PlatformKind::QnxAdas.capabilities(75)
}

/// Asynchronous, no deadline.
pub const ASYNC: SubmitOptions = SubmitOptions {
    mode: Mode::Asynchronous,
    deadline: Instant::FAR,
    user_data: [0; 3],
    profile: None,
};

/// Blocking, no deadline.
pub const BLOCKING: SubmitOptions = SubmitOptions { mode: Mode::Blocking, ..ASYNC };

/// The tensors of the test graphs: one input, one output.
pub fn tensors() -> [TensorSpec<'static>; 2] {
    const STEP: &[ScaleOffset] = &[ScaleOffset { scale: 0.5, offset: 0 }];
    let input = TensorSpec {
        id: 7,
        name: "input",
        kind: TensorKind::AppWrite,
        data_type: DataType::Ufixed8,
        dims: &[1, TENSOR_BYTES as u32],
        quant_axis: 0,
        quants: STEP,
        data: &[],
    };
    [input, TensorSpec { id: 9, name: "output", kind: TensorKind::AppRead, ..input }]
}

/// The one operation of the test graphs.
pub const OP: OpSpec<'static> = OpSpec {
    name: "node",
    package: "qti.aisw",
    type_name: "Relu",
    params: &[],
    inputs: &[0],
    outputs: &[1],
};

/// A small graph table.
pub fn table(name: &str) -> Vec<u8> {
    let mut arena = Box::new_uninit_slice(1 << 15);
    let mut region = Region::new(&mut arena);
    let mut builder = GraphBuilder::new(&mut region, name).unwrap();
    for tensor in tensors() {
        builder.add_tensor(&mut region, &tensor).unwrap();
    }
    builder.add_op(&mut region, &OP).unwrap();
    let block = builder.write(&mut region).unwrap();
    block.to_vec()
}

/// Bindings for a test graph, to memory that lives for ever.
pub fn bindings() -> [IoBinding; 2] {
    [7, 9].map(|tensor_id| IoBinding { tensor_id, memory: client_memory(TENSOR_BYTES) })
}

/// Client memory that lives for ever.
pub fn client_memory(len: usize) -> ClientMemory {
    let bytes = Box::leak(vec![0u8; len].into_boxed_slice());
    // SAFETY: the bytes are leaked, so they stay readable and writable.
    unsafe { ClientMemory::new(bytes.as_mut_ptr().expose_provenance(), len) }
}

/// A context of this depth at the default priority.
pub fn depth(queue_depth: u32) -> ContextConfig {
    ContextConfig { queue_depth, ..ContextConfig::default() }
}

/// A runtime, its device, the clock, and what the client has heard.
pub struct World {
    pub runtime: Runtime<'static>,
    pub device: Scripted,
    pub now: Instant,
    pub completions: Vec<Completion>,
    pub transitions: Vec<Transition>,
    io: [IoBinding; 2],
    /// Region bytes that the tables take.
    pub bytes_at_start: usize,
}

impl World {
    pub fn new() -> Self {
        Self::with(all_capabilities(), CAPACITIES)
    }

    pub fn without(capabilities: Capabilities) -> Self {
        Self::with(all_capabilities().difference(capabilities), CAPACITIES)
    }

    pub fn with(capabilities: Capabilities, capacities: Capacities) -> Self {
        let bytes = Runtime::memory_required(&capacities) + (1 << 19);
        let runtime =
            Runtime::new(Region::from_heap(bytes), &capacities, capabilities).expect("it fits");
        Self {
            bytes_at_start: runtime.region().used_bytes(),
            runtime,
            device: Scripted::new(capabilities),
            now: Instant::from_us(1_000),
            completions: Vec::new(),
            transitions: Vec::new(),
            io: bindings(),
        }
    }

    /// Hands all commands to the device.
    pub fn drain_commands(&mut self) -> usize {
        let mut count = 0;
        while let Some(command) = self.runtime.poll_command(self.now) {
            self.device.submit(self.now, command);
            count += 1;
            assert!(count < TURNS_MAX, "commands without end");
        }
        count
    }

    /// Hears all notices.
    pub fn drain_notices(&mut self) -> usize {
        let mut count = 0;
        while let Some(notice) = self.runtime.poll_notice(self.now) {
            match notice {
                Notice::Completion(completion) => self.completions.push(completion),
                Notice::Restart(transition) => self.transitions.push(transition),
            }
            count += 1;
            assert!(count < TURNS_MAX, "notices without end");
        }
        assert!(!self.runtime.has_notice());
        count
    }

    /// One event of the device goes to the runtime; `false` if it has none.
    pub fn deliver(&mut self) -> bool {
        match self.device.step(self.now) {
            Step::Event(event) => {
                self.runtime.handle_event(self.now, event);
                true
            }
            Step::Worked => true,
            Step::Waiting(_) => false,
        }
    }

    /// Turns the loop until nothing moves without a push from outside.
    pub fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let moved = self.drain_commands() + self.drain_notices();
            if !self.deliver() && moved == 0 {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    /// Lets time pass, with every timer that falls due in it.
    pub fn advance(&mut self, duration_us: u64) {
        let end = self.now.after_us(duration_us);
        for _ in 0..TURNS_MAX {
            let due = self.runtime.poll_timeout().filter(|at| *at <= end);
            self.now = due.unwrap_or(end).max(self.now);
            self.runtime.handle_timeout(self.now);
            self.settle();
            if due.is_none() {
                return;
            }
        }
        panic!("timers without end");
    }

    /// The device crashes and the restart goes as far as it can without time passing.
    pub fn crash(&mut self) {
        self.device.crash();
        self.settle();
    }

    /// A usable context.
    pub fn context(&mut self, config: &ContextConfig) -> ContextId {
        let id = self.runtime.context_create(config).expect("there is room");
        self.settle();
        assert_eq!(self.runtime.context_status(id), Ok(Status::Ready));
        id
    }

    /// Region memory with a graph table in it.
    pub fn shared_table(&mut self, name: &str) -> SharedBytes<'static> {
        let bytes = table(name);
        let region = self.runtime.region_mut();
        region.alloc_shared(bytes.len(), 64, |to| to.copy_from_slice(&bytes)).expect("it fits")
    }

    /// An executable graph, loaded from a table.
    pub fn graph(&mut self, context: ContextId, name: &str, priority: Priority) -> GraphId {
        let table = self.shared_table(name);
        let id = self.runtime.graph_load(context, table, Some(priority)).expect("there is room");
        self.settle();
        assert_eq!(self.runtime.graph_status(id), Ok(Status::Ready));
        id
    }

    /// A graph under construction, complete.
    pub fn composed(&mut self, context: ContextId, name: &str) -> GraphId {
        let id = self.runtime.graph_create(context, name, None).expect("there is room");
        for tensor in tensors() {
            self.runtime.graph_add_tensor(id, &tensor).expect("it fits");
        }
        self.runtime.graph_add_op(id, &OP).expect("it fits");
        id
    }

    /// A context and an executable graph in it.
    pub fn context_and_graph(&mut self, queue_depth: u32) -> (ContextId, GraphId) {
        let context = self.context(&depth(queue_depth));
        (context, self.graph(context, "net", Priority::Normal))
    }

    pub fn submit(
        &mut self,
        graph: GraphId,
        options: SubmitOptions,
    ) -> Result<RequestId, SubmitError> {
        self.runtime.submit(self.now, graph, &self.io[..], options)
    }

    /// Submits `count` asynchronous requests and hands over what can start.
    pub fn submit_n(&mut self, graph: GraphId, count: usize) -> Vec<RequestId> {
        let requests = (0..count).map(|_| self.submit(graph, ASYNC).expect("there is room"));
        let requests = requests.collect();
        self.settle();
        requests
    }

    /// Ends a running request successfully.
    pub fn finish(&mut self, request: RequestId) {
        self.device.finish(request, Ok(REPORT));
        self.settle();
    }

    /// Ends a running request with an error of the device.
    pub fn fail(&mut self, request: RequestId, error: ExecuteError) {
        self.device.finish(request, Err(error));
        self.settle();
    }

    /// Ends whatever runs until nothing runs.
    pub fn finish_all(&mut self) {
        while let Some(running) = self.device.executing.first() {
            self.finish(running.request);
        }
    }

    /// The requests that run on the device, in the order in which they started.
    pub fn running(&self) -> Vec<RequestId> {
        self.device.executing.iter().map(|running| running.request).collect()
    }

    /// How a request ended; fails if it was heard twice.
    pub fn outcome(&self, request: RequestId) -> Option<Outcome> {
        let mut heard = self.completions.iter().filter(|heard| heard.request == request);
        let outcome = heard.next().map(|completion| completion.outcome);
        assert!(heard.next().is_none(), "{request:?} was heard twice");
        outcome
    }

    /// Each of `requests` has ended, once, with `outcome`.
    pub fn assert_outcomes(&self, requests: &[RequestId], outcome: Outcome) {
        let mut counts = HashMap::new();
        for completion in &self.completions {
            *counts.entry(completion.request).or_insert(0) += 1;
        }
        for request in requests {
            assert_eq!(counts.get(request), Some(&1), "{request:?}");
            assert_eq!(self.outcome(*request), Some(outcome), "{request:?}");
        }
    }

    /// The phases that were heard since the last call.
    pub fn take_phases(&mut self) -> Vec<State> {
        self.transitions.drain(..).map(|transition| transition.to).collect()
    }

    /// Frees all contexts given, and proves that nothing of them is left.
    pub fn free_and_check(&mut self, contexts: &[ContextId]) {
        for &context in contexts {
            self.runtime.context_free(self.now, context).expect("it was not freed before");
        }
        self.settle();
        self.assert_clean();
    }

    /// Nothing is left of anything, anywhere.
    pub fn assert_clean(&self) {
        assert_eq!(self.runtime.context_count(), 0);
        assert!(self.runtime.is_idle());
        assert_eq!(self.runtime.region().used_bytes(), self.bytes_at_start);
        assert_eq!(self.device.objects(), (0, 0));
        assert_eq!(self.runtime.counters().faults, 0);
        assert_eq!(self.runtime.counters().blocks_leaked, 0);
    }
}
