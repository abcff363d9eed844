//! Conv2d and DepthWiseConv2d; the channels of all multiply-accumulate ops.

use zerocopy::little_endian::I32;

use super::check::{self, ensure, Fixed, Format};
use super::{Channels, Compiled, Refusal};
use crate::graph::{DataType, Op, Tensor, TensorKind};
use crate::vhtp::kernels::convolution::{Axis, Convolution};
use crate::vhtp::kernels::element::{self, with_real, FixedType, Real, RealType};
use crate::vhtp::kernels::fixed::{Channel, Multiplier};
use crate::vhtp::kernels::scheme::Numbers;

const PARAMS: [&str; 5] = ["stride", "pad_amount", "dilation", "group", "reuse_sparse_indices"];

pub(super) fn compile(
    op: &Op<'_>,
    channels: &mut Channels<'_>,
    depthwise: bool,
) -> Result<Compiled, Refusal> {
    check::only_params(
        op,
        if depthwise { &["stride", "pad_amount", "dilation"] } else { &PARAMS },
    )?;
    ensure((2..=3).contains(&op.inputs().len()) && !check::flag(op, "reuse_sparse_indices")?)?;
    let (x, w, out) = (check::input(op, 0)?, check::input(op, 1)?, check::output(op)?);
    let [batch, in_height, in_width, inputs] = check::shape_4d(&x)?;
    let [filter_height, filter_width, filter_inputs, outputs] = check::shape_4d(&w)?;
    let [out_batch, out_height, out_width, out_channels] = check::shape_4d(&out)?;
    ensure(batch == out_batch && outputs == out_channels)?;

    let groups = match depthwise {
        true => inputs,
        false => usize::try_from(check::scalar(op, "group", 1)?).map_err(|_| Refusal::Invalid)?,
    };
    let group_inputs = divide_exactly(inputs, groups)?;
    let group_outputs = divide_exactly(outputs, groups)?;
    ensure(filter_inputs == group_inputs)?;

    let [stride_y, stride_x] = check::extents(op, "stride", None)?;
    let [top, bottom, left, right] = check::extents(op, "pad_amount", None)?;
    let [dilation_y, dilation_x] = check::extents(op, "dilation", Some([1, 1]))?;
    let height = axis(in_height, out_height, filter_height, stride_y, dilation_y, [top, bottom])?;
    let width = axis(in_width, out_width, filter_width, stride_x, dilation_x, [left, right])?;

    let taps = filter_height.checked_mul(filter_width).and_then(|n| n.checked_mul(group_inputs));
    let sums = Sums { length: taps.ok_or(Refusal::Invalid)?, outputs, weight_axis: 3 };
    let numbers = sums.compile(&x, &w, check::optional_input(op, 2), &out, channels)?;
    Ok(Compiled::Convolution(Convolution {
        numbers,
        height,
        width,
        inputs,
        outputs,
        group_inputs,
        group_outputs,
        depthwise,
    }))
}

fn divide_exactly(count: usize, by: usize) -> Result<usize, Refusal> {
    ensure(count.checked_rem(by) == Some(0))?;
    count.checked_div(by).ok_or(Refusal::Invalid)
}

