//! Resizing, sampling and the convolutions of other kinds of the virtual HTP, against the formulas
//! written down naively.

use crate::support::*;
use htp_runtime::graph::{DataType, ScaleOffset};
use proptest::prelude::*;

fn types() -> impl Strategy<Value = DataType> {
    use DataType::*;
    prop::sample::select(vec![Ufixed8, Sfixed8, Ufixed16, Sfixed16, Float16, Float32])
}

fn is_float(data_type: DataType) -> bool {
    matches!(data_type, DataType::Float16 | DataType::Float32)
}

/// An output type for results like `expected`.
fn output(random: &mut Random, data_type: DataType, dims: &[u32], expected: &[f64]) -> Type {
    if is_float(data_type) {
        return plain(data_type, dims);
    }
    let mut of = random.fixed(data_type, dims);
    let (low, high) = reference::range(data_type);
    let reach = expected.iter().fold(1e-3, |reach: f64, x| reach.max(x.abs())).min(1e30);
    of.quants[0].scale = (reach * (0.3 + random.unit()) / (high - low) as f64) as f32;
    of
}

/// Where an output place lies in the input, as ONNX defines it.
fn origin(mode: u32, x: f64, from: f64, to: f64) -> f64 {
    match mode {
        0 => (x + 0.5) * from / to - 0.5,
        1 if to > 1.0 => (x + 0.5) * from / to - 0.5,
        2 if to > 1.0 => x * (from - 1.0) / (to - 1.0),
        3 => x * from / to,
        _ => 0.0,
    }
}

/// Weights of the input places for an output place.
fn weights(
    (mode, interpolation, rounding, exclude): (u32, u32, u32, bool),
    x: u32,
    from: u32,
    to: u32,
) -> Vec<(usize, f64)> {
    let at = origin(mode, x.into(), from.into(), to.into());
    let last = f64::from(from) - 1.0;
    let inside = |at: f64| at.clamp(0.0, last) as usize;
    match interpolation {
        0 => {
            let nearest = match rounding {
                0 => (at - 0.5).ceil(),
                1 => (at + 0.5).floor(),
                2 => at.floor(),
                _ => at.ceil(),
            };
            vec![(inside(nearest), 1.0)]
        }
        1 => {
            let at = at.clamp(0.0, last);
            vec![(inside(at.floor()), 1.0 - at.fract()), (inside(at.floor() + 1.0), at.fract())]
        }
        _ => {
            let a = -0.75;
            let taps: Vec<(usize, f64)> = (-1..3)
                .map(|tap| at.floor() + f64::from(tap))
                .map(|tap| {
                    let d = (at - tap).abs();
                    let weight = match d <= 1.0 {
                        true => (a + 2.0) * d.powi(3) - (a + 3.0) * d.powi(2) + 1.0,
                        false => a * d.powi(3) - 5.0 * a * d.powi(2) + 8.0 * a * d - 4.0 * a,
                    };
                    let outside = tap < 0.0 || tap > last;
                    (inside(tap), if exclude && outside { 0.0 } else { weight })
                })
                .collect();
            let sum: f64 = taps.iter().map(|tap| tap.1).sum();
            taps.into_iter().map(|(at, weight)| (at, weight / sum)).collect()
        }
    }
}

