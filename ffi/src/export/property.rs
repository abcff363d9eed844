//! `QnnProperty.h`: what this library can do on its platform, truthfully.

use runtime::capability::Capabilities;

use crate::abi::*;
use crate::instance;

#[no_mangle]
pub(crate) extern "C" fn QnnProperty_hasCapability(key: QnnProperty_Key_t) -> Qnn_ErrorHandle_t {
    let capabilities = match instance::get() {
        Ok(instance) => instance.capabilities,
        Err(code) => return code,
    };
    match capability(key) {
        Some(Needs::Nothing) => QNN_PROPERTY_SUPPORTED,
        Some(Needs::Platform(needed)) if capabilities.contains(needed) => QNN_PROPERTY_SUPPORTED,
        Some(_) => QNN_PROPERTY_NOT_SUPPORTED,
        None if is_known(key) => QNN_PROPERTY_NOT_SUPPORTED,
        None => QNN_PROPERTY_ERROR_UNKNOWN_KEY,
    }
}

/// What a capability that is offered depends on.
enum Needs {
    Nothing,
    Platform(Capabilities),
}

fn capability(key: QnnProperty_Key_t) -> Option<Needs> {
    Some(match key {
        QNN_PROPERTY_GROUP_CORE
        | QNN_PROPERTY_GROUP_BACKEND
        | QNN_PROPERTY_GROUP_CONTEXT
        | QNN_PROPERTY_CONTEXT_SUPPORT_CACHING
        | QNN_PROPERTY_CONTEXT_SUPPORT_CONFIGURATION
        | QNN_PROPERTY_CONTEXT_SUPPORT_CONFIG_PERSISTENT_BINARY
        | QNN_PROPERTY_CONTEXT_SUPPORT_CONFIG_BINARY_COMPATIBILITY_TYPE
        | QNN_PROPERTY_CONTEXT_SUPPORT_VALIDATE_BINARY
        | QNN_PROPERTY_CONTEXT_SUPPORT_CREATE_FROM_BINARY_WITH_SIGNALS
        | QNN_PROPERTY_GROUP_GRAPH
        | QNN_PROPERTY_GRAPH_SUPPORT_CONFIG
        | QNN_PROPERTY_GRAPH_SUPPORT_PRIORITY_CONTROL
        | QNN_PROPERTY_GRAPH_SUPPORT_EXECUTE_SIGNAL
        | QNN_PROPERTY_GRAPH_SUPPORT_EXECUTE
        | QNN_PROPERTY_GRAPH_SUPPORT_EXECUTE_PER_API_PROFILING
        | QNN_PROPERTY_GROUP_TENSOR
        | QNN_PROPERTY_TENSOR_SUPPORT_QUANTIZATION_ENCODING_SCALE_OFFSET
        | QNN_PROPERTY_TENSOR_SUPPORT_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET
        | QNN_PROPERTY_GROUP_ERROR
        | QNN_PROPERTY_GROUP_SIGNAL
        | QNN_PROPERTY_SIGNAL_SUPPORT_ABORT
        | QNN_PROPERTY_SIGNAL_SUPPORT_TIMEOUT
        | QNN_PROPERTY_GROUP_LOG
        | QNN_PROPERTY_LOG_SUPPORTS_DEFAULT_STREAM
        | QNN_PROPERTY_GROUP_PROFILE
        | QNN_PROPERTY_PROFILE_SUPPORTS_EXTENDED_EVENT
        | QNN_PROPERTY_GROUP_DEVICE
        | QNN_PROPERTY_DEVICE_SUPPORT_INFRASTRUCTURE
        | QNN_PROPERTY_GROUP_CUSTOM => Needs::Nothing,
        QNN_PROPERTY_BACKEND_SUPPORT_COMPOSITION | QNN_PROPERTY_GRAPH_SUPPORT_ONLINE_PREPARE => {
            Needs::Platform(Capabilities::ONLINE_COMPOSITION)
        }
        QNN_PROPERTY_GRAPH_SUPPORT_ASYNC_EXECUTION
        | QNN_PROPERTY_GRAPH_SUPPORT_EXECUTE_ASYNC_SIGNAL => {
            Needs::Platform(Capabilities::ASYNC_EXECUTION)
        }
        QNN_PROPERTY_GROUP_MEMORY
        | QNN_PROPERTY_TENSOR_SUPPORT_MEMHANDLE_TYPE
        | QNN_PROPERTY_MEMORY_SUPPORT_MEM_TYPE_ION
        | QNN_PROPERTY_MEMORY_SUPPORT_MEM_TYPE_CUSTOM
        | QNN_PROPERTY_MEMORY_SUPPORT_MEM_TYPE_DMA_BUF => {
            Needs::Platform(Capabilities::SHARED_BUFFERS)
        }
        _ => return None,
    })
}

/// Whether HTP libraries know such a key. They do not know all that the QNN API names: how a
/// scale is given and the newer picture formats are no questions to them.
fn is_known(key: QnnProperty_Key_t) -> bool {
    matches!(
        key,
        QNN_PROPERTY_BACKEND_SUPPORT_OP_PACKAGE..=QNN_PROPERTY_BACKEND_SUPPORT_CUSTOM_PROPERTY
            | QNN_PROPERTY_CONTEXT_SUPPORT_CONFIGURATION
                ..=QNN_PROPERTY_CONTEXT_SUPPORT_BINARY_SECTION_UPDATES
            | QNN_PROPERTY_GRAPH_SUPPORT_CONFIG..=QNN_PROPERTY_GRAPH_SUPPORT_GRAPH_VALIDATION
            | QNN_PROPERTY_GROUP_OP_PACKAGE..=QNN_PROPERTY_OP_PACKAGE_SUPPORTS_DUPLICATE_NAMES
            | QNN_PROPERTY_TENSOR_SUPPORT_MEMHANDLE_TYPE
                ..=QNN_PROPERTY_TENSOR_SUPPORT_UPDATEABLE_APP_TENSORS
            | QNN_PROPERTY_TENSOR_SUPPORT_OPTIONAL_APP_WRITE
                ..=QNN_PROPERTY_TENSOR_SUPPORT_UBWC_NV124R_UV
            | QNN_PROPERTY_ERROR_GET_VERBOSE_MESSAGE
            | QNN_PROPERTY_GROUP_MEMORY..=QNN_PROPERTY_MEMORY_SUPPORT_MEM_TYPE_DX12
            | QNN_PROPERTY_PROFILE_SUPPORT_CUSTOM_CONFIG
                ..=QNN_PROPERTY_PROFILE_SUPPORT_OPTRACE_CONFIG
            | QNN_PROPERTY_CUSTOM_HTP_UNSIGNED_PD_SUPPORT
    )
}
