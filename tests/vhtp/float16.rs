//! Where float16 arithmetic of the virtual HTP rounds, and where a value goes that lies half-way
//! between two numbers (docs/adr/006-float16-rounding.md).

use crate::support::reference::{even_half, half};
use crate::support::*;
use htp_runtime::graph::DataType;

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

/// Sums of products over operands that differ from product to product, rounded as the matrix unit
/// does.
fn sum(products: impl Iterator<Item = (f32, f32)>) -> f32 {
    let exact = products.map(|(x, w)| f64::from(half(x)) * f64::from(even_half(w))).sum::<f64>();
    even_half(exact as f32)
}

// REQ: OPS-009
#[test]
fn results_do_not_depend_on_how_many_are_computed_at_once() {
    // More pixels, channels and products than a kernel has at a time, and not a multiple of them.
    let (height, width, inputs, outputs) = (5usize, 7usize, 37usize, 45usize);
    let mut random = Random(11);
    let mut values = |count: usize| (0..count).map(|_| random.real(40.0)).collect::<Vec<_>>();
    let (x, w) = (values(height * width * inputs), values(9 * inputs * outputs));
    let mut expected = Vec::new();
    for (oy, ox, output) in (0..height)
        .flat_map(|oy| (0..width).flat_map(move |ox| (0..outputs).map(move |o| (oy, ox, o))))
    {
        let taps = (0..9).filter_map(|tap| {
            let (y, x) = ((oy + tap / 3).checked_sub(1)?, (ox + tap % 3).checked_sub(1)?);
            (y < height && x < width).then_some((tap, y * width + x))
        });
        expected.push(sum(taps.flat_map(|(tap, pixel)| {
            let products = (0..inputs).map(move |input| (pixel * inputs + input, tap, input));
            products
                .map(|(x_at, tap, input)| (x[x_at], w[(tap * inputs + input) * outputs + output]))
        })));
    }
    let params = [("stride", pair(1, 1)), ("pad_amount", pads([1; 4]))];
    let extents = [1, height as u32, width as u32, inputs as u32];
    let kernel = [3, 3, inputs as u32, outputs as u32];
    let operands = [(&extents[..], &x[..], false), (&kernel[..], &w[..], true)];
    let out = [1, height as u32, width as u32, outputs as u32];
    assert_eq!(run("Conv2d", &params, &operands, &out), expected);

    let rows = height * width;
    let matrix = &w[..inputs * outputs];
    let products = |row: usize, column: usize| {
        // Both operands are written: neither is a constant.
        let pairs = (0..inputs).map(|k| (x[row * inputs + k], half(matrix[k * outputs + column])));
        sum(pairs)
    };
    let expected: Vec<f32> =
        (0..rows * outputs).map(|place| products(place / outputs, place % outputs)).collect();
    let turned = |values: &[f32], columns: usize| -> Vec<f32> {
        let rows = values.len() / columns;
        (0..values.len()).map(|place| values[place % rows * columns + place / rows]).collect()
    };
    let (x_turned, turned_matrix) = (turned(&x, inputs), turned(matrix, outputs));
    let [m, k, n] = [rows as u32, inputs as u32, outputs as u32];
    for (turn_0, turn_1) in [(false, false), (true, false), (false, true), (true, true)] {
        let a = if turn_0 { ([k, m], &x_turned) } else { ([m, k], &x) };
        let b = if turn_1 { ([n, k], &turned_matrix[..]) } else { ([k, n], matrix) };
        let params = [("transpose_in0", P::Bool(turn_0)), ("transpose_in1", P::Bool(turn_1))];
        let operands = [(&a.0[..], &a.1[..], false), (&b.0[..], b.1, false)];
        assert_eq!(run("MatMul", &params, &operands, &[m, n]), expected, "{turn_0} {turn_1}");
    }
}
