//! Functions of one, two and three operands of the virtual HTP, over all types, against the
//! functions of the standard library.

use crate::support::reference::half;
use crate::support::*;
use htp_runtime::graph::DataType;
use proptest::prelude::*;

fn types() -> impl Strategy<Value = DataType> {
    use DataType::*;
    prop::sample::select(vec![Ufixed8, Sfixed8, Ufixed16, Sfixed16, Float16, Float32])
}

/// An output type for results of about `span` in magnitude.
fn output(random: &mut Random, data_type: DataType, dims: &[u32], span: f64) -> Type {
    if matches!(data_type, DataType::Float16 | DataType::Float32) {
        return plain(data_type, dims);
    }
    let mut of = random.fixed(data_type, dims);
    let (low, high) = reference::range(data_type);
    of.quants[0].scale = (span * (0.2 + random.unit()) / (high - low) as f64).max(1e-7) as f32;
    of
}

/// The error function by Simpson's rule.
fn erf(x: f64) -> f64 {
    let x = x.clamp(-6.0, 6.0);
    let steps = 2_000;
    let h = x / f64::from(steps);
    let f = |i: i32| (-(h * f64::from(i)).powi(2)).exp();
    let inner = (1..steps).map(|i| f64::from(2 + 2 * (i % 2)) * f(i)).sum::<f64>();
    std::f64::consts::FRAC_2_SQRT_PI * h / 3.0 * (f(0) + inner + f(steps))
}

type Function = fn(f64) -> f64;

