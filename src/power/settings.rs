//! What one power configuration says, how a call changes it, and what several together ask for.

use super::PowerError;
use crate::limits::{RPC_POLLING_US_MAX, SLEEP_LATENCY_US_MAX, SLEEP_LATENCY_US_MIN};

/// A voltage corner of the bus or the core: a greater one is faster. Numbers are the QNN API's, 16
/// to 160; one without a name lies between its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Corner(u8);

impl Corner {
    /// No vote, if all corners of a vote say so (C-26).
    pub const DISABLE: Corner = Corner(16);
    /// The lowest voltage.
    pub const MIN: Corner = Corner(32);
    /// SVS2.
    pub const SVS2: Corner = Corner(48);
    /// SVS.
    pub const SVS: Corner = Corner(64);
    /// SVS plus.
    pub const SVS_PLUS: Corner = Corner(80);
    /// Nominal.
    pub const NOM: Corner = Corner(96);
    /// Nominal plus.
    pub const NOM_PLUS: Corner = Corner(112);
    /// Turbo.
    pub const TURBO: Corner = Corner(128);
    /// The highest voltage.
    pub const MAX: Corner = Corner(160);

    /// The corner with this number; `None` outside of `DISABLE` to `MAX`.
    pub const fn from_number(number: u32) -> Option<Corner> {
        match number {
            16..=160 => Some(Corner(number as u8)),
            _ => None,
        }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A voltage corner of the matrix unit, on the QNN API's expanded scale: 256 to 736, or 65,535 for
/// the highest there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HmxCorner(u16);

impl HmxCorner {
    /// The corner with this number; `None` if it is not on the scale.
    pub const fn from_number(number: u32) -> Option<HmxCorner> {
        match number {
            256..=736 | 65_535 => Some(HmxCorner(number as u16)),
            _ => None,
        }
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// The corners of a vote: min <= target <= max (PERF-055).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Corners<C> {
    min: C,
    target: C,
    max: C,
}

impl<C: Copy + Ord> Corners<C> {
    /// A vote; `None` if the corners are not in their order.
    pub fn new(min: C, target: C, max: C) -> Option<Self> {
        (min <= target && target <= max).then_some(Self { min, target, max })
    }

    /// The same corner three times.
    pub const fn all(corner: C) -> Self {
        Self { min: corner, target: corner, max: corner }
    }

    /// The lowest corner that the clock may go down to.
    pub fn min(&self) -> C {
        self.min
    }

    /// The corner asked for.
    pub fn target(&self) -> C {
        self.target
    }

    /// The highest corner that the clock may go up to.
    pub fn max(&self) -> C {
        self.max
    }

    /// The greater of each corner, which keeps their order.
    fn greater(self, other: Self) -> Self {
        Self {
            min: self.min.max(other.min),
            target: self.target.max(other.target),
            max: self.max.max(other.max),
        }
    }
}

/// Policy of dynamic clock and voltage scaling (DCVS), the least demanding first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PowerMode {
    /// Saves power first, and more of it.
    PowerSaverAggressive,
    /// Saves power first.
    PowerSaver,
    /// Follows the duty cycle.
    DutyCycle,
    /// Clocks go up and down.
    AdjustUpDown,
    /// Clocks only go up.
    AdjustOnlyUp,
    /// Speed first.
    Performance,
}

impl PowerMode {
    /// The mode with this number of the QNN API.
    pub const fn from_number(number: u32) -> Option<PowerMode> {
        Some(match number {
            1 => PowerMode::AdjustUpDown,
            2 => PowerMode::AdjustOnlyUp,
            4 => PowerMode::PowerSaver,
            8 => PowerMode::PowerSaverAggressive,
            16 => PowerMode::Performance,
            32 => PowerMode::DutyCycle,
            _ => return None,
        })
    }
}

/// Whether DCVS takes part, the least demanding first. A mode counts only while it does (PERF-011).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Dcvs {
    /// Clocks move by this policy.
    On(PowerMode),
    /// Clocks stay where they were voted to.
    Off,
}

/// An explicit vote for the matrix unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HmxVote {
    /// Its corners.
    pub corners: Corners<HmxCorner>,
    /// The clock within the target corner, as the QNN API numbers it: 0 high, 1 low, 2 to 16
    /// divided, 255 the highest.
    pub clock: u8,
}

