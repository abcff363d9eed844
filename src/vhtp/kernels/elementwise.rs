//! Element-wise arithmetic with broadcasting.

use super::element::{with_fixed, with_real, Fixed, FixedType, Real, RealType, Unit};
use super::fixed::Multiplier;
use super::{element, rows_mut};
use crate::graph::RANK_MAX;

/// Walks an index space in row-major order and gives, for each of `N` operands, the offset of the
/// place.
pub(in crate::vhtp) struct Odometer<const N: usize, const R: usize = RANK_MAX> {
    shape: [usize; R],
    strides: [[usize; R]; N],
    index: [usize; R],
    offsets: [usize; N],
    done: bool,
}

impl<const N: usize, const R: usize> Odometer<N, R> {
    /// Over `shape` (no extent is 0), with one stride per dimension and operand.
    pub(in crate::vhtp) fn new(shape: [usize; R], strides: [[usize; R]; N]) -> Self {
        Self { shape, strides, index: [0; R], offsets: [0; N], done: false }
    }

    fn advance(&mut self, axis: usize) -> bool {
        let (Some(index), Some(&extent)) = (self.index.get_mut(axis), self.shape.get(axis)) else {
            return false;
        };
        *index = index.wrapping_add(1);
        let wraps = *index >= extent;
        let steps = if wraps { 1usize.wrapping_sub(extent) } else { 1 };
        if wraps {
            *index = 0;
        }
        for (offset, strides) in self.offsets.iter_mut().zip(&self.strides) {
            let stride = strides.get(axis).copied().unwrap_or(0);
            *offset = offset.wrapping_add(stride.wrapping_mul(steps));
        }
        !wraps
    }
}

impl<const N: usize, const R: usize> Iterator for Odometer<N, R> {
    type Item = [usize; N];
    fn next(&mut self) -> Option<[usize; N]> {
        if self.done {
            return None;
        }
        let here = self.offsets;
        self.done = !(0..R).rev().any(|axis| self.advance(axis));
        Some(here)
    }
}

/// Shapes of a broadcast operation: the output's dimensions, aligned right, and the operands'
/// strides in elements.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Broadcast {
    /// Output dimensions, the innermost last.
    pub(in crate::vhtp) shape: [usize; RANK_MAX],
    /// Strides of the operands; 0 where an operand is broadcast.
    pub(in crate::vhtp) strides: [[usize; RANK_MAX]; 2],
}

impl Broadcast {
    /// Calls `f` with every output element and the operands' elements under it.
    fn each<T: Copy>(
        &self,
        (a, b): (&[T], &[T]),
        out: &mut [T],
        mut f: impl FnMut(T, T) -> T,
    ) -> Option<()> {
        let [.., row] = self.shape;
        let [[.., a_step], [.., b_step]] = self.strides;
        let mut outer = self.shape;
        *outer.last_mut()? = 1;
        let places = Odometer::new(outer, self.strides);
        for ([a_start, b_start], out) in places.zip(rows_mut(out, row)) {
            let (a, b) = (a.get(a_start..)?, b.get(b_start..)?);
            if a_step == 1 && b_step == 1 {
                for (to, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
                    *to = f(*a, *b);
                }
                continue;
            }
            for (index, to) in out.iter_mut().enumerate() {
                let a = a.get(index.wrapping_mul(a_step))?;
                *to = f(*a, *b.get(index.wrapping_mul(b_step))?);
            }
        }
        Some(())
    }
}

/// A compiled Add, Subtract or Multiply.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Binary {
    /// Shapes.
    pub(in crate::vhtp) broadcast: Broadcast,
    /// What is computed.
    pub(in crate::vhtp) arithmetic: Arithmetic,
}

/// Arithmetic of a [`Binary`].
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) enum Arithmetic {
    /// Sum of quantized operands, each scaled by 2^-40.
    Sum {
        /// Type of operands and result.
        element: FixedType,
        /// Offsets of the operands.
        offsets: [i32; 2],
        /// Scales of the operands in output steps, times 2^40; the second is negative in a
        /// difference.
        scales: [i64; 2],
        /// Whether 64 bits hold the sum.
        narrow: bool,
        /// Offset of the output.
        out_offset: i32,
    },
    /// Product of quantized operands.
    Product {
        /// Type of operands and result.
        element: FixedType,
        /// Offsets of the operands.
        offsets: [i32; 2],
        /// Product to output steps.
        multiplier: Multiplier,
        /// Offset of the output.
        out_offset: i32,
    },
    /// In float16.
    Float(RealType, FloatBinary, Unit),
}

/// Float operation.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) enum FloatBinary {
    /// `a + b`
    Add,
    /// `a - b`
    Subtract,
    /// `a * b`
    Multiply,
}

/// Fractional bits of the scales of a [`Arithmetic::Sum`].
pub(in crate::vhtp) const SUM_BITS: u32 = 40;
const SUM_HALF: i64 = 1 << (SUM_BITS - 1);

