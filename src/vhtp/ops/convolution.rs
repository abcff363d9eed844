//! Convolutions; the channels of all multiply-accumulate ops.

use super::check::{self, ensure, Fixed, Format};
use super::{Compiled, Extras, Refusal};
use crate::graph::{DataType, Op, Tensor, TensorKind};
use crate::vhtp::kernels::codec::Codec;
use crate::vhtp::kernels::convolution::{Axis, Convolution, Weights};
use crate::vhtp::kernels::element::{to_half, FixedType, RealType, Unit};
use crate::vhtp::kernels::fixed::{Channel, Multiplier};
use crate::vhtp::kernels::scheme::Numbers;

/// Which convolution.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Depthwise,
    Transposed,
}

pub(super) fn conv_2d(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["stride", "pad_amount", "dilation", "group", "reuse_sparse_indices"])?;
    ensure(!check::flag(op, "reuse_sparse_indices")?)?;
    two_dimensions(op, extras, Kind::Plain)
}

pub(super) fn depthwise_2d(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["stride", "pad_amount", "dilation"])?;
    two_dimensions(op, extras, Kind::Depthwise)
}

pub(super) fn transpose_2d(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    check::only_params(op, &["stride", "pad_amount", "group", "output_padding"])?;
    two_dimensions(op, extras, Kind::Transposed)
}

fn two_dimensions(op: &Op<'_>, extras: &mut Extras<'_>, kind: Kind) -> Result<Compiled, Refusal> {
    let (x, w, out) = (check::input(op, 0)?, check::input(op, 1)?, check::output(op)?);
    let [batch, in_height, in_width, inputs] = check::shape_4d(&x)?;
    let [filter_height, filter_width, ..] = check::shape_4d(&w)?;
    let [out_batch, out_height, out_width, outputs] = check::shape_4d(&out)?;
    ensure(batch == out_batch)?;
    let [stride_y, stride_x] = check::extents(op, "stride", None)?;
    let [top, bottom, left, right] = check::extents(op, "pad_amount", None)?;
    let [dilation_y, dilation_x] = check::extents(op, "dilation", Some([1, 1]))?;
    let [more_y, more_x] = check::extents(op, "output_padding", Some([0, 0]))?;
    let axis = |[input, output, window]: [usize; 3], stride, dilation, pads, more| {
        axis(
            input,
            output,
            window,
            stride,
            dilation,
            pads,
            (kind == Kind::Transposed).then_some(more),
        )
    };
    let height =
        axis([in_height, out_height, filter_height], stride_y, dilation_y, [top, bottom], more_y)?;
    let width =
        axis([in_width, out_width, filter_width], stride_x, dilation_x, [left, right], more_x)?;
    compile(op, extras, kind, [Axis::POINT, height, width], [inputs, outputs])
}

pub(super) fn conv_3d(op: &Op<'_>, extras: &mut Extras<'_>) -> Result<Compiled, Refusal> {
    // The last name is spelled as the interface spells it.
    let names = ["stride", "pad_amount", "dilation", "group", "reuse_sparse_indicies"];
    check::only_params(op, &names)?;
    ensure(!check::flag(op, "reuse_sparse_indicies")?)?;
    let (x, w, out) = (check::input(op, 0)?, check::input(op, 1)?, check::output(op)?);
    ensure(x.rank() == 5 && w.rank() == 5 && out.rank() == 5)?;
    let [batch, in_depth, in_height, in_width, inputs, _] = check::shape(&x)?;
    let [filter_depth, filter_height, filter_width, ..] = check::shape(&w)?;
    let [out_batch, out_depth, out_height, out_width, outputs, _] = check::shape(&out)?;
    ensure(batch == out_batch)?;
    let strides: [usize; 3] = check::extents(op, "stride", None)?;
    let [front, back, top, bottom, left, right] = check::extents(op, "pad_amount", None)?;
    let dilations = check::extents(op, "dilation", Some([1; 3]))?;
    let axes = [
        axis(in_depth, out_depth, filter_depth, strides[0], dilations[0], [front, back], None)?,
        axis(in_height, out_height, filter_height, strides[1], dilations[1], [top, bottom], None)?,
        axis(in_width, out_width, filter_width, strides[2], dilations[2], [left, right], None)?,
    ];
    compile(op, extras, Kind::Plain, axes, [inputs, outputs])
}

