//! Priorities: strictly first, frozen while in flight, and who may have which.

use crate::support::{depth, World, ASYNC, BLOCKING};
use htp_runtime::capability::Capabilities;
use htp_runtime::error::{CreateError, SubmitError};
use htp_runtime::event::Outcome;
use htp_runtime::runtime::ContextConfig;
use htp_runtime::sched::Priority;

// REQ: ASYNC-026
#[test]
fn the_more_important_start_first() {
    let mut world = World::new();
    let context = world.context(&depth(40));
    let graphs = Priority::ALL.map(|priority| {
        let name = format!("{priority:?}");
        (priority, world.graph(context, &name, priority))
    });
    // Least important first, so that the order of submission is the wrong one. The first low one
    // starts at once.
    let mut expected = Vec::new();
    for (priority, graph) in graphs.iter().rev() {
        for _ in 0..3 {
            expected.push((*priority, world.submit(*graph, ASYNC).unwrap()));
        }
    }
    expected.sort_by_key(|(priority, _)| *priority);
    let mut started = Vec::new();
    world.settle();
    while let [request] = world.running()[..] {
        let hmx = world.device.executing[0].hmx;
        started.push(request);
        assert_eq!(hmx, expected[started.len() - 1].0.threads().hmx);
        world.finish(request);
    }
    let expected: Vec<_> = expected.into_iter().map(|(_, request)| request).collect();
    assert_eq!(started, expected);
    world.assert_outcomes(&expected, Outcome::Completed);
}

// REQ: ASYNC-026
#[test]
fn a_more_important_request_starts_beside_a_running_one_and_holds_further_ones_back() {
    let mut world = World::new();
    let context = world.context(&depth(10));
    let low = world.graph(context, "low", Priority::Low);
    let other_low = world.graph(context, "other low", Priority::Low);
    let high = world.graph(context, "high", Priority::High);
    let background = world.submit_n(low, 1)[0];
    let urgent = world.submit_n(high, 1)[0];
    assert_eq!(world.running(), [background, urgent]);
    let waiting = world.submit_n(other_low, 1)[0];
    assert_eq!(world.running(), [background, urgent], "nothing less important starts");
    world.finish(urgent);
    assert_eq!(world.running(), [background, waiting]);
}

#[test]
fn every_level_can_have_its_pair_on_the_device() {
    let mut world = World::new();
    let context = world.context(&depth(20));
    let mut requests = Vec::new();
    for priority in Priority::ALL.into_iter().rev() {
        for name in ["first", "second"] {
            let graph = world.graph(context, &format!("{priority:?} {name}"), priority);
            requests.push(world.submit_n(graph, 1)[0]);
        }
    }
    assert_eq!(world.running(), requests);
    assert_eq!(world.runtime.counters().faults, 0);
    world.finish_all();
    world.free_and_check(&[context]);
}

// REQ: ASYNC-027
#[test]
fn a_priority_is_frozen_while_asynchronous_requests_are_in_flight() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(4);
    let requests = world.submit_n(graph, 2);
    for _ in 0..2 {
        let graph_answer = world.runtime.graph_set_priority(graph, Priority::High);
        assert_eq!(graph_answer, Err(CreateError::Config));
        let context_answer = world.runtime.context_set_priority(context, Priority::High);
        assert_eq!(context_answer, Err(CreateError::Config));
        assert_eq!(world.runtime.graph_priority(graph), Ok(Priority::Normal));
        // The second time only the queued request is left.
        world.device.hold_executions = false;
        world.runtime.cancel(world.now, requests[1]).ok();
        world.drain_notices();
    }
    world.finish(requests[0]);
    assert_eq!(world.runtime.graph_set_priority(graph, Priority::High), Ok(()));
    assert_eq!(world.runtime.graph_priority(graph), Ok(Priority::High));
}

// REQ: PRIO-009
#[test]
fn a_change_takes_effect_on_the_next_execution() {
    let mut world = World::new();
    let (_, graph) = world.context_and_graph(4);
    let running = world.submit(graph, BLOCKING).unwrap();
    world.settle();
    world.runtime.graph_set_priority(graph, Priority::Low).expect("blocking ones do not freeze it");
    assert_eq!(world.device.executing[0].hmx, 0xC0);
    world.finish(running);
    world.submit(graph, BLOCKING).unwrap();
    world.settle();
    assert_eq!(world.device.executing[0].hmx, 0xC5);
}

// REQ: PRIO-011, PRIO-008
#[test]
fn a_context_passes_its_priority_on() {
    let mut world = World::new();
    let context = world.context(&depth(4));
    let composed = world.composed(context, "composed");
    assert_eq!(world.runtime.graph_priority(composed), Ok(Priority::DEFAULT));
    let loaded = world.graph(context, "loaded", Priority::Low);
    world.runtime.context_set_priority(context, Priority::NormalHigh).unwrap();
    for graph in [composed, loaded] {
        assert_eq!(world.runtime.graph_priority(graph), Ok(Priority::NormalHigh));
    }
    let later = world.composed(context, "later");
    assert_eq!(world.runtime.graph_priority(later), Ok(Priority::NormalHigh));
}

// REQ: PRIO-010
#[test]
fn the_unprivileged_get_no_more_than_normal() {
    let mut world = World::without(Capabilities::PRIVILEGED_PRIORITY);
    let config = ContextConfig { priority: Priority::High, ..depth(8) };
    let context = world.context(&config);
    let inherited = world.composed(context, "inherited");
    assert_eq!(world.runtime.graph_priority(inherited), Ok(Priority::Normal));
    for (asked, given) in [
        (Priority::High, Priority::Normal),
        (Priority::NormalHigh, Priority::Normal),
        (Priority::Normal, Priority::Normal),
        (Priority::Low, Priority::Low),
    ] {
        let graph = world.graph(context, &format!("asked {asked:?}"), asked);
        assert_eq!(world.runtime.graph_priority(graph), Ok(given));
        world.runtime.graph_set_priority(graph, asked).unwrap();
        assert_eq!(world.runtime.graph_priority(graph), Ok(given));
        world.submit_n(graph, 1);
        assert_eq!(world.device.executing[0].hmx, given.threads().hmx);
        world.finish_all();
    }
    world.runtime.context_set_priority(context, Priority::High).unwrap();
    assert_eq!(world.runtime.graph_priority(inherited), Ok(Priority::Normal));
    assert_eq!(world.submit(inherited, ASYNC), Err(SubmitError::NotFinalized));
}
