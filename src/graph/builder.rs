//! Online composition: collects tensors and operations in region memory and writes them out as a
//! graph table.

use zerocopy::little_endian::{F32, I32, U32, U64};
use zerocopy::IntoBytes;

use super::growing::{
    align_up, copy, count32, hash, run, Growing, EMPTY_OP, EMPTY_PARAM, EMPTY_QUANT, EMPTY_SPAN,
    EMPTY_TENSOR,
};
use super::options::{GraphOptions, OptionsRecord};
use super::table::{
    Header, OpRecord, ParamRecord, QuantRecord, Span, TensorRecord, CONSTANTS_ALIGN,
    CONTEXT_TENSOR, MAGIC, NO_PRODUCER, READ_AND_WRITTEN, VERSION,
};
use super::types::{element_count, DataType, ScaleOffset, TensorKind, RANK_MAX};
use crate::region::{OutOfMemory, Region, SharedBytes};

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
    /// Rank, a dimension, the quantization or the amount of data is wrong, or the role is one that
    /// only a context, or only a graph, has.
    BadTensor,
    /// No tensor with this index.
    NoSuchTensor,
    /// The input at this place is one that no operation has produced yet.
    InputNotProduced(usize),
    /// The output at this place is one that the client writes, that is constant, or that has a
    /// producer already.
    BadOutput(usize),
    /// The parameter at this place is a tensor that is not static.
    BadParam(usize),
    /// The graph has no operation.
    EmptyGraph,
    /// An output that no operation writes.
    OutputNotWritten,
}

impl From<OutOfMemory> for BuildError {
    fn from(_: OutOfMemory) -> Self {
        BuildError::OutOfMemory
    }
}

/// How much a [`GraphBuilder`] has.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    tensors: usize,
    quants: usize,
    words: usize,
    strings: usize,
    constants: usize,
}