/// Channels, groups and numbers. The last two dimensions of the weights are input and output
/// channels.
fn compile(
    op: &Op<'_>,
    extras: &mut Extras<'_>,
    kind: Kind,
    [depth, height, width]: [Axis; 3],
    [inputs, outputs]: [usize; 2],
) -> Result<Compiled, Refusal> {
    check::input_count(op, 2..=3)?;
    let (x, w, out) = (check::input(op, 0)?, check::input(op, 1)?, check::output(op)?);
    let groups = match kind {
        Kind::Depthwise => inputs,
        _ => usize::try_from(check::scalar(op, "group", 1)?).map_err(|_| Refusal::Invalid)?,
    };
    let group_inputs = divide_exactly(inputs, groups)?;
    let group_outputs = divide_exactly(outputs, groups)?;
    let weight_axis = w.rank().checked_sub(1).ok_or(Refusal::Invalid)?;
    let [_, filter_inputs, weight_outputs] = check::split_at(&w, weight_axis.saturating_sub(1))?;
    let weights = match kind {
        Kind::Transposed => Weights::Rows,
        _ => Weights::Columns,
    };
    ensure(
        [filter_inputs, weight_outputs]
            == match weights {
                Weights::Columns => [group_inputs, outputs],
                Weights::Rows => [inputs, group_outputs],
            },
    )?;
    let taps = [depth, height, width]
        .iter()
        .try_fold(group_inputs, |taps, axis| taps.checked_mul(axis.window));
    // Groups with rows of their own share the scales of one group's columns.
    let shared = weights == Weights::Rows && groups > 1;
    if shared && w.quant_count() > 1 {
        return Err(Refusal::Unsupported);
    }
    let unit = if kind == Kind::Depthwise { Unit::Vector } else { Unit::Matrix };
    let sums = Sums { length: taps.ok_or(Refusal::Invalid)?, outputs, weight_axis, unit };
    let numbers = sums.compile(&x, &w, check::optional_input(op, 2), &out, extras)?;
    Ok(Compiled::Convolution(Convolution {
        numbers,
        depth,
        height,
        width,
        inputs,
        outputs,
        group_inputs,
        group_outputs,
        depthwise: kind == Kind::Depthwise,
        weights,
    }))
}

fn divide_exactly(count: usize, by: usize) -> Result<usize, Refusal> {
    ensure(count.checked_rem(by) == Some(0))?;
    count.checked_div(by).ok_or(Refusal::Invalid)
}

/// A window axis whose output extent is what window, stride, dilation and padding give, rounded
/// down. With `more`, transposed, and so many elements longer.
fn axis(
    input: usize,
    output: usize,
    window: usize,
    stride: usize,
    dilation: usize,
    [pad_before, pad_after]: [usize; 2],
    more: Option<usize>,
) -> Result<Axis, Refusal> {
    let transposed = more.is_some();
    let axis = Axis { input, output, window, stride, dilation, pad_before, pad_after, transposed };
    let expected = match more {
        Some(more) => spread(&axis, more),
        None => window_steps(&axis, false),
    };
    ensure(expected == Some(output))?;
    Ok(axis)
}

/// Output extent of a transposed axis.
fn spread(axis: &Axis, more: usize) -> Option<usize> {
    (axis.stride > 0 && (more == 0 || more < axis.stride)).then_some(())?;
    let between = axis.input.checked_sub(1)?.checked_mul(axis.stride)?;
    let taps = axis.window.checked_sub(1)?.checked_mul(axis.dilation)?.checked_add(1)?;
    let full = between.checked_add(taps)?.checked_add(more)?;
    full.checked_sub(axis.pad_before)?.checked_sub(axis.pad_after)
}

