//! Restarts: what survives, what does not, who hears what when, and what happens if the DSP does
//! not come back.

use crate::support::{depth, Connect, Seen, World, ASYNC, BLOCKING, REPORT};
use htp_runtime::capability::Capabilities;
use htp_runtime::device::Event;
use htp_runtime::error::{CancelError, CreateError, HandleError, Status, SubmitError};
use htp_runtime::event::Outcome;
use htp_runtime::handle::{BufferId, ContextId, Epoch, GraphId, ProfileId};
use htp_runtime::limits::{
    CONNECT_ATTEMPTS_MAX, CONNECT_BACKOFF_US, CONNECT_TIMEOUT_US, HANG_BUDGET_US,
};
use htp_runtime::profile::ProfileLevel;
use htp_runtime::runtime::SubmitOptions;
use htp_runtime::sched::Priority;
use htp_runtime::ssr::State;
use htp_runtime::time::Instant;

const RECOVERY: [State; 5] = [
    State::BeforeShutdown,
    State::AfterShutdown,
    State::BeforePowerUp,
    State::AfterPowerUp,
    State::Online,
];

/// One object of each kind.
struct Objects {
    context: ContextId,
    graph: GraphId,
    composing: GraphId,
    buffer: BufferId,
    profile: ProfileId,
}

fn objects(world: &mut World) -> Objects {
    let (context, graph) = world.context_and_graph(10);
    let composing = world.composed(context, "composing");
    let buffer = world.runtime.buffer_register(context, crate::support::client_memory(64)).unwrap();
    world.settle();
    assert_eq!(world.runtime.buffer_status(buffer), Ok(Status::Ready));
    let profile = world.runtime.profile_create(ProfileLevel::Basic).unwrap();
    Objects { context, graph, composing, buffer, profile }
}

/// Every call that names a context, graph or buffer, apart from those that release, answers
/// `error`.
fn assert_unusable(world: &mut World, objects: &Objects, error: HandleError) {
    let &Objects { context, graph, composing, buffer, .. } = objects;
    let now = world.now;
    let created = CreateError::Handle(error);
    assert_eq!(world.submit(graph, ASYNC), Err(SubmitError::Handle(error)));
    assert_eq!(world.submit(graph, BLOCKING), Err(SubmitError::Handle(error)));
    let table = world.shared_table("another");
    let runtime = &mut world.runtime;
    assert_eq!(runtime.context_status(context), Err(created));
    assert_eq!(runtime.context_set_priority(context, Priority::Low), Err(created));
    assert_eq!(runtime.graph_create(context, "new", None), Err(created));
    assert_eq!(runtime.graph_load(context, table, None), Err(created));
    assert_eq!(runtime.graph_by_name(context, "net"), Err(error));
    assert_eq!(runtime.graph_add_tensor(composing, &crate::support::tensors()[0]), Err(created));
    assert_eq!(runtime.graph_add_op(composing, &crate::support::OP), Err(created));
    assert_eq!(runtime.graph_finalize(composing), Err(created));
    assert_eq!(runtime.graph_operand(composing, 7, false), Err(created));
    assert_eq!(runtime.graph_status(graph), Err(created));
    assert_eq!(runtime.graph_io(graph, 0), Err(error));
    assert_eq!(runtime.graph_table(graph).err(), Some(error));
    assert_eq!(runtime.graph_report(graph), Err(error));
    assert_eq!(runtime.graph_context(graph), Err(error));
    assert_eq!(runtime.graph_priority(graph), Err(error));
    assert_eq!(runtime.graph_set_priority(graph, Priority::Low), Err(created));
    assert_eq!(runtime.buffer_status(buffer), Err(created));
    assert_eq!(runtime.buffer_memory(buffer), Err(error));
    let memory = crate::support::client_memory(8);
    assert_eq!(runtime.buffer_register(context, memory), Err(created));
    assert!(runtime.poll_command(now).is_none(), "nothing of it reaches the device");
}

