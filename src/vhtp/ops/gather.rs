//! Gather and Scatter.

use super::check::{self, ensure};
use super::movement::change;
use super::{Compiled, Refusal};
use crate::graph::{DataType, Op, Tensor, RANK_MAX};
use crate::vhtp::kernels::codec::Codec;
use crate::vhtp::kernels::function::Binary;
use crate::vhtp::kernels::gather::{Elements, Gather, Nd, Update};

fn index_codec(indices: &Tensor<'_>) -> Result<Codec, Refusal> {
    match indices.data_type() {
        data_type @ (DataType::Int32 | DataType::Uint32 | DataType::Int64) => {
            Ok(Codec::Whole(data_type))
        }
        _ => Err(Refusal::Unsupported),
    }
}

/// An axis parameter that may be signed: negative ones count from the end.
fn signed_axis(op: &Op<'_>, rank: usize) -> Result<usize, Refusal> {
    let param = op.param("axis").ok_or(Refusal::Param("axis"))?;
    let (data_type, bits) = param.scalar().ok_or(Refusal::Param("axis"))?;
    let axis = match data_type {
        DataType::Int32 => i64::from(bits as u32 as i32),
        _ => i64::from(param.as_u32().ok_or(Refusal::Invalid)?),
    };
    let rank_signed = i64::try_from(rank).map_err(|_| Refusal::Invalid)?;
    let axis = if axis < 0 { axis.saturating_add(rank_signed) } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank).ok_or(Refusal::Invalid)
}

pub(super) fn gather(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axis"])?;
    check::input_count(op, 2..=2)?;
    let (x, at, out) = (check::input(op, 0)?, check::input(op, 1)?, check::output(op)?);
    let axis = signed_axis(op, x.rank())?;
    let dims = x.dims().take(axis).chain(at.dims()).chain(x.dims().skip(axis.saturating_add(1)));
    // A single index may come with or without a dimension of its own.
    let scalar = at.element_count() == 1 && x.element_count() != 0;
    let without = x.dims().take(axis).chain(x.dims().skip(axis.saturating_add(1)));
    ensure(dims.eq(out.dims()) || scalar && without.eq(out.dims()))?;
    let [_, extent, inner] = check::split_at(&x, axis)?;
    Ok(Compiled::Gather(
        Gather {
            extent,
            block: inner.saturating_mul(x.data_type().size_bytes()),
            index: index_codec(&at)?,
            indices: at.element_count(),
        },
        change(&x, &out)?,
    ))
}

/// Where single elements of `data` lie for `indices`.
fn elements(op: &Op<'_>, data: &Tensor<'_>, indices: &Tensor<'_>) -> Result<Elements, Refusal> {
    ensure(data.rank() == indices.rank() && data.rank() > 0)?;
    let axis = match op.param("axis") {
        Some(_) => signed_axis(op, data.rank())?,
        None => 0,
    };
    let mut dims = data.dims().zip(indices.dims()).enumerate();
    ensure(dims.all(|(at, (extent, index))| at == axis || index <= extent))?;
    let mut strides = check::strides(&check::aligned_shape(data)?);
    let unused = RANK_MAX.saturating_sub(data.rank());
    let along = strides.get_mut(axis.saturating_add(unused)).ok_or(Refusal::Invalid)?;
    let stride = core::mem::take(along);
    let [_, extent, _] = check::split_at(data, axis)?;
    Ok(Elements {
        shape: check::aligned_shape(indices)?,
        strides,
        extent,
        stride,
        index: index_codec(indices)?,
        element_bytes: data.data_type().size_bytes(),
    })
}

pub(super) fn gather_elements(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axis"])?;
    check::input_count(op, 2..=2)?;
    let (x, at, out) = (check::input(op, 0)?, check::input(op, 1)?, check::output(op)?);
    check::same_shape(&at, &out)?;
    Ok(Compiled::GatherElements(elements(op, &x, &at)?, change(&x, &out)?))
}

