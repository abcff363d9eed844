//! The drive loop with its threads, and without: blocking calls, notifications, crashes, all from
//! several threads.

#![cfg(all(feature = "os", target_os = "linux"))]

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{mpsc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use htp_runtime::capability::PlatformKind;
use htp_runtime::error::{HandleError, Status, SubmitError};
use htp_runtime::event::{Completion, Notice, Outcome};
use htp_runtime::handle::{ContextId, GraphId};
use htp_runtime::limits::{Capacities, BLOCKING_TIMEOUT_US, NOTICES_PER_POLL, QUEUE_DEPTH_MAX};
use htp_runtime::memory::ClientMemory;
use htp_runtime::platform::drive::{Answer, Driver, NoticeSink, WaitTimeout};
use htp_runtime::platform::os::Wake;
use htp_runtime::platform::{WakeBy, WakeError};
use htp_runtime::queue::Mode;
use htp_runtime::region::Region;
use htp_runtime::runtime::{ContextConfig, IoBinding, Runtime, SubmitOptions};
use htp_runtime::time::Instant;
use htp_runtime::vhtp::{Fault, Vhtp, VhtpCapacities, VhtpConfig};

/// Counts completions by the client's word.
#[derive(Default)]
struct Heard {
    by_word: Mutex<HashMap<usize, Vec<Outcome>>>,
    changed: Condvar,
    /// What the client's function does besides.
    then: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Heard {
    /// Waits until `count` completions were heard.
    fn wait(&self, count: usize) -> HashMap<usize, Vec<Outcome>> {
        let total = |map: &HashMap<usize, Vec<Outcome>>| map.values().map(Vec::len).sum::<usize>();
        let map = self.by_word.lock().unwrap();
        self.changed.wait_while(map, |map| total(map) < count).unwrap().clone()
    }
}

struct Sink(&'static Heard);

impl NoticeSink for Sink {
    fn deliver(&self, notice: Notice) {
        if let Notice::Completion(Completion { user_data, outcome, .. }) = notice {
            self.0.by_word.lock().unwrap().entry(user_data[0]).or_default().push(outcome);
            self.0.changed.notify_all();
            if let Some(then) = self.0.then.get() {
                then();
            }
        }
    }
}

type TestDriver = Driver<Vhtp<'static>, Sink>;

fn driver(threads: bool) -> (&'static TestDriver, &'static Heard) {
    let heard: &'static Heard = Box::leak(Box::default());
    let capabilities = PlatformKind::QnxAdas.capabilities(73);
    let runtime = Runtime::new(Region::from_heap(16 << 20), &Capacities::DEFAULT, capabilities);
    let capacities = VhtpCapacities { contexts: 16, graphs: 64, buffers: 256, journal: 64 };
    let device = Vhtp::new(Region::from_heap(16 << 20), VhtpConfig::default(), capacities);
    let driver = Driver::new(runtime.unwrap(), device.unwrap(), Sink(heard));
    let driver: &'static TestDriver = Box::leak(Box::new(driver));
    driver.init().unwrap();
    if threads {
        driver.start().unwrap();
    }
    (driver, heard)
}

/// A loaded network; its tensor ids are those of the binary, whatever its life.
#[derive(Clone, Copy)]
struct Net {
    context: ContextId,
    graph: GraphId,
    ids: [u32; 3],
}

fn load(driver: &TestDriver, depth: u32) -> Net {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits/digits.htpb");
    let bytes = std::fs::read(path).unwrap();
    let config = ContextConfig { queue_depth: depth, ..ContextConfig::default() };
    let context = driver.call(|runtime, _| {
        let region = runtime.region_mut();
        let fill = |to: &mut [u8]| to.copy_from_slice(&bytes);
        let binary = region.alloc_shared(bytes.len(), 4096, fill).unwrap();
        runtime.context_load(binary, 73, &config).unwrap()
    });
    let ready = driver.call_blocking(BLOCKING_TIMEOUT_US, |runtime, _| {
        match runtime.context_status(context) {
            Ok(Status::Pending) => Answer::Pending,
            other => Answer::Ready(other),
        }
    });
    assert_eq!(ready, Ok(Ok(Status::Ready)));
    driver.call(|runtime, _| {
        let graph = runtime.graph_by_name(context, "digits").unwrap();
        let ids = [0, 1, 2].map(|index| runtime.graph_io(graph, index).unwrap().unwrap().id);
        Net { context, graph, ids }
    })
}

/// Bytes of one image.
const IMAGE_BYTES: usize = 64;

/// Memory of one execution.
struct Io {
    image: Vec<u8>,
    outputs: [Vec<u8>; 2],
}

impl Io {
    fn new(image: &[u8]) -> Self {
        Self { image: image.to_vec(), outputs: [vec![0; 10], vec![0; 10]] }
    }

    fn bindings(&mut self, net: Net) -> Vec<IoBinding> {
        let [first, second] = &mut self.outputs;
        let memories = [&mut self.image[..], &mut first[..], &mut second[..]];
        let lend = |(id, memory): (u32, &mut [u8])| {
            let address = memory.as_mut_ptr().expose_provenance();
            // SAFETY: every test keeps the vectors until all completions were heard.
            let memory = unsafe { ClientMemory::new(address, memory.len()) };
            IoBinding { tensor_id: id, memory }
        };
        net.ids.into_iter().zip(memories).map(lend).collect()
    }
}

fn images() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits/images.bin")).unwrap()
}

fn options(mode: Mode, word: usize) -> SubmitOptions {
    SubmitOptions { mode, deadline: Instant::FAR, user_data: [word, 0, 0], profile: None }
}

/// One blocking execution, as the C layer makes it.
fn execute(driver: &TestDriver, net: Net, io: &mut Io) -> Result<Outcome, SubmitError> {
    let bindings = io.bindings(net);
    let mut request = None;
    let answer = driver.call_blocking(BLOCKING_TIMEOUT_US, |runtime, now| match request {
        None => match runtime.submit(now, net.graph, &bindings[..], options(Mode::Blocking, 0)) {
            Ok(id) => {
                request = Some(id);
                Answer::Pending
            }
            Err(SubmitError::QueueFull) => Answer::Pending,
            Err(SubmitError::Handle(HandleError::Recovering)) => Answer::Pending,
            Err(error) => Answer::Ready(Err(error)),
        },
        Some(id) => match runtime.take_outcome(now, id) {
            Some(completion) => Answer::Ready(Ok(completion.outcome)),
            None => Answer::Pending,
        },
    });
    answer.unwrap()
}

#[test]
fn blocking_executions_from_eight_threads_share_queues_of_two() {
    let (driver, _) = driver(true);
    let images = images();
    let expected =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits/logits.bin")).unwrap();
    let nets = [load(driver, 2), load(driver, 2)];
    thread::scope(|scope| {
        for thread in 0..8 {
            let (images, expected, net) = (&images, &expected, nets[thread % 2]);
            scope.spawn(move || {
                for image in (thread..200).step_by(8) {
                    let mut io = Io::new(&images[image * 64..][..64]);
                    assert_eq!(execute(driver, net, &mut io), Ok(Outcome::Completed));
                    let logits = &expected[image * 10..][..10];
                    assert!(io.outputs.iter().any(|output| output == logits), "image {image}");
                }
            });
        }
    });
    driver.call(|runtime, _| assert_eq!(runtime.counters(), Default::default()));
}

// REQ: ASYNC-002, ASYNC-005, ASYNC-012, ASYNC-024, SSR-010
#[test]
fn each_asynchronous_request_is_heard_once_though_the_device_crashes_again_and_again() {
    let (driver, heard) = driver(true);
    let images = images();
    const ROUNDS: usize = 20;
    const BATCH: usize = 30;
    for round in 0..ROUNDS {
        let net = load(driver, BATCH as u32);
        let mut ios: Vec<_> =
            (0..BATCH).map(|image| Io::new(&images[image * 64..][..64])).collect();
        driver.with_device(|device| device.inject(Fault::CrashAtOp { op: (round % 13) as u32 }));
        let mut accepted = 0;
        for (index, io) in ios.iter_mut().enumerate() {
            let bindings = io.bindings(net);
            let word = round * BATCH + index;
            let submitted = driver.call(|runtime, now| {
                runtime.submit(now, net.graph, &bindings[..], options(Mode::Asynchronous, word))
            });
            match submitted {
                Ok(_) => accepted += 1,
                Err(SubmitError::Handle(HandleError::Stale | HandleError::Recovering)) => break,
                Err(error) => panic!("{error:?}"),
            }
        }
        wait_idle(driver);
        driver.flush_notices(BLOCKING_TIMEOUT_US).unwrap();
        let map = heard.by_word.lock().unwrap().clone();
        let ours = map.iter().filter(|(word, _)| **word / BATCH == round);
        assert_eq!(ours.clone().count(), accepted, "round {round}");
        assert!(ours.clone().all(|(_, outcomes)| outcomes.len() == 1));
        free(driver, net.context);
    }
    driver.call(|runtime, _| {
        assert_eq!(runtime.counters().faults, 0);
        assert_eq!(runtime.restarts() as usize, ROUNDS);
        assert_eq!(runtime.context_count(), 0);
    });
}

fn wait_idle(driver: &TestDriver) {
    let idle = driver.call_blocking(BLOCKING_TIMEOUT_US, |runtime, _| {
        if runtime.is_idle() && runtime.is_online() {
            Answer::Ready(())
        } else {
            Answer::Pending
        }
    });
    assert_eq!(idle, Ok(()));
}

fn free(driver: &TestDriver, context: ContextId) {
    driver.call(|runtime, now| runtime.context_free(now, context).unwrap());
    let gone = driver.call_blocking(BLOCKING_TIMEOUT_US, |runtime, _| {
        if runtime.context_is_gone(context) {
            Answer::Ready(())
        } else {
            Answer::Pending
        }
    });
    assert_eq!(gone, Ok(()));
}

// REQ: ASYNC-012
#[test]
fn a_call_that_waited_for_room_queues_exactly_one_request() {
    let (driver, heard) = driver(true);
    let net = load(driver, 1);
    let images = images();
    let mut ios: Vec<_> =
        (0..200).map(|index| Io::new(&images[index * IMAGE_BYTES..][..IMAGE_BYTES])).collect();
    for (word, io) in ios.iter_mut().enumerate() {
        let bindings = io.bindings(net);
        let options = options(Mode::Asynchronous, word);
        let accepted = driver.call_blocking(BLOCKING_TIMEOUT_US, |runtime, now| {
            match runtime.submit(now, net.graph, &bindings[..], options) {
                Err(SubmitError::QueueFull) => Answer::Pending,
                other => Answer::Ready(other),
            }
        });
        accepted.unwrap().unwrap();
    }
    wait_idle(driver);
    driver.flush_notices(BLOCKING_TIMEOUT_US).unwrap();
    let outcomes = heard.wait(ios.len());
    assert_eq!(outcomes.len(), ios.len());
    assert!(outcomes.values().all(|outcomes| outcomes[..] == [Outcome::Completed]));
}

#[test]
fn a_call_that_got_its_answer_does_not_look_again() {
    let (driver, _) = driver(false);
    let mut looks = 0;
    let answer = driver.call_blocking(BLOCKING_TIMEOUT_US, |_, _| {
        looks += 1;
        Answer::Ready(())
    });
    assert_eq!((answer, looks), (Ok(()), 1));
}

#[test]
fn without_threads_everything_happens_in_poll_at_the_time_it_is_given() {
    let (driver, heard) = driver(false);
    let images = images();
    let net = load(driver, 5);
    let mut ios: Vec<_> = (0..5).map(|image| Io::new(&images[image * 64..][..64])).collect();
    for (word, io) in ios.iter_mut().enumerate() {
        let bindings = io.bindings(net);
        let options = options(Mode::Asynchronous, word);
        driver.call(|runtime, now| runtime.submit(now, net.graph, &bindings[..], options)).unwrap();
    }
    assert!(heard.by_word.lock().unwrap().is_empty(), "no callback inside a call");
    assert_eq!(driver.poll(1_000), u64::MAX);
    assert_eq!(driver.now(), Instant::from_us(1_000));
    assert_eq!(heard.wait(5).len(), 5);
    free(driver, net.context);
}

/// The device of this test takes no time, so nothing else would end it.
#[test]
fn a_poll_ends_though_every_notification_submits_again() {
    let (driver, heard) = driver(false);
    let net = load(driver, 2);
    let bindings: &'static _ = Box::leak(Box::new(Io::new(&[0; IMAGE_BYTES]))).bindings(net).leak();
    let submit = move || {
        let options = options(Mode::Asynchronous, 0);
        driver.call(|runtime, now| runtime.submit(now, net.graph, bindings, options)).unwrap();
    };
    submit();
    assert!(heard.then.set(Box::new(submit)).is_ok());
    for polls in 1..=3 {
        assert_eq!(driver.poll(1_000), 1_000, "there is more to do at once");
        assert_eq!(heard.wait(1)[&0].len(), polls * NOTICES_PER_POLL);
    }
}

#[test]
fn a_blocking_call_without_threads_gives_up_when_nothing_can_move() {
    let (driver, _) = driver(false);
    let net = load(driver, 1);
    driver.with_device(Vhtp::hold);
    let mut io = Io::new(&[0; 64]);
    let bindings = io.bindings(net);
    let options = options(Mode::Blocking, 0);
    let request =
        driver.call(|runtime, now| runtime.submit(now, net.graph, &bindings[..], options)).unwrap();
    let wait = |driver: &TestDriver| {
        driver.call_blocking(BLOCKING_TIMEOUT_US, |runtime, now| {
            match runtime.take_outcome(now, request) {
                Some(completion) => Answer::Ready(completion.outcome),
                None => Answer::Pending,
            }
        })
    };
    assert_eq!(wait(driver), Err(WaitTimeout));
    driver.with_device(Vhtp::resume);
    assert_eq!(wait(driver), Ok(Outcome::Completed));
}

/// Nobody would wake it: without threads only callers drive, and their clock is not the system's.
#[test]
fn a_blocking_call_without_threads_ends_though_another_caller_drives() {
    let (driver, _) = driver(false);
    driver.poll(1 << 50);
    let (looked, seen) = mpsc::channel();
    let (ended, end) = mpsc::channel();
    driver.with_device(|_| {
        thread::spawn(move || {
            let answer = driver.call_blocking(BLOCKING_TIMEOUT_US, |_, _| {
                let _ = looked.send(());
                Answer::<()>::Pending
            });
            let _ = ended.send(answer);
        });
        seen.recv().unwrap();
        // Time to find that the device is taken, and to wait.
        (0..1_000).for_each(|_| thread::yield_now());
    });
    assert_eq!(end.recv_timeout(Duration::from_secs(30)), Ok(Err(WaitTimeout)));
}

/// Says so when it is dropped, in a panic too.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn blocking_executions_without_threads_complete_though_others_want_the_device() {
    let (driver, _) = driver(false);
    let net = load(driver, 1);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                driver.with_device(|_| ());
            }
        });
        let _over = Over(&over);
        for _ in 0..500 {
            let mut io = Io::new(&[0; IMAGE_BYTES]);
            assert_eq!(execute(driver, net, &mut io), Ok(Outcome::Completed));
        }
    });
}

