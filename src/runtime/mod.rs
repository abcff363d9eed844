//! The runtime as a pure machine: calls and events in, commands and notices out.
//!
//! It has no clock, no lock and no thread. Whoever owns it runs this loop (the module `platform`
//! does, for C clients):
//!
//! 1. make one call (`submit`, `context_create`, …), or hand in one event (`handle_event`), or say
//!    what time it is (`handle_timeout`);
//! 2. drain `poll_command` into the device;
//! 3. drain `poll_notice` to the clients, outside any lock;
//! 4. step the device; when it waits, sleep until the earlier of its time and `poll_timeout`; begin
//!    again.
//!
//! A spurious or early `handle_timeout` does nothing. Work per call is constant unless its
//! documentation says otherwise. Nothing is allocated after a graph is prepared.

mod buffers;
mod contexts;
mod digest;
mod fallback;
mod graphs;
mod objects;
mod outbox;
mod ownership;
mod power;
mod profiles;
mod rebuild;
mod requests;
mod restart;

pub use contexts::{ContextConfig, ContextCounts, ContextStats};
pub use fallback::Fallback;
pub use graphs::TensorInfo;
pub use ownership::IoOwnership;
pub use requests::{IoBinding, IoSource, SubmitOptions};

use objects::{Buffers, Context, ContextState, Contexts, Graph, Graphs};
use outbox::{Control, Outbox};

use crate::capability::Capabilities;
use crate::device::{Command, Event};
use crate::error::HandleError;
use crate::event::Notice;
use crate::handle::{kind, ContextId, Epoch, GraphId, RequestId};
use crate::limits::{Capacities, PRIORITY_LEVELS};
use crate::memory::ClientMemory;
use crate::power::Power;
use crate::profile::{Profile, Trace, TraceKind, TraceRecord};
use crate::queue::{Deadlines, List, RequestRef};
use crate::region::{OutOfMemory, Region};
use crate::sched::InFlight;
use crate::slots::Slots;
use crate::ssr::{Machine, State};
use crate::time::Instant;

/// What went wrong without being anybody's request: counted, never silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    /// Answers of an earlier epoch, or to nothing we asked: dropped.
    pub late_events: u64,
    /// Blocks that a device had not given back when their owner was released: leaked.
    pub blocks_leaked: u64,
    /// Internal rules that did not hold. Each is a bug of the runtime or of a device.
    pub faults: u64,
    /// Restarts because the device made no progress.
    pub hangs: u64,
    /// Rebuilds that made a context under managed recovery usable again.
    pub rebuilds: u64,
    /// Contexts under managed recovery whose budget was spent.
    pub contexts_lost: u64,
    /// Outputs in contexts that count overlaps for which the table had no room.
    pub outputs_unwatched: u64,
}

/// The runtime. `'m` is the life of the memory that it was given.
pub struct Runtime<'m> {
    region: Region<'m>,
    capabilities: Capabilities,
    contexts: Contexts<'m>,
    graphs: Graphs<'m>,
    buffers: Buffers<'m>,
    profiles: Slots<'m, kind::Profile, Profile>,
    power: Power<'m>,
    power_due: power::Due,
    run_lists: [List; PRIORITY_LEVELS],
    /// Requests in `run_lists`.
    queued: u32,
    /// Requests that a restart caught, of contexts that the client re-creates: heard as soon as
    /// the connection is back.
    interrupted: List,
    /// Those of contexts that the runtime rebuilds: heard when that is done.
    held: List,
    done: List,
    in_flight: InFlight,
    lent: ownership::Lent<'m>,
    deadlines: Deadlines<'m>,
    /// Requests that contexts created from here on may still have in their queues.
    requests_free: u16,
    /// Number of the last accepted request.
    serial: u32,
    outbox: Outbox<'m>,
    ssr: Machine,
    hang: restart::HangWatch,
    owed: restart::Owed,
    plan: rebuild::Plan,
    fallback: fallback::Desk,
    trace: Trace<'m>,
    counters: Counters,
    /// Tables that are read outside.
    lent_tables: u32,
    /// How often a graph became executable, wrapping.
    graphs_ready: u32,
}

