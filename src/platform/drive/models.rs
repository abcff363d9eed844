//! What threads share, in every order of theirs: the driver itself, with the locks, conditions and
//! numbers of an explorer below it. Each model runs with its threads begun in every turn, says how
//! many orders there were, and has a mistake on purpose that must be found.
//!
//! Nobody is woken by time here, so a wake-up that is missing is a thread that sleeps for ever.

use std::boxed::Box;
use std::collections::VecDeque;
use std::println;
use std::sync::atomic::{AtomicUsize, Ordering as Std};
use std::sync::Arc;
use std::vec::Vec;

use loom::cell::Cell;
use loom::thread;

use super::*;
use crate::capability::{Capabilities, PlatformKind};
use crate::device::Command;
use crate::error::Status;
use crate::handle::Epoch;
use crate::limits::Capacities;
use crate::region::Region;
use crate::runtime::ContextConfig;
use crate::ssr::State;

/// How often a thread loses its turn in one order, at most, without having to: with two threads,
/// and with more.
const PREEMPTIONS: [usize; 2] = [3, 1];
const BRANCHES_MAX: usize = 2_000;
/// In words.
const STACK: usize = 1 << 15;
const CAPACITIES: Capacities = Capacities {
    contexts: 2,
    graphs: 1,
    buffers: 1,
    requests: 4,
    profiles: 0,
    power_configs: 1,
    watched_outputs: 0,
    trace_records: 0,
};
/// Phases of one restart that goes well, each of which is a notice.
const PHASES: usize = 5;

/// A device that answers everything, one answer for each step.
#[derive(Default)]
struct Echo(VecDeque<Event>);

impl Device<'static> for Echo {
    fn submit(&mut self, _: Instant, command: Command<'_, 'static>) {
        self.0.extend(match command {
            Command::ContextCreate { context, epoch } => {
                Some(Event::ContextCreated { context, epoch, result: Ok(()) })
            }
            Command::Connect { epoch, .. } => Some(Event::Connected { epoch }),
            _ => None,
        });
    }

    fn step(&mut self, _: Instant) -> Step {
        self.0.pop_front().map_or(Step::Waiting(None), Step::Event)
    }

    fn due(&self) -> Option<Instant> {
        self.0.front().map(|_| Instant::ZERO)
    }

    fn capabilities(&self) -> Capabilities {
        PlatformKind::QnxAdas.capabilities(73)
    }
}

/// Counts what it hears.
#[derive(Default)]
struct Ear(AtomicUsize);

impl NoticeSink for Ear {
    fn deliver(&self, _: Notice) {
        self.0.fetch_add(1, Std::Relaxed);
    }
}

type Rig = Driver<Echo, Ear>;

fn rig() -> &'static Rig {
    os::worker::let_go_on(true);
    let capabilities = PlatformKind::QnxAdas.capabilities(73);
    let region = Region::from_heap(Runtime::memory_required(&CAPACITIES) + (4 << 10));
    let runtime = Runtime::new(region, &CAPACITIES, capabilities).unwrap();
    let driver: &'static Rig =
        Box::leak(Box::new(Driver::new(runtime, Echo::default(), Ear::default())));
    driver.init().unwrap();
    driver.threaded.store(true, Ordering::Release);
    // The explorer's numbers begin when they are first used: here, before there are threads.
    for number in [&driver.waiting, &driver.device_wanted, &driver.telling] {
        number.load(Ordering::Acquire);
    }
    for number in [&driver.worker_wakes_us, &driver.device_due_us] {
        number.load(Ordering::Acquire);
    }
    driver
}

impl Rig {
    fn heard(&self) -> usize {
        self.sink.0.load(Std::Relaxed)
    }

    /// A client makes a context, and waits for it.
    fn create(&'static self) {
        let made = self.begin(|runtime, _| {
            let config = ContextConfig { queue_depth: 1, ..ContextConfig::default() };
            runtime.context_create(&config)
        });
        let made = made.unwrap();
        let ready = self.call_blocking(BLOCKING_TIMEOUT_US, |runtime, _| {
            match runtime.context_status(made) {
                Ok(Status::Pending) => Answer::Pending,
                other => Answer::Ready(other),
            }
        });
        assert_eq!(ready, Ok(Ok(Status::Ready)));
    }

    /// The device crashes, as whoever drives would say.
    fn crash(&'static self) {
        self.call(|runtime, now| {
            let epoch = runtime.epoch();
            runtime.handle_event(now, Event::Crashed { epoch });
        });
    }

