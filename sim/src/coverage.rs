//! What runs have reached: which fault came last, in which phase of a restart, at which call.

use htp_runtime::ssr::State;

use crate::plan::Decision;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    None,
    Crash,
    SilentCrash,
    Hang,
    LostAnswer,
    RepeatedAnswer,
    ForgedAnswer,
    ReorderedAnswer,
    LateAnswer,
    FailedExecution,
    ConnectFails,
    ConnectIgnored,
    Refusal,
    IgnoredAbort,
    ClockJump,
}

/// Names of the faults, by their numbers.
pub const FAULTS: [&str; 15] = [
    "none",
    "crash",
    "silent crash",
    "hang",
    "lost answer",
    "repeated answer",
    "forged answer",
    "reordered answer",
    "late answer",
    "failed execution",
    "connection fails",
    "connection ignored",
    "refused object",
    "ignored abort",
    "clock jump",
];

/// Calls that clients make, by their numbers.
const CALLS: usize = 22;
/// Phases in which a call can come: the machine passes through `BeforeShutdown` at once.
const PHASES: [State; 5] =
    [State::Online, State::AfterShutdown, State::BeforePowerUp, State::AfterPowerUp, State::Lost];

/// How often each cell was reached.
#[derive(Debug, Clone)]
pub struct Coverage {
    cells: Vec<u64>,
}

impl Default for Coverage {
    fn default() -> Self {
        Self { cells: vec![0; FAULTS.len() * PHASES.len() * CALLS] }
    }
}

impl Coverage {
    /// A call was made.
    pub fn reach(&mut self, fault: Fault, state: State, decision: &Decision) {
        let phase = PHASES.iter().position(|phase| *phase == state);
        if let (Some(phase), Some(call)) = (phase, call(decision)) {
            let cell = (fault as usize * PHASES.len() + phase) * CALLS + call;
            self.cells[cell] += 1;
        }
    }

    /// Adds what another has reached.
    pub fn add(&mut self, other: &Coverage) {
        self.cells.iter_mut().zip(&other.cells).for_each(|(cell, more)| *cell += more);
    }

    /// Cells reached, and cells there are.
    pub fn cells(&self) -> (usize, usize) {
        (self.cells.iter().filter(|count| **count > 0).count(), self.cells.len())
    }
}

fn call(decision: &Decision) -> Option<usize> {
    Some(match decision {
        Decision::ContextCreate { .. } => 0,
        Decision::ContextLoad { .. } => 1,
        Decision::ContextFree { .. } => 2,
        Decision::ContextStatus { .. } => 3,
        Decision::ContextPriority { .. } => 4,
        Decision::GraphLoad { .. } => 5,
        Decision::GraphCompose { .. } => 6,
        Decision::GraphFinalize { .. } => 7,
        Decision::GraphStatus { .. } => 8,
        Decision::GraphPriority { .. } => 9,
        Decision::BufferRegister { .. } => 10,
        Decision::BufferStatus { .. } => 11,
        Decision::BufferDeregister { .. } => 12,
        Decision::Submit { blocking: false, .. } => 13,
        Decision::Submit { blocking: true, .. } => 14,
        Decision::Cancel { .. } => 15,
        Decision::TakeOutcome { .. } | Decision::Abandon { .. } => 16,
        Decision::PowerCreate => 17,
        Decision::PowerSet { .. } => 18,
        Decision::PowerDestroy { .. } => 19,
        Decision::MemorySet { .. } => 20,
        Decision::ContextFallback { .. } => 21,
        _ => return None,
    })
}
