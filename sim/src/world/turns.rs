//! The loop around the runtime, in pieces and as a whole.

use htp_runtime::event::{Completion, Notice, Outcome};
use htp_runtime::queue::Mode;
use htp_runtime::ssr::State;

use super::World;
use crate::check::{ensure, Accepted, Check};
use crate::coverage::Fault;
use crate::device::{result_of, Connect};
use crate::memory::{read, TENSOR_BYTES};
use crate::order::What;
use crate::trace::{request_word, shown};

/// Time that a turn takes in which the device works.
const TURN_US: u64 = 20;
/// Rounds of one turn after which it goes on next time.
const ROUNDS: u32 = 4;

impl World<'_> {
    /// Up to `count` commands go to the device; how many there were.
    pub(super) fn poll(&mut self, count: u8) -> Check<u32> {
        self.model.drive_plan(self.now);
        for polled in 0..u32::from(count) {
            let Some(order) = self.port.poll_command(self.now) else {
                self.model.no_command()?;
                return Ok(polled);
            };
            self.trace.note(&order.words(), || order.text());
            self.model.command(self.now, &order, &self.pool)?;
            if let What::FallbackExecute(execution) = &order.what {
                self.tally.on_cpu += 1;
                let lost = self.model.graph_usable(execution.graph).is_err();
                self.tally.on_cpu_lost += u64::from(lost);
            }
            if let Some(ledger) = &mut self.ledger {
                ledger.order(&order, self.port.runtime.state())?;
            }
            let fate = match order.what {
                What::Connect { .. } | What::Shutdown => self.device.connects.front().copied(),
                _ => None,
            };
            if self.device.submit(order)? {
                self.fault(match fate {
                    Some(Connect::Ignore) => Fault::ConnectIgnored,
                    _ => Fault::ConnectFails,
                });
            }
        }
        Ok(u32::from(count))
    }

    /// The device takes up to `count` commands.
    pub(super) fn take(&mut self, count: u8) -> Check<u32> {
        for taken in 0..u32::from(count) {
            if !self.device.take()? {
                return Ok(taken);
            }
        }
        Ok(u32::from(count))
    }

    /// The `pick`-th event under way arrives.
    pub(super) fn deliver(&mut self, pick: u16) -> Check<bool> {
        let count = self.device.outgoing.len();
        let place = usize::from(pick) % count.max(1);
        let Some(event) = self.device.outgoing.remove(place) else { return Ok(false) };
        if place > 0 {
            self.fault(Fault::ReorderedAnswer);
        }
        self.history.push_back(event);
        if self.history.len() > super::REMEMBERED {
            self.history.pop_front();
        }
        self.happen(event)?;
        Ok(true)
    }

    /// The runtime hears of an event, true or not.
    pub(super) fn happen(&mut self, event: htp_runtime::device::Event) -> Check {
        let late = self.model.late;
        if let Some(ledger) = &mut self.ledger {
            ledger.event(&event, self.port.runtime.epoch());
        }
        self.port.handle_event(self.now, event);
        self.switch_off();
        let was_up = self.model.link.is_up();
        self.model.event(self.now, &event);
        let is_late = self.model.late > late;
        self.trace.note(&[20, u64::from(is_late)], || {
            format!("    event    {event:?}{}", if is_late { "  (late)" } else { "" })
        });
        if !was_up && self.model.link.is_up() {
            self.tally.recoveries += 1;
        }
        Ok(())
    }

    /// Up to `count` notices are heard.
    pub(super) fn hear(&mut self, count: u8) -> Check<u32> {
        for heard in 0..u32::from(count) {
            let announced = self.port.runtime.has_notice();
            let Some(notice) = self.port.poll_notice(self.now) else {
                // Looking settles blocking requests that a restart caught: no notice, but work.
                let settles = self.model.requests.iter().any(Accepted::is_caught);
                ensure!(!announced || settles, "announced notices are there", "there is none");
                self.model.no_notice(self.now)?;
                return Ok(heard);
            };
            ensure!(announced, "notices are announced", "{notice:?} was not");
            if let Some(ledger) = &mut self.ledger {
                ledger.notice(&notice)?;
            }
            let request = self.model.notice(self.now, &notice)?;
            match (&notice, request) {
                (Notice::Completion(completion), Some(request)) => {
                    self.finished(completion, &request)?;
                }
                (Notice::Restart(transition), _) => {
                    let words = [30, transition.to as u64, u64::from(transition.attempts)];
                    self.trace.note(&words, || {
                        format!("    notice   {:?} -> {:?}", transition.from, transition.to)
                    });
                }
                _ => {}
            }
        }
        Ok(u32::from(count))
    }

    /// A request is over: its memory is the client's again.
    fn finished(&mut self, completion: &Completion, request: &Accepted) -> Check {
        let outcome = completion.outcome;
        let words = [31, request_word(request.id), outcome as u64];
        self.trace
            .note(&words, || format!("    notice   {} ended: {outcome:?}", shown(request.id)));
        self.over(request)?;
        if outcome == Outcome::Completed {
            let [input, output] = self.pool.memories(request.block, request.common);
            debug_assert_eq!(input.len(), TENSOR_BYTES);
            let written = read(output) == result_of(read(input), request.graph);
            // What others write as well is a mix.
            let right =
                (written || request.common.is_some()) && read(input) == u64::from(request.word);
            ensure!(right, "completed requests have their outputs", "{}", shown(request.id));
        }
        self.pool.give_back(request.block);
        Ok(())
    }

    /// The device must have let go of the request's memory.
    fn over(&mut self, request: &Accepted) -> Check {
        ensure!(
            !self.device.holds(request.id),
            "memory stays lent while the device uses it",
            "{} is over",
            shown(request.id)
        );
        Ok(())
    }

    /// A blocking caller looks for its outcome.
    pub(super) fn collect(&mut self, id: htp_runtime::handle::RequestId) -> Check<bool> {
        let completion = self.port.runtime.take_outcome(self.now, id);
        let request = self.model.taken(self.now, id, completion.as_ref())?;
        if let (Some(completion), Some(ledger)) = (completion, &mut self.ledger) {
            ledger.notice(&Notice::Completion(completion))?;
        }
        if let (Some(completion), Some(request)) = (&completion, &request) {
            self.finished(completion, request)?;
        }
        Ok(completion.is_some())
    }

    /// A blocking caller gives up.
    pub(super) fn abandon(&mut self, id: htp_runtime::handle::RequestId) -> Check {
        self.port.runtime.abandon(id);
        let lives = self.port.runtime.is_live(id);
        self.trace.note(&[32, u64::from(lives)], || format!("    {} lives: {lives}", shown(id)));
        if let Some(request) = self.model.abandoned(id, lives)? {
            self.over(&request)?;
            self.pool.give_back(request.block);
        }
        Ok(())
    }

    /// The runtime is told the time.
    pub(super) fn timeout(&mut self) -> Check {
        let hangs = self.port.runtime.counters().hangs;
        self.port.runtime.handle_timeout(self.now);
        self.switch_off();
        let hung = self.port.runtime.counters().hangs > hangs;
        let lost = self.port.runtime.state() == State::Lost;
        self.trace.note(&[40, u64::from(hung), self.now.as_us()], || {
            format!("    timeout{}", if hung { "  the device hangs" } else { "" })
        });
        self.model.timeout(self.now, hung, lost)
    }

    /// Time passes until something is due; `false` if nothing is.
    pub(super) fn next_timer(&mut self) -> Check<bool> {
        let Some(at) = self.port.poll_timeout() else { return Ok(false) };
        self.now = self.now.max(at);
        self.timeout()?;
        Ok(true)
    }

    /// The whole loop, until nothing moves or for a few rounds; whether anything moved. Executions
    /// go on running.
    pub(super) fn turn(&mut self) -> Check<bool> {
        let mut any = false;
        for _ in 0..ROUNDS {
            if self.port.poll_timeout().is_some_and(|at| at <= self.now) {
                self.timeout()?;
            }
            let mut moved = self.poll(u8::MAX)? + self.take(u8::MAX)?;
            while self.device.answer(0) {
                moved += 1;
            }
            while self.deliver(0)? {
                moved += 1;
                self.check()?;
            }
            moved += self.hear(u8::MAX)? + self.collect_all()?;
            if moved == 0 {
                break;
            }
            any = true;
        }
        Ok(any)
    }

    /// Some turns, in each of which all executions end.
    pub(super) fn serve(&mut self, turns: u8) -> Check {
        for _ in 0..turns {
            while self.device.finish(self.now, 0, None, &self.pool)? {}
            self.device.finish_on_cpu(None, &self.pool)?;
            self.now = self.now.after_us(TURN_US);
            if !self.turn()? {
                break;
            }
        }
        Ok(())
    }

    /// Every blocking caller looks; how many had their outcome.
    fn collect_all(&mut self) -> Check<u32> {
        let blocking = self.model.requests.iter().filter(|r| r.mode == Mode::Blocking);
        let ids: Vec<_> = blocking.map(|request| request.id).collect();
        let mut collected = 0;
        for id in ids {
            collected += u32::from(self.collect(id)?);
        }
        Ok(collected)
    }
}