impl<'m> Runtime<'m> {
    /// Sets up all tables in `region`; what is left of it serves the creation paths.
    /// Fails if the region is smaller than [`Runtime::memory_required`].
    pub fn new(
        mut region: Region<'m>,
        capacities: &Capacities,
        capabilities: Capabilities,
    ) -> Result<Self, OutOfMemory> {
        Ok(Self {
            contexts: Slots::new(&mut region, capacities.contexts)?,
            graphs: Slots::new(&mut region, capacities.graphs)?,
            buffers: Slots::new(&mut region, capacities.buffers)?,
            profiles: Slots::new(&mut region, capacities.profiles)?,
            power: Power::new(&mut region, capacities.power_configs)?,
            power_due: power::Due::NOTHING,
            run_lists: [List::EMPTY; PRIORITY_LEVELS],
            queued: 0,
            interrupted: List::EMPTY,
            held: List::EMPTY,
            done: List::EMPTY,
            in_flight: InFlight::new(capabilities.contains(Capabilities::PARALLEL_GRAPHS)),
            lent: ownership::Lent::new(&mut region, capacities.watched_outputs)?,
            deadlines: Deadlines::new(&mut region, capacities.requests)?,
            requests_free: capacities.requests,
            serial: 0,
            outbox: Outbox::new(&mut region, capacities)?,
            ssr: Machine::new(),
            hang: restart::HangWatch::IDLE,
            owed: restart::Owed::NOTHING,
            plan: rebuild::Plan::NOTHING,
            fallback: fallback::Desk::EMPTY,
            trace: Trace::new(&mut region, capacities.trace_records)?,
            counters: Counters::default(),
            lent_tables: 0,
            graphs_ready: 0,
            capabilities,
            region,
        })
    }

    /// Bytes of region that [`Runtime::new`] takes for these capacities, with the allocator's
    /// overhead. Contexts, graphs and their data need more on top, when they are created.
    pub const fn memory_required(capacities: &Capacities) -> usize {
        const BLOCK_OVERHEAD: usize = 64;
        let tables = Self::table_bytes(capacities);
        let mut sum = BLOCK_OVERHEAD + Region::OVERHEAD_BYTES;
        let mut largest = 0;
        let mut rest: &[(&str, usize)] = &tables;
        while let [(_, first), tail @ ..] = rest {
            sum = sum.saturating_add(*first).saturating_add(BLOCK_OVERHEAD);
            if *first > largest {
                largest = *first;
            }
            rest = tail;
        }
        // The allocator looks for a block of the next of the 32 sizes between two powers of two.
        sum.saturating_add(largest / 32)
    }

