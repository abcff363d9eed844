//! What must hold, written without the runtime's own code: a plain model of what clients were
//! promised, told of every call, event, command and notice, which says where the runtime differs.

mod calls;
mod commands;
mod digest;
mod fallback;
mod link;
mod notices;
mod objects;
mod ownership;
mod power;
mod rebuild;
mod requests;
mod rest;
mod twin;

pub use calls::Submission;
pub use fallback::Fallback;
pub use link::{Link, Phase};
pub use objects::{Buffer, BufferState, Context, ContextState, Graph, GraphState};
pub use power::CORNERS;
pub use rebuild::{Policy, Rebuild, Stage};
pub use requests::{Accepted, RequestState};

use std::collections::VecDeque;

use htp_runtime::error::HandleError;
use htp_runtime::handle::{BufferId, ContextId, Epoch, GraphId, RequestId};
use htp_runtime::time::Instant;

use crate::plan::Setup;

/// A rule that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: &'static str,
    /// What happened instead.
    pub what: String,
}

/// Holds, or says what does not.
pub type Check<T = ()> = Result<T, Violation>;

/// Ends the function with a violation unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $rule:expr, $($what:tt)*) => {
        if !$holds {
            return Err($crate::check::Violation { rule: $rule, what: format!($($what)*) });
        }
    };
}
pub(crate) use ensure;

/// A control command that must come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Due {
    Connect(u32),
    ContextCreate(ContextId),
    ContextRelease(ContextId),
    GraphPrepare(GraphId),
    GraphRelease(GraphId),
    BufferMap(BufferId),
    BufferUnmap(BufferId),
    Abort(RequestId),
    PowerVote,
    MemorySet,
    Shutdown,
}

/// The model.
#[derive(Clone)]
pub struct Model {
    pub setup: Setup,
    pub link: Link,
    /// Contexts in the runtime's table, graphs and buffers in them.
    pub contexts: Vec<Context>,
    pub graphs: Vec<Graph>,
    pub buffers: Vec<Buffer>,
    /// Requests that were accepted and not heard, in the order of their acceptance.
    pub requests: Vec<Accepted>,
    pub power: power::Votes,
    /// Commands that must come, in groups: within a group in any order, the groups in theirs.
    owed: VecDeque<(u32, Due)>,
    /// Number of the present input: what one input causes belongs together.
    input: u32,
    /// Events that had no effect.
    pub late: u64,
    /// Outputs that should have been watched, and for which there was no room.
    unwatched: u64,
    /// When the device last showed that it works on what it owes.
    progress: Instant,
    /// The device hangs and was told to shut down, as nothing will connect it again.
    stopping: bool,
    /// Answers that it owes for buffers that are gone.
    owed_for_gone: u32,
    /// What the device said of its work when it last spoke.
    steps: u64,
    /// The context that is rebuilt.
    turn: Option<ContextId>,
    /// The last life of the DSP in which clients could vote.
    voted: Epoch,
    cpu: fallback::Cpu,
}

impl Model {
    /// Nothing there.
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            link: Link::new(),
            contexts: Vec::new(),
            graphs: Vec::new(),
            buffers: Vec::new(),
            requests: Vec::new(),
            power: power::Votes::default(),
            owed: VecDeque::new(),
            input: 0,
            late: 0,
            unwatched: 0,
            progress: Instant::ZERO,
            stopping: false,
            owed_for_gone: 0,
            steps: 0,
            turn: None,
            voted: Epoch::FIRST,
            cpu: fallback::Cpu::NEW,
        }
    }

    /// The next input begins.
    pub fn begin(&mut self) {
        self.input += 1;
    }

    /// Present life of the DSP.
    pub fn epoch(&self) -> Epoch {
        self.link.epoch
    }

    /// What a call on something of `epoch` is answered now, if it cannot work.
    pub fn usable(&self, epoch: Epoch) -> Result<(), HandleError> {
        match self.link.phase {
            Phase::Online | Phase::Rebuilding if epoch == self.link.epoch => Ok(()),
            Phase::Online | Phase::Rebuilding => Err(HandleError::Stale),
            Phase::Lost => Err(HandleError::Lost),
            Phase::Waiting { .. } | Phase::Connecting { .. } => Err(HandleError::Recovering),
        }
    }

    fn owe(&mut self, due: Due) {
        self.owed.push_back((self.input, due));
    }

    /// Whether commands must come.
    pub fn owes_commands(&self) -> bool {
        !self.owed.is_empty()
    }

    /// The runtime's answer to a call must be what the model says.
    pub fn same<T: PartialEq + std::fmt::Debug>(call: &'static str, got: T, expected: T) -> Check {
        ensure!(got == expected, "answers of calls", "{call}: {got:?} instead of {expected:?}");
        Ok(())
    }
}
