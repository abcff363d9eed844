//! The twin: what a device that never crashed would hold, had it been told of the present epoch's
//! objects only.

use std::collections::BTreeSet;

use super::{ensure, BufferState, Check, GraphState, Model};
use crate::device::Device;
use crate::trace::word;

impl Model {
    /// The device holds what its twin holds. When nothing is under way.
    pub fn twin(&self, device: &Device<'_>) -> Check {
        let epoch = self.epoch();
        let contexts = self.contexts.iter().filter(|c| c.epoch == epoch && c.on_device);
        same("contexts", contexts.map(|c| word(c.id)), device.contexts.iter().map(|c| word(*c)))?;
        let told = Some(epoch);
        let ready = |g: &&super::Graph| g.told == told && g.state == GraphState::Ready;
        let graphs = self.graphs.iter().filter(ready);
        same("graphs", graphs.map(|g| word(g.id)), device.graphs.iter().map(|g| word(g.graph)))?;
        let mapped = |b: &&super::Buffer| b.told == told && b.state == BufferState::Mapped;
        let buffers = self.buffers.iter().filter(mapped);
        same("buffers", buffers.map(|b| word(b.id)), device.buffers.iter().map(|b| word(*b)))?;
        let votes = self.power.in_effect(epoch);
        ensure!(device.votes == votes, RULE, "votes: {:?}, not {votes:?}", device.votes);
        let memory = self.power.memory(epoch);
        ensure!(device.memory == memory, RULE, "memory: {:?}, not {memory:?}", device.memory);
        Ok(())
    }
}

const RULE: &str = "the device equals its twin that never crashed";

fn same(what: &str, expected: impl Iterator<Item = u64>, got: impl Iterator<Item = u64>) -> Check {
    let (expected, got): (BTreeSet<_>, BTreeSet<_>) = (expected.collect(), got.collect());
    ensure!(got == expected, RULE, "{what}: {got:x?}, not {expected:x?}");
    Ok(())
}
