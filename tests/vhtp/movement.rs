//! Ops of the virtual HTP that move elements, against index arithmetic written down naively.

use crate::support::*;
use htp_runtime::graph::DataType;
use proptest::prelude::*;

/// Numbered elements of one of the sizes that there are.
fn numbered(kind: usize, dims: &[u32]) -> (Type, Vec<i64>, Vec<u8>) {
    use DataType::*;
    let data_type = [Uint8, Float16, Int32, Int64][kind];
    let values: Vec<i64> = (0..count(dims) as i64).map(|at| at % 251).collect();
    (plain(data_type, dims), values.clone(), encode(data_type, &values))
}

fn coordinates(dims: &[u32], mut position: usize) -> Vec<usize> {
    let mut at = vec![0; dims.len()];
    for (axis, &dim) in dims.iter().enumerate().rev() {
        at[axis] = position % dim as usize;
        position /= dim as usize;
    }
    at
}

fn flat(dims: &[u32], at: &[usize]) -> usize {
    dims.iter().zip(at).fold(0, |flat, (&dim, &at)| flat * dim as usize + at)
}

/// Every element of an output by its coordinates.
fn each(dims: &[u32], f: impl Fn(&[usize]) -> i64) -> Vec<i64> {
    (0..count(dims)).map(|position| f(&coordinates(dims, position))).collect()
}

fn run(
    name: &str,
    params: &[(&str, P)],
    operands: &[(&Type, &[u8], bool)],
    out: &Type,
) -> Vec<i64> {
    decode(out.data_type, &run_op(name, params, operands, out).unwrap())
}

fn typed(of: &Type, dims: &[u32]) -> Type {
    plain(of.data_type, dims)
}

