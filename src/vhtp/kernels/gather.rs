//! Elements that are picked by, or put where, other elements say.

use super::codec::Codec;
use super::elementwise::Odometer;
use super::function::Binary;
use super::{movement, rows, rows_mut, run};
use crate::graph::RANK_MAX;

/// The place that an index means: negative ones count from the end, and what lies outside means the
/// nearest place.
fn place(index: i64, extent: usize) -> usize {
    let extent = i64::try_from(extent).unwrap_or(i64::MAX);
    let index = if index < 0 { index.saturating_add(extent) } else { index };
    usize::try_from(index.min(extent.saturating_sub(1))).unwrap_or(0)
}

/// A compiled Gather.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Gather {
    /// Extent of the axis.
    pub(in crate::vhtp) extent: usize,
    /// Bytes of the elements behind one place of the axis.
    pub(in crate::vhtp) block: usize,
    /// Type of the indices.
    pub(in crate::vhtp) index: Codec,
    /// How many there are.
    pub(in crate::vhtp) indices: usize,
}

/// Runs a Gather.
pub(in crate::vhtp) fn gather(op: &Gather, x: &[u8], at: &[u8], out: &mut [u8]) -> Option<()> {
    let out_rows = rows_mut(out, op.block.wrapping_mul(op.indices));
    for (x, out) in rows(x, op.block.wrapping_mul(op.extent)).zip(out_rows) {
        for (index, out) in rows_mut(out, op.block).enumerate() {
            let from = place(op.index.load_whole(at, index)?, op.extent);
            movement::copy(run(x, from.wrapping_mul(op.block), op.block)?, out)?;
        }
    }
    Some(())
}

/// A compiled GatherElements or ScatterElements: each index replaces one coordinate.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Elements {
    /// Dimensions of the indices, aligned right.
    pub(in crate::vhtp) shape: [usize; RANK_MAX],
    /// Strides of the data that is picked from or put into, in elements; 0 along the axis.
    pub(in crate::vhtp) strides: [usize; RANK_MAX],
    /// Extent of the axis.
    pub(in crate::vhtp) extent: usize,
    /// Stride of the axis.
    pub(in crate::vhtp) stride: usize,
    /// Type of the indices.
    pub(in crate::vhtp) index: Codec,
    /// Bytes of an element.
    pub(in crate::vhtp) element_bytes: usize,
}

impl Elements {
    /// Element of the data for each index, in bytes.
    fn places<'a>(&'a self, at: &'a [u8]) -> impl Iterator<Item = Option<usize>> + 'a {
        Odometer::new(self.shape, [self.strides]).enumerate().map(move |(index, [offset])| {
            let along = place(self.index.load_whole(at, index)?, self.extent);
            let element = offset.wrapping_add(along.wrapping_mul(self.stride));
            Some(element.wrapping_mul(self.element_bytes))
        })
    }
}

/// Runs a GatherElements.
pub(in crate::vhtp) fn gather_elements(
    op: &Elements,
    x: &[u8],
    at: &[u8],
    out: &mut [u8],
) -> Option<()> {
    for (out, start) in rows_mut(out, op.element_bytes).zip(op.places(at)) {
        movement::copy(run(x, start?, op.element_bytes)?, out)?;
    }
    Some(())
}

/// A compiled GatherNd or ScatterNd: each index is a row of coordinates.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Nd {
    /// Rows of coordinates in one batch.
    pub(in crate::vhtp) rows: usize,
    /// Coordinates of a row.
    pub(in crate::vhtp) depth: usize,
    /// Extents that the coordinates lie in.
    pub(in crate::vhtp) extents: [usize; RANK_MAX],
    /// Bytes of the elements behind one row.
    pub(in crate::vhtp) block: usize,
    /// Bytes of the data of one batch.
    pub(in crate::vhtp) batch: usize,
    /// Type of the coordinates.
    pub(in crate::vhtp) index: Codec,
}

impl Nd {
    /// Start of the elements that row `row` means, in bytes.
    fn start(&self, at: &[u8], row: usize) -> Option<usize> {
        let mut flat = 0usize;
        for (coordinate, &extent) in self.extents.iter().take(self.depth).enumerate() {
            let index = row.wrapping_mul(self.depth).wrapping_add(coordinate);
            let along = place(self.index.load_whole(at, index)?, extent);
            flat = flat.wrapping_mul(extent).wrapping_add(along);
        }
        let batch = row.checked_div(self.rows)?.wrapping_mul(self.batch);
        Some(batch.wrapping_add(flat.wrapping_mul(self.block)))
    }
}

/// Runs a GatherNd.
pub(in crate::vhtp) fn gather_nd(op: &Nd, x: &[u8], at: &[u8], out: &mut [u8]) -> Option<()> {
    for (row, out) in rows_mut(out, op.block).enumerate() {
        movement::copy(run(x, op.start(at, row)?, op.block)?, out)?;
    }
    Some(())
}

/// How an update meets what is there: a function of both, or `None` to replace it.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Update {
    /// The function.
    pub(in crate::vhtp) function: Option<Binary>,
    /// Type of data and updates.
    pub(in crate::vhtp) codec: Codec,
}

impl Update {
    fn apply(&self, from: &[u8], out: &mut [u8]) -> Option<()> {
        let Some(function) = self.function else { return movement::copy(from, out) };
        for index in 0..out.len().checked_div(self.codec.size())? {
            if let Codec::Whole(_) = self.codec {
                let (a, b) =
                    (self.codec.load_whole(out, index)?, self.codec.load_whole(from, index)?);
                self.codec.store_whole(function.apply_whole(a, b), out, index)?;
            } else {
                let (a, b) = (self.codec.load(out, index)?, self.codec.load(from, index)?);
                self.codec.store(function.apply(a, b), out, index)?;
            }
        }
        Some(())
    }
}

/// Runs a ScatterElements; operands are data, indices and updates.
pub(in crate::vhtp) fn scatter_elements(
    op: &Elements,
    update: &Update,
    [x, at, updates]: [&[u8]; 3],
    out: &mut [u8],
) -> Option<()> {
    movement::copy(x, out)?;
    for (from, start) in rows(updates, op.element_bytes).zip(op.places(at)) {
        update.apply(from, out.get_mut(start?..)?.get_mut(..op.element_bytes)?)?;
    }
    Some(())
}

/// Runs a ScatterNd; operands are data, coordinates and updates.
pub(in crate::vhtp) fn scatter_nd(
    op: &Nd,
    update: &Update,
    [x, at, updates]: [&[u8]; 3],
    out: &mut [u8],
) -> Option<()> {
    movement::copy(x, out)?;
    for (row, from) in rows(updates, op.block).enumerate() {
        let start = op.start(at, row)?;
        update.apply(from, out.get_mut(start..)?.get_mut(..op.block)?)?;
    }
    Some(())
}
