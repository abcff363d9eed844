//! Functions of the elements at one place: activations, arithmetic, comparisons, choices.

use super::check::{self, ensure};
use super::{Compiled, Extras, Refusal};
use crate::graph::{DataType, Op, Tensor, RANK_MAX};
use crate::vhtp::kernels::codec::Codec;
use crate::vhtp::kernels::function::{Binary, Ternary, Unary};
use crate::vhtp::kernels::pointwise::{tabulate, Map, Pointwise};

/// A function without parameters.
pub(super) fn plain(
    op: &Op<'_>,
    extras: &mut Extras<'_>,
    function: Unary,
) -> Result<Compiled, Refusal> {
    check::only_params(op, &[])?;
    map(op, extras, function)
}

/// A function whose parameters were read.
pub(super) fn map(
    op: &Op<'_>,
    extras: &mut Extras<'_>,
    function: Unary,
) -> Result<Compiled, Refusal> {
    let (x, out) = check::unary(op)?;
    let is_bool = |tensor: &Tensor<'_>| tensor.data_type() == DataType::Bool8;
    let (from, to) = match function {
        Unary::Not if is_bool(&x) && is_bool(&out) => (check::codec(&x)?, check::codec(&out)?),
        Unary::IsNan if is_bool(&out) => (check::real_codec(&x)?, check::codec(&out)?),
        Unary::Not | Unary::IsNan => return Err(Refusal::Unsupported),
        _ => check::codecs(&x, &out, true)?,
    };
    if matches!(from, Codec::Whole(_)) && matches!(to, Codec::Whole(_)) {
        function.apply_whole(0).ok_or(Refusal::Unsupported)?;
    }
    between(&x, &out, Map { function, from, to }, extras)
}

/// A map of `x` to `out`, through a table if the tensor has more elements than the type has values.
pub(super) fn between(
    x: &Tensor<'_>,
    out: &Tensor<'_>,
    map: Map,
    extras: &mut Extras<'_>,
) -> Result<Compiled, Refusal> {
    check::same_shape(x, out)?;
    let codes = match map.from {
        Codec::Fixed { element, .. } => 1usize.checked_shl(element.bits()),
        _ => None,
    };
    if let Some(codes) = codes.filter(|&codes| x.element_count() > codes) {
        if let Some(table) = extras.table(codes.saturating_mul(map.to.size()))? {
            tabulate(&map, table).ok_or(Refusal::Invalid)?;
        }
    }
    Ok(Compiled::Map(map))
}

pub(super) fn elu(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["alpha"])?;
    map(op, extras, Unary::Elu(check::real(op, "alpha", 1.0)?.into()))
}

fn softplus_function(op: &Op<'_>) -> Result<Unary, Refusal> {
    let beta = check::real(op, "beta", 1.0)?;
    ensure(beta != 0.0)?;
    Ok(Unary::Softplus(beta.into(), check::real(op, "threshold", -1.0)?.into()))
}

pub(super) fn softplus(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["beta", "threshold"])?;
    let function = softplus_function(op)?;
    map(op, extras, function)
}

/// An activation that a parameter names.
pub(super) fn neuron(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    let names = ["operation", "alpha", "beta", "min_value", "max_value", "threshold"];
    check::only_params(op, &names)?;
    let real = |name, default| check::real(op, name, default).map(f64::from);
    let function = match operation(op)? {
        0 => Unary::Elu(real("alpha", 1.0)?),
        1 => Unary::Gelu,
        2 => Unary::HardSigmoid(real("alpha", 0.2)?, real("beta", 0.5)?),
        3 => Unary::HardSwish,
        4 => return super::elementwise::clamped(op, extras, 0.0, f32::INFINITY),
        5 => return super::elementwise::bounded(op, extras),
        6 => Unary::Sigmoid,
        7 => softplus_function(op)?,
        8 => Unary::Tanh,
        _ => return Err(UNKNOWN),
    };
    map(op, extras, function)
}

