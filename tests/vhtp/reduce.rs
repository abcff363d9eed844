//! Reductions, running sums, largest elements and normalizations of the virtual HTP against sums
//! written down naively.

use crate::support::*;
use htp_runtime::graph::DataType;
use proptest::prelude::*;

fn types() -> impl Strategy<Value = DataType> {
    use DataType::*;
    prop::sample::select(vec![Ufixed8, Sfixed8, Ufixed16, Sfixed16, Float16, Float32])
}

/// An output type for results like `expected`.
fn output(random: &mut Random, data_type: DataType, dims: &[u32], expected: &[f64]) -> Type {
    if matches!(data_type, DataType::Float16 | DataType::Float32) {
        return plain(data_type, dims);
    }
    let mut of = random.fixed(data_type, dims);
    let (low, high) = reference::range(data_type);
    let reach = expected.iter().fold(1e-3, |reach: f64, x| reach.max(x.abs())).min(1e30);
    of.quants[0].scale = (reach * (0.3 + random.unit()) / (high - low) as f64) as f32;
    of
}

/// Coordinates of a position.
fn coordinates(dims: &[u32], mut position: usize) -> Vec<usize> {
    let mut at = vec![0; dims.len()];
    for (axis, &dim) in dims.iter().enumerate().rev() {
        at[axis] = position % dim as usize;
        position /= dim as usize;
    }
    at
}

