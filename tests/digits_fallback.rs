//! The digit network on the CPU while the device is down: the same bytes as on the device.

#[path = "support/digits_world.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod digits;
#[allow(dead_code, reason = "shared with the test of the reference itself")]
mod reference;

use htp_runtime::device::{Command, Device, Event, ExecuteError, PrepareError, Step};
use htp_runtime::event::{Completion, Notice, Outcome};
use htp_runtime::region::{Region, SharedBytes};
use htp_runtime::runtime::Fallback;
use htp_runtime::ssr::{Queued, Recovery, State};
use htp_runtime::vhtp::{check_fallback, Fault};

use digits::{Digits, IMAGE_BYTES};
use reference::digits_file;

const MANAGED: Recovery =
    Recovery::Managed { attempts_max: 3, time_budget_us: 100_000, queued: Queued::Requeue };
const BATCH: usize = 20;

/// The network under a recovery that keeps its queue, and memory on the CPU that is just enough.
fn world(interval_us: u64) -> Digits {
    let mut world = Digits::under(MANAGED, BATCH as u32);
    let table = world.runtime.lend_table(world.graph).unwrap();
    let enough = (10..).map(|log| 1 << log).find(|bytes| fits(&table, *bytes)).unwrap();
    world.runtime.return_table(table);
    assert!(world.device.set_fallback_memory(Region::from_heap(enough + 4096)));
    assert_eq!(world.device.fallback_memory_bytes(), enough + 4096);
    let fallback = Some(Fallback { interval_us });
    world.runtime.context_set_fallback(world.context, fallback).unwrap();
    world
}

fn fits(table: &SharedBytes<'static>, bytes: usize) -> bool {
    match check_fallback(&mut Box::new_uninit_slice(bytes), table) {
        Ok(()) => true,
        Err(PrepareError::OutOfMemory) => false,
        Err(error) => panic!("{error:?}"),
    }
}

/// Drives until nothing moves and no time brings anything.
fn run_out(world: &mut Digits) -> Vec<Completion> {
    let mut completions = Vec::new();
    loop {
        let notices = world.drain().into_iter();
        completions.extend(notices.filter_map(|notice| match notice {
            Notice::Completion(completion) => Some(completion),
            Notice::Restart(_) => None,
        }));
        match world.runtime.poll_timeout() {
            Some(at) => world.now = world.now.max(at),
            None => return completions,
        }
    }
}

#[test]
fn the_cpu_gives_the_bytes_of_the_device() {
    let images = digits_file("images.bin");
    let expected = digits_file("logits.bin");
    let mut world = world(100);
    world.device.inject(Fault::CrashAtOp { op: 5 });
    world.device.inject(Fault::ReconnectFails { times: 100 });
    world.submit(&images[..BATCH * IMAGE_BYTES]);
    let completions = run_out(&mut world);
    assert_eq!(world.runtime.state(), State::Lost);
    assert_eq!(completions.len(), BATCH);
    for completion in &completions {
        let image = completion.user_data[0];
        let (outcome, times) = (completion.outcome, completion.times);
        if image == 0 {
            assert_eq!((outcome, times.on_fallback), (Outcome::DeviceLost, false));
            continue;
        }
        assert_eq!((outcome, times.on_fallback), (Outcome::Completed, true));
        assert_eq!((times.device_time_us, times.cycles), (0, 0));
        assert_eq!(world.logits()[image], expected[image * 10..(image + 1) * 10], "image {image}");
    }
    let last = completions.iter().map(|it| it.times.completed).max().unwrap();
    assert!(last.as_us() >= 100 * (BATCH as u64 - 2), "not faster than the interval");
}

#[test]
fn a_device_that_comes_back_takes_over() {
    let images = digits_file("images.bin");
    let expected = digits_file("logits.bin");
    let mut world = world(500);
    world.device.inject(Fault::CrashAtOp { op: 5 });
    world.device.inject(Fault::ReconnectFails { times: 2 });
    world.submit(&images[..BATCH * IMAGE_BYTES]);
    let completions = run_out(&mut world);
    assert_eq!(world.runtime.state(), State::Online);
    let count = |on| completions.iter().filter(|it| it.times.on_fallback == on).count();
    assert!(count(true) > 1 && count(false) > 2, "both had a part in it");
    let counts = world.runtime.context_stats(world.context).unwrap().counts;
    assert_eq!(counts.on_fallback as usize, count(true));
    for image in 1..BATCH {
        assert_eq!(world.logits()[image], expected[image * 10..(image + 1) * 10], "image {image}");
    }
}

#[test]
fn what_is_asked_of_the_device_does_not_wait_for_the_cpu() {
    let images = digits_file("images.bin");
    let mut world = world(100);
    world.submit(&images[..2 * IMAGE_BYTES]);
    assert!(world.runtime.poll_command(world.now).is_some());
    world.device.inject(Fault::CrashNow);
    world.device.inject(Fault::ReconnectFails { times: 100 });
    let (mut asked, mut answers) = (false, 0);
    while answers < 3 {
        let step = world.device.step(world.now);
        let failed = matches!(step, Step::Event(Event::ConnectFailed { .. }));
        assert!(failed || !asked, "{step:?} came first");
        answers += usize::from(failed);
        match step {
            Step::Event(event) => world.runtime.handle_event(world.now, event),
            _ => assert!(world.device.fallback_used_bytes() > 0, "the CPU is at work"),
        }
        let due = world.runtime.poll_timeout().filter(|_| failed);
        world.now = due.unwrap_or(world.now);
        world.runtime.handle_timeout(world.now);
        if answers == 2 {
            assert_eq!(world.device.step(world.now), Step::Worked, "the CPU has its turns between");
        }
        asked = false;
        while let Some(command) = world.runtime.poll_command(world.now) {
            asked |= matches!(command, Command::Connect { .. });
            world.device.submit(world.now, command);
        }
    }
}

#[test]
fn an_abort_ends_it_at_each_border_and_the_memory_is_free_again() {
    let images = digits_file("images.bin");
    let mut ended = 0;
    for border in 0.. {
        let mut world = world(100);
        // The first goes to the device and down with it.
        world.submit(&images[..2 * IMAGE_BYTES]);
        assert!(world.runtime.poll_command(world.now).is_some());
        world.device.inject(Fault::CrashNow);
        world.device.inject(Fault::ReconnectFails { times: 100 });
        while world.runtime.state() == State::Online {
            let step = world.device.step(world.now);
            let Step::Event(event) = step else { panic!("{step:?}") };
            world.runtime.handle_event(world.now, event);
        }
        while let Some(command) = world.runtime.poll_command(world.now) {
            world.device.submit(world.now, command);
        }
        assert!(world.device.fallback_used_bytes() > 0, "it is at work");
        assert!(!world.device.set_fallback_memory(Region::from_heap(64)));
        let mut steps = (0..border).map(|_| world.device.step(world.now));
        let done = steps.any(|step| matches!(step, Step::Event(Event::FallbackExecuted { .. })));
        if done {
            break;
        }
        world.runtime.context_free(world.now, world.context).unwrap();
        while let Some(command) = world.runtime.poll_command(world.now) {
            world.device.submit(world.now, command);
        }
        let answer = (0..3).map(|_| world.device.step(world.now)).find_map(|step| match step {
            Step::Event(Event::FallbackExecuted { result, .. }) => Some(result),
            _ => None,
        });
        assert_eq!(answer, Some(Err(ExecuteError::Aborted)));
        assert_eq!(world.device.fallback_used_bytes(), 0);
        ended += 1;
    }
    assert!(ended > 5, "{ended} borders");
}
