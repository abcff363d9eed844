//! Outputs that two requests would write: refused, counted, or nobody's business.

use crate::support::{
    bindings, client_memory, depth, Connect, World, ASYNC, CAPACITIES, TENSOR_BYTES,
};
use htp_runtime::error::{HandleError, SubmitError};
use htp_runtime::event::Outcome;
use htp_runtime::handle::{ContextId, GraphId, RequestId};
use htp_runtime::memory::ClientMemory;
use htp_runtime::runtime::{ContextConfig, IoBinding, IoOwnership, SubmitOptions};
use htp_runtime::sched::Priority;
use htp_runtime::ssr::{Queued, Recovery};
use htp_runtime::time::Instant;

/// Bindings whose output begins at byte `offset` of `memory`.
fn output_at(memory: ClientMemory, offset: usize) -> [IoBinding; 2] {
    let [input, output] = bindings();
    [input, IoBinding { memory: memory.part(offset, TENSOR_BYTES).unwrap(), ..output }]
}

fn watching(world: &mut World, ownership: IoOwnership) -> (ContextId, GraphId) {
    let (context, graph) = world.context_and_graph(20);
    world.runtime.context_set_io_ownership(context, ownership).unwrap();
    assert_eq!(world.runtime.context_io_ownership(context), Ok(ownership));
    (context, graph)
}

fn submit(
    world: &mut World,
    graph: GraphId,
    io: [IoBinding; 2],
    options: SubmitOptions,
) -> Result<RequestId, SubmitError> {
    world.runtime.submit(world.now, graph, &io[..], options)
}

/// Runs all that was submitted to its end.
fn end_all(world: &mut World) {
    world.settle();
    world.finish_all();
}

fn overlaps(world: &World, context: ContextId) -> u64 {
    world.runtime.context_stats(context).unwrap().counts.overlaps
}

#[test]
fn an_output_that_overlaps_one_in_flight_is_refused_until_that_has_ended() {
    let mut world = World::new();
    let (context, graph) = watching(&mut world, IoOwnership::Refused);
    let memory = client_memory(3 * TENSOR_BYTES);
    let first = submit(&mut world, graph, output_at(memory, TENSOR_BYTES), ASYNC).unwrap();
    for running in [false, true] {
        let used = world.runtime.context_stats(context).unwrap();
        for offset in [1, TENSOR_BYTES, 2 * TENSOR_BYTES - 1] {
            let refused = submit(&mut world, graph, output_at(memory, offset), ASYNC);
            assert_eq!(refused, Err(SubmitError::OutputInUse(9)), "{offset}, running: {running}");
        }
        assert_eq!(world.runtime.context_stats(context), Ok(used), "nothing changed");
        world.settle();
    }
    // Neighbours are free.
    let before = submit(&mut world, graph, output_at(memory, 0), ASYNC).unwrap();
    let behind = submit(&mut world, graph, output_at(memory, 2 * TENSOR_BYTES), ASYNC).unwrap();
    end_all(&mut world);
    world.assert_outcomes(&[first, before, behind], Outcome::Completed);
    let again = submit(&mut world, graph, output_at(memory, 4), ASYNC).unwrap();
    end_all(&mut world);
    world.assert_outcomes(&[again], Outcome::Completed);
    assert_eq!(overlaps(&world, context), 0);
    world.free_and_check(&[context]);
}

#[test]
fn an_input_may_be_read_by_many() {
    let mut world = World::new();
    let (context, graph) = watching(&mut world, IoOwnership::Refused);
    let [input, _] = bindings();
    for _ in 0..3 {
        let [_, output] = bindings();
        submit(&mut world, graph, [input, output], ASYNC).unwrap();
    }
    end_all(&mut world);
    world.free_and_check(&[context]);
}

#[test]
fn counted_overlaps_run_and_are_counted() {
    let mut world = World::new();
    let (context, graph) = watching(&mut world, IoOwnership::Counted);
    let io = bindings();
    let requests = [0; 3].map(|_| submit(&mut world, graph, io, ASYNC).unwrap());
    assert_eq!(overlaps(&world, context), 2);
    end_all(&mut world);
    world.assert_outcomes(&requests, Outcome::Completed);
    submit(&mut world, graph, io, ASYNC).unwrap();
    assert_eq!(overlaps(&world, context), 2, "those before have ended");
    end_all(&mut world);
    world.free_and_check(&[context]);
}