impl HmxVote {
    /// The greater of each corner; the clock is that of the higher target.
    fn greater(self, other: Self) -> Self {
        let leader = if other.corners.target > self.corners.target { other } else { self };
        Self { corners: self.corners.greater(other.corners), clock: leader.clock }
    }
}

/// What a call says about the matrix unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum HmxChoice {
    /// It follows the core vote.
    Default,
    /// It gets a vote of its own.
    Vote(HmxVote),
}

/// What a call changes; `None` leaves a setting as it is. One call applies all or nothing, and the
/// order of what it lists does not matter (PERF-014, PERF-029).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PowerChange {
    /// DCVS and its mode.
    pub dcvs: Option<Dcvs>,
    /// Longest tolerated wake-up from sleep, 10 to 65,535 microseconds (PERF-009).
    pub sleep_latency_us: Option<u32>,
    /// Whether all low power modes are kept off.
    pub sleep_disabled: Option<bool>,
    /// Corners of the bus; all `DISABLE` removes the vote.
    pub bus: Option<Corners<Corner>>,
    /// Corners of the core; all `DISABLE` removes the vote, and the matrix unit's with it (C-26).
    pub core: Option<Corners<Corner>>,
    /// Vote for the matrix unit; needs a core vote, of this call or an earlier one.
    pub hmx: Option<HmxChoice>,
    /// Idle time before the matrix unit is let go, at least 1 microsecond.
    pub hmx_timeout_us: Option<u32>,
    /// Tolerated latency of remote calls in microseconds; 0: the default.
    pub rpc_latency_us: Option<u32>,
    /// How long a remote call polls for its answer, 0 to 9,999 microseconds (C-25).
    pub rpc_polling_us: Option<u32>,
    /// Shortest inference that polls adaptively, in microseconds; 0: none does. Needs polling.
    pub adaptive_polling_us: Option<u32>,
}

impl PowerChange {
    /// Whether it says anything that only platforms with remote calls from a general-purpose
    /// system have (PERF-020).
    pub fn concerns_rpc(&self) -> bool {
        self.rpc_latency_us.is_some()
            || self.rpc_polling_us.is_some()
            || self.adaptive_polling_us.is_some()
    }
}

/// What is voted for: by one configuration, or by all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PowerSettings {
    /// DCVS and its mode.
    pub dcvs: Option<Dcvs>,
    /// Longest tolerated wake-up from sleep, in microseconds.
    pub sleep_latency_us: Option<u16>,
    /// All low power modes are kept off.
    pub sleep_disabled: bool,
    /// Corners of the bus.
    pub bus: Option<Corners<Corner>>,
    /// Corners of the core, which runs the vector threads (HVX).
    pub core: Option<Corners<Corner>>,
    /// Vote for the matrix unit; `None`: it follows the core (PERF-031).
    pub hmx: Option<HmxVote>,
    /// Idle time before the matrix unit is let go, in microseconds.
    pub hmx_timeout_us: Option<u32>,
    /// Tolerated latency of remote calls, in microseconds; `None`: the default.
    pub rpc_latency_us: Option<u32>,
    /// How long a remote call polls for its answer, in microseconds; 0: not at all.
    pub rpc_polling_us: u16,
    /// Shortest inference that polls adaptively, in microseconds; 0: none does.
    pub adaptive_polling_us: u32,
}

impl PowerSettings {
    /// No vote at all.
    pub const NONE: PowerSettings = PowerSettings {
        dcvs: None,
        sleep_latency_us: None,
        sleep_disabled: false,
        bus: None,
        core: None,
        hmx: None,
        hmx_timeout_us: None,
        rpc_latency_us: None,
        rpc_polling_us: 0,
        adaptive_polling_us: 0,
    };

