//! Handles and error codes: what the runtime's types are on the C side.
//!
//! A QNN handle is a number in a pointer's clothes and is never followed; [`Packing`] has its
//! parts.

use runtime::binary::BinaryError;
use runtime::capability::Capabilities;
use runtime::device::PrepareError;
use runtime::error::{CreateError, HandleError, SubmitError};
use runtime::event::{Completion, Outcome, Transition};
use runtime::graph::BuildError;
use runtime::handle::{self, ContextId, GraphId, Handle, Packing, ProfileId, RequestId};

use crate::abi::*;
use crate::ext_request::{htp_rt_completion_t, htp_rt_request_t};
use crate::ext_watch::{htp_rt_ssr_event_t, htp_rt_ssr_state_t};
use crate::instance;
use crate::objects;

/// A QNN error code; 0 is success.
pub(crate) type Code = Qnn_ErrorHandle_t;

/// A handle kind with its number, 1 to 15. Zero is nobody's, so no handle is null.
pub(crate) trait Kind: Sized {
    const NUMBER: u8;
    /// What it is, in a sentence.
    const NAME: &'static str;
}

macro_rules! kinds {
    ($($kind:ty => $number:literal, $name:literal;)*) => {
        $(impl Kind for $kind {
            const NUMBER: u8 = $number;
            const NAME: &'static str = $name;
        })*

        /// What a C handle is the handle of, in a sentence.
        pub(crate) fn kind_name(handle: Qnn_Handle_t) -> Option<&'static str> {
            match Packing::NATIVE.kind(handle.addr() as u64) {
                $($number => Some($name),)*
                _ => None,
            }
        }
    };
}

kinds! {
    objects::kind::Backend => 1, "backend";
    objects::kind::Device => 2, "device";
    objects::kind::Log => 3, "log";
    objects::kind::Signal => 4, "signal";
    handle::kind::Context => 5, "context";
    handle::kind::Graph => 6, "graph";
    objects::kind::Mapping => 7, "registered buffer";
    handle::kind::Profile => 8, "profile object";
    // 9 marks profile events, which are no handles.
    objects::kind::SystemContext => 10, "system context";
    objects::kind::Target => 11, "serialization target";
}

/// The C handle of an object.
pub(crate) fn to_client<K: Kind>(id: Handle<K>) -> Qnn_Handle_t {
    core::ptr::without_provenance_mut(Packing::NATIVE.pack(K::NUMBER, id) as usize)
}

/// The object that a C handle names, if it names one of this kind at all. It may be gone or never
/// have been.
pub(crate) fn from_client<K: Kind>(handle: Qnn_Handle_t) -> Option<Handle<K>> {
    Packing::NATIVE.unpack(K::NUMBER, handle.addr() as u64)
}

/// The context that a handle names.
pub(crate) fn context_id(handle: Qnn_ContextHandle_t) -> Option<ContextId> {
    from_client(handle)
}

/// The graph that a handle names.
pub(crate) fn graph_id(handle: Qnn_GraphHandle_t) -> Option<GraphId> {
    from_client(handle)
}

/// The profile object for an execution, if one is given.
pub(crate) fn optional_profile(handle: Qnn_ProfileHandle_t) -> Result<Option<ProfileId>, Code> {
    if handle.is_null() {
        return Ok(None);
    }
    from_client(handle).map(Some).ok_or(QNN_GRAPH_ERROR_INVALID_ARGUMENT)
}

/// A request as the extension hands it out. Never 0: requests are counted from 1.
pub(crate) fn request(id: RequestId) -> htp_rt_request_t {
    let place = u64::from(id.context) << 48 | u64::from(id.slot) << 32;
    htp_rt_request_t { id: place | u64::from(id.generation) }
}

/// The request that the extension was handed; it may be over or never have been.
pub(crate) fn request_id(request: htp_rt_request_t) -> RequestId {
    RequestId {
        context: (request.id >> 48) as u16,
        slot: (request.id >> 32) as u16,
        generation: request.id as u32,
    }
}

