//! Managed recovery: what a client sees of its contexts, graphs, buffers and requests.

use crate::managed_world::{assert_told_once, config, recovery, Managed, ANSWERS};
use crate::support::{client_memory, depth, Connect, Seen, World, ASYNC, BLOCKING};
use htp_runtime::capability::Capabilities;
use htp_runtime::device::Event;
use htp_runtime::error::{CreateError, HandleError, RecoveryError, Status, SubmitError};
use htp_runtime::event::Outcome;
use htp_runtime::limits::{
    CONNECT_ATTEMPTS_MAX, CONNECT_TIMEOUT_US, REBUILD_ATTEMPTS_MAX, REBUILD_TIME_MAX_US,
};
use htp_runtime::power::{MemoryConfig, PowerChange, PowerError, PowerSettings};
use htp_runtime::runtime::SubmitOptions;
use htp_runtime::sched::Priority;
use htp_runtime::ssr::{Queued, Recovery, State};
use htp_runtime::time::Instant;

const REQUEUE: Recovery =
    Recovery::Managed { attempts_max: 3, time_budget_us: 2_000_000, queued: Queued::Requeue };

#[test]
fn every_handle_outlives_a_restart_and_each_object_is_rebuilt_by_one_command() {
    let mut managed = Managed::new(REQUEUE);
    let before = managed.world.device.state();
    managed.world.crash();
    managed.assert_usable();
    assert_eq!(managed.world.device.state(), before);
    let (first, second) = (managed.first, managed.second);
    let [a, b, c] = managed.buffers;
    let expected = [
        Seen::Connect(1),
        Seen::ContextCreate(first),
        Seen::GraphPrepare(managed.loaded),
        Seen::GraphPrepare(managed.composed),
        Seen::BufferMap(a),
        Seen::BufferMap(b),
        Seen::ContextCreate(second),
        Seen::GraphPrepare(managed.other),
        Seen::BufferMap(c),
        Seen::PowerVote(before.power),
        Seen::MemorySet(before.memory),
    ];
    assert_eq!(managed.last_life(), expected);
    // What docs/recovery.md promises: 1 connect, contexts, graphs, buffers, 1 vote, 1 memory
    // configuration.
    assert_eq!(expected.len(), 1 + 2 + 3 + 3 + 1 + 1);
    assert_eq!(ANSWERS, expected.len() - 2);
    for graph in [managed.loaded, managed.composed, managed.other] {
        let request = managed.world.submit_n(graph, 1)[0];
        managed.world.finish(request);
        assert_eq!(managed.world.outcome(request), Some(Outcome::Completed));
    }
    managed.world.runtime.graph_finalize(managed.composing).unwrap();
    managed.world.settle();
    assert_eq!(managed.world.runtime.graph_status(managed.composing), Ok(Status::Ready));
    assert_eq!(managed.world.runtime.counters().rebuilds, 2);
    managed.end();
}

#[test]
fn what_was_queued_runs_afterwards_in_its_order_and_nothing_runs_twice() {
    let mut world = World::new();
    let context = world.context(&config(20, REQUEUE));
    let priorities = [Priority::Low, Priority::High, Priority::Normal];
    let graphs =
        priorities.map(|priority| world.graph(context, &format!("{priority:?}"), priority));
    let queued = |world: &mut World| -> Vec<_> {
        (0..15).map(|place| world.submit(graphs[place % 3], ASYNC).unwrap()).collect()
    };
    let before = queued(&mut world);
    world.settle();
    let running = world.running();
    assert_eq!(running, [before[1]], "the most important");
    world.device.connects.push_back(Connect::Ignore);
    world.crash();
    let late = world.submit(graphs[1], ASYNC).expect("accepted during the restart");
    assert!(world.completions.is_empty(), "not before the context is usable");
    world.advance(CONNECT_TIMEOUT_US * 2);
    world.assert_outcomes(&running, Outcome::DeviceReset);

    world.finish_all();
    let rest: Vec<_> = before.iter().copied().filter(|id| !running.contains(id)).collect();
    world.assert_outcomes(&rest, Outcome::Completed);
    world.assert_outcomes(&[late], Outcome::Completed);
    let expected: Vec<_> = [1, 2, 0]
        .into_iter()
        .flat_map(|graph| {
            before.iter().copied().skip(graph).step_by(3).chain((graph == 1).then_some(late))
        })
        .filter(|id| !running.contains(id))
        .collect();
    let executed = |event: &Event| match event {
        Event::Executed { request, .. } => Some(*request),
        _ => None,
    };
    let executed: Vec<_> = world.device.answered.iter().filter_map(executed).collect();
    assert_eq!(executed, expected);
    let counts = world.runtime.context_stats(context).unwrap().counts;
    assert_eq!((counts.requeued, counts.rebuilds), (14, 1));
    assert_eq!((counts.submitted, counts.completed, counts.reset), (16, 15, 1));
    world.free_and_check(&[context]);
}

