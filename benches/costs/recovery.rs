//! One recovery: contexts under managed recovery, with graphs, buffers and requests, and a crash.
//! The commands to the device are as many as docs/recovery.md says; the time inside the core is
//! printed beside that of creating the same for the first time, and of submitting the requests.

use std::time::Instant as Clock;

use htp_runtime::device::{Command, Event};
use htp_runtime::event::{Notice, Outcome};
use htp_runtime::handle::GraphId;
use htp_runtime::limits::{Capacities, IN_FLIGHT_MAX};
use htp_runtime::power::{MemoryConfig, PowerChange};
use htp_runtime::region::SharedBytes;
use htp_runtime::runtime::{ContextConfig, IoBinding, Runtime};
use htp_runtime::ssr::{Queued, Recovery, State};
use htp_runtime::time::Instant;

use crate::host::{answer, memory, options, runtime, table};
use crate::median;

const ROUNDS: usize = 101;
const CONTEXTS: u16 = 8;
const GRAPHS: u16 = 32;
const BUFFERS: u16 = 128;
const REQUESTS: u16 = 300;
/// Queue depth of a context: requests go from graph to graph.
const DEPTH: u16 = REQUESTS.div_ceil(GRAPHS) * (GRAPHS / CONTEXTS);
/// One connection, one vote, one memory configuration.
const COMMANDS: u32 = 3 + CONTEXTS as u32 + GRAPHS as u32 + BUFFERS as u32;
/// What the recovery should cost at most, in microseconds.
const GOAL_US: f64 = 1_000.0;

/// What a round measured, in microseconds, and the commands of the recovery.
struct Round {
    create_us: f64,
    submit_us: f64,
    recover_us: f64,
    commands: u32,
}

/// Measures and prints; whether the commands are as many as they should be.
pub fn run() -> bool {
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| round()).collect();
    let of = |what: fn(&Round) -> f64| median(rounds.iter().map(what).collect());
    let (create, submit) = (of(|it| it.create_us), of(|it| it.submit_us));
    let recover = of(|it| it.recover_us);
    println!(
        "recovery of {CONTEXTS} contexts, {GRAPHS} graphs, {BUFFERS} buffers, {REQUESTS} requests: \
         time inside the core, median of {ROUNDS}\n"
    );
    println!("                               us   x recovery");
    println!("recovery             {recover:>12.1} {:>12.2}   (goal: {GOAL_US} us)", 1.0);
    println!("first creation       {create:>12.1} {:>12.2}", create / recover);
    println!("submitting           {submit:>12.1} {:>12.2}", submit / recover);
    let other = rounds.iter().map(|it| it.commands).find(|&commands| commands != COMMANDS);
    let commands = other.unwrap_or(COMMANDS);
    println!("\ncommands to the device: {commands}; by docs/recovery.md {COMMANDS}");
    if other.is_some() {
        eprintln!("costs: a recovery took other commands than it should");
    }
    other.is_none()
}

/// Adds the time of `call` to `us`.
fn timed<R>(us: &mut f64, call: impl FnOnce() -> R) -> R {
    let start = Clock::now();
    let result = call();
    *us += start.elapsed().as_secs_f64() * 1e6;
    result
}

/// Commands go to the device and its answers come back, until it has nothing to do; executions stay
/// there. Gives how many commands there were beside executions.
fn settle(us: &mut f64, runtime: &mut Runtime<'static>) -> u32 {
    let mut commands = 0;
    loop {
        let event = timed(us, || match runtime.poll_command(Instant::ZERO) {
            Some(Command::Execute { .. }) => Some(None),
            Some(command) => {
                commands += 1;
                Some(answer(command))
            }
            None => None,
        });
        let Some(event) = event else { return commands };
        if let Some(event) = event {
            timed(us, || runtime.handle_event(Instant::ZERO, event));
        }
    }
}

fn create(us: &mut f64, runtime: &mut Runtime<'static>) -> Vec<GraphId> {
    let recovery =
        Recovery::Managed { attempts_max: 5, time_budget_us: 1_000_000, queued: Queued::Requeue };
    let queue_depth = u32::from(DEPTH);
    let config = ContextConfig { queue_depth, recovery, ..ContextConfig::default() };
    let tables = (0..GRAPHS).map(|_| SharedBytes::from_borrowed(Vec::leak(table())));
    let mut tables = tables.collect::<Vec<_>>().into_iter();
    let buffers: Vec<_> = (0..BUFFERS).map(|_| memory(64)).collect();
    let mut buffers = buffers.chunks(usize::from(BUFFERS / CONTEXTS));
    let mut graphs = Vec::with_capacity(GRAPHS.into());
    for _ in 0..CONTEXTS {
        timed(us, || {
            let context = runtime.context_create(&config).expect("there is room");
            for table in tables.by_ref().take(usize::from(GRAPHS / CONTEXTS)) {
                graphs.push(runtime.graph_load(context, table, None).expect("there is room"));
            }
            for buffer in buffers.next().into_iter().flatten() {
                runtime.buffer_register(context, *buffer).expect("there is room");
            }
        });
        settle(us, runtime);
    }
    timed(us, || {
        let power = runtime.power_config_create().expect("there is room");
        let change = PowerChange { sleep_latency_us: Some(40), ..PowerChange::default() };
        runtime.power_config_set(power, &change).expect("a vote");
        let memory = MemoryConfig { grow_bytes: 1 << 20 };
        runtime.memory_config_set(memory).expect("a configuration");
    });
    settle(us, runtime);
    graphs
}

fn round() -> Round {
    let capacities = Capacities {
        contexts: CONTEXTS,
        graphs: GRAPHS,
        buffers: BUFFERS,
        requests: DEPTH * CONTEXTS,
        ..Capacities::DEFAULT
    };
    let mut runtime = runtime(&capacities);
    let (mut create_us, mut submit_us, mut recover_us) = (0.0, 0.0, 0.0);
    let graphs = create(&mut create_us, &mut runtime);
    let memory = memory(64);
    let io = [1, 2].map(|tensor_id| IoBinding { tensor_id, memory });
    for (word, graph) in (0..usize::from(REQUESTS)).zip(graphs.iter().cycle()) {
        timed(&mut submit_us, || {
            let submitted = runtime.submit(Instant::ZERO, *graph, &io[..], options(word));
            submitted.expect("there is room");
        });
    }
    // As many as the device takes are running when it crashes.
    settle(&mut 0.0, &mut runtime);
    let epoch = runtime.epoch();
    timed(&mut recover_us, || runtime.handle_event(Instant::ZERO, Event::Crashed { epoch }));
    let commands = settle(&mut recover_us, &mut runtime);
    let mut reset = 0;
    while let Some(notice) = timed(&mut recover_us, || runtime.poll_notice(Instant::ZERO)) {
        match notice {
            Notice::Completion(it) if it.outcome == Outcome::DeviceReset => reset += 1,
            Notice::Restart(_) => {}
            other => unreachable!("{other:?}"),
        }
    }
    assert!(runtime.state() == State::Online && (1..=IN_FLIGHT_MAX).contains(&reset));
    Round { create_us, submit_us, recover_us, commands }
}
