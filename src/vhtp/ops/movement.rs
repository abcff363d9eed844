//! Reshape, Transpose and Concat.

use super::check::{self, ensure};
use super::{Channels, Compiled, Refusal};
use crate::graph::{DataType, Op, Tensor, RANK_MAX};
use crate::vhtp::kernels::fixed::{Channel, Multiplier};
use crate::vhtp::kernels::movement::{Concat, Transpose};

/// Whether elements can move from `a` to `b` as they are: same type, same quantization of the whole
/// tensor.
fn interchangeable(a: &Tensor<'_>, b: &Tensor<'_>) -> bool {
    a.data_type() == b.data_type()
        && a.quant_count() <= 1
        && a.quant_count() == b.quant_count()
        && a.quant(0) == b.quant(0)
}

pub(super) fn reshape(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &[])?;
    let (x, out) = check::unary(op)?;
    ensure(interchangeable(&x, &out) && x.element_count() == out.element_count())?;
    Ok(Compiled::Copy)
}

pub(super) fn transpose(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["perm"])?;
    let (x, out) = check::unary(op)?;
    let rank = x.rank();
    ensure(interchangeable(&x, &out) && out.rank() == rank)?;
    let perm = op.param("perm").ok_or(Refusal::Invalid)?;
    let listed = perm.tensor().ok_or(Refusal::Invalid)?;
    ensure(listed.data_type() == DataType::Uint32 && listed.element_count() == rank)?;
    let in_shape = check::aligned_shape(&x)?;
    let in_strides = check::strides(&in_shape);
    let shape = check::aligned_shape(&out)?;
    let unused = RANK_MAX.saturating_sub(rank);
    let mut strides = [0; RANK_MAX];
    let mut seen = 0u32;
    for (axis, stride) in strides.iter_mut().skip(unused).enumerate() {
        let from = perm.word(axis).ok_or(Refusal::Invalid)?;
        seen |= 1u32.checked_shl(from).ok_or(Refusal::Invalid)?;
        let from = usize::try_from(from).map_err(|_| Refusal::Invalid)?;
        ensure(from < rank && x.dim(from) == out.dim(axis))?;
        *stride = *in_strides.get(from.saturating_add(unused)).ok_or(Refusal::Invalid)?;
    }
    ensure(usize::try_from(seen.count_ones()) == Ok(rank))?;
    let element_bytes = x.data_type().size_bytes();
    Ok(Compiled::Transpose(Transpose { element_bytes, shape, strides }))
}

pub(super) fn concat(op: &Op<'_>, channels: &mut Channels<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axis"])?;
    let out = check::output(op)?;
    let last = u32::try_from(out.rank()).ok().and_then(|rank| rank.checked_sub(1));
    let axis = check::scalar(op, "axis", last.ok_or(Refusal::Invalid)?)?;
    let axis = usize::try_from(axis).map_err(|_| Refusal::Invalid)?;
    ensure(axis < out.rank() && !op.inputs().is_empty())?;
    let mut extent = 0u32;
    let mut same = true;
    for index in 0..op.inputs().len() {
        let x = check::input(op, index)?;
        ensure(x.rank() == out.rank() && x.data_type() == out.data_type())?;
        let other_dims = x.dims().zip(out.dims()).enumerate();
        ensure(other_dims.into_iter().all(|(at, (from, to))| at == axis || from == to))?;
        extent = extent.checked_add(x.dim(axis)).ok_or(Refusal::Invalid)?;
        same &= interchangeable(&x, &out);
    }
    ensure(extent == out.dim(axis))?;
    let outer = out
        .dims()
        .take(axis)
        .try_fold(1usize, |product, dim| product.checked_mul(usize::try_from(dim).ok()?));
    let outer = outer.ok_or(Refusal::Invalid)?;
    if same {
        return Ok(Compiled::Concat(Concat { outer, requantize: None, out_offset: 0 }));
    }
    let to = fixed(&out)?;
    for index in 0..op.inputs().len() {
        let from = fixed(&check::input(op, index)?)?;
        let factor = f64::from(from.scale) / f64::from(to.scale);
        let multiplier = Multiplier::new(factor).ok_or(Refusal::Invalid)?;
        channels.push(Channel { bias: from.offset.into(), multiplier, ..Channel::NEUTRAL })?;
    }
    Ok(Compiled::Concat(Concat { outer, requantize: Some(to.element), out_offset: to.offset }))
}

fn fixed(tensor: &Tensor<'_>) -> Result<check::Fixed, Refusal> {
    match check::format(tensor)? {
        check::Format::Fixed(fixed) => Ok(fixed),
        check::Format::Real(_) => Err(Refusal::Invalid),
    }
}
