//! Ops that look at one place at a time, and Softmax.

use super::check::{self, ensure, Fixed, Format};
use super::{Compiled, Refusal};
use crate::graph::{DataType, Op};
use crate::vhtp::kernels::convert::Encoding;
use crate::vhtp::kernels::elementwise::{
    Arithmetic, Binary, Broadcast, Clamp, FloatBinary, SUM_BITS,
};
use crate::vhtp::kernels::fixed::Multiplier;
use crate::vhtp::kernels::softmax::{Side, Softmax};

/// Binary operations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Add,
    Subtract,
    Multiply,
}

pub(super) fn binary(op: &Op<'_>, kind: Kind) -> Result<Compiled, Refusal> {
    check::only_params(op, &[])?;
    ensure(op.inputs().len() == 2)?;
    let (a, b, out) = (check::input(op, 0)?, check::input(op, 1)?, check::output(op)?);
    let (a_shape, b_shape) = (check::aligned_shape(&a)?, check::aligned_shape(&b)?);
    let shape = check::aligned_shape(&out)?;
    ensure(out.rank() == a.rank().max(b.rank()))?;
    for ((&a, &b), &out) in a_shape.iter().zip(&b_shape).zip(&shape) {
        ensure(out == if a == 1 { b } else { a })?;
    }
    let a_strides = check::broadcast_strides(&a_shape, &shape)?;
    let b_strides = check::broadcast_strides(&b_shape, &shape)?;
    let arithmetic = match (check::format(&a)?, check::format(&b)?, check::format(&out)?) {
        (Format::Fixed(a), Format::Fixed(b), Format::Fixed(out))
            if a.element == b.element && a.element == out.element =>
        {
            match kind {
                Kind::Multiply => product(&a, &b, &out)?,
                Kind::Add | Kind::Subtract => sum(&a, &b, &out, kind == Kind::Subtract)?,
            }
        }
        (Format::Real(a), Format::Real(b), Format::Real(out)) if a == b && a == out => {
            Arithmetic::Float(
                a,
                match kind {
                    Kind::Add => FloatBinary::Add,
                    Kind::Subtract => FloatBinary::Subtract,
                    Kind::Multiply => FloatBinary::Multiply,
                },
            )
        }
        _ => return Err(Refusal::Unsupported),
    };
    let broadcast = Broadcast { shape, strides: [a_strides, b_strides] };
    Ok(Compiled::Binary(Binary { broadcast, arithmetic }))
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

pub(super) fn relu(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &[])?;
    clamped(op, 0.0, f32::INFINITY)
}

pub(super) fn relu_min_max(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["min_value", "max_value"])?;
    let bound = |name| op.param(name).and_then(|param| param.as_f32()).ok_or(Refusal::Invalid);
    let (low, high) = (bound("min_value")?, bound("max_value")?);
    ensure(low <= high)?;
    clamped(op, low, high)
}

/// Bounds become input steps, rounded half up.
fn clamped(op: &Op<'_>, low: f32, high: f32) -> Result<Compiled, Refusal> {
    let (x, out) = check::unary(op)?;
    ensure(check::same_shape(&x, &out))?;
    match (check::format(&x)?, check::format(&out)?) {
        (Format::Fixed(x), Format::Fixed(out)) if x.element == out.element => {
            // The conversion to an integer saturates, which leaves infinite bounds without effect.
            let steps =
                |bound: f32| libm::floor(f64::from(bound) / f64::from(x.scale) + 0.5) as i64;
            requantize(&x, &out, steps(low), steps(high))
        }
        (Format::Real(from), Format::Real(to)) if from == to => {
            Ok(Compiled::Clamp(Clamp::Float { from, to, low, high }))
        }
        _ => Err(Refusal::Unsupported),
    }
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

pub(super) fn quantize(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &[])?;
    match convert_between(op)? {
        quantize @ Compiled::Quantize(_) => Ok(quantize),
        _ => Err(Refusal::Unsupported),
    }
}

pub(super) fn dequantize(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &[])?;
    match convert_between(op)? {
        dequantize @ Compiled::Dequantize(_) => Ok(dequantize),
        _ => Err(Refusal::Unsupported),
    }
}

pub(super) fn convert(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["dynamic_input_data", "dynamic_output_data"])?;
    if check::flag(op, "dynamic_input_data")? || check::flag(op, "dynamic_output_data")? {
        return Err(Refusal::Unsupported);
    }
    convert_between(op)
}

fn convert_between(op: &Op<'_>) -> Result<Compiled, Refusal> {
    let (x, out) = check::unary(op)?;
    ensure(check::same_shape(&x, &out))?;
    let encoding = |fixed: Fixed, real| {
        let Fixed { element, scale, offset } = fixed;
        Encoding { fixed: element, real, scale, offset }
    };
    match (check::format(&x)?, check::format(&out)?) {
        (Format::Fixed(x), Format::Fixed(out)) => requantize(&x, &out, i64::MIN, i64::MAX),
        (Format::Real(real), Format::Fixed(out)) => Ok(Compiled::Quantize(encoding(out, real))),
        (Format::Fixed(x), Format::Real(real)) => Ok(Compiled::Dequantize(encoding(x, real))),
        (Format::Real(from), Format::Real(to)) => {
            let (low, high) = (f32::NEG_INFINITY, f32::INFINITY);
            Ok(Compiled::Clamp(Clamp::Float { from, to, low, high }))
        }
    }
}

/// By value; a quantized element counts as the integer it stores. Between quantized and float there
/// is `Convert`.
pub(super) fn cast(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &[])?;
    let (x, out) = check::unary(op)?;
    ensure(check::same_shape(&x, &out))?;
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

pub(super) fn softmax(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axis", "beta"])?;
    let (x, out) = check::unary(op)?;
    ensure(check::same_shape(&x, &out))?;
    let shape = check::shape(&x)?;
    let last = u32::try_from(x.rank()).ok().and_then(|rank| rank.checked_sub(1));
    let axis = check::scalar(op, "axis", last.ok_or(Refusal::Invalid)?)?;
    let axis = usize::try_from(axis).map_err(|_| Refusal::Invalid)?;
    ensure(axis < x.rank())?;
    let beta = op.param("beta").map_or(Some(1.0), |param| param.as_f32());
    let beta = beta.filter(|beta| *beta > 0.0 && beta.is_finite()).ok_or(Refusal::Invalid)?;
    let side = |format| match format {
        Format::Fixed(Fixed { element, scale, offset }) => Side::Fixed { element, scale, offset },
        Format::Real(real) => Side::Real(real),
    };
    let (from, to) = (check::format(&x)?, check::format(&out)?);
    match (&from, &to) {
        (Format::Fixed(a), Format::Fixed(b)) if a.element == b.element => {}
        (Format::Fixed(_), Format::Real(_)) => {}
        (Format::Real(a), Format::Real(b)) if a == b => {}
        _ => return Err(Refusal::Unsupported),
    }
    Ok(Compiled::Softmax(Softmax {
        outer: shape.iter().take(axis).fold(1, |product, &extent| product.saturating_mul(extent)),
        axis: shape.get(axis).copied().unwrap_or(1),
        inner: shape
            .iter()
            .skip(axis.saturating_add(1))
            .fold(1, |product, &extent| product.saturating_mul(extent)),
        beta,
        from: side(from),
        to: side(to),
    }))
}
