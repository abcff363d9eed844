//! The trace ring, its exporter, and profile objects.

use std::collections::HashMap;
use std::vec::Vec;

use serde_json::Value;

use super::trace::write_json;
use super::{Profile, ProfileEvent, ProfileLevel, Trace, TraceKind, TraceRecord};
use crate::event::RequestTimes;
use crate::handle::{Epoch, RequestId};
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
    assert_eq!(slices, 5, "three waits and two executions");
    let named = |name: &str| events.iter().filter(|event| event["name"] == name).count();
    assert_eq!((named("completed"), named("aborted"), named("device_reset")), (1, 1, 1));
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

// REQ: PROF-001
#[test]
fn a_profile_holds_the_last_call_only() {
    let times = |submitted, dispatched, completed| RequestTimes {
        submitted: Instant::from_us(submitted),
        dispatched: Instant::from_us(dispatched),
        completed: Instant::from_us(completed),
        device_time_us: 3,
        cycles: 900,
        yields: 2,
    };
    let mut profile = Profile::new(ProfileLevel::Detailed);
    assert!(profile.events().is_empty());
    profile.record_execution(&times(10, 15, 30));
    profile.record_execution(&times(100, 101, 104));
    let expected = [
        ProfileEvent::TotalUs(4),
        ProfileEvent::DeviceUs(3),
        ProfileEvent::DeviceCycles(900),
        ProfileEvent::QueueWaitUs(1),
        ProfileEvent::Yields(2),
    ];
    assert_eq!(profile.events(), expected);
    let mut basic = Profile::new(ProfileLevel::Basic);
    basic.record_execution(&times(100, 101, 104));
    assert_eq!(basic.events(), &expected[..3]);
    // A request that never reached the device did not wait for it.
    profile.record_execution(&times(100, 0, 104));
    assert_eq!(profile.events()[3], ProfileEvent::QueueWaitUs(0));
}
