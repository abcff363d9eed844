//! Ops that look at one place at a time, and Softmax.

use super::check::{self, ensure, Fixed, Format};
use super::{pointwise, Compiled, Extras, Refusal};
use crate::graph::{DataType, Op, Tensor, RANK_MAX};
use crate::vhtp::kernels::codec::Codec;
use crate::vhtp::kernels::convert::Encoding;
use crate::vhtp::kernels::element::Unit;
use crate::vhtp::kernels::elementwise::{
    Arithmetic, Binary, Broadcast, Clamp, FloatBinary, Limit, SUM_BITS,
};
use crate::vhtp::kernels::fixed::Multiplier;
use crate::vhtp::kernels::function::{Binary as Function, Unary};
use crate::vhtp::kernels::pointwise::Map;
use crate::vhtp::kernels::softmax::Softmax;

/// Add, Subtract and Multiply without a detour over real numbers, where there is such a way.
/// Otherwise a refusal.
pub(super) fn binary(
    a: &Tensor<'_>,
    b: &Tensor<'_>,
    out: &Tensor<'_>,
    function: Function,
    (shape, strides): ([usize; RANK_MAX], [[usize; RANK_MAX]; 2]),
) -> Result<Compiled, Refusal> {
    let arithmetic = match (check::format(a)?, check::format(b)?, check::format(out)?) {
        (Format::Fixed(a), Format::Fixed(b), Format::Fixed(out))
            if a.element == b.element && a.element == out.element =>
        {
            match function {
                Function::Multiply => product(&a, &b, &out)?,
                Function::Add => sum(&a, &b, &out, false)?,
                Function::Subtract => sum(&a, &b, &out, true)?,
                _ => return Err(Refusal::Unsupported),
            }
        }
        (Format::Real(a), Format::Real(b), Format::Real(out)) if a == b && a == out => {
            Arithmetic::Float(
                a,
                match function {
                    Function::Add => FloatBinary::Add,
                    Function::Subtract => FloatBinary::Subtract,
                    Function::Multiply => FloatBinary::Multiply,
                    _ => return Err(Refusal::Unsupported),
                },
                unit(function, &shape, &strides),
            )
        }
        _ => return Err(Refusal::Unsupported),
    };
    Ok(Compiled::Binary(Binary { broadcast: Broadcast { shape, strides }, arithmetic }))
}

/// Channels from which on a sum of two tensors of one shape is a sum of products, with factors 1.
const MATRIX_CHANNELS: usize = 16;

/// What computes a function of float operands.
fn unit(
    function: Function,
    [.., channels]: &[usize; RANK_MAX],
    [a, b]: &[[usize; RANK_MAX]; 2],
) -> Unit {
    let sum = function == Function::Add && a == b;
    if sum && *channels >= MATRIX_CHANNELS {
        Unit::Matrix
    } else {
        Unit::Vector
    }
}

fn product(a: &Fixed, b: &Fixed, out: &Fixed) -> Result<Arithmetic, Refusal> {
    let factor = f64::from(a.scale) * f64::from(b.scale) / f64::from(out.scale);
    Ok(Arithmetic::Product {
        element: a.element,
        offsets: [a.offset, b.offset],
        multiplier: Multiplier::new(factor).ok_or(Refusal::Invalid)?,
        out_offset: out.offset,
    })
}

fn sum(a: &Fixed, b: &Fixed, out: &Fixed, subtract: bool) -> Result<Arithmetic, Refusal> {
    let one = (1u64 << SUM_BITS) as f64;
    let scale = |side: &Fixed| {
        let scale = libm::floor(f64::from(side.scale) / f64::from(out.scale) * one + 0.5);
        ensure(scale < (1u64 << 62) as f64)?;
        Ok(scale as i64)
    };
    let (a_scale, b_scale) = (scale(a)?, scale(b)?);
    let reach = |side: &Fixed, scale: i64| {
        u128::from(side.magnitude()).saturating_mul(u128::from(scale.unsigned_abs()))
    };
    let reach = reach(a, a_scale).saturating_add(reach(b, b_scale)).saturating_add(1 << SUM_BITS);
    Ok(Arithmetic::Sum {
        element: a.element,
        offsets: [a.offset, b.offset],
        scales: [a_scale, if subtract { b_scale.wrapping_neg() } else { b_scale }],
        narrow: reach < 1 << 63,
        out_offset: out.offset,
    })
}