/// Where blocks of `data` lie for rows of coordinates, behind `batch_dims` common dimensions.
fn nd(data: &Tensor<'_>, indices: &Tensor<'_>, batch_dims: usize) -> Result<Nd, Refusal> {
    let last = indices.rank().checked_sub(1).ok_or(Refusal::Invalid)?;
    let depth = usize::try_from(indices.dim(last)).map_err(|_| Refusal::Invalid)?;
    let used = batch_dims.checked_add(depth).filter(|&used| used <= data.rank());
    let used = used.ok_or(Refusal::Invalid)?;
    ensure(depth > 0 && batch_dims <= last)?;
    ensure(data.dims().take(batch_dims).eq(indices.dims().take(batch_dims)))?;
    let shape = check::shape(data)?;
    let mut extents = [1; RANK_MAX];
    let coordinates = shape.iter().skip(batch_dims).take(depth);
    extents.iter_mut().zip(coordinates).for_each(|(to, from)| *to = *from);
    let product = |from: usize, to: usize, dims: &[usize; RANK_MAX]| {
        let dims = dims.iter().take(to).skip(from);
        dims.fold(1usize, |product, &extent| product.saturating_mul(extent))
    };
    let size = data.data_type().size_bytes();
    Ok(Nd {
        rows: product(batch_dims, last, &check::shape(indices)?),
        depth,
        extents,
        block: product(used, RANK_MAX, &shape).saturating_mul(size),
        batch: product(batch_dims, RANK_MAX, &shape).saturating_mul(size),
        index: index_codec(indices)?,
    })
}

pub(super) fn gather_nd(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["batch_dims"])?;
    check::input_count(op, 2..=2)?;
    let (x, at, out) = (check::input(op, 0)?, check::input(op, 1)?, check::output(op)?);
    let batch_dims = usize::try_from(check::scalar(op, "batch_dims", 0)?);
    let batch_dims = batch_dims.map_err(|_| Refusal::Invalid)?;
    let nd = nd(&x, &at, batch_dims)?;
    let last = at.rank().saturating_sub(1);
    let dims = at.dims().take(last).chain(x.dims().skip(batch_dims.saturating_add(nd.depth)));
    ensure(dims.eq(out.dims()))?;
    Ok(Compiled::GatherNd(nd, change(&x, &out)?))
}

/// What an update does; data, updates and output must be of one type and quantization.
fn update(op: &Op<'_>) -> Result<Update, Refusal> {
    let (x, out) = (check::input(op, 0)?, check::output(op)?);
    let function = match check::scalar(op, "reduction", 0)? {
        0 => None,
        1 => Some(Binary::Add),
        2 => Some(Binary::Multiply),
        3 => Some(Binary::Maximum),
        _ => return Err(Refusal::Invalid),
    };
    check::input_count(op, 3..=3)?;
    check::same_shape(&x, &out)?;
    let same = change(&x, &out)?.is_none() && change(&check::input(op, 2)?, &out)?.is_none();
    same.then_some(()).ok_or(Refusal::Unsupported)?;
    let codec = check::codec(&x)?;
    if function.is_some() && codec == Codec::Whole(DataType::Bool8) {
        return Err(Refusal::Unsupported);
    }
    Ok(Update { function, codec })
}

pub(super) fn scatter_elements(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axis", "reduction"])?;
    let update = update(op)?;
    let (x, at, updates) = (check::input(op, 0)?, check::input(op, 1)?, check::input(op, 2)?);
    check::same_shape(&at, &updates)?;
    Ok(Compiled::ScatterElements(elements(op, &x, &at)?, update))
}

pub(super) fn scatter_nd(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["reduction"])?;
    let update = update(op)?;
    let (x, at, updates) = (check::input(op, 0)?, check::input(op, 1)?, check::input(op, 2)?);
    let nd = nd(&x, &at, 0)?;
    let last = at.rank().saturating_sub(1);
    ensure(at.dims().take(last).chain(x.dims().skip(nd.depth)).eq(updates.dims()))?;
    Ok(Compiled::ScatterNd(nd, update))
}