/// Data as a weight or a bias: halfway between two float16 numbers, sums take the even one.
fn in_sums(mut data: Data) -> Data {
    if data.of.data_type == DataType::Float32 {
        let floats = to_floats(&data.bytes).into_iter();
        data.reals = floats.map(|x| reference::even_half(x).into()).collect();
    }
    data
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn resized(
        seed: u64, data_type in types(), batch in 1u32..3, channels in 1u32..4,
        from in prop::array::uniform2(1u32..6), to in prop::array::uniform2(1u32..10),
        mode in 0u32..4, interpolation in 0u32..3, rounding in 0u32..4, exclude: bool,
    ) {
        let mut random = Random(seed);
        let x = Data::random(&mut random, data_type, &[batch, from[0], from[1], channels]);
        let how = (mode, interpolation, rounding, exclude);
        let mut expected = vec![];
        for b in 0..batch {
            for (oy, ox) in (0..to[0]).flat_map(|oy| (0..to[1]).map(move |ox| (oy, ox))) {
                for c in 0..channels {
                    let mut sum = 0.0;
                    for (y, line) in weights(how, oy, from[0], to[0]) {
                        for (x_at, column) in weights(how, ox, from[1], to[1]) {
                            let [h, w] = from.map(|extent| extent as usize);
                            let pixel = (b as usize * h + y) * w + x_at;
                            let at = pixel * channels as usize + c as usize;
                            sum += line * column * x.reals[at];
                        }
                    }
                    expected.push(sum);
                }
            }
        }
        let dims = [batch, to[0], to[1], channels];
        let out = output(&mut random, data_type, &dims, &expected);
        let params = [
            ("transformation_mode", P::U32(mode)),
            ("interpolation_mode", P::U32(interpolation)),
            ("nearest_mode", P::U32(rounding)),
            ("exclude_outside", P::Bool(exclude)),
        ];
        let found = run_op("Resize", &params, &[x.operand()], &out).unwrap();
        // Cancelled weights leave an error of their own size behind.
        let slack = |index: usize| expected[index].abs() < 1e-4 && is_float(data_type);
        if !(0..expected.len()).any(slack) {
            prop_assert_eq!(nearest(&out, &found, &expected), Ok(()));
        }
        let flags = match mode {
            0 => (false, true),
            2 => (true, false),
            3 => (false, false),
            _ => return Ok(()),
        };
        let flags =
            [("align_corners", P::Bool(flags.0)), ("half_pixel_centers", P::Bool(flags.1))];
        if interpolation == 1 {
            prop_assert_eq!(run_op("ResizeBilinear", &flags, &[x.operand()], &out), Ok(found));
        } else if interpolation == 0 && rounding == if mode == 3 { 2 } else { 1 } {
            let same = run_op("ResizeNearestNeighbor", &flags, &[x.operand()], &out);
            prop_assert_eq!(same, Ok(found));
        }
    }

    #[test]
    fn sampled(
        seed: u64, data_type in types(), size in prop::array::uniform2(1u32..6),
        channels in 1u32..4, pixels in 1u32..8, mode in 0u32..2, padding in 0u32..3, align: bool,
    ) {
        let mut random = Random(seed);
        let x = Data::random(&mut random, data_type, &[2, size[0], size[1], channels]);
        let places: Vec<f32> = (0..2 * pixels * 2).map(|_| random.real(1.6)).collect();
        let grid = Data::of(&plain(DataType::Float32, &[2, 1, pixels, 2]), &floats(&places));
        let (h, w) = (f64::from(size[0]), f64::from(size[1]));
        let pixel = |b: u32, y: f64, x_at: f64, c: u32| -> f64 {
            let outside = y < 0.0 || x_at < 0.0 || y > h - 1.0 || x_at > w - 1.0;
            if outside {
                return 0.0; // what lies outside weighs nothing, or was moved inside before
            }
            let at = (f64::from(b) * h + y) * w + x_at;
            x.reals[at as usize * channels as usize + c as usize]
        };
        let mirrored = |mut at: f64, low: f64, high: f64| {
            while high > low && !(low..=high).contains(&at) {
                at = if at < low { 2.0 * low - at } else { 2.0 * high - at };
            }
            if high > low { at } else { low }
        };
        let place = |at: f64, size: f64| {
            let at = (at + 1.0) / 2.0;
            let at = if align { at * (size - 1.0) } else { at * size - 0.5 };
            match (padding, align) {
                (0, _) => at,
                (1, _) => at.clamp(0.0, size - 1.0),
                (_, true) => mirrored(at, 0.0, size - 1.0),
                (_, false) => mirrored(at, -0.5, size - 0.5).clamp(0.0, size - 1.0),
            }
        };
        let mut expected = vec![];
        for (index, at) in grid.reals.chunks(2).enumerate() {
            let (x_at, y) = (place(at[0], w), place(at[1], h));
            let b = index as u32 / pixels;
            for c in 0..channels {
                if mode == 1 {
                    expected.push(pixel(b, y.round_ties_even(), x_at.round_ties_even(), c));
                    continue;
                }
                let (fy, fx) = (y - y.floor(), x_at - x_at.floor());
                let mut sum = 0.0;
                for (dy, dx) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] {
                    let weight = (if dy > 0.0 { fy } else { 1.0 - fy })
                        * (if dx > 0.0 { fx } else { 1.0 - fx });
                    sum += weight * pixel(b, y.floor() + dy, x_at.floor() + dx, c);
                }
                expected.push(sum);
            }
        }
        let out = output(&mut random, data_type, &[2, 1, pixels, channels], &expected);
        let params = [
            ("mode", P::U32(mode)),
            ("padding_mode", P::U32(padding)),
            ("align_corners", P::Bool(align)),
        ];
        let found = run_op("GridSample", &params, &[x.operand(), grid.operand()], &out).unwrap();
        prop_assert_eq!(nearest(&out, &found, &expected), Ok(()));
    }

    #[test]
    fn transposed_convolutions(
        seed: u64, data_type in types(), size in prop::array::uniform2(1u32..5), batch in 1u32..3,
        window in prop::array::uniform2(1u32..4), stride in prop::array::uniform2(1u32..4),
        pads_of in prop::array::uniform4(0u32..2), more: u32, groups in 1u32..3,
        group_inputs in 1u32..4, group_outputs in prop::sample::select(vec![1u32, 2, 3, 9, 17]),
    ) {
        let mut random = Random(seed);
        let more = [more % stride[0], (more >> 8) % stride[1]];
        let long = |axis: usize| {
            let full = (size[axis] - 1) * stride[axis] + window[axis] + more[axis];
            full.checked_sub(pads_of[2 * axis] + pads_of[2 * axis + 1]).filter(|&long| long > 0)
        };
        let (Some(height), Some(width)) = (long(0), long(1)) else { return Ok(()) };
        let (inputs, outputs) = (groups * group_inputs, groups * group_outputs);
        let x = Data::random(&mut random, data_type, &[batch, size[0], size[1], inputs]);
        let weight_type = if is_float(data_type) { data_type } else { DataType::Sfixed8 };
        let w_dims = [window[0], window[1], inputs, group_outputs];
        let w = in_sums(Data::random(&mut random, weight_type, &w_dims));
        let mut expected = vec![0.0; (batch * height * width * outputs) as usize];
        for b in 0..batch {
            for (iy, ix) in (0..size[0]).flat_map(|y| (0..size[1]).map(move |x| (y, x))) {
                for (ky, kx) in (0..window[0]).flat_map(|y| (0..window[1]).map(move |x| (y, x))) {
                    let (oy, ox) = (iy * stride[0] + ky, ix * stride[1] + kx);
                    let (oy, ox) = (oy.wrapping_sub(pads_of[0]), ox.wrapping_sub(pads_of[2]));
                    if oy >= height || ox >= width {
                        continue;
                    }
                    let pairs = (0..inputs).flat_map(|i| (0..group_outputs).map(move |o| (i, o)));
                    for (i, o) in pairs {
                        let at = ((b * size[0] + iy) * size[1] + ix) * inputs + i;
                        let weight = ((ky * window[1] + kx) * inputs + i) * group_outputs + o;
                        let channel = i / group_inputs * group_outputs + o;
                        let to = ((b * height + oy) * width + ox) * outputs + channel;
                        expected[to as usize] += x.reals[at as usize] * w.reals[weight as usize];
                    }
                }
            }
        }
        let params = [
            ("stride", pair(stride[0], stride[1])),
            ("pad_amount", pads(pads_of)),
            ("output_padding", pair(more[0], more[1])),
            ("group", P::U32(groups)),
        ];
        let out = output(&mut random, data_type, &[batch, height, width, outputs], &expected);
        let found = run_op("TransposeConv2d", &params, &[x.operand(), w.constant()], &out).unwrap();
        prop_assert_eq!(close(&out, &found, &expected, 0.0), Ok(()));
    }

    #[test]
    fn convolutions_in_three_dimensions(
        seed: u64, data_type in types(), size in prop::array::uniform3(1u32..5),
        window in prop::array::uniform3(1u32..3), stride in prop::array::uniform3(1u32..3),
        pad in prop::array::uniform6(0u32..2), inputs in 1u32..4, outputs in 1u32..4,
    ) {
        let mut random = Random(seed);
        let mut out_size = [0; 3];
        for axis in 0..3 {
            let extent = size[axis] + pad[2 * axis] + pad[2 * axis + 1];
            let Some(room) = extent.checked_sub(window[axis]) else { return Ok(()) };
            out_size[axis] = room / stride[axis] + 1;
        }
        let x = Data::random(&mut random, data_type, &[1, size[0], size[1], size[2], inputs]);
        let weight_type = if is_float(data_type) { data_type } else { DataType::Sfixed8 };
        let w_dims = [window[0], window[1], window[2], inputs, outputs];
        let w = in_sums(Data::random(&mut random, weight_type, &w_dims));
        let dims = [1, out_size[0], out_size[1], out_size[2], outputs];
        let mut expected = vec![0.0; count(&dims)];
        for (position, sum) in expected.iter_mut().enumerate() {
            let (mut rest, mut at) = (position, [0usize; 5]);
            for axis in (0..5).rev() {
                at[axis] = rest % dims[axis] as usize;
                rest /= dims[axis] as usize;
            }
            for tap in 0..count(&window) as u32 {
                let taps =
                    [tap / window[2] / window[1], tap / window[2] % window[1], tap % window[2]];
                let place = |axis: usize| {
                    let place = at[axis + 1] as u32 * stride[axis] + taps[axis];
                    place.checked_sub(pad[2 * axis]).filter(|&place| place < size[axis])
                };
                let (Some(z), Some(y), Some(x_at)) = (place(0), place(1), place(2)) else {
                    continue;
                };
                for i in 0..inputs {
                    let from = (((z * size[1] + y) * size[2] + x_at) * inputs + i) as usize;
                    let weight = (tap * inputs + i) as usize * outputs as usize + at[4];
                    *sum += x.reals[from] * w.reals[weight];
                }
            }
        }
        let params = [
            ("stride", list(&stride)),
            ("pad_amount", P::List(vec![3, 2], pad.to_vec())),
            ("group", P::U32(1)),
            ("reuse_sparse_indicies", P::Bool(false)),
        ];
        let out = output(&mut random, data_type, &dims, &expected);
        let found = run_op("Conv3d", &params, &[x.operand(), w.constant()], &out).unwrap();
        prop_assert_eq!(close(&out, &found, &expected, 0.0), Ok(()));
    }

    #[test]
    fn products_of_other_types(
        seed: u64, m in 1u32..4, k in 1u32..9, n in prop::sample::select(vec![1u32, 3, 8, 20]),
        pairing in 0usize..5, per_channel: bool,
    ) {
        use DataType::*;
        let (x_type, w_type, bias_type) = [
            (Float32, Sfixed8, Float32),
            (Float16, Sfixed8, Float16),
            (Sfixed16, Sfixed8, Sfixed32),
            (Sfixed16, Sfixed16, Sfixed32),
            (Ufixed8, Ufixed8, Ufixed8),
        ][pairing];
        let mut random = Random(seed);
        let x = Data::random(&mut random, x_type, &[m, k]);
        let mut w = Data::random(&mut random, w_type, &[n, k]);
        if per_channel {
            let offset = w.of.quants[0].offset;
            w.of.axis = 0;
            w.of.quants = (0..n).map(|_| ScaleOffset { scale: random.scale(), offset }).collect();
        }
        let bias = match bias_type {
            Sfixed32 => {
                let of = fixed(Sfixed32, &[n], 1e-4, 0);
                let values: Vec<i64> = (0..n).map(|_| random.between(-50_000, 50_000)).collect();
                Data::of(&of, &encode(Sfixed32, &values))
            }
            other => in_sums(Data::random(&mut random, other, &[n])),
        };
        let stored = decode(w_type, &w.bytes);
        let weight = |output: usize, at: usize| {
            let quant = w.of.quants[if per_channel { output } else { 0 }];
            let steps = stored[output * k as usize + at] + i64::from(quant.offset);
            steps as f64 * f64::from(quant.scale)
        };
        let mut expected = vec![];
        for row in x.reals.chunks(k as usize) {
            for output in 0..n as usize {
                let products = row.iter().enumerate().map(|(at, x)| x * weight(output, at));
                expected.push(products.sum::<f64>() + bias.reals[output]);
            }
        }
        let out = output(&mut random, x_type, &[m, n], &expected);
        let operands = [x.operand(), w.constant(), bias.constant()];
        let found = run_op("FullyConnected", &[], &operands, &out).unwrap();
        let scale = |of: &Type| {
            of.quants.iter().fold(0.0, |scale: f64, quant| scale.max(quant.scale.into()))
        };
        let half_unit = scale(&x.of) * scale(&w.of) / 2.0;
        prop_assert_eq!(close(&out, &found, &expected, half_unit), Ok(()));
    }
}

