//! Softmax along one axis, in single precision.

use zerocopy::little_endian::F32;

use super::element::{self, with_fixed, with_real, Element, Fixed, FixedType, Real, RealType};

/// A compiled Softmax.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Softmax {
    /// Product of the dimensions before the axis.
    pub(in crate::vhtp) outer: usize,
    /// Extent of the axis.
    pub(in crate::vhtp) axis: usize,
    /// Product of the dimensions behind the axis.
    pub(in crate::vhtp) inner: usize,
    /// Factor of the exponents.
    pub(in crate::vhtp) beta: f32,
    /// Input.
    pub(in crate::vhtp) from: Side,
    /// Output.
    pub(in crate::vhtp) to: Side,
}

/// Type of one side of a [`Softmax`].
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) enum Side {
    /// Quantized.
    Fixed {
        /// Type.
        element: FixedType,
        /// Scale.
        scale: f32,
        /// Offset.
        offset: i32,
    },
    /// Float.
    Real(RealType),
}

/// Runs a Softmax.
pub(in crate::vhtp) fn softmax(op: &Softmax, x: &[u8], out: &mut [u8]) -> Option<()> {
    match op.from {
        Side::Fixed { element, scale, offset } => with_fixed!(element, X => {
            store::<X>(op, x, out, |x: X| x.stored().wrapping_add(offset) as f32 * scale)
        }),
        Side::Real(element) => with_real!(element, X => store::<X>(op, x, out, X::operand)),
    }
}

fn store<X: Element>(
    op: &Softmax,
    x: &[u8],
    out: &mut [u8],
    load: impl Fn(X) -> f32,
) -> Option<()> {
    let x = element::view::<X>(x)?;
    match op.to {
        Side::Fixed { element, scale, offset } => with_fixed!(element, Y => {
            lines(op, x, element::view_mut::<Y>(out)?, load, |p: f32| {
                let steps = libm::floorf(p / scale + 0.5);
                Y::clamped((steps as i64).saturating_sub(i64::from(offset)))
            })
        }),
        Side::Real(RealType::F16) => {
            lines(op, x, element::view_mut::<element::F16>(out)?, load, Real::rounded)
        }
        Side::Real(RealType::F32) => {
            lines(op, x, element::view_mut::<F32>(out)?, load, Real::rounded)
        }
    }
}

/// Exponentials are computed twice instead of being kept: an execution has no memory of its own.
fn lines<X: Copy, Y>(
    op: &Softmax,
    x: &[X],
    out: &mut [Y],
    load: impl Fn(X) -> f32,
    make: impl Fn(f32) -> Y,
) -> Option<()> {
    let block = op.axis.wrapping_mul(op.inner);
    for (x, out) in super::rows(x, block).zip(super::rows_mut(out, block)).take(op.outer) {
        for lane in 0..op.inner {
            let place = |index: usize| index.wrapping_mul(op.inner).wrapping_add(lane);
            let value = |index: usize| x.get(place(index)).map(|x| load(*x));
            let mut largest = f32::NEG_INFINITY;
            for index in 0..op.axis {
                largest = largest.max(value(index)?);
            }
            let power = |x: f32| libm::expf(op.beta * (x - largest));
            let mut sum = 0.0f32;
            for index in 0..op.axis {
                sum += power(value(index)?);
            }
            for index in 0..op.axis {
                *out.get_mut(place(index))? = make(power(value(index)?) / sum);
            }
        }
    }
    Some(())
}
