//! Softmax and its logarithm along one axis, in single precision.

use super::codec::Codec;

/// A compiled Softmax or LogSoftmax.
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
    /// Whether the logarithm is wanted.
    pub(in crate::vhtp) log: bool,
    /// Input.
    pub(in crate::vhtp) from: Codec,
    /// Output.
    pub(in crate::vhtp) to: Codec,
}

/// Runs a Softmax. Exponentials are computed twice instead of being kept: an execution has no
/// memory of its own.
pub(in crate::vhtp) fn softmax(op: &Softmax, x: &[u8], out: &mut [u8]) -> Option<()> {
    for outer in 0..op.outer {
        for lane in 0..op.inner {
            let first = outer.wrapping_mul(op.axis).wrapping_mul(op.inner).wrapping_add(lane);
            let place = |index: usize| first.wrapping_add(index.wrapping_mul(op.inner));
            let value = |index: usize| op.from.load(x, place(index)).map(|x| x as f32);
            let mut largest = f32::NEG_INFINITY;
            for index in 0..op.axis {
                largest = largest.max(value(index)?);
            }
            let power = |x: f32| libm::expf(op.beta * (x - largest));
            let mut sum = 0.0f32;
            for index in 0..op.axis {
                sum += power(value(index)?);
            }
            let log_sum = if op.log { libm::logf(sum) } else { 0.0 };
            for index in 0..op.axis {
                let x = value(index)?;
                let result = match op.log {
                    true => op.beta * (x - largest) - log_sum,
                    false => power(x) / sum,
                };
                op.to.store(result.into(), out, place(index))?;
            }
        }
    }
    Some(())
}