/// Runs a binary operation.
pub(in crate::vhtp) fn binary(op: &Binary, a: &[u8], b: &[u8], out: &mut [u8]) -> Option<()> {
    match op.arithmetic {
        Arithmetic::Sum { element, offsets, scales, narrow, out_offset } => {
            with_fixed!(element, T => match narrow {
                true => sum::<T>(op, (a, b), out, |x: T, y: T| {
                    let sum = term(x, offsets[0], scales[0])
                        .wrapping_add(term(y, offsets[1], scales[1]))
                        .wrapping_add(SUM_HALF);
                    T::clamped((sum >> SUM_BITS).wrapping_sub(i64::from(out_offset)))
                }),
                false => sum::<T>(op, (a, b), out, |x: T, y: T| {
                    let sum = wide_term(x, offsets[0], scales[0])
                        .wrapping_add(wide_term(y, offsets[1], scales[1]))
                        .wrapping_add(i128::from(SUM_HALF));
                    let steps = sum >> SUM_BITS;
                    let steps = steps.clamp(i128::from(i64::MIN >> 1), i128::from(i64::MAX >> 1));
                    T::clamped((steps as i64).wrapping_sub(i64::from(out_offset)))
                }),
            })
        }
        Arithmetic::Product { element, offsets, multiplier, out_offset } => {
            with_fixed!(element, T => sum::<T>(op, (a, b), out, |x: T, y: T| {
                // Offsets are at most 2^24 and stored values below 2^16: the product is below 2^50.
                let a = i64::from(x.stored()).wrapping_add(i64::from(offsets[0]));
                let b = i64::from(y.stored()).wrapping_add(i64::from(offsets[1]));
                let steps = multiplier.apply(a.wrapping_mul(b));
                T::clamped(steps.wrapping_sub(i64::from(out_offset)))
            }))
        }
        Arithmetic::Float(element, what, unit) => with_real!(element, T => {
            sum::<T>(op, (a, b), out, |x: T, y: T| {
                // Exact in double precision, so that the rounding is the only one.
                let (x, y) = (f64::from(x.operand()), f64::from(y.operand()));
                let value = match what {
                    FloatBinary::Add => x + y,
                    FloatBinary::Subtract => x - y,
                    FloatBinary::Multiply => x * y,
                };
                T::rounded(value, unit)
            })
        }),
    }
}

fn sum<T: element::Element>(
    op: &Binary,
    (a, b): (&[u8], &[u8]),
    out: &mut [u8],
    f: impl FnMut(T, T) -> T,
) -> Option<()> {
    let operands = (element::view::<T>(a)?, element::view::<T>(b)?);
    op.broadcast.each(operands, element::view_mut::<T>(out)?, f)
}

#[inline(always)]
fn term<T: Fixed>(value: T, offset: i32, scale: i64) -> i64 {
    i64::from(value.stored()).wrapping_add(i64::from(offset)).wrapping_mul(scale)
}

#[inline(always)]
fn wide_term<T: Fixed>(value: T, offset: i32, scale: i64) -> i128 {
    let value = i64::from(value.stored()).wrapping_add(i64::from(offset));
    i128::from(value).wrapping_mul(i128::from(scale))
}

/// A compiled Relu, ReluMinMax, or change of quantization.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) enum Clamp {
    /// Quantized: `(q + offset)` brought to output steps, then clamped to `low..=high`.
    Quantized {
        /// Type of the input.
        from: FixedType,
        /// Type of the output.
        to: FixedType,
        /// Offset of the input.
        in_offset: i32,
        /// Lower bound in output steps.
        low: i64,
        /// Upper bound in output steps.
        high: i64,
        /// Input to output steps.
        multiplier: Multiplier,
        /// Offset of the output.
        out_offset: i32,
    },
    /// Float16, clamped to `low..=high`.
    Float {
        /// Type of the input.
        from: RealType,
        /// Type of the output.
        to: RealType,
        /// Lower bound.
        low: f32,
        /// Upper bound.
        high: f32,
    },
}

/// Runs a clamp.
pub(in crate::vhtp) fn clamp(op: &Clamp, x: &[u8], out: &mut [u8]) -> Option<()> {
    match *op {
        Clamp::Quantized { from, to, in_offset, low, high, multiplier, out_offset } => {
            with_fixed!(from, X => with_fixed!(to, Y => {
                let x = element::view::<X>(x)?;
                for (to, x) in element::view_mut::<Y>(out)?.iter_mut().zip(x) {
                    let real = i64::from(x.stored()).wrapping_add(i64::from(in_offset));
                    let steps = multiplier.apply(real).min(high).max(low);
                    *to = Y::clamped(steps.wrapping_sub(i64::from(out_offset)));
                }
                Some(())
            }))
        }
        Clamp::Float { from, to, low, high } => {
            with_real!(from, X => with_real!(to, Y => {
                let x = element::view::<X>(x)?;
                for (to, x) in element::view_mut::<Y>(out)?.iter_mut().zip(x) {
                    let x = x.operand();
                    // Written so that a NaN stays a NaN.
                    let x = if x < low { low } else if x > high { high } else { x };
                    *to = Y::rounded(x.into(), Unit::Vector);
                }
                Some(())
            }))
        }
    }
}

/// Bounds of a result, in what is stored.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) enum Limit {
    /// Quantized: lowest and highest stored value.
    Quantized(FixedType, i64, i64),
    /// Float.
    Float(RealType, f32, f32),
}

/// Brings every element of `out` within its bounds; a NaN stays a NaN.
pub(in crate::vhtp) fn limit(limit: &Limit, out: &mut [u8]) -> Option<()> {
    match *limit {
        Limit::Quantized(element, low, high) => with_fixed!(element, X => {
            for x in element::view_mut::<X>(out)? {
                *x = X::clamped(i64::from(x.stored()).min(high).max(low));
            }
            Some(())
        }),
        Limit::Float(real, low, high) => with_real!(real, X => {
            for x in element::view_mut::<X>(out)? {
                let number = x.operand();
                if number < low {
                    *x = X::rounded(f64::from(low), Unit::Vector);
                } else if number > high {
                    *x = X::rounded(f64::from(high), Unit::Vector);
                }
            }
            Some(())
        }),
    }
}
