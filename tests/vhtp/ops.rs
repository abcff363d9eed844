//! Element-wise ops, pooling, data movement, conversion and Softmax of the virtual HTP against
//! naive references.

use crate::support::reference::{clamp, half, requant};
use crate::support::*;
use htp_runtime::graph::DataType;
use proptest::prelude::*;

fn types() -> impl Strategy<Value = DataType> {
    use DataType::*;
    prop::sample::select(vec![Ufixed8, Sfixed8, Ufixed16, Sfixed16])
}

fn offset(of: &Type) -> i128 {
    of.quants[0].offset.into()
}

fn scale(of: &Type) -> f64 {
    of.quants[0].scale.into()
}

/// Runs an op of one input and no constants.
fn unary(name: &str, params: &[(&str, P)], x: &Type, values: &[i64], out: &Type) -> Vec<i64> {
    let bytes = encode(x.data_type, values);
    let found = run_op(name, params, &[(x, &bytes, false)], out).unwrap();
    decode(out.data_type, &found)
}

/// Index of an operand's element under an output position, with broadcasting.
fn under(dims: &[u32], out: &[u32], mut position: usize) -> usize {
    let mut index = vec![0usize; out.len()];
    for axis in (0..out.len()).rev() {
        index[axis] = position % out[axis] as usize;
        position /= out[axis] as usize;
    }
    let skipped = out.len() - dims.len();
    dims.iter().enumerate().fold(0, |flat, (axis, &extent)| {
        let at = if extent == 1 { 0 } else { index[skipped + axis] };
        flat * extent as usize + at
    })
}

