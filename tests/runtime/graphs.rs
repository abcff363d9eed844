//! What is chosen for graphs, and tensors that belong to their context.

use crate::support::{client_memory, depth, tensors, World, ASYNC, OP, TENSOR_BYTES};
use htp_runtime::binary::{BinaryLayout, GraphSource};
use htp_runtime::capability::Capabilities;
use htp_runtime::error::{CreateError, HandleError, SubmitError};
use htp_runtime::graph::{BuildError, GraphOptions, OpSpec, TensorKind, TensorSpec};
use htp_runtime::handle::{ContextId, GraphId};
use htp_runtime::runtime::{ContextConfig, IoBinding};
use htp_runtime::sched::Priority;

const ARCH: u32 = 75;

/// HVX threads that the next execution of a graph is sent with.
fn threads(world: &mut World, graph: GraphId) -> u32 {
    let request = world.submit_n(graph, 1)[0];
    let running = world.device.executing.iter().find(|running| running.request == request);
    let threads = running.expect("it runs").hvx_threads;
    world.finish(request);
    threads
}

fn finalized(world: &mut World, context: ContextId, name: &str, options: GraphOptions) -> GraphId {
    let graph = world.composed(context, name);
    world.runtime.graph_set_options(graph, options).unwrap();
    world.runtime.graph_finalize(graph).unwrap();
    world.settle();
    graph
}

/// A binary with the graphs, loaded into a new context.
fn reloaded(world: &mut World, graphs: &[GraphId]) -> ContextId {
    let tables: Vec<Vec<u8>> = graphs
        .iter()
        .map(|graph| world.runtime.graph_table(*graph).ok().unwrap().bytes().to_vec())
        .collect();
    let priority = Priority::DEFAULT.qnn();
    let sources = tables.iter().map(|table| GraphSource { table, priority });
    let layout = BinaryLayout::plan(ARCH, sources).unwrap();
    let mut bytes = vec![0; layout.size_bytes()];
    layout.write_into(&mut bytes).unwrap();
    let region = world.runtime.region_mut();
    let shared = region.alloc_shared(bytes.len(), 4096, |to| to.copy_from_slice(&bytes)).unwrap();
    let context = world.runtime.context_load(shared, ARCH, &ContextConfig::default()).unwrap();
    world.settle();
    context
}

// REQ: GRAPH-007, GRAPH-024, GRAPH-025, GRAPH-026
#[test]
fn a_graph_runs_with_the_threads_it_chose_or_with_the_default_of_its_origin() {
    let mut world = World::new();
    let context = world.context(&depth(4));
    let none = finalized(&mut world, context, "none", GraphOptions::default());
    let three = GraphOptions { hvx_threads: 3, ..GraphOptions::default() };
    let three = finalized(&mut world, context, "three", three);
    // Online, nothing chosen: all that the SoC has.
    assert_eq!((threads(&mut world, none), threads(&mut world, three)), (0, 3));
    let again = reloaded(&mut world, &[none, three]);
    let [none, three] =
        ["none", "three"].map(|name| world.runtime.graph_by_name(again, name).unwrap());
    assert_eq!(world.runtime.graph_options(three).unwrap().hvx_threads, 3);
    assert_eq!((threads(&mut world, none), threads(&mut world, three)), (4, 3));
    world.free_and_check(&[context, again]);
}

// REQ: GRAPH-027, GRAPH-028
#[test]
fn the_threads_can_be_changed_until_the_first_execution() {
    let mut world = World::new();
    let context = world.context(&depth(4));
    let online = finalized(&mut world, context, "online", GraphOptions::default());
    let again = reloaded(&mut world, &[online]);
    let offline = world.runtime.graph_by_name(again, "online").unwrap();
    for graph in [online, offline] {
        for count in [1, 2] {
            assert_eq!(world.runtime.graph_set_hvx_threads(graph, count), Ok(()));
            assert_eq!(world.runtime.graph_hvx_threads(graph), Ok(count));
        }
        assert_eq!(threads(&mut world, graph), 2);
        let refused = world.runtime.graph_set_hvx_threads(graph, 3);
        assert_eq!(refused, Err(CreateError::AlreadyExecuted));
        assert_eq!(threads(&mut world, graph), 2);
    }
    world.free_and_check(&[context, again]);
}

#[test]
fn what_is_chosen_is_fixed_by_finalization() {
    let mut world = World::new();
    let context = world.context(&depth(4));
    let options = GraphOptions { optimization_level: 3, ..GraphOptions::default() };
    let graph = finalized(&mut world, context, "net", options);
    let refused = world.runtime.graph_set_options(graph, GraphOptions::default());
    assert_eq!(refused, Err(CreateError::AlreadyFinalized));
    assert_eq!(world.runtime.graph_options(graph), Ok(options));
    world.crash();
    assert_eq!(world.runtime.graph_options(graph), Err(HandleError::Stale));
    world.free_and_check(&[context]);
}

