//! Degraded mode: what the CPU executes while the device is down, and when.

use crate::managed_world::{config, recovery};
use crate::support::{all_capabilities, depth, Connect, Seen, World, ASYNC, BLOCKING, CAPACITIES};
use htp_runtime::capability::Capabilities;
use htp_runtime::device::{Event, ExecuteError, PrepareError};
use htp_runtime::error::{FallbackError, HandleError, RecoveryError, SubmitError};
use htp_runtime::event::Outcome;
use htp_runtime::handle::{ContextId, GraphId, RequestId};
use htp_runtime::limits::FALLBACK_INTERVAL_US_MAX;
use htp_runtime::profile::TraceKind;
use htp_runtime::runtime::{Fallback, IoOwnership, SubmitOptions};
use htp_runtime::sched::Priority;
use htp_runtime::ssr::{Queued, Recovery, State};
use htp_runtime::time::Instant;

const INTERVAL_US: u64 = 500;
const EVERY: Fallback = Fallback { interval_us: INTERVAL_US };

/// A device with a CPU beside it.
fn world() -> World {
    World::with(all_capabilities().union(Capabilities::CPU_FALLBACK), CAPACITIES)
}

/// Where a crash is final.
fn world_without_restart() -> World {
    let all = all_capabilities().union(Capabilities::CPU_FALLBACK);
    World::with(all.difference(Capabilities::SUBSYSTEM_RESTART), CAPACITIES)
}

fn kept() -> Recovery {
    recovery(3, Queued::Requeue)
}

fn with_fallback(world: &mut World) -> (ContextId, GraphId) {
    let context = world.context(&config(10, kept()));
    let graph = world.graph(context, "net", Priority::Normal);
    world.runtime.context_set_fallback(context, Some(EVERY)).unwrap();
    (context, graph)
}

/// The device goes down and stays so until [`come_back`].
fn go_down(world: &mut World) {
    world.device.connects.push_back(Connect::Ignore);
    world.crash();
    assert_eq!(world.runtime.state(), State::BeforePowerUp);
}

fn come_back(world: &mut World) {
    world.advance(200_000);
    assert_eq!(world.runtime.state(), State::Online);
}

fn on_fallback(world: &World) -> Option<RequestId> {
    world.device.fallback.as_ref().map(|(request, _)| *request)
}

/// The CPU is done with what it executes.
fn answer(world: &mut World) -> RequestId {
    let request = on_fallback(world).expect("one is on the fallback");
    world.device.finish_fallback(Ok(()));
    world.settle();
    request
}

fn fallbacks(world: &World) -> Vec<RequestId> {
    let told = world.device.journal.iter().filter_map(|seen| match seen {
        Seen::FallbackExecute(request) => Some(*request),
        _ => None,
    });
    told.collect()
}

fn was_on_fallback(world: &World, request: RequestId) -> bool {
    let heard = world.completions.iter().find(|heard| heard.request == request);
    heard.expect("it was heard").times.on_fallback
}

#[test]
fn requests_that_have_not_started_run_on_the_cpu_while_the_device_is_down() {
    let mut world = world();
    let (context, graph) = with_fallback(&mut world);
    let before = world.submit_n(graph, 4);
    assert_eq!((world.running(), on_fallback(&world)), (vec![before[0]], None));
    go_down(&mut world);
    // The first one was on the device: it is not executed again.
    assert_eq!(on_fallback(&world), Some(before[1]));
    assert_eq!(answer(&mut world), before[1]);
    // It is heard at once, the device still being away.
    world.assert_outcomes(&before[1..2], Outcome::Completed);
    assert!(was_on_fallback(&world, before[1]));
    let meanwhile = world.submit_n(graph, 1);
    world.advance(INTERVAL_US);
    assert_eq!(answer(&mut world), before[2]);
    come_back(&mut world);
    world.assert_outcomes(&before[..1], Outcome::DeviceReset);
    world.finish_all();
    while on_fallback(&world).is_some() {
        answer(&mut world);
        world.finish_all();
    }
    for request in [before[2], before[3], meanwhile[0]] {
        world.assert_outcomes(&[request], Outcome::Completed);
    }
    let counts = world.runtime.context_stats(context).unwrap().counts;
    assert_eq!((counts.completed, counts.reset), (4, 1));
    assert_eq!(counts.on_fallback, fallbacks(&world).len() as u64);
    assert_eq!(world.runtime.counters().faults, 0);
    world.free_and_check(&[context]);
}

