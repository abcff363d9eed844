//! The graph table: one position-independent little-endian block that holds a whole network.
//!
//! ```text
//! Header | tensors | ops | params | quants | words | strings | (padding to 4 KiB) constants
//! ```
//!
//! Everything refers to everything else by index or by offset from the start of the block, so the
//! same bytes serve a table baked into flash, a context binary used in place and a graph composed
//! online. [`GraphTable::parse`] checks all of it once; the accessors then only look up, and answer
//! `None` where nothing is.

use zerocopy::little_endian::{F32, I32, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::options::{GraphOptions, OptionsRecord};
use super::param::Param;
use super::types::{element_count, DataType, ScaleOffset, TensorKind, RANK_MAX};

/// First bytes of every graph table.
pub const MAGIC: [u8; 4] = *b"HTPG";
/// Layout version; a table of another version is refused.
pub const VERSION: u32 = 2;
/// Alignment of the constants from the start of the block, so that they can be mapped page-wise.
pub const CONSTANTS_ALIGN: usize = 4096;

/// `producer` of a tensor that no operation writes.
pub const NO_PRODUCER: u32 = u32::MAX;

/// Flag of a tensor that belongs to the context: other graphs of it may have it too, under the same
/// id.
pub const CONTEXT_TENSOR: u32 = 1;
/// Flag beside [`CONTEXT_TENSOR`] of one that the client both writes and reads; the graph has it as
/// an input, as an output, or as both.
pub const READ_AND_WRITTEN: u32 = 2;

/// A run of records: index of the first, number of them.
#[derive(Debug, Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Span {
    /// Index of the first record.
    pub first: U32,
    /// Number of records.
    pub count: U32,
}

/// The block's first record. Section places are byte offsets from the start of the block.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 4],
    /// [`VERSION`].
    pub version: U32,
    /// Length of the whole block.
    pub total_bytes: U64,
    /// Offset and number of [`TensorRecord`]s.
    pub tensors: Span,
    /// Offset and number of [`OpRecord`]s, in execution order.
    pub ops: Span,
    /// Offset and number of [`ParamRecord`]s.
    pub params: Span,
    /// Offset and number of [`QuantRecord`]s.
    pub quants: Span,
    /// Offset and number of 32-bit words: dimensions and tensor index lists.
    pub words: Span,
    /// Offset and number of bytes of text.
    pub strings: Span,
    /// Offset of the constants.
    pub constants_offset: U64,
    /// Bytes of constants.
    pub constants_bytes: U64,
    /// Graph name, in the strings.
    pub name: Span,
    /// Tensor indices of the graph's inputs, in the words.
    pub inputs: Span,
    /// Tensor indices of the graph's outputs, in the words.
    pub outputs: Span,
    /// What was chosen for the graph.
    pub options: OptionsRecord,
}

/// One tensor.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TensorRecord {
    /// The QNN tensor id, unique in the graph.
    pub id: U32,
    /// [`TensorKind`] number.
    pub kind: U32,
    /// [`DataType`] number.
    pub data_type: U32,
    /// Axis of per-axis quantization.
    pub quant_axis: U32,
    /// Index of the operation that writes the tensor, or [`NO_PRODUCER`].
    pub producer: U32,
    /// Quantization: none (count 0), one for the tensor, or one per element along `quant_axis`.
    pub quants: Span,
    /// Name, in the strings.
    pub name: Span,
    /// Dimensions, in the words.
    pub dims: Span,
    /// Constant data: byte offset from the start of the constants.
    pub data_offset: U64,
    /// Constant data: bytes; 0 for tensors that are not static.
    pub data_bytes: U64,
    /// [`CONTEXT_TENSOR`], with [`READ_AND_WRITTEN`] or without; or 0.
    pub flags: U32,
}

/// One operation.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OpRecord {
    /// Node name, in the strings.
    pub name: Span,
    /// Package name, in the strings.
    pub package: Span,
    /// Type name, in the strings.
    pub type_name: Span,
    /// Parameters.
    pub params: Span,
    /// Tensor indices of the inputs, in the words.
    pub inputs: Span,
    /// Tensor indices of the outputs, in the words.
    pub outputs: Span,
}

