//! A runtime, and a device that answers everything at once.

use std::hint::black_box;

use htp_runtime::capability::PlatformKind;
use htp_runtime::device::{Command, Event, ExecutionReport, GraphReport};
use htp_runtime::event::Notice;
use htp_runtime::graph::{DataType, GraphBuilder, OpSpec, TensorKind, TensorSpec};
use htp_runtime::handle::{Epoch, GraphId, RequestId};
use htp_runtime::limits::Capacities;
use htp_runtime::memory::ClientMemory;
use htp_runtime::queue::Mode;
use htp_runtime::region::{Region, SharedBytes};
use htp_runtime::runtime::{ContextConfig, IoBinding, Runtime, SubmitOptions};
use htp_runtime::time::Instant;

/// A runtime with some contexts of one graph each, every queue filled to one below its depth.
pub struct Host {
    pub runtime: Runtime<'static>,
    graphs: Vec<GraphId>,
    next: usize,
    pub io: [IoBinding; 2],
    pub heard: u64,
}

impl Host {
    pub fn new(contexts: u16, queue_depth: u16) -> Self {
        let capacities = Capacities {
            contexts,
            graphs: contexts,
            requests: contexts * queue_depth,
            ..Capacities::DEFAULT
        };
        let runtime = runtime(&capacities);
        let memory = memory(64);
        let io = [1, 2].map(|tensor_id| IoBinding { tensor_id, memory });
        let mut host = Self { runtime, graphs: Vec::new(), next: 0, io, heard: 0 };
        for _ in 0..contexts {
            host.add_context(queue_depth.into());
        }
        for _ in 0..usize::from(contexts) * usize::from(queue_depth - 1) {
            host.submit();
        }
        host
    }

    fn add_context(&mut self, queue_depth: u32) {
        let config = ContextConfig { queue_depth, ..ContextConfig::default() };
        let context = self.runtime.context_create(&config).expect("there is room");
        let table = SharedBytes::from_borrowed(Vec::leak(table()));
        self.graphs.push(self.runtime.graph_load(context, table, None).expect("there is room"));
        while let Some(event) = self.runtime.poll_command(Instant::ZERO).and_then(answer) {
            self.runtime.handle_event(Instant::ZERO, event);
        }
    }

    /// The graph whose turn it is, and how it is submitted.
    #[inline]
    pub fn next(&mut self) -> (GraphId, SubmitOptions) {
        let graph = self.graphs[self.next];
        self.next = if self.next + 1 < self.graphs.len() { self.next + 1 } else { 0 };
        (graph, options(self.next))
    }

    #[inline]
    pub fn submit(&mut self) {
        let (graph, options) = self.next();
        self.runtime.submit(Instant::ZERO, graph, &self.io[..], options).expect("there is room");
    }

    /// One more request goes in, the oldest goes through the device and is heard.
    #[inline]
    pub fn cycle(&mut self, now: Instant) {
        self.submit();
        let event = self.runtime.poll_command(now).and_then(answer).expect("a request is due");
        self.runtime.handle_event(now, event);
        let notice = self.runtime.poll_notice(now);
        self.hear(notice);
    }

    #[inline]
    pub fn hear(&mut self, notice: Option<Notice>) {
        match notice {
            Some(Notice::Completion(completion)) => self.heard += completion.user_data[0] as u64,
            other => unreachable!("{other:?}"),
        }
    }
}

/// A runtime of a platform that allows everything.
pub fn runtime(capacities: &Capacities) -> Runtime<'static> {
    let bytes = Runtime::memory_required(capacities) + (1 << 24);
    let capabilities = PlatformKind::QnxAdas.capabilities(75);
    Runtime::new(Region::from_heap(bytes), capacities, capabilities).expect("it fits")
}

/// Memory of a client, for ever.
pub fn memory(bytes: usize) -> ClientMemory {
    let memory = Box::leak(vec![0u8; bytes].into_boxed_slice());
    // SAFETY: the bytes are leaked.
    unsafe { ClientMemory::new(memory.as_mut_ptr().expose_provenance(), bytes) }
}

/// An asynchronous execution without a deadline.
#[inline]
pub fn options(word: usize) -> SubmitOptions {
    let (mode, deadline) = (Mode::Asynchronous, Instant::FAR);
    SubmitOptions { mode, deadline, user_data: [word; 3], profile: None }
}

/// What a device answers that does everything at once and well.
#[inline]
pub fn answer(command: Command<'_, '_>) -> Option<Event> {
    let result = Ok(());
    Some(match command {
        Command::Connect { epoch, .. } => Event::Connected { epoch },
        Command::ContextCreate { context, epoch } => {
            Event::ContextCreated { context, epoch, result }
        }
        Command::GraphPrepare { graph, epoch, .. } => {
            Event::GraphPrepared { graph, epoch, result: Ok(GraphReport::default()) }
        }
        Command::BufferMap { buffer, epoch, .. } => Event::BufferMapped { buffer, epoch, result },
        Command::Execute { request, epoch, io, .. } => executed(request, epoch, io),
        _ => return None,
    })
}

fn executed(request: RequestId, epoch: Epoch, io: &[ClientMemory]) -> Event {
    black_box(io);
    let report = ExecutionReport { device_time_us: 1, cycles: 1, ..ExecutionReport::default() };
    Event::Executed { request, epoch, result: Ok(report) }
}

/// A graph with one input and one output.
pub fn table() -> Vec<u8> {
    let mut arena = Box::new_uninit_slice(1 << 15);
    let mut region = Region::new(&mut arena);
    let mut builder = GraphBuilder::new(&mut region, "net").expect("it fits");
    let input = TensorSpec {
        id: 1,
        name: "input",
        kind: TensorKind::AppWrite,
        data_type: DataType::Float32,
        dims: &[1, 16],
        quant_axis: 0,
        quants: &[],
        data: &[],
    };
    let output = TensorSpec { id: 2, name: "output", kind: TensorKind::AppRead, ..input };
    for tensor in [&input, &output] {
        builder.add_tensor(&mut region, tensor).expect("it fits");
    }
    let op = OpSpec {
        name: "node",
        package: "qti.aisw",
        type_name: "Relu",
        params: &[],
        inputs: &[0],
        outputs: &[1],
    };
    builder.add_op(&mut region, &op).expect("it fits");
    let block = builder.write(&mut region).expect("it fits");
    block.to_vec()
}
