//! Functions of one, two and three numbers, computed in double precision and rounded once.

use core::f64::consts::SQRT_2;

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::vhtp) enum Unary {
    /// The number itself: a change of type.
    Identity,
    /// Magnitude.
    Abs,
    /// Arc sine.
    Asin,
    /// Arc tangent.
    Atan,
    /// Next integer above.
    Ceil,
    /// Cosine.
    Cos,
    /// `max(0, x) + alpha * (exp(min(0, x)) - 1)`
    Elu(f64),
    /// Exponential.
    Exp,
    /// Next integer below.
    Floor,
    /// `x / 2 * (1 + erf(x / sqrt 2))`
    Gelu,
    /// `alpha * x + beta` between 0 and 1.
    HardSigmoid(f64, f64),
    /// `x * (x + 3 between 0 and 6) / 6`
    HardSwish,
    /// Whether it is not a number.
    IsNan,
    /// Natural logarithm.
    Log,
    /// `-x`
    Neg,
    /// 1 for 0, 0 for everything else.
    Not,
    /// `1 / x`
    Reciprocal,
    /// Nearest integer, halves to the even one.
    Round,
    /// `1 / sqrt x`
    Rsqrt,
    /// Logistic function.
    Sigmoid,
    /// -1, 0 or 1.
    Sign,
    /// Sine.
    Sin,
    /// `ln(1 + exp(beta * x)) / beta`; above the threshold of `beta * x`, if it is positive, `x`.
    Softplus(f64, f64),
    /// Square root.
    SquareRoot,
    /// Hyperbolic tangent.
    Tanh,
    /// Between two bounds.
    Clamp(f64, f64),
}

/// `x` between two bounds; a NaN stays one.
fn between(x: f64, low: f64, high: f64) -> f64 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

/// What is left of `a` after whole multiples of `b`, exactly, with the sign of `a`. (That of libm
/// can panic.) Takes at most one step for each exponent between the two.
pub(in crate::vhtp) fn remainder(a: f64, b: f64) -> f64 {
    if !a.is_finite() || b == 0.0 || b.is_nan() {
        return f64::NAN;
    }
    let (mut left, b) = (libm::fabs(a), libm::fabs(b));
    while left >= b && b.is_finite() {
        let exponents = libm::frexp(left).1.saturating_sub(libm::frexp(b).1);
        let multiple = libm::scalbn(b, exponents);
        // Between half of `left` and all of it: the difference is exact.
        left -= if multiple > left { multiple / 2.0 } else { multiple };
    }
    libm::copysign(left, a)
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn softplus(x: f64, beta: f64, threshold: f64) -> f64 {
    let scaled = beta * x;
    if threshold > 0.0 && scaled > threshold {
        return x;
    }
    // ln(1 + e^s) = max(s, 0) + ln(1 + e^-|s|), which does not overflow.
    let rest = libm::log1p(libm::exp(-libm::fabs(scaled)));
    (if scaled > 0.0 { scaled + rest } else { rest }) / beta
}

impl Unary {
    /// The function's value.
    pub(in crate::vhtp) fn apply(self, x: f64) -> f64 {
        match self {
            Unary::Identity => x,
            Unary::Abs => libm::fabs(x),
            Unary::Asin => libm::asin(x),
            Unary::Atan => libm::atan(x),
            Unary::Ceil => libm::ceil(x),
            Unary::Cos => libm::cos(x),
            Unary::Elu(alpha) if x < 0.0 => alpha * libm::expm1(x),
            Unary::Elu(_) => x,
            Unary::Exp => libm::exp(x),
            Unary::Floor => libm::floor(x),
            Unary::Gelu => 0.5 * x * (1.0 + libm::erf(x / SQRT_2)),
            Unary::HardSigmoid(alpha, beta) => between(alpha * x + beta, 0.0, 1.0),
            Unary::HardSwish => x * between(x + 3.0, 0.0, 6.0) / 6.0,
            Unary::IsNan => truth(x.is_nan()),
            Unary::Log => libm::log(x),
            Unary::Neg => -x,
            Unary::Not => truth(x == 0.0),
            Unary::Reciprocal => 1.0 / x,
            Unary::Round => libm::rint(x),
            Unary::Rsqrt => 1.0 / libm::sqrt(x),
            Unary::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
            Unary::Sign if x == 0.0 || x.is_nan() => x,
            Unary::Sign => libm::copysign(1.0, x),
            Unary::Sin => libm::sin(x),
            Unary::Softplus(beta, threshold) => softplus(x, beta, threshold),
            Unary::SquareRoot => libm::sqrt(x),
            Unary::Tanh => libm::tanh(x),
            Unary::Clamp(low, high) => between(x, low, high),
        }
    }

    /// The function on integers, if it has one there.
    pub(in crate::vhtp) fn apply_whole(self, x: i64) -> Option<i64> {
        Some(match self {
            Unary::Identity | Unary::Ceil | Unary::Floor | Unary::Round => x,
            Unary::Abs => x.wrapping_abs(),
            Unary::Neg => x.wrapping_neg(),
            Unary::Not => i64::from(x == 0),
            Unary::Sign => x.signum(),
            // A conversion saturates, which leaves infinite bounds without effect.
            Unary::Clamp(low, high) => x.max(low as i64).min(high as i64),
            _ => return None,
        })
    }
}

/// A function of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vhtp) enum Binary {
    /// `a + b`
    Add,
    /// Both are not 0.
    And,
    /// `a / b`
    Divide,
    /// `a == b`
    Equal,
    /// `a / b`, rounded down.
    FloorDiv,
    /// Remainder with the sign of `a`.
    Fmod,
    /// `a > b`
    Greater,
    /// `a >= b`
    GreaterEqual,
    /// `a < b`
    Less,
    /// `a <= b`
    LessEqual,
    /// The larger.
    Maximum,
    /// The smaller.
    Minimum,
    /// Remainder with the sign of `b`.
    Mod,
    /// `a * b`
    Multiply,
    /// `a != b`
    NotEqual,
    /// One is not 0.
    Or,
    /// `a` to the power of `b`.
    Power,
    /// `a`, times `b` if `a` is negative.
    Prelu,
    /// `(a - b)^2`
    SquaredDifference,
    /// `a - b`
    Subtract,
    /// Exactly one is not 0.
    Xor,
}

