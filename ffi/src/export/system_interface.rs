//! `System/QnnSystemInterface.h`: the system provider and its table. All is offered but model
//! containers (`System/QnnSystemDlc.h`), whose entries are there and answer that they are not.

use crate::abi::provider::{SystemProviderStorage, RESERVED_ENTRIES};
use crate::abi::*;
use crate::client;
use crate::export::{system_context, system_log, system_profile, system_tensor};

/// Entries of the system table.
const ENTRIES: usize = 89;

type Entry = Option<unsafe extern "C" fn() -> Qnn_ErrorHandle_t>;

extern "C" fn not_offered() -> Qnn_ErrorHandle_t {
    QNN_COMMON_ERROR_NOT_SUPPORTED
}

// SAFETY: both are tables of that many nullable function pointers. Every entry is called with
// arguments that `not_offered` never looks at; in the C calling conventions of all targets the
// caller removes them, and all entries answer with the same type.
const NOT_OFFERED: QnnSystemInterface_ImplementationV1_14_t = unsafe {
    core::mem::transmute([Some(not_offered as unsafe extern "C" fn() -> _) as Entry; ENTRIES])
};

const TABLE: QnnSystemInterface_ImplementationV1_14_t = QnnSystemInterface_ImplementationV1_14_t {
    systemContextCreate: Some(system_context::QnnSystemContext_create),
    systemContextGetBinaryInfo: Some(system_context::QnnSystemContext_getBinaryInfo),
    systemContextGetMetaData: Some(system_context::QnnSystemContext_getMetadata),
    systemContextFree: Some(system_context::QnnSystemContext_free),
    systemTensorGetMemoryFootprint: Some(system_tensor::QnnSystemTensor_getMemoryFootprint),
    systemLogCreate: Some(system_log::QnnSystemLog_create),
    systemLogSetLogLevel: Some(system_log::QnnSystemLog_setLogLevel),
    systemLogFree: Some(system_log::QnnSystemLog_free),
    systemProfileCreateSerializationTarget: Some(
        system_profile::QnnSystemProfile_createSerializationTarget,
    ),
    systemProfileSerializeEventData: Some(system_profile::QnnSystemProfile_serializeEventData),
    systemProfileFreeSerializationTarget: Some(
        system_profile::QnnSystemProfile_freeSerializationTarget,
    ),
    ..NOT_OFFERED
};

static PROVIDER: SystemProviderStorage = SystemProviderStorage {
    interface: QnnSystemInterface_t {
        backendId: QNN_BACKEND_ID_NULL,
        providerName: client::address(QNN_SYSTEM_INTERFACE_PROVIDER_NAME),
        systemApiVersion: Qnn_Version_t {
            major: QNN_SYSTEM_API_VERSION_MAJOR,
            minor: QNN_SYSTEM_API_VERSION_MINOR,
            patch: QNN_SYSTEM_API_VERSION_PATCH,
        },
        u: QnnSystemInterface_u { v1_14: TABLE },
    },
    reserved: [0; RESERVED_ENTRIES],
};

struct List([*const QnnSystemInterface_t; 1]);

// SAFETY: never written; it points to an immutable static.
unsafe impl Sync for List {}

static LIST: List = List([&raw const PROVIDER.interface]);

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnSystemInterface_getProviders(
    providerList: *mut *mut *const QnnSystemInterface_t,
    numProviders: *mut u32,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let list = unsafe { client::out(providerList) };
    // SAFETY: the caller's promise.
    let count = unsafe { client::out(numProviders) };
    let (Some(list), Some(count)) = (list, count) else {
        return QNN_SYSTEM_INTERFACE_ERROR_INVALID_PARAMETER;
    };
    *list = LIST.0.as_ptr().cast_mut();
    *count = 1;
    QNN_SUCCESS
}
