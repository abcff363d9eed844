//! Ops that move elements: in order, at regular distances, padded, joined or split.

use super::check::{self, ensure};
use super::{Compiled, Extras, Refusal};
use crate::graph::{DataType, Op, Tensor, RANK_MAX};
use crate::vhtp::kernels::codec::Codec;
use crate::vhtp::kernels::fixed::{Channel, Multiplier};
use crate::vhtp::kernels::movement::{Change, Concat, Pad, Padding, Strided, AXES_MAX};

/// What becomes of elements that move from `x` to `out`: nothing if the quantization is the same.
/// The type must be.
pub(super) fn change(x: &Tensor<'_>, out: &Tensor<'_>) -> Result<Option<Change>, Refusal> {
    if x.data_type() != out.data_type() {
        return Err(Refusal::Unsupported);
    }
    let per_tensor = x.quant_count() <= 1 && x.quant_count() == out.quant_count();
    if per_tensor && x.quant(0) == out.quant(0) {
        return Ok(None);
    }
    let (from, to) = (fixed(x)?, fixed(out)?);
    let factor = f64::from(from.scale) / f64::from(to.scale);
    Ok(Some(Change {
        element: to.element,
        in_offset: from.offset,
        multiplier: Multiplier::new(factor).ok_or(Refusal::Invalid)?,
        out_offset: to.offset,
    }))
}

fn fixed(tensor: &Tensor<'_>) -> Result<check::Fixed, Refusal> {
    match check::format(tensor)? {
        check::Format::Fixed(fixed) => Ok(fixed),
        check::Format::Real(_) => Err(Refusal::Invalid),
    }
}

/// Axes of a strided copy, in the order of the output.
struct Layout {
    axes: [(usize, usize); AXES_MAX],
    count: usize,
    start: usize,
}

impl Layout {
    fn new() -> Self {
        Self { axes: [(1, 0); AXES_MAX], count: 0, start: 0 }
    }

    /// The next axis: extent and distance. Axes that lie behind each other become one.
    fn push(&mut self, extent: usize, stride: usize) -> Result<(), Refusal> {
        if extent == 1 {
            return Ok(());
        }
        let last = self.count.checked_sub(1).and_then(|last| self.axes.get_mut(last));
        if let Some(last) = last.filter(|last| last.1 == stride.wrapping_mul(extent)) {
            *last = (last.0.saturating_mul(extent), stride);
            return Ok(());
        }
        // More axes than the kernel has are a limit of it, not a mistake.
        *self.axes.get_mut(self.count).ok_or(Refusal::Unsupported)? = (extent, stride);
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// The copy from `x` to `out`, which must have as many elements as there are places.
    fn compile(&self, x: &Tensor<'_>, out: &Tensor<'_>) -> Result<Compiled, Refusal> {
        let places = self.axes.iter().try_fold(1usize, |count, axis| count.checked_mul(axis.0));
        ensure(places == Some(out.element_count()))?;
        let (mut shape, mut strides) = ([1; AXES_MAX], [0; AXES_MAX]);
        let used = self.axes.iter().take(self.count).rev();
        let room = shape.iter_mut().zip(&mut strides).rev();
        for ((shape, stride), axis) in room.zip(used) {
            (*shape, *stride) = *axis;
        }
        let element_bytes = x.data_type().size_bytes();
        let copy = Strided { element_bytes, start: self.start, shape, strides };
        Ok(Compiled::Strided(copy, change(x, out)?))
    }
}

/// Extents and distances of the axes of `x`, in order.
fn axes<'a>(x: &'a Tensor<'_>) -> Result<impl Iterator<Item = (usize, usize)> + 'a, Refusal> {
    let shape = check::shape(x)?;
    let unused = RANK_MAX.saturating_sub(x.rank());
    let strides = check::strides(&check::aligned_shape(x)?);
    Ok(shape.into_iter().take(x.rank()).zip(strides.into_iter().skip(unused)))
}

/// Reshape, Squeeze and ExpandDims: the same elements in other dimensions.
pub(super) fn reshape(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, if op.type_name() == "Reshape" { &[] } else { &["axis", "axes"] })?;
    let (x, out) = check::unary(op)?;
    ensure(x.element_count() == out.element_count())?;
    Ok(Compiled::Copy(change(&x, &out)?))
}

