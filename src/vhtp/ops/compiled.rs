//! Compiled ops: which kernel runs, and how much work it has.

use crate::graph::DataType;
use crate::vhtp::kernels::convert::{self, Encoding};
use crate::vhtp::kernels::convolution::{self, Convolution};
use crate::vhtp::kernels::elementwise::{self, Binary, Clamp};
use crate::vhtp::kernels::fixed::Channel;
use crate::vhtp::kernels::function::{Binary as Function2, Ternary as Function3};
use crate::vhtp::kernels::gather::{self, Elements, Gather, Nd, Update};
use crate::vhtp::kernels::matmul::{self, Matmul};
use crate::vhtp::kernels::movement::{self, Change, Concat, Pad, Strided};
use crate::vhtp::kernels::normalize::{self, Lrn, Normalize};
use crate::vhtp::kernels::pointwise::{self, Map, Pointwise};
use crate::vhtp::kernels::pool::{self, Pool};
use crate::vhtp::kernels::reduce::{self, CumulativeSum, Reduce, TopK};
use crate::vhtp::kernels::resize::{self, GridSample, Resize};
use crate::vhtp::kernels::scheme::Numbers;
use crate::vhtp::kernels::softmax::{self, Softmax};
use crate::vhtp::timing::Work;

/// A compiled op. Everything its kernel needs besides operands, channels and tables.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) enum Compiled {
    Convolution(Convolution),
    Matmul(Matmul),
    Binary(Binary),
    Clamp(Clamp),
    Map(Map),
    Operate(Pointwise<Function2, 2>),
    Operate3(Pointwise<Function3, 3>),
    Pool(Pool),
    Copy(Option<Change>),
    Strided(Strided, Option<Change>),
    Pad(Pad, Option<Change>),
    Concat(Concat),
    Gather(Gather, Option<Change>),
    GatherElements(Elements, Option<Change>),
    GatherNd(Nd, Option<Change>),
    ScatterElements(Elements, Update),
    ScatterNd(Nd, Update),
    Quantize(Encoding),
    Dequantize(Encoding),
    Cast(DataType, DataType),
    Softmax(Softmax),
    Reduce(Reduce),
    CumulativeSum(CumulativeSum),
    TopK(TopK),
    Normalize(Normalize),
    Lrn(Lrn),
    Resize(Resize),
    GridSample(GridSample),
}

/// What a kernel reads.
pub(in crate::vhtp) struct Operands<'a, F> {
    /// Gives operand `i`.
    pub(in crate::vhtp) input: F,
    /// How many there are.
    pub(in crate::vhtp) count: usize,
    /// Channels compiled for the op.
    pub(in crate::vhtp) channels: &'a [Channel],
    /// Tables compiled for the op.
    pub(in crate::vhtp) table: &'a [u8],
}

