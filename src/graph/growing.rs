//! Vectors in region memory, which the builder of graphs fills.

use zerocopy::little_endian::{F32, I32, U32, U64};

use super::table::{OpRecord, ParamRecord, QuantRecord, Span, TensorRecord};
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
        let items = region.alloc_from(capacity, self.get(), fill)?;
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

    /// Appends; room was reserved.
    pub(super) fn extend(&mut self, items: &[T]) {
        let end = self.len.saturating_add(items.len());
        if let Some(room) = self.items.get_mut(self.len..end) {
            copy(room, items);
            self.len = end;
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

/// Copies as many of `from` as there is room for in `to`. Not inlined, so that it is known that the
/// two do not overlap, and many are copied at once.
#[inline(never)]
pub(super) fn copy<T: Copy>(to: &mut [T], from: &[T]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
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

/// FNV-1a: names that differ have other hashes, nearly always.
pub(super) fn hash(name: &str) -> u32 {
    const START: u32 = 0x811C_9DC5;
    const PRIME: u32 = 0x0100_0193;
    name.bytes().fold(START, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(PRIME))
}

/// What room is filled with.
pub(super) const EMPTY_SPAN: Span = Span { first: U32::ZERO, count: U32::ZERO };
pub(super) const EMPTY_QUANT: QuantRecord = QuantRecord { scale: F32::ZERO, offset: I32::ZERO };
pub(super) const EMPTY_PARAM: ParamRecord =
    ParamRecord { name: EMPTY_SPAN, data_type: U32::ZERO, tensor: U32::ZERO, bits: U64::ZERO };
pub(super) const EMPTY_OP: OpRecord = OpRecord {
    name: EMPTY_SPAN,
    package: EMPTY_SPAN,
    type_name: EMPTY_SPAN,
    params: EMPTY_SPAN,
    inputs: EMPTY_SPAN,
    outputs: EMPTY_SPAN,
};
pub(super) const EMPTY_TENSOR: TensorRecord = TensorRecord {
    id: U32::ZERO,
    kind: U32::ZERO,
    data_type: U32::ZERO,
    quant_axis: U32::ZERO,
    producer: U32::ZERO,
    quants: EMPTY_SPAN,
    name: EMPTY_SPAN,
    dims: EMPTY_SPAN,
    data_offset: U64::ZERO,
    data_bytes: U64::ZERO,
    flags: U32::ZERO,
};
