//! Commands and events: which must come, and what each event does.

use htp_runtime::capability::Capabilities;
use htp_runtime::device::{Event, PrepareError};
use htp_runtime::handle::BufferId;
use htp_runtime::limits::HANG_BUDGET_US;
use htp_runtime::time::Instant;

use super::{ensure, BufferState, Check, Due, GraphState, Model, Phase, RequestState};
use crate::memory::Pool;
use crate::order::{Execute, Order, What};
use crate::trace::shown;

impl Model {
    /// The runtime gave this command.
    pub fn command(&mut self, now: Instant, order: &Order<'_>, pool: &Pool) -> Check {
        ensure!(
            order.epoch.is_none_or(|epoch| epoch == self.epoch()),
            "commands name the present epoch",
            "{} instead of {}",
            order.text(),
            self.epoch().number()
        );
        let due = match &order.what {
            What::Probe => return Ok(()),
            What::Execute(execute) => return self.starts(now, execute, pool),
            What::FallbackExecute(execution) => return self.starts_on_cpu(now, execution, pool),
            What::FallbackAbort(request) => return self.stops_on_cpu(*request),
            What::Connect { attempt } => Due::Connect(*attempt),
            What::ContextCreate(context) => Due::ContextCreate(*context),
            What::ContextRelease(context) => Due::ContextRelease(*context),
            What::GraphPrepare { graph, .. } => Due::GraphPrepare(*graph),
            What::GraphRelease(graph) => Due::GraphRelease(*graph),
            What::BufferMap { buffer, .. } => Due::BufferMap(*buffer),
            What::BufferUnmap(buffer) => Due::BufferUnmap(*buffer),
            What::Abort(request) => Due::Abort(*request),
            What::PowerVote(_) => Due::PowerVote,
            What::MemorySet(_) => Due::MemorySet,
            What::Shutdown => Due::Shutdown,
        };
        let group = self.owed.front().map(|(group, _)| *group);
        let mut front = self.owed.iter().take_while(|(of, _)| Some(*of) == group);
        let Some(place) = front.position(|(_, other)| *other == due) else {
            let expected = self.owed.front();
            ensure!(false, "commands that were due", "{due:?} instead of {expected:?}");
            return Ok(());
        };
        if !self.awaits_device() {
            self.progress = now;
        }
        self.owed.remove(place);
        match due {
            Due::BufferUnmap(id) if self.buffers.iter().all(|buffer| buffer.id != id) => {
                self.owed_for_gone += 1;
            }
            _ => {}
        }
        self.content(order, pool)
    }

    /// What a command carries is what the clients gave.
    fn content(&self, order: &Order<'_>, pool: &Pool) -> Check {
        let right = match &order.what {
            What::GraphPrepare { graph, context, .. } => {
                self.graph(*graph).is_some_and(|known| known.context == *context)
            }
            What::BufferMap { buffer, memory } => {
                let known = self.buffers.iter().find(|known| known.id == *buffer);
                known.is_some_and(|known| pool.block(known.block) == *memory)
            }
            What::PowerVote(settings) => *settings == self.power.in_effect(self.epoch()),
            What::MemorySet(config) => *config == self.power.memory(self.epoch()),
            _ => true,
        };
        ensure!(right, "commands carry what clients gave", "{}", order.text());
        Ok(())
    }

    fn starts(&mut self, now: Instant, execute: &Execute, pool: &Pool) -> Check {
        let id = execute.request;
        ensure!(
            self.owed.is_empty(),
            "control commands come first",
            "{} before {:?}",
            shown(id),
            self.owed.front()
        );
        let next = self.next_to_start().map(|request| request.id);
        let expected = next.map_or("nothing".into(), shown);
        ensure!(next == Some(id), "order of starts", "{} starts, not {expected}", shown(id));
        if !self.awaits_device() {
            self.progress = now;
        }
        let Some(place) = self.place_of(id) else { return Ok(()) };
        let request = &mut self.requests[place];
        let io = Some(pool.memories(request.block, request.common));
        let right = execute.graph == request.graph
            && execute.priority == request.priority.threads()
            && execute.io == io;
        ensure!(right, "executions are what clients gave", "{}", shown(id));
        request.state = RequestState::Running { stop: None };
        request.dispatched = now;
        Ok(())
    }

