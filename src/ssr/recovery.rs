//! What a context wants done when the DSP restarts.

use crate::error::RecoveryError;
use crate::limits::{REBUILD_ATTEMPTS_MAX, REBUILD_TIME_MAX_US};

/// What a restart of the DSP does to a context (docs/recovery.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Recovery {
    /// Its objects go stale, its requests end with `DeviceReset`; the client frees and creates it
    /// again, as QNN documents it.
    #[default]
    Native,
    /// Its handles stay usable: the runtime rebuilds it on the new connection. A request that was
    /// on the device ends with `DeviceReset` all the same: nothing is executed twice.
    Managed {
        /// Rebuilds that may begin before one succeeds, 1 to
        /// [`crate::limits::REBUILD_ATTEMPTS_MAX`]. When they are spent the context is lost.
        attempts_max: u32,
        /// Time from the crash until it must be usable again, in microseconds, 1 to
        /// [`crate::limits::REBUILD_TIME_MAX_US`]. When it is over the context is lost.
        time_budget_us: u64,
        /// What becomes of requests that had not gone to the device.
        queued: Queued,
    },
}

/// What a restart does to requests of a managed context that had not gone to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Queued {
    /// They keep their places and run afterwards; new ones are accepted meanwhile.
    #[default]
    Requeue,
    /// They end with `DeviceReset`; new ones are accepted when the context is usable again.
    Complete,
}

impl Recovery {
    /// Whether the runtime rebuilds the context.
    pub const fn is_managed(self) -> bool {
        matches!(self, Recovery::Managed { .. })
    }

    /// Whether requests that have not gone to the device outlive a restart.
    pub const fn keeps_queued(self) -> bool {
        matches!(self, Recovery::Managed { queued: Queued::Requeue, .. })
    }

    /// Whether its numbers are in range.
    pub const fn check(self) -> Result<(), RecoveryError> {
        let Recovery::Managed { attempts_max, time_budget_us, .. } = self else { return Ok(()) };
        if attempts_max == 0 || attempts_max > REBUILD_ATTEMPTS_MAX {
            return Err(RecoveryError::Attempts);
        }
        if time_budget_us == 0 || time_budget_us > REBUILD_TIME_MAX_US {
            return Err(RecoveryError::TimeBudget);
        }
        Ok(())
    }
}
