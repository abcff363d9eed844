//! What tensors are: data types, roles and quantization, with the numbers that the QNN API gives
//! them.

/// Element type of a tensor. The discriminant is the QNN `Qnn_DataType_t` number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u32)]
pub enum DataType {
    /// Signed 8-bit integer.
    Int8 = 0x008,
    /// Signed 16-bit integer.
    Int16 = 0x016,
    /// Signed 32-bit integer.
    Int32 = 0x032,
    /// Signed 64-bit integer.
    Int64 = 0x064,
    /// Unsigned 8-bit integer.
    Uint8 = 0x108,
    /// Unsigned 16-bit integer.
    Uint16 = 0x116,
    /// Unsigned 32-bit integer.
    Uint32 = 0x132,
    /// Unsigned 64-bit integer.
    Uint64 = 0x164,
    /// IEEE half precision.
    Float16 = 0x216,
    /// IEEE single precision; the device computes on it in half precision.
    Float32 = 0x232,
    /// Signed 8-bit fixed point.
    Sfixed8 = 0x308,
    /// Signed 16-bit fixed point.
    Sfixed16 = 0x316,
    /// Signed 32-bit fixed point.
    Sfixed32 = 0x332,
    /// Unsigned 8-bit fixed point.
    Ufixed8 = 0x408,
    /// Unsigned 16-bit fixed point.
    Ufixed16 = 0x416,
    /// Unsigned 32-bit fixed point.
    Ufixed32 = 0x432,
    /// One byte, zero or not.
    Bool8 = 0x508,
}

impl DataType {
    /// The type with this QNN number, if the runtime knows it.
    pub const fn from_qnn(number: u32) -> Option<DataType> {
        Some(match number {
            0x008 => DataType::Int8,
            0x016 => DataType::Int16,
            0x032 => DataType::Int32,
            0x064 => DataType::Int64,
            0x108 => DataType::Uint8,
            0x116 => DataType::Uint16,
            0x132 => DataType::Uint32,
            0x164 => DataType::Uint64,
            0x216 => DataType::Float16,
            0x232 => DataType::Float32,
            0x308 => DataType::Sfixed8,
            0x316 => DataType::Sfixed16,
            0x332 => DataType::Sfixed32,
            0x408 => DataType::Ufixed8,
            0x416 => DataType::Ufixed16,
            0x432 => DataType::Ufixed32,
            0x508 => DataType::Bool8,
            _ => return None,
        })
    }

    /// The QNN number.
    pub const fn qnn(self) -> u32 {
        self as u32
    }

    /// Bytes of one element.
    pub const fn size_bytes(self) -> usize {
        match self {
            DataType::Int8
            | DataType::Uint8
            | DataType::Sfixed8
            | DataType::Ufixed8
            | DataType::Bool8 => 1,
            DataType::Int16
            | DataType::Uint16
            | DataType::Float16
            | DataType::Sfixed16
            | DataType::Ufixed16 => 2,
            DataType::Int32
            | DataType::Uint32
            | DataType::Float32
            | DataType::Sfixed32
            | DataType::Ufixed32 => 4,
            DataType::Int64 | DataType::Uint64 => 8,
        }
    }
}

/// Role of a tensor in its graph. The discriminant is the QNN `Qnn_TensorType_t` number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u32)]
pub enum TensorKind {
    /// Graph input: the client writes it before an execution.
    AppWrite = 0,
    /// Graph output: the client reads it after an execution.
    AppRead = 1,
    /// Connects the graphs of a context: the client writes it before one execution and reads it
    /// after another. Only contexts have such tensors; in a graph it is one that the client writes
    /// or one that it reads, as the graph uses it.
    AppReadWrite = 2,
    /// Intermediate result, which lives on the device only.
    Native = 3,
    /// Constant data, copied at creation.
    Static = 4,
    /// Stands for an optional operand that is absent.
    Null = 5,
}

impl TensorKind {
    /// The role with this QNN number, if the runtime knows it.
    pub const fn from_qnn(number: u32) -> Option<TensorKind> {
        Some(match number {
            0 => TensorKind::AppWrite,
            1 => TensorKind::AppRead,
            2 => TensorKind::AppReadWrite,
            3 => TensorKind::Native,
            4 => TensorKind::Static,
            5 => TensorKind::Null,
            _ => return None,
        })
    }

    /// The QNN number.
    pub const fn qnn(self) -> u32 {
        self as u32
    }
}

/// Scale and offset of one tensor or channel: `real = scale * (quantized + offset)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScaleOffset {
    /// Real value of one step; finite and above zero.
    pub scale: f32,
    /// Added to the quantized value before scaling; the negated zero point.
    pub offset: i32,
}

/// Most dimensions a tensor may have.
pub const RANK_MAX: usize = 6;

/// Elements of a tensor with these dimensions; `None` on overflow. A scalar (no dimensions) has
/// one.
pub fn element_count(dims: impl IntoIterator<Item = u32>) -> Option<usize> {
    dims.into_iter().try_fold(1usize, |count, dim| count.checked_mul(usize::try_from(dim).ok()?))
}
