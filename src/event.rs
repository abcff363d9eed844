//! What the runtime tells its owner: notices for the client.

use crate::handle::{Epoch, RequestId};
use crate::time::Instant;

/// How an accepted request ended. Each accepted request has exactly one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// The outputs are written.
    Completed,
    /// The DSP restarted while the request was queued or running. Outputs are unspecified;
    /// submitting again, on re-created objects, is the client's decision.
    DeviceReset,
    /// The DSP crashed and did not come back. Nothing will run any more.
    DeviceLost,
    /// The deadline passed first. Outputs are unspecified.
    TimedOut,
    /// Cancelled by the client, or its context was freed. Outputs are unspecified.
    Aborted,
    /// The device could not execute it. Outputs are unspecified.
    Failed,
}

/// Times and measurements of one request, on the platform's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RequestTimes {
    /// When it was accepted.
    pub submitted: Instant,
    /// When it was handed to the device, or to the fallback; `ZERO` if it never was.
    pub dispatched: Instant,
    /// When its outcome was known.
    pub completed: Instant,
    /// Device time in microseconds; 0 on the fallback, as the measurements below.
    pub device_time_us: u64,
    /// Device cycles.
    pub cycles: u64,
    /// How often it yielded to a more important graph.
    pub yields: u32,
    /// It went to the CPU fallback, not to the device (`Runtime::context_set_fallback`).
    pub on_fallback: bool,
}

/// A completed request: what its client hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Completion {
    /// The request.
    pub request: RequestId,
    /// The words that the client gave at submit.
    pub user_data: [usize; 3],
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub times: RequestTimes,
}

/// A phase of a restart, as the subscribers hear it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Transition {
    /// When.
    pub at: Instant,
    /// Phase that was left.
    pub from: crate::ssr::State,
    /// Phase that was entered.
    pub to: crate::ssr::State,
    /// Epoch after the transition.
    pub epoch: Epoch,
    /// Connection attempts so far in this restart.
    pub attempts: u32,
}

/// Something a client must hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Notice {
    /// A request ended.
    Completion(Completion),
    /// A restart moved on.
    Restart(Transition),
}
