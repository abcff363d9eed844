//! A prepared graph: everything an execution needs, computed and allocated once.

use super::kernels::elementwise::{self, Limit};
use super::kernels::fixed::Channel;
use super::model::VhtpConfig;
use super::ops::fold::{self, Step};
use super::ops::{self, Compiled, Extras, Operands};
use super::plan::{self, Placement, PLACE_ALIGN};
use super::timing::{self, Grant, Work};
use crate::device::{ExecutionReport, GraphReport, OpReport, PrepareError, Resources};
use crate::graph::{GraphOptions, GraphTable, Op, Tensor, TensorKind};
use crate::handle::GraphId;
use crate::memory::ClientMemory;
use crate::region::{OutOfMemory, Region, RegionSlice, SharedBytes};
use crate::time::Instant;

/// What computes one output of an op, ready to run.
#[derive(Clone, Copy)]
struct Record {
    compiled: Compiled,
    /// Its channels: the first, and how many.
    channels: (usize, usize),
    /// Its bytes of tables.
    table: (usize, usize),
    /// Place of the result in the scratch area.
    output: (usize, usize),
    work: Work,
    /// What the result is brought into afterwards.
    limit: Option<Limit>,
}

/// One op: its parts are slices of what the graph keeps for all.
#[derive(Clone, Copy, Default)]
struct OpSpan {
    /// Records: the first, and how many.
    records: (usize, usize),
    /// Operands.
    operands: (usize, usize),
}

fn part<T>(all: &[T], (start, len): (usize, usize)) -> Option<&[T]> {
    all.get(start..)?.get(..len)
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
    /// Which ops take in the one behind them.
    folds: RegionSlice<'m, bool>,
    ops: RegionSlice<'m, OpSpan>,
    records: RegionSlice<'m, Record>,
    operands: RegionSlice<'m, Operand>,
    channels: RegionSlice<'m, Channel>,
    tables: RegionSlice<'m, u8>,
    places: RegionSlice<'m, Placement>,
    scratch: RegionSlice<'m, u8>,
    /// Places of inputs, then outputs, in the scratch area.
    io_places: RegionSlice<'m, (usize, usize)>,
    /// Client memory of inputs, then outputs, of the present execution.
    io: RegionSlice<'m, ClientMemory>,
    input_count: usize,
    /// For each op, the cycles in which the last execution waited before it; that execution's
    /// number.
    waits: RegionSlice<'m, u64>,
    waits_of: Option<u64>,
    grant: Grant,
    pub(super) report: GraphReport,
    /// Whether an execution uses it.
    pub(super) executing: bool,
}

/// A graph on its way to be executable: one part of the work in each step, with the time that each
/// took.
pub(super) struct Preparing<'m> {
    pub(super) graph: GraphId,
    prepared: Graph<'m>,
    part: Part,
    began: Instant,
}

/// What comes next.
enum Part {
    Check,
    Place,
    Compile,
    Done,
}

impl<'m> Preparing<'m> {
    /// Begins at `now`.
    pub(super) fn new(
        graph: GraphId,
        table: SharedBytes<'m>,
        config: &VhtpConfig,
        now: Instant,
    ) -> Self {
        Self { graph, prepared: Graph::unprepared(table, config), part: Part::Check, began: now }
    }

    /// Does the next part; gives the report when all are done. After an error release it.
    pub(super) fn advance(
        &mut self,
        region: &mut Region<'m>,
        config: &VhtpConfig,
        now: Instant,
    ) -> Result<Option<GraphReport>, PrepareError> {
        let took_us = now.since_us(self.began);
        self.began = now;
        let owner = self.prepared.table.clone();
        let graph = &mut self.prepared;
        match self.part {
            Part::Check => {
                let table = GraphTable::parse(&owner).map_err(|_| PrepareError::InvalidTable)?;
                let options = table.options();
                graph.grant = Grant::new(config, &options);
                graph.folds = region.alloc(table.op_count(), false)?;
                if !options.fold_relu_off {
                    fold::mark(&table, &mut graph.folds);
                }
                graph.allocate(region, &table)?;
                self.part = Part::Place;
            }
            Part::Place => {
                graph.report.times.check_us = took_us;
                graph.place(region, &open(&owner)?)?;
                self.part = Part::Compile;
            }
            Part::Compile => {
                graph.report.times.place_us = took_us;
                graph.compile(&open(&owner)?)?;
                self.part = Part::Done;
            }
            Part::Done => {
                graph.report.times.compile_us = took_us;
                return Ok(Some(graph.report));
            }
        }
        Ok(None)
    }

