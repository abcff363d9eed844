//! A prepared graph: everything an execution needs, computed and allocated once.

use super::kernels::fixed::Channel;
use super::model::VhtpConfig;
use super::ops::{self, Channels, Compiled};
use super::plan::{self, Placement, PLACE_ALIGN};
use super::timing;
use crate::device::{GraphReport, PrepareError};
use crate::graph::{GraphTable, Op, Tensor, TensorKind};
use crate::memory::ClientMemory;
use crate::region::{OutOfMemory, Region, RegionSlice, SharedBytes};

/// One op, ready to run.
#[derive(Clone, Copy)]
struct Record {
    compiled: Compiled,
    /// First of its operands.
    operands: usize,
    operand_count: usize,
    /// First of its channels.
    channels: usize,
    channel_count: usize,
    /// Place of the result in the scratch area.
    output: (usize, usize),
    cycles: u64,
}

/// Where an operand lies: start and length in bytes.
#[derive(Clone, Copy)]
enum Operand {
    Scratch(usize, usize),
    Constant(usize, usize),
    Absent,
}

impl From<OutOfMemory> for PrepareError {
    fn from(_: OutOfMemory) -> Self {
        PrepareError::OutOfMemory
    }
}

/// A graph that can be executed. Its memory goes back with [`Graph::release`].
pub(super) struct Graph<'m> {
    table: SharedBytes<'m>,
    records: RegionSlice<'m, Record>,
    operands: RegionSlice<'m, Operand>,
    channels: RegionSlice<'m, Channel>,
    places: RegionSlice<'m, Placement>,
    scratch: RegionSlice<'m, u8>,
    /// Places of inputs, then outputs, in the scratch area.
    io_places: RegionSlice<'m, (usize, usize)>,
    /// Client memory of inputs, then outputs, of the present execution.
    io: RegionSlice<'m, ClientMemory>,
    input_count: usize,
    pub(super) report: GraphReport,
    /// Whether an execution uses it.
    pub(super) executing: bool,
}

impl<'m> Graph<'m> {
    /// Compiles every op and plans memory. After an error nothing is kept, and the table's owner
    /// was dropped.
    pub(super) fn prepare(
        region: &mut Region<'m>,
        config: &VhtpConfig,
        table: SharedBytes<'m>,
    ) -> Result<Self, PrepareError> {
        let mut graph = Self {
            table,
            records: RegionSlice::empty(),
            operands: RegionSlice::empty(),
            channels: RegionSlice::empty(),
            places: RegionSlice::empty(),
            scratch: RegionSlice::empty(),
            io_places: RegionSlice::empty(),
            io: RegionSlice::empty(),
            input_count: 0,
            report: GraphReport::default(),
            executing: false,
        };
        match graph.build(region, config) {
            Ok(()) => Ok(graph),
            Err(error) => {
                graph.release(region);
                Err(error)
            }
        }
    }

    /// Gives the memory back and drops the table's owner.
    pub(super) fn release(self, region: &mut Region<'m>) {
        region.free(self.records);
        region.free(self.operands);
        region.free(self.channels);
        region.free(self.places);
        region.free(self.scratch);
        region.free(self.io_places);
        region.free(self.io);
    }

    fn build(&mut self, region: &mut Region<'m>, config: &VhtpConfig) -> Result<(), PrepareError> {
        let owner = self.table.clone();
        let table = GraphTable::parse(&owner).map_err(|_| PrepareError::InvalidTable)?;
        self.allocate(region, &table)?;
        let scratch = plan::plan(&table, &mut self.places).ok_or(PrepareError::OutOfMemory)?;
        self.scratch = region.alloc_bytes(scratch, PLACE_ALIGN)?;
        self.compile(&table, config)?;

        let listed = table.inputs().iter().chain(table.outputs().iter());
        for (to, tensor) in self.io_places.iter_mut().zip(listed) {
            let place = self.places.get(tensor.index()).ok_or(PrepareError::InvalidTable)?;
            *to = (place.offset, place.bytes);
        }
        self.input_count = table.inputs().len();
        let constants = table.tensors().filter(|tensor| tensor.kind() == TensorKind::Static);
        let constant_bytes = constants.map(|tensor| tensor.size_bytes()).sum_saturating();
        self.report.constant_bytes = constant_bytes;
        self.report.scratch_bytes = u64::try_from(scratch).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Counts what the table needs and allocates it.
    fn allocate(
        &mut self,
        region: &mut Region<'m>,
        table: &GraphTable<'_>,
    ) -> Result<(), PrepareError> {
        let mut channels = Channels::counting();
        let mut operands = 0usize;
        for op in table.ops() {
            ops::compile(&op, &mut channels).map_err(|refusal| refusal.of(op.index()))?;
            operands = operands.saturating_add(op.inputs().len());
        }
        let io = table.inputs().len().saturating_add(table.outputs().len());
        let nothing = Record {
            compiled: Compiled::Copy,
            operands: 0,
            operand_count: 0,
            channels: 0,
            channel_count: 0,
            output: (0, 0),
            cycles: 0,
        };
        self.records = region.alloc(table.op_count(), nothing)?;
        self.operands = region.alloc(operands, Operand::Absent)?;
        self.channels = region.alloc(channels.count(), Channel::NEUTRAL)?;
        self.places = region.alloc(table.tensor_count(), Placement::default())?;
        self.io_places = region.alloc(io, (0, 0))?;
        self.io = region.alloc(io, ClientMemory::NONE)?;
        Ok(())
    }

    fn compile(&mut self, table: &GraphTable<'_>, config: &VhtpConfig) -> Result<(), PrepareError> {
        let mut channels = Channels::keeping(&mut self.channels);
        let mut next_operand = 0usize;
        for (op, record) in table.ops().zip(self.records.iter_mut()) {
            let first_channel = channels.count();
            let compiled =
                ops::compile(&op, &mut channels).map_err(|refusal| refusal.of(op.index()))?;
            let first_operand = next_operand;
            for tensor in op.inputs().iter() {
                let slot = self.operands.get_mut(next_operand).ok_or(PrepareError::InvalidTable)?;
                *slot = locate(table, &tensor, &self.places).ok_or(PrepareError::InvalidTable)?;
                next_operand = next_operand.saturating_add(1);
            }
            let output = op.outputs().at(0).ok_or(PrepareError::InvalidTable)?;
            let place = self.places.get(output.index()).ok_or(PrepareError::InvalidTable)?;
            let work = compiled.work(output.element_count(), traffic(&op));
            *record = Record {
                compiled,
                operands: first_operand,
                operand_count: next_operand.saturating_sub(first_operand),
                channels: first_channel,
                channel_count: channels.count().saturating_sub(first_channel),
                output: (place.offset, place.bytes),
                cycles: timing::cycles(&work, config),
            };
            let estimated = &mut self.report.cycles_estimated;
            *estimated = estimated.saturating_add(record.cycles);
        }
        Ok(())
    }

    /// Number of ops.
    pub(super) fn op_count(&self) -> usize {
        self.records.len()
    }

    /// Modelled cycles of op `index`.
    pub(super) fn cycles(&self, index: usize) -> u64 {
        self.records.get(index).map_or(0, |record| record.cycles)
    }

    /// Places of all tensors that have one.
    pub(super) fn places(&self) -> impl Iterator<Item = Placement> + '_ {
        self.places.iter().copied().filter(|place| place.bytes > 0)
    }