/// Output dimensions with the operands' made from them by dropping and shrinking axes.
fn broadcast_dims() -> impl Strategy<Value = (Vec<u32>, Vec<u32>, Vec<u32>)> {
    (prop::collection::vec(1u32..5, 1..5), any::<u32>(), 0usize..3).prop_map(
        |(out, bits, dropped)| {
            let shrink = |bits: u32, skip: usize| -> Vec<u32> {
                let axes = out.iter().enumerate().skip(skip);
                axes.map(|(axis, &dim)| if bits >> axis & 1 == 1 { 1 } else { dim }).collect()
            };
            // An axis shrinks in at most one operand, so that the output keeps its extent.
            let a_bits = bits & bits >> 8;
            let b_bits = bits >> 16 & !a_bits;
            let skip = dropped.min(out.len() - 1);
            let mut a = shrink(a_bits, 0);
            let b = shrink(b_bits, skip);
            a[..skip].copy_from_slice(&out[..skip]);
            (a, b, out.clone())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn add_subtract_multiply(
        seed: u64, data_type in types(), (a, b, out) in broadcast_dims(), kind in 0usize..3,
    ) {
        let mut random = Random(seed);
        let (a, b) = (random.fixed(data_type, &a), random.fixed(data_type, &b));
        let mut out = random.fixed(data_type, &out);
        if kind == 2 {
            out.quants[0].scale *= 40.0 * a.quants[0].scale;
        }
        let a_values = random.stored(data_type, count(&a.dims));
        let b_values = random.stored(data_type, count(&b.dims));
        let name = ["ElementWiseAdd", "ElementWiseSubtract", "ElementWiseMultiply"][kind];
        let (a_bytes, b_bytes) = (encode(data_type, &a_values), encode(data_type, &b_values));
        let operands = [(&a, &a_bytes[..], false), (&b, &b_bytes[..], false)];
        let found = decode(data_type, &run_op(name, &[], &operands, &out).unwrap());
        for (position, found) in found.iter().enumerate() {
            let x = i128::from(a_values[under(&a.dims, &out.dims, position)]) + offset(&a);
            let y = i128::from(b_values[under(&b.dims, &out.dims, position)]) + offset(&b);
            let one = (1u64 << 40) as f64;
            let term = |of: &Type| (scale(of) / scale(&out) * one + 0.5).floor() as i128;
            let steps = match kind {
                0 => (term(&a) * x + term(&b) * y + (1 << 39)) >> 40,
                1 => (term(&a) * x - term(&b) * y + (1 << 39)) >> 40,
                _ => requant(x * y, scale(&a) * scale(&b) / scale(&out)).unwrap(),
            };
            prop_assert_eq!(*found, clamp(data_type, steps - offset(&out)));
        }
    }

    #[test]
    fn float_arithmetic(seed: u64, (a, b, out) in broadcast_dims(), kind in 0usize..3) {
        let mut random = Random(seed);
        let of = |dims: &[u32]| plain(DataType::Float32, dims);
        let (a, b, out) = (of(&a), of(&b), of(&out));
        let xs: Vec<f32> = (0..count(&a.dims)).map(|_| random.real(300.0)).collect();
        let ys: Vec<f32> = (0..count(&b.dims)).map(|_| random.real(300.0)).collect();
        let name = ["ElementWiseAdd", "ElementWiseSubtract", "ElementWiseMultiply"][kind];
        let (a_bytes, b_bytes) = (floats(&xs), floats(&ys));
        let operands = [(&a, &a_bytes[..], false), (&b, &b_bytes[..], false)];
        let found = to_floats(&run_op(name, &[], &operands, &out).unwrap());
        for (position, found) in found.iter().enumerate() {
            let x = f64::from(half(xs[under(&a.dims, &out.dims, position)]));
            let y = f64::from(half(ys[under(&b.dims, &out.dims, position)]));
            let expected = half([x + y, x - y, x * y][kind]);
            prop_assert_eq!(*found, expected);
        }
    }

    #[test]
    fn relu_and_bounds(seed: u64, data_type in types(), same: bool, bounded: bool, n in 1u32..40) {
        let mut random = Random(seed);
        let x = random.fixed(data_type, &[n]);
        let out = if same { x.clone() } else { random.fixed(data_type, &[n]) };
        let values = random.stored(data_type, n as usize);
        let span = scale(&x) * 300.0;
        let low = (random.unit() - 0.7) * span;
        let (low, high) = (low as f32, (low + random.unit() * span) as f32);
        let params = [("min_value", P::F32(low)), ("max_value", P::F32(high))];
        let found = match bounded {
            true => unary("ReluMinMax", &params, &x, &values, &out),
            false => unary("Relu", &[], &x, &values, &out),
        };
        for (value, found) in values.iter().zip(found) {
            // The bounds are real: a value beyond one becomes what the bound itself rounds to.
            let real = i128::from(*value) + offset(&x);
            let steps = |bound: f32| (f64::from(bound) / scale(&out) + 0.5).floor() as i128;
            let bounds = if bounded { (low, high) } else { (0.0, f32::INFINITY) };
            let exact = real as f64 * scale(&x);
            let result = match real {
                _ if exact > f64::from(bounds.1) => steps(bounds.1),
                _ if exact < f64::from(bounds.0) => steps(bounds.0),
                real if same => real,
                real => requant(real, scale(&x) / scale(&out)).unwrap(),
            };
            prop_assert_eq!(found, clamp(data_type, result - offset(&out)));
        }
    }

    #[test]
    fn convert_between_quantizations(seed: u64, from in types(), to in types(), n in 1u32..40) {
        let mut random = Random(seed);
        let (x, out) = (random.fixed(from, &[n]), random.fixed(to, &[n]));
        let values = random.stored(from, n as usize);
        let found = unary("Convert", &[], &x, &values, &out);
        for (value, found) in values.iter().zip(found) {
            let real = i128::from(*value) + offset(&x);
            let steps = requant(real, scale(&x) / scale(&out)).unwrap();
            prop_assert_eq!(found, clamp(to, steps - offset(&out)));
        }
    }

    #[test]
    fn quantize_and_dequantize(seed: u64, data_type in types(), n in 1u32..40) {
        let mut random = Random(seed);
        let fixed = random.fixed(data_type, &[n]);
        let real = plain(DataType::Float32, &[n]);
        let mut xs: Vec<f32> = (0..n).map(|_| random.real(30.0)).collect();
        xs[0] = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN][random.below(3) as usize];
        let found = run_op("Quantize", &[], &[(&real, &floats(&xs), false)], &fixed).unwrap();
        for (x, found) in xs.iter().zip(decode(data_type, &found)) {
            let steps = (f64::from(*x) / scale(&fixed) + 0.5).floor();
            prop_assert_eq!(found, clamp(data_type, steps as i64 as i128 - offset(&fixed)));
        }
        let values = random.stored(data_type, n as usize);
        let bytes = encode(data_type, &values);
        let found = run_op("Dequantize", &[], &[(&fixed, &bytes, false)], &real).unwrap();
        let found = to_floats(&found);
        for (value, found) in values.iter().zip(found) {
            let steps = value + i64::from(fixed.quants[0].offset);
            prop_assert_eq!(found, steps as f32 * fixed.quants[0].scale);
        }
        let halves = plain(DataType::Float16, &[n]);
        let found = run_op("Dequantize", &[], &[(&fixed, &bytes, false)], &halves).unwrap();
        let back = run_op("Convert", &[], &[(&halves, &found, false)], &real).unwrap();
        for (value, found) in values.iter().zip(to_floats(&back)) {
            let steps = value + i64::from(fixed.quants[0].offset);
            prop_assert_eq!(found, half(steps as f32 * fixed.quants[0].scale));
        }
    }

    #[test]
    fn pooling(
        seed: u64, data_type in types(), size in prop::array::uniform2(1u32..8), batch in 1u32..3,
        window in prop::array::uniform2(1u32..4), stride in prop::array::uniform2(1u32..4),
        pad in prop::array::uniform4(0u32..3), channels in 1u32..6,
        average: bool, count_padding: bool, round_up: bool, same: bool,
    ) {
        let mut random = Random(seed);
        let along = |axis: usize| {
            let (before, after) = (pad[2 * axis] % window[axis], pad[2 * axis + 1] % window[axis]);
            let room = (size[axis] + before + after).checked_sub(window[axis])?;
            let steps = if round_up { room.div_ceil(stride[axis]) } else { room / stride[axis] };
            let inside = steps * stride[axis] < size[axis] + before;
            inside.then_some((before, after, steps + 1))
        };
        let (Some((top, bottom, height)), Some((left, right, width))) = (along(0), along(1)) else {
            return Ok(());
        };
        let x = random.fixed(data_type, &[batch, size[0], size[1], channels]);
        let mut out = random.fixed(data_type, &[batch, height, width, channels]);
        if same {
            out.quants = x.quants.clone();
        }
        let values = random.stored(data_type, count(&x.dims));
        let mut params = vec![
            ("filter_size", pair(window[0], window[1])),
            ("stride", pair(stride[0], stride[1])),
            ("pad_amount", pads([top, bottom, left, right])),
            ("rounding_mode", P::U32(round_up.into())),
        ];
        if average {
            params.push(("count_pad_for_edges", P::Bool(count_padding)));
        }
        let name = if average { "PoolAvg2d" } else { "PoolMax2d" };
        let found = unary(name, &params, &x, &values, &out);
        let mut expected = vec![];
        for b in 0..batch {
            for (oy, ox) in (0..height).flat_map(|oy| (0..width).map(move |ox| (oy, ox))) {
                for c in 0..channels {
                    let (mut reals, mut positions) = (vec![], 0);
                    let lines = 0..window[0];
                    for (ky, kx) in lines.flat_map(|y| (0..window[1]).map(move |x| (y, x))) {
                        let (y, x_at) = (oy * stride[0] + ky, ox * stride[1] + kx);
                        let counts = y < size[0] + top + bottom && x_at < size[1] + left + right;
                        positions += i32::from(counts);
                        if y < top || x_at < left || y - top >= size[0] || x_at - left >= size[1] {
                            continue;
                        }
                        let pixel = (b * size[0] + y - top) * size[1] + x_at - left;
                        let value = values[(pixel * channels + c) as usize];
                        reals.push(i128::from(value) + offset(&x));
                    }
                    let steps = if average {
                        let count = if count_padding { positions } else { reals.len() as i32 };
                        let factor = scale(&x) / (scale(&out) * f64::from(count));
                        requant(reals.iter().sum(), factor)
                    } else {
                        requant(*reals.iter().max().unwrap(), scale(&x) / scale(&out))
                    };
                    expected.push(clamp(data_type, steps.unwrap() - offset(&out)));
                }
            }
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn transposition(seed: u64, dims in prop::collection::vec(1u32..5, 1..6), wide: bool) {
        let mut random = Random(seed);
        let data_type = if wide { DataType::Uint32 } else { DataType::Uint8 };
        let mut perm: Vec<u32> = (0..dims.len() as u32).collect();
        (1..perm.len()).rev().for_each(|at| perm.swap(at, random.below(at as u64 + 1) as usize));
        let out: Vec<u32> = perm.iter().map(|&axis| dims[axis as usize]).collect();
        let values: Vec<i64> = (0..count(&dims) as i64)
            .map(|at| if wide { at } else { at % 251 })
            .collect();
        let params = [("perm", P::List(vec![perm.len() as u32], perm.clone()))];
        let found =
            unary("Transpose", &params, &plain(data_type, &dims), &values, &plain(data_type, &out));
        for (position, found) in found.iter().enumerate() {
            let (mut rest, mut index) = (position, vec![0usize; dims.len()]);
            for axis in (0..out.len()).rev() {
                index[perm[axis] as usize] = rest % out[axis] as usize;
                rest /= out[axis] as usize;
            }
            let flat = index.iter().zip(&dims).fold(0, |flat, (at, dim)| flat * *dim as usize + at);
            prop_assert_eq!(*found, values[flat]);
        }
    }

    #[test]
    fn concatenation(
        seed: u64, outer in 1u32..4, inner in 1u32..4,
        extents in prop::collection::vec(1u32..5, 1..5),
        data_type in types(), requantize: bool,
    ) {
        let mut random = Random(seed);
        let out = random.fixed(data_type, &[outer, extents.iter().sum(), inner]);
        let parts: Vec<(Type, Vec<i64>)> = extents
            .iter()
            .map(|&extent| {
                let mut of = random.fixed(data_type, &[outer, extent, inner]);
                if !requantize {
                    of.quants = out.quants.clone();
                }
                let values = random.stored(data_type, count(&of.dims));
                (of, values)
            })
            .collect();
        let bytes: Vec<Vec<u8>> =
            parts.iter().map(|(of, values)| encode(of.data_type, values)).collect();
        let operands: Vec<(&Type, &[u8], bool)> =
            parts.iter().zip(&bytes).map(|((of, _), bytes)| (of, &bytes[..], false)).collect();
        let found = run_op("Concat", &[("axis", P::U32(1))], &operands, &out).unwrap();
        let mut expected = vec![];
        for row in 0..outer as usize {
            for (of, values) in &parts {
                let chunk = (of.dims[1] * inner) as usize;
                for value in &values[row * chunk..][..chunk] {
                    let real = i128::from(*value) + offset(of);
                    let steps = requant(real, scale(of) / scale(&out)).unwrap();
                    let changed = clamp(data_type, steps - offset(&out));
                    let moved = if requantize { changed } else { *value };
                    expected.push(moved);
                }
            }
        }
        prop_assert_eq!(decode(data_type, &found), expected);
    }

    #[test]
    fn softmax(
        seed: u64, data_type in types(), dims in prop::array::uniform3(1u32..6),
        axis in 0usize..3, beta in 0.1f32..2.0,
    ) {
        let mut random = Random(seed);
        let x = random.fixed(data_type, &dims);
        let (low, _) = reference::range(data_type);
        let steps = if data_type.size_bytes() == 1 { 256.0 } else { 65_536.0 };
        let out = fixed(data_type, &dims, 1.0 / steps, -(low as i32));
        let values = random.stored(data_type, count(&dims));
        let params = [("axis", P::U32(axis as u32)), ("beta", P::F32(beta))];
        let found = unary("Softmax", &params, &x, &values, &out);
        let inner: usize = dims[axis + 1..].iter().product::<u32>() as usize;
        let extent = dims[axis] as usize;
        let real = |flat: usize| {
            (values[flat] + i64::from(x.quants[0].offset)) as f32 * x.quants[0].scale
        };
        for (position, found) in found.iter().enumerate() {
            let start = position / (inner * extent) * inner * extent + position % inner;
            let line: Vec<f32> = (0..extent).map(|at| real(start + at * inner)).collect();
            let largest = line.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum = line.iter().fold(0f32, |sum, x| sum + libm::expf(beta * (x - largest)));
            let p = libm::expf(beta * (real(position) - largest)) / sum;
            let steps = (p / out.quants[0].scale + 0.5).floor();
            prop_assert_eq!(*found, clamp(data_type, steps as i128 - offset(&out)));
        }
    }

    #[test]
    fn rounding_to_float16(seed: u64) {
        let mut random = Random(seed);
        let mut xs: Vec<f32> =
            (0..200).map(|_| f32::from_bits(random.next() as u32)).collect();
        xs.retain(|x| !x.is_nan());
        xs.extend((0..200).map(|_| random.real(70_000.0)));
        xs.extend((0..200).map(|_| random.real(1e-4)));
        xs.extend([0.0, -0.0, 65_504.0, 65_519.9, 65_520.0, 2049.0]);
        xs.extend([2f32.powi(-24), 2f32.powi(-25)]);
        let of = plain(DataType::Float32, &[xs.len() as u32]);
        let found = run_op("Convert", &[], &[(&of, &floats(&xs), false)], &of).unwrap();
        for (x, found) in xs.iter().zip(to_floats(&found)) {
            prop_assert_eq!(found, half(*x), "{}", x);
        }
    }
}

#[test]
fn pooling_in_float16() {
    let x = plain(DataType::Float32, &[1, 2, 2, 1]);
    let out = plain(DataType::Float32, &[1, 1, 1, 1]);
    let data = floats(&[1.0, -2.0, 4.5, 0.5]);
    let params = || {
        vec![
            ("filter_size", pair(2, 2)),
            ("stride", pair(2, 2)),
            ("pad_amount", pads([0, 0, 0, 0])),
        ]
    };
    let max = run_op("PoolMax2d", &params(), &[(&x, &data, false)], &out).unwrap();
    let mean = run_op("PoolAvg2d", &params(), &[(&x, &data, false)], &out).unwrap();
    assert_eq!((to_floats(&max), to_floats(&mean)), (vec![4.5], vec![1.0]));
}

#[test]
fn relu_in_float16() {
    let of = plain(DataType::Float32, &[4]);
    let data = floats(&[-1.0, 0.1, 7.0, f32::NAN]);
    let found = to_floats(&run_op("Relu", &[], &[(&of, &data, false)], &of).unwrap());
    assert_eq!(found[..3], [0.0, half(0.1), 7.0]);
    assert!(found[3].is_nan());
    let params = [("min_value", P::F32(-0.5)), ("max_value", P::F32(6.0))];
    let found = to_floats(&run_op("ReluMinMax", &params, &[(&of, &data, false)], &of).unwrap());
    assert_eq!(found[..3], [-0.5, half(0.1), 6.0]);
}

#[test]
fn casts_go_by_value() {
    use DataType::*;
    let cast = |from, to, values: &[i64]| {
        let (x, out) = (plain(from, &[values.len() as u32]), plain(to, &[values.len() as u32]));
        unary("Cast", &[], &x, values, &out)
    };
    assert_eq!(cast(Int32, Uint8, &[1, 255, 256, -1]), [1, 255, 0, 255]);
    assert_eq!(cast(Uint8, Int64, &[0, 200]), [0, 200]);
    assert_eq!(cast(Int64, Int32, &[-5, 1 << 32]), [-5, 0]);
    assert_eq!(cast(Int32, Bool8, &[0, -3, 256]), [0, 1, 1]);
    let (x, out) = (plain(Float32, &[4]), plain(Int32, &[4]));
    let data = floats(&[1.9, -1.9, 1e20, f32::NAN]);
    let found = run_op("Cast", &[], &[(&x, &data, false)], &out).unwrap();
    assert_eq!(decode(Int32, &found), [1, -1, i32::MAX.into(), 0]);
    let found = run_op("Cast", &[], &[(&out, &encode(Int32, &[-7, 9, 0, 1]), false)], &x).unwrap();
    assert_eq!(to_floats(&found), [-7.0, 9.0, 0.0, 1.0]);
    // A quantized element counts as the integer it stores.
    let q = fixed(Ufixed8, &[2], 0.5, -7);
    assert_eq!(unary("Cast", &[], &q, &[3, 250], &plain(Int32, &[2])), [3, 250]);
}

#[test]
fn reshape_keeps_bytes() {
    let (x, out) = (plain(DataType::Int64, &[2, 3]), plain(DataType::Int64, &[3, 1, 2]));
    let values = [1, -2, 3, -4, 5, -6];
    assert_eq!(unary("Reshape", &[], &x, &values, &out), values);
}
