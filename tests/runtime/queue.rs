//! Queues: depth, room, exactly one completion, pairs, and what is refused.

use crate::support::{all_capabilities, depth, World, ASYNC, BLOCKING, CAPACITIES, REPORT};
use htp_runtime::capability::{Capabilities, PlatformKind};
use htp_runtime::device::{Device, ExecuteError};
use htp_runtime::error::{CreateError, HandleError, SubmitError};
use htp_runtime::event::Outcome;
use htp_runtime::limits::{Capacities, QUEUE_DEPTH_MAX};
use htp_runtime::profile::{ProfileCall, ProfileEvent, ProfileLevel};
use htp_runtime::region::Region;
use htp_runtime::runtime::{ContextConfig, Runtime, SubmitOptions};
use htp_runtime::sched::Priority;
use htp_runtime::time::Instant;

fn refused_depth(queue_depth: u32) {
    let mut world = World::new();
    let used = world.runtime.region().used_bytes();
    let answer = world.runtime.context_create(&depth(queue_depth));
    assert_eq!(answer, Err(CreateError::Config), "{queue_depth}");
    assert_eq!(world.runtime.region().used_bytes(), used);
    assert_eq!(world.runtime.context_count(), 0);
    assert_eq!(world.drain_commands(), 0);
}

// REQ: ASYNC-014
#[test]
fn the_depth_is_ten_without_configuration() {
    let mut world = World::new();
    let context = world.context(&ContextConfig::default());
    assert_eq!(world.runtime.context_stats(context).unwrap().queue_depth, 10);
    let graph = world.graph(context, "net", Priority::Normal);
    world.submit_n(graph, 10);
    assert_eq!(world.submit(graph, ASYNC), Err(SubmitError::QueueFull));
}

// REQ: ASYNC-006, ASYNC-008
#[test]
fn depths_from_1_to_300_hold_as_many_requests() {
    for queue_depth in [1, 2, 3, 25, 299, 300] {
        let mut world = World::new();
        let (context, graph) = world.context_and_graph(queue_depth);
        let requests = world.submit_n(graph, queue_depth as usize);
        assert_eq!(world.submit(graph, ASYNC), Err(SubmitError::QueueFull));
        let stats = world.runtime.context_stats(context).unwrap();
        assert_eq!(u32::from(stats.queue_used), queue_depth);
        world.finish_all();
        world.assert_outcomes(&requests, Outcome::Completed);
        world.free_and_check(&[context]);
    }
}

// REQ: ASYNC-009
#[test]
fn other_depths_are_configuration_errors() {
    for queue_depth in [0, 301, 302, 65_535, 65_536, 65_537, 65_836, u32::MAX] {
        refused_depth(queue_depth);
    }
}

// REQ: ASYNC-010
#[test]
fn the_depth_stays_as_it_was_created() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(3);
    world.submit_n(graph, 2);
    world.finish_all();
    world.runtime.context_set_priority(context, Priority::Low).unwrap();
    world.graph(context, "other", Priority::Normal);
    world.submit_n(graph, 3);
    assert_eq!(world.runtime.context_stats(context).unwrap().queue_depth, 3);
    assert_eq!(world.submit(graph, ASYNC), Err(SubmitError::QueueFull));
}

#[test]
fn a_full_queue_refuses_and_changes_nothing_until_a_slot_is_free() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(2);
    let requests = world.submit_n(graph, 2);
    let before = world.runtime.context_stats(context).unwrap();
    let records = world.runtime.trace().total();
    for _ in 0..10 {
        let options = SubmitOptions { deadline: world.now.after_us(1), ..ASYNC };
        assert_eq!(world.submit(graph, options), Err(SubmitError::QueueFull));
    }
    assert_eq!(world.runtime.context_stats(context).unwrap(), before);
    assert_eq!(world.runtime.trace().total(), records);
    world.advance(10);
    assert!(world.completions.is_empty());

    world.finish(requests[0]);
    world.submit(graph, ASYNC).unwrap();
    assert_eq!(world.submit(graph, ASYNC), Err(SubmitError::QueueFull));
}

#[test]
fn a_slot_is_free_again_when_the_completion_is_heard() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(1);
    let request = world.submit_n(graph, 1)[0];
    world.device.finish(request, Ok(REPORT));
    world.deliver();
    assert_eq!(world.submit(graph, ASYNC), Err(SubmitError::QueueFull));
    assert_eq!(world.drain_notices(), 1);
    assert!(world.submit(graph, ASYNC).is_ok());
}

