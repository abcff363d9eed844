//! Managed recovery: what can go wrong while contexts are rebuilt, at every step of it.

use std::collections::HashMap;

use crate::managed_world::{assert_told_once, config, recovery, Managed, ANSWERS};
use crate::support::{
    all_capabilities, client_memory, depth, Connect, Seen, World, ASYNC, CAPACITIES,
};
use htp_runtime::device::PrepareError;
use htp_runtime::error::{CreateError, HandleError, Status, SubmitError};
use htp_runtime::event::Outcome;
use htp_runtime::handle::ContextId;
use htp_runtime::limits::{Capacities, HANG_BUDGET_US};
use htp_runtime::profile::trace::write_json;
use htp_runtime::profile::TraceKind;
use htp_runtime::sched::Priority;
use htp_runtime::ssr::{Queued, Recovery, State};

const LOST: CreateError = CreateError::Handle(HandleError::Lost);

fn requeue(attempts_max: u32) -> Recovery {
    recovery(attempts_max, Queued::Requeue)
}

// REQ: SSR-028
#[test]
fn a_crash_after_each_answer_leaves_what_no_crash_would_have() {
    let twin = Managed::new(requeue(9)).world.device.state();
    let mut crashes = 0;
    for first in 0..ANSWERS {
        for second in 0..=ANSWERS {
            let mut managed = Managed::new(requeue(9));
            let requests = managed.world.submit_n(managed.loaded, 4);
            let others = managed.world.submit_n(managed.other, 4);
            let running = managed.world.running();
            assert!(managed.crash_and_answer(first));
            assert!(managed.crash_and_answer(second.min(ANSWERS - 1)));
            if second < ANSWERS {
                managed.world.device.crash_at_once();
                crashes += 1;
            }
            managed.world.settle();
            managed.assert_usable();
            assert_eq!(managed.world.device.state(), twin, "crash after {first}, {second}");
            assert_told_once(&managed.world.device.journal);
            assert_eq!(managed.last_life().len() - managed.world.running().len(), ANSWERS + 2);
            managed.world.finish_all();
            for (id, rest) in [(&requests, 3), (&others, 3)] {
                let (once, kept): (Vec<_>, Vec<_>) = id.iter().partition(|id| running.contains(id));
                managed.world.assert_outcomes(&once, Outcome::DeviceReset);
                managed.world.assert_outcomes(&kept, Outcome::Completed);
                assert!(kept.len() >= rest);
            }
            assert_eq!(managed.world.runtime.counters().contexts_lost, 0);
            managed.end();
        }
    }
    assert_eq!(crashes, ANSWERS * ANSWERS);
}

#[test]
fn a_crash_costs_the_context_whose_turn_it_was() {
    // Three crashes meet the first context; the second, which is tried next each time, pays none.
    let mut managed = Managed::with(requeue(3), requeue(1));
    let lost = managed.world.submit_n(managed.loaded, 1)[0];
    let queued = managed.world.submit_n(managed.composed, 3);
    let kept = managed.world.submit_n(managed.other, 2);
    assert!(managed.crash_and_answer(2), "the first is at its first attempt");
    for attempt in 2..=3 {
        // The second is usable after four answers; then comes the first.
        assert!(managed.crash_and_answer(1 + 3 + 1), "{attempt}");
        assert_eq!(managed.last_life()[1], Seen::ContextCreate(managed.second), "tried least");
        let status = managed.world.runtime.context_status(managed.first);
        assert_eq!(status, Ok(Status::Pending), "{attempt}");
        assert_eq!(managed.world.runtime.context_status(managed.second), Ok(Status::Ready));
    }
    // Its attempts are spent: on this connection the device hears of the second alone.
    managed.world.crash();
    assert_eq!(managed.world.runtime.context_status(managed.first), Err(LOST));
    assert_eq!(managed.last_life()[1], Seen::ContextCreate(managed.second));
    assert_eq!(managed.world.runtime.context_status(managed.second), Ok(Status::Ready));
    managed.world.assert_outcomes(&queued, Outcome::DeviceLost);
    managed.world.assert_outcomes(&[lost], Outcome::DeviceLost);
    managed.world.finish_all();
    managed.world.assert_outcomes(&kept[1..], Outcome::Completed);

    let world = &mut managed.world;
    let handle = HandleError::Lost;
    assert_eq!(world.submit(managed.loaded, ASYNC), Err(SubmitError::Handle(handle)));
    assert_eq!(world.runtime.graph_status(managed.composed), Err(LOST));
    assert_eq!(world.runtime.buffer_status(managed.buffers[0]), Err(LOST));
    assert_eq!(world.runtime.graph_create(managed.first, "new", None), Err(LOST));
    assert_eq!(world.runtime.buffer_deregister(managed.buffers[0]), Ok(()));
    assert_eq!(world.runtime.counters().contexts_lost, 1);
    assert_eq!(world.runtime.poll_timeout(), None);
    managed.end();
}