fn assert_released_once(world: &mut World, objects: &Objects) {
    let &Objects { context, graph, buffer, profile, .. } = objects;
    assert_eq!(world.runtime.buffer_deregister(buffer), Ok(()));
    assert_eq!(world.runtime.buffer_deregister(buffer), Err(HandleError::Invalid));
    assert_eq!(world.runtime.context_free(world.now, context), Ok(()));
    assert_eq!(world.runtime.context_free(world.now, context), Err(HandleError::Invalid));
    world.settle();
    let invalid = CreateError::Handle(HandleError::Invalid);
    assert_eq!(world.runtime.context_status(context), Err(invalid));
    assert_eq!(world.runtime.graph_status(graph), Err(invalid));
    assert_eq!(world.runtime.buffer_status(buffer), Err(invalid));
    assert_eq!(world.submit(graph, ASYNC), Err(SubmitError::Handle(HandleError::Invalid)));
    assert_eq!(world.runtime.profile_free(profile), Ok(()));
    assert_eq!(world.runtime.profile_free(profile), Err(HandleError::Invalid));
    world.assert_clean();
}

// REQ: SSR-007, SSR-008, SSR-009, SSR-012, SSR-016, SSR-017, SSR-022, SSR-024
#[test]
fn the_validity_table_after_a_restart() {
    let mut world = World::new();
    let objects = objects(&mut world);
    world.crash();
    assert_eq!(world.runtime.state(), State::Online);
    assert_eq!(world.runtime.epoch(), Epoch::FIRST.next());
    let commands = world.device.journal.len();
    assert_unusable(&mut world, &objects, HandleError::Stale);
    assert!(world.runtime.profile_events(objects.profile).is_ok(), "profiles survive");
    assert!(world.runtime.context_stats(objects.context).is_ok());
    assert_released_once(&mut world, &objects);
    assert_eq!(
        world.device.journal.len(),
        commands,
        "releasing stale objects is the host's business"
    );
}

#[test]
fn during_a_restart_calls_say_so_and_change_nothing() {
    let mut world = World::new();
    let objects = objects(&mut world);
    world.device.connects.push_back(Connect::Ignore);
    world.crash();
    assert_eq!(world.runtime.state(), State::BeforePowerUp);
    assert_unusable(&mut world, &objects, HandleError::Recovering);
    let free = world.runtime.context_free(world.now, objects.context);
    assert_eq!(free, Err(HandleError::Recovering));
    let create = world.runtime.context_create(&depth(1));
    assert_eq!(create, Err(CreateError::Handle(HandleError::Recovering)));
    let epoch = world.runtime.epoch();
    world.device.say(Event::Connected { epoch });
    world.settle();
    assert_unusable(&mut world, &objects, HandleError::Stale);
    assert_released_once(&mut world, &objects);
}

// REQ: SSR-001, SSR-003, SSR-011, SSR-018
#[test]
fn the_reference_scenario() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(10);
    let request = world.submit_n(graph, 1)[0];
    world.crash();
    world.assert_outcomes(&[request], Outcome::DeviceReset);
    let connects = world.device.journal.iter().filter(|seen| matches!(seen, Seen::Connect(_)));
    assert_eq!(connects.count(), 1, "the connection is opened again exactly once");
    world.runtime.context_free(world.now, context).unwrap();

    let (context, graph) = world.context_and_graph(10);
    assert_eq!(world.runtime.graph_by_name(context, "net"), Ok(graph));
    let request = world.submit_n(graph, 1)[0];
    world.finish(request);
    world.assert_outcomes(&[request], Outcome::Completed);
    assert_eq!(world.runtime.restarts(), 1);
    world.free_and_check(&[context]);
}

