//! The graphs of the simulation: one input, one operation, one output, made once.

use std::sync::OnceLock;

use htp_runtime::binary::{BinaryLayout, GraphSource};
use htp_runtime::graph::{DataType, GraphBuilder, OpSpec, ScaleOffset, TensorKind, TensorSpec};
use htp_runtime::region::Region;
use htp_runtime::sched::Priority;

use crate::memory::{TENSOR_BYTES, TENSOR_IDS};

/// Architecture that the binaries are made for.
pub const ARCH: u32 = 75;
/// Graphs of the largest binary.
pub const GRAPHS_MAX: usize = 3;
/// Priority of the graphs in binaries.
pub const BINARY_PRIORITY: Priority = Priority::Low;

/// The tensors.
pub fn tensors() -> [TensorSpec<'static>; 2] {
    const STEP: &[ScaleOffset] = &[ScaleOffset { scale: 0.5, offset: 0 }];
    let input = TensorSpec {
        id: TENSOR_IDS[0],
        name: "input",
        kind: TensorKind::AppWrite,
        data_type: DataType::Ufixed8,
        dims: &[1, TENSOR_BYTES as u32],
        quant_axis: 0,
        quants: STEP,
        data: &[],
    };
    [input, TensorSpec { id: TENSOR_IDS[1], name: "output", kind: TensorKind::AppRead, ..input }]
}

/// The operation.
pub const OP: OpSpec<'static> = OpSpec {
    name: "node",
    package: "qti.aisw",
    type_name: "Relu",
    params: &[],
    inputs: &[0],
    outputs: &[1],
};

/// A graph table.
pub fn table() -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    TABLE.get_or_init(|| make_table("net"))
}

/// A context binary with this many graphs.
pub fn binary(graphs: usize) -> &'static [u8] {
    static BINARIES: OnceLock<[Vec<u8>; GRAPHS_MAX]> = OnceLock::new();
    let binaries = BINARIES.get_or_init(|| [1, 2, 3].map(make_binary));
    &binaries[graphs.clamp(1, GRAPHS_MAX) - 1]
}

#[allow(clippy::expect_used, reason = "a constant graph in enough memory")]
fn make_table(name: &str) -> Vec<u8> {
    let mut arena = Box::new_uninit_slice(1 << 16);
    let mut region = Region::new(&mut arena);
    let mut builder = GraphBuilder::new(&mut region, name).expect("room");
    for tensor in tensors() {
        builder.add_tensor(&mut region, &tensor).expect("a valid tensor");
    }
    builder.add_op(&mut region, &OP).expect("a valid operation");
    let block = builder.write(&mut region).expect("room");
    block.to_vec()
}

#[allow(clippy::expect_used, reason = "constant graphs in enough memory")]
fn make_binary(graphs: usize) -> Vec<u8> {
    let tables: Vec<_> = (0..graphs).map(|index| make_table(&format!("part {index}"))).collect();
    let priority = BINARY_PRIORITY.qnn();
    let sources = tables.iter().map(|table| GraphSource { table, priority });
    let layout = BinaryLayout::plan(ARCH, sources).expect("valid tables");
    let mut bytes = vec![0; layout.size_bytes()];
    let len = layout.write_into(&mut bytes).expect("room");
    bytes.truncate(len);
    bytes
}
