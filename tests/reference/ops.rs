//! The operations, each in the plainest form of its definition.

use super::{Node, Operand, Tensor};

/// A real factor as `mult / 2^shift`, `mult` of 31 bits.
struct Factor {
    mult: i128,
    shift: i32,
}

impl Factor {
    fn new(real: f64) -> Self {
        let (fraction, mut exponent) = frexp(real);
        let mut mult = (fraction * 2f64.powi(31) + 0.5).floor() as i128;
        if mult == 1 << 31 {
            mult = 1 << 30;
            exponent += 1;
        }
        let shift = 31 - exponent;
        assert!((1..=62).contains(&shift), "factor {real} is out of range");
        Self { mult, shift }
    }

    /// `acc * factor`, half rounded towards plus infinity, as a byte of the output.
    fn requantize(&self, acc: i64, out: &Tensor) -> i64 {
        let half = 1i128 << (self.shift - 1);
        let rounded = (i128::from(acc) * self.mult + half) >> self.shift;
        to_byte(rounded, out)
    }
}

/// `real = fraction * 2^exponent` with `0.5 <= fraction < 1`, for positive numbers.
fn frexp(real: f64) -> (f64, i32) {
    assert!(real.is_finite() && real > 0.0, "factor {real}");
    let (mut fraction, mut exponent) = (real, 0);
    while fraction >= 1.0 {
        fraction /= 2.0;
        exponent += 1;
    }
    while fraction < 0.5 {
        fraction *= 2.0;
        exponent -= 1;
    }
    (fraction, exponent)
}

fn to_byte(units: i128, out: &Tensor) -> i64 {
    (units - i128::from(out.offset())).clamp(0, 255) as i64
}

fn same_quantization(a: &Tensor, b: &Tensor) -> bool {
    a.scale() == b.scale() && a.offset() == b.offset()
}

/// Extent of a `[1, height, width, channels]` tensor.
fn extent(tensor: &Tensor) -> (usize, usize, usize) {
    match tensor.dims[..] {
        [1, height, width, channels] => (height, width, channels),
        _ => panic!("{}: not [1, height, width, channels]", tensor.name),
    }
}

/// Index of the input row or column that a window position reads; `None` in the padding.
fn source(out: usize, tap: usize, stride: usize, pad_before: usize, size: usize) -> Option<usize> {
    (out * stride + tap).checked_sub(pad_before).filter(|&index| index < size)
}

/// Value of one output byte of a 2-D window operation at (row, column, channel), given the pixels
/// under the window as (tap row, tap column, pixel index in row-major [height, width]).
fn for_each_window(
    node: &Node,
    input: &Tensor,
    filter: (usize, usize),
    out: &Tensor,
    mut value: impl FnMut(&[(usize, usize, usize)], usize) -> i64,
) -> Vec<i64> {
    let (height, width, _) = extent(input);
    let (out_height, out_width, out_channels) = extent(out);
    let (stride, pad) = (node.param("stride"), node.param("pad_amount"));
    assert_eq!(out_height, (height + pad[0] + pad[1] - filter.0) / stride[0] + 1, "{}", node.name);
    assert_eq!(out_width, (width + pad[2] + pad[3] - filter.1) / stride[1] + 1, "{}", node.name);
    let mut result = Vec::new();
    for row in 0..out_height {
        for column in 0..out_width {
            let mut pixels = Vec::new();
            for i in 0..filter.0 {
                for j in 0..filter.1 {
                    let y = source(row, i, stride[0], pad[0], height);
                    let x = source(column, j, stride[1], pad[2], width);
                    if let (Some(y), Some(x)) = (y, x) {
                        pixels.push((i, j, y * width + x));
                    }
                }
            }
            for channel in 0..out_channels {
                result.push(value(&pixels, channel));
            }
        }
    }
    result
}

/// Filter `[height, width, in, out]`; the scale may differ by output channel.
pub(super) fn conv2d(
    node: &Node,
    x: &Operand,
    weight: &Operand,
    bias: &Operand,
    out: &Tensor,
) -> Vec<i64> {
    let [height, width, depth, count] = weight.tensor.dims[..] else { panic!("{}", node.name) };
    assert_eq!(depth, extent(x.tensor).2);
    for_each_window(node, x.tensor, (height, width), out, |pixels, channel| {
        let mut acc = bias.q[channel];
        for &(i, j, pixel) in pixels {
            for k in 0..depth {
                let w = weight.q[((i * width + j) * depth + k) * count + channel]
                    + weight.tensor.channel_offset(channel);
                acc += (x.q[pixel * depth + k] + x.tensor.offset()) * w;
            }
        }
        weighted_factor(x.tensor, weight.tensor, channel, out).requantize(acc, out)
    })
}

