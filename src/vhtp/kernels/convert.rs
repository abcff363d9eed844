//! Quantize, Dequantize and Cast.

use zerocopy::little_endian::{F32, I16, I32, I64, U16, U32, U64};

use super::element::{self, with_fixed, with_real, Element, Fixed, FixedType, Real, RealType, F16};
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

/// Float to quantized: `floor(x / scale + 0.5) - offset`, computed in double precision. A NaN gives the smallest value.
pub(in crate::vhtp) fn quantize(op: &Encoding, x: &[u8], out: &mut [u8]) -> Option<()> {
    with_real!(op.real, X => with_fixed!(op.fixed, Y => {
        let x = element::view::<X>(x)?;
        for (to, x) in element::view_mut::<Y>(out)?.iter_mut().zip(x) {
            let x = x.exact();
            let steps = libm::floor(f64::from(x) / f64::from(op.scale) + 0.5);
            let steps = if x.is_nan() { f64::from(i32::MIN) } else { steps };
            // The conversion saturates; the smallest and largest results are clamped to the type anyway.
            *to = Y::clamped((steps as i64).saturating_sub(i64::from(op.offset)));
        }
        Some(())
    }))
}

/// Quantized to float: `(q + offset) * scale` in single precision; rounded to float16 if that is the output.
pub(in crate::vhtp) fn dequantize(op: &Encoding, x: &[u8], out: &mut [u8]) -> Option<()> {
    with_fixed!(op.fixed, X => {
        let x = element::view::<X>(x)?;
        let real = |x: &X| x.stored().wrapping_add(op.offset) as f32 * op.scale;
        match op.real {
            RealType::F16 => {
                let out = element::view_mut::<F16>(out)?;
                out.iter_mut().zip(x).for_each(|(to, x)| *to = F16::rounded(real(x)));
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
enum Number {
    Integer(i64),
    Real(f32),
}

impl Number {
    /// Integers as they are; reals truncated towards zero, saturating at 64 bits, NaN to 0.
    fn integer(self) -> i64 {
        match self {
            Number::Integer(value) => value,
            Number::Real(value) => value as i64,
        }
    }

    fn real(self) -> f32 {
        match self {
            Number::Integer(value) => value as f32,
            Number::Real(value) => value,
        }
    }

    fn truth(self) -> bool {
        match self {
            Number::Integer(value) => value != 0,
            Number::Real(value) => value != 0.0,
        }
    }

    /// For integer types narrower than 64 bits: reals saturate, integers wrap, as conversions do in C.
    fn narrow(self, min: i64, max: i64) -> i64 {
        match self {
            Number::Integer(value) => value,
            Number::Real(_) => self.integer().max(min).min(max),
        }
    }
}

/// Type to type by value; quantized elements count as the integers they store.
pub(in crate::vhtp) fn cast(from: DataType, to: DataType, x: &[u8], out: &mut [u8]) -> Option<()> {
    use Number::{Integer, Real as Float};
    match from {
        DataType::Int8 | DataType::Sfixed8 => read::<i8>(x, to, out, |x| Integer(i64::from(x))),
        DataType::Uint8 | DataType::Ufixed8 => read::<u8>(x, to, out, |x| Integer(i64::from(x))),
        DataType::Bool8 => read::<u8>(x, to, out, |x| Integer(i64::from(x != 0))),
        DataType::Int16 | DataType::Sfixed16 => {
            read::<I16>(x, to, out, |x| Integer(i64::from(x.get())))
        }
        DataType::Uint16 | DataType::Ufixed16 => {
            read::<U16>(x, to, out, |x| Integer(i64::from(x.get())))
        }
        DataType::Int32 | DataType::Sfixed32 => {
            read::<I32>(x, to, out, |x| Integer(i64::from(x.get())))
        }
        DataType::Uint32 | DataType::Ufixed32 => {
            read::<U32>(x, to, out, |x| Integer(i64::from(x.get())))
        }
        DataType::Int64 => read::<I64>(x, to, out, |x| Integer(x.get())),
        DataType::Uint64 => read::<U64>(x, to, out, |x| Integer(x.get() as i64)),
        DataType::Float16 => read::<F16>(x, to, out, |x| Float(x.exact())),
        DataType::Float32 => read::<F32>(x, to, out, |x| Float(x.get())),
    }
}

fn read<X: Element>(
    x: &[u8],
    to: DataType,
    out: &mut [u8],
    number: impl Fn(X) -> Number,
) -> Option<()> {
    let numbers = element::view::<X>(x)?.iter().map(|x| number(*x));
    match to {
        DataType::Int8 | DataType::Sfixed8 => {
            write(numbers, out, |n| n.narrow(i8::MIN.into(), i8::MAX.into()) as i8)
        }
        DataType::Uint8 | DataType::Ufixed8 => {
            write(numbers, out, |n| n.narrow(0, u8::MAX.into()) as u8)
        }
        DataType::Bool8 => write(numbers, out, |n| u8::from(n.truth())),
        DataType::Int16 | DataType::Sfixed16 => {
            write(numbers, out, |n| I16::new(n.narrow(i16::MIN.into(), i16::MAX.into()) as i16))
        }
        DataType::Uint16 | DataType::Ufixed16 => {
            write(numbers, out, |n| U16::new(n.narrow(0, u16::MAX.into()) as u16))
        }
        DataType::Int32 | DataType::Sfixed32 => {
            write(numbers, out, |n| I32::new(n.narrow(i32::MIN.into(), i32::MAX.into()) as i32))
        }
        DataType::Uint32 | DataType::Ufixed32 => {
            write(numbers, out, |n| U32::new(n.narrow(0, u32::MAX.into()) as u32))
        }
        DataType::Int64 => write(numbers, out, |n| I64::new(n.integer())),
        DataType::Uint64 => write(numbers, out, |n| U64::new(n.integer() as u64)),
        DataType::Float16 => write(numbers, out, |n| F16::rounded(n.real())),
        DataType::Float32 => write(numbers, out, |n| match n {
            Number::Integer(value) => F32::new(value as f32),
            Number::Real(value) => F32::rounded(value),
        }),
    }
}

fn write<Y: Element>(
    numbers: impl Iterator<Item = Number>,
    out: &mut [u8],
    make: impl Fn(Number) -> Y,
) -> Option<()> {
    let out = element::view_mut::<Y>(out)?;
    out.iter_mut().zip(numbers).for_each(|(to, number)| *to = make(number));
    Some(())
}