    /// The graph where it lies, to be used when all parts are done.
    pub(super) fn graph(&mut self) -> &mut Graph<'m> {
        &mut self.prepared
    }

    /// The graph, when all parts are done.
    pub(super) fn into_graph(self) -> Graph<'m> {
        self.prepared
    }

    /// Gives the memory back and drops the table's owner.
    pub(super) fn release(self, region: &mut Region<'m>) {
        self.prepared.release(region);
    }
}

fn open<'a>(table: &'a SharedBytes<'_>) -> Result<GraphTable<'a>, PrepareError> {
    GraphTable::open(table).map_err(|_| PrepareError::InvalidTable)
}

impl<'m> Graph<'m> {
    fn unprepared(table: SharedBytes<'m>, config: &VhtpConfig) -> Self {
        Self {
            table,
            folds: RegionSlice::empty(),
            ops: RegionSlice::empty(),
            records: RegionSlice::empty(),
            operands: RegionSlice::empty(),
            channels: RegionSlice::empty(),
            tables: RegionSlice::empty(),
            places: RegionSlice::empty(),
            scratch: RegionSlice::empty(),
            io_places: RegionSlice::empty(),
            io: RegionSlice::empty(),
            input_count: 0,
            waits: RegionSlice::empty(),
            waits_of: None,
            grant: Grant::new(config, &GraphOptions::default()),
            report: GraphReport::default(),
            executing: false,
        }
    }

    /// Gives the memory back and drops the table's owner.
    pub(super) fn release(self, region: &mut Region<'m>) {
        region.free(self.folds);
        region.free(self.ops);
        region.free(self.records);
        region.free(self.operands);
        region.free(self.channels);
        region.free(self.tables);
        region.free(self.places);
        region.free(self.scratch);
        region.free(self.io_places);
        region.free(self.io);
        region.free(self.waits);
    }

    /// Plans the memory and takes it.
    fn place(
        &mut self,
        region: &mut Region<'m>,
        table: &GraphTable<'_>,
    ) -> Result<(), PrepareError> {
        let scratch = plan::plan(table, &self.folds, &mut self.places);
        let scratch = scratch.ok_or(PrepareError::OutOfMemory)?;
        self.scratch = region.alloc_bytes(scratch, PLACE_ALIGN)?;
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
        let mut extras = Extras::counting();
        let (mut operands, mut records) = (0usize, 0usize);
        for Step { op, .. } in fold::steps(table, &self.folds) {
            for output in ops::outputs(&op) {
                ops::compile(&op, output, &mut extras).map_err(|refusal| refusal.of(op.index()))?;
                records = records.saturating_add(1);
            }
            operands = operands.saturating_add(op.inputs().len());
        }
        let io = table.inputs().len().saturating_add(table.outputs().len());
        let nothing = Record {
            compiled: Compiled::Copy(None),
            channels: (0, 0),
            table: (0, 0),
            output: (0, 0),
            work: Work::NONE,
            limit: None,
        };
        let (channels, bytes) = extras.counts();
        self.ops = region.alloc(table.op_count(), OpSpan::default())?;
        self.records = region.alloc(records, nothing)?;
        self.operands = region.alloc(operands, Operand::Absent)?;
        self.channels = region.alloc(channels, Channel::NEUTRAL)?;
        self.tables = region.alloc(bytes, 0)?;
        self.places = region.alloc(table.tensor_count(), Placement::default())?;
        self.io_places = region.alloc(io, (0, 0))?;
        self.io = region.alloc(io, ClientMemory::NONE)?;
        self.waits = region.alloc(table.op_count(), 0)?;
        Ok(())
    }

    fn compile(&mut self, table: &GraphTable<'_>) -> Result<(), PrepareError> {
        let missing = PrepareError::InvalidTable;
        let options = table.options();
        let mut extras = Extras::keeping(&mut self.channels, &mut self.tables);
        let (mut next_operand, mut next_record) = (0usize, 0usize);
        for step in fold::steps(table, &self.folds) {
            let op = step.op;
            let (first_operand, first_record) = (next_operand, next_record);
            for tensor in op.inputs().iter() {
                let slot = self.operands.get_mut(next_operand).ok_or(missing)?;
                *slot = locate(table, &tensor, &self.places).ok_or(missing)?;
                next_operand = next_operand.saturating_add(1);
            }
            for index in ops::outputs(&op) {
                let record = self.records.get_mut(next_record).ok_or(missing)?;
                next_record = next_record.saturating_add(1);
                *record = make_record(&step, index, &mut extras, &self.places, &options)?;
            }
            let span = self.ops.get_mut(op.index()).ok_or(missing)?;
            *span = OpSpan {
                records: (first_record, next_record.saturating_sub(first_record)),
                operands: (first_operand, next_operand.saturating_sub(first_operand)),
            };
            self.report.ops = self.report.ops.saturating_add(1);
        }
        let cycles = (0..self.ops.len()).map(|index| self.cycles(index, options.hvx_threads));
        self.report.cycles_estimated = cycles.fold(0, u64::saturating_add);
        Ok(())
    }