/// Sums of products: a bias is brought to units of the sum, which moves a result by up to `slack`;
/// float32 sums leave 2^-17 of the largest behind.
fn close(of: &Type, bytes: &[u8], expected: &[f64], slack: f64) -> Result<(), String> {
    let largest = expected.iter().fold(1.0, |largest: f64, x| largest.max(x.abs()));
    for (found, expected) in Data::of(of, bytes).reals.iter().zip(expected) {
        let (expected, reach) = match of.quants.first() {
            Some(quant) => {
                let (low, high) = reference::range(of.data_type);
                let scale = f64::from(quant.scale);
                let end = |stored: i128| (stored as f64 + f64::from(quant.offset)) * scale;
                (expected.clamp(end(low), end(high)), 0.502 * scale + slack)
            }
            None => (*expected, expected.abs() / 2047.0 + largest * 1e-5),
        };
        if (found - expected).abs() > reach {
            return Err(format!("{found}, not {expected}, of {of:?}"));
        }
    }
    Ok(())
}

#[test]
fn modes_that_do_not_exist_are_refused() {
    let x = plain(DataType::Float32, &[1, 2, 2, 1]);
    let data = floats(&[0.0; 4]);
    let fits = |name: &str, params: &[(&str, P)], dims: &[u32]| {
        run_op(name, params, &[(&x, &data, false)], &plain(DataType::Float32, dims)).is_ok()
    };
    assert!(fits("Resize", &[], &[1, 4, 4, 1]));
    assert!(!fits("Resize", &[("interpolation_mode", P::U32(3))], &[1, 4, 4, 1]));
    assert!(!fits("Resize", &[("transformation_mode", P::U32(4))], &[1, 4, 4, 1]));
    assert!(!fits("Resize", &[("nearest_mode", P::U32(4))], &[1, 4, 4, 1]));
    assert!(!fits("Resize", &[], &[1, 4, 4, 2]), "channels do not change");
    assert!(!fits("ResizeBilinear", &[("antialias", P::Bool(true))], &[1, 4, 4, 1]));
    let both = [("align_corners", P::Bool(true)), ("half_pixel_centers", P::Bool(true))];
    assert!(!fits("ResizeBilinear", &both, &[1, 4, 4, 1]));
}
