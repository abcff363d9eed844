//! What the options of a graph do on the virtual HTP.

use crate::support::*;
use htp_runtime::device::{Command, ExecutionReport, GraphReport};
use htp_runtime::graph::{DataType, GraphOptions, TensorKind};
use htp_runtime::region::SharedBytes;
use htp_runtime::vhtp::{Placement, VhtpConfig};

const NOTHING: GraphOptions = GraphOptions {
    vtcm_bytes: 0,
    vtcm_max: false,
    hvx_threads: 0,
    optimization_level: 0,
    fold_relu_off: false,
    short_depth_hmx_off: false,
    slc_allocator: false,
    clamp_overflow: false,
};

/// Two pixels of 32 channels through a convolution with weights of 1, which adds them up, and a
/// Relu. The convolution's result has the Relu's steps.
fn conv_relu(options: GraphOptions, relu: &str, depth: u32, readers: u32) -> SharedBytes<'static> {
    conv_steps_relu((1.0, -10), options, relu, depth, readers)
}

/// The same with the convolution's result in other steps: scale and offset.
fn conv_steps_relu(
    (scale, offset): (f32, i32),
    options: GraphOptions,
    relu: &str,
    depth: u32,
    readers: u32,
) -> SharedBytes<'static> {
    let mut net = Net::new();
    net.set_options(options);
    let x = net.input(&fixed(DataType::Ufixed8, &[1, 1, 2, depth], 1.0, -128));
    let weights = vec![1u8; depth as usize];
    let w = net.constant(&fixed(DataType::Sfixed8, &[1, 1, depth, 1], 1.0, 0), &weights);
    let between = net.native(&fixed(DataType::Ufixed8, &[1, 1, 2, 1], scale, offset));
    let out = fixed(DataType::Ufixed8, &[1, 1, 2, 1], 1.0, -10);
    let y = net.output(&out);
    let params = [("stride", pair(1, 1)), ("pad_amount", pads([0; 4]))];
    net.op("Conv2d", &params, &[x, w], &[between]);
    let bounds = [("min_value", P::F32(-5.0)), ("max_value", P::F32(20.0))];
    net.op(relu, if relu == "ReluMinMax" { &bounds } else { &[] }, &[between], &[y]);
    for _ in 1..readers {
        let other = net.output(&out);
        net.op("Relu", &[], &[between], &[other]);
    }
    net.table()
}

/// Prepares and runs it on two pixels whose channels add up to 13 and to -27.
fn run(table: SharedBytes<'static>, depth: usize) -> (GraphReport, Vec<u8>, Vec<Placement>) {
    let mut rig = Rig::new(VhtpConfig::default());
    let outputs = rig_outputs(&table);
    let report = rig.prepare(graph(0), table).unwrap();
    let mut x = vec![128u8; 2 * depth];
    (x[0], x[depth]) = (128 + 13, 128 - 27);
    let mut io = vec![x];
    io.resize(1 + outputs, vec![0; 2]);
    rig.execute(0, graph(0), NORMAL, &mut io);
    assert!(executed(&rig.run())[0].1.is_ok());
    (report, io.swap_remove(1), rig.device.graph_plan(graph(0)).collect())
}

fn rig_outputs(table: &SharedBytes<'static>) -> usize {
    htp_runtime::graph::GraphTable::open(table).ok().unwrap().outputs().len()
}

// REQ: GRAPH-005
#[test]
fn a_relu_behind_a_convolution_is_folded_into_it_unless_told_otherwise() {
    let off = GraphOptions { fold_relu_off: true, ..NOTHING };
    // Stored with offset -10: what was below its bound comes out as the bound.
    for (relu, expected) in [("Relu", [23, 10]), ("ReluMinMax", [23, 5])] {
        let (report, out, places) = run(conv_relu(NOTHING, relu, 32, 1), 32);
        assert_eq!((report.ops, out, places.len()), (1, expected.to_vec(), 2), "{relu}");
        let (report, out, places) = run(conv_relu(off, relu, 32, 1), 32);
        assert_eq!((report.ops, out, places.len()), (2, expected.to_vec(), 3), "{relu}");
    }
}

// REQ: GRAPH-005
#[test]
fn a_relu_whose_result_would_change_is_not_folded() {
    let (report, out, _) = run(conv_steps_relu((8.0, -100), NOTHING, "Relu", 32, 1), 32);
    assert_eq!((report.ops, out), (2, vec![26, 10]), "13 is first 2 steps of 8");
}