// REQ: ASYNC-001, ASYNC-002
#[test]
fn submit_returns_first_and_each_request_is_heard_once_with_its_own_words() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(10);
    let mut requests = Vec::new();
    for word in 0..10 {
        let options = SubmitOptions { user_data: [word, !word, 0], ..ASYNC };
        requests.push(world.submit(graph, options).unwrap());
        assert!(!world.runtime.has_notice() && world.completions.is_empty());
    }
    world.settle();
    world.now = world.now.after_us(500);
    world.finish_all();
    world.assert_outcomes(&requests, Outcome::Completed);
    for (word, (completion, request)) in world.completions.iter().zip(&requests).enumerate() {
        assert_eq!(completion.user_data, [word, !word, 0]);
        assert_eq!(completion.request, *request);
        assert_eq!(completion.times.submitted, Instant::from_us(1_000));
        assert_eq!(completion.times.completed, Instant::from_us(1_500));
        assert_eq!(completion.times.cycles, REPORT.cycles);
        assert_eq!(completion.times.device_time_us, REPORT.device_time_us);
    }
}

// REQ: ASYNC-003
#[test]
fn one_caller_queues_on_several_graphs() {
    let mut world = World::new();
    let context = world.context(&depth(30));
    let graphs = ["a", "b", "c"].map(|name| world.graph(context, name, Priority::Normal));
    let requests: Vec<_> =
        (0..30).map(|index| world.submit(graphs[index % 3], ASYNC).unwrap()).collect();
    world.settle();
    world.finish_all();
    world.assert_outcomes(&requests, Outcome::Completed);
}

#[test]
fn what_the_device_cannot_execute_fails_once() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(4);
    for error in [ExecuteError::BadMemory, ExecuteError::Internal, ExecuteError::NoSuchGraph] {
        let request = world.submit_n(graph, 1)[0];
        world.fail(request, error);
        assert_eq!(world.outcome(request), Some(Outcome::Failed));
    }
    assert_eq!(world.runtime.context_stats(context).unwrap().counts.failed, 3);
}

// REQ: ASYNC-022, ASYNC-019, ASYNC-018
#[test]
fn async_is_refused_where_the_platform_has_none_and_blocking_works() {
    let platforms = [
        (PlatformKind::QnxAdas, 68, true),
        (PlatformKind::QnxIvi, 73, true),
        (PlatformKind::QnxIvi, 75, true),
        (PlatformKind::QnxIvi, 69, false),
        (PlatformKind::Android, 75, false),
        (PlatformKind::X86Simulation, 75, false),
    ];
    for (platform, arch, offered) in platforms {
        let mut world = World::with(platform.capabilities(arch), CAPACITIES);
        let (context, graph) = world.context_and_graph(2);
        let answer = world.submit(graph, ASYNC);
        assert_eq!(answer.is_ok(), offered, "{platform:?} {arch}");
        if !offered {
            assert_eq!(answer, Err(SubmitError::AsyncNotSupported));
            let request = world.submit(graph, BLOCKING).unwrap();
            world.settle();
            world.finish(request);
            assert!(world.runtime.take_outcome(world.now, request).is_some());
            assert!(world.completions.is_empty(), "a refused request is not heard");
            world.free_and_check(&[context]);
        }
    }
}

// REQ: ASYNC-020, ASYNC-021
#[test]
fn async_needs_remote_calls_and_can_be_enabled_elsewhere() {
    for platform in (0..).map_while(PlatformKind::from_number) {
        for arch in [68, 69, 73, 75, 79, 81] {
            let offered = platform.capabilities(arch);
            let needed = Capabilities::REMOTE;
            let asynchronous = offered.contains(Capabilities::ASYNC_EXECUTION);
            assert!(!asynchronous || offered.contains(needed), "{platform:?} {arch}");
        }
    }
    let enabled = PlatformKind::LinuxArm.capabilities(75) | Capabilities::ASYNC_EXECUTION;
    let mut world = World::with(enabled, CAPACITIES);
    let (_, graph) = world.context_and_graph(1);
    let request = world.submit_n(graph, 1)[0];
    world.finish(request);
    assert_eq!(world.outcome(request), Some(Outcome::Completed));
}