// REQ: SSR-005, ASYNC-023, ASYNC-024
#[test]
fn caught_requests_are_heard_once_and_only_after_the_connection_is_back() {
    let mut world = World::new();
    let context = world.context(&depth(300));
    let graphs = ["a", "b"].map(|name| world.graph(context, name, Priority::Normal));
    let mut requests = world.submit_n(graphs[0], 150);
    requests.extend(world.submit_n(graphs[1], 150));
    assert_eq!(world.running().len(), 1);
    world.device.connects.push_back(Connect::Ignore);
    world.crash();
    assert_eq!(world.runtime.state(), State::BeforePowerUp);
    assert!(world.completions.is_empty());
    assert_eq!(world.runtime.cancel(world.now, requests[0]), Err(CancelError::Ending));
    assert_eq!(world.runtime.cancel(world.now, requests[299]), Err(CancelError::Ending));

    let epoch = world.runtime.epoch();
    world.device.say(Event::Connected { epoch });
    world.deliver();
    // At the first notice a client can create a context and use it: the connection is there.
    let first = world.runtime.poll_notice(world.now);
    assert!(first.is_some() && world.runtime.state() == State::Online);
    world.settle();
    world.assert_outcomes(&requests, Outcome::DeviceReset);
    assert_eq!(world.completions.len(), 300);
    let order: Vec<_> = world.completions.iter().map(|heard| heard.request).collect();
    assert_eq!(order, requests, "in the order in which they were accepted");
    let stats = world.runtime.context_stats(context).unwrap();
    assert_eq!((stats.queue_used, stats.counts.reset), (0, 300));
    world.free_and_check(&[context]);
}

#[test]
fn deadlines_and_cancellations_before_a_crash_do_not_double_the_outcome() {
    let mut world = World::new();
    world.device.ignore_aborts = true;
    let (context, graph) = world.context_and_graph(10);
    let options = SubmitOptions { deadline: world.now.after_us(50), ..ASYNC };
    let requests: Vec<_> = (0..4).map(|_| world.submit(graph, options).unwrap()).collect();
    world.settle();
    world.runtime.cancel(world.now, requests[0]).unwrap();
    world.runtime.cancel(world.now, requests[3]).unwrap();
    world.device.connects.push_back(Connect::Ignore);
    world.crash();
    // The deadlines pass while the connection is down.
    world.advance(60);
    world.assert_outcomes(&requests[3..], Outcome::Aborted);
    let epoch = world.runtime.epoch();
    world.device.say(Event::Connected { epoch });
    world.settle();
    world.assert_outcomes(&requests[..3], Outcome::DeviceReset);
    world.advance(1_000);
    assert_eq!(world.completions.len(), 4);
    world.free_and_check(&[context]);
}

// REQ: SSR-010
#[test]
fn each_blocking_caller_collects_its_own_reset() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(10);
    let requests: Vec<_> = (0..3).map(|_| world.submit(graph, BLOCKING).unwrap()).collect();
    world.settle();
    world.device.connects.push_back(Connect::Ignore);
    world.crash();
    assert!(requests.iter().all(|r| world.runtime.take_outcome(world.now, *r).is_none()));
    let epoch = world.runtime.epoch();
    world.device.say(Event::Connected { epoch });
    world.deliver();
    for request in [requests[2], requests[0], requests[1]] {
        let completion = world.runtime.take_outcome(world.now, request).unwrap();
        assert_eq!(completion.outcome, Outcome::DeviceReset);
        assert!(world.runtime.take_outcome(world.now, request).is_none());
    }
    world.settle();
    assert!(world.completions.is_empty());
    world.free_and_check(&[context]);
}