/// Queues `count` requests and waits until all are done, though not heard.
fn complete(driver: &TestDriver, net: Net, images: &[u8], count: usize) {
    let completed = |runtime: &mut Runtime<'static>| {
        runtime.context_stats(net.context).unwrap().counts.completed as usize
    };
    let before = driver.call(|runtime, _| completed(runtime));
    let mut ios: Vec<_> = (0..count).map(|image| Io::new(&images[image * 64..][..64])).collect();
    for (word, io) in ios.iter_mut().enumerate() {
        let bindings = io.bindings(net);
        let options = options(Mode::Asynchronous, word);
        driver.call(|runtime, now| runtime.submit(now, net.graph, &bindings[..], options)).unwrap();
    }
    let done = driver.call_blocking(BLOCKING_TIMEOUT_US, |runtime, _| {
        match completed(runtime) == before + count {
            true => Answer::Ready(()),
            false => Answer::Pending,
        }
    });
    assert_eq!(done, Ok(()));
}

/// Waits to be woken.
fn woken(reader: &mut UnixStream) -> u64 {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes).unwrap();
    u64::from_ne_bytes(bytes)
}

#[test]
fn a_client_that_takes_its_notices_is_woken_once_until_it_has_taken_them() {
    let (driver, heard) = driver(true);
    let (mut reader, writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    driver.wake_taker_by(Wake::new(WakeBy::Descriptor(writer.as_raw_fd())).unwrap());
    let (net, images) = (load(driver, 8), images());
    for round in 1..=3 {
        complete(driver, net, &images, 5);
        assert_eq!(woken(&mut reader), 1);
        reader.set_nonblocking(true).unwrap();
        let again = reader.read(&mut [0; 8]).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::WouldBlock, "woken twice");
        reader.set_nonblocking(false).unwrap();
        assert_eq!(driver.take_notices(), 5);
        assert_eq!(driver.take_notices(), 0);
        let heard = heard.by_word.lock().unwrap();
        assert!(heard.values().all(|outcomes| outcomes.len() == round), "told by somebody else");
    }
    // Whoever takes notices does not wait for them.
    assert_eq!(driver.flush_notices(BLOCKING_TIMEOUT_US), Ok(()));
}

