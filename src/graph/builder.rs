//! Online composition: collects tensors and operations in region memory and writes them out as a
//! graph table.

use zerocopy::little_endian::{F32, I32, U32, U64};
use zerocopy::{Immutable, IntoBytes};

use super::table::{
    Header, OpRecord, ParamRecord, QuantRecord, Span, TensorRecord, CONSTANTS_ALIGN, MAGIC,
    NO_PRODUCER, VERSION,
};
use super::types::{element_count, DataType, ScaleOffset, TensorKind, RANK_MAX};
use crate::region::{OutOfMemory, Region, RegionSlice, SharedBytes};

/// Constant tensors start at multiples of this within the constants.
const TENSOR_ALIGN: usize = 64;

/// A tensor to add.
#[derive(Debug, Clone, Copy)]
pub struct TensorSpec<'a> {
    /// Id, unique in the graph.
    pub id: u32,
    /// Name, unique in the graph.
    pub name: &'a str,
    /// Role.
    pub kind: TensorKind,
    /// Element type.
    pub data_type: DataType,
    /// Dimensions, outermost first, each above 0, at most [`RANK_MAX`]; empty for a scalar.
    pub dims: &'a [u32],
    /// Axis of per-channel quantization; ignored unless `quants` has one pair per channel.
    pub quant_axis: u32,
    /// Empty, one pair for the tensor, or one per channel along `quant_axis`.
    pub quants: &'a [ScaleOffset],
    /// Data of a static tensor, little-endian, exactly as long as the tensor; empty for other
    /// roles. Copied.
    pub data: &'a [u8],
}

/// A parameter of an operation to add.
#[derive(Debug, Clone, Copy)]
pub struct ParamSpec<'a> {
    /// Name.
    pub name: &'a str,
    /// Value.
    pub value: ParamValue,
}

/// Value of a parameter.
#[derive(Debug, Clone, Copy)]
pub enum ParamValue {
    /// A scalar: type and bits, zero-extended.
    Scalar(DataType, u64),
    /// Index of a static tensor of this graph.
    Tensor(u32),
}

/// An operation to add.
#[derive(Debug, Clone, Copy)]
pub struct OpSpec<'a> {
    /// Node name.
    pub name: &'a str,
    /// Package name.
    pub package: &'a str,
    /// Type name.
    pub type_name: &'a str,
    /// Parameters.
    pub params: &'a [ParamSpec<'a>],
    /// Indices of the input tensors.
    pub inputs: &'a [u32],
    /// Indices of the output tensors.
    pub outputs: &'a [u32],
}

/// Why a tensor or an operation was not added. The graph is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum BuildError {
    /// The region is full.
    OutOfMemory,
    /// The id or the name is taken.
    DuplicateTensor,
    /// Rank, a dimension, the quantization or the amount of data is wrong.
    BadTensor,
    /// No tensor with this index.
    NoSuchTensor,
    /// An input that no operation has produced yet.
    InputNotProduced,
    /// An output that the client writes, that is constant, or that has a producer already.
    BadOutput,
    /// A tensor parameter that is not static.
    BadParam,
    /// The graph has no operation.
    EmptyGraph,
}

impl From<OutOfMemory> for BuildError {
    fn from(_: OutOfMemory) -> Self {
        BuildError::OutOfMemory
    }
}

/// A vector in region memory that doubles when full.
struct Growing<'m, T> {
    items: RegionSlice<'m, T>,
    len: usize,
}

impl<'m, T: Copy> Growing<'m, T> {
    const fn new() -> Self {
        Self { items: RegionSlice::empty(), len: 0 }
    }

    fn get(&self) -> &[T] {
        self.items.get(..self.len).unwrap_or(&[])
    }

    fn get_mut(&mut self) -> &mut [T] {
        self.items.get_mut(..self.len).unwrap_or(&mut [])
    }

