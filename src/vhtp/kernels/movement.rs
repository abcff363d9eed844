//! Elements move, values stay.

use super::element::{with_fixed, Element, Fixed, FixedType};
use super::elementwise::Odometer;
use super::fixed::{Channel, Multiplier};
use super::{element, rows, rows_mut, run};
use crate::graph::RANK_MAX;

/// Copies everything.
pub(in crate::vhtp) fn copy(x: &[u8], out: &mut [u8]) -> Option<()> {
    if x.len() != out.len() {
        return None;
    }
    out.iter_mut().zip(x).for_each(|(to, from)| *to = *from);
    Some(())
}

/// Axes of a [`Strided`] copy: enough for a Tile of rank 4 along all of them.
pub(in crate::vhtp) const AXES_MAX: usize = 8;

/// A compiled copy of the elements that lie at regular distances.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Strided {
    /// Bytes of an element: 1, 2, 4 or 8.
    pub(in crate::vhtp) element_bytes: usize,
    /// First element.
    pub(in crate::vhtp) start: usize,
    /// Extents in the order of the output, aligned right, ones before.
    pub(in crate::vhtp) shape: [usize; AXES_MAX],
    /// Distances in the input, in elements; they wrap, so that they may be negative.
    pub(in crate::vhtp) strides: [usize; AXES_MAX],
}

/// Runs a copy.
pub(in crate::vhtp) fn strided(op: &Strided, x: &[u8], out: &mut [u8]) -> Option<()> {
    match op.element_bytes {
        1 => strided_typed::<u8>(op, x, out),
        2 => strided_typed::<[u8; 2]>(op, x, out),
        4 => strided_typed::<[u8; 4]>(op, x, out),
        8 => strided_typed::<[u8; 8]>(op, x, out),
        _ => None,
    }
}

fn strided_typed<T: Element>(op: &Strided, x: &[u8], out: &mut [u8]) -> Option<()> {
    let (x, out) = (element::view::<T>(x)?, element::view_mut::<T>(out)?);
    let ([.., row], [.., step]) = (op.shape, op.strides);
    let mut outer = op.shape;
    *outer.last_mut()? = 1;
    let places = Odometer::new(outer, [op.strides]);
    for (out, [offset]) in rows_mut(out, row).zip(places) {
        let start = op.start.wrapping_add(offset);
        if step == 1 {
            out.iter_mut().zip(run(x, start, row)?).for_each(|(to, from)| *to = *from);
            continue;
        }
        for (index, to) in out.iter_mut().enumerate() {
            *to = *x.get(start.wrapping_add(index.wrapping_mul(step)))?;
        }
    }
    Some(())
}

/// A change of quantization behind a movement: the elements stay what they are, their type too.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Change {
    /// Type.
    pub(in crate::vhtp) element: FixedType,
    /// Offset of the input.
    pub(in crate::vhtp) in_offset: i32,
    /// Input to output steps.
    pub(in crate::vhtp) multiplier: Multiplier,
    /// Offset of the output.
    pub(in crate::vhtp) out_offset: i32,
}

/// Runs a change on elements that have been moved.
pub(in crate::vhtp) fn change(op: &Change, out: &mut [u8]) -> Option<()> {
    with_fixed!(op.element, T => {
        for element in element::view_mut::<T>(out)? {
            let real = i64::from(element.stored()).wrapping_add(op.in_offset.into());
            let steps = op.multiplier.apply(real).wrapping_sub(op.out_offset.into());
            *element = T::clamped(steps);
        }
        Some(())
    })
}

/// Where elements outside come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vhtp) enum Padding {
    /// From a constant, as bytes.
    Constant([u8; 8]),
    /// Mirrored, the border twice.
    Symmetric,
    /// Mirrored, the border once.
    Reflect,
    /// The border repeats.
    Edge,
}

/// A compiled Pad. Shapes are aligned right.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Pad {
    /// What lies outside.
    pub(in crate::vhtp) padding: Padding,
    /// Bytes of an element.
    pub(in crate::vhtp) element_bytes: usize,
    /// Dimensions of the input.
    pub(in crate::vhtp) input: [usize; RANK_MAX],
    /// Strides of the input, in elements.
    pub(in crate::vhtp) strides: [usize; RANK_MAX],
    /// Elements before the first, along each axis.
    pub(in crate::vhtp) before: [usize; RANK_MAX],
    /// Dimensions of the output.
    pub(in crate::vhtp) output: [usize; RANK_MAX],
}

impl Pad {
    /// Distance in the input for place `index` of an axis; `None` outside.
    fn along(&self, axis: usize, index: usize) -> Option<usize> {
        let extent = *self.input.get(axis)?;
        let before = *self.before.get(axis)?;
        let inside = index.wrapping_sub(before);
        let at = if index >= before && inside < extent {
            inside
        } else {
            let last = extent.wrapping_sub(1);
            // How far outside, from 1 on, and on which side.
            let (far, is_before) = match index < before {
                true => (before.wrapping_sub(index), true),
                false => (inside.wrapping_sub(last), false),
            };
            let deep = match self.padding {
                Padding::Constant(_) => return None,
                Padding::Symmetric => far.wrapping_sub(1),
                Padding::Reflect => far,
                Padding::Edge => 0,
            };
            if is_before {
                deep
            } else {
                last.wrapping_sub(deep)
            }
        };
        Some(at.wrapping_mul(*self.strides.get(axis)?))
    }
}

/// Runs a padding.
pub(in crate::vhtp) fn pad(op: &Pad, x: &[u8], out: &mut [u8]) -> Option<()> {
    let mut index = [0usize; RANK_MAX];
    let fill = match op.padding {
        Padding::Constant(fill) => fill,
        _ => [0; 8],
    };
    for out in rows_mut(out, op.element_bytes) {
        let offset = index
            .iter()
            .enumerate()
            .try_fold(0usize, |sum, (axis, &index)| Some(sum.wrapping_add(op.along(axis, index)?)));
        let from = match offset {
            Some(offset) => run(x, offset.wrapping_mul(op.element_bytes), op.element_bytes)?,
            None => &fill,
        };
        out.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        for (index, &extent) in index.iter_mut().zip(&op.output).rev() {
            *index = index.wrapping_add(1);
            if *index < extent {
                break;
            }
            *index = 0;
        }
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
                    with_fixed!(element, T => requantize::<T>(op, channels.get(index)?, x, out))?;
                }
            }
        }
        start = end;
    }
    Some(())
}

fn requantize<T: Fixed>(op: &Concat, channel: &Channel, x: &[u8], out: &mut [u8]) -> Option<()> {
    let x = element::view::<T>(x)?;
    for (to, x) in element::view_mut::<T>(out)?.iter_mut().zip(x) {
        let steps = channel.multiplier.apply(i64::from(x.stored()).wrapping_add(channel.bias));
        *to = T::clamped(steps.wrapping_sub(i64::from(op.out_offset)));
    }
    Some(())
}
