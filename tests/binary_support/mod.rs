//! Graphs and binaries for the tests of the context binary.

#![allow(dead_code, reason = "each test program uses its own part")]

use htp_runtime::binary::layout::{
    checksum, header_checksum, Header, SectionRecord, MAGIC as BINARY_MAGIC,
};
use htp_runtime::binary::{BinaryLayout, ContextBinary, GraphSource};
use htp_runtime::graph::{
    DataType, GraphBuilder, GraphTable, OpSpec, ParamSpec, ParamValue, ScaleOffset, TensorKind,
    TensorSpec,
};
use htp_runtime::region::Region;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

pub(crate) const HEADER_BYTES: usize = size_of::<Header>();

/// A graph table: input, `weights` as constant data, one operation, output.
pub(crate) fn table(name: &str, weights: &[u8]) -> Vec<u8> {
    let mut arena = Box::new_uninit_slice(weights.len() * 8 + (1 << 16));
    let mut region = Region::new(&mut arena);
    let mut graph = GraphBuilder::new(&mut region, name).unwrap();
    let step = [ScaleOffset { scale: 0.5, offset: -3 }];
    let activation = TensorSpec {
        id: 1,
        name: "input",
        kind: TensorKind::AppWrite,
        data_type: DataType::Ufixed8,
        dims: &[1, 2, 2, 4],
        quant_axis: 0,
        quants: &step,
        data: &[],
    };
    let constant = TensorSpec {
        id: 2,
        name: "weights",
        kind: TensorKind::Static,
        dims: &[u32::try_from(weights.len()).unwrap()],
        data: weights,
        ..activation
    };
    let result = TensorSpec { id: 3, name: "output", kind: TensorKind::AppRead, ..activation };
    for tensor in [&activation, &constant, &result] {
        graph.add_tensor(&mut region, tensor).unwrap();
    }
    let params = [
        ParamSpec { name: "keep_dims", value: ParamValue::Scalar(DataType::Bool8, 1) },
        ParamSpec { name: "pad_amount", value: ParamValue::Tensor(1) },
    ];
    let op = OpSpec {
        name: "node",
        package: "qti.aisw",
        type_name: "Conv2d",
        params: &params,
        inputs: &[0, 1],
        outputs: &[2],
    };
    graph.add_op(&mut region, &op).unwrap();
    let block = graph.write(&mut region).unwrap();
    block.to_vec()
}

pub(crate) fn sources(tables: &[(Vec<u8>, u32)]) -> Vec<GraphSource<'_>> {
    tables.iter().map(|(table, priority)| GraphSource { table, priority: *priority }).collect()
}

pub(crate) fn write(arch: u32, tables: &[(Vec<u8>, u32)]) -> Vec<u8> {
    let sources = sources(tables);
    let layout = BinaryLayout::plan(arch, sources.iter().copied()).unwrap();
    let mut bytes = vec![0xAA; layout.size_bytes()];
    assert_eq!(layout.write_into(&mut bytes), Ok(bytes.len()));
    bytes
}

/// Three graphs of different sizes, priorities and names.
pub(crate) fn three_graphs() -> Vec<(Vec<u8>, u32)> {
    vec![
        (table("lane", &[1; 100]), 0),
        (table("pedestrian", &[2; 5000]), 300),
        (table("schild-ß", &[3; 1]), u32::MAX),
    ]
}

/// Makes the checksums right again after a change, as far as the sections still lie in the block,
/// and the length too.
pub(crate) fn reseal(bytes: &mut [u8]) {
    let Ok((mut header, _)) = Header::read_from_prefix(bytes) else { return };
    if header.magic != BINARY_MAGIC {
        return;
    }
    let count = usize::try_from(header.section_count.get()).unwrap().min(100);
    let table_end = HEADER_BYTES + count * size_of::<SectionRecord>();
    let Some(sections) = bytes.get(HEADER_BYTES..table_end) else { return };
    let mut sections = <[SectionRecord]>::ref_from_bytes(sections).unwrap().to_vec();
    for section in &mut sections {
        let start = usize::try_from(section.offset.get()).unwrap();
        let end = start.saturating_add(usize::try_from(section.bytes.get()).unwrap());
        if let Some(content) = bytes.get(start..end) {
            section.crc = U32::new(checksum(&[content]));
        }
    }
    header.total_bytes.set(bytes.len() as u64);
    header.header_crc.set(header_checksum(&header, &sections));
    bytes[..HEADER_BYTES].copy_from_slice(header.as_bytes());
    bytes[HEADER_BYTES..table_end].copy_from_slice(sections.as_bytes());
}

/// Looks at everything a binary says.
pub(crate) fn walk(binary: &ContextBinary<'_>) -> usize {
    let mut seen = binary.graph(binary.graph_count()).is_some() as usize;
    for graph in binary.graphs() {
        assert!(binary.find(graph.name).is_some());
        assert_eq!(binary.bytes()[graph.range.clone()].as_ptr(), graph.table.bytes().as_ptr());
        seen += graph.name.len() + walk_table(&graph.table);
    }
    seen
}

/// Looks at everything a graph table says.
pub(crate) fn walk_table(table: &GraphTable<'_>) -> usize {
    let tensors = table.tensors().chain(table.inputs().iter()).chain(table.outputs().iter());
    let in_tensors: usize = tensors
        .map(|tensor| {
            let quants = (0..tensor.quant_count()).filter_map(|channel| tensor.quant(channel));
            tensor.name().len() + tensor.data().len() + tensor.dims().len() + quants.count()
        })
        .sum();
    let in_ops = table.ops().map(|op| {
        let params = op.params().map(|param| param.name().len() + param.word(0).is_some() as usize);
        op.inputs().iter().count() + op.outputs().iter().count() + params.sum::<usize>()
    });
    in_tensors + in_ops.sum::<usize>() + table.name().len()
}