#[test]
fn the_phases_are_heard_in_order_with_their_times_and_attempts() {
    let mut world = World::new();
    world.device.connects.extend([Connect::Fail, Connect::Succeed]);
    world.crash();
    let begin = world.now;
    world.advance(CONNECT_BACKOFF_US);
    let heard: Vec<_> =
        world.transitions.iter().map(|t| (t.to, t.at, t.epoch.number(), t.attempts)).collect();
    let retry = begin.after_us(CONNECT_BACKOFF_US);
    let expected = [
        (State::BeforeShutdown, begin, 1, 0),
        (State::AfterShutdown, begin, 2, 0),
        (State::BeforePowerUp, begin, 2, 1),
        (State::AfterShutdown, begin, 2, 1),
        (State::BeforePowerUp, retry, 2, 2),
        (State::AfterPowerUp, retry, 2, 2),
        (State::Online, retry, 2, 2),
    ];
    assert_eq!(heard, expected);
    assert!(world.transitions.windows(2).all(|pair| pair[0].to == pair[1].from));
    assert_eq!(world.transitions[0].from, State::Online);

    world.transitions.clear();
    world.crash();
    assert_eq!(world.transitions[0].attempts, 0, "a new restart counts from the beginning");
    assert_eq!(world.take_phases(), RECOVERY);
}

// REQ: SSR-006
#[test]
fn the_dsp_is_lost_when_the_attempts_are_spent() {
    let mut world = World::new();
    let objects = objects(&mut world);
    let requests = world.submit_n(objects.graph, 5);
    world.device.connects.extend([Connect::Fail; CONNECT_ATTEMPTS_MAX as usize]);
    world.crash();
    // Back-offs double: 1, 2, 4, 8 ms.
    let mut at = world.now;
    for attempt in 1..CONNECT_ATTEMPTS_MAX {
        assert_eq!(world.device.journal.last(), Some(&Seen::Connect(attempt)));
        assert_eq!(world.runtime.state(), State::AfterShutdown);
        assert!(world.completions.is_empty());
        at = at.after_us(CONNECT_BACKOFF_US << (attempt - 1));
        assert_eq!(world.runtime.poll_timeout(), Some(at));
        let wait_us = at.since_us(world.now);
        world.advance(wait_us - 1);
        assert_eq!(world.device.journal.last(), Some(&Seen::Connect(attempt)), "not too early");
        world.advance(1);
    }
    assert_eq!(world.runtime.state(), State::Lost);
    assert_eq!(world.runtime.poll_timeout(), None);
    world.assert_outcomes(&requests, Outcome::DeviceLost);
    assert_unusable(&mut world, &objects, HandleError::Lost);
    let create = world.runtime.context_create(&depth(1));
    assert_eq!(create, Err(CreateError::Handle(HandleError::Lost)));
    // Nothing brings it back.
    let commands = world.device.journal.len();
    for epoch in [Epoch::FIRST, world.runtime.epoch()] {
        world.device.say(Event::Connected { epoch });
        world.device.say(Event::Crashed { epoch });
        world.device.say(Event::ConnectFailed { epoch });
    }
    world.advance(10_000_000);
    assert_eq!(world.runtime.state(), State::Lost);
    assert_eq!(world.device.journal.len(), commands);
    assert_released_once(&mut world, &objects);
}

// REQ: SSR-002
#[test]
fn without_restarts_a_crash_is_final_at_once() {
    let mut world = World::without(Capabilities::SUBSYSTEM_RESTART);
    let objects = objects(&mut world);
    let requests = world.submit_n(objects.graph, 3);
    world.crash();
    let phases = [State::BeforeShutdown, State::AfterShutdown, State::Lost];
    assert_eq!(world.take_phases(), phases);
    assert!(!world.device.journal.iter().any(|seen| matches!(seen, Seen::Connect(_))));
    world.assert_outcomes(&requests, Outcome::DeviceLost);
    assert_unusable(&mut world, &objects, HandleError::Lost);
    assert_released_once(&mut world, &objects);
}