/// One parameter of an operation.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ParamRecord {
    /// Name, in the strings.
    pub name: Span,
    /// Scalar type ([`DataType`] number), or 0 if the parameter is a tensor.
    pub data_type: U32,
    /// Tensor index of a tensor parameter.
    pub tensor: U32,
    /// Bits of a scalar, zero-extended.
    pub bits: U64,
}

/// Scale and offset of a tensor or of one channel.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct QuantRecord {
    /// Real value of one step.
    pub scale: F32,
    /// Added before scaling.
    pub offset: I32,
}

/// Why a block is not a usable graph table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TableError {
    /// Shorter than its header, or than the header says.
    Truncated,
    /// Does not begin with [`MAGIC`].
    NotATable,
    /// Another layout version.
    Version,
    /// A section or a run of records lies outside the block.
    OutOfBounds,
    /// A tensor's type, role, rank, dimensions, quantization or data size is wrong, or the lists
    /// of inputs and outputs are not the tensors of that role in order.
    BadTensor,
    /// An operation refers to a tensor that does not exist, that nothing has produced yet, or that
    /// has another producer; or it writes a tensor twice; or a tensor names a producer that
    /// does not write it.
    BadOp,
    /// A name is not UTF-8.
    BadName,
    /// An option of the graph is out of range or not known.
    BadOption,
}

/// A view of a graph table. Copying it copies a reference.
#[derive(Clone, Copy)]
pub struct GraphTable<'a> {
    bytes: &'a [u8],
    header: &'a Header,
    tensors: &'a [TensorRecord],
    ops: &'a [OpRecord],
    params: &'a [ParamRecord],
    quants: &'a [QuantRecord],
    words: &'a [U32],
    strings: &'a [u8],
    constants: &'a [u8],
}

fn run<T>(records: &[T], span: Span) -> Option<&[T]> {
    let first = usize::try_from(span.first.get()).ok()?;
    let count = usize::try_from(span.count.get()).ok()?;
    records.get(first..first.checked_add(count)?)
}

fn section<T: FromBytes + Immutable + KnownLayout + Unaligned>(
    bytes: &[u8],
    span: Span,
) -> Option<&[T]> {
    let offset = usize::try_from(span.first.get()).ok()?;
    let count = usize::try_from(span.count.get()).ok()?;
    let len = count.checked_mul(size_of::<T>())?;
    <[T]>::ref_from_bytes(bytes.get(offset..offset.checked_add(len)?)?).ok()
}