    /// Number of ops.
    pub(super) fn op_count(&self) -> usize {
        self.ops.len()
    }

    /// Modelled cycles of op `index` with that many HVX threads, 0 for all. Its outputs are
    /// computed together: an op starts once and moves its data once.
    pub(super) fn cycles(&self, index: usize, hvx_threads: u32) -> u64 {
        let grant = self.grant.with_threads(hvx_threads);
        let cycles = self.records(index).iter().map(|it| timing::cycles(&it.work, &grant));
        cycles.max().unwrap_or(0)
    }

    /// Vector threads that an execution with that many is granted.
    pub(super) fn threads(&self, hvx_threads: u32) -> u32 {
        self.grant.with_threads(hvx_threads).threads()
    }

    /// Execution `number` waited for so many cycles before op `index`.
    pub(super) fn note_wait(&mut self, number: u64, index: usize, cycles: u64) {
        if self.waits_of != Some(number) {
            self.waits_of = Some(number);
            self.waits.fill(0);
        }
        if let Some(wait) = self.waits.get_mut(index) {
            *wait = cycles;
        }
    }

    /// What op `index` took in an execution.
    pub(super) fn op_report(&self, index: usize, execution: &ExecutionReport) -> Option<OpReport> {
        let records = self.ops.get(index).map(|_| self.records(index))?;
        let used = records.iter().map(|record| timing::resources(&record.work, &self.grant));
        let waits = self.waits_of.filter(|&number| number == execution.number);
        Some(OpReport {
            cycles: self.cycles(index, execution.hvx_threads),
            wait_cycles: waits.and_then(|_| self.waits.get(index).copied()),
            resources: used.fold(Resources::empty(), Resources::union),
        })
    }

    /// What computes the outputs of op `index`.
    fn records(&self, index: usize) -> &[Record] {
        self.ops.get(index).and_then(|op| part(&self.records, op.records)).unwrap_or(&[])
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
        let op = *self.ops.get(index)?;
        let operands = part(&self.operands, op.operands)?;
        let table: &[u8] = &self.table;
        for record in part(&self.records, op.records)? {
            let (start, len) = record.output;
            let (before, rest) = self.scratch.split_at_mut_checked(start)?;
            let (out, after) = rest.split_at_mut_checked(len)?;
            let (before, after) = (&*before, &*after);
            let after_start = start.checked_add(len)?;
            let input = |index: usize| match *operands.get(index)? {
                Operand::Constant(start, len) => table.get(start..)?.get(..len),
                Operand::Scratch(at, len) => match at.checked_sub(after_start) {
                    Some(at) => after.get(at..)?.get(..len),
                    None => before.get(at..)?.get(..len),
                },
                Operand::Absent => None,
            };
            let operands = Operands {
                input,
                count: operands.len(),
                channels: part(&self.channels, record.channels)?,
                table: part(&self.tables, record.table)?,
            };
            record.compiled.run(operands, out)?;
            if let Some(limit) = &record.limit {
                elementwise::limit(limit, out)?;
            }
        }
        Some(())
    }
}

/// What computes output `index` of a step.
fn make_record(
    step: &Step<'_>,
    index: usize,
    extras: &mut Extras<'_>,
    places: &[Placement],
    options: &GraphOptions,
) -> Result<Record, PrepareError> {
    let (op, missing) = (&step.op, PrepareError::InvalidTable);
    let (channels, table_start) = extras.counts();
    let refused = |refusal: ops::Refusal| refusal.of(op.index());
    let compiled = ops::compile(op, index, extras).map_err(refused)?;
    let (channels_end, table_end) = extras.counts();
    let output = op.outputs().at(index).ok_or(missing)?;
    let place = places.get(output.index()).ok_or(missing)?;
    let mut work = compiled.work(output.element_count(), traffic(op));
    work.matrix &= !(options.short_depth_hmx_off && compiled.is_short_depth());
    let limit = match &step.relu {
        Some(relu) => {
            let bounds = fold::limit(relu).map_err(refused)?;
            Some(if options.clamp_overflow { fold::within_half_precision(bounds) } else { bounds })
        }
        None if options.clamp_overflow => fold::half_precision(&output),
        None => None,
    };
    Ok(Record {
        compiled,
        channels: (channels, channels_end.saturating_sub(channels)),
        table: (table_start, table_end.saturating_sub(table_start)),
        output: (place.offset, place.bytes),
        work,
        limit,
    })
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
