//! Vectors in region memory, which the builder of graphs fills.

use zerocopy::little_endian::U32;

use super::table::Span;
use crate::region::{OutOfMemory, Region, RegionSlice};

/// A vector in region memory that doubles when full.
pub(super) struct Growing<'m, T> {
    items: RegionSlice<'m, T>,
    pub(super) len: usize,
}

impl<'m, T: Copy> Growing<'m, T> {
    pub(super) const fn new() -> Self {
        Self { items: RegionSlice::empty(), len: 0 }
    }

    pub(super) fn get(&self) -> &[T] {
        self.items.get(..self.len).unwrap_or(&[])
    }

    pub(super) fn get_mut(&mut self) -> &mut [T] {
        self.items.get_mut(..self.len).unwrap_or(&mut [])
    }

    pub(super) fn reserve(
        &mut self,
        region: &mut Region<'m>,
        more: usize,
        fill: T,
    ) -> Result<(), OutOfMemory> {
        let needed = self.len.checked_add(more).ok_or(OutOfMemory)?;
        if needed <= self.items.len() {
            return Ok(());
        }
        let capacity = needed.max(self.items.len().saturating_mul(2)).max(8);
        let old = self.get();
        let items = region.alloc_with(capacity, |index| old.get(index).copied().unwrap_or(fill))?;
        region.free(core::mem::replace(&mut self.items, items));
        Ok(())
    }

    /// Appends; room was reserved.
    pub(super) fn push(&mut self, item: T) {
        if let Some(slot) = self.items.get_mut(self.len) {
            *slot = item;
            self.len = self.len.saturating_add(1);
        }
    }

    /// Place of the next item.
    pub(super) fn next(&self) -> U32 {
        U32::new(u32::try_from(self.len).unwrap_or(u32::MAX))
    }

    pub(super) fn release(self, region: &mut Region<'m>) {
        region.free(self.items);
    }
}

pub(super) fn count32(count: usize) -> U32 {
    U32::new(u32::try_from(count).unwrap_or(u32::MAX))
}

pub(super) fn align_up(value: usize, align: usize) -> Option<usize> {
    value.checked_next_multiple_of(align)
}

/// The items of a span; none if it lies outside.
pub(super) fn run<'a, T: Copy>(all: &'a Growing<'_, T>, span: Span) -> &'a [T] {
    let first = usize::try_from(span.first.get()).unwrap_or(usize::MAX);
    let count = usize::try_from(span.count.get()).unwrap_or(usize::MAX);
    all.get().get(first..).and_then(|items| items.get(..count)).unwrap_or(&[])
}
