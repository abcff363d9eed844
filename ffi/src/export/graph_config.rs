//! What a graph may be configured with: `QnnGraph_Config_t` and the options of `QnnHtpGraph.h`.
//!
//! Every value is checked when it is given, and nothing of a list with a wrong one is taken. Of
//! several entries for one thing the last counts (VTCM-007, C-119).

use runtime::graph::GraphOptions;
use runtime::sched::Priority;
use runtime::vhtp::VhtpConfig;

use crate::abi::*;
use crate::client::{self, Configs};
use crate::convert::Code;
use crate::refusal::{because, no_list, null, within};

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
        let list = unsafe { Configs::read(list) }.map_err(no_list(BAD, "config"))?;
        let mut config =
            Self { priority: None, options, has_hvx_threads: false, is_for_composing: false };
        for (at, entry) in list.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { config.take(entry, device) }
                .map_err(|code| within!(code, "config[", at, "]->"))?;
        }
        Ok(config)
    }

    /// # Safety
    /// What the entry points to is readable.
    unsafe fn take(&mut self, entry: &QnnGraph_Config_t, device: &VhtpConfig) -> Result<(), Code> {
        match entry.option {
            QNN_GRAPH_CONFIG_OPTION_PRIORITY => {
                // SAFETY: the option selects this member; every bit pattern is a number.
                let number = unsafe { entry.u.priority };
                let known = Priority::from_qnn(number);
                self.priority = Some(known.ok_or_else(|| {
                    because!(BAD, "priority is ", number, ", which is no QNN_PRIORITY")
                })?);
                Ok(())
            }
            QNN_GRAPH_CONFIG_OPTION_ENABLE_BINARY_SECTION_WEIGHTS_UPDATES => {
                // SAFETY: as above.
                let enable = unsafe { entry.u.enableBinarySectionWeightsUpdates };
                (enable == 0).then_some(()).ok_or_else(|| {
                    let why = ": weights of a prepared graph cannot be updated";
                    because!(UNSUPPORTED, "enableBinarySectionWeightsUpdates is not 0", why)
                })
            }
            QNN_GRAPH_CONFIG_OPTION_CUSTOM => {
                // SAFETY: the option selects this member, which points to an HTP option or is null.
                let custom = unsafe { entry.u.customConfig }.cast::<QnnHtpGraph_CustomConfig_t>();
                // SAFETY: the caller's promise.
                let custom = unsafe { client::one(custom) };
                let custom = custom.ok_or_else(null(BAD, "customConfig"))?;
                self.take_custom(custom, device).map_err(|code| within!(code, "customConfig->"))
            }
            option => Err(because!(UNSUPPORTED, "option is ", option, ", which is not offered")),
        }
    }

    fn take_custom(
        &mut self,
        custom: &QnnHtpGraph_CustomConfig_t,
        device: &VhtpConfig,
    ) -> Result<(), Code> {
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
                self.options.hvx_threads = hvx_threads(member!(numHvxThreads), device.hvx_units)?;
                self.has_hvx_threads = true;
            }
            QNN_HTP_GRAPH_CONFIG_OPTION_NUM_CORES if member!(numCores) > CORES => {
                let cores = member!(numCores);
                return Err(because!(BAD, "numCores is ", cores, ", the device has ", CORES));
            }
            QNN_HTP_GRAPH_CONFIG_OPTION_FINALIZE_CONFIG => {
                return Err(because!(BAD, "finalizeConfig.key is not known: no key is"));
            }
            QNN_HTP_GRAPH_CONFIG_OPTION_UNKNOWN => {
                return Err(because!(BAD, "option was not filled in"));
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
            option => {
                return Err(because!(UNSUPPORTED, "option is ", option, ", which is not offered"));
            }
        }
        Ok(())
    }

    /// 0 stands for all that the device has (VTCM-003).
    fn take_vtcm_mib(&mut self, mib: u32, device: &VhtpConfig) -> Result<(), Code> {
        let wanted = if mib == 0 { device.vtcm_mib } else { mib };
        let bytes = wanted.checked_mul(1 << 20).filter(|_| wanted <= device.vtcm_mib);
        self.options.vtcm_bytes = bytes.ok_or_else(|| {
            because!(BAD, "vtcmSizeInMB is ", mib, ", the device has ", device.vtcm_mib)
        })?;
        self.options.vtcm_max = mib == 0;
        Ok(())
    }

    fn take_vtcm_bytes(&mut self, bytes: u32, device: &VhtpConfig) -> Result<(), Code> {
        if device.arch < VTCM_BYTES_ARCH_MIN {
            let why = ", vtcmSizeInBytes is for v81 and later: use vtcmSizeInMB";
            return Err(because!(UNSUPPORTED, "the device is v", device.arch, why));
        }
        if bytes.checked_rem(VTCM_STEP_BYTES) != Some(0) {
            let why = ", not a multiple of ";
            return Err(because!(BAD, "vtcmSizeInBytes is ", bytes, why, VTCM_STEP_BYTES));
        }
        if bytes == 0 {
            return self.take_vtcm_mib(0, device);
        }
        let all = u64::from(device.vtcm_mib) << 20;
        if u64::from(bytes) > all {
            return Err(because!(BAD, "vtcmSizeInBytes is ", bytes, ", the device has ", all));
        }
        self.options.vtcm_bytes = bytes;
        self.options.vtcm_max = false;
        Ok(())
    }

    fn take_optimization(&mut self, option: &QnnHtpGraph_OptimizationOption_t) -> Result<(), Code> {
        let value = option.floatValue;
        let wrong = |code, allowed| {
            because!(code, "optimizationOption.floatValue is ", value, ", ", allowed)
        };
        match option.type_ {
            QNN_HTP_GRAPH_OPTIMIZATION_TYPE_FINALIZE_OPTIMIZATION_FLAG => {
                let levels = 0..=GraphOptions::LEVEL_MAX;
                let level = levels.into_iter().find(|&level| level as f32 == value);
                let level = level.ok_or_else(|| wrong(BAD, "the levels are 0 to 3"));
                self.options.optimization_level = level?;
                self.is_for_composing = true;
            }
            QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_DLBC
            | QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_DLBC_WEIGHTS => {
                // C-21, GRAPH-015: a graph that is composed here is prepared online.
                if value.is_finite() && value >= 1.0 {
                    return Err(wrong(UNSUPPORTED, "DLBC is for offline preparation only"));
                }
                if value != 0.0 {
                    return Err(wrong(BAD, "DLBC is 0 or at least 1"));
                }
            }
            QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_SLC_ALLOCATOR => {
                // Kept and checked (C-23); no device of the model has such a cache (GRAPH-030).
                let enable = value != 0.0;
                if enable && value != 1.0 {
                    return Err(wrong(BAD, "the SLC allocator is 0 or 1"));
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
                    return Err(wrong(BAD, "0 or more is needed"));
                }
            }
            kind => {
                return Err(because!(
                    BAD,
                    "optimizationOption.type is ",
                    kind,
                    ", not a known one"
                ));
            }
        }
        Ok(())
    }
}

fn hvx_threads(number: u64, all: u32) -> Result<u32, Code> {
    let threads = u32::try_from(number).ok().filter(|threads| (1..=all).contains(threads));
    threads.ok_or_else(|| because!(BAD, "numHvxThreads is ", number, ", the device has 1 to ", all))
}
