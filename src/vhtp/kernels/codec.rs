//! Elements as real numbers, whatever their type: how the kernels that are not multiply-accumulates
//! read and write.

use zerocopy::little_endian::{F32, I16, I32, U16};

use super::convert;
use super::element::{self, Element, Fixed, FixedType, Real, RealType, Unit, F16};
use crate::graph::DataType;

/// How the elements of a tensor stand for numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::vhtp) enum Codec {
    /// Quantized in 8 or 16 bits: `(stored + offset) * scale`.
    Fixed {
        /// Type.
        element: FixedType,
        /// Real value of one step.
        scale: f32,
        /// Added before scaling.
        offset: i32,
    },
    /// Quantized in 32 bits, signed.
    Wide {
        /// Real value of one step.
        scale: f32,
        /// Added before scaling.
        offset: i32,
    },
    /// Float; read and written rounded to float16.
    Real(RealType),
    /// A constant in float32 that enters a sum or product as it is stored.
    Stored,
    /// An integer or boolean.
    Whole(DataType),
}

/// Element `index` of `bytes`.
#[inline]
fn at<T: Element>(bytes: &[u8], index: usize) -> Option<T> {
    element::view::<T>(bytes)?.get(index).copied()
}

/// Writes element `index` of `bytes`.
#[inline]
fn put<T: Element>(bytes: &mut [u8], index: usize, value: T) -> Option<()> {
    *element::view_mut::<T>(bytes)?.get_mut(index)? = value;
    Some(())
}

/// Nearest step, halves up; saturates, and a NaN is 0.
fn steps(value: f64, scale: f32, offset: i32) -> i64 {
    let steps = libm::floor(value / f64::from(scale) + 0.5) as i64;
    steps.saturating_sub(i64::from(offset))
}

impl Codec {
    /// Bytes of an element.
    pub(in crate::vhtp) fn size(&self) -> usize {
        match *self {
            Codec::Fixed { element, .. } if element.bits() == 8 => 1,
            Codec::Fixed { .. } | Codec::Real(RealType::F16) => 2,
            Codec::Wide { .. } | Codec::Real(RealType::F32) | Codec::Stored => 4,
            Codec::Whole(data_type) => data_type.size_bytes(),
        }
    }

    /// Element `index` as a number; exact but for 64-bit integers beyond 2^53.
    #[inline]
    pub(in crate::vhtp) fn load(&self, bytes: &[u8], index: usize) -> Option<f64> {
        Some(match *self {
            Codec::Fixed { element, scale, offset } => {
                let stored = match element {
                    FixedType::U8 => at::<u8>(bytes, index)?.stored(),
                    FixedType::I8 => at::<i8>(bytes, index)?.stored(),
                    FixedType::U16 => at::<U16>(bytes, index)?.stored(),
                    FixedType::I16 => at::<I16>(bytes, index)?.stored(),
                };
                f64::from(stored.wrapping_add(offset)) * f64::from(scale)
            }
            Codec::Wide { scale, offset } => {
                let stored = i64::from(at::<I32>(bytes, index)?.get());
                stored.wrapping_add(i64::from(offset)) as f64 * f64::from(scale)
            }
            Codec::Real(RealType::F16) => at::<F16>(bytes, index)?.operand().into(),
            Codec::Real(RealType::F32) => at::<F32>(bytes, index)?.operand().into(),
            Codec::Stored => at::<F32>(bytes, index)?.get().into(),
            Codec::Whole(_) => self.load_whole(bytes, index)? as f64,
        })
    }

    /// Writes element `index`: the nearest value that the type has, halves up where it is
    /// quantized.
    #[inline]
    pub(in crate::vhtp) fn store(&self, value: f64, bytes: &mut [u8], index: usize) -> Option<()> {
        match *self {
            Codec::Fixed { element, scale, offset } => {
                let stored = steps(value, scale, offset);
                match element {
                    FixedType::U8 => put(bytes, index, <u8 as Fixed>::clamped(stored)),
                    FixedType::I8 => put(bytes, index, <i8 as Fixed>::clamped(stored)),
                    FixedType::U16 => put(bytes, index, <U16 as Fixed>::clamped(stored)),
                    FixedType::I16 => put(bytes, index, <I16 as Fixed>::clamped(stored)),
                }
            }
            Codec::Wide { scale, offset } => {
                let (min, max) = (i64::from(i32::MIN), i64::from(i32::MAX));
                let stored = steps(value, scale, offset).max(min).min(max);
                put(bytes, index, I32::new(stored as i32))
            }
            Codec::Real(RealType::F16) => put(bytes, index, F16::rounded(value, Unit::Vector)),
            Codec::Real(RealType::F32) => {
                put(bytes, index, <F32 as Real>::rounded(value, Unit::Vector))
            }
            Codec::Stored => put(bytes, index, F32::new(value as f32)),
            Codec::Whole(data_type) => {
                let size = data_type.size_bytes();
                let start = index.wrapping_mul(size);
                let out = bytes.get_mut(start..)?.get_mut(..size)?;
                convert::write(data_type, convert::Number::Real(value), out)
            }
        }
    }

    /// Element `index` of a [`Codec::Whole`].
    #[inline]
    pub(in crate::vhtp) fn load_whole(&self, bytes: &[u8], index: usize) -> Option<i64> {
        let Codec::Whole(data_type) = *self else { return None };
        let size = data_type.size_bytes();
        let start = index.wrapping_mul(size);
        Some(convert::read(data_type, bytes.get(start..)?.get(..size)?)?.integer())
    }

    /// Writes element `index` of a [`Codec::Whole`], wrapped to the type.
    #[inline]
    pub(in crate::vhtp) fn store_whole(
        &self,
        value: i64,
        bytes: &mut [u8],
        index: usize,
    ) -> Option<()> {
        let Codec::Whole(data_type) = *self else { return None };
        let size = data_type.size_bytes();
        let start = index.wrapping_mul(size);
        let out = bytes.get_mut(start..)?.get_mut(..size)?;
        convert::write(data_type, convert::Number::Integer(value), out)
    }
}