#[test]
fn a_usable_context_has_its_whole_budget_again() {
    let mut managed = Managed::new(requeue(1));
    for _ in 0..20 {
        managed.world.crash();
        managed.assert_usable();
        managed.world.advance(1_000_000);
    }
    // The first is usable again when the second's only attempt is met by a crash.
    assert!(managed.crash_and_answer(7));
    managed.world.crash();
    assert_eq!(managed.world.runtime.context_status(managed.first), Ok(Status::Ready));
    assert_eq!(managed.world.runtime.context_status(managed.second), Err(LOST));
    managed.end();
}

#[test]
fn a_refusal_at_each_step_costs_an_attempt_and_leaves_nothing_behind() {
    for accepted in 0..8 {
        for attempts in [1, 2] {
            let mut managed = Managed::new(requeue(attempts));
            let before = managed.world.device.state();
            let queued = managed.world.submit_n(managed.composed, 3);
            managed.world.device.refuse_after = accepted;
            managed.world.device.refuse_next = Some(PrepareError::OutOfMemory);
            managed.world.crash();
            assert!(managed.world.device.refuse_next.is_none());
            if attempts == 2 {
                managed.assert_usable();
                assert_eq!(managed.world.device.state(), before, "refused {accepted}");
                managed.world.finish_all();
                managed.world.assert_outcomes(&queued[1..], Outcome::Completed);
            } else {
                let (lost, lives) = match accepted < 5 {
                    true => (managed.first, managed.second),
                    false => (managed.second, managed.first),
                };
                assert_eq!(managed.world.runtime.context_status(lost), Err(LOST), "{accepted}");
                assert_eq!(managed.world.runtime.context_status(lives), Ok(Status::Ready));
                assert_eq!(managed.world.device.state().contexts, [lives.index()]);
                let graphs = managed.world.device.state().graphs;
                assert!(graphs.iter().all(|(_, context, _)| *context == lives.index()));
                assert_eq!(graphs.len(), if lost == managed.first { 1 } else { 2 });
                let outcome = managed.world.outcome(queued[2]);
                assert_eq!(outcome == Some(Outcome::DeviceLost), lost == managed.first);
            }
            managed.end();
        }
    }
}

#[test]
fn a_refusal_of_something_new_is_its_own_affair() {
    let mut managed = Managed::new(requeue(1));
    let world = &mut managed.world;
    world.device.hold_controls = true;
    world.runtime.graph_finalize(managed.composing).unwrap();
    let buffer = world.runtime.buffer_register(managed.first, client_memory(8)).unwrap();
    let creating = world.runtime.context_create(&config(2, requeue(1))).unwrap();
    let table = world.shared_table("net");
    let loading = world.runtime.graph_load(creating, table, None).unwrap();
    world.settle();
    world.device.hold_controls = false;
    // In the order of the plan: context, three graphs of it, of which the last is new.
    world.device.refuse_after = 3;
    world.device.refuse_next = Some(PrepareError::UnsupportedOp { op: 0 });
    world.crash();
    let refused = CreateError::Device(PrepareError::UnsupportedOp { op: 0 });
    assert_eq!(world.runtime.graph_status(managed.composing), Err(refused));
    assert_eq!(world.runtime.context_status(managed.first), Ok(Status::Ready));
    assert_eq!(world.runtime.buffer_status(buffer), Ok(Status::Ready));
    assert_eq!(world.runtime.graph_status(loading), Ok(Status::Ready));

    // A context that never was usable fails with the device's answer, as without a restart.
    world.device.hold_controls = true;
    let creating_too = world.runtime.context_create(&config(2, requeue(5))).unwrap();
    let table = world.shared_table("net");
    world.runtime.graph_load(creating_too, table, None).unwrap();
    world.settle();
    world.device.hold_controls = false;
    world.device.refuse_after = 4 + 3 + 3 + 2;
    world.device.refuse_next = Some(PrepareError::InvalidTable);
    world.crash();
    assert!(world.device.refuse_next.is_none());
    let refused = Err(CreateError::Device(PrepareError::InvalidTable));
    assert_eq!(world.runtime.context_status(creating_too), refused);
    assert!(world.runtime.context_is_gone(creating_too));
    world.runtime.context_free(world.now, creating).unwrap();
    managed.end();
}