pub(super) fn relu(
    op: &Op<'_>,
    extras: &mut Extras<'_>,
    low: f32,
    high: f32,
) -> Result<Compiled, Refusal> {
    check::only_params(op, &[])?;
    clamped(op, extras, low, high)
}

pub(super) fn relu_min_max(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["min_value", "max_value"])?;
    bounded(op, extras)
}

/// Between the bounds that parameters say.
pub(super) fn bounded(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    let (low, high) = bounds(op)?;
    clamped(op, extras, low, high)
}

/// The bounds that parameters say.
pub(super) fn bounds(op: &Op<'_>) -> Result<(f32, f32), Refusal> {
    let bound = |name| op.param(name).and_then(|param| param.as_f32()).ok_or(Refusal::Invalid);
    let (low, high) = (bound("min_value")?, bound("max_value")?);
    ensure(low <= high)?;
    Ok((low, high))
}

/// A bound in steps, rounded half up: rounding keeps the order, so clamping the rounded value gives
/// what rounding the clamped one would. The conversion to an integer saturates, which leaves
/// infinite bounds without effect.
fn steps(bound: f32, out: &Fixed) -> i64 {
    libm::floor(f64::from(bound) / f64::from(out.scale) + 0.5) as i64
}

/// What brings the elements of `out` between two bounds.
pub(super) fn limit(out: &Tensor<'_>, low: f32, high: f32) -> Result<Limit, Refusal> {
    Ok(match check::format(out)? {
        Format::Fixed(out) => {
            let (min, max) = out.element.range();
            let stored = |bound| steps(bound, &out).saturating_sub(out.offset.into());
            let within = |bound: i64| bound.max(min).min(max);
            Limit::Quantized(out.element, within(stored(low)), within(stored(high)))
        }
        Format::Real(real) => Limit::Float(real, low, high),
    })
}

/// Bounds become output steps.
pub(super) fn clamped(
    op: &Op<'_>,
    extras: &mut Extras<'_>,
    low: f32,
    high: f32,
) -> Result<Compiled, Refusal> {
    let (x, out) = check::unary(op)?;
    check::same_shape(&x, &out)?;
    let fast = match (check::format(&x), check::format(&out)) {
        (Ok(Format::Fixed(x)), Ok(Format::Fixed(out))) if x.element == out.element => {
            requantize(&x, &out, steps(low, &out), steps(high, &out))
        }
        (Ok(Format::Real(from)), Ok(Format::Real(to))) if from == to => {
            Ok(Compiled::Clamp(Clamp::Float { from, to, low, high }))
        }
        _ => Err(Refusal::Unsupported),
    };
    fast.or_else(|_| pointwise::map(op, extras, Unary::Clamp(low.into(), high.into())))
}

fn requantize(x: &Fixed, out: &Fixed, low: i64, high: i64) -> Result<Compiled, Refusal> {
    let factor = f64::from(x.scale) / f64::from(out.scale);
    Ok(Compiled::Clamp(Clamp::Quantized {
        from: x.element,
        to: out.element,
        in_offset: x.offset,
        low,
        high,
        multiplier: Multiplier::new(factor).ok_or(Refusal::Invalid)?,
        out_offset: out.offset,
    }))
}

pub(super) fn quantize(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &[])?;
    let (x, out) = check::unary(op)?;
    match (check::codec(&x)?, check::codec(&out)?) {
        (Codec::Real(_), Codec::Fixed { .. } | Codec::Wide { .. }) => convert_between(op, extras),
        _ => Err(Refusal::Unsupported),
    }
}

pub(super) fn dequantize(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &[])?;
    let (x, out) = check::unary(op)?;
    match (check::codec(&x)?, check::codec(&out)?) {
        (Codec::Fixed { .. } | Codec::Wide { .. }, Codec::Real(_)) => convert_between(op, extras),
        _ => Err(Refusal::Unsupported),
    }
}

