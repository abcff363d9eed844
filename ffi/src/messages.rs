//! What each error code means and what to do about it, in a sentence.

use core::ffi::CStr;

use crate::abi::*;
use crate::convert::Code;

/// The text of a code, beginning with its name; `None` if no error has it. Aliases have the common
/// name.
pub(crate) fn text(code: Code) -> Option<&'static CStr> {
    let found = MESSAGES.iter().find(|(known, _)| *known == code);
    found.map(|(_, text)| *text)
}

/// The name of a code's constant.
pub(crate) fn name(code: Code) -> &'static str {
    let text = text(code).and_then(|text| text.to_str().ok()).unwrap_or("an error without a name");
    text.split_once(':').map_or(text, |(name, _)| name)
}

/// A message: the name of the constant, and behind it what it means.
macro_rules! messages {
    ($($code:ident: $text:literal,)*) => {
        [$(($code, c_text(concat!(stringify!($code), ": ", $text, "\0")))),*]
    };
}

/// A text that ends with a zero, as C reads it.
pub(crate) const fn c_text(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    }
}

static MESSAGES: [(Code, &CStr); 119] = messages! {
    QNN_SUCCESS: "done",
    QNN_COMMON_ERROR_NOT_SUPPORTED:
        "this call, option or value is not offered here; ask QnnProperty_hasCapability first",
    QNN_COMMON_ERROR_MEM_ALLOC:
        "no room left; free an object, or give more memory or larger tables at initialisation",
    QNN_COMMON_ERROR_SYSTEM:
        "the system or the DSP failed for good; restart the process",
    QNN_COMMON_ERROR_INVALID_ARGUMENT:
        "an argument is null, out of range or names nothing; correct it and call again",
    QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED:
        "not allowed in the present state; see what the objects involved are doing",
    QNN_COMMON_ERROR_PLATFORM_NOT_SUPPORTED: "this platform cannot run the library",
    QNN_COMMON_ERROR_SYSTEM_COMMUNICATION:
        "the DSP was restarted and is back; create contexts, graphs and buffers anew",
    QNN_COMMON_ERROR_INCOMPATIBLE_BINARIES:
        "libraries of different versions are mixed; install one version",
    QNN_COMMON_ERROR_LOADING_BINARIES: "the library is in the process twice; load it once",
    QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE: "busy now; call again after the next completion",
    QNN_COMMON_ERROR_SYSTEM_COMMUNICATION_FATAL:
        "the DSP was lost and did not come back; free everything and restart the process",
    QNN_COMMON_ERROR_GENERAL: "the device could not do it; results are unspecified",
    QNN_PROPERTY_ERROR_UNKNOWN_KEY: "no capability has this key",
    QNN_OP_PACKAGE_ERROR_LIBRARY_ALREADY_INITIALIZED:
        "the op package was initialised before; initialise it once",
    QNN_OP_PACKAGE_ERROR_LIBRARY_NOT_INITIALIZED: "initialise the op package first",
    QNN_OP_PACKAGE_ERROR_INVALID_HANDLE: "the handle names no op package",
    QNN_OP_PACKAGE_ERROR_INVALID_INFRASTRUCTURE:
        "the infrastructure given to the op package is not usable",
    QNN_OP_PACKAGE_ERROR_INVALID_INFO: "the op package describes itself wrongly",
    QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE:
        "the device cannot run this operation with these operands and parameters; run it elsewhere",
    QNN_OP_PACKAGE_ERROR_INVALID_ARGUMENT: "an argument of an op package call is wrong",
    QNN_BACKEND_ERROR_CANNOT_INITIALIZE: "the backend could not start",
    QNN_BACKEND_ERROR_TERMINATE_FAILED: "the backend could not let go of something",
    QNN_BACKEND_ERROR_NOT_SUPPORTED: "the backend does not offer this",
    QNN_BACKEND_ERROR_INVALID_ARGUMENT: "an argument of a backend call is null or wrong",
    QNN_BACKEND_ERROR_OP_PACKAGE_NOT_FOUND:
        "no op package has this operation; see QnnBackend_getSupportedOperations",
    QNN_BACKEND_ERROR_OP_PACKAGE_IF_PROVIDER_NOT_FOUND:
        "the op package has no such provider function",
    QNN_BACKEND_ERROR_OP_PACKAGE_REGISTRATION_FAILED:
        "op packages of others are not loaded; use the operations there are",
    QNN_BACKEND_ERROR_OP_PACKAGE_UNSUPPORTED_VERSION:
        "the op package's interface version is not known",
    QNN_BACKEND_ERROR_OP_PACKAGE_DUPLICATE: "this op package is registered already",
    QNN_BACKEND_ERROR_INCONSISTENT_CONFIG: "the options contradict earlier ones",
    QNN_BACKEND_ERROR_INVALID_HANDLE: "the handle names no living backend",
    QNN_BACKEND_ERROR_INVALID_CONFIG: "an option of the backend is not known or has a wrong value",
    QNN_BACKEND_ERROR_OP_PACKAGE_LOAD_FROM_BUFFER_FAILED:
        "an op package in memory could not be loaded",
    QNN_CONTEXT_ERROR_INVALID_ARGUMENT: "an argument of a context call is null or wrong",
    QNN_CONTEXT_ERROR_CTX_DOES_NOT_EXIST: "there is no such context",
    QNN_CONTEXT_ERROR_INVALID_HANDLE: "a handle names no living context, backend or device",
    QNN_CONTEXT_ERROR_NOT_FINALIZED:
        "a graph of the context is not finalized; finalize all of them first",
    QNN_CONTEXT_ERROR_BINARY_VERSION:
        "the binary has another format version; make it again with this version",
    QNN_CONTEXT_ERROR_CREATE_FROM_BINARY:
        "the binary is damaged, is none, or cannot run here; make it again",
    QNN_CONTEXT_ERROR_GET_BINARY_SIZE_FAILED: "the size of the binary could not be determined",
    QNN_CONTEXT_ERROR_GET_BINARY_FAILED:
        "the binary was not written; is the buffer as large as QnnContext_getBinarySize says?",
    QNN_CONTEXT_ERROR_BINARY_CONFIGURATION:
        "the binary was made for another architecture; make one for this device",
    QNN_CONTEXT_ERROR_SET_PROFILE: "the profile object cannot be used here",
    QNN_CONTEXT_ERROR_INVALID_CONFIG:
        "an option has a wrong value, or is not for this call",
    QNN_CONTEXT_ERROR_BINARY_SUBOPTIMAL:
        "the binary would run, but not at its best; prepare it for this device",
    QNN_CONTEXT_ERROR_ABORTED: "the creation was ended by its signal; nothing was created",
    QNN_CONTEXT_ERROR_TIMED_OUT: "the creation took longer than allowed; nothing was created",
    QNN_CONTEXT_ERROR_INCREMENT_INVALID_BUFFER:
        "this buffer was not given out as a part of a binary",
    QNN_GRAPH_ERROR_INVALID_ARGUMENT:
        "an argument of a graph call is null or wrong, or the context only prepares graphs",
    QNN_GRAPH_ERROR_INVALID_HANDLE: "the handle names no living graph or context",
    QNN_GRAPH_ERROR_GRAPH_DOES_NOT_EXIST: "there is no such graph",
    QNN_GRAPH_ERROR_INVALID_NAME: "the graph's name is missing, taken, or unknown in this context",
    QNN_GRAPH_ERROR_INVALID_TENSOR:
        "the tensors do not fit: compare number, ids, dimensions and sizes",
    QNN_GRAPH_ERROR_INVALID_OP_CONFIG:
        "the operation is described wrongly, or names a tensor that it cannot use",
    QNN_GRAPH_ERROR_SET_PROFILE: "the profile object cannot be used here",
    QNN_GRAPH_ERROR_UNCONNECTED_NODE:
        "an input of the operation is not produced yet; add operations in the order of their data",
    QNN_GRAPH_ERROR_CREATE_FAILED: "the graph could not be created",
    QNN_GRAPH_ERROR_OPTIMIZATION_FAILED: "the graph could not be optimised",
    QNN_GRAPH_ERROR_FINALIZE_FAILED:
        "the graph is empty or has an operation that the device cannot run",
    QNN_GRAPH_ERROR_GRAPH_NOT_FINALIZED: "finalize the graph first",
    QNN_GRAPH_ERROR_GRAPH_FINALIZED: "the graph is final; create another one to change it",
    QNN_GRAPH_ERROR_EXECUTION_ASYNC_FIFO_FULL: "the queue is full; wait for a completion",
    QNN_GRAPH_ERROR_SIGNAL_IN_USE: "another call uses the signal; give each call its own",
    QNN_GRAPH_ERROR_ABORTED: "the execution was ended before it was done; outputs are unspecified",
    QNN_GRAPH_ERROR_PROFILE_IN_USE: "another execution uses the profile object; give each its own",
    QNN_GRAPH_ERROR_TIMED_OUT: "the time allowed has passed; outputs are unspecified",
    QNN_GRAPH_ERROR_SUBGRAPH: "not possible with a subgraph",
    QNN_GRAPH_ERROR_DISABLED: "the graph is not enabled in its context",
    QNN_GRAPH_ERROR_DYNAMIC_TENSOR_SHAPE: "a dynamic dimension is not accepted here",
    QNN_GRAPH_ERROR_TENSOR_SPARSITY: "a sparse tensor is not accepted here",
    QNN_GRAPH_ERROR_EARLY_TERMINATION: "an operation ended the execution early",
    QNN_GRAPH_ERROR_INVALID_CONTEXT: "the context of the graph is gone",
    QNN_GRAPH_ERROR_CYCLE_DETECTED: "the graph has a loop",
    QNN_TENSOR_ERROR_INVALID_HANDLE: "the handle names no living graph, or the tensor is null",
    QNN_TENSOR_ERROR_DOES_NOT_EXIST: "there is no such tensor",
    QNN_TENSOR_ERROR_ALREADY_EXISTS: "the graph has a tensor of this name",
    QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM:
        "a field is wrong: compare name, type, dimensions, scales and amount of data",
    QNN_TENSOR_ERROR_UNSUPPORTED_TENSOR_PARAM:
        "a field of the tensor asks for something that is not offered",
    QNN_TENSOR_ERROR_NAME_HASH_COLLISION: "two names cannot be told apart; change one",
    QNN_TENSOR_ERROR_INCOMPATIBLE_TENSOR_UPDATE: "the update does not fit the tensor",
    QNN_MEM_ERROR_INVALID_ARGUMENT:
        "an argument is null, a descriptor is no open file, or a size is zero",
    QNN_MEM_ERROR_INVALID_HANDLE: "the handle names no registered buffer",
    QNN_MEM_ERROR_ALREADY_REGISTERED: "the context has this buffer already; use its handle",
    QNN_MEM_ERROR_MAPPING: "the memory is smaller than the buffer, or could not be mapped",
    QNN_MEM_ERROR_INVALID_SHAPE: "the buffer's shape is empty or reaches beyond the memory",
    QNN_MEM_ERROR_UNSUPPORTED_MEMTYPE: "this kind of memory is not offered",
    QNN_SIGNAL_ERROR_SIGNAL_IN_USE: "a call uses the signal; wait until it has ended",
    QNN_SIGNAL_ERROR_SIGNAL_IDLE: "no call uses the signal: there is nothing to end",
    QNN_SIGNAL_ERROR_INVALID_ARGUMENT:
        "an argument of a signal call is null or wrong; time-outs are above 0",
    QNN_SIGNAL_ERROR_INVALID_HANDLE: "the handle names no living signal or backend",
    QNN_SIGNAL_ERROR_TIMEOUT: "waiting for the signal took too long",
    QNN_SIGNAL_ERROR_INCOMPATIBLE_SIGNAL_TYPE:
        "the signal has another purpose; configure it for this one",
    QNN_ERROR_INVALID_ARGUMENT: "the output pointer is null",
    QNN_ERROR_INVALID_ERROR_HANDLE: "no error has this code",
    QNN_LOG_ERROR_INITIALIZATION: "the log could not start",
    QNN_LOG_ERROR_INVALID_ARGUMENT:
        "the handle names no living log, or the level is not one of 0 to 5",
    QNN_LOG_ERROR_INVALID_HANDLE: "the log, or the place for its handle, is null",
    QNN_PROFILE_ERROR_INVALID_HANDLE: "the handle names no living profile object or backend",
    QNN_PROFILE_ERROR_HANDLE_IN_USE: "a call uses the profile object",
    QNN_PROFILE_ERROR_INCOMPATIBLE_EVENT: "the event's data has another form",
    QNN_HTP_PERF_INFRASTRUCTURE_ERROR_INVALID_HANDLE_PTR: "the infrastructure pointer is wrong",
    QNN_HTP_PERF_INFRASTRUCTURE_ERROR_INVALID_INPUT:
        "device, core, id or configuration list is wrong",
    QNN_HTP_PERF_INFRASTRUCTURE_ERROR_UNSUPPORTED_CONFIG: "no such power option",
    QNN_HTP_PERF_INFRASTRUCTURE_ERROR_TRANSPORT: "the vote did not reach the DSP",
    QNN_HTP_PERF_INFRASTRUCTURE_ERROR_UNSUPPORTED: "this power option is not offered",
    QNN_HTP_PERF_INFRASTRUCTURE_ERROR_MEM_ALLOC: "no power configuration is left; destroy one",
    QNN_HTP_PERF_INFRASTRUCTURE_ERROR_FAILED:
        "the output pointer is null, or the call failed otherwise",
    QNN_DEVICE_ERROR_INVALID_HANDLE: "the handle names no living device or log",
    QNN_DEVICE_ERROR_INVALID_CONFIG: "an option of the device is not known or has a wrong value",
    QNN_DEVICE_ERROR_HARDWARE_UNAVAILABLE:
        "the configuration names other hardware than there is; see QnnDevice_getPlatformInfo",
    QNN_DEVICE_ERROR_ASSOCIATED_TO_CONTEXT: "a context uses the device; free it first",
    QNN_DEVICE_ERROR_ACCESS_DENIED: "the device may not be used by this process",
    QNN_GLOBAL_CONFIG_ERROR_INVALID_CONFIG: "a global option is not known",
    QNN_SYSTEM_COMMON_ERROR_INVALID_HANDLE: "the handle names no object of the system library",
    QNN_SYSTEM_COMMON_ERROR_INVALID_ARGUMENT: "an argument of a system call is null or wrong",
    QNN_SYSTEM_CONTEXT_ERROR_OPERATION_FAILED: "the system library could not do it",
    QNN_SYSTEM_CONTEXT_ERROR_MALFORMED_BINARY: "the binary is damaged or is none",
    QNN_SYSTEM_PROFILE_ERROR_MEM_ALLOC: "the system library has no room left",
};
