//! What the virtual device was told and what it answered, for tests and post-mortems.

use crate::handle::Epoch;
use crate::region::{OutOfMemory, Region, RegionSlice};
use crate::time::Instant;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum JournalKind {
    /// Command `Connect`; arg: the attempt.
    Connect = 0,
    /// Command `ContextCreate`.
    ContextCreate = 1,
    /// Command `ContextRelease`.
    ContextRelease = 2,
    /// Command `GraphPrepare`; arg: bytes of the table.
    GraphPrepare = 3,
    /// Command `GraphRelease`.
    GraphRelease = 4,
    /// Command `BufferMap`; arg: bytes of the buffer.
    BufferMap = 5,
    /// Command `BufferUnmap`.
    BufferUnmap = 6,
    /// Command `Execute`; arg: graph index in the low 16 bits, the request's context above, then
    /// the HMX priority, and from bit 40 the HVX threads, 0 for all.
    Execute = 7,
    /// Command `Abort`; arg: the request's context in bits 16 to 31.
    Abort = 8,
    /// Command `Probe`.
    Probe = 9,
    /// Command `PowerVote`; arg: from the lowest byte min, target and max corner of the core, then
    /// those of the bus, 0 for no vote; the clock in MHz in the upper 16 bits.
    PowerVote = 10,
    /// Command `MemorySet`; arg: bytes by which the heap grows, 0 for the default.
    MemorySet = 11,
    /// Command `Shutdown`.
    Shutdown = 12,
    /// A fault was injected; arg: 0 crash at op (operation in the upper half), 1 crash now, 2 hang,
    /// 3 reconnect fails (times in the upper half).
    Fault = 20,
    /// Execution was held.
    Hold = 21,
    /// Execution was resumed.
    Resume = 22,
    /// Event `Connected`.
    Connected = 40,
    /// Event `ConnectFailed`.
    ConnectFailed = 41,
    /// Event `ContextCreated`; arg: 0, or 1 after an error.
    ContextCreated = 42,
    /// Event `ContextReleased`.
    ContextReleased = 43,
    /// Event `GraphPrepared`; arg: 0, or 1 after an error.
    GraphPrepared = 44,
    /// Event `GraphReleased`.
    GraphReleased = 45,
    /// Event `BufferMapped`; arg: 0, or 1 after an error.
    BufferMapped = 46,
    /// Event `BufferUnmapped`.
    BufferUnmapped = 47,
    /// Event `Executed`; arg: 0 ok, 1 aborted, 2 no such graph, 3 bad memory, 4 internal; the
    /// request's context in bits 16 to 31.
    Executed = 48,
    /// Event `Alive`; arg: steps.
    Alive = 49,
    /// Event `Crashed`.
    Crashed = 50,
}

/// One line of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct JournalEntry {
    /// When: the last `now` that the device was given.
    pub at: Instant,
    /// Epoch of the command or event.
    pub epoch: Epoch,
    /// What.
    pub what: JournalKind,
    /// Slot of the object it is about; of a request its slot in its context's queue. 0 if there is
    /// none.
    pub index: u16,
    /// Generation of the object. 0 if there is none.
    pub generation: u32,
    /// Depends on `what`.
    pub arg: u64,
}

/// A ring of the latest entries.
pub(super) struct Journal<'m> {
    ring: RegionSlice<'m, JournalEntry>,
    next: usize,
    total: u64,
}

impl<'m> Journal<'m> {
    pub(super) fn new(region: &mut Region<'m>, capacity: u16) -> Result<Self, OutOfMemory> {
        let empty = JournalEntry {
            at: Instant::ZERO,
            epoch: Epoch::FIRST,
            what: JournalKind::Connect,
            index: 0,
            generation: 0,
            arg: 0,
        };
        Ok(Self { ring: region.alloc(usize::from(capacity), empty)?, next: 0, total: 0 })
    }

    pub(super) fn push(&mut self, entry: JournalEntry) {
        if let Some(slot) = self.ring.get_mut(self.next) {
            *slot = entry;
        }
        let next = self.next.saturating_add(1);
        self.next = if next < self.ring.len() { next } else { 0 };
        self.total = self.total.saturating_add(1);
    }

    /// Entries ever pushed.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The entries still there, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &JournalEntry> {
        let full = usize::try_from(self.total).map_or(true, |total| total >= self.ring.len());
        let (newer, older) = self.ring.split_at_checked(self.next).unwrap_or((&[], &[]));
        let older = if full { older } else { &[] };
        older.iter().chain(newer)
    }
}
