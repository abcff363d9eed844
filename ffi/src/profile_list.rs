//! The events of a profile object as the C interface lists them. Ids, data and strings stay where
//! they are until the list is made anew or the profile object is freed.

use core::ffi::CStr;

use runtime::device::{OpReport, Resources};
use runtime::graph::GraphTable;
use runtime::handle::ProfileId;
use runtime::profile::{PreparePart, Profile, ProfileEvent, ProfileLevel};
use runtime::region::{OutOfMemory, Region, RegionSlice};

use crate::abi::*;
use crate::client;

const US: QnnProfile_EventUnit_t = QNN_PROFILE_EVENTUNIT_MICROSEC;
const COUNT: QnnProfile_EventUnit_t = QNN_PROFILE_EVENTUNIT_COUNT;
const CYCLES: QnnProfile_EventUnit_t = QNN_PROFILE_EVENTUNIT_CYCLES;

/// Number of a graph's first operation in names of events; the others count on from it.
const FIRST_OP_NUMBER: u32 = 16;
/// Parts of an operation's event at the linting level.
const LINTING_PARTS: usize = 4;

/// One event.
#[derive(Clone, Copy)]
struct Entry {
    data: QnnProfile_EventData_t,
    /// Its parts: the first, and how many.
    parts: (usize, usize),
}

const NO_ENTRY: Entry = Entry { data: data(0, 0, 0, c""), parts: (0, 0) };

/// All events of a profile object: those of the call, then their parts, then the parts of those.
pub(crate) struct Listing {
    entries: RegionSlice<'static, Entry>,
    ids: RegionSlice<'static, QnnProfile_EventId_t>,
    names: RegionSlice<'static, u8>,
    tops: usize,
    /// Which of the object's measurements these are.
    recording: u32,
}

/// The operations of a measured execution.
pub(crate) struct Nodes<'a> {
    pub(crate) table: GraphTable<'a>,
    pub(crate) report: &'a dyn Fn(usize) -> Option<OpReport>,
}

impl Listing {
    pub(crate) const EMPTY: Self = Self {
        entries: RegionSlice::empty(),
        ids: RegionSlice::empty(),
        names: RegionSlice::empty(),
        tops: 0,
        recording: 0,
    };

    /// Whether it lists the present measurements of `profile`.
    pub(crate) fn is_of(&self, profile: &Profile) -> bool {
        self.recording == profile.recordings()
    }

    /// Room for the events of `profile`.
    pub(crate) fn allocate(region: &mut Region<'static>, size: Size) -> Result<Self, OutOfMemory> {
        let mut new = Self::EMPTY;
        match new.take_room(region, size) {
            Ok(()) => Ok(new),
            Err(error) => {
                new.release(region);
                Err(error)
            }
        }
    }

    fn take_room(&mut self, region: &mut Region<'static>, size: Size) -> Result<(), OutOfMemory> {
        self.entries = region.alloc(size.entries, NO_ENTRY)?;
        self.ids = region.alloc(size.entries, 0)?;
        self.names = region.alloc(size.name_bytes, 0)?;
        Ok(())
    }

    /// Gives the memory back.
    pub(crate) fn release(self, region: &mut Region<'static>) {
        region.free(self.entries);
        region.free(self.ids);
        region.free(self.names);
    }

    /// Lists the events; there must be room for them.
    pub(crate) fn fill(&mut self, id: ProfileId, profile: &Profile, nodes: Option<&Nodes<'_>>) {
        self.recording = profile.recordings();
        self.ids.iter_mut().zip(0..).for_each(|(to, position)| *to = event_id(id, position));
        let Self { entries, names, .. } = self;
        let mut list = List { entries, used: 0, names: Names { rest: names } };
        for event in profile.events().iter().filter(|event| !is_part(event)) {
            list.push(top(event));
        }
        self.tops = list.used;
        let parts = profile.events().iter().filter_map(part);
        list.add_parts(QNN_PROFILE_EVENTTYPE_FINALIZE, parts);
        if let Some(nodes) = nodes {
            list.add_nodes(nodes, profile.level == ProfileLevel::Linting);
        }
    }

