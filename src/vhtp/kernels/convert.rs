//! Quantize, Dequantize and Cast.

use zerocopy::little_endian::{F32, I16, I32, I64, U16, U32, U64};

use super::element::{
    self, with_fixed, with_real, Element, Fixed, FixedType, Real, RealType, Unit, F16,
};
use super::{rows, rows_mut};
use crate::graph::DataType;

/// A compiled Quantize or Dequantize.
#[derive(Debug, Clone, Copy)]
pub(in crate::vhtp) struct Encoding {
    /// Quantized side.
    pub(in crate::vhtp) fixed: FixedType,
    /// Float side.
    pub(in crate::vhtp) real: RealType,
    /// Scale of the quantized side.
    pub(in crate::vhtp) scale: f32,
    /// Offset of the quantized side.
    pub(in crate::vhtp) offset: i32,
}

/// Float to quantized: `floor(x / scale + 0.5) - offset`, computed in double precision. A NaN
/// counts as 0.
pub(in crate::vhtp) fn quantize(op: &Encoding, x: &[u8], out: &mut [u8]) -> Option<()> {
    with_real!(op.real, X => with_fixed!(op.fixed, Y => {
        let x = element::view::<X>(x)?;
        for (to, x) in element::view_mut::<Y>(out)?.iter_mut().zip(x) {
            let steps = libm::floor(f64::from(x.exact()) / f64::from(op.scale) + 0.5);
            // The conversion saturates, and what it saturates to is clamped to the type anyway.
            *to = Y::clamped((steps as i64).saturating_sub(i64::from(op.offset)));
        }
        Some(())
    }))
}

/// Quantized to float: `(q + offset) * scale` in single precision; rounded to float16 if that is
/// the output.
pub(in crate::vhtp) fn dequantize(op: &Encoding, x: &[u8], out: &mut [u8]) -> Option<()> {
    with_fixed!(op.fixed, X => {
        let x = element::view::<X>(x)?;
        let real = |x: &X| x.stored().wrapping_add(op.offset) as f32 * op.scale;
        match op.real {
            RealType::F16 => {
                let out = element::view_mut::<F16>(out)?;
                for (to, x) in out.iter_mut().zip(x) {
                    *to = F16::rounded(real(x).into(), Unit::Vector);
                }
            }
            RealType::F32 => {
                let out = element::view_mut::<F32>(out)?;
                out.iter_mut().zip(x).for_each(|(to, x)| *to = F32::new(real(x)));
            }
        }
        Some(())
    })
}

/// A number on its way from one type to another.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Integer(i64),
    Real(f64),
}

impl Number {
    /// Integers as they are; reals truncated towards zero, saturating at 64 bits, NaN to 0.
    pub(super) fn integer(self) -> i64 {
        match self {
            Number::Integer(value) => value,
            Number::Real(value) => value as i64,
        }
    }

    fn real(self) -> f64 {
        match self {
            Number::Integer(value) => value as f64,
            Number::Real(value) => value,
        }
    }

    fn truth(self) -> bool {
        match self {
            Number::Integer(value) => value != 0,
            Number::Real(value) => value != 0.0,
        }
    }

    /// For integer types narrower than 64 bits: reals saturate, integers wrap, as conversions do in
    /// C.
    fn narrow(self, min: i64, max: i64) -> i64 {
        match self {
            Number::Integer(value) => value,
            Number::Real(_) => self.integer().max(min).min(max),
        }
    }
}

/// Type to type by value; quantized elements count as the integers they store.
pub(in crate::vhtp) fn cast(from: DataType, to: DataType, x: &[u8], out: &mut [u8]) -> Option<()> {
    let elements = rows(x, from.size_bytes()).zip(rows_mut(out, to.size_bytes()));
    for (x, out) in elements {
        write(to, read(from, x)?, out)?;
    }
    Some(())
}

/// One element as a number.
pub(super) fn read(from: DataType, x: &[u8]) -> Option<Number> {
    Some(match from {
        DataType::Int8 | DataType::Sfixed8 => Number::Integer(one::<i8>(x)?.into()),
        DataType::Uint8 | DataType::Ufixed8 => Number::Integer(one::<u8>(x)?.into()),
        DataType::Bool8 => Number::Integer(i64::from(one::<u8>(x)? != 0)),
        DataType::Int16 | DataType::Sfixed16 => Number::Integer(one::<I16>(x)?.get().into()),
        DataType::Uint16 | DataType::Ufixed16 => Number::Integer(one::<U16>(x)?.get().into()),
        DataType::Int32 | DataType::Sfixed32 => Number::Integer(one::<I32>(x)?.get().into()),
        DataType::Uint32 | DataType::Ufixed32 => Number::Integer(one::<U32>(x)?.get().into()),
        DataType::Int64 => Number::Integer(one::<I64>(x)?.get()),
        DataType::Uint64 => Number::Integer(one::<U64>(x)?.get() as i64),
        DataType::Float16 => Number::Real(one::<F16>(x)?.exact().into()),
        DataType::Float32 => Number::Real(one::<F32>(x)?.get().into()),
    })
}

fn one<T: Element>(bytes: &[u8]) -> Option<T> {
    T::read_from_bytes(bytes).ok()
}

/// A number as one element.
pub(super) fn write(to: DataType, number: Number, out: &mut [u8]) -> Option<()> {
    let integer = |min: i64, max: i64| number.narrow(min, max);
    match to {
        DataType::Int8 | DataType::Sfixed8 => {
            put(out, integer(i8::MIN.into(), i8::MAX.into()) as i8)
        }
        DataType::Uint8 | DataType::Ufixed8 => put(out, integer(0, u8::MAX.into()) as u8),
        DataType::Bool8 => put(out, u8::from(number.truth())),
        DataType::Int16 | DataType::Sfixed16 => {
            put(out, I16::new(integer(i16::MIN.into(), i16::MAX.into()) as i16))
        }
        DataType::Uint16 | DataType::Ufixed16 => {
            put(out, U16::new(integer(0, u16::MAX.into()) as u16))
        }
        DataType::Int32 | DataType::Sfixed32 => {
            put(out, I32::new(integer(i32::MIN.into(), i32::MAX.into()) as i32))
        }
        DataType::Uint32 | DataType::Ufixed32 => {
            put(out, U32::new(integer(0, u32::MAX.into()) as u32))
        }
        DataType::Int64 => put(out, I64::new(number.integer())),
        DataType::Uint64 => put(out, U64::new(number.integer() as u64)),
        DataType::Float16 => put(out, F16::rounded(number.real(), Unit::Vector)),
        DataType::Float32 => match number {
            Number::Integer(value) => put(out, F32::new(value as f32)),
            Number::Real(value) => put(out, F32::rounded(value, Unit::Vector)),
        },
    }
}

fn put<T: Element>(out: &mut [u8], value: T) -> Option<()> {
    value.write_to(out).ok()
}