#[test]
fn a_context_without_a_fallback_waits_and_costs_nothing() {
    let mut world = world();
    let context = world.context(&config(10, kept()));
    let graph = world.graph(context, "net", Priority::Normal);
    let queued = world.submit_n(graph, 3);
    go_down(&mut world);
    world.advance(10 * INTERVAL_US);
    assert!(fallbacks(&world).is_empty() && world.completions.is_empty());
    come_back(&mut world);
    world.finish_all();
    world.assert_outcomes(&queued[1..], Outcome::Completed);
    assert!(!was_on_fallback(&world, queued[1]));
    assert_eq!(world.runtime.context_fallback(context), Ok(None));
}

#[test]
fn a_context_starts_one_in_each_interval_and_all_of_them_one_at_a_time() {
    let mut world = world();
    let (_, first) = with_fallback(&mut world);
    let (_, second) = with_fallback(&mut world);
    let (_, third) = with_fallback(&mut world);
    go_down(&mut world);
    let begun = world.now;
    let requests: Vec<_> = [first, second, third].map(|graph| world.submit_n(graph, 2)).into();
    assert_eq!(fallbacks(&world).len(), 1, "one at a time");
    for _ in 0..3 {
        answer(&mut world);
    }
    assert_eq!(on_fallback(&world), None, "each context waits for its interval");
    assert_eq!(world.runtime.poll_timeout(), Some(begun.after_us(INTERVAL_US)));
    world.advance(INTERVAL_US - 1);
    assert_eq!(on_fallback(&world), None);
    world.advance(1);
    for _ in 0..3 {
        answer(&mut world);
    }
    // Contexts take turns.
    let order: Vec<_> = (0..2).flat_map(|nth| requests.iter().map(move |of| of[nth])).collect();
    assert_eq!(fallbacks(&world), order);
    // The interval counts from start to start: a long execution has used it up.
    let more = world.submit_n(first, 2);
    world.advance(INTERVAL_US);
    world.advance(INTERVAL_US);
    assert_eq!(answer(&mut world), more[0]);
    assert_eq!(answer(&mut world), more[1]);
}

#[test]
fn an_execution_that_outlives_the_restart_holds_back_its_own_graph_alone() {
    let mut world = world();
    let (context, graph) = with_fallback(&mut world);
    let other = world.graph(context, "other", Priority::Normal);
    let less = world.graph(context, "less important", Priority::Low);
    let of_graph = world.submit_n(graph, 6);
    go_down(&mut world);
    let behind = world.submit_n(other, 1);
    let last = world.submit_n(less, 1);
    assert_eq!(on_fallback(&world), Some(of_graph[1]));
    come_back(&mut world);
    // More of its graph than the device is offered at a time stand before the other one.
    assert_eq!(world.running(), behind);
    world.finish_all();
    assert_eq!(world.running(), [], "{last:?} came after it");
    world.assert_outcomes(&[behind[0], last[0]], Outcome::Completed);
    answer(&mut world);
    world.finish_all();
    world.assert_outcomes(&of_graph[1..], Outcome::Completed);
    world.free_and_check(&[context]);
}

#[test]
fn order_and_priorities_within_a_context_are_kept() {
    let mut world = world();
    let context = world.context(&config(10, kept()));
    let low = world.graph(context, "low", Priority::Low);
    let high = world.graph(context, "high", Priority::High);
    world.runtime.context_set_fallback(context, Some(EVERY)).unwrap();
    let running = world.submit_n(high, 1);
    let lows = world.submit_n(low, 3);
    let highs = world.submit_n(high, 2);
    assert_eq!(world.running(), running);
    go_down(&mut world);
    for _ in 0..4 {
        answer(&mut world);
        world.advance(INTERVAL_US);
    }
    assert_eq!(fallbacks(&world), [highs[0], highs[1], lows[0], lows[1], lows[2]]);
    // While the CPU has the last one, the device does not overtake it with another of its graph.
    let next = world.submit_n(low, 1);
    come_back(&mut world);
    assert!(world.running().is_empty());
    assert_eq!(answer(&mut world), lows[2]);
    assert_eq!(world.running(), next);
}