impl<'a> GraphTable<'a> {
    /// Checks a block and opens it. Takes time linear in the number of records and their operands,
    /// except that the outputs of one operation are compared with each other.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TableError> {
        let table = Self::open(bytes)?;
        super::validate::validate(&table)?;
        Ok(table)
    }

    /// Opens a block that [`GraphTable::parse`] accepted before: sections are located, records not
    /// checked again.
    pub fn open(bytes: &'a [u8]) -> Result<Self, TableError> {
        let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| TableError::Truncated)?;
        if header.magic != MAGIC {
            return Err(TableError::NotATable);
        }
        if header.version.get() != VERSION {
            return Err(TableError::Version);
        }
        let total = usize::try_from(header.total_bytes.get()).map_err(|_| TableError::Truncated)?;
        let bytes = bytes.get(..total).ok_or(TableError::Truncated)?;
        if total < size_of::<Header>() {
            return Err(TableError::Truncated);
        }
        Self::locate(bytes, header).ok_or(TableError::OutOfBounds)
    }

    fn locate(bytes: &'a [u8], header: &'a Header) -> Option<Self> {
        let constants_start = usize::try_from(header.constants_offset.get()).ok()?;
        let constants_bytes = usize::try_from(header.constants_bytes.get()).ok()?;
        Some(Self {
            bytes,
            header,
            tensors: section(bytes, header.tensors)?,
            ops: section(bytes, header.ops)?,
            params: section(bytes, header.params)?,
            quants: section(bytes, header.quants)?,
            words: section(bytes, header.words)?,
            strings: section(bytes, header.strings)?,
            constants: bytes.get(constants_start..constants_start.checked_add(constants_bytes)?)?,
        })
    }

    /// The whole block.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Name of the graph.
    pub fn name(&self) -> &'a str {
        self.text(self.header.name)
    }

    /// What was chosen for the graph when it was composed.
    pub fn options(&self) -> GraphOptions {
        self.header.options.read().unwrap_or_default()
    }

    /// Number of tensors.
    pub fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    /// Number of operations.
    pub fn op_count(&self) -> usize {
        self.ops.len()
    }

    /// Tensor `index`.
    pub fn tensor(&self, index: usize) -> Option<Tensor<'a>> {
        Some(Tensor { table: *self, record: self.tensors.get(index)?, index })
    }

    /// All tensors, by index.
    pub fn tensors(&self) -> impl Iterator<Item = Tensor<'a>> + 'a {
        let table = *self;
        table.tensors.iter().enumerate().map(move |(index, record)| Tensor { table, record, index })
    }

    /// Operation `index`, counted in execution order.
    pub fn op(&self, index: usize) -> Option<Op<'a>> {
        let record = self.ops.get(index)?;
        Some(Op { table: *self, record, outputs: record.outputs, index })
    }

    /// All operations in execution order.
    pub fn ops(&self) -> impl Iterator<Item = Op<'a>> + 'a {
        let table = *self;
        let op = move |(index, record): (usize, &'a OpRecord)| Op {
            table,
            record,
            outputs: record.outputs,
            index,
        };
        table.ops.iter().enumerate().map(op)
    }

    /// The graph's inputs (tensors the client writes), in order of creation.
    pub fn inputs(&self) -> TensorList<'a> {
        self.list(self.header.inputs)
    }

    /// The graph's outputs (tensors the client reads), in order of creation.
    pub fn outputs(&self) -> TensorList<'a> {
        self.list(self.header.outputs)
    }

    pub(super) fn header(&self) -> &'a Header {
        self.header
    }

    pub(super) fn text_bytes(&self, span: Span) -> Option<&'a [u8]> {
        run(self.strings, span)
    }

    pub(super) fn word_run(&self, span: Span) -> Option<&'a [U32]> {
        run(self.words, span)
    }

    pub(super) fn param_run(&self, span: Span) -> Option<&'a [ParamRecord]> {
        run(self.params, span)
    }

    pub(super) fn quant_run(&self, span: Span) -> Option<&'a [QuantRecord]> {
        run(self.quants, span)
    }

    pub(super) fn text(&self, span: Span) -> &'a str {
        run(self.strings, span).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or("")
    }

    fn list(&self, span: Span) -> TensorList<'a> {
        TensorList { table: *self, words: run(self.words, span).unwrap_or(&[]) }
    }
}

/// A list of tensors: operands of an operation, or inputs and outputs of the graph.
#[derive(Clone, Copy)]
pub struct TensorList<'a> {
    table: GraphTable<'a>,
    words: &'a [U32],
}

impl<'a> TensorList<'a> {
    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Tensor at `position` of the list.
    pub fn at(&self, position: usize) -> Option<Tensor<'a>> {
        self.table.tensor(usize::try_from(self.words.get(position)?.get()).ok()?)
    }

    /// The tensors in order.
    pub fn iter(&self) -> impl Iterator<Item = Tensor<'a>> + 'a {
        let list = *self;
        (0..list.words.len()).filter_map(move |position| list.at(position))
    }
}

/// A tensor of a table.
#[derive(Clone, Copy)]
pub struct Tensor<'a> {
    table: GraphTable<'a>,
    pub(super) record: &'a TensorRecord,
    index: usize,
}

impl<'a> Tensor<'a> {
    /// Place of the tensor in its table.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The QNN tensor id.
    pub fn id(&self) -> u32 {
        self.record.id.get()
    }

