//! What the virtual HTP does when a graph is prepared: the memory plan, and what it refuses.

use crate::support::*;
use htp_runtime::device::PrepareError;
use htp_runtime::graph::{DataType, GraphTable, ScaleOffset, TensorKind};
use htp_runtime::region::SharedBytes;
use htp_runtime::vhtp::{OpRefusal, Placement, Vhtp, VhtpConfig};
use proptest::prelude::*;

/// A random graph of element-wise ops on tensors of random sizes: each op adds two earlier tensors
/// of a size.
fn random_graph(seed: u64, ops: usize) -> (Net, SharedBytes<'static>) {
    let mut random = Random(seed);
    let sizes = [30u32, 64, 200];
    let of = |size: usize| fixed(DataType::Ufixed8, &[sizes[size]], 1.0, 0);
    let mut net = Net::new();
    let mut known: Vec<Vec<u32>> = vec![];
    for size in 0..sizes.len() {
        known.push(vec![net.input(&of(size))]);
    }
    for op in 0..ops {
        let size = random.below(3) as usize;
        let pick = |random: &mut Random| {
            let count = known[size].len() as u64;
            known[size][random.below(count) as usize]
        };
        let operands = [pick(&mut random), pick(&mut random)];
        let output = random.below(4) == 0 || op + 1 == ops;
        let to = if output { net.output(&of(size)) } else { net.native(&of(size)) };
        net.op("ElementWiseAdd", &[], &operands, &[to]);
        known[size].push(to);
    }
    let table = net.table();
    (net, table)
}

/// First and last op at which each tensor must keep its bytes, from the graph alone.
fn needed(table: &GraphTable<'_>, tensor: usize) -> (usize, usize) {
    let kind = table.tensor(tensor).unwrap().kind();
    let writes = table.ops().position(|op| op.outputs().iter().any(|t| t.index() == tensor));
    let reads = table.ops().filter(|op| op.inputs().iter().any(|t| t.index() == tensor));
    let first = if kind == TensorKind::AppWrite { 0 } else { writes.unwrap() };
    let last = reads.map(|op| op.index()).max().unwrap_or(first);
    (first, if kind == TensorKind::AppRead { table.op_count() - 1 } else { last.max(first) })
}

