//! Reshape, Transpose and Concat: elements move, values stay.

use super::element::{with_fixed, Element, Fixed, FixedType};
use super::elementwise::Odometer;
use super::fixed::Channel;
use super::{element, rows, rows_mut};
use crate::graph::RANK_MAX;

/// Copies everything.
pub(in crate::vhtp) fn copy(x: &[u8], out: &mut [u8]) -> Option<()> {
    if x.len() != out.len() {
        return None;
    }
    out.iter_mut().zip(x).for_each(|(to, from)| *to = *from);
    Some(())
}

/// A compiled Transpose.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Transpose {
    /// Bytes of an element: 1, 2, 4 or 8.
    pub(in crate::vhtp) element_bytes: usize,
    /// Dimensions of the output, aligned right.
    pub(in crate::vhtp) shape: [usize; RANK_MAX],
    /// Strides of the input along the output's dimensions, in elements.
    pub(in crate::vhtp) strides: [usize; RANK_MAX],
}

/// Runs a transposition.
pub(in crate::vhtp) fn transpose(op: &Transpose, x: &[u8], out: &mut [u8]) -> Option<()> {
    match op.element_bytes {
        1 => transpose_typed::<u8>(op, x, out),
        2 => transpose_typed::<[u8; 2]>(op, x, out),
        4 => transpose_typed::<[u8; 4]>(op, x, out),
        8 => transpose_typed::<[u8; 8]>(op, x, out),
        _ => None,
    }
}

fn transpose_typed<T: Element>(op: &Transpose, x: &[u8], out: &mut [u8]) -> Option<()> {
    let x = element::view::<T>(x)?;
    let places = Odometer::new(op.shape, [op.strides]);
    for (to, [from]) in element::view_mut::<T>(out)?.iter_mut().zip(places) {
        *to = *x.get(from)?;
    }
    Some(())
}

/// A compiled Concat.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Concat {
    /// Product of the dimensions before the axis.
    pub(in crate::vhtp) outer: usize,
    /// Quantized elements that change their quantization; `None` copies bytes.
    pub(in crate::vhtp) requantize: Option<FixedType>,
    /// Offset of the output.
    pub(in crate::vhtp) out_offset: i32,
}

/// Runs a concatenation; `inputs` gives the operands in order, `channels` has one entry for each.
pub(in crate::vhtp) fn concat<'a>(
    op: &Concat,
    channels: &[Channel],
    inputs: impl Iterator<Item = Option<&'a [u8]>>,
    out: &mut [u8],
) -> Option<()> {
    let total = out.len().checked_div(op.outer)?;
    let mut start = 0usize;
    for (index, x) in inputs.enumerate() {
        let x = x?;
        let len = x.len().checked_div(op.outer)?;
        let end = start.wrapping_add(len);
        for (out, x) in rows_mut(out, total).zip(rows(x, len)) {
            let out = out.get_mut(start..end)?;
            match op.requantize {
                None => copy(x, out)?,
                Some(element) => {
                    with_fixed!(element, T => change::<T>(op, channels.get(index)?, x, out))?;
                }
            }
        }
        start = end;
    }
    Some(())
}

fn change<T: Fixed>(op: &Concat, channel: &Channel, x: &[u8], out: &mut [u8]) -> Option<()> {
    let x = element::view::<T>(x)?;
    for (to, x) in element::view_mut::<T>(out)?.iter_mut().zip(x) {
        let steps = channel.multiplier.apply(i64::from(x.stored()).wrapping_add(channel.bias));
        *to = T::clamped(steps.wrapping_sub(i64::from(op.out_offset)));
    }
    Some(())
}
