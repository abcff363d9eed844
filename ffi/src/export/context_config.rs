//! The configuration list of contexts, read and checked once for all calls that take it.

use runtime::limits::QUEUE_DEPTH_MAX;
use runtime::runtime::ContextConfig;
use runtime::sched::Priority;

use crate::abi::*;
use crate::client::{self, Configs};
use crate::convert::Code;

const BAD: Code = QNN_CONTEXT_ERROR_INVALID_ARGUMENT;
const BAD_CONFIG: Code = QNN_CONTEXT_ERROR_INVALID_CONFIG;

/// Which call the list is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    CreateFromBinary,
    Set,
}

/// What a list says.
pub(crate) struct Config {
    pub(crate) context: ContextConfig,
    /// The list names a priority.
    pub(crate) has_priority: bool,
    /// The list names a queue depth.
    pub(crate) has_depth: bool,
    /// The binary stays where it is for the life of the context.
    pub(crate) persistent: bool,
}

impl Config {
    /// Reads a list. Of several entries with one option the last counts.
    ///
    /// # Safety
    /// As the QNN API says of configuration lists.
    pub(crate) unsafe fn read(
        list: *mut *const QnnContext_Config_t,
        call: Call,
    ) -> Result<Self, Code> {
        // SAFETY: the caller's promise.
        let configs = unsafe { Configs::read(list) }.map_err(|_| BAD)?;
        let context = ContextConfig::default();
        let mut read = Self { context, has_priority: false, has_depth: false, persistent: false };
        for config in configs.iter() {
            // SAFETY: the caller's promise.
            unsafe { read.take(config, call) }?;
        }
        Ok(read)
    }

    /// # Safety
    /// What the entry points to is readable.
    unsafe fn take(&mut self, config: &QnnContext_Config_t, call: Call) -> Result<(), Code> {
        match config.option {
            QNN_CONTEXT_CONFIG_OPTION_PRIORITY => {
                // SAFETY: the option selects this member; every bit pattern is a number.
                let number = unsafe { config.u.priority };
                self.context.priority = Priority::from_qnn(number).ok_or(BAD_CONFIG)?;
                self.has_priority = true;
            }
            QNN_CONTEXT_CONFIG_ASYNC_EXECUTION_QUEUE_DEPTH => {
                self.has_depth = true;
                // The depth of a living context is not touched, whatever is asked for (C-07).
                if call != Call::Set {
                    // SAFETY: the option selects this member, which has one form.
                    let depth = unsafe { config.u.asyncExeQueueDepth };
                    // SAFETY: as above.
                    self.context.queue_depth = queue_depth(depth.type_, unsafe { depth.u.depth })?;
                }
            }
            QNN_CONTEXT_CONFIG_OPTION_ERROR_REPORTING => {}
            QNN_CONTEXT_CONFIG_PERSISTENT_BINARY if call == Call::CreateFromBinary => {
                // SAFETY: the option selects this member, a byte.
                self.persistent = unsafe { config.u.isPersistentBinary } != 0;
            }
            QNN_CONTEXT_CONFIG_BINARY_COMPATIBILITY if call == Call::CreateFromBinary => {
                // Binaries run optimally or not at all, so both types mean the same (BIN-003).
                // SAFETY: the option selects this member, a number.
                let compatibility = unsafe { config.u.binaryCompatibilityType };
                if compatibility > QNN_CONTEXT_BINARY_COMPATIBILITY_STRICT {
                    return Err(BAD_CONFIG);
                }
            }
            QNN_CONTEXT_CONFIG_OPTION_CUSTOM => {
                // SAFETY: the option selects this member, which points to an HTP option or is null.
                let custom = unsafe { config.u.customConfig };
                // SAFETY: the caller's promise.
                let custom = unsafe { client::one(custom.cast::<QnnHtpContext_CustomConfig_t>()) };
                check_custom(custom.ok_or(BAD)?)?;
            }
            _ => return Err(QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE),
        }
        Ok(())
    }
}

fn queue_depth(kind: QnnContext_AsyncExecutionQueueDepthType_t, depth: u32) -> Result<u32, Code> {
    let numeric = kind == QNN_CONTEXT_ASYNC_EXECUTION_QUEUE_DEPTH_TYPE_NUMERIC;
    // C-06: 0 and everything above the limit are refused.
    if numeric && (1..=QUEUE_DEPTH_MAX.into()).contains(&depth) {
        Ok(depth)
    } else {
        Err(BAD_CONFIG)
    }
}

/// HTP options: switching a feature off that is not there is fine, switching it on is not.
fn check_custom(config: &QnnHtpContext_CustomConfig_t) -> Result<(), Code> {
    // SAFETY: each option selects its member, and every bit pattern of a byte or number is one.
    let on = unsafe {
        match config.option {
            QNN_HTP_CONTEXT_CONFIG_OPTION_WEIGHT_SHARING_ENABLED => config.u.weightSharingEnabled,
            QNN_HTP_CONTEXT_CONFIG_OPTION_FILE_READ_MEMORY_BUDGET => {
                u8::from(config.u.fileReadMemoryBudgetInMb != 0)
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_DSP_MEMORY_PROFILING_ENABLED => {
                config.u.dspMemoryProfilingEnabled
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_SHARE_RESOURCES => config.u.shareResources,
            QNN_HTP_CONTEXT_CONFIG_OPTION_IO_MEM_ESTIMATION => config.u.ioMemEstimation,
            QNN_HTP_CONTEXT_CONFIG_OPTION_PREPARE_ONLY => config.u.isPrepareOnly,
            QNN_HTP_CONTEXT_CONFIG_OPTION_INIT_ACCELERATION => config.u.initAcceleration,
            QNN_HTP_CONTEXT_CONFIG_OPTION_SKIP_VALIDATION_ON_BINARY_SECTION => {
                config.u.skipValidationOnBinarySection
            }
            QNN_HTP_CONTEXT_CONFIG_OPTION_USE_EXTENDED_UDMA => config.u.useExtendedUdma,
            QNN_HTP_CONTEXT_CONFIG_OPTION_LORA_WEIGHT_SHARING_ENABLED => {
                config.u.loraWeightSharingEnabled
            }
            _ => return Err(QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE),
        }
    };
    if on == 0 {
        Ok(())
    } else {
        Err(QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE)
    }
}