/// Windows along an axis; `None` if not even one fits. `round_up` admits a last window that is cut
/// off.
pub(super) fn window_steps(axis: &Axis, round_up: bool) -> Option<usize> {
    let taps = axis.window.checked_sub(1)?.checked_mul(axis.dilation)?.checked_add(1)?;
    let extent = axis.input.checked_add(axis.pad_before)?.checked_add(axis.pad_after)?;
    let room = extent.checked_sub(taps)?;
    let room = match round_up {
        true => room.checked_add(axis.stride.checked_sub(1)?)?,
        false => room,
    };
    (axis.dilation > 0).then_some(())?;
    room.checked_div(axis.stride)?.checked_add(1)
}

/// Weights and biases are converted before the graph reaches the DSP, as the matrix unit converts.
const CONSTANTS: Unit = Unit::Matrix;

/// Sums of products: how long they are and how many channels they end in.
pub(super) struct Sums {
    /// Products of one sum.
    pub(super) length: usize,
    /// Output channels.
    pub(super) outputs: usize,
    /// Axis of the weights that the output channels lie along.
    pub(super) weight_axis: usize,
    /// What computes them.
    pub(super) unit: Unit,
}

impl Sums {
    /// Checks the operands' formats and makes one channel per output channel.
    pub(super) fn compile(
        &self,
        x: &Tensor<'_>,
        w: &Tensor<'_>,
        bias: Option<Tensor<'_>>,
        out: &Tensor<'_>,
        extras: &mut Extras<'_>,
    ) -> Result<Numbers, Refusal> {
        if let Some(bias) = &bias {
            ensure(bias.kind() == TensorKind::Static)?;
            if bias.element_count() != self.outputs {
                return Err(Refusal::Shape(bias.index()));
            }
        }
        match (check::format(x)?, check::format(out)?) {
            (Format::Fixed(x), Format::Fixed(out)) => self.quantized(&x, w, bias, &out, extras),
            (Format::Real(real), Format::Real(out)) if real == out => {
                self.float(real, w, bias, extras)
            }
            _ => Err(Refusal::Type(out.index())),
        }
    }

    fn float(
        &self,
        real: RealType,
        w: &Tensor<'_>,
        bias: Option<Tensor<'_>>,
        extras: &mut Extras<'_>,
    ) -> Result<Numbers, Refusal> {
        let same = |tensor: &Tensor<'_>| check::real_type(tensor.data_type()) == Some(real);
        let mixed = w.data_type() == DataType::Sfixed8;
        if !(same(w) || mixed) {
            return Err(Refusal::Type(w.index()));
        }
        if let Some(bias) = bias.as_ref().filter(|bias| !same(bias)) {
            return Err(Refusal::Type(bias.index()));
        }
        if mixed {
            per_channel(w, self.weight_axis, self.outputs)?;
        }
        let stored = match real {
            RealType::F16 => Codec::Real(real),
            RealType::F32 => Codec::Stored,
        };
        for index in 0..self.outputs {
            let bias_real = match &bias {
                Some(bias) => {
                    let bias = stored.load(bias.data(), index).ok_or(Refusal::Invalid)?;
                    to_half(bias, CONSTANTS)
                }
                None => 0.0,
            };
            let mut channel = Channel { bias_real, ..Channel::NEUTRAL };
            if mixed {
                let quant = w.quant(index).ok_or(Refusal::Invalid)?;
                ensure(check::offset_fits(quant.offset))?;
                (channel.weight_scale, channel.weight_offset) = (quant.scale, quant.offset);
            }
            extras.push(channel)?;
        }
        let (element, result) = (real, self.unit);
        Ok(match (mixed, w.kind()) {
            (true, _) => Numbers::Mixed { element, result },
            (false, TensorKind::Static) => Numbers::Float { element, weights: CONSTANTS, result },
            (false, _) => Numbers::Float { element, weights: Unit::Vector, result },
        })
    }

