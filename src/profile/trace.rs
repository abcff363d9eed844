//! The trace: a ring of small records of what happened, and its exporter for trace viewers.

use embedded_io::Write;

use crate::handle::{Epoch, RequestId};
use crate::region::{OutOfMemory, Region, RegionSlice};
use crate::time::Instant;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum TraceKind {
    /// A request was accepted; `value` is the number of requests in its queue.
    Submitted = 0,
    /// A request went to the device; `value` is its HMX thread priority.
    Dispatched = 1,
    /// A request that had gone to the device ended; `value` is the outcome (0 completed, 1 device
    /// reset, 2 device lost, 3 timed out, 4 aborted, 5 failed).
    Ended = 2,
    /// The restart machine entered a state; `value` is the state's number.
    Restart = 3,
    /// A request ended without having gone to the device; `value` as for `Ended`.
    Withdrawn = 4,
    /// The rebuild of the context in slot `request.context` began; `value` is the attempt, from 1.
    RebuildBegun = 5,
    /// It ended; `value` says how (0 the context is usable, 1 the device refused, 2 the DSP
    /// crashed, 3 its time was over, 4 the context was freed).
    RebuildEnded = 6,
    /// The context in slot `request.context` is lost: its recovery's budget is spent.
    ContextLost = 7,
    /// A request went to the CPU fallback instead of the device.
    FellBack = 8,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceRecord {
    /// When.
    pub at: Instant,
    /// What.
    pub kind: TraceKind,
    /// In which life of the DSP.
    pub epoch: Epoch,
    /// Which request, or of which context; meaningless for `Restart`.
    pub request: RequestId,
    /// See [`TraceKind`].
    pub value: u32,
}

const EMPTY: TraceRecord = TraceRecord {
    at: Instant::ZERO,
    kind: TraceKind::Submitted,
    epoch: Epoch::FIRST,
    request: RequestId { context: 0, slot: 0, generation: 0 },
    value: 0,
};

/// The ring. When it is full the oldest record gives way.
pub struct Trace<'m> {
    ring: RegionSlice<'m, TraceRecord>,
    next: usize,
    total: u64,
}

impl<'m> Trace<'m> {
    /// Room for `capacity` records; 0 switches tracing off.
    pub fn new(region: &mut Region<'m>, capacity: u32) -> Result<Self, OutOfMemory> {
        let capacity = usize::try_from(capacity).map_err(|_| OutOfMemory)?;
        Ok(Self { ring: region.alloc(capacity, EMPTY)?, next: 0, total: 0 })
    }

    /// Records ever written, kept or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Records that gave way to newer ones.
    pub fn overwritten(&self) -> u64 {
        self.total.saturating_sub(self.ring.len() as u64)
    }

    /// The records that are kept, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &TraceRecord> {
        let full = self.total >= self.ring.len() as u64;
        let (newer, older) = self.ring.split_at_checked(self.next).unwrap_or((&[], &[]));
        older.iter().filter(move |_| full).chain(newer.iter())
    }

    /// Writes a record.
    pub fn push(&mut self, record: TraceRecord) {
        if let Some(slot) = self.ring.get_mut(self.next) {
            *slot = record;
            self.next = self.next.saturating_add(1);
            if self.next >= self.ring.len() {
                self.next = 0;
            }
        }
        self.total = self.total.saturating_add(1);
    }
}

/// Trace-viewer process ids: one group of tracks each.
const QUEUES: u64 = 1;
const DEVICE: u64 = 2;
const RESTART: u64 = 3;

const STATES: [&str; 6] =
    ["Online", "BeforeShutdown", "AfterShutdown", "BeforePowerUp", "AfterPowerUp", "Lost"];
const OUTCOMES: [&str; 6] =
    ["completed", "device_reset", "device_lost", "timed_out", "aborted", "failed"];

const REBUILDS: [&str; 5] = ["usable", "refused", "crashed", "out of time", "freed"];

/// Writes records as a Chrome trace-event JSON document, which ui.perfetto.dev opens: one track a
/// queue, one a context on the device, one for the restart and one a context that is rebuilt in it.
/// Work is linear in the number of records.
pub fn write_json<'a, W: Write>(
    records: impl Iterator<Item = &'a TraceRecord>,
    out: &mut W,
) -> Result<(), W::Error> {
    out.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")?;
    for (pid, name) in [(QUEUES, "queues"), (DEVICE, "device"), (RESTART, "restart")] {
        let mut event = Event::begin(out, pid == QUEUES)?;
        event.text("ph", "M")?.number("pid", pid)?.text("name", "process_name")?;
        event.out.write_all(b",\"args\":{\"name\":\"")?;
        event.out.write_all(name.as_bytes())?;
        event.out.write_all(b"\"}}")?;
    }
    for record in records {
        write_record(record, out)?;
    }
    out.write_all(b"\n]}\n")
}