#[test]
fn under_complete_all_end_and_are_heard_when_the_context_is_usable() {
    let mut managed = Managed::new(recovery(100, Queued::Complete));
    let requests = managed.world.submit_n(managed.loaded, 5);
    for answers in 0..ANSWERS {
        assert!(managed.crash_and_answer(answers));
        managed.world.drain_notices();
        assert!(managed.world.completions.is_empty(), "heard after {answers} answers");
        let refused = Err(SubmitError::Handle(HandleError::Recovering));
        let usable = managed.world.runtime.graph_status(managed.loaded) == Ok(Status::Ready);
        assert!(usable || managed.world.submit(managed.loaded, ASYNC) == refused);
    }
    managed.world.drain_commands();
    assert!(managed.world.deliver());
    let heard = managed.world.runtime.poll_notice(managed.world.now);
    assert!(heard.is_some() && managed.world.submit(managed.loaded, ASYNC).is_ok());
    managed.world.settle();
    managed.world.assert_outcomes(&requests, Outcome::DeviceReset);
    let order: Vec<_> = managed.world.completions.iter().map(|heard| heard.request).collect();
    assert_eq!(order, requests);
    managed.end();
}

#[test]
fn while_it_waits_a_queue_accepts_times_out_and_cancels() {
    let mut world = World::new();
    let context = world.context(&config(4, REQUEUE));
    let graph = world.graph(context, "net", Priority::Normal);
    let running = world.submit_n(graph, 1)[0];
    world.device.connects.push_back(Connect::Ignore);
    world.crash();
    assert_eq!(world.runtime.state(), State::BeforePowerUp);
    let deadline = world.now.after_us(50);
    let timed = world.submit(graph, SubmitOptions { deadline, ..ASYNC }).unwrap();
    let cancelled = world.submit(graph, ASYNC).unwrap();
    let kept = world.submit(graph, ASYNC).unwrap();
    assert_eq!(world.submit(graph, ASYNC), Err(SubmitError::QueueFull), "the depth holds");
    world.runtime.cancel(world.now, cancelled).unwrap();
    world.advance(50);
    assert_eq!(world.runtime.state(), State::BeforePowerUp);
    world.assert_outcomes(&[timed], Outcome::TimedOut);
    world.assert_outcomes(&[cancelled], Outcome::Aborted);
    world.advance(CONNECT_TIMEOUT_US * 2);
    world.assert_outcomes(&[running], Outcome::DeviceReset);
    assert_eq!(world.running(), [kept]);
    world.finish(kept);
    world.free_and_check(&[context]);
}

#[test]
fn blocking_callers_collect_what_they_would_be_told() {
    for queued in [Queued::Requeue, Queued::Complete] {
        let mut managed = Managed::new(recovery(3, queued));
        let graph = managed.loaded;
        let requests = [0; 2].map(|_| managed.world.submit(graph, BLOCKING).unwrap());
        managed.world.settle();
        assert!(managed.crash_and_answer(ANSWERS - 1));
        let world = &mut managed.world;
        assert_eq!(world.runtime.state(), State::AfterPowerUp);
        assert!(requests.iter().all(|id| world.runtime.take_outcome(world.now, *id).is_none()));
        world.settle();
        world.finish_all();
        let outcomes = requests.map(|id| world.runtime.take_outcome(world.now, id));
        let outcomes = outcomes.map(|completion| completion.map(|it| it.outcome));
        let second = match queued {
            Queued::Requeue => Outcome::Completed,
            Queued::Complete => Outcome::DeviceReset,
        };
        assert_eq!(outcomes, [Some(Outcome::DeviceReset), Some(second)]);
        managed.end();
    }
}