    fn reserve(
        &mut self,
        region: &mut Region<'m>,
        more: usize,
        fill: T,
    ) -> Result<(), OutOfMemory> {
        let needed = self.len.checked_add(more).ok_or(OutOfMemory)?;
        if needed <= self.items.len() {
            return Ok(());
        }
        let capacity = needed.max(self.items.len().saturating_mul(2)).max(8);
        let old = self.get();
        let items = region.alloc_with(capacity, |index| old.get(index).copied().unwrap_or(fill))?;
        region.free(core::mem::replace(&mut self.items, items));
        Ok(())
    }

    /// Appends; room was reserved.
    fn push(&mut self, item: T) {
        if let Some(slot) = self.items.get_mut(self.len) {
            *slot = item;
            self.len = self.len.saturating_add(1);
        }
    }

    /// Place of the next item.
    fn next(&self) -> U32 {
        U32::new(u32::try_from(self.len).unwrap_or(u32::MAX))
    }

    fn release(self, region: &mut Region<'m>) {
        region.free(self.items);
    }
}

fn count32(count: usize) -> U32 {
    U32::new(u32::try_from(count).unwrap_or(u32::MAX))
}

fn align_up(value: usize, align: usize) -> Option<usize> {
    value.checked_next_multiple_of(align)
}

/// A graph under construction. Its memory goes back with [`GraphBuilder::release`].
pub struct GraphBuilder<'m> {
    name: Span,
    tensors: Growing<'m, TensorRecord>,
    ops: Growing<'m, OpRecord>,
    params: Growing<'m, ParamRecord>,
    quants: Growing<'m, QuantRecord>,
    words: Growing<'m, U32>,
    strings: Growing<'m, u8>,
    constants: Growing<'m, u8>,
}

impl<'m> GraphBuilder<'m> {
    /// An empty graph called `name`.
    pub fn new(region: &mut Region<'m>, name: &str) -> Result<Self, OutOfMemory> {
        let mut graph = Self {
            name: Span::default(),
            tensors: Growing::new(),
            ops: Growing::new(),
            params: Growing::new(),
            quants: Growing::new(),
            words: Growing::new(),
            strings: Growing::new(),
            constants: Growing::new(),
        };
        graph.strings.reserve(region, name.len(), 0)?;
        graph.name = graph.push_text(name);
        Ok(graph)
    }

    /// Name of the graph.
    pub fn name(&self) -> &str {
        self.text(self.name)
    }

    /// Tensors so far.
    pub fn tensor_count(&self) -> usize {
        self.tensors.len
    }

    /// Operations so far.
    pub fn op_count(&self) -> usize {
        self.ops.len
    }

    /// Index of the tensor with this id. Linear in the number of tensors.
    pub fn tensor_by_id(&self, id: u32) -> Option<u32> {
        let index = self.tensors.get().iter().position(|tensor| tensor.id.get() == id)?;
        u32::try_from(index).ok()
    }

    /// Adds a tensor and gives its index. Static data is copied. Linear in the number of tensors.
    pub fn add_tensor(
        &mut self,
        region: &mut Region<'m>,
        spec: &TensorSpec<'_>,
    ) -> Result<u32, BuildError> {
        self.check_tensor(spec)?;
        let data_start =
            align_up(self.constants.len, TENSOR_ALIGN).ok_or(BuildError::OutOfMemory)?;
        let padding = data_start.saturating_sub(self.constants.len);
        self.tensors.reserve(region, 1, EMPTY_TENSOR)?;
        self.words.reserve(region, spec.dims.len(), U32::ZERO)?;
        self.quants.reserve(region, spec.quants.len(), EMPTY_QUANT)?;
        self.strings.reserve(region, spec.name.len(), 0)?;
        if !spec.data.is_empty() {
            let bytes = spec.data.len().checked_add(padding).ok_or(BuildError::OutOfMemory)?;
            self.constants.reserve(region, bytes, 0)?;
            (0..padding).for_each(|_| self.constants.push(0));
            spec.data.iter().for_each(|&byte| self.constants.push(byte));
        }

        let index = self.tensors.next().get();
        let quants = Span { first: self.quants.next(), count: count32(spec.quants.len()) };
        for quant in spec.quants {
            let (scale, offset) = (F32::new(quant.scale), I32::new(quant.offset));
            self.quants.push(QuantRecord { scale, offset });
        }
        let record = TensorRecord {
            id: U32::new(spec.id),
            kind: U32::new(spec.kind.qnn()),
            data_type: U32::new(spec.data_type.qnn()),
            quant_axis: U32::new(spec.quant_axis),
            producer: U32::new(NO_PRODUCER),
            quants,
            name: self.push_text(spec.name),
            dims: self.push_words(spec.dims.iter().copied()),
            data_offset: U64::new(if spec.data.is_empty() { 0 } else { data_start as u64 }),
            data_bytes: U64::new(spec.data.len() as u64),
        };
        self.tensors.push(record);
        Ok(index)
    }