#[test]
fn without_watching_nothing_is_seen_and_nothing_counts_for_others() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(4);
    assert_eq!(world.runtime.context_io_ownership(context), Ok(IoOwnership::Unwatched));
    let io = bindings();
    for _ in 0..2 {
        submit(&mut world, graph, io, ASYNC).unwrap();
    }
    assert_eq!(overlaps(&world, context), 0);
    let (other, watched) = watching(&mut world, IoOwnership::Refused);
    submit(&mut world, watched, io, ASYNC).unwrap();
    submit(&mut world, graph, io, ASYNC).unwrap();
    end_all(&mut world);
    world.free_and_check(&[context, other]);
}

#[test]
fn contexts_that_watch_see_each_other() {
    let mut world = World::new();
    let (strict, first) = watching(&mut world, IoOwnership::Refused);
    let (counting, second) = watching(&mut world, IoOwnership::Counted);
    let io = bindings();
    submit(&mut world, second, io, ASYNC).unwrap();
    assert_eq!(submit(&mut world, first, io, ASYNC), Err(SubmitError::OutputInUse(9)));
    world.runtime.context_set_io_ownership(counting, IoOwnership::Unwatched).unwrap();
    assert_eq!(submit(&mut world, first, io, ASYNC), Err(SubmitError::OutputInUse(9)));
    end_all(&mut world);
    submit(&mut world, first, io, ASYNC).unwrap();
    end_all(&mut world);
    world.free_and_check(&[strict, counting]);
}

#[test]
fn every_end_of_a_request_gives_its_outputs_back() {
    let mut world = World::new();
    let (context, graph) = watching(&mut world, IoOwnership::Refused);
    let io = bindings();
    // Cancelled in the queue.
    let request = submit(&mut world, graph, io, ASYNC).unwrap();
    world.runtime.cancel(world.now, request).unwrap();
    // Timed out in the queue.
    let deadline = world.now.after_us(10);
    submit(&mut world, graph, io, SubmitOptions { deadline, ..ASYNC }).unwrap();
    world.runtime.handle_timeout(deadline);
    world.now = deadline;
    // Ended by a crash on the device; held until it cannot write any more.
    submit(&mut world, graph, io, ASYNC).unwrap();
    world.settle();
    world.device.crash();
    world.settle();
    assert_eq!(world.completions.len(), 3);
    assert_eq!(submit(&mut world, graph, io, ASYNC), Err(SubmitError::Handle(HandleError::Stale)));
    let (other, graph) = watching(&mut world, IoOwnership::Refused);
    submit(&mut world, graph, io, ASYNC).unwrap();
    // Withdrawn by freeing the context.
    world.free_and_check(&[context, other]);
    let (context, graph) = watching(&mut world, IoOwnership::Refused);
    submit(&mut world, graph, io, ASYNC).unwrap();
    end_all(&mut world);
    world.free_and_check(&[context]);
}

#[test]
fn a_request_kept_across_a_restart_keeps_its_outputs() {
    let mut world = World::new();
    let recovery =
        Recovery::Managed { attempts_max: 3, time_budget_us: 1_000_000, queued: Queued::Requeue };
    let context = world.context(&ContextConfig { recovery, ..depth(8) });
    let graph = world.graph(context, "net", Priority::Normal);
    world.runtime.context_set_io_ownership(context, IoOwnership::Refused).unwrap();
    let [on_device, kept] = [bindings(), bindings()];
    submit(&mut world, graph, on_device, ASYNC).unwrap();
    world.settle();
    submit(&mut world, graph, kept, ASYNC).unwrap();
    world.device.crash();
    world.settle();
    assert_eq!(submit(&mut world, graph, kept, ASYNC), Err(SubmitError::OutputInUse(9)));
    submit(&mut world, graph, on_device, ASYNC).unwrap();
    end_all(&mut world);
    world.free_and_check(&[context]);
}

