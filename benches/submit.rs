//! What one inference costs on the host, apart from the inference: submit, dispatch, complete, on a
//! device that is instantly done. Printed as ratios to a push and a pop of a lock-free queue and an
//! indirect call, measured in the same rounds of the same run. Timings are printed, never judged;
//! allocations on this path are.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant as Clock;

use crossbeam_queue::ArrayQueue;
use htp_runtime::capability::PlatformKind;
use htp_runtime::device::{Command, Event, ExecutionReport, GraphReport};
use htp_runtime::event::Notice;
use htp_runtime::graph::{DataType, GraphBuilder, OpSpec, TensorKind, TensorSpec};
use htp_runtime::handle::{Epoch, GraphId};
use htp_runtime::limits::Capacities;
use htp_runtime::memory::ClientMemory;
use htp_runtime::queue::Mode;
use htp_runtime::region::{Region, SharedBytes};
use htp_runtime::runtime::{ContextConfig, IoBinding, Runtime, SubmitOptions};
use htp_runtime::time::Instant;

/// Rounds of which the median is printed.
const ROUNDS: usize = 301;
/// Cycles of one round.
const CYCLES: u32 = 2_000;

/// The system's allocator, counted.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller's promises are passed on.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller's promises are passed on.
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// A runtime with some contexts of one graph each, every queue filled to one below its depth.
struct Host {
    runtime: Runtime<'static>,
    graphs: Vec<GraphId>,
    next: usize,
    io: [IoBinding; 2],
    heard: u64,
}

impl Host {
    fn new(contexts: u16, queue_depth: u16) -> Self {
        let capacities = Capacities {
            contexts,
            graphs: contexts,
            requests: contexts * queue_depth,
            ..Capacities::DEFAULT
        };
        let bytes = Runtime::memory_required(&capacities) + (1 << 22);
        let capabilities = PlatformKind::QnxAdas.capabilities(75);
        let runtime = Runtime::new(Region::from_heap(bytes), &capacities, capabilities);
        let memory = Box::leak(vec![0u8; 64].into_boxed_slice());
        // SAFETY: the bytes are leaked.
        let memory = unsafe { ClientMemory::new(memory.as_mut_ptr().expose_provenance(), 64) };
        let io = [1, 2].map(|tensor_id| IoBinding { tensor_id, memory });
        let mut host =
            Self { runtime: runtime.expect("it fits"), graphs: Vec::new(), next: 0, io, heard: 0 };
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
        while let Some(command) = self.runtime.poll_command(Instant::ZERO) {
            let epoch = Epoch::FIRST;
            let event = match command {
                Command::ContextCreate { context, .. } => {
                    Event::ContextCreated { context, epoch, result: Ok(()) }
                }
                Command::GraphPrepare { graph, .. } => {
                    Event::GraphPrepared { graph, epoch, result: Ok(GraphReport::default()) }
                }
                _ => unreachable!("only contexts and graphs are made"),
            };
            self.runtime.handle_event(Instant::ZERO, event);
        }
    }

    #[inline]
    fn submit(&mut self) {
        let graph = self.graphs[self.next];
        self.next = if self.next + 1 < self.graphs.len() { self.next + 1 } else { 0 };
        let options = SubmitOptions {
            mode: Mode::Asynchronous,
            deadline: Instant::FAR,
            user_data: [self.next; 3],
            profile: None,
        };
        self.runtime.submit(Instant::ZERO, graph, &self.io[..], options).expect("there is room");
    }

    /// One more request goes in, the oldest goes through the device and is heard.
    #[inline]
    fn cycle(&mut self, now: Instant) {
        self.submit();
        let Some(Command::Execute { request, epoch, io, .. }) = self.runtime.poll_command(now)
        else {
            unreachable!("a request is due")
        };
        black_box(io);
        let report = ExecutionReport {
            device_time_us: 1,
            cycles: 1,
            started: now,
            ..ExecutionReport::default()
        };
        self.runtime.handle_event(now, Event::Executed { request, epoch, result: Ok(report) });
        match self.runtime.poll_notice(now) {
            Some(Notice::Completion(completion)) => self.heard += completion.user_data[0] as u64,
            other => unreachable!("{other:?}"),
        }
    }

    fn round(&mut self) -> f64 {
        let start = Clock::now();
        for cycle in 0..CYCLES {
            self.cycle(Instant::from_us(cycle.into()));
        }
        let ns = per_cycle(start);
        black_box(self.heard);
        ns
    }
}

/// A graph with one input and one output.
fn table() -> Vec<u8> {
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

type Notify = fn(&mut u64, usize);

/// The yardstick: what a hand-written queue of callbacks would do.
struct Yardstick {
    queue: ArrayQueue<(Notify, usize)>,
    heard: u64,
}

impl Yardstick {
    fn new() -> Self {
        Self { queue: ArrayQueue::new(300), heard: 0 }
    }

    fn round(&mut self) -> f64 {
        let notify: Notify = |heard, word| *heard += word as u64;
        let start = Clock::now();
        for cycle in 0..CYCLES {
            self.queue.push(black_box((notify, cycle as usize))).expect("it is empty");
            if let Some((notify, word)) = self.queue.pop() {
                notify(&mut self.heard, word);
            }
        }
        let ns = per_cycle(start);
        black_box(self.heard);
        ns
    }
}

fn per_cycle(start: Clock) -> f64 {
    start.elapsed().as_nanos() as f64 / f64::from(CYCLES)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> ExitCode {
    let shapes = [(1, 1), (1, 10), (1, 100), (1, 300), (16, 1), (16, 10), (16, 300)];
    let mut hosts = shapes.map(|(contexts, depth)| Host::new(contexts, depth));
    let mut yardstick = Yardstick::new();
    let mut times: [Vec<f64>; 7] = std::array::from_fn(|_| Vec::with_capacity(ROUNDS));
    let mut yard_times = Vec::with_capacity(ROUNDS);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    // Round by round through all shapes, so that a busy machine disturbs them alike.
    for _ in 0..ROUNDS {
        yard_times.push(yardstick.round());
        for (host, times) in hosts.iter_mut().zip(&mut times) {
            times.push(host.round());
        }
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;

    let yard = median(yard_times);
    let medians = times.map(median);
    let flat = medians[0];
    println!(
        "submit + dispatch + complete on an instant device, median of {ROUNDS} rounds of {CYCLES}"
    );
    println!("yardstick: ArrayQueue push + pop + indirect call, {yard:.1} ns\n");
    println!("contexts  depth   ns/request   x yardstick   x depth 1");
    for ((contexts, depth), ns) in shapes.iter().zip(medians) {
        println!("{contexts:>8} {depth:>6} {ns:>12.1} {:>13.2} {:>11.2}", ns / yard, ns / flat);
    }
    println!("\nallocations in {} cycles: {allocations}", ROUNDS * CYCLES as usize * shapes.len());
    if allocations != 0 {
        eprintln!("submit: the execute path allocated");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