    /// Adds an operation behind those added before, which must have produced its inputs.
    pub fn add_op(&mut self, region: &mut Region<'m>, spec: &OpSpec<'_>) -> Result<(), BuildError> {
        self.check_op(spec)?;
        let words = spec.inputs.len().saturating_add(spec.outputs.len());
        let text = spec.params.iter().map(|param| param.name.len());
        let text = text.fold(spec.name.len(), usize::saturating_add);
        let text = text.saturating_add(spec.package.len()).saturating_add(spec.type_name.len());
        self.ops.reserve(region, 1, EMPTY_OP)?;
        self.params.reserve(region, spec.params.len(), EMPTY_PARAM)?;
        self.words.reserve(region, words, U32::ZERO)?;
        self.strings.reserve(region, text, 0)?;

        let params = Span { first: self.params.next(), count: count32(spec.params.len()) };
        for param in spec.params {
            let (data_type, tensor, bits) = match param.value {
                ParamValue::Scalar(data_type, bits) => (data_type.qnn(), 0, bits),
                ParamValue::Tensor(index) => (0, index, 0),
            };
            let name = self.push_text(param.name);
            let (data_type, tensor) = (U32::new(data_type), U32::new(tensor));
            self.params.push(ParamRecord { name, data_type, tensor, bits: U64::new(bits) });
        }
        let producer = self.ops.next();
        for &output in spec.outputs {
            if let Some(record) = self.tensor_mut(output) {
                record.producer = producer;
            }
        }
        let record = OpRecord {
            name: self.push_text(spec.name),
            package: self.push_text(spec.package),
            type_name: self.push_text(spec.type_name),
            params,
            inputs: self.push_words(spec.inputs.iter().copied()),
            outputs: self.push_words(spec.outputs.iter().copied()),
        };
        self.ops.push(record);
        Ok(())
    }

    /// Gives the builder's memory back.
    pub fn release(self, region: &mut Region<'m>) {
        self.tensors.release(region);
        self.ops.release(region);
        self.params.release(region);
        self.quants.release(region);
        self.words.release(region);
        self.strings.release(region);
        self.constants.release(region);
    }