    /// The runtime had no command left.
    pub fn no_command(&self) -> Check {
        ensure!(self.owed.is_empty(), "commands that were due", "{:?} is due", self.owed.front());
        let next = self.next_to_start().map(|request| shown(request.id));
        ensure!(next.is_none(), "order of starts", "{next:?} could start and does not");
        let next = self.owes_cpu().map(shown);
        ensure!(next.is_none(), "order on the CPU", "{next:?} could start or stop and does not");
        Ok(())
    }

    /// The runtime took in this event.
    pub fn event(&mut self, now: Instant, event: &Event) {
        self.begin();
        self.drive_plan(now);
        let present = epoch_of(event) == Some(self.epoch());
        let connecting = matches!(self.link.phase, Phase::Connecting { .. });
        let taken = match *event {
            Event::Connected { .. } if present && connecting => {
                self.link.connected(now);
                self.drive_plan(now);
                true
            }
            Event::ConnectFailed { .. } if present && connecting => {
                self.fail_attempt(now);
                true
            }
            Event::Connected { .. } | Event::ConnectFailed { .. } => false,
            Event::Crashed { .. } if present => {
                if self.link.is_up() {
                    self.crash(now);
                }
                true
            }
            Event::Alive { steps, .. } if present => {
                if self.steps != steps {
                    self.steps = steps;
                    self.progress = now;
                }
                true
            }
            Event::Executed { request, result, .. } if present => {
                self.executed(now, request, result)
            }
            Event::FallbackExecuted { request, result } => {
                self.executed_on_cpu(now, request, result)
            }
            _ => present && self.answer(event),
        };
        let silent = matches!(
            event,
            Event::Alive { .. } | Event::Crashed { .. } | Event::FallbackExecuted { .. }
        );
        if taken && !silent {
            self.progress = now;
        }
        self.late += u64::from(!taken);
        self.advance_teardown();
        self.drive_plan(now);
    }

    /// Whether this is the answer that an object in the tables waits for.
    pub fn awaits_answer(&self, now: Instant, event: &Event) -> bool {
        let known = match *event {
            Event::BufferMapped { buffer: id, .. } | Event::BufferUnmapped { buffer: id, .. } => {
                self.buffers.iter().any(|buffer| buffer.id == id)
            }
            Event::ContextCreated { .. }
            | Event::ContextReleased { .. }
            | Event::GraphPrepared { .. }
            | Event::GraphReleased { .. } => true,
            _ => false,
        };
        if !known || epoch_of(event) != Some(self.epoch()) {
            return false;
        }
        let mut after = self.clone();
        after.event(now, event);
        after.late == self.late
    }

    /// An answer about an object; `false` if nobody waits for it.
    fn answer(&mut self, event: &Event) -> bool {
        match *event {
            Event::ContextCreated { context: id, result, .. } => {
                let context = self.context_mut(id).filter(|context| context.creating);
                let Some(context) = context else { return false };
                context.creating = false;
                context.on_device = result.is_ok();
                context.rebuild.refused |= result.is_err();
                self.advance_creation(id, result.err());
            }
            Event::ContextReleased { context: id, .. } => {
                let context = self.context_mut(id).filter(|context| context.releasing);
                let Some(context) = context else { return false };
                context.releasing = false;
                context.on_device = false;
            }
            Event::GraphPrepared { graph: id, result, .. } => {
                let told = Some(self.epoch());
                let graph = self.graph_mut(id).filter(|graph| graph.told == told);
                let Some(graph) = graph else { return false };
                let was_ready = graph.state == GraphState::Rebuilding;
                if !was_ready && graph.state != GraphState::Preparing {
                    return false;
                }
                let context = graph.context;
                match result {
                    Ok(_) => graph.state = GraphState::Ready,
                    Err(error) if !was_ready => graph.state = GraphState::Failed(error),
                    Err(_) => {
                        graph.told = None;
                        self.refuse_rebuild(context);
                    }
                }
                self.advance_creation(context, result.err());
            }
            Event::GraphReleased { graph: id, .. } => {
                let Some(graph) = self.graph_mut(id) else { return false };
                match graph.state {
                    GraphState::Undoing => {
                        graph.state = GraphState::Rebuilding;
                        graph.told = None;
                    }
                    GraphState::Releasing => self.graphs.retain(|graph| graph.id != id),
                    _ => return false,
                }
            }
            Event::BufferMapped { buffer, result, .. } => return self.mapped(buffer, result),
            Event::BufferUnmapped { buffer, .. } => return self.unmapped(buffer),
            _ => {}
        }
        true
    }

