//! Checks that all ops share: operands, quantization, parameters.

use core::ops::RangeInclusive;

use super::Refusal;
use crate::graph::{DataType, Op, ScaleOffset, Tensor, TensorKind, RANK_MAX};
use crate::vhtp::kernels::codec::Codec;
use crate::vhtp::kernels::element::{FixedType, RealType};

/// Largest offset in either direction; far beyond what any encoding of a 16-bit type needs.
const OFFSET_MAX: u32 = 1 << 24;
/// Largest extent, padding, stride or dilation, so that index arithmetic cannot overflow on 32-bit
/// targets.
const EXTENT_MAX: usize = 1 << 24;

/// `Ok` if `fits`, a refusal otherwise.
pub(super) fn ensure(fits: bool) -> Result<(), Refusal> {
    fits.then_some(()).ok_or(Refusal::Invalid)
}

/// Refuses parameters that the op does not have: their meaning would be lost.
pub(super) fn only_params(op: &Op<'_>, known: &[&str]) -> Result<(), Refusal> {
    match op.params().position(|param| !known.contains(&param.name())) {
        Some(position) => Err(Refusal::UnknownParam(position)),
        None => Ok(()),
    }
}

/// Refuses another number of inputs; the last ones may be optional.
pub(super) fn input_count(op: &Op<'_>, allowed: RangeInclusive<usize>) -> Result<(), Refusal> {
    let fits = allowed.contains(&op.inputs().len());
    fits.then_some(()).ok_or(Refusal::Inputs(*allowed.end()))
}

/// Refuses parameters that come twice: which of them is meant is not known. Quadratic in their
/// number.
pub(super) fn distinct_params(op: &Op<'_>) -> Result<(), Refusal> {
    let comes_before =
        |place: usize, name: &str| op.params().take(place).any(|earlier| earlier.name() == name);
    ensure(!op.params().enumerate().any(|(place, param)| comes_before(place, param.name())))
}

/// Operand `index`; absent and `Null` operands are refused.
pub(super) fn input<'a>(op: &Op<'a>, index: usize) -> Result<Tensor<'a>, Refusal> {
    optional_input(op, index).ok_or(Refusal::NoInput(index))
}

/// Operand `index`, if it is there.
pub(super) fn optional_input<'a>(op: &Op<'a>, index: usize) -> Option<Tensor<'a>> {
    op.inputs().at(index).filter(|tensor| tensor.kind() != TensorKind::Null)
}

/// The one output; more are refused.
pub(super) fn output<'a>(op: &Op<'a>) -> Result<Tensor<'a>, Refusal> {
    match op.outputs().len() {
        1 => output_at(op, 0),
        _ => Err(Refusal::Outputs(1)),
    }
}

/// Output `index`.
pub(super) fn output_at<'a>(op: &Op<'a>, index: usize) -> Result<Tensor<'a>, Refusal> {
    op.outputs().at(index).ok_or(Refusal::Outputs(index.saturating_add(1)))
}

/// One input, one output.
pub(super) fn unary<'a>(op: &Op<'a>) -> Result<(Tensor<'a>, Tensor<'a>), Refusal> {
    input_count(op, 1..=1)?;
    Ok((input(op, 0)?, output(op)?))
}

/// Refuses `b` if it does not have the dimensions of `a`.
pub(super) fn same_shape(a: &Tensor<'_>, b: &Tensor<'_>) -> Result<(), Refusal> {
    let same = a.rank() == b.rank() && a.dims().eq(b.dims());
    same.then_some(()).ok_or(Refusal::Shape(b.index()))
}

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Format {
    /// Quantized by one scale and offset.
    Fixed(Fixed),
    /// Float.
    Real(RealType),
}

impl Format {
    /// The same for the kernels that compute with real numbers.
    pub(super) fn codec(self) -> Codec {
        match self {
            Format::Fixed(Fixed { element, scale, offset }) => {
                Codec::Fixed { element, scale, offset }
            }
            Format::Real(real) => Codec::Real(real),
        }
    }
}

/// A quantization of a whole tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fixed {
    /// Type.
    pub(super) element: FixedType,
    /// Real value of one step.
    pub(super) scale: f32,
    /// Added before scaling.
    pub(super) offset: i32,
}

impl Fixed {
    /// Largest magnitude of a stored value plus the offset.
    pub(super) fn magnitude(&self) -> u64 {
        let (min, max) = self.element.range();
        let offset = i64::from(self.offset);
        let low = min.saturating_add(offset).unsigned_abs();
        low.max(max.saturating_add(offset).unsigned_abs())
    }
}

/// The quantized type behind a data type.
pub(super) fn fixed_type(data_type: DataType) -> Option<FixedType> {
    Some(match data_type {
        DataType::Ufixed8 => FixedType::U8,
        DataType::Sfixed8 => FixedType::I8,
        DataType::Ufixed16 => FixedType::U16,
        DataType::Sfixed16 => FixedType::I16,
        _ => return None,
    })
}

