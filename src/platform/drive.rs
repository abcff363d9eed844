//! The drive loop: carries commands down to the device and events up to the runtime, and delivers
//! notices.
//!
//! Two locks. `device` is the driver's role: whoever holds it steps the device. `runtime` protects
//! the machine; it is taken inside the role, for bounded work, and never while the device works.
//! With threads, a worker drives whatever no caller drives, and a completion thread delivers
//! notices. A blocking caller drives itself while the role is free, so a blocking execution on an
//! idle system needs no thread switch. Without threads, [`Driver::poll`] does both jobs and time is
//! what its caller says.

mod taker;

use core::ops::DerefMut;
use core::sync::atomic::Ordering;

use self::taker::Taker;
use super::os::{self, AtomicBool, AtomicU32, AtomicU64, Condvar, Mutex, Role, ThreadId};
use super::{LockError, SpawnError, ThreadMain};
use crate::device::{Device, Event, Step};
use crate::event::Notice;
use crate::handle::ContextId;
use crate::limits::{BLOCKING_TIMEOUT_US, NOTICES_PER_POLL};
use crate::runtime::Runtime;
use crate::time::Instant;

/// Who hears the notices. Called outside all locks, on the completion thread or in
/// [`Driver::poll`].
pub trait NoticeSink: Sync {
    /// One notice; each comes exactly once, in order.
    fn deliver(&self, notice: Notice);
}

/// The wait of a blocking call ended before its answer came. What it began goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitTimeout;

/// What a blocking call finds when it looks.
pub enum Answer<R> {
    /// The call is done.
    Ready(R),
    /// Not yet: look again after the next event. The wait goes on while the device makes progress.
    Pending,
    /// Not yet, and it is not the device that is waited for: its progress does not count.
    Elsewhere,
}

/// Why driving ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    /// The device waits.
    Waiting,
    /// Somebody wants the device.
    Wanted,
}

/// Values of [`Driver::telling`] that are no context's slot.
const NOBODY: u32 = u32::MAX;
const EVERYBODY: u32 = u32::MAX - 1;

/// The runtime, its device and those who wait for them.
pub struct Driver<D: 'static, S: 'static> {
    runtime: Mutex<Runtime<'static>>,
    device: Role<D>,
    sink: S,
    /// Wakes the worker.
    work: Condvar,
    /// Wakes blocking callers: something changed.
    progress: Condvar,
    /// Wakes the completion thread, and whoever waits for it to be done.
    notices: Condvar,
    /// Blocking callers on `progress`.
    waiting: AtomicU32,
    /// Callers that want the device; the driver steps aside for them.
    device_wanted: AtomicU32,
    /// When the worker wakes by itself: 0 while it is awake. Changed under the runtime's lock.
    worker_wakes_us: AtomicU64,
    /// Whose notice left the runtime and is being told: [`NOBODY`], a context's slot, or something
    /// else. Changed under the runtime's lock.
    telling: AtomicU32,
    /// Time when the device wants to be stepped again, as far as the last driver knew; `u64::MAX`
    /// if never.
    device_due_us: AtomicU64,
    /// Threads run; otherwise the owner polls.
    threaded: AtomicBool,
    /// Time as the last `poll` gave it.
    polled_now_us: AtomicU64,
    /// The thread that delivers notices.
    completion_thread: Mutex<Option<ThreadId>>,
    /// Changed under the runtime's lock.
    taker: Mutex<Option<Taker>>,
}

struct Worker;
struct Completions;