/// A window axis whose output extent is what window, stride, dilation and padding give, rounded
/// down.
fn axis(
    input: usize,
    output: usize,
    window: usize,
    stride: usize,
    dilation: usize,
    [pad_before, pad_after]: [usize; 2],
) -> Result<Axis, Refusal> {
    let axis = Axis { input, output, window, stride, dilation, pad_before, pad_after };
    ensure(window_steps(&axis, false) == Some(output))?;
    Ok(axis)
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

/// Sums of products: how long they are and how many channels they end in.
pub(super) struct Sums {
    /// Products of one sum.
    pub(super) length: usize,
    /// Output channels.
    pub(super) outputs: usize,
    /// Axis of the weights that the output channels lie along.
    pub(super) weight_axis: usize,
}

impl Sums {
    /// Checks the operands' formats and makes one channel per output channel.
    pub(super) fn compile(
        &self,
        x: &Tensor<'_>,
        w: &Tensor<'_>,
        bias: Option<Tensor<'_>>,
        out: &Tensor<'_>,
        channels: &mut Channels<'_>,
    ) -> Result<Numbers, Refusal> {
        if let Some(bias) = &bias {
            ensure(bias.kind() == TensorKind::Static && bias.element_count() == self.outputs)?;
        }
        match (check::format(x)?, check::format(out)?) {
            (Format::Fixed(x), Format::Fixed(out)) => self.quantized(&x, w, bias, &out, channels),
            (Format::Real(real), Format::Real(out)) if real == out => {
                self.float(real, w, bias, channels)
            }
            _ => Err(Refusal::Unsupported),
        }
    }

    fn float(
        &self,
        real: RealType,
        w: &Tensor<'_>,
        bias: Option<Tensor<'_>>,
        channels: &mut Channels<'_>,
    ) -> Result<Numbers, Refusal> {
        let same = |tensor: &Tensor<'_>| check::real_type(tensor.data_type()) == Some(real);
        if !same(w) || bias.as_ref().is_some_and(|bias| !same(bias)) {
            return Err(Refusal::Unsupported);
        }
        with_real!(real, R => {
            let biases = bias.map_or(Some(&[][..]), |bias| element::view::<R>(bias.data()));
            let biases = biases.ok_or(Refusal::Invalid)?;
            for index in 0..self.outputs {
                let bias_real = biases.get(index).map_or(0.0, |bias| bias.operand());
                channels.push(Channel { bias_real, ..Channel::NEUTRAL })?;
            }
        });
        Ok(Numbers::Float(real))
    }

    fn quantized(
        &self,
        x: &Fixed,
        w: &Tensor<'_>,
        bias: Option<Tensor<'_>>,
        out: &Fixed,
        channels: &mut Channels<'_>,
    ) -> Result<Numbers, Refusal> {
        let weights = check::fixed_type(w.data_type()).ok_or(Refusal::Unsupported)?;
        let pair_supported = match x.element {
            FixedType::U8 | FixedType::I8 => weights.bits() == 8,
            FixedType::U16 => true,
            FixedType::I16 => false,
        };
        let bias_supported =
            bias.as_ref().is_none_or(|bias| bias.data_type() == DataType::Sfixed32);
        if !pair_supported || !bias_supported || x.element != out.element {
            return Err(Refusal::Unsupported);
        }
        ensure(per_channel(w, self.weight_axis, self.outputs))?;
        ensure(bias.as_ref().is_none_or(|bias| per_channel(bias, 0, self.outputs)))?;
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
            channels.push(Channel { bias, multiplier, weight_offset, bias_real: 0.0 })?;
        }
        let narrow = weights.bits() == 8
            && largest_sum < 1 << 31
            && x.magnitude() < 1 << 15
            && x.element.bits() == 8;
        let (in_offset, out_offset) = (x.offset, out.offset);
        Ok(Numbers::Quantized { x: x.element, w: weights, narrow, in_offset, out_offset })
    }
}

/// Whether a tensor has one scale, or one for each of `count` channels along `axis`.
fn per_channel(tensor: &Tensor<'_>, axis: usize, count: usize) -> bool {
    match tensor.quant_count() {
        1 => true,
        several => several == count && count > 0 && tensor.quant_axis() == axis,
    }
}

/// Bias of channel `index` in units of the sum. A bias in other units is brought to them, rounded
/// half up.
fn scaled_bias(bias: &Tensor<'_>, index: usize, unit: f64) -> Result<i64, Refusal> {
    let stored = element::view::<I32>(bias.data()).ok_or(Refusal::Invalid)?;
    let stored = stored.get(index).ok_or(Refusal::Invalid)?.get();
    let quant = bias.quant(index).ok_or(Refusal::Invalid)?;
    let steps = i64::from(stored).saturating_add(i64::from(quant.offset));
    if quant.scale == unit as f32 {
        return Ok(steps);
    }
    let scaled = libm::floor(steps as f64 * (f64::from(quant.scale) / unit) + 0.5);
    ensure(libm::fabs(scaled) < 1e18)?;
    Ok(scaled as i64)
}
