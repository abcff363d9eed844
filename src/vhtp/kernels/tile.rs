//! Sums of products of float16 numbers, a tile of results at a time: each weight is converted once
//! for all rows of the tile, each activation once for all its columns.
//!
//! A result does not depend on the tile that it lies in: its sum begins with what its channel says,
//! and the products are added in the order in which they are taken in. Operands are kept as
//! float64, whose products of float16 numbers are exact, as those of float32 are.

use super::fixed::Channel;
use super::run;
use super::scheme::RealScheme;

/// A tile lies on the stack, which is small where addresses are.
const IS_LARGE: bool = usize::BITS >= 64;
/// Most rows.
pub(super) const ROWS: usize = if IS_LARGE { 16 } else { 8 };
/// Most columns.
pub(super) const COLUMNS: usize = BLOCK * BLOCKS;
/// Most products that are added to a sum at once.
pub(super) const DEPTH: usize = if IS_LARGE { 16 } else { 4 };
/// Columns whose sums are kept in registers.
const BLOCK: usize = 16;
const BLOCKS: usize = 2;

/// Operands as they lie in memory.
#[derive(Clone, Copy)]
pub(super) struct Lying<'a, T> {
    /// All of them.
    pub(super) items: &'a [T],
    /// The first.
    pub(super) start: usize,
    /// Distance of those of neighbouring products.
    pub(super) step: usize,
    /// Distance of those of neighbouring columns.
    pub(super) column: usize,
}

/// A tile of results.
pub(super) struct Tile {
    sums: [[[f64; BLOCK]; BLOCKS]; ROWS],
    activations: [f64; ROWS],
    weights: [[[f64; BLOCK]; DEPTH]; BLOCKS],
}

impl Tile {
    pub(super) const fn new() -> Self {
        Self {
            sums: [[[0.0; BLOCK]; BLOCKS]; ROWS],
            activations: [0.0; ROWS],
            weights: [[[0.0; BLOCK]; DEPTH]; BLOCKS],
        }
    }

    /// Begins the sums; each column has a channel.
    pub(super) fn start<S: RealScheme>(&mut self, channels: &[Channel]) {
        let mut row = [[0.0; BLOCK]; BLOCKS];
        let sums = row.as_flattened_mut().iter_mut();
        sums.zip(channels).for_each(|(sum, channel)| *sum = S::start(channel));
        self.sums = [row; ROWS];
        self.activations = [0.0; ROWS];
    }

    /// Takes in the weights of the next `depth` products.
    pub(super) fn weigh<S: RealScheme>(
        &mut self,
        scheme: S,
        weights: Lying<'_, S::W>,
        (depth, columns): (usize, usize),
    ) -> Option<()> {
        let mut left = columns;
        let mut start = weights.start;
        for block in &mut self.weights {
            let count = left.min(BLOCK);
            let mut start_of_row = start;
            for row in block.iter_mut().take(depth) {
                if weights.column == 1 {
                    let from = run(weights.items, start_of_row, count)?;
                    row.iter_mut().zip(from).for_each(|(to, w)| *to = scheme.weight(*w).into());
                } else {
                    for (column, to) in row.iter_mut().take(count).enumerate() {
                        let at = start_of_row.wrapping_add(column.wrapping_mul(weights.column));
                        *to = scheme.weight(*weights.items.get(at)?).into();
                    }
                }
                start_of_row = start_of_row.wrapping_add(weights.step);
            }
            left = left.wrapping_sub(count);
            if left == 0 {
                break;
            }
            start = start.wrapping_add(BLOCK.wrapping_mul(weights.column));
        }
        Some(())
    }

    /// Adds the next `depth` products to the sums of a row.
    pub(super) fn add<S: RealScheme>(
        &mut self,
        scheme: S,
        row: usize,
        x: Lying<'_, S::X>,
        (depth, columns): (usize, usize),
    ) -> Option<()> {
        let mut operands = [0.0; DEPTH];
        let sum = self.activations.get_mut(row)?;
        let mut at = x.start;
        for operand in operands.iter_mut().take(depth) {
            let x32 = scheme.activation(*x.items.get(at)?);
            *sum = S::add(*sum, x32);
            *operand = x32.into();
            at = at.wrapping_add(x.step);
        }
        let operands = operands.get(..depth)?;
        let sums = self.sums.get_mut(row)?.iter_mut();
        for (sums, weights) in sums.zip(&self.weights).take(columns.div_ceil(BLOCK)) {
            multiply_add(sums, operands, weights);
        }
        Some(())
    }

    /// The results of a row.
    pub(super) fn finish<S: RealScheme>(
        &self,
        scheme: S,
        row: usize,
        channels: &[Channel],
        out: &mut [S::X],
    ) -> Option<()> {
        let activations = *self.activations.get(row)?;
        let sums = self.sums.get(row)?.as_flattened();
        for (to, (sum, channel)) in out.iter_mut().zip(sums.iter().zip(channels)) {
            *to = scheme.finish(*sum, activations, channel);
        }
        Some(())
    }
}

/// `sums + x * weights`, product after product.
fn multiply_add(sums: &mut [f64; BLOCK], x: &[f64], weights: &[[f64; BLOCK]; DEPTH]) {
    let mut kept = *sums;
    for (x, weights) in x.iter().zip(weights) {
        kept.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += x * weight);
    }
    *sums = kept;
}
