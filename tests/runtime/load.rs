//! Contexts from binaries: what is read, what is refused, and that the bytes come back.

use crate::support::{depth, Seen, World, ASYNC, CAPACITIES};
use htp_runtime::binary::{BinaryError, BinaryLayout, GraphSource};
use htp_runtime::device::PrepareError;
use htp_runtime::error::{CreateError, HandleError, Status, SubmitError};
use htp_runtime::event::Outcome;
use htp_runtime::handle::ContextId;
use htp_runtime::region::SharedBytes;
use htp_runtime::runtime::ContextConfig;
use htp_runtime::sched::Priority;

const ARCH: u32 = 75;
const UNKNOWN: u32 = u32::MAX;

fn binary(graphs: &[(&str, u32)]) -> Vec<u8> {
    let tables: Vec<_> = graphs.iter().map(|(name, _)| crate::support::table(name)).collect();
    let sources = tables.iter().zip(graphs);
    let sources = sources.map(|(table, (_, priority))| GraphSource { table, priority: *priority });
    let layout = BinaryLayout::plan(ARCH, sources).unwrap();
    let mut bytes = vec![0; layout.size_bytes()];
    layout.write_into(&mut bytes).unwrap();
    bytes
}

/// The bytes in region memory, as a client hands them in.
fn in_region(world: &mut World, bytes: &[u8]) -> SharedBytes<'static> {
    let region = world.runtime.region_mut();
    region.alloc_shared(bytes.len(), 4096, |to| to.copy_from_slice(bytes)).expect("it fits")
}

fn load(world: &mut World, bytes: &[u8], config: &ContextConfig) -> Result<ContextId, CreateError> {
    let bytes = in_region(world, bytes);
    world.runtime.context_load(bytes, ARCH, config)
}

// REQ: ASYNC-007, ASYNC-013, SSR-023
#[test]
fn a_binary_brings_its_graphs_and_the_call_brings_the_depth() {
    let mut world = World::new();
    let bytes = binary(&[("lane", UNKNOWN), ("sign", Priority::Low.qnn())]);
    for (config, expected) in [(ContextConfig::default(), 10), (depth(25), 25), (depth(300), 300)] {
        let context = load(&mut world, &bytes, &config).unwrap();
        assert_eq!(world.runtime.context_status(context), Ok(Status::Pending));
        world.settle();
        assert_eq!(world.runtime.context_status(context), Ok(Status::Ready));
        let lane = world.runtime.graph_by_name(context, "lane").unwrap();
        let sign = world.runtime.graph_by_name(context, "sign").unwrap();
        let mut graphs: Vec<_> = world.runtime.graphs_of(context).collect();
        graphs.retain(|graph| *graph != lane && *graph != sign);
        assert!(graphs.is_empty() && lane != sign);
        assert_eq!(world.runtime.graph_priority(lane), Ok(Priority::DEFAULT));
        assert_eq!(world.runtime.graph_priority(sign), Ok(Priority::Low));
        let requests = world.submit_n(lane, expected);
        assert_eq!(world.submit(sign, ASYNC), Err(SubmitError::QueueFull));
        world.finish_all();
        world.assert_outcomes(&requests, Outcome::Completed);
        world.free_and_check(&[context]);
    }
}

// REQ: SSR-019, SSR-023
#[test]
fn after_a_restart_the_same_binary_loads_again() {
    let mut world = World::new();
    let bytes = binary(&[("lane", UNKNOWN)]);
    let old = load(&mut world, &bytes, &depth(4)).unwrap();
    world.settle();
    let lane = world.runtime.graph_by_name(old, "lane").unwrap();
    let caught = world.submit_n(lane, 4);
    world.crash();
    world.assert_outcomes(&caught, Outcome::DeviceReset);
    assert_eq!(world.runtime.graph_by_name(old, "lane"), Err(HandleError::Stale));
    world.free_and_check(&[old]);
    let new = load(&mut world, &bytes, &depth(4)).unwrap();
    world.settle();
    let lane = world.runtime.graph_by_name(new, "lane").unwrap();
    let again = world.submit_n(lane, 4);
    world.finish_all();
    world.assert_outcomes(&again, Outcome::Completed);
    world.free_and_check(&[new]);
}

// REQ: ASYNC-009
#[test]
fn what_is_refused_leaves_nothing() {
    let mut world = World::new();
    let bytes = binary(&[("lane", UNKNOWN)]);
    for queue_depth in [0, 301] {
        let answer = load(&mut world, &bytes, &depth(queue_depth));
        assert_eq!(answer, Err(CreateError::Config));
        world.assert_clean();
    }
    let truncated = load(&mut world, &bytes[..bytes.len() - 1], &depth(4));
    assert!(matches!(truncated, Err(CreateError::Binary(_))), "{truncated:?}");
    world.assert_clean();
    let shared = in_region(&mut world, &bytes);
    let other_arch = world.runtime.context_load(shared, ARCH + 1, &depth(4));
    let error = BinaryError::Arch { prepared_for: ARCH };
    assert_eq!(other_arch, Err(CreateError::Binary(error)));
    world.assert_clean();
}

