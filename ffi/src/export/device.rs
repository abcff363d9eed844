//! `QnnDevice.h`; what a device's infrastructure offers stands in [`super::infrastructure`].
//!
//! There is one device. It is what it is: a configuration may name it, not change it.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

use runtime::vhtp::VhtpConfig;

use crate::abi::*;
use crate::client::{self, Configs};
use crate::convert::{from_client, to_client, Code};
use crate::export::{answer, living, log};
use crate::instance::{self, Instance};
use crate::objects::{kind, Device, DeviceId, HOST};
use crate::refusal::{because, no_handle, no_list, null, within};

const INVALID_HANDLE: Code = QNN_DEVICE_ERROR_INVALID_HANDLE;
const BAD: Code = QNN_DEVICE_ERROR_INVALID_ARGUMENT;
const BAD_CONFIG: Code = QNN_DEVICE_ERROR_INVALID_CONFIG;

/// The architectures that the QNN API names.
const ARCHITECTURES: [QnnHtpDevice_Arch_t; 8] = [
    QNN_HTP_DEVICE_ARCH_V68,
    QNN_HTP_DEVICE_ARCH_V69,
    QNN_HTP_DEVICE_ARCH_V73,
    QNN_HTP_DEVICE_ARCH_V75,
    QNN_HTP_DEVICE_ARCH_V79,
    QNN_HTP_DEVICE_ARCH_V81,
    QNN_HTP_DEVICE_ARCH_V85,
    QNN_HTP_DEVICE_ARCH_V89,
];

/// The description of the platform, whose parts point to each other.
struct Description {
    platform: QnnDevice_PlatformInfo_t,
    hardware: QnnDevice_HardwareDeviceInfo_t,
    core: QnnDevice_CoreInfo_t,
    extension: QnnHtpDevice_DeviceInfoExtension_t,
}

struct Place(UnsafeCell<MaybeUninit<Description>>);

// SAFETY: written once under the lock of the host objects before DESCRIBED says so, then only read.
unsafe impl Sync for Place {}

static PLACE: Place = Place(UnsafeCell::new(MaybeUninit::uninit()));
static DESCRIBED: AtomicBool = AtomicBool::new(false);

/// The description, made at the first look.
fn describe(instance: &Instance) -> *const QnnDevice_PlatformInfo_t {
    let place = PLACE.0.get().cast::<Description>();
    let _lock = instance.objects.lock();
    // SAFETY: the place is a static; taking addresses reads nothing.
    let (platform, hardware, core, extension) = unsafe {
        (
            &raw mut (*place).platform,
            &raw mut (*place).hardware,
            &raw mut (*place).core,
            &raw mut (*place).extension,
        )
    };
    if !DESCRIBED.load(Ordering::Acquire) {
        let description = description(&instance.device, hardware, core, extension);
        // SAFETY: the lock is held and nobody was given the address yet.
        unsafe { place.write(description) };
        DESCRIBED.store(true, Ordering::Release);
    }
    platform
}

