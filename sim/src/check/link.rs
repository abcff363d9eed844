//! The connection: phases of a restart, its attempts, its timers.

use std::collections::VecDeque;

use htp_runtime::event::Transition;
use htp_runtime::handle::Epoch;
use htp_runtime::limits::{
    CONNECT_ATTEMPTS_MAX, CONNECT_BACKOFF_US, CONNECT_TIMEOUT_US, TRANSITIONS_KEPT,
};
use htp_runtime::ssr::State;
use htp_runtime::time::Instant;

/// Where the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    Online,
    /// Between attempts.
    Waiting {
        next: Instant,
    },
    /// An attempt is under way.
    Connecting {
        limit: Instant,
    },
    /// Connected; contexts under managed recovery are rebuilt.
    Rebuilding,
    Lost,
}

/// The connection.
#[derive(Debug, Clone, Hash)]
pub struct Link {
    pub phase: Phase,
    pub epoch: Epoch,
    pub attempts: u32,
    pub restarts: u32,
    /// Phases that subscribers have not heard of.
    pub unheard: VecDeque<Transition>,
}

impl Link {
    /// Connected, in the first epoch.
    pub fn new() -> Self {
        Self {
            phase: Phase::Online,
            epoch: Epoch::FIRST,
            attempts: 0,
            restarts: 0,
            unheard: VecDeque::new(),
        }
    }

    /// The runtime's word for the phase.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Online => State::Online,
            Phase::Waiting { .. } => State::AfterShutdown,
            Phase::Connecting { .. } => State::BeforePowerUp,
            Phase::Rebuilding => State::AfterPowerUp,
            Phase::Lost => State::Lost,
        }
    }

    /// Whether a restart is over, one way or the other.
    pub fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Online | Phase::Lost)
    }

    /// Whether the device can be told of anything.
    pub fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Online | Phase::Rebuilding)
    }

    /// When something is due.
    pub fn timer(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { next } => Some(next),
            Phase::Connecting { limit } => Some(limit),
            Phase::Online | Phase::Rebuilding | Phase::Lost => None,
        }
    }

    /// The DSP is gone. `restarts`: the platform brings it back.
    pub fn crash(&mut self, now: Instant, restarts: bool) {
        self.attempts = 0;
        self.tell(now, self.state(), State::BeforeShutdown);
        self.restarts += 1;
        self.epoch = self.epoch.next();
        self.tell(now, State::BeforeShutdown, State::AfterShutdown);
        if restarts {
            self.phase = Phase::Waiting { next: now };
        } else {
            self.tell(now, State::AfterShutdown, State::Lost);
            self.phase = Phase::Lost;
        }
    }

    /// Begins the attempt that is due; its number.
    pub fn begin_attempt(&mut self, now: Instant) -> Option<u32> {
        match self.phase {
            Phase::Waiting { next } if next <= now => {
                self.attempts += 1;
                self.tell(now, State::AfterShutdown, State::BeforePowerUp);
                self.phase = Phase::Connecting { limit: now.after_us(CONNECT_TIMEOUT_US) };
                Some(self.attempts)
            }
            _ => None,
        }
    }

    /// The present attempt failed; whether the DSP is lost with it.
    pub fn fail_attempt(&mut self, now: Instant) -> bool {
        let lost = self.attempts >= CONNECT_ATTEMPTS_MAX;
        if lost {
            self.tell(now, State::BeforePowerUp, State::Lost);
            self.phase = Phase::Lost;
        } else {
            self.tell(now, State::BeforePowerUp, State::AfterShutdown);
            let wait_us = CONNECT_BACKOFF_US << (self.attempts - 1);
            self.phase = Phase::Waiting { next: now.after_us(wait_us) };
        }
        lost
    }

    /// The DSP is back.
    pub fn connected(&mut self, now: Instant) {
        self.tell(now, State::BeforePowerUp, State::AfterPowerUp);
        self.phase = Phase::Rebuilding;
    }

    /// What is rebuilt is rebuilt.
    pub fn rebuilt(&mut self, now: Instant) {
        self.tell(now, State::AfterPowerUp, State::Online);
        self.phase = Phase::Online;
    }

    fn tell(&mut self, at: Instant, from: State, to: State) {
        if self.unheard.len() == TRANSITIONS_KEPT {
            self.unheard.pop_front();
        }
        let (epoch, attempts) = (self.epoch, self.attempts);
        self.unheard.push_back(Transition { at, from, to, epoch, attempts });
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}
