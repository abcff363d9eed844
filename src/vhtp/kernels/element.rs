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

/// A floating-point element. Arithmetic is float16: operands and results are rounded to it.
pub(in crate::vhtp) trait Real: Element {
    /// The value, rounded to float16.
    fn operand(self) -> f32;
    /// The value as it is stored.
    fn exact(self) -> f32;
    /// The element for `value`, rounded to float16.
    fn rounded(value: f32) -> Self;
}

/// `value` rounded to float16, ties to even.
#[inline]
pub(in crate::vhtp) fn round_to_half(value: f32) -> f32 {
    let bits = value.to_bits();
    match bits >> 23 & 0xFF {
        // 2^-14 to 2^15, where a float16 is a float32 without its 13 lowest bits: much faster than
        // in general.
        113..142 => {
            let even = bits >> 13 & 1;
            f32::from_bits(bits.wrapping_add(0xFFF).wrapping_add(even) & !0x1FFF)
        }
        _ => f16::from_f32(value).to_f32(),
    }
}

impl Real for F32 {
    #[inline]
    fn operand(self) -> f32 {
        round_to_half(self.get())
    }
    #[inline]
    fn exact(self) -> f32 {
        self.get()
    }
    #[inline]
    fn rounded(value: f32) -> Self {
        F32::new(round_to_half(value))
    }
}

/// A float16 element.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub(in crate::vhtp) struct F16(U16);

impl Real for F16 {
    #[inline]
    fn operand(self) -> f32 {
        f16::from_bits(self.0.get()).to_f32()
    }
    #[inline]
    fn exact(self) -> f32 {
        self.operand()
    }
    #[inline]
    fn rounded(value: f32) -> Self {
        F16(U16::new(f16::from_f32(value).to_bits()))
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