    /// Keeps the client memory of an execution; `false` if there is not one block for each input
    /// and output.
    pub(super) fn lend(&mut self, io: &[ClientMemory]) -> bool {
        self.io.iter_mut().zip(io).for_each(|(to, from)| *to = *from);
        self.io.len() == io.len()
    }

    /// Copies the inputs in; `false` if one cannot be read.
    pub(super) fn read_inputs(&mut self) -> bool {
        let inputs = self.io.iter().zip(self.io_places.iter()).take(self.input_count);
        let mut readable = true;
        for (memory, &(start, len)) in inputs {
            let to = self.scratch.get_mut(start..).and_then(|to| to.get_mut(..len));
            readable &= to.is_some_and(|to| memory.read(to));
        }
        readable
    }

    /// Copies the outputs out; `false` if one cannot be written.
    pub(super) fn write_outputs(&self) -> bool {
        let outputs = self.io.iter().zip(self.io_places.iter()).skip(self.input_count);
        let mut writable = true;
        for (memory, &(start, len)) in outputs {
            let from = self.scratch.get(start..).and_then(|from| from.get(..len));
            writable &= from.is_some_and(|from| memory.write(from));
        }
        writable
    }

    /// Runs op `index`. `None` only if an invariant of prepare is broken.
    pub(super) fn run_op(&mut self, index: usize) -> Option<()> {
        let record = *self.records.get(index)?;
        let operands = self.operands.get(record.operands..)?.get(..record.operand_count)?;
        let channels = self.channels.get(record.channels..)?.get(..record.channel_count)?;
        let (start, len) = record.output;
        let (before, rest) = self.scratch.split_at_mut_checked(start)?;
        let (out, after) = rest.split_at_mut_checked(len)?;
        let (before, after) = (&*before, &*after);
        let after_start = start.checked_add(len)?;
        let table: &[u8] = &self.table;
        let input = |index: usize| match *operands.get(index)? {
            Operand::Constant(start, len) => table.get(start..)?.get(..len),
            Operand::Scratch(at, len) => match at.checked_sub(after_start) {
                Some(at) => after.get(at..)?.get(..len),
                None => before.get(at..)?.get(..len),
            },
            Operand::Absent => None,
        };
        record.compiled.run(input, record.operand_count, channels, out)
    }
}

fn locate(table: &GraphTable<'_>, tensor: &Tensor<'_>, places: &[Placement]) -> Option<Operand> {
    match tensor.kind() {
        TensorKind::Null => Some(Operand::Absent),
        TensorKind::Static => {
            let data = tensor.data();
            let start = (data.as_ptr() as usize).checked_sub(table.bytes().as_ptr() as usize)?;
            Some(Operand::Constant(start, data.len()))
        }
        _ => {
            let place = places.get(tensor.index())?;
            Some(Operand::Scratch(place.offset, place.bytes))
        }
    }
}

/// Bytes of all operands and results of an op.
fn traffic(op: &Op<'_>) -> usize {
    let present = |tensor: &Tensor<'_>| tensor.kind() != TensorKind::Null;
    let tensors = op.inputs().iter().chain(op.outputs().iter()).filter(present);
    tensors.fold(0, |sum, tensor| sum.saturating_add(tensor.size_bytes()))
}

/// Sums of sizes that cannot overflow.
trait SumSaturating {
    fn sum_saturating(self) -> u64;
}

impl<I: Iterator<Item = usize>> SumSaturating for I {
    fn sum_saturating(self) -> u64 {
        self.fold(0, |sum, size| sum.saturating_add(u64::try_from(size).unwrap_or(u64::MAX)))
    }
}