fn shapes(rank: usize) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(1u32..5, rank)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn parts(kind in 0usize..4, dims in shapes(3), axis in 0usize..3, cuts: u32, zero: bool) {
        let (of, values, bytes) = numbered(kind, &dims);
        let extent = dims[axis];
        let mut borders: Vec<u32> = (1..extent).filter(|at| cuts >> at & 1 == 1).collect();
        let mut starts = vec![0];
        starts.extend(&borders);
        let ends = borders.iter().copied().chain([extent]);
        let outs: Vec<Type> = starts.iter().zip(ends).map(|(start, end)| {
            let mut part = dims.clone();
            part[axis] = end - start;
            typed(&of, &part)
        }).collect();
        if zero || borders.is_empty() {
            borders.insert(0, 0);
        }
        let params = [("axis", P::U32(axis as u32)), ("split_index", list(&borders))];
        let outs_by: Vec<&Type> = outs.iter().collect();
        let found = run_op_outputs("Split", &params, &[(&of, &bytes, false)], &outs_by).unwrap();
        for ((out, found), start) in outs.iter().zip(found).zip(&starts) {
            let expected = each(&out.dims, |at| {
                let mut at = at.to_vec();
                at[axis] += *start as usize;
                values[flat(&dims, &at)]
            });
            prop_assert_eq!(decode(of.data_type, &found), expected);
        }
    }

    #[test]
    fn packed_and_unpacked(kind in 0usize..4, dims in shapes(3), axis in 0usize..3) {
        let (of, values, bytes) = numbered(kind, &dims);
        let mut rest = dims.clone();
        rest.remove(axis);
        let part = typed(&of, &rest);
        let params = || [("axis", P::U32(axis as u32))];
        let outs = vec![&part; dims[axis] as usize];
        let parts = run_op_outputs("UnPack", &params(), &[(&of, &bytes, false)], &outs).unwrap();
        for (index, found) in parts.iter().enumerate() {
            let expected = each(&rest, |at| {
                let mut at = at.to_vec();
                at.insert(axis, index);
                values[flat(&dims, &at)]
            });
            prop_assert_eq!(decode(of.data_type, found), expected);
        }
        let operands: Vec<(&Type, &[u8], bool)> =
            parts.iter().map(|bytes| (&part, &bytes[..], false)).collect();
        prop_assert_eq!(run("Pack", &params(), &operands, &of), values);
    }

    #[test]
    fn slices(
        kind in 0usize..4, dims in shapes(3), begins in prop::array::uniform3(-6i32..6),
        ends in prop::array::uniform3(-6i32..6), steps in prop::array::uniform3(-3i32..4),
        masks in 0u32..64, shrinks in 0u32..8,
    ) {
        let (of, values, bytes) = numbered(kind, &dims);
        let (begin_mask, end_mask) = (masks & 7, masks >> 3);
        let mut ranges = vec![];
        let mut picked: Vec<Vec<usize>> = vec![];
        for axis in 0..3 {
            let extent = dims[axis] as i32;
            let step = if steps[axis] == 0 { 1 } else { steps[axis] };
            ranges.extend([begins[axis], ends[axis], step]);
            let from_end = |bound: i32| if bound < 0 { bound + extent } else { bound };
            let bit = |mask: u32| mask >> axis & 1 == 1;
            let (low, high) = if step > 0 { (0, extent) } else { (-1, extent - 1) };
            let (first, past) = if step > 0 { (low, high) } else { (high, low) };
            let clamped = |bound: i32| from_end(bound).clamp(low, high);
            let begin = if bit(begin_mask) { first } else { clamped(begins[axis]) };
            let end = if bit(end_mask) { past } else { clamped(ends[axis]) };
            let mut places = vec![];
            let mut at = begin;
            while if step > 0 { at < end } else { at > end } {
                places.push(at as usize);
                at += step;
            }
            if bit(shrinks) {
                places.truncate(1);
            }
            picked.push(places);
        }
        if picked.iter().any(Vec::is_empty) {
            return Ok(()); // nothing is left
        }
        let full: Vec<u32> = picked.iter().map(|places| places.len() as u32).collect();
        let expected = each(&full, |at| {
            let at: Vec<usize> = at.iter().zip(&picked).map(|(&at, places)| places[at]).collect();
            values[flat(&dims, &at)]
        });
        let kept: Vec<u32> = (0..3).filter(|axis| shrinks >> axis & 1 == 0)
            .map(|axis| full[axis]).collect();
        let out = typed(&of, if kept.is_empty() { &[1] } else { &kept });
        let params = [
            ("ranges", P::Signed(vec![3, 3], ranges)),
            ("begin_mask", P::U32(begin_mask)),
            ("end_mask", P::U32(end_mask)),
            ("shrink_axes", P::U32(shrinks)),
        ];
        if kept.is_empty() {
            return Ok(()); // a scalar, which has no dimension
        }
        prop_assert_eq!(run("StridedSlice", &params, &[(&of, &bytes, false)], &out), expected);
    }

    #[test]
    fn repetitions(kind in 0usize..4, dims in shapes(4), times in prop::array::uniform4(1u32..4)) {
        let (of, values, bytes) = numbered(kind, &dims);
        let out_dims: Vec<u32> = dims.iter().zip(times).map(|(dim, times)| dim * times).collect();
        let expected = each(&out_dims, |at| {
            let at: Vec<usize> = at.iter().zip(&dims).map(|(at, &dim)| at % dim as usize).collect();
            values[flat(&dims, &at)]
        });
        let params = [("multiples", list(&times))];
        let out = typed(&of, &out_dims);
        prop_assert_eq!(run("Tile", &params, &[(&of, &bytes, false)], &out), expected);
    }

    #[test]
    fn paddings(
        kind in 0usize..4, dims in shapes(3), amounts in prop::array::uniform6(0u32..5),
        scheme in 0u32..4, fill in 0i32..100,
    ) {
        let (of, values, bytes) = numbered(kind, &dims);
        let amounts: Vec<u32> = amounts.iter().enumerate().map(|(at, &amount)| match scheme {
            1 => amount.min(dims[at / 2]),
            2 => amount.min(dims[at / 2] - 1),
            _ => amount,
        }).collect();
        let out_dims: Vec<u32> =
            (0..3).map(|axis| dims[axis] + amounts[2 * axis] + amounts[2 * axis + 1]).collect();
        let expected = each(&out_dims, |at| {
            let mut inside = vec![];
            for axis in 0..3 {
                let (extent, at) = (i64::from(dims[axis]), at[axis] as i64);
                let at = at - i64::from(amounts[2 * axis]);
                inside.push(match scheme {
                    0 if !(0..extent).contains(&at) => return fill.into(),
                    0 => at,
                    1 if at < 0 => -1 - at,
                    1 if at >= extent => 2 * extent - 1 - at,
                    2 if at < 0 => -at,
                    2 if at >= extent => 2 * extent - 2 - at,
                    _ => at.clamp(0, extent - 1),
                } as usize);
            }
            values[flat(&dims, &inside)]
        });
        let params = [
            ("scheme", P::U32(scheme)),
            ("pad_amount", P::List(vec![3, 2], amounts)),
            ("pad_constant_value", P::I32(fill)),
        ];
        if kind == 1 && scheme == 0 {
            return Ok(()); // the constant of floats is a float: see below
        }
        let params = if scheme == 0 { &params[..] } else { &params[..2] };
        let out = typed(&of, &out_dims);
        prop_assert_eq!(run("Pad", params, &[(&of, &bytes, false)], &out), expected);
    }

    #[test]
    fn depth_and_space(
        kind in 0usize..4, size in shapes(3), block in prop::array::uniform2(1u32..4), c in 1u32..4,
        block_first: bool,
    ) {
        let [n, h, w] = [size[0], size[1], size[2]];
        let deep = [n, h, w, c * block[0] * block[1]];
        let wide = [n, h * block[0], w * block[1], c];
        let (of, values, bytes) = numbered(kind, &deep);
        let expected = each(&wide, |at| {
            let [by, bx] = [block[0] as usize, block[1] as usize];
            let (y, x) = (at[1] % by, at[2] % bx);
            let depth = match block_first {
                true => (y * bx + x) * c as usize + at[3],
                false => (at[3] * by + y) * bx + x,
            };
            values[flat(&deep, &[at[0], at[1] / by, at[2] / bx, depth])]
        });
        let params =
            || [("block_size", list(&block)), ("mode", P::U32(u32::from(!block_first)))];
        let out = typed(&of, &wide);
        let found = run("DepthToSpace", &params(), &[(&of, &bytes, false)], &out);
        prop_assert_eq!(&found, &expected);
        let back = encode(of.data_type, &found);
        prop_assert_eq!(run("SpaceToDepth", &params(), &[(&out, &back, false)], &of), values);
    }

    #[test]
    fn shuffled_channels(kind in 0usize..4, dims in shapes(2), groups in 1u32..4, size in 1u32..4) {
        let all = [dims[0], groups * size, dims[1]];
        let (of, values, bytes) = numbered(kind, &all);
        let expected = each(&all, |at| {
            let (place, group) = (at[1] / groups as usize, at[1] % groups as usize);
            values[flat(&all, &[at[0], group * size as usize + place, at[2]])]
        });
        let params = [("num_groups", P::U32(groups)), ("axis", P::U32(1))];
        prop_assert_eq!(run("ChannelShuffle", &params, &[(&of, &bytes, false)], &of), expected);
    }

    #[test]
    fn gathered(
        seed: u64, kind in 0usize..4, dims in shapes(3), axis in 0usize..3, at in shapes(2),
    ) {
        let mut random = Random(seed);
        let (of, values, bytes) = numbered(kind, &dims);
        let extent = i64::from(dims[axis]);
        let mut out_dims = dims.clone();
        out_dims.splice(axis..=axis, at.iter().copied());
        let picks: Vec<i64> =
            (0..count(&at)).map(|_| random.between(-extent, extent - 1)).collect();
        let expected = each(&out_dims, |place| {
            let pick = picks[flat(&at, &place[axis..axis + 2])].rem_euclid(extent) as usize;
            let mut from = place.to_vec();
            from.splice(axis..axis + 2, [pick]);
            values[flat(&dims, &from)]
        });
        let index = plain(DataType::Int32, &at);
        let indices = encode(DataType::Int32, &picks);
        let operands = [(&of, &bytes[..], false), (&index, &indices[..], false)];
        let params = [("axis", P::I32(axis as i32 - if seed % 2 == 0 { 3 } else { 0 }))];
        prop_assert_eq!(run("Gather", &params, &operands, &typed(&of, &out_dims)), expected);
    }

    #[test]
    fn gathered_and_scattered_elements(
        seed: u64, dims in shapes(3), axis in 0usize..3, reduction in 0u32..4,
    ) {
        let mut random = Random(seed);
        let (of, values, bytes) = numbered(2, &dims);
        let mut at: Vec<u32> =
            dims.iter().map(|&dim| random.between(1, dim.into()) as u32).collect();
        at[axis] = random.between(1, 5) as u32;
        let extent = i64::from(dims[axis]);
        let picks: Vec<i64> =
            (0..count(&at)).map(|_| random.between(-extent, extent - 1)).collect();
        let place = |position: usize| {
            let mut place = coordinates(&at, position);
            place[axis] = picks[position].rem_euclid(extent) as usize;
            flat(&dims, &place)
        };
        let index = plain(DataType::Int32, &at);
        let indices = encode(DataType::Int32, &picks);
        let gather = [(&of, &bytes[..], false), (&index, &indices[..], false)];
        let part = typed(&of, &at);
        let found = run("GatherElements", &[("axis", P::U32(axis as u32))], &gather, &part);
        let expected: Vec<i64> = (0..picks.len()).map(|at| values[place(at)]).collect();
        prop_assert_eq!(found, expected);

        let mut expected = values;
        let updates: Vec<i64> = (0..picks.len()).map(|_| random.between(-9, 9)).collect();
        for (position, &update) in updates.iter().enumerate() {
            let old = &mut expected[place(position)];
            *old = [update, *old + update, *old * update, update.max(*old)][reduction as usize];
            *old = i64::from(*old as i32);
        }
        let updates = encode(DataType::Int32, &updates);
        let operands = [gather[0], gather[1], (&part, &updates[..], false)];
        let params = [("axis", P::U32(axis as u32)), ("reduction", P::U32(reduction))];
        prop_assert_eq!(run("ScatterElements", &params, &operands, &of), expected);
    }

    #[test]
    fn gathered_and_scattered_blocks(
        seed: u64, dims in shapes(4), rows in 1u32..5, batch_dims in 0u32..2, depth in 1u32..3,
        reduction in 0u32..3,
    ) {
        let mut random = Random(seed);
        let (of, values, bytes) = numbered(2, &dims);
        let (batches, first) = (batch_dims as usize, batch_dims as usize + depth as usize);
        let mut at = dims[..batches].to_vec();
        at.extend([rows, depth]);
        let picks: Vec<i64> = (0..count(&at)).map(|position| {
            let extent = i64::from(dims[batches + position % depth as usize]);
            random.between(-extent, extent - 1)
        }).collect();
        let mut out_dims = at[..batches + 1].to_vec();
        out_dims.extend(&dims[first..]);
        let place = |out: &[usize]| {
            let row = flat(&at[..batches + 1], &out[..batches + 1]) * depth as usize;
            let mut place = out[..batches].to_vec();
            place.extend((0..depth as usize).map(|axis| {
                picks[row + axis].rem_euclid(dims[batches + axis].into()) as usize
            }));
            place.extend(&out[batches + 1..]);
            flat(&dims, &place)
        };
        let index = plain(DataType::Int32, &at);
        let indices = encode(DataType::Int32, &picks);
        let gather = [(&of, &bytes[..], false), (&index, &indices[..], false)];
        let part = typed(&of, &out_dims);
        let params = [("batch_dims", P::U32(batch_dims))];
        let expected = each(&out_dims, |out| values[place(out)]);
        prop_assert_eq!(run("GatherNd", &params, &gather, &part), expected);
        if batches > 0 {
            return Ok(());
        }
        let mut expected = values.clone();
        let updates: Vec<i64> = (0..count(&out_dims)).map(|_| random.between(-9, 9)).collect();
        for (position, &update) in updates.iter().enumerate() {
            let old = &mut expected[place(&coordinates(&out_dims, position))];
            *old = [update, *old + update, *old * update][reduction as usize];
            *old = i64::from(*old as i32);
        }
        let updates = encode(DataType::Int32, &updates);
        let operands = [gather[0], gather[1], (&part, &updates[..], false)];
        let params = [("reduction", P::U32(reduction))];
        prop_assert_eq!(run("ScatterNd", &params, &operands, &of), expected);
    }

    #[test]
    fn moved_elements_change_their_quantization(seed: u64, kind in 0usize..5, wide: bool) {
        let mut random = Random(seed);
        let data_type = if wide { DataType::Ufixed16 } else { DataType::Sfixed8 };
        let x = Data::random(&mut random, data_type, &[3, 4]);
        let run = |name: &str, params: &[(&str, P)], places: &[usize], dims: &[u32]| {
            let mut out = Random(seed + 1).fixed(data_type, dims);
            out.quants[0].scale = x.of.quants[0].scale * 1.3;
            let found = run_op(name, params, &[x.operand()], &out).unwrap();
            let expected: Vec<f64> = places.iter().map(|&at| x.reals[at]).collect();
            nearest(&out, &found, &expected)
        };
        let all: Vec<usize> = (0..12).collect();
        let turned: Vec<usize> = (0..12).map(|at| at % 3 * 4 + at / 3).collect();
        let twice: Vec<usize> = (0..24).map(|at| at / 8 * 4 + at % 4).collect();
        let edges: Vec<usize> = (0..15).map(|at| at / 5 * 4 + (at % 5).min(3)).collect();
        let found = match kind {
            0 => run("Reshape", &[], &all, &[2, 6]),
            1 => run("ExpandDims", &[("axis", P::U32(0))], &all, &[1, 3, 4]),
            2 => run("Transpose", &[("perm", list(&[1, 0]))], &turned, &[4, 3]),
            3 => run("Tile", &[("multiples", list(&[1, 2]))], &twice, &[3, 8]),
            _ => {
                let amounts = P::List(vec![2, 2], vec![0, 0, 0, 1]);
                run("Pad", &[("scheme", P::U32(3)), ("pad_amount", amounts)], &edges, &[3, 5])
            }
        };
        prop_assert_eq!(found, Ok(()));
    }
}