#[test]
fn a_connection_attempt_that_takes_too_long_counts_as_failed() {
    let mut world = World::new();
    world.device.connects.extend([Connect::Ignore; CONNECT_ATTEMPTS_MAX as usize]);
    world.crash();
    assert_eq!(world.runtime.poll_timeout(), Some(world.now.after_us(CONNECT_TIMEOUT_US)));
    world.advance(CONNECT_TIMEOUT_US - 1);
    assert_eq!(world.runtime.state(), State::BeforePowerUp);
    world.advance(1);
    assert_eq!(world.runtime.state(), State::AfterShutdown);
    // The answer comes too late, while the next attempt waits.
    let late = world.runtime.counters().late_events;
    let epoch = world.runtime.epoch();
    world.device.say(Event::Connected { epoch });
    world.device.say(Event::ConnectFailed { epoch });
    world.settle();
    assert_eq!(world.runtime.counters().late_events, late + 2);
    assert_eq!(world.runtime.state(), State::AfterShutdown);
    world.advance(CONNECT_ATTEMPTS_MAX as u64 * CONNECT_TIMEOUT_US + 100 * CONNECT_BACKOFF_US);
    assert_eq!(world.runtime.state(), State::Lost);
}

// REQ: SSR-028
#[test]
fn a_second_crash_begins_a_new_cycle() {
    let mut world = World::new();
    let (old, _) = world.context_and_graph(4);
    world.crash();
    let (between, graph) = world.context_and_graph(4);
    let requests = world.submit_n(graph, 3);
    world.crash();
    assert_eq!(world.runtime.epoch().number(), 3);
    assert_eq!(world.runtime.restarts(), 2);
    world.assert_outcomes(&requests, Outcome::DeviceReset);
    let stale = Err(CreateError::Handle(HandleError::Stale));
    assert_eq!(world.runtime.context_status(between), stale);
    assert_eq!(world.runtime.context_status(old), stale);
    let (new, graph) = world.context_and_graph(4);
    let requests = world.submit_n(graph, 3);
    world.finish_all();
    world.assert_outcomes(&requests, Outcome::Completed);
    world.free_and_check(&[old, between, new]);
}

#[test]
fn a_second_crash_before_the_first_was_heard_holds_the_requests_back_again() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(4);
    let requests = world.submit_n(graph, 4);
    world.device.crash();
    world.deliver();
    world.drain_commands();
    world.deliver();
    assert_eq!(world.runtime.state(), State::Online);
    assert!(world.runtime.has_notice());
    world.device.connects.push_back(Connect::Ignore);
    world.device.crash();
    world.deliver();
    world.settle();
    assert_eq!(world.runtime.state(), State::BeforePowerUp);
    assert!(world.completions.is_empty());
    world.advance(CONNECT_TIMEOUT_US + CONNECT_BACKOFF_US);
    assert_eq!(world.runtime.state(), State::Online);
    world.assert_outcomes(&requests, Outcome::DeviceReset);
    world.free_and_check(&[context]);
}

#[test]
fn a_crash_during_a_connection_attempt_ends_with_its_time_out() {
    let mut world = World::new();
    world.device.connects.push_back(Connect::Ignore);
    world.crash();
    assert_eq!(world.runtime.state(), State::BeforePowerUp);
    world.crash();
    assert_eq!((world.runtime.state(), world.runtime.restarts()), (State::BeforePowerUp, 1));
    world.advance(CONNECT_TIMEOUT_US + CONNECT_BACKOFF_US);
    assert_eq!(world.runtime.state(), State::Online);
    assert_eq!(world.runtime.epoch().number(), 2);
}