    /// Name.
    pub fn name(&self) -> &'a str {
        self.table.text(self.record.name)
    }

    /// Role.
    pub fn kind(&self) -> TensorKind {
        TensorKind::from_qnn(self.record.kind.get()).unwrap_or(TensorKind::Null)
    }

    /// Its role in the context, if it belongs to the context: other graphs of it may have it under
    /// the same id.
    pub fn kind_in_context(&self) -> Option<TensorKind> {
        match self.record.flags.get() {
            0 => None,
            CONTEXT_TENSOR => Some(self.kind()),
            _ => Some(TensorKind::AppReadWrite),
        }
    }

    /// Element type.
    pub fn data_type(&self) -> DataType {
        DataType::from_qnn(self.record.data_type.get()).unwrap_or(DataType::Uint8)
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.dim_words().len()
    }

    /// Dimension `axis`; 1 beyond the rank.
    pub fn dim(&self, axis: usize) -> u32 {
        self.dim_words().get(axis).map_or(1, |word| word.get())
    }

    /// Dimensions, outermost first.
    pub fn dims(&self) -> impl ExactSizeIterator<Item = u32> + DoubleEndedIterator + Clone + 'a {
        self.dim_words().iter().map(|word| word.get())
    }

    /// Dimensions as a fixed array, ones beyond the rank.
    pub fn shape(&self) -> [usize; RANK_MAX] {
        let mut shape = [1; RANK_MAX];
        for (to, from) in shape.iter_mut().zip(self.dims()) {
            *to = usize::try_from(from).unwrap_or(0);
        }
        shape
    }

    /// Number of elements.
    pub fn element_count(&self) -> usize {
        element_count(self.dims()).unwrap_or(0)
    }

    /// Bytes of the whole tensor.
    pub fn size_bytes(&self) -> usize {
        self.element_count().saturating_mul(self.data_type().size_bytes())
    }

    /// Number of scale and offset pairs: 0 (not quantized), 1 (per tensor) or one per channel.
    pub fn quant_count(&self) -> usize {
        self.table.quant_run(self.record.quants).map_or(0, <[_]>::len)
    }

    /// Axis of per-channel quantization.
    pub fn quant_axis(&self) -> usize {
        usize::try_from(self.record.quant_axis.get()).unwrap_or(0)
    }

    /// Scale and offset of `channel`; a per-tensor encoding answers for every channel.
    pub fn quant(&self, channel: usize) -> Option<ScaleOffset> {
        let quants = self.table.quant_run(self.record.quants)?;
        let record = if quants.len() == 1 { quants.first() } else { quants.get(channel) }?;
        Some(ScaleOffset { scale: record.scale.get(), offset: record.offset.get() })
    }

    /// Constant data of a static tensor, little-endian; empty for others.
    pub fn data(&self) -> &'a [u8] {
        let range = || {
            let first = usize::try_from(self.record.data_offset.get()).ok()?;
            let len = usize::try_from(self.record.data_bytes.get()).ok()?;
            self.table.constants.get(first..first.checked_add(len)?)
        };
        range().unwrap_or(&[])
    }

    fn dim_words(&self) -> &'a [U32] {
        self.table.word_run(self.record.dims).unwrap_or(&[])
    }
}

/// An operation of a table.
#[derive(Clone, Copy)]
pub struct Op<'a> {
    table: GraphTable<'a>,
    pub(super) record: &'a OpRecord,
    outputs: Span,
    index: usize,
}

impl<'a> Op<'a> {
    /// Place in execution order.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Node name.
    pub fn name(&self) -> &'a str {
        self.table.text(self.record.name)
    }

    /// Package name.
    pub fn package(&self) -> &'a str {
        self.table.text(self.record.package)
    }

    /// Type name, such as `Conv2d`.
    pub fn type_name(&self) -> &'a str {
        self.table.text(self.record.type_name)
    }

    /// Inputs. An absent optional operand is a tensor of kind `Null`.
    pub fn inputs(&self) -> TensorList<'a> {
        self.table.list(self.record.inputs)
    }

    /// Outputs.
    pub fn outputs(&self) -> TensorList<'a> {
        self.table.list(self.outputs)
    }

    /// The same operation, writing what `other` writes instead of its own outputs.
    pub fn writing(&self, other: &Op<'a>) -> Op<'a> {
        Op { outputs: other.outputs, ..*self }
    }

    /// All parameters.
    pub fn params(&self) -> impl Iterator<Item = Param<'a>> + 'a {
        let table = self.table;
        let records = table.param_run(self.record.params).unwrap_or(&[]);
        records.iter().map(move |record| Param { table, record })
    }

    /// The parameter called `name`.
    pub fn param(&self, name: &str) -> Option<Param<'a>> {
        self.params().find(|param| param.name() == name)
    }
}