fn description(
    device: &VhtpConfig,
    hardware: *mut QnnDevice_HardwareDeviceInfo_t,
    core: *mut QnnDevice_CoreInfo_t,
    extension: *mut QnnHtpDevice_DeviceInfoExtension_t,
) -> Description {
    Description {
        platform: QnnDevice_PlatformInfo_t {
            version: QNN_DEVICE_PLATFORM_INFO_VERSION_1,
            u: QnnDevice_PlatformInfo_u {
                v1: QnnDevice_PlatformInfoV1_t { numHwDevices: 1, hwDevices: hardware },
            },
        },
        hardware: QnnDevice_HardwareDeviceInfo_t {
            version: QNN_DEVICE_HARDWARE_DEVICE_INFO_VERSION_1,
            u: QnnDevice_HardwareDeviceInfo_u {
                v1: QnnDevice_HardwareDeviceInfoV1_t {
                    deviceId: 0,
                    deviceType: 0,
                    numCores: 1,
                    cores: core,
                    deviceInfoExtension: extension,
                },
            },
        },
        core: QnnDevice_CoreInfo_t {
            version: QNN_DEVICE_CORE_INFO_VERSION_1,
            u: QnnDevice_CoreInfo_u {
                v1: QnnDevice_CoreInfoV1_t {
                    coreId: 0,
                    coreType: QNN_HTP_CORE_TYPE_NSP,
                    coreInfoExtension: core::ptr::null_mut(),
                },
            },
        },
        extension: QnnHtpDevice_DeviceInfoExtension_t {
            devType: QNN_HTP_DEVICE_TYPE_ON_CHIP,
            u: QnnHtpDevice_DeviceInfoExtension_u {
                onChipDevice: QnnHtpDevice_OnChipDeviceInfoExtension_t {
                    vtcmSize: device.vtcm_mib as usize,
                    socModel: device.soc,
                    signedPdSupport: 0,
                    dlbcSupport: 0,
                    arch: device.arch,
                },
            },
        },
    }
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnDevice_getPlatformInfo(
    logger: Qnn_LogHandle_t,
    platformInfo: *mut *const QnnDevice_PlatformInfo_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let out = unsafe { client::out(platformInfo) }.ok_or_else(null(BAD, "platformInfo"));
    let described = out.and_then(|out| {
        let instance = instance::get()?;
        log::check_optional(logger, QNN_LOG_ERROR_INVALID_ARGUMENT)?;
        *out = describe(instance);
        Ok(())
    });
    answer(c"QnnDevice_getPlatformInfo", described)
}

#[no_mangle]
pub(crate) extern "C" fn QnnDevice_freePlatformInfo(
    _logger: Qnn_LogHandle_t,
    platformInfo: *const QnnDevice_PlatformInfo_t,
) -> Qnn_ErrorHandle_t {
    // It is a constant: nothing is freed. Only what was given out is taken back.
    let ours = instance::existing().is_some_and(|it| describe(it) == platformInfo);
    let result = match ours {
        true => Ok(()),
        false => Err(because!(BAD, "platformInfo was not given out by this library")),
    };
    answer(c"QnnDevice_freePlatformInfo", result)
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnDevice_create(
    logger: Qnn_LogHandle_t,
    config: *mut *const QnnDevice_Config_t,
    device: *mut Qnn_DeviceHandle_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnDevice_create", unsafe { create(logger, config, device) })
}

/// # Safety
/// As the QNN API says.
unsafe fn create(
    logger: Qnn_LogHandle_t,
    config: *mut *const QnnDevice_Config_t,
    device: *mut Qnn_DeviceHandle_t,
) -> Result<(), Code> {
    // SAFETY: the caller's promise.
    let device = unsafe { client::out(device) }.ok_or_else(null(BAD, "device"))?;
    let instance = instance::get()?;
    log::check_optional(logger, QNN_LOG_ERROR_INVALID_ARGUMENT)?;
    // SAFETY: the caller's promise.
    unsafe { check_config(instance, config) }?;
    let inserted = instance.objects.lock().devices.insert(HOST, Device);
    *device = to_client(inserted.map_err(|_| QNN_DEVICE_ERROR_MEM_ALLOC)?);
    Ok(())
}

/// What a configuration says of the hardware.
#[derive(Default)]
struct Wanted {
    soc: Option<u32>,
    arch: Option<u32>,
}

/// # Safety
/// As the QNN API says of configuration lists.
unsafe fn check_config(
    instance: &Instance,
    config: *mut *const QnnDevice_Config_t,
) -> Result<(), Code> {
    // SAFETY: the caller's promise.
    let configs = unsafe { Configs::read(config) }.map_err(no_list(BAD_CONFIG, "config"))?;
    let mut wanted = Wanted::default();
    for (at, config) in configs.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { wanted.take(config) }.map_err(|code| within!(code, "config[", at, "]->"))?;
    }
    wanted.check(&instance.device)
}

impl Wanted {
    /// # Safety
    /// What the entry points to is readable.
    unsafe fn take(&mut self, config: &QnnDevice_Config_t) -> Result<(), Code> {
        match config.option {
            QNN_DEVICE_CONFIG_OPTION_CUSTOM => {
                // SAFETY: the option selects this member, which points to an HTP option or is null.
                let custom = unsafe { config.u.customConfig }.cast::<QnnHtpDevice_CustomConfig_t>();
                // SAFETY: the caller's promise.
                let custom = unsafe { client::one(custom) };
                let custom = custom.ok_or_else(null(BAD_CONFIG, "customConfig"))?;
                self.take_custom(custom).map_err(|code| within!(code, "customConfig->"))
            }
            QNN_DEVICE_CONFIG_OPTION_PLATFORM_INFO => {
                // SAFETY: the option selects this member, which points to a description or is null.
                let platform = unsafe { config.u.hardwareInfo };
                // SAFETY: the caller's promise.
                unsafe { self.take_platform(platform) }
                    .map_err(|code| within!(code, "hardwareInfo"))
            }
            option => Err(because!(BAD_CONFIG, "option is ", option, ", not a known one")),
        }
    }

    fn take_custom(&mut self, config: &QnnHtpDevice_CustomConfig_t) -> Result<(), Code> {
        match config.option {
            // SAFETY: each option selects its member, plain numbers.
            QNN_HTP_DEVICE_CONFIG_OPTION_SOC => self.soc = Some(unsafe { config.u.socModel }),
            QNN_HTP_DEVICE_CONFIG_OPTION_ARCH => {
                // SAFETY: as above.
                let arch = unsafe { config.u.arch };
                self.arch = Some(arch.arch).filter(|&arch| arch != QNN_HTP_DEVICE_ARCH_NONE);
                return device_id("arch.deviceId", arch.deviceId);
            }
            QNN_HTP_DEVICE_CONFIG_OPTION_APP_UID => {
                let why = "option is APP_UID, which is not offered";
                return Err(because!(QNN_DEVICE_ERROR_UNSUPPORTED_FEATURE, why));
            }
            QNN_HTP_DEVICE_CONFIG_OPTION_SIGNEDPD => {
                // SAFETY: as above.
                let signed = unsafe { config.u.useSignedProcessDomain };
                device_id("useSignedProcessDomain.deviceId", signed.deviceId)?;
                return match signed.useSignedProcessDomain {
                    0 => Ok(()),
                    _ => {
                        let why = "useSignedProcessDomain is set: there is no signed domain";
                        Err(because!(QNN_DEVICE_ERROR_UNSUPPORTED_FEATURE, why))
                    }
                };
            }
            option => return Err(because!(BAD_CONFIG, "option is ", option, ", not a known one")),
        }
        Ok(())
    }

    /// A description of the hardware, as this library gives it out, or as a client builds it.
    ///
    /// # Safety
    /// It is null or points to a description whose pointers are sound.
    unsafe fn take_platform(
        &mut self,
        platform: *const QnnDevice_PlatformInfo_t,
    ) -> Result<(), Code> {
        if platform.is_null() {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        let platform = unsafe { client::one(platform) }.ok_or_else(null(BAD_CONFIG, ""))?;
        if platform.version != QNN_DEVICE_PLATFORM_INFO_VERSION_1 {
            let version = platform.version;
            return Err(because!(BAD_CONFIG, "->version is ", version, ", only 1 exists"));
        }
        // SAFETY: the version selects this member.
        let platform = unsafe { platform.u.v1 };
        // SAFETY: the caller's promise.
        let devices = unsafe { client::array(platform.hwDevices, platform.numHwDevices, 1) };
        let Some([hardware]) = devices else {
            let count = platform.numHwDevices;
            let why = ", there is 1; or hwDevices is null or not aligned";
            return Err(because!(BAD_CONFIG, "->v1.numHwDevices is ", count, why));
        };
        if hardware.version != QNN_DEVICE_HARDWARE_DEVICE_INFO_VERSION_1 {
            let (field, version) = ("->v1.hwDevices[0].version is ", hardware.version);
            return Err(because!(BAD_CONFIG, field, version, ", only 1 exists"));
        }
        // SAFETY: the version selects this member.
        let hardware = unsafe { hardware.u.v1 };
        device_id("->v1.hwDevices[0].v1.deviceId", hardware.deviceId)?;
        // SAFETY: the caller's promise.
        if let Some(extension) = unsafe { client::one(hardware.deviceInfoExtension) } {
            // SAFETY: an on-chip device has this member, plain numbers.
            let chip = unsafe { extension.u.onChipDevice };
            self.soc = Some(chip.socModel);
            self.arch = Some(chip.arch);
        }
        Ok(())
    }

    /// Compares with the device there is. Where both are named the SoC counts (DEV-015).
    fn check(&self, device: &VhtpConfig) -> Result<(), Code> {
        const OTHER: Code = QNN_DEVICE_ERROR_HARDWARE_UNAVAILABLE;
        let soc_wrong = |code, soc| {
            because!(code, "config names socModel ", soc, ", the device is ", device.soc)
        };
        let arch_wrong = |code, arch| {
            because!(code, "config names arch ", arch, ", the device is ", device.arch)
        };
        match (self.soc, self.arch) {
            (Some(soc), _) if soc == device.soc => Ok(()),
            (Some(soc @ 1..=QNN_SOC_MODEL_SM8850), _) => Err(soc_wrong(OTHER, soc)),
            (Some(soc), _) => Err(soc_wrong(BAD_CONFIG, soc)),
            (None, Some(arch)) if arch == device.arch => Ok(()),
            (None, Some(arch)) if ARCHITECTURES.contains(&arch) => Err(arch_wrong(OTHER, arch)),
            (None, Some(arch)) => Err(arch_wrong(BAD_CONFIG, arch)),
            (None, None) => Ok(()),
        }
    }
}

fn device_id(field: &'static str, id: u32) -> Result<(), Code> {
    match id {
        0 => Ok(()),
        _ => Err(because!(BAD_CONFIG, field, " is ", id, ", there is only 0")),
    }
}

/// The device that a handle names, if it lives.
fn known(device: Qnn_DeviceHandle_t) -> Result<(&'static Instance, DeviceId), Code> {
    let none = no_handle::<kind::Device>(INVALID_HANDLE, "device", device);
    let instance = living(&none)?;
    let id = from_client(device).ok_or_else(&none)?;
    instance.objects.lock().devices.get(id).map_err(|_| none())?;
    Ok((instance, id))
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnDevice_setConfig(
    device: Qnn_DeviceHandle_t,
    config: *mut *const QnnDevice_Config_t,
) -> Qnn_ErrorHandle_t {
    let result = known(device).and_then(|(instance, _)| {
        // SAFETY: the caller's promise.
        unsafe { check_config(instance, config) }
    });
    answer(c"QnnDevice_setConfig", result)
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnDevice_getInfo(
    device: Qnn_DeviceHandle_t,
    platformInfo: *mut *const QnnDevice_PlatformInfo_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let out = unsafe { client::out(platformInfo) };
    let result = known(device).and_then(|(instance, _)| {
        *out.ok_or_else(null(BAD, "platformInfo"))? = describe(instance);
        Ok(())
    });
    answer(c"QnnDevice_getInfo", result)
}

#[no_mangle]
pub(crate) extern "C" fn QnnDevice_free(device: Qnn_DeviceHandle_t) -> Qnn_ErrorHandle_t {
    answer(c"QnnDevice_free", free(device))
}

fn free(device: Qnn_DeviceHandle_t) -> Result<(), Code> {
    let (instance, id) = known(device)?;
    let mut objects = instance.objects.lock();
    if objects.owners().any(|owner| owner.device == Some(id)) {
        return Err(QNN_DEVICE_ERROR_ASSOCIATED_TO_CONTEXT);
    }
    objects.devices.remove(id).map(|_| ()).map_err(|_| INVALID_HANDLE)
}
