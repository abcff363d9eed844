//! What an op means: its operands and parameters are checked once and compiled into a record that a
//! kernel runs.
//!
//! What is not understood exactly is refused: an unknown parameter, a missing scale, a shape that
//! does not follow.

mod check;
mod compiled;
mod convolution;
mod elementwise;
pub(super) mod fold;
mod gather;
mod matmul;
mod movement;
mod pointwise;
mod pool;
mod reduce;
mod required;
mod resize;

use core::ffi::CStr;

use super::kernels::fixed::Channel;
use super::kernels::function::{Binary, Unary};
use super::kernels::normalize::Norm;
use super::kernels::reduce::Reduction;
use crate::device::PrepareError;
use crate::graph::{Op, TensorKind};

pub(super) use compiled::{Compiled, Operands};
pub(super) use required::required;

/// The one package whose ops exist.
pub(super) const PACKAGE: &str = "qti.aisw";

/// Why the device does not run an operation. Tensors are given by their index in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refusal {
    /// Nothing like it is supported.
    Unsupported,
    /// Its operands or parameters do not fit together.
    Invalid,
    /// It has another number of inputs than this; fewer may be allowed.
    Inputs(usize),
    /// It has another number of outputs than this.
    Outputs(usize),
    /// This input is absent.
    NoInput(usize),
    /// The data type of this tensor is not offered here.
    Type(usize),
    /// This tensor does not have the scale and offset that its data type needs.
    Scales(usize),
    /// The operation has no tensor of this one's shape there.
    Shape(usize),
    /// The parameter is absent, of another type, or has a wrong value.
    Param(&'static str),
    /// The operation does not have the parameter at this place of its list.
    UnknownParam(usize),
}

impl Refusal {
    /// The error for operation `index`.
    pub(super) fn of(self, index: usize) -> PrepareError {
        let op = u32::try_from(index).unwrap_or(u32::MAX);
        match self {
            Refusal::Unsupported | Refusal::Type(_) => PrepareError::UnsupportedOp { op },
            _ => PrepareError::InvalidOp { op },
        }
    }
}

/// Where the things go that do not fit a record, in order: channels and tables. Without room they
/// are only counted.
pub(super) struct Extras<'a> {
    channels: Option<&'a mut [Channel]>,
    bytes: Option<&'a mut [u8]>,
    channel_count: usize,
    byte_count: usize,
    /// Which output of its op is compiled: every output has a record of its own.
    output: usize,
}

impl<'a> Extras<'a> {
    /// Only counts.
    pub(super) fn counting() -> Self {
        Self { channels: None, bytes: None, channel_count: 0, byte_count: 0, output: 0 }
    }

    /// Keeps everything, in rooms as large as was counted.
    pub(super) fn keeping(channels: &'a mut [Channel], bytes: &'a mut [u8]) -> Self {
        let (channels, bytes) = (Some(channels), Some(bytes));
        Self { channels, bytes, channel_count: 0, byte_count: 0, output: 0 }
    }

    /// Channels and bytes taken so far.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.channel_count, self.byte_count)
    }

    fn push(&mut self, channel: Channel) -> Result<(), Refusal> {
        if let Some(room) = &mut self.channels {
            *room.get_mut(self.channel_count).ok_or(Refusal::Invalid)? = channel;
        }
        self.channel_count = self.channel_count.checked_add(1).ok_or(Refusal::Invalid)?;
        Ok(())
    }

    /// Takes `len` bytes; `None` if they are only counted.
    fn table(&mut self, len: usize) -> Result<Option<&mut [u8]>, Refusal> {
        let start = self.byte_count;
        self.byte_count = start.checked_add(len).ok_or(Refusal::Invalid)?;
        let Some(room) = &mut self.bytes else { return Ok(None) };
        let table = room.get_mut(start..self.byte_count);
        table.map(Some).ok_or(Refusal::Invalid)
    }
}

/// The outputs of an op that are not `Null`; 0 if it has none, which its compiler refuses.
pub(super) fn outputs<'a>(op: &Op<'a>) -> impl Iterator<Item = usize> + use<'a> {
    let outputs = op.outputs();
    (0..outputs.len().max(1)).filter(move |&index| {
        outputs.at(index).is_none_or(|tensor| tensor.kind() != TensorKind::Null)
    })
}

/// Compiles what computes output `output` of `op`.
pub(super) fn compile(
    op: &Op<'_>,
    output: usize,
    extras: &mut Extras<'_>,
) -> Result<Compiled, Refusal> {
    if op.package() != PACKAGE {
        return Err(Refusal::Unsupported);
    }
    check::distinct_params(op)?;
    extras.output = output;
    compiler(op.type_name()).ok_or(Refusal::Unsupported)?(op, extras)
}

