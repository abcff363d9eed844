//! Waits, as seen from inside.

use super::taker::{RETRY_MAX_US, RETRY_US};
use super::*;
use crate::capability::{Capabilities, PlatformKind};
use crate::device::Command;
use crate::error::Status;
use crate::handle::Epoch;
use crate::limits::Capacities;
use crate::platform::{WakeBy, WakeError};
use crate::region::Region;
use crate::runtime::ContextConfig;
use crate::ssr::State;
use crate::vhtp::{Vhtp, VhtpCapacities, VhtpConfig};
use std::boxed::Box;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::vec::Vec;

struct Deaf;

impl NoticeSink for Deaf {
    fn deliver(&self, _: Notice) {}
}

#[test]
fn a_blocking_call_leaves_nothing_to_wake_the_worker_for() {
    let capabilities = PlatformKind::QnxAdas.capabilities(73);
    let memory = || Region::from_heap(4 << 20);
    let runtime = Runtime::new(memory(), &Capacities::DEFAULT, capabilities).unwrap();
    let device = Vhtp::new(memory(), VhtpConfig::default(), VhtpCapacities::default()).unwrap();
    let driver: &'static _ = Box::leak(Box::new(Driver::new(runtime, device, Deaf)));
    driver.init().unwrap();
    let made = driver.begin(|runtime, _| runtime.context_create(&ContextConfig::default()));
    assert!(driver.runtime.lock().has_command(), "`begin` leaves the driving to its caller");
    let ready = driver.call_blocking(BLOCKING_TIMEOUT_US, |runtime, _| {
        match runtime.context_status(made.unwrap()) {
            Ok(Status::Pending) => Answer::Pending,
            other => Answer::Ready(other),
        }
    });
    assert_eq!(ready, Ok(Ok(Status::Ready)));
    let runtime = driver.runtime.lock();
    assert!(!runtime.has_command());
    assert_eq!(driver.next_due(&runtime), Instant::FAR);
}

/// What the device of a test does in a step, which takes six seconds.
#[derive(Clone, Copy)]
enum Does {
    /// Work of which it says nothing.
    Work,
    /// It answers that it has done so many steps of work.
    Answer(u64),
    /// It answers that it was told to stand still.
    Hold,
    /// It crashes.
    Crash,
    /// It answers that the connection is back.
    Connect,
}

/// A device that does a list of things, the last for ever, and moves the clock.
struct Slow {
    clock: &'static OnceLock<&'static Driver<Slow, Deaf>>,
    does: &'static [Does],
    /// How often it was told to connect.
    connects: u32,
}

impl Device<'static> for Slow {
    fn submit(&mut self, _: Instant, command: Command<'_, 'static>) {
        self.connects += u32::from(matches!(command, Command::Connect { .. }));
    }
    fn step(&mut self, now: Instant) -> Step {
        let driver = self.clock.get().unwrap();
        driver.polled_now_us.fetch_add(6_000_000, Ordering::AcqRel);
        assert!(now.as_us() < 1_000_000_000, "nothing ends the wait");
        let (first, rest) = self.does.split_first().unwrap();
        self.does = if rest.is_empty() { self.does } else { rest };
        let alive = |steps, held| Event::Alive { epoch: Epoch::FIRST, steps, held };
        match *first {
            Does::Work => Step::Worked,
            Does::Answer(steps) => Step::Event(alive(steps, false)),
            Does::Hold => Step::Event(alive(0, true)),
            Does::Crash => Step::Event(Event::Crashed { epoch: Epoch::FIRST }),
            Does::Connect => Step::Event(Event::Connected { epoch: Epoch::FIRST.next() }),
        }
    }
    fn due(&self) -> Option<Instant> {
        Some(Instant::ZERO)
    }
    fn capabilities(&self) -> Capabilities {
        PlatformKind::QnxAdas.capabilities(73)
    }
}

