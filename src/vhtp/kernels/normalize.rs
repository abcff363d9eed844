//! Normalizations: each group of elements is brought to a common mean or size.

use super::codec::Codec;
use super::reduce::Space;

/// What a group is divided by, and whether its mean is taken off first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vhtp) enum Norm {
    /// `(x - mean) / sqrt(variance + epsilon)`
    MeanVariance,
    /// `x - mean`
    Mean,
    /// `x / sqrt(mean of squares + epsilon)`
    RootMeanSquare,
    /// `x / sqrt(max(sum of squares, epsilon))`
    Euclid,
}

/// A compiled normalization. Spaces have strides of data and parameters.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Normalize {
    /// What is computed.
    pub(in crate::vhtp) norm: Norm,
    /// Keeps divisors from 0.
    pub(in crate::vhtp) epsilon: f64,
    /// The groups.
    pub(in crate::vhtp) outer: Space<2>,
    /// Elements of a group.
    pub(in crate::vhtp) inner: Space<2>,
    /// Input.
    pub(in crate::vhtp) from: Codec,
    /// Factors behind the normalization.
    pub(in crate::vhtp) scale: Option<Codec>,
    /// What is added in the end.
    pub(in crate::vhtp) shift: Option<Codec>,
    /// Output.
    pub(in crate::vhtp) to: Codec,
}

/// Runs a normalization, in double precision. `scale` and `shift` are read if they were compiled.
pub(in crate::vhtp) fn normalize(
    op: &Normalize,
    x: &[u8],
    [scale, shift]: [Option<&[u8]>; 2],
    out: &mut [u8],
) -> Option<()> {
    for [start, parameters] in op.outer.places() {
        let (mean, factor) = statistics(op, x, start)?;
        for [offset, parameter] in op.inner.places() {
            let at = start.wrapping_add(offset);
            let parameter = parameters.wrapping_add(parameter);
            let mut value = (op.from.load(x, at)? - mean) * factor;
            if let Some(codec) = op.scale {
                value *= codec.load(scale?, parameter)?;
            }
            if let Some(codec) = op.shift {
                value += codec.load(shift?, parameter)?;
            }
            op.to.store(value, out, at)?;
        }
    }
    Some(())
}

/// What is taken off and multiplied with in the group at `start`.
fn statistics(op: &Normalize, x: &[u8], start: usize) -> Option<(f64, f64)> {
    let count = op.inner.count() as f64;
    let sum_of = |f: &dyn Fn(f64) -> f64| {
        op.inner.places().try_fold(0.0, |sum, [offset, _]| {
            Some(sum + f(op.from.load(x, start.wrapping_add(offset))?))
        })
    };
    let mean = match op.norm {
        Norm::MeanVariance | Norm::Mean => sum_of(&|x| x)? / count,
        Norm::RootMeanSquare | Norm::Euclid => 0.0,
    };
    let squares = sum_of(&|x| (x - mean) * (x - mean))?;
    let factor = match op.norm {
        Norm::Mean => 1.0,
        Norm::MeanVariance | Norm::RootMeanSquare => 1.0 / libm::sqrt(squares / count + op.epsilon),
        Norm::Euclid => 1.0 / libm::sqrt(squares.max(op.epsilon)),
    };
    Some((mean, factor))
}

/// A compiled Lrn across channels, which are the last axis.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Lrn {
    /// Extent of the last axis.
    pub(in crate::vhtp) channels: usize,
    /// Neighbours on each side that count.
    pub(in crate::vhtp) radius: usize,
    /// Factor of the sum of squares.
    pub(in crate::vhtp) alpha: f64,
    /// Exponent.
    pub(in crate::vhtp) beta: f64,
    /// Added to the sum.
    pub(in crate::vhtp) bias: f64,
    /// Input.
    pub(in crate::vhtp) from: Codec,
    /// Output.
    pub(in crate::vhtp) to: Codec,
}

/// Runs a local response normalization: `x / (bias + alpha * sum of squares)^beta`.
pub(in crate::vhtp) fn lrn(op: &Lrn, x: &[u8], out: &mut [u8]) -> Option<()> {
    let pixels = out.len().checked_div(op.to.size())?.checked_div(op.channels)?;
    for pixel in 0..pixels {
        let first = pixel.wrapping_mul(op.channels);
        for channel in 0..op.channels {
            let end = channel.saturating_add(op.radius).saturating_add(1).min(op.channels);
            let mut squares = 0.0;
            for near in channel.saturating_sub(op.radius)..end {
                let x = op.from.load(x, first.wrapping_add(near))?;
                squares += x * x;
            }
            let at = first.wrapping_add(channel);
            let divisor = libm::pow(op.bias + op.alpha * squares, op.beta);
            op.to.store(op.from.load(x, at)? / divisor, out, at)?;
        }
    }
    Some(())
}