/// A completion as clients hear it.
pub(crate) fn completion(completion: &Completion) -> htp_rt_completion_t {
    let times = &completion.times;
    htp_rt_completion_t {
        request: request(completion.request),
        error: outcome(completion.outcome),
        submitted_us: times.submitted.as_us(),
        dispatched_us: times.dispatched.as_us(),
        completed_us: times.completed.as_us(),
        device_time_us: times.device_time_us,
        cycles: times.cycles,
        yields: times.yields,
        on_fallback: times.on_fallback.into(),
    }
}

/// A phase of a restart as subscribers hear it.
pub(crate) fn ssr_event(transition: &Transition) -> htp_rt_ssr_event_t {
    htp_rt_ssr_event_t {
        at_us: transition.at.as_us(),
        from: htp_rt_ssr_state_t::of(transition.from),
        to: htp_rt_ssr_state_t::of(transition.to),
        epoch: transition.epoch.number(),
        attempts: transition.attempts,
    }
}

/// The code of an execution's end.
pub(crate) fn outcome(outcome: Outcome) -> Code {
    match outcome {
        Outcome::Completed => QNN_SUCCESS,
        Outcome::DeviceReset => QNN_COMMON_ERROR_SYSTEM_COMMUNICATION,
        Outcome::DeviceLost => lost(),
        Outcome::TimedOut => QNN_GRAPH_ERROR_TIMED_OUT,
        Outcome::Aborted => QNN_GRAPH_ERROR_ABORTED,
        Outcome::Failed => QNN_GRAPH_ERROR_GENERAL,
    }
}

/// The DSP is gone for good. Where a platform never restarts it that is a plain system error
/// (SSR-002, SSR-006).
fn lost() -> Code {
    let restarts = instance::existing()
        .is_some_and(|it| it.capabilities.contains(Capabilities::SUBSYSTEM_RESTART));
    if restarts {
        QNN_COMMON_ERROR_SYSTEM_COMMUNICATION_FATAL
    } else {
        QNN_COMMON_ERROR_SYSTEM
    }
}

/// The code of an unusable handle; `invalid` is that of the call's family for one that names
/// nothing.
pub(crate) fn handle_error(error: HandleError, invalid: Code) -> Code {
    match error {
        HandleError::Invalid => invalid,
        HandleError::Stale | HandleError::Recovering => QNN_COMMON_ERROR_SYSTEM_COMMUNICATION,
        HandleError::Lost => lost(),
    }
}

/// The code of a request that was not accepted.
pub(crate) fn submit_error(error: SubmitError) -> Code {
    match error {
        SubmitError::Handle(HandleError::Recovering) => QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE,
        SubmitError::Handle(error) => handle_error(error, QNN_GRAPH_ERROR_INVALID_HANDLE),
        SubmitError::NotFinalized => QNN_GRAPH_ERROR_GRAPH_NOT_FINALIZED,
        SubmitError::Disabled => QNN_GRAPH_ERROR_DISABLED,
        SubmitError::PrepareOnly => QNN_GRAPH_ERROR_INVALID_ARGUMENT,
        SubmitError::QueueFull | SubmitError::OutputInUse(_) => {
            QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE
        }
        SubmitError::WrongTensorCount | SubmitError::BadTensor(_) => QNN_GRAPH_ERROR_INVALID_TENSOR,
        SubmitError::NoTensors => QNN_GRAPH_ERROR_INVALID_ARGUMENT,
        SubmitError::AsyncNotSupported => QNN_GRAPH_ERROR_UNSUPPORTED_FEATURE,
        SubmitError::MixedModes => QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED,
        SubmitError::BadProfile => QNN_GRAPH_ERROR_INVALID_ARGUMENT,
        SubmitError::ProfileInUse => QNN_GRAPH_ERROR_PROFILE_IN_USE,
    }
}