    /// Bytes of each table that [`Runtime::new`] makes, without the allocator's overhead. The names
    /// are those of [`Capacities`], and that of the commands that wait for the device.
    pub const fn table_bytes(capacities: &Capacities) -> [(&'static str, usize); 9] {
        let requests = size_of::<RequestRef>().saturating_mul(capacities.requests as usize);
        let trace = size_of::<TraceRecord>().saturating_mul(capacities.trace_records as usize);
        [
            ("contexts", Slots::<'m, kind::Context, Context<'m>>::bytes(capacities.contexts)),
            ("graphs", Slots::<'m, kind::Graph, Graph<'m>>::bytes(capacities.graphs)),
            ("buffers", Slots::<'m, kind::Buffer, objects::Buffer>::bytes(capacities.buffers)),
            ("profiles", Slots::<'m, kind::Profile, Profile>::bytes(capacities.profiles)),
            ("power_configs", Power::<'m>::bytes(capacities.power_configs)),
            ("watched_outputs", ownership::Lent::<'m>::bytes(capacities.watched_outputs)),
            ("requests", requests),
            ("commands", Outbox::bytes(capacities)),
            ("trace_records", trace),
        ]
    }

    /// What the platform allows.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Phase of the connection to the DSP.
    pub fn state(&self) -> State {
        self.ssr.state()
    }

    /// Present life of the DSP.
    pub fn epoch(&self) -> Epoch {
        self.ssr.epoch()
    }

    /// Restarts that began since init.
    pub fn restarts(&self) -> u32 {
        self.ssr.restarts()
    }

    /// What went wrong so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The trace.
    pub fn trace(&self) -> &Trace<'m> {
        &self.trace
    }

    /// The allocator of the creation paths, to look at.
    pub fn region(&self) -> &Region<'m> {
        &self.region
    }

    /// The allocator of the creation paths, to take memory for what is handed in (a binary, a
    /// buffer).
    pub fn region_mut(&mut self) -> &mut Region<'m> {
        &mut self.region
    }

    /// Whether nothing is queued, running, under construction on the device or waiting to be heard.
    /// Linear in the number of contexts.
    pub fn is_idle(&self) -> bool {
        let epoch = self.epoch();
        let owed = |context: &Context<'_>| context.awaits() && context.epoch == epoch;
        let waits = |context: &Context<'_>| context.rebuild.phase != rebuild::Phase::Settled;
        self.queued == 0
            && self.in_flight.is_empty()
            && self.fallback.is_idle()
            && self.outbox.is_empty()
            && self.done.is_empty()
            && self.interrupted.is_empty()
            && self.held.is_empty()
            && !self.contexts.iter().any(|(_, context)| owed(context) || waits(context))
    }

    /// The next command for the device. Call until `None` after every call, event and notice.
    /// Constant time, amortised: each command about an object that vanished is skipped once; after
    /// a call that concerns a context in its rebuild as an answer of the device. Of contexts with a
    /// fallback, while the device is down, linear in their queue depths after each change.
    pub fn poll_command(&mut self, now: Instant) -> Option<Command<'_, 'm>> {
        self.drive_plan(now);
        while let Some(control) = self.outbox.pop() {
            // Objects that vanished since are skipped; each skip consumes an entry, so the loop
            // ends.
            if self.control_is_due(&control) {
                let gone =
                    matches!(control, Control::BufferUnmap(id) if self.buffers.get(id).is_err());
                self.owed.note(&control, gone, &mut self.hang, now);
                return self.control_command(control);
            }
        }
        match self.next_to_start() {
            Some(place) => self.dispatch(now, place),
            None => self.fallback_command(now),
        }
    }

    /// Takes in what happened on the device. Answers of another epoch are dropped and counted.
    /// Constant time; a crash takes time linear in the number of requests it catches and of
    /// contexts, the end of a restart in the number of contexts, an answer in a rebuild in the
    /// number of objects.
    pub fn handle_event(&mut self, now: Instant, event: Event) {
        self.drive_plan(now);
        self.take_in(now, event);
        self.drive_plan(now);
    }

    fn take_in(&mut self, now: Instant, event: Event) {
        match event {
            Event::Connected { epoch } => self.on_connected(now, epoch),
            Event::ConnectFailed { epoch } => self.on_connect_failed(now, epoch),
            Event::Crashed { epoch } if epoch == self.epoch() => self.on_crash(now),
            Event::ContextCreated { context, epoch, result } if epoch == self.epoch() => {
                self.on_context_created(now, context, result);
            }
            Event::ContextReleased { context, epoch } if epoch == self.epoch() => {
                self.on_context_released(now, context);
            }
            Event::GraphPrepared { graph, epoch, result } if epoch == self.epoch() => {
                self.on_graph_prepared(now, graph, result);
            }
            Event::GraphReleased { graph, epoch } if epoch == self.epoch() => {
                self.on_graph_released(now, graph);
            }
            Event::BufferMapped { buffer, epoch, result } if epoch == self.epoch() => {
                self.on_buffer_mapped(now, buffer, result);
            }
            Event::BufferUnmapped { buffer, epoch } if epoch == self.epoch() => {
                self.on_buffer_unmapped(now, buffer);
            }
            Event::Executed { request, epoch, result } if epoch == self.epoch() => {
                self.on_executed(now, request, result);
            }
            Event::Alive { epoch, steps, held } if epoch == self.epoch() => {
                self.on_alive(now, steps, held);
            }
            Event::FallbackExecuted { request, result } => {
                self.on_fallback_executed(now, request, result);
            }
            _ => self.late(),
        }
    }

    /// Does what is due by `now`: time-outs, connection attempts, the watch over a silent device.
    /// At most [`crate::limits::DEADLINES_PER_CALL`] time-outs per call, each in time logarithmic
    /// in the number of deadlines; call again while `poll_timeout` is not after `now`. A device
    /// found silent costs what a crash does in [`Runtime::handle_event`]. Too early a call does
    /// nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.drive_plan(now);
        self.expire_deadlines(now);
        self.drive_restart(now);
        self.expire_rebuilds(now);
        self.watch_for_hang(now);
        self.watch_fallback(now);
        self.drive_plan(now);
    }

    /// When `handle_timeout` has something to do next. Changes with every call and event.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadline = self.deadlines.earliest(&self.contexts);
        let restart = [self.ssr.timer(), self.hang.timer(), self.plan.timer()];
        let timers = [deadline, self.fallback.timer()].into_iter().chain(restart);
        timers.flatten().min()
    }