    /// The driver's own threads end.
    fn end(&'static self) {
        let runtime = self.runtime.lock();
        os::worker::let_go_on(false);
        self.work.notify_all();
        self.notices.notify_all();
        drop(runtime);
    }
}

type Role<W> = fn(W);

/// Runs `roles` as threads in every order, begun in the turn given: `turn` is who begins first.
/// `after` runs when the `clients` that the list begins with have ended.
fn in_every_order<W: Copy + Send + 'static, const N: usize>(
    name: &str,
    turn: usize,
    world: impl Fn() -> W + Sync + Send + 'static,
    roles: [Role<W>; N],
    (clients, after): (usize, fn(W)),
) {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    let world = Arc::new(world);
    let mut explorer = loom::model::Builder::new();
    explorer.preemption_bound = Some(PREEMPTIONS[usize::from(N > 2)]);
    explorer.max_branches = BRANCHES_MAX;
    explorer.check(move || {
        counted.fetch_add(1, Std::Relaxed);
        let world = Arc::clone(&world);
        let world = begin(move || world()).join().unwrap();
        let mut threads: [Option<thread::JoinHandle<()>>; N] = [const { None }; N];
        for index in 0..N {
            let index = (index + turn) % N;
            let role = roles[index];
            threads[index] = Some(begin(move || role(world)));
        }
        let mut threads: Vec<_> = threads.into_iter().flatten().collect();
        let rest = threads.split_off(clients);
        for client in threads {
            client.join().unwrap();
        }
        after(world);
        for other in rest {
            other.join().unwrap();
        }
    });
    let orders = orders.load(Std::Relaxed);
    println!("{name}, {turn} first: {orders} orders");
    assert!(orders > 1, "{name}: nothing was explored");
}

/// Begins a thread with room for the runtime on its stack.
fn begin<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> thread::JoinHandle<R> {
    thread::Builder::new().stack_size(STACK).spawn(run).unwrap()
}

fn nothing<W>(_: W) {}