#[test]
fn time_runs_out_while_the_connection_is_down() {
    let short = Recovery::Managed { attempts_max: 9, time_budget_us: 150, queued: Queued::Requeue };
    let mut managed = Managed::with(short, requeue(9));
    let running = managed.world.submit_n(managed.loaded, 1)[0];
    let queued = managed.world.submit_n(managed.composed, 3);
    let running_too = managed.world.running().contains(&queued[0]);
    managed.world.device.connects.push_back(Connect::Ignore);
    managed.world.crash();
    let deadline = managed.world.now.after_us(150);
    assert_eq!(managed.world.runtime.poll_timeout(), Some(deadline));
    managed.world.advance(149);
    assert_eq!(managed.world.runtime.context_status(managed.first), Ok(Status::Pending));
    managed.world.advance(1);
    assert_eq!(managed.world.runtime.state(), State::BeforePowerUp);
    assert_eq!(managed.world.runtime.context_status(managed.first), Err(LOST));
    managed.world.assert_outcomes(&queued[usize::from(running_too)..], Outcome::DeviceLost);
    // The device may still hold the memory of those that it was given.
    assert_eq!(managed.world.outcome(running), None);
    managed.world.runtime.context_free(managed.world.now, managed.first).unwrap();
    assert!(!managed.world.runtime.context_is_gone(managed.first));
    managed.world.advance(1_000_000);
    assert!(managed.world.outcome(running).is_some());
    assert!(managed.world.runtime.context_is_gone(managed.first));
    assert_eq!(managed.world.runtime.context_status(managed.second), Ok(Status::Ready));
    managed.world.free_and_check(&[managed.second]);
}

#[test]
fn time_runs_out_in_the_middle_of_a_rebuild() {
    for answers in 1..5 {
        let budget = HANG_BUDGET_US / 4;
        let short =
            Recovery::Managed { attempts_max: 9, time_budget_us: budget, queued: Queued::Requeue };
        let mut managed = Managed::with(short, requeue(9));
        let queued = managed.world.submit_n(managed.composed, 3);
        assert!(managed.crash_and_answer(answers));
        managed.world.device.hold_controls = true;
        managed.world.advance(budget - 1);
        assert_eq!(managed.world.runtime.context_status(managed.first), Ok(Status::Pending));
        managed.world.advance(1);
        assert_eq!(managed.world.runtime.context_status(managed.first), Err(LOST));
        managed.world.assert_outcomes(&queued[1..], Outcome::DeviceLost);
        managed.world.device.answer_controls();
        managed.world.settle();
        assert_eq!(managed.world.runtime.context_status(managed.second), Ok(Status::Ready));
        assert_eq!(managed.world.device.state().contexts, [managed.second.index()]);
        assert_eq!(managed.world.device.objects(), (1, 1), "{answers}");
        managed.world.assert_outcomes(&queued[..1], Outcome::DeviceLost);
        managed.end();
    }
}

#[test]
fn a_second_crash_does_not_give_the_time_back() {
    let budget = HANG_BUDGET_US / 4;
    let short =
        Recovery::Managed { attempts_max: 9, time_budget_us: budget, queued: Queued::Requeue };
    let mut managed = Managed::with(short, requeue(9));
    assert!(managed.crash_and_answer(2));
    managed.world.device.hold_controls = true;
    managed.world.advance(budget - 1);
    managed.world.crash();
    managed.world.device.answer_controls();
    managed.world.device.hold_controls = true;
    managed.world.settle();
    assert_eq!(managed.world.runtime.context_status(managed.first), Ok(Status::Pending));
    managed.world.advance(1);
    assert_eq!(managed.world.runtime.context_status(managed.first), Err(LOST));
    managed.world.device.answer_controls();
    managed.world.settle();
    assert_eq!(managed.world.runtime.context_status(managed.second), Ok(Status::Ready));
    managed.end();
}

#[test]
fn a_context_can_be_freed_at_every_step_of_its_rebuild() {
    for refuse in [None, Some(2), Some(4)] {
        for answers in 0..ANSWERS + 6 {
            for first in [true, false] {
                let mut managed = Managed::new(requeue(2));
                let requests = managed.world.submit_n(managed.loaded, 2);
                managed.world.submit_n(managed.other, 2);
                managed.world.device.refuse_after = refuse.unwrap_or(0);
                managed.world.device.refuse_next = refuse.map(|_| PrepareError::OutOfMemory);
                managed.crash_and_answer(answers);
                let (freed, kept) = match first {
                    true => (managed.first, managed.second),
                    false => (managed.second, managed.first),
                };
                managed.world.runtime.context_free(managed.world.now, freed).unwrap();
                let again = managed.world.runtime.context_free(managed.world.now, freed);
                assert_eq!(again, Err(HandleError::Invalid));
                managed.world.settle();
                assert!(managed.world.runtime.context_is_gone(freed), "{refuse:?} {answers}");
                assert_eq!(managed.world.runtime.context_status(kept), Ok(Status::Ready));
                if first && answers < ANSWERS && refuse.is_none() {
                    managed.world.assert_outcomes(&requests[..1], Outcome::DeviceReset);
                    managed.world.assert_outcomes(&requests[1..], Outcome::Aborted);
                }
                managed.world.finish_all();
                managed.world.free_and_check(&[kept]);
            }
        }
    }
}

