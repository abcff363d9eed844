//! Reductions, running sums, largest elements, normalizations.

use super::check::{self, ensure};
use super::{Compiled, Extras, Refusal};
use crate::graph::{DataType, Op, Tensor, RANK_MAX};
use crate::vhtp::kernels::codec::Codec;
use crate::vhtp::kernels::normalize::{Lrn, Norm, Normalize};
use crate::vhtp::kernels::reduce::{CumulativeSum, Lines, Reduce, Reduction, Space, TopK};

/// An axis of a tensor: whether it lies inside the groups that are reduced, its extent, and its
/// strides in `N` tensors.
type Axis<const N: usize> = (bool, usize, [usize; N]);

/// The spaces of groups and of elements in a group.
fn spaces<const N: usize>(
    axes: impl Iterator<Item = Axis<N>>,
) -> Result<(Space<N>, Space<N>), Refusal> {
    let (mut outer, mut inner) = (Space::POINT, Space::POINT);
    for (at, (inside, extent, strides)) in axes.enumerate() {
        let space = if inside { &mut inner } else { &mut outer };
        *space.shape.get_mut(at).ok_or(Refusal::Invalid)? = extent;
        for (to, stride) in space.strides.iter_mut().zip(strides) {
            *to.get_mut(at).ok_or(Refusal::Invalid)? = stride;
        }
    }
    Ok((outer, inner))
}

/// Extents and strides of a tensor's axes, in order.
fn axes(x: &Tensor<'_>) -> Result<impl Iterator<Item = (usize, usize)>, Refusal> {
    let unused = RANK_MAX.saturating_sub(x.rank());
    let shape = check::aligned_shape(x)?;
    Ok(shape.into_iter().zip(check::strides(&shape)).skip(unused))
}

fn bit(mask: u32, at: usize) -> bool {
    u32::try_from(at).ok().and_then(|at| mask.checked_shr(at)).is_some_and(|bits| bits & 1 == 1)
}

/// Spaces of a reduction over `mask`, after a look at the output's dimensions.
fn reduced(
    op: &Op<'_>,
    x: &Tensor<'_>,
    out: &Tensor<'_>,
    mask: u32,
) -> Result<(Space<1>, Space<1>), Refusal> {
    let kept = check::flag(op, "keep_dims")?;
    let dims = x.dims().enumerate();
    let expected = dims.filter_map(|(at, dim)| match (bit(mask, at), kept) {
        (false, _) => Some(dim),
        (true, true) => Some(1),
        (true, false) => None,
    });
    // A reduction over everything has one element, whether it has a dimension or none.
    let point = !kept && expected.clone().next().is_none() && out.element_count() == 1;
    ensure(point && out.rank() <= 1 || expected.eq(out.dims()))?;
    spaces(axes(x)?.enumerate().map(|(at, (extent, stride))| (bit(mask, at), extent, [stride])))
}

pub(super) fn reduce(op: &Op<'_>, reduction: Reduction) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axes", "keep_dims"])?;
    let (x, out) = check::unary(op)?;
    let (from, to) = check::codecs(&x, &out, true)?;
    let (outer, inner) = reduced(op, &x, &out, check::axes(op, "axes", x.rank())?)?;
    Ok(Compiled::Reduce(Reduce { reduction, outer, inner, from, to }))
}

pub(super) fn arg(op: &Op<'_>, reduction: Reduction) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axis", "keep_dims"])?;
    let (x, out) = check::unary(op)?;
    let axis = check::axis(op, "axis", x.rank())?.ok_or(Refusal::Param("axis"))?;
    let mask = u32::try_from(axis).ok().and_then(|axis| 1u32.checked_shl(axis));
    let (outer, inner) = reduced(op, &x, &out, mask.ok_or(Refusal::Invalid)?)?;
    let (from, to) = (check::codec(&x)?, index_codec(&out)?);
    Ok(Compiled::Reduce(Reduce { reduction, outer, inner, from, to }))
}

/// An output of indices.
fn index_codec(out: &Tensor<'_>) -> Result<Codec, Refusal> {
    match out.data_type() {
        data_type @ (DataType::Int32 | DataType::Uint32 | DataType::Int64) => {
            Ok(Codec::Whole(data_type))
        }
        _ => Err(Refusal::Unsupported),
    }
}