pub(super) fn transpose(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["perm"])?;
    let (x, out) = check::unary(op)?;
    let rank = x.rank();
    ensure(out.rank() == rank)?;
    let perm = op.param("perm").ok_or(Refusal::Param("perm"))?;
    let listed = perm.tensor().ok_or(Refusal::Param("perm"))?;
    ensure(listed.data_type() == DataType::Uint32 && listed.element_count() == rank)?;
    let mut layout = Layout::new();
    let mut seen = 0u32;
    for axis in 0..rank {
        let from = perm.word(axis).ok_or(Refusal::Invalid)?;
        seen |= 1u32.checked_shl(from).ok_or(Refusal::Invalid)?;
        let from = usize::try_from(from).map_err(|_| Refusal::Invalid)?;
        let (extent, stride) = axes(&x)?.nth(from).ok_or(Refusal::Invalid)?;
        ensure(x.dim(from) == out.dim(axis))?;
        layout.push(extent, stride)?;
    }
    ensure(usize::try_from(seen.count_ones()) == Ok(rank))?;
    layout.compile(&x, &out)
}

pub(super) fn tile(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["multiples"])?;
    let (x, out) = check::unary(op)?;
    let param = op.param("multiples").ok_or(Refusal::Param("multiples"))?;
    ensure(param.tensor().is_some_and(|listed| listed.element_count() == x.rank()))?;
    ensure(out.rank() == x.rank())?;
    let mut layout = Layout::new();
    for (axis, (extent, stride)) in axes(&x)?.enumerate() {
        let times = param.word(axis).ok_or(Refusal::Invalid)?;
        ensure(x.dim(axis).checked_mul(times) == Some(out.dim(axis)))?;
        layout.push(usize::try_from(times).map_err(|_| Refusal::Invalid)?, 0)?;
        layout.push(extent, stride)?;
    }
    layout.compile(&x, &out)
}

/// DepthToSpace, or back.
pub(super) fn depth_and_space(op: &Op<'_>, to_space: bool) -> Result<Compiled, Refusal> {
    check::only_params(op, &["block_size", "mode"])?;
    let (x, out) = check::unary(op)?;
    let block_first = match check::scalar(op, "mode", 0)? {
        0 => true,
        1 => false,
        _ => return Err(Refusal::Invalid),
    };
    let [block_y, block_x] = check::extents(op, "block_size", None)?;
    let block = block_y.checked_mul(block_x).ok_or(Refusal::Invalid)?;
    // The side with few channels: `[n, h * block_y, w * block_x, c]`.
    let (deep, wide) = if to_space { (&x, &out) } else { (&out, &x) };
    let [n, h, w, depth] = check::shape_4d(deep)?;
    let [wide_n, wide_h, wide_w, c] = check::shape_4d(wide)?;
    ensure(n == wide_n && c.checked_mul(block) == Some(depth))?;
    ensure(h.checked_mul(block_y) == Some(wide_h) && w.checked_mul(block_x) == Some(wide_w))?;
    let product = |a: usize, b: usize| a.saturating_mul(b);
    let mut layout = Layout::new();
    if to_space {
        // Distances of block row, block column and channel inside the depth.
        let (y_step, x_step, c_step) = match block_first {
            true => (product(block_x, c), c, 1),
            false => (block_x, 1, block),
        };
        let pixel = depth;
        for (extent, stride) in [
            (n, product(product(h, w), pixel)),
            (h, product(w, pixel)),
            (block_y, y_step),
            (w, pixel),
            (block_x, x_step),
            (c, c_step),
        ] {
            layout.push(extent, stride)?;
        }
    } else {
        let line = product(wide_w, c);
        for (extent, stride) in
            [(n, product(wide_h, line)), (h, product(block_y, line)), (w, product(block_x, c))]
        {
            layout.push(extent, stride)?;
        }
        let inner = match block_first {
            true => [(block_y, line), (block_x, c), (c, 1)],
            false => [(c, 1), (block_y, line), (block_x, c)],
        };
        for (extent, stride) in inner {
            layout.push(extent, stride)?;
        }
    }
    layout.compile(&x, &out)
}

pub(super) fn channel_shuffle(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["num_groups", "axis"])?;
    let (x, out) = check::unary(op)?;
    check::same_shape(&x, &out)?;
    let last = x.rank().checked_sub(1).ok_or(Refusal::Invalid)?;
    let axis = check::axis(op, "axis", x.rank())?.unwrap_or(last);
    let groups = usize::try_from(check::scalar(op, "num_groups", 0)?);
    let groups = groups.map_err(|_| Refusal::Invalid)?;
    let mut layout = Layout::new();
    for (at, (extent, stride)) in axes(&x)?.enumerate() {
        if at != axis {
            layout.push(extent, stride)?;
            continue;
        }
        ensure(extent.checked_rem(groups) == Some(0))?;
        let size = extent.checked_div(groups).ok_or(Refusal::Invalid)?;
        layout.push(size, stride)?;
        layout.push(groups, stride.saturating_mul(size))?;
    }
    layout.compile(&x, &out)
}