/// No function has the number that the parameter gives.
const UNKNOWN: Refusal = Refusal::Param("operation");

fn operation(op: &Op<'_>) -> Result<u32, Refusal> {
    op.param("operation").and_then(|param| param.as_u32()).ok_or(UNKNOWN)
}

/// The functions of `ElementWiseUnary`, by number.
const UNARY: [Unary; 16] = [
    Unary::Abs,
    Unary::Asin,
    Unary::Atan,
    Unary::Ceil,
    Unary::Cos,
    Unary::Exp,
    Unary::Floor,
    Unary::Log,
    Unary::Neg,
    Unary::Not,
    Unary::Reciprocal,
    Unary::Round,
    Unary::Rsqrt,
    Unary::Sign,
    Unary::Sin,
    Unary::SquareRoot,
];

/// A function that a parameter names.
pub(super) fn unary(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["operation"])?;
    let function = usize::try_from(operation(op)?).ok().and_then(|at| UNARY.get(at).copied());
    map(op, extras, function.ok_or(UNKNOWN)?)
}

/// The functions of `ElementWiseBinary`, by number.
const BINARY: [Binary; 20] = [
    Binary::Add,
    Binary::And,
    Binary::Divide,
    Binary::Equal,
    Binary::FloorDiv,
    Binary::Fmod,
    Binary::Greater,
    Binary::GreaterEqual,
    Binary::Less,
    Binary::LessEqual,
    Binary::Maximum,
    Binary::Minimum,
    Binary::Mod,
    Binary::Multiply,
    Binary::NotEqual,
    Binary::Or,
    Binary::Power,
    Binary::SquaredDifference,
    Binary::Subtract,
    Binary::Xor,
];

/// A function of two operands that a parameter names.
pub(super) fn any_binary(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["operation"])?;
    let function = usize::try_from(operation(op)?).ok().and_then(|at| BINARY.get(at).copied());
    operate(op, function.ok_or(UNKNOWN)?)
}

/// A function of two operands.
pub(super) fn binary(op: &Op<'_>, function: Binary) -> Result<Compiled, Refusal> {
    check::only_params(op, &[])?;
    operate(op, function)
}

fn operate(op: &Op<'_>, function: Binary) -> Result<Compiled, Refusal> {
    check::input_count(op, 2..=2)?;
    let (a, b, out) = (check::input(op, 0)?, check::input(op, 1)?, check::output(op)?);
    let (shape, strides) = broadcast([&a, &b], &out)?;
    if let Ok(fast) = super::elementwise::binary(&a, &b, &out, function, (shape, strides)) {
        return Ok(fast);
    }
    let from = [check::codec(&a)?, check::codec(&b)?];
    let to = check::codec(&out)?;
    let same = a.data_type() == b.data_type();
    if !fits(function, from, to, same) {
        let fixed = |codec: Codec| matches!(codec, Codec::Fixed { .. });
        let wrong = match from {
            [a, b] if fixed(a) && (fixed(b) || function == Binary::Power) => &out,
            _ if !same => &b,
            _ if out.data_type() != a.data_type() => &out,
            _ => &a,
        };
        return Err(Refusal::Type(wrong.index()));
    }
    Ok(Compiled::Operate(Pointwise { function, shape, strides, from, to }))
}

/// Whether a function exists for these types.
fn fits(function: Binary, from: [Codec; 2], to: Codec, same: bool) -> bool {
    let bool8 = Codec::Whole(DataType::Bool8);
    let fixed = |codec: Codec| matches!(codec, Codec::Fixed { .. });
    let whole = |codec: Codec| matches!(codec, Codec::Whole(_)) && codec != bool8;
    let [a, b] = from;
    let truths = function.compares() || function.is_logical();
    match (a, b) {
        _ if function.is_logical() => {
            let logical = |codec: Codec| codec == bool8 || fixed(codec) && codec.size() == 1;
            [a, b, to].into_iter().all(logical)
        }
        _ if truths => {
            let equality = matches!(function, Binary::Equal | Binary::NotEqual);
            let comparable = fixed(a) && fixed(b) || same && (a != bool8 || equality);
            comparable && (to == bool8 || fixed(to) && to.size() == 1 || whole(a) && whole(to))
        }
        (Codec::Real(_), Codec::Real(_)) => same && a == to,
        // A Power's exponent may be of any type.
        (Codec::Fixed { .. }, _) if function == Binary::Power => fixed(to),
        (Codec::Fixed { .. }, Codec::Fixed { .. }) => fixed(to),
        _ => whole(a) && same && to == a,
    }
}

