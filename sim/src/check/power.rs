//! Votes: what each id voted for in the present epoch, and what all together ask for.

use htp_runtime::error::HandleError;
use htp_runtime::handle::{Epoch, PowerConfigId};
use htp_runtime::power::{Corner, Corners, MemoryConfig, PowerError, PowerSettings};

use super::{Due, Model, Phase};
use crate::plan::Vote;

/// What one id votes for, in the terms of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Wish {
    sleep_us: Option<u16>,
    bus: Option<u8>,
    core: Option<u8>,
}

/// All ids and what they voted for, with the epoch in which they did.
#[derive(Debug, Clone, Default, Hash)]
pub struct Votes {
    pub ids: Vec<(PowerConfigId, u32, Wish)>,
    memory: (u32, u32),
}

/// The corners of the simulation, lowest first.
pub const CORNERS: [Corner; 9] = [
    Corner::DISABLE,
    Corner::MIN,
    Corner::SVS2,
    Corner::SVS,
    Corner::SVS_PLUS,
    Corner::NOM,
    Corner::NOM_PLUS,
    Corner::TURBO,
    Corner::MAX,
];

impl Wish {
    fn after(mut self, vote: Vote) -> Result<Self, PowerError> {
        // All corners at the lowest step take a vote away.
        let corner = |step: u8| (step > 0).then_some(step);
        match vote {
            Vote::SleepLatency(us) if !(10..=65_535).contains(&us) => {
                return Err(PowerError::OutOfRange);
            }
            Vote::SleepLatency(us) => self.sleep_us = u16::try_from(us).ok(),
            Vote::Bus(step) => self.bus = corner(step),
            Vote::NoBus => self.bus = None,
            Vote::Core(step) => self.core = corner(step),
            Vote::HmxFollows if self.core.is_none() => return Err(PowerError::NeedsCoreVote),
            Vote::HmxFollows => {}
        }
        Ok(self)
    }

    fn and(self, other: Self) -> Self {
        let sleeps = [self.sleep_us, other.sleep_us];
        Self {
            sleep_us: sleeps.into_iter().flatten().min(),
            bus: self.bus.max(other.bus),
            core: self.core.max(other.core),
        }
    }

    fn settings(self) -> PowerSettings {
        let corners = |step: Option<u8>| step.map(|s| Corners::all(CORNERS[usize::from(s)]));
        PowerSettings {
            sleep_latency_us: self.sleep_us,
            bus: corners(self.bus),
            core: corners(self.core),
            ..PowerSettings::NONE
        }
    }
}

impl Votes {
    fn together(&self, epoch: Epoch) -> Wish {
        let placed = self.ids.iter().filter(|(_, at, _)| *at == epoch.number());
        placed.fold(Wish::default(), |all, (.., wish)| all.and(*wish))
    }

    /// What is in effect in an epoch.
    pub fn in_effect(&self, epoch: Epoch) -> PowerSettings {
        self.together(epoch).settings()
    }

    /// The memory configuration of an epoch.
    pub fn memory(&self, epoch: Epoch) -> MemoryConfig {
        let (at, grow_bytes) = self.memory;
        MemoryConfig { grow_bytes: if at == epoch.number() { grow_bytes } else { 0 } }
    }
}

impl Model {
    /// A vote is placed.
    pub fn power_set(&mut self, id: PowerConfigId, vote: Vote) -> Result<(), PowerError> {
        let place = self.power.ids.iter().position(|(known, ..)| *known == id);
        let place = place.ok_or(PowerError::Handle(HandleError::Invalid))?;
        let epoch = self.epoch();
        self.votes_usable().map_err(PowerError::Handle)?;
        let before = self.power.together(epoch);
        let (_, at, wish) = self.power.ids[place];
        let old = if at == epoch.number() { wish } else { Wish::default() };
        self.power.ids[place] = (id, epoch.number(), old.after(vote)?);
        self.owe_vote(before);
        Ok(())
    }

    /// An id goes, and its votes.
    pub fn power_destroy(&mut self, id: PowerConfigId) -> Result<(), HandleError> {
        let before = self.power.together(self.epoch());
        let place = self.power.ids.iter().position(|(known, ..)| *known == id);
        self.power.ids.remove(place.ok_or(HandleError::Invalid)?);
        self.owe_vote(before);
        Ok(())
    }

    /// The memory of the DSP is configured.
    pub fn memory_set(&mut self, grow_bytes: u32) -> Result<(), HandleError> {
        let epoch = self.epoch();
        self.votes_usable()?;
        let changed = self.power.memory(epoch).grow_bytes != grow_bytes;
        self.power.memory = (epoch.number(), grow_bytes);
        if changed {
            self.owe_once(Due::MemorySet);
        }
        Ok(())
    }

    /// Whether clients may vote: not before the votes of the last life are restored.
    fn votes_usable(&self) -> Result<(), HandleError> {
        self.usable(self.epoch())?;
        match self.link.phase {
            Phase::Rebuilding => Err(HandleError::Recovering),
            _ => Ok(()),
        }
    }

    /// What was voted for in life `from` counts again.
    pub(super) fn restore_votes(&mut self, from: Epoch) {
        let epoch = self.epoch();
        let before = self.power.together(epoch);
        let old = |(_, at, _): &&mut (PowerConfigId, u32, Wish)| *at == from.number();
        self.power.ids.iter_mut().filter(old).for_each(|(_, at, _)| *at = epoch.number());
        self.owe_vote(before);
        let memory = self.power.memory(from);
        self.power.memory = (epoch.number(), memory.grow_bytes);
        if memory.grow_bytes != 0 {
            self.owe_once(Due::MemorySet);
        }
    }

    fn owe_vote(&mut self, before: Wish) {
        if self.power.together(self.epoch()) != before {
            self.owe_once(Due::PowerVote);
        }
    }

    /// One command says all there is to say when it goes.
    fn owe_once(&mut self, due: Due) {
        if self.owed.iter().all(|(_, other)| *other != due) {
            self.owe(due);
        }
    }
}