#[test]
fn a_context_that_is_freed_anywhere_in_its_rebuild_gives_its_outputs_back() {
    for answers in 0..6 {
        let mut world = World::new();
        let recovery = Recovery::Managed {
            attempts_max: 3,
            time_budget_us: 1_000_000,
            queued: Queued::Complete,
        };
        let context = world.context(&ContextConfig { recovery, ..depth(8) });
        let graph = world.graph(context, "net", Priority::Normal);
        world.runtime.context_set_io_ownership(context, IoOwnership::Refused).unwrap();
        let io = bindings();
        submit(&mut world, graph, io, ASYNC).unwrap();
        world.settle();
        world.device.crash_at_once();
        assert!(world.deliver());
        for _ in 0..answers {
            world.drain_commands();
            world.deliver();
        }
        world.runtime.context_free(world.now, context).unwrap();
        // The device answers it all before anything is heard.
        while world.drain_commands() > 0 || world.deliver() {}
        world.settle();
        let (after, graph) = watching(&mut world, IoOwnership::Refused);
        let accepted = submit(&mut world, graph, io, ASYNC);
        assert!(accepted.is_ok(), "freed after {answers} answers: {accepted:?}");
        end_all(&mut world);
        world.free_and_check(&[after]);
    }
}

#[test]
fn a_full_table_refuses_for_now_or_stops_watching() {
    let mut world = World::new();
    let (strict, first) = watching(&mut world, IoOwnership::Refused);
    let (counting, second) = watching(&mut world, IoOwnership::Counted);
    for _ in 0..CAPACITIES.watched_outputs {
        submit(&mut world, first, bindings(), ASYNC).unwrap();
    }
    assert_eq!(submit(&mut world, first, bindings(), ASYNC), Err(SubmitError::QueueFull));
    assert_eq!(world.runtime.counters().outputs_unwatched, 0);
    submit(&mut world, second, bindings(), ASYNC).unwrap();
    assert_eq!(world.runtime.counters().outputs_unwatched, 1);
    end_all(&mut world);
    submit(&mut world, first, bindings(), ASYNC).unwrap();
    end_all(&mut world);
    world.free_and_check(&[strict, counting]);
}

#[test]
fn a_context_that_is_gone_chooses_nothing() {
    let mut world = World::new();
    let context = world.context(&depth(1));
    world.free_and_check(&[context]);
    let answer = world.runtime.context_set_io_ownership(context, IoOwnership::Refused);
    assert_eq!(answer, Err(HandleError::Invalid));
    assert_eq!(world.now, Instant::from_us(1_000));
}

#[test]
fn a_context_that_is_freed_in_its_rebuild_leaves_the_outputs_of_others_lent() {
    let mut world = World::new();
    let recovery =
        Recovery::Managed { attempts_max: 3, time_budget_us: 1_000_000, queued: Queued::Requeue };
    let config = ContextConfig { recovery, ..depth(8) };
    let [freed, kept] = [world.context(&config), world.context(&config)];
    let [going, staying] = [freed, kept].map(|context| {
        world.runtime.context_set_io_ownership(context, IoOwnership::Refused).unwrap();
        world.graph(context, "net", Priority::Normal)
    });
    let memory = client_memory(4 * TENSOR_BYTES);
    let at = |index: usize| output_at(memory, index * TENSOR_BYTES);
    // The first of each is on the device when it crashes, the others wait.
    for (graph, index) in [(going, 0), (staying, 1), (going, 2), (staying, 3)] {
        submit(&mut world, graph, at(index), ASYNC).unwrap();
    }
    world.drain_commands();
    world.device.connects.push_back(Connect::Ignore);
    world.device.crash_at_once();
    assert!(world.deliver());
    world.runtime.context_free(world.now, freed).unwrap();
    world.advance(200_000);
    assert!(world.runtime.context_is_gone(freed));
    let last = submit(&mut world, staying, at(3), ASYNC);
    assert_eq!(last, Err(SubmitError::OutputInUse(9)), "it was kept, and runs");
    for index in 0..3 {
        let accepted = submit(&mut world, staying, at(index), ASYNC);
        assert!(accepted.is_ok(), "{index}: {accepted:?}");
    }
    end_all(&mut world);
    world.free_and_check(&[kept]);
}
