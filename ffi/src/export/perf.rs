//! `HTP/QnnHtpPerfInfrastructure.h`: what lists of power and memory settings say.
//!
//! A list is read as a whole before anything is set. An option that the QNN API names but this
//! library does not offer is answered with `..._ERROR_UNSUPPORTED`, an unknown one with
//! `..._ERROR_UNSUPPORTED_CONFIG`, a value without meaning with `..._ERROR_INVALID_INPUT`.

use runtime::power::{
    Corner, Corners, Dcvs, HmxChoice, HmxCorner, HmxVote, MemoryConfig, PowerChange, PowerMode,
};

use crate::abi::*;
use crate::client::Configs;
use crate::convert::Code;
use crate::refusal::{because, no_list, within, Dims};

use QnnHtpPerfInfrastructure_PowerConfig_t as PowerConfig;

const BAD: Code = QNN_HTP_PERF_INFRASTRUCTURE_ERROR_INVALID_INPUT;

/// Reads a list of power settings for the configuration `id`. If it names an option twice, the
/// later one counts.
///
/// # Safety
/// As [`Configs::read`].
pub(crate) unsafe fn power_change(
    id: u32,
    list: *mut *const PowerConfig,
) -> Result<PowerChange, Code> {
    if list.is_null() {
        return Err(because!(BAD, "config is null"));
    }
    // SAFETY: the caller's promise.
    let list = unsafe { Configs::read(list) }.map_err(no_list(BAD, "config"))?;
    let mut change = PowerChange::default();
    for (at, config) in list.iter().enumerate() {
        read_option(config, id, &mut change).map_err(|code| within!(code, "config[", at, "]->"))?;
    }
    Ok(change)
}

fn read_option(config: &PowerConfig, id: u32, change: &mut PowerChange) -> Result<(), Code> {
    let setting = match config.option {
        QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_DCVS_V3 => {
            // SAFETY: the option says which member the client set; all bits are valid.
            return dcvs(unsafe { &config.u.dcvsV3Config }, id, change);
        }
        QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_HMX_V2 => {
            // SAFETY: as above.
            let read = hmx(unsafe { &config.u.hmxV2Config });
            change.hmx = Some(read.ok_or_else(|| {
                because!(
                    BAD,
                    "hmxV2Config has an unknown mode or corner, or min, target, max mixed"
                )
            })?);
            return Ok(());
        }
        QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_RPC_CONTROL_LATENCY => {
            &mut change.rpc_latency_us
        }
        QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_RPC_POLLING_TIME => {
            &mut change.rpc_polling_us
        }
        QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_ADAPTIVE_POLLING_TIME => {
            &mut change.adaptive_polling_us
        }
        QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_HMX_TIMEOUT_INTERVAL_US => {
            &mut change.hmx_timeout_us
        }
        QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_DDR_PERF_MODE
        | QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_CENG
        | QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_DCVS_V3_EXP
        | QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_CENG_EXP => {
            const CODE: Code = QNN_HTP_PERF_INFRASTRUCTURE_ERROR_UNSUPPORTED;
            return Err(because!(CODE, "option is ", config.option, ", which is not offered"));
        }
        option => {
            const CODE: Code = QNN_HTP_PERF_INFRASTRUCTURE_ERROR_UNSUPPORTED_CONFIG;
            return Err(because!(CODE, "option is ", option, ", not a known one"));
        }
    };
    // SAFETY: as above; the four members that come here are one number of microseconds each.
    *setting = Some(unsafe { config.u.rpcControlLatencyConfig });
    Ok(())
}

