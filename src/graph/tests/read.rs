//! What a table says after it was written, and a table that was never written but baked into the
//! program.

use zerocopy::little_endian::{F32, I32, U32, U64};
use zerocopy::{Immutable, IntoBytes};

use super::super::table::{
    Header, OpRecord, QuantRecord, Span, TensorRecord, CONSTANTS_ALIGN, MAGIC, NO_PRODUCER, VERSION,
};
use super::*;

fn ids(list: TensorList<'_>) -> Vec<u32> {
    list.iter().map(|tensor| tensor.id()).collect()
}

#[test]
fn tensors_come_back_as_they_were_added() {
    let bytes = everything_as_bytes();
    let table = GraphTable::parse(&bytes).ok().unwrap();
    assert_eq!((table.name(), table.tensor_count()), ("everything", 7));
    assert_eq!(table.bytes(), bytes);
    let x = table.tensor(X as usize).unwrap();
    assert_eq!((x.index(), x.id(), x.name(), x.kind()), (0, 10, "x", TensorKind::AppWrite));
    assert_eq!((x.data_type(), x.rank(), x.size_bytes()), (DataType::Ufixed8, 4, 24));
    assert_eq!(x.dims().collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!((x.shape(), x.dim(3), x.dim(4)), ([1, 2, 3, 4, 1, 1], 4, 1));
    assert_eq!((x.quant_count(), x.quant(0), x.quant(5)), (1, Some(STEP[0]), Some(STEP[0])));
    assert!(x.data().is_empty());
    let weights = table.tensor(WEIGHTS as usize).unwrap();
    assert_eq!(weights.data(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!((weights.quant_axis(), weights.quant_count()), (1, 2));
    assert_eq!(weights.quant(1), Some(PER_CHANNEL[1]));
    assert_eq!(weights.quant(2), None);
    let z = table.tensor(Z as usize).unwrap();
    assert_eq!((z.rank(), z.element_count(), z.kind()), (0, 1, TensorKind::AppRead));
    assert_eq!(table.tensor(ABSENT as usize).unwrap().kind(), TensorKind::Null);
    assert!(table.tensor(7).is_none());
    assert_eq!((ids(table.inputs()), ids(table.outputs())), (vec![10], vec![15, 16]));
    assert!(table.inputs().at(1).is_none());
}

#[test]
fn operations_come_back_as_they_were_added() {
    let bytes = everything_as_bytes();
    let table = GraphTable::parse(&bytes).ok().unwrap();
    assert_eq!(table.op_count(), 2);
    let conv = table.op(0).unwrap();
    assert_eq!((conv.name(), conv.package(), conv.type_name()), ("conv", "qti.aisw", "Conv2d"));
    assert_eq!((ids(conv.inputs()), ids(conv.outputs())), (vec![10, 11, 14], vec![13]));
    assert_eq!(conv.params().count(), 2);
    let stride = conv.param("stride").unwrap();
    assert_eq!(stride.tensor().unwrap().id(), 12);
    assert_eq!([0, 1, 2].map(|i| stride.word(i)), [Some(2), Some(3), None]);
    assert_eq!((stride.scalar(), stride.as_u32()), (None, None));
    let group = conv.param("group").unwrap();
    assert_eq!(group.scalar(), Some((DataType::Uint32, 1)));
    assert!(group.tensor().is_none() && group.word(0).is_none());
    assert!(conv.param("groups").is_none());
    let split = table.op(1).unwrap();
    assert_eq!((split.index(), ids(split.outputs())), (1, vec![16, 15]));
    assert!(table.op(2).is_none());
}

#[test]
fn scalars_convert_only_where_they_mean_the_same() {
    let scalars = [
        (DataType::Uint32, 7),
        (DataType::Int32, 0xFFFF_FFFF),
        (DataType::Int8, 0xFF),
        (DataType::Int16, 0x7FFF),
        (DataType::Uint64, 1 << 32),
        (DataType::Bool8, 1),
        (DataType::Float32, u64::from(1.5f32.to_bits())),
        (DataType::Float16, 0x3C00),
    ];
    let params = scalars.map(|(data_type, bits)| ParamSpec {
        name: "p",
        value: ParamValue::Scalar(data_type, bits),
    });
    let mut region = region();
    let mut graph = everything(&mut region);
    let spec = TensorSpec { id: 90, name: "", kind: TensorKind::Native, ..ACTIVATION };
    let output = graph.add_tensor(&mut region, &spec).unwrap();
    let op = OpSpec {
        name: "",
        package: "",
        type_name: "",
        params: &params,
        inputs: &[],
        outputs: &[output],
    };
    graph.add_op(&mut region, &op).unwrap();
    let block = graph.write(&mut region).unwrap();
    let op = GraphTable::parse(&block).ok().unwrap().op(2).unwrap();
    let words: Vec<_> = op.params().map(|param| param.as_u32()).collect();
    assert_eq!(words, [Some(7), None, None, Some(0x7FFF), None, Some(1), None, None]);
    let floats: Vec<_> = op.params().filter_map(|param| param.as_f32()).collect();
    assert_eq!(floats, [1.5]);
    assert_eq!(op.params().nth(5).unwrap().as_bool(), Some(true));
}

#[test]
fn constants_are_aligned() {
    let bytes = everything_as_bytes();
    let table = GraphTable::parse(&bytes).ok().unwrap();
    let offset = |index: u32| {
        let data = table.tensor(index as usize).unwrap().data();
        data.as_ptr() as usize - bytes.as_ptr() as usize
    };
    assert_eq!((offset(WEIGHTS), offset(STRIDE)), (CONSTANTS_ALIGN, CONSTANTS_ALIGN + 64));
    assert_eq!(bytes.len(), CONSTANTS_ALIGN + 64 + 8);
}

#[test]
fn numbers_of_types_and_roles_are_stable() {
    let known = (0..0x600).filter_map(DataType::from_qnn).collect::<Vec<_>>();
    assert_eq!(known.len(), 17);
    assert!(known.iter().all(|&data_type| DataType::from_qnn(data_type.qnn()) == Some(data_type)));
    let bits = |data_type: &DataType| match data_type.qnn() & 0xFF {
        0x08 => 8,
        0x16 => 16,
        0x32 => 32,
        _ => 64,
    };
    assert!(known.iter().all(|data_type| data_type.size_bytes() * 8 == bits(data_type)));
    let kinds = (0..9).filter_map(TensorKind::from_qnn).map(TensorKind::qnn).collect::<Vec<_>>();
    assert_eq!(kinds, [0, 1, 2, 3, 4, 5]);
}

const fn span(first: u32, count: u32) -> Span {
    Span { first: U32::new(first), count: U32::new(count) }
}

const fn tensor(id: u32, kind: u32, producer: u32, at: u32) -> TensorRecord {
    TensorRecord {
        id: U32::new(id),
        kind: U32::new(kind),
        data_type: U32::new(DataType::Ufixed8.qnn()),
        quant_axis: U32::ZERO,
        producer: U32::new(producer),
        quants: span(at, 1),
        name: span(4 + at, 1),
        dims: span(at, 1),
        data_offset: U64::ZERO,
        data_bytes: U64::ZERO,
        flags: U32::ZERO,
    }
}

/// A graph of one Relu as a program would bake it into flash.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Baked {
    header: Header,
    tensors: [TensorRecord; 2],
    op: OpRecord,
    quants: [QuantRecord; 2],
    words: [U32; 6],
    strings: [u8; 23],
}

static BAKED: Baked = Baked {
    header: Header {
        magic: MAGIC,
        version: U32::new(VERSION),
        total_bytes: U64::new(359),
        tensors: span(120, 2),
        ops: span(248, 1),
        params: span(296, 0),
        quants: span(296, 2),
        words: span(312, 6),
        strings: span(336, 23),
        constants_offset: U64::new(359),
        constants_bytes: U64::ZERO,
        name: span(0, 4),
        inputs: span(4, 1),
        outputs: span(5, 1),
        options: OptionsRecord {
            vtcm_bytes: U32::ZERO,
            hvx_threads: U32::ZERO,
            optimization_level: U32::ZERO,
            switches: U32::ZERO,
        },
    },
    tensors: [tensor(1, 0, NO_PRODUCER, 0), tensor(2, 1, 0, 1)],
    op: OpRecord {
        name: span(6, 5),
        package: span(11, 8),
        type_name: span(19, 4),
        params: span(0, 0),
        inputs: span(2, 1),
        outputs: span(3, 1),
    },
    quants: [QuantRecord { scale: F32::from_bytes(0.5f32.to_le_bytes()), offset: I32::new(-3) }; 2],
    words: [U32::new(8), U32::new(8), U32::ZERO, U32::new(1), U32::ZERO, U32::new(1)],
    strings: *b"flatxyrelu0qti.aiswRelu",
};

#[test]
fn a_static_is_used_in_place() {
    let bytes: &'static [u8] = BAKED.as_bytes();
    let table: GraphTable<'static> = GraphTable::parse(bytes).ok().unwrap();
    assert_eq!(table.bytes().as_ptr(), bytes.as_ptr());
    assert_eq!(table.name().as_ptr(), BAKED.strings.as_ptr());
    assert_eq!((ids(table.inputs()), ids(table.outputs())), (vec![1], vec![2]));
    assert_eq!(table.op(0).unwrap().type_name(), "Relu");
    assert!(walk(&table) > 0);
}

// The layout written down here by hand pins the format: a builder that writes something else needs
// a new VERSION.
#[test]
fn the_builder_writes_what_was_baked() {
    let mut region = region();
    let mut graph = GraphBuilder::new(&mut region, "flat").unwrap();
    let x = TensorSpec { id: 1, name: "x", dims: &[8], ..ACTIVATION };
    let y = TensorSpec { id: 2, name: "y", kind: TensorKind::AppRead, ..x };
    graph.add_tensor(&mut region, &x).unwrap();
    graph.add_tensor(&mut region, &y).unwrap();
    let relu = OpSpec {
        name: "relu0",
        package: "qti.aisw",
        type_name: "Relu",
        params: &[],
        inputs: &[0],
        outputs: &[1],
    };
    graph.add_op(&mut region, &relu).unwrap();
    assert_eq!(&graph.write(&mut region).unwrap()[..], BAKED.as_bytes());
}
