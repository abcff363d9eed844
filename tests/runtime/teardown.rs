//! Teardown: freed contexts end their requests, leave the device in order, and give all memory
//! back.

use crate::support::{all_capabilities, depth, Connect, Seen, World, ASYNC, BLOCKING, CAPACITIES};
use htp_runtime::device::{Event, PrepareError};
use htp_runtime::error::{CreateError, HandleError, Status, SubmitError};
use htp_runtime::event::Outcome;
use htp_runtime::limits::{Capacities, CONNECT_BACKOFF_US};
use htp_runtime::sched::Priority;

// REQ: ASYNC-040
#[test]
fn freeing_ends_each_request_once_and_then_leaves_the_device_in_order() {
    let mut world = World::new();
    world.device.ignore_aborts = true;
    let (context, graph) = world.context_and_graph(10);
    let composed = world.composed(context, "composed");
    world.runtime.graph_finalize(composed).unwrap();
    let buffer = world.runtime.buffer_register(context, crate::support::client_memory(64)).unwrap();
    world.settle();
    let requests = world.submit_n(graph, 5);
    world.runtime.context_free(world.now, context).unwrap();
    world.settle();
    // The queued ones are over; the running one keeps the context on the device.
    world.assert_outcomes(&requests[1..], Outcome::Aborted);
    assert_eq!(world.outcome(requests[0]), None);
    assert!(!world.runtime.context_is_gone(context));
    assert_eq!(world.submit(graph, ASYNC), Err(SubmitError::Handle(HandleError::Invalid)));
    world.finish(requests[0]);
    world.assert_outcomes(&requests[..1], Outcome::Completed);
    assert!(world.runtime.context_is_gone(context));

    let start = world.device.journal.iter().position(|seen| *seen == Seen::Abort(requests[0]));
    let expected = [
        Seen::Abort(requests[0]),
        Seen::GraphRelease(graph),
        Seen::GraphRelease(composed),
        Seen::BufferUnmap(buffer),
        Seen::ContextRelease(context),
    ];
    assert_eq!(world.device.journal[start.unwrap()..], expected);
    world.assert_clean();
}

#[test]
fn memory_stays_until_the_last_completion_was_heard() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(10);
    let request = world.submit(graph, BLOCKING).unwrap();
    let [heard, _] = [1, 2].map(|_| world.submit(graph, BLOCKING).unwrap());
    world.settle();
    world.runtime.context_free(world.now, context).unwrap();
    world.settle();
    assert!(!world.runtime.context_is_gone(context), "blocked callers have not returned");
    let released = *world.device.answered.last().unwrap();
    assert!(matches!(released, Event::ContextReleased { .. }));
    world.device.say(released);
    world.settle();
    assert_eq!(world.runtime.counters().late_events, 1);
    for place in 0..3 {
        let id = htp_runtime::handle::RequestId {
            slot: [request.slot, heard.slot, 2][place],
            generation: place as u32 + 1,
            ..request
        };
        let completion = world.runtime.take_outcome(world.now, id).unwrap();
        assert_eq!(completion.outcome, Outcome::Aborted);
    }
    world.settle();
    world.assert_clean();
}

#[test]
fn a_context_freed_while_it_is_set_up_goes_when_the_device_has_answered() {
    let mut world = World::new();
    let ready = world.context(&depth(3));
    let composed = world.composed(ready, "composed");
    world.composed(ready, "never finalized");
    world.device.hold_controls = true;
    world.runtime.graph_finalize(composed).unwrap();
    let creating = world.runtime.context_create(&depth(3)).unwrap();
    let table = world.shared_table("loading");
    world.runtime.graph_load(creating, table, None).unwrap();
    let memory = crate::support::client_memory(8);
    world.runtime.buffer_register(ready, memory).unwrap();
    world.settle();
    assert!(!world.runtime.is_idle(), "the device owes answers");
    for context in [ready, creating] {
        world.runtime.context_free(world.now, context).unwrap();
    }
    world.settle();
    let releases = |world: &World| {
        world.device.journal.iter().filter(|s| matches!(s, Seen::ContextRelease(_))).count()
    };
    assert_eq!(releases(&world), 0, "not while a graph is being prepared");
    assert_eq!(world.runtime.context_count(), 2);
    world.device.answer_controls();
    world.settle();
    assert_eq!(releases(&world), 2);
    world.assert_clean();
}

