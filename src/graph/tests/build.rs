//! What the builder accepts and what it refuses.

use super::*;

/// What [`empty`] says to this tensor.
fn tensor(spec: TensorSpec<'_>) -> Result<u32, BuildError> {
    let mut region = region();
    empty(&mut region).add_tensor(&mut region, &spec)
}

/// What a graph of these tensors says to an operation: 0 written by the client, 1 constant, 2 and 3
/// intermediate, 4 read by the client, 5 absent; an earlier operation wrote 2.
fn op(inputs: &[u32], outputs: &[u32], params: &[ParamSpec<'_>]) -> Result<(), BuildError> {
    let mut region = region();
    let mut graph = empty(&mut region);
    let kinds = [
        TensorKind::AppWrite,
        TensorKind::Static,
        TensorKind::Native,
        TensorKind::Native,
        TensorKind::AppRead,
        TensorKind::Null,
    ];
    for (id, kind) in (0..).zip(kinds) {
        let data: &[u8] = if kind == TensorKind::Static { &[1, 2] } else { &[] };
        let spec = TensorSpec { id, name: "", kind, dims: &[2], data, ..ACTIVATION };
        graph.add_tensor(&mut region, &spec).unwrap();
    }
    let spec = OpSpec {
        name: "n",
        package: "p",
        type_name: "t",
        params: &[],
        inputs: &[0],
        outputs: &[2],
    };
    graph.add_op(&mut region, &spec).unwrap();
    let result = graph.add_op(&mut region, &OpSpec { params, inputs, outputs, ..spec });
    assert_eq!(graph.op_count(), 1 + usize::from(result.is_ok()));
    match graph.write(&mut region) {
        Ok(block) => assert!(GraphTable::parse(&block).is_ok(), "what is refused leaves no trace"),
        Err(error) => assert_eq!(error, BuildError::OutputNotWritten, "4 has no writer yet"),
    }
    result
}

#[test]
fn a_graph_under_construction_answers() {
    let mut region = region();
    let graph = everything(&mut region);
    assert_eq!((graph.name(), graph.tensor_count(), graph.op_count()), ("everything", 7, 2));
    assert_eq!(graph.tensor_by_id(13), Some(MIDDLE));
    assert_eq!(graph.tensor_by_id(99), None);
}

#[test]
fn ids_and_names_are_unique() {
    let mut region = region();
    let mut graph = everything(&mut region);
    let mut add = |id, name| {
        let spec = TensorSpec { id, name, ..ACTIVATION };
        graph.add_tensor(&mut region, &spec)
    };
    assert_eq!(add(10, "fresh"), Err(BuildError::DuplicateTensor));
    assert_eq!(add(20, "weights"), Err(BuildError::DuplicateTensor));
    assert_eq!(add(20, ""), Ok(7), "several tensors may be nameless");
    assert_eq!(add(21, "fresh"), Ok(8));
}

#[test]
fn what_was_forgotten_can_be_added_again() {
    let mut region = region();
    let mut graph = everything(&mut region);
    let mark = graph.mark();
    let spec = TensorSpec { id: 20, name: "fresh", ..ACTIVATION };
    for _ in 0..3 {
        assert_eq!(graph.add_tensor(&mut region, &spec), Ok(7));
        assert!(graph.has_name("fresh") && graph.tensor_by_id(20) == Some(7));
        assert_eq!(graph.add_tensor(&mut region, &spec), Err(BuildError::DuplicateTensor));
        graph.truncate(mark);
        assert!(!graph.has_name("fresh") && graph.tensor_by_id(20).is_none());
    }
}

#[test]
fn a_tensor_may_be_described_without_its_data() {
    let mut region = Region::from_heap(1 << 14);
    let data = vec![1; 1 << 16];
    let mut graph = GraphBuilder::new(&mut region, "g").unwrap();
    let constant =
        TensorSpec { kind: TensorKind::Static, dims: &[1 << 16], data: &data, ..ACTIVATION };
    assert_eq!(graph.add_tensor(&mut region, &constant), Err(BuildError::OutOfMemory));
    let short = TensorSpec { data: &data[1..], ..constant };
    assert_eq!(
        graph.add_tensor_without_data(&mut region, &short),
        Err(BuildError::BadTensor),
        "it is looked at"
    );
    assert_eq!(graph.add_tensor_without_data(&mut region, &constant), Ok(0));
}

#[test]
fn ranks_and_dimensions() {
    let bad = Err(BuildError::BadTensor);
    assert_eq!(tensor(TensorSpec { dims: &[1; RANK_MAX], ..ACTIVATION }), Ok(0));
    assert_eq!(tensor(TensorSpec { dims: &[1; RANK_MAX + 1], ..ACTIVATION }), bad);
    assert_eq!(tensor(TensorSpec { dims: &[3, 0], ..ACTIVATION }), bad);
    assert_eq!(tensor(TensorSpec { dims: &[u32::MAX; 3], ..ACTIVATION }), bad);
    assert_eq!(tensor(TensorSpec { dims: &[], ..ACTIVATION }), Ok(0));
}

#[test]
fn quantization() {
    let quants = |dims, quant_axis, scales: &[f32]| {
        let quants: Vec<_> = scales.iter().map(|&scale| ScaleOffset { scale, offset: 0 }).collect();
        tensor(TensorSpec { dims, quant_axis, quants: &quants, ..ACTIVATION })
    };
    let bad = Err(BuildError::BadTensor);
    assert_eq!(quants(&[2, 3], 1, &[1.0, 2.0, 3.0]), Ok(0));
    assert_eq!(quants(&[2, 3], 0, &[1.0, 2.0, 3.0]), bad);
    assert_eq!(quants(&[2, 3], 2, &[1.0, 2.0, 3.0]), bad);
    assert_eq!(quants(&[2, 3], 9, &[1.0]), Ok(0));
    assert_eq!(quants(&[2, 3], 9, &[]), Ok(0));
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(quants(&[2], 0, &[scale]), bad);
    }
}

