//! Requests: where each is, which may start, what ends it.

use htp_runtime::capability::Capabilities;
use htp_runtime::device::{ExecuteError, ExecutionReport};
use htp_runtime::event::Outcome;
use htp_runtime::handle::{ContextId, GraphId, RequestId};
use htp_runtime::limits::{DEADLINES_PER_CALL, DISPATCH_WINDOW, PARALLEL_PER_PRIORITY};
use htp_runtime::queue::Mode;
use htp_runtime::sched::Priority;
use htp_runtime::time::Instant;

use super::{ContextState, Due, Model, Phase};

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestState {
    Queued,
    /// On the device; `stop` is what somebody wants it to end as.
    Running {
        stop: Option<Outcome>,
    },
    /// On the CPU.
    OnCpu {
        stop: Option<Outcome>,
    },
    /// Caught by a restart, in this input; those that ran come first, then each list in order.
    Caught {
        input: u32,
        list: u8,
    },
    /// Ended, by this input.
    Ended {
        outcome: Outcome,
        input: u32,
        at: Instant,
    },
}

/// An accepted request that was not heard.
#[derive(Debug, Clone, Hash)]
pub struct Accepted {
    pub id: RequestId,
    /// The client's word, which it also wrote into the input.
    pub word: u32,
    /// What the completion says: 0 for a request that was abandoned.
    pub heard_word: u32,
    pub context: ContextId,
    pub graph: GraphId,
    pub priority: Priority,
    pub mode: Mode,
    /// Its block in the pool.
    pub block: u16,
    /// Its output is there, among those that requests have in common, and not in its block.
    pub common: Option<u8>,
    /// Its output, in the table of those that are watched.
    pub watched: Option<(usize, usize)>,
    pub state: RequestState,
    /// When it times out; nothing if never, or if it did.
    pub deadline: Option<Instant>,
    pub submitted: Instant,
    pub dispatched: Instant,
    pub report: Option<ExecutionReport>,
    /// It went to the CPU.
    pub on_fallback: bool,
    /// Caught, and completions after the restart were heard: if it is a blocking one, its outcome
    /// may be fixed already.
    pub passed: bool,
    /// The same, and what it concerns was lost at that time.
    pub passed_lost: bool,
}

impl Accepted {
    /// Whether it is on the device.
    pub fn runs(&self) -> bool {
        matches!(self.state, RequestState::Running { .. })
    }

    /// Whether it has its outcome.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, RequestState::Ended { .. })
    }

    /// Whether a restart caught it.
    pub fn is_caught(&self) -> bool {
        matches!(self.state, RequestState::Caught { .. })
    }
}

impl Model {
    /// An accepted request that was not heard.
    pub fn request(&self, id: RequestId) -> Option<&Accepted> {
        self.requests.iter().find(|request| request.id == id)
    }

    pub(super) fn place_of(&self, id: RequestId) -> Option<usize> {
        self.requests.iter().position(|request| request.id == id)
    }

    /// Requests of a context that were not heard.
    pub fn used(&self, context: ContextId) -> usize {
        self.requests.iter().filter(|request| request.context == context).count()
    }

    /// Requests of a graph without an outcome that are waited for in this way.
    pub fn active(&self, graph: GraphId, mode: Mode) -> usize {
        let is_it = |r: &&Accepted| r.graph == graph && r.mode == mode && !r.has_ended();
        self.requests.iter().filter(is_it).count()
    }

    /// Whether every blocking request of a graph without an outcome may have one already.
    pub(super) fn may_have_ended(&self, graph: GraphId) -> bool {
        let is_it = |r: &&Accepted| r.graph == graph && r.mode == Mode::Blocking && !r.has_ended();
        self.requests.iter().filter(is_it).all(|request| request.passed)
    }

    /// The one request that must start next, if any may.
    ///
    /// Nothing starts beside something more important, at most a pair of one priority runs, a graph
    /// never beside itself, and only the first three of a priority are looked at. What is lost does
    /// not start, nor what would overtake the CPU in its graph: nobody looks at it.
    pub fn next_to_start(&self) -> Option<&Accepted> {
        if self.link.phase != Phase::Online {
            return None;
        }
        let mut equals = [0; Priority::ALL.len()];
        for running in self.requests.iter().filter(|request| request.runs()) {
            equals[running.priority.level()] += 1;
        }
        let parallel = self.setup.capabilities.contains(Capabilities::PARALLEL_GRAPHS);
        let most = if parallel { PARALLEL_PER_PRIORITY } else { 1 };
        for (level, running) in equals.into_iter().enumerate() {
            if running < most {
                let waits = |r: &&Accepted| {
                    let queued = r.priority.level() == level && r.state == RequestState::Queued;
                    queued && !self.is_lost(r.context) && !self.graph_is_on_cpu(r.graph)
                };
                let mut window = self.requests.iter().filter(waits).take(DISPATCH_WINDOW);
                if let Some(first) = window.find(|request| !self.graph_runs(request.graph)) {
                    return Some(first);
                }
            }
            if running > 0 {
                return None;
            }
        }
        None
    }