/// Elements by group: those that agree in the coordinates outside of `axes`, in order.
fn groups(dims: &[u32], axes: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Vec<usize>, Vec<usize>)> = vec![];
    for position in 0..count(dims) {
        let mut key = coordinates(dims, position);
        axes.iter().for_each(|&axis| key[axis] = 0);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(position),
            None => groups.push((key, vec![position])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn chosen(bits: u32, rank: usize) -> Vec<usize> {
    let axes: Vec<usize> = (0..rank).filter(|axis| bits >> axis & 1 == 1).collect();
    if axes.is_empty() {
        vec![rank - 1]
    } else {
        axes
    }
}

fn words(axes: &[usize]) -> P {
    list(&axes.iter().map(|&axis| axis as u32).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn reductions(
        seed: u64, data_type in types(), dims in prop::collection::vec(1u32..5, 1..5), bits: u32,
        kind in 0usize..6, keep: bool,
    ) {
        let mut random = Random(seed);
        let axes = chosen(bits, dims.len());
        let mut out_dims: Vec<u32> = dims.clone();
        axes.iter().for_each(|&axis| out_dims[axis] = 1);
        if !keep {
            let kept = (0..dims.len()).filter(|axis| !axes.contains(axis));
            out_dims = kept.map(|axis| dims[axis]).collect();
            if out_dims.is_empty() {
                out_dims.push(1);
            }
        }
        let x = Data::random(&mut random, data_type, &dims);
        let expected: Vec<f64> = groups(&dims, &axes).iter().map(|group| {
            let values: Vec<f64> = group.iter().map(|&at| x.reals[at]).collect();
            match kind {
                0 => values.iter().sum::<f64>() / values.len() as f64,
                1 => values.iter().sum(),
                2 => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                3 => values.iter().copied().fold(f64::INFINITY, f64::min),
                4 => values.iter().product(),
                _ => values.iter().map(|x| x * x).sum(),
            }
        }).collect();
        let out = output(&mut random, data_type, &out_dims, &expected);
        let names =
            ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare"];
        let params = [("axes", words(&axes)), ("keep_dims", P::Bool(keep))];
        let found = run_op(names[kind], &params, &[x.operand()], &out).unwrap();
        prop_assert_eq!(nearest(&out, &found, &expected), Ok(()), "{}", names[kind]);
    }

    #[test]
    fn where_the_extremes_are(
        seed: u64, data_type in types(), dims in prop::array::uniform3(1u32..6), axis in 0usize..3,
        largest: bool,
    ) {
        let mut random = Random(seed);
        let mut x = Data::random(&mut random, data_type, &dims);
        if random.below(2) == 0 {
            let size = data_type.size_bytes();
            let (first, rest) = x.bytes.split_at_mut(size);
            rest.chunks_mut(size).step_by(2).for_each(|element| element.copy_from_slice(first));
            x = Data::of(&x.of, &x.bytes);
        }
        let mut out_dims = dims.to_vec();
        out_dims.remove(axis);
        let out = plain(DataType::Int32, &out_dims);
        let params = [("axis", P::U32(axis as u32))];
        let name = if largest { "Argmax" } else { "Argmin" };
        let found = run_op(name, &params, &[x.operand()], &out).unwrap();
        let expected: Vec<f64> = groups(&dims, &[axis]).iter().map(|group| {
            let better = |a: f64, b: f64| if largest { a > b } else { a < b };
            let mut best = 0;
            for (index, &at) in group.iter().enumerate() {
                if better(x.reals[at], x.reals[group[best]]) {
                    best = index;
                }
            }
            best as f64
        }).collect();
        prop_assert_eq!(nearest(&out, &found, &expected), Ok(()));
    }

    #[test]
    fn the_first_k(
        seed: u64, data_type in types(), lines in 1u32..4, extent in 1u32..9, largest: bool,
    ) {
        let mut random = Random(seed);
        let k = random.between(1, extent.into()) as u32;
        let mut x = Data::random(&mut random, data_type, &[lines, extent]);
        if let Some(quant) = x.of.quants.first_mut() {
            quant.scale = 1.0;
            let low = reference::range(data_type).0 as i64;
            let values: Vec<i64> =
                (0..lines * extent).map(|_| random.between(low, low + 3)).collect();
            x = Data::of(&x.of, &encode(data_type, &values)); // with equal elements
        }
        let mut values = x.of.clone();
        values.dims = vec![lines, k];
        let indices = plain(DataType::Int32, &[lines, k]);
        let params = [("k", P::U32(k)), ("largest", P::Bool(largest))];
        let found = run_op_outputs("TopK", &params, &[x.operand()], &[&values, &indices]).unwrap();
        let (mut expected_values, mut expected_indices) = (vec![], vec![]);
        for line in x.reals.chunks(extent as usize) {
            let mut order: Vec<usize> = (0..line.len()).collect();
            order.sort_by(|&a, &b| {
                let order = line[a].partial_cmp(&line[b]).unwrap();
                if largest { order.reverse() } else { order }
            });
            order.truncate(k as usize);
            expected_values.extend(order.iter().map(|&at| line[at]));
            expected_indices.extend(order.iter().map(|&at| at as f64));
        }
        prop_assert_eq!(nearest(&values, &found[0], &expected_values), Ok(()));
        prop_assert_eq!(nearest(&indices, &found[1], &expected_indices), Ok(()));
    }

    #[test]
    fn running_sums(
        seed: u64, data_type in types(), dims in prop::array::uniform3(1u32..6), axis in 0usize..3,
        exclusive: bool, reverse: bool,
    ) {
        let mut random = Random(seed);
        let x = Data::random(&mut random, data_type, &dims);
        let mut expected = vec![0.0; x.reals.len()];
        for mut group in groups(&dims, &[axis]) {
            if reverse {
                group.reverse();
            }
            for (index, &at) in group.iter().enumerate() {
                let end = if exclusive { index } else { index + 1 };
                expected[at] = group[..end].iter().map(|&at| x.reals[at]).sum();
            }
        }
        let out = output(&mut random, data_type, &dims, &expected);
        let params = [
            ("axis", P::U32(axis as u32)),
            ("exclusive", P::Bool(exclusive)),
            ("reverse", P::Bool(reverse)),
        ];
        let found = run_op("CumulativeSum", &params, &[x.operand()], &out).unwrap();
        prop_assert_eq!(nearest(&out, &found, &expected), Ok(()));
    }

    #[test]
    fn normalizations_over_axes(
        seed: u64, data_type in types(), dims in prop::array::uniform3(1u32..5), bits: u32,
        kind in 0usize..3, parameters in 0usize..3,
    ) {
        let mut random = Random(seed);
        let axes = chosen(bits, 3);
        let x = Data::random(&mut random, data_type, &dims);
        let inner: Vec<u32> = axes.iter().map(|&axis| dims[axis]).collect();
        let [scale, shift] = [(); 2].map(|()| Data::random(&mut random, data_type, &inner));
        let (factors, summands) = (scale.as_stored(), shift.as_stored());
        let epsilon = 0.01f32;
        let mut expected = vec![0.0; x.reals.len()];
        for group in groups(&dims, &axes) {
            let values: Vec<f64> = group.iter().map(|&at| x.reals[at]).collect();
            let n = values.len() as f64;
            let mean = if kind == 0 { values.iter().sum::<f64>() / n } else { 0.0 };
            let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
            let size = match kind {
                2 => squares.max(epsilon.into()).sqrt(),
                _ => (squares / n + f64::from(epsilon)).sqrt(),
            };
            for (index, &at) in group.iter().enumerate() {
                expected[at] = (x.reals[at] - mean) / size;
                if kind < 2 && parameters > 0 {
                    expected[at] *= factors[index];
                }
                if kind < 2 && parameters > 1 {
                    expected[at] += summands[index];
                }
            }
        }
        let out = output(&mut random, data_type, &dims, &expected);
        let params = [("axes", words(&axes)), ("epsilon", P::F32(epsilon))];
        let mut operands = vec![x.operand(), scale.constant(), shift.constant()];
        operands.truncate(if kind < 2 { 1 + parameters } else { 1 });
        let name = ["LayerNorm", "RmsNorm", "L2Norm"][kind];
        let found = run_op(name, &params, &operands, &out).unwrap();
        prop_assert_eq!(nearest(&out, &found, &expected), Ok(()), "{}", name);
    }

    #[test]
    fn normalizations_of_images(
        seed: u64, data_type in types(), size in prop::array::uniform3(1u32..4),
        groups_of in 1u32..4, group_count in 1u32..4, grouped: bool, region in 0u32..3,
    ) {
        let mut random = Random(seed);
        let channels = groups_of * group_count;
        let dims = [size[0], size[1], size[2], channels];
        let x = Data::random(&mut random, data_type, &dims);
        let [scale, shift] = [(); 2].map(|()| Data::random(&mut random, data_type, &[channels]));
        let (factors, summands) = (scale.as_stored(), shift.as_stored());
        let epsilon = 0.01f32;
        let sets = match (grouped, region) {
            (true, _) => {
                let split = [size[0], size[1], size[2], group_count, groups_of];
                groups(&split, &[1, 2, 4])
            }
            (false, 0) => groups(&dims, &[1, 2]),
            (false, 1) => groups(&dims, &[3]),
            (false, _) => groups(&dims, &[1, 2, 3]),
        };
        let mut expected = vec![0.0; x.reals.len()];
        for set in sets {
            let n = set.len() as f64;
            let mean = set.iter().map(|&at| x.reals[at]).sum::<f64>() / n;
            let variance = set.iter().map(|&at| (x.reals[at] - mean).powi(2)).sum::<f64>() / n;
            for at in set {
                let channel = at % channels as usize;
                let value = (x.reals[at] - mean) / (variance + f64::from(epsilon)).sqrt();
                expected[at] = value * factors[channel] + summands[channel];
            }
        }
        let out = output(&mut random, data_type, &dims, &expected);
        let operands = [x.operand(), scale.constant(), shift.constant()];
        let found = match grouped {
            true => {
                let params = [("epsilon", P::F32(epsilon)), ("group", P::U32(group_count))];
                run_op("GroupNorm", &params, &operands, &out)
            }
            false => {
                let params = [("epsilon", P::F32(epsilon)), ("region", P::U32(region))];
                run_op("InstanceNorm", &params, &operands, &out)
            }
        };
        prop_assert_eq!(nearest(&out, &found.unwrap(), &expected), Ok(()));
    }

    #[test]
    fn local_responses(
        seed: u64, data_type in types(), channels in 1u32..9, radius in 0i32..4,
        alpha in 0.001f32..1.0,
    ) {
        let mut random = Random(seed);
        let dims = [2, 2, channels];
        let x = Data::random(&mut random, data_type, &dims);
        let (n, beta, bias) = (channels as usize, 0.75f32, 1.5f32);
        let expected: Vec<f64> = (0..x.reals.len()).map(|at| {
            let (pixel, channel) = (at / n * n, at % n);
            let near = (0..n).filter(|other| other.abs_diff(channel) <= radius as usize);
            let squares: f64 = near.map(|other| x.reals[pixel + other].powi(2)).sum();
            x.reals[at] / (f64::from(bias) + f64::from(alpha) * squares).powf(beta.into())
        }).collect();
        let out = output(&mut random, data_type, &dims, &expected);
        let params = [
            ("alpha", P::F32(alpha)),
            ("beta", P::F32(beta)),
            ("bias", P::F32(bias)),
            ("radius", P::I32(radius)),
        ];
        let found = run_op("Lrn", &params, &[x.operand()], &out).unwrap();
        prop_assert_eq!(nearest(&out, &found, &expected), Ok(()));
    }

    #[test]
    fn logarithms_of_softmax(seed: u64, dims in prop::array::uniform3(1u32..6), axis in 0usize..3) {
        let mut random = Random(seed);
        let x = Data::random(&mut random, DataType::Float16, &dims);
        let mut expected = vec![0.0; x.reals.len()];
        for group in groups(&dims, &[axis]) {
            let sum: f64 = group.iter().map(|&at| x.reals[at].exp()).sum();
            group.iter().for_each(|&at| expected[at] = x.reals[at] - sum.ln());
        }
        let out = plain(DataType::Float16, &dims);
        let params = [("axis", P::U32(axis as u32))];
        let found = run_op("LogSoftmax", &params, &[x.operand()], &out).unwrap();
        // Single precision loses what is near 0: 2^-22 of the sums.
        let found = Data::of(&out, &found).reals;
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert!((found - expected).abs() <= expected.abs() / 2047.0 + 2e-6);
        }
    }
}

#[test]
fn reductions_of_integers() {
    let of = plain(DataType::Int32, &[2, 3]);
    let data = encode(DataType::Int32, &[1, -2, 3, 40, 50, 60]);
    let out = plain(DataType::Int32, &[2]);
    let run = |name: &str| {
        let found = run_op(name, &[("axes", list(&[1]))], &[(&of, &data, false)], &out).unwrap();
        decode(DataType::Int32, &found)
    };
    assert_eq!(run("ReduceSum"), [2, 150]);
    assert_eq!(run("ReduceMax"), [3, 60]);
    assert_eq!(run("ReduceProd"), [-6, 120_000]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let of = plain(DataType::Float32, &[2, 3]);
    let data = floats(&[0.0; 6]);
    let run = |name: &str, params: &[(&str, P)], dims: &[u32]| {
        run_op(name, params, &[(&of, &data, false)], &plain(DataType::Float32, dims)).is_ok()
    };
    assert!(run("ReduceSum", &[("axes", list(&[1]))], &[2]));
    assert!(!run("ReduceSum", &[("axes", list(&[2]))], &[2]), "no such axis");
    assert!(!run("ReduceSum", &[("axes", list(&[1, 1]))], &[2]), "an axis twice");
    assert!(!run("ReduceSum", &[("axes", list(&[1]))], &[3]));
    assert!(!run("ReduceSum", &[], &[2]));
    assert!(!run("Argmax", &[("axis", P::U32(1))], &[2]), "indices are integers");
    assert!(!run("GroupNorm", &[("group", P::U32(2))], &[2, 3]));
    let within = [("radius", P::I32(1)), ("region", P::U32(1))];
    assert!(!run("Lrn", &within, &[2, 3]), "only across channels");
    assert!(!run("Lrn", &[("radius", P::I32(-1))], &[2, 3]));
    assert!(!run("CumulativeSum", &[], &[2, 3]));
}