// REQ: ASYNC-038
#[test]
fn a_graph_is_not_executed_blocking_and_asynchronously_at_once() {
    let mut world = World::new();
    let context = world.context(&depth(4));
    let graph = world.graph(context, "net", Priority::Normal);
    let other = world.graph(context, "other", Priority::Normal);
    let first = world.submit_n(graph, 1)[0];
    assert_eq!(world.submit(graph, BLOCKING), Err(SubmitError::MixedModes));
    let beside = world.submit(other, BLOCKING).expect("other graphs share the queue");
    world.settle();
    world.finish(first);
    let second = world.submit(graph, BLOCKING).expect("nothing asynchronous is in flight");
    assert_eq!(world.submit(graph, ASYNC), Err(SubmitError::MixedModes));
    world.settle();
    world.finish(beside);
    world.finish(second);
    assert!(world.submit(graph, ASYNC).is_ok());
    for request in [beside, second] {
        let completion = world.runtime.take_outcome(world.now, request).unwrap();
        assert_eq!(completion.outcome, Outcome::Completed);
        assert!(world.runtime.take_outcome(world.now, request).is_none(), "only once");
        assert_eq!(world.outcome(request), None, "blocking requests are not heard as notices");
    }
}

// REQ: ASYNC-033, ASYNC-034, ASYNC-039
#[test]
fn at_most_two_of_equal_priority_run_chosen_from_the_first_three() {
    let mut world = World::new();
    let context = world.context(&depth(10));
    let [a, b, c] = ["a", "b", "c"].map(|name| world.graph(context, name, Priority::Normal));
    // Queue: a a b c. The first a and, looking past the second a, b.
    let queue = [a, a, b, c].map(|graph| world.submit(graph, ASYNC).unwrap());
    world.settle();
    assert_eq!(world.running(), [queue[0], queue[2]]);
    world.finish(queue[2]);
    assert_eq!(world.running(), [queue[0], queue[3]]);
    world.finish(queue[0]);
    assert_eq!(world.running(), [queue[3], queue[1]]);
    world.finish_all();

    // Queue: a a a b. The window of three shows only a: b waits although it could run.
    let queue = [a, a, a, a, b].map(|graph| world.submit(graph, ASYNC).unwrap());
    world.settle();
    assert_eq!(world.running(), [queue[0]], "b is the fourth of those that wait");
    world.finish(queue[0]);
    assert_eq!(world.running(), [queue[1], queue[4]]);
}

// REQ: ASYNC-035
#[test]
fn requests_run_one_at_a_time_where_graphs_do_not_run_in_parallel() {
    let mut world = World::without(Capabilities::PARALLEL_GRAPHS);
    let context = world.context(&depth(10));
    let graphs = ["a", "b", "c"].map(|name| world.graph(context, name, Priority::Normal));
    let requests = graphs.map(|graph| world.submit(graph, ASYNC).unwrap());
    world.settle();
    for request in requests {
        assert_eq!(world.running(), [request]);
        world.finish(request);
    }
    world.assert_outcomes(&requests, Outcome::Completed);
}

// REQ: ASYNC-031, ASYNC-037, PROF-001
#[test]
fn a_profile_object_serves_one_request_at_a_time() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(4);
    let basic = world.runtime.profile_create(ProfileLevel::Basic).unwrap();
    let detailed = world.runtime.profile_create(ProfileLevel::Detailed).unwrap();
    let with = |profile| SubmitOptions { profile: Some(profile), ..ASYNC };
    let first = world.submit(graph, with(basic)).unwrap();
    assert_eq!(world.submit(graph, with(basic)), Err(SubmitError::ProfileInUse));
    let second = world.submit(graph, with(detailed)).unwrap();
    world.settle();
    world.now = world.now.after_us(100);
    world.finish(first);
    world.now = world.now.after_us(60);
    world.finish(second);
    let summary =
        [ProfileEvent::HvxThreads(4), ProfileEvent::DeviceUs(40), ProfileEvent::TotalUs(100)];
    assert_eq!(world.runtime.profile_events(basic).unwrap(), summary);
    let parts = [
        ProfileEvent::HvxThreads(4),
        ProfileEvent::Yields(1),
        ProfileEvent::VtcmWaitUs(0),
        ProfileEvent::PowerUpUs(0),
        ProfileEvent::DeviceCycles(52_000),
        ProfileEvent::DeviceUs(40),
        ProfileEvent::QueueWaitUs(100),
        ProfileEvent::TotalUs(160),
    ];
    assert_eq!(world.runtime.profile_events(detailed).unwrap(), parts);

    let third = world.submit(graph, with(basic)).expect("it is free again");
    world.settle();
    world.runtime.profile_free(basic).unwrap();
    assert_eq!(world.submit(graph, with(basic)), Err(SubmitError::BadProfile));
    assert_eq!(world.runtime.profile_free(basic), Err(HandleError::Invalid));
    world.finish(third);
    assert_eq!(world.outcome(third), Some(Outcome::Completed));
}

