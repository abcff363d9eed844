//! Graph tables: built, written, read, forged.

mod adopt;
mod build;
mod forged;
mod read;

use std::vec;
use std::vec::Vec;

use super::*;
use crate::region::Region;

const STEP: [ScaleOffset; 1] = [ScaleOffset { scale: 0.5, offset: -3 }];
const PER_CHANNEL: [ScaleOffset; 2] =
    [ScaleOffset { scale: 0.25, offset: 0 }, ScaleOffset { scale: 0.125, offset: 7 }];

/// A quantized activation; tests change what they need.
const ACTIVATION: TensorSpec<'static> = TensorSpec {
    id: 10,
    name: "x",
    kind: TensorKind::AppWrite,
    data_type: DataType::Ufixed8,
    dims: &[1, 2, 3, 4],
    quant_axis: 0,
    quants: &STEP,
    data: &[],
};

/// The indices in [`everything`].
const X: u32 = 0;
const WEIGHTS: u32 = 1;
const STRIDE: u32 = 2;
const MIDDLE: u32 = 3;
const ABSENT: u32 = 4;
const Y: u32 = 5;
const Z: u32 = 6;

fn region() -> Region<'static> {
    Region::from_heap(1 << 18)
}

fn empty(region: &mut Region<'static>) -> GraphBuilder<'static> {
    GraphBuilder::new(region, "everything").unwrap()
}

/// A graph that uses every kind of record: tensors of all roles, both quantizations, both kinds of
/// parameters, an operation with an absent operand and one with two outputs.
fn everything(region: &mut Region<'static>) -> GraphBuilder<'static> {
    let mut graph = empty(region);
    let stride: Vec<u8> = [2u32, 3].iter().flat_map(|word| word.to_le_bytes()).collect();
    let weights = [1, 2, 3, 4, 5, 6, 7, 8];
    let tensors = [
        ACTIVATION,
        TensorSpec {
            id: 11,
            name: "weights",
            kind: TensorKind::Static,
            data_type: DataType::Sfixed8,
            dims: &[4, 2],
            quant_axis: 1,
            quants: &PER_CHANNEL,
            data: &weights,
        },
        TensorSpec {
            id: 12,
            name: "stride",
            kind: TensorKind::Static,
            data_type: DataType::Uint32,
            dims: &[2],
            quants: &[],
            data: &stride,
            ..ACTIVATION
        },
        TensorSpec { id: 13, name: "", kind: TensorKind::Native, ..ACTIVATION },
        TensorSpec { id: 14, name: "", kind: TensorKind::Null, dims: &[0], ..ACTIVATION },
        TensorSpec { id: 15, name: "y", kind: TensorKind::AppRead, ..ACTIVATION },
        TensorSpec { id: 16, name: "z", kind: TensorKind::AppRead, dims: &[], ..ACTIVATION },
    ];
    for (index, tensor) in tensors.iter().enumerate() {
        assert_eq!(graph.add_tensor(region, tensor).map(|at| at as usize), Ok(index));
    }
    let conv = OpSpec {
        name: "conv",
        package: "qti.aisw",
        type_name: "Conv2d",
        params: &[
            ParamSpec { name: "stride", value: ParamValue::Tensor(STRIDE) },
            ParamSpec { name: "group", value: ParamValue::Scalar(DataType::Uint32, 1) },
        ],
        inputs: &[X, WEIGHTS, ABSENT],
        outputs: &[MIDDLE],
    };
    let split = OpSpec {
        name: "split",
        type_name: "Split",
        params: &[],
        inputs: &[MIDDLE],
        outputs: &[Z, Y],
        ..conv
    };
    graph.add_op(region, &conv).unwrap();
    graph.add_op(region, &split).unwrap();
    graph
}

fn everything_as_bytes() -> Vec<u8> {
    let mut region = region();
    everything(&mut region).write(&mut region).unwrap().to_vec()
}

/// Calls every accessor; they must answer, whatever the table.
fn walk(table: &GraphTable<'_>) -> usize {
    let mut seen = table.name().len() + table.bytes().len();
    for tensor in table.tensors().chain(table.inputs().iter()).chain(table.outputs().iter()) {
        seen ^= tensor.name().len() ^ tensor.size_bytes() ^ tensor.rank() ^ tensor.index();
        seen ^= tensor.kind() as usize ^ tensor.data_type() as usize ^ tensor.id() as usize;
        seen ^= tensor.dim(tensor.rank()) as usize ^ tensor.shape()[0] ^ tensor.data().len();
        let channels = tensor.quant_count().max(tensor.quant_axis().min(9)) + 1;
        seen ^= (0..channels).filter(|&channel| tensor.quant(channel).is_some()).count();
    }
    for op in table.ops() {
        seen ^= op.name().len() ^ op.package().len() ^ op.type_name().len() ^ op.index();
        seen ^= op.inputs().iter().count() ^ op.outputs().iter().count();
        seen ^=
            op.inputs().is_empty() as usize ^ op.inputs().at(op.inputs().len()).map_or(0, |_| 1);
        for param in op.params() {
            seen ^= param.name().len() ^ param.as_u32().is_some() as usize;
            seen ^= param.as_f32().is_some() as usize ^ param.as_bool().is_some() as usize;
            seen ^= param.scalar().is_some() as usize ^ param.tensor().is_some() as usize;
            seen ^= (0..4).filter(|&index| param.word(index).is_some()).count();
            seen ^= op.param(param.name()).is_some() as usize;
        }
    }
    seen
}
