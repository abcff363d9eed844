//! Broken runtimes: what a mistake in the core would look like from outside. Each must be caught.

/// A way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    SkipCompletion,
    CompleteTwice,
    WrongOutcome,
    WrongWords,
    CompleteEarly,
    SettleEarly,
    LateAsNew,
    ForgetVote,
    ForgetUnmap,
    ForgetRelease,
    RepeatCommand,
    DropAbort,
    DropConnect,
    SwapExecutes,
    ThreeAtOnce,
    WrongPriority,
    OldEpochCommand,
    AcceptAboveDepth,
    LeakSlot,
    ForgetDeadline,
    ForgetCancel,
    ForgetFree,
    KeepTable,
    SleepThrough,
    SkipRebuild,
    RebuildTwice,
    KeepOutputs,
    ForgetOverlap,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 28] = [
        Mutant::SkipCompletion,
        Mutant::CompleteTwice,
        Mutant::WrongOutcome,
        Mutant::WrongWords,
        Mutant::CompleteEarly,
        Mutant::SettleEarly,
        Mutant::LateAsNew,
        Mutant::ForgetVote,
        Mutant::ForgetUnmap,
        Mutant::ForgetRelease,
        Mutant::RepeatCommand,
        Mutant::DropAbort,
        Mutant::DropConnect,
        Mutant::SwapExecutes,
        Mutant::ThreeAtOnce,
        Mutant::WrongPriority,
        Mutant::OldEpochCommand,
        Mutant::AcceptAboveDepth,
        Mutant::LeakSlot,
        Mutant::ForgetDeadline,
        Mutant::ForgetCancel,
        Mutant::ForgetFree,
        Mutant::KeepTable,
        Mutant::SleepThrough,
        Mutant::SkipRebuild,
        Mutant::RebuildTwice,
        Mutant::KeepOutputs,
        Mutant::ForgetOverlap,
    ];

    /// What it does wrong.
    pub fn says(self) -> &'static str {
        match self {
            Mutant::SkipCompletion => "a completion is not told",
            Mutant::CompleteTwice => "a completion is told twice",
            Mutant::WrongOutcome => "an aborted request is told as completed",
            Mutant::WrongWords => "a completion carries another request's words",
            Mutant::CompleteEarly => {
                "a cancelled request completes while the device has its memory"
            }
            Mutant::SettleEarly => "running requests end before the connection is back",
            Mutant::LateAsNew => "an answer of an old epoch counts as one of the present",
            Mutant::ForgetVote => "a power vote is not sent",
            Mutant::ForgetUnmap => "a buffer is not unmapped",
            Mutant::ForgetRelease => "a graph is not released",
            Mutant::RepeatCommand => "a context is created twice on the device",
            Mutant::DropAbort => "an abort is not sent",
            Mutant::DropConnect => "a connection attempt is not made",
            Mutant::SwapExecutes => "two executions start in the wrong order",
            Mutant::ThreeAtOnce => "a third of equal priority starts beside a pair",
            Mutant::WrongPriority => "an execution has another thread priority",
            Mutant::OldEpochCommand => "a command names the epoch before",
            Mutant::AcceptAboveDepth => "a full queue accepts",
            Mutant::LeakSlot => "a slot of a queue is never freed",
            Mutant::ForgetDeadline => "a deadline is ignored",
            Mutant::ForgetCancel => "a cancel is ignored",
            Mutant::ForgetFree => "a freed context stays",
            Mutant::KeepTable => "a graph's memory is held for ever",
            Mutant::SleepThrough => "the runtime says that nothing is due",
            Mutant::SkipRebuild => "a graph of a managed context is not prepared anew",
            Mutant::RebuildTwice => "a graph or a buffer is set up twice in one rebuild",
            Mutant::KeepOutputs => "watched outputs are not given back when a request ends",
            Mutant::ForgetOverlap => "an output that another request writes is not refused",
        }
    }
}