// REQ: GRAPH-005
#[test]
fn what_others_read_is_not_folded_away() {
    let (report, out, _) = run(conv_relu(NOTHING, "Relu", 32, 2), 32);
    assert_eq!((report.ops, out), (3, vec![23, 10]));
    // Other activations stay as well.
    let (report, ..) = run(conv_relu(NOTHING, "Relu6", 32, 1), 32);
    assert_eq!(report.ops, 2);
}

#[test]
fn a_folded_relu_clamps_floats_and_keeps_what_is_no_number() {
    let of = |channels| plain(DataType::Float32, &[1, 1, 1, channels]);
    let mut net = Net::new();
    let x = net.input(&of(1));
    let one = 1f32.to_le_bytes();
    let w = net.constant(&plain(DataType::Float32, &[1, 1, 1, 1]), &one);
    let between = net.native(&of(1));
    let y = net.output(&of(1));
    net.op("Conv2d", &[("stride", pair(1, 1)), ("pad_amount", pads([0; 4]))], &[x, w], &[between]);
    net.op("Relu", &[], &[between], &[y]);
    for (input, expected) in [(-2.5f32, 0.0f32), (2.5, 2.5)] {
        let outputs = run_table(net.table(), vec![input.to_le_bytes().to_vec()], &[4]).unwrap();
        assert_eq!(outputs[0], expected.to_le_bytes());
    }
    let outputs = run_table(net.table(), vec![f32::NAN.to_le_bytes().to_vec()], &[4]).unwrap();
    assert!(f32::from_le_bytes(outputs[0][..].try_into().unwrap()).is_nan());
}

/// Two functions of 8-bit numbers behind each other: vector work, all of it.
fn vectors(options: GraphOptions, elements: u32) -> SharedBytes<'static> {
    let mut net = Net::new();
    net.set_options(options);
    let of = fixed(DataType::Ufixed8, &[elements], 1.0, 0);
    let (x, middle, y) = (net.input(&of), net.native(&of), net.output(&of));
    net.op("ElementWiseAbs", &[], &[x], &[middle]);
    net.op("ElementWiseAbs", &[], &[middle], &[y]);
    net.table()
}

fn cycles(table: SharedBytes<'static>, config: VhtpConfig, hvx_threads: u32) -> ExecutionReport {
    let mut rig = Rig::with_memory(config, 1 << 25);
    let elements = htp_runtime::graph::GraphTable::open(&table).ok().unwrap();
    let elements = elements.inputs().at(0).unwrap().size_bytes();
    rig.prepare(graph(0), table).unwrap();
    let mut blocks = vec![vec![1; elements], vec![0; elements]];
    let io = lend(&mut blocks);
    let (epoch, graph, priority) = (rig.epoch, graph(0), NORMAL);
    let request = request(0);
    rig.submit(Command::Execute { request, graph, epoch, priority, hvx_threads, io: &io });
    executed(&rig.run())[0].1.unwrap()
}

// REQ: GRAPH-022, GRAPH-026
#[test]
fn more_hvx_threads_are_faster_and_all_there_are_is_the_fastest() {
    let table = || vectors(NOTHING, 200_000);
    let soc = VhtpConfig { hvx_units: 6, ..VhtpConfig::default() };
    let measured = [1, 2, 4, 6].map(|threads| cycles(table(), soc, threads).cycles);
    assert!(measured.windows(2).all(|pair| pair[0] > pair[1]), "{measured:?}");
    // None chosen, and more than there are: those of the SoC.
    for threads in [0, 7, u32::MAX] {
        assert_eq!(cycles(table(), soc, threads).cycles, measured[3]);
    }
    let small = VhtpConfig { hvx_units: 2, ..soc };
    assert_eq!(cycles(table(), small, 6).cycles, measured[1]);
}

// REQ: VTCM-001, VTCM-002
#[test]
fn what_does_not_fit_into_the_vtcm_of_the_graph_is_slower() {
    // Operand and result have 3 MB: they fit into 8 MB, not into the 4 MB of a graph that chose
    // nothing.
    let elements = 3 << 20;
    let with = |vtcm_bytes| {
        let options = GraphOptions { vtcm_bytes, ..NOTHING };
        cycles(vectors(options, elements), VhtpConfig::default(), 0).cycles
    };
    assert_eq!(with(0), with(4 << 20));
    assert!(with(8 << 20) < with(0));
    // Never more than the device has.
    let small = VhtpConfig { vtcm_mib: 4, ..VhtpConfig::default() };
    let options = GraphOptions { vtcm_bytes: 8 << 20, ..NOTHING };
    assert_eq!(cycles(vectors(options, elements), small, 0).cycles, with(0));
}

