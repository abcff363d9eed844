//! Convolutions and matrix products of the virtual HTP against sums written down naively.

use crate::support::reference::{clamp, even_half, half, requant};
use crate::support::*;
use htp_runtime::graph::{DataType, ScaleOffset};
use proptest::prelude::*;

/// Weights with their reference view.
struct Weights {
    of: Type,
    stored: Vec<i64>,
}

impl Weights {
    fn random(
        random: &mut Random,
        data_type: DataType,
        dims: &[u32],
        axis: u32,
        per_axis: bool,
    ) -> Self {
        let mut of = random.fixed(data_type, dims);
        if matches!(data_type, DataType::Sfixed8 | DataType::Sfixed16) && random.below(2) == 0 {
            of.quants[0].offset = 0; // symmetric, as real networks have it
        }
        if per_axis {
            let channels = dims[axis as usize];
            of.axis = axis;
            of.quants = (0..channels)
                .map(|_| ScaleOffset { scale: random.scale(), offset: of.quants[0].offset })
                .collect();
        }
        let stored = random.stored(data_type, count(dims));
        Self { of, stored }
    }

    fn quant(&self, channel: usize) -> ScaleOffset {
        if self.of.quants.len() == 1 {
            self.of.quants[0]
        } else {
            self.of.quants[channel]
        }
    }

    fn real(&self, index: usize, channel: usize) -> i128 {
        i128::from(self.stored[index]) + i128::from(self.quant(channel).offset)
    }
}

/// A bias in the units of the sums, or in its own.
fn random_bias(random: &mut Random, x: &Type, w: &Weights, n: u32) -> (Type, Vec<i64>) {
    let stored: Vec<i64> = (0..n).map(|_| random.between(-20_000, 20_000)).collect();
    let own = random.below(2) == 0;
    let mut of = fixed(DataType::Sfixed32, &[n], 1.0, 0);
    let channels = if own { 1 } else { w.of.quants.len() };
    of.quants = (0..channels)
        .map(|channel| ScaleOffset {
            scale: if own { random.scale() } else { x.quants[0].scale * w.quant(channel).scale },
            offset: if own { 3 } else { 0 },
        })
        .collect();
    (of, stored)
}

fn bias_steps(bias: &Option<(Type, Vec<i64>)>, channel: usize, unit: f64) -> i128 {
    let Some((of, stored)) = bias else { return 0 };
    let quant = if of.quants.len() == 1 { of.quants[0] } else { of.quants[channel] };
    let steps = stored[channel] + i64::from(quant.offset);
    if quant.scale == unit as f32 {
        return steps.into();
    }
    (steps as f64 * (f64::from(quant.scale) / unit) + 0.5).floor() as i128
}

/// Sum to stored output.
fn finish(
    products: i128,
    bias: &Option<(Type, Vec<i64>)>,
    channel: usize,
    (x, w, out): (&Type, &Weights, &Type),
) -> i64 {
    let unit = f64::from(x.quants[0].scale) * f64::from(w.quant(channel).scale);
    let acc = products + bias_steps(bias, channel, unit);
    let steps = requant(acc, unit / f64::from(out.quants[0].scale)).unwrap();
    clamp(out.data_type, steps - i128::from(out.quants[0].offset))
}

fn pairs() -> impl Strategy<Value = (DataType, DataType)> {
    use DataType::*;
    prop::sample::select(vec![
        (Ufixed8, Sfixed8),
        (Ufixed8, Ufixed8),
        (Sfixed8, Sfixed8),
        (Sfixed8, Ufixed8),
        (Ufixed16, Sfixed8),
        (Ufixed16, Ufixed8),
        (Ufixed16, Sfixed16),
        (Ufixed16, Ufixed16),
    ])
}

#[derive(Debug, Clone)]
struct Spatial {
    batch: u32,
    size: [u32; 2],
    kernel: [u32; 2],
    stride: [u32; 2],
    dilation: [u32; 2],
    pads: [u32; 4],
}

impl Spatial {
    /// Output extents; `None` if no window fits.
    fn output(&self) -> Option<[u32; 2]> {
        let along = |axis: usize| {
            let taps = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            let extent = self.size[axis] + self.pads[2 * axis] + self.pads[2 * axis + 1];
            Some(extent.checked_sub(taps)? / self.stride[axis] + 1)
        };
        Some([along(0)?, along(1)?])
    }

    fn params(&self) -> Vec<(&'static str, P)> {
        vec![
            ("stride", pair(self.stride[0], self.stride[1])),
            ("pad_amount", pads(self.pads)),
            ("dilation", pair(self.dilation[0], self.dilation[1])),
        ]
    }