const FUNCTIONS: [(&str, Option<u32>, Function); 20] = [
    ("ElementWiseAbs", Some(0), f64::abs),
    ("ElementWiseAsin", Some(1), f64::asin),
    ("ElementWiseAtan", Some(2), f64::atan),
    ("ElementWiseCeil", Some(3), f64::ceil),
    ("ElementWiseCos", Some(4), f64::cos),
    ("ElementWiseExp", Some(5), f64::exp),
    ("ElementWiseFloor", Some(6), f64::floor),
    ("ElementWiseLog", Some(7), f64::ln),
    ("ElementWiseNeg", Some(8), |x| -x),
    ("ElementWiseRound", Some(11), f64::round_ties_even),
    ("ElementWiseRsqrt", Some(12), |x| 1.0 / x.sqrt()),
    ("ElementWiseSign", Some(13), |x| if x == 0.0 { 0.0 } else { x.signum() }),
    ("ElementWiseSin", Some(14), f64::sin),
    ("ElementWiseSquareRoot", Some(15), f64::sqrt),
    ("Sigmoid", None, |x| 1.0 / (1.0 + (-x).exp())),
    ("Tanh", None, f64::tanh),
    ("Gelu", None, |x| x * 0.5 * (1.0 + erf(x / 2f64.sqrt()))),
    ("HardSwish", None, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
    ("Relu1", None, |x| x.clamp(-1.0, 1.0)),
    ("Relu6", None, |x| x.clamp(0.0, 6.0)),
];

/// What the operands of a function are made of.
fn reach(reals: &[f64]) -> f64 {
    reals.iter().filter(|x| x.is_finite()).fold(1e-3, |reach: f64, x| reach.max(x.abs()))
}

/// Clamps of quantized numbers have input steps as bounds.
fn is_clamp(name: &str) -> bool {
    name.starts_with("Relu")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    // 300 elements of 8 bits are looked up in a table, 30 are computed.
    #[test]
    fn functions(seed: u64, data_type in types(), which in 0usize..20, many: bool) {
        let mut random = Random(seed);
        let dims = [3, if many { 100 } else { 10 }];
        let (name, number, function) = FUNCTIONS[which];
        let x = Data::random(&mut random, data_type, &dims);
        let expected: Vec<f64> = x.reals.iter().map(|&x| function(x)).collect();
        let out = output(&mut random, data_type, &dims, reach(&expected).min(1e4));
        if is_clamp(name) && !out.quants.is_empty() {
            return Ok(());
        }
        let found = run_op(name, &[], &[x.operand()], &out).unwrap();
        prop_assert_eq!(nearest(&out, &found, &expected), Ok(()), "{}", name);
        if let Some(number) = number {
            let params = [("operation", P::U32(number))];
            let same = run_op("ElementWiseUnary", &params, &[x.operand()], &out);
            prop_assert_eq!(same.unwrap(), found);
        }
    }

    #[test]
    fn neurons(seed: u64, data_type in types(), operation in 0u32..9, alpha in 0.1f32..2.0) {
        let mut random = Random(seed);
        let x = Data::random(&mut random, data_type, &[40]);
        let (a, beta) = (f64::from(alpha), 0.75);
        let function = |x: f64| match operation {
            0 => if x < 0.0 { a * (x.exp() - 1.0) } else { x },
            1 => x * 0.5 * (1.0 + erf(x / 2f64.sqrt())),
            2 => (a * x + beta).clamp(0.0, 1.0),
            3 => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            4 => x.max(0.0),
            5 => x.clamp(-0.5, 2.0),
            6 => 1.0 / (1.0 + (-x).exp()),
            7 if beta * x > 3.0 => x,
            7 => (1.0 + (beta * x).exp()).ln() / beta,
            _ => x.tanh(),
        };
        let expected: Vec<f64> = x.reals.iter().map(|&x| function(x)).collect();
        let out = output(&mut random, data_type, &[40], reach(&expected));
        if (4..=5).contains(&operation) && !out.quants.is_empty() {
            return Ok(()); // bounds in input steps: see the tests of Relu
        }
        let params = [
            ("operation", P::U32(operation)),
            ("alpha", P::F32(alpha)),
            ("beta", P::F32(beta as f32)),
            ("threshold", P::F32(3.0)),
            ("min_value", P::F32(-0.5)),
            ("max_value", P::F32(2.0)),
        ];
        let found = run_op("ElementWiseNeuron", &params, &[x.operand()], &out).unwrap();
        prop_assert_eq!(nearest(&out, &found, &expected), Ok(()), "{}", operation);
    }

    #[test]
    fn operations(seed: u64, data_type in types(), operation in 0u32..20, row in 1u32..6) {
        let mut random = Random(seed);
        let a = Data::random(&mut random, data_type, &[2, 3, row]);
        let b = Data::random(&mut random, data_type, &[3, 1]);
        let compares = matches!(operation, 3 | 6..=9 | 14);
        if matches!(operation, 1 | 15 | 19) {
            return Ok(()); // on truth values: see below
        }
        let function = |a: f64, b: f64| match operation {
            0 => a + b,
            2 => a / b,
            3 => f64::from(a == b),
            4 => (a / b).floor(),
            5 => a % b,
            6 => f64::from(a > b),
            7 => f64::from(a >= b),
            8 => f64::from(a < b),
            9 => f64::from(a <= b),
            10 => a.max(b),
            11 => a.min(b),
            12 => a - (a / b).floor() * b,
            13 => a * b,
            14 => f64::from(a != b),
            16 => a.powf(b),
            17 => (a - b).powi(2),
            _ => a - b,
        };
        let expected: Vec<f64> = a.reals.iter().enumerate()
            .map(|(at, &a)| function(a, b.reals[at / row as usize % 3]))
            .collect();
        // Just below a multiple of the divisor a remainder jumps.
        if operation == 12 && expected.iter().any(|x| x.abs() < 1e-6 || x.is_nan()) {
            return Ok(());
        }
        let dims = [2, 3, row];
        let out = match compares {
            true => plain(DataType::Bool8, &dims),
            false => output(&mut random, data_type, &dims, reach(&expected).min(1e4)),
        };
        let params = [("operation", P::U32(operation))];
        let operands = [a.operand(), b.operand()];
        let found = run_op("ElementWiseBinary", &params, &operands, &out).unwrap();
        // Sums and products of floats are rounded to single precision before they are to half.
        prop_assert_eq!(nearest(&out, &found, &expected), Ok(()), "{}", operation);
        let names = [
            "Add", "And", "Divide", "Equal", "FloorDiv", "Fmod", "Greater", "GreaterEqual", "Less",
            "LessEqual", "Maximum", "Minimum", "Mod", "Multiply", "NotEqual", "Or", "Power",
            "SquaredDifference", "Subtract", "Xor",
        ];
        let name = format!("ElementWise{}", names[operation as usize]);
        prop_assert_eq!(run_op(&name, &[], &operands, &out).unwrap(), found);
    }

    #[test]
    fn operations_on_integers(seed: u64, operation in 0u32..20) {
        let mut random = Random(seed);
        let mut a = Data::random(&mut random, DataType::Int32, &[60]);
        let b = Data::random(&mut random, DataType::Int32, &[60]);
        if random.below(4) == 0 {
            a = Data::of(&a.of, &encode(DataType::Int32, &[i64::from(i32::MAX); 60]));
        }
        let function = |a: i32, b: i32| -> i32 {
            match operation {
                0 => a.wrapping_add(b),
                2 => a.checked_div(b).unwrap_or(0),
                4 => if b == 0 { 0 } else { (f64::from(a) / f64::from(b)).floor() as i32 },
                5 => a.checked_rem(b).unwrap_or(0),
                10 => a.max(b),
                11 => a.min(b),
                12 if b == 0 => 0,
                12 => {
                    let (a, b) = (f64::from(a), f64::from(b));
                    (a - (a / b).floor() * b) as i32
                }
                13 => a.wrapping_mul(b),
                16 if b < 0 => f64::from(a).powi(b) as i32,
                16 => a.wrapping_pow(b as u32),
                17 => a.wrapping_sub(b).wrapping_pow(2),
                18 => a.wrapping_sub(b),
                _ => panic!("not arithmetic"),
            }
        };
        let params = [("operation", P::U32(operation))];
        let operands = [a.operand(), b.operand()];
        let run = |out: &Type| run_op("ElementWiseBinary", &params, &operands, out);
        let (whole, truth) = (plain(DataType::Int32, &[60]), plain(DataType::Bool8, &[60]));
        if matches!(operation, 1 | 15 | 19) {
            prop_assert!(run(&whole).is_err());
        } else if matches!(operation, 3 | 6..=9 | 14) {
            let found = decode(DataType::Bool8, &run(&truth).unwrap());
            for ((a, b), found) in a.reals.iter().zip(&b.reals).zip(found) {
                let expected = match operation {
                    3 => a == b,
                    6 => a > b,
                    7 => a >= b,
                    8 => a < b,
                    9 => a <= b,
                    _ => a != b,
                };
                prop_assert_eq!(found, i64::from(expected));
            }
        } else {
            let found = decode(DataType::Int32, &run(&whole).unwrap());
            for ((a, b), found) in a.reals.iter().zip(&b.reals).zip(found) {
                if *a == 0.0 && *b < 0.0 && operation == 16 {
                    continue; // 1 / 0
                }
                prop_assert_eq!(found, i64::from(function(*a as i32, *b as i32)), "{} {}", a, b);
            }
        }
    }

    #[test]
    fn choices(seed: u64, data_type in types(), row in 1u32..9) {
        let mut random = Random(seed);
        let condition = Data::random(&mut random, DataType::Bool8, &[4, row]);
        let a = Data::random(&mut random, data_type, &[4, row]);
        let b = Data::random(&mut random, data_type, &[1]);
        let expected: Vec<f64> = condition.reals.iter().zip(&a.reals)
            .map(|(&c, &a)| if c != 0.0 { a } else { b.reals[0] })
            .collect();
        let out = output(&mut random, data_type, &[4, row], reach(&expected));
        let operands = [condition.operand(), a.operand(), b.operand()];
        let found = run_op("ElementWiseSelect", &[], &operands, &out).unwrap();
        prop_assert_eq!(nearest(&out, &found, &expected), Ok(()));
    }

    #[test]
    fn slopes_factors_and_summands(seed: u64, data_type in types(), channels in 1u32..7) {
        let mut random = Random(seed);
        let dims = [2, 3, channels];
        let x = Data::random(&mut random, data_type, &dims);
        let parameter_type = match data_type {
            DataType::Ufixed16 => DataType::Ufixed8,
            other => other,
        };
        let slope = Data::random(&mut random, parameter_type, &[channels]);
        let shift = Data::random(&mut random, parameter_type, &[channels]);
        let each = |f: &dyn Fn(f64, usize) -> f64| -> Vec<f64> {
            x.reals.iter().enumerate().map(|(at, &x)| f(x, at % channels as usize)).collect()
        };
        let bent = each(&|x, channel| if x < 0.0 { slope.reals[channel] * x } else { x });
        let out = output(&mut random, data_type, &dims, reach(&bent));
        let found = run_op("Prelu", &[], &[x.operand(), slope.constant()], &out).unwrap();
        prop_assert_eq!(nearest(&out, &found, &bent), Ok(()));
        let (factors, summands) = (slope.as_stored(), shift.as_stored());
        let scaled = each(&|x, channel| x * factors[channel] + summands[channel]);
        let out = output(&mut random, data_type, &dims, reach(&scaled));
        let operands = [x.operand(), slope.constant(), shift.constant()];
        let found = run_op("Batchnorm", &[], &operands, &out).unwrap();
        prop_assert_eq!(nearest(&out, &found, &scaled), Ok(()));
    }
}

#[test]
fn truth_values() {
    let of = plain(DataType::Bool8, &[4]);
    let (a, b) = ([0u8, 0, 1, 1], [0u8, 1, 0, 1]);
    let run = |name: &str| run_op(name, &[], &[(&of, &a, false), (&of, &b, false)], &of).unwrap();
    assert_eq!(run("ElementWiseAnd"), [0, 0, 0, 1]);
    assert_eq!(run("ElementWiseOr"), [0, 1, 1, 1]);
    assert_eq!(run("ElementWiseXor"), [0, 1, 1, 0]);
    assert_eq!(run("ElementWiseEqual"), [1, 0, 0, 1]);
    assert_eq!(run_op("ElementWiseNot", &[], &[(&of, &a, false)], &of).unwrap(), [1, 1, 0, 0]);
    let x = plain(DataType::Float32, &[4]);
    let data = floats(&[1.0, f32::NAN, f32::INFINITY, -0.0]);
    assert_eq!(run_op("IsNan", &[], &[(&x, &data, false)], &of).unwrap(), [0, 1, 0, 0]);
}

#[test]
fn extreme_floats_stay_what_they_are() {
    let of = plain(DataType::Float32, &[5]);
    let data = floats(&[f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.0, 100.0]);
    let run = |name: &str| to_floats(&run_op(name, &[], &[(&of, &data, false)], &of).unwrap());
    let found = run("Sigmoid");
    assert_eq!((found[0], found[1], found[3]), (1.0, 0.0, 0.5));
    assert!(found[2].is_nan());
    assert_eq!(run("Tanh")[..2], [1.0, -1.0]);
    assert_eq!(run("ElementWiseLog")[3], f32::NEG_INFINITY);
    assert_eq!(run("ElementWiseExp")[4], f32::INFINITY, "beyond float16");
    assert!(run("ElementWiseSquareRoot")[1].is_nan());
}

#[test]
fn a_table_changes_nothing() {
    // 70,000 elements of 16 bits are looked up, 4 are computed.
    let mut random = Random(7);
    let x = Data::random(&mut random, DataType::Ufixed16, &[70_000]);
    let mut out = x.of.clone();
    out.quants[0].scale = 1.0 / 65_536.0;
    out.quants[0].offset = 0;
    let looked_up = run_op("Sigmoid", &[], &[x.operand()], &out).unwrap();
    let (mut few, mut few_out) = (x.of.clone(), out.clone());
    (few.dims, few_out.dims) = (vec![4], vec![4]);
    for (bytes, found) in x.bytes.chunks_exact(8).zip(looked_up.chunks_exact(8)).step_by(97) {
        assert_eq!(run_op("Sigmoid", &[], &[(&few, bytes, false)], &few_out).unwrap(), found);
    }
}

#[test]
fn a_power_may_have_an_exponent_of_another_type() {
    let x = fixed(DataType::Ufixed8, &[3], 0.5, 0);
    let exponent = plain(DataType::Float32, &[1]);
    let out = fixed(DataType::Ufixed8, &[3], 0.25, 0);
    let three = floats(&[3.0]);
    let operands = [(&x, &[1, 2, 3][..], false), (&exponent, &three[..], true)];
    let found = run_op("ElementWisePower", &[], &operands, &out).unwrap();
    assert_eq!(found, [1, 4, 14]); // 0.125 rounds up, 1, 3.375
}

#[test]
fn conversions_of_bytes_truths_and_wide_numbers() {
    let x = plain(DataType::Uint8, &[3]);
    let out = fixed(DataType::Ufixed16, &[3], 0.5, -1);
    let found = run_op("Convert", &[], &[(&x, &[0, 3, 255], false)], &out).unwrap();
    assert_eq!(decode(DataType::Ufixed16, &found), [1, 7, 511]);
    let truth = plain(DataType::Bool8, &[3]);
    let found = run_op("Convert", &[], &[(&out, &found, false)], &truth).unwrap();
    assert_eq!(found, [0, 1, 1]);
    let wide = fixed(DataType::Sfixed32, &[2], 1e-3, 0);
    let real = plain(DataType::Float32, &[2]);
    let data = encode(DataType::Sfixed32, &[2_000, -125]);
    let found = run_op("Dequantize", &[], &[(&wide, &data, false)], &real).unwrap();
    assert_eq!(to_floats(&found), [2.0, -0.125].map(half));
    let back = run_op("Quantize", &[], &[(&real, &found, false)], &wide).unwrap();
    assert_eq!(decode(DataType::Sfixed32, &back), [2_000, -125]);
}
