//! HTP options of contexts: what a list asks for with them.
//!
//! Switching off what is not there is fine. Switching it on is refused: with "not supported" where
//! the option belongs to another platform or to a feature that is not offered, with "invalid
//! configuration" where this call never takes it (C-91).

use crate::abi::*;
use crate::convert::Code;

const UNSUPPORTED: Code = QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE;
const BAD_CONFIG: Code = QNN_CONTEXT_ERROR_INVALID_CONFIG;

/// Number of options, with 0, which is none.
const OPTIONS: usize = QNN_HTP_CONTEXT_CONFIG_OPTION_PARALLEL_WEIGHT_LOADING as usize + 1;

/// The last entry of each option.
pub(crate) struct Custom<'a> {
    last: [Option<&'a QnnHtpContext_CustomConfig_t>; OPTIONS],
}

impl<'a> Custom<'a> {
    pub(crate) const NOTHING: Self = Self { last: [None; OPTIONS] };

    /// Takes an entry in, without looking at its value.
    pub(crate) fn take(&mut self, config: &'a QnnHtpContext_CustomConfig_t) -> Result<(), Code> {
        let place = usize::try_from(config.option).ok().and_then(|at| self.last.get_mut(at));
        *place.ok_or(BAD_CONFIG)? = Some(config);
        Ok(())
    }

    /// Checks all values; says whether graphs are only to be prepared, if an entry does.
    pub(crate) fn check(&self) -> Result<Option<bool>, Code> {
        let mut prepare_only = None;
        for config in self.last.into_iter().flatten() {
            if config.option == QNN_HTP_CONTEXT_CONFIG_OPTION_PREPARE_ONLY {
                // SAFETY: the option selects this member, a byte.
                prepare_only = Some(unsafe { config.u.isPrepareOnly } != 0);
            } else {
                check(config)?;
            }
        }
        Ok(prepare_only)
    }
}

fn check(config: &QnnHtpContext_CustomConfig_t) -> Result<(), Code> {
    // SAFETY: each option selects its member, and every bit pattern of a byte or number is one.
    let (on, refusal) = unsafe {
        match config.option {
            // A binary is read once, from front to back, whatever the budget.
            QNN_HTP_CONTEXT_CONFIG_OPTION_FILE_READ_MEMORY_BUDGET => return Ok(()),
            QNN_HTP_CONTEXT_CONFIG_OPTION_WEIGHT_SHARING_ENABLED => {
                (config.u.weightSharingEnabled, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_DSP_MEMORY_PROFILING_ENABLED => {
                (config.u.dspMemoryProfilingEnabled, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_USE_EXTENDED_UDMA => {
                (config.u.useExtendedUdma, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_LORA_WEIGHT_SHARING_ENABLED => {
                (config.u.loraWeightSharingEnabled, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_REFERENCE_WEIGHT_SHARING_ENABLED => {
                (config.u.referenceWeightSharingEnabled, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_GRAPH_SPLITTING_ENABLED => {
                (config.u.graphSplittingEnabled, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_GRAPH_SPLITTING_CONFIGS => {
                (config.u.graphSplittingConfigs.graphSplittingEnabled, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_REGISTER_CONCURRENT_RESOURCE_SHARING
            | QNN_HTP_CONTEXT_CONFIG_OPTION_LORA_PRELOAD_BUFFER_GROUPS
            | QNN_HTP_CONTEXT_CONFIG_OPTION_PARALLEL_WEIGHT_LOADING => (1, UNSUPPORTED),
            QNN_HTP_CONTEXT_CONFIG_OPTION_SHARE_RESOURCES => (config.u.shareResources, BAD_CONFIG),
            QNN_HTP_CONTEXT_CONFIG_OPTION_IO_MEM_ESTIMATION => {
                (config.u.ioMemEstimation, BAD_CONFIG)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_INIT_ACCELERATION => {
                (config.u.initAcceleration, BAD_CONFIG)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_SKIP_VALIDATION_ON_BINARY_SECTION => {
                (config.u.skipValidationOnBinarySection, BAD_CONFIG)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_LORA_WEIGHT_SHARING_RAM_PRELOAD_ENABLED => {
                (config.u.loraWeightSharingRamPreloadEnabled, BAD_CONFIG)
            }
            _ => (1, BAD_CONFIG),
        }
    };
    if on == 0 {
        Ok(())
    } else {
        Err(refusal)
    }
}
