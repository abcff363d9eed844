//! A table of slots with generations: insert, find and remove in constant time, memory fixed at
//! creation.
//!
//! A generation has 16 bits (9 on 32-bit targets) and returns after 65,535 (511) tenants of its
//! slot; a handle that was kept all the time names the new tenant then. Free slots are therefore
//! taken in turn, the one that has been free longest first: with `n` slots free at any time, that
//! takes `65,535 * n` (`511 * n`) insertions at least.

use core::hash::{Hash, Hasher};

use crate::handle::{Epoch, Handle, Packing};
use crate::region::{OutOfMemory, Region, RegionSlice};

/// Why a handle does not lead to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidHandle;

/// No free slot: the capacity given at init is exceeded. A configuration error, not a passing
/// state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CapacityExceeded;

struct Slot<T> {
    generation: u16,
    /// Epoch in the handle of the present tenant.
    epoch: Epoch,
    next_free: u16,
    value: Option<T>,
}

const NO_SLOT: u16 = u16::MAX;

/// Objects of one kind. `K` is the handle kind, `T` what a slot holds.
pub struct Slots<'m, K, T> {
    slots: RegionSlice<'m, Slot<T>>,
    first_free: u16,
    /// The slot that was freed last; means nothing while none is free.
    last_free: u16,
    count: u16,
    count_max: u16,
    kind: core::marker::PhantomData<fn() -> K>,
}

impl<'m, K, T> Slots<'m, K, T> {
    /// A table for `capacity` objects, at most as many as a C handle can tell apart
    /// ([`Packing::slots_max`]).
    pub fn new(region: &mut Region<'m>, capacity: u16) -> Result<Self, OutOfMemory> {
        let capacity = capacity.min(Packing::NATIVE.slots_max());
        let slots = region.alloc_with(usize::from(capacity), |index| {
            let next = u16::try_from(index).unwrap_or(NO_SLOT).saturating_add(1);
            let next_free = if next < capacity { next } else { NO_SLOT };
            Slot { generation: 1, epoch: Epoch::FIRST, next_free, value: None }
        })?;
        let first_free = if capacity == 0 { NO_SLOT } else { 0 };
        let last_free = capacity.saturating_sub(1);
        let kind = core::marker::PhantomData;
        Ok(Self { slots, first_free, last_free, count: 0, count_max: 0, kind })
    }

    /// Bytes of region memory that a table of `capacity` takes.
    pub const fn bytes(capacity: u16) -> usize {
        size_of::<Slot<T>>().saturating_mul(capacity as usize)
    }

    /// Puts `value` into a free slot and gives its handle.
    pub fn insert(&mut self, epoch: Epoch, value: T) -> Result<Handle<K>, CapacityExceeded> {
        let index = self.first_free;
        let slot = self.slots.get_mut(usize::from(index)).ok_or(CapacityExceeded)?;
        self.first_free = slot.next_free;
        slot.epoch = epoch;
        slot.value = Some(value);
        self.count = self.count.saturating_add(1);
        self.count_max = self.count_max.max(self.count);
        Ok(Handle::from_parts(index, slot.generation, epoch))
    }

    /// Takes the object out; its handle is invalid from here on.
    pub fn remove(&mut self, handle: Handle<K>) -> Result<T, InvalidHandle> {
        let slot = Self::tenant(self.slots.get_mut(usize::from(handle.index())), handle)?;
        let value = slot.value.take().ok_or(InvalidHandle)?;
        slot.generation = Packing::NATIVE.next_generation(slot.generation);
        slot.next_free = NO_SLOT;
        match self.slots.get_mut(usize::from(self.last_free)) {
            Some(last) if self.first_free != NO_SLOT => last.next_free = handle.index(),
            _ => self.first_free = handle.index(),
        }
        self.last_free = handle.index();
        self.count = self.count.saturating_sub(1);
        Ok(value)
    }

    /// The object of a handle.
    pub fn get(&self, handle: Handle<K>) -> Result<&T, InvalidHandle> {
        match self.slots.get(usize::from(handle.index())) {
            Some(slot)
                if slot.generation == handle.generation() && slot.epoch == handle.epoch() =>
            {
                slot.value.as_ref().ok_or(InvalidHandle)
            }
            _ => Err(InvalidHandle),
        }
    }

    /// The object of a handle, to change it.
    pub fn get_mut(&mut self, handle: Handle<K>) -> Result<&mut T, InvalidHandle> {
        let slot = Self::tenant(self.slots.get_mut(usize::from(handle.index())), handle)?;
        slot.value.as_mut().ok_or(InvalidHandle)
    }

    /// The object in slot `index`, whoever it is.
    pub fn at(&self, index: u16) -> Option<&T> {
        self.slots.get(usize::from(index))?.value.as_ref()
    }

    /// The object in slot `index`, to change it.
    pub fn at_mut(&mut self, index: u16) -> Option<&mut T> {
        self.slots.get_mut(usize::from(index))?.value.as_mut()
    }