#[test]
fn the_constant_of_a_padding() {
    let pad = |of: &Type, value: P| {
        let mut out = of.clone();
        out.dims = vec![2];
        let params = [
            ("scheme", P::U32(0)),
            ("pad_amount", P::List(vec![1, 2], vec![0, 1])),
            ("pad_constant_value", value),
        ];
        let data = vec![0; of.data_type.size_bytes()];
        run_op("Pad", &params, &[(of, &data, false)], &out)
            .map(|bytes| decode(of.data_type, &bytes))
    };
    let q = fixed(DataType::Ufixed8, &[1], 0.5, -7);
    assert_eq!(pad(&q, P::F32(2.0)), Ok(vec![0, 11]), "a float is a real number");
    assert_eq!(pad(&q, P::I32(2)), Ok(vec![0, 2]), "an integer is what is stored");
    let half = plain(DataType::Float16, &[1]);
    assert_eq!(pad(&half, P::F32(1.0)), Ok(vec![0, 0x3C00]));
    assert!(pad(&half, P::I32(1)).is_err());
}

#[test]
fn a_backward_slice_may_end_before_the_first_element() {
    let (of, _, bytes) = numbered(0, &[4]);
    let backwards = |end: i32, len: u32| {
        let params = [("ranges", P::Signed(vec![1, 3], vec![3, end, -1]))];
        run_op("StridedSlice", &params, &[(&of, &bytes, false)], &typed(&of, &[len]))
    };
    assert_eq!(backwards(-1, 4), Ok(vec![3, 2, 1, 0]));
    assert_eq!(backwards(1, 2), Ok(vec![3, 2]));
    assert!(backwards(1, 3).is_err());
}