impl Binary {
    /// Whether the result is a truth value, of a comparison.
    pub(in crate::vhtp) fn compares(self) -> bool {
        use Binary::*;
        matches!(self, Equal | Greater | GreaterEqual | Less | LessEqual | NotEqual)
    }

    /// Whether operands and result are truth values.
    pub(in crate::vhtp) fn is_logical(self) -> bool {
        matches!(self, Binary::And | Binary::Or | Binary::Xor)
    }

    /// The function's value.
    pub(in crate::vhtp) fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Binary::Add => a + b,
            Binary::And => truth(a != 0.0 && b != 0.0),
            Binary::Divide => a / b,
            Binary::Equal => truth(a == b),
            Binary::FloorDiv => libm::floor(a / b),
            Binary::Fmod => remainder(a, b),
            Binary::Greater => truth(a > b),
            Binary::GreaterEqual => truth(a >= b),
            Binary::Less => truth(a < b),
            Binary::LessEqual => truth(a <= b),
            Binary::Maximum => {
                if a > b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            Binary::Minimum => {
                if a < b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            Binary::Mod => {
                let rest = remainder(a, b);
                if rest != 0.0 && (rest < 0.0) != (b < 0.0) {
                    rest + b
                } else {
                    rest
                }
            }
            Binary::Multiply => a * b,
            Binary::NotEqual => truth(a != b),
            Binary::Or => truth(a != 0.0 || b != 0.0),
            Binary::Power => libm::pow(a, b),
            Binary::Prelu => {
                if a < 0.0 {
                    a * b
                } else {
                    a
                }
            }
            Binary::SquaredDifference => (a - b) * (a - b),
            Binary::Subtract => a - b,
            Binary::Xor => truth((a != 0.0) != (b != 0.0)),
        }
    }

    /// The function on integers, modulo 2^64; division is rounded towards zero, and by zero it
    /// gives 0.
    pub(in crate::vhtp) fn apply_whole(self, a: i64, b: i64) -> i64 {
        match self {
            Binary::Add => a.wrapping_add(b),
            Binary::And => i64::from(a != 0 && b != 0),
            Binary::Divide => a.checked_div(b).unwrap_or(0),
            Binary::Equal => i64::from(a == b),
            Binary::FloorDiv => {
                let rest = a.checked_rem(b).unwrap_or(0);
                let down = i64::from(rest != 0 && (rest < 0) != (b < 0));
                a.checked_div(b).unwrap_or(0).wrapping_sub(down)
            }
            Binary::Fmod => a.checked_rem(b).unwrap_or(0),
            Binary::Greater => i64::from(a > b),
            Binary::GreaterEqual => i64::from(a >= b),
            Binary::Less => i64::from(a < b),
            Binary::LessEqual => i64::from(a <= b),
            Binary::Maximum => a.max(b),
            Binary::Minimum => a.min(b),
            Binary::Mod => {
                let rest = a.checked_rem(b).unwrap_or(0);
                let adjust = rest != 0 && (rest < 0) != (b < 0);
                if adjust {
                    rest.wrapping_add(b)
                } else {
                    rest
                }
            }
            Binary::Multiply => a.wrapping_mul(b),
            Binary::NotEqual => i64::from(a != b),
            Binary::Or => i64::from(a != 0 || b != 0),
            Binary::Power => power(a, b),
            Binary::Prelu => {
                if a < 0 {
                    a.wrapping_mul(b)
                } else {
                    a
                }
            }
            Binary::SquaredDifference => {
                let difference = a.wrapping_sub(b);
                difference.wrapping_mul(difference)
            }
            Binary::Subtract => a.wrapping_sub(b),
            Binary::Xor => i64::from((a != 0) != (b != 0)),
        }
    }
}

/// `a` to the power of `b`; a negative power is rounded towards zero.
fn power(a: i64, b: i64) -> i64 {
    match u32::try_from(b) {
        Ok(b) => a.wrapping_pow(b),
        Err(_) if b > 0 => a.wrapping_pow(u32::MAX),
        Err(_) => match a {
            1 => 1,
            -1 if b & 1 == 0 => 1,
            -1 => -1,
            _ => 0,
        },
    }
}

/// A function of three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vhtp) enum Ternary {
    /// `a * b + c`
    MultiplyAdd,
    /// `b` if `a` is not 0, otherwise `c`.
    Select,
}

impl Ternary {
    /// The function's value.
    pub(in crate::vhtp) fn apply(self, a: f64, b: f64, c: f64) -> f64 {
        match self {
            Ternary::MultiplyAdd => a * b + c,
            Ternary::Select => {
                if a != 0.0 {
                    b
                } else {
                    c
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_are_exact() {
        let numbers = [
            0.0,
            1.0,
            -1.0,
            2.5,
            -7.25,
            1e-300,
            5e-324,
            3e-310,
            0.1,
            1e17,
            f64::MAX,
            f64::MIN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            1.0 / 3.0,
        ];
        for a in numbers {
            for b in numbers {
                let (found, expected) = (remainder(a, b), a % b);
                assert!(
                    found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                    "{a} % {b}: {found}, not {expected}"
                );
            }
        }
    }
}
