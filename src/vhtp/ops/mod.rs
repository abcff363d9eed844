//! What an op means: its operands and parameters are checked once and compiled into a record that a
//! kernel runs.
//!
//! What is not understood exactly is refused: an unknown parameter, a missing scale, a shape that
//! does not follow.

mod check;
mod convolution;
mod elementwise;
mod matmul;
mod movement;
mod pool;

use super::kernels::convert::{self, Encoding};
use super::kernels::convolution::{self as convolution_kernel, Convolution};
use super::kernels::elementwise::{self as elementwise_kernel, Binary, Clamp};
use super::kernels::fixed::Channel;
use super::kernels::matmul::{self as matmul_kernel, Matmul};
use super::kernels::movement::{self as movement_kernel, Concat, Transpose};
use super::kernels::pool::{self as pool_kernel, Pool};
use super::kernels::softmax::{self as softmax_kernel, Softmax};
use super::timing::Work;
use crate::device::PrepareError;
use crate::graph::{DataType, Op};

/// The one package whose ops exist.
pub(super) const PACKAGE: &str = "qti.aisw";

/// Why an op is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing like it is supported.
    Unsupported,
    /// Its operands or parameters do not fit.
    Invalid,
}

impl Refusal {
    /// The error for operation `index`.
    pub(super) fn of(self, index: usize) -> PrepareError {
        let op = u32::try_from(index).unwrap_or(u32::MAX);
        match self {
            Refusal::Unsupported => PrepareError::UnsupportedOp { op },
            Refusal::Invalid => PrepareError::InvalidOp { op },
        }
    }
}

/// A compiled op. Everything its kernel needs besides operands and channels.
#[derive(Debug, Clone, Copy)]
pub(super) enum Compiled {
    Convolution(Convolution),
    Matmul(Matmul),
    Binary(Binary),
    Clamp(Clamp),
    Pool(Pool),
    Copy,
    Transpose(Transpose),
    Concat(Concat),
    Quantize(Encoding),
    Dequantize(Encoding),
    Cast(DataType, DataType),
    Softmax(Softmax),
}

/// Takes the channels of an op, in order; `None` only counts them.
pub(super) struct Channels<'a> {
    room: Option<&'a mut [Channel]>,
    count: usize,
}

impl<'a> Channels<'a> {
    /// Counts channels without keeping them.
    pub(super) fn counting() -> Self {
        Self { room: None, count: 0 }
    }

    /// Keeps channels in `room`.
    pub(super) fn keeping(room: &'a mut [Channel]) -> Self {
        Self { room: Some(room), count: 0 }
    }

    /// Channels taken so far.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn push(&mut self, channel: Channel) -> Result<(), Refusal> {
        if let Some(room) = &mut self.room {
            *room.get_mut(self.count).ok_or(Refusal::Invalid)? = channel;
        }
        self.count = self.count.checked_add(1).ok_or(Refusal::Invalid)?;
        Ok(())
    }
}

/// Compiles `op`; its channels go to `channels`.
pub(super) fn compile(op: &Op<'_>, channels: &mut Channels<'_>) -> Result<Compiled, Refusal> {
    if op.package() != PACKAGE {
        return Err(Refusal::Unsupported);
    }
    match op.type_name() {
        "Conv2d" => convolution::compile(op, channels, false),
        "DepthWiseConv2d" => convolution::compile(op, channels, true),
        "FullyConnected" => matmul::fully_connected(op, channels),
        "MatMul" => matmul::matmul(op, channels),
        "ElementWiseAdd" => elementwise::binary(op, elementwise::Kind::Add),
        "ElementWiseSubtract" => elementwise::binary(op, elementwise::Kind::Subtract),
        "ElementWiseMultiply" => elementwise::binary(op, elementwise::Kind::Multiply),
        "Relu" => elementwise::relu(op),
        "ReluMinMax" => elementwise::relu_min_max(op),
        "Quantize" => elementwise::quantize(op),
        "Dequantize" => elementwise::dequantize(op),
        "Convert" => elementwise::convert(op),
        "Cast" => elementwise::cast(op),
        "Softmax" => elementwise::softmax(op),
        "PoolMax2d" => pool::compile(op, false),
        "PoolAvg2d" => pool::compile(op, true),
        "Reshape" => movement::reshape(op),
        "Transpose" => movement::transpose(op),
        "Concat" => movement::concat(op, channels),
        _ => Err(Refusal::Unsupported),
    }
}

impl Compiled {
    /// Runs the op: `input(i)` gives operand `i`, `channels` what was compiled for it.
    pub(super) fn run<'a>(
        &self,
        input: impl Fn(usize) -> Option<&'a [u8]>,
        inputs: usize,
        channels: &[Channel],
        out: &mut [u8],
    ) -> Option<()> {
        let first = input(0)?;
        match self {
            Compiled::Convolution(op) => {
                convolution_kernel::convolution(op, channels, first, input(1)?, out)
            }
            Compiled::Matmul(op) => matmul_kernel::matmul(op, channels, first, input(1)?, out),
            Compiled::Binary(op) => elementwise_kernel::binary(op, first, input(1)?, out),
            Compiled::Clamp(op) => elementwise_kernel::clamp(op, first, out),
            Compiled::Pool(op) => pool_kernel::pool(op, first, out),
            Compiled::Copy => movement_kernel::copy(first, out),
            Compiled::Transpose(op) => movement_kernel::transpose(op, first, out),
            Compiled::Concat(op) => {
                movement_kernel::concat(op, channels, (0..inputs).map(input), out)
            }
            Compiled::Quantize(op) => convert::quantize(op, first, out),
            Compiled::Dequantize(op) => convert::dequantize(op, first, out),
            Compiled::Cast(from, to) => convert::cast(*from, *to, first, out),
            Compiled::Softmax(op) => softmax_kernel::softmax(op, first, out),
        }
    }

    /// How much work the op is, for the cycle model; `bytes` are all operands and results.
    pub(super) fn work(&self, elements_out: usize, bytes: usize) -> Work {
        use super::kernels::scheme::Numbers;
        let size = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let operand_bits = |numbers: &Numbers| match numbers {
            Numbers::Quantized { x, w, .. } => x.bits().max(w.bits()),
            Numbers::Float(_) => 16,
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
                let macs = taps.saturating_mul(op.group_inputs);
                work(macs, !op.depthwise, operand_bits(&op.numbers), 1)
            }
            Compiled::Matmul(op) => work(op.k, true, operand_bits(&op.numbers), 1),
            Compiled::Pool(op) => {
                work(op.height.window.saturating_mul(op.width.window), false, 8, 1)
            }
            Compiled::Softmax(_) => work(0, false, 16, 8),
            Compiled::Transpose(_) => work(0, false, 8, 2),
            _ => work(0, false, 8, 1),
        }
    }
}