// REQ: GRAPH-002
#[test]
fn a_higher_level_gives_a_graph_that_is_not_slower() {
    let at = |optimization_level| {
        let options = GraphOptions { optimization_level, ..NOTHING };
        cycles(vectors(options, 1_000), VhtpConfig::default(), 0).cycles
    };
    assert!(at(1) > at(2) && at(2) > at(3));
    assert_eq!(at(0), at(2), "C-59");
}

// REQ: GRAPH-006
#[test]
fn a_convolution_over_few_channels_leaves_the_matrix_unit_when_told_to() {
    let off = GraphOptions { short_depth_hmx_off: true, ..NOTHING };
    let work = |options, depth: usize| {
        let mut net = Net::new();
        net.set_options(options);
        let depth = depth as u32;
        let x = net.input(&fixed(DataType::Ufixed8, &[1, 32, 32, depth], 1.0, 0));
        let count = (9 * depth * 32) as usize;
        let of = fixed(DataType::Sfixed8, &[3, 3, depth, 32], 1.0, 0);
        let w = net.constant(&of, &vec![1; count]);
        let y = net.output(&fixed(DataType::Ufixed8, &[1, 32, 32, 32], 1.0, 0));
        let params = [("stride", pair(1, 1)), ("pad_amount", pads([1; 4]))];
        net.op("Conv2d", &params, &[x, w], &[y]);
        let report = Rig::new(VhtpConfig::default()).prepare(graph(0), net.table());
        report.unwrap().cycles_estimated
    };
    assert!(work(off, 3) > work(NOTHING, 3), "vectors are slower than the matrix unit");
    assert_eq!(work(off, 32), work(NOTHING, 32), "32 channels are not few");
}

// REQ: OPS-010
#[test]
fn floats_beyond_half_precision_are_infinite_unless_they_are_to_be_clamped() {
    let of = plain(DataType::Float32, &[2]);
    for (clamp_overflow, expected) in [(false, f32::INFINITY), (true, 65_504.0)] {
        let mut net = Net::new();
        net.set_options(GraphOptions { clamp_overflow, ..NOTHING });
        let (x, y) = (net.input(&of), net.tensor(TensorKind::AppRead, &of, &[]));
        net.op("ElementWiseAdd", &[], &[x, x], &[y]);
        let input: Vec<u8> = [40_000f32, -40_000.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let outputs = run_table(net.table(), vec![input], &[8]).unwrap();
        let expected: Vec<u8> =
            [expected, -expected].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(outputs[0], expected);
    }
}

// REQ: OPS-010, GRAPH-005
#[test]
fn clamping_what_overflows_and_folding_a_relu_do_not_change_each_other() {
    let of = plain(DataType::Float32, &[1, 1, 2, 1]);
    let bytes =
        |numbers: [f32; 2]| numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
    let result = |options: GraphOptions, relu: &str, (low, high): (f32, f32)| {
        let mut net = Net::new();
        net.set_options(options);
        let x = net.input(&of);
        let w = net.constant(&plain(DataType::Float32, &[1, 1, 1, 1]), &2f32.to_le_bytes());
        let (between, y) = (net.native(&of), net.output(&of));
        let params = [("stride", pair(1, 1)), ("pad_amount", pads([0; 4]))];
        net.op("Conv2d", &params, &[x, w], &[between]);
        let bounds = [("min_value", P::F32(low)), ("max_value", P::F32(high))];
        net.op(relu, if relu == "ReluMinMax" { &bounds } else { &[] }, &[between], &[y]);
        run_table(net.table(), vec![bytes([60_000.0, -60_000.0])], &[8]).unwrap().swap_remove(0)
    };
    const ALL: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);
    for (relu, bounds, plain, clamped) in [
        ("Relu", ALL, [f32::INFINITY, 0.0], [65_504.0, 0.0]),
        ("ReluMinMax", ALL, [f32::INFINITY, f32::NEG_INFINITY], [65_504.0, -65_504.0]),
        ("ReluMinMax", (-3.0, 50.0), [50.0, -3.0], [50.0, -3.0]),
        ("ReluMinMax", (1e6, 1e7), [f32::INFINITY; 2], [65_504.0; 2]),
    ] {
        for (clamp_overflow, expected) in [(false, plain), (true, clamped)] {
            for fold_relu_off in [false, true] {
                let options = GraphOptions { clamp_overflow, fold_relu_off, ..NOTHING };
                let found = result(options, relu, bounds);
                assert_eq!(found, bytes(expected), "{relu} {bounds:?} {options:?}");
            }
        }
    }
}
