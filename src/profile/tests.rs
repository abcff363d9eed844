//! The trace ring, its exporter, and profile objects.

use std::collections::HashMap;
use std::vec::Vec;

use serde_json::Value;

use super::trace::write_json;
use super::{Profile, ProfileCall, ProfileEvent, ProfileLevel, Trace, TraceKind, TraceRecord};
use crate::device::{ExecutionReport, PrepareTimes};
use crate::event::RequestTimes;
use crate::handle::{Epoch, GraphId, RequestId};
use crate::queue::Mode;
use crate::region::Region;
use crate::time::Instant;

fn record(kind: TraceKind, at_us: u64, generation: u32, value: u32) -> TraceRecord {
    let request = RequestId { context: (generation % 3) as u16, slot: 0, generation };
    TraceRecord { at: Instant::from_us(at_us), kind, epoch: Epoch::FIRST, request, value }
}

fn ring(capacity: u32) -> Trace<'static> {
    Trace::new(&mut Region::from_heap(1 << 14), capacity).unwrap()
}

fn export<'a>(records: impl Iterator<Item = &'a TraceRecord>) -> Vec<Value> {
    let mut bytes = [0u8; 1 << 16];
    let mut rest = &mut bytes[..];
    write_json(records, &mut rest).unwrap();
    let left = rest.len();
    let written = &bytes[..bytes.len() - left];
    let document: Value = serde_json::from_slice(written).unwrap();
    document["traceEvents"].as_array().unwrap().clone()
}

#[test]
fn the_ring_keeps_the_newest_in_their_order() {
    for capacity in [1, 2, 3, 7] {
        let mut trace = ring(capacity);
        assert_eq!(trace.records().count(), 0);
        for written in 1..=20u64 {
            trace.push(record(TraceKind::Submitted, written, 1, 0));
            let kept: Vec<u64> = trace.records().map(|record| record.at.as_us()).collect();
            let first = written.saturating_sub(capacity.into()) + 1;
            assert_eq!(kept, (first..=written).collect::<Vec<_>>(), "{capacity} {written}");
            assert_eq!(trace.total(), written);
            assert_eq!(trace.overwritten(), written.saturating_sub(capacity.into()));
        }
    }
}

#[test]
fn without_room_nothing_is_kept_and_all_is_counted() {
    let mut trace = ring(0);
    trace.push(record(TraceKind::Restart, 1, 0, 1));
    assert_eq!((trace.records().count(), trace.total(), trace.overwritten()), (0, 1, 1));
}

#[test]
fn an_empty_trace_is_a_document_that_names_its_tracks() {
    let events = export([].iter());
    let names: Vec<_> = events.iter().map(|event| event["args"]["name"].as_str()).collect();
    assert_eq!(names, [Some("queues"), Some("device"), Some("restart")]);
}

