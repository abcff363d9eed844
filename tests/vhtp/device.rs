//! Behaviour of the virtual HTP as a device: order, preemption, faults, journal, pacing.

use crate::support::*;
use htp_runtime::capability::Capabilities;
use htp_runtime::device::{Command, Device, Event, ExecuteError, PrepareError, Step};
use htp_runtime::graph::DataType;
use htp_runtime::handle::{BufferId, ContextId, Epoch};
use htp_runtime::region::{Region, SharedBytes};
use htp_runtime::time::Instant;
use htp_runtime::vhtp::{Fault, JournalKind, Pacing, Vhtp, VhtpCapacities, VhtpConfig};

/// `ops` Relu in a row over `n` bytes.
fn chain(ops: usize, n: u32) -> (Net, SharedBytes<'static>) {
    let of = fixed(DataType::Ufixed8, &[n], 1.0, -10);
    let mut net = Net::new();
    let mut from = net.input(&of);
    for index in 0..ops {
        let to = if index + 1 == ops { net.output(&of) } else { net.native(&of) };
        net.op("Relu", &[], &[from], &[to]);
        from = to;
    }
    let table = net.table();
    (net, table)
}

fn rig(graphs: &[usize]) -> Rig {
    rig_with(VhtpConfig::default(), graphs)
}

fn rig_with(config: VhtpConfig, graphs: &[usize]) -> Rig {
    let mut rig = Rig::new(config);
    for (index, &ops) in graphs.iter().enumerate() {
        rig.prepare(graph(index as u16), chain(ops, 4).1).unwrap();
    }
    rig
}

fn io() -> Vec<Vec<u8>> {
    vec![vec![3, 10, 200, 0], vec![0xEE; 4]]
}

const RESULT: [u8; 4] = [10, 10, 200, 10];