#[test]
fn objects_made_while_it_is_rebuilt_are_there_at_its_end() {
    for answers in 0..ANSWERS {
        let mut managed = Managed::new(REQUEUE);
        assert!(managed.crash_and_answer(answers));
        let world = &mut managed.world;
        world.drain_commands();
        let context = managed.first;
        let table = world.shared_table("another");
        let another = world.runtime.graph_load(context, table, None).unwrap();
        world.runtime.graph_finalize(managed.composing).unwrap();
        let buffer = world.runtime.buffer_register(context, client_memory(8)).unwrap();
        world.runtime.buffer_deregister(managed.buffers[1]).unwrap();
        let composing = world.composed(context, "begun in the middle");
        assert_eq!(world.runtime.graph_status(another), Ok(Status::Pending));
        assert_eq!(world.submit(another, ASYNC), Err(SubmitError::NotFinalized));
        world.settle();
        for graph in [another, managed.composing, managed.loaded] {
            assert_eq!(world.runtime.graph_status(graph), Ok(Status::Ready), "{answers}");
        }
        assert_eq!(world.runtime.buffer_status(buffer), Ok(Status::Ready));
        world.runtime.graph_finalize(composing).unwrap();
        world.settle();
        let state = world.device.state();
        assert_eq!((state.graphs.len(), state.buffers.len()), (6, 3), "after {answers} answers");
        assert_told_once(&world.device.journal);
        managed.end();
    }
}

#[test]
fn native_contexts_beside_managed_ones_are_as_ever() {
    let mut managed = Managed::new(REQUEUE);
    let native = managed.world.context(&depth(10));
    let graph = managed.world.graph(native, "native", Priority::NormalHigh);
    let requests = managed.world.submit_n(graph, 3);
    let kept = managed.world.submit_n(managed.composed, 2);
    // The connection is back, the plan has begun.
    assert!(managed.crash_and_answer(2));
    managed.world.drain_notices();
    assert_eq!(managed.world.runtime.state(), State::AfterPowerUp);
    managed.world.assert_outcomes(&requests, Outcome::DeviceReset);
    assert_eq!(managed.world.completions.len(), 3);
    let stale = Err(CreateError::Handle(HandleError::Stale));
    assert_eq!(managed.world.runtime.context_status(native), stale);
    assert_eq!(managed.world.submit(graph, ASYNC), Err(SubmitError::Handle(HandleError::Stale)));
    managed.world.runtime.context_free(managed.world.now, native).unwrap();
    assert!(managed.world.runtime.context_is_gone(native));
    // The client creates again and submits in the middle of the rebuild; nothing runs before its
    // end.
    let again = managed.world.runtime.context_create(&depth(10)).unwrap();
    let mut answered = 0;
    while managed.world.runtime.state() == State::AfterPowerUp {
        managed.world.drain_commands();
        assert!(managed.world.running().is_empty(), "dispatched before Online");
        assert!(managed.world.deliver());
        answered += 1;
    }
    assert_eq!(answered, ANSWERS - 1, "two were given, and the native context's is one more");
    managed.world.settle();
    assert_eq!(managed.world.running(), kept[..1]);
    assert_eq!(managed.world.runtime.context_status(again), Ok(Status::Ready));
    managed.world.runtime.context_free(managed.world.now, again).unwrap();
    managed.end();
}

// REQ: SSR-025, SSR-026
#[test]
fn votes_come_back_only_with_a_managed_context() {
    for managed in [true, false] {
        let recovery = if managed { REQUEUE } else { Recovery::Native };
        let mut case = Managed::new(recovery);
        let before = case.world.device.state();
        assert_ne!(before.power, PowerSettings::NONE);
        if managed {
            assert!(case.crash_and_answer(1));
            let runtime = &mut case.world.runtime;
            let id = runtime.power_config_create().unwrap();
            let answer = runtime.power_config_set(id, &PowerChange::default());
            assert_eq!(answer, Err(PowerError::Handle(HandleError::Recovering)));
            let answer = runtime.memory_config_set(MemoryConfig { grow_bytes: 1 });
            assert_eq!(answer, Err(HandleError::Recovering));
            assert!(case.crash_and_answer(ANSWERS - 1), "the votes survive a second crash");
        }
        case.world.crash();
        let state = case.world.device.state();
        let runtime = &case.world.runtime;
        let restored = if managed { before.power } else { PowerSettings::NONE };
        assert_eq!((state.power, *runtime.power_in_effect()), (restored, restored));
        assert_eq!(state.memory, if managed { before.memory } else { MemoryConfig::default() });
        assert_eq!(state.memory, runtime.memory_config());
        case.end();
    }
}

