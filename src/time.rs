//! Time as the core sees it: microseconds of a monotonic clock that the platform reads and passes
//! in.

/// A point in time, in microseconds since an origin that the platform chose. Never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant {
    us: u64,
}

impl Instant {
    /// The origin of the clock.
    pub const ZERO: Instant = Instant { us: 0 };
    /// Later than every deadline.
    pub const FAR: Instant = Instant { us: u64::MAX };

    /// A point `us` microseconds after the origin.
    pub const fn from_us(us: u64) -> Self {
        Self { us }
    }

    /// Microseconds since the origin.
    pub const fn as_us(self) -> u64 {
        self.us
    }

    /// This point moved later by `duration_us` microseconds (at most to `FAR`).
    pub const fn after_us(self, duration_us: u64) -> Self {
        Self { us: self.us.saturating_add(duration_us) }
    }

    /// Microseconds from `earlier` to this point; 0 if it is not earlier.
    pub const fn since_us(self, earlier: Instant) -> u64 {
        self.us.saturating_sub(earlier.us)
    }
}
