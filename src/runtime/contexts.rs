//! Contexts: creation, loading from a binary, teardown.

use super::objects::{Context, ContextState, Graph, GraphState};
use super::outbox::Control;
use super::ownership::IoOwnership;
use super::rebuild::{Phase, Rebuild};
use super::Runtime;
use crate::binary::CheckedBinary;
use crate::capability::Capabilities;
use crate::device::PrepareError;
use crate::error::{CreateError, HandleError, Status};
use crate::event::Outcome;
use crate::handle::{ContextId, GraphId};
use crate::limits::{GRAPHS_PER_CONTEXT_MAX, QUEUE_DEPTH_DEFAULT, QUEUE_DEPTH_MAX};
use crate::queue::{Queue, RequestRef, RequestState};
use crate::region::{RegionSlice, SharedBytes};
use crate::sched::Priority;
use crate::ssr::{Recovery, State};
use crate::time::Instant;

/// Configuration of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextConfig {
    /// Queue depth in requests, 1 to 300. Fixed for the life of the context (ASYNC-010).
    pub queue_depth: u32,
    /// Priority of graphs that name none.
    pub priority: Priority,
    /// What a restart does to it.
    pub recovery: Recovery,
    /// Which graphs of a context binary can be executed: bit `i` for graph `i`. The others only
    /// have a name (SWITCH-011).
    pub enabled_graphs: u64,
    /// Graphs are finalized, to be written into a binary, and not executed (CTX-042).
    pub prepare_only: bool,
}

impl Default for ContextConfig {
    fn default() -> Self {
        Self {
            queue_depth: QUEUE_DEPTH_DEFAULT.into(),
            priority: Priority::DEFAULT,
            recovery: Recovery::Native,
            enabled_graphs: u64::MAX,
            prepare_only: false,
        }
    }
}

/// What became of the requests of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ContextCounts {
    /// Accepted.
    pub submitted: u64,
    /// Ended with written outputs.
    pub completed: u64,
    /// Ended by a restart, or because the DSP is lost.
    pub reset: u64,
    /// Ended by their deadline.
    pub timed_out: u64,
    /// Cancelled, or ended by freeing the context.
    pub aborted: u64,
    /// Failed on the device.
    pub failed: u64,
    /// Kept in the queue by a restart, once for each restart.
    pub requeued: u64,
    /// Rebuilds that made the context usable again.
    pub rebuilds: u64,
    /// Executed on the CPU fallback; counted in `completed` as well.
    pub on_fallback: u64,
    /// Accepted though they write memory that an accepted request writes, see
    /// [`super::IoOwnership`].
    pub overlaps: u64,
}

impl ContextCounts {
    pub(super) fn count(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Completed => &mut self.completed,
            Outcome::DeviceReset | Outcome::DeviceLost => &mut self.reset,
            Outcome::TimedOut => &mut self.timed_out,
            Outcome::Aborted => &mut self.aborted,
            Outcome::Failed => &mut self.failed,
        };
        *count = count.saturating_add(1);
    }
}

/// State of a context's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ContextStats {
    /// Queue depth in requests.
    pub queue_depth: u16,
    /// Requests between submit and the end of their completion.
    pub queue_used: u16,
    /// The most there ever were at once.
    pub queue_used_max: u16,
    /// What became of the others.
    pub counts: ContextCounts,
}