#[test]
fn late_answers_of_an_old_epoch_are_dropped_and_counted() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(4);
    let buffer = world.runtime.buffer_register(context, crate::support::client_memory(8)).unwrap();
    let request = world.submit_n(graph, 1)[0];
    let epoch = world.runtime.epoch();
    world.crash();
    let (new_context, new_graph) = world.context_and_graph(4);
    let new_request = world.submit_n(new_graph, 1)[0];
    let late = [
        Event::Executed { request, epoch, result: Ok(REPORT) },
        Event::Executed { request: new_request, epoch, result: Ok(REPORT) },
        Event::ContextCreated { context, epoch, result: Ok(()) },
        Event::ContextReleased { context: new_context, epoch },
        Event::GraphPrepared { graph, epoch, result: Ok(crate::support::GRAPH_REPORT) },
        Event::GraphReleased { graph: new_graph, epoch },
        Event::BufferMapped { buffer, epoch, result: Ok(()) },
        Event::BufferUnmapped { buffer, epoch },
        Event::Alive { epoch, steps: 9, held: false },
        Event::Crashed { epoch },
        Event::Connected { epoch },
        Event::Connected { epoch: epoch.next() },
        Event::ConnectFailed { epoch: epoch.next() },
    ];
    for event in late {
        world.device.say(event);
    }
    world.settle();
    assert_eq!(world.runtime.counters().late_events, late.len() as u64);
    assert_eq!(world.runtime.restarts(), 1);
    assert_eq!(world.running(), [new_request]);
    world.finish(new_request);
    world.assert_outcomes(&[new_request], Outcome::Completed);
    world.assert_outcomes(&[request], Outcome::DeviceReset);
    world.free_and_check(&[context, new_context]);
}

#[test]
fn a_crash_while_objects_are_set_up_or_torn_down() {
    let mut world = World::new();
    let (closing, graph) = world.context_and_graph(4);
    world.submit_n(graph, 2);
    let ready = world.context(&depth(4));
    let composed = world.composed(ready, "composed");
    world.device.hold_controls = true;
    world.runtime.context_free(world.now, closing).unwrap();
    world.runtime.graph_finalize(composed).unwrap();
    let creating = world.runtime.context_create(&depth(4)).unwrap();
    let table = world.shared_table("loading");
    let loading = world.runtime.graph_load(creating, table, None).unwrap();
    let buffer = world.runtime.buffer_register(ready, crate::support::client_memory(8)).unwrap();
    world.settle();
    assert_eq!(world.runtime.context_status(creating), Ok(Status::Pending));
    assert_eq!(world.runtime.graph_status(composed), Ok(Status::Pending));
    assert_eq!(world.runtime.buffer_status(buffer), Ok(Status::Pending));
    assert!(!world.runtime.context_is_gone(closing));

    world.device.hold_controls = false;
    world.crash();
    assert!(world.runtime.context_is_gone(closing), "a restart completes a teardown");
    let stale = CreateError::Handle(HandleError::Stale);
    assert_eq!(world.runtime.context_status(creating), Err(stale));
    assert_eq!(world.runtime.graph_status(composed), Err(stale));
    assert_eq!(world.runtime.graph_status(loading), Err(stale));
    assert_eq!(world.runtime.buffer_status(buffer), Err(stale));
    world.free_and_check(&[creating, ready]);
}

#[test]
fn a_device_that_works_slowly_is_forgiven() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(4);
    let request = world.submit_n(graph, 1)[0];
    for _ in 0..20 {
        world.device.steps += 1;
        world.advance(HANG_BUDGET_US / 2);
    }
    assert_eq!((world.runtime.restarts(), world.runtime.counters().hangs), (0, 0));
    let probes = world.device.journal.iter().filter(|seen| **seen == Seen::Probe).count();
    assert!(probes >= 10, "{probes}");
    world.finish(request);
    assert_eq!(world.outcome(request), Some(Outcome::Completed));
    assert_eq!(world.runtime.poll_timeout(), None, "nobody watches an idle device");
}

#[test]
fn a_device_that_answers_without_progress_is_restarted() {
    for silent in [true, false] {
        let mut world = World::new();
        world.device.ignore_probes = silent;
        let (_, graph) = world.context_and_graph(4);
        let requests = world.submit_n(graph, 2);
        world.advance(HANG_BUDGET_US - 1);
        assert_eq!(world.runtime.restarts(), 0);
        assert_eq!(world.device.journal.last(), Some(&Seen::Probe));
        world.advance(1);
        assert_eq!((world.runtime.restarts(), world.runtime.counters().hangs), (1, 1));
        world.assert_outcomes(&requests, Outcome::DeviceReset);
        assert_eq!(world.runtime.state(), State::Online);
    }
}

