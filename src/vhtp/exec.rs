//! Executions in flight: which one runs its next op, and what became of each.

use crate::device::{Event, ExecuteError, ExecutionReport, Step, ThreadPriority};
use crate::handle::{GraphId, RequestId};
use crate::time::Instant;

use super::model::Pacing;
use super::prepared::Graph;
use super::timing;
use super::Vhtp;

/// Executions in flight at once: four priorities, two graphs of each.
pub(super) const EXECUTIONS_MAX: usize = 8;

/// One execution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Execution {
    pub(super) request: RequestId,
    pub(super) graph: GraphId,
    pub(super) priority: ThreadPriority,
    /// HVX threads; 0: all.
    pub(super) hvx_threads: u32,
    /// How it will end, if that is known before it runs (or because it was told to stop).
    pub(super) verdict: Option<ExecuteError>,
    /// When the first op started.
    pub(super) started: Option<Instant>,
    /// Op that runs next.
    pub(super) next_op: usize,
    /// Clock that it runs with, known when its first op starts.
    pub(super) mhz: u32,
    pub(super) cycles: u64,
    /// Cycles that others had between its ops.
    pub(super) waited: u64,
    /// Cycles of the device when its last op ended.
    pub(super) left_at: u64,
    pub(super) yields: u32,
    /// When it had its last turn (or came), counted in turns: the smallest is next among equals.
    pub(super) turn: u64,
    /// Which execution of this device it is.
    pub(super) number: u64,
}

/// An op whose result takes effect later.
#[derive(Debug, Clone, Copy)]
pub(super) struct Busy {
    until: Instant,
    slot: usize,
    cycles: u64,
    /// The DSP crashes instead.
    crash: bool,
}

