//! FullyConnected and MatMul.

use super::element::Element;
use super::fixed::Channel;
use super::scheme::{with_scheme, Numbers, RealScheme, Scheme};
use super::tile::{Lying, Tile, COLUMNS, DEPTH, ROWS};
use super::{element, rows_mut, run};
use crate::graph::RANK_MAX;

/// A compiled matrix multiplication: `batches` of `[m, k] x [k, n]`.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Matmul {
    /// Number scheme.
    pub(in crate::vhtp) numbers: Numbers,
    /// Rows of the output.
    pub(in crate::vhtp) m: usize,
    /// Length of the sums.
    pub(in crate::vhtp) k: usize,
    /// Columns of the output.
    pub(in crate::vhtp) n: usize,
    /// Whether the first operand lies as `[k, m]`.
    pub(in crate::vhtp) transpose_0: bool,
    /// Whether the second operand lies as `[n, k]`.
    pub(in crate::vhtp) transpose_1: bool,
    /// Batch dimensions of the output, aligned right, ones before.
    pub(in crate::vhtp) batch: [usize; RANK_MAX],
    /// Distance between matrices of the first operand along each batch dimension, in matrices; 0
    /// where broadcast.
    pub(in crate::vhtp) batch_0: [usize; RANK_MAX],
    /// The same of the second operand.
    pub(in crate::vhtp) batch_1: [usize; RANK_MAX],
}

/// Runs a matrix multiplication.
pub(in crate::vhtp) fn matmul(
    op: &Matmul,
    channels: &[Channel],
    a: &[u8],
    b: &[u8],
    out: &mut [u8],
) -> Option<()> {
    with_scheme!(
        op.numbers,
        scheme => each(op, (a, b, out), |a, b, out| by_rows(scheme, op, channels, (a, b), out)),
        real => each(op, (a, b, out), |a, b, out| by_tiles(real, op, channels, (a, b), out))
    )
}

/// Multiplies matrix by matrix.
fn each<X: Element, W: Element>(
    op: &Matmul,
    (a, b, out): (&[u8], &[u8], &mut [u8]),
    multiply: impl Fn(&[X], &[W], &mut [X]) -> Option<()>,
) -> Option<()> {
    let (a, b) = (element::view::<X>(a)?, element::view::<W>(b)?);
    let out = element::view_mut::<X>(out)?;
    let (a_size, b_size) = (op.m.wrapping_mul(op.k), op.k.wrapping_mul(op.n));
    let matrices = rows_mut(out, op.m.wrapping_mul(op.n));
    let places = super::elementwise::Odometer::new(op.batch, [op.batch_0, op.batch_1]);
    for ([a_index, b_index], out) in places.zip(matrices) {
        let a = run(a, a_index.wrapping_mul(a_size), a_size)?;
        let b = run(b, b_index.wrapping_mul(b_size), b_size)?;
        multiply(a, b, out)?;
    }
    Some(())
}

fn by_rows<S: Scheme>(
    scheme: S,
    op: &Matmul,
    channels: &[Channel],
    (a, b): (&[S::X], &[S::W]),
    out: &mut [S::X],
) -> Option<()> {
    for (row, out) in rows_mut(out, op.n).enumerate() {
        // Elements of row `row`: contiguous, or one of each row of the transposed matrix.
        let (a, step) = match op.transpose_0 {
            false => (run(a, row.wrapping_mul(op.k), op.k)?, 1),
            true => (a.get(row..)?, op.m),
        };
        match op.transpose_1 {
            true => dots(scheme, op, channels, (a, step), b, out),
            false => blocks(scheme, op, channels, (a, step), b, out),
        }?;
    }
    Some(())
}

