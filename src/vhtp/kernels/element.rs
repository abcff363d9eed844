//! Elements as they lie in memory: little-endian, at any alignment.

use half::f16;
use zerocopy::little_endian::{F32, I16, U16};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What every element can do: be viewed in a block of bytes.
pub(in crate::vhtp) trait Element:
    FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned + Copy
{
}
impl<T: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned + Copy> Element for T {}

/// Views bytes as elements; `None` if the length is not a multiple of the element's.
pub(in crate::vhtp) fn view<T: Element>(bytes: &[u8]) -> Option<&[T]> {
    <[T]>::ref_from_bytes(bytes).ok()
}

/// Views bytes as elements to write.
pub(in crate::vhtp) fn view_mut<T: Element>(bytes: &mut [u8]) -> Option<&mut [T]> {
    <[T]>::mut_from_bytes(bytes).ok()
}

/// A quantized element.
pub(in crate::vhtp) trait Fixed: Element {
    /// Smallest value.
    const LOWEST: i64;
    /// Largest value.
    const HIGHEST: i64;
    /// The stored integer.
    fn stored(self) -> i32;
    /// The element that stores `value`, clamped to the type's range.
    fn clamped(value: i64) -> Self;
}

macro_rules! fixed {
    ($name:ty, $native:ty, $value:ident => $stored:expr, $make:expr) => {
        impl Fixed for $name {
            const LOWEST: i64 = <$native>::MIN as i64;
            const HIGHEST: i64 = <$native>::MAX as i64;
            #[inline(always)]
            fn stored(self) -> i32 {
                let $value = self;
                i32::from($stored)
            }
            #[inline(always)]
            fn clamped(value: i64) -> Self {
                // In range after the clamp.
                $make(value.max(Self::LOWEST).min(Self::HIGHEST) as $native)
            }
        }
    };
}

fixed!(u8, u8, value => value, core::convert::identity);
fixed!(i8, i8, value => value, core::convert::identity);
fixed!(U16, u16, value => value.get(), U16::new);
fixed!(I16, i16, value => value.get(), I16::new);

/// The unit of the DSP that computes, which decides where a value goes that lies half-way between
/// two float16 numbers. (docs/adr/006-float16-rounding.md)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vhtp) enum Unit {
    /// Conversions and everything that is not a sum of products: away from 0.
    Vector,
    /// Sums of products: to the even one.
    Matrix,
}

/// A floating-point element. Arithmetic is float16: operands and results are rounded to it.
pub(in crate::vhtp) trait Real: Element {
    /// The value, rounded to float16 by `unit`.
    fn converted(self, unit: Unit) -> f32;
    /// The value, rounded to float16.
    #[inline]
    fn operand(self) -> f32 {
        self.converted(Unit::Vector)
    }
    /// The value as it is stored.
    fn exact(self) -> f32;
    /// The element for `value`, rounded to float16 once.
    fn rounded(value: f64, unit: Unit) -> Self;
}

/// Bits of a float64 that a float16 does not have, between 2^-14 and 2^16.
const SPARE_BITS: u32 = 42;
const SPARE: u64 = (1 << SPARE_BITS) - 1;

/// `value` rounded to float16.
#[inline]
pub(in crate::vhtp) fn to_half(value: f64, unit: Unit) -> f32 {
    let bits = value.to_bits();
    // 2^-14 to 2^15, where a float16 is a float64 without its lowest bits: much faster than in
    // general.
    if !matches!(bits >> 52 & 0x7FF, 1009..1038) {
        return to_uneven_half(value, unit);
    }
    let up = match unit {
        Unit::Vector => 1 << (SPARE_BITS - 1),
        Unit::Matrix => (SPARE >> 1).wrapping_add(bits >> SPARE_BITS & 1),
    };
    f64::from_bits(bits.wrapping_add(up) & !SPARE) as f32
}