    /// The next thing a client must hear. Call until `None` after every call and event, and deliver
    /// outside any lock.
    ///
    /// Requests caught by a restart come up here once the connection is back or lost, never before
    /// (SSR-005).
    pub fn poll_notice(&mut self, now: Instant) -> Option<Notice> {
        if let Some(transition) = self.ssr.poll_transition() {
            return Some(Notice::Restart(transition));
        }
        self.next_completion(now).map(Notice::Completion)
    }

    /// Whether `poll_notice` has something to say now.
    pub fn has_notice(&self) -> bool {
        let settled = matches!(self.state(), State::Online | State::AfterPowerUp | State::Lost);
        self.ssr.has_transition()
            || !self.done.is_empty()
            || (settled && !self.interrupted.is_empty())
    }

    /// Whether `poll_command` has something to say now.
    pub fn has_command(&self) -> bool {
        let due = self.plan.due || self.fallback.is_due();
        !self.outbox.is_empty() || due || self.next_to_start().is_some()
    }

    fn control_is_due(&self, control: &Control) -> bool {
        match *control {
            Control::Connect { .. }
            | Control::Abort(_)
            | Control::PowerVote
            | Control::MemorySet
            | Control::Probe
            | Control::Shutdown => true,
            Control::ContextCreate(id) | Control::ContextRelease(id) => {
                self.contexts.get(id).is_ok()
            }
            Control::GraphPrepare(id) | Control::GraphRelease(id) => self.graphs.get(id).is_ok(),
            Control::BufferMap(id) => self.buffers.get(id).is_ok(),
            Control::BufferUnmap(_) => true,
        }
    }