// REQ: SSR-002
#[test]
fn a_device_that_hangs_for_good_lets_go_before_its_memory_goes_back() {
    for deaf in [false, true] {
        let mut world = World::without(Capabilities::SUBSYSTEM_RESTART);
        world.device.ignore_probes = true;
        world.device.ignore_shutdown = deaf;
        let (context, graph) = world.context_and_graph(4);
        let requests = world.submit_n(graph, 2);
        world.advance(HANG_BUDGET_US);
        assert_eq!(world.device.journal.last(), Some(&Seen::Shutdown));
        assert_eq!(world.runtime.state(), if deaf { State::Online } else { State::Lost });
        world.advance(HANG_BUDGET_US / 2);
        assert_eq!(world.runtime.state(), State::Lost);
        assert_eq!((world.runtime.restarts(), world.runtime.counters().hangs), (1, 1));
        world.assert_outcomes(&requests, Outcome::DeviceLost);
        world.runtime.context_free(world.now, context).unwrap();
        world.settle();
        assert_eq!(world.runtime.counters().blocks_leaked > 0, deaf);
    }
}

#[test]
fn a_profile_of_a_caught_request_is_free_again() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(4);
    let profile = world.runtime.profile_create(ProfileLevel::Basic).unwrap();
    let options = SubmitOptions { profile: Some(profile), ..ASYNC };
    world.submit(graph, options).unwrap();
    world.crash();
    let (new, graph) = world.context_and_graph(4);
    let request = world.submit(graph, options).expect("the profile survived and is free");
    world.settle();
    world.finish(request);
    world.free_and_check(&[context, new]);
}

#[test]
fn early_and_spurious_time_outs_do_nothing() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(4);
    let options = SubmitOptions { deadline: world.now.after_us(10), ..ASYNC };
    world.submit(graph, options).unwrap();
    world.settle();
    let commands = world.device.journal.len();
    for _ in 0..100 {
        world.runtime.handle_timeout(world.now);
    }
    world.runtime.handle_timeout(Instant::ZERO);
    world.settle();
    assert_eq!(world.device.journal.len(), commands);
    assert!(world.completions.is_empty());
}

#[test]
fn commands_that_the_device_did_not_take_go_with_their_epoch() {
    for restarts in [true, false] {
        let mut world =
            if restarts { World::new() } else { World::without(Capabilities::SUBSYSTEM_RESTART) };
        let (context, graph) = world.context_and_graph(4);
        let running = world.submit_n(graph, 1)[0];
        world.submit(graph, ASYNC).unwrap();
        world.runtime.cancel(world.now, running).unwrap();
        world.runtime.buffer_register(context, crate::support::client_memory(8)).unwrap();
        world.runtime.context_create(&depth(1)).unwrap();
        let commands = world.device.journal.len();
        world.device.crash();
        world.deliver();
        let expected: &[Seen] = if restarts { &[Seen::Connect(1)] } else { &[] };
        assert_eq!(world.drain_commands(), expected.len());
        assert_eq!(&world.device.journal[commands..], expected);
    }
}

#[test]
fn a_hang_after_progress_is_noticed_within_one_and_a_half_budgets() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(4);
    let requests = world.submit_n(graph, 2);
    world.advance(HANG_BUDGET_US / 4);
    world.finish(requests[0]);
    world.advance(HANG_BUDGET_US);
    assert_eq!(world.runtime.restarts(), 0, "the first probe saw that work had been done");
    world.advance(HANG_BUDGET_US / 2);
    assert_eq!((world.runtime.restarts(), world.runtime.counters().hangs), (1, 1));
    world.assert_outcomes(&requests[1..], Outcome::DeviceReset);
}
