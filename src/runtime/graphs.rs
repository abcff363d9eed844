//! Graphs: online composition, loading of tables, finalization.

use super::objects::{ContextState, Graph, GraphState, IoTensor};
use super::outbox::Control;
use super::rebuild::Phase;
use super::Runtime;
use crate::capability::Capabilities;
use crate::device::{GraphReport, PrepareError};
use crate::error::{CreateError, HandleError, Status};
use crate::graph::{BuildError, GraphBuilder, GraphOptions, GraphTable, Mark, OpSpec, TensorSpec};
use crate::handle::{ContextId, GraphId};
use crate::memory::ClientMemory;
use crate::region::{RegionSlice, SharedBytes};
use crate::sched::Priority;
use crate::time::Instant;

/// What `graph_io` tells of an input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorInfo {
    /// The QNN tensor id.
    pub id: u32,
    /// Bytes of the tensor.
    pub size_bytes: usize,
}

/// What submit needs of a graph: its inputs and outputs, and a row of memories for each slot of the
/// queue.
type Rows<'m> = (RegionSlice<'m, IoTensor>, RegionSlice<'m, ClientMemory>);

impl<'m> Runtime<'m> {
    /// Begins the online composition of a graph. The name must be new in the context. Without
    /// `priority` the graph has its context's. Linear in the number of graphs.
    pub fn graph_create(
        &mut self,
        context: ContextId,
        name: &str,
        priority: Option<Priority>,
    ) -> Result<GraphId, CreateError> {
        if !self.capabilities.contains(Capabilities::ONLINE_COMPOSITION) {
            return Err(CreateError::NotSupported);
        }
        self.check_graph_room(context)?;
        if self.context(context)?.state != ContextState::Ready {
            return Err(HandleError::Invalid.into());
        }
        if self.graph_by_name(context, name).is_ok() {
            return Err(CreateError::DuplicateName);
        }
        let builder = GraphBuilder::new(&mut self.region, name)?;
        self.insert_graph(context, GraphState::Composing(builder), priority)
    }

    /// Adds a tensor to a graph under construction; gives its index. Static data is copied.
    /// The name must be new in the graph and its context. Linear in the number of their tensors.
    pub fn graph_add_tensor(
        &mut self,
        id: GraphId,
        spec: &TensorSpec<'_>,
    ) -> Result<u32, CreateError> {
        let context = self.graph(id)?.context;
        let context = self.contexts.get(context).map_err(|_| HandleError::Invalid)?;
        if context.tensors.first().is_some_and(|tensors| tensors.has_name(spec.name)) {
            return Err(BuildError::DuplicateTensor.into());
        }
        let (builder, region) = self.composing(id)?;
        Ok(builder.add_tensor(region, spec)?)
    }

    /// Adds an operation to a graph under construction, behind those it has.
    pub fn graph_add_op(&mut self, id: GraphId, spec: &OpSpec<'_>) -> Result<(), CreateError> {
        let (builder, region) = self.composing(id)?;
        Ok(builder.add_op(region, spec)?)
    }

    /// Index of the tensor with this id in a graph under construction, for an operation that writes
    /// it, or that does not. One of the context becomes one of the graph. Linear in the number of
    /// tensors, and in the data of one that the graph did not have.
    pub fn graph_operand(
        &mut self,
        id: GraphId,
        tensor: u32,
        writes: bool,
    ) -> Result<u32, CreateError> {
        let context = self.graph(id)?.context;
        let shared = self.contexts.get(context).map_err(|_| HandleError::Invalid)?.tensors.first();
        let shared = shared.and_then(|shared| Some((shared, shared.tensor_by_id(tensor)?)));
        let graph = self.graphs.get_mut(id).map_err(|_| HandleError::Invalid)?;
        let GraphState::Composing(builder) = &mut graph.state else {
            return Err(CreateError::AlreadyFinalized);
        };
        match shared {
            Some((shared, index)) => Ok(builder.adopt(&mut self.region, shared, index, writes)?),
            None => builder.tensor_by_id(tensor).ok_or(BuildError::NoSuchTensor.into()),
        }
    }