/// Output `extras.output` of a Split: the elements behind those of the outputs before it.
pub(super) fn split(op: &Op<'_>, extras: &Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axis", "split_index"])?;
    check::input_count(op, 1..=1)?;
    let (x, out) = (check::input(op, 0)?, check::output_at(op, extras.output)?);
    let axis = check::axis(op, "axis", x.rank())?.ok_or(Refusal::Param("axis"))?;
    let listed = op.param("split_index").ok_or(Refusal::Param("split_index"))?;
    // Borders between outputs; a 0 in front may be listed too.
    let count = listed.tensor().ok_or(Refusal::Param("split_index"))?.element_count();
    let extra = count.checked_add(1).and_then(|parts| parts.checked_sub(op.outputs().len()));
    let skipped = extra.filter(|&extra| extra <= 1).ok_or(Refusal::Invalid)?;
    ensure(skipped == 0 || listed.word(0) == Some(0))?;
    let (mut border, mut start) = (0u32, 0u32);
    for (index, part) in op.outputs().iter().enumerate() {
        ensure(part.rank() == x.rank())?;
        let mut dims = part.dims().zip(x.dims()).enumerate();
        ensure(dims.all(|(at, (part, whole))| at == axis || part == whole))?;
        if index > 0 {
            let position = index.saturating_sub(1).saturating_add(skipped);
            ensure(listed.word(position) == Some(border))?;
        }
        if index == extras.output {
            start = border;
        }
        border = border.checked_add(part.dim(axis)).ok_or(Refusal::Invalid)?;
    }
    ensure(border == x.dim(axis))?;
    window(&x, &out, axis, start, out.dim(axis))
}

/// Output `extras.output` of an UnPack: one place of the axis, without the axis.
pub(super) fn unpack(op: &Op<'_>, extras: &Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axis"])?;
    check::input_count(op, 1..=1)?;
    let (x, out) = (check::input(op, 0)?, check::output_at(op, extras.output)?);
    let axis = check::axis(op, "axis", x.rank())?.ok_or(Refusal::Param("axis"))?;
    ensure(u32::try_from(op.outputs().len()) == Ok(x.dim(axis)))?;
    let rest = x.dims().enumerate().filter(|(at, _)| *at != axis).map(|(_, dim)| dim);
    ensure(rest.eq(out.dims()))?;
    window(&x, &out, axis, u32::try_from(extras.output).map_err(|_| Refusal::Invalid)?, 1)
}

/// `len` places of an axis from `start` on.
fn window(
    x: &Tensor<'_>,
    out: &Tensor<'_>,
    axis: usize,
    start: u32,
    len: u32,
) -> Result<Compiled, Refusal> {
    let size = |value: u32| usize::try_from(value).map_err(|_| Refusal::Invalid);
    let mut layout = Layout::new();
    for (at, (extent, stride)) in axes(x)?.enumerate() {
        if at == axis {
            layout.start = size(start)?.saturating_mul(stride);
        }
        layout.push(if at == axis { size(len)? } else { extent }, stride)?;
    }
    layout.compile(x, out)
}

pub(super) fn concat(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axis"])?;
    let out = check::output(op)?;
    let last = out.rank().checked_sub(1).ok_or(Refusal::Invalid)?;
    let axis = check::axis(op, "axis", out.rank())?.unwrap_or(last);
    let mut extent = 0u32;
    for index in 0..op.inputs().len() {
        let x = check::input(op, index)?;
        ensure(x.rank() == out.rank())?;
        let mut other_dims = x.dims().zip(out.dims()).enumerate();
        ensure(other_dims.all(|(at, (from, to))| at == axis || from == to))?;
        extent = extent.checked_add(x.dim(axis)).ok_or(Refusal::Invalid)?;
    }
    ensure(extent == out.dim(axis))?;
    join(op, &out, axis, extras)
}