/// The float type behind a data type.
pub(super) fn real_type(data_type: DataType) -> Option<RealType> {
    match data_type {
        DataType::Float16 => Some(RealType::F16),
        DataType::Float32 => Some(RealType::F32),
        _ => None,
    }
}

/// Whether an offset is one that the kernels can add.
pub(super) fn offset_fits(offset: i32) -> bool {
    offset.unsigned_abs() <= OFFSET_MAX
}

/// How a tensor's elements stand for numbers: quantized per tensor, float, integer or boolean.
pub(super) fn codec(tensor: &Tensor<'_>) -> Result<Codec, Refusal> {
    let data_type = tensor.data_type();
    match (data_type, format(tensor)) {
        (_, Ok(format)) => Ok(format.codec()),
        (DataType::Sfixed32, _) => {
            let ScaleOffset { scale, offset } = one_scale(tensor)?;
            Ok(Codec::Wide { scale, offset })
        }
        (DataType::Ufixed32, _) => Err(Refusal::Type(tensor.index())),
        (_, Err(Refusal::Type(_))) => Ok(Codec::Whole(data_type)),
        (_, Err(refusal)) => Err(refusal),
    }
}

/// [`codec`], refusing integers.
pub(super) fn real_codec(tensor: &Tensor<'_>) -> Result<Codec, Refusal> {
    match codec(tensor)? {
        Codec::Whole(_) => Err(Refusal::Type(tensor.index())),
        codec => Ok(codec),
    }
}

/// [`real_codec`] of a normalization's factors or summands: in float32 they are used as they are
/// stored if they are constants, since nothing computes with them on the way. What a client or an
/// op writes is rounded to float16, as every operand.
pub(super) fn parameter_codec(tensor: &Tensor<'_>) -> Result<Codec, Refusal> {
    match (real_codec(tensor)?, tensor.kind()) {
        (Codec::Real(RealType::F32), TensorKind::Static) => Ok(Codec::Stored),
        (codec, _) => Ok(codec),
    }
}

/// Codecs of an op's input and output, whose types must be the same (quantizations may differ);
/// integers only if `whole`.
pub(super) fn codecs(
    x: &Tensor<'_>,
    out: &Tensor<'_>,
    whole: bool,
) -> Result<(Codec, Codec), Refusal> {
    let (from, to) = (codec(x)?, codec(out)?);
    let same = x.data_type() == out.data_type();
    let fixed = |codec: Codec| matches!(codec, Codec::Fixed { .. });
    let supported = match from {
        Codec::Whole(data_type) => same && whole && data_type != DataType::Bool8,
        Codec::Wide { .. } => false,
        _ => same || fixed(from) && fixed(to),
    };
    let wrong = if same { x } else { out };
    supported.then_some((from, to)).ok_or(Refusal::Type(wrong.index()))
}

/// Format of an activation: quantized per tensor, or float.
pub(super) fn format(tensor: &Tensor<'_>) -> Result<Format, Refusal> {
    if let Some(real) = real_type(tensor.data_type()) {
        return Ok(Format::Real(real));
    }
    let element = fixed_type(tensor.data_type()).ok_or(Refusal::Type(tensor.index()))?;
    let quant = one_scale(tensor)?;
    if !offset_fits(quant.offset) {
        return Err(Refusal::Scales(tensor.index()));
    }
    Ok(Format::Fixed(Fixed { element, scale: quant.scale, offset: quant.offset }))
}

/// The one scale and offset of a tensor.
fn one_scale(tensor: &Tensor<'_>) -> Result<ScaleOffset, Refusal> {
    let one = tensor.quant(0).filter(|_| tensor.quant_count() == 1);
    one.ok_or(Refusal::Scales(tensor.index()))
}

/// An unsigned scalar parameter, or `default`.
pub(super) fn scalar(op: &Op<'_>, name: &'static str, default: u32) -> Result<u32, Refusal> {
    op.param(name).map_or(Ok(default), |param| param.as_u32().ok_or(Refusal::Param(name)))
}

/// A float parameter, or `default`; must be finite.
pub(super) fn real(op: &Op<'_>, name: &'static str, default: f32) -> Result<f32, Refusal> {
    let value = op.param(name).map_or(Some(default), |param| param.as_f32());
    value.filter(|value| value.is_finite()).ok_or(Refusal::Param(name))
}

/// A scalar that must be an axis of a tensor of rank `rank`; `None` if it is absent.
pub(super) fn axis(op: &Op<'_>, name: &'static str, rank: usize) -> Result<Option<usize>, Refusal> {
    let Some(param) = op.param(name) else { return Ok(None) };
    let axis = param.as_u32().and_then(|axis| usize::try_from(axis).ok());
    axis.filter(|&axis| axis < rank).map(Some).ok_or(Refusal::Param(name))
}