#[test]
fn a_second_crash_does_not_take_an_execution_from_the_cpu() {
    let mut world = world();
    let (context, graph) = with_fallback(&mut world);
    go_down(&mut world);
    let requests = world.submit_n(graph, 3);
    assert_eq!(on_fallback(&world), Some(requests[0]));
    world.advance(100_000);
    while world.runtime.state() != State::Online {
        world.advance(1_000);
    }
    go_down(&mut world);
    assert_eq!(on_fallback(&world), Some(requests[0]));
    let late = world.runtime.counters().late_events;
    answer(&mut world);
    world.assert_outcomes(&requests[..1], Outcome::Completed);
    assert_eq!(world.runtime.counters().late_events, late, "its answer counts in any life");
    // One that was answered already is nobody's.
    world.device.say(Event::FallbackExecuted { request: requests[0], result: Ok(()) });
    world.settle();
    assert_eq!(world.runtime.counters().late_events, late + 1);
    answer(&mut world);
    come_back(&mut world);
    world.finish_all();
    world.free_and_check(&[context]);
}

#[test]
fn cancelling_and_deadlines_end_what_is_on_the_cpu() {
    for (times_out, outcome) in [(false, Outcome::Aborted), (true, Outcome::TimedOut)] {
        for faster in [false, true] {
            let mut world = world();
            let (context, graph) = with_fallback(&mut world);
            go_down(&mut world);
            let deadline = if times_out { world.now.after_us(50) } else { Instant::FAR };
            let options = SubmitOptions { deadline, ..ASYNC };
            let request = world.submit(graph, options).unwrap();
            world.settle();
            world.device.ignore_aborts = faster;
            match times_out {
                true => world.advance(50),
                false => world.runtime.cancel(world.now, request).unwrap(),
            }
            world.settle();
            assert!(world.device.journal.contains(&Seen::FallbackAbort(request)));
            let expected = if faster { Outcome::Completed } else { outcome };
            if faster {
                assert_eq!(world.outcome(request), None);
                answer(&mut world);
            }
            world.assert_outcomes(&[request], expected);
            // One that waits ends without having run.
            let waiting = world.submit_n(graph, 1);
            assert_eq!(on_fallback(&world), None, "its interval is not over");
            world.runtime.cancel(world.now, waiting[0]).unwrap();
            world.settle();
            world.assert_outcomes(&waiting, Outcome::Aborted);
            assert!(!was_on_fallback(&world, waiting[0]));
            come_back(&mut world);
            world.free_and_check(&[context]);
        }
    }
}

#[test]
fn a_failure_on_the_cpu_is_the_requests_own() {
    let mut world = world();
    let (_, graph) = with_fallback(&mut world);
    go_down(&mut world);
    let requests = world.submit_n(graph, 2);
    world.device.finish_fallback(Err(ExecuteError::Internal));
    world.advance(INTERVAL_US);
    world.assert_outcomes(&requests[..1], Outcome::Failed);
    assert_eq!(on_fallback(&world), Some(requests[1]));
}

#[test]
fn a_context_that_is_lost_goes_on_on_the_cpu_beside_others_on_the_device() {
    let mut world = world();
    let lost = world.context(&config(10, recovery(1, Queued::Requeue)));
    let graph = world.graph(lost, "net", Priority::Normal);
    world.runtime.context_set_fallback(lost, Some(EVERY)).unwrap();
    let uncovered = world.graph(lost, "added later", Priority::Normal);
    let other = world.context(&config(10, kept()));
    let fine = world.graph(other, "fine", Priority::Normal);
    let queued = world.submit_n(graph, 3);
    let without = world.submit_n(uncovered, 2);
    // Its one attempt is refused; the other's rebuild succeeds.
    world.device.refuse_next = Some(PrepareError::OutOfMemory);
    world.crash();
    assert_eq!(world.runtime.counters().contexts_lost, 1);
    assert_eq!(world.runtime.state(), State::Online);
    // What the fallback does not cover has ended.
    world.assert_outcomes(&without[1..], Outcome::DeviceLost);
    assert_eq!(world.submit(uncovered, ASYNC), Err(SubmitError::Handle(HandleError::Lost)));
    assert!(world.runtime.graph_create(lost, "new", None).is_err());
    // What it covers goes on, and is accepted, and never meets the device.
    let more = world.submit_n(graph, 2);
    let beside = world.submit_n(fine, 3);
    for request in [queued[1], queued[2], more[0], more[1]] {
        if on_fallback(&world).is_none() {
            world.advance(INTERVAL_US);
        }
        assert_eq!(answer(&mut world), request);
    }
    world.finish_all();
    world.assert_outcomes(&beside, Outcome::Completed);
    assert!(beside.iter().all(|request| !was_on_fallback(&world, *request)));
    let mut covered = queued[1..].to_vec();
    covered.extend(&more);
    world.assert_outcomes(&covered, Outcome::Completed);
    assert_eq!(world.runtime.context_fallback(lost), Ok(Some(EVERY)));
    assert!(world.runtime.is_idle());
    // Freed with one on the CPU, one set aside.
    world.advance(INTERVAL_US);
    let last = world.submit_n(graph, 2);
    assert!(!world.runtime.is_idle());
    world.runtime.context_free(world.now, lost).unwrap();
    world.settle();
    world.assert_outcomes(&last, Outcome::Aborted);
    assert!(world.runtime.context_is_gone(lost));
    world.free_and_check(&[other]);
}

