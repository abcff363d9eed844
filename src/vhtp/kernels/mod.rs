//! The loops: each kernel runs one compiled op on bytes, in place of the DSP.
//!
//! A kernel never fails on data. It answers `None` only if its operands are not as long as they
//! were compiled for, which the memory plan excludes. Index arithmetic wraps: every product and sum
//! of extents was checked at prepare.

pub(super) mod codec;
pub(super) mod convert;
pub(super) mod convolution;
pub(super) mod element;
pub(super) mod elementwise;
pub(super) mod fixed;
pub(super) mod function;
pub(super) mod gather;
pub(super) mod matmul;
pub(super) mod movement;
pub(super) mod normalize;
pub(super) mod pointwise;
pub(super) mod pool;
pub(super) mod reduce;
pub(super) mod resize;
pub(super) mod scheme;
pub(super) mod softmax;
mod tile;

/// Splits a slice into rows of `len` elements; a remainder is left out. Rows of length 0 are none
/// at all.
pub(super) struct Rows<'a, T> {
    rest: &'a [T],
    len: usize,
}

/// Rows of `len` elements of `items`.
pub(super) fn rows<T>(items: &[T], len: usize) -> Rows<'_, T> {
    Rows { rest: items, len }
}

impl<'a, T> Iterator for Rows<'a, T> {
    type Item = &'a [T];
    #[inline]
    fn next(&mut self) -> Option<&'a [T]> {
        let (row, rest) = self.rest.split_at_checked(self.len)?;
        self.rest = rest;
        (!row.is_empty()).then_some(row)
    }
}

/// Splits a slice into rows to write.
pub(super) struct RowsMut<'a, T> {
    rest: &'a mut [T],
    len: usize,
}

/// Rows of `len` elements of `items`, to write.
pub(super) fn rows_mut<T>(items: &mut [T], len: usize) -> RowsMut<'_, T> {
    RowsMut { rest: items, len }
}

impl<'a, T> Iterator for RowsMut<'a, T> {
    type Item = &'a mut [T];
    #[inline]
    fn next(&mut self) -> Option<&'a mut [T]> {
        let (row, rest) = core::mem::take(&mut self.rest).split_at_mut_checked(self.len)?;
        self.rest = rest;
        (!row.is_empty()).then_some(row)
    }
}

/// `len` elements from `start` on.
#[inline]
pub(super) fn run<T>(items: &[T], start: usize, len: usize) -> Option<&[T]> {
    items.get(start..)?.get(..len)
}
