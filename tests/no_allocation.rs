//! Submit, dispatch, complete, cancel, time out and restart take memory neither from the heap nor
//! from the region: every call of the core is counted, in the order in which a drive loop makes
//! them.

#[allow(dead_code, unused_imports, reason = "shared with the tests of the runtime")]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use htp_runtime::event::Notice;
use htp_runtime::limits::{CONNECT_BACKOFF_US, HANG_BUDGET_US};
use htp_runtime::queue::Mode;
use htp_runtime::runtime::{ContextConfig, IoBinding, Runtime, SubmitOptions};
use htp_runtime::sched::Priority;
use htp_runtime::ssr::{Queued, Recovery, State};
use htp_runtime::time::Instant;
use support::{bindings, depth, Connect, World, ASYNC, REPORT};

/// The system's allocator, which counts while it is asked to, on each thread for itself.
struct Counting;

thread_local! {
    static COUNTS: Cell<bool> = const { Cell::new(false) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn note() {
    if COUNTS.get() {
        CALLS.set(CALLS.get() + 1);
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller's promises are passed on.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller's promises are passed on.
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        note();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// What `call` answers, and how often it asked the allocator for something.
fn counted<R>(call: impl FnOnce() -> R) -> (R, u64) {
    let before = CALLS.get();
    COUNTS.set(true);
    let answer = call();
    COUNTS.set(false);
    (answer, CALLS.get() - before)
}

/// Makes a call of the core, which allocates nothing.
fn frugal<R>(world: &mut World, call: impl FnOnce(&mut Runtime<'static>, Instant) -> R) -> R {
    let (runtime, now) = (&mut world.runtime, world.now);
    let region = (runtime.region().used_bytes(), runtime.region().used_bytes_max());
    let (answer, count) = counted(|| call(&mut *runtime, now));
    assert_eq!(count, 0, "the heap was asked");
    let after = (runtime.region().used_bytes(), runtime.region().used_bytes_max());
    assert_eq!(region, after, "the region was asked");
    answer
}

/// Turns the loop until nothing moves, with every call of the core counted. The device of the tests
/// may allocate.
fn settle(world: &mut World, heard: &mut usize) {
    loop {
        let (now, mut moved) = (world.now, false);
        loop {
            let (command, count) = counted(|| world.runtime.poll_command(now));
            assert_eq!(count, 0, "poll_command asked the heap");
            let Some(command) = command else { break };
            htp_runtime::device::Device::submit(&mut world.device, now, command);
            moved = true;
        }
        while let Some(notice) = frugal(world, Runtime::poll_notice) {
            *heard += usize::from(matches!(notice, Notice::Completion(_)));
            moved = true;
        }
        match htp_runtime::device::Device::step(&mut world.device, now) {
            htp_runtime::device::Step::Event(event) => {
                frugal(world, |runtime, now| runtime.handle_event(now, event));
                moved = true;
            }
            htp_runtime::device::Step::Worked => moved = true,
            htp_runtime::device::Step::Waiting(_) => {}
        }
        if !moved {
            return;
        }
    }
}

fn advance(world: &mut World, duration_us: u64, heard: &mut usize) {
    let end = world.now.after_us(duration_us);
    loop {
        let due = frugal(world, |runtime, _| runtime.poll_timeout()).filter(|at| *at <= end);
        world.now = due.unwrap_or(end).max(world.now);
        frugal(world, |runtime, now| runtime.handle_timeout(now));
        settle(world, heard);
        if due.is_none() {
            return;
        }
    }
}

fn finish_all(world: &mut World, heard: &mut usize) {
    while let Some(running) = world.device.executing.first() {
        let request = running.request;
        world.device.finish(request, Ok(REPORT));
        settle(world, heard);
    }
}

/// Every end that a request can have, with a restart among them.
fn all_ways(world: &mut World, config: &ContextConfig) {
    const ROUNDS: usize = 3;
    let context = world.context(config);
    let graph = world.graph(context, "net", Priority::Normal);
    let io: [IoBinding; 2] = bindings();
    let mut heard = 0;
    for round in 1..=ROUNDS {
        let submit = |world: &mut World, options: SubmitOptions| {
            frugal(world, |runtime, now| runtime.submit(now, graph, &io[..], options)).unwrap()
        };
        // Completed, and asked for by who waited.
        let blocking = submit(world, SubmitOptions { mode: Mode::Blocking, ..ASYNC });
        settle(world, &mut heard);
        finish_all(world, &mut heard);
        assert!(frugal(world, |runtime, now| runtime.take_outcome(now, blocking)).is_some());
        // Completed, and heard.
        submit(world, ASYNC);
        settle(world, &mut heard);
        finish_all(world, &mut heard);
        // Cancelled in the queue, and refused when it is full.
        let queued: Vec<_> = (0..config.queue_depth).map(|_| submit(world, ASYNC)).collect();
        assert!(frugal(world, |runtime, now| runtime.submit(now, graph, &io[..], ASYNC)).is_err());
        let last = *queued.last().unwrap();
        frugal(world, |runtime, now| runtime.cancel(now, last)).unwrap();
        settle(world, &mut heard);
        finish_all(world, &mut heard);
        // Out of time.
        let deadline = world.now.after_us(10);
        submit(world, SubmitOptions { deadline, ..ASYNC });
        advance(world, 20, &mut heard);
        finish_all(world, &mut heard);
        assert_eq!(heard, round * (2 + queued.len()));
    }
    // A crash with requests that run and requests that wait, and a silent device.
    let before = heard;
    for _ in 0..config.queue_depth {
        frugal(world, |runtime, now| runtime.submit(now, graph, &io[..], ASYNC)).unwrap();
    }
    settle(world, &mut heard);
    world.device.crash();
    settle(world, &mut heard);
    advance(world, 100 * CONNECT_BACKOFF_US, &mut heard);
    assert_eq!((world.runtime.state(), world.runtime.restarts()), (State::Online, 1));
    finish_all(world, &mut heard);
    assert_eq!(heard - before, config.queue_depth as usize);
    assert_eq!(world.runtime.counters().faults, 0);
}

#[test]
fn no_way_of_a_request_allocates_under_native_recovery() {
    let mut world = World::new();
    all_ways(&mut world, &depth(10));
    // Nor does a device that never comes back.
    world.device.connects.extend([Connect::Fail; 100]);
    world.device.crash();
    let mut heard = 0;
    settle(&mut world, &mut heard);
    advance(&mut world, 4 * HANG_BUDGET_US, &mut heard);
    assert_eq!(world.runtime.state(), State::Lost);
}

#[test]
fn no_way_of_a_request_allocates_under_managed_recovery() {
    let mut world = World::new();
    let recovery =
        Recovery::Managed { queued: Queued::Requeue, attempts_max: 3, time_budget_us: 1_000_000 };
    let config = ContextConfig { recovery, ..depth(10) };
    all_ways(&mut world, &config);
    assert_eq!(world.runtime.counters().rebuilds, 1);
}

#[test]
fn the_counter_counts() {
    let (made, count) = counted(|| Vec::<u8>::with_capacity(100));
    assert_eq!(count, 1);
    drop(made);
    assert_eq!(counted(|| ()).1, 0);
}
