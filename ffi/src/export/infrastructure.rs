//! `HTP/QnnHtpDevice.h` and `HTP/QnnHtpPerfInfrastructure.h`: power configurations.
//!
//! Ids outlive restarts, votes and the memory configuration do not (C-04): after one, clients set
//! them again with the same id. What a list says is read in [`super::perf`].

use runtime::error::HandleError;
use runtime::handle::{Epoch, PowerConfigId};
use runtime::power::PowerError;

use crate::abi::*;
use crate::client;
use crate::convert::{self, Code};
use crate::export::{answer, living, perf, settled, MayRecover};
use crate::instance;
use crate::refusal::{because, null};

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
        (None, _) => Err(null(QNN_DEVICE_ERROR_INVALID_ARGUMENT, "deviceInfra")()),
        (_, Err(code)) => Err(code),
    };
    answer(c"QnnDevice_getInfrastructure", result)
}

impl MayRecover for PowerError {
    fn is_recovering(&self) -> bool {
        *self == PowerError::Handle(HandleError::Recovering)
    }
}

fn power_error(error: PowerError) -> Code {
    match error {
        PowerError::Handle(error) => convert::handle_error(error, BAD),
        PowerError::NotSupported => QNN_HTP_PERF_INFRASTRUCTURE_ERROR_UNSUPPORTED,
        PowerError::OutOfRange => because!(BAD, "config has a time or a latency out of range"),
        PowerError::NeedsCoreVote => {
            because!(BAD, "config needs a core vote (dcvsV3Config.setCoreParams) beside it")
        }
        PowerError::NeedsPolling => {
            because!(BAD, "config asks for adaptive polling without a polling time")
        }
    }
}

/// The number that clients know a power configuration by. Never 0: generations count from 1.
fn to_client(id: PowerConfigId) -> u32 {
    u32::from(id.generation()) << 16 | u32::from(id.index())
}

fn from_client(id: u32) -> PowerConfigId {
    PowerConfigId::from_parts(id as u16, (id >> 16) as u16, Epoch::FIRST)
}

fn unknown(id: u32) -> Code {
    because!(BAD, "powerConfigId is ", id, ": no power configuration has this id")
}

/// There is one device with one core.
fn check_place(device: u32, core: u32) -> Result<(), Code> {
    (device == 0 && core == 0).then_some(()).ok_or_else(|| {
        because!(BAD, "deviceId is ", device, " and coreId is ", core, ", there is only 0 and 0")
    })
}

unsafe extern "C" fn create_power_config_id(
    device: u32,
    core: u32,
    id: *mut u32,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let nowhere = null(QNN_HTP_PERF_INFRASTRUCTURE_ERROR_FAILED, "powerConfigId");
    // SAFETY: the caller's promise.
    let out = unsafe { client::out(id) }.ok_or_else(nowhere);
    let result = out.and_then(|out| {
        check_place(device, core)?;
        let id = instance::get()?.driver.call(|machine, _| machine.power_config_create());
        *out = to_client(id.map_err(|_| QNN_HTP_PERF_INFRASTRUCTURE_ERROR_MEM_ALLOC)?);
        Ok(())
    });
    answer(c"QnnHtpPerfInfrastructure_createPowerConfigId", result)
}

extern "C" fn destroy_power_config_id(id: u32) -> Qnn_ErrorHandle_t {
    let result = living(|| unknown(id)).and_then(|instance| {
        let destroyed =
            instance.driver.call(|machine, _| machine.power_config_destroy(from_client(id)));
        destroyed.map_err(|error| convert::handle_error(error, unknown(id)))
    });
    answer(c"QnnHtpPerfInfrastructure_destroyPowerConfigId", result)
}

unsafe extern "C" fn set_power_config(
    id: u32,
    configs: *mut *const QnnHtpPerfInfrastructure_PowerConfig_t,
) -> Qnn_ErrorHandle_t {
    let result = living(|| unknown(id)).and_then(|instance| {
        // SAFETY: the caller's promise.
        let change = unsafe { perf::power_change(id, configs) }?;
        let set =
            settled(instance, |machine, _| machine.power_config_set(from_client(id), &change));
        set.map_err(|error| match error {
            PowerError::Handle(HandleError::Invalid) => unknown(id),
            other => power_error(other),
        })
    });
    answer(c"QnnHtpPerfInfrastructure_setPowerConfig", result)
}

unsafe extern "C" fn set_memory_config(
    device: u32,
    core: u32,
    configs: *mut *const QnnHtpPerfInfrastructure_MemoryConfig_t,
) -> Qnn_ErrorHandle_t {
    let result = check_place(device, core).and_then(|()| {
        // SAFETY: the caller's promise.
        let Some(config) = unsafe { perf::memory_config(configs) }? else { return Ok(()) };
        let set = settled(instance::get()?, |machine, _| machine.memory_config_set(config));
        set.map_err(|error| convert::handle_error(error, BAD))
    });
    answer(c"QnnHtpPerfInfrastructure_setMemoryConfig", result)
}
