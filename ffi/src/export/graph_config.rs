//! What a graph may be configured with: `QnnGraph_Config_t` and the options of `QnnHtpGraph.h`.
//!
//! Every value is checked when it is given, and nothing of a list with a wrong one is taken. Of
//! several entries for one thing the last counts (VTCM-007).

use runtime::graph::GraphOptions;
use runtime::sched::Priority;
use runtime::vhtp::VhtpConfig;

use crate::abi::*;
use crate::client::{self, Configs};
use crate::convert::Code;
use crate::log;

const BAD: Code = QNN_GRAPH_ERROR_INVALID_ARGUMENT;
const UNSUPPORTED: Code = QNN_GRAPH_ERROR_UNSUPPORTED_FEATURE;

/// VTCM can be asked for in bytes from this architecture on (VTCM-004), in multiples of
/// [`VTCM_STEP_BYTES`] (VTCM-005).
const VTCM_BYTES_ARCH_MIN: u32 = 81;
const VTCM_STEP_BYTES: u32 = 65_536;
/// Cores of the device.
const CORES: u32 = 1;

/// A configuration list, read and checked.
pub(crate) struct Config {
    pub(crate) priority: Option<Priority>,
    /// The options that there were, with those of the list.
    pub(crate) options: GraphOptions,
    /// The list chooses the HVX threads.
    pub(crate) has_hvx_threads: bool,
    /// The list has something that only a graph under construction takes.
    pub(crate) is_for_composing: bool,
}

