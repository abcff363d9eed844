//! Errors that several operations share. Operations with more to say have an enum of their own
//! beside them.

/// Why an object cannot be used through a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum HandleError {
    /// Never given out, or its object was released.
    Invalid,
    /// The object is from before a restart (SSR-008, SSR-009): release it and create it again.
    Stale,
    /// A restart is under way. Wait for its end, then call again; the answer will be `Stale` or
    /// `Lost`.
    Recovering,
    /// The DSP is lost, or the context under managed recovery is: only releasing works.
    Lost,
}

/// Why a context's recovery was not set. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RecoveryError {
    /// The context, or the state of the DSP, does not allow it.
    Handle(HandleError),
    /// The number of attempts is not 1 to [`crate::limits::REBUILD_ATTEMPTS_MAX`].
    Attempts,
    /// The time budget is not 1 to [`crate::limits::REBUILD_TIME_MAX_US`].
    TimeBudget,
    /// The platform does not restart a crashed DSP (see [`crate::capability`]).
    NotSupported,
    /// The context has a fallback, which needs a queue that is kept: end that first.
    Fallback,
}

/// Why a context's fallback was not set. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FallbackError {
    /// The context, or the state of the DSP, does not allow it.
    Handle(HandleError),
    /// The interval is not 1 to [`crate::limits::FALLBACK_INTERVAL_US_MAX`].
    Interval,
    /// The context's recovery does not keep its queue: choose `Managed` with `Requeue` first.
    QueueNotKept,
    /// The context has no executable graph whose table is there: finalize one first.
    NoGraph,
    /// Nothing executes graphs beside the device (see [`crate::capability`]).
    NotSupported,
}

impl From<HandleError> for FallbackError {
    fn from(error: HandleError) -> Self {
        FallbackError::Handle(error)
    }
}

impl From<HandleError> for RecoveryError {
    fn from(error: HandleError) -> Self {
        RecoveryError::Handle(error)
    }
}

/// Why an object was not created or prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CreateError {
    /// The context, or the state of the DSP, does not allow it.
    Handle(HandleError),
    /// A value of the configuration is out of range. Correct it and call again.
    Config,
    /// The recovery of the configuration cannot be had.
    Recovery(RecoveryError),
    /// The table for this kind of object is full: release one, or give larger capacities at init.
    CapacityExceeded,
    /// The region is full.
    OutOfMemory,
    /// The platform does not offer this (see [`crate::capability`]).
    NotSupported,
    /// Another graph of the context has this name.
    DuplicateName,
    /// The graph is not under construction any more.
    AlreadyFinalized,
    /// The graph was executed, which fixes what was to be changed.
    AlreadyExecuted,
    /// What was given for the graph does not fit together.
    Build(crate::graph::BuildError),
    /// The context binary cannot be used.
    Binary(crate::binary::BinaryError),
    /// The device refused.
    Device(crate::device::PrepareError),
}

impl From<RecoveryError> for CreateError {
    fn from(error: RecoveryError) -> Self {
        CreateError::Recovery(error)
    }
}

impl From<HandleError> for CreateError {
    fn from(error: HandleError) -> Self {
        CreateError::Handle(error)
    }
}

impl From<crate::region::OutOfMemory> for CreateError {
    fn from(_: crate::region::OutOfMemory) -> Self {
        CreateError::OutOfMemory
    }
}

impl From<crate::slots::CapacityExceeded> for CreateError {
    fn from(_: crate::slots::CapacityExceeded) -> Self {
        CreateError::CapacityExceeded
    }
}

impl From<crate::graph::BuildError> for CreateError {
    fn from(error: crate::graph::BuildError) -> Self {
        CreateError::Build(error)
    }
}

impl From<crate::binary::BinaryError> for CreateError {
    fn from(error: crate::binary::BinaryError) -> Self {
        CreateError::Binary(error)
    }
}

/// Whether an object that the device sets up is usable yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Status {
    /// The device has not answered yet: drive on and ask again.
    Pending,
    /// Usable.
    Ready,
}

/// Why a request was not accepted. Nothing was changed and no completion will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SubmitError {
    /// The graph, or the state of the DSP, does not allow it.
    Handle(HandleError),
    /// The graph is not finalized, or its preparation failed.
    NotFinalized,
    /// The graph was loaded from a binary without being enabled (SWITCH-011).
    Disabled,
    /// The context only prepares graphs (CTX-042).
    PrepareOnly,
    /// The queue of the context is full: wait for a completion and call again.
    QueueFull,
    /// A list of inputs or outputs is empty, and the graph has some.
    NoTensors,
    /// The number of tensors is not the graph's number of inputs and outputs.
    WrongTensorCount,
    /// No memory was given for the tensor with this id, or less than its size.
    BadTensor(u32),
    /// An accepted request is going to write the memory given for the tensor with this id: wait
    /// for its completion, or give other memory ([`crate::runtime::IoOwnership::Refused`]).
    OutputInUse(u32),
    /// The platform has no asynchronous execution (ASYNC-022).
    AsyncNotSupported,
    /// The graph has executions of the other kind, blocking or asynchronous, in flight
    /// (ASYNC-038).
    MixedModes,
    /// The profile handle is invalid.
    BadProfile,
    /// The profile object is used by a request in flight.
    ProfileInUse,
}

impl From<HandleError> for SubmitError {
    fn from(error: HandleError) -> Self {
        SubmitError::Handle(error)
    }
}

/// Why a request was not cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CancelError {
    /// Never accepted, or its completion was already heard.
    Invalid,
    /// It has ended, or an earlier cancel, time-out or restart ends it; its completion is on its
    /// way.
    Ending,
}
