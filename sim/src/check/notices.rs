//! Notices: each accepted request is heard once, in its turn, with the outcome that it has.

use htp_runtime::event::{Completion, Notice, Outcome};
use htp_runtime::handle::RequestId;
use htp_runtime::queue::Mode;
use htp_runtime::time::Instant;

use super::{ensure, Accepted, Check, ContextState, Model, Phase, Policy, RequestState};
use crate::trace::shown;

impl Model {
    /// The runtime had something to tell. Gives the request that was heard.
    pub fn notice(&mut self, now: Instant, notice: &Notice) -> Check<Option<Accepted>> {
        self.begin();
        match notice {
            Notice::Restart(transition) => {
                let expected = self.link.unheard.pop_front();
                ensure!(
                    expected == Some(*transition),
                    "phases of a restart",
                    "{transition:?} instead of {expected:?}"
                );
                Ok(None)
            }
            Notice::Completion(completion) => {
                ensure!(
                    self.link.unheard.is_empty(),
                    "phases are heard before completions",
                    "{} before {:?}",
                    shown(completion.request),
                    self.link.unheard.front()
                );
                self.completed(now, completion).map(Some)
            }
        }
    }

    fn completed(&mut self, now: Instant, completion: &Completion) -> Check<Accepted> {
        let id = completion.request;
        let Some(place) = self.place_of(id) else { return nobody(id) };
        ensure!(
            self.requests[place].mode == Mode::Asynchronous,
            "blocking requests are collected",
            "{}",
            shown(id)
        );
        self.ensure_turn(place)?;
        if self.requests[place].is_caught() {
            // Blocking ones that were caught before it have their outcome as well.
            for place in 0..self.requests.len() {
                if self.requests[place].is_caught() {
                    let outcome = self.outcome_of_caught(&self.requests[place]);
                    self.requests[place].passed = true;
                    self.requests[place].passed_lost |= outcome == Outcome::DeviceLost;
                }
            }
        }
        self.heard(now, place, completion)
    }

    /// What ended earlier is heard earlier; what a restart caught comes after it, what ran before
    /// what was queued, each list in its order.
    fn ensure_turn(&self, place: usize) -> Check {
        let request = &self.requests[place];
        let id = shown(request.id);
        let over = request.has_ended() || request.is_caught();
        ensure!(over, "requests are heard when they have ended", "{id} is {:?}", request.state);
        ensure!(
            request.has_ended() || self.is_hearable(request),
            "caught requests are heard when the connection is back or lost",
            "{id}"
        );
        let turn = self.turn(place, request);
        let asynchronous =
            self.requests.iter().enumerate().filter(|(_, other)| other.mode == Mode::Asynchronous);
        let mut waiting = asynchronous.filter(|(_, o)| o.has_ended() || o.is_caught());
        let earlier = waiting.find(|(place, other)| self.turn(*place, other) < turn);
        let earlier = earlier.map(|(_, other)| shown(other.id));
        ensure!(earlier.is_none(), "order of completions", "{id} before {earlier:?}");
        Ok(())
    }

    /// When it is this request's turn to be heard; equal ones in any order. What a client must
    /// react to comes before what the runtime has seen to.
    fn turn(&self, place: usize, request: &Accepted) -> (u8, u32, u8, usize) {
        match request.state {
            RequestState::Ended { input, .. } => (0, input, 0, 0),
            RequestState::Caught { input, list } => {
                let place = if list == 0 { 0 } else { place };
                (1 + u8::from(self.is_managed(request)), input, list, place)
            }
            RequestState::Queued | RequestState::Running { .. } | RequestState::OnCpu { .. } => {
                (3, 0, 0, 0)
            }
        }
    }

    fn is_managed(&self, request: &Accepted) -> bool {
        self.context(request.context).is_some_and(|context| context.policy != Policy::Native)
    }

    /// Whether a request that a restart caught has its outcome: what it concerns is usable again,
    /// or lost.
    fn is_hearable(&self, request: &Accepted) -> bool {
        let native_settled = self.link.phase == Phase::Rebuilding && !self.is_managed(request);
        native_settled || self.link.is_settled()
    }

