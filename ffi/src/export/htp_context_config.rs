//! HTP options of contexts: what a list asks for with them.
//!
//! Switching off what is not there is fine. Switching it on is refused: with "not supported" where
//! the option belongs to another platform or to a feature that is not offered, with "invalid
//! configuration" where this call never takes it (C-91).

use crate::abi::*;
use crate::convert::Code;
use crate::refusal::{because, within};

const UNSUPPORTED: Code = QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE;
const BAD_CONFIG: Code = QNN_CONTEXT_ERROR_INVALID_CONFIG;

/// Number of options, with 0, which is none.
const OPTIONS: usize = QNN_HTP_CONTEXT_CONFIG_OPTION_PARALLEL_WEIGHT_LOADING as usize + 1;

/// The last entry of each option.
pub(crate) struct Custom<'a> {
    /// With its place in the list.
    last: [Option<(usize, &'a QnnHtpContext_CustomConfig_t)>; OPTIONS],
}

impl<'a> Custom<'a> {
    pub(crate) const NOTHING: Self = Self { last: [None; OPTIONS] };

    /// Takes an entry in, without looking at its value.
    pub(crate) fn take(
        &mut self,
        at: usize,
        config: &'a QnnHtpContext_CustomConfig_t,
    ) -> Result<(), Code> {
        let number = config.option;
        let place = usize::try_from(number).ok().and_then(|number| self.last.get_mut(number));
        *place.ok_or_else(|| {
            because!(BAD_CONFIG, "customConfig->option is ", number, ", not a known one")
        })? = Some((at, config));
        Ok(())
    }

    /// Checks all values; says whether graphs are only to be prepared, if an entry does. `name` is
    /// the argument, for messages.
    pub(crate) fn check(&self, name: &'static str) -> Result<Option<bool>, Code> {
        let mut prepare_only = None;
        for (at, config) in self.last.into_iter().flatten() {
            if config.option == QNN_HTP_CONTEXT_CONFIG_OPTION_PREPARE_ONLY {
                // SAFETY: the option selects this member, a byte.
                prepare_only = Some(unsafe { config.u.isPrepareOnly } != 0);
            } else {
                check(config).map_err(|code| within!(code, name, "[", at, "]->customConfig"))?;
            }
        }
        Ok(prepare_only)
    }
}

fn check(config: &QnnHtpContext_CustomConfig_t) -> Result<(), Code> {
    // SAFETY: each option selects its member, and every bit pattern of a byte or number is one.
    let (name, on, refusal) = unsafe {
        match config.option {
            // A binary is read once, from front to back, whatever the budget.
            QNN_HTP_CONTEXT_CONFIG_OPTION_FILE_READ_MEMORY_BUDGET => return Ok(()),
            QNN_HTP_CONTEXT_CONFIG_OPTION_WEIGHT_SHARING_ENABLED => {
                ("WEIGHT_SHARING_ENABLED", config.u.weightSharingEnabled, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_DSP_MEMORY_PROFILING_ENABLED => {
                ("DSP_MEMORY_PROFILING_ENABLED", config.u.dspMemoryProfilingEnabled, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_USE_EXTENDED_UDMA => {
                ("USE_EXTENDED_UDMA", config.u.useExtendedUdma, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_LORA_WEIGHT_SHARING_ENABLED => {
                ("LORA_WEIGHT_SHARING_ENABLED", config.u.loraWeightSharingEnabled, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_REFERENCE_WEIGHT_SHARING_ENABLED => {
                let on = config.u.referenceWeightSharingEnabled;
                ("REFERENCE_WEIGHT_SHARING_ENABLED", on, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_GRAPH_SPLITTING_ENABLED => {
                ("GRAPH_SPLITTING_ENABLED", config.u.graphSplittingEnabled, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_GRAPH_SPLITTING_CONFIGS => {
                let on = config.u.graphSplittingConfigs.graphSplittingEnabled;
                ("GRAPH_SPLITTING_CONFIGS", on, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_REGISTER_CONCURRENT_RESOURCE_SHARING => {
                ("REGISTER_CONCURRENT_RESOURCE_SHARING", 1, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_LORA_PRELOAD_BUFFER_GROUPS => {
                ("LORA_PRELOAD_BUFFER_GROUPS", 1, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_PARALLEL_WEIGHT_LOADING => {
                ("PARALLEL_WEIGHT_LOADING", 1, UNSUPPORTED)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_REGISTER_MULTI_CONTEXTS => {
                ("REGISTER_MULTI_CONTEXTS", 1, BAD_CONFIG)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_SHARE_RESOURCES => {
                ("SHARE_RESOURCES", config.u.shareResources, BAD_CONFIG)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_SHARE_RESOURCES_OPTIMIZATION_TYPE => {
                ("SHARE_RESOURCES_OPTIMIZATION_TYPE", 1, BAD_CONFIG)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_IO_MEM_ESTIMATION => {
                ("IO_MEM_ESTIMATION", config.u.ioMemEstimation, BAD_CONFIG)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_INIT_ACCELERATION => {
                ("INIT_ACCELERATION", config.u.initAcceleration, BAD_CONFIG)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_SKIP_VALIDATION_ON_BINARY_SECTION => {
                let on = config.u.skipValidationOnBinarySection;
                ("SKIP_VALIDATION_ON_BINARY_SECTION", on, BAD_CONFIG)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_LORA_WEIGHT_SHARING_RAM_PRELOAD_ENABLED => {
                let on = config.u.loraWeightSharingRamPreloadEnabled;
                ("LORA_WEIGHT_SHARING_RAM_PRELOAD_ENABLED", on, BAD_CONFIG)
            }
            _ => ("none that is known", 1, BAD_CONFIG),
        }
    };
    if on == 0 {
        Ok(())
    } else {
        Err(because!(refusal, "->option is ", name, ", which this call does not offer"))
    }
}