pub(super) fn cumulative_sum(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axis", "exclusive", "reverse"])?;
    let (x, out) = check::unary(op)?;
    check::same_shape(&x, &out)?;
    let axis = check::axis(op, "axis", x.rank())?.ok_or(Refusal::Param("axis"))?;
    let [outer, extent, inner] = check::split_at(&x, axis)?;
    let (from, to) = check::codecs(&x, &out, true)?;
    let exclusive = check::flag(op, "exclusive")?;
    let reverse = check::flag(op, "reverse")?;
    let lines = Lines { outer, extent, inner };
    Ok(Compiled::CumulativeSum(CumulativeSum { lines, exclusive, reverse, from, to }))
}

/// Values (output 0) or indices (output 1).
pub(super) fn top_k(op: &Op<'_>, extras: &Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["k", "largest"])?;
    ensure(op.inputs().len() == 1 && op.outputs().len() == 2)?;
    let (x, out) = (check::input(op, 0)?, check::output_at(op, extras.output)?);
    let last = x.rank().checked_sub(1).ok_or(Refusal::Invalid)?;
    let k = check::scalar(op, "k", 0)?;
    ensure((1..=x.dim(last)).contains(&k) && out.rank() == x.rank())?;
    ensure(x.dims().take(last).eq(out.dims().take(last)) && out.dim(last) == k)?;
    let indices = extras.output == 1;
    let (from, to) = match indices {
        true => (check::codec(&x)?, index_codec(&out)?),
        false => check::codecs(&x, &out, true)?,
    };
    let largest = op.param("largest").is_none() || check::flag(op, "largest")?;
    let size = |value: u32| usize::try_from(value).map_err(|_| Refusal::Invalid);
    let (extent, k) = (size(x.dim(last))?, size(k)?);
    Ok(Compiled::TopK(TopK { extent, k, largest, indices, from, to }))
}

fn epsilon(op: &Op<'_>, default: f32) -> Result<f64, Refusal> {
    let epsilon = check::real(op, "epsilon", default)?;
    ensure(epsilon >= 0.0)?;
    Ok(epsilon.into())
}

/// Codecs of scale and shift, if they are there; `fits` looks at their dimensions.
fn parameters(
    op: &Op<'_>,
    fits: impl Fn(&Tensor<'_>) -> bool,
) -> Result<[Option<Codec>; 2], Refusal> {
    check::input_count(op, 0..=3)?;
    let codec = |index: usize| {
        let Some(tensor) = check::optional_input(op, index) else { return Ok(None) };
        ensure(fits(&tensor))?;
        check::parameter_codec(&tensor).map(Some)
    };
    Ok([codec(1)?, codec(2)?])
}

fn operands<'a>(op: &Op<'a>) -> Result<(Tensor<'a>, Codec, Codec), Refusal> {
    let (x, out) = (check::input(op, 0)?, check::output(op)?);
    check::same_shape(&x, &out)?;
    let (from, to) = check::codecs(&x, &out, false)?;
    Ok((x, from, to))
}

/// LayerNorm and RmsNorm: groups over some axes, parameters over the same.
pub(super) fn layer_norm(op: &Op<'_>, norm: Norm) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axes", "epsilon"])?;
    let (x, from, to) = operands(op)?;
    let mask = check::axes(op, "axes", x.rank())?;
    let inside = x.dims().enumerate().filter(|(at, _)| bit(mask, *at)).map(|(_, dim)| dim);
    let [scale, shift] = parameters(op, |tensor| inside.clone().eq(tensor.dims()))?;
    let mut strides = [0; RANK_MAX];
    let mut next = 1usize;
    let listed = strides.iter_mut().zip(x.dims()).enumerate().rev();
    for (_, (stride, dim)) in listed.filter(|(at, _)| bit(mask, *at)) {
        *stride = next;
        next = next.saturating_mul(usize::try_from(dim).map_err(|_| Refusal::Invalid)?);
    }
    let axes = axes(&x)?.zip(strides).enumerate();
    let (outer, inner) =
        spaces(axes.map(|(at, ((extent, stride), parameter))| {
            (bit(mask, at), extent, [stride, parameter])
        }))?;
    let epsilon = epsilon(op, if norm == Norm::MeanVariance { 1e-3 } else { 1e-6 })?;
    Ok(Compiled::Normalize(Normalize { norm, epsilon, outer, inner, from, scale, shift, to }))
}

fn is_vector(tensor: &Tensor<'_>, extent: u32) -> bool {
    tensor.rank() == 1 && tensor.dim(0) == extent
}