impl<'m> Runtime<'m> {
    /// Creates an empty context, to compose graphs in or load tables into. Usable when
    /// `context_status` is `Ready`. A restart makes it stale, or rebuilds it, as its recovery says.
    pub fn context_create(&mut self, config: &ContextConfig) -> Result<ContextId, CreateError> {
        self.check_epoch(self.epoch())?;
        let depth = u16::try_from(config.queue_depth).unwrap_or(u16::MAX);
        if depth == 0 || depth > QUEUE_DEPTH_MAX {
            return Err(CreateError::Config);
        }
        self.check_recovery(config.recovery)?;
        let requests_free =
            self.requests_free.checked_sub(depth).ok_or(CreateError::CapacityExceeded)?;
        // The queue must know its context's slot: insert first, then give it its memory.
        let id = self.contexts.insert(
            self.ssr.epoch(),
            Context {
                state: ContextState::Creating,
                epoch: self.ssr.epoch(),
                recovery: config.recovery,
                rebuild: Rebuild::NONE,
                fallback: None,
                priority: self.effective_priority(config.priority),
                prepare_only: config.prepare_only,
                ownership: IoOwnership::Unwatched,
                queue: Queue::EMPTY,
                binary: None,
                create_due: true,
                release_due: false,
                answers_due: 1,
                maps_due: 0,
                graphs: 0,
                on_device: false,
                tensors: RegionSlice::empty(),
                counts: ContextCounts::default(),
            },
        )?;
        match Queue::new(&mut self.region, id.index(), depth) {
            Ok(queue) => {
                if let Ok(context) = self.contexts.get_mut(id) {
                    context.queue = queue;
                }
                self.requests_free = requests_free;
                self.send(Control::ContextCreate(id));
                Ok(id)
            }
            Err(error) => {
                let _ = self.contexts.remove(id);
                Err(error.into())
            }
        }
    }

    /// Checks a binary and loads it, in one call. `arch` is the device's architecture. On an error
    /// the binary is given back at once. Linear in the size of the binary: whoever shares the
    /// runtime with others checks first ([`CheckedBinary::check`]) and calls
    /// [`Runtime::context_load_checked`].
    pub fn context_load(
        &mut self,
        binary: SharedBytes<'m>,
        arch: u32,
        config: &ContextConfig,
    ) -> Result<ContextId, CreateError> {
        match CheckedBinary::check(binary, arch) {
            Ok(binary) => self.context_load_checked(binary, config),
            Err((error, binary)) => {
                self.give_back(binary);
                Err(error.into())
            }
        }
    }