/// A graph under construction. Its memory goes back with [`GraphBuilder::release`].
pub struct GraphBuilder<'m> {
    name: Span,
    options: GraphOptions,
    /// It only collects the tensors of a context.
    of_context: bool,
    tensors: Growing<'m, TensorRecord>,
    /// Of each tensor, to be found quickly: its id, and the hash of its name.
    ids: Growing<'m, u32>,
    hashes: Growing<'m, u32>,
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
        let mut graph = Self { of_context: false, ..Self::of_context() };
        graph.strings.reserve(region, name.len(), 0)?;
        graph.name = graph.push_text(name);
        Ok(graph)
    }

    /// No tensors of a context yet; graphs [adopt](GraphBuilder::adopt) them.
    pub fn of_context() -> Self {
        Self {
            name: Span::default(),
            options: GraphOptions::default(),
            of_context: true,
            tensors: Growing::new(),
            ids: Growing::new(),
            hashes: Growing::new(),
            ops: Growing::new(),
            params: Growing::new(),
            quants: Growing::new(),
            words: Growing::new(),
            strings: Growing::new(),
            constants: Growing::new(),
        }
    }

    /// Name of the graph.
    pub fn name(&self) -> &str {
        self.text(self.name)
    }

    /// What was chosen for the graph.
    pub fn options(&self) -> GraphOptions {
        self.options
    }

    /// Chooses. The values are the caller's to check.
    pub fn set_options(&mut self, options: GraphOptions) {
        self.options = options;
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
        let index = self.ids.get().iter().position(|&other| other == id)?;
        u32::try_from(index).ok()
    }

    /// Adds a tensor and gives its index. Static data is copied. Linear in the number of tensors.
    pub fn add_tensor(
        &mut self,
        region: &mut Region<'m>,
        spec: &TensorSpec<'_>,
    ) -> Result<u32, BuildError> {
        self.add_kept(region, spec, spec.data)
    }

    /// The same without a copy of the data: for a graph that is looked at and never runs. Its table
    /// does not stand [`GraphTable::parse`](super::GraphTable::parse), and the tensor has no data.
    pub fn add_tensor_without_data(
        &mut self,
        region: &mut Region<'m>,
        spec: &TensorSpec<'_>,
    ) -> Result<u32, BuildError> {
        self.add_kept(region, spec, &[])
    }

    /// Adds a tensor of whose data `kept` is kept.
    fn add_kept(
        &mut self,
        region: &mut Region<'m>,
        spec: &TensorSpec<'_>,
        kept: &[u8],
    ) -> Result<u32, BuildError> {
        self.check_tensor(spec)?;
        let parts = (spec.dims.len(), spec.quants.len(), spec.name.len());
        self.reserve_tensor(region, parts)?;
        let data_offset = self.add_data(region, kept)?;

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
            name: EMPTY_SPAN,
            dims: self.push_words(spec.dims.iter().copied()),
            data_offset,
            data_bytes: U64::new(kept.len() as u64),
            flags: U32::ZERO,
        };
        Ok(self.push_tensor(record, spec.name))
    }

    /// Whether a tensor has this name; none has the empty one. Linear in the number of tensors.
    pub fn has_name(&self, name: &str) -> bool {
        let sought = hash(name);
        let mut tensors = self.hashes.get().iter().zip(self.tensors.get());
        let is_it = |tensor: &TensorRecord| run(&self.strings, tensor.name) == name.as_bytes();
        !name.is_empty() && tensors.any(|(&hash, tensor)| hash == sought && is_it(tensor))
    }

    /// Makes room for a tensor and its parts.
    fn reserve_tensor(
        &mut self,
        region: &mut Region<'m>,
        (dims, quants, name): (usize, usize, usize),
    ) -> Result<(), OutOfMemory> {
        self.tensors.reserve(region, 1, EMPTY_TENSOR)?;
        self.ids.reserve(region, 1, 0)?;
        self.hashes.reserve(region, 1, 0)?;
        self.words.reserve(region, dims, U32::ZERO)?;
        self.quants.reserve(region, quants, EMPTY_QUANT)?;
        self.strings.reserve(region, name, 0)
    }

    /// Adds a tensor, for which there is room, and gives its index.
    fn push_tensor(&mut self, record: TensorRecord, name: &str) -> u32 {
        let index = self.tensors.next().get();
        let record = TensorRecord { name: self.push_text(name), ..record };
        self.tensors.push(record);
        self.ids.push(record.id.get());
        self.hashes.push(hash(name));
        index
    }

    /// How much there is now, for [`GraphBuilder::truncate`].
    pub fn mark(&self) -> Mark {
        Mark {
            tensors: self.tensors.len,
            quants: self.quants.len,
            words: self.words.len,
            strings: self.strings.len,
            constants: self.constants.len,
        }
    }

    /// Forgets the tensors added since `mark`. No operation may have been added since.
    pub fn truncate(&mut self, mark: Mark) {
        self.tensors.len = self.tensors.len.min(mark.tensors);
        self.ids.len = self.ids.len.min(mark.tensors);
        self.hashes.len = self.hashes.len.min(mark.tensors);
        self.quants.len = self.quants.len.min(mark.quants);
        self.words.len = self.words.len.min(mark.words);
        self.strings.len = self.strings.len.min(mark.strings);
        self.constants.len = self.constants.len.min(mark.constants);
    }

    /// Index of the tensor that tensor `index` of the context's own `tensors` is in this graph, for
    /// an operation that writes it, or that does not. Its first use adds it, with its data. One
    /// that the client both writes and reads is two: what the client wrote, until an operation has
    /// written it. Linear in the number of tensors and in the data.
    pub fn adopt(
        &mut self,
        region: &mut Region<'m>,
        tensors: &GraphBuilder<'_>,
        index: u32,
        writes: bool,
    ) -> Result<u32, BuildError> {
        let index = usize::try_from(index).map_err(|_| BuildError::NoSuchTensor)?;
        let record = *tensors.tensors.get().get(index).ok_or(BuildError::NoSuchTensor)?;
        let (kind, flags) = match TensorKind::from_qnn(record.kind.get()) {
            Some(TensorKind::AppReadWrite) => {
                let kind = if writes { TensorKind::AppRead } else { TensorKind::AppWrite };
                (kind, CONTEXT_TENSOR | READ_AND_WRITTEN)
            }
            kind => (kind.ok_or(BuildError::NoSuchTensor)?, CONTEXT_TENSOR),
        };
        let mut own = self.tensors.get().iter();
        let produced = |own: &TensorRecord| !writes && own.producer.get() != NO_PRODUCER;
        let found = own.clone().position(|own| own.id == record.id && produced(own));
        let as_kind = |own: &TensorRecord| own.id == record.id && own.kind.get() == kind.qnn();
        if let Some(found) = found.or_else(|| own.position(as_kind)) {
            return Ok(count32(found).get());
        }
        let (kind, flags) = (U32::new(kind.qnn()), U32::new(flags));
        self.add_copy(region, tensors, TensorRecord { kind, flags, ..record })
    }

    /// Copies a tensor of a context.
    fn add_copy(
        &mut self,
        region: &mut Region<'m>,
        from: &GraphBuilder<'_>,
        record: TensorRecord,
    ) -> Result<u32, BuildError> {
        let (name, dims) = (from.text(record.name), run(&from.words, record.dims));
        let quants = run(&from.quants, record.quants);
        let data = || {
            let first = usize::try_from(record.data_offset.get()).ok()?;
            let bytes = usize::try_from(record.data_bytes.get()).ok()?;
            from.constants.get().get(first..)?.get(..bytes)
        };
        self.reserve_tensor(region, (dims.len(), quants.len(), name.len()))?;
        let data_offset = self.add_data(region, data().ok_or(BuildError::NoSuchTensor)?)?;
        let first = self.quants.next();
        quants.iter().for_each(|&quant| self.quants.push(quant));
        let copy = TensorRecord {
            quants: Span { first, count: record.quants.count },
            dims: self.push_words(dims.iter().map(|dim| dim.get())),
            data_offset,
            ..record
        };
        Ok(self.push_tensor(copy, name))
    }

    /// Adds constant data and gives its place. Reserves everything before it changes anything.
    fn add_data(&mut self, region: &mut Region<'m>, data: &[u8]) -> Result<U64, BuildError> {
        if data.is_empty() {
            return Ok(U64::ZERO);
        }
        let start = align_up(self.constants.len, TENSOR_ALIGN).ok_or(BuildError::OutOfMemory)?;
        let padding = start.saturating_sub(self.constants.len);
        let bytes = data.len().checked_add(padding).ok_or(BuildError::OutOfMemory)?;
        self.constants.reserve(region, bytes, 0)?;
        (0..padding).for_each(|_| self.constants.push(0));
        self.constants.extend(data);
        Ok(U64::new(start as u64))
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
        self.ids.release(region);
        self.hashes.release(region);
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
        let unwritten = |tensor: &TensorRecord| {
            tensor.kind.get() == TensorKind::AppRead.qnn() && tensor.producer.get() == NO_PRODUCER
        };
        if self.tensors.get().iter().any(unwritten) {
            return Err(BuildError::OutputNotWritten);
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
            options: OptionsRecord::new(self.options),
        })
    }

    fn copy_into(&self, block: &mut [u8], header: &Header) {
        let parts: [(u64, &[u8]); 8] = [
            (0, header.as_bytes()),
            (header.tensors.first.get().into(), self.tensors.get().as_bytes()),
            (header.ops.first.get().into(), self.ops.get().as_bytes()),
            (header.params.first.get().into(), self.params.get().as_bytes()),
            (header.quants.first.get().into(), self.quants.get().as_bytes()),
            (header.words.first.get().into(), self.words.get().as_bytes()),
            (header.strings.first.get().into(), self.strings.get()),
            (header.constants_offset.get(), self.constants.get()),
        ];
        for (offset, part) in parts {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            if let Some((to, _)) =
                block.get_mut(offset..).and_then(|to| to.split_at_mut_checked(part.len()))
            {
                copy(to, part);
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
        let at_home = match spec.kind {
            TensorKind::Native => !self.of_context,
            TensorKind::AppReadWrite => self.of_context,
            _ => true,
        };
        if !sized
            || !at_home
            || spec.dims.len() > RANK_MAX
            || !quants_fit
            || !quants_sane
            || spec.data.len() != data_expected
        {
            return Err(BuildError::BadTensor);
        }
        match self.tensor_by_id(spec.id).is_some() || self.has_name(spec.name) {
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
        for (position, &input) in spec.inputs.iter().enumerate() {
            if let (TensorKind::Native | TensorKind::AppRead, false) = find(input)? {
                return Err(BuildError::InputNotProduced(position));
            }
        }
        for (position, &output) in spec.outputs.iter().enumerate() {
            let (kind, produced) = find(output)?;
            let writable = matches!(kind, TensorKind::Native | TensorKind::AppRead);
            let twice = spec.outputs.iter().skip(position.saturating_add(1)).any(|&o| o == output);
            if !writable || produced || twice {
                return Err(BuildError::BadOutput(position));
            }
        }
        for (position, param) in spec.params.iter().enumerate() {
            if let ParamValue::Tensor(index) = param.value {
                if find(index)?.0 != TensorKind::Static {
                    return Err(BuildError::BadParam(position));
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
        self.strings.extend(text.as_bytes());
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
        core::str::from_utf8(run(&self.strings, span)).unwrap_or("")
    }
}
