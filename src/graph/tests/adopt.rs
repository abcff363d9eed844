//! Tensors of a context in the graphs that use them, and what is chosen for a graph.

use super::*;

/// A context's tensors: a constant, an input, one that is read and written.
fn of_context(region: &mut Region<'static>) -> GraphBuilder<'static> {
    let mut tensors = GraphBuilder::of_context();
    let weights = TensorSpec {
        id: 50,
        name: "weights",
        kind: TensorKind::Static,
        data_type: DataType::Sfixed8,
        dims: &[4, 2],
        quant_axis: 1,
        quants: &PER_CHANNEL,
        data: &[9, 8, 7, 6, 5, 4, 3, 2],
    };
    let input = TensorSpec { id: 51, name: "input", ..ACTIVATION };
    let state = TensorSpec { id: 52, name: "state", kind: TensorKind::AppReadWrite, ..ACTIVATION };
    for (index, spec) in [weights, input, state].iter().enumerate() {
        assert_eq!(tensors.add_tensor(region, spec), Ok(index as u32));
    }
    tensors
}

fn relu<'a>(inputs: &'a [u32], outputs: &'a [u32]) -> OpSpec<'a> {
    let (name, package, type_name) = ("n", "qti.aisw", "Relu");
    OpSpec { name, package, type_name, params: &[], inputs, outputs }
}

#[test]
fn a_graph_has_a_tensor_of_its_context_once_with_all_it_says() {
    let mut region = region();
    let tensors = of_context(&mut region);
    for name in ["first", "second"] {
        let mut graph = GraphBuilder::new(&mut region, name).unwrap();
        let own = TensorSpec { kind: TensorKind::AppRead, ..ACTIVATION };
        assert_eq!(graph.add_tensor(&mut region, &own), Ok(0));
        assert_eq!(graph.adopt(&mut region, &tensors, 0, false), Ok(1));
        assert_eq!(graph.adopt(&mut region, &tensors, 1, false), Ok(2));
        assert_eq!(graph.adopt(&mut region, &tensors, 0, false), Ok(1));
        graph.add_op(&mut region, &relu(&[1, 2], &[0])).unwrap();
        let bytes = graph.write(&mut region).unwrap();
        let table = GraphTable::parse(&bytes).unwrap_or_else(|error| panic!("{error:?}"));
        let weights = table.tensor(1).unwrap();
        assert_eq!((weights.id(), weights.name()), (50, "weights"));
        assert_eq!(weights.kind_in_context(), Some(TensorKind::Static));
        assert_eq!(weights.dims().collect::<Vec<_>>(), [4, 2]);
        assert_eq!((weights.quant_axis(), weights.quant(1)), (1, Some(PER_CHANNEL[1])));
        assert_eq!(weights.data(), [9, 8, 7, 6, 5, 4, 3, 2]);
        let input = table.tensor(2).unwrap();
        assert_eq!((input.id(), input.kind()), (51, TensorKind::AppWrite));
        assert_eq!(table.tensor(0).unwrap().kind_in_context(), None);
        assert_eq!(table.inputs().len(), 1);
    }
}

#[test]
fn what_is_read_and_written_is_an_input_until_it_is_written() {
    let mut region = region();
    let tensors = of_context(&mut region);
    let mut graph = GraphBuilder::new(&mut region, "both").unwrap();
    let read = graph.adopt(&mut region, &tensors, 2, false).unwrap();
    let written = graph.adopt(&mut region, &tensors, 2, true).unwrap();
    assert_eq!((read, written), (0, 1));
    graph.add_op(&mut region, &relu(&[read], &[written])).unwrap();
    assert_eq!(graph.adopt(&mut region, &tensors, 2, false), Ok(written));
    assert_eq!(graph.adopt(&mut region, &tensors, 2, true), Ok(written));
    let bytes = graph.write(&mut region).unwrap();
    let table = GraphTable::parse(&bytes).unwrap_or_else(|error| panic!("{error:?}"));
    let roles = [TensorKind::AppWrite, TensorKind::AppRead];
    for (index, role) in roles.into_iter().enumerate() {
        let tensor = table.tensor(index).unwrap();
        assert_eq!((tensor.id(), tensor.kind()), (52, role));
        assert_eq!(tensor.kind_in_context(), Some(TensorKind::AppReadWrite));
    }
}

#[test]
fn roles_have_their_places() {
    let mut region = region();
    let mut tensors = of_context(&mut region);
    let native = TensorSpec { kind: TensorKind::Native, ..ACTIVATION };
    assert_eq!(tensors.add_tensor(&mut region, &native), Err(BuildError::BadTensor));
    let state = TensorSpec { kind: TensorKind::AppReadWrite, ..ACTIVATION };
    let mut graph = empty(&mut region);
    assert_eq!(graph.add_tensor(&mut region, &state), Err(BuildError::BadTensor));
    assert_eq!(graph.adopt(&mut region, &tensors, 7, false), Err(BuildError::NoSuchTensor));
    // The names that are taken; the empty one never is.
    assert!(tensors.has_name("state") && !tensors.has_name("") && !graph.has_name("state"));
}

#[test]
fn what_came_for_an_operation_goes_with_it() {
    let mut region = region();
    let tensors = of_context(&mut region);
    let mut graph = everything(&mut region);
    let before = graph.write(&mut region).unwrap().to_vec();
    let mark = graph.mark();
    for index in 0..3 {
        graph.adopt(&mut region, &tensors, index, false).unwrap();
    }
    assert_ne!(graph.write(&mut region).unwrap().to_vec(), before);
    graph.truncate(mark);
    assert_eq!(graph.write(&mut region).unwrap().to_vec(), before);
}

// REQ: GRAPH-001, GRAPH-012, VTCM-001
#[test]
fn nothing_is_chosen_by_default() {
    let mut region = region();
    let bytes = everything(&mut region).write(&mut region).unwrap();
    let options = GraphTable::parse(&bytes).ok().unwrap().options();
    assert_eq!(options, GraphOptions::default());
    assert_eq!((options.optimization_level, options.level()), (0, 2));
    assert_eq!(options.vtcm(), 4 << 20);
}

#[test]
fn a_table_keeps_what_was_chosen() {
    let chosen = GraphOptions {
        vtcm_bytes: 3 << 20,
        vtcm_max: true,
        hvx_threads: 3,
        optimization_level: 1,
        fold_relu_off: false,
        short_depth_hmx_off: true,
        slc_allocator: false,
        clamp_overflow: true,
    };
    let opposite = GraphOptions {
        vtcm_max: false,
        fold_relu_off: true,
        short_depth_hmx_off: false,
        slc_allocator: true,
        clamp_overflow: false,
        ..chosen
    };
    for options in [chosen, opposite] {
        let mut region = region();
        let mut graph = everything(&mut region);
        graph.set_options(options);
        let bytes = graph.write(&mut region).unwrap();
        assert_eq!(GraphTable::parse(&bytes).ok().unwrap().options(), options);
        assert_eq!(OptionsRecord::new(options).read(), Some(options));
    }
}
