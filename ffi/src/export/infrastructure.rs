//! `HTP/QnnHtpDevice.h` and `HTP/QnnHtpPerfInfrastructure.h`: power configurations.
//!
//! Ids can be made and destroyed; they outlive restarts (C-04). Votes are not offered yet: the setters say so.

use crate::abi::*;
use crate::client;
use crate::convert::Code;
use crate::export::answer;
use crate::instance;
use crate::objects::PowerConfig;

const BAD: Code = QNN_HTP_PERF_INFRASTRUCTURE_ERROR_INVALID_INPUT;

static INFRASTRUCTURE: QnnHtpDevice_Infrastructure_t = QnnHtpDevice_Infrastructure_t {
    infraType: QNN_HTP_DEVICE_INFRASTRUCTURE_TYPE_PERF,
    u: QnnHtpDevice_Infrastructure_u {
        perfInfra: QnnHtpDevice_PerfInfrastructure_t {
            createPowerConfigId: Some(create_power_config_id),
            destroyPowerConfigId: Some(destroy_power_config_id),
            setPowerConfig: Some(set_power_config),
            setMemoryConfig: Some(set_memory_config),
        },
    },
};

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnDevice_getInfrastructure(
    deviceInfra: *const QnnDevice_Infrastructure_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise: an output, although the QNN API declares it constant.
    let out = unsafe { client::out(deviceInfra.cast_mut()) };
    let result = match (out, instance::get()) {
        (Some(out), Ok(_)) => {
            *out = (&raw const INFRASTRUCTURE).cast_mut();
            Ok(())
        }
        (None, _) => Err(QNN_DEVICE_ERROR_INVALID_ARGUMENT),
        (_, Err(code)) => Err(code),
    };
    answer(c"QnnDevice_getInfrastructure", result)
}

unsafe extern "C" fn create_power_config_id(
    device: u32,
    core: u32,
    id: *mut u32,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let out = unsafe { client::out(id) }.ok_or(QNN_HTP_PERF_INFRASTRUCTURE_ERROR_FAILED);
    let result = out.and_then(|out| {
        if device != 0 || core != 0 {
            return Err(BAD);
        }
        let mut objects = instance::get()?.objects.lock();
        let id = objects.power_config_last.wrapping_add(1).max(1);
        let free = objects.power_configs.iter_mut().find(|place| place.is_none());
        *free.ok_or(QNN_HTP_PERF_INFRASTRUCTURE_ERROR_MEM_ALLOC)? = Some(PowerConfig { id });
        objects.power_config_last = id;
        *out = id;
        Ok(())
    });
    answer(c"QnnHtpPerfInfrastructure_createPowerConfigId", result)
}

extern "C" fn destroy_power_config_id(id: u32) -> Qnn_ErrorHandle_t {
    answer(c"QnnHtpPerfInfrastructure_destroyPowerConfigId", destroy(id))
}

fn destroy(id: u32) -> Result<(), Code> {
    let mut objects = instance::existing().ok_or(BAD)?.objects.lock();
    let wanted = Some(PowerConfig { id });
    let place = objects.power_configs.iter_mut().find(|place| **place == wanted);
    *place.ok_or(BAD)? = None;
    Ok(())
}

extern "C" fn set_power_config(
    id: u32,
    configs: *mut *const QnnHtpPerfInfrastructure_PowerConfig_t,
) -> Qnn_ErrorHandle_t {
    let known = instance::existing().is_some_and(|instance| {
        instance.objects.lock().power_configs.contains(&Some(PowerConfig { id }))
    });
    let result = match known && !configs.is_null() {
        true => Err(QNN_HTP_PERF_INFRASTRUCTURE_ERROR_UNSUPPORTED),
        false => Err(BAD),
    };
    answer(c"QnnHtpPerfInfrastructure_setPowerConfig", result)
}

extern "C" fn set_memory_config(
    _device: u32,
    _core: u32,
    configs: *mut *const QnnHtpPerfInfrastructure_MemoryConfig_t,
) -> Qnn_ErrorHandle_t {
    let result = match configs.is_null() {
        true => Err(BAD),
        false => Err(QNN_HTP_PERF_INFRASTRUCTURE_ERROR_UNSUPPORTED),
    };
    answer(c"QnnHtpPerfInfrastructure_setMemoryConfig", result)
}