pub(super) fn pack(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["axis"])?;
    let out = check::output(op)?;
    let axis = check::axis(op, "axis", out.rank())?.ok_or(Refusal::Param("axis"))?;
    ensure(u32::try_from(op.inputs().len()) == Ok(out.dim(axis)))?;
    for index in 0..op.inputs().len() {
        let rest = out.dims().enumerate().filter(|(at, _)| *at != axis).map(|(_, dim)| dim);
        ensure(rest.eq(check::input(op, index)?.dims()))?;
    }
    join(op, &out, axis, extras)
}

/// All inputs, one behind the other along an axis of the output.
fn join(
    op: &Op<'_>,
    out: &Tensor<'_>,
    axis: usize,
    extras: &mut Extras<'_>,
) -> Result<Compiled, Refusal> {
    ensure(!op.inputs().is_empty())?;
    let [outer, ..] = check::split_at(out, axis)?;
    let mut same = true;
    for index in 0..op.inputs().len() {
        same &= change(&check::input(op, index)?, out)?.is_none();
    }
    if same {
        return Ok(Compiled::Concat(Concat { outer, requantize: None, out_offset: 0 }));
    }
    let to = fixed(out)?;
    for index in 0..op.inputs().len() {
        let from = fixed(&check::input(op, index)?)?;
        let factor = f64::from(from.scale) / f64::from(to.scale);
        let multiplier = Multiplier::new(factor).ok_or(Refusal::Invalid)?;
        extras.push(Channel { bias: from.offset.into(), multiplier, ..Channel::NEUTRAL })?;
    }
    Ok(Compiled::Concat(Concat { outer, requantize: Some(to.element), out_offset: to.offset }))
}

pub(super) fn strided_slice(op: &Op<'_>) -> Result<Compiled, Refusal> {
    let names = ["ranges", "begin_mask", "end_mask", "shrink_axes", "new_axes_mask"];
    check::only_params(op, &names)?;
    let (x, out) = check::unary(op)?;
    let mask = |name| check::scalar(op, name, 0);
    let (begins, ends) = (mask("begin_mask")?, mask("end_mask")?);
    let (shrinks, news) = (mask("shrink_axes")?, mask("new_axes_mask")?);
    let ranges = op.param("ranges").ok_or(Refusal::Param("ranges"))?;
    let entries = x.rank().checked_add(usize::try_from(news.count_ones()).unwrap_or(0));
    let listed = ranges.tensor().ok_or(Refusal::Param("ranges"))?;
    ensure(listed.data_type() == DataType::Int32 && listed.rank() == 2 && listed.dim(1) == 3)?;
    ensure(entries.and_then(|entries| entries.checked_mul(3)) == Some(listed.element_count()))?;
    let word = |entry: usize, part: usize| {
        let word = ranges.word(entry.saturating_mul(3).saturating_add(part));
        word.map(|word| i64::from(word as i32)).ok_or(Refusal::Invalid)
    };
    let bit = |mask: u32, at: usize| mask.checked_shr(at as u32).is_some_and(|bits| bits & 1 == 1);
    let mut in_axes = axes(&x)?;
    let mut out_dims = out.dims();
    let mut layout = Layout::new();
    for entry in 0..entries.unwrap_or(0) {
        if bit(news, entry) {
            ensure(out_dims.next() == Some(1))?;
            continue;
        }
        let (extent, stride) = in_axes.next().ok_or(Refusal::Invalid)?;
        let (begin, end, step) = (word(entry, 0)?, word(entry, 1)?, word(entry, 2)?);
        let begin = (!bit(begins, entry)).then_some(begin);
        let end = (!bit(ends, entry)).then_some(end);
        let wanted =
            if bit(shrinks, entry) { 1 } else { out_dims.next().ok_or(Refusal::Invalid)? };
        let first = slice([begin, end], step, extent, wanted, bit(shrinks, entry))?;
        layout.start = layout.start.wrapping_add(first.wrapping_mul(stride));
        let wanted = usize::try_from(wanted).map_err(|_| Refusal::Invalid)?;
        layout.push(wanted, stride.wrapping_mul(step as usize))?;
    }
    ensure(out_dims.next().is_none())?;
    layout.compile(&x, &out)
}

