//! What the virtual HTP measures: operations, and the parts of a preparation.

use crate::support::*;
use htp_runtime::device::{
    Command, Device, Event, ExecutionReport, Resources, Step, ThreadPriority,
};
use htp_runtime::graph::DataType;
use htp_runtime::handle::Epoch;
use htp_runtime::region::SharedBytes;
use htp_runtime::vhtp::{Fault, VhtpConfig};

/// Three Relu in a row.
fn chain() -> (Net, SharedBytes<'static>) {
    chain_of(64)
}

fn chain_of(elements: u32) -> (Net, SharedBytes<'static>) {
    let of = fixed(DataType::Ufixed8, &[elements], 1.0, -10);
    let mut net = Net::new();
    let tensors = [net.input(&of), net.native(&of), net.native(&of), net.output(&of)];
    for pair in tensors.windows(2) {
        net.op("Relu", &[], &pair[..1], &pair[1..]);
    }
    let table = net.table();
    (net, table)
}

// REQ: PROF-010, PROF-018
#[test]
fn the_cycles_of_the_operations_are_those_of_the_execution() {
    for seed in [0, 7] {
        let mut rig = Rig::new(VhtpConfig { seed, ..VhtpConfig::default() });
        let (_net, table) = chain();
        rig.prepare(graph(0), table).unwrap();
        let mut totals = vec![];
        for slot in 0..3 {
            let mut io = vec![vec![1; 64], vec![0; 64]];
            rig.execute(slot, graph(0), NORMAL, &mut io);
            let report = executed(&rig.run())[0].1.unwrap();
            let ops: Vec<_> =
                (0..3).map(|op| rig.device.op_report(graph(0), &report, op)).collect();
            let cycles: u64 = ops.iter().map(|op| op.unwrap().cycles).sum();
            assert_eq!(cycles, report.cycles, "seed {seed}");
            assert!(ops.iter().all(|op| op.unwrap().resources == Resources::HVX));
            assert_eq!(report.hvx_threads, VhtpConfig::default().hvx_units);
            assert_eq!(rig.device.op_report(graph(0), &report, 3), None);
            assert_eq!(rig.device.op_report(graph(1), &report, 0), None);
            totals.push(cycles);
        }
        assert_eq!(totals[0] == totals[1], seed == 0);
    }
}

// REQ: PROF-010
#[test]
fn the_cycles_are_those_with_the_threads_of_the_execution() {
    let mut rig = Rig::new(VhtpConfig::default());
    let (_net, table) = chain_of(1 << 16);
    rig.prepare(graph(0), table).unwrap();
    let mut totals = vec![];
    for hvx_threads in [1, 3, 0, 99] {
        let mut blocks = vec![vec![1; 1 << 16], vec![0; 1 << 16]];
        let io = lend(&mut blocks);
        let (epoch, graph, priority) = (rig.epoch, graph(0), NORMAL);
        let request = request(0);
        rig.submit(Command::Execute { request, graph, epoch, priority, hvx_threads, io: &io });
        let report = executed(&rig.run())[0].1.unwrap();
        let all = VhtpConfig::default().hvx_units;
        let granted = if hvx_threads == 0 { all } else { hvx_threads.min(all) };
        assert_eq!(report.hvx_threads, granted);
        let ops = (0..3).map(|op| rig.device.op_report(graph, &report, op).unwrap().cycles);
        assert_eq!(ops.sum::<u64>(), report.cycles, "{hvx_threads} threads");
        totals.push(report.cycles);
    }
    assert!(totals[0] > totals[1] && totals[1] > totals[2] && totals[2] == totals[3]);
}

// REQ: PROF-013, PROF-020
#[test]
fn an_operation_waits_while_the_device_runs_others() {
    let mut rig = Rig::new(VhtpConfig::default());
    let tables = [chain(), chain()];
    for (index, (_, table)) in (0..).zip(&tables) {
        rig.prepare(graph(index), table.clone()).unwrap();
    }
    let mut io = [vec![vec![1; 64], vec![0; 64]], vec![vec![1; 64], vec![0; 64]]];
    let [low, high] = &mut io;
    rig.execute(0, graph(0), NORMAL, low);
    assert_eq!(rig.step(), Step::Worked, "its first operation");
    rig.execute(1, graph(1), ThreadPriority { hmx: NORMAL.hmx - 1, ..NORMAL }, high);
    let ended = executed(&rig.run());
    let of = |slot| ended.iter().find(|(which, _)| *which == slot).unwrap().1.unwrap();
    let (low, high) = (of(0), of(1));
    let waits = |index, report: &ExecutionReport| {
        [0, 1, 2].map(|op| rig.device.op_report(graph(index), report, op).unwrap().wait_cycles)
    };
    assert_eq!((low.yields, low.wait_cycles), (1, high.cycles));
    assert_eq!(waits(0, &low), [Some(0), Some(high.cycles), Some(0)]);
    assert_eq!((high.wait_cycles, waits(1, &high)), (0, [Some(0); 3]));
    // The waits of an earlier execution are not known any more.
    let mut io = vec![vec![1; 64], vec![0; 64]];
    rig.execute(0, graph(0), NORMAL, &mut io);
    executed(&rig.run())[0].1.unwrap();
    let waits = rig.device.op_report(graph(0), &low, 1).unwrap().wait_cycles;
    assert_eq!(waits, None);
}

/// Steps until something happens; a microsecond more for each step than for the one before.
fn steps_until_event(rig: &mut Rig) -> Vec<Step> {
    let mut steps = vec![];
    loop {
        let step = rig.device.step(rig.now);
        steps.push(step);
        if step != Step::Worked {
            return steps;
        }
        rig.now = rig.now.after_us(steps.len() as u64);
    }
}

#[test]
fn a_preparation_takes_a_step_for_each_part_and_says_how_long() {
    let mut rig = Rig::new(VhtpConfig::default());
    let (epoch, context) = (Epoch::FIRST, context());
    rig.submit(Command::ContextCreate { context, epoch });
    let (_net, table) = chain();
    rig.submit(Command::GraphPrepare { graph: graph(0), context, epoch, table });
    assert_eq!(steps_until_event(&mut rig).len(), 1, "the context");
    let steps = steps_until_event(&mut rig);
    assert_eq!(steps.len(), 4);
    let Some(Step::Event(Event::GraphPrepared { result, .. })) = steps.last() else {
        panic!("{steps:?}")
    };
    let times = result.unwrap().times;
    assert_eq!((times.check_us, times.place_us, times.compile_us), (1, 2, 3));
}

#[test]
fn a_crash_between_the_parts_leaves_nothing_behind() {
    for parts in 1..4 {
        let mut rig = Rig::new(VhtpConfig::default());
        let (epoch, context) = (Epoch::FIRST, context());
        rig.submit(Command::ContextCreate { context, epoch });
        rig.run();
        let used = rig.device.used_bytes();
        let (mut net, table) = chain();
        let command =
            Command::GraphPrepare { graph: graph(0), context, epoch, table: table.clone() };
        rig.submit(command);
        for _ in 0..parts {
            assert_eq!(rig.device.step(rig.now), Step::Worked);
        }
        rig.device.inject(Fault::CrashNow);
        assert_eq!(rig.run(), [Event::Crashed { epoch }]);
        assert_eq!(rig.device.used_bytes(), used);
        assert_eq!(rig.device.object_counts(), [0, 0, 0]);
        // Nobody else has the table any more.
        assert!(net.region.reclaim(table).is_ok());
    }
}