    /// Takes a request out, whose completion must fit.
    fn heard(&mut self, now: Instant, place: usize, completion: &Completion) -> Check<Accepted> {
        let request = self.requests.remove(place);
        let (expected, at) = match request.state {
            RequestState::Ended { outcome, at, .. } => (outcome, Some(at)),
            _ => (self.outcome_of_caught(&request), None),
        };
        let named = || shown(request.id);
        // A blocking request that a restart caught has its outcome fixed whenever somebody first
        // looks after the restart: a loss that comes later may not be in it, and one that was there
        // may be, though its context is freed by now.
        let blocking_caught =
            request.mode == Mode::Blocking && (request.is_caught() || request.passed);
        let got = completion.outcome;
        let earlier =
            got == Outcome::DeviceReset || got == Outcome::DeviceLost && request.passed_lost;
        let fits = got == expected || blocking_caught && earlier;
        ensure!(fits, "outcomes", "{} ended as {got:?}, not {expected:?}", named());
        let word = request.heard_word as usize;
        ensure!(completion.user_data == [word; 3], "words of the client", "{}", named());
        let times = completion.times;
        let report = request.report.unwrap_or_default();
        let exact = times.submitted == request.submitted
            && times.dispatched == request.dispatched
            && (at.is_none_or(|at| times.completed == at) || request.passed)
            && times.completed <= now
            && times.device_time_us == report.device_time_us
            && times.cycles == report.cycles
            && times.on_fallback == request.on_fallback;
        ensure!(exact, "times of a request", "{}: {times:?}", named());
        self.advance_teardown();
        Ok(request)
    }

    fn outcome_of_caught(&self, request: &Accepted) -> Outcome {
        let context = self.context(request.context).map(|context| context.state);
        match self.link.phase {
            Phase::Lost => Outcome::DeviceLost,
            Phase::Online if context == Some(ContextState::Lost) => Outcome::DeviceLost,
            _ => Outcome::DeviceReset,
        }
    }

    /// The runtime had nothing left to tell.
    pub fn no_notice(&mut self, now: Instant) -> Check {
        let unheard = self.link.unheard.front();
        ensure!(unheard.is_none(), "phases of a restart", "{unheard:?} is not heard");
        let missing = self.requests.iter().find(|request| {
            let ready = request.has_ended() || request.is_caught() && self.is_hearable(request);
            request.mode == Mode::Asynchronous && ready
        });
        let missing = missing.map(|request| shown(request.id));
        ensure!(
            missing.is_none(),
            "one completion for each accepted request",
            "{missing:?} has ended and is not heard"
        );
        self.settle_blocking(now);
        Ok(())
    }

    /// After everything was heard, blocking requests have their outcome too.
    fn settle_blocking(&mut self, now: Instant) {
        let input = self.input;
        for place in 0..self.requests.len() {
            let request = &self.requests[place];
            if request.is_caught() && self.is_hearable(request) {
                let outcome = self.outcome_of_caught(request);
                let request = &mut self.requests[place];
                request.state = RequestState::Ended { outcome, input, at: now };
                request.deadline = None;
            }
        }
    }

    /// A blocking caller asked for its outcome.
    pub fn taken(
        &mut self,
        now: Instant,
        id: RequestId,
        completion: Option<&Completion>,
    ) -> Check<Option<Accepted>> {
        self.begin();
        let place = self.place_of(id);
        let request = place.map(|place| &self.requests[place]);
        let blocking = request.filter(|request| request.mode == Mode::Blocking);
        let ready = blocking.is_some_and(|request| {
            request.has_ended() || request.is_caught() && self.is_hearable(request)
        });
        let either = blocking.is_some_and(|request| request.is_caught() && request.passed);
        ensure!(
            ready == completion.is_some() || either,
            "blocking callers get their outcome when it is there",
            "{}: {completion:?}",
            shown(id)
        );
        match (place, completion) {
            (Some(place), Some(completion)) => self.heard(now, place, completion).map(Some),
            _ => Ok(None),
        }
    }

    /// A blocking caller does not wait any more; `lives`: the runtime still has the request. Gives
    /// the request if it is over.
    pub fn abandoned(&mut self, id: RequestId, lives: bool) -> Check<Option<Accepted>> {
        self.begin();
        let Some(place) = self.place_of(id) else { return Ok(None) };
        let hearable = self.is_hearable(&self.requests[place]);
        let request = &mut self.requests[place];
        if request.mode != Mode::Blocking {
            return Ok(None);
        }
        if request.has_ended() || request.is_caught() && !lives {
            let settled = request.has_ended() || request.passed || hearable;
            ensure!(!lives && settled, "abandoned requests that ended are over", "{}", shown(id));
            let request = self.requests.remove(place);
            self.advance_teardown();
            return Ok(Some(request));
        }
        ensure!(lives, "abandoned requests go on", "{}", shown(id));
        request.mode = Mode::Asynchronous;
        request.heard_word = 0;
        Ok(None)
    }
}

fn nobody<T>(id: RequestId) -> Check<T> {
    let what = format!("{} is heard, which nobody waits for", shown(id));
    Err(super::Violation { rule: "one completion for each accepted request", what })
}
