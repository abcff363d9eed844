//! Deadlines and cancellation: exactly one outcome, whoever is faster.

use crate::support::{Seen, World, ASYNC, BLOCKING, REPORT};
use htp_runtime::device::{Event, ExecuteError};
use htp_runtime::error::{CancelError, SubmitError};
use htp_runtime::event::Outcome;
use htp_runtime::limits::DEADLINES_PER_CALL;
use htp_runtime::runtime::SubmitOptions;

fn within(world: &World, duration_us: u64) -> SubmitOptions {
    SubmitOptions { deadline: world.now.after_us(duration_us), ..ASYNC }
}

// REQ: CANCEL-003
#[test]
fn a_queued_request_times_out_without_running() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(4);
    let first = world.submit_n(graph, 1)[0];
    let options = within(&world, 100);
    let second = world.submit(graph, options).unwrap();
    assert_eq!(world.runtime.poll_timeout(), Some(options.deadline));
    world.advance(99);
    assert_eq!(world.outcome(second), None);
    world.advance(1);
    assert_eq!(world.outcome(second), Some(Outcome::TimedOut));
    world.finish(first);
    assert!(!world.device.journal.contains(&Seen::Execute(second)));
    assert_eq!(world.completions.len(), 2);
}

// REQ: CANCEL-003
#[test]
fn a_running_request_is_stopped_at_its_deadline() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(4);
    let options = within(&world, 100);
    let request = world.submit(graph, options).unwrap();
    world.settle();
    world.advance(100);
    assert!(world.device.journal.contains(&Seen::Abort(request)));
    assert_eq!(world.outcome(request), Some(Outcome::TimedOut));
    assert_eq!(world.runtime.context_stats(context).unwrap().counts.timed_out, 1);
}

#[test]
fn a_running_request_that_is_faster_than_its_abort_completes() {
    let mut world = World::new();
    world.device.ignore_aborts = true;
    let (_, graph) = world.context_and_graph(4);
    let options = within(&world, 100);
    let request = world.submit(graph, options).unwrap();
    world.settle();
    world.advance(200);
    assert_eq!(world.outcome(request), None, "it ends when the device says so");
    world.finish(request);
    assert_eq!(world.outcome(request), Some(Outcome::Completed));
    world.advance(1_000);
    assert_eq!(world.completions.len(), 1);
    assert_eq!(world.runtime.cancel(world.now, request), Err(CancelError::Invalid));
}

#[test]
fn a_request_that_ends_in_time_is_not_timed_out_later() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(4);
    let options = within(&world, 100);
    let request = world.submit(graph, options).unwrap();
    world.settle();
    world.finish(request);
    assert_eq!(world.runtime.poll_timeout(), None);
    world.advance(1_000);
    assert_eq!(world.outcome(request), Some(Outcome::Completed));
    assert_eq!(world.completions.len(), 1);
}

#[test]
fn deadlines_expire_in_their_order_a_bounded_number_at_a_time() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(100);
    world.submit_n(graph, 1);
    let delays: Vec<u64> = (0..80).map(|index| 1 + (index * 37) % 80).collect();
    for &delay in &delays {
        let options = SubmitOptions { user_data: [delay as usize; 3], ..within(&world, delay) };
        world.submit(graph, options).unwrap();
    }
    world.now = world.now.after_us(80);
    world.runtime.handle_timeout(world.now);
    assert_eq!(world.drain_notices(), DEADLINES_PER_CALL);
    assert!(world.runtime.poll_timeout().is_some_and(|at| at <= world.now), "more are due");
    world.advance(0);
    let order: Vec<_> = world.completions.iter().map(|heard| heard.user_data[0]).collect();
    assert_eq!(order, (1..=80).collect::<Vec<_>>());
}

// REQ: CANCEL-002
#[test]
fn cancelling_ends_queued_and_running_requests_once() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(4);
    let [running, queued] = world.submit_n(graph, 2)[..] else { panic!() };
    assert_eq!(world.runtime.cancel(world.now, queued), Ok(()));
    assert_eq!(world.runtime.cancel(world.now, queued), Err(CancelError::Ending));
    assert_eq!(world.runtime.cancel(world.now, running), Ok(()));
    assert_eq!(world.runtime.cancel(world.now, running), Err(CancelError::Ending));
    world.settle();
    world.assert_outcomes(&[running, queued], Outcome::Aborted);
    assert!(!world.device.journal.contains(&Seen::Execute(queued)));
    for request in [running, queued] {
        assert_eq!(world.runtime.cancel(world.now, request), Err(CancelError::Invalid));
    }
    assert_eq!(world.runtime.context_stats(context).unwrap().counts.aborted, 2);
    let aborts = world.device.journal.iter().filter(|seen| matches!(seen, Seen::Abort(_)));
    assert_eq!(aborts.count(), 1);
    world.free_and_check(&[context]);
}

#[test]
fn a_cancelled_request_that_was_faster_completes() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(4);
    let request = world.submit_n(graph, 1)[0];
    // The end is on its way up while the abort is on its way down.
    world.device.finish(request, Ok(REPORT));
    assert_eq!(world.runtime.cancel(world.now, request), Ok(()));
    world.settle();
    world.assert_outcomes(&[request], Outcome::Completed);
}

