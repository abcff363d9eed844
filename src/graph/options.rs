//! What a client chooses for a whole graph, and how a graph table keeps it.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// VTCM of a graph that asked for none, in bytes (VTCM-001).
pub const VTCM_DEFAULT_BYTES: u32 = 4 << 20;

/// What a client chose for a whole graph. It is part of the graph table, so a context binary keeps
/// it. The default is that nothing was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GraphOptions {
    /// VTCM that the graph may use, in bytes; 0: not chosen, which is [`VTCM_DEFAULT_BYTES`].
    pub vtcm_bytes: u32,
    /// `vtcm_bytes` is all that the SoC had for which the graph was prepared.
    pub vtcm_max: bool,
    /// HVX threads of an execution; 0: not chosen.
    pub hvx_threads: u32,
    /// Optimization level, 1 to 3; 0: not chosen, which is 2 (C-59).
    pub optimization_level: u32,
    /// A Relu behind a convolution stays an operation of its own (GRAPH-005).
    pub fold_relu_off: bool,
    /// Convolutions over few channels do not run on the matrix unit (GRAPH-006).
    pub short_depth_hmx_off: bool,
    /// The system level cache may be used, where there is one (GRAPH-029).
    pub slc_allocator: bool,
    /// Float results beyond half precision are its largest number instead of infinite.
    pub clamp_overflow: bool,
}

impl GraphOptions {
    /// Highest optimization level.
    pub const LEVEL_MAX: u32 = 3;
    /// HVX threads of a graph in a binary that chose none (GRAPH-025).
    pub const HVX_THREADS_OFFLINE: u32 = 4;
    /// Level of a graph that chose none.
    pub const LEVEL_DEFAULT: u32 = 2;

    /// The level that counts.
    pub fn level(&self) -> u32 {
        if self.optimization_level == 0 {
            Self::LEVEL_DEFAULT
        } else {
            self.optimization_level
        }
    }

    /// HVX threads of a graph in a binary (C-18).
    pub fn hvx_threads_offline(&self) -> u32 {
        if self.hvx_threads == 0 {
            Self::HVX_THREADS_OFFLINE
        } else {
            self.hvx_threads
        }
    }

    /// The VTCM that counts, in bytes.
    pub fn vtcm(&self) -> u32 {
        if self.vtcm_bytes == 0 {
            VTCM_DEFAULT_BYTES
        } else {
            self.vtcm_bytes
        }
    }
}

/// [`GraphOptions`] in a table.
#[derive(Debug, Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OptionsRecord {
    /// VTCM in bytes; 0: not chosen.
    pub vtcm_bytes: U32,
    /// HVX threads; 0: not chosen.
    pub hvx_threads: U32,
    /// Optimization level, 1 to 3; 0: not chosen.
    pub optimization_level: U32,
    /// The bits of `OptionsRecord::SWITCHES`.
    pub switches: U32,
}

/// A switch of the options: reads it, sets it.
type Switch = fn(&mut GraphOptions) -> &mut bool;

impl OptionsRecord {
    /// The switches, from bit 0.
    const SWITCHES: [Switch; 5] = [
        |options| &mut options.vtcm_max,
        |options| &mut options.fold_relu_off,
        |options| &mut options.short_depth_hmx_off,
        |options| &mut options.slc_allocator,
        |options| &mut options.clamp_overflow,
    ];

    /// As it is written.
    pub fn new(mut options: GraphOptions) -> Self {
        let on = Self::SWITCHES.iter().map(|switch| u32::from(*switch(&mut options)));
        let switches = on.rev().fold(0u32, |bits, on| bits.wrapping_shl(1) | on);
        Self {
            vtcm_bytes: U32::new(options.vtcm_bytes),
            hvx_threads: U32::new(options.hvx_threads),
            optimization_level: U32::new(options.optimization_level),
            switches: U32::new(switches),
        }
    }

    /// What is written; `None` if a value is out of range or a bit has no meaning.
    pub fn read(&self) -> Option<GraphOptions> {
        let mut options = GraphOptions {
            vtcm_bytes: self.vtcm_bytes.get(),
            hvx_threads: self.hvx_threads.get(),
            optimization_level: self.optimization_level.get(),
            ..GraphOptions::default()
        };
        let mut bits = self.switches.get();
        for switch in Self::SWITCHES {
            *switch(&mut options) = bits & 1 != 0;
            bits = bits.wrapping_shr(1);
        }
        let sane = bits == 0 && options.optimization_level <= GraphOptions::LEVEL_MAX;
        sane.then_some(options)
    }
}
