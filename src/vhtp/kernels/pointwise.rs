//! Functions of one, two or three operands at each place, with broadcasting, over all types.

use super::codec::Codec;
use super::elementwise::Odometer;
use super::function::{Binary, Ternary, Unary};
use super::{rows, rows_mut, run};
use crate::graph::RANK_MAX;

/// A compiled function of one operand.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Map {
    /// The function.
    pub(in crate::vhtp) function: Unary,
    /// Input.
    pub(in crate::vhtp) from: Codec,
    /// Output.
    pub(in crate::vhtp) to: Codec,
}

/// Fills a table with the output elements for all stored values of an 8- or 16-bit input.
pub(in crate::vhtp) fn tabulate(op: &Map, table: &mut [u8]) -> Option<()> {
    let codes = table.len().checked_div(op.to.size())?;
    for code in 0..codes {
        let stored = u16::try_from(code).ok()?.to_le_bytes();
        let value = op.function.apply(op.from.load(run(&stored, 0, op.from.size())?, 0)?);
        op.to.store(value, table, code)?;
    }
    Some(())
}

/// Runs a function of one operand: through its table if there is one.
pub(in crate::vhtp) fn map(op: &Map, table: &[u8], x: &[u8], out: &mut [u8]) -> Option<()> {
    let (from, to) = (op.from.size(), op.to.size());
    if !table.is_empty() {
        for (x, out) in rows(x, from).zip(rows_mut(out, to)) {
            let code = x.iter().rev().fold(0, |code: usize, &byte| code << 8 | usize::from(byte));
            let found = run(table, code.wrapping_mul(to), to)?;
            out.iter_mut().zip(found).for_each(|(to, from)| *to = *from);
        }
        return Some(());
    }
    let count = out.len().checked_div(to)?;
    let whole = matches!((op.from, op.to), (Codec::Whole(_), Codec::Whole(_)));
    for index in 0..count {
        if whole {
            let value = op.function.apply_whole(op.from.load_whole(x, index)?)?;
            op.to.store_whole(value, out, index)?;
        } else {
            op.to.store(op.function.apply(op.from.load(x, index)?), out, index)?;
        }
    }
    Some(())
}

/// A compiled function of `N` operands.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Pointwise<F, const N: usize> {
    /// The function.
    pub(in crate::vhtp) function: F,
    /// Output dimensions, the innermost last.
    pub(in crate::vhtp) shape: [usize; RANK_MAX],
    /// Strides of the operands; 0 where an operand is broadcast.
    pub(in crate::vhtp) strides: [[usize; RANK_MAX]; N],
    /// Operands.
    pub(in crate::vhtp) from: [Codec; N],
    /// Output.
    pub(in crate::vhtp) to: Codec,
}

/// Runs a function of two operands.
pub(in crate::vhtp) fn binary(
    op: &Pointwise<Binary, 2>,
    a: &[u8],
    b: &[u8],
    out: &mut [u8],
) -> Option<()> {
    let [a_codec, b_codec] = op.from;
    let whole = matches!((a_codec, b_codec), (Codec::Whole(_), Codec::Whole(_)));
    for (index, [a_at, b_at]) in Odometer::new(op.shape, op.strides).enumerate() {
        if whole {
            let (a, b) = (a_codec.load_whole(a, a_at)?, b_codec.load_whole(b, b_at)?);
            let value = op.function.apply_whole(a, b);
            match op.to {
                Codec::Whole(_) => op.to.store_whole(value, out, index),
                _ => op.to.store(value as f64, out, index),
            }?;
        } else {
            let value = op.function.apply(a_codec.load(a, a_at)?, b_codec.load(b, b_at)?);
            op.to.store(value, out, index)?;
        }
    }
    Some(())
}

/// Runs a function of three operands.
pub(in crate::vhtp) fn ternary(
    op: &Pointwise<Ternary, 3>,
    operands: [&[u8]; 3],
    out: &mut [u8],
) -> Option<()> {
    let [a_codec, b_codec, c_codec] = op.from;
    let [a, b, c] = operands;
    for (index, [a_at, b_at, c_at]) in Odometer::new(op.shape, op.strides).enumerate() {
        let (a, b) = (a_codec.load(a, a_at)?, b_codec.load(b, b_at)?);
        op.to.store(op.function.apply(a, b, c_codec.load(c, c_at)?), out, index)?;
    }
    Some(())
}