impl Compiled {
    /// Runs the op.
    pub(in crate::vhtp) fn run<'a, F: Fn(usize) -> Option<&'a [u8]>>(
        &self,
        operands: Operands<'a, F>,
        out: &mut [u8],
    ) -> Option<()> {
        let Operands { input, count, channels, table } = operands;
        let first = input(0)?;
        let three = || Some([first, input(1)?, input(2)?]);
        match self {
            Compiled::Convolution(op) => {
                convolution::convolution(op, channels, first, input(1)?, out)
            }
            Compiled::Matmul(op) => matmul::matmul(op, channels, first, input(1)?, out),
            Compiled::Binary(op) => elementwise::binary(op, first, input(1)?, out),
            Compiled::Clamp(op) => elementwise::clamp(op, first, out),
            Compiled::Map(op) => pointwise::map(op, table, first, out),
            Compiled::Operate(op) => pointwise::binary(op, first, input(1)?, out),
            Compiled::Operate3(op) => pointwise::ternary(op, three()?, out),
            Compiled::Pool(op) => pool::pool(op, first, out),
            Compiled::Copy(_) => movement::copy(first, out),
            Compiled::Strided(op, _) => movement::strided(op, first, out),
            Compiled::Pad(op, _) => movement::pad(op, first, out),
            Compiled::Concat(op) => movement::concat(op, channels, (0..count).map(input), out),
            Compiled::Gather(op, _) => gather::gather(op, first, input(1)?, out),
            Compiled::GatherElements(op, _) => gather::gather_elements(op, first, input(1)?, out),
            Compiled::GatherNd(op, _) => gather::gather_nd(op, first, input(1)?, out),
            Compiled::ScatterElements(op, update) => {
                gather::scatter_elements(op, update, three()?, out)
            }
            Compiled::ScatterNd(op, update) => gather::scatter_nd(op, update, three()?, out),
            Compiled::Quantize(op) => convert::quantize(op, first, out),
            Compiled::Dequantize(op) => convert::dequantize(op, first, out),
            Compiled::Cast(from, to) => convert::cast(*from, *to, first, out),
            Compiled::Softmax(op) => softmax::softmax(op, first, out),
            Compiled::Reduce(op) => reduce::reduce(op, first, out),
            Compiled::CumulativeSum(op) => reduce::cumulative_sum(op, first, out),
            Compiled::TopK(op) => reduce::top_k(op, first, out),
            Compiled::Normalize(op) => normalize::normalize(op, first, [input(1), input(2)], out),
            Compiled::Lrn(op) => normalize::lrn(op, first, out),
            Compiled::Resize(op) => resize::resize(op, first, out),
            Compiled::GridSample(op) => resize::grid_sample(op, first, input(1)?, out),
        }?;
        match self.change() {
            Some(change) => movement::change(change, out),
            None => Some(()),
        }
    }

    /// The change of quantization behind a movement.
    fn change(&self) -> Option<&Change> {
        match self {
            Compiled::Copy(change)
            | Compiled::Strided(_, change)
            | Compiled::Pad(_, change)
            | Compiled::Gather(_, change)
            | Compiled::GatherElements(_, change)
            | Compiled::GatherNd(_, change) => change.as_ref(),
            _ => None,
        }
    }

    /// Whether it is a convolution over few channels, which fill only a part of the matrix unit.
    pub(in crate::vhtp) fn is_short_depth(&self) -> bool {
        const MATRIX_CHANNELS: usize = 32;
        matches!(self, Compiled::Convolution(op) if op.group_inputs < MATRIX_CHANNELS)
    }

    /// How much work the op is, for the cycle model; `bytes` are all operands and results.
    pub(in crate::vhtp) fn work(&self, elements_out: usize, bytes: usize) -> Work {
        let size = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let operand_bits = |numbers: &Numbers| match numbers {
            Numbers::Quantized { x, w, .. } => x.bits().max(w.bits()),
            Numbers::Float { .. } | Numbers::Mixed { .. } => 16,
        };
        let work = |macs_each: usize, matrix: bool, bits: u32, passes: u64| Work {
            macs: size(elements_out).saturating_mul(size(macs_each)),
            matrix,
            bits,
            vector_passes: passes,
            bytes: size(bytes),
        };
        match self {
            Compiled::Convolution(op) => {
                let taps = op.height.window.saturating_mul(op.width.window);
                let taps = taps.saturating_mul(op.depth.window);
                let macs = taps.saturating_mul(op.group_inputs);
                work(macs, !op.depthwise, operand_bits(&op.numbers), 1)
            }
            Compiled::Matmul(op) => work(op.k, true, operand_bits(&op.numbers), 1),
            Compiled::Pool(op) => {
                work(op.height.window.saturating_mul(op.width.window), false, 8, 1)
            }
            Compiled::Softmax(_) => work(0, false, 16, 8),
            Compiled::Normalize(_) => work(0, false, 16, 4),
            Compiled::TopK(op) => work(0, false, 16, size(op.k)),
            Compiled::Map(_) | Compiled::Operate(_) | Compiled::Operate3(_) => {
                work(0, false, 16, 2)
            }
            Compiled::Strided(..) | Compiled::Resize(_) | Compiled::GridSample(_) => {
                work(0, false, 8, 2)
            }
            _ => work(0, false, 8, 1),
        }
    }
}