    fn mapped(&mut self, id: BufferId, result: Result<(), PrepareError>) -> bool {
        let buffer = self.buffers.iter_mut().find(|buffer| buffer.id == id);
        let Some(buffer) = buffer else { return self.answered_for_gone() };
        let was_ready = buffer.state == BufferState::Rebuilding;
        let awaited = was_ready || buffer.state == BufferState::Mapping;
        if !awaited || buffer.told != Some(self.link.epoch) {
            return false;
        }
        let context = buffer.context;
        match result {
            Ok(()) => buffer.state = BufferState::Mapped,
            Err(error) if !was_ready => buffer.state = BufferState::Failed(error),
            Err(_) => {
                buffer.told = None;
                self.refuse_rebuild(context);
            }
        }
        true
    }

    fn unmapped(&mut self, id: BufferId) -> bool {
        let buffer = self.buffers.iter_mut().find(|buffer| buffer.id == id);
        let Some(buffer) = buffer else { return self.answered_for_gone() };
        let undone = buffer.state == BufferState::Undoing;
        if undone {
            buffer.state = BufferState::Rebuilding;
            buffer.told = None;
        }
        undone
    }

    /// An answer about a buffer that was deregistered; `false` if none is due.
    fn answered_for_gone(&mut self) -> bool {
        let due = self.owed_for_gone > 0;
        self.owed_for_gone = self.owed_for_gone.saturating_sub(1);
        due
    }

    /// The epoch ends.
    fn crash(&mut self, now: Instant) {
        self.await_rebuild(now);
        self.link.crash(now, self.restarts());
        self.owed.clear();
        self.owed_for_gone = 0;
        self.steps = 0;
        self.catch();
        self.abandon_plan_if_lost();
        self.begin_attempt(now);
    }

    /// Whether a crashed DSP is connected again.
    pub(super) fn restarts(&self) -> bool {
        self.setup.capabilities.contains(Capabilities::SUBSYSTEM_RESTART)
    }

    fn begin_attempt(&mut self, now: Instant) {
        if let Some(attempt) = self.link.begin_attempt(now) {
            self.owed.clear();
            self.owe(Due::Connect(attempt));
        }
    }

    fn fail_attempt(&mut self, now: Instant) {
        if self.link.fail_attempt(now) {
            self.owed.clear();
            self.abandon_plan_if_lost();
        }
    }

    /// The runtime was told the time; `hung`: it says that the device makes no progress; `lost`:
    /// the DSP is lost now.
    pub fn timeout(&mut self, now: Instant, hung: bool, lost: bool) -> Check {
        self.begin();
        self.tell_cpu(now);
        self.drive_plan(now);
        self.expire(now);
        if matches!(self.link.phase, Phase::Connecting { limit } if limit <= now) {
            self.fail_attempt(now);
        }
        self.begin_attempt(now);
        self.expire_rebuilds(now);
        if hung {
            let silent_us = now.since_us(self.progress);
            ensure!(
                self.awaits_device() && silent_us >= HANG_BUDGET_US,
                "a hang is no progress while something is awaited",
                "silent for {silent_us} us"
            );
            if self.restarts() {
                self.crash(now);
            } else {
                self.stopping = true;
                self.owe(Due::Shutdown);
            }
        } else if lost && self.stopping && self.link.is_up() {
            // It does not even let go.
            self.crash(now);
        }
        self.advance_teardown();
        self.drive_plan(now);
        Ok(())
    }

    /// Whether the device owes anything to anybody.
    pub fn awaits_device(&self) -> bool {
        self.anything_runs() || self.awaits_objects() || self.owed_for_gone > 0
    }
}

fn epoch_of(event: &Event) -> Option<htp_runtime::handle::Epoch> {
    match *event {
        Event::Connected { epoch }
        | Event::ConnectFailed { epoch }
        | Event::ContextCreated { epoch, .. }
        | Event::ContextReleased { epoch, .. }
        | Event::GraphPrepared { epoch, .. }
        | Event::GraphReleased { epoch, .. }
        | Event::BufferMapped { epoch, .. }
        | Event::BufferUnmapped { epoch, .. }
        | Event::Executed { epoch, .. }
        | Event::Alive { epoch, .. }
        | Event::Crashed { epoch } => Some(epoch),
        Event::FallbackExecuted { .. } => None,
    }
}