    /// Writes everything out as one graph table. The builder stays as it was; release it when the
    /// table is accepted.
    pub fn write(&mut self, region: &mut Region<'m>) -> Result<SharedBytes<'m>, BuildError> {
        if self.ops.len == 0 {
            return Err(BuildError::EmptyGraph);
        }
        self.words.reserve(region, self.tensors.len, U32::ZERO)?;
        let words_before = self.words.len;
        let inputs = self.push_indices(TensorKind::AppWrite);
        let outputs = self.push_indices(TensorKind::AppRead);
        let block = self.layout(inputs, outputs).ok_or(OutOfMemory).and_then(|header| {
            let total = usize::try_from(header.total_bytes.get()).unwrap_or(usize::MAX);
            region.alloc_shared(total, CONSTANTS_ALIGN, |block| self.copy_into(block, &header))
        });
        self.words.len = words_before;
        Ok(block?)
    }

    fn layout(&self, inputs: Span, outputs: Span) -> Option<Header> {
        let mut end = size_of::<Header>();
        let mut place = |count: usize, size: usize| {
            let first = u32::try_from(end).ok()?;
            end = end.checked_add(count.checked_mul(size)?)?;
            Some(Span { first: U32::new(first), count: U32::new(u32::try_from(count).ok()?) })
        };
        let tensors = place(self.tensors.len, size_of::<TensorRecord>())?;
        let ops = place(self.ops.len, size_of::<OpRecord>())?;
        let params = place(self.params.len, size_of::<ParamRecord>())?;
        let quants = place(self.quants.len, size_of::<QuantRecord>())?;
        let words = place(self.words.len, size_of::<U32>())?;
        let strings = place(self.strings.len, 1)?;
        let constants = if self.constants.len == 0 { end } else { align_up(end, CONSTANTS_ALIGN)? };
        let total = constants.checked_add(self.constants.len)?;
        Some(Header {
            magic: MAGIC,
            version: U32::new(VERSION),
            total_bytes: U64::new(total as u64),
            tensors,
            ops,
            params,
            quants,
            words,
            strings,
            constants_offset: U64::new(constants as u64),
            constants_bytes: U64::new(self.constants.len as u64),
            name: self.name,
            inputs,
            outputs,
        })
    }

    fn copy_into(&self, block: &mut [u8], header: &Header) {
        let parts: [(u64, &[u8]); 8] = [
            (0, header.as_bytes()),
            (header.tensors.first.get().into(), as_bytes(self.tensors.get())),
            (header.ops.first.get().into(), as_bytes(self.ops.get())),
            (header.params.first.get().into(), as_bytes(self.params.get())),
            (header.quants.first.get().into(), as_bytes(self.quants.get())),
            (header.words.first.get().into(), as_bytes(self.words.get())),
            (header.strings.first.get().into(), self.strings.get()),
            (header.constants_offset.get(), self.constants.get()),
        ];
        for (offset, part) in parts {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            if let Some((to, _)) =
                block.get_mut(offset..).and_then(|to| to.split_at_mut_checked(part.len()))
            {
                to.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            }
        }
    }

    fn check_tensor(&self, spec: &TensorSpec<'_>) -> Result<(), BuildError> {
        let bytes = element_count(spec.dims.iter().copied())
            .and_then(|count| count.checked_mul(spec.data_type.size_bytes()));
        let channels = usize::try_from(spec.quant_axis).ok().and_then(|axis| spec.dims.get(axis));
        let channels = channels.and_then(|&dim| usize::try_from(dim).ok()).unwrap_or(0);
        let quants_fit = spec.quants.len() <= 1 || spec.quants.len() == channels;
        let quants_sane = spec.quants.iter().all(|q| q.scale > 0.0 && q.scale.is_finite());
        let data_expected = if spec.kind == TensorKind::Static { bytes.unwrap_or(0) } else { 0 };
        let null = spec.kind == TensorKind::Null;
        let sized = null || bytes.is_some_and(|bytes| bytes > 0);
        if !sized
            || spec.dims.len() > RANK_MAX
            || !quants_fit
            || !quants_sane
            || spec.data.len() != data_expected
        {
            return Err(BuildError::BadTensor);
        }
        let taken = |tensor: &TensorRecord| {
            tensor.id.get() == spec.id
                || (!spec.name.is_empty() && self.text(tensor.name) == spec.name)
        };
        match self.tensors.get().iter().any(taken) {
            true => Err(BuildError::DuplicateTensor),
            false => Ok(()),
        }
    }

    fn check_op(&self, spec: &OpSpec<'_>) -> Result<(), BuildError> {
        let find = |index: u32| -> Result<(TensorKind, bool), BuildError> {
            let index = usize::try_from(index).map_err(|_| BuildError::NoSuchTensor)?;
            let record = self.tensors.get().get(index).ok_or(BuildError::NoSuchTensor)?;
            let kind = TensorKind::from_qnn(record.kind.get()).ok_or(BuildError::NoSuchTensor)?;
            Ok((kind, record.producer.get() != NO_PRODUCER))
        };
        for &input in spec.inputs {
            if let (TensorKind::Native | TensorKind::AppRead, false) = find(input)? {
                return Err(BuildError::InputNotProduced);
            }
        }
        for (position, &output) in spec.outputs.iter().enumerate() {
            let (kind, produced) = find(output)?;
            let writable = matches!(kind, TensorKind::Native | TensorKind::AppRead);
            let twice = spec.outputs.iter().skip(position.saturating_add(1)).any(|&o| o == output);
            if !writable || produced || twice {
                return Err(BuildError::BadOutput);
            }
        }
        for param in spec.params {
            if let ParamValue::Tensor(index) = param.value {
                if find(index)?.0 != TensorKind::Static {
                    return Err(BuildError::BadParam);
                }
            }
        }
        Ok(())
    }

    fn tensor_mut(&mut self, index: u32) -> Option<&mut TensorRecord> {
        self.tensors.get_mut().get_mut(usize::try_from(index).ok()?)
    }

    fn push_text(&mut self, text: &str) -> Span {
        let span = Span { first: self.strings.next(), count: count32(text.len()) };
        text.bytes().for_each(|byte| self.strings.push(byte));
        span
    }

    fn push_words(&mut self, words: impl Iterator<Item = u32>) -> Span {
        let first = self.words.next();
        words.for_each(|word| self.words.push(U32::new(word)));
        let count = self.words.next().get().saturating_sub(first.get());
        Span { first, count: U32::new(count) }
    }

    fn push_indices(&mut self, kind: TensorKind) -> Span {
        let first = self.words.next();
        for index in 0..self.tensors.len {
            let record = self.tensors.get().get(index);
            if record.is_some_and(|record| record.kind.get() == kind.qnn()) {
                self.words.push(count32(index));
            }
        }
        let count = self.words.next().get().saturating_sub(first.get());
        Span { first, count: U32::new(count) }
    }

    fn text(&self, span: Span) -> &str {
        let first = usize::try_from(span.first.get()).unwrap_or(usize::MAX);
        let count = usize::try_from(span.count.get()).unwrap_or(0);
        let text = self.strings.get().get(first..).and_then(|text| text.get(..count));
        text.and_then(|text| core::str::from_utf8(text).ok()).unwrap_or("")
    }
}

fn as_bytes<T: IntoBytes + Immutable>(records: &[T]) -> &[u8] {
    records.as_bytes()
}

const EMPTY_SPAN: Span = Span { first: U32::ZERO, count: U32::ZERO };
const EMPTY_QUANT: QuantRecord = QuantRecord { scale: F32::ZERO, offset: I32::ZERO };
const EMPTY_PARAM: ParamRecord =
    ParamRecord { name: EMPTY_SPAN, data_type: U32::ZERO, tensor: U32::ZERO, bits: U64::ZERO };
const EMPTY_OP: OpRecord = OpRecord {
    name: EMPTY_SPAN,
    package: EMPTY_SPAN,
    type_name: EMPTY_SPAN,
    params: EMPTY_SPAN,
    inputs: EMPTY_SPAN,
    outputs: EMPTY_SPAN,
};
const EMPTY_TENSOR: TensorRecord = TensorRecord {
    id: U32::ZERO,
    kind: U32::ZERO,
    data_type: U32::ZERO,
    quant_axis: U32::ZERO,
    producer: U32::ZERO,
    quants: EMPTY_SPAN,
    name: EMPTY_SPAN,
    dims: EMPTY_SPAN,
    data_offset: U64::ZERO,
    data_bytes: U64::ZERO,
};