#[test]
fn a_request_that_has_ended_cannot_be_cancelled() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(4);
    let request = world.submit_n(graph, 1)[0];
    world.device.finish(request, Err(ExecuteError::Internal));
    world.deliver();
    assert_eq!(world.runtime.cancel(world.now, request), Err(CancelError::Ending));
    world.settle();
    assert_eq!(world.outcome(request), Some(Outcome::Failed));
}

#[test]
fn an_abort_by_the_device_itself_is_an_abort() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(4);
    let request = world.submit_n(graph, 1)[0];
    world.fail(request, ExecuteError::Aborted);
    assert_eq!(world.outcome(request), Some(Outcome::Aborted));
}

#[test]
fn blocking_requests_time_out_too() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(4);
    let deadline = world.now.after_us(10);
    let running = world.submit(graph, SubmitOptions { deadline, ..BLOCKING }).unwrap();
    let queued = world.submit(graph, SubmitOptions { deadline, ..BLOCKING }).unwrap();
    world.settle();
    assert!(world.runtime.take_outcome(world.now, running).is_none());
    world.advance(10);
    for request in [running, queued] {
        let completion = world.runtime.take_outcome(world.now, request).unwrap();
        assert_eq!(completion.outcome, Outcome::TimedOut);
        assert!(world.runtime.take_outcome(world.now, request).is_none());
    }
    assert!(world.completions.is_empty());
}

#[test]
fn answers_to_nothing_and_second_answers_are_dropped_and_counted() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(4);
    let [first, queued] = world.submit_n(graph, 2)[..] else { panic!() };
    let epoch = world.runtime.epoch();
    let executed = |request| Event::Executed { request, epoch, result: Ok(REPORT) };
    // Not running yet.
    world.device.say(executed(queued));
    world.settle();
    assert_eq!(world.outcome(queued), None);
    world.finish(first);
    // A second time, and a forged one.
    let forged = htp_runtime::handle::RequestId { context: 900, slot: 900, generation: 1 };
    for request in [first, first, forged] {
        world.device.say(executed(request));
    }
    world.settle();
    assert_eq!(world.runtime.counters().late_events, 4);
    world.finish(queued);
    world.assert_outcomes(&[first, queued], Outcome::Completed);
    world.free_and_check(&[context]);
}

#[test]
fn second_answers_to_control_commands_are_dropped_and_counted() {
    let mut world = World::new();
    let (context, _) = world.context_and_graph(4);
    let memory = crate::support::client_memory(64);
    world.runtime.buffer_register(context, memory).unwrap();
    world.settle();
    for event in world.device.answered.clone() {
        world.device.say(event);
    }
    world.settle();
    world.device.hold_controls = true;
    world.runtime.context_free(world.now, context).unwrap();
    world.settle();
    for event in world.device.answered.clone() {
        world.device.say(event);
    }
    world.settle();
    assert!(!world.runtime.context_is_gone(context), "the device has not let go");
    world.device.answer_controls();
    world.settle();
    world.device.hold_controls = true;
    world.device.answer_controls();
    world.settle();
    for event in world.device.answered.clone() {
        world.device.say(event);
    }
    world.settle();
    world.assert_clean();
    assert!(world.runtime.counters().late_events > 3);
}

#[test]
fn a_blocking_request_that_nobody_waits_for_any_more_is_heard_without_words() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(2);
    let with_words = SubmitOptions { user_data: [1, 2, 3], ..BLOCKING };
    for running in [false, true] {
        let request = world.submit(graph, with_words).unwrap();
        if running {
            world.settle();
        }
        assert_eq!(world.submit(graph, ASYNC), Err(SubmitError::MixedModes));
        world.runtime.abandon(request);
        assert!(world.runtime.is_live(request), "its memory is still lent");
        assert_eq!(world.submit(graph, BLOCKING), Err(SubmitError::MixedModes), "it is the other");
        world.settle();
        assert_eq!(world.runtime.take_outcome(world.now, request), None, "not even asked for");
        world.finish(request);
        assert_eq!(world.outcome(request), Some(Outcome::Completed));
        let heard = world.completions.pop().unwrap();
        assert_eq!((heard.request, heard.user_data), (request, [0; 3]));
        assert!(!world.runtime.is_live(request));
    }
    assert!(world.runtime.is_idle());
}

#[test]
fn abandoning_frees_what_has_ended_and_leaves_other_requests_alone() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(1);
    let ended = world.submit(graph, BLOCKING).unwrap();
    world.settle();
    assert!(world.runtime.device_makes_room(graph));
    world.finish(ended);
    assert!(!world.runtime.device_makes_room(graph), "room is made by who asks for the outcome");
    assert_eq!(world.submit(graph, BLOCKING), Err(SubmitError::QueueFull));
    assert!(world.runtime.is_live(ended));
    world.runtime.abandon(ended);
    assert!(!world.runtime.is_live(ended));
    assert_eq!(world.runtime.take_outcome(world.now, ended), None);
    // The next one has the slot, and is not meant.
    let words = SubmitOptions { user_data: [7; 3], ..ASYNC };
    let next = world.submit(graph, words).unwrap();
    for request in [ended, next] {
        world.runtime.abandon(request);
    }
    world.settle();
    assert!(world.runtime.is_running(next) && !world.runtime.is_running(ended));
    world.finish(next);
    assert_eq!(world.completions.pop().map(|heard| heard.user_data), Some([7; 3]));
    world.free_and_check(&[context]);
    assert!(!world.runtime.device_makes_room(graph));
}