#[test]
fn indices_outside_mean_the_nearest_place() {
    let (of, _, bytes) = numbered(0, &[4]);
    let index = plain(DataType::Int32, &[3]);
    let indices = encode(DataType::Int32, &[9, -9, i64::from(i32::MIN)]);
    let operands = [(&of, &bytes[..], false), (&index, &indices[..], false)];
    let found = run("Gather", &[("axis", P::I32(0))], &operands, &typed(&of, &[3]));
    assert_eq!(found, [3, 0, 0]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (of, _, bytes) = numbered(0, &[2, 4]);
    let fits = |name: &str, params: &[(&str, P)], dims: &[u32]| {
        run_op(name, params, &[(&of, &bytes, false)], &typed(&of, dims)).is_ok()
    };
    assert!(fits("Tile", &[("multiples", list(&[1, 2]))], &[2, 8]));
    assert!(!fits("Tile", &[("multiples", list(&[1, 2]))], &[2, 4]));
    assert!(!fits("Tile", &[("multiples", list(&[2]))], &[4, 4]));
    let slice = |ranges: Vec<i32>, dims: &[u32]| {
        fits("StridedSlice", &[("ranges", P::Signed(vec![2, 3], ranges))], dims)
    };
    assert!(slice(vec![0, 2, 1, 0, 4, 2], &[2, 2]));
    assert!(!slice(vec![0, 2, 1, 0, 4, 2], &[2, 3]));
    assert!(!slice(vec![0, 2, 1, 0, 4, 0], &[2, 4]), "no step");
    assert!(!slice(vec![0, 2, 1, 4, 4, 1], &[2, 1]), "nothing left");
    let pad = |scheme, amounts: Vec<u32>, dims: &[u32]| {
        let amounts = ("pad_amount", P::List(vec![2, 2], amounts));
        fits("Pad", &[("scheme", P::U32(scheme)), amounts], dims)
    };
    assert!(pad(2, vec![0, 1, 3, 3], &[3, 10]));
    assert!(!pad(2, vec![0, 2, 0, 0], &[4, 4]), "a mirror shows no more than there is");
    assert!(!pad(4, vec![0, 0, 0, 0], &[2, 4]));
    assert!(!pad(0, vec![0, 0, 0, 1], &[2, 4]));
    assert!(!fits("Squeeze", &[], &[2, 5]));
    assert!(!fits("ChannelShuffle", &[("num_groups", P::U32(3))], &[2, 4]));
    assert!(!fits("ChannelShuffle", &[("num_groups", P::U32(0))], &[2, 4]));
    assert!(!fits("DepthToSpace", &[("block_size", list(&[2, 2]))], &[4, 2]));
}