#[test]
fn data_belongs_to_static_tensors_and_is_complete() {
    let with = |kind, data: &[u8]| tensor(TensorSpec { kind, dims: &[3], data, ..ACTIVATION });
    let bad = Err(BuildError::BadTensor);
    assert_eq!(with(TensorKind::Static, &[1, 2, 3]), Ok(0));
    assert_eq!(with(TensorKind::Static, &[1, 2]), bad);
    assert_eq!(with(TensorKind::Static, &[]), bad);
    for kind in [TensorKind::AppWrite, TensorKind::AppRead, TensorKind::Native, TensorKind::Null] {
        assert_eq!(with(kind, &[1, 2, 3]), bad);
        assert_eq!(with(kind, &[]), Ok(0));
    }
}

#[test]
fn operands() {
    assert_eq!(op(&[0, 1, 2, 5], &[3, 4], &[]), Ok(()));
    assert_eq!(op(&[6], &[3], &[]), Err(BuildError::NoSuchTensor));
    assert_eq!(op(&[0], &[u32::MAX], &[]), Err(BuildError::NoSuchTensor));
    assert_eq!(op(&[3], &[4], &[]), Err(BuildError::InputNotProduced(0)));
    assert_eq!(op(&[4], &[3], &[]), Err(BuildError::InputNotProduced(0)));
    for output in [0, 1, 2, 5] {
        assert_eq!(op(&[0], &[output], &[]), Err(BuildError::BadOutput(0)));
    }
    assert_eq!(op(&[0], &[4, 3, 3], &[]), Err(BuildError::BadOutput(1)));
}

