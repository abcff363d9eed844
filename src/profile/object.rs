//! A profile object: the measurements of the call that used it last.

use heapless::Vec;

use crate::device::{ExecutionReport, PrepareTimes};
use crate::event::RequestTimes;
use crate::handle::GraphId;
use crate::limits::PROFILE_EVENTS_MAX;
use crate::queue::Mode;

/// How much a profile object collects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ProfileLevel {
    /// The few numbers that cost nothing.
    Basic,
    /// Those, their parts, and the cycles of each operation.
    Detailed,
    /// The critical path: as detailed, and for each operation what it waited for and ran on.
    Linting,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ProfileEvent {
    /// Vector threads of an execution.
    HvxThreads(u64),
    /// How often an execution yielded to a more important graph.
    Yields(u64),
    /// From the device's taking an execution until it had the VTCM and could begin, in
    /// microseconds.
    VtcmWaitUs(u64),
    /// Powering and acquiring the units, in microseconds.
    PowerUpUs(u64),
    /// An execution on the device, in cycles; the operations are its parts.
    DeviceCycles(u64),
    /// The same at the linting level, with the cycles in which it waited for other executions.
    CriticalCycles(u64),
    /// An execution on the device, without the time it was yielded, in microseconds.
    DeviceUs(u64),
    /// An asynchronous execution from submit until the device took it, in microseconds.
    QueueWaitUs(u64),
    /// An execution from submit to completion, in microseconds.
    TotalUs(u64),
    /// A finalization, in microseconds.
    FinalizeUs(u64),
    /// A part of the finalization before it, in microseconds.
    PrepareUs(PreparePart, u64),
    /// Loading a context binary, on the device and in all, in microseconds.
    DeviceLoadUs(u64),
    /// See `DeviceLoadUs`.
    LoadUs(u64),
    /// Freeing a context, on the device and in all, in microseconds.
    DeviceFreeUs(u64),
    /// See `DeviceFreeUs`.
    FreeUs(u64),
}

/// Parts of a finalization, in their order. Graphs run as they were composed, so some take no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PreparePart {
    /// Writing the graph table.
    Initializing,
    /// Changing the graph: there is none.
    Optimizations,
    /// Tidying up after that.
    PostOptimization,
    /// Checking table and operations on the device, in their order.
    Sequencing,
    /// Planning the memory.
    VtcmAllocation,
    /// Distributing operations over threads: they run one after another.
    Parallelization,
    /// Making the operations executable.
    FinalizingSequence,
    /// The way back to the client.
    Completion,
}

/// What a call other than an execution has measured, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ProfileCall {
    /// A finalization.
    Finalize {
        /// All of it.
        total_us: u64,
        /// Until the device had the graph table.
        compose_us: u64,
        /// On the device.
        device: PrepareTimes,
    },
    /// Loading a context binary.
    Load {
        /// All of it.
        total_us: u64,
        /// From the hand-over to the device until its last answer.
        device_us: u64,
    },
    /// Freeing a context.
    Free {
        /// All of it.
        total_us: u64,
        /// Until the device had let go.
        device_us: u64,
    },
}

/// A profile object. Survives a restart (SSR-016).
pub struct Profile {
    /// How much it collects.
    pub level: ProfileLevel,
    /// A request in flight will write it.
    pub in_use: bool,
    /// What the device reported of that request, or of the last one.
    device: Option<(GraphId, ExecutionReport)>,
    events: Vec<ProfileEvent, PROFILE_EVENTS_MAX>,
    recordings: u32,
}

impl Profile {
    /// An empty object.
    pub const fn new(level: ProfileLevel) -> Self {
        Self { level, in_use: false, device: None, events: Vec::new(), recordings: 0 }
    }

    /// The measurements of the last call.
    pub fn events(&self) -> &[ProfileEvent] {
        &self.events
    }

    /// How often measurements were replaced: as long as it is the same, so are they.
    pub fn recordings(&self) -> u32 {
        self.recordings
    }

    /// The graph whose operations were measured, and what the device reported of the execution.
    /// None at the basic level.
    pub fn execution(&self) -> Option<(GraphId, ExecutionReport)> {
        self.device.filter(|_| self.level != ProfileLevel::Basic)
    }

    /// A request uses it from here on.
    pub fn begin(&mut self) {
        self.in_use = true;
        self.device = None;
    }

    /// The device has executed that request.
    pub fn executed(&mut self, graph: GraphId, report: &ExecutionReport) {
        self.device = Some((graph, *report));
    }

    /// That request has ended: replaces the measurements by its own. One that the device did not
    /// execute to its end has none of the device.
    pub fn end(&mut self, times: &RequestTimes, mode: Mode) {
        use ProfileEvent as Event;
        self.in_use = false;
        self.clear();
        let more = self.level != ProfileLevel::Basic;
        if let Some((_, report)) = self.device {
            self.push(Event::HvxThreads(report.hvx_threads.into()));
            if more {
                self.push(Event::Yields(report.yields.into()));
                self.push(Event::VtcmWaitUs(report.started.since_us(times.dispatched)));
                self.push(Event::PowerUpUs(report.power_up_us));
                self.push(match self.level {
                    ProfileLevel::Linting => {
                        Event::CriticalCycles(report.cycles.saturating_add(report.wait_cycles))
                    }
                    _ => Event::DeviceCycles(report.cycles),
                });
            }
            self.push(Event::DeviceUs(report.device_time_us));
        }
        if more && mode == Mode::Asynchronous {
            self.push(Event::QueueWaitUs(times.dispatched.since_us(times.submitted)));
        }
        self.push(Event::TotalUs(times.completed.since_us(times.submitted)));
    }

    /// Replaces the measurements by those of a call that has ended.
    pub fn record(&mut self, call: ProfileCall) {
        use ProfileEvent as Event;
        self.clear();
        self.device = None;
        match call {
            ProfileCall::Finalize { total_us, compose_us, device } => {
                self.push(Event::FinalizeUs(total_us));
                if self.level == ProfileLevel::Detailed {
                    self.push_parts(total_us, compose_us, device);
                }
            }
            ProfileCall::Load { total_us, device_us } => {
                self.push(Event::DeviceLoadUs(device_us));
                self.push(Event::LoadUs(total_us));
            }
            ProfileCall::Free { total_us, device_us } => {
                self.push(Event::DeviceFreeUs(device_us));
                self.push(Event::FreeUs(total_us));
            }
        }
    }

    fn push_parts(&mut self, total_us: u64, compose_us: u64, device: PrepareTimes) {
        use PreparePart as Part;
        let PrepareTimes { check_us, place_us, compile_us } = device;
        let known = [compose_us, check_us, place_us, compile_us];
        let rest_us = known.iter().fold(total_us, |rest, part| rest.saturating_sub(*part));
        let parts = [
            (Part::Initializing, compose_us),
            (Part::Optimizations, 0),
            (Part::PostOptimization, 0),
            (Part::Sequencing, check_us),
            (Part::VtcmAllocation, place_us),
            (Part::Parallelization, 0),
            (Part::FinalizingSequence, compile_us),
            (Part::Completion, rest_us),
        ];
        for (part, us) in parts {
            self.push(ProfileEvent::PrepareUs(part, us));
        }
    }

    fn clear(&mut self) {
        self.events.clear();
        self.recordings = self.recordings.wrapping_add(1);
    }

    fn push(&mut self, event: ProfileEvent) {
        // The capacity covers the longest list.
        let _ = self.events.push(event);
    }
}