/// Filter `[height, width, 1, channels * multiplier]`.
pub(super) fn depth_wise_conv2d(
    node: &Node,
    x: &Operand,
    weight: &Operand,
    bias: &Operand,
    out: &Tensor,
) -> Vec<i64> {
    let [height, width, 1, count] = weight.tensor.dims[..] else { panic!("{}", node.name) };
    let channels = extent(x.tensor).2;
    let multiplier = count / channels;
    for_each_window(node, x.tensor, (height, width), out, |pixels, channel| {
        let mut acc = bias.q[channel];
        for &(i, j, pixel) in pixels {
            let w =
                weight.q[(i * width + j) * count + channel] + weight.tensor.channel_offset(channel);
            acc += (x.q[pixel * channels + channel / multiplier] + x.tensor.offset()) * w;
        }
        weighted_factor(x.tensor, weight.tensor, channel, out).requantize(acc, out)
    })
}

/// Weights `[out, in]`.
pub(super) fn fully_connected(
    x: &Operand,
    weight: &Operand,
    bias: &Operand,
    out: &Tensor,
) -> Vec<i64> {
    let [rows, columns] = weight.tensor.dims[..] else { panic!("weights are not [out, in]") };
    assert_eq!(x.q.len(), columns);
    let row_value = |row: usize| {
        let mut acc = bias.q[row];
        for column in 0..columns {
            let w = weight.q[row * columns + column] + weight.tensor.channel_offset(row);
            acc += (x.q[column] + x.tensor.offset()) * w;
        }
        weighted_factor(x.tensor, weight.tensor, row, out).requantize(acc, out)
    };
    (0..rows).map(row_value).collect()
}

fn weighted_factor(x: &Tensor, weight: &Tensor, channel: usize, out: &Tensor) -> Factor {
    Factor::new(x.scale() * weight.channel_scale(channel) / out.scale())
}

/// Clamps at real zero; rescales when the quantizations differ.
pub(super) fn relu(x: &Operand, out: &Tensor) -> Vec<i64> {
    if same_quantization(x.tensor, out) {
        return x.q.iter().map(|&q| q.max(-out.offset())).collect();
    }
    let factor = Factor::new(x.tensor.scale() / out.scale());
    x.q.iter().map(|&q| factor.requantize((q + x.tensor.offset()).max(0), out)).collect()
}

/// Both terms in units of the output with 40 fractional bits, then one rounding.
pub(super) fn element_wise_add(a: &Operand, b: &Operand, out: &Tensor) -> Vec<i64> {
    assert_eq!(a.tensor.dims, b.tensor.dims, "broadcasting is not needed here");
    let fixed = |x: &Tensor| (x.scale() / out.scale() * 2f64.powi(40) + 0.5).floor() as i128;
    let (factor_a, factor_b) = (fixed(a.tensor), fixed(b.tensor));
    let sum = |(&qa, &qb): (&i64, &i64)| {
        let total = factor_a * i128::from(qa + a.tensor.offset())
            + factor_b * i128::from(qb + b.tensor.offset());
        to_byte((total + (1 << 39)) >> 40, out)
    };
    a.q.iter().zip(b.q).map(sum).collect()
}

/// Largest value of the window; padding never wins.
pub(super) fn pool_max2d(node: &Node, x: &Operand, out: &Tensor) -> Vec<i64> {
    let channels = extent(x.tensor).2;
    let filter = (node.param("filter_size")[0], node.param("filter_size")[1]);
    for_each_window(node, x.tensor, filter, out, |pixels, channel| {
        let values = pixels.iter().map(|&(_, _, pixel)| x.q[pixel * channels + channel]);
        let largest = values.max().expect("a window over at least one pixel");
        if same_quantization(x.tensor, out) {
            largest
        } else {
            Factor::new(x.tensor.scale() / out.scale()).requantize(largest + x.tensor.offset(), out)
        }
    })
}

/// Mean over the real pixels of the window: padding does not count.
pub(super) fn pool_avg2d(node: &Node, x: &Operand, out: &Tensor) -> Vec<i64> {
    let channels = extent(x.tensor).2;
    let filter = (node.param("filter_size")[0], node.param("filter_size")[1]);
    for_each_window(node, x.tensor, filter, out, |pixels, channel| {
        let units = |&(_, _, pixel): &(usize, usize, usize)| {
            x.q[pixel * channels + channel] + x.tensor.offset()
        };
        let sum = pixels.iter().map(units).sum();
        Factor::new(x.tensor.scale() / (out.scale() * pixels.len() as f64)).requantize(sum, out)
    })
}

/// Softmax in single precision: another implementation may differ by one step.
pub(super) fn softmax(x: &Operand, out: &Tensor) -> Vec<i64> {
    let scale = x.tensor.scale() as f32;
    let real = |&q: &i64| (q + x.tensor.offset()) as f32 * scale;
    let reals: Vec<f32> = x.q.iter().map(real).collect();
    let largest = reals.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = reals.iter().map(|r| (r - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    let step = out.scale() as f32;
    powers.iter().map(|y| to_byte((y / sum / step + 0.5).floor() as i128, out)).collect()
}