#[test]
fn parameters() {
    let param = |value| op(&[0], &[3], &[ParamSpec { name: "p", value }]);
    assert_eq!(param(ParamValue::Tensor(1)), Ok(()));
    assert_eq!(param(ParamValue::Scalar(DataType::Float32, 0)), Ok(()));
    assert_eq!(param(ParamValue::Tensor(9)), Err(BuildError::NoSuchTensor));
    for not_static in [0, 2, 4, 5] {
        assert_eq!(param(ParamValue::Tensor(not_static)), Err(BuildError::BadParam(0)));
    }
}

#[test]
fn a_graph_without_operations_is_not_written() {
    let mut region = region();
    let mut graph = empty(&mut region);
    graph.add_tensor(&mut region, &ACTIVATION).unwrap();
    assert_eq!(graph.write(&mut region).err(), Some(BuildError::EmptyGraph));
}

#[test]
fn a_graph_with_an_output_that_nothing_writes_is_not_written() {
    let mut region = region();
    let mut graph = everything(&mut region);
    let late = TensorSpec { id: 90, name: "late", kind: TensorKind::AppRead, ..ACTIVATION };
    graph.add_tensor(&mut region, &late).unwrap();
    assert_eq!(graph.write(&mut region).err(), Some(BuildError::OutputNotWritten));
    let spec = OpSpec {
        name: "n",
        package: "p",
        type_name: "t",
        params: &[],
        inputs: &[X],
        outputs: &[7],
    };
    graph.add_op(&mut region, &spec).unwrap();
    assert!(graph.write(&mut region).is_ok());
}

#[test]
fn a_full_region_refuses_and_loses_nothing() {
    // Every size up to enough, so that memory runs out at each allocation in turn.
    let mut outcomes = [0, 0];
    for arena_bytes in (256..12_000).step_by(64) {
        let mut region = Region::from_heap(Region::OVERHEAD_BYTES + arena_bytes);
        let Ok(mut graph) = GraphBuilder::new(&mut region, "tight") else { continue };
        let (x, y) = (ACTIVATION, TensorSpec { kind: TensorKind::AppRead, ..ACTIVATION });
        let steps = [
            graph.add_tensor(&mut region, &x).map(|_| ()),
            graph.add_tensor(&mut region, &TensorSpec { id: 2, name: "y", ..y }).map(|_| ()),
            graph.add_op(
                &mut region,
                &OpSpec {
                    name: "n",
                    package: "p",
                    type_name: "Relu",
                    params: &[],
                    inputs: &[0],
                    outputs: &[1],
                },
            ),
        ];
        let complete = steps.iter().all(Result::is_ok);
        for step in steps {
            // After a tensor that found no room, the operation misses it.
            let expected = [Ok(()), Err(BuildError::OutOfMemory), Err(BuildError::NoSuchTensor)];
            assert!(expected.contains(&step), "{step:?}");
        }
        let block = graph.write(&mut region);
        match &block {
            Ok(block) => assert!(GraphTable::parse(block).is_ok()),
            Err(error) if complete => assert_eq!(*error, BuildError::OutOfMemory),
            Err(_) => {}
        }
        outcomes[usize::from(block.is_ok())] += 1;
        graph.release(&mut region);
        if let Ok(block) = block {
            assert!(region.reclaim(block).is_ok());
        }
        assert_eq!(region.used_bytes(), 0);
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0);
}

#[test]
fn a_builder_survives_writing() {
    let mut region = region();
    let mut graph = everything(&mut region);
    let first = graph.write(&mut region).unwrap().to_vec();
    let second = graph.write(&mut region).unwrap().to_vec();
    assert_eq!(first, second);
    let spec = TensorSpec { id: 90, name: "late", ..ACTIVATION };
    graph.add_tensor(&mut region, &spec).unwrap();
    let third = graph.write(&mut region).unwrap();
    let table = GraphTable::parse(&third).ok().unwrap();
    assert_eq!(table.inputs().iter().map(|t| t.id()).collect::<Vec<_>>(), [10, 90]);
    assert_eq!(GraphTable::parse(&first).ok().unwrap().inputs().len(), 1);
}
