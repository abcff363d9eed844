//! What is loaded on the DSP: tables indexed by the slot of a handle, and the queue of control
//! commands.

use crate::handle::{BufferId, ContextId, GraphId, Handle};
use crate::memory::ClientMemory;
use crate::region::{OutOfMemory, Region, RegionSlice, SharedBytes};

/// Objects of one kind, found by their handle's slot.
pub(super) struct Table<'m, K, T> {
    slots: RegionSlice<'m, Option<(Handle<K>, T)>>,
}

impl<'m, K, T> Table<'m, K, T> {
    pub(super) fn new(region: &mut Region<'m>, capacity: u16) -> Result<Self, OutOfMemory> {
        Ok(Self { slots: region.alloc_with(usize::from(capacity), |_| None)? })
    }

    /// Bytes of a table of `capacity`.
    pub(super) fn bytes(capacity: u16) -> usize {
        size_of::<Option<(Handle<K>, T)>>().saturating_mul(usize::from(capacity))
    }

    /// Whether the slot of `handle` exists and is free.
    pub(super) fn has_room(&self, handle: Handle<K>) -> bool {
        self.slots.get(usize::from(handle.index())).is_some_and(Option::is_none)
    }

    /// Puts an object into its handle's slot; `false` and dropped if there is no room.
    pub(super) fn insert(&mut self, handle: Handle<K>, value: T) -> bool {
        match self.slots.get_mut(usize::from(handle.index())) {
            Some(slot @ None) => {
                *slot = Some((handle, value));
                true
            }
            _ => false,
        }
    }

    pub(super) fn get(&self, handle: Handle<K>) -> Option<&T> {
        let (tenant, value) = self.slots.get(usize::from(handle.index()))?.as_ref()?;
        (*tenant == handle).then_some(value)
    }

    pub(super) fn get_mut(&mut self, handle: Handle<K>) -> Option<&mut T> {
        let (tenant, value) = self.slots.get_mut(usize::from(handle.index()))?.as_mut()?;
        (*tenant == handle).then_some(value)
    }

    pub(super) fn remove(&mut self, handle: Handle<K>) -> Option<T> {
        self.get(handle)?;
        self.slots.get_mut(usize::from(handle.index()))?.take().map(|(_, value)| value)
    }

    /// Takes everything out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> + use<'_, 'm, K, T> {
        self.slots.iter_mut().filter_map(|slot| slot.take().map(|(_, value)| value))
    }

    /// Objects present. Linear in the capacity.
    pub(super) fn count(&self) -> usize {
        self.slots.iter().flatten().count()
    }
}

/// A control command that waits for its step.
pub(super) enum Control<'m> {
    ContextCreate(ContextId),
    ContextRelease(ContextId),
    GraphPrepare { graph: GraphId, context: ContextId, table: SharedBytes<'m> },
    GraphRelease(GraphId),
    BufferMap(BufferId, ClientMemory),
    BufferUnmap(BufferId),
}

/// First in, first out, of fixed capacity.
pub(super) struct Fifo<'m, T> {
    ring: RegionSlice<'m, Option<T>>,
    first: usize,
    count: usize,
}

impl<'m, T> Fifo<'m, T> {
    pub(super) fn new(region: &mut Region<'m>, capacity: usize) -> Result<Self, OutOfMemory> {
        Ok(Self { ring: region.alloc_with(capacity, |_| None)?, first: 0, count: 0 })
    }

    /// Appends; `false` and dropped if full.
    pub(super) fn push(&mut self, item: T) -> bool {
        if self.count >= self.ring.len() {
            return false;
        }
        let at = self.first.saturating_add(self.count);
        let at = at.checked_sub(self.ring.len()).unwrap_or(at);
        if let Some(slot) = self.ring.get_mut(at) {
            *slot = Some(item);
        }
        self.count = self.count.saturating_add(1);
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let item = self.ring.get_mut(self.first)?.take()?;
        let next = self.first.saturating_add(1);
        self.first = if next < self.ring.len() { next } else { 0 };
        self.count = self.count.saturating_sub(1);
        Some(item)
    }
}
