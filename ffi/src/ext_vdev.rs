//! The virtual device: what it is, and what goes wrong on it.

#![allow(non_camel_case_types, reason = "names of the C interface")]

use runtime::capability::PlatformKind;
use runtime::vhtp::{Fault, JournalEntry, Pacing, VhtpConfig};

use crate::abi::*;
use crate::ext;
use crate::instance::{self, Device};
use crate::refusal;

/// A platform whose rules the virtual device follows.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum htp_rt_platform_t {
    /// QNX in an ADAS domain.
    HTP_RT_PLATFORM_QNX_ADAS = 0,
    /// QNX in an infotainment domain.
    HTP_RT_PLATFORM_QNX_IVI = 1,
    /// Android.
    HTP_RT_PLATFORM_ANDROID = 2,
    /// Linux on an ARM target.
    HTP_RT_PLATFORM_LINUX_ARM = 3,
    /// Windows on ARM.
    HTP_RT_PLATFORM_WINDOWS = 4,
    /// The x86-64 host simulation, which does not restart a crashed DSP.
    HTP_RT_PLATFORM_X86_SIMULATION = 5,
}

/// Whether modelled cycles take time.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum htp_rt_pacing_t {
    /// Graphs run as fast as the host can; cycles are only reported.
    HTP_RT_PACING_FREE = 0,
    /// Graphs take as long as the modelled device would.
    HTP_RT_PACING_MODELLED = 1,
}

/// What the virtual device is. Zero the struct, set `struct_size`, then what differs: 0 means the
/// default, which is SoC model 52 (architecture 73) under QNX in an ADAS domain, not paced.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_vdev_config_t {
    /// `sizeof(htp_rt_vdev_config_t)`.
    pub struct_size: u32,
    /// One of `htp_rt_platform_t`.
    pub platform: u32,
    /// Hexagon architecture: 68, 69, 73, 75, 79, 81.
    pub arch: u32,
    /// QNN SoC model number; gives the defaults of the three fields around it.
    pub soc: u32,
    /// Tightly coupled memory in MiB.
    pub vtcm_mib: u32,
    /// HVX vector units.
    pub hvx_units: u32,
    /// One of `htp_rt_pacing_t`.
    pub pacing: u32,
    /// 0: each execution takes exactly the modelled cycles. Otherwise: up to 1/16 longer,
    /// pseudo-randomly.
    pub seed: u64,
}

/// Chooses the virtual device. Before `htp_rt_init` and the first QNN call.
///
/// Errors: `QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED` if the library is initialised;
/// `QNN_COMMON_ERROR_INVALID_ARGUMENT` if a number is not known.
///
/// # Safety
/// `config` is NULL or points to a struct.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_vdev_configure(
    config: *const htp_rt_vdev_config_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let config = unsafe { config.as_ref() };
    match config.and_then(vdev_config) {
        Some(config) => ext::code_of(instance::configure_device(config)),
        None => refusal::plain(QNN_COMMON_ERROR_INVALID_ARGUMENT),
    }
}

fn vdev_config(given: &htp_rt_vdev_config_t) -> Option<VhtpConfig> {
    if given.struct_size as usize != size_of::<htp_rt_vdev_config_t>() {
        return None;
    }
    let base = if given.soc == 0 { VhtpConfig::default() } else { VhtpConfig::for_soc(given.soc)? };
    let or = |value: u32, default: u32| if value == 0 { default } else { value };
    let arch = or(given.arch, base.arch);
    let known = [68, 69, 73, 75, 79, 81].contains(&arch);
    let pacing = match given.pacing {
        0 => Pacing::Free,
        1 => Pacing::Modelled,
        _ => return None,
    };
    known.then_some(VhtpConfig {
        platform: PlatformKind::from_number(given.platform)?,
        arch,
        soc: base.soc,
        vtcm_mib: or(given.vtcm_mib, base.vtcm_mib),
        hvx_units: or(given.hvx_units, base.hvx_units),
        seed: given.seed,
        pacing,
    })
}

fn with_device(call: impl FnOnce(&mut Device)) -> Qnn_ErrorHandle_t {
    match instance::get() {
        Ok(instance) => match instance.driver.with_device(|device| call(device)) {
            Some(()) => QNN_SUCCESS,
            None => refusal::plain(QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE),
        },
        Err(error) => refusal::plain(error),
    }
}

/// From now on no op starts on the virtual device, so that queues fill. Waits for the present op to
/// end. A device that is held makes no progress: blocking calls end after 10 seconds of it.
///
/// Where nobody sleeps, this call and the others on the virtual device answer
/// `QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE` if they interrupt what drives it.
#[no_mangle]
pub extern "C" fn htp_rt_vdev_hold() -> Qnn_ErrorHandle_t {
    with_device(Device::hold)
}