#[test]
fn a_context_freed_before_the_device_took_its_commands() {
    let mut world = World::new();
    let context = world.runtime.context_create(&depth(3)).unwrap();
    let table = world.shared_table("net");
    world.runtime.graph_load(context, table, None).unwrap();
    world.runtime.context_free(world.now, context).unwrap();
    world.settle();
    world.assert_clean();
}

#[test]
fn a_context_abandoned_in_a_restart_goes_at_its_end() {
    let mut world = World::new();
    world.device.hold_controls = true;
    let context = world.runtime.context_create(&depth(3)).unwrap();
    world.settle();
    world.device.hold_controls = false;
    world.device.connects.push_back(Connect::Fail);
    world.crash();
    let freed = world.runtime.context_free(world.now, context);
    assert_eq!(freed, Err(HandleError::Recovering));
    world.runtime.context_abandon(context);
    world.settle();
    assert!(!world.runtime.context_is_gone(context));
    world.advance(CONNECT_BACKOFF_US);
    assert!(world.runtime.is_online() && world.runtime.context_is_gone(context));
    world.assert_clean();
}

#[test]
fn a_context_that_the_device_refuses_fails_and_leaves_nothing() {
    let mut world = World::new();
    world.device.refuse_next = Some(PrepareError::OutOfMemory);
    let context = world.runtime.context_create(&depth(3)).unwrap();
    assert_eq!(world.runtime.context_status(context), Ok(Status::Pending));
    world.settle();
    let refused = CreateError::Device(PrepareError::OutOfMemory);
    assert_eq!(world.runtime.context_status(context), Err(refused));
    let invalid = CreateError::Handle(HandleError::Invalid);
    assert_eq!(world.runtime.context_status(context), Err(invalid));
    world.settle();
    world.assert_clean();
}

#[test]
fn a_refused_graph_fails_the_creation_it_belongs_to() {
    let mut world = World::new();
    let context = world.runtime.context_create(&depth(3)).unwrap();
    world.drain_commands();
    world.device.refuse_next = Some(PrepareError::UnsupportedOp { op: 4 });
    let tables = ["a", "b"].map(|name| world.shared_table(name));
    for table in tables {
        world.runtime.graph_load(context, table, None).unwrap();
    }
    world.settle();
    let refused = CreateError::Device(PrepareError::UnsupportedOp { op: 4 });
    assert_eq!(world.runtime.context_status(context), Err(refused));
    world.settle();
    world.assert_clean();
}

#[test]
fn a_refused_graph_of_a_usable_context_fails_alone() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(4);
    let requests = world.submit_n(graph, 3);
    let composed = world.composed(context, "composed");
    for by_table in [false, true] {
        world.device.refuse_next = Some(PrepareError::InvalidOp { op: 0 });
        let refused = if by_table {
            let table = world.shared_table("loaded");
            world.runtime.graph_load(context, table, None).unwrap()
        } else {
            world.runtime.graph_finalize(composed).unwrap();
            composed
        };
        world.settle();
        let error = CreateError::Device(PrepareError::InvalidOp { op: 0 });
        assert_eq!(world.runtime.graph_status(refused), Err(error));
        assert_eq!(world.submit(refused, ASYNC), Err(SubmitError::NotFinalized));
        assert_eq!(world.runtime.context_status(context), Ok(Status::Ready));
    }
    world.finish_all();
    world.assert_outcomes(&requests, Outcome::Completed);
    world.free_and_check(&[context]);
}

#[test]
fn a_refused_buffer_says_why() {
    let mut world = World::new();
    let context = world.context(&depth(3));
    world.device.refuse_next = Some(PrepareError::CapacityExceeded);
    let buffer = world.runtime.buffer_register(context, crate::support::client_memory(8)).unwrap();
    world.settle();
    let error = CreateError::Device(PrepareError::CapacityExceeded);
    assert_eq!(world.runtime.buffer_status(buffer), Err(error));
    world.free_and_check(&[context]);
}