#[test]
fn frames_are_kept_when_the_connection_is_given_up() {
    let mut world = world();
    let (context, graph) = with_fallback(&mut world);
    let plain = world.context(&config(10, kept()));
    let other = world.graph(plain, "other", Priority::Normal);
    let queued = world.submit_n(graph, 2);
    let others = world.submit_n(other, 2);
    world.device.connects.extend([Connect::Fail; 5]);
    world.device.crash();
    world.advance(1_000_000);
    assert_eq!(world.runtime.state(), State::Lost);
    world.assert_outcomes(&[queued[0], others[0], others[1]], Outcome::DeviceLost);
    assert_eq!(answer(&mut world), queued[1]);
    let more = world.submit_n(graph, 3);
    for request in more {
        world.advance(INTERVAL_US);
        assert_eq!(answer(&mut world), request);
        world.assert_outcomes(&[request], Outcome::Completed);
    }
    assert_eq!(world.submit(other, ASYNC), Err(SubmitError::Handle(HandleError::Lost)));
    assert_eq!(world.runtime.context_stats(context).unwrap().counts.on_fallback, 4);
    assert!(world.runtime.is_idle());
    world.free_and_check(&[context, plain]);
}

#[test]
fn without_restarts_a_native_context_goes_on_after_the_crash() {
    let mut world = world_without_restart();
    let context = world.context(&depth(10));
    let graph = world.graph(context, "net", Priority::Normal);
    world.runtime.context_set_fallback(context, Some(EVERY)).unwrap();
    let queued = world.submit_n(graph, 3);
    world.crash();
    assert_eq!(world.runtime.state(), State::Lost);
    world.assert_outcomes(&queued[..1], Outcome::DeviceLost);
    assert_eq!(answer(&mut world), queued[1]);
    world.advance(INTERVAL_US);
    assert_eq!(answer(&mut world), queued[2]);
    // A client that waits for its outcome gets it, too.
    world.advance(INTERVAL_US);
    let blocking = world.submit(graph, BLOCKING).unwrap();
    world.settle();
    assert_eq!(world.runtime.take_outcome(world.now, blocking), None);
    answer(&mut world);
    let outcome = world.runtime.take_outcome(world.now, blocking).unwrap();
    assert_eq!((outcome.outcome, outcome.times.on_fallback), (Outcome::Completed, true));
    world.free_and_check(&[context]);
}

#[test]
fn freeing_a_context_waits_for_the_cpu_to_let_go() {
    for comes_back in [false, true] {
        let mut world = world();
        let (context, graph) = with_fallback(&mut world);
        go_down(&mut world);
        let requests = world.submit_n(graph, 2);
        world.device.ignore_aborts = true;
        world.runtime.context_free(world.now, context).unwrap();
        world.settle();
        world.assert_outcomes(&requests[1..], Outcome::Aborted);
        if comes_back {
            come_back(&mut world);
        }
        assert!(!world.runtime.context_is_gone(context), "its table is being read");
        world.device.finish_fallback(Err(ExecuteError::Aborted));
        world.settle();
        world.assert_outcomes(&requests[..1], Outcome::Aborted);
        if !comes_back {
            come_back(&mut world);
        }
        assert!(world.runtime.context_is_gone(context));
        assert_eq!(world.runtime.counters().blocks_leaked, 0);
        assert_eq!(world.runtime.region().used_bytes(), world.bytes_at_start);
        // The next context in its place has none.
        let plain = world.context(&config(10, kept()));
        let graph = world.graph(plain, "net", Priority::Normal);
        go_down(&mut world);
        world.submit_n(graph, 1);
        assert_eq!(on_fallback(&world), None);
    }
}

