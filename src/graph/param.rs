//! Parameters of operations.

use zerocopy::little_endian::U32;
use zerocopy::FromBytes;

use super::table::{GraphTable, ParamRecord, Tensor};
use super::types::DataType;

/// A parameter of an operation.
#[derive(Clone, Copy)]
pub struct Param<'a> {
    pub(super) table: GraphTable<'a>,
    pub(super) record: &'a ParamRecord,
}

impl<'a> Param<'a> {
    /// Name.
    pub fn name(&self) -> &'a str {
        self.table.text(self.record.name)
    }

    /// The static tensor of a tensor parameter.
    pub fn tensor(&self) -> Option<Tensor<'a>> {
        if self.record.data_type.get() != 0 {
            return None;
        }
        self.table.tensor(usize::try_from(self.record.tensor.get()).ok()?)
    }

    /// Type and bits of a scalar parameter.
    pub fn scalar(&self) -> Option<(DataType, u64)> {
        let data_type = DataType::from_qnn(self.record.data_type.get())?;
        Some((data_type, self.record.bits.get()))
    }

    /// A scalar as an unsigned integer (boolean, unsigned, or non-negative signed).
    pub fn as_u32(&self) -> Option<u32> {
        let (data_type, bits) = self.scalar()?;
        let value_max = match data_type {
            DataType::Float16 | DataType::Float32 => return None,
            DataType::Int8 | DataType::Sfixed8 => i8::MAX as u64,
            DataType::Int16 | DataType::Sfixed16 => i16::MAX as u64,
            DataType::Int32 | DataType::Sfixed32 => i32::MAX as u64,
            _ => u64::MAX,
        };
        u32::try_from(bits).ok().filter(|_| bits <= value_max)
    }

    /// A scalar as a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        self.as_u32().map(|value| value != 0)
    }

    /// A 32-bit float scalar.
    pub fn as_f32(&self) -> Option<f32> {
        match self.scalar()? {
            (DataType::Float32, bits) => Some(f32::from_bits(u32::try_from(bits).ok()?)),
            _ => None,
        }
    }

    /// Element `index` of a tensor parameter of 32-bit integers.
    pub fn word(&self, index: usize) -> Option<u32> {
        let tensor = self.tensor()?;
        if tensor.data_type().size_bytes() != 4 {
            return None;
        }
        let (words, _) =
            <[U32]>::ref_from_prefix_with_elems(tensor.data(), tensor.element_count()).ok()?;
        words.get(index).map(|word| word.get())
    }
}
