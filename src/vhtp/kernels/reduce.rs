//! Reductions over any axes; running sums and the largest elements along one.

use core::cmp::Ordering;

use super::codec::Codec;
use super::elementwise::Odometer;
use crate::graph::RANK_MAX;

/// An index space over some axes of a tensor: extents and, for each of `N` tensors, strides.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Space<const N: usize> {
    /// Extents; ones where there is no axis.
    pub(in crate::vhtp) shape: [usize; RANK_MAX],
    /// Strides in elements.
    pub(in crate::vhtp) strides: [[usize; RANK_MAX]; N],
}

impl<const N: usize> Space<N> {
    /// One place.
    pub(in crate::vhtp) const POINT: Self =
        Self { shape: [1; RANK_MAX], strides: [[0; RANK_MAX]; N] };

    /// Every place in row-major order, as offsets in the tensors.
    pub(in crate::vhtp) fn places(&self) -> Odometer<N> {
        Odometer::new(self.shape, self.strides)
    }

    /// Number of places.
    pub(in crate::vhtp) fn count(&self) -> usize {
        self.shape.iter().fold(1, |product, &extent| product.wrapping_mul(extent))
    }
}

/// What a reduction makes of its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vhtp) enum Reduction {
    /// Sum over count.
    Mean,
    /// Sum.
    Sum,
    /// Product.
    Product,
    /// Sum of the squares.
    SumOfSquares,
    /// Largest.
    Max,
    /// Smallest.
    Min,
    /// Index of the first largest, along the one reduced axis.
    ArgMax,
    /// Index of the first smallest.
    ArgMin,
}

/// A compiled reduction.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Reduce {
    /// What is computed.
    pub(in crate::vhtp) reduction: Reduction,
    /// Axes that stay.
    pub(in crate::vhtp) outer: Space<1>,
    /// Axes that are reduced.
    pub(in crate::vhtp) inner: Space<1>,
    /// Input.
    pub(in crate::vhtp) from: Codec,
    /// Output.
    pub(in crate::vhtp) to: Codec,
}

/// Runs a reduction, in double precision.
pub(in crate::vhtp) fn reduce(op: &Reduce, x: &[u8], out: &mut [u8]) -> Option<()> {
    for (index, [start]) in op.outer.places().enumerate() {
        let (mut result, mut found) = (start_of(op.reduction), 0usize);
        for (position, [offset]) in op.inner.places().enumerate() {
            let x = op.from.load(x, start.wrapping_add(offset))?;
            let better = match op.reduction {
                Reduction::ArgMax => x > result,
                Reduction::ArgMin => x < result,
                _ => false,
            };
            if better {
                found = position;
            }
            result = match op.reduction {
                Reduction::Mean | Reduction::Sum => result + x,
                Reduction::Product => result * x,
                Reduction::SumOfSquares => result + x * x,
                Reduction::Max | Reduction::ArgMax => {
                    if x > result || x.is_nan() {
                        x
                    } else {
                        result
                    }
                }
                Reduction::Min | Reduction::ArgMin => {
                    if x < result || x.is_nan() {
                        x
                    } else {
                        result
                    }
                }
            };
        }
        let result = match op.reduction {
            Reduction::Mean => result / op.inner.count() as f64,
            Reduction::ArgMax | Reduction::ArgMin => found as f64,
            _ => result,
        };
        op.to.store(result, out, index)?;
    }
    Some(())
}

fn start_of(reduction: Reduction) -> f64 {
    match reduction {
        Reduction::Mean | Reduction::Sum | Reduction::SumOfSquares => 0.0,
        Reduction::Product => 1.0,
        Reduction::Max | Reduction::ArgMax => f64::NEG_INFINITY,
        Reduction::Min | Reduction::ArgMin => f64::INFINITY,
    }
}

/// Lines along one axis of a tensor.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Lines {
    /// Product of the dimensions before the axis.
    pub(in crate::vhtp) outer: usize,
    /// Extent of the axis.
    pub(in crate::vhtp) extent: usize,
    /// Product of the dimensions behind the axis.
    pub(in crate::vhtp) inner: usize,
}

/// A compiled CumulativeSum.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct CumulativeSum {
    /// Lines.
    pub(in crate::vhtp) lines: Lines,
    /// Whether an element itself is left out of its sum.
    pub(in crate::vhtp) exclusive: bool,
    /// Whether it sums from the end.
    pub(in crate::vhtp) reverse: bool,
    /// Input.
    pub(in crate::vhtp) from: Codec,
    /// Output.
    pub(in crate::vhtp) to: Codec,
}

/// Runs a cumulative sum.
pub(in crate::vhtp) fn cumulative_sum(op: &CumulativeSum, x: &[u8], out: &mut [u8]) -> Option<()> {
    let Lines { outer, extent, inner } = op.lines;
    for line in 0..outer {
        for lane in 0..inner {
            let first = line.wrapping_mul(extent).wrapping_mul(inner).wrapping_add(lane);
            let mut sum = 0.0;
            for step in 0..extent {
                let at = if op.reverse { extent.wrapping_sub(1).wrapping_sub(step) } else { step };
                let at = first.wrapping_add(at.wrapping_mul(inner));
                let before = sum;
                sum += op.from.load(x, at)?;
                op.to.store(if op.exclusive { before } else { sum }, out, at)?;
            }
        }
    }
    Some(())
}

/// A compiled TopK, along the last axis.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct TopK {
    /// Elements of a line.
    pub(in crate::vhtp) extent: usize,
    /// How many are wanted, in order.
    pub(in crate::vhtp) k: usize,
    /// Whether the largest, or the smallest.
    pub(in crate::vhtp) largest: bool,
    /// Whether the output is where they were, not what they are.
    pub(in crate::vhtp) indices: bool,
    /// Input.
    pub(in crate::vhtp) from: Codec,
    /// Output.
    pub(in crate::vhtp) to: Codec,
}

/// Runs a TopK. Equal elements come in the order of their indices. Takes `k` passes over each line:
/// an execution has no memory to sort in.
pub(in crate::vhtp) fn top_k(op: &TopK, x: &[u8], out: &mut [u8]) -> Option<()> {
    let lines = out.len().checked_div(op.to.size())?.checked_div(op.k)?;
    // Whether `a` comes before `b`; both are a value and an index.
    let before = |a: (f64, usize), b: (f64, usize)| {
        let order = if op.largest { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) };
        order.then(a.1.cmp(&b.1)) == Ordering::Less
    };
    for line in 0..lines {
        let mut last = None;
        for rank in 0..op.k {
            let mut best = None;
            for index in 0..op.extent {
                let at = line.wrapping_mul(op.extent).wrapping_add(index);
                let candidate = (op.from.load(x, at)?, index);
                let is_left = last.is_none_or(|last| before(last, candidate));
                if is_left && best.is_none_or(|best| before(candidate, best)) {
                    best = Some(candidate);
                }
            }
            let (value, index) = best?;
            let value = if op.indices { index as f64 } else { value };
            op.to.store(value, out, line.wrapping_mul(op.k).wrapping_add(rank))?;
            last = best;
        }
    }
    Some(())
}