impl<D: Device<'static> + Send, S: NoticeSink> Driver<D, S> {
    /// Puts a runtime on a device. Place it where it stays, then call [`Driver::start`] or
    /// [`Driver::poll`].
    pub const fn new(runtime: Runtime<'static>, device: D, sink: S) -> Self {
        Self {
            runtime: Mutex::new(runtime),
            device: Role::new(device),
            sink,
            work: Condvar::new(),
            progress: Condvar::new(),
            notices: Condvar::new(),
            waiting: AtomicU32::new(0),
            device_wanted: AtomicU32::new(0),
            worker_wakes_us: AtomicU64::new(0),
            telling: AtomicU32::new(NOBODY),
            device_due_us: AtomicU64::new(u64::MAX),
            threaded: AtomicBool::new(false),
            polled_now_us: AtomicU64::new(0),
            completion_thread: Mutex::new(None),
            taker: Mutex::new(None),
        }
    }

    /// Prepares the locks. Before any other call; if it fails, there must be none.
    pub fn init(&'static self) -> Result<(), LockError> {
        self.runtime.init()?;
        self.device.init()?;
        self.completion_thread.init()?;
        self.taker.init()?;
        [&self.work, &self.progress, &self.notices].into_iter().try_for_each(Condvar::init)
    }

    /// Starts the worker and the completion thread.
    pub fn start(&'static self) -> Result<(), SpawnError> {
        self.threaded.store(true, Ordering::Release);
        let completions = os::spawn::<Self, Completions>(self, c"htp-complete")?;
        *self.completion_thread.lock() = Some(completions);
        os::spawn::<Self, Worker>(self, c"htp-worker")?;
        Ok(())
    }

    fn is_threaded(&self) -> bool {
        self.threaded.load(Ordering::Acquire)
    }

    /// Present time: of the monotonic clock with threads, of the last `poll` without.
    pub fn now(&self) -> Instant {
        if self.is_threaded() {
            os::now()
        } else {
            Instant::from_us(self.polled_now_us.load(Ordering::Acquire))
        }
    }

    /// Makes a call that answers at once. Bounded by the runtime's own work.
    pub fn call<R>(&self, call: impl FnOnce(&mut Runtime<'static>, Instant) -> R) -> R {
        let mut runtime = self.runtime.lock();
        let answer = call(&mut runtime, self.now());
        self.hand_over(&runtime);
        answer
    }

    /// As [`Driver::call`], for a caller that goes on with [`Driver::call_blocking`] at once: that
    /// drives what the call asked of the device, so nobody else is woken for it.
    pub fn begin<R>(&self, call: impl FnOnce(&mut Runtime<'static>, Instant) -> R) -> R {
        call(&mut self.runtime.lock(), self.now())
    }

    /// Makes a call that may have to wait: `look` is asked again after each event until it answers,
    /// at most `timeout_us` in all, and at most [`BLOCKING_TIMEOUT_US`] while the device makes no
    /// progress. Drives the device meanwhile if nobody else does.
    pub fn call_blocking<R>(
        &self,
        timeout_us: u64,
        mut look: impl FnMut(&mut Runtime<'static>, Instant) -> Answer<R>,
    ) -> Result<R, WaitTimeout> {
        let begun = self.now();
        let end = begun.after_us(timeout_us);
        let mut patience = end.min(begun.after_us(BLOCKING_TIMEOUT_US));
        loop {
            let mut answer = None;
            let mut done = |runtime: &mut Runtime<'static>, now: Instant| {
                if answer.is_some() {
                    return true; // the drive got it: `look` may have had an effect
                }
                match look(runtime, now) {
                    Answer::Ready(ready) => answer = Some(Ok(ready)),
                    Answer::Pending => {
                        let silent = runtime.last_progress().after_us(BLOCKING_TIMEOUT_US);
                        patience = end.min(patience.max(silent));
                    }
                    Answer::Elsewhere => {}
                }
                if answer.is_none() && now >= patience {
                    answer = Some(Err(WaitTimeout));
                }
                answer.is_some()
            };
            // First look, then drive: what the look asked of the device is on its way at once, and
            // on an idle system no other thread has to wake.
            let answered = {
                let mut runtime = self.runtime.lock();
                done(&mut runtime, self.now())
            };
            if !answered {
                self.drive_for_caller(&mut done);
            }
            let mut runtime = self.runtime.lock();
            let now = self.now();
            if !done(&mut runtime, now) && !self.is_threaded() {
                // Nobody else can move anything, or not before this returns; and time stands still.
                answer = Some(Err(WaitTimeout));
            }
            if let Some(answer) = answer {
                self.hand_over(&runtime);
                return answer;
            }
            self.leave_over(&runtime);
            self.waiting.fetch_add(1, Ordering::AcqRel);
            let runtime = self.progress.wait_until(runtime, patience);
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            drop(runtime);
        }
    }

    /// Works on the device itself: fault injection, journals. Waits for the present step to end;
    /// where nobody sleeps, `None` if somebody drives: that may be the very code it interrupted.
    pub fn with_device<R>(&self, call: impl FnOnce(&mut D) -> R) -> Option<R> {
        self.device_wanted.fetch_add(1, Ordering::AcqRel);
        let device = self.take_role();
        self.device_wanted.fetch_sub(1, Ordering::AcqRel);
        let mut device = device?;
        let answer = call(&mut device);
        drop(device);
        self.device_due_us.store(0, Ordering::Release);
        self.hand_over(&self.runtime.lock());
        Some(answer)
    }

    /// The driver's role, when it is free; where nobody sleeps, only if it is.
    fn take_role(&self) -> Option<impl DerefMut<Target = D> + use<'_, D, S>> {
        match os::CAN_SLEEP {
            true => Some(self.device.lock()),
            false => self.device.try_lock(),
        }
    }

    /// Waits until every notice so far was delivered, at most `timeout_us`. On the thread that
    /// delivers them, where it could only wait for itself, it returns at once.
    pub fn flush_notices(&self, timeout_us: u64) -> Result<(), WaitTimeout> {
        if self.on_completion_thread() {
            return Ok(());
        }
        self.call_blocking(timeout_us, |runtime, _| {
            if runtime.has_notice() || self.telling.load(Ordering::Acquire) != NOBODY {
                Answer::Pending
            } else {
                Answer::Ready(())
            }
        })
    }

    /// Whether a client is being told of a completion in `context`. One that is gone is not told of
    /// any more once this is false; asked within a call, it does not change until the call ends.
    pub fn is_telling(&self, context: ContextId) -> bool {
        self.telling.load(Ordering::Acquire) == u32::from(context.index())
    }

    /// Whether the caller is the thread that delivers notices: inside a notification, or a client
    /// that takes them itself.
    pub fn on_completion_thread(&self) -> bool {
        *self.completion_thread.lock() == Some(os::current_thread())
    }

    /// Without threads: drives at time `now_us` until the device waits, and delivers notices, at
    /// most [`NOTICES_PER_POLL`]. Gives the time at which to poll again at the latest: `now_us` if
    /// notices may be left, `u64::MAX` if only a call can bring something.
    pub fn poll(&self, now_us: u64) -> u64 {
        self.polled_now_us.fetch_max(now_us, Ordering::AcqRel);
        let is_idle = (0..NOTICES_PER_POLL).any(|_| {
            self.drive_for_caller(|_, _| false);
            !self.deliver_one()
        });
        if !is_idle {
            return now_us;
        }
        let runtime = self.runtime.lock();
        self.next_due(&runtime).as_us()
    }

    /// Drives if nobody else does, until `done`, or the device waits or is wanted. `false` if
    /// somebody else does.
    fn drive_if_free(&self, done: impl FnMut(&mut Runtime<'static>, Instant) -> bool) -> bool {
        let role = self.device.try_lock();
        role.map(|device| self.drive_in_role(device, done)).is_some()
    }

    /// Drives for a caller. Without threads nobody wakes one that waits, so it drives after whoever
    /// does, and goes on until `done` or the device waits. Where nobody sleeps it does not wait for
    /// whoever drives: that may be the very code it interrupted.
    fn drive_for_caller(&self, mut done: impl FnMut(&mut Runtime<'static>, Instant) -> bool) {
        if self.is_threaded() {
            self.drive_if_free(done);
            return;
        }
        while let Some(role) = self.take_role() {
            if self.drive_in_role(role, &mut done) != End::Wanted {
                break;
            }
        }
    }

    fn drive_in_role(
        &self,
        mut device: impl DerefMut<Target = D>,
        done: impl FnMut(&mut Runtime<'static>, Instant) -> bool,
    ) -> End {
        let end = self.drive(&mut device, done);
        drop(device);
        // Whatever came while the role was held, or is left over, is somebody else's now.
        self.leave_over(&self.runtime.lock());
        end
    }

    fn drive(
        &self,
        device: &mut D,
        mut done: impl FnMut(&mut Runtime<'static>, Instant) -> bool,
    ) -> End {
        let mut event: Option<Event> = None;
        let mut worked = None;
        loop {
            let now = self.now();
            {
                let mut runtime = self.runtime.lock();
                // A step may take long: what the device has to say by now comes before anything is
                // judged to be late.
                let asked = worked.take().inspect(|_| runtime.note_work(now)).unwrap_or(now);
                // What is asked of the device may be what a call has left of a rebuild.
                let mut happened = event.is_some() || runtime.has_command();
                if let Some(event) = event.take() {
                    runtime.handle_event(now, event);
                }
                if runtime.poll_timeout().is_some_and(|due| due <= asked) {
                    runtime.handle_timeout(asked);
                    happened = true;
                }
                while let Some(command) = runtime.poll_command(now) {
                    device.submit(now, command);
                }
                if happened {
                    self.announce(&runtime);
                }
                if done(&mut runtime, now) {
                    let due_us = device.due().map_or(u64::MAX, Instant::as_us);
                    self.device_due_us.store(due_us, Ordering::Release);
                    return End::Done;
                }
            }
            match device.step(now) {
                Step::Event(happened) => event = Some(happened),
                Step::Worked => worked = Some(now),
                Step::Waiting(due) => {
                    let due_us = due.map_or(u64::MAX, Instant::as_us);
                    self.device_due_us.store(due_us, Ordering::Release);
                    return End::Waiting;
                }
            }
            if event.is_none() && self.device_wanted.load(Ordering::Acquire) > 0 {
                self.device_due_us.store(0, Ordering::Release);
                return End::Wanted;
            }
        }
    }

    /// Tells those who wait that something changed.
    fn announce(&self, runtime: &Runtime<'static>) {
        self.announce_notices(runtime);
        if self.waiting.load(Ordering::Acquire) > 0 {
            self.progress.notify_all();
        }
    }

    fn announce_notices(&self, runtime: &Runtime<'static>) {
        if runtime.has_notice() && !self.wake_taker() {
            self.notices.notify_all();
        }
    }

    /// Something changed: tells those who wait, and wakes who sees to the rest.
    fn hand_over(&self, runtime: &Runtime<'static>) {
        if self.is_threaded() {
            self.announce(runtime);
            self.wake_worker(runtime);
        }
    }

    /// Wakes the worker if there is something to drive, the completion thread if there is something
    /// to say. Not those who wait for something that changes: two that have looked in vain, and
    /// tell each other, would never sleep.
    fn leave_over(&self, runtime: &Runtime<'static>) {
        if self.is_threaded() {
            self.announce_notices(runtime);
            self.wake_worker(runtime);
        }
    }

    fn wake_worker(&self, runtime: &Runtime<'static>) {
        let wakes = Instant::from_us(self.worker_wakes_us.load(Ordering::Acquire));
        if wakes > Instant::ZERO && (runtime.has_command() || self.next_due(runtime) < wakes) {
            self.work.notify_one();
        }
    }

    fn next_due(&self, runtime: &Runtime<'static>) -> Instant {
        let device = Instant::from_us(self.device_due_us.load(Ordering::Acquire));
        runtime.poll_timeout().map_or(device, |due| due.min(device))
    }

    fn run_worker(&'static self) {
        while os::goes_on() {
            let is_wanted = || self.device_wanted.load(Ordering::Acquire) > 0;
            let drove = !is_wanted() && self.drive_if_free(|_, _| false);
            let runtime = self.runtime.lock();
            // Whoever wants the device may not have reached its lock yet. It has to run for that,
            // and tells when it is done.
            let wanted = is_wanted();
            let due = if wanted { Instant::FAR } else { self.next_due(&runtime) };
            if wanted || (due > self.now() && !runtime.has_command()) {
                self.worker_wakes_us.store(due.as_us(), Ordering::Release);
                let runtime = self.work.wait_until(runtime, due);
                self.worker_wakes_us.store(0, Ordering::Release);
                drop(runtime);
            } else if !drove {
                // Whoever drives sees to it, or leaves it. To look again and again until then could
                // keep a less important driver from ever running; waiting for its lock lends it
                // the worker's priority.
                drop(runtime);
                drop(self.device.lock());
            }
        }
    }

    fn run_completions(&'static self) {
        while os::goes_on() {
            while !self.has_taker() && self.deliver_one() {}
            let runtime = self.runtime.lock();
            let retry = runtime.has_notice() && !self.wake_taker();
            if retry && !self.has_taker() {
                continue; // there is something to deliver
            }
            let until = if retry { self.wake_due() } else { Instant::FAR };
            drop(self.notices.wait_until(runtime, until));
        }
    }

    /// Tells one client one thing, outside the lock.
    fn deliver_one(&self) -> bool {
        let mut runtime = self.runtime.lock();
        let now = self.now();
        let Some(notice) = runtime.poll_notice(now) else {
            self.tell_taker_again();
            return false;
        };
        let of = match &notice {
            Notice::Completion(completion) => completion.request.context.into(),
            Notice::Restart(_) => EVERYBODY,
        };
        let outer = self.telling.swap(of, Ordering::AcqRel);
        // Hearing a completion freed a slot and may have let a closing context go. Whoever waits
        // for that must not have to wait for the client's function, which may itself wait
        // for them.
        self.hand_over(&runtime);
        drop(runtime);
        self.sink.deliver(notice);
        let runtime = self.runtime.lock();
        self.telling.store(outer, Ordering::Release);
        self.announce(&runtime);
        true
    }
}

impl<D: Device<'static> + Send, S: NoticeSink> ThreadMain<Driver<D, S>> for Worker {
    fn main(driver: &'static Driver<D, S>) {
        driver.run_worker();
    }
}

impl<D: Device<'static> + Send, S: NoticeSink> ThreadMain<Driver<D, S>> for Completions {
    fn main(driver: &'static Driver<D, S>) {
        driver.run_completions();
    }
}

#[cfg(all(test, loom))]
mod models;

#[cfg(all(test, feature = "vhtp", not(loom)))]
mod tests;