/// Axes of a tensor of rank `rank` as bits, from a tensor parameter; each at most once.
pub(super) fn axes(op: &Op<'_>, name: &'static str, rank: usize) -> Result<u32, Refusal> {
    let param = op.param(name).ok_or(Refusal::Param(name))?;
    let listed = param.tensor().ok_or(Refusal::Param(name))?;
    let mut bits = 0u32;
    for index in 0..listed.element_count() {
        let axis = param.word(index).ok_or(Refusal::Param(name))?;
        let bit = 1u32.checked_shl(axis).ok_or(Refusal::Param(name))?;
        if !usize::try_from(axis).is_ok_and(|axis| axis < rank) || bits & bit != 0 {
            return Err(Refusal::Param(name));
        }
        bits |= bit;
    }
    Ok(bits)
}

/// Extents before, of and behind an axis.
pub(super) fn split_at(tensor: &Tensor<'_>, axis: usize) -> Result<[usize; 3], Refusal> {
    let shape = shape(tensor)?;
    let wrong = Refusal::Shape(tensor.index());
    let product = |extents: &[usize]| {
        extents.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent))
    };
    let (before, behind) = shape.split_at_checked(axis).ok_or(wrong)?;
    let (&extent, behind) = behind.split_first().ok_or(wrong)?;
    let outer = product(before).ok_or(wrong)?;
    Ok([outer, extent, product(behind).ok_or(wrong)?])
}

/// A boolean parameter; absent means false.
pub(super) fn flag(op: &Op<'_>, name: &'static str) -> Result<bool, Refusal> {
    op.param(name).map_or(Ok(false), |param| param.as_bool().ok_or(Refusal::Param(name)))
}

/// `N` extents from a 32-bit tensor parameter with exactly as many elements, each at most
/// [`EXTENT_MAX`].
pub(super) fn extents<const N: usize>(
    op: &Op<'_>,
    name: &'static str,
    default: Option<[usize; N]>,
) -> Result<[usize; N], Refusal> {
    let Some(param) = op.param(name) else { return default.ok_or(Refusal::Param(name)) };
    let tensor = param.tensor().ok_or(Refusal::Param(name))?;
    if tensor.data_type() != DataType::Uint32 || tensor.element_count() != N {
        return Err(Refusal::Param(name));
    }
    let mut values = [0; N];
    for (index, value) in values.iter_mut().enumerate() {
        let extent = param.word(index).and_then(|word| usize::try_from(word).ok());
        *value = extent.filter(|&it| it <= EXTENT_MAX).ok_or(Refusal::Param(name))?;
    }
    Ok(values)
}

/// Dimensions as extents the kernels can index with.
pub(super) fn shape(tensor: &Tensor<'_>) -> Result<[usize; RANK_MAX], Refusal> {
    let shape = tensor.shape();
    let fits = shape.iter().all(|&extent| extent <= EXTENT_MAX);
    fits.then_some(shape).ok_or(Refusal::Shape(tensor.index()))
}

/// Dimensions of a tensor of rank 4.
pub(super) fn shape_4d(tensor: &Tensor<'_>) -> Result<[usize; 4], Refusal> {
    let [a, b, c, d, ..] = shape(tensor)?;
    (tensor.rank() == 4).then_some([a, b, c, d]).ok_or(Refusal::Shape(tensor.index()))
}

/// Dimensions aligned right, ones before.
pub(super) fn aligned_shape(tensor: &Tensor<'_>) -> Result<[usize; RANK_MAX], Refusal> {
    let mut aligned = [1; RANK_MAX];
    for (to, from) in aligned.iter_mut().rev().zip(tensor.dims().rev()) {
        let extent = usize::try_from(from).ok().filter(|&it| it <= EXTENT_MAX);
        *to = extent.ok_or(Refusal::Shape(tensor.index()))?;
    }
    Ok(aligned)
}

/// Row-major strides of `shape`, in elements.
pub(super) fn strides(shape: &[usize; RANK_MAX]) -> [usize; RANK_MAX] {
    let mut strides = [1; RANK_MAX];
    let mut next = 1usize;
    for (stride, extent) in strides.iter_mut().zip(shape).rev() {
        *stride = next;
        next = next.saturating_mul(*extent);
    }
    strides
}

/// Strides for an operand of `shape` in an index space of `target`: 0 where it is repeated. Refused
/// if it does not fit.
pub(super) fn broadcast_strides(
    shape: &[usize; RANK_MAX],
    target: &[usize; RANK_MAX],
) -> Result<[usize; RANK_MAX], Refusal> {
    let mut strides = strides(shape);
    for ((stride, &extent), &wanted) in strides.iter_mut().zip(shape).zip(target) {
        ensure(extent == wanted || extent == 1)?;
        if extent == 1 {
            *stride = 0;
        }
    }
    Ok(strides)
}
