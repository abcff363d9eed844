//! The restart machine: states, inputs and the one table of transitions.

/// Phase of the connection to the DSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