#[test]
fn a_recovery_out_of_range_is_refused_and_changes_nothing() {
    let mut world = World::new();
    let (context, _) = world.context_and_graph(4);
    let given = |attempts_max, time_budget_us| Recovery::Managed {
        attempts_max,
        time_budget_us,
        queued: Queued::Requeue,
    };
    let cases = [
        (given(0, 1), RecoveryError::Attempts),
        (given(REBUILD_ATTEMPTS_MAX + 1, 1), RecoveryError::Attempts),
        (given(u32::MAX, 0), RecoveryError::Attempts),
        (given(1, 0), RecoveryError::TimeBudget),
        (given(1, REBUILD_TIME_MAX_US + 1), RecoveryError::TimeBudget),
        (given(1, u64::MAX), RecoveryError::TimeBudget),
    ];
    for (recovery, error) in cases {
        let created = world.runtime.context_create(&config(4, recovery));
        assert_eq!(created, Err(CreateError::Recovery(error)));
        assert_eq!(world.runtime.context_set_recovery(context, recovery), Err(error));
        assert_eq!(world.runtime.context_recovery(context), Ok(Recovery::Native));
    }
    for recovery in [given(1, 1), given(REBUILD_ATTEMPTS_MAX, REBUILD_TIME_MAX_US)] {
        assert_eq!(world.runtime.context_set_recovery(context, recovery), Ok(()));
        assert_eq!(world.runtime.context_recovery(context), Ok(recovery));
    }
    assert_eq!(world.runtime.context_count(), 1);

    let mut simulation = World::without(Capabilities::SUBSYSTEM_RESTART);
    let created = simulation.runtime.context_create(&config(4, given(1, 1)));
    assert_eq!(created, Err(CreateError::Recovery(RecoveryError::NotSupported)));
}

#[test]
fn the_recovery_can_change_while_the_dsp_is_up() {
    let mut managed = Managed::with(recovery(100, Queued::Requeue), Recovery::Native);
    let (first, second) = (managed.first, managed.second);
    for answers in 0..ANSWERS - 3 {
        assert!(managed.crash_and_answer(answers));
        let recovering = Err(RecoveryError::Handle(HandleError::Recovering));
        let runtime = &mut managed.world.runtime;
        assert_eq!(runtime.context_set_recovery(first, Recovery::Native), recovering);
    }
    managed.world.settle();
    let runtime = &mut managed.world.runtime;
    let stale = Err(RecoveryError::Handle(HandleError::Stale));
    assert_eq!(runtime.context_set_recovery(second, REQUEUE), stale);
    assert_eq!(runtime.context_set_recovery(first, Recovery::Native), Ok(()));
    managed.world.crash();
    let stale = Err(CreateError::Handle(HandleError::Stale));
    assert_eq!(managed.world.runtime.context_status(first), stale);
    managed.end();
}

#[test]
fn when_the_dsp_is_lost_everything_is() {
    let mut managed = Managed::new(REQUEUE);
    let mut requests = managed.world.submit_n(managed.loaded, 3);
    requests.extend(managed.world.submit_n(managed.other, 3));
    let fail = [Connect::Fail; CONNECT_ATTEMPTS_MAX as usize];
    managed.world.device.connects.extend(fail);
    managed.world.crash();
    managed.world.advance(1_000_000);
    assert_eq!(managed.world.runtime.state(), State::Lost);
    managed.world.assert_outcomes(&requests, Outcome::DeviceLost);
    let lost = Err(CreateError::Handle(HandleError::Lost));
    assert_eq!(managed.world.runtime.context_status(managed.first), lost);
    let refused = managed.world.submit(managed.loaded, ASYNC);
    assert_eq!(refused, Err(SubmitError::Handle(HandleError::Lost)));
    assert_eq!(managed.world.runtime.poll_timeout(), None);
    assert!(managed.world.runtime.is_idle());
    managed.end();
}

#[test]
fn a_context_caught_while_it_is_created_is_created_on_the_new_connection() {
    let mut world = World::new();
    world.device.hold_controls = true;
    let context = world.runtime.context_create(&config(4, REQUEUE)).unwrap();
    let table = world.shared_table("net");
    let graph = world.runtime.graph_load(context, table, None).unwrap();
    world.settle();
    world.device.hold_controls = false;
    world.crash();
    assert_eq!(world.runtime.context_status(context), Ok(Status::Ready));
    let request = world.submit_n(graph, 1)[0];
    world.finish(request);
    assert_eq!(world.outcome(request), Some(Outcome::Completed));
    world.free_and_check(&[context]);
}

#[test]
fn too_late_answers_do_not_move_a_rebuild() {
    let mut managed = Managed::new(REQUEUE);
    assert!(managed.crash_and_answer(ANSWERS));
    managed.assert_usable();
    let answered = managed.world.device.answered.clone();
    let late = managed.world.runtime.counters().late_events;
    for event in &answered {
        if !matches!(event, Event::Crashed { .. }) {
            managed.world.device.say(*event);
        }
    }
    managed.world.settle();
    managed.assert_usable();
    assert_eq!(managed.world.runtime.counters().late_events - late, answered.len() as u64 - 1);
    assert_eq!(managed.world.runtime.poll_timeout(), None::<Instant>);
    managed.end();
}
