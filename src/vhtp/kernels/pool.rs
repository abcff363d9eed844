//! PoolMax2d and PoolAvg2d over NHWC activations.

use super::convolution::Axis;
use super::element::{with_fixed, with_real, Element, Fixed, FixedType, Real, RealType, Unit};
use super::fixed::Multiplier;
use super::{element, rows, rows_mut, run};

/// A compiled pooling operation.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Pool {
    /// Height.
    pub(in crate::vhtp) height: Axis,
    /// Width.
    pub(in crate::vhtp) width: Axis,
    /// Channels.
    pub(in crate::vhtp) channels: usize,
    /// What is computed.
    pub(in crate::vhtp) kind: PoolKind,
}

/// Kind and numbers of a [`Pool`].
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) enum PoolKind {
    /// Largest quantized element.
    Max {
        /// Type.
        element: FixedType,
        /// Offset of the input.
        in_offset: i32,
        /// Input to output steps.
        multiplier: Multiplier,
        /// Offset of the output.
        out_offset: i32,
    },
    /// Mean of quantized elements.
    Average {
        /// Type.
        element: FixedType,
        /// Offset of the input.
        in_offset: i32,
        /// Scale of the input.
        in_scale: f64,
        /// Scale of the output.
        out_scale: f64,
        /// Offset of the output.
        out_offset: i32,
        /// Whether padding counts as elements that are 0.
        count_padding: bool,
    },
    /// Largest float element.
    MaxFloat(RealType),
    /// Mean of float elements: float32 sum in ascending order, divided, rounded.
    AverageFloat {
        /// Type.
        element: RealType,
        /// Whether padding counts as elements that are 0.
        count_padding: bool,
        /// What computes it.
        unit: Unit,
    },
}

/// Runs a pooling operation.
pub(in crate::vhtp) fn pool(op: &Pool, x: &[u8], out: &mut [u8]) -> Option<()> {
    match op.kind {
        PoolKind::Max { element, in_offset, multiplier, out_offset } => {
            with_fixed!(element, T => windows::<T>(op, x, out, |window, channel, to| {
                let largest = window.elements(channel).map(Fixed::stored).max()?;
                let steps = multiplier.apply(i64::from(largest).wrapping_add(i64::from(in_offset)));
                *to = T::clamped(steps.wrapping_sub(i64::from(out_offset)));
                Some(())
            }))
        }
        PoolKind::Average {
            element,
            in_offset,
            in_scale,
            out_scale,
            out_offset,
            count_padding,
        } => {
            let multiplier =
                |count: u32| Multiplier::new(in_scale / (out_scale * f64::from(count)));
            let mut last = (1, multiplier(1)?);
            with_fixed!(element, T => windows::<T>(op, x, out, |window, channel, to| {
                let mut sum = 0i64;
                for x in window.elements(channel) {
                    let value = i64::from(x.stored()).wrapping_add(i64::from(in_offset));
                    sum = sum.wrapping_add(value);
                }
                let count = window.count(count_padding);
                if count != last.0 {
                    last = (count, multiplier(count)?);
                }
                let steps = last.1.apply(sum);
                *to = T::clamped(steps.wrapping_sub(i64::from(out_offset)));
                Some(())
            }))
        }
        PoolKind::MaxFloat(element) => {
            with_real!(element, T => windows::<T>(op, x, out, |window, channel, to| {
                let larger = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
                let largest = window.elements(channel).map(Real::operand).reduce(larger)?;
                *to = T::rounded(largest.into(), Unit::Vector);
                Some(())
            }))
        }
        PoolKind::AverageFloat { element, count_padding, unit } => {
            with_real!(element, T => windows::<T>(op, x, out, |window, channel, to| {
                let sum = window.elements(channel).map(Real::operand).fold(0.0, |sum, x| sum + x);
                let mean = sum / window.count(count_padding) as f32;
                *to = T::rounded(mean.into(), unit);
                Some(())
            }))
        }
    }
}

/// One window over one image.
struct Window<'a, T> {
    op: &'a Pool,
    image: &'a [T],
    oy: usize,
    ox: usize,
}

impl<T: Copy> Window<'_, T> {
    /// Elements of `channel` in the window, padding left out.
    #[inline(always)]
    fn elements(&self, channel: usize) -> impl Iterator<Item = T> + '_ {
        let op = self.op;
        let lines = (0..op.height.window).filter_map(|ky| op.height.element(self.oy, ky));
        lines.flat_map(move |iy| {
            let line = iy.wrapping_mul(op.width.input);
            let columns = (0..op.width.window).filter_map(|kx| op.width.element(self.ox, kx));
            columns.filter_map(move |ix| {
                let start = line.wrapping_add(ix).wrapping_mul(op.channels);
                run(self.image, start.wrapping_add(channel), 1)?.first().copied()
            })
        })
    }

    /// Positions that the mean is taken over; at least 1.
    fn count(&self, padding: bool) -> u32 {
        let along = |axis: &Axis, output: usize| {
            let inside = |&tap: &usize| match padding {
                true => axis.counts(output, tap),
                false => axis.element(output, tap).is_some(),
            };
            (0..axis.window).filter(inside).fold(0u32, |count, _| count.wrapping_add(1))
        };
        let lines = along(&self.op.height, self.oy);
        lines.wrapping_mul(along(&self.op.width, self.ox)).max(1)
    }
}

fn windows<T: Element>(
    op: &Pool,
    x: &[u8],
    out: &mut [u8],
    mut f: impl FnMut(&Window<'_, T>, usize, &mut T) -> Option<()>,
) -> Option<()> {
    let size = op.height.input.wrapping_mul(op.width.input).wrapping_mul(op.channels);
    let mut pixels = rows_mut(element::view_mut::<T>(out)?, op.channels);
    for image in rows(element::view::<T>(x)?, size) {
        for oy in 0..op.height.output {
            for ox in 0..op.width.output {
                let window = Window { op, image, oy, ox };
                for (channel, to) in pixels.next()?.iter_mut().enumerate() {
                    f(&window, channel, to)?;
                }
            }
        }
    }
    Some(())
}