/// A driver without threads on such a device.
fn slow(does: &'static [Does]) -> &'static Driver<Slow, Deaf> {
    let capabilities = PlatformKind::QnxAdas.capabilities(73);
    let runtime = Runtime::new(Region::from_heap(4 << 20), &Capacities::DEFAULT, capabilities);
    let clock: &'static OnceLock<_> = Box::leak(Box::default());
    let device = Slow { clock, does, connects: 0 };
    let driver: &'static _ = Box::leak(Box::new(Driver::new(runtime.unwrap(), device, Deaf)));
    driver.init().unwrap();
    assert!(clock.set(driver).is_ok());
    driver
}

/// What ends a wait for something that takes `needed` seconds, and the second in which it does.
fn wait(
    does: &'static [Does],
    (needed, total): (u64, u64),
    pending: fn() -> Answer<()>,
) -> (Result<(), WaitTimeout>, u64) {
    let driver = slow(does);
    let needed = Instant::from_us(needed * 1_000_000);
    let waited = driver.call_blocking(total.saturating_mul(1_000_000), |_, now| {
        if now >= needed {
            Answer::Ready(())
        } else {
            pending()
        }
    });
    (waited, driver.now().as_us() / 1_000_000)
}

#[test]
fn a_wait_goes_on_while_the_device_makes_progress_and_ends_when_it_is_silent() {
    use Does::{Answer as Says, Hold, Work};
    const ALL: u64 = u64::MAX;
    let device = || Answer::Pending;
    // What is done, and said to be done, is progress.
    assert_eq!(wait(&[Work], (60, ALL), device), (Ok(()), 60));
    let says = &[Says(1), Says(2), Says(3), Says(4), Says(5)];
    assert_eq!(wait(says, (30, ALL), device), (Ok(()), 30));
    // To say the same again, or to stand still, is not.
    assert_eq!(wait(&[Says(0)], (60, ALL), device), (Err(WaitTimeout), 12));
    assert_eq!(wait(&[Hold], (60, ALL), device), (Err(WaitTimeout), 12));
    assert_eq!(wait(says, (60, ALL), device), (Err(WaitTimeout), 42));
    assert_eq!(wait(&[Work, Work, Work, Says(0)], (60, ALL), device), (Err(WaitTimeout), 30));
    // A bound of the whole wait stays one, and silence ends also a longer wait.
    assert_eq!(wait(&[Work], (60, 20), device), (Err(WaitTimeout), 24));
    assert_eq!(wait(&[Hold], (60, 20), device), (Err(WaitTimeout), 12));
    // The device's progress is nothing to who waits for something else.
    assert_eq!(wait(&[Work], (60, ALL), || Answer::Elsewhere), (Err(WaitTimeout), 12));
}

#[test]
fn an_answer_that_came_during_a_long_step_is_not_late() {
    // A step is longer than an attempt to connect may be.
    let driver = slow(&[Does::Crash, Does::Work, Does::Connect, Does::Hold]);
    let back =
        driver.call_blocking(u64::MAX, |runtime, _| match (runtime.epoch(), runtime.state()) {
            (Epoch::FIRST, _) => Answer::Pending,
            (_, State::Online) => Answer::Ready(()),
            _ => Answer::Pending,
        });
    assert_eq!(back, Ok(()));
    assert_eq!(driver.with_device(|device| device.connects), Some(1));
}

/// A descriptor that takes no wake-up: a socket that is full. And its other end.
fn full() -> (UnixStream, UnixStream) {
    let (client, mut ours) = UnixStream::pair().unwrap();
    client.set_nonblocking(true).unwrap();
    ours.set_nonblocking(true).unwrap();
    while ours.write(&[0; 4096]).is_ok() {}
    while ours.write(&[0]).is_ok() {}
    (client, ours)
}

fn wake_by(socket: &UnixStream) -> os::Wake {
    os::Wake::new(WakeBy::Descriptor(socket.as_raw_fd())).unwrap()
}

/// The times, in microseconds from the first, at which a client is tried to be woken, if it is
/// asked for every half of a millisecond during a second.
fn tries(driver: &Driver<Slow, Deaf>) -> Vec<u64> {
    let begun = driver.now().as_us();
    let mut tried = Vec::new();
    let mut failures = driver.wake_failures();
    for after_us in (0..1_000_000).step_by(500) {
        driver.polled_now_us.store(begun + after_us, Ordering::Release);
        assert!(!driver.wake_taker());
        if driver.wake_failures() > failures {
            assert_eq!(driver.wake_failures(), failures + 1);
            failures += 1;
            tried.push(after_us);
            assert!(driver.wake_due() > driver.now());
        }
    }
    tried
}

#[test]
fn a_client_that_cannot_be_woken_is_tried_less_and_less_often() {
    let driver = slow(&[Does::Hold]);
    let (mut client, ours) = full();
    assert_eq!((driver.wake_failures(), driver.wake_due()), (0, Instant::FAR));
    driver.wake_taker_by(wake_by(&ours));
    let mut expected = std::vec![0];
    let rests = (0..).map(|doubled: u32| (RETRY_US << doubled.min(20)).min(RETRY_MAX_US));
    let times = rests.scan(0, |at, rest| {
        *at += rest;
        Some(*at)
    });
    expected.extend(times.take_while(|&at| at < 1_000_000));
    assert_eq!(expected[..9], [0, 1, 3, 7, 15, 31, 63, 127, 227].map(|ms| ms * 1_000));
    assert_eq!(tries(driver), expected);

    // Once there is room, the next try succeeds, and what fails after that rests shortly again.
    while client.read(&mut [0; 4096]).is_ok() {}
    driver.polled_now_us.fetch_max(driver.wake_due().as_us(), Ordering::AcqRel);
    assert!(driver.wake_taker());
    let failures = driver.wake_failures();
    assert_eq!(failures, expected.len() as u64);
    driver.tell_taker_again();
    while (&ours).write(&[0; 4096]).is_ok() {}
    while (&ours).write(&[0]).is_ok() {}
    assert_eq!(tries(driver), expected);
    assert!(driver.wake_due() > driver.now());
    driver.tell_taker_again();
    assert_eq!(driver.wake_due(), Instant::ZERO);
    // So does what comes after the client has taken everything; another way begins anew, and the
    // count goes on.
    let (_other, free) = UnixStream::pair().unwrap();
    free.set_nonblocking(true).unwrap();
    driver.wake_taker_by(wake_by(&free));
    assert!(driver.wake_taker());
    assert_eq!(driver.wake_failures(), 2 * expected.len() as u64);
}

#[test]
fn a_descriptor_that_cannot_be_written_to_or_may_block_is_refused() {
    let refused = |fd| os::Wake::new(WakeBy::Descriptor(fd)).err() == Some(WakeError::Invalid);
    let (ours, _other) = UnixStream::pair().unwrap();
    assert!(refused(ours.as_raw_fd()));
    ours.set_nonblocking(true).unwrap();
    assert!(!refused(ours.as_raw_fd()));
    let open = |write| {
        let mut how = OpenOptions::new();
        how.read(true).write(write).custom_flags(libc::O_NONBLOCK).open("/dev/null").unwrap()
    };
    assert!(refused(open(false).as_raw_fd()));
    assert!(!refused(open(true).as_raw_fd()));
    assert!(refused(-1));
}