/// First element of a slice that must have `wanted` elements. Negative bounds count from the end,
/// except that a backward slice may end at -1, before the first element, if that is what makes it
/// as long as the output.
fn slice(
    [begin, end]: [Option<i64>; 2],
    step: i64,
    extent: usize,
    wanted: u32,
    shrink: bool,
) -> Result<usize, Refusal> {
    let extent = i64::try_from(extent).map_err(|_| Refusal::Invalid)?;
    let forward = step > 0;
    ensure(step != 0 && step > i64::from(i32::MIN))?;
    let from_end = |bound: i64| if bound < 0 { bound.saturating_add(extent) } else { bound };
    let (lowest, highest) = if forward { (0, extent) } else { (-1, extent.saturating_sub(1)) };
    let first = if forward { lowest } else { highest };
    let begin = begin.map_or(first, |begin| from_end(begin).max(lowest).min(highest));
    let past = if forward { highest } else { lowest };
    let long = |end: i64| {
        let room = if forward { end.saturating_sub(begin) } else { begin.saturating_sub(end) };
        let steps = room.max(0).saturating_add(step.abs().saturating_sub(1));
        steps.checked_div(step.abs()).unwrap_or(0)
    };
    let counted = long(end.map_or(past, |end| from_end(end).max(lowest).min(highest)));
    let raw = long(end.map_or(past, |end| end.max(lowest).min(highest)));
    let fits = counted == i64::from(wanted) || (!forward && raw == i64::from(wanted));
    ensure(wanted > 0 && (shrink || fits) && begin < extent)?;
    usize::try_from(begin).map_err(|_| Refusal::Invalid)
}

pub(super) fn pad(op: &Op<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["scheme", "pad_amount", "pad_constant_value"])?;
    let (x, out) = check::unary(op)?;
    ensure(x.rank() == out.rank())?;
    let (input, output) = (check::aligned_shape(&x)?, check::aligned_shape(&out)?);
    let scheme = op.param("scheme").and_then(|scheme| scheme.as_u32());
    let scheme = scheme.ok_or(Refusal::Param("scheme"))?;
    let amounts = op.param("pad_amount").ok_or(Refusal::Param("pad_amount"))?;
    let listed = amounts.tensor().ok_or(Refusal::Param("pad_amount"))?;
    ensure(listed.element_count() == x.rank().saturating_mul(2))?;
    let padding = match scheme {
        0 => Padding::Constant(constant(op, &x)?),
        1 => Padding::Symmetric,
        2 => Padding::Reflect,
        3 => Padding::Edge,
        _ => return Err(Refusal::Invalid),
    };
    let mut before = [0; RANK_MAX];
    let unused = RANK_MAX.saturating_sub(x.rank());
    let extents = input.iter().zip(&output).zip(&mut before).skip(unused);
    for (axis, ((&extent, &wanted), before)) in extents.enumerate() {
        let amount = |side: usize| {
            let word = amounts.word(axis.saturating_mul(2).saturating_add(side));
            word.and_then(|word| usize::try_from(word).ok()).ok_or(Refusal::Invalid)
        };
        let (first, last) = (amount(0)?, amount(1)?);
        let padded = extent.checked_add(first).and_then(|extent| extent.checked_add(last));
        let mirrored_max = match padding {
            Padding::Symmetric => extent,
            Padding::Reflect => extent.saturating_sub(1),
            Padding::Constant(_) | Padding::Edge => usize::MAX,
        };
        ensure(padded == Some(wanted) && first.max(last) <= mirrored_max)?;
        *before = first;
    }
    let element_bytes = x.data_type().size_bytes();
    let strides = check::strides(&input);
    let pad = Pad { padding, element_bytes, input, strides, before, output };
    Ok(Compiled::Pad(pad, change(&x, &out)?))
}

/// The constant of a Pad as an element of `x`: a float stands for itself, an integer for what is
/// stored, and nothing for 0.
fn constant(op: &Op<'_>, x: &Tensor<'_>) -> Result<[u8; 8], Refusal> {
    let codec = check::codec(x)?;
    let mut fill = [0; 8];
    let Some(param) = op.param("pad_constant_value") else {
        codec.store(0.0, &mut fill, 0).ok_or(Refusal::Invalid)?;
        return Ok(fill);
    };
    let (data_type, bits) = param.scalar().ok_or(Refusal::Invalid)?;
    match (data_type, codec) {
        (DataType::Float32, _) => {
            let value = param.as_f32().ok_or(Refusal::Invalid)?;
            codec.store(value.into(), &mut fill, 0).ok_or(Refusal::Invalid)?;
        }
        (_, Codec::Real(_)) => return Err(Refusal::Unsupported),
        _ => {
            let bytes = bits.to_le_bytes();
            fill.iter_mut().zip(bytes).take(codec.size()).for_each(|(to, from)| *to = from);
        }
    }
    Ok(fill)
}