/// Groups over space, channels or both; the first axis is the batch, the last the channels.
pub(super) fn instance_norm(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["epsilon", "mode", "normalize_variance", "region"])?;
    let (x, from, to) = operands(op)?;
    let last = x.rank().checked_sub(1).filter(|&last| last > 0).ok_or(Refusal::Invalid)?;
    let [scale, shift] = parameters(op, |tensor| is_vector(tensor, x.dim(last)))?;
    let variance =
        op.param("normalize_variance").is_none() || check::flag(op, "normalize_variance")?;
    let norm = match (check::scalar(op, "mode", 0)?, variance) {
        (0, true) => Norm::MeanVariance,
        (0, false) => Norm::Mean,
        (1, _) => Norm::RootMeanSquare,
        _ => return Err(Refusal::Invalid),
    };
    let (space, channels) = match check::scalar(op, "region", 0)? {
        0 => (true, false),
        1 => (false, true),
        2 => (true, true),
        _ => return Err(Refusal::Invalid),
    };
    let axes = axes(&x)?.enumerate();
    let (outer, inner) = spaces(axes.map(|(at, (extent, stride))| {
        let is_channel = at == last;
        let inside = if is_channel { channels } else { at > 0 && space };
        (inside, extent, [stride, usize::from(is_channel)])
    }))?;
    let epsilon = epsilon(op, 1e-12)?;
    Ok(Compiled::Normalize(Normalize { norm, epsilon, outer, inner, from, scale, shift, to }))
}

/// Groups over space and some neighbouring channels.
pub(super) fn group_norm(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["epsilon", "group"])?;
    let (x, from, to) = operands(op)?;
    let last = x.rank().checked_sub(1).filter(|&last| last > 0).ok_or(Refusal::Invalid)?;
    ensure(x.rank() < RANK_MAX)?;
    let [scale, shift] = parameters(op, |tensor| is_vector(tensor, x.dim(last)))?;
    let groups = usize::try_from(check::scalar(op, "group", 0)?).map_err(|_| Refusal::Invalid)?;
    let [_, channels, _] = check::split_at(&x, last)?;
    ensure(channels.checked_rem(groups) == Some(0))?;
    let size = channels.checked_div(groups).ok_or(Refusal::Invalid)?;
    let before = axes(&x)?.take(last).enumerate();
    let before = before.map(|(at, (extent, stride))| (at > 0, extent, [stride, 0]));
    let split = [(false, groups, [size, size]), (true, size, [1, 1])];
    let (outer, inner) = spaces(before.chain(split))?;
    let (norm, epsilon) = (Norm::MeanVariance, epsilon(op, 1e-5)?);
    Ok(Compiled::Normalize(Normalize { norm, epsilon, outer, inner, from, scale, shift, to }))
}

/// One axis, or those that `axes` lists.
pub(super) fn l2_norm(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axis", "axes", "epsilon"])?;
    check::input_count(op, 1..=1)?;
    let (x, from, to) = operands(op)?;
    let mask = match op.param("axes") {
        Some(_) => check::axes(op, "axes", x.rank())?,
        None => {
            let axis = check::axis(op, "axis", x.rank())?.unwrap_or(0);
            let axis = u32::try_from(axis).map_err(|_| Refusal::Invalid)?;
            1u32.checked_shl(axis).ok_or(Refusal::Invalid)?
        }
    };
    let axes = axes(&x)?.enumerate();
    let (outer, inner) =
        spaces(axes.map(|(at, (extent, stride))| (bit(mask, at), extent, [stride, 0])))?;
    let (norm, epsilon) = (Norm::Euclid, epsilon(op, 1e-12)?);
    let (scale, shift) = (None, None);
    Ok(Compiled::Normalize(Normalize { norm, epsilon, outer, inner, from, scale, shift, to }))
}

pub(super) fn lrn(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["alpha", "beta", "bias", "radius", "region"])?;
    check::input_count(op, 1..=1)?;
    let (x, from, to) = operands(op)?;
    match check::scalar(op, "region", 0)? {
        0 => {}
        1 => return Err(Refusal::Unsupported),
        _ => return Err(Refusal::Invalid),
    }
    let radius = op.param("radius").and_then(|radius| radius.as_u32());
    let radius = radius.and_then(|radius| usize::try_from(radius).ok());
    let last = x.rank().checked_sub(1).ok_or(Refusal::Invalid)?;
    let [_, channels, _] = check::split_at(&x, last)?;
    Ok(Compiled::Lrn(Lrn {
        channels,
        radius: radius.ok_or(Refusal::Invalid)?,
        alpha: check::real(op, "alpha", 1.0)?.into(),
        beta: check::real(op, "beta", 0.5)?.into(),
        bias: check::real(op, "bias", 1.0)?.into(),
        from,
        to,
    }))
}