/// A tensor of a context like the input of the test graphs.
fn shared(id: u32, name: &'static str, kind: TensorKind) -> TensorSpec<'static> {
    TensorSpec { id, name, kind, ..tensors()[0] }
}

/// Adds an operation between the tensors with these ids.
fn connect(world: &mut World, graph: GraphId, input: u32, output: u32) -> Result<(), CreateError> {
    let input = world.runtime.graph_operand(graph, input, false)?;
    let output = world.runtime.graph_operand(graph, output, true)?;
    let (inputs, outputs) = (&[input][..], &[output][..]);
    world.runtime.graph_add_op(graph, &OpSpec { inputs, outputs, ..OP })
}

/// Ids of the inputs and outputs of a finalized graph.
fn io(world: &World, graph: GraphId) -> Vec<u32> {
    let at = |index| world.runtime.graph_io(graph, index).unwrap();
    (0..).map_while(|index| at(index).map(|tensor| tensor.id)).collect()
}

#[test]
fn graphs_of_a_context_are_connected_by_its_tensors() {
    let mut world = World::new();
    let context = world.context(&depth(4));
    let state = shared(100, "state", TensorKind::AppReadWrite);
    world.runtime.context_add_tensor(context, &state).unwrap();
    let frame = shared(101, "frame", TensorKind::AppWrite);
    world.runtime.context_add_tensor(context, &frame).unwrap();
    let graphs = ["writes", "reads", "both"]
        .map(|name| world.runtime.graph_create(context, name, None).unwrap());
    for graph in &graphs[1..] {
        world.runtime.graph_add_tensor(*graph, &tensors()[1]).unwrap();
    }
    for (graph, input, output) in
        [(graphs[0], 101, 100), (graphs[1], 100, 9), (graphs[2], 100, 100), (graphs[2], 100, 9)]
    {
        assert_eq!(connect(&mut world, graph, input, output), Ok(()));
    }
    for graph in graphs {
        world.runtime.graph_finalize(graph).unwrap();
        world.settle();
    }
    assert_eq!(io(&world, graphs[0]), [101, 100]);
    assert_eq!(io(&world, graphs[1]), [100, 9]);
    assert_eq!(io(&world, graphs[2]), [100, 9, 100]);
    world.free_and_check(&[context]);
}

#[test]
fn an_execution_that_reads_and_writes_a_tensor_has_memory_for_each() {
    let mut world = World::new();
    let context = world.context(&depth(4));
    let state = shared(100, "state", TensorKind::AppReadWrite);
    world.runtime.context_add_tensor(context, &state).unwrap();
    let graph = world.runtime.graph_create(context, "both", None).unwrap();
    world.runtime.graph_add_tensor(graph, &tensors()[0]).unwrap();
    connect(&mut world, graph, 100, 100).unwrap();
    world.runtime.graph_finalize(graph).unwrap();
    world.settle();
    assert_eq!(io(&world, graph), [7, 100, 100]);
    let [other, before, after] = [(); 3].map(|()| client_memory(TENSOR_BYTES));
    let bind = |tensor_id, memory| IoBinding { tensor_id, memory };
    let (input, state) = (bind(7, other), [bind(100, before), bind(100, after)]);
    // Inputs may come in any order; of one id the input comes first.
    for bindings in [[input, state[0], state[1]], [state[0], input, state[1]]] {
        let request = world.runtime.submit(world.now, graph, &bindings[..], ASYNC).unwrap();
        world.settle();
        assert_eq!(world.device.lent(request), [other, before, after]);
        world.finish(request);
    }
    let missing = [input, state[0], bind(8, after)];
    let refused = world.runtime.submit(world.now, graph, &missing[..], ASYNC);
    assert_eq!(refused, Err(SubmitError::BadTensor(100)));
    world.free_and_check(&[context]);
}

#[test]
fn a_refused_operation_leaves_no_tensor_of_the_context_behind() {
    let mut world = World::new();
    let context = world.context(&depth(4));
    let frame = shared(100, "frame", TensorKind::AppWrite);
    world.runtime.context_add_tensor(context, &frame).unwrap();
    let graph = world.composed(context, "net");
    let mark = world.runtime.graph_mark(graph).unwrap();
    // The output has a writer already.
    let refused = connect(&mut world, graph, 100, 9);
    assert_eq!(refused, Err(CreateError::Build(BuildError::BadOutput(0))));
    world.runtime.graph_truncate(graph, mark);
    world.runtime.graph_finalize(graph).unwrap();
    world.settle();
    assert_eq!(io(&world, graph), [7, 9]);
    world.free_and_check(&[context]);
}

#[test]
fn names_are_unique_in_a_context_and_its_graphs() {
    let mut world = World::new();
    let contexts = [(); 2].map(|()| world.context(&depth(4)));
    let graph = world.composed(contexts[0], "net");
    let taken = Err(CreateError::Build(BuildError::DuplicateTensor));
    let add = |world: &mut World, name| {
        world.runtime.context_add_tensor(contexts[0], &shared(100, name, TensorKind::AppWrite))
    };
    assert_eq!(add(&mut world, "input"), taken);
    assert_eq!(add(&mut world, "frame"), Ok(()));
    assert_eq!(add(&mut world, "frame"), taken);
    let own = shared(8, "frame", TensorKind::Native);
    assert_eq!(world.runtime.graph_add_tensor(graph, &own).map(|_| ()), taken);
    // Another context knows nothing of it.
    let other = world.composed(contexts[1], "net");
    assert!(world.runtime.graph_add_tensor(other, &own).is_ok());
    let unknown = world.runtime.graph_operand(other, 100, false);
    assert_eq!(unknown, Err(CreateError::Build(BuildError::NoSuchTensor)));
    world.free_and_check(&contexts);
}

#[test]
fn the_tensors_of_a_context_survive_in_its_binary_and_not_in_a_restart() {
    let mut world = World::new();
    let context = world.context(&depth(4));
    let data = vec![5u8; TENSOR_BYTES];
    let constant = TensorSpec { data: &data, ..shared(100, "constant", TensorKind::Static) };
    world.runtime.context_add_tensor(context, &constant).unwrap();
    let graph = world.runtime.graph_create(context, "net", None).unwrap();
    world.runtime.graph_add_tensor(graph, &tensors()[1]).unwrap();
    connect(&mut world, graph, 100, 9).unwrap();
    world.runtime.graph_finalize(graph).unwrap();
    world.settle();
    let again = reloaded(&mut world, &[graph]);
    let loaded = world.runtime.graph_by_name(again, "net").unwrap();
    let table = world.runtime.graph_table(loaded).ok().unwrap();
    let tensor = table.tensors().find(|tensor| tensor.id() == 100).unwrap();
    assert_eq!((tensor.kind_in_context(), tensor.data()), (Some(TensorKind::Static), &data[..]));
    world.crash();
    let refused = world.runtime.context_add_tensor(context, &constant);
    assert_eq!(refused, Err(CreateError::Handle(HandleError::Stale)));
    world.free_and_check(&[context, again]);
}

#[test]
fn a_table_that_is_read_outside_outlives_its_graph() {
    let mut world = World::new();
    let used = world.runtime.region().used_bytes();
    let context = world.context(&depth(2));
    let graph = finalized(&mut world, context, "net", GraphOptions::default());
    let lent = [(); 2].map(|()| world.runtime.lend_table(graph).unwrap());
    let bytes = world.runtime.graph_table(graph).ok().unwrap().bytes().to_vec();
    world.runtime.context_free(world.now, context).unwrap();
    world.settle();
    assert_eq!(world.runtime.lend_table(graph).err(), Some(HandleError::Invalid));
    for table in lent {
        assert_eq!(table[..], bytes[..]);
        assert!(world.runtime.region().used_bytes() > used);
        world.runtime.return_table(table);
    }
    assert_eq!(world.runtime.region().used_bytes(), used);
    assert_eq!(world.runtime.counters().blocks_leaked, 0);
}

#[test]
fn graphs_are_composed_where_the_platform_composes_and_under_new_names() {
    let mut world = World::without(Capabilities::ONLINE_COMPOSITION);
    let context = world.context(&depth(4));
    let refused = world.runtime.graph_create(context, "net", None);
    assert_eq!(refused, Err(CreateError::NotSupported));
    world.free_and_check(&[context]);

    let mut world = World::new();
    let context = world.runtime.context_create(&depth(4)).unwrap();
    let early = world.runtime.graph_create(context, "net", None);
    assert_eq!(early, Err(CreateError::Handle(HandleError::Invalid)), "it is not there yet");
    let tensor = shared(1, "tensor", TensorKind::AppWrite);
    let early = world.runtime.context_add_tensor(context, &tensor);
    assert_eq!(early, Err(CreateError::Handle(HandleError::Invalid)));
    world.settle();
    let composing = world.composed(context, "net");
    let loaded = world.graph(context, "loaded", Priority::Normal);
    for (name, known) in [("net", composing), ("loaded", loaded)] {
        assert_eq!(world.runtime.graph_by_name(context, name), Ok(known));
        let again = world.runtime.graph_create(context, name, None);
        assert_eq!(again, Err(CreateError::DuplicateName));
    }
    assert_eq!(world.runtime.graphs_of(context).count(), 2);
    let other = world.context(&depth(4));
    let same_name = world.runtime.graph_create(other, "net", None).unwrap();
    assert_eq!(world.runtime.graph_context(same_name), Ok(other));
    world.free_and_check(&[context, other]);
}

#[test]
fn what_is_bound_is_compared_with_the_table_of_a_finished_graph() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(4);
    let (owner, table) = world.runtime.graph_to_bind(graph).ok().unwrap();
    assert_eq!(owner, context);
    let ids: Vec<_> = table.inputs().iter().chain(table.outputs().iter()).map(|t| t.id()).collect();
    assert_eq!(ids, io(&world, graph));
    let chosen = GraphOptions { hvx_threads: 2, optimization_level: 3, ..GraphOptions::default() };
    let composing = world.composed(context, "composing");
    world.runtime.graph_set_options(composing, chosen).unwrap();
    assert_eq!(world.runtime.graph_options(composing), Ok(chosen));
    world.runtime.graph_finalize(composing).unwrap();
    assert_eq!(world.runtime.graph_options(composing), Ok(chosen));
}