    /// Handle of the present tenant of slot `index`.
    pub fn handle_at(&self, index: u16) -> Option<Handle<K>> {
        let slot = self.slots.get(usize::from(index))?;
        slot.value.as_ref()?;
        Some(Handle::from_parts(index, slot.generation, slot.epoch))
    }

    /// All objects with their handles, in slot order. Takes time linear in the capacity at most,
    /// none if there are no objects.
    pub fn iter(&self) -> impl Iterator<Item = (Handle<K>, &T)> {
        let objects = (0u16..).zip(self.slots.iter()).filter_map(|(index, slot)| {
            let value = slot.value.as_ref()?;
            Some((Handle::from_parts(index, slot.generation, slot.epoch), value))
        });
        objects.take(usize::from(self.count))
    }

    /// All that decides which handles it gives from here on and which it knows; the objects as
    /// `object` hashes them.
    pub fn hash_state<H: Hasher>(&self, hasher: &mut H, object: impl Fn(&T, &mut H)) {
        (self.first_free, self.last_free, self.count).hash(hasher);
        for slot in self.slots.iter() {
            (slot.generation, slot.epoch, slot.next_free, slot.value.is_some()).hash(hasher);
            if let Some(value) = &slot.value {
                object(value, hasher);
            }
        }
    }

    /// Objects in the table now.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// The most objects that were ever in the table at once.
    pub fn count_max(&self) -> u16 {
        self.count_max
    }

    /// Slots in the table.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    fn tenant(
        slot: Option<&mut Slot<T>>,
        handle: Handle<K>,
    ) -> Result<&mut Slot<T>, InvalidHandle> {
        slot.filter(|slot| slot.generation == handle.generation() && slot.epoch == handle.epoch())
            .ok_or(InvalidHandle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::kind;

    type Table = Slots<'static, kind::Graph, u32>;

    fn table(capacity: u16) -> Table {
        Slots::new(&mut Region::from_heap(1 << 16), capacity).unwrap()
    }

    #[test]
    fn a_released_handle_is_invalid_for_ever() {
        let mut table = table(1);
        let old = table.insert(Epoch::FIRST, 10).unwrap();
        assert_eq!(table.remove(old), Ok(10));
        assert_eq!(table.remove(old), Err(InvalidHandle));
        let new = table.insert(Epoch::FIRST, 11).unwrap();
        assert_eq!(new.index(), old.index());
        assert!(table.get(old).is_err());
        assert_eq!(table.get(new), Ok(&11));
    }

    #[test]
    fn free_slots_are_taken_in_turn() {
        let mut table = table(4);
        let kept = table.insert(Epoch::FIRST, 0).unwrap();
        let old = table.insert(Epoch::FIRST, 1).unwrap();
        table.remove(old).unwrap();
        // Three slots are free: no handle returns before each of them had every generation.
        for _ in 1..3 * usize::from(u16::MAX) {
            let next = table.insert(Epoch::FIRST, 1).unwrap();
            assert_ne!(next, old);
            table.remove(next).unwrap();
        }
        assert_eq!(table.get(kept), Ok(&0));
    }

    #[test]
    fn a_full_table_frees_one_slot_at_a_time() {
        let mut table = table(3);
        let mut handles: std::vec::Vec<_> =
            (0..3).map(|value| table.insert(Epoch::FIRST, value).unwrap()).collect();
        for turn in 0..10 {
            let freed = handles.remove(turn % 3);
            table.remove(freed).unwrap();
            handles.push(table.insert(Epoch::FIRST, 9).unwrap());
            assert_eq!(table.insert(Epoch::FIRST, 9), Err(CapacityExceeded));
            assert_eq!(handles.last().unwrap().index(), freed.index());
        }
    }

    #[test]
    fn forged_parts_lead_nowhere() {
        let mut table = table(2);
        let real = table.insert(Epoch::FIRST, 10).unwrap();
        for (index, generation, epoch) in [
            (real.index() + 1, real.generation(), real.epoch()),
            (real.index(), real.generation() + 1, real.epoch()),
            (real.index(), real.generation(), real.epoch().next()),
            (u16::MAX, u16::MAX, Epoch::FIRST),
        ] {
            assert!(table.get_mut(Handle::from_parts(index, generation, epoch)).is_err());
        }
    }

    #[test]
    fn capacity_is_what_was_asked_for() {
        let mut table = table(3);
        let handles: std::vec::Vec<_> =
            (0..3).map(|value| table.insert(Epoch::FIRST, value).unwrap()).collect();
        assert_eq!(table.insert(Epoch::FIRST, 9), Err(CapacityExceeded));
        assert_eq!((table.count(), table.capacity()), (3, 3));
        for handle in handles {
            table.remove(handle).unwrap();
        }
        assert_eq!((table.count(), table.count_max()), (0, 3));
    }
}
