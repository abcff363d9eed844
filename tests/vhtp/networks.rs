//! Whole networks on the virtual HTP: every SoC gives the same bytes, whatever else it is doing.

use crate::support::*;
use htp_runtime::graph::DataType;
use htp_runtime::region::SharedBytes;
use htp_runtime::vhtp::{Pacing, VhtpConfig, SOCS};

/// A layer: op name, parameters, constants, type of its result.
type Layer = (&'static str, Vec<(&'static str, P)>, Vec<(Type, Vec<u8>)>, Type);

const IMAGE: [u32; 4] = [1, 8, 8, 1];

/// A small classifier of 8x8 images, float at both ends, with quantized activations in between.
fn layers(activation: DataType) -> Vec<Layer> {
    let mut random = Random(11);
    let zero = if activation == DataType::Ufixed8 { 128 } else { 32_768 };
    let step = if activation == DataType::Ufixed8 { 1.0 } else { 1.0 / 256.0 };
    let of = |dims: &[u32], scale: f32| fixed(activation, dims, scale * step, -zero);
    let mut weights = |dims: &[u32]| {
        let of = fixed(DataType::Sfixed8, dims, 0.01, 0);
        let stored = random.stored(DataType::Sfixed8, count(dims));
        (of, encode(DataType::Sfixed8, &stored))
    };
    let windows =
        || vec![("filter_size", pair(2, 2)), ("stride", pair(2, 2)), ("pad_amount", pads([0; 4]))];
    let same = || vec![("stride", pair(1, 1)), ("pad_amount", pads([1; 4]))];
    let (first, second, dense) =
        (weights(&[3, 3, 1, 16]), weights(&[3, 3, 1, 16]), weights(&[10, 256]));
    vec![
        ("Quantize", vec![], vec![], of(&IMAGE, 0.02)),
        ("Conv2d", same(), vec![first], of(&[1, 8, 8, 16], 0.06)),
        ("Relu", vec![], vec![], of(&[1, 8, 8, 16], 0.06)),
        ("DepthWiseConv2d", same(), vec![second], of(&[1, 8, 8, 16], 0.1)),
        ("PoolAvg2d", windows(), vec![], of(&[1, 4, 4, 16], 0.1)),
        ("Reshape", vec![], vec![], of(&[1, 256], 0.1)),
        ("FullyConnected", vec![], vec![dense], of(&[1, 10], 0.3)),
        ("Softmax", vec![], vec![], fixed(activation, &[1, 10], step / 256.0, 0)),
        ("Dequantize", vec![], vec![], plain(DataType::Float32, &[1, 10])),
    ]
}

fn network(activation: DataType) -> (Net, SharedBytes<'static>) {
    let mut net = Net::new();
    let mut from = net.input(&plain(DataType::Float32, &IMAGE));
    let layers = layers(activation);
    let last = layers.len() - 1;
    for (index, (name, params, constants, out)) in layers.iter().enumerate() {
        let to = if index == last { net.output(out) } else { net.native(out) };
        let mut operands = vec![from];
        operands.extend(constants.iter().map(|(of, data)| net.constant(of, data)));
        net.op(name, params, &operands, &[to]);
        from = to;
    }
    let table = net.table();
    (net, table)
}

fn image() -> Vec<u8> {
    let mut random = Random(3);
    floats(&(0..64).map(|_| random.real(2.0)).collect::<Vec<_>>())
}

/// The network's output, one op at a time, each in a graph of its own.
fn step_by_step(activation: DataType) -> Vec<u8> {
    let (mut of, mut data) = (plain(DataType::Float32, &IMAGE), image());
    for (name, params, constants, out) in layers(activation) {
        let mut operands = vec![(&of, &data[..], false)];
        operands.extend(constants.iter().map(|(of, data)| (of, &data[..], true)));
        let result = run_op(name, &params, &operands, &out).unwrap();
        (of, data) = (out, result);
    }
    data
}

// REQ: OPS-001
// REQ: OPS-003
// REQ: OPS-008
#[test]
fn every_soc_gives_the_same_bytes() {
    for activation in [DataType::Ufixed8, DataType::Ufixed16] {
        let expected = step_by_step(activation);
        let sum: f32 = to_floats(&expected).iter().sum();
        assert!((sum - 1.0).abs() < 0.05, "probabilities: {:?}", to_floats(&expected));
        for soc in SOCS {
            let mut rig = Rig::new(VhtpConfig::for_soc(soc.model).unwrap());
            rig.prepare(graph(0), network(activation).1).unwrap();
            let mut io = vec![image(), vec![0; 40]];
            rig.execute(0, graph(0), NORMAL, &mut io);
            assert!(executed(&rig.run())[0].1.is_ok());
            assert_eq!(io[1], expected, "{}", soc.name);
        }
    }
}

#[test]
fn interruptions_change_no_byte() {
    let expected = step_by_step(DataType::Ufixed8);
    let config = VhtpConfig { pacing: Pacing::Modelled, seed: 9, ..VhtpConfig::default() };
    let mut rig = Rig::with_memory(config, 1 << 20);
    for index in 0..3 {
        rig.prepare(graph(index), network(DataType::Ufixed8).1).unwrap();
    }
    let mut io: Vec<_> = (0..3).map(|_| vec![image(), vec![0; 40]]).collect();
    rig.execute(0, graph(0), LOW, &mut io[0]);
    rig.step();
    rig.execute(1, graph(1), NORMAL, &mut io[1]);
    rig.execute(2, graph(2), NORMAL, &mut io[2]);
    let ended = executed(&rig.run());
    assert_eq!(ended.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), [1, 2, 0]);
    assert_eq!(ended[2].1.unwrap().yields, 1);
    assert!(io.iter().all(|blocks| blocks[1] == expected));
}

// REQ: OPS-002
// REQ: OPS-010
#[test]
fn float_networks_compute_in_float16() {
    // The sums are no float16 numbers, the last summand neither; all are of single precision.
    let of = plain(DataType::Float32, &[3]);
    let (a, b) = (floats(&[2048.0, 65_504.0, 0.0]), floats(&[0.75, 100.0, 1.0 + 2f32.powi(-12)]));
    let found = run_op("ElementWiseAdd", &[], &[(&of, &a, false), (&of, &b, false)], &of);
    assert_eq!(to_floats(&found.unwrap()), [2048.0, f32::INFINITY, 1.0]);
    let found = run_op("ElementWiseAbs", &[], &[(&of, &floats(&[70_000.0; 3]), false)], &of);
    assert_eq!(to_floats(&found.unwrap()), [f32::INFINITY; 3]);
}