/// Ends `htp_rt_vdev_hold`.
#[no_mangle]
pub extern "C" fn htp_rt_vdev_resume() -> Qnn_ErrorHandle_t {
    with_device(Device::resume)
}

/// Argument of `htp_rt_vdev_crash`: at once, not in the middle of an op.
pub const HTP_RT_VDEV_CRASH_NOW: u32 = 0xFFFF_FFFF;

/// Crashes the virtual DSP in the middle of operation `op` of the next execution that reaches it,
/// or at once.
#[no_mangle]
pub extern "C" fn htp_rt_vdev_crash(op: u32) -> Qnn_ErrorHandle_t {
    let fault = if op == HTP_RT_VDEV_CRASH_NOW { Fault::CrashNow } else { Fault::CrashAtOp { op } };
    with_device(|device| device.inject(fault))
}

/// Has the present execution, or else the next one, stop for ever.
#[no_mangle]
pub extern "C" fn htp_rt_vdev_hang() -> Qnn_ErrorHandle_t {
    with_device(|device| device.inject(Fault::Hang))
}

/// Has the next `times` attempts to reconnect fail; `UINT32_MAX`: all.
#[no_mangle]
pub extern "C" fn htp_rt_vdev_reconnect_fails(times: u32) -> Qnn_ErrorHandle_t {
    with_device(|device| device.inject(Fault::ReconnectFails { times }))
}

/// One line of the virtual device's journal.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_vdev_journal_entry_t {
    /// When, in microseconds of `htp_rt_now_us`.
    pub at_us: u64,
    /// Depends on `kind`: of an execution the HMX thread priority in the upper 32 bits, of a
    /// preparation or mapping the bytes, of an answer 0 in the lower 16 bits if it went well.
    pub arg: u64,
    /// Life of the DSP.
    pub epoch: u32,
    /// What: 0 connect, 1 context create, 2 context release, 3 graph prepare, 4 graph release, 5
    /// buffer map, 6 buffer unmap, 7 execute, 8 abort, 9 probe, 10 power vote (`arg`: from the
    /// lowest byte min, target and max corner of the core, then those of the bus, 0 for no vote;
    /// the clock in MHz in the upper 16 bits), 11 memory configuration (`arg`: bytes by which the
    /// heap grows), 12 shutdown; 20 fault armed, 21 hold, 22 resume; 40 connected, 41 connect
    /// failed, 42 context created, 43 context released, 44 graph prepared, 45 graph released,
    /// 46 buffer mapped, 47 buffer unmapped, 48 executed, 49 alive, 50 crashed.
    pub kind: u32,
    /// Slot of the object it is about.
    pub index: u32,
    /// Generation of that object.
    pub generation: u32,
}

/// Reads the newest lines of the virtual device's journal, oldest first: every command it was
/// given, every event it reported. `count` receives the number of lines written to `entries`,
/// `total` (may be NULL) the number ever journalled.
///
/// # Safety
/// `entries` has room for `capacity` lines; `count` is writable; `total` is NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_vdev_journal(
    entries: *mut htp_rt_vdev_journal_entry_t,
    capacity: u32,
    count: *mut u32,
    total: *mut u64,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let (Some(count), total) = (unsafe { count.as_mut() }, unsafe { total.as_mut() }) else {
        return refusal::plain(QNN_COMMON_ERROR_INVALID_ARGUMENT);
    };
    if entries.is_null() && capacity > 0 {
        return refusal::plain(QNN_COMMON_ERROR_INVALID_ARGUMENT);
    }
    let capacity = capacity as usize;
    // SAFETY: the caller's promise; an empty slice needs no memory.
    let entries = if capacity == 0 {
        &mut []
    } else {
        // SAFETY: as above.
        unsafe { core::slice::from_raw_parts_mut(entries, capacity) }
    };
    with_device(|device| {
        let skip = device.journal().count().saturating_sub(capacity);
        let mut written: u32 = 0;
        for (to, from) in entries.iter_mut().zip(device.journal().skip(skip)) {
            *to = journal_entry(from);
            written = written.saturating_add(1);
        }
        *count = written;
        if let Some(total) = total {
            *total = device.journal_total();
        }
    })
}

fn journal_entry(entry: &JournalEntry) -> htp_rt_vdev_journal_entry_t {
    htp_rt_vdev_journal_entry_t {
        at_us: entry.at.as_us(),
        arg: entry.arg,
        epoch: entry.epoch.number(),
        kind: entry.what as u32,
        index: entry.index.into(),
        generation: entry.generation,
    }
}