    /// The ids of the call's events.
    pub(crate) fn tops(&self) -> &[QnnProfile_EventId_t] {
        self.ids.get(..self.tops).unwrap_or(&[])
    }

    /// The ids of an event's parts.
    pub(crate) fn parts(&self, position: usize) -> Option<&[QnnProfile_EventId_t]> {
        let (first, count) = self.entries.get(position)?.parts;
        self.ids.get(first..)?.get(..count)
    }

    /// An event.
    pub(crate) fn event(&self, position: usize) -> Option<QnnProfile_EventData_t> {
        self.entries.get(position).map(|entry| entry.data)
    }
}

/// What a list takes.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    entries: usize,
    name_bytes: usize,
}

impl Size {
    /// Of the events of `profile`, with those of operations if `table` is the graph's.
    pub(crate) fn of(profile: &Profile, table: Option<&GraphTable<'_>>) -> Self {
        let mut size = Self { entries: profile.events().len(), name_bytes: 0 };
        let Some(table) = table else { return size };
        // Input and output count as operations, but their names are constants.
        let nodes = table.op_count().saturating_add(2);
        let linting = profile.level == ProfileLevel::Linting;
        let each = if linting { LINTING_PARTS.saturating_add(1) } else { 1 };
        size.entries = size.entries.saturating_add(nodes.saturating_mul(each));
        let mut counted = Names { rest: &mut [] };
        for (op, number) in table.ops().zip(FIRST_OP_NUMBER..) {
            let bytes = counted.push_node(op.name(), number).1;
            size.name_bytes = size.name_bytes.saturating_add(bytes);
        }
        size
    }
}

/// A list being written.
struct List<'a> {
    entries: &'a mut [Entry],
    used: usize,
    names: Names<'a>,
}

impl<'a> List<'a> {
    fn push(&mut self, data: QnnProfile_EventData_t) {
        if let Some(entry) = self.entries.get_mut(self.used) {
            *entry = Entry { data, parts: (0, 0) };
            self.used = self.used.saturating_add(1);
        }
    }

    /// Appends the parts of the event of this type.
    fn add_parts(
        &mut self,
        of: QnnProfile_EventType_t,
        parts: impl Iterator<Item = QnnProfile_EventData_t>,
    ) {
        let first = self.used;
        parts.for_each(|part| self.push(part));
        self.give_parts(of, (first, self.used.saturating_sub(first)));
    }

    /// Appends the operations of an execution, as parts of its cycles.
    fn add_nodes(&mut self, nodes: &Nodes<'_>, linting: bool) {
        let node = |name: *const core::ffi::c_char, cycles| QnnProfile_EventData_t {
            identifier: name,
            ..data(QNN_PROFILE_EVENTTYPE_NODE, CYCLES, cycles, c"")
        };
        let measured = || {
            let ops = nodes.table.ops().zip(FIRST_OP_NUMBER..);
            ops.filter_map(|(op, number)| Some((op, number, (nodes.report)(op.index())?)))
        };
        let first = self.used;
        // Moving data in and out counts with the operations that need it.
        self.push(node(client::address(c"Input OpId_2 (cycles)"), 0));
        for (op, number, report) in measured() {
            let (name, _) = self.names.push_node(op.name(), number);
            self.push(node(name.as_ptr().cast(), report.cycles));
        }
        self.push(node(client::address(c"Output OpId_3 (cycles)"), 0));
        let count = self.used.saturating_sub(first);
        let of = match linting {
            true => QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_CRITICAL_ACCEL_TIME_CYCLE,
            false => QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_ACCEL_TIME_CYCLE,
        };
        self.give_parts(of, (first, count));
        if linting {
            let copied = || core::iter::once((Resources::DMA, Some(0)));
            let used = measured().map(|(_, _, report)| (report.resources, report.wait_cycles));
            let all = copied().chain(used).chain(copied());
            for (position, (resources, wait)) in (first..).zip(all) {
                self.add_linting_parts(position, resources.bits(), wait);
            }
        }
    }

