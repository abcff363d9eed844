//! The restart machine: states, inputs and the one table of transitions.

/// Phase of the connection to the DSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum State {
    /// Connected; requests run.
    Online = 0,
    /// A crash was seen; nothing new is sent.
    BeforeShutdown = 1,
    /// The old epoch is closed: its handles are stale, its requests wait for their one completion.
    AfterShutdown = 2,
    /// A connection attempt is under way or waits for its back-off.
    BeforePowerUp = 3,
    /// Connected again; contexts under managed recovery are rebuilt.
    AfterPowerUp = 4,
    /// The DSP did not come back. Teardown works; everything else answers the fatal error.
    Lost = 5,
}

/// What moves the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Input {
    /// The device reported a crash, or made no progress for longer than the hang budget.
    CrashSeen,
    /// The epoch has advanced and the old requests are set aside.
    EpochClosed,
    /// A connection attempt begins.
    ConnectStarted,
    /// The device connected.
    Connected,
    /// A connection attempt failed and the budget allows another.
    ConnectFailed,
    /// No attempts are left, or the platform has no restart.
    BudgetSpent,
    /// Everything that is rebuilt automatically is rebuilt.
    Rebuilt,
}

/// Every allowed move: from, input, to. Whatever is not listed does not happen.
pub const TRANSITIONS: [(State, Input, State); 9] = [
    (State::Online, Input::CrashSeen, State::BeforeShutdown),
    (State::AfterPowerUp, Input::CrashSeen, State::BeforeShutdown),
    (State::BeforeShutdown, Input::EpochClosed, State::AfterShutdown),
    (State::AfterShutdown, Input::ConnectStarted, State::BeforePowerUp),
    (State::AfterShutdown, Input::BudgetSpent, State::Lost),
    (State::BeforePowerUp, Input::Connected, State::AfterPowerUp),
    (State::BeforePowerUp, Input::ConnectFailed, State::AfterShutdown),
    (State::BeforePowerUp, Input::BudgetSpent, State::Lost),
    (State::AfterPowerUp, Input::Rebuilt, State::Online),
];

/// Where `input` leads from `state`; `None` if it is not allowed there.
pub fn next(state: State, input: Input) -> Option<State> {
    TRANSITIONS.iter().find(|(from, on, _)| *from == state && *on == input).map(|(.., to)| *to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    const STATES: [State; 6] = [
        State::Online,
        State::BeforeShutdown,
        State::AfterShutdown,
        State::BeforePowerUp,
        State::AfterPowerUp,
        State::Lost,
    ];
    const INPUTS: [Input; 7] = [
        Input::CrashSeen,
        Input::EpochClosed,
        Input::ConnectStarted,
        Input::Connected,
        Input::ConnectFailed,
        Input::BudgetSpent,
        Input::Rebuilt,
    ];

    /// The rule in words, written down a second time: what each state waits for.
    fn expected(state: State, input: Input) -> Option<State> {
        match state {
            State::Online => (input == Input::CrashSeen).then_some(State::BeforeShutdown),
            State::BeforeShutdown => (input == Input::EpochClosed).then_some(State::AfterShutdown),
            State::AfterShutdown => match input {
                Input::ConnectStarted => Some(State::BeforePowerUp),
                Input::BudgetSpent => Some(State::Lost),
                _ => None,
            },
            State::BeforePowerUp => match input {
                Input::Connected => Some(State::AfterPowerUp),
                Input::ConnectFailed => Some(State::AfterShutdown),
                Input::BudgetSpent => Some(State::Lost),
                _ => None,
            },
            State::AfterPowerUp => match input {
                Input::CrashSeen => Some(State::BeforeShutdown),
                Input::Rebuilt => Some(State::Online),
                _ => None,
            },
            State::Lost => None,
        }
    }

    #[test]
    fn every_pair_of_state_and_input_does_what_the_rule_says() {
        let mut allowed = 0;
        for state in STATES {
            for input in INPUTS {
                assert_eq!(next(state, input), expected(state, input), "{state:?} {input:?}");
                allowed += usize::from(next(state, input).is_some());
            }
        }
        assert_eq!(allowed, TRANSITIONS.len(), "no pair is listed twice");
    }

    fn reachable(from: State) -> BTreeSet<u8> {
        let mut reached = BTreeSet::from([from as u8]);
        let mut open = Vec::from([from]);
        while let Some(state) = open.pop() {
            for to in INPUTS.into_iter().filter_map(|input| next(state, input)) {
                if reached.insert(to as u8) {
                    open.push(to);
                }
            }
        }
        reached
    }

    // REQ: SSR-006, SSR-028
    #[test]
    fn every_state_is_reachable_every_restart_can_end_and_lost_is_final() {
        let all: BTreeSet<u8> = STATES.iter().map(|state| *state as u8).collect();
        for state in STATES {
            let reached = reachable(state);
            if state == State::Lost {
                assert_eq!(reached, BTreeSet::from([State::Lost as u8]));
            } else {
                assert_eq!(reached, all, "{state:?}");
            }
        }
    }
}
