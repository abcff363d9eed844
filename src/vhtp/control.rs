//! Commands in, events out: intake, control commands, and their lines in the journal.

use super::exec::Execution;
use super::journal::JournalKind;
use super::objects::Control;
use super::prepared::Preparing;
use super::Vhtp;
use crate::device::{Command, Event, ExecuteError, PrepareError, Step, ThreadPriority};
use crate::handle::{Epoch, GraphId, Handle, RequestId};
use crate::memory::ClientMemory;
use crate::power::{Corner, Corners};

/// Slot and generation for the journal.
fn object<K>(handle: Handle<K>) -> (u16, u32) {
    (handle.index(), u32::from(handle.generation()))
}

fn request_object(request: RequestId) -> (u16, u32) {
    (request.slot, request.generation)
}

fn context_bits(request: RequestId) -> u64 {
    u64::from(request.context) << 16
}

fn size(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// A vote for the journal; 0 if there is none.
fn corners(vote: Option<Corners<Corner>>) -> u64 {
    vote.map_or(0, |vote| {
        let [min, target, max] = [vote.min(), vote.target(), vote.max()].map(Corner::number);
        u64::from(max) << 16 | u64::from(target) << 8 | u64::from(min)
    })
}

impl<'m> Vhtp<'m> {
    /// Takes a command in. Commands of another epoch are noted and ignored.
    pub(super) fn take_in(&mut self, command: Command<'_, 'm>) {
        use JournalKind as Kind;
        match command {
            Command::Connect { epoch, attempt } => {
                self.record(epoch, Kind::Connect, (0, 0), attempt.into());
                self.connect = Some((epoch, attempt));
            }
            Command::ContextCreate { context, epoch } => {
                self.record(epoch, Kind::ContextCreate, object(context), 0);
                self.queue(epoch, Control::ContextCreate(context));
            }
            Command::ContextRelease { context, epoch } => {
                self.record(epoch, Kind::ContextRelease, object(context), 0);
                self.queue(epoch, Control::ContextRelease(context));
            }
            Command::GraphPrepare { graph, context, epoch, table } => {
                self.record(epoch, Kind::GraphPrepare, object(graph), size(table.len()));
                self.queue(epoch, Control::GraphPrepare { graph, context, table });
            }
            Command::GraphRelease { graph, epoch } => {
                self.record(epoch, Kind::GraphRelease, object(graph), 0);
                self.queue(epoch, Control::GraphRelease(graph));
            }
            Command::BufferMap { buffer, epoch, memory } => {
                self.record(epoch, Kind::BufferMap, object(buffer), size(memory.len()));
                self.queue(epoch, Control::BufferMap(buffer, memory));
            }
            Command::BufferUnmap { buffer, epoch } => {
                self.record(epoch, Kind::BufferUnmap, object(buffer), 0);
                self.queue(epoch, Control::BufferUnmap(buffer));
            }
            Command::Execute { request, graph, epoch, priority, hvx_threads, io } => {
                let arg = u64::from(hvx_threads) << 40
                    | u64::from(priority.hmx) << 32
                    | context_bits(request)
                    | u64::from(graph.index());
                self.record(epoch, Kind::Execute, request_object(request), arg);
                if self.listens_to(epoch) {
                    self.begin_execution(request, graph, (priority, hvx_threads), io);
                }
            }
            Command::Abort { request, epoch } => {
                let arg = context_bits(request);
                self.record(epoch, Kind::Abort, request_object(request), arg);
                if self.listens_to(epoch) {
                    self.abort(request);
                }
            }
            Command::PowerVote { epoch, settings } => {
                if self.listens_to(epoch) {
                    self.power = *settings;
                }
                let clock = u64::from(self.frequency_mhz()) << 48;
                let arg = clock | corners(settings.bus) << 24 | corners(settings.core);
                self.record(epoch, Kind::PowerVote, (0, 0), arg);
            }
            Command::MemorySet { epoch, config } => {
                if self.listens_to(epoch) {
                    self.memory = config;
                }
                self.record(epoch, Kind::MemorySet, (0, 0), config.grow_bytes.into());
            }
            Command::Probe { epoch } => {
                self.record(epoch, Kind::Probe, (0, 0), 0);
                self.probe |= self.listens_to(epoch);
            }
            // It has nothing beside the device: `WithFallback` has.
            Command::FallbackExecute { .. } | Command::FallbackAbort { .. } => {
                self.refused = self.refused.saturating_add(1);
            }
            Command::Shutdown { epoch } => {
                self.record(epoch, Kind::Shutdown, (0, 0), 0);
                self.faults.crash_now |= self.listens_to(epoch);
            }
        }
    }

    fn listens_to(&self, epoch: Epoch) -> bool {
        self.connected && epoch == self.epoch
    }

    fn queue(&mut self, epoch: Epoch, control: Control<'m>) {
        if self.listens_to(epoch) && !self.control.push(control) {
            self.refused = self.refused.saturating_add(1);
        }
    }

    fn begin_execution(
        &mut self,
        request: RequestId,
        graph: GraphId,
        (priority, hvx_threads): (ThreadPriority, u32),
        io: &[ClientMemory],
    ) {
        let verdict = match self.graphs.get_mut(graph) {
            None => Some(ExecuteError::NoSuchGraph),
            Some(graph) if graph.executing => Some(ExecuteError::Internal),
            Some(graph) => match graph.lend(io) {
                true => None,
                false => Some(ExecuteError::BadMemory),
            },
        };
        let (turn, number) = (self.next_turn(), self.execution_count);
        let Some(slot) = self.executions.iter_mut().find(|slot| slot.is_none()) else {
            self.refused = self.refused.saturating_add(1);
            return;
        };
        *slot = Some(Execution {
            request,
            graph,
            priority,
            hvx_threads,
            verdict,
            started: None,
            next_op: 0,
            mhz: 0,
            cycles: 0,
            waited: 0,
            left_at: 0,
            yields: 0,
            turn,
            number,
        });
        self.execution_count = number.saturating_add(1);
        if let (None, Some(graph)) = (verdict, self.graphs.get_mut(graph)) {
            graph.executing = true;
        }
    }

    fn abort(&mut self, request: RequestId) {
        let execution = self.executions.iter_mut().flatten().find(|e| e.request == request);
        if let Some(execution) = execution {
            execution.verdict.get_or_insert(ExecuteError::Aborted);
        }
    }

    /// Carries out one control command and reports it.
    pub(super) fn process(&mut self, control: Control<'m>) -> Step {
        let epoch = self.epoch;
        self.steps = self.steps.saturating_add(1);
        let event = match control {
            Control::ContextCreate(context) => {
                let result = room(self.contexts.insert(context, ()));
                Event::ContextCreated { context, epoch, result }
            }
            Control::ContextRelease(context) => {
                self.contexts.remove(context);
                Event::ContextReleased { context, epoch }
            }
            Control::GraphPrepare { graph, context, table } => {
                let refusal = if self.contexts.get(context).is_none() {
                    PrepareError::InvalidTable
                } else if !self.graphs.has_room(graph) {
                    PrepareError::CapacityExceeded
                } else {
                    return self.prepare_on(Preparing::new(graph, table, &self.config, self.now));
                };
                Event::GraphPrepared { graph, epoch, result: Err(refusal) }
            }
            Control::GraphRelease(graph) => {
                if let Some(released) = self.graphs.remove(graph) {
                    released.release(&mut self.region);
                }
                Event::GraphReleased { graph, epoch }
            }
            Control::BufferMap(buffer, memory) => {
                let result = match memory.is_empty() {
                    true => Err(PrepareError::OutOfMemory),
                    false => room(self.buffers.insert(buffer, memory)),
                };
                Event::BufferMapped { buffer, epoch, result }
            }
            Control::BufferUnmap(buffer) => {
                self.buffers.remove(buffer);
                Event::BufferUnmapped { buffer, epoch }
            }
        };
        self.emit(event)
    }

    /// Carries out the next part of a preparation; reports it at the end.
    pub(super) fn prepare_on(&mut self, mut preparing: Preparing<'m>) -> Step {
        let (graph, epoch) = (preparing.graph, self.epoch);
        self.steps = self.steps.saturating_add(1);
        let result = match preparing.advance(&mut self.region, &self.config, self.now) {
            Ok(None) => {
                self.preparing = Some(preparing);
                return Step::Worked;
            }
            Ok(Some(report)) => {
                self.graphs.insert(graph, preparing.into_graph());
                Ok(report)
            }
            Err(error) => {
                preparing.release(&mut self.region);
                Err(error)
            }
        };
        self.emit(Event::GraphPrepared { graph, epoch, result })
    }

    /// Notes an event and hands it out.
    pub(super) fn emit(&mut self, event: Event) -> Step {
        use JournalKind as Kind;
        let failed = |failed: bool| u64::from(failed);
        let (epoch, what, object, arg) = match event {
            Event::Connected { epoch } => (epoch, Kind::Connected, (0, 0), 0),
            Event::ConnectFailed { epoch } => (epoch, Kind::ConnectFailed, (0, 0), 0),
            Event::ContextCreated { context, epoch, result } => {
                (epoch, Kind::ContextCreated, object(context), failed(result.is_err()))
            }
            Event::ContextReleased { context, epoch } => {
                (epoch, Kind::ContextReleased, object(context), 0)
            }
            Event::GraphPrepared { graph, epoch, result } => {
                (epoch, Kind::GraphPrepared, object(graph), failed(result.is_err()))
            }
            Event::GraphReleased { graph, epoch } => (epoch, Kind::GraphReleased, object(graph), 0),
            Event::BufferMapped { buffer, epoch, result } => {
                (epoch, Kind::BufferMapped, object(buffer), failed(result.is_err()))
            }
            Event::BufferUnmapped { buffer, epoch } => {
                (epoch, Kind::BufferUnmapped, object(buffer), 0)
            }
            Event::Executed { request, epoch, result } => {
                let code = match result {
                    Ok(_) => 0,
                    Err(ExecuteError::Aborted) => 1,
                    Err(ExecuteError::NoSuchGraph) => 2,
                    Err(ExecuteError::BadMemory) => 3,
                    Err(ExecuteError::Internal) => 4,
                };
                let arg = context_bits(request) | code;
                (epoch, Kind::Executed, request_object(request), arg)
            }
            Event::Alive { epoch, steps, .. } => (epoch, Kind::Alive, (0, 0), steps),
            Event::Crashed { epoch } => (epoch, Kind::Crashed, (0, 0), 0),
            // Not the device's own.
            Event::FallbackExecuted { .. } => return Step::Event(event),
        };
        self.record(epoch, what, object, arg);
        Step::Event(event)
    }
}

fn room(found: bool) -> Result<(), PrepareError> {
    found.then_some(()).ok_or(PrepareError::CapacityExceeded)
}