    fn is_lost(&self, context: ContextId) -> bool {
        self.context(context).is_some_and(|context| context.state == ContextState::Lost)
    }

    fn graph_runs(&self, graph: GraphId) -> bool {
        self.requests.iter().any(|other| other.graph == graph && other.runs())
    }

    /// Whether anything is on the device.
    pub fn anything_runs(&self) -> bool {
        self.requests.iter().any(Accepted::runs)
    }

    pub(super) fn end(&mut self, now: Instant, place: usize, outcome: Outcome) {
        let input = self.input;
        let request = &mut self.requests[place];
        request.state = RequestState::Ended { outcome, input, at: now };
        request.deadline = None;
        let context = request.context;
        let counted = match outcome {
            Outcome::Completed => 0,
            Outcome::TimedOut => 1,
            Outcome::Aborted => 2,
            Outcome::Failed => 3,
            Outcome::DeviceReset | Outcome::DeviceLost => return,
        };
        if let Some(context) = self.context_mut(context) {
            context.ended[counted] += 1;
        }
    }

    /// Somebody wants it to end with `outcome`; `false` if it ends anyway.
    pub(super) fn stop(&mut self, now: Instant, place: usize, outcome: Outcome) -> bool {
        match self.requests[place].state {
            RequestState::Queued => self.end(now, place, outcome),
            RequestState::Running { stop: None } => {
                self.requests[place].state = RequestState::Running { stop: Some(outcome) };
                let id = self.requests[place].id;
                self.owe(Due::Abort(id));
            }
            RequestState::OnCpu { stop: None } => self.stop_on_cpu(place, outcome),
            _ => return false,
        }
        true
    }

    /// Deadlines that have passed, at most as many as one call handles; whether it was that many.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        for _ in 0..DEADLINES_PER_CALL {
            let due = |r: &(usize, &Accepted)| r.1.deadline.is_some_and(|at| at <= now);
            let expired = self.requests.iter().enumerate().filter(due);
            let earliest = expired.min_by_key(|(_, request)| request.deadline);
            let Some((place, _)) = earliest else { return false };
            self.requests[place].deadline = None;
            self.stop(now, place, Outcome::TimedOut);
        }
        true
    }

    /// The device says how an execution ended; `false` if nothing of this name runs.
    pub(super) fn executed(
        &mut self,
        now: Instant,
        id: RequestId,
        result: Result<ExecutionReport, ExecuteError>,
    ) -> bool {
        let Some(place) = self.place_of(id) else { return false };
        let RequestState::Running { stop } = self.requests[place].state else { return false };
        let outcome = match result {
            Ok(_) => Outcome::Completed,
            Err(ExecuteError::Aborted) => stop.unwrap_or(Outcome::Aborted),
            Err(_) => Outcome::Failed,
        };
        self.requests[place].report = result.ok();
        self.end(now, place, outcome);
        true
    }

    /// A restart catches what has no outcome, but what was never on the device keeps its place if
    /// its context says so, or, where the device does not come back, if the CPU can execute it.
    pub(super) fn catch(&mut self) {
        let input = self.input;
        for place in 0..self.requests.len() {
            let (context, graph) = (self.requests[place].context, self.requests[place].graph);
            let keeps = match self.link.phase {
                Phase::Lost => self.is_covered(graph),
                _ if self.is_lost(context) => true,
                _ => self.context(context).is_some_and(super::Context::keeps_queued),
            };
            let request = &mut self.requests[place];
            let list = match request.state {
                RequestState::Running { .. } => 0,
                RequestState::Queued if !keeps => 1 + request.priority as u8,
                _ => continue,
            };
            request.state = RequestState::Caught { input, list };
        }
    }

    /// What is queued for a context ends, but not what the CPU can execute when it is lost.
    pub(super) fn end_queued(&mut self, now: Instant, context: ContextId, outcome: Outcome) {
        for place in 0..self.requests.len() {
            let request = &self.requests[place];
            let goes_on = outcome == Outcome::DeviceLost && self.is_covered(request.graph);
            let queued = request.context == context && request.state == RequestState::Queued;
            if queued && !goes_on {
                self.end(now, place, outcome);
            }
        }
    }

    /// The earliest deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.requests.iter().filter_map(|request| request.deadline).min()
    }
}