    fn quantized(
        &self,
        x: &Fixed,
        w: &Tensor<'_>,
        bias: Option<Tensor<'_>>,
        out: &Fixed,
        extras: &mut Extras<'_>,
    ) -> Result<Numbers, Refusal> {
        let unfit = Refusal::Type(w.index());
        let weights = check::fixed_type(w.data_type()).ok_or(unfit)?;
        let pair_supported = match x.element {
            FixedType::U8 | FixedType::I8 => weights.bits() == 8,
            FixedType::U16 => true,
            FixedType::I16 => matches!(weights, FixedType::I8 | FixedType::I16),
        };
        if !pair_supported {
            return Err(unfit);
        }
        if x.element != out.element {
            return Err(Refusal::Unsupported);
        }
        per_channel(w, self.weight_axis, self.outputs)?;
        if let Some(bias) = &bias {
            let data_type = bias.data_type();
            if data_type != DataType::Sfixed32 && check::fixed_type(data_type).is_none() {
                return Err(Refusal::Type(bias.index()));
            }
            per_channel(bias, 0, self.outputs)?;
        }
        let length = u64::try_from(self.length).map_err(|_| Refusal::Invalid)?;
        let mut largest_sum = 0u64;
        for index in 0..self.outputs {
            let quant = w.quant(index).ok_or(Refusal::Invalid)?;
            ensure(check::offset_fits(quant.offset))?;
            let unit = f64::from(x.scale) * f64::from(quant.scale);
            let multiplier =
                Multiplier::new(unit / f64::from(out.scale)).ok_or(Refusal::Invalid)?;
            let bias = bias.as_ref().map_or(Ok(0), |bias| scaled_bias(bias, index, unit))?;
            let (min, max) = weights.range();
            let weight = min.unsigned_abs().max(max.unsigned_abs());
            let weight = weight.saturating_add(quant.offset.unsigned_abs().into());
            let products = length.checked_mul(x.magnitude()).and_then(|n| n.checked_mul(weight));
            let products = products.ok_or(Refusal::Invalid)?;
            ensure(products.saturating_add(bias.unsigned_abs()) < 1 << 62)?;
            largest_sum = largest_sum.max(products);
            let weight_offset = quant.offset;
            extras.push(Channel { bias, multiplier, weight_offset, ..Channel::NEUTRAL })?;
        }
        let narrow = weights.bits() == 8
            && largest_sum < 1 << 31
            && x.magnitude() < 1 << 15
            && x.element.bits() == 8;
        let (in_offset, out_offset) = (x.offset, out.offset);
        Ok(Numbers::Quantized { x: x.element, w: weights, narrow, in_offset, out_offset })
    }
}

/// `Ok` if a tensor has one scale, or one for each of `count` channels along `axis`.
fn per_channel(tensor: &Tensor<'_>, axis: usize, count: usize) -> Result<(), Refusal> {
    match tensor.quant_count() {
        1 => Ok(()),
        several if several == count && count > 0 && tensor.quant_axis() == axis => Ok(()),
        _ => Err(Refusal::Scales(tensor.index())),
    }
}

/// Bias of channel `index` in units of the sum. A bias in other units is brought to them, rounded
/// half up.
fn scaled_bias(bias: &Tensor<'_>, index: usize, unit: f64) -> Result<i64, Refusal> {
    let stored = Codec::Whole(bias.data_type()).load_whole(bias.data(), index);
    let quant = bias.quant(index).ok_or(Refusal::Invalid)?;
    let steps = stored.ok_or(Refusal::Invalid)?.saturating_add(i64::from(quant.offset));
    if quant.scale == unit as f32 {
        return Ok(steps);
    }
    let scaled = libm::floor(steps as f64 * (f64::from(quant.scale) / unit) + 0.5);
    ensure(libm::fabs(scaled) < 1e18)?;
    Ok(scaled as i64)
}
