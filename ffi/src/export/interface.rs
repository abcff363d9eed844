//! `QnnInterface.h`: the one provider and its table.

use crate::abi::provider::{ProviderStorage, RESERVED_ENTRIES};
use crate::abi::*;
use crate::client;
use crate::export::{
    backend, context, context_binary, context_list, context_section, device, error, execute,
    global_config, graph, infrastructure, log, mem, node, profile, property, signal, tensor,
};

/// Version of the core API and of the HTP API (DEV-001 names an older one; entries only ever were
/// added).
pub(crate) const API_VERSION: Qnn_ApiVersion_t = Qnn_ApiVersion_t {
    coreApiVersion: Qnn_Version_t {
        major: QNN_API_VERSION_MAJOR,
        minor: QNN_API_VERSION_MINOR,
        patch: QNN_API_VERSION_PATCH,
    },
    backendApiVersion: Qnn_Version_t {
        major: QNN_HTP_API_VERSION_MAJOR,
        minor: QNN_HTP_API_VERSION_MINOR,
        patch: QNN_HTP_API_VERSION_PATCH,
    },
};

const TABLE: QnnInterface_ImplementationV2_39_t = QnnInterface_ImplementationV2_39_t {
    propertyHasCapability: Some(property::QnnProperty_hasCapability),
    backendCreate: Some(backend::QnnBackend_create),
    backendSetConfig: Some(backend::QnnBackend_setConfig),
    backendGetApiVersion: Some(backend::QnnBackend_getApiVersion),
    backendGetBuildId: Some(backend::QnnBackend_getBuildId),
    backendRegisterOpPackage: Some(backend::QnnBackend_registerOpPackage),
    backendGetSupportedOperations: Some(backend::QnnBackend_getSupportedOperations),
    backendValidateOpConfig: Some(node::QnnBackend_validateOpConfig),
    backendFree: Some(backend::QnnBackend_free),
    contextCreate: Some(context::QnnContext_create),
    contextSetConfig: Some(context::QnnContext_setConfig),
    contextGetBinarySize: Some(context_binary::QnnContext_getBinarySize),
    contextGetBinary: Some(context_binary::QnnContext_getBinary),
    contextCreateFromBinary: Some(context_binary::QnnContext_createFromBinary),
    contextFree: Some(context::QnnContext_free),
    graphCreate: Some(graph::QnnGraph_create),
    graphCreateSubgraph: Some(graph::QnnGraph_createSubgraph),
    graphSetConfig: Some(graph::QnnGraph_setConfig),
    graphAddNode: Some(node::QnnGraph_addNode),
    graphFinalize: Some(graph::QnnGraph_finalize),
    graphRetrieve: Some(graph::QnnGraph_retrieve),
    graphExecute: Some(execute::QnnGraph_execute),
    graphExecuteAsync: Some(execute::QnnGraph_executeAsync),
    tensorCreateContextTensor: Some(tensor::QnnTensor_createContextTensor),
    tensorCreateGraphTensor: Some(tensor::QnnTensor_createGraphTensor),
    logCreate: Some(log::QnnLog_create),
    logSetLogLevel: Some(log::QnnLog_setLogLevel),
    logFree: Some(log::QnnLog_free),
    profileCreate: Some(profile::QnnProfile_create),
    profileSetConfig: Some(profile::QnnProfile_setConfig),
    profileGetEvents: Some(profile::QnnProfile_getEvents),
    profileGetSubEvents: Some(profile::QnnProfile_getSubEvents),
    profileGetEventData: Some(profile::QnnProfile_getEventData),
    profileGetExtendedEventData: Some(profile::QnnProfile_getExtendedEventData),
    profileFree: Some(profile::QnnProfile_free),
    memRegister: Some(mem::QnnMem_register),
    memDeRegister: Some(mem::QnnMem_deRegister),
    deviceGetPlatformInfo: Some(device::QnnDevice_getPlatformInfo),
    deviceFreePlatformInfo: Some(device::QnnDevice_freePlatformInfo),
    deviceGetInfrastructure: Some(infrastructure::QnnDevice_getInfrastructure),
    deviceCreate: Some(device::QnnDevice_create),
    deviceSetConfig: Some(device::QnnDevice_setConfig),
    deviceGetInfo: Some(device::QnnDevice_getInfo),
    deviceFree: Some(device::QnnDevice_free),
    signalCreate: Some(signal::QnnSignal_create),
    signalSetConfig: Some(signal::QnnSignal_setConfig),
    signalTrigger: Some(signal::QnnSignal_trigger),
    signalFree: Some(signal::QnnSignal_free),
    errorGetMessage: Some(error::QnnError_getMessage),
    errorGetVerboseMessage: Some(error::QnnError_getVerboseMessage),
    errorFreeVerboseMessage: Some(error::QnnError_freeVerboseMessage),
    graphPrepareExecutionEnvironment: Some(graph::QnnGraph_prepareExecutionEnvironment),
    graphReleaseExecutionEnvironment: Some(graph::QnnGraph_releaseExecutionEnvironment),
    graphGetProperty: Some(graph::QnnGraph_getProperty),
    contextValidateBinary: Some(context_binary::QnnContext_validateBinary),
    contextCreateFromBinaryWithSignal: Some(context_binary::QnnContext_createFromBinaryWithSignal),
    contextCreateFromBinaryListAsync: Some(context_list::QnnContext_createFromBinaryListAsync),
    tensorUpdateGraphTensors: Some(tensor::QnnTensor_updateGraphTensors),
    tensorUpdateContextTensors: Some(tensor::QnnTensor_updateContextTensors),
    contextGetBinarySectionSize: Some(context_section::QnnContext_getBinarySectionSize),
    contextGetBinarySection: Some(context_section::QnnContext_getBinarySection),
    contextApplyBinarySection: Some(context_section::QnnContext_applyBinarySection),
    backendGetProperty: Some(backend::QnnBackend_getProperty),
    contextGetProperty: Some(context_section::QnnContext_getProperty),
    contextGetIncrementalBinary: Some(context_section::QnnContext_getIncrementalBinary),
    contextReleaseIncrementalBinary: Some(context_section::QnnContext_releaseIncrementalBinary),
    contextFinalize: Some(context::QnnContext_finalize),
    globalConfigSet: Some(global_config::QnnGlobalConfig_Set),
    contextCreateFromBinaryWithCallback: Some(context::QnnContext_createFromBinaryWithCallback),
    contextGetBinarySectionUpdate: Some(context_section::QnnContext_getBinarySectionUpdate),
    contextFreeBinarySectionUpdate: Some(context_section::QnnContext_freeBinarySectionUpdate),
    contextAddToDlc: Some(context_section::QnnContext_addToDlc),
    graphValidate: Some(graph::QnnGraph_validate),
    graphFreeValidationResult: Some(graph::QnnGraph_freeValidationResult),
    backendRegisterOpPackageFromBinary: Some(backend::QnnBackend_registerOpPackageFromBinary),
};

static PROVIDER: ProviderStorage = ProviderStorage {
    interface: QnnInterface_t {
        backendId: QNN_BACKEND_ID_HTP,
        providerName: client::address(QNN_HTP_INTERFACE_PROVIDER_NAME),
        apiVersion: API_VERSION,
        u: QnnInterface_u { v2_39: TABLE },
    },
    reserved: [0; RESERVED_ENTRIES],
};

struct List([*const QnnInterface_t; 1]);

// SAFETY: never written; it points to an immutable static.
unsafe impl Sync for List {}

static LIST: List = List([&raw const PROVIDER.interface]);

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnInterface_getProviders(
    providerList: *mut *mut *const QnnInterface_t,
    numProviders: *mut u32,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let list = unsafe { client::out(providerList) };
    // SAFETY: the caller's promise.
    let count = unsafe { client::out(numProviders) };
    let (Some(list), Some(count)) = (list, count) else {
        return QNN_INTERFACE_ERROR_INVALID_PARAMETER;
    };
    *list = LIST.0.as_ptr().cast_mut();
    *count = 1;
    QNN_SUCCESS
}
