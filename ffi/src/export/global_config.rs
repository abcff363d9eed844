//! `QnnGlobalConfig.h`: the SoC, chosen once and before everything else. Afterwards it can only be
//! named as it is.

use crate::abi::*;
use crate::client::Configs;
use crate::convert::Code;
use crate::export::answer;
use crate::instance;

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnGlobalConfig_Set(
    config: *mut *const QnnGlobalConfig_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnGlobalConfig_Set", unsafe { set(config) })
}

/// # Safety
/// As the QNN API says.
unsafe fn set(config: *mut *const QnnGlobalConfig_t) -> Result<(), Code> {
    // SAFETY: the caller's promise.
    let configs = unsafe { Configs::read(config) };
    let configs = configs.map_err(|_| QNN_GLOBAL_CONFIG_ERROR_INVALID_CONFIG)?;
    let mut named = None;
    for config in configs.iter() {
        if config.option != QNN_GLOBAL_CONFIG_OPTION_SOC_MODEL {
            return Err(QNN_GLOBAL_CONFIG_ERROR_INVALID_CONFIG);
        }
        // SAFETY: the option selects this member, and every bit pattern is a number.
        let soc = unsafe { config.u.socModel };
        if named.replace(soc).is_some_and(|other| other != soc) {
            return Err(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
        }
    }
    named.map_or(Ok(()), instance::choose_soc)
}