/// Connects epoch `rig.epoch.next()`.
fn connect(rig: &mut Rig, attempt: u32) -> Event {
    let epoch = rig.epoch.next();
    rig.submit(Command::Connect { epoch, attempt });
    match rig.step() {
        Step::Event(event) => {
            if event == (Event::Connected { epoch }) {
                rig.epoch = epoch;
            }
            event
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_execution_computes() {
    let mut rig = rig(&[3]);
    let mut io = io();
    rig.execute(0, graph(0), NORMAL, &mut io);
    let events = rig.run();
    let [(0, Ok(report))] = executed(&events)[..] else { panic!("{events:?}") };
    assert_eq!(io[1], RESULT);
    assert_eq!(io[0], [3, 10, 200, 0]);
    assert_eq!(report.yields, 0);
    assert_eq!(report.started, rig.now);
    assert!(report.cycles >= 3 * 400);
}

#[test]
fn submit_does_no_work() {
    let mut rig = rig(&[1]);
    let mut io = io();
    let before = rig.device.used_bytes();
    rig.execute(0, graph(0), NORMAL, &mut io);
    rig.submit(Command::Probe { epoch: Epoch::FIRST });
    assert_eq!(io[1], [0xEE; 4]);
    assert_eq!(rig.device.used_bytes(), before);
    assert_eq!(rig.run().len(), 2);
}

// REQ: PRIO-002
// REQ: PRIO-012
#[test]
fn a_more_important_graph_takes_over_at_an_op_border() {
    let mut rig = rig(&[4, 2]);
    let (mut low, mut high) = (io(), io());
    rig.execute(0, graph(0), LOW, &mut low);
    assert_eq!(rig.step(), Step::Worked);
    rig.execute(1, graph(1), HIGH, &mut high);
    let ended = executed(&rig.run());
    let [(1, Ok(first)), (0, Ok(second))] = ended[..] else { panic!("{ended:?}") };
    assert_eq!((first.yields, second.yields), (0, 1));
    assert_eq!((&low[1][..], &high[1][..]), (&RESULT[..], &RESULT[..]));
    // Two more interruptions of the same graph count twice.
    let (mut low, mut high) = (io(), io());
    rig.execute(0, graph(0), LOW, &mut low);
    for slot in 1..3 {
        rig.step();
        rig.execute(slot, graph(1), HIGH, &mut high);
        while executed(&match rig.step() {
            Step::Event(event) => vec![event],
            _ => vec![],
        })
        .is_empty()
        {}
    }
    let ended = executed(&rig.run());
    assert_eq!(ended[0].1.unwrap().yields, 2);
}

#[test]
fn a_less_important_graph_waits() {
    let mut rig = rig(&[3, 3]);
    let (mut a, mut b) = (io(), io());
    rig.execute(0, graph(0), NORMAL, &mut a);
    rig.execute(1, graph(1), LOW, &mut b);
    let ended = executed(&rig.run());
    assert_eq!([ended[0].0, ended[1].0], [0, 1]);
    assert!(ended.iter().all(|(_, result)| result.unwrap().yields == 0));
}

#[test]
fn equals_alternate_op_by_op() {
    // One op takes the device's whole microseconds of attention: with alternation the shorter graph
    // ends first, although the longer one started first, and neither yields.
    let mut rig = rig(&[5, 2]);
    let (mut a, mut b) = (io(), io());
    rig.execute(0, graph(0), NORMAL, &mut a);
    rig.execute(1, graph(1), NORMAL, &mut b);
    // a, b, a, b: four steps of work, then b is done.
    for _ in 0..4 {
        assert_eq!(rig.step(), Step::Worked);
    }
    let Step::Event(Event::Executed { request, result, .. }) = rig.step() else {
        panic!("not ended after four ops")
    };
    assert_eq!((request.slot, result.unwrap().yields), (1, 0));
    let ended = executed(&rig.run());
    assert_eq!(ended[0].1.unwrap().yields, 0);
    assert_eq!((&a[1][..], &b[1][..]), (&RESULT[..], &RESULT[..]));
}

#[test]
fn hold_stops_ops_but_not_control() {
    let mut rig = rig(&[2]);
    let mut blocks = io();
    rig.execute(0, graph(0), NORMAL, &mut blocks);
    assert_eq!(rig.step(), Step::Worked);
    rig.device.hold();
    assert_eq!(rig.run(), []);
    rig.submit(Command::Probe { epoch: Epoch::FIRST });
    let buffer = BufferId::from_parts(0, 1, Epoch::FIRST);
    let memory = lend(&mut blocks)[0];
    rig.submit(Command::BufferMap { buffer, epoch: Epoch::FIRST, memory });
    let events = rig.run();
    assert!(matches!(
        events[..],
        [Event::Alive { .. }, Event::BufferMapped { result: Ok(()), .. }]
    ));
    assert_eq!(blocks[1], [0xEE; 4]);
    rig.device.resume();
    assert!(executed(&rig.run())[0].1.is_ok());
    assert_eq!(blocks[1], RESULT);
}

#[test]
fn abort_stops_at_an_op_border() {
    let mut rig = rig(&[3, 1]);
    let mut blocks = io();
    rig.execute(0, graph(0), NORMAL, &mut blocks);
    rig.step();
    rig.submit(Command::Abort { request: request(0), epoch: Epoch::FIRST });
    assert_eq!(executed(&rig.run()), [(0, Err(ExecuteError::Aborted))]);
    assert_eq!(blocks[1], [0xEE; 4]);
    // The graph can run again; an abort of something unknown does nothing.
    rig.submit(Command::Abort { request: request(0), epoch: Epoch::FIRST });
    rig.execute(1, graph(0), NORMAL, &mut blocks);
    assert!(executed(&rig.run())[0].1.is_ok());
    assert_eq!(blocks[1], RESULT);
}

#[test]
fn an_execution_that_cannot_run_says_why() {
    let mut rig = rig(&[1]);
    let mut blocks = io();
    rig.execute(0, graph(5), NORMAL, &mut blocks);
    let mut missing = vec![vec![1, 2, 3, 4]];
    rig.execute(1, graph(0), NORMAL, &mut missing);
    let mut short = vec![vec![1, 2, 3], vec![0; 4]];
    assert_eq!(
        executed(&rig.run()),
        [(0, Err(ExecuteError::NoSuchGraph)), (1, Err(ExecuteError::BadMemory))]
    );
    rig.execute(2, graph(0), NORMAL, &mut short);
    assert_eq!(executed(&rig.run()), [(2, Err(ExecuteError::BadMemory))]);
    rig.execute(3, graph(0), NORMAL, &mut blocks);
    assert!(executed(&rig.run())[0].1.is_ok());
}

#[test]
fn a_second_execution_of_a_graph_is_refused_and_the_first_goes_on() {
    let mut rig = rig(&[2]);
    let (mut a, mut b) = (io(), io());
    rig.execute(0, graph(0), NORMAL, &mut a);
    rig.execute(1, graph(0), NORMAL, &mut b);
    let ended = executed(&rig.run());
    assert_eq!(ended[0], (1, Err(ExecuteError::Internal)));
    assert!(ended[1].1.is_ok());
    assert_eq!((&a[1][..], &b[1][..]), (&RESULT[..], &[0xEE; 4][..]));
}

// REQ: SSR-012
#[test]
fn a_crash_in_the_middle_of_an_op_takes_everything() {
    let mut rig = Rig::new(VhtpConfig::default());
    let at_start = rig.device.used_bytes();
    let (mut net, table) = chain(4, 4);
    let probe = table.clone();
    rig.prepare(graph(0), table).unwrap();
    assert!(rig.device.used_bytes() > at_start);
    rig.device.inject(Fault::CrashAtOp { op: 2 });
    let mut blocks = io();
    rig.execute(0, graph(0), NORMAL, &mut blocks);
    assert_eq!(rig.run(), [Event::Crashed { epoch: Epoch::FIRST }]);
    assert_eq!(blocks[1], [0xEE; 4]);
    assert_eq!(rig.device.used_bytes(), at_start);
    assert_eq!(rig.device.object_counts(), [0, 0, 0]);
    assert_eq!(rig.device.executions_in_flight(), 0);
    assert!(net.region.reclaim(probe).is_ok(), "the device dropped its owner of the table");

    // Nothing of the old epoch is answered any more.
    rig.submit(Command::Probe { epoch: Epoch::FIRST });
    rig.execute(1, graph(0), NORMAL, &mut blocks);
    assert_eq!(rig.run(), []);
    let epoch = Epoch::FIRST.next();
    assert_eq!(connect(&mut rig, 1), Event::Connected { epoch });
    rig.submit(Command::Probe { epoch: Epoch::FIRST });
    assert_eq!(rig.run(), []);

    // The new epoch works, and the fault is spent.
    rig.prepare(graph(0), chain(4, 4).1).unwrap();
    rig.execute(2, graph(0), NORMAL, &mut blocks);
    assert!(executed(&rig.run())[0].1.is_ok());
    assert_eq!(blocks[1], RESULT);
}

#[test]
fn a_crash_waits_for_the_execution_that_reaches_the_op() {
    let mut rig = rig(&[2, 5]);
    rig.device.inject(Fault::CrashAtOp { op: 4 });
    let mut blocks = io();
    rig.execute(0, graph(0), NORMAL, &mut blocks);
    assert!(executed(&rig.run())[0].1.is_ok());
    rig.execute(1, graph(1), NORMAL, &mut blocks);
    for _ in 0..4 {
        assert_eq!(rig.step(), Step::Worked);
    }
    let crashed = Step::Event(Event::Crashed { epoch: Epoch::FIRST });
    assert_eq!(rig.step(), crashed);
}

#[test]
fn a_crash_drops_commands_that_wait() {
    let mut rig = rig(&[]);
    let (mut net, table) = chain(1, 4);
    let probe = table.clone();
    let (context, epoch) = (context(), Epoch::FIRST);
    rig.submit(Command::ContextCreate { context, epoch });
    rig.submit(Command::GraphPrepare { graph: graph(0), context, epoch, table });
    rig.device.inject(Fault::CrashNow);
    assert_eq!(rig.run(), [Event::Crashed { epoch }]);
    assert!(net.region.reclaim(probe).is_ok());
    rig.device.inject(Fault::CrashNow);
    assert_eq!(rig.run(), [], "a dead DSP does not crash again");
    assert_eq!(connect(&mut rig, 1), Event::Connected { epoch: epoch.next() });
    assert_eq!(rig.run(), []);
}

#[test]
fn a_hang_answers_nothing_until_connect() {
    let mut rig = rig(&[3]);
    rig.device.inject(Fault::Hang);
    rig.submit(Command::Probe { epoch: Epoch::FIRST });
    assert!(matches!(rig.run()[..], [Event::Alive { .. }]), "nothing to hang in yet");
    let mut blocks = io();
    rig.execute(0, graph(0), NORMAL, &mut blocks);
    assert_eq!(rig.run(), []);
    rig.submit(Command::Probe { epoch: Epoch::FIRST });
    rig.submit(Command::Abort { request: request(0), epoch: Epoch::FIRST });
    let context = ContextId::from_parts(1, 1, Epoch::FIRST);
    rig.submit(Command::ContextCreate { context, epoch: Epoch::FIRST });
    assert_eq!(rig.run(), []);
    // No crash is reported: the runtime restarts the device of its own.
    assert_eq!(connect(&mut rig, 1), Event::Connected { epoch: Epoch::FIRST.next() });
    assert_eq!(rig.run(), []);
    assert_eq!(rig.device.object_counts(), [0, 0, 0]);
    let epoch = rig.epoch;
    rig.submit(Command::Probe { epoch });
    assert_eq!(rig.run(), [Event::Alive { epoch, steps: 0, held: false }]);
}

#[test]
fn a_shutdown_ends_a_hang_and_lets_go_of_everything() {
    let mut rig = rig(&[]);
    let (mut net, table) = chain(3, 4);
    let probe = table.clone();
    rig.prepare(graph(0), table).unwrap();
    rig.device.inject(Fault::Hang);
    let mut blocks = io();
    rig.execute(0, graph(0), NORMAL, &mut blocks);
    assert_eq!(rig.run(), []);
    rig.submit(Command::Shutdown { epoch: Epoch::FIRST.next() });
    assert_eq!(rig.run(), [], "another epoch");
    rig.submit(Command::Shutdown { epoch: Epoch::FIRST });
    assert_eq!(rig.run(), [Event::Crashed { epoch: Epoch::FIRST }]);
    assert_eq!(blocks[1], [0xEE; 4]);
    assert_eq!((rig.device.object_counts(), rig.device.executions_in_flight()), ([0; 3], 0));
    assert!(net.region.reclaim(probe).is_ok());
}

#[test]
fn a_running_execution_hangs_where_it_is() {
    let mut rig = rig(&[3]);
    let mut blocks = io();
    rig.execute(0, graph(0), NORMAL, &mut blocks);
    rig.step();
    rig.device.inject(Fault::Hang);
    assert_eq!(rig.run(), []);
    assert_eq!(rig.device.executions_in_flight(), 1);
    rig.device.inject(Fault::CrashNow);
    assert_eq!(rig.run(), [Event::Crashed { epoch: Epoch::FIRST }]);
}

#[test]
fn reconnecting_fails_as_often_as_told() {
    let mut rig = rig(&[1]);
    rig.device.inject(Fault::CrashNow);
    rig.device.inject(Fault::ReconnectFails { times: 2 });
    rig.run();
    let epoch = Epoch::FIRST.next();
    assert_eq!(connect(&mut rig, 1), Event::ConnectFailed { epoch });
    assert!(!rig.device.is_connected());
    assert_eq!(connect(&mut rig, 2), Event::ConnectFailed { epoch });
    assert_eq!(connect(&mut rig, 3), Event::Connected { epoch });
    rig.device.inject(Fault::ReconnectFails { times: u32::MAX });
    rig.device.inject(Fault::CrashNow);
    rig.run();
    for attempt in 1..20 {
        assert_eq!(connect(&mut rig, attempt), Event::ConnectFailed { epoch: epoch.next() });
    }
}

#[test]
fn probes_show_progress() {
    let mut rig = rig(&[3]);
    let steps = |rig: &mut Rig| {
        rig.submit(Command::Probe { epoch: Epoch::FIRST });
        match rig.step() {
            Step::Event(Event::Alive { steps, .. }) => steps,
            other => panic!("{other:?}"),
        }
    };
    let before = steps(&mut rig);
    assert_eq!(steps(&mut rig), before, "idle is no progress");
    let mut blocks = io();
    rig.execute(0, graph(0), NORMAL, &mut blocks);
    rig.step();
    assert_eq!(steps(&mut rig), before + 1);
    rig.run();
    assert_eq!(steps(&mut rig), before + 3);
}

#[test]
fn a_probe_does_not_wait_for_a_preparation() {
    let mut rig = Rig::new(VhtpConfig::default());
    let epoch = Epoch::FIRST;
    let table = chain(3, 64).1;
    rig.submit(Command::ContextCreate { context: context(), epoch });
    rig.submit(Command::GraphPrepare { graph: graph(0), context: context(), epoch, table });
    assert!(matches!(rig.step(), Step::Event(Event::ContextCreated { .. })));
    let mut last = 0;
    for part in 0..2 {
        assert_eq!(rig.step(), Step::Worked, "part {part}");
        rig.submit(Command::Probe { epoch });
        let Step::Event(Event::Alive { steps, .. }) = rig.step() else { panic!("part {part}") };
        assert!(steps > last, "each part is progress");
        last = steps;
    }
    let events = rig.run();
    assert!(matches!(events[..], [Event::GraphPrepared { result: Ok(_), .. }]), "{events:?}");
}

#[test]
fn objects_come_and_go() {
    let mut rig = Rig::new(VhtpConfig::default());
    let at_start = rig.device.used_bytes();
    let epoch = Epoch::FIRST;
    for _ in 0..3 {
        rig.prepare(graph(1), chain(2, 64).1).unwrap();
        rig.submit(Command::GraphRelease { graph: graph(1), epoch });
        rig.submit(Command::ContextRelease { context: context(), epoch });
        assert_eq!(
            rig.run(),
            [
                Event::GraphReleased { graph: graph(1), epoch },
                Event::ContextReleased { context: context(), epoch }
            ]
        );
        assert_eq!(rig.device.used_bytes(), at_start);
    }
    let far = ContextId::from_parts(99, 1, epoch);
    rig.submit(Command::ContextCreate { context: far, epoch });
    let result = Err(PrepareError::CapacityExceeded);
    assert_eq!(rig.run(), [Event::ContextCreated { context: far, epoch, result }]);
    assert_eq!(rig.device.refused_commands(), 0);
}

#[test]
fn tables_take_what_they_say() {
    for (contexts, graphs, buffers, journal) in [(8, 32, 64, 1024), (1, 1, 0, 0), (3, 7, 11, 13)] {
        let capacities = VhtpCapacities { contexts, graphs, buffers, journal };
        let region = Region::from_heap(1 << 19);
        let device = Vhtp::new(region, VhtpConfig::default(), capacities).unwrap();
        assert_eq!(device.used_bytes(), capacities.table_bytes());
    }
}

#[test]
fn too_little_memory_leaves_nothing_behind() {
    let (mut net, table) = chain(2, 100_000);
    let probe = table.clone();
    let mut rig = Rig::with_memory(VhtpConfig::default(), 1 << 17);
    let before = rig.device.used_bytes();
    assert_eq!(rig.prepare(graph(0), table), Err(PrepareError::OutOfMemory));
    assert_eq!(rig.device.used_bytes(), before);
    assert!(net.region.reclaim(probe).is_ok());
    let capacities = VhtpCapacities::default();
    assert!(Vhtp::new(Region::from_heap(1 << 12), VhtpConfig::default(), capacities).is_err());
}

#[test]
fn a_table_that_is_none_is_refused() {
    let mut rig = Rig::new(VhtpConfig::default());
    let table = SharedBytes::from_borrowed(b"not a graph table at all, not even nearly so");
    assert_eq!(rig.prepare(graph(0), table), Err(PrepareError::InvalidTable));
}

#[test]
fn modelled_pacing_lets_cycles_pass() {
    let config = VhtpConfig { pacing: Pacing::Modelled, ..VhtpConfig::default() };
    let mut rig = rig_with(config, &[3]);
    let mut blocks = io();
    let start = rig.now;
    rig.execute(0, graph(0), NORMAL, &mut blocks);
    // The first op takes its cycles, rounded up to a microsecond.
    let Step::Waiting(Some(until)) = rig.step() else { panic!() };
    assert!(until > start);
    assert_eq!(rig.step(), Step::Waiting(Some(until)), "early steps do nothing");
    let ended = executed(&rig.run());
    let [(0, Ok(report))] = ended[..] else { panic!("{ended:?}") };
    let mhz = u64::from(config.frequency_mhz());
    assert_eq!(report.device_time_us, report.cycles.div_ceil(mhz));
    assert_eq!(report.started, start);
    assert_eq!(rig.now, start.after_us(report.device_time_us));
    assert_eq!(blocks[1], RESULT);
}

#[test]
fn a_paced_op_crashes_half_way() {
    let config = VhtpConfig { pacing: Pacing::Modelled, ..VhtpConfig::default() };
    let mut rig = Rig::new(config);
    let estimate = rig.prepare(graph(0), chain(1, 100_000).1).unwrap().cycles_estimated;
    let whole_us = estimate.div_ceil(config.frequency_mhz().into());
    rig.device.inject(Fault::CrashAtOp { op: 0 });
    let mut blocks = vec![vec![0; 100_000], vec![0; 100_000]];
    let start = rig.now;
    rig.execute(0, graph(0), NORMAL, &mut blocks);
    assert_eq!(rig.run(), [Event::Crashed { epoch: Epoch::FIRST }]);
    assert_eq!(rig.now, start.after_us(whole_us / 2));
}

#[test]
fn paced_time_does_not_count_the_time_yielded() {
    let config = VhtpConfig { pacing: Pacing::Modelled, ..VhtpConfig::default() };
    let mut rig = rig_with(config, &[4, 4]);
    let (mut low, mut high) = (io(), io());
    rig.execute(0, graph(0), LOW, &mut low);
    let Step::Waiting(Some(until)) = rig.step() else { panic!() };
    rig.execute(1, graph(1), HIGH, &mut high);
    rig.now = until;
    let ended = executed(&rig.run());
    let [(1, Ok(high)), (0, Ok(low))] = ended[..] else { panic!("{ended:?}") };
    assert_eq!(high.device_time_us, low.device_time_us);
    assert_eq!((low.yields, high.started), (1, until));
}

#[test]
fn a_seed_varies_cycles_and_nothing_else() {
    let run = |seed| {
        let mut rig = rig_with(VhtpConfig { seed, ..VhtpConfig::default() }, &[4]);
        let mut cycles = vec![];
        for slot in 0..3 {
            let mut blocks = io();
            rig.execute(slot, graph(0), NORMAL, &mut blocks);
            cycles.push(executed(&rig.run())[0].1.unwrap().cycles);
            assert_eq!(blocks[1], RESULT);
        }
        cycles
    };
    let (plain, seeded) = (run(0), run(7));
    assert!(plain.iter().all(|cycles| *cycles == plain[0]));
    assert_eq!(seeded, run(7));
    assert_ne!(seeded, run(8));
    assert!(seeded.iter().all(|cycles| (plain[0]..=plain[0] * 17 / 16).contains(cycles)));
    assert!(seeded[0] != seeded[1] || seeded[1] != seeded[2]);
}

#[test]
fn the_journal_tells_everything_in_order() {
    let mut rig = rig(&[1]);
    let mut blocks = io();
    rig.execute(7, graph(0), NORMAL, &mut blocks);
    rig.now = Instant::from_us(2_000);
    rig.run();
    rig.device.inject(Fault::CrashNow);
    rig.run();
    connect(&mut rig, 1);
    use JournalKind as K;
    let entries: Vec<_> = rig.device.journal().copied().collect();
    let kinds: Vec<_> = entries.iter().map(|entry| entry.what).collect();
    assert_eq!(
        kinds,
        [
            K::ContextCreate,
            K::GraphPrepare,
            K::ContextCreated,
            K::GraphPrepared,
            K::Execute,
            K::Executed,
            K::Fault,
            K::Crashed,
            K::Connect,
            K::Connected
        ]
    );
    assert_eq!(rig.device.journal_total(), 10);
    assert_eq!((entries[4].at, entries[4].index), (Instant::from_us(1_000), 7));
    assert_eq!((entries[5].at, entries[5].arg), (Instant::from_us(2_000), 0));
    assert_eq!((entries[7].epoch, entries[9].epoch), (Epoch::FIRST, Epoch::FIRST.next()));
}

#[test]
fn the_journal_keeps_the_latest() {
    let mut rig = Rig::new(VhtpConfig::default());
    for at in 0..300 {
        rig.now = Instant::from_us(at);
        rig.submit(Command::Probe { epoch: Epoch::FIRST });
        rig.run();
    }
    assert_eq!(rig.device.journal_total(), 600);
    let entries: Vec<_> = rig.device.journal().copied().collect();
    assert_eq!(entries.len(), 256);
    assert_eq!(entries[0].at, Instant::from_us(300 - 128));
    assert!(entries.windows(2).all(|pair| pair[0].at <= pair[1].at));
    assert_eq!(entries[255].what, JournalKind::Alive);
}

#[test]
fn same_commands_same_trace() {
    let run = || {
        let config = VhtpConfig { seed: 5, pacing: Pacing::Modelled, ..VhtpConfig::default() };
        let mut rig = rig_with(config, &[5, 3, 4]);
        let (mut a, mut b, mut c) = (io(), io(), io());
        rig.execute(0, graph(0), LOW, &mut a);
        rig.execute(1, graph(1), LOW, &mut b);
        rig.step();
        rig.execute(2, graph(2), HIGH, &mut c);
        rig.device.inject(Fault::CrashAtOp { op: 4 });
        let events = rig.run();
        (events, rig.device.journal().copied().collect::<Vec<_>>())
    };
    assert_eq!(run(), run());
}

#[test]
fn capabilities_are_the_platform_s() {
    let rig = Rig::new(VhtpConfig::default());
    assert!(rig.device.capabilities().contains(Capabilities::ASYNC_EXECUTION));
    assert_eq!(VhtpConfig::for_soc(43).unwrap().arch, 73);
    assert_eq!(VhtpConfig::for_soc(9_999), None);
}
