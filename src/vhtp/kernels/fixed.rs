//! Fixed-point requantization: multiply by a 31-bit mantissa, shift, round half up. Exact on every
//! machine.

/// A positive real factor as `mult / 2^shift`, with `2^30 <= mult < 2^31` and `1 <= shift <= 62`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vhtp) struct Multiplier {
    mult: i32,
    shift: u32,
}

impl Multiplier {
    /// Factor 1, which changes nothing.
    pub(in crate::vhtp) const ONE: Multiplier = Multiplier { mult: 1 << 30, shift: 30 };

    /// The multiplier nearest to `factor`; `None` if it is not finite, not positive or out of
    /// range.
    pub(in crate::vhtp) fn new(factor: f64) -> Option<Self> {
        if !(factor > 0.0 && factor.is_finite()) {
            return None;
        }
        let (mantissa, exponent) = libm::frexp(factor);
        // The mantissa is in [0.5, 1), so the result is in [2^30, 2^31].
        let mult = libm::floor(mantissa * 2_147_483_648.0 + 0.5) as i64;
        let (mult, exponent) = match i32::try_from(mult) {
            Ok(mult) => (mult, exponent),
            Err(_) => (1 << 30, exponent.checked_add(1)?),
        };
        let shift = u32::try_from(31i32.checked_sub(exponent)?).ok()?;
        (1..=62).contains(&shift).then_some(Self { mult, shift })
    }

    /// `acc` times the factor, rounded half towards plus infinity.
    #[inline(always)]
    pub(in crate::vhtp) fn apply(self, acc: i64) -> i64 {
        let half_shift = self.shift.wrapping_sub(1);
        match i32::try_from(acc) {
            // |acc| <= 2^31 and mult < 2^31, so product and rounding stay below 2^63.
            Ok(acc) => {
                i64::from(acc)
                    .wrapping_mul(i64::from(self.mult))
                    .wrapping_add(1i64.wrapping_shl(half_shift))
                    >> (self.shift & 63)
            }
            Err(_) => Self::apply_wide(acc, self.mult, self.shift),
        }
    }

    #[inline(never)]
    fn apply_wide(acc: i64, mult: i32, shift: u32) -> i64 {
        // |acc| < 2^63 and mult < 2^31: far below 2^127.
        let product = i128::from(acc).wrapping_mul(i128::from(mult));
        let rounded = product.wrapping_add(1i128.wrapping_shl(shift.wrapping_sub(1)));
        let scaled = rounded >> (shift & 127);
        // Whatever does not fit is beyond every element type, so the later clamp gives the same.
        scaled.clamp(i128::from(i64::MIN >> 1), i128::from(i64::MAX >> 1)) as i64
    }
}

/// What one output channel needs after its sum. Also one input of a `Concat` (bias: its offset).
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Channel {
    /// Bias in units of the accumulator, or the offset added before requantization.
    pub(in crate::vhtp) bias: i64,
    /// Accumulator to output steps.
    pub(in crate::vhtp) multiplier: Multiplier,
    /// Offset of the weights.
    pub(in crate::vhtp) weight_offset: i32,
    /// Scale of weights that float activations are multiplied with.
    pub(in crate::vhtp) weight_scale: f32,
    /// Bias of float operations.
    pub(in crate::vhtp) bias_real: f32,
}

impl Channel {
    /// No bias, factor 1.
    pub(in crate::vhtp) const NEUTRAL: Channel = Channel {
        bias: 0,
        multiplier: Multiplier::ONE,
        weight_offset: 0,
        weight_scale: 1.0,
        bias_real: 0.0,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one() {
        assert_eq!(Multiplier::new(1.0), Some(Multiplier::ONE));
        for acc in [0, 1, -1, 255, i64::from(i32::MAX), i64::from(i32::MIN), 1 << 40, -(1 << 40)] {
            assert_eq!(Multiplier::ONE.apply(acc), acc);
        }
    }

    #[test]
    fn halves_round_up() {
        let half = Multiplier::new(0.5).unwrap();
        assert_eq!([1, -1, 3, -3, 2].map(|acc| half.apply(acc)), [1, 0, 2, -1, 1]);
    }

    #[test]
    fn a_mantissa_that_rounds_to_one_moves_the_exponent() {
        let almost = Multiplier::new(1.0 - 1e-12).unwrap();
        assert_eq!(almost, Multiplier::ONE);
    }

    #[test]
    fn factors_out_of_range_are_refused() {
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-12, 3e9] {
            assert_eq!(Multiplier::new(factor), None, "{factor}");
        }
        assert!(Multiplier::new(1e9).is_some() && Multiplier::new(1e-9).is_some());
    }

    #[test]
    fn narrow_and_wide_agree() {
        let third = Multiplier::new(1.0 / 3.0).unwrap();
        for acc in [-7i64, 7, 1_000_003, -2_000_000_000] {
            assert_eq!(third.apply(acc), Multiplier::apply_wide(acc, third.mult, third.shift));
        }
    }
}
