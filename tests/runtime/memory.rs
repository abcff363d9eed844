//! The creating calls at each amount of memory that the region may have left: each is refused until
//! there is enough, loses nothing by that, and then works as if memory had never been short.

use crate::support::{depth, tensors, World, ASYNC, OP};
use htp_runtime::error::CreateError;
use htp_runtime::event::Outcome;
use htp_runtime::graph::{BuildError, TensorKind, TensorSpec};
use htp_runtime::handle::GraphId;
use htp_runtime::sched::Priority;

/// Calls with no memory left, then with ever more until it works; gives what it made, and how often
/// it was refused. Each refusal leaves `kept` bytes more in use at most.
fn squeeze<T>(
    world: &mut World,
    kept: usize,
    mut call: impl FnMut(&mut World) -> Result<T, CreateError>,
) -> (T, usize) {
    // Small blocks: those that are taken last lie side by side, and make room when they go.
    let mut ballast = vec![];
    for size in [64, 1] {
        while let Ok(block) = world.runtime.region_mut().alloc_bytes(size, 1) {
            ballast.push(block);
        }
    }
    for refusals in 0.. {
        let used = world.runtime.region().used_bytes();
        match call(world) {
            Ok(made) => {
                for block in ballast {
                    world.runtime.region_mut().free(block);
                }
                return (made, refusals);
            }
            Err(CreateError::OutOfMemory | CreateError::Build(BuildError::OutOfMemory)) => {}
            Err(error) => panic!("{error:?} after {refusals} refusals"),
        }
        let taken = world.runtime.region().used_bytes().saturating_sub(used);
        assert!(taken <= kept, "{taken} after {refusals} refusals");
        assert!(!world.runtime.has_command(), "the device hears of nothing");
        let block = ballast.pop().expect("there is enough without the ballast");
        world.runtime.region_mut().free(block);
    }
    unreachable!("the ballast ends first");
}

fn assert_executes(world: &mut World, graph: GraphId) {
    world.settle();
    let request = world.submit(graph, ASYNC).unwrap();
    world.settle();
    world.finish(request);
    assert_eq!(world.outcome(request), Some(Outcome::Completed));
}

#[test]
fn a_context_is_created_with_enough_memory_and_not_with_less() {
    let mut world = World::new();
    let (context, refusals) = squeeze(&mut world, 0, |world| {
        let created = world.runtime.context_create(&depth(50));
        assert_eq!(world.runtime.context_count(), u16::from(created.is_ok()));
        created
    });
    assert!(refusals > 0);
    world.settle();
    let graph = world.graph(context, "net", Priority::Normal);
    assert_executes(&mut world, graph);
    assert_eq!(world.runtime.context_stats(context).unwrap().queue_depth, 50);
    world.free_and_check(&[context]);
}

#[test]
fn a_graph_is_loaded_with_enough_memory_and_not_with_less() {
    let mut world = World::new();
    let context = world.context(&depth(100));
    let table = world.shared_table("net");
    let (graph, refusals) = squeeze(&mut world, 0, |world| {
        let loaded = world.runtime.graph_load(context, table.clone(), None);
        assert_eq!(world.runtime.graphs_of(context).count(), usize::from(loaded.is_ok()));
        loaded
    });
    assert!(refusals > 0);
    drop(table);
    assert_executes(&mut world, graph);
    world.free_and_check(&[context]);
}

/// A tensor with data, which is copied.
fn constant(id: u32, name: &'static str) -> TensorSpec<'static> {
    let [input, _] = tensors();
    TensorSpec { id, name, kind: TensorKind::Static, dims: &[1, 200], data: &[7; 200], ..input }
}

#[test]
fn a_graph_is_composed_with_enough_memory_and_not_with_less() {
    /// What a graph under construction has grown by, it keeps.
    const KEPT: usize = 1 << 13;
    let mut world = World::new();
    let world = &mut world;
    let context = world.context(&depth(100));
    let mut refused = vec![];
    let mut note = |(index, refusals)| {
        refused.push(refusals);
        index
    };
    let shared = constant(30, "shared");
    note(squeeze(world, KEPT, |w| w.runtime.context_add_tensor(context, &shared).map(|()| 0)));
    let (graph, refusals) =
        squeeze(world, 0, |w| w.runtime.graph_create(context, "a".repeat(300).as_str(), None));
    assert!(refusals > 0);
    for (index, tensor) in (0..).zip(tensors().iter().chain([&constant(20, "constant")])) {
        let added = note(squeeze(world, KEPT, |w| w.runtime.graph_add_tensor(graph, tensor)));
        assert_eq!(added, index);
    }
    note(squeeze(world, KEPT, |w| w.runtime.graph_add_op(graph, &OP).map(|()| 0)));
    let operand = note(squeeze(world, KEPT, |w| w.runtime.graph_operand(graph, 30, false)));
    assert_eq!(operand, 3, "the fourth, once");
    note(squeeze(world, 0, |w| w.runtime.graph_finalize(graph).map(|()| 0)));
    assert!(refused.iter().filter(|&&refusals| refusals > 0).count() >= 4, "{refused:?}");

    let table = world.runtime.graph_table(graph).ok().unwrap();
    let tensors = table.tensors().map(|tensor| (tensor.name().to_owned(), tensor.data().to_vec()));
    let expected = [("input", 0), ("output", 0), ("constant", 200), ("shared", 200)];
    let expected = expected.map(|(name, len)| (name.to_owned(), vec![7; len]));
    assert_eq!(tensors.collect::<Vec<_>>(), expected);
    assert_executes(world, graph);
    world.free_and_check(&[context]);
}