    /// How much a graph under construction has, for [`Runtime::graph_truncate`].
    pub fn graph_mark(&mut self, id: GraphId) -> Result<Mark, CreateError> {
        let (builder, _) = self.composing(id)?;
        Ok(builder.mark())
    }

    /// Takes out of a graph under construction the tensors that came since `mark`; no operation may
    /// have.
    pub fn graph_truncate(&mut self, id: GraphId, mark: Mark) {
        if let Ok((builder, _)) = self.composing(id) {
            builder.truncate(mark);
        }
    }

    /// Adds a tensor to a context: its graphs can use it from here on, each under the same id. The
    /// name must be new in the context and in the graphs under construction; data is copied.
    /// Linear in the number of tensors and graphs.
    pub fn context_add_tensor(
        &mut self,
        id: ContextId,
        spec: &TensorSpec<'_>,
    ) -> Result<(), CreateError> {
        if self.context(id)?.state != ContextState::Ready {
            return Err(HandleError::Invalid.into());
        }
        let taken = |graph: &Graph<'_>| match &graph.state {
            GraphState::Composing(builder) => graph.context == id && builder.has_name(spec.name),
            _ => false,
        };
        if self.graphs.iter().any(|(_, graph)| taken(graph)) {
            return Err(BuildError::DuplicateTensor.into());
        }
        let context = self.contexts.get_mut(id).map_err(|_| HandleError::Invalid)?;
        if context.tensors.is_empty() {
            context.tensors = self.region.alloc_with(1, |_| GraphBuilder::of_context())?;
        }
        let builder = context.tensors.first_mut().ok_or(HandleError::Invalid)?;
        builder.add_tensor(&mut self.region, spec)?;
        Ok(())
    }

    pub(super) fn release_context_tensors(
        &mut self,
        mut tensors: RegionSlice<'m, GraphBuilder<'m>>,
    ) {
        if let Some(builder) = tensors.first_mut() {
            let builder = core::mem::replace(builder, GraphBuilder::of_context());
            builder.release(&mut self.region);
        }
        self.region.free(tensors);
    }

    /// What was chosen for a graph when it was composed.
    pub fn graph_options(&self, id: GraphId) -> Result<GraphOptions, HandleError> {
        match &self.graph(id)?.state {
            GraphState::Composing(builder) => Ok(builder.options()),
            _ => Ok(self.graph_table(id)?.options()),
        }
    }

    /// Chooses for a graph under construction. The values are the caller's to check.
    pub fn graph_set_options(
        &mut self,
        id: GraphId,
        options: GraphOptions,
    ) -> Result<(), CreateError> {
        let (builder, _) = self.composing(id)?;
        builder.set_options(options);
        Ok(())
    }

    /// HVX threads of a finalized graph's executions; 0: all there are.
    pub fn graph_hvx_threads(&self, id: GraphId) -> Result<u32, HandleError> {
        Ok(self.graph(id)?.hvx_threads)
    }

    /// Changes the HVX threads of a finalized graph for all its executions (GRAPH-027). Refused
    /// with `AlreadyExecuted` once there was one (GRAPH-028, C-18).
    pub fn graph_set_hvx_threads(&mut self, id: GraphId, threads: u32) -> Result<(), CreateError> {
        self.graph(id)?;
        let graph = self.graphs.get_mut(id).map_err(|_| HandleError::Invalid)?;
        if graph.executed {
            return Err(CreateError::AlreadyExecuted);
        }
        graph.hvx_threads = threads;
        Ok(())
    }

    /// Ends the construction: writes the graph table and has the device prepare it. Executable when
    /// `graph_status` is `Ready`. On an error the graph stays under construction. Linear in the
    /// size of the graph.
    pub fn graph_finalize(&mut self, id: GraphId) -> Result<(), CreateError> {
        let context = self.graph(id)?.context;
        let depth = self.context(context)?.queue.depth();
        let (builder, region) = self.composing(id)?;
        let hvx_threads = builder.options().hvx_threads;
        let table = builder.write(region)?;
        let prepared = self.make_rows(&table, depth);
        let graph = self.graphs.get_mut(id).map_err(|_| HandleError::Invalid)?;
        match prepared {
            Ok((io, rows)) => {
                (graph.io, graph.rows, graph.table) = (io, rows, Some(table));
                graph.hvx_threads = hvx_threads;
                let composing = core::mem::replace(&mut graph.state, GraphState::Preparing);
                if let GraphState::Composing(builder) = composing {
                    builder.release(&mut self.region);
                }
                self.send_prepare(id, context);
                Ok(())
            }
            Err(error) => {
                self.give_back(table);
                Err(error)
            }
        }
    }

    /// Adds a graph from a table that was made before: baked into flash, or part of a context
    /// binary. It is used in place, and given back to the region with the graph, or at once on
    /// an error. Without `priority` the graph has its context's. Executable when `graph_status`
    /// is `Ready`; if the context is still being created, it waits for the graph and fails with
    /// it. Linear in the size of the table.
    pub fn graph_load(
        &mut self,
        context: ContextId,
        table: SharedBytes<'m>,
        priority: Option<Priority>,
    ) -> Result<GraphId, CreateError> {
        match self.prepare_load(context, &table) {
            Ok((io, rows)) => {
                let id = self.insert_graph(context, GraphState::Preparing, priority)?;
                let options =
                    GraphTable::open(&table).map(|table| table.options()).unwrap_or_default();
                if let Ok(graph) = self.graphs.get_mut(id) {
                    (graph.io, graph.rows, graph.table) = (io, rows, Some(table));
                    graph.hvx_threads = options.hvx_threads_offline();
                }
                self.send_prepare(id, context);
                Ok(id)
            }
            Err(error) => {
                // A part of a binary stays with the binary's other owners.
                let _ = self.region.reclaim(table);
                Err(error)
            }
        }
    }

    /// Adds a graph that has its name and its table and cannot be executed. Otherwise as
    /// [`Runtime::graph_load`].
    pub(super) fn graph_load_disabled(
        &mut self,
        context: ContextId,
        table: SharedBytes<'m>,
        priority: Option<Priority>,
    ) -> Result<GraphId, CreateError> {
        if let Err(error) = self.check_graph_room(context) {
            let _ = self.region.reclaim(table);
            return Err(error);
        }
        let id = self.insert_graph(context, GraphState::Disabled, priority)?;
        if let Ok(graph) = self.graphs.get_mut(id) {
            graph.table = Some(table);
        }
        Ok(id)
    }

    fn prepare_load(
        &mut self,
        context: ContextId,
        table: &SharedBytes<'m>,
    ) -> Result<Rows<'m>, CreateError> {
        self.check_graph_room(context)?;
        let depth = self.context(context)?.queue.depth();
        GraphTable::parse(table).map_err(|_| CreateError::Device(PrepareError::InvalidTable))?;
        self.make_rows(table, depth)
    }

    /// Has the device prepare a graph, now or when the rebuild of its context comes to it.
    fn send_prepare(&mut self, id: GraphId, context: ContextId) {
        if self.contexts.get(context).is_ok_and(|context| context.rebuild.takes_graphs()) {
            return;
        }
        let epoch = self.epoch();
        if let Ok(graph) = self.graphs.get_mut(id) {
            graph.told = Some(epoch);
        }
        self.await_answers(context, 1, 0);
        self.send(Control::GraphPrepare(id));
    }

    /// Whether a finalized graph is executable yet, or again while its context is rebuilt; an error
    /// says why it never will be.
    pub fn graph_status(&self, id: GraphId) -> Result<Status, CreateError> {
        let graph = self.graph(id)?;
        match &graph.state {
            GraphState::Ready if self.is_rebuilding(graph.context) => Ok(Status::Pending),
            GraphState::Ready => Ok(Status::Ready),
            GraphState::Preparing | GraphState::Rebuilding | GraphState::Undoing => {
                Ok(Status::Pending)
            }
            GraphState::Failed(error) => Err(CreateError::Device(*error)),
            GraphState::Disabled => Err(CreateError::NotSupported),
            GraphState::Composing(_) | GraphState::Releasing => {
                Err(CreateError::Handle(HandleError::Invalid))
            }
        }
    }

    /// The graph with this name in a context. Linear in the number of graphs.
    pub fn graph_by_name(&self, context: ContextId, name: &str) -> Result<GraphId, HandleError> {
        self.context(context)?;
        let mut graphs = self.graphs.iter().filter(|(_, graph)| graph.context == context);
        let found = graphs.find(|(_, graph)| match (&graph.state, &graph.table) {
            (GraphState::Composing(builder), _) => builder.name() == name,
            (_, Some(table)) => GraphTable::open(table).is_ok_and(|table| table.name() == name),
            _ => false,
        });
        found.map(|(id, _)| id).ok_or(HandleError::Invalid)
    }

    /// The graphs of a context, in slot order. Linear in the number of graphs.
    pub fn graphs_of(&self, context: ContextId) -> impl Iterator<Item = GraphId> + use<'_, 'm> {
        let graphs = self.graphs.iter().filter(move |(_, graph)| graph.context == context);
        graphs.map(|(id, _)| id)
    }

    /// The table of a finalized graph.
    pub fn graph_table(&self, id: GraphId) -> Result<GraphTable<'_>, HandleError> {
        self.graph(id)?.open_table()
    }

    /// What the tensors of an execution are compared with: the context of a finalized graph and its
    /// table. Also of a lost context whose graph the fallback executes.
    pub fn graph_to_bind(&self, id: GraphId) -> Result<(ContextId, GraphTable<'_>), HandleError> {
        let graph = self.graph_to_execute(id)?;
        Ok((graph.context, graph.open_table()?))
    }

    /// The table of a finalized graph to read without the runtime, which may free the graph
    /// meanwhile. Hand it back with [`Runtime::return_table`].
    pub fn lend_table(&mut self, id: GraphId) -> Result<SharedBytes<'m>, HandleError> {
        let table = self.graph(id)?.table.clone().ok_or(HandleError::Invalid)?;
        self.lent_tables = self.lent_tables.saturating_add(1);
        Ok(table)
    }

    /// How often a graph of any context became executable: what was found about those of a context
    /// still concerns all of them if this is the same. Wraps.
    pub fn graphs_ready(&self) -> u32 {
        self.graphs_ready
    }

    /// Takes a lent table back; its memory goes if its graph did.
    pub fn return_table(&mut self, table: SharedBytes<'m>) {
        self.lent_tables = self.lent_tables.saturating_sub(1);
        let _ = self.region.reclaim(table);
    }

    /// What a prepared graph takes on the device.
    pub fn graph_report(&self, id: GraphId) -> Result<GraphReport, HandleError> {
        Ok(self.graph(id)?.report)
    }

    /// Input or output `index` of a finalized graph: inputs first.
    pub fn graph_io(&self, id: GraphId, index: usize) -> Result<Option<TensorInfo>, HandleError> {
        let io = self.graph(id)?.io.get(index);
        Ok(io.map(|tensor| TensorInfo { id: tensor.id, size_bytes: tensor.size_bytes }))
    }

    /// The context of a graph.
    pub fn graph_context(&self, id: GraphId) -> Result<ContextId, HandleError> {
        Ok(self.graph(id)?.context)
    }

    /// Effective priority of a graph.
    pub fn graph_priority(&self, id: GraphId) -> Result<Priority, HandleError> {
        Ok(self.graph(id)?.priority)
    }

    /// Changes the priority of a graph for executions from here on (PRIO-009). Refused with
    /// `Config` while it has asynchronous requests in flight (ASYNC-027, C-11).
    pub fn graph_set_priority(
        &mut self,
        id: GraphId,
        priority: Priority,
    ) -> Result<(), CreateError> {
        if self.graph(id)?.active_async > 0 {
            return Err(CreateError::Config);
        }
        let priority = self.effective_priority(priority);
        if let Ok(graph) = self.graphs.get_mut(id) {
            graph.priority = priority;
        }
        Ok(())
    }

    pub(super) fn on_graph_prepared(
        &mut self,
        now: Instant,
        id: GraphId,
        result: Result<GraphReport, PrepareError>,
    ) {
        let told = Some(self.epoch());
        let awaited = |graph: &&mut Graph<'_>| {
            matches!(graph.state, GraphState::Preparing | GraphState::Rebuilding)
                && graph.told == told
        };
        let Some(graph) = self.graphs.get_mut(id).ok().filter(awaited) else {
            return self.late();
        };
        let context = graph.context;
        match result {
            Ok(report) => {
                graph.report = report;
                graph.state = GraphState::Ready;
                self.graphs_ready = self.graphs_ready.wrapping_add(1);
            }
            // It was ready before: that is the failure of its context's rebuild, not its own.
            Err(_) if matches!(graph.state, GraphState::Rebuilding) => {
                graph.told = None;
                if let Ok(context) = self.contexts.get_mut(context) {
                    context.rebuild.refused = true;
                }
            }
            Err(error) => graph.state = GraphState::Failed(error),
        }
        self.owed.paid(&mut self.hang, now);
        self.answered(context, result.err());
    }

    pub(super) fn on_graph_released(&mut self, now: Instant, id: GraphId) {
        let Ok(graph) = self.graphs.get_mut(id) else { return self.late() };
        let context = graph.context;
        match graph.state {
            GraphState::Releasing => self.drop_graph(id),
            GraphState::Undoing => {
                graph.state = GraphState::Rebuilding;
                graph.told = None;
            }
            _ => return self.late(),
        }
        self.owed.paid(&mut self.hang, now);
        self.answered(context, None);
    }

    /// Whether a context waits for its rebuild, or is in the middle of it.
    pub(super) fn is_rebuilding(&self, context: ContextId) -> bool {
        self.contexts.get(context).is_ok_and(|context| context.rebuild.phase != Phase::Settled)
    }

    fn composing(
        &mut self,
        id: GraphId,
    ) -> Result<(&mut GraphBuilder<'m>, &mut crate::region::Region<'m>), CreateError> {
        self.graph(id)?;
        match self.graphs.get_mut(id).map(|graph| &mut graph.state) {
            Ok(GraphState::Composing(builder)) => Ok((builder, &mut self.region)),
            _ => Err(CreateError::AlreadyFinalized),
        }
    }

    fn insert_graph(
        &mut self,
        id: ContextId,
        state: GraphState<'m>,
        priority: Option<Priority>,
    ) -> Result<GraphId, CreateError> {
        let inherited = self.contexts.get(id).map_err(|_| HandleError::Invalid)?.priority;
        let priority = self.effective_priority(priority.unwrap_or(inherited));
        let graph = Graph {
            state,
            context: id,
            told: None,
            priority,
            table: None,
            io: RegionSlice::empty(),
            rows: RegionSlice::empty(),
            active_async: 0,
            active_blocking: 0,
            report: GraphReport::default(),
            hvx_threads: 0,
            executed: false,
            on_fallback: false,
        };
        let graph = self.graphs.insert(self.ssr.epoch(), graph)?;
        if let Ok(context) = self.contexts.get_mut(id) {
            context.graphs = context.graphs.saturating_add(1);
        }
        Ok(graph)
    }

    /// The memory that submit will need: what to bind, and a row for each slot of the queue.
    fn make_rows(&mut self, table: &SharedBytes<'m>, depth: u16) -> Result<Rows<'m>, CreateError> {
        let table =
            GraphTable::open(table).map_err(|_| CreateError::Device(PrepareError::InvalidTable))?;
        let (inputs, outputs) = (table.inputs(), table.outputs());
        let count = inputs.len().saturating_add(outputs.len());
        let io = self.region.alloc_with(count, |index| {
            let is_output = index >= inputs.len();
            let tensor = match is_output {
                false => inputs.at(index),
                true => outputs.at(index.saturating_sub(inputs.len())),
            };
            let (id, size_bytes) = tensor.map_or((0, 0), |it| (it.id(), it.size_bytes()));
            IoTensor { id, size_bytes, is_output }
        })?;
        let cells = count.saturating_mul(usize::from(depth));
        match self.region.alloc(cells, ClientMemory::NONE) {
            Ok(rows) => Ok((io, rows)),
            Err(error) => {
                self.region.free(io);
                Err(error.into())
            }
        }
    }
}