    /// Names the parts of the event of this type.
    fn give_parts(&mut self, of: QnnProfile_EventType_t, parts: (usize, usize)) {
        if let Some(whole) = self.entries.iter_mut().find(|entry| entry.data.type_ == of) {
            whole.parts = parts;
        }
    }

    /// Operations run one after another: they overlap with none, and what is waited for is no
    /// overlap (PROF-016). A wait that is not known is left out.
    fn add_linting_parts(&mut self, position: usize, resources: u32, wait: Option<u64>) {
        let first = self.used;
        let parts: [(QnnProfile_EventType_t, Option<u64>, &CStr); LINTING_PARTS] = [
            (QNN_HTP_PROFILE_EVENTTYPE_NODE_WAIT, wait, c"Wait (Scheduler) time"),
            (QNN_HTP_PROFILE_EVENTTYPE_NODE_OVERLAP, Some(0), c"Overlap time"),
            (
                QNN_HTP_PROFILE_EVENTTYPE_NODE_WAIT_OVERLAP,
                wait.and(Some(0)),
                c"Overlap (wait) time",
            ),
            (QNN_HTP_PROFILE_EVENTTYPE_NODE_RESOURCEMASK, Some(resources.into()), c"Resources"),
        ];
        for (type_, value, name) in parts {
            if let Some(value) = value {
                self.push(data(type_, CYCLES, value, name));
            }
        }
        let count = self.used.saturating_sub(first);
        if let Some(entry) = self.entries.get_mut(position) {
            entry.parts = (first, count);
        }
    }
}

/// Strings being written, one behind the other, each with its end.
struct Names<'a> {
    rest: &'a mut [u8],
}

impl<'a> Names<'a> {
    /// Writes the name of an operation's event, as far as there is room. Gives it, and how many
    /// bytes it takes.
    fn push_node(&mut self, name: &str, number: u32) -> (&'a [u8], usize) {
        let (digits, skip) = decimal(number);
        let number = digits.get(skip..).unwrap_or(&[]);
        let parts = [name.as_bytes(), b":OpId_", number, b" (cycles)\0"];
        let bytes = parts.iter().fold(0usize, |sum, part| sum.saturating_add(part.len()));
        let rest = core::mem::take(&mut self.rest);
        let Some((to, rest)) = rest.split_at_mut_checked(bytes) else { return (&[0], bytes) };
        self.rest = rest;
        let text = parts.into_iter().flatten();
        to.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        (to, bytes)
    }
}

/// The digits of a number, behind bytes to skip.
fn decimal(mut number: u32) -> ([u8; 10], usize) {
    let mut digits = [b'0'; 10];
    let mut skip = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.saturating_add((number % 10) as u8);
        number /= 10;
        skip = skip.saturating_sub(1);
        if number == 0 {
            break;
        }
    }
    (digits, skip)
}

const fn data(
    type_: QnnProfile_EventType_t,
    unit: QnnProfile_EventUnit_t,
    value: u64,
    name: &'static CStr,
) -> QnnProfile_EventData_t {
    QnnProfile_EventData_t { type_, unit, value, identifier: client::address(name) }
}

fn is_part(event: &ProfileEvent) -> bool {
    matches!(event, ProfileEvent::PrepareUs(..))
}

