//! Control commands on their way to the device, in order.

use core::hash::{Hash, Hasher};

use crate::handle::{BufferId, ContextId, GraphId, RequestId};
use crate::limits::{Capacities, IN_FLIGHT_MAX};
use crate::region::{OutOfMemory, Region, RegionSlice};

/// A control command, by what it is about; the rest is looked up when the device takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Control {
    Connect { attempt: u32 },
    ContextCreate(ContextId),
    ContextRelease(ContextId),
    GraphPrepare(GraphId),
    GraphRelease(GraphId),
    BufferMap(BufferId),
    BufferUnmap(BufferId),
    Abort(RequestId),
    PowerVote,
    MemorySet,
    Probe,
    Shutdown,
}

/// A ring of control commands. Its capacity is the sum of what its writers can have outstanding.
pub(super) struct Outbox<'m> {
    ring: RegionSlice<'m, Control>,
    first: usize,
    len: usize,
}

impl<'m> Outbox<'m> {
    /// The sum of what can be outstanding, one line for each writer.
    pub const fn capacity(capacities: &Capacities) -> usize {
        let contexts = capacities.contexts as usize;
        let graphs = capacities.graphs as usize;
        let buffers = capacities.buffers as usize;
        contexts // creation or release of a context
            .saturating_add(graphs) // preparation of a graph
            // And its release, if its context goes before the device took the first.
            .saturating_add(graphs)
            .saturating_add(buffers) // mapping of a buffer
            .saturating_add(buffers) // and its unmapping
            .saturating_add(IN_FLIGHT_MAX) // an abort for each running request
            .saturating_add(2) // the power vote, the memory configuration
            .saturating_add(3) // a connect, a probe, a shutdown
    }

    pub const fn bytes(capacities: &Capacities) -> usize {
        size_of::<Control>().saturating_mul(Self::capacity(capacities))
    }

    pub fn new(region: &mut Region<'m>, capacities: &Capacities) -> Result<Self, OutOfMemory> {
        let ring = region.alloc(Self::capacity(capacities), Control::Probe)?;
        Ok(Self { ring, first: 0, len: 0 })
    }

    /// Appends; `false` if the ring is full, which its capacity excludes.
    pub fn push(&mut self, control: Control) -> bool {
        let index = self.wrap(self.first.saturating_add(self.len));
        if self.len >= self.ring.len() {
            return false;
        }
        if let Some(slot) = self.ring.get_mut(index) {
            *slot = control;
            self.len = self.len.saturating_add(1);
        }
        true
    }

    pub fn pop(&mut self) -> Option<Control> {
        if self.len == 0 {
            return None;
        }
        let control = self.ring.get(self.first).copied();
        self.first = self.wrap(self.first.saturating_add(1));
        self.len = self.len.saturating_sub(1);
        control
    }

    /// Takes back a command that the device has not had yet; `false` if it is not here. Linear in
    /// the number of commands.
    pub fn withdraw(&mut self, control: Control) -> bool {
        let mut found = false;
        for _ in 0..self.len {
            match self.pop() {
                Some(first) if first == control && !found => found = true,
                Some(first) => {
                    self.push(first);
                }
                None => {}
            }
        }
        found
    }

    /// Whether the device has not had a command yet. Linear in the number of commands.
    pub fn holds(&self, control: Control) -> bool {
        let waiting = |offset| self.ring.get(self.wrap(self.first.saturating_add(offset)));
        (0..self.len).any(|offset| waiting(offset) == Some(&control))
    }

    /// The commands in their order.
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        self.len.hash(hasher);
        let waiting = |offset| self.ring.get(self.wrap(self.first.saturating_add(offset)));
        (0..self.len).for_each(|offset| waiting(offset).hash(hasher));
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets everything: the epoch it was meant for is over.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    fn wrap(&self, index: usize) -> usize {
        if index >= self.ring.len() {
            index.saturating_sub(self.ring.len())
        } else {
            index
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITIES: Capacities = Capacities {
        contexts: 1,
        graphs: 1,
        buffers: 1,
        requests: 1,
        profiles: 0,
        power_configs: 0,
        watched_outputs: 0,
        trace_records: 0,
    };

    fn outbox() -> Outbox<'static> {
        Outbox::new(&mut Region::from_heap(1 << 14), &CAPACITIES).unwrap()
    }

    #[test]
    fn commands_come_out_in_their_order_across_the_end_of_the_ring() {
        let mut outbox = outbox();
        let mut next_out = 0;
        for attempt in 0..100 {
            assert!(outbox.push(Control::Connect { attempt }));
            if attempt % 3 > 0 {
                assert_eq!(outbox.pop(), Some(Control::Connect { attempt: next_out }));
                next_out += 1;
            }
            if outbox.len > 10 {
                outbox.clear();
                assert_eq!(outbox.pop(), None);
                next_out = attempt + 1;
            }
        }
    }

    #[test]
    fn a_command_that_was_not_taken_is_taken_back() {
        let mut outbox = outbox();
        for attempt in [1, 2, 3, 2] {
            assert!(outbox.push(Control::Connect { attempt }));
        }
        assert!(outbox.holds(Control::Connect { attempt: 1 }) && !outbox.holds(Control::Probe));
        assert!(outbox.withdraw(Control::Connect { attempt: 2 }), "one of them");
        assert!(!outbox.withdraw(Control::Probe));
        for attempt in [1, 3, 2] {
            assert_eq!(outbox.pop(), Some(Control::Connect { attempt }));
        }
        assert!(outbox.is_empty());
    }

    #[test]
    fn it_holds_its_capacity_and_refuses_more() {
        let mut outbox = outbox();
        let capacity = Outbox::capacity(&CAPACITIES);
        assert!((0..capacity).all(|_| outbox.push(Control::Probe)));
        assert!(!outbox.push(Control::Probe));
        assert!((0..capacity).all(|_| outbox.pop().is_some()));
        assert!(outbox.pop().is_none() && outbox.is_empty());
    }
}