/// Lets the device fall silent; it is restarted within the budget of the watch, and only then.
fn assert_watched(world: &mut World, what: &str) {
    world.device.hold_controls = true;
    world.device.ignore_probes = true;
    world.settle();
    let (restarts, hangs) = (world.runtime.restarts(), world.runtime.counters().hangs);
    world.advance(HANG_BUDGET_US - 1);
    assert_eq!(world.runtime.restarts(), restarts, "{what}");
    world.device.hold_controls = false;
    world.advance(1);
    let now = (world.runtime.restarts(), world.runtime.counters().hangs);
    assert_eq!(now, (restarts + 1, hangs + 1), "{what}");
    assert_eq!(world.runtime.state(), State::Online, "{what}");
    world.advance(10 * HANG_BUDGET_US);
    assert_eq!(world.runtime.restarts(), restarts + 1, "nobody watches an idle device");
}

#[test]
fn a_device_silent_about_any_creation_or_release_is_restarted() {
    type Begin = fn(&mut World, ContextId);
    let cases: [(&str, Begin); 6] = [
        ("context", |world, _| {
            world.runtime.context_create(&depth(2)).unwrap();
        }),
        ("graph", |world, context| {
            let table = world.shared_table("another");
            world.runtime.graph_load(context, table, None).unwrap();
        }),
        ("finalize", |world, context| {
            let graph = world.composed(context, "composed");
            world.runtime.graph_finalize(graph).unwrap();
        }),
        ("buffer", |world, context| {
            world.runtime.buffer_register(context, client_memory(8)).unwrap();
        }),
        ("deregistered", |world, context| {
            let buffer = world.runtime.buffer_register(context, client_memory(8)).unwrap();
            world.device.hold_controls = true;
            world.settle();
            world.runtime.buffer_deregister(buffer).unwrap();
        }),
        ("release", |world, context| world.runtime.context_free(world.now, context).unwrap()),
    ];
    for (what, begin) in cases {
        let mut world = World::new();
        let (context, _) = world.context_and_graph(4);
        begin(&mut world, context);
        assert_watched(&mut world, what);
    }
}

#[test]
fn a_device_silent_at_each_step_of_a_rebuild_is_restarted() {
    for answers in 1..ANSWERS {
        let mut managed = Managed::new(requeue(2));
        assert!(managed.crash_and_answer(answers));
        assert_watched(&mut managed.world, &format!("after {answers} answers"));
        managed.assert_usable();
        managed.end();
    }
}

#[test]
fn each_rebuild_is_recorded_from_its_begin_to_its_end() {
    let mut world =
        World::with(all_capabilities(), Capacities { trace_records: 1_000, ..CAPACITIES });
    let context = world.context(&config(4, requeue(4)));
    world.graph(context, "net", Priority::Normal);
    world.device.refuse_after = 1;
    world.device.refuse_next = Some(PrepareError::OutOfMemory);
    world.crash();
    world.device.hold_controls = true;
    world.crash();
    world.device.answer_controls();
    world.device.hold_controls = true;
    world.settle();
    world.device.hold_controls = false;
    world.crash();
    world.device.crash();
    world.deliver();
    world.drain_commands();
    world.deliver();
    world.runtime.context_free(world.now, context).unwrap();
    world.settle();
    world.assert_clean();
    let rebuilds = world.runtime.trace().records().filter_map(|record| match record.kind {
        TraceKind::RebuildBegun => Some((true, record.value)),
        TraceKind::RebuildEnded => Some((false, record.value)),
        _ => None,
    });
    let rebuilds: Vec<_> = rebuilds.collect();
    let expected = [
        [(true, 1), (false, 1)],
        [(true, 2), (false, 0)],
        [(true, 1), (false, 2)],
        [(true, 2), (false, 0)],
        [(true, 1), (false, 4)],
    ];
    assert_eq!(rebuilds, expected.concat());

    let mut bytes = vec![0; 1 << 18];
    let mut rest = &mut bytes[..];
    write_json(world.runtime.trace().records(), &mut rest).unwrap();
    let left = rest.len();
    let written = bytes.len() - left;
    let document: serde_json::Value = serde_json::from_slice(&bytes[..written]).unwrap();
    let mut open: HashMap<String, i32> = HashMap::new();
    for event in document["traceEvents"].as_array().unwrap() {
        let depth = open.entry(event["tid"].to_string()).or_default();
        match event["ph"].as_str().unwrap() {
            "B" => *depth += 1,
            "E" => *depth -= 1,
            _ => {}
        }
        assert!((0..=1).contains(depth), "{event}");
    }
    assert!(open.values().all(|depth| *depth == 0));
}