    /// Creates a context and all graphs of a context binary, which is used in place and given back
    /// with the context (to the region, if it came from there); on an error at once. The queue
    /// depth is the configuration's whatever the binary says (ASYNC-013); a graph has the
    /// priority that is stored with it, or the configuration's if that is none. Linear in the
    /// number of graphs, tensors and operations, not in the constants.
    pub fn context_load_checked(
        &mut self,
        binary: CheckedBinary<'m>,
        config: &ContextConfig,
    ) -> Result<ContextId, CreateError> {
        let created = self.context_create(config);
        let enabled = config.enabled_graphs;
        let loaded = created.map(|id| (id, self.load_graphs(id, &binary, enabled)));
        let binary = binary.into_bytes();
        let (id, result) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                self.give_back(binary);
                return Err(error);
            }
        };
        if let Ok(context) = self.contexts.get_mut(id) {
            context.binary = Some(binary);
        }
        match result {
            Ok(()) => Ok(id),
            Err(error) => {
                self.close(id);
                Err(error)
            }
        }
    }

    fn load_graphs(
        &mut self,
        id: ContextId,
        binary: &CheckedBinary<'m>,
        enabled: u64,
    ) -> Result<(), CreateError> {
        let parsed = binary.open()?;
        for index in 0..parsed.graph_count() {
            let entry = parsed.graph(index).ok_or(CreateError::Config)?;
            let table = binary.bytes().part(entry.range).ok_or(CreateError::Config)?;
            let priority = Priority::from_qnn(entry.priority);
            if enabled >> index & 1 == 1 {
                self.graph_load(id, table, priority)?;
            } else {
                self.graph_load_disabled(id, table, priority)?;
            }
        }
        Ok(())
    }

    /// Whether a context is usable yet, or again while it is rebuilt. An error says why it never
    /// will be; the context is gone then.
    pub fn context_status(&mut self, id: ContextId) -> Result<Status, CreateError> {
        let context = self.context(id)?;
        match context.state {
            ContextState::Creating => Ok(Status::Pending),
            ContextState::Ready if context.rebuild.phase != Phase::Settled => Ok(Status::Pending),
            ContextState::Ready => Ok(Status::Ready),
            ContextState::Closing | ContextState::Lost => Err(HandleError::Invalid.into()),
            ContextState::Failed(error) => {
                self.close(id);
                Err(CreateError::Device(error))
            }
        }
    }

    /// Priority of a context's future graphs and of those it has (PRIO-011). Refused while a graph
    /// of it has asynchronous requests in flight (ASYNC-027, C-11). Linear in the number of
    /// graphs.
    pub fn context_set_priority(
        &mut self,
        id: ContextId,
        priority: Priority,
    ) -> Result<(), CreateError> {
        self.context(id)?;
        let frozen = |graph: &Graph<'_>| graph.context == id && graph.active_async > 0;
        if self.graphs.iter().any(|(_, graph)| frozen(graph)) {
            return Err(CreateError::Config);
        }
        let priority = self.effective_priority(priority);
        for index in 0..u16::try_from(self.graphs.capacity()).unwrap_or(u16::MAX) {
            if let Some(graph) = self.graphs.at_mut(index).filter(|graph| graph.context == id) {
                graph.priority = priority;
            }
        }
        if let Ok(context) = self.contexts.get_mut(id) {
            context.priority = priority;
        }
        Ok(())
    }

    /// Whether graphs of the context are only prepared from here on. Requests in flight go on.
    pub fn context_set_prepare_only(
        &mut self,
        id: ContextId,
        prepare_only: bool,
    ) -> Result<(), HandleError> {
        self.context(id)?;
        if let Ok(context) = self.contexts.get_mut(id) {
            context.prepare_only = prepare_only;
        }
        Ok(())
    }

    /// State of a context's queue. Works on stale contexts too, until they are freed.
    pub fn context_stats(&self, id: ContextId) -> Result<ContextStats, HandleError> {
        let context = self.contexts.get(id).map_err(|_| HandleError::Invalid)?;
        Ok(ContextStats {
            queue_depth: context.queue.depth(),
            queue_used: context.queue.used(),
            queue_used_max: context.queue.used_max(),
            counts: context.counts,
        })
    }

    /// Frees a context with its graphs. Its handle and theirs are invalid from here on. Queued
    /// requests complete as `Aborted`, running ones are stopped; when the last completion was
    /// heard and the device has let go, the memory goes back (`context_is_gone`). Works on
    /// stale contexts and when the DSP is lost (SSR-017, C-03). During a restart the answer is
    /// `Recovering`, but a context under managed recovery is freed in any state. Linear in queue
    /// depth and number of graphs.
    pub fn context_free(&mut self, now: Instant, id: ContextId) -> Result<(), HandleError> {
        let context = self.contexts.get(id).map_err(|_| HandleError::Invalid)?;
        if context.state == ContextState::Closing {
            return Err(HandleError::Invalid);
        }
        if !context.recovery.is_managed() {
            if let Err(HandleError::Recovering) = self.check_epoch(context.epoch) {
                return Err(HandleError::Recovering);
            }
        }
        let depth = context.queue.depth();
        for slot in 0..depth {
            let place = RequestRef { context: id.index(), slot };
            self.end_early(now, place, Outcome::Aborted);
        }
        self.close(id);
        Ok(())
    }

    /// Takes a context back that no client was told of. It is as freed, but works during a restart
    /// too: the context goes when that ends.
    pub fn context_abandon(&mut self, id: ContextId) {
        self.close(id);
    }

    /// Whether a freed context has let go of its memory.
    pub fn context_is_gone(&self, id: ContextId) -> bool {
        self.contexts.get(id).is_err()
    }

    /// Number of contexts that were not freed, or are not gone yet.
    pub fn context_count(&self) -> u16 {
        self.contexts.count()
    }

    pub(super) fn on_context_created(
        &mut self,
        now: Instant,
        id: ContextId,
        result: Result<(), PrepareError>,
    ) {
        match self.contexts.get_mut(id) {
            Ok(context) if context.create_due => {
                context.create_due = false;
                context.on_device = result.is_ok();
                context.rebuild.refused |= result.is_err();
                self.owed.paid(&mut self.hang, now);
                self.answered(id, result.err());
            }
            _ => self.late(),
        }
    }

    /// One of the answers that a context waits for came.
    pub(super) fn answered(&mut self, id: ContextId, error: Option<PrepareError>) {
        let Ok(context) = self.contexts.get_mut(id) else { return self.fault() };
        context.answers_due = context.answers_due.saturating_sub(1);
        match (context.state, error) {
            (ContextState::Creating, Some(error)) => context.state = ContextState::Failed(error),
            // One that is rebuilt is ready when all of it is.
            (ContextState::Creating, None)
                if context.answers_due == 0 && context.rebuild.phase == Phase::Settled =>
            {
                context.state = ContextState::Ready;
            }
            _ => {}
        }
        self.plan.due = true;
        self.advance_close(id.index());
    }

    pub(super) fn on_context_released(&mut self, now: Instant, id: ContextId) {
        match self.contexts.get_mut(id) {
            Ok(context) if context.release_due => {
                context.release_due = false;
                context.on_device = false;
                self.owed.paid(&mut self.hang, now);
                self.answered(id, None);
            }
            _ => self.late(),
        }
    }

    /// What a client may have of the priority it asks for.
    pub(super) fn effective_priority(&self, asked: Priority) -> Priority {
        if self.capabilities.contains(Capabilities::PRIVILEGED_PRIORITY) {
            asked
        } else {
            asked.for_unprivileged()
        }
    }

    pub(super) fn close(&mut self, id: ContextId) {
        if let Ok(context) = self.contexts.get_mut(id) {
            context.state = ContextState::Closing;
            if context.rebuild.phase == Phase::Waiting {
                context.rebuild = Rebuild::NONE;
            }
            self.set_plan_timer();
            self.plan.due = true;
            self.advance_close(id.index());
        }
    }

    /// Contexts that were closing when a restart came go on closing. Linear in the number of
    /// contexts.
    pub(super) fn resume_closing(&mut self) {
        for index in 0..u16::try_from(self.contexts.capacity()).unwrap_or(u16::MAX) {
            self.advance_close(index);
        }
    }

    /// Takes the next step of a teardown: requests end, graphs leave the device, the context leaves
    /// it, memory goes back. Does nothing for contexts that are not closing.
    pub(super) fn advance_close(&mut self, index: u16) {
        let Some(context) = self.contexts.at(index) else { return };
        if context.state != ContextState::Closing || self.fallback.runs_in(index) {
            return;
        }
        match self.check_epoch(context.epoch) {
            Ok(()) => self.close_on_device(index),
            Err(HandleError::Recovering) => {}
            // The device has nothing of it any more.
            Err(_) => self.close_on_host(index),
        }
    }

    fn close_on_device(&mut self, index: u16) {
        let Some(context) = self.contexts.at(index) else { return };
        let runs = self.in_flight.iter().any(|running| running.request.context == index);
        if runs || context.answers_due > 0 {
            return;
        }
        if context.graphs > 0 && self.release_graphs(index) > 0 {
            return;
        }
        let Some(id) = self.contexts.handle_at(index) else { return };
        // Before the context itself: the device must not hold parts of what it lets go.
        self.drop_buffers(id);
        match self.contexts.get_mut(id) {
            Ok(context) if context.on_device => {
                context.release_due = true;
                context.answers_due = 1;
                self.send(Control::ContextRelease(id));
            }
            _ => self.close_on_host(index),
        }
    }

    /// Graphs that the device knows are released there; the others go at once. Gives the number of
    /// answers to wait for.
    fn release_graphs(&mut self, index: u16) -> u16 {
        let Some(context) = self.contexts.handle_at(index) else { return 0 };
        let told = Some(self.epoch());
        let mut answers: u16 = 0;
        for slot in 0..u16::try_from(self.graphs.capacity()).unwrap_or(u16::MAX) {
            let Some(id) = self.graphs.handle_at(slot) else { continue };
            let Some(graph) = self.graphs.at_mut(slot).filter(|g| g.context == context) else {
                continue;
            };
            match graph.state {
                GraphState::Releasing => {}
                GraphState::Composing(_) | GraphState::Failed(_) | GraphState::Disabled => {
                    self.drop_graph(id);
                }
                // The rebuild of the context has not come to it.
                _ if graph.told != told => self.drop_graph(id),
                GraphState::Ready => {
                    graph.state = GraphState::Releasing;
                    answers = answers.saturating_add(1);
                    self.send(Control::GraphRelease(id));
                }
                GraphState::Preparing | GraphState::Rebuilding | GraphState::Undoing => {}
            }
        }
        if let Ok(context) = self.contexts.get_mut(context) {
            context.answers_due = context.answers_due.saturating_add(answers);
        }
        answers
    }

    /// Gives all memory back, once every request of the context was heard.
    fn close_on_host(&mut self, index: u16) {
        let Some(id) = self.contexts.handle_at(index) else { return };
        if self.contexts.at(index).is_none_or(|context| context.queue.used() > 0) {
            return;
        }
        for slot in 0..u16::try_from(self.graphs.capacity()).unwrap_or(u16::MAX) {
            if self.contexts.at(index).is_none_or(|context| context.graphs == 0) {
                break;
            }
            let Some(graph) = self.graphs.handle_at(slot) else { continue };
            if self.graphs.at(slot).is_some_and(|graph| graph.context == id) {
                self.drop_graph(graph);
            }
        }
        self.drop_buffers(id);
        if let Ok(context) = self.contexts.remove(id) {
            self.requests_free = self.requests_free.saturating_add(context.queue.depth());
            if context.fallback.is_some() {
                self.fallback.context_goes();
            }
            context.queue.release(&mut self.region);
            self.release_context_tensors(context.tensors);
            if let Some(binary) = context.binary {
                self.give_back(binary);
            }
        }
    }

    pub(super) fn drop_graph(&mut self, id: GraphId) {
        let Ok(graph) = self.graphs.remove(id) else { return };
        let Graph { state, context, table, io, rows, .. } = graph;
        if let GraphState::Composing(builder) = state {
            builder.release(&mut self.region);
        }
        self.region.free(io);
        self.region.free(rows);
        let mut part_of_binary = false;
        if let Ok(context) = self.contexts.get_mut(context) {
            context.graphs = context.graphs.saturating_sub(1);
            let whole = context.binary.as_ref().zip(table.as_ref());
            part_of_binary = whole.is_some_and(|(binary, table)| table.is_part_of(binary));
        }
        match table {
            Some(part) if part_of_binary => drop(part),
            Some(whole) => self.give_back(whole),
            None => {}
        }
    }

    /// Gives shared bytes back to the region, now or when they are not lent any more. If a device
    /// still holds them, which it must not, they are leaked.
    pub(super) fn give_back(&mut self, bytes: SharedBytes<'m>) {
        if self.region.reclaim(bytes).is_err() && self.lent_tables == 0 {
            self.counters.blocks_leaked = self.counters.blocks_leaked.saturating_add(1);
        }
    }

    /// A usable context in which something can be created: not one that the device refused, which
    /// goes as soon as its client asks why.
    pub(super) fn context_taking_more(&self, id: ContextId) -> Result<&Context<'m>, HandleError> {
        match self.context(id)? {
            context if matches!(context.state, ContextState::Failed(_)) => {
                Err(HandleError::Invalid)
            }
            context => Ok(context),
        }
    }

    /// Room for another graph in a usable context.
    pub(super) fn check_graph_room(&self, id: ContextId) -> Result<(), CreateError> {
        let context = self.context_taking_more(id)?;
        let table_full = usize::from(self.graphs.count()) >= self.graphs.capacity();
        if table_full || context.graphs >= GRAPHS_PER_CONTEXT_MAX {
            return Err(CreateError::CapacityExceeded);
        }
        Ok(())
    }

    /// Whether something can be created now; an error says why not.
    pub fn check_online(&self) -> Result<(), HandleError> {
        self.check_epoch(self.epoch())
    }

    /// Whether the connection is up, so that creation makes sense.
    pub fn is_online(&self) -> bool {
        matches!(self.state(), State::Online | State::AfterPowerUp)
    }

    /// Whether a request is on the device, for tests and traces.
    pub fn is_running(&self, id: crate::handle::RequestId) -> bool {
        let queue = self.contexts.at(id.context).map(|context| &context.queue);
        let request = queue.and_then(|queue| queue.get(id.slot));
        request.is_some_and(|r| {
            r.generation == id.generation && matches!(r.state, RequestState::Running { .. })
        })
    }
}
