//! The trace of a run: complete, balanced, and the same for the same inputs.

use std::collections::HashMap;

use crate::support::{all_capabilities, depth, Connect, World, ASYNC, CAPACITIES};
use htp_runtime::device::ExecuteError;
use htp_runtime::limits::{Capacities, CONNECT_BACKOFF_US};
use htp_runtime::profile::trace::write_json;
use htp_runtime::profile::{TraceKind, TraceRecord};
use htp_runtime::runtime::SubmitOptions;
use htp_runtime::sched::Priority;
use htp_runtime::ssr::State;

/// Requests that end in every way there is, over two restarts.
fn eventful_run() -> World {
    let capacities = Capacities { trace_records: 1_000, ..CAPACITIES };
    let mut world = World::with(all_capabilities(), capacities);
    world.now = htp_runtime::time::Instant::ZERO;
    for round in 0..3 {
        let context = world.context(&depth(20));
        let normal = world.graph(context, "normal", Priority::Normal);
        let high = world.graph(context, "high", Priority::High);
        let requests = world.submit_n(normal, 6);
        world.submit_n(high, 4);
        let deadline = world.now.after_us(30);
        world.submit(normal, SubmitOptions { deadline, ..ASYNC }).unwrap();
        let first = world.running()[0];
        world.finish(first);
        world.runtime.cancel(world.now, requests[5]).unwrap();
        world.advance(30);
        let next = world.running()[0];
        world.fail(next, ExecuteError::Internal);
        if round < 2 {
            world.device.connects.extend(vec![Connect::Fail; round]);
            world.crash();
            world.advance(CONNECT_BACKOFF_US);
        }
        world.runtime.context_free(world.now, context).unwrap();
        world.settle();
    }
    world.assert_clean();
    world
}

fn records(world: &World) -> Vec<TraceRecord> {
    assert_eq!(world.runtime.trace().overwritten(), 0);
    world.runtime.trace().records().copied().collect()
}

#[test]
fn each_request_is_submitted_perhaps_dispatched_and_ends_once() {
    let world = eventful_run();
    let mut lives: HashMap<_, Vec<TraceKind>> = HashMap::new();
    for record in records(&world).iter().filter(|record| record.kind != TraceKind::Restart) {
        lives.entry(record.request.generation).or_default().push(record.kind);
    }
    assert_eq!(lives.len(), world.completions.len());
    let ran = [TraceKind::Submitted, TraceKind::Dispatched, TraceKind::Ended];
    let did_not = [TraceKind::Submitted, TraceKind::Withdrawn];
    assert!(lives.values().all(|life| *life == ran || *life == did_not), "{lives:?}");
    assert!([&ran[..], &did_not].iter().all(|kind| lives.values().any(|life| life == kind)));
}

#[test]
fn every_phase_of_a_restart_is_recorded_as_it_is_heard() {
    let world = eventful_run();
    let restarts = records(&world).into_iter().filter(|record| record.kind == TraceKind::Restart);
    let recorded: Vec<_> = restarts.map(|record| (record.at, record.value)).collect();
    let heard: Vec<_> = world.transitions.iter().map(|t| (t.at, t.to as u32)).collect();
    assert_eq!(recorded, heard);
    assert_eq!(recorded.last().map(|last| last.1), Some(State::Online as u32));
}

#[test]
fn the_exported_trace_begins_and_ends_its_slices_in_pairs() {
    let world = eventful_run();
    let mut bytes = vec![0; 1 << 18];
    let mut rest = &mut bytes[..];
    write_json(world.runtime.trace().records(), &mut rest).unwrap();
    let left = rest.len();
    let written = bytes.len() - left;
    let document: serde_json::Value = serde_json::from_slice(&bytes[..written]).unwrap();
    let mut open = HashMap::new();
    for event in document["traceEvents"].as_array().unwrap() {
        let key = ["pid", "tid", "id", "name"].map(|key| event[key].to_string());
        match event["ph"].as_str().unwrap() {
            "b" => assert!(open.insert(key, ()).is_none(), "{event}"),
            "e" => assert!(open.remove(&key).is_some(), "{event}"),
            _ => {}
        }
    }
    assert!(open.is_empty());
}

#[test]
fn the_same_inputs_give_the_same_trace() {
    let (first, second) = (eventful_run(), eventful_run());
    assert_eq!(records(&first), records(&second));
    assert_eq!(first.completions, second.completions);
    assert_eq!(first.transitions, second.transitions);
    assert_eq!(first.device.journal, second.device.journal);
}