    /// Input position under a tap.
    fn under(&self, axis: usize, output: u32, tap: u32) -> Option<usize> {
        let at = i64::from(output * self.stride[axis] + tap * self.dilation[axis])
            - i64::from(self.pads[2 * axis]);
        (at >= 0 && at < i64::from(self.size[axis])).then_some(at as usize)
    }

    /// Calls `f` with (batch, oy, ox) of every output pixel.
    fn pixels(&self, mut f: impl FnMut(usize, u32, u32)) {
        let [height, width] = self.output().unwrap();
        for batch in 0..self.batch as usize {
            for oy in 0..height {
                (0..width).for_each(|ox| f(batch, oy, ox));
            }
        }
    }

    /// Calls `f` with (pixel index in the input, tap index) of every tap inside the input.
    fn taps(&self, (batch, oy, ox): (usize, u32, u32), mut f: impl FnMut(usize, usize)) {
        for ky in 0..self.kernel[0] {
            for kx in 0..self.kernel[1] {
                if let (Some(iy), Some(ix)) = (self.under(0, oy, ky), self.under(1, ox, kx)) {
                    let [height, width] = self.size.map(|extent| extent as usize);
                    let pixel = (batch * height + iy) * width + ix;
                    f(pixel, (ky * self.kernel[1] + kx) as usize);
                }
            }
        }
    }
}

fn spatial() -> impl Strategy<Value = Spatial> {
    (
        1u32..3,
        [1u32..7, 1u32..7],
        [1u32..4, 1u32..4],
        [1u32..3, 1u32..3],
        [1u32..3, 1u32..3],
        [0u32..3, 0u32..3, 0u32..3, 0u32..3],
    )
        .prop_map(|(batch, size, kernel, stride, dilation, pads)| Spatial {
            batch,
            size,
            kernel,
            stride,
            dilation,
            pads,
        })
        .prop_filter("a window fits", |spatial| spatial.output().is_some())
}

/// A scale that spreads the sums over the output's range.
fn out_type(
    random: &mut Random,
    data_type: DataType,
    dims: &[u32],
    x: &Type,
    w: &Weights,
    length: usize,
) -> Type {
    let mut out = random.fixed(data_type, dims);
    let spread = 60.0 * (length as f64).sqrt().max(1.0) * (0.5 + random.unit());
    out.quants[0].scale =
        (f64::from(x.quants[0].scale) * f64::from(w.quant(0).scale) * spread) as f32;
    out
}