/// An event of the call itself. Names are those that clients know, misspelt or not.
fn top(event: &ProfileEvent) -> QnnProfile_EventData_t {
    use ProfileEvent as Event;
    let (type_, unit, value, name) = match *event {
        Event::HvxThreads(count) => (
            QNN_HTP_PROFILE_EVENTTYPE_GRAPH_NUMBER_OF_HVX_THREADS,
            COUNT,
            count,
            c"Number of HVX threads used",
        ),
        Event::Yields(count) => (
            QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_YIELD_COUNT,
            COUNT,
            count,
            c"Num times yield occured",
        ),
        Event::VtcmWaitUs(us) => (
            QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_VTCM_ACQUIRE_TIME,
            US,
            us,
            c"Time for initial VTCM acquire",
        ),
        Event::PowerUpUs(us) => (
            QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_RESOURCE_POWER_UP_TIME,
            US,
            us,
            c"Time for HVX + HMX power on and acquire",
        ),
        Event::DeviceCycles(cycles) => (
            QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_ACCEL_TIME_CYCLE,
            CYCLES,
            cycles,
            c"Accelerator (execute) time (cycles)",
        ),
        Event::CriticalCycles(cycles) => (
            QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_CRITICAL_ACCEL_TIME_CYCLE,
            CYCLES,
            cycles,
            c"Accelerator (critical path execute) time (cycles)",
        ),
        Event::DeviceUs(us) => (
            QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_ACCEL_TIME_MICROSEC,
            US,
            us,
            c"Accelerator (execute) time",
        ),
        Event::QueueWaitUs(us) => {
            (QNN_PROFILE_EVENTTYPE_EXECUTE_QUEUE_WAIT, US, us, c"QNN (queue wait) time")
        }
        Event::TotalUs(us) => (QNN_PROFILE_EVENTTYPE_EXECUTE, US, us, c"QNN (execute) time"),
        Event::FinalizeUs(us) => (QNN_PROFILE_EVENTTYPE_FINALIZE, US, us, c"QNN (finalize) time"),
        // Not an event of its own; see `part`.
        Event::PrepareUs(_, us) => (0, US, us, c""),
        Event::DeviceLoadUs(us) => (
            QNN_HTP_PROFILE_EVENTTYPE_CONTEXT_LOAD_BIN_ACCEL_TIME_MICROSEC,
            US,
            us,
            c"Accelerator (load binary) time",
        ),
        Event::LoadUs(us) => (QNN_PROFILE_EVENTTYPE_INIT, US, us, c"QNN (load binary) time"),
        Event::DeviceFreeUs(us) => (
            QNN_HTP_PROFILE_EVENTTYPE_GRAPH_DEINIT_ACCEL_TIME_MICROSEC,
            US,
            us,
            c"Accelerator (deinit) time",
        ),
        Event::FreeUs(us) => (QNN_PROFILE_EVENTTYPE_DEINIT, US, us, c"QNN (deinit) time"),
    };
    data(type_, unit, value, name)
}

/// A part of a finalization, if `event` is one.
fn part(event: &ProfileEvent) -> Option<QnnProfile_EventData_t> {
    let ProfileEvent::PrepareUs(part, us) = *event else { return None };
    let name = match part {
        PreparePart::Initializing => c"Graph Preparation Initializing",
        PreparePart::Optimizations => c"Graph Optimizations",
        PreparePart::PostOptimization => c"Post Graph Optimization",
        PreparePart::Sequencing => c"Graph Sequencing for Target",
        PreparePart::VtcmAllocation => c"VTCM Allocation",
        PreparePart::Parallelization => c"Parallelization Optimization",
        PreparePart::FinalizingSequence => c"Finalizing Graph Sequence",
        PreparePart::Completion => c"Completion",
    };
    Some(data(0, US, us, name))
}

const EVENT_TAG: u64 = 9 << 60;
/// Bits of an event's position in its id.
const POSITION_BITS: u32 = 28;

/// An event's id holds its profile's handle and its place in the list, so asking for one of a freed
/// profile is an ordinary error.
fn event_id(profile: ProfileId, position: u64) -> QnnProfile_EventId_t {
    let owner = u64::from(profile.generation()) << 16 | u64::from(profile.index());
    EVENT_TAG | (position & ((1 << POSITION_BITS) - 1)) << 32 | owner
}

/// Profile and place of an event id; `None` if it is none.
pub(crate) fn event_place(id: QnnProfile_EventId_t) -> Option<(ProfileId, usize)> {
    let position = (id & !EVENT_TAG) >> 32;
    let is_one = id & EVENT_TAG == EVENT_TAG && position < 1 << POSITION_BITS;
    let profile =
        ProfileId::from_parts(id as u16, (id >> 16) as u16, runtime::handle::Epoch::FIRST);
    is_one.then_some((profile, position as usize))
}