#[test]
fn a_binary_with_more_graphs_than_there_is_room_for_leaves_nothing() {
    let mut world = World::new();
    let names: Vec<_> = (0..=CAPACITIES.graphs).map(|index| format!("net {index}")).collect();
    let graphs: Vec<_> = names.iter().map(|name| (name.as_str(), UNKNOWN)).collect();
    let bytes = binary(&graphs);
    let answer = load(&mut world, &bytes, &depth(4));
    assert_eq!(answer, Err(CreateError::CapacityExceeded));
    world.settle();
    world.assert_clean();
    let context = load(&mut world, &binary(&graphs[1..]), &depth(4)).unwrap();
    world.settle();
    world.free_and_check(&[context]);
}

// REQ: CANCEL-005
#[test]
fn a_creation_that_is_interrupted_leaves_nothing_and_the_binary_loads_right_after() {
    let mut world = World::new();
    let bytes = binary(&[("lane", UNKNOWN), ("sign", UNKNOWN)]);
    for answered in [false, true] {
        world.device.hold_controls = true;
        let context = load(&mut world, &bytes, &depth(4)).unwrap();
        if answered {
            world.settle();
        }
        world.runtime.context_free(world.now, context).unwrap();
        world.settle();
        world.device.answer_controls();
        world.settle();
        world.assert_clean();
    }
    let context = load(&mut world, &bytes, &depth(4)).unwrap();
    world.settle();
    assert_eq!(world.runtime.context_status(context), Ok(Status::Ready));
    world.free_and_check(&[context]);
}

#[test]
fn a_graph_that_the_device_refuses_fails_the_whole_binary() {
    let mut world = World::new();
    let bytes = binary(&[("lane", UNKNOWN), ("sign", UNKNOWN)]);
    let context = load(&mut world, &bytes, &depth(4)).unwrap();
    while !world.device.journal.iter().any(|seen| matches!(seen, Seen::GraphPrepare(_))) {
        let command = world.runtime.poll_command(world.now).expect("a graph is prepared");
        htp_runtime::device::Device::submit(&mut world.device, world.now, command);
    }
    world.device.refuse_next = Some(PrepareError::OutOfMemory);
    world.settle();
    let error = CreateError::Device(PrepareError::OutOfMemory);
    assert_eq!(world.runtime.context_status(context), Err(error));
    world.settle();
    world.assert_clean();
}

// REQ: SWITCH-011
#[test]
fn a_graph_that_is_not_enabled_has_a_name_and_is_not_executed() {
    let mut world = World::new();
    let bytes = binary(&[("lane", UNKNOWN), ("sign", Priority::Low.qnn())]);
    let config = ContextConfig { enabled_graphs: 0b01, ..depth(4) };
    let context = load(&mut world, &bytes, &config).unwrap();
    world.settle();
    assert_eq!(world.runtime.context_status(context), Ok(Status::Ready));
    let lane = world.runtime.graph_by_name(context, "lane").unwrap();
    let sign = world.runtime.graph_by_name(context, "sign").unwrap();
    let told = world.device.journal.iter().filter(|seen| matches!(seen, Seen::GraphPrepare(_)));
    assert_eq!(told.collect::<Vec<_>>(), [&Seen::GraphPrepare(lane)]);
    assert_eq!(world.runtime.graph_status(sign), Err(CreateError::NotSupported));
    assert_eq!(world.runtime.graph_priority(sign), Ok(Priority::Low));
    assert_eq!(world.runtime.graph_table(sign).map(|table| table.op_count()), Ok(1));
    assert_eq!(world.submit(sign, ASYNC), Err(SubmitError::Disabled));
    let request = world.submit_n(lane, 1);
    world.finish_all();
    world.assert_outcomes(&request, Outcome::Completed);
    world.free_and_check(&[context]);
}

// REQ: CTX-042
#[test]
fn a_context_that_only_prepares_refuses_executions_until_it_executes() {
    let mut world = World::new();
    let bytes = binary(&[("lane", UNKNOWN)]);
    let config = ContextConfig { prepare_only: true, ..depth(4) };
    let context = load(&mut world, &bytes, &config).unwrap();
    world.settle();
    let lane = world.runtime.graph_by_name(context, "lane").unwrap();
    assert_eq!(world.runtime.graph_status(lane), Ok(Status::Ready));
    assert_eq!(world.submit(lane, ASYNC), Err(SubmitError::PrepareOnly));
    world.runtime.context_set_prepare_only(context, false).unwrap();
    let requests = world.submit_n(lane, 2);
    // Those in flight go on.
    world.runtime.context_set_prepare_only(context, true).unwrap();
    assert_eq!(world.submit(lane, ASYNC), Err(SubmitError::PrepareOnly));
    world.finish_all();
    world.assert_outcomes(&requests, Outcome::Completed);
    world.free_and_check(&[context]);
}