#[test]
fn every_slice_that_begins_ends_once_on_the_same_track() {
    let records = [
        record(TraceKind::Submitted, 10, 1, 1),
        record(TraceKind::Submitted, 11, 2, 2),
        record(TraceKind::Dispatched, 12, 1, 0xC0),
        record(TraceKind::Submitted, 13, u32::MAX, 1),
        record(TraceKind::Withdrawn, 14, 2, 4),
        record(TraceKind::Ended, 20, 1, 0),
        record(TraceKind::Restart, 21, 0, 1),
        record(TraceKind::Dispatched, 22, u32::MAX, 0xC0),
        record(TraceKind::Ended, 25, u32::MAX, 1),
        record(TraceKind::Submitted, 26, 3, 1),
        record(TraceKind::FellBack, 27, 3, 0),
        record(TraceKind::Ended, 29, 3, 0),
        record(TraceKind::ContextLost, 30, 0, 0),
    ];
    let events = export(records.iter());
    let mut open = HashMap::new();
    let mut slices = 0;
    for event in &events {
        let number = |key: &str| event[key].as_u64().unwrap();
        let phase = event["ph"].as_str().unwrap();
        if phase != "b" && phase != "e" {
            continue;
        }
        let name = event["name"].as_str().unwrap();
        let key = (number("pid"), number("tid"), number("id"), name);
        let time = number("ts");
        if phase == "b" {
            assert!(open.insert(key, time).is_none(), "{key:?} begins twice");
        } else {
            let begin = open.remove(&key);
            assert!(begin.is_some_and(|begin| begin <= time), "{key:?} ends unopened");
            slices += 1;
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(slices, 7, "four waits and three executions");
    let named = |name: &str| events.iter().filter(|event| event["name"] == name).count();
    assert_eq!((named("completed"), named("aborted"), named("device_reset")), (2, 1, 1));
    assert_eq!((named("on the fallback"), named("context lost")), (1, 1));
    assert_eq!((named("BeforeShutdown"), named("epoch")), (1, 1));
}

#[test]
fn numbers_without_a_name_are_still_a_document() {
    let records =
        [record(TraceKind::Restart, 1, 0, 77), record(TraceKind::Ended, u64::MAX, 1, u32::MAX)];
    let events = export(records.iter());
    assert_eq!(events.iter().filter(|event| event["name"] == "unknown").count(), 2);
}

#[test]
fn a_full_writer_is_an_error_and_not_half_a_success() {
    let mut bytes = [0u8; 100];
    assert!(write_json([].iter(), &mut &mut bytes[..]).is_err());
}

const REPORT: ExecutionReport = ExecutionReport {
    device_time_us: 3,
    cycles: 900,
    yields: 2,
    wait_cycles: 50,
    started: Instant::from_us(103),
    hvx_threads: 4,
    power_up_us: 1,
    number: 7,
};

fn times(submitted: u64, dispatched: u64, completed: u64) -> RequestTimes {
    RequestTimes {
        submitted: Instant::from_us(submitted),
        dispatched: Instant::from_us(dispatched),
        completed: Instant::from_us(completed),
        ..RequestTimes::default()
    }
}

fn graph() -> GraphId {
    GraphId::from_parts(5, 1, Epoch::FIRST)
}

fn executed(profile: &mut Profile, times: &RequestTimes, mode: Mode) {
    profile.begin();
    profile.executed(graph(), &REPORT);
    profile.end(times, mode);
}

// REQ: PROF-001
#[test]
fn a_profile_holds_the_last_call_only() {
    let mut profile = Profile::new(ProfileLevel::Basic);
    assert!(profile.events().is_empty());
    executed(&mut profile, &times(10, 15, 30), Mode::Blocking);
    let before = profile.recordings();
    executed(&mut profile, &times(100, 101, 104), Mode::Blocking);
    let expected =
        [ProfileEvent::HvxThreads(4), ProfileEvent::DeviceUs(3), ProfileEvent::TotalUs(4)];
    assert_eq!(profile.events(), expected);
    assert_ne!(profile.recordings(), before);
    assert_eq!(profile.execution(), None, "operations are told from the next level on");
    profile.record(ProfileCall::Load { total_us: 9, device_us: 5 });
    assert_eq!(profile.events(), [ProfileEvent::DeviceLoadUs(5), ProfileEvent::LoadUs(9)]);
    profile.record(ProfileCall::Free { total_us: 8, device_us: 4 });
    assert_eq!(profile.events(), [ProfileEvent::DeviceFreeUs(4), ProfileEvent::FreeUs(8)]);
}

// REQ: PROF-010, PROF-019
#[test]
fn higher_levels_tell_the_parts_of_an_execution() {
    let parts = |cycles| {
        [
            ProfileEvent::HvxThreads(4),
            ProfileEvent::Yields(2),
            ProfileEvent::VtcmWaitUs(2),
            ProfileEvent::PowerUpUs(1),
            cycles,
            ProfileEvent::DeviceUs(3),
            ProfileEvent::TotalUs(4),
        ]
    };
    let mut detailed = Profile::new(ProfileLevel::Detailed);
    executed(&mut detailed, &times(100, 101, 104), Mode::Blocking);
    assert_eq!(detailed.events(), parts(ProfileEvent::DeviceCycles(900)));
    assert_eq!(detailed.execution(), Some((graph(), REPORT)));
    let mut linting = Profile::new(ProfileLevel::Linting);
    executed(&mut linting, &times(100, 101, 104), Mode::Blocking);
    assert_eq!(linting.events(), parts(ProfileEvent::CriticalCycles(950)));
    executed(&mut linting, &times(90, 101, 104), Mode::Asynchronous);
    assert_eq!(linting.events()[6], ProfileEvent::QueueWaitUs(11));
}

#[test]
fn what_the_device_did_not_execute_has_no_events_of_it() {
    let mut profile = Profile::new(ProfileLevel::Detailed);
    executed(&mut profile, &times(100, 101, 104), Mode::Blocking);
    profile.begin();
    profile.end(&times(200, 0, 204), Mode::Asynchronous);
    // It never reached the device, so it did not wait for it.
    assert_eq!(profile.events(), [ProfileEvent::QueueWaitUs(0), ProfileEvent::TotalUs(4)]);
    assert_eq!(profile.execution(), None);
}

#[test]
fn the_parts_of_a_finalization_make_up_its_time() {
    let device = PrepareTimes { check_us: 20, place_us: 30, compile_us: 40 };
    let call = ProfileCall::Finalize { total_us: 111, compose_us: 10, device };
    let mut profile = Profile::new(ProfileLevel::Detailed);
    profile.record(call);
    let (whole, parts) = profile.events().split_first().unwrap();
    assert_eq!(*whole, ProfileEvent::FinalizeUs(111));
    let times: Vec<u64> = parts
        .iter()
        .map(|part| match *part {
            ProfileEvent::PrepareUs(_, us) => us,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(times, [10, 0, 0, 20, 30, 0, 40, 11]);
    for level in [ProfileLevel::Basic, ProfileLevel::Linting] {
        let mut profile = Profile::new(level);
        profile.record(call);
        assert_eq!(profile.events(), [ProfileEvent::FinalizeUs(111)]);
    }
}
