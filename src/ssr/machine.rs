//! The restart in progress: state, epoch, attempts and timers. Pure bookkeeping; the runtime acts
//! on it.

use core::hash::{Hash, Hasher};

use heapless::Deque;

use super::state::{next, Input, State};
use crate::event::Transition;
use crate::handle::Epoch;
use crate::limits::{
    CONNECT_ATTEMPTS_MAX, CONNECT_BACKOFF_US, CONNECT_TIMEOUT_US, TRANSITIONS_KEPT,
};
use crate::time::Instant;

/// What a failed connection attempt leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Failed {
    /// Another attempt follows after its back-off.
    Retry,
    /// The budget is spent: the DSP is lost.
    Lost,
}

/// State of the connection to the DSP and of the restart, if one is under way.
pub struct Machine {
    state: State,
    epoch: Epoch,
    attempts: u32,
    /// When the next attempt begins (`AfterShutdown`) or the present one counts as failed
    /// (`BeforePowerUp`).
    timer: Option<Instant>,
    restarts: u32,
    transitions: Deque<Transition, TRANSITIONS_KEPT>,
    transitions_lost: u32,
}

impl Machine {
    /// Connected, in the first epoch.
    pub const fn new() -> Self {
        Self {
            state: State::Online,
            epoch: Epoch::FIRST,
            attempts: 0,
            timer: None,
            restarts: 0,
            transitions: Deque::new(),
            transitions_lost: 0,
        }
    }

    /// Present phase.
    pub fn state(&self) -> State {
        self.state
    }

    /// Present life of the DSP.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Connection attempts of the present or last restart.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Restarts that began since init.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// When the machine wants to be driven again.
    pub fn timer(&self) -> Option<Instant> {
        self.timer
    }

    /// Phases that no subscriber will hear of, because too many came between two `poll_notice`
    /// calls.
    pub fn transitions_lost(&self) -> u32 {
        self.transitions_lost
    }

    /// Closes the epoch after a crash. `false` if there was nothing to close: a restart is already
    /// under way, or the DSP is lost.
    pub fn close_epoch(&mut self, now: Instant) -> bool {
        if next(self.state, Input::CrashSeen).is_none() {
            return false;
        }
        self.attempts = 0;
        self.apply(now, Input::CrashSeen);
        self.restarts = self.restarts.saturating_add(1);
        self.epoch = self.epoch.next();
        self.apply(now, Input::EpochClosed);
        self.timer = Some(now);
        true
    }

    /// Begins the next attempt if its time has come; gives its number.
    pub fn begin_attempt(&mut self, now: Instant) -> Option<u32> {
        if self.state != State::AfterShutdown || self.timer.is_none_or(|at| at > now) {
            return None;
        }
        self.attempts = self.attempts.saturating_add(1);
        self.apply(now, Input::ConnectStarted);
        self.timer = Some(now.after_us(CONNECT_TIMEOUT_US));
        Some(self.attempts)
    }

    /// Whether the present attempt has taken too long.
    pub fn attempt_timed_out(&self, now: Instant) -> bool {
        self.state == State::BeforePowerUp && self.timer.is_some_and(|at| at <= now)
    }

    /// An attempt failed or took too long.
    pub fn attempt_failed(&mut self, now: Instant) -> Failed {
        if self.attempts >= CONNECT_ATTEMPTS_MAX {
            self.give_up(now);
            return Failed::Lost;
        }
        self.apply(now, Input::ConnectFailed);
        let doublings = self.attempts.saturating_sub(1).min(16);
        let wait_us = CONNECT_BACKOFF_US.checked_shl(doublings).unwrap_or(CONNECT_BACKOFF_US);
        self.timer = Some(now.after_us(wait_us));
        Failed::Retry
    }

    /// An attempt succeeded.
    pub fn connected(&mut self, now: Instant) -> bool {
        self.timer = None;
        self.apply(now, Input::Connected)
    }

    /// Everything that is rebuilt automatically is rebuilt.
    pub fn rebuilt(&mut self, now: Instant) -> bool {
        self.apply(now, Input::Rebuilt)
    }

    /// No further attempts.
    pub fn give_up(&mut self, now: Instant) {
        self.timer = None;
        self.apply(now, Input::BudgetSpent);
    }

    /// The oldest transition that was not heard yet.
    pub fn poll_transition(&mut self) -> Option<Transition> {
        self.transitions.pop_front()
    }

    /// Whether `poll_transition` has something to say.
    pub fn has_transition(&self) -> bool {
        !self.transitions.is_empty()
    }

