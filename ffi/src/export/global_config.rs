//! `QnnGlobalConfig.h`: the SoC, chosen once and before everything else. Afterwards it can only be
//! named as it is.

use crate::abi::*;
use crate::client::Configs;
use crate::convert::Code;
use crate::export::answer;
use crate::instance;
use crate::refusal::{because, no_list};

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
    const BAD: Code = QNN_GLOBAL_CONFIG_ERROR_INVALID_CONFIG;
    let configs = configs.map_err(no_list(BAD, "config"))?;
    let mut named = None;
    for (at, config) in configs.iter().enumerate() {
        let option = config.option;
        if option != QNN_GLOBAL_CONFIG_OPTION_SOC_MODEL {
            return Err(because!(BAD, "config[", at, "]->option is ", option, ", not a known one"));
        }
        // The last one counts (C-119).
        // SAFETY: the option selects this member, and every bit pattern is a number.
        named = Some(unsafe { config.u.socModel });
    }
    named.map_or(Ok(()), instance::choose_soc)
}