#[test]
fn what_is_left_after_a_bounded_taking_wakes_the_client_again() {
    let (driver, _) = driver(true);
    let (mut reader, writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    driver.wake_taker_by(Wake::new(WakeBy::Descriptor(writer.as_raw_fd())).unwrap());
    let depth = usize::from(QUEUE_DEPTH_MAX);
    let images = vec![0; depth * IMAGE_BYTES];
    for _ in 0..2 {
        complete(driver, load(driver, u32::from(QUEUE_DEPTH_MAX)), &images, depth);
    }
    for taken in [NOTICES_PER_POLL, 2 * depth - NOTICES_PER_POLL] {
        assert_eq!(woken(&mut reader), 1);
        assert_eq!(driver.take_notices(), taken);
    }
}

#[test]
fn a_wake_up_that_fails_is_tried_again() {
    let (driver, _) = driver(true);
    let (mut reader, mut writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    driver.wake_taker_by(Wake::new(WakeBy::Descriptor(writer.as_raw_fd())).unwrap());
    let mut full = 0;
    while writer.write(&[0; 8]).is_ok() {
        full += 1;
    }
    complete(driver, load(driver, 8), &images(), 3);
    for _ in 0..full {
        assert_eq!(woken(&mut reader), 0);
    }
    assert_eq!(woken(&mut reader), 1);
    assert_eq!(driver.take_notices(), 3);
}

#[test]
fn what_may_block_or_is_not_there_wakes_nobody() {
    let (may_block, _other) = UnixStream::pair().unwrap();
    let pulse = WakeBy::Pulse { connection: 1, priority: -1, code: 1, value: 0 };
    for (by, error) in [
        (WakeBy::Descriptor(may_block.as_raw_fd()), WakeError::Invalid),
        (WakeBy::Descriptor(-1), WakeError::Invalid),
        (pulse, WakeError::NotSupported),
        (WakeBy::Event([0; 4]), WakeError::NotSupported),
    ] {
        assert_eq!(Wake::new(by).err(), Some(error), "{by:?}");
    }
}
