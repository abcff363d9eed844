//! The memory plan of a graph: every tensor that is not constant gets a place in one scratch area.
//!
//! A tensor lives from the op that writes it to the last op that reads it; graph inputs live from
//! the start, graph outputs to the end. Tensors are placed in order of birth at the lowest place
//! that no tensor alive at the same time takes (first fit). What lies between a convolution and the
//! Relu that was folded into it has no place.

use super::ops::fold;
use crate::graph::{GraphTable, TensorKind};

/// Places start at multiples of this.
pub(super) const PLACE_ALIGN: usize = 64;

/// Where a tensor lies in its graph's scratch area, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Placement {
    /// Index of the tensor in the graph table.
    pub tensor: u32,
    /// Offset in the scratch area, in bytes; a multiple of 64.
    pub offset: usize,
    /// Bytes of the tensor; 0 if it has no place (constant, absent, or between an op and one that
    /// was folded into it).
    pub bytes: usize,
    /// First op that needs it there.
    pub first_op: u32,
    /// Last op that needs it there.
    pub last_op: u32,
}

impl Placement {
    fn lives_with(&self, other: &Placement) -> bool {
        self.first_op <= other.last_op && other.first_op <= self.last_op
    }

    fn end(&self) -> usize {
        self.offset.saturating_add(self.bytes)
    }
}

/// Fills `places`, which has one entry per tensor, and gives the bytes of the scratch area. `None`
/// if they overflow. Takes time cubic in the number of tensors alive at once, at worst; part of
/// preparing a graph.
pub(super) fn plan(
    table: &GraphTable<'_>,
    folds: &[bool],
    places: &mut [Placement],
) -> Option<usize> {
    lifetimes(table, folds, places)?;
    let mut scratch_bytes = 0usize;
    let mut place = |places: &mut [Placement], tensor: usize| {
        let mut new = *places.get(tensor)?;
        new.offset = lowest_free(places, &new)?;
        scratch_bytes = scratch_bytes.max(new.offset.checked_add(new.bytes)?);
        *places.get_mut(tensor)? = new;
        Some(())
    };
    for input in table.inputs().iter() {
        place(places, input.index())?;
    }
    for step in fold::steps(table, folds) {
        for output in step.op.outputs().iter() {
            place(places, output.index())?;
        }
    }
    scratch_bytes.checked_next_multiple_of(PLACE_ALIGN)
}

/// Not yet placed.
const NOWHERE: usize = usize::MAX;

fn lifetimes(table: &GraphTable<'_>, folds: &[bool], places: &mut [Placement]) -> Option<()> {
    let end = u32::try_from(table.op_count().checked_sub(1)?).ok()?;
    for (tensor, place) in table.tensors().zip(places.iter_mut()) {
        let scratch = matches!(
            tensor.kind(),
            TensorKind::AppWrite | TensorKind::AppRead | TensorKind::Native
        );
        *place = Placement {
            tensor: u32::try_from(tensor.index()).ok()?,
            offset: NOWHERE,
            bytes: if scratch { tensor.size_bytes() } else { 0 },
            first_op: 0,
            last_op: if tensor.kind() == TensorKind::AppRead { end } else { 0 },
        };
    }
    for step in fold::steps(table, folds) {
        let op = step.op;
        if let Some(between) = step.relu.and_then(|relu| relu.inputs().at(0)) {
            places.get_mut(between.index())?.bytes = 0;
        }
        let now = u32::try_from(op.index()).ok()?;
        for output in op.outputs().iter() {
            let place = places.get_mut(output.index())?;
            place.first_op = now;
            place.last_op = place.last_op.max(now);
        }
        for input in op.inputs().iter() {
            let place = places.get_mut(input.index())?;
            place.last_op = place.last_op.max(now);
        }
    }
    Some(())
}

fn lowest_free(places: &[Placement], new: &Placement) -> Option<usize> {
    let mut offset = 0usize;
    loop {
        let end = offset.checked_add(new.bytes)?;
        let in_the_way = places.iter().find(|other| {
            other.offset != NOWHERE
                && other.bytes > 0
                && other.lives_with(new)
                && other.offset < end
                && offset < other.end()
        });
        match in_the_way {
            None => return Some(offset),
            Some(other) => offset = other.end().checked_next_multiple_of(PLACE_ALIGN)?,
        }
    }
}
