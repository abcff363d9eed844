//! Between the world and the runtime under test: passes everything through, or misbehaves as a
//! [`Mutant`] says.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use htp_runtime::device::Event;
use htp_runtime::error::{CancelError, FallbackError, HandleError, SubmitError};
use htp_runtime::event::{Completion, Notice, Outcome, RequestTimes};
use htp_runtime::handle::{ContextId, Epoch, GraphId, RequestId};
use htp_runtime::limits::FALLBACK_INTERVAL_US_MAX;
use htp_runtime::queue::Mode;
use htp_runtime::region::SharedBytes;
use htp_runtime::runtime::{Fallback, IoBinding, IoOwnership, Runtime, SubmitOptions};
use htp_runtime::sched::Priority;
use htp_runtime::ssr::State;
use htp_runtime::time::Instant;

use crate::memory::TENSOR_IDS;
use crate::mutant::Mutant;
use crate::order::{Execute, OnCpu, Order, What};

/// A mutant misbehaves on each third occasion.
const EVERY: u32 = 3;

/// What a mutant remembers of a request.
#[derive(Clone, Copy)]
struct Known {
    id: RequestId,
    words: [usize; 3],
    execute: Option<Execute>,
}

/// The runtime as the world sees it.
pub struct Port<'m> {
    /// Calls that no mutant touches go straight to it.
    pub runtime: Runtime<'m>,
    mutant: Option<Mutant>,
    occasions: u32,
    held: VecDeque<Order<'m>>,
    notices: VecDeque<Notice>,
    swallowed: Vec<RequestId>,
    known: Vec<Known>,
    last_words: [usize; 3],
    /// Addresses of outputs that were accepted.
    outputs: Vec<usize>,
    _kept: Vec<SharedBytes<'m>>,
}

impl<'m> Port<'m> {
    /// The runtime as it is, or broken.
    pub fn new(runtime: Runtime<'m>, mutant: Option<Mutant>) -> Self {
        Self {
            runtime,
            mutant,
            occasions: 0,
            held: VecDeque::new(),
            notices: VecDeque::new(),
            swallowed: Vec::new(),
            known: Vec::new(),
            last_words: [0; 3],
            outputs: Vec::new(),
            _kept: Vec::new(),
        }
    }