fn convolution(
    seed: u64,
    spatial: &Spatial,
    (x_type, w_type): (DataType, DataType),
    (groups, group_in, group_out): (u32, u32, u32),
    depthwise: bool,
) {
    let mut random = Random(seed);
    let (inputs, outputs) = (groups * group_in, groups * group_out);
    let x = random.fixed(x_type, &[spatial.batch, spatial.size[0], spatial.size[1], inputs]);
    let w_dims = [spatial.kernel[0], spatial.kernel[1], group_in, outputs];
    let per_axis = random.below(2) == 0;
    let w = Weights::random(&mut random, w_type, &w_dims, 3, per_axis);
    let bias = (random.below(3) > 0).then(|| random_bias(&mut random, &x, &w, outputs));
    let [height, width] = spatial.output().unwrap();
    let taps = (spatial.kernel[0] * spatial.kernel[1] * group_in) as usize;
    let out = out_type(&mut random, x_type, &[spatial.batch, height, width, outputs], &x, &w, taps);
    let data = random.stored(x_type, count(&x.dims));

    let mut params = spatial.params();
    if !depthwise {
        params.push(("group", P::U32(groups)));
    }
    let (x_bytes, w_bytes) = (encode(x_type, &data), encode(w_type, &w.stored));
    let bias_bytes =
        bias.as_ref().map(|(_, stored)| encode(DataType::Sfixed32, stored)).unwrap_or_default();
    let mut operands = vec![(&x, &x_bytes[..], false), (&w.of, &w_bytes[..], true)];
    if let Some((of, _)) = &bias {
        operands.push((of, &bias_bytes[..], true));
    }
    let name = if depthwise { "DepthWiseConv2d" } else { "Conv2d" };
    let found = decode(x_type, &run_op(name, &params, &operands, &out).unwrap());

    let in_offset = i128::from(x.quants[0].offset);
    let mut expected = vec![];
    spatial.pixels(|batch, oy, ox| {
        for output in 0..outputs as usize {
            let first = output / group_out as usize * group_in as usize;
            let mut sum = 0i128;
            spatial.taps((batch, oy, ox), |pixel, tap| {
                for input in 0..group_in as usize {
                    let value = data[pixel * inputs as usize + first + input];
                    let weight = (tap * group_in as usize + input) * outputs as usize + output;
                    sum += (i128::from(value) + in_offset) * w.real(weight, output);
                }
            });
            expected.push(finish(sum, &bias, output, (&x, &w, &out)));
        }
    });
    assert_eq!(found, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn conv2d(
        seed: u64, spatial in spatial(), types in pairs(),
        groups in 1u32..3, group_in in 1u32..6, group_out in 1u32..75,
    ) {
        convolution(seed, &spatial, types, (groups, group_in, group_out), false);
    }

    #[test]
    fn depth_wise_conv2d(
        seed: u64, spatial in spatial(), types in pairs(),
        channels in 1u32..40, multiple in 1u32..3,
    ) {
        convolution(seed, &spatial, types, (channels, 1, multiple), true);
    }

    #[test]
    fn fully_connected(
        seed: u64, types in pairs(), batch in 1u32..4,
        k in prop::array::uniform2(1u32..12), n in 1u32..20,
    ) {
        let (x_type, w_type) = types;
        let mut random = Random(seed);
        let x = random.fixed(x_type, &[batch, k[0], k[1]]);
        let k = (k[0] * k[1]) as usize;
        let per_axis = random.below(2) == 0;
        let w = Weights::random(&mut random, w_type, &[n, k as u32], 0, per_axis);
        let bias = (random.below(3) > 0).then(|| random_bias(&mut random, &x, &w, n));
        let out = out_type(&mut random, x_type, &[batch, n], &x, &w, k);
        let data = random.stored(x_type, batch as usize * k);
        let (x_bytes, w_bytes) = (encode(x_type, &data), encode(w_type, &w.stored));
        let bias_bytes =
            bias.as_ref().map(|(_, stored)| encode(DataType::Sfixed32, stored)).unwrap_or_default();
        let mut operands = vec![(&x, &x_bytes[..], false), (&w.of, &w_bytes[..], true)];
        if let Some((of, _)) = &bias {
            operands.push((of, &bias_bytes[..], true));
        }
        let found = decode(x_type, &run_op("FullyConnected", &[], &operands, &out).unwrap());
        let mut expected = vec![];
        for row in data.chunks(k) {
            for column in 0..n as usize {
                let products = (0..k).map(|index| {
                    let value = i128::from(row[index]) + i128::from(x.quants[0].offset);
                    value * w.real(column * k + index, column)
                });
                expected.push(finish(products.sum(), &bias, column, (&x, &w, &out)));
            }
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn mat_mul(
        seed: u64, types in pairs(), m in 1u32..5, k in 1u32..9, n in 1u32..45,
        batches in prop::array::uniform2(1u32..4), broadcast in 0u32..4,
        transpose: (bool, bool), dynamic: bool,
    ) {
        let (x_type, w_type) = types;
        let mut random = Random(seed);
        let a_batch = [batches[0], if broadcast == 1 { 1 } else { batches[1] }];
        let b_batch = [batches[1]];
        let b_batch: &[u32] = if broadcast == 2 { &[] } else { &b_batch };
        let shape = |batch: &[u32], rows: u32, columns: u32, swap: bool| {
            let matrix = if swap { [columns, rows] } else { [rows, columns] };
            [batch, &matrix].concat()
        };
        let x = random.fixed(x_type, &shape(&a_batch, m, k, transpose.0));
        let w_dims = shape(b_batch, k, n, transpose.1);
        let axis = w_dims.len() as u32 - if transpose.1 { 2 } else { 1 };
        let per_axis = random.below(2) == 0;
        let w = Weights::random(&mut random, w_type, &w_dims, axis, per_axis);
        let inner = if broadcast == 2 { a_batch[1] } else { batches[1] };
        let out =
            out_type(&mut random, x_type, &[batches[0], inner, m, n], &x, &w, k as usize);
        let data = random.stored(x_type, count(&x.dims));
        let (x_bytes, w_bytes) = (encode(x_type, &data), encode(w_type, &w.stored));
        let operands = [(&x, &x_bytes[..], false), (&w.of, &w_bytes[..], !dynamic)];
        let params =
            [("transpose_in0", P::Bool(transpose.0)), ("transpose_in1", P::Bool(transpose.1))];
        let found = decode(x_type, &run_op("MatMul", &params, &operands, &out).unwrap());
        let (m, k, n) = (m as usize, k as usize, n as usize);
        let mut expected = vec![];
        for outer in 0..batches[0] as usize {
            for inner in 0..inner as usize {
                let a_inner = if a_batch[1] == 1 { 0 } else { inner };
                let a_matrix = (outer * a_batch[1] as usize + a_inner) * m * k;
                let repeated = b_batch.is_empty() || b_batch[0] == 1;
                let b_matrix = if repeated { 0 } else { inner * k * n };
                for row in 0..m {
                    for column in 0..n {
                        let products = (0..k).map(|i| {
                            let a = if transpose.0 { i * m + row } else { row * k + i };
                            let b = if transpose.1 { column * k + i } else { i * n + column };
                            let value = i128::from(data[a_matrix + a]);
                            (value + i128::from(x.quants[0].offset)) * w.real(b_matrix + b, column)
                        });
                        expected.push(finish(products.sum(), &None, column, (&x, &w, &out)));
                    }
                }
            }
        }
        prop_assert_eq!(found, expected);
    }

    // REQ: OPS-009
    #[test]
    fn conv2d_in_float16(seed: u64, spatial in spatial(), inputs in 1u32..5, outputs in 1u32..40) {
        let mut random = Random(seed);
        let of = |dims: &[u32]| plain(DataType::Float32, dims);
        let x = of(&[spatial.batch, spatial.size[0], spatial.size[1], inputs]);
        let w = of(&[spatial.kernel[0], spatial.kernel[1], inputs, outputs]);
        let b = of(&[outputs]);
        let [height, width] = spatial.output().unwrap();
        let out = of(&[spatial.batch, height, width, outputs]);
        let mut values =
            |of: &Type| (0..count(&of.dims)).map(|_| random.real(3.0)).collect::<Vec<_>>();
        let (xs, ws, bs) = (values(&x), values(&w), values(&b));
        let (x_bytes, w_bytes, b_bytes) = (floats(&xs), floats(&ws), floats(&bs));
        let operands =
            [(&x, &x_bytes[..], false), (&w, &w_bytes[..], true), (&b, &b_bytes[..], true)];
        let found = to_floats(&run_op("Conv2d", &spatial.params(), &operands, &out).unwrap());
        let (inputs, outputs) = (inputs as usize, outputs as usize);
        let mut expected = vec![];
        spatial.pixels(|batch, oy, ox| {
            for (output, bias) in bs.iter().enumerate() {
                let mut sum = f64::from(even_half(*bias));
                spatial.taps((batch, oy, ox), |pixel, tap| {
                    for input in 0..inputs {
                        let weight = even_half(ws[(tap * inputs + input) * outputs + output]);
                        let x = half(xs[pixel * inputs + input]);
                        sum += f64::from(x) * f64::from(weight);
                    }
                });
                expected.push(even_half(sum as f32));
            }
        });
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_convolution_by_hand() {
    // x = [1 2; 3 4] (scale 1, zero point 0), 2x2 filter of [1 -1; 2 0], bias 5: 1 - 2 + 6 + 0 + 5
    // = 10, halved.
    let x = fixed(DataType::Ufixed8, &[1, 2, 2, 1], 1.0, 0);
    let w = fixed(DataType::Sfixed8, &[2, 2, 1, 1], 1.0, 0);
    let b = fixed(DataType::Sfixed32, &[1], 1.0, 0);
    let out = fixed(DataType::Ufixed8, &[1, 1, 1, 1], 2.0, -3);
    let bias = encode(DataType::Sfixed32, &[5]);
    let params = [("stride", pair(1, 1)), ("pad_amount", pads([0; 4]))];
    let operands =
        [(&x, &[1, 2, 3, 4][..], false), (&w, &[1, 255, 2, 0][..], true), (&b, &bias[..], true)];
    assert_eq!(run_op("Conv2d", &params, &operands, &out), Ok(vec![5 + 3]));
}

#[test]
fn a_long_sum_needs_wide_arithmetic() {
    // 70,000 products of 255 * 127 exceed 32 bits.
    let k = 70_000u32;
    let x = fixed(DataType::Ufixed8, &[1, k], 1.0, 0);
    let w = fixed(DataType::Sfixed8, &[1, k], 1.0, 0);
    let out = fixed(DataType::Ufixed8, &[1, 1], 1e7, 0);
    let (xs, ws) = (vec![255u8; k as usize], vec![127u8; k as usize]);
    let found = run_op("FullyConnected", &[], &[(&x, &xs, false), (&w, &ws, true)], &out);
    let exact = f64::from(k) * 255.0 * 127.0 / 1e7;
    assert_eq!(found, Ok(vec![exact.round() as u8]));
}