/// A name that ends in a zero, as C reads it.
const fn c_name(name: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => c"",
    }
}

/// How one kind of op is compiled.
type Compiler = fn(&Op<'_>, &mut Extras<'_>) -> Result<Compiled, Refusal>;

/// Makes, of one list, the names of the ops and the choice of their compilers.
macro_rules! ops {
    ($($name:literal => $compiler:expr,)*) => {
        /// Names of the ops of the package that exist, in alphabetical order, as C reads them. An
        /// op of these may still be refused for its data types or parameters.
        pub const SUPPORTED_OPS: &[&CStr] = &[$(c_name(concat!($name, "\0"))),*];

        fn compiler(name: &str) -> Option<Compiler> {
            Some(match name {
                $($name => $compiler,)*
                _ => return None,
            })
        }
    };
}

ops! {
    "Argmax" => |op, _| reduce::arg(op, Reduction::ArgMax),
    "Argmin" => |op, _| reduce::arg(op, Reduction::ArgMin),
    "Batchnorm" => |op, _| pointwise::batchnorm(op),
    "Cast" => |op, _| elementwise::cast(op),
    "ChannelShuffle" => |op, _| movement::channel_shuffle(op),
    "Concat" => movement::concat,
    "Conv2d" => convolution::conv_2d,
    "Conv3d" => convolution::conv_3d,
    "Convert" => elementwise::convert,
    "CumulativeSum" => |op, _| reduce::cumulative_sum(op),
    "DepthToSpace" => |op, _| movement::depth_and_space(op, true),
    "DepthWiseConv2d" => convolution::depthwise_2d,
    "Dequantize" => elementwise::dequantize,
    "ElementWiseAbs" => |op, extras| pointwise::plain(op, extras, Unary::Abs),
    "ElementWiseAdd" => |op, _| pointwise::binary(op, Binary::Add),
    "ElementWiseAnd" => |op, _| pointwise::binary(op, Binary::And),
    "ElementWiseAsin" => |op, extras| pointwise::plain(op, extras, Unary::Asin),
    "ElementWiseAtan" => |op, extras| pointwise::plain(op, extras, Unary::Atan),
    "ElementWiseBinary" => |op, _| pointwise::any_binary(op),
    "ElementWiseCeil" => |op, extras| pointwise::plain(op, extras, Unary::Ceil),
    "ElementWiseCos" => |op, extras| pointwise::plain(op, extras, Unary::Cos),
    "ElementWiseDivide" => |op, _| pointwise::binary(op, Binary::Divide),
    "ElementWiseEqual" => |op, _| pointwise::binary(op, Binary::Equal),
    "ElementWiseExp" => |op, extras| pointwise::plain(op, extras, Unary::Exp),
    "ElementWiseFloor" => |op, extras| pointwise::plain(op, extras, Unary::Floor),
    "ElementWiseFloorDiv" => |op, _| pointwise::binary(op, Binary::FloorDiv),
    "ElementWiseFmod" => |op, _| pointwise::binary(op, Binary::Fmod),
    "ElementWiseGreater" => |op, _| pointwise::binary(op, Binary::Greater),
    "ElementWiseGreaterEqual" => |op, _| pointwise::binary(op, Binary::GreaterEqual),
    "ElementWiseLess" => |op, _| pointwise::binary(op, Binary::Less),
    "ElementWiseLessEqual" => |op, _| pointwise::binary(op, Binary::LessEqual),
    "ElementWiseLog" => |op, extras| pointwise::plain(op, extras, Unary::Log),
    "ElementWiseMaximum" => |op, _| pointwise::binary(op, Binary::Maximum),
    "ElementWiseMinimum" => |op, _| pointwise::binary(op, Binary::Minimum),
    "ElementWiseMod" => |op, _| pointwise::binary(op, Binary::Mod),
    "ElementWiseMultiply" => |op, _| pointwise::binary(op, Binary::Multiply),
    "ElementWiseNeg" => |op, extras| pointwise::plain(op, extras, Unary::Neg),
    "ElementWiseNeuron" => pointwise::neuron,
    "ElementWiseNot" => |op, extras| pointwise::plain(op, extras, Unary::Not),
    "ElementWiseNotEqual" => |op, _| pointwise::binary(op, Binary::NotEqual),
    "ElementWiseOr" => |op, _| pointwise::binary(op, Binary::Or),
    "ElementWisePower" => |op, _| pointwise::binary(op, Binary::Power),
    "ElementWiseRound" => |op, extras| pointwise::plain(op, extras, Unary::Round),
    "ElementWiseRsqrt" => |op, extras| pointwise::plain(op, extras, Unary::Rsqrt),
    "ElementWiseSelect" => |op, _| pointwise::select(op),
    "ElementWiseSign" => |op, extras| pointwise::plain(op, extras, Unary::Sign),
    "ElementWiseSin" => |op, extras| pointwise::plain(op, extras, Unary::Sin),
    "ElementWiseSoftplus" => pointwise::softplus,
    "ElementWiseSquareRoot" => |op, extras| pointwise::plain(op, extras, Unary::SquareRoot),
    "ElementWiseSquaredDifference" => |op, _| pointwise::binary(op, Binary::SquaredDifference),
    "ElementWiseSubtract" => |op, _| pointwise::binary(op, Binary::Subtract),
    "ElementWiseUnary" => pointwise::unary,
    "ElementWiseXor" => |op, _| pointwise::binary(op, Binary::Xor),
    "Elu" => pointwise::elu,
    "ExpandDims" => |op, _| movement::reshape(op),
    "FullyConnected" => matmul::fully_connected,
    "Gather" => |op, _| gather::gather(op),
    "GatherElements" => |op, _| gather::gather_elements(op),
    "GatherNd" => |op, _| gather::gather_nd(op),
    "Gelu" => |op, extras| pointwise::plain(op, extras, Unary::Gelu),
    "GridSample" => |op, _| resize::grid_sample(op),
    "GroupNorm" => |op, _| reduce::group_norm(op),
    "HardSwish" => |op, extras| pointwise::plain(op, extras, Unary::HardSwish),
    "InstanceNorm" => |op, _| reduce::instance_norm(op),
    "IsNan" => |op, extras| pointwise::plain(op, extras, Unary::IsNan),
    "L2Norm" => |op, _| reduce::l2_norm(op),
    "LayerNorm" => |op, _| reduce::layer_norm(op, Norm::MeanVariance),
    "LogSoftmax" => |op, _| elementwise::softmax(op, true),
    "Lrn" => |op, _| reduce::lrn(op),
    "MatMul" => matmul::matmul,
    "Pack" => movement::pack,
    "Pad" => |op, _| movement::pad(op),
    "PoolAvg2d" => |op, _| pool::compile(op, true),
    "PoolMax2d" => |op, _| pool::compile(op, false),
    "Prelu" => |op, _| pointwise::prelu(op),
    "Quantize" => elementwise::quantize,
    "ReduceMax" => |op, _| reduce::reduce(op, Reduction::Max),
    "ReduceMean" => |op, _| reduce::reduce(op, Reduction::Mean),
    "ReduceMin" => |op, _| reduce::reduce(op, Reduction::Min),
    "ReduceProd" => |op, _| reduce::reduce(op, Reduction::Product),
    "ReduceSum" => |op, _| reduce::reduce(op, Reduction::Sum),
    "ReduceSumSquare" => |op, _| reduce::reduce(op, Reduction::SumOfSquares),
    "Relu" => |op, extras| elementwise::relu(op, extras, 0.0, f32::INFINITY),
    "Relu1" => |op, extras| elementwise::relu(op, extras, -1.0, 1.0),
    "Relu6" => |op, extras| elementwise::relu(op, extras, 0.0, 6.0),
    "ReluMinMax" => elementwise::relu_min_max,
    "Reshape" => |op, _| movement::reshape(op),
    "Resize" => |op, _| resize::resize(op),
    "ResizeBilinear" => |op, _| resize::bilinear(op),
    "ResizeNearestNeighbor" => |op, _| resize::nearest(op),
    "RmsNorm" => |op, _| reduce::layer_norm(op, Norm::RootMeanSquare),
    "ScatterElements" => |op, _| gather::scatter_elements(op),
    "ScatterNd" => |op, _| gather::scatter_nd(op),
    "Sigmoid" => |op, extras| pointwise::plain(op, extras, Unary::Sigmoid),
    "Softmax" => |op, _| elementwise::softmax(op, false),
    "SpaceToDepth" => |op, _| movement::depth_and_space(op, false),
    "Split" => |op, extras| movement::split(op, extras),
    "Squeeze" => |op, _| movement::reshape(op),
    "StridedSlice" => |op, _| movement::strided_slice(op),
    "Tanh" => |op, extras| pointwise::plain(op, extras, Unary::Tanh),
    "Tile" => |op, _| movement::tile(op),
    "TopK" => |op, extras| reduce::top_k(op, extras),
    "Transpose" => |op, _| movement::transpose(op),
    "TransposeConv2d" => convolution::transpose_2d,
    "UnPack" => |op, extras| movement::unpack(op, extras),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_without_repetition() {
        assert!(SUPPORTED_OPS.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
