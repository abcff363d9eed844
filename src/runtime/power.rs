//! Power and memory configurations: the calls, and when the device hears of them.
//!
//! Ids live on the host and survive restarts (C-04); what they voted for does not (SSR-025).

use super::outbox::Control;
use super::Runtime;
use crate::capability::Capabilities;
use crate::error::HandleError;
use crate::handle::{Epoch, PowerConfigId};
use crate::power::{MemoryConfig, PowerChange, PowerError, PowerSettings};
use crate::slots::CapacityExceeded;
use crate::ssr::State;

/// What waits in the outbox, by the epoch that it is meant for: a restart empties the outbox.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Due {
    pub vote: Option<Epoch>,
    pub memory: Option<Epoch>,
}

impl Due {
    pub const NOTHING: Due = Due { vote: None, memory: None };
}

impl Runtime<'_> {
    /// Creates a power configuration, which votes for nothing. Its id stays valid over restarts,
    /// until it is destroyed, and can be made in any state of the DSP. Constant time.
    ///
    /// Fails if as many as the capacity given at init are there: destroy one.
    pub fn power_config_create(&mut self) -> Result<PowerConfigId, CapacityExceeded> {
        self.power.create()
    }

    /// Changes what a power configuration votes for, all or nothing. In effect for every execution
    /// that is handed to the device afterwards. A restart drops all votes; set them again, with the
    /// same id (SSR-025). With a context under managed recovery they are restored, and the answer
    /// is `Recovering` until they are. Linear in the capacity for power configurations.
    pub fn power_config_set(
        &mut self,
        id: PowerConfigId,
        change: &PowerChange,
    ) -> Result<(), PowerError> {
        if !self.power.contains(id) {
            return Err(PowerError::Handle(HandleError::Invalid));
        }
        let epoch = self.epoch();
        self.check_votes().map_err(PowerError::Handle)?;
        let missing = |feature| !self.capabilities.contains(feature);
        if change.concerns_rpc() && missing(Capabilities::RPC_SETTINGS)
            || change.hmx.is_some() && missing(Capabilities::HMX_VOTE)
        {
            return Err(PowerError::NotSupported);
        }
        if self.power.set(id, epoch, change)? {
            self.send_vote();
        }
        Ok(())
    }

    /// Destroys a power configuration and removes its votes, in any state of the DSP: one whose
    /// votes a restart dropped is destroyed like any other. Fails with `Invalid` if there is none
    /// of this id (any more). Linear in the capacity for power configurations.
    pub fn power_config_destroy(&mut self, id: PowerConfigId) -> Result<(), HandleError> {
        let epoch = self.epoch();
        let changed = self.power.destroy(id, epoch).map_err(|_| HandleError::Invalid)?;
        if changed {
            self.send_vote();
        }
        Ok(())
    }

    /// The most demanding of all votes placed since the DSP came up; none during a restart.
    /// Constant time.
    pub fn power_in_effect(&self) -> &PowerSettings {
        self.power.in_effect(self.epoch())
    }

    /// Configures the memory of the DSP. A restart brings the defaults back; set it again
    /// (SSR-026), unless a context under managed recovery lives. Fails with `Recovering` and `Lost`
    /// only. Constant time.
    pub fn memory_config_set(&mut self, config: MemoryConfig) -> Result<(), HandleError> {
        let epoch = self.epoch();
        self.check_votes()?;
        if self.power.set_memory(epoch, config) && self.power_due.memory != Some(epoch) {
            self.power_due.memory = Some(epoch);
            self.send(Control::MemorySet);
        }
        Ok(())
    }

    /// The memory configuration set since the DSP came up, or the defaults. Constant time.
    pub fn memory_config(&self) -> MemoryConfig {
        self.power.memory(self.epoch())
    }

    /// What was placed in the last life in which clients could vote counts again, if a context
    /// under managed recovery lives; the device hears of it. Linear in the number of contexts
    /// and power configurations.
    pub(super) fn restore_votes(&mut self) {
        let lives =
            |context: &super::Context<'_>| context.recovery.is_managed() && context.is_alive();
        if !self.contexts.iter().any(|(_, context)| lives(context)) {
            return;
        }
        let epoch = self.epoch();
        let (votes, memory) = self.power.restore(self.plan.voted(), epoch);
        if votes {
            self.send_vote();
        }
        if memory {
            self.power_due.memory = Some(epoch);
            self.send(Control::MemorySet);
        }
    }

    /// Whether clients may vote now: not before the votes of the last life are restored.
    fn check_votes(&self) -> Result<(), HandleError> {
        self.check_epoch(self.epoch())?;
        match self.state() {
            State::AfterPowerUp => Err(HandleError::Recovering),
            _ => Ok(()),
        }
    }

    /// Votes change in one epoch only while the DSP is up, so the outbox is not emptied under it.
    fn send_vote(&mut self) {
        let epoch = self.epoch();
        if self.power_due.vote != Some(epoch) {
            self.power_due.vote = Some(epoch);
            self.send(Control::PowerVote);
        }
    }
}