/// What one caller leaves the worker sees to.
const CALLERS: [Role<&'static Rig>; 3] = [Rig::create, Rig::create, Rig::run_worker];

#[test]
fn callers_and_the_worker_drive_for_each_other() {
    for turn in 0..3 {
        in_every_order("callers", turn, rig, CALLERS, (2, Rig::end));
    }
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_announcement_a_caller_sleeps_for_ever() {
    let deaf = || {
        let rig = rig();
        rig.progress.forget();
        rig
    };
    in_every_order("callers", 0, deaf, CALLERS, (2, Rig::end));
}

fn crash_and_wait(rig: &'static Rig) {
    rig.crash();
    let back = rig.call_blocking(BLOCKING_TIMEOUT_US, |runtime, _| match runtime.state() {
        State::Online => Answer::Ready(()),
        _ => Answer::Pending,
    });
    assert_eq!(back, Ok(()));
}

#[test]
fn a_caller_and_the_worker_drive_a_restart() {
    for turn in 0..2 {
        let roles: [Role<_>; 2] = [crash_and_wait, Rig::run_worker];
        in_every_order("caller and worker", turn, rig, roles, (1, Rig::end));
    }
}

/// Sleeps until a life after `epoch` has begun. Only the worker drives: it has to be woken.
fn sleep_through(rig: &'static Rig, epoch: Epoch) {
    let mut runtime = rig.runtime.lock();
    while runtime.epoch() == epoch || runtime.state() != State::Online {
        rig.waiting.fetch_add(1, Ordering::AcqRel);
        runtime = rig.progress.wait_until(runtime, Instant::FAR);
        rig.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

fn crash_and_sleep(rig: &'static Rig) {
    let epoch = rig.call(|runtime, _| runtime.epoch());
    rig.crash();
    sleep_through(rig, epoch);
}

/// Nobody can wake the worker.
fn rig_without_work() -> &'static Rig {
    let rig = rig();
    rig.work.forget();
    rig
}

#[test]
fn the_worker_is_woken_for_what_a_call_leaves() {
    for turn in 0..2 {
        let roles: [Role<_>; 2] = [crash_and_sleep, Rig::run_worker];
        in_every_order("worker", turn, rig, roles, (1, Rig::end));
    }
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_worker_that_is_not_woken_sleeps_for_ever() {
    in_every_order(
        "worker",
        1,
        rig_without_work,
        [crash_and_sleep, Rig::run_worker],
        (1, Rig::end),
    );
}

/// Has the device itself crash, which nobody but the worker can find out.
fn break_and_sleep(rig: &'static Rig) {
    let epoch = rig.call(|runtime, _| runtime.epoch());
    let broken = rig.with_device(|device| device.0.push_back(Event::Crashed { epoch }));
    assert_eq!(broken, Some(()));
    sleep_through(rig, epoch);
}

fn touch(rig: &'static Rig) {
    assert_eq!(rig.with_device(|_| ()), Some(()));
}

#[test]
fn what_happens_to_the_device_itself_is_seen_to() {
    for turn in 0..2 {
        let roles: [Role<_>; 2] = [break_and_sleep, Rig::run_worker];
        in_every_order("device", turn, rig, roles, (1, Rig::end));
    }
    for turn in 0..3 {
        let roles: [Role<_>; 3] = [break_and_sleep, touch, Rig::run_worker];
        in_every_order("device and another", turn, rig, roles, (2, Rig::end));
    }
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_device_that_nobody_looks_at_is_waited_for_for_ever() {
    in_every_order(
        "device",
        1,
        rig_without_work,
        [break_and_sleep, Rig::run_worker],
        (1, Rig::end),
    );
}

/// Drives a restart, then waits until all of it was heard.
fn crash_and_flush(rig: &'static Rig) {
    crash_and_wait(rig);
    assert_eq!(rig.flush_notices(BLOCKING_TIMEOUT_US), Ok(()));
    assert_eq!(rig.heard(), PHASES);
}

#[test]
fn what_is_flushed_was_heard() {
    for turn in 0..2 {
        let roles: [Role<_>; 2] = [crash_and_flush, Rig::run_completions];
        in_every_order("completions", turn, rig, roles, (1, Rig::end));
    }
    for turn in 0..3 {
        let roles: [Role<_>; 3] = [crash_and_flush, Rig::run_completions, Rig::run_worker];
        in_every_order("completions and worker", turn, rig, roles, (1, Rig::end));
    }
}

#[test]
#[should_panic(expected = "deadlock")]
fn completions_that_are_not_woken_are_never_heard() {
    let deaf = || {
        let rig = rig();
        rig.notices.forget();
        rig
    };
    in_every_order("completions", 1, deaf, [crash_and_flush, Rig::run_completions], (1, Rig::end));
}

/// A client that takes its notices itself.
#[derive(Clone, Copy)]
struct Taking {
    rig: &'static Rig,
    wake: os::Wake,
}

fn taking(is_deaf: bool) -> Taking {
    let taking = Taking { rig: rig(), wake: os::Wake::by_event(is_deaf) };
    taking.rig.wake_taker_by(taking.wake);
    taking
}

impl Taking {
    fn take_all(self) {
        while self.rig.heard() < PHASES {
            if self.rig.take_notices() == 0 {
                self.wake.wait();
            }
        }
    }

    fn crash(self) {
        crash_and_wait(self.rig);
    }
}

#[test]
fn a_taker_is_woken_for_all_there_is() {
    for turn in 0..2 {
        let roles: [Role<_>; 2] = [Taking::take_all, Taking::crash];
        in_every_order("taker", turn, || taking(false), roles, (roles.len(), nothing));
    }
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_taker_whose_wake_up_is_lost_sleeps_for_ever() {
    in_every_order("taker", 0, || taking(true), [Taking::take_all, Taking::crash], (2, nothing));
}

type Counted = &'static Mutex<Cell<u32>>;

fn counted() -> Counted {
    Box::leak(Box::new(Mutex::new(Cell::new(0))))
}

/// If somebody else reaches it meanwhile, the explorer sees.
fn count(counted: Counted) {
    let held = counted.lock();
    held.set(held.get() + 1);
}

fn try_to_count(counted: Counted) {
    if let Some(held) = counted.try_lock() {
        held.set(held.get() + 1);
    }
}

#[test]
fn a_lock_lets_one_in() {
    for turn in 0..3 {
        let roles: [Role<_>; 3] = [count, try_to_count, count];
        in_every_order("lock", turn, counted, roles, (roles.len(), nothing));
    }
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_lock_that_is_open_is_seen() {
    os::sys::OPEN.set(true);
    in_every_order("lock", 0, counted, [count, try_to_count], (2, nothing));
}