#[test]
fn what_cannot_be_had_is_refused_and_changes_nothing() {
    let mut plain = World::new();
    let context = plain.context(&config(4, kept()));
    plain.graph(context, "net", Priority::Normal);
    let set = plain.runtime.context_set_fallback(context, Some(EVERY));
    assert_eq!(set, Err(FallbackError::NotSupported));

    let mut world = world();
    let native = world.context(&depth(4));
    world.graph(native, "net", Priority::Normal);
    let context = world.context(&config(4, kept()));
    let runtime = &mut world.runtime;
    let set = runtime.context_set_fallback(native, Some(EVERY));
    assert_eq!(set, Err(FallbackError::QueueNotKept));
    for interval_us in [0, FALLBACK_INTERVAL_US_MAX + 1] {
        let set = runtime.context_set_fallback(context, Some(Fallback { interval_us }));
        assert_eq!(set, Err(FallbackError::Interval));
    }
    assert_eq!(runtime.context_set_fallback(context, Some(EVERY)), Err(FallbackError::NoGraph));
    world.composed(context, "composing");
    let set = world.runtime.context_set_fallback(context, Some(EVERY));
    assert_eq!(set, Err(FallbackError::NoGraph), "a graph under composition has no table");
    assert_eq!(world.runtime.context_fallback(context), Ok(None));

    let graph = world.graph(context, "net", Priority::Normal);
    world.runtime.context_set_fallback(context, Some(EVERY)).unwrap();
    let complete = recovery(3, Queued::Complete);
    for recovery in [Recovery::Native, complete] {
        let set = world.runtime.context_set_recovery(context, recovery);
        assert_eq!(set, Err(RecoveryError::Fallback));
    }
    go_down(&mut world);
    let recovering = Err(FallbackError::Handle(HandleError::Recovering));
    assert_eq!(world.runtime.context_set_fallback(context, None), recovering);
    world.submit_n(graph, 1);
    come_back(&mut world);
    assert_eq!(world.runtime.context_set_fallback(context, None), recovering, "the CPU has one");
    answer(&mut world);
    world.runtime.context_set_fallback(context, None).unwrap();
    world.runtime.context_set_recovery(context, complete).unwrap();
    world.device.refuse_next = Some(PrepareError::OutOfMemory);
    let failed = world.runtime.context_create(&config(4, kept())).unwrap();
    world.settle();
    let set = world.runtime.context_set_fallback(failed, Some(EVERY));
    assert_eq!(set, Err(FallbackError::Handle(HandleError::Invalid)), "it will never be usable");
    world.runtime.context_free(world.now, native).unwrap();
    let gone = world.runtime.context_set_fallback(native, None);
    assert_eq!(gone, Err(FallbackError::Handle(HandleError::Invalid)));
}

#[test]
fn whoever_looked_at_the_graphs_can_tell_that_there_is_another() {
    let mut world = world();
    let (context, _) = with_fallback(&mut world);
    let looked = world.runtime.graphs_ready();
    world.composed(context, "composing");
    assert_eq!(world.runtime.graphs_ready(), looked, "not executable yet");
    world.device.refuse_next = Some(PrepareError::OutOfMemory);
    let table = world.shared_table("refused");
    let refused = world.runtime.graph_load(context, table, None).unwrap();
    world.settle();
    assert!(world.runtime.graph_status(refused).is_err());
    assert_eq!(world.runtime.graphs_ready(), looked, "it never will be");
    world.graph(context, "more", Priority::Normal);
    assert_eq!(world.runtime.graphs_ready(), looked + 1);
}

#[test]
fn an_output_is_lent_while_the_cpu_writes_it_and_the_trace_tells() {
    let mut world = world();
    let (context, graph) = with_fallback(&mut world);
    let refused = IoOwnership::Refused;
    world.runtime.context_set_io_ownership(context, refused).unwrap();
    go_down(&mut world);
    world.submit_n(graph, 1);
    assert!(matches!(world.submit(graph, ASYNC), Err(SubmitError::OutputInUse(_))));
    answer(&mut world);
    assert!(world.submit(graph, ASYNC).is_ok());
    let records = world.runtime.trace().records();
    assert_eq!(records.filter(|record| record.kind == TraceKind::FellBack).count(), 1);
}