#[test]
fn tensors_are_bound_in_any_order_and_wrong_ones_are_refused() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(1);
    let [input, output] = crate::support::bindings();
    let short = crate::support::client_memory(7);
    let missing = htp_runtime::runtime::IoBinding { tensor_id: 8, ..output };
    let small = htp_runtime::runtime::IoBinding { memory: short, ..output };
    let now = world.now;
    let mut submit = |io: &[_]| world.runtime.submit(now, graph, io, ASYNC);
    assert_eq!(submit(&[input]), Err(SubmitError::WrongTensorCount));
    assert_eq!(submit(&[input, output, output]), Err(SubmitError::WrongTensorCount));
    assert_eq!(submit(&[input, missing]), Err(SubmitError::BadTensor(9)));
    assert_eq!(submit(&[input, small]), Err(SubmitError::BadTensor(9)));
    assert_eq!(submit(&[input, input]), Err(SubmitError::BadTensor(9)));
    assert!(submit(&[output, input]).is_ok());
    world.settle();
    assert_eq!(world.device.executing[0].io.len(), 2);
    assert_eq!(world.runtime.context_stats(context).unwrap().counts.submitted, 1);
}

#[test]
fn the_capacity_for_requests_is_the_sum_of_the_depths() {
    let capacities = Capacities { requests: 310, ..CAPACITIES };
    let mut world = World::with(all_capabilities(), capacities);
    let big = world.context(&depth(300));
    let small = world.context(&depth(10));
    let answer = world.runtime.context_create(&depth(1));
    assert_eq!(answer, Err(CreateError::CapacityExceeded));
    world.free_and_check(&[big, small]);
    let again = world.context(&depth(QUEUE_DEPTH_MAX.into()));
    world.free_and_check(&[again]);
}

#[test]
fn the_memory_said_to_be_required_is_enough() {
    let tiny = Capacities {
        contexts: 1,
        graphs: 1,
        buffers: 0,
        requests: 1,
        profiles: 0,
        power_configs: 0,
        watched_outputs: 0,
        trace_records: 0,
    };
    let odd = Capacities {
        contexts: 3,
        graphs: 5,
        buffers: 7,
        requests: 11,
        profiles: 13,
        power_configs: 15,
        watched_outputs: 33,
        trace_records: 17,
    };
    for capacities in [tiny, odd, CAPACITIES, Capacities::DEFAULT] {
        let bytes = Runtime::memory_required(&capacities);
        let runtime = Runtime::new(Region::from_heap(bytes), &capacities, all_capabilities());
        assert!(runtime.is_ok(), "{capacities:?} does not fit {bytes}");
        let half = Runtime::new(Region::from_heap(bytes / 2), &capacities, all_capabilities());
        assert!(half.is_err());
    }
}

// REQ: PROF-001
#[test]
fn a_profile_object_holds_the_call_that_used_it_last_until_it_is_freed() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(4);
    let profile = world.runtime.profile_create(ProfileLevel::Detailed).unwrap();
    assert_eq!(world.runtime.profile(profile).unwrap().recordings(), 0);
    let request = world.submit(graph, SubmitOptions { profile: Some(profile), ..ASYNC }).unwrap();
    world.settle();
    world.finish(request);
    let executed = world.runtime.profile(profile).unwrap();
    assert_eq!((executed.recordings(), executed.execution()), (1, Some((graph, REPORT))));
    let call = ProfileCall::Free { total_us: 9, device_us: 4 };
    assert_eq!(world.runtime.profile_record(profile, call), Ok(()));
    let expected = [ProfileEvent::DeviceFreeUs(4), ProfileEvent::FreeUs(9)];
    assert_eq!(world.runtime.profile_events(profile).unwrap(), expected);
    assert_eq!(world.runtime.profile(profile).unwrap().recordings(), 2);
    assert_eq!(world.runtime.profile(profile).unwrap().execution(), None);
    // The device measures no single operations.
    assert_eq!(world.device.op_report(graph, &REPORT, 0), None);

    let last = SubmitOptions { profile: Some(profile), ..ASYNC };
    let request = world.submit(graph, last).unwrap();
    assert_eq!(world.runtime.profile_free(profile), Ok(()));
    for invalid in [
        world.runtime.profile_free(profile),
        world.runtime.profile_record(profile, call),
        world.runtime.profile_events(profile).map(|_| ()),
        world.runtime.profile(profile).map(|_| ()),
    ] {
        assert_eq!(invalid, Err(HandleError::Invalid));
    }
    assert_eq!(world.submit(graph, last), Err(SubmitError::BadProfile));
    world.settle();
    world.finish(request);
    world.assert_outcomes(&[request], Outcome::Completed);
}