fn write_record<W: Write>(record: &TraceRecord, out: &mut W) -> Result<(), W::Error> {
    // Unique over all contexts, and short enough for viewers that read numbers as floats.
    let id = u64::from(record.request.generation);
    let track = u64::from(record.request.context);
    let named = |names: &[&'static str]| {
        let index = usize::try_from(record.value).unwrap_or(usize::MAX);
        names.get(index).copied().unwrap_or("unknown")
    };
    let mut write = |phase: &str, pid: u64, tid: u64, name: &str, id: Option<u64>| {
        let mut event = Event::begin(out, false)?;
        event.text("ph", phase)?.text("cat", "htp")?.number("pid", pid)?.number("tid", tid)?;
        event.number("ts", record.at.as_us())?.text("name", name)?;
        if let Some(id) = id {
            event.number("id", id)?;
        }
        event.end()
    };
    match record.kind {
        TraceKind::Submitted => write("b", QUEUES, track, "queued", Some(id)),
        TraceKind::Dispatched => {
            write("e", QUEUES, track, "queued", Some(id))?;
            write("b", DEVICE, track, "execute", Some(id))
        }
        TraceKind::FellBack => {
            write("e", QUEUES, track, "queued", Some(id))?;
            write("b", DEVICE, track, "execute", Some(id))?;
            write("i", DEVICE, track, "on the fallback", None)
        }
        TraceKind::Ended => {
            write("e", DEVICE, track, "execute", Some(id))?;
            write("i", DEVICE, track, named(&OUTCOMES), None)
        }
        TraceKind::Withdrawn => {
            write("e", QUEUES, track, "queued", Some(id))?;
            write("i", QUEUES, track, named(&OUTCOMES), None)
        }
        TraceKind::RebuildBegun => write("B", RESTART, track.saturating_add(1), "rebuild", None),
        TraceKind::RebuildEnded => {
            write("E", RESTART, track.saturating_add(1), "rebuild", None)?;
            write("i", RESTART, track.saturating_add(1), named(&REBUILDS), None)
        }
        TraceKind::ContextLost => {
            write("i", RESTART, track.saturating_add(1), "context lost", None)
        }
        TraceKind::Restart => {
            write("i", RESTART, 0, named(&STATES), None)?;
            let epoch = u64::from(record.epoch.number());
            let mut event = Event::begin(out, false)?;
            event.text("ph", "C")?.number("pid", RESTART)?.number("ts", record.at.as_us())?;
            event.text("name", "epoch")?;
            event.out.write_all(b",\"args\":{\"epoch\":")?;
            event.out.write_all(Decimal::of(epoch).digits())?;
            event.out.write_all(b"}}")
        }
    }
}

/// One JSON object under way.
struct Event<'w, W: Write> {
    out: &'w mut W,
    first: bool,
}

impl<'w, W: Write> Event<'w, W> {
    fn begin(out: &'w mut W, first_of_all: bool) -> Result<Self, W::Error> {
        out.write_all(if first_of_all { b"\n{" } else { b",\n{" })?;
        Ok(Self { out, first: true })
    }

    fn key(&mut self, key: &str) -> Result<(), W::Error> {
        self.out.write_all(if self.first { b"\"" } else { b",\"" })?;
        self.first = false;
        self.out.write_all(key.as_bytes())?;
        self.out.write_all(b"\":")
    }

    /// Adds a text without characters that JSON escapes.
    fn text(&mut self, key: &str, value: &str) -> Result<&mut Self, W::Error> {
        self.key(key)?;
        self.out.write_all(b"\"")?;
        self.out.write_all(value.as_bytes())?;
        self.out.write_all(b"\"")?;
        Ok(self)
    }

    fn number(&mut self, key: &str, value: u64) -> Result<&mut Self, W::Error> {
        self.key(key)?;
        self.out.write_all(Decimal::of(value).digits())?;
        Ok(self)
    }

    fn end(self) -> Result<(), W::Error> {
        self.out.write_all(b"}")
    }
}

/// A number as decimal digits. Written here because ready-made writers carry a bounds check that
/// can fail as far as the compiler knows, and then a panic is in the library.
pub struct Decimal {
    /// Right-aligned.
    digits: [u8; 20],
    count: usize,
}

impl Decimal {
    /// The digits of `value`. At most 20 steps.
    pub fn of(value: u64) -> Self {
        let mut this = Self { digits: [b'0'; 20], count: 0 };
        let mut rest = value;
        for digit in this.digits.iter_mut().rev() {
            *digit = b'0'.saturating_add(u8::try_from(rest % 10).unwrap_or(0));
            rest /= 10;
            this.count = this.count.saturating_add(1);
            if rest == 0 {
                break;
            }
        }
        this
    }

    /// The digits, most significant first; at least one.
    pub fn digits(&self) -> &[u8] {
        self.digits.get(self.digits.len().saturating_sub(self.count)..).unwrap_or(&[])
    }
}