/// The same where float16 ends: its smallest numbers, its largest, infinities, NaN.
#[cold]
fn to_uneven_half(value: f64, unit: Unit) -> f32 {
    const SMALLEST: f64 = 1.0 / 16_777_216.0;
    let size = libm::fabs(value);
    let step = if size < 1.0 { SMALLEST } else { 32.0 };
    if !(size > 0.0 && size < 65_536.0) {
        return if size >= 65_536.0 { infinite(value) } else { value as f32 };
    }
    let steps = match unit {
        Unit::Vector => libm::round(value / step),
        Unit::Matrix => libm::rint(value / step),
    };
    let rounded = steps * step;
    if libm::fabs(rounded) >= 65_536.0 {
        return infinite(value);
    }
    rounded as f32
}

fn infinite(sign: f64) -> f32 {
    libm::copysignf(f32::INFINITY, sign as f32)
}

impl Real for F32 {
    #[inline]
    fn converted(self, unit: Unit) -> f32 {
        let bits = self.get().to_bits();
        let up = match unit {
            Unit::Vector => 0x1000,
            Unit::Matrix => (bits >> 13 & 1).wrapping_add(0xFFF),
        };
        match bits >> 23 & 0xFF {
            // As in `to_half`, without the way over float64.
            113..142 => f32::from_bits(bits.wrapping_add(up) & !0x1FFF),
            0 if bits << 1 == 0 => self.get(),
            _ => to_half(self.get().into(), unit),
        }
    }
    #[inline]
    fn exact(self) -> f32 {
        self.get()
    }
    #[inline]
    fn rounded(value: f64, unit: Unit) -> Self {
        F32::new(to_half(value, unit))
    }
}

/// A float16 element.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub(in crate::vhtp) struct F16(U16);

impl Real for F16 {
    #[inline]
    fn converted(self, _: Unit) -> f32 {
        self.exact()
    }
    #[inline]
    fn exact(self) -> f32 {
        f16::from_bits(self.0.get()).to_f32()
    }
    #[inline]
    fn rounded(value: f64, unit: Unit) -> Self {
        F16(U16::new(f16::from_f32(to_half(value, unit)).to_bits()))
    }
}

/// The quantized types, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vhtp) enum FixedType {
    /// `UFIXED_POINT_8`.
    U8,
    /// `SFIXED_POINT_8`.
    I8,
    /// `UFIXED_POINT_16`.
    U16,
    /// `SFIXED_POINT_16`.
    I16,
}

impl FixedType {
    /// Smallest and largest stored value.
    pub(in crate::vhtp) const fn range(self) -> (i64, i64) {
        match self {
            FixedType::U8 => (0, 255),
            FixedType::I8 => (-128, 127),
            FixedType::U16 => (0, 65_535),
            FixedType::I16 => (-32_768, 32_767),
        }
    }

    /// Bits of one element.
    pub(in crate::vhtp) const fn bits(self) -> u32 {
        match self {
            FixedType::U8 | FixedType::I8 => 8,
            FixedType::U16 | FixedType::I16 => 16,
        }
    }
}

/// The floating-point types, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vhtp) enum RealType {
    /// `FLOAT_16`.
    F16,
    /// `FLOAT_32`.
    F32,
}

/// Runs `$body` with `$name` as the element type that `$which` names.
macro_rules! with_fixed {
    ($which:expr, $name:ident => $body:expr) => {
        match $which {
            $crate::vhtp::kernels::element::FixedType::U8 => {
                type $name = u8;
                $body
            }
            $crate::vhtp::kernels::element::FixedType::I8 => {
                type $name = i8;
                $body
            }
            $crate::vhtp::kernels::element::FixedType::U16 => {
                type $name = zerocopy::little_endian::U16;
                $body
            }
            $crate::vhtp::kernels::element::FixedType::I16 => {
                type $name = zerocopy::little_endian::I16;
                $body
            }
        }
    };
}
pub(in crate::vhtp) use with_fixed;

/// Runs `$body` with `$name` as the element type that `$which` names.
macro_rules! with_real {
    ($which:expr, $name:ident => $body:expr) => {
        match $which {
            $crate::vhtp::kernels::element::RealType::F16 => {
                type $name = $crate::vhtp::kernels::element::F16;
                $body
            }
            $crate::vhtp::kernels::element::RealType::F32 => {
                type $name = zerocopy::little_endian::F32;
                $body
            }
        }
    };
}
pub(in crate::vhtp) use with_real;