fn by_tiles<S: RealScheme>(
    scheme: S,
    op: &Matmul,
    channels: &[Channel],
    (a, b): (&[S::X], &[S::W]),
    out: &mut [S::X],
) -> Option<()> {
    // Distance of neighbours along the sums, and across them.
    let (a_step, a_row) = if op.transpose_0 { (op.m, 1) } else { (1, op.k) };
    let (b_step, b_column) = if op.transpose_1 { (1, op.k) } else { (op.n, 1) };
    let mut tile = Tile::new();
    for first_row in (0..op.m).step_by(ROWS) {
        for first_column in (0..op.n).step_by(COLUMNS) {
            let columns = COLUMNS.min(op.n.wrapping_sub(first_column));
            let rows = ROWS.min(op.m.wrapping_sub(first_row));
            let channels = run(channels, first_column, columns)?;
            tile.start::<S>(channels);
            for k in (0..op.k).step_by(DEPTH) {
                let depth = DEPTH.min(op.k.wrapping_sub(k));
                let start =
                    k.wrapping_mul(b_step).wrapping_add(first_column.wrapping_mul(b_column));
                let weights = Lying { items: b, start, step: b_step, column: b_column };
                tile.weigh(scheme, weights, (depth, columns))?;
                for row in 0..rows {
                    let start = first_row.wrapping_add(row).wrapping_mul(a_row);
                    let start = start.wrapping_add(k.wrapping_mul(a_step));
                    let x = Lying { items: a, start, step: a_step, column: 0 };
                    tile.add(scheme, row, x, (depth, columns))?;
                }
            }
            for row in 0..rows {
                let start = first_row.wrapping_add(row).wrapping_mul(op.n);
                let out = out.get_mut(start.wrapping_add(first_column)..)?.get_mut(..columns)?;
                tile.finish(scheme, row, channels, out)?;
            }
        }
    }
    Some(())
}

/// One output row, second operand `[n, k]`: a dot product for each element.
fn dots<S: Scheme>(
    scheme: S,
    op: &Matmul,
    channels: &[Channel],
    (a, step): (&[S::X], usize),
    b: &[S::W],
    out: &mut [S::X],
) -> Option<()> {
    for ((to, channel), weights) in out.iter_mut().zip(channels).zip(super::rows(b, op.k)) {
        let (mut sum, mut activations) = (S::start(channel), S::ZERO);
        if step == 1 {
            for (x, weight) in a.iter().zip(weights) {
                let x = scheme.activation(*x);
                sum = S::multiply_add(sum, x, scheme.weight(*weight));
                activations = S::add(activations, x);
            }
        } else {
            for (index, weight) in weights.iter().enumerate() {
                let x = scheme.activation(*a.get(index.wrapping_mul(step))?);
                sum = S::multiply_add(sum, x, scheme.weight(*weight));
                activations = S::add(activations, x);
            }
        }
        *to = scheme.finish(sum, activations, channel);
    }
    Some(())
}

/// One output row, second operand `[k, n]`: several columns at once.
fn blocks<S: Scheme>(
    scheme: S,
    op: &Matmul,
    channels: &[Channel],
    (a, step): (&[S::X], usize),
    b: &[S::W],
    out: &mut [S::X],
) -> Option<()> {
    let (mut channels, mut out, mut column) = (channels, out, 0usize);
    loop {
        let done = match out.len() {
            0 => return Some(()),
            32.. if S::LONG_BLOCKS => {
                block::<S, 32>(scheme, op, channels, (a, step), (b, column), out)?
            }
            16.. if S::LONG_BLOCKS => {
                block::<S, 16>(scheme, op, channels, (a, step), (b, column), out)?
            }
            8.. => block::<S, 8>(scheme, op, channels, (a, step), (b, column), out)?,
            _ => block::<S, 1>(scheme, op, channels, (a, step), (b, column), out)?,
        };
        column = column.wrapping_add(done);
        channels = channels.get(done..)?;
        out = core::mem::take(&mut out).get_mut(done..)?;
    }
}

#[inline(always)]
fn block<S: Scheme, const N: usize>(
    scheme: S,
    op: &Matmul,
    channels: &[Channel],
    (a, step): (&[S::X], usize),
    (b, column): (&[S::W], usize),
    out: &mut [S::X],
) -> Option<usize> {
    let channels = channels.first_chunk::<N>()?;
    let mut sums = [S::ZERO; N];
    sums.iter_mut().zip(channels).for_each(|(sum, channel)| *sum = S::start(channel));
    let mut activations = S::ZERO;
    for (index, weights) in super::rows(b, op.n).enumerate() {
        let x = scheme.activation(*a.get(index.wrapping_mul(step))?);
        activations = S::add(activations, x);
        let weights = weights.get(column..)?.first_chunk::<N>()?;
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum = S::multiply_add(*sum, x, scheme.weight(*weight));
        }
    }
    for (to, (sum, channel)) in out.iter_mut().zip(sums.iter().zip(channels)) {
        *to = scheme.finish(*sum, activations, channel);
    }
    Some(N)
}