    /// These settings after a call.
    pub(super) fn changed(&self, change: &PowerChange) -> Result<PowerSettings, PowerError> {
        let sleep_latency_us =
            in_range(change.sleep_latency_us, SLEEP_LATENCY_US_MIN, SLEEP_LATENCY_US_MAX)?;
        let rpc_polling_us = in_range(change.rpc_polling_us, 0, RPC_POLLING_US_MAX)?;
        if change.hmx_timeout_us == Some(0) {
            return Err(PowerError::OutOfRange);
        }
        let core = voted(self.core, change.core);
        if change.hmx.is_some() && core.is_none() {
            return Err(PowerError::NeedsCoreVote);
        }
        let hmx = match change.hmx {
            None => self.hmx,
            Some(HmxChoice::Default) => None,
            Some(HmxChoice::Vote(vote)) => Some(vote),
        };
        let rpc_polling_us = rpc_polling_us.unwrap_or(self.rpc_polling_us);
        let polls = rpc_polling_us > 0;
        if !polls && change.adaptive_polling_us.is_some_and(|threshold_us| threshold_us > 0) {
            return Err(PowerError::NeedsPolling);
        }
        let adaptive_polling_us = change.adaptive_polling_us.unwrap_or(self.adaptive_polling_us);
        Ok(PowerSettings {
            dcvs: change.dcvs.or(self.dcvs),
            sleep_latency_us: sleep_latency_us.or(self.sleep_latency_us),
            sleep_disabled: change.sleep_disabled.unwrap_or(self.sleep_disabled),
            bus: voted(self.bus, change.bus),
            core,
            hmx: hmx.filter(|_| core.is_some()),
            hmx_timeout_us: change.hmx_timeout_us.or(self.hmx_timeout_us),
            rpc_latency_us: match change.rpc_latency_us {
                None => self.rpc_latency_us,
                Some(latency_us) => Some(latency_us).filter(|&latency_us| latency_us > 0),
            },
            rpc_polling_us,
            adaptive_polling_us: if polls { adaptive_polling_us } else { 0 },
        })
    }

    /// The more demanding of both in every setting: higher corners, shorter latencies, longer
    /// polling.
    pub(super) fn and(self, other: &PowerSettings) -> PowerSettings {
        PowerSettings {
            dcvs: self.dcvs.max(other.dcvs),
            sleep_latency_us: both(self.sleep_latency_us, other.sleep_latency_us, u16::min),
            sleep_disabled: self.sleep_disabled || other.sleep_disabled,
            bus: both(self.bus, other.bus, Corners::greater),
            core: both(self.core, other.core, Corners::greater),
            hmx: both(self.hmx, other.hmx, HmxVote::greater),
            hmx_timeout_us: self.hmx_timeout_us.max(other.hmx_timeout_us),
            rpc_latency_us: both(self.rpc_latency_us, other.rpc_latency_us, u32::min),
            rpc_polling_us: self.rpc_polling_us.max(other.rpc_polling_us),
            adaptive_polling_us: self.adaptive_polling_us.max(other.adaptive_polling_us),
        }
    }
}

fn in_range(given: Option<u32>, min: u16, max: u16) -> Result<Option<u16>, PowerError> {
    let Some(given) = given else { return Ok(None) };
    let value = u16::try_from(given).map_err(|_| PowerError::OutOfRange)?;
    if !(min..=max).contains(&value) {
        return Err(PowerError::OutOfRange);
    }
    Ok(Some(value))
}

/// A vote after a call.
fn voted(
    before: Option<Corners<Corner>>,
    given: Option<Corners<Corner>>,
) -> Option<Corners<Corner>> {
    given.or(before).filter(|&vote| vote != Corners::all(Corner::DISABLE))
}

fn both<T>(left: Option<T>, right: Option<T>, pick: impl FnOnce(T, T) -> T) -> Option<T> {
    match (left, right) {
        (Some(left), Some(right)) => Some(pick(left, right)),
        (left, right) => left.or(right),
    }
}