/// Codes of one header's calls for what can go wrong in any of them.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    /// The handle names nothing.
    pub(crate) invalid_handle: Code,
    /// A value is out of range.
    pub(crate) config: Code,
    /// The device refused.
    pub(crate) refused: Code,
}

impl Family {
    pub(crate) const CONTEXT: Family = Family {
        invalid_handle: QNN_CONTEXT_ERROR_INVALID_HANDLE,
        config: QNN_CONTEXT_ERROR_INVALID_CONFIG,
        refused: QNN_CONTEXT_ERROR_CREATE_FROM_BINARY,
    };
    pub(crate) const GRAPH: Family = Family {
        invalid_handle: QNN_GRAPH_ERROR_INVALID_HANDLE,
        config: QNN_GRAPH_ERROR_INVALID_ARGUMENT,
        refused: QNN_GRAPH_ERROR_FINALIZE_FAILED,
    };
    pub(crate) const TENSOR: Family = Family {
        invalid_handle: QNN_TENSOR_ERROR_INVALID_HANDLE,
        config: QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM,
        refused: QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM,
    };
    pub(crate) const MEM: Family = Family {
        invalid_handle: QNN_MEM_ERROR_INVALID_HANDLE,
        config: QNN_MEM_ERROR_INVALID_ARGUMENT,
        refused: QNN_MEM_ERROR_MAPPING,
    };

    /// The code of something that was not created or prepared.
    pub(crate) fn create_error(self, error: CreateError) -> Code {
        match error {
            CreateError::Handle(error) => handle_error(error, self.invalid_handle),
            CreateError::Config | CreateError::Recovery(_) => self.config,
            CreateError::CapacityExceeded | CreateError::OutOfMemory => QNN_COMMON_ERROR_MEM_ALLOC,
            CreateError::NotSupported => QNN_COMMON_ERROR_NOT_SUPPORTED,
            CreateError::DuplicateName => QNN_GRAPH_ERROR_INVALID_NAME,
            CreateError::AlreadyFinalized => QNN_GRAPH_ERROR_GRAPH_FINALIZED,
            CreateError::AlreadyExecuted => QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED,
            CreateError::Build(error) => build_error(error),
            CreateError::Binary(error) => binary_error(error),
            CreateError::Device(PrepareError::OutOfMemory | PrepareError::CapacityExceeded) => {
                QNN_COMMON_ERROR_MEM_ALLOC
            }
            CreateError::Device(_) => self.refused,
        }
    }
}

/// The code of a tensor or an operation that does not fit into its graph.
fn build_error(error: BuildError) -> Code {
    match error {
        BuildError::OutOfMemory => QNN_COMMON_ERROR_MEM_ALLOC,
        BuildError::DuplicateTensor => QNN_TENSOR_ERROR_ALREADY_EXISTS,
        BuildError::BadTensor => QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM,
        BuildError::NoSuchTensor | BuildError::BadOutput(_) | BuildError::BadParam(_) => {
            QNN_GRAPH_ERROR_INVALID_OP_CONFIG
        }
        BuildError::InputNotProduced(_) => QNN_GRAPH_ERROR_UNCONNECTED_NODE,
        BuildError::OutputNotWritten => QNN_GRAPH_ERROR_CREATE_FAILED,
        BuildError::EmptyGraph => QNN_GRAPH_ERROR_FINALIZE_FAILED,
    }
}

/// The code of a refused context binary (C-19).
pub(crate) fn binary_error(error: BinaryError) -> Code {
    match error {
        BinaryError::Arch { .. } => QNN_CONTEXT_ERROR_BINARY_CONFIGURATION,
        BinaryError::Version { .. } => QNN_CONTEXT_ERROR_BINARY_VERSION,
        _ => QNN_CONTEXT_ERROR_CREATE_FROM_BINARY,
    }
}
