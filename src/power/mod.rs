//! Power and memory configurations: what clients want of the DSP's clocks, sleep and heap, and what
//! of it is in effect.
//!
//! A configuration id is a host object and survives a restart (C-04). What was placed through it
//! does not (SSR-025, SSR-026): every configuration carries the epoch in which it was placed, and
//! counts only in that epoch. So a restart, which advances the epoch, drops all of them at once and
//! touches none; a client that wants them back sets them again. With a context under managed
//! recovery the runtime does that ([`Power::restore`]).

mod settings;
#[cfg(test)]
mod tests;

pub use settings::{
    Corner, Corners, Dcvs, HmxChoice, HmxCorner, HmxVote, PowerChange, PowerMode, PowerSettings,
};

use core::hash::{Hash, Hasher};

use crate::error::HandleError;
use crate::handle::{kind, Epoch, PowerConfigId};
use crate::region::{OutOfMemory, Region};
use crate::slots::{CapacityExceeded, InvalidHandle, Slots};

/// Why a power configuration was not set. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PowerError {
    /// The id, or the state of the DSP, does not allow it.
    Handle(HandleError),
    /// A value is out of its range. Correct it and call again.
    OutOfRange,
    /// The platform does not offer this setting (see [`crate::capability`]).
    NotSupported,
    /// A vote for the matrix unit needs a core vote on the same id (PERF-030, PERF-033).
    NeedsCoreVote,
    /// Adaptive polling needs polling on the same id (PERF-022).
    NeedsPolling,
}

/// Settings of the DSP's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MemoryConfig {
    /// Bytes by which the heap of the DSP grows when it is full; 0: the device's default.
    pub grow_bytes: u32,
}

/// A value and the epoch in which it counts.
#[derive(Debug, Clone, Copy, Hash)]
struct Placed<T> {
    epoch: Epoch,
    value: T,
}

impl<T: Copy> Placed<T> {
    fn in_epoch(&self, epoch: Epoch) -> Option<&T> {
        (self.epoch == epoch).then_some(&self.value)
    }
}

/// All power configurations, the memory configuration, and what is in effect.
pub struct Power<'m> {
    configs: Slots<'m, kind::PowerConfig, Placed<PowerSettings>>,
    in_effect: Placed<PowerSettings>,
    memory: Placed<MemoryConfig>,
}

impl<'m> Power<'m> {
    /// Room for `capacity` configuration ids, in `region`.
    pub fn new(region: &mut Region<'m>, capacity: u16) -> Result<Self, OutOfMemory> {
        let epoch = Epoch::FIRST;
        Ok(Self {
            configs: Slots::new(region, capacity)?,
            in_effect: Placed { epoch, value: PowerSettings::NONE },
            memory: Placed { epoch, value: MemoryConfig::default() },
        })
    }

    /// Bytes of region memory that [`Power::new`] takes.
    pub const fn bytes(capacity: u16) -> usize {
        Slots::<'m, kind::PowerConfig, Placed<PowerSettings>>::bytes(capacity)
    }

    /// All of it.
    pub fn hash_state<H: Hasher>(&self, hasher: &mut H) {
        self.configs.hash_state(hasher, |config, hasher| config.hash(hasher));
        (&self.in_effect, &self.memory).hash(hasher);
    }

    /// A new id, without votes. Constant time.
    pub fn create(&mut self) -> Result<PowerConfigId, CapacityExceeded> {
        let nothing = Placed { epoch: Epoch::FIRST, value: PowerSettings::NONE };
        self.configs.insert(Epoch::FIRST, nothing)
    }

    /// Whether `id` was created and not destroyed.
    pub fn contains(&self, id: PowerConfigId) -> bool {
        self.configs.get(id).is_ok()
    }

    /// Changes what `id` votes for in `epoch`, all or nothing; says whether what is in effect
    /// changed. Linear in the capacity.
    pub fn set(
        &mut self,
        id: PowerConfigId,
        epoch: Epoch,
        change: &PowerChange,
    ) -> Result<bool, PowerError> {
        let config = self.configs.get_mut(id);
        let config = config.map_err(|_| PowerError::Handle(HandleError::Invalid))?;
        // Votes of an earlier life of the DSP are not there to be changed.
        let before = config.in_epoch(epoch).copied().unwrap_or_default();
        let value = before.changed(change)?;
        *config = Placed { epoch, value };
        Ok(self.combine(epoch))
    }

    /// What was placed in epoch `from` is in effect again in epoch `to`; says whether votes are,
    /// and whether a memory configuration is. Linear in the capacity.
    pub fn restore(&mut self, from: Epoch, to: Epoch) -> (bool, bool) {
        for index in 0..u16::try_from(self.configs.capacity()).unwrap_or(u16::MAX) {
            let config = self.configs.at_mut(index).filter(|config| config.epoch == from);
            if let Some(config) = config {
                config.epoch = to;
            }
        }
        let memory = self.memory(from);
        (self.combine(to), self.set_memory(to, memory))
    }

    /// Ends `id` and its votes; says whether what is in effect changed. Linear in the capacity.
    pub fn destroy(&mut self, id: PowerConfigId, epoch: Epoch) -> Result<bool, InvalidHandle> {
        self.configs.remove(id)?;
        Ok(self.combine(epoch))
    }

    /// The most demanding of what all ids voted for in `epoch`. Constant time.
    pub fn in_effect(&self, epoch: Epoch) -> &PowerSettings {
        self.in_effect.in_epoch(epoch).unwrap_or(const { &PowerSettings::NONE })
    }

    /// Sets the memory configuration of `epoch`; says whether it changed. Constant time.
    pub fn set_memory(&mut self, epoch: Epoch, config: MemoryConfig) -> bool {
        let changed = self.memory(epoch) != config;
        self.memory = Placed { epoch, value: config };
        changed
    }

    /// The memory configuration of `epoch`. Constant time.
    pub fn memory(&self, epoch: Epoch) -> MemoryConfig {
        self.memory.in_epoch(epoch).copied().unwrap_or_default()
    }

    fn combine(&mut self, epoch: Epoch) -> bool {
        let votes = self.configs.iter().filter_map(|(_, config)| config.in_epoch(epoch));
        let value = votes.fold(PowerSettings::NONE, |all, vote| all.and(vote));
        let changed = *self.in_effect(epoch) != value;
        self.in_effect = Placed { epoch, value };
        changed
    }
}