    /// All of it.
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        let Self { state, epoch, attempts, timer, restarts, transitions, transitions_lost } = self;
        (state, epoch, attempts, timer, restarts, transitions_lost).hash(hasher);
        transitions.iter().for_each(|transition| transition.hash(hasher));
    }

    /// The only place where the state changes.
    fn apply(&mut self, now: Instant, input: Input) -> bool {
        let Some(to) = next(self.state, input) else { return false };
        let transition = Transition {
            at: now,
            from: self.state,
            to,
            epoch: self.epoch,
            attempts: self.attempts,
        };
        self.state = to;
        if let Err(transition) = self.transitions.push_back(transition) {
            self.transitions.pop_front();
            self.transitions_lost = self.transitions_lost.saturating_add(1);
            let _ = self.transitions.push_back(transition);
        }
        true
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn at(us: u64) -> Instant {
        Instant::from_us(us)
    }

    fn phases(machine: &mut Machine) -> Vec<State> {
        core::iter::from_fn(|| machine.poll_transition()).map(|transition| transition.to).collect()
    }

    #[test]
    fn a_crash_is_closed_once() {
        let mut machine = Machine::new();
        assert!(machine.close_epoch(at(5)));
        assert!(!machine.close_epoch(at(6)));
        assert_eq!((machine.epoch(), machine.restarts()), (Epoch::FIRST.next(), 1));
        assert_eq!(machine.timer(), Some(at(5)));
        assert_eq!(machine.begin_attempt(at(4)), None, "not before the crash");
        assert_eq!(machine.begin_attempt(at(5)), Some(1));
        assert_eq!(machine.begin_attempt(at(5)), None, "one at a time");
        assert!(!machine.close_epoch(at(6)), "a crash while connecting is the attempt's failure");
        assert_eq!((machine.attempts(), machine.restarts()), (1, 1));
    }

    // REQ: SSR-028
    #[test]
    fn a_crash_while_rebuilding_begins_again() {
        let mut machine = Machine::new();
        machine.close_epoch(at(0));
        machine.begin_attempt(at(0));
        assert!(machine.connected(at(1)));
        assert_eq!(machine.state(), State::AfterPowerUp);
        assert!(machine.close_epoch(at(2)));
        assert_eq!((machine.epoch().number(), machine.restarts(), machine.attempts()), (3, 2, 0));
        assert!(!machine.rebuilt(at(2)), "what was rebuilt is gone again");
        assert_eq!(machine.begin_attempt(at(2)), Some(1));
        assert!(machine.connected(at(3)) && machine.rebuilt(at(3)));
        assert_eq!(machine.state(), State::Online);
        assert_eq!(phases(&mut machine).len(), 9);
    }

    // REQ: SSR-006
    #[test]
    fn back_offs_double_until_the_attempts_are_spent() {
        let mut machine = Machine::new();
        let mut now = at(1_000);
        machine.close_epoch(now);
        for attempt in 1..=CONNECT_ATTEMPTS_MAX {
            assert_eq!(machine.begin_attempt(now), Some(attempt));
            let limit = now.after_us(CONNECT_TIMEOUT_US);
            assert_eq!(machine.timer(), Some(limit));
            assert!(!machine.attempt_timed_out(at(limit.as_us() - 1)));
            assert!(machine.attempt_timed_out(limit));
            let last = attempt == CONNECT_ATTEMPTS_MAX;
            let expected = if last { Failed::Lost } else { Failed::Retry };
            assert_eq!(machine.attempt_failed(now), expected);
            if !last {
                let next = now.after_us(CONNECT_BACKOFF_US << (attempt - 1));
                assert_eq!(machine.timer(), Some(next));
                assert_eq!(machine.begin_attempt(at(next.as_us() - 1)), None);
                now = next;
            }
        }
        assert_eq!((machine.state(), machine.timer()), (State::Lost, None));
        assert!(!machine.close_epoch(now) && !machine.connected(now) && !machine.rebuilt(now));
        assert_eq!(machine.begin_attempt(Instant::FAR), None);
    }

    #[test]
    fn transitions_that_nobody_hears_give_way_and_are_counted() {
        let mut machine = Machine::new();
        let restarts = TRANSITIONS_KEPT as u64;
        for us in 0..restarts {
            machine.close_epoch(at(us));
            machine.begin_attempt(at(us));
            machine.connected(at(us));
            machine.rebuilt(at(us));
        }
        let written = restarts as u32 * 5;
        assert_eq!(machine.transitions_lost(), written - TRANSITIONS_KEPT as u32);
        assert!(machine.has_transition());
        let heard = phases(&mut machine);
        assert_eq!(heard.len(), TRANSITIONS_KEPT);
        assert_eq!(heard.last(), Some(&State::Online));
        assert!(!machine.has_transition());
    }
}