/// Why a value is refused.
struct Refusal(Code, &'static str);

impl Config {
    /// Reads a list that changes `options`.
    ///
    /// # Safety
    /// As the QNN API says of configuration lists.
    pub(crate) unsafe fn read(
        list: *mut *const QnnGraph_Config_t,
        options: GraphOptions,
        device: &VhtpConfig,
    ) -> Result<Self, Code> {
        // SAFETY: the caller's promise.
        let list = unsafe { Configs::read(list) }.map_err(|_| BAD)?;
        let mut config =
            Self { priority: None, options, has_hvx_threads: false, is_for_composing: false };
        for entry in list.iter() {
            // SAFETY: the caller's promise.
            unsafe { config.take(entry, device) }.map_err(|Refusal(code, reason)| {
                log::emit_parts(QNN_LOG_LEVEL_ERROR, c"graph configuration", &[reason]);
                code
            })?;
        }
        Ok(config)
    }

    /// # Safety
    /// What the entry points to is readable.
    unsafe fn take(
        &mut self,
        entry: &QnnGraph_Config_t,
        device: &VhtpConfig,
    ) -> Result<(), Refusal> {
        match entry.option {
            QNN_GRAPH_CONFIG_OPTION_PRIORITY => {
                // SAFETY: the option selects this member; every bit pattern is a number.
                let number = unsafe { entry.u.priority };
                const REASON: &str = "there are the priorities 0, 100, 150 and 200";
                self.priority = Some(Priority::from_qnn(number).ok_or(Refusal(BAD, REASON))?);
                Ok(())
            }
            QNN_GRAPH_CONFIG_OPTION_ENABLE_BINARY_SECTION_WEIGHTS_UPDATES => {
                // SAFETY: as above.
                let enable = unsafe { entry.u.enableBinarySectionWeightsUpdates };
                let reason = "weights of a prepared graph cannot be updated";
                (enable == 0).then_some(()).ok_or(Refusal(UNSUPPORTED, reason))
            }
            QNN_GRAPH_CONFIG_OPTION_CUSTOM => {
                // SAFETY: the option selects this member, which points to an HTP option or is null.
                let custom = unsafe { entry.u.customConfig }.cast::<QnnHtpGraph_CustomConfig_t>();
                // SAFETY: the caller's promise.
                let custom = unsafe { client::one(custom) };
                self.take_custom(custom.ok_or(Refusal(BAD, "customConfig is null"))?, device)
            }
            _ => Err(Refusal(UNSUPPORTED, "this graph option is not offered")),
        }
    }

    fn take_custom(
        &mut self,
        custom: &QnnHtpGraph_CustomConfig_t,
        device: &VhtpConfig,
    ) -> Result<(), Refusal> {
        macro_rules! member {
            ($name:ident) => {{
                // SAFETY: the option selects the member that is read, and every bit pattern of it
                // is a number.
                unsafe { custom.u.$name }
            }};
        }
        match custom.option {
            QNN_HTP_GRAPH_CONFIG_OPTION_OPTIMIZATION => {
                return self.take_optimization(&member!(optimizationOption));
            }
            QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE_IN_MB => {
                self.take_vtcm_mib(member!(vtcmSizeInMB), device)?;
                self.is_for_composing = true;
            }
            QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE_IN_BYTES => {
                self.take_vtcm_bytes(member!(vtcmSizeInBytes), device)?;
                self.is_for_composing = true;
            }
            QNN_HTP_GRAPH_CONFIG_OPTION_FOLD_RELU_ACTIVATION_INTO_CONV_OFF => {
                self.options.fold_relu_off = member!(foldReluActivationIntoConvOff) != 0;
                self.is_for_composing = true;
            }
            QNN_HTP_GRAPH_CONFIG_OPTION_SHORT_DEPTH_CONV_ON_HMX_OFF => {
                self.options.short_depth_hmx_off = member!(shortDepthConvOnHmxOff) != 0;
                self.is_for_composing = true;
            }
            QNN_HTP_GRAPH_CONFIG_OPTION_FP16_CLAMP_OVERFLOW => {
                let clamp = member!(fp16ClampOverflow) != 0;
                self.is_for_composing |= clamp != self.options.clamp_overflow;
                self.options.clamp_overflow = clamp;
            }
            QNN_HTP_GRAPH_CONFIG_OPTION_NUM_HVX_THREADS => {
                let threads = u32::try_from(member!(numHvxThreads)).unwrap_or(u32::MAX);
                if threads == 0 || threads > device.hvx_units {
                    return Err(Refusal(BAD, "the device does not have that many HVX threads"));
                }
                self.options.hvx_threads = threads;
                self.has_hvx_threads = true;
            }
            QNN_HTP_GRAPH_CONFIG_OPTION_NUM_CORES if member!(numCores) > CORES => {
                return Err(Refusal(BAD, "the device has one core"));
            }
            QNN_HTP_GRAPH_CONFIG_OPTION_FINALIZE_CONFIG => {
                return Err(Refusal(BAD, "no key of FINALIZE_CONFIG is known"));
            }
            QNN_HTP_GRAPH_CONFIG_OPTION_UNKNOWN => {
                return Err(Refusal(BAD, "the option was not filled in"));
            }
            // What these allow is never needed, or is always done (C-114); the precision is that of
            // the device (C-20, GRAPH-004).
            QNN_HTP_GRAPH_CONFIG_OPTION_PRECISION
            | QNN_HTP_GRAPH_CONFIG_OPTION_NUM_CORES
            | QNN_HTP_GRAPH_CONFIG_OPTION_WEIGHTS_PACKING
            | QNN_HTP_GRAPH_CONFIG_OPTION_ASSUME_SAME_QUANT
            | QNN_HTP_GRAPH_CONFIG_OPTION_SHARE_IO_BUFFER
            | QNN_HTP_GRAPH_CONFIG_OPTION_ADVANCED_ACTIVATION_FUSION
            | QNN_HTP_GRAPH_CONFIG_OPTION_HIGH_PRECISION_SIGMOID
            | QNN_HTP_GRAPH_CONFIG_OPTION_MONOLITHIC_LSTM
            | QNN_HTP_GRAPH_CONFIG_OPTION_PRECISION_COMPENSATION
            | QNN_HTP_GRAPH_CONFIG_OPTION_ENABLE_PREDICATION => {}
            _ => return Err(Refusal(UNSUPPORTED, "this HTP graph option is not offered")),
        }
        Ok(())
    }

    /// 0 stands for all that the device has (VTCM-003).
    fn take_vtcm_mib(&mut self, mib: u32, device: &VhtpConfig) -> Result<(), Refusal> {
        let wanted = if mib == 0 { device.vtcm_mib } else { mib };
        let bytes = wanted.checked_mul(1 << 20).filter(|_| wanted <= device.vtcm_mib);
        const REASON: &str = "the device does not have that much VTCM";
        self.options.vtcm_bytes = bytes.ok_or(Refusal(BAD, REASON))?;
        self.options.vtcm_max = mib == 0;
        Ok(())
    }

    fn take_vtcm_bytes(&mut self, bytes: u32, device: &VhtpConfig) -> Result<(), Refusal> {
        if device.arch < VTCM_BYTES_ARCH_MIN {
            return Err(Refusal(UNSUPPORTED, "VTCM in bytes exists from v81 on; ask in MB"));
        }
        if bytes.checked_rem(VTCM_STEP_BYTES) != Some(0) {
            return Err(Refusal(BAD, "VTCM in bytes comes in multiples of 65536"));
        }
        if bytes == 0 {
            return self.take_vtcm_mib(0, device);
        }
        if u64::from(bytes) > u64::from(device.vtcm_mib) << 20 {
            return Err(Refusal(BAD, "the device does not have that much VTCM"));
        }
        self.options.vtcm_bytes = bytes;
        self.options.vtcm_max = false;
        Ok(())
    }

    fn take_optimization(
        &mut self,
        option: &QnnHtpGraph_OptimizationOption_t,
    ) -> Result<(), Refusal> {
        let value = option.floatValue;
        match option.type_ {
            QNN_HTP_GRAPH_OPTIMIZATION_TYPE_FINALIZE_OPTIMIZATION_FLAG => {
                let levels = 0..=GraphOptions::LEVEL_MAX;
                let level = levels.into_iter().find(|&level| level as f32 == value);
                const REASON: &str = "the optimization levels are 1, 2 and 3";
                self.options.optimization_level = level.ok_or(Refusal(BAD, REASON))?;
                self.is_for_composing = true;
            }
            QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_DLBC
            | QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_DLBC_WEIGHTS => {
                // C-21, GRAPH-015: a graph that is composed here is prepared online.
                if value.is_finite() && value >= 1.0 {
                    return Err(Refusal(UNSUPPORTED, "DLBC is for offline preparation only"));
                }
                if value != 0.0 {
                    return Err(Refusal(BAD, "DLBC is 0 or at least 1"));
                }
            }
            QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_SLC_ALLOCATOR => {
                // Kept and checked (C-23); no device of the model has such a cache (GRAPH-030).
                let enable = value != 0.0;
                if enable && value != 1.0 {
                    return Err(Refusal(BAD, "the SLC allocator is 0 or 1"));
                }
                self.is_for_composing |= enable && !self.options.slc_allocator;
                self.options.slc_allocator = enable;
            }
            // Hints (C-114).
            QNN_HTP_GRAPH_OPTIMIZATION_TYPE_SCHEDULE_THRESHOLD
            | QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_SPARSE_WEIGHTS_COMPRESSION
            | QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_VTCM_RETENTION
            | QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_CACHED_WEIGHTS => {
                if !value.is_finite() || value < 0.0 {
                    return Err(Refusal(BAD, "the value of an optimization is 0 or more"));
                }
            }
            _ => return Err(Refusal(BAD, "this type of optimization is not known")),
        }
        Ok(())
    }
}