impl Vhtp<'_> {
    /// One step of execution.
    pub(super) fn execute(&mut self, now: Instant) -> Step {
        if self.busy.is_none() {
            if let Some(step) = self.report_ended() {
                return step;
            }
        }
        if self.held || self.executions.iter().flatten().next().is_none() {
            return Step::Waiting(None);
        }
        if self.faults.hang {
            self.faults.hang = false;
            self.hung = true;
            return Step::Waiting(None);
        }
        if let Some(busy) = self.busy {
            if now < busy.until {
                return Step::Waiting(Some(busy.until));
            }
            self.busy = None;
            if busy.crash {
                return self.crash();
            }
            self.take_effect(&busy);
            if let Some(step) = self.report_ended() {
                return step;
            }
        }
        self.start_op(now)
    }

    /// When there is something to execute or to report, as far as can be told without doing it.
    pub(super) fn execution_due(&self) -> Option<Instant> {
        self.executions.iter().flatten().next()?;
        match self.busy {
            Some(busy) if !self.faults.hang => Some(busy.until),
            _ => Some(Instant::ZERO),
        }
    }

    /// Reports an execution that is at its end, or that stops at this op border.
    fn report_ended(&mut self) -> Option<Step> {
        let ended = |execution: &Execution| {
            execution.verdict.is_some()
                || self.graphs.get(execution.graph).is_none_or(|graph| {
                    execution.started.is_some() && execution.next_op >= graph.op_count()
                })
        };
        let slot = self.executions.iter().position(|slot| slot.as_ref().is_some_and(ended))?;
        let execution = self.executions.get_mut(slot)?.take()?;
        if self.last_run == Some(slot) {
            self.last_run = None;
        }
        let result = match (execution.verdict, self.graphs.get_mut(execution.graph)) {
            (verdict, None) => Err(verdict.unwrap_or(ExecuteError::NoSuchGraph)),
            (Some(verdict), Some(graph)) => {
                // A refused second execution of a graph does not end the first.
                graph.executing &= verdict == ExecuteError::Internal && execution.started.is_none();
                Err(verdict)
            }
            (None, Some(graph)) => {
                graph.executing = false;
                match graph.write_outputs() {
                    true => Ok(Self::report(&execution, graph)),
                    false => Err(ExecuteError::BadMemory),
                }
            }
        };
        let request = execution.request;
        Some(self.emit(Event::Executed { request, epoch: self.epoch, result }))
    }

    fn report(execution: &Execution, graph: &Graph<'_>) -> ExecutionReport {
        ExecutionReport {
            device_time_us: timing::duration_us(execution.cycles, execution.mhz),
            cycles: execution.cycles,
            yields: execution.yields,
            wait_cycles: execution.waited,
            started: execution.started.unwrap_or_default(),
            hvx_threads: graph.threads(execution.hvx_threads),
            // Its units are always powered.
            power_up_us: 0,
            number: execution.number,
        }
    }

    /// The most important execution; among equals the one whose last turn is longest ago.
    fn most_important(&self) -> Option<usize> {
        let waiting = self.executions.iter().enumerate().filter_map(|(slot, execution)| {
            let execution = execution.as_ref()?;
            Some((execution.priority.hmx, execution.turn, slot))
        });
        waiting.min().map(|(_, _, slot)| slot)
    }

    /// Counts a yield if `slot` takes over from a less important execution.
    fn count_yield(&mut self, slot: usize, hmx: u8) {
        let left = self.last_run.replace(slot).filter(|&left| left != slot);
        let left = left.and_then(|left| self.executions.get_mut(left)?.as_mut());
        if let Some(left) = left.filter(|left| left.priority.hmx > hmx) {
            left.yields = left.yields.saturating_add(1);
        }
    }

    /// Starts the next op of the most important execution. It is computed now; when it takes effect
    /// is the pacing's.
    fn start_op(&mut self, now: Instant) -> Step {
        let Some(slot) = self.most_important() else { return Step::Waiting(None) };
        let (turn, clock_mhz) = (self.next_turn(), self.frequency_mhz());
        let Some(execution) = self.executions.get_mut(slot).and_then(Option::as_mut) else {
            return Step::Waiting(None);
        };
        execution.turn = turn;
        let first = execution.started.is_none();
        if first {
            execution.started = Some(now);
            execution.mhz = clock_mhz;
        }
        // What the device did since its last op was others'.
        let wait = if first { 0 } else { self.cycles.saturating_sub(execution.left_at) };
        execution.waited = execution.waited.saturating_add(wait);
        let Execution { graph, next_op, number, priority, hvx_threads, mhz, .. } = *execution;
        let before = execution.cycles;
        self.count_yield(slot, priority.hmx);
        let Some(graph) = self.graphs.get_mut(graph) else { return Step::Worked };
        if first && !graph.read_inputs() {
            self.stop(slot, ExecuteError::BadMemory);
            return Step::Worked;
        }
        graph.note_wait(number, next_op, wait);
        let op = u64::try_from(next_op).unwrap_or(u64::MAX);
        let cycles =
            timing::varied(graph.cycles(next_op, hvx_threads), self.config.seed, number, op);
        let crash = self.faults.crash_at_op.is_some_and(|at| u64::from(at) == op);
        if crash {
            self.faults.crash_at_op = None;
        } else if graph.run_op(next_op).is_none() {
            self.stop(slot, ExecuteError::Internal);
            return Step::Worked;
        }
        let duration_us = timing::duration_us(before.saturating_add(cycles), mhz)
            .saturating_sub(timing::duration_us(before, mhz));
        let duration_us = if crash { duration_us >> 1 } else { duration_us };
        let busy = Busy { until: now.after_us(duration_us), slot, cycles, crash };
        match self.config.pacing {
            Pacing::Modelled if duration_us > 0 => {
                self.busy = Some(busy);
                Step::Waiting(Some(busy.until))
            }
            _ if crash => self.crash(),
            _ => {
                self.take_effect(&busy);
                Step::Worked
            }
        }
    }

    fn take_effect(&mut self, busy: &Busy) {
        self.steps = self.steps.saturating_add(1);
        self.cycles = self.cycles.saturating_add(busy.cycles);
        if let Some(execution) = self.executions.get_mut(busy.slot).and_then(Option::as_mut) {
            execution.next_op = execution.next_op.saturating_add(1);
            execution.cycles = execution.cycles.saturating_add(busy.cycles);
            execution.left_at = self.cycles;
        }
    }

    fn stop(&mut self, slot: usize, verdict: ExecuteError) {
        if let Some(execution) = self.executions.get_mut(slot).and_then(Option::as_mut) {
            execution.verdict = Some(verdict);
        }
    }

    /// Counts turns.
    pub(super) fn next_turn(&mut self) -> u64 {
        self.turn = self.turn.saturating_add(1);
        self.turn
    }
}