    fn control_command(&mut self, control: Control) -> Option<Command<'_, 'm>> {
        let epoch = self.epoch();
        Some(match control {
            Control::Connect { attempt } => Command::Connect { epoch, attempt },
            Control::ContextCreate(context) => Command::ContextCreate { context, epoch },
            Control::ContextRelease(context) => Command::ContextRelease { context, epoch },
            Control::GraphPrepare(graph) => {
                let object = self.graphs.get(graph).ok()?;
                let table = object.table.clone()?;
                Command::GraphPrepare { graph, context: object.context, epoch, table }
            }
            Control::GraphRelease(graph) => Command::GraphRelease { graph, epoch },
            Control::BufferMap(buffer) => {
                let memory = self.buffers.get(buffer).ok()?.memory;
                Command::BufferMap { buffer, epoch, memory }
            }
            Control::BufferUnmap(buffer) => Command::BufferUnmap { buffer, epoch },
            Control::Abort(request) => Command::Abort { request, epoch },
            Control::PowerVote => {
                self.power_due.vote = None;
                Command::PowerVote { epoch, settings: self.power.in_effect(epoch) }
            }
            Control::MemorySet => {
                self.power_due.memory = None;
                Command::MemorySet { epoch, config: self.power.memory(epoch) }
            }
            Control::Probe => Command::Probe { epoch },
            Control::Shutdown => Command::Shutdown { epoch },
        })
    }

    /// What a call on an object of `epoch` may do now.
    fn check_epoch(&self, epoch: Epoch) -> Result<(), HandleError> {
        match self.state() {
            State::Online | State::AfterPowerUp if epoch == self.epoch() => Ok(()),
            State::Online | State::AfterPowerUp => Err(HandleError::Stale),
            State::Lost => Err(HandleError::Lost),
            State::BeforeShutdown | State::AfterShutdown | State::BeforePowerUp => {
                Err(HandleError::Recovering)
            }
        }
    }

    /// What a call on a context or its objects may do now.
    fn check_life(&self, context: &Context<'m>) -> Result<(), HandleError> {
        if self.state() == State::Lost || context.state == ContextState::Lost {
            return Err(HandleError::Lost);
        }
        if context.recovery.is_managed() {
            return Ok(());
        }
        self.check_epoch(context.epoch)
    }

    /// A usable context.
    fn context(&self, id: ContextId) -> Result<&Context<'m>, HandleError> {
        let context = self.contexts.get(id).map_err(|_| HandleError::Invalid)?;
        if context.state == ContextState::Closing {
            return Err(HandleError::Invalid);
        }
        self.check_life(context)?;
        Ok(context)
    }

    /// A usable graph.
    fn graph(&self, id: GraphId) -> Result<&Graph<'m>, HandleError> {
        let graph = self.graphs.get(id).map_err(|_| HandleError::Invalid)?;
        let context = self.contexts.get(graph.context).map_err(|_| HandleError::Invalid)?;
        if context.state == ContextState::Closing {
            return Err(HandleError::Invalid);
        }
        self.check_life(context)?;
        Ok(graph)
    }

    fn send(&mut self, control: Control) {
        if !self.outbox.push(control) {
            self.fault();
        }
    }

    /// An answer to nothing that was asked, or to something that is over.
    fn late(&mut self) {
        self.counters.late_events = self.counters.late_events.saturating_add(1);
    }

    /// An internal rule did not hold.
    fn fault(&mut self) {
        self.counters.faults = self.counters.faults.saturating_add(1);
    }

    fn record(&mut self, at: Instant, kind: TraceKind, request: RequestId, value: u32) {
        self.trace.push(TraceRecord { at, kind, epoch: self.ssr.epoch(), request, value });
    }
}

/// What [`Runtime::table_bytes`] says of the default capacities, in its order, and then
/// [`Runtime::memory_required`]: constants of a target, for tools that read objects made for it.
pub static DEFAULT_BYTES: [usize; 10] = {
    let capacities = &Capacities::DEFAULT;
    let [(_, a), (_, b), (_, c), (_, d), (_, e), (_, f), (_, g), (_, h), (_, i)] =
        Runtime::table_bytes(capacities);
    [a, b, c, d, e, f, g, h, i, Runtime::memory_required(capacities)]
};

/// The memories of a request, for a command.
fn memories<'a>(graph: Option<&'a Graph<'_>>, slot: u16) -> &'a [ClientMemory] {
    graph.map_or(&[], |graph| graph.row(slot))
}