/// Reads a DCVS vote. Its members count where their `set` flag is not 0 (PERF-005 to PERF-011).
fn dcvs(
    vote: &QnnHtpPerfInfrastructure_DcvsV3_t,
    id: u32,
    change: &mut PowerChange,
) -> Result<(), Code> {
    if vote.contextId != id {
        let field = "dcvsV3Config.contextId is ";
        return Err(because!(BAD, field, vote.contextId, ", powerConfigId is ", id));
    }
    if vote.setDcvsEnable != 0 {
        let mode = || {
            let (field, mode) = ("dcvsV3Config.powerMode is ", vote.powerMode);
            PowerMode::from_number(mode)
                .ok_or_else(|| because!(BAD, field, mode, ", not a known one"))
        };
        change.dcvs = Some(if vote.dcvsEnable == 0 { Dcvs::Off } else { Dcvs::On(mode()?) });
    }
    if vote.setSleepLatency != 0 {
        change.sleep_latency_us = Some(vote.sleepLatency);
    }
    if vote.setSleepDisable != 0 {
        change.sleep_disabled = Some(vote.sleepDisable != 0);
    }
    if vote.setBusParams != 0 {
        let (min, max) = (vote.busVoltageCornerMin, vote.busVoltageCornerMax);
        change.bus = Some(corners("bus", [min, vote.busVoltageCornerTarget, max])?);
    }
    if vote.setCoreParams != 0 {
        let (min, max) = (vote.coreVoltageCornerMin, vote.coreVoltageCornerMax);
        change.core = Some(corners("core", [min, vote.coreVoltageCornerTarget, max])?);
    }
    Ok(())
}

fn corners(field: &'static str, numbers: [u32; 3]) -> Result<Corners<Corner>, Code> {
    let read = |[min, target, max]: [Option<Corner>; 3]| Corners::new(min?, target?, max?);
    read(numbers.map(Corner::from_number)).ok_or_else(|| {
        let why = "VoltageCornerMin, Target, Max are not three corners, none above the next: ";
        because!(BAD, "dcvsV3Config.", field, why, Dims(numbers.into_iter()))
    })
}

fn hmx(vote: &QnnHtpPerfInfrastructure_HmxV2_t) -> Option<HmxChoice> {
    if vote.hmxPickDefault != 0 {
        return Some(HmxChoice::Default);
    }
    let clock = u8::try_from(vote.hmxPerfMode).ok()?;
    let known =
        QNN_HTP_PERF_INFRASTRUCTURE_CLK_PERF_HIGH..=QNN_HTP_PERF_INFRASTRUCTURE_CLK_PERF_HIGH_D15;
    if !known.contains(&vote.hmxPerfMode)
        && vote.hmxPerfMode != QNN_HTP_PERF_INFRASTRUCTURE_CLK_PERF_MAX
    {
        return None;
    }
    let numbers = [vote.hmxVoltageCornerMin, vote.hmxVoltageCornerTarget, vote.hmxVoltageCornerMax];
    let [min, target, max] = numbers.map(HmxCorner::from_number);
    Some(HmxChoice::Vote(HmxVote { corners: Corners::new(min?, target?, max?)?, clock }))
}

/// Reads a list of memory settings; `None` if it is empty.
///
/// # Safety
/// As [`Configs::read`].
pub(crate) unsafe fn memory_config(
    list: *mut *const QnnHtpPerfInfrastructure_MemoryConfig_t,
) -> Result<Option<MemoryConfig>, Code> {
    if list.is_null() {
        return Err(because!(BAD, "config is null"));
    }
    // SAFETY: the caller's promise.
    let list = unsafe { Configs::read(list) }.map_err(no_list(BAD, "config"))?;
    let mut wanted = None;
    for (at, config) in list.iter().enumerate() {
        if config.option != QNN_HTP_PERF_INFRASTRUCTURE_MEMORY_CONFIGOPTION_GROW_SIZE {
            const CODE: Code = QNN_HTP_PERF_INFRASTRUCTURE_ERROR_UNSUPPORTED_CONFIG;
            let (option, why) = (config.option, ", not a known one");
            return Err(because!(CODE, "config[", at, "]->option is ", option, why));
        }
        // SAFETY: the option says which member the client set; all bits are valid.
        wanted = Some(MemoryConfig { grow_bytes: unsafe { config.u.memGrowSizeConfig } });
    }
    Ok(wanted)
}
