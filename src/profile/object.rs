//! A profile object: the measurements of the call that used it last.

use heapless::Vec;

use crate::event::RequestTimes;
use crate::limits::PROFILE_EVENTS_MAX;

/// How much a profile object collects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ProfileLevel {
    /// The few numbers that cost nothing.
    Basic,
    /// Those and their parts.
    Detailed,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ProfileEvent {
    /// From submit to completion, in microseconds.
    TotalUs(u64),
    /// From submit until the device took it, in microseconds.
    QueueWaitUs(u64),
    /// On the device, without the time it was yielded, in microseconds.
    DeviceUs(u64),
    /// On the device, in cycles.
    DeviceCycles(u64),
    /// How often it yielded to a more important graph.
    Yields(u64),
}

/// A profile object. Survives a restart (SSR-016).
pub struct Profile {
    /// How much it collects.
    pub level: ProfileLevel,
    /// A request in flight will write it.
    pub in_use: bool,
    events: Vec<ProfileEvent, PROFILE_EVENTS_MAX>,
}

impl Profile {
    /// An empty object.
    pub const fn new(level: ProfileLevel) -> Self {
        Self { level, in_use: false, events: Vec::new() }
    }

    /// The measurements of the last call.
    pub fn events(&self) -> &[ProfileEvent] {
        &self.events
    }

    /// Replaces the measurements by those of a finished execution.
    pub fn record_execution(&mut self, times: &RequestTimes) {
        self.events.clear();
        let total_us = times.completed.since_us(times.submitted);
        let basic = [
            ProfileEvent::TotalUs(total_us),
            ProfileEvent::DeviceUs(times.device_time_us),
            ProfileEvent::DeviceCycles(times.cycles),
        ];
        let wait_us = times.dispatched.since_us(times.submitted);
        let detail =
            [ProfileEvent::QueueWaitUs(wait_us), ProfileEvent::Yields(times.yields.into())];
        let detailed = self.level == ProfileLevel::Detailed;
        let events = basic.iter().chain(detail.iter().filter(|_| detailed));
        for &event in events {
            // The capacity covers both lists.
            let _ = self.events.push(event);
        }
    }
}