pub(super) fn convert(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["dynamic_input_data", "dynamic_output_data"])?;
    if check::flag(op, "dynamic_input_data")? || check::flag(op, "dynamic_output_data")? {
        return Err(Refusal::Unsupported);
    }
    convert_between(op, extras)
}

fn convert_between(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    let (x, out) = check::unary(op)?;
    check::same_shape(&x, &out)?;
    let encoding = |fixed: Fixed, real| {
        let Fixed { element, scale, offset } = fixed;
        Encoding { fixed: element, real, scale, offset }
    };
    let fast = match (check::format(&x), check::format(&out)) {
        (Ok(Format::Fixed(x)), Ok(Format::Fixed(out))) => requantize(&x, &out, i64::MIN, i64::MAX),
        (Ok(Format::Real(real)), Ok(Format::Fixed(out))) => {
            Ok(Compiled::Quantize(encoding(out, real)))
        }
        (Ok(Format::Fixed(x)), Ok(Format::Real(real))) => {
            Ok(Compiled::Dequantize(encoding(x, real)))
        }
        (Ok(Format::Real(from)), Ok(Format::Real(to))) => {
            let (low, high) = (f32::NEG_INFINITY, f32::INFINITY);
            Ok(Compiled::Clamp(Clamp::Float { from, to, low, high }))
        }
        _ => Err(Refusal::Unsupported),
    };
    fast.or_else(|_| through_real_numbers(&x, &out, extras))
}

/// 32-bit quantizations, and bytes and truth values as the numbers 0 to 255.
fn through_real_numbers(
    x: &Tensor<'_>,
    out: &Tensor<'_>,
    extras: &mut Extras<'_>,
) -> Result<Compiled, Refusal> {
    let (from, to) = (check::codec(x)?, check::codec(out)?);
    let supported = match (from, to) {
        (Codec::Whole(DataType::Uint8 | DataType::Bool8), Codec::Fixed { .. }) => true,
        (Codec::Fixed { .. }, Codec::Whole(data_type)) => data_type == DataType::Bool8,
        (Codec::Whole(_), _) | (_, Codec::Whole(_)) => false,
        _ => true,
    };
    supported.then_some(()).ok_or(Refusal::Unsupported)?;
    pointwise::between(x, out, Map { function: Unary::Identity, from, to }, extras)
}

/// By value; a quantized element counts as the integer it stores. Between quantized and float there
/// is `Convert`.
pub(super) fn cast(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &[])?;
    let (x, out) = check::unary(op)?;
    check::same_shape(&x, &out)?;
    let (from, to) = (x.data_type(), out.data_type());
    let float = |data_type| check::real_type(data_type).is_some();
    let quantized = |data_type: DataType| {
        matches!(data_type, DataType::Sfixed32 | DataType::Ufixed32)
            || check::fixed_type(data_type).is_some()
    };
    if (float(from) && quantized(to)) || (quantized(from) && float(to)) {
        return Err(Refusal::Unsupported);
    }
    Ok(Compiled::Cast(from, to))
}

pub(super) fn softmax(op: &Op<'_>, log: bool) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axis", "beta"])?;
    let (x, out) = check::unary(op)?;
    check::same_shape(&x, &out)?;
    let last = x.rank().checked_sub(1).ok_or(Refusal::Invalid)?;
    let axis = check::axis(op, "axis", x.rank())?.unwrap_or(last);
    let beta = check::real(op, "beta", 1.0)?;
    ensure(beta > 0.0)?;
    let (from, to) = (check::format(&x)?, check::format(&out)?);
    match (&from, &to) {
        (Format::Fixed(a), Format::Fixed(b)) if a.element == b.element => {}
        (Format::Fixed(_), Format::Real(_)) => {}
        (Format::Real(a), Format::Real(b)) if a == b => {}
        _ => return Err(Refusal::Unsupported),
    }
    let [outer, axis, inner] = check::split_at(&x, axis)?;
    let (from, to) = (from.codec(), to.codec());
    Ok(Compiled::Softmax(Softmax { outer, axis, inner, beta, log, from, to }))
}