/// Index space of `out` with the strides of operands that broadcast to it.
pub(super) fn broadcast<const N: usize>(
    operands: [&Tensor<'_>; N],
    out: &Tensor<'_>,
) -> Result<([usize; RANK_MAX], [[usize; RANK_MAX]; N]), Refusal> {
    let shape = check::aligned_shape(out)?;
    let mut strides = [[0; RANK_MAX]; N];
    let (mut largest, mut rank) = ([1; RANK_MAX], 0);
    for (operand, strides) in operands.iter().zip(&mut strides) {
        let extents = check::aligned_shape(operand)?;
        let fitting = check::broadcast_strides(&extents, &shape);
        *strides = fitting.map_err(|_| Refusal::Shape(operand.index()))?;
        largest.iter_mut().zip(extents).for_each(|(to, extent)| *to = extent.max(*to));
        rank = operand.rank().max(rank);
    }
    let exact = largest == shape && rank == out.rank();
    exact.then_some((shape, strides)).ok_or(Refusal::Shape(out.index()))
}

/// The slopes are the second operand and broadcast; they may be of another fixed-point type.
pub(super) fn prelu(op: &Op<'_>) -> Result<Compiled, Refusal> {
    binary(op, Binary::Prelu)
}

pub(super) fn select(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &[])?;
    check::input_count(op, 3..=3)?;
    let (condition, out) = (check::input(op, 0)?, check::output(op)?);
    let (a, b) = (check::input(op, 1)?, check::input(op, 2)?);
    let (shape, strides) = broadcast([&condition, &a, &b], &out)?;
    let from = [check::codec(&condition)?, check::codec(&a)?, check::codec(&b)?];
    let to = check::codec(&out)?;
    let same = a.data_type() == b.data_type() && a.data_type() == out.data_type();
    let exact = !matches!(out.data_type(), DataType::Int64 | DataType::Uint64);
    let decides = matches!(from[0], Codec::Whole(_) | Codec::Fixed { .. });
    if !(same && exact && decides) {
        return Err(Refusal::Unsupported);
    }
    let function = Ternary::Select;
    Ok(Compiled::Operate3(Pointwise { function, shape, strides, from, to }))
}

/// A factor and a summand for each channel of the last axis.
pub(super) fn batchnorm(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &[])?;
    let (x, weights, out) = (check::input(op, 0)?, check::input(op, 1)?, check::output(op)?);
    let last = x.rank().checked_sub(1).ok_or(Refusal::Invalid)?;
    let parameter = |tensor: &Tensor<'_>| match tensor.rank() == 1 && tensor.dim(0) == x.dim(last) {
        true => check::parameter_codec(tensor),
        false => Err(Refusal::Shape(tensor.index())),
    };
    check::input_count(op, 2..=3)?;
    let (from, to) = check::codecs(&x, &out, false)?;
    let scale = parameter(&weights)?;
    let Some(bias) = check::optional_input(op, 2) else {
        let (shape, strides) = broadcast([&x, &weights], &out)?;
        let (function, from) = (Binary::Multiply, [from, scale]);
        return Ok(Compiled::Operate(Pointwise { function, shape, strides, from, to }));
    };
    let (shape, strides) = broadcast([&x, &weights, &bias], &out)?;
    let (function, from) = (Ternary::MultiplyAdd, [from, scale, parameter(&bias)?]);
    Ok(Compiled::Operate3(Pointwise { function, shape, strides, from, to }))
}