/// What the graph computes, worked out without any plan.
fn interpret(table: &GraphTable<'_>, inputs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut values = vec![vec![]; table.tensor_count()];
    for (tensor, bytes) in table.inputs().iter().zip(inputs) {
        values[tensor.index()] = bytes.clone();
    }
    for op in table.ops() {
        let [a, b] = [0, 1].map(|at| values[op.inputs().at(at).unwrap().index()].clone());
        values[op.outputs().at(0).unwrap().index()] =
            a.iter().zip(&b).map(|(a, b)| a.saturating_add(*b)).collect();
    }
    table.outputs().iter().map(|tensor| values[tensor.index()].clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn tensors_alive_together_do_not_overlap(seed: u64, ops in 1usize..40) {
        let (_net, shared) = random_graph(seed, ops);
        let table = GraphTable::parse(&shared).unwrap();
        let mut rig = Rig::new(VhtpConfig::default());
        let report = rig.prepare(graph(0), shared.clone()).unwrap();
        let plan: Vec<Placement> = rig.device.graph_plan(graph(0)).collect();
        prop_assert_eq!(plan.len(), table.tensor_count());
        for (at, a) in plan.iter().enumerate() {
            prop_assert_eq!(a.offset % 64, 0);
            prop_assert!((a.offset + a.bytes) as u64 <= report.scratch_bytes);
            prop_assert_eq!(a.bytes, table.tensor(a.tensor as usize).unwrap().size_bytes());
            let (a_first, a_last) = needed(&table, a.tensor as usize);
            for b in &plan[at + 1..] {
                let (b_first, b_last) = needed(&table, b.tensor as usize);
                let together = a_first <= b_last && b_first <= a_last;
                let overlap = a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
                prop_assert!(!(together && overlap), "{:?} {:?}", a, b);
            }
        }
        // And the results are those of a machine that has a place for every tensor.
        let mut random = Random(seed);
        let inputs: Vec<Vec<u8>> = table
            .inputs()
            .iter()
            .map(|tensor| (0..tensor.size_bytes()).map(|_| random.below(40) as u8).collect())
            .collect();
        let sizes: Vec<usize> = table.outputs().iter().map(|tensor| tensor.size_bytes()).collect();
        let expected = interpret(&table, &inputs);
        prop_assert_eq!(run_table(shared.clone(), inputs, &sizes).unwrap(), expected);
    }
}

#[test]
fn a_chain_needs_two_places() {
    let of = fixed(DataType::Ufixed8, &[128], 1.0, 0);
    let mut net = Net::new();
    let mut from = net.input(&of);
    for op in 0..10 {
        let to = if op == 9 { net.output(&of) } else { net.native(&of) };
        net.op("Relu", &[], &[from], &[to]);
        from = to;
    }
    let mut rig = Rig::new(VhtpConfig::default());
    assert_eq!(rig.prepare(graph(0), net.table()).unwrap().scratch_bytes, 256);
}

#[test]
fn the_report_counts_constants_and_cycles() {
    let x = fixed(DataType::Ufixed8, &[1, 64], 1.0, 0);
    let w = fixed(DataType::Sfixed8, &[10, 64], 1.0, 0);
    let out = fixed(DataType::Ufixed8, &[1, 10], 99.0, 0);
    let mut net = Net::new();
    let (x, w, out) = (net.input(&x), net.constant(&w, &[1; 640]), net.output(&out));
    net.op("FullyConnected", &[], &[x, w], &[out]);
    let mut rig = Rig::new(VhtpConfig::default());
    let report = rig.prepare(graph(0), net.table()).unwrap();
    assert_eq!((report.constant_bytes, report.scratch_bytes), (640, 128));
    assert!(report.cycles_estimated > 0);
}

/// The error for a graph of one op on inputs; every operand is a graph input unless it has data.
fn refusal(name: &str, params: &[(&str, P)], operands: &[&Type], out: &Type) -> PrepareError {
    let blocks: Vec<Vec<u8>> =
        operands.iter().map(|of| vec![0; count(&of.dims) * of.data_type.size_bytes()]).collect();
    let operands: Vec<(&Type, &[u8], bool)> =
        operands.iter().zip(&blocks).map(|(of, block)| (*of, &block[..], false)).collect();
    run_op(name, params, &operands, out).unwrap_err()
}

const INVALID: PrepareError = PrepareError::InvalidOp { op: 0 };
const UNSUPPORTED: PrepareError = PrepareError::UnsupportedOp { op: 0 };

#[test]
fn what_is_not_understood_is_refused() {
    use DataType::*;
    let q = |dims: &[u32]| fixed(Ufixed8, dims, 0.5, -3);
    let a = q(&[2, 3]);
    assert_eq!(refusal("Lstm", &[], &[&a], &a), UNSUPPORTED);
    assert_eq!(refusal("Relu", &[], &[&a], &q(&[3, 2])), INVALID);
    assert_eq!(refusal("Relu", &[("axis", P::U32(0))], &[&a], &a), INVALID);
    assert_eq!(refusal("Relu", &[], &[&a, &a], &a), INVALID);
    assert_eq!(refusal("Relu", &[], &[&plain(Ufixed8, &[2, 3])], &a), INVALID, "no scale");
    assert_eq!(refusal("Tanh", &[], &[&plain(Int32, &[2])], &plain(Int32, &[2])), UNSUPPORTED);
    assert_eq!(refusal("Relu", &[], &[&a], &plain(Float32, &[2, 3])), UNSUPPORTED);
    let mut far = a.clone();
    far.quants[0].offset = (1 << 24) + 1;
    assert_eq!(refusal("Relu", &[], &[&far], &a), INVALID, "offset out of range");
    let mut tiny = a.clone();
    tiny.quants[0].scale = 1e-30;
    assert_eq!(refusal("Reshape", &[], &[&a], &tiny), INVALID, "scale ratio out of range");
    let bounds = [("min_value", P::F32(1.0)), ("max_value", P::F32(0.0))];
    assert_eq!(refusal("ReluMinMax", &bounds, &[&a], &a), INVALID);
    assert_eq!(refusal("ReluMinMax", &[], &[&a], &a), INVALID, "bounds are mandatory");
    assert_eq!(refusal("ElementWiseAdd", &[], &[&a, &q(&[2, 2])], &a), INVALID);
    assert_eq!(refusal("ElementWiseAdd", &[], &[&a, &q(&[3])], &q(&[1, 2, 3])), INVALID);
    assert_eq!(refusal("Reshape", &[], &[&a], &fixed(Sfixed8, &[6], 0.5, -3)), UNSUPPORTED);
    assert_eq!(refusal("Reshape", &[], &[&a], &q(&[5])), INVALID);
    for perm in [vec![0, 0], vec![0, 1], vec![1, 2], vec![1, 40]] {
        let params = [("perm", P::List(vec![2], perm))];
        assert_eq!(refusal("Transpose", &params, &[&a], &q(&[3, 2])), INVALID);
    }
    assert_eq!(refusal("Concat", &[("axis", P::U32(2))], &[&a], &a), INVALID);
    assert_eq!(refusal("Concat", &[("axis", P::U32(0))], &[&a, &a], &q(&[3, 3])), INVALID);
    assert_eq!(refusal("Softmax", &[("axis", P::U32(2))], &[&a], &a), INVALID);
    assert_eq!(refusal("Softmax", &[("beta", P::F32(-1.0))], &[&a], &a), INVALID);
    let twice = [("axis", P::U32(0)), ("axis", P::U32(1))];
    assert_eq!(refusal("Softmax", &twice, &[&a], &a), INVALID, "which of them is meant?");
    assert_eq!(refusal("Quantize", &[], &[&a], &a), UNSUPPORTED);
    assert_eq!(refusal("Cast", &[], &[&plain(Float32, &[2])], &q(&[2])), UNSUPPORTED);
}

#[test]
fn windows_must_fit() {
    let q = |dims: &[u32]| fixed(DataType::Ufixed8, dims, 0.5, -3);
    let x = q(&[1, 4, 4, 2]);
    let pool = |window, stride, padding, out: &Type| {
        let params = [
            ("filter_size", pair(window, window)),
            ("stride", pair(stride, stride)),
            ("pad_amount", pads(padding)),
        ];
        refusal("PoolMax2d", &params, &[&x], out)
    };
    assert_eq!(pool(2, 0, [0; 4], &q(&[1, 2, 2, 2])), INVALID);
    assert_eq!(pool(2, 2, [0; 4], &q(&[1, 3, 3, 2])), INVALID);
    assert_eq!(pool(5, 1, [0; 4], &q(&[1, 1, 1, 2])), INVALID);
    assert_eq!(pool(2, 2, [2, 0, 0, 0], &q(&[1, 3, 2, 2])), INVALID, "a window in the padding");
    assert_eq!(pool(2, u32::MAX, [u32::MAX; 4], &q(&[1, 2, 2, 2])), INVALID);

    let conv = |w: &Type, groups| {
        let params =
            [("stride", pair(1, 1)), ("pad_amount", pads([0; 4])), ("group", P::U32(groups))];
        refusal("Conv2d", &params, &[&x, w], &q(&[1, 4, 4, 4]))
    };
    assert_eq!(conv(&q(&[1, 1, 3, 4]), 1), INVALID);
    assert_eq!(conv(&q(&[1, 1, 2, 4]), 0), INVALID);
    assert_eq!(conv(&q(&[1, 1, 2, 4]), 3), INVALID);
    assert_eq!(conv(&q(&[1, 1, 2, 4]), 2), INVALID);
    assert_eq!(conv(&fixed(DataType::Ufixed16, &[1, 1, 2, 4], 0.5, 0), 1), UNSUPPORTED);
    let mut per_input = q(&[1, 1, 2, 4]);
    per_input.axis = 2;
    per_input.quants = vec![ScaleOffset { scale: 0.5, offset: 0 }; 2];
    assert_eq!(conv(&per_input, 1), INVALID, "scales along the wrong axis");
}

#[test]
fn an_op_of_another_package_or_index_is_named() {
    let of = fixed(DataType::Ufixed8, &[4], 1.0, 0);
    let mut net = Net::new();
    let (x, middle, out) = (net.input(&of), net.native(&of), net.output(&of));
    net.op("Relu", &[], &[x], &[middle]);
    net.op_of("acme", "Relu", &[], &[middle], &[out]);
    let shared = net.table();
    let table = GraphTable::parse(&shared).unwrap();
    assert_eq!(Vhtp::validate_op(&table.op(0).unwrap()), Ok(()));
    assert_eq!(Vhtp::validate_op(&table.op(1).unwrap()), Err(OpRefusal::Unsupported));
    let error = PrepareError::UnsupportedOp { op: 1 };
    let mut rig = Rig::new(VhtpConfig::default());
    let before = rig.device.used_bytes();
    assert_eq!(rig.prepare(graph(0), shared.clone()), Err(error));
    assert_eq!(rig.device.used_bytes(), before);
}
