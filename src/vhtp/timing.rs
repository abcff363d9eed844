//! The cycle model: how long an op takes on the modelled device.
//!
//! A model, not a measurement: it ranks networks and SoCs plausibly and is the same on every host.

use super::model::VhtpConfig;
use crate::device::Resources;
use crate::graph::GraphOptions;

/// Cycles of starting any op: descriptors, synchronisation of the threads. By optimization level,
/// from 1: a better schedule overlaps more of it (GRAPH-002).
const OP_START_CYCLES: [u64; 3] = [500, 400, 350];
/// Bytes of one HVX vector.
const VECTOR_BYTES: u64 = 128;
/// Bytes per cycle between VTCM and the units.
const VTCM_BYTES_PER_CYCLE: u64 = 512;
/// Bytes per cycle between VTCM and DDR.
const DDR_BYTES_PER_CYCLE: u64 = 32;

/// What an op has to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    /// Multiply-accumulates.
    pub(super) macs: u64,
    /// Whether they run on the matrix unit (HMX) or on vectors (HVX).
    pub(super) matrix: bool,
    /// Bits of the wider operand: 8 or 16.
    pub(super) bits: u32,
    /// Passes over the data that are not multiply-accumulates.
    pub(super) vector_passes: u64,
    /// Bytes of operands and results.
    pub(super) bytes: u64,
}

impl Work {
    /// Nothing to do.
    pub(super) const NONE: Work =
        Work { macs: 0, matrix: false, bits: 8, vector_passes: 0, bytes: 0 };
}

/// What a graph has of the device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant {
    hvx_units: u32,
    hvx_threads: u32,
    vtcm_bytes: u64,
    matrix_macs_per_cycle: u64,
    op_start_cycles: u64,
}

impl Grant {
    /// What the device grants of what was chosen: never more than it has.
    pub(super) fn new(config: &VhtpConfig, options: &GraphOptions) -> Self {
        let level = usize::try_from(options.level().saturating_sub(1)).unwrap_or(usize::MAX);
        let vtcm_bytes = u64::from(config.vtcm_mib) << 20;
        Self {
            hvx_units: config.hvx_units.max(1),
            hvx_threads: 0,
            vtcm_bytes: vtcm_bytes.min(options.vtcm().into()),
            matrix_macs_per_cycle: config.matrix_macs_per_cycle(),
            op_start_cycles: OP_START_CYCLES.get(level).copied().unwrap_or(0),
        }
        .with_threads(options.hvx_threads)
    }

    /// The same with other HVX threads; 0, or more than there are: all.
    pub(super) fn with_threads(self, threads: u32) -> Self {
        let hvx_threads = if threads == 0 { self.hvx_units } else { threads.min(self.hvx_units) };
        Self { hvx_threads, ..self }
    }

    /// HVX threads.
    pub(super) fn threads(&self) -> u32 {
        self.hvx_threads
    }
}

/// Cycles of `work` with this grant: start, then the slower of computing and moving data.
pub(super) fn cycles(work: &Work, grant: &Grant) -> u64 {
    let wide = u64::from(work.bits > 8);
    let vector = VECTOR_BYTES.saturating_mul(grant.hvx_threads.into());
    let macs_per_cycle = match work.matrix {
        true => grant.matrix_macs_per_cycle >> wide,
        false => vector >> wide,
    };
    let data = work.bytes.saturating_mul(work.vector_passes);
    let compute = per(work.macs, macs_per_cycle).saturating_add(per(data, vector));
    let fits = work.bytes <= grant.vtcm_bytes;
    let bandwidth = if fits { VTCM_BYTES_PER_CYCLE } else { DDR_BYTES_PER_CYCLE };
    grant.op_start_cycles.saturating_add(compute.max(per(work.bytes, bandwidth)))
}

/// What `work` runs on. What is not multiplied there is done by the vector units; more data than
/// the VTCM holds comes from DDR on the way.
pub(super) fn resources(work: &Work, grant: &Grant) -> Resources {
    let from_ddr = work.bytes > grant.vtcm_bytes;
    let mut used = Resources::empty();
    used.set(Resources::HMX, work.matrix);
    used.set(Resources::HVX, !work.matrix || work.vector_passes > 0);
    used.set(Resources::DMA, from_ddr);
    used
}

fn per(amount: u64, rate: u64) -> u64 {
    let rounded_up = amount.saturating_add(rate.saturating_sub(1));
    rounded_up.checked_div(rate).unwrap_or(u64::MAX)
}

/// Microseconds that `cycles` take at `frequency_mhz`, rounded up.
pub(super) fn duration_us(cycles: u64, frequency_mhz: u32) -> u64 {
    per(cycles, u64::from(frequency_mhz.max(1)))
}

/// Cycles of an op in one execution: with a seed other than 0 up to 1/16 more, by a hash of seed,
/// execution and op.
pub(super) fn varied(cycles: u64, seed: u64, execution: u64, op: u64) -> u64 {
    if seed == 0 {
        return cycles;
    }
    let mut hash = seed ^ execution.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ op.rotate_left(32);
    for _ in 0..2 {
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    let share = hash >> 48; // 0..65536 of 65536ths of one sixteenth
    cycles.saturating_add(cycles.saturating_mul(share) >> 20)
}