#[test]
fn full_tables_refuse_and_lose_nothing() {
    let capacities = Capacities { contexts: 2, graphs: 2, buffers: 1, ..CAPACITIES };
    let mut world = World::with(all_capabilities(), capacities);
    let (context, _) = world.context_and_graph(4);
    let second = world.context(&depth(4));
    world.composed(context, "composed");
    let full = CreateError::CapacityExceeded;
    let used = world.runtime.region().used_bytes();
    for _ in 0..100 {
        let table = world.shared_table("too many");
        assert_eq!(world.runtime.graph_load(context, table, None), Err(full));
        assert_eq!(world.runtime.graph_create(context, "too many", None), Err(full));
        assert_eq!(world.runtime.context_create(&depth(4)), Err(full));
        assert_eq!(world.runtime.region().used_bytes(), used);
    }
    let memory = crate::support::client_memory(8);
    world.runtime.buffer_register(second, memory).unwrap();
    assert_eq!(world.runtime.buffer_register(second, memory), Err(full));
    world.settle();
    world.free_and_check(&[context, second]);
}

#[test]
fn a_full_region_refuses_and_loses_nothing() {
    let mut world = World::new();
    let (context, _) = world.context_and_graph(300);
    let table = world.shared_table("big");
    let region = world.runtime.region_mut();
    let mut ballast = Vec::new();
    for size in [1 << 16, 1 << 12, 1 << 8] {
        while let Ok(block) = region.alloc_bytes(size, 1) {
            ballast.push(block);
        }
    }
    let used = region.used_bytes();
    assert_eq!(world.runtime.context_create(&depth(300)), Err(CreateError::OutOfMemory));
    assert_eq!(world.runtime.region().used_bytes(), used);
    let table_bytes = table.len() + size_of::<usize>();
    let refused = world.runtime.graph_load(context, table, None);
    assert_eq!(refused, Err(CreateError::OutOfMemory));
    let freed = used - world.runtime.region().used_bytes();
    assert!((table_bytes..table_bytes + 8).contains(&freed), "the table went back: {freed}");
    for block in ballast {
        world.runtime.region_mut().free(block);
    }
    world.free_and_check(&[context]);
}

#[test]
fn a_table_that_is_not_one_is_refused_and_given_back() {
    let mut world = World::new();
    let context = world.context(&depth(4));
    let used = world.runtime.region().used_bytes();
    let junk = world.runtime.region_mut().alloc_shared(100, 64, |to| to.fill(0x5A)).unwrap();
    let refused = world.runtime.graph_load(context, junk, None);
    assert_eq!(refused, Err(CreateError::Device(PrepareError::InvalidTable)));
    assert_eq!(world.runtime.region().used_bytes(), used);
    world.free_and_check(&[context]);
}

#[test]
fn slots_and_memory_are_used_again_for_ever() {
    let mut world = World::new();
    for round in 0..200 {
        let contexts: Vec<_> = (0..8).map(|_| world.context(&depth(1 + round % 50))).collect();
        for (index, &context) in contexts.iter().enumerate() {
            let graph = world.graph(context, "net", Priority::ALL[index % 4]);
            world.submit_n(graph, 1);
        }
        world.completions.clear();
        world.device.journal.clear();
        world.device.answered.clear();
        world.free_and_check(&contexts);
        assert_eq!(world.completions.len(), 8);
    }
}

#[test]
fn everything_at_once_fits_the_way_to_the_device() {
    let mut world = World::new();
    // Full tables, and no command is taken in between.
    let contexts: Vec<_> = (0..CAPACITIES.contexts)
        .map(|_| world.runtime.context_create(&depth(2)).unwrap())
        .collect();
    for index in 0..CAPACITIES.graphs {
        let context = contexts[usize::from(index) % contexts.len()];
        let table = world.shared_table(&format!("net {index}"));
        world.runtime.graph_load(context, table, None).unwrap();
    }
    let memory = crate::support::client_memory(8);
    for index in 0..CAPACITIES.buffers {
        world.runtime.buffer_register(contexts[usize::from(index)], memory).unwrap();
    }
    world.settle();
    // Every request that can run is told to stop, and everything is released.
    world.device.ignore_aborts = true;
    let graphs: Vec<_> = contexts.iter().flat_map(|c| world.runtime.graphs_of(*c)).collect();
    for (graph, priority) in graphs.iter().zip(Priority::ALL.iter().rev().flat_map(|p| [p, p])) {
        world.runtime.graph_set_priority(*graph, *priority).unwrap();
        world.submit_n(*graph, 1);
    }
    assert_eq!(world.running().len(), 8);
    for &context in &contexts {
        world.runtime.context_free(world.now, context).unwrap();
    }
    world.settle();
    world.finish_all();
    world.assert_clean();
}
