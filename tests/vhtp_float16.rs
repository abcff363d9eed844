//! Where float16 arithmetic of the virtual HTP rounds, and where a value goes that lies half-way
//! between two numbers (docs/adr/006-float16-rounding.md).

mod vhtp_support;

use htp_runtime::graph::DataType;
use vhtp_support::*;

/// Runs an op on float32 tensors; operands with a flag are constants.
fn run(
    name: &str,
    params: &[(&str, P)],
    operands: &[(&[u32], &[f32], bool)],
    out: &[u32],
) -> Vec<f32> {
    let of = |dims: &[u32]| plain(DataType::Float32, dims);
    let data: Vec<_> =
        operands.iter().map(|&(dims, values, is)| (of(dims), floats(values), is)).collect();
    let operands: Vec<_> = data.iter().map(|(of, bytes, is)| (of, &bytes[..], *is)).collect();
    to_floats(&run_op(name, params, &operands, &of(out)).unwrap())
}

#[test]
fn a_half_goes_away_from_zero() {
    let dims: &[u32] = &[4];
    let between = [2049.0, 2051.0, -2049.0, -2051.0];
    let rounded = [2050.0, 2052.0, -2050.0, -2052.0];
    assert_eq!(run("Convert", &[], &[(dims, &between, false)], dims), rounded);
    assert_eq!(run("ElementWiseAbs", &[], &[(dims, &between, false)], dims), rounded.map(f32::abs));
    let (twice, one) = ([2048.0, 2050.0, -2048.0, -2050.0], [1.0, 1.0, -1.0, -1.0]);
    let operands = [(dims, &twice[..], false), (dims, &one[..], false)];
    assert_eq!(run("ElementWiseAdd", &[], &operands, dims), rounded);
    // 1025, 1027, ... times 1.5 end in a half.
    let (odd, factor) = ([1025.0, 1027.0, -1025.0, -1027.0], [1.5; 4]);
    let operands = [(dims, &odd[..], false), (dims, &factor[..], false)];
    let expected = [1538.0, 1541.0, -1538.0, -1541.0];
    assert_eq!(run("ElementWiseMultiply", &[], &operands, dims), expected);
}

#[test]
fn a_half_in_a_sum_of_products_goes_to_the_even_number() {
    let (odd, factor) = ([1025.0, 1027.0, -1025.0, -1027.0], [1.5]);
    let operands = [(&[4u32, 1][..], &odd[..], false), (&[1, 1][..], &factor[..], false)];
    assert_eq!(run("MatMul", &[], &operands, &[4, 1]), [1538.0, 1540.0, -1538.0, -1540.0]);
    // Sixteen channels make a sum of two whole tensors one of products.
    for (channels, expected) in [(15, 2050.0), (16, 2048.0)] {
        let dims: &[u32] = &[1, channels];
        let (a, b) = (vec![2048.0; channels as usize], vec![1.0; channels as usize]);
        let found = run("ElementWiseAdd", &[], &[(dims, &a, false), (dims, &b, false)], dims);
        assert_eq!(found, vec![expected; channels as usize]);
        let operands = [(dims, &a[..], false), (&[1][..], &b[..1], false)];
        assert_eq!(run("ElementWiseAdd", &[], &operands, dims)[0], 2050.0, "one is repeated");
    }
}

#[test]
fn weights_are_converted_before_the_graph_runs() {
    let weight = |constant| {
        let operands = [(&[1u32, 1][..], &[1.0][..], false), (&[1, 1][..], &[2049.0], constant)];
        run("MatMul", &[], &operands, &[1, 1])
    };
    assert_eq!((weight(true), weight(false)), (vec![2048.0], vec![2050.0]));
    let bias =
        [(&[1u32, 1][..], &[0.0][..], false), (&[1, 1], &[1.0], true), (&[1], &[2049.0], true)];
    assert_eq!(run("FullyConnected", &[], &bias, &[1, 1]), [2048.0]);
}

#[test]
fn a_sum_of_products_is_rounded_once() {
    // Term by term in single precision, 2^-14 would be lost beside 2^15.
    let x = [32_768.0, 2f32.powi(-14), -32_768.0];
    let operands = [(&[1u32, 3][..], &x[..], false), (&[3, 1][..], &[1.0; 3][..], true)];
    assert_eq!(run("MatMul", &[], &operands, &[1, 1]), [2f32.powi(-14)]);
}

#[test]
fn means_of_even_squares_are_not_sums_of_products() {
    let mean = |window: [u32; 2], image: &[f32]| {
        let params = [
            ("filter_size", pair(window[0], window[1])),
            ("stride", pair(1, 1)),
            ("pad_amount", pads([0; 4])),
        ];
        let dims = [1, window[0], window[1], 1];
        run("PoolAvg2d", &params, &[(&dims, image, false)], &[1, 1, 1, 1])
    };
    assert_eq!(mean([2, 2], &[2048.0, 2050.0, 2048.0, 2050.0]), [2050.0]);
    assert_eq!(mean([1, 2], &[2048.0, 2050.0]), [2048.0]);
}

#[test]
fn constants_of_a_normalization_are_used_as_stored() {
    // 2^-12 more than 1 is no float16; with another 2^-12 it is half-way to the next.
    let (little, shift) = (2f32.powi(-12), 1.0 + 2f32.powi(-12));
    let normalize = |constant| {
        let dims: &[u32] = &[1];
        let operands = [(&[1u32, 1][..], &[little][..], false), (dims, &[1.0], true)];
        run("Batchnorm", &[], &[operands[0], operands[1], (dims, &[shift], constant)], &[1, 1])
    };
    assert_eq!((normalize(true), normalize(false)), (vec![1.0 + 2f32.powi(-10)], vec![1.0]));
}