    /// Hashes the runtime's state, and what a mutant goes by.
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        self.runtime.hash_state(hasher);
        if self.mutant.is_some() {
            self.held.iter().for_each(|order| order.words().hash(hasher));
            (self.occasions, self.held.len(), &self.notices, &self.swallowed).hash(hasher);
            (self.last_words, self._kept.len()).hash(hasher);
        }
    }

    /// Whether there is a command, of the runtime or of a mutant.
    pub fn has_command(&self) -> bool {
        !self.held.is_empty() || self.runtime.has_command()
    }

    /// Misbehaves from here on, on the next occasion and then on each third.
    pub fn break_as(&mut self, mutant: Option<Mutant>) {
        self.mutant = mutant;
        self.occasions = EVERY - 1;
    }

    /// Whether there is a notice, of the runtime or of a mutant.
    pub fn has_notice(&self) -> bool {
        !self.notices.is_empty() || self.runtime.has_notice()
    }

    /// Whether this mutant misbehaves now.
    fn is(&mut self, mutant: Mutant) -> bool {
        if self.mutant != Some(mutant) {
            return false;
        }
        self.occasions += 1;
        self.occasions.is_multiple_of(EVERY)
    }

    /// [`Runtime::submit`].
    pub fn submit(
        &mut self,
        now: Instant,
        graph: GraphId,
        io: &[IoBinding],
        mut options: SubmitOptions,
    ) -> Result<RequestId, SubmitError> {
        if options.deadline != Instant::FAR && self.is(Mutant::ForgetDeadline) {
            options.deadline = Instant::FAR;
        }
        if self.keeps_output_of(graph, io) {
            return Err(SubmitError::OutputInUse(TENSOR_IDS[1]));
        }
        let result = self.runtime.submit(now, graph, io, options);
        if let Ok(id) = result {
            if self.mutant.is_some() {
                let known = Known { id, words: options.user_data, execute: None };
                self.known.retain(|other| other.id != id);
                self.known.push(known);
            }
        }
        if result.is_ok() && self.mutant == Some(Mutant::KeepOutputs) {
            self.outputs.extend(io.last().map(|output| output.memory.address()));
        }
        match result {
            Err(SubmitError::QueueFull) if self.is(Mutant::AcceptAboveDepth) => {
                Ok(RequestId { context: graph.index(), slot: 0, generation: u32::MAX })
            }
            Err(SubmitError::OutputInUse(_)) if self.is(Mutant::ForgetOverlap) => {
                Ok(RequestId { context: graph.index(), slot: 0, generation: u32::MAX })
            }
            Ok(_) if options.mode == Mode::Blocking && self.is(Mutant::LeakSlot) => {
                let hidden = self.runtime.submit(now, graph, io, options);
                let _ = hidden.map(|id| self.runtime.cancel(now, id));
                result
            }
            result => result,
        }
    }

    /// Whether this output was written before, is watched, and was never given back.
    fn keeps_output_of(&mut self, graph: GraphId, io: &[IoBinding]) -> bool {
        let context = self.runtime.graph_context(graph);
        let ownership = context.and_then(|context| self.runtime.context_io_ownership(context));
        let output = io.last().map(|output| output.memory.address());
        ownership == Ok(IoOwnership::Refused)
            && output.is_some_and(|output| self.outputs.contains(&output))
            && self.is(Mutant::KeepOutputs)
    }

    /// [`Runtime::cancel`].
    pub fn cancel(&mut self, now: Instant, id: RequestId) -> Result<(), CancelError> {
        let running = self.runtime.is_running(id);
        if self.runtime.is_live(id) && self.is(Mutant::ForgetCancel) {
            return Ok(());
        }
        let result = self.runtime.cancel(now, id);
        if result.is_ok() && running && self.is(Mutant::CompleteEarly) {
            self.invent(now, id, Outcome::Aborted);
        }
        result
    }

    /// Tells a completion that the runtime has not, and will not tell the true one.
    fn invent(&mut self, now: Instant, id: RequestId, outcome: Outcome) {
        let known = self.known.iter().find(|known| known.id == id);
        let Some(user_data) = known.map(|known| known.words) else { return };
        let times = RequestTimes { submitted: now, completed: now, ..RequestTimes::default() };
        let completion = Completion { request: id, user_data, outcome, times };
        self.notices.push_back(Notice::Completion(completion));
        self.swallowed.push(id);
    }

    /// [`Runtime::context_free`].
    pub fn context_free(&mut self, now: Instant, id: ContextId) -> Result<(), HandleError> {
        if self.is(Mutant::ForgetFree) {
            return Ok(());
        }
        self.runtime.context_free(now, id)
    }

    /// [`Runtime::context_set_fallback`].
    pub fn context_set_fallback(
        &mut self,
        id: ContextId,
        mut fallback: Option<Fallback>,
    ) -> Result<(), FallbackError> {
        if let Some(Fallback { interval_us: interval_us @ 2..=FALLBACK_INTERVAL_US_MAX }) =
            &mut fallback
        {
            if self.is(Mutant::IgnoreInterval) {
                *interval_us = 1;
            }
        }
        self.runtime.context_set_fallback(id, fallback)
    }

    /// [`Runtime::poll_command`].
    pub fn poll_command(&mut self, now: Instant) -> Option<Order<'m>> {
        if let Some(order) = self.held.pop_front() {
            return Some(order);
        }
        let Some(mut order) = self.runtime.poll_command(now).map(Order::from) else {
            return self.one_too_many();
        };
        let forgotten = match &order.what {
            What::PowerVote(_) => self.is(Mutant::ForgetVote),
            What::BufferUnmap(_) => self.is(Mutant::ForgetUnmap),
            What::GraphRelease(_) => self.is(Mutant::ForgetRelease),
            What::Abort(_) => self.is(Mutant::DropAbort),
            What::Connect { .. } => self.is(Mutant::DropConnect),
            What::FallbackExecute(_) => self.is(Mutant::DropFallback),
            What::FallbackAbort(_) => self.mutant == Some(Mutant::DropFallbackAbort),
            What::GraphPrepare { .. } if self.runtime.state() == State::AfterPowerUp => {
                self.is(Mutant::SkipRebuild)
            }
            _ => false,
        };
        if forgotten {
            return self.poll_command(now);
        }
        match &mut order.what {
            What::ContextCreate(_) if self.is(Mutant::RepeatCommand) => {
                self.held.push_back(order.clone());
            }
            What::GraphPrepare { .. } | What::BufferMap { .. }
                if self.runtime.state() == State::AfterPowerUp && self.is(Mutant::RebuildTwice) =>
            {
                self.held.push_back(order.clone());
            }
            What::GraphPrepare { table, .. } if self.is(Mutant::KeepTable) => {
                self._kept.push(table.clone());
            }
            What::Execute(execute) => {
                if let Some(known) = self.known.iter_mut().find(|k| k.id == execute.request) {
                    known.execute = Some(*execute);
                }
                if self.is(Mutant::WrongPriority) {
                    execute.priority.hmx += 2;
                    execute.priority.hvx += 2;
                }
                if self.is(Mutant::SwapExecutes) {
                    self.held.push_back(order);
                    let next = self.runtime.poll_command(now).map(Order::from);
                    return next.or_else(|| self.held.pop_front());
                }
            }
            What::FallbackExecute(execution) if self.mutant == Some(Mutant::ExecuteTwice) => {
                execution.request = self.caught().unwrap_or(execution.request);
            }
            What::FallbackExecute(OnCpu { request, graph, io, .. })
                if self.runtime.state() == State::Online && self.is(Mutant::LostOnDevice) =>
            {
                let (request, graph, priority) = (*request, *graph, Priority::Normal.threads());
                order.what = What::Execute(Execute { request, graph, priority, io: *io });
                order.epoch = Some(self.runtime.epoch());
            }
            _ => {}
        }
        if order.epoch.is_some() && self.is(Mutant::OldEpochCommand) {
            let before = |epoch: Epoch| Epoch::from_number(epoch.number().wrapping_sub(1));
            order.epoch = order.epoch.map(before);
        }
        Some(order)
    }

    /// A request that was on the device when it crashed.
    fn caught(&self) -> Option<RequestId> {
        let lives = |id| self.runtime.is_live(id) && !self.runtime.is_running(id);
        let caught = |known: &&Known| known.execute.is_some() && lives(known.id);
        self.known.iter().find(caught).map(|known| known.id)
    }

    /// While something runs, something that waits starts beside it.
    fn one_too_many(&mut self) -> Option<Order<'m>> {
        if self.mutant != Some(Mutant::ThreeAtOnce) {
            return None;
        }
        let running = |known: &&Known| self.runtime.is_running(known.id);
        let pattern = self.known.iter().filter(running).find_map(|known| known.execute)?;
        let waits = |k: &&Known| self.runtime.is_live(k.id) && !self.runtime.is_running(k.id);
        let request = self.known.iter().find(waits)?.id;
        let what = What::Execute(Execute { request, ..pattern });
        Some(Order { epoch: Some(self.runtime.epoch()), what })
    }

    /// [`Runtime::poll_notice`].
    pub fn poll_notice(&mut self, now: Instant) -> Option<Notice> {
        if let Some(notice) = self.notices.pop_front() {
            return Some(notice);
        }
        let notice = self.runtime.poll_notice(now)?;
        let Notice::Completion(mut completion) = notice else { return Some(notice) };
        if self.swallowed.contains(&completion.request) || self.is(Mutant::SkipCompletion) {
            return self.poll_notice(now);
        }
        if self.is(Mutant::CompleteTwice) {
            self.notices.push_back(notice);
        }
        if completion.outcome != Outcome::Completed && self.is(Mutant::WrongOutcome) {
            completion.outcome = Outcome::Completed;
        }
        let words = std::mem::replace(&mut self.last_words, completion.user_data);
        if self.is(Mutant::WrongWords) {
            completion.user_data = words;
        }
        Some(Notice::Completion(completion))
    }

    /// [`Runtime::handle_event`].
    pub fn handle_event(&mut self, now: Instant, event: Event) {
        let mut event = event;
        if self.mutant == Some(Mutant::LateAsNew) {
            if let Event::Executed { epoch, .. } | Event::Crashed { epoch } = &mut event {
                *epoch = self.runtime.epoch();
            }
        }
        let running: Vec<_> = match event {
            Event::Crashed { .. } if self.mutant == Some(Mutant::SettleEarly) => {
                let ids = self.known.iter().map(|known| known.id);
                ids.filter(|id| self.runtime.is_running(*id)).collect()
            }
            _ => Vec::new(),
        };
        self.runtime.handle_event(now, event);
        for id in running {
            self.invent(now, id, Outcome::DeviceReset);
        }
    }

    /// [`Runtime::poll_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.runtime.poll_timeout().filter(|_| self.mutant != Some(Mutant::SleepThrough))
    }
}
