//! What the virtual device is a model of.

use crate::capability::PlatformKind;
use crate::power::Corner;

/// A SoC that the virtual device can be. Numbers of units and clock are those of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Soc {
    /// The QNN SoC model number.
    pub model: u32,
    /// Marketing number.
    pub name: &'static str,
    /// Hexagon architecture.
    pub arch: u32,
    /// Tightly coupled memory in MiB.
    pub vtcm_mib: u32,
    /// HVX vector units.
    pub hvx_units: u32,
}

/// The SoCs known, by model number.
pub const SOCS: [Soc; 7] = [
    Soc { model: 30, name: "SM8350", arch: 68, vtcm_mib: 4, hvx_units: 4 },
    Soc { model: 36, name: "SM8450", arch: 69, vtcm_mib: 8, hvx_units: 4 },
    Soc { model: 39, name: "SA8295", arch: 68, vtcm_mib: 8, hvx_units: 4 },
    Soc { model: 43, name: "SM8550", arch: 73, vtcm_mib: 8, hvx_units: 4 },
    Soc { model: 52, name: "SA8255", arch: 73, vtcm_mib: 8, hvx_units: 4 },
    Soc { model: 57, name: "SM8650", arch: 75, vtcm_mib: 8, hvx_units: 4 },
    Soc { model: 69, name: "SM8750", arch: 79, vtcm_mib: 8, hvx_units: 8 },
];

/// Whether modelled cycles take time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Pacing {
    /// Ops take no time on the clock of `now`; cycles are only reported.
    Free,
    /// An op's result takes effect when its cycles have passed on the clock of `now`.
    Modelled,
}

/// What a virtual device is. A plain value; unknown combinations are allowed, they only feed the
/// model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct VhtpConfig {
    /// Platform whose rules apply.
    pub platform: PlatformKind,
    /// Hexagon architecture: 68, 69, 73, 75, 79, …
    pub arch: u32,
    /// QNN SoC model number.
    pub soc: u32,
    /// Tightly coupled memory in MiB.
    pub vtcm_mib: u32,
    /// HVX vector units, at least 1.
    pub hvx_units: u32,
    /// 0: every execution takes exactly the modelled cycles. Otherwise ops take up to 1/16 longer,
    /// pseudo-randomly.
    pub seed: u64,
    /// Whether cycles take time.
    pub pacing: Pacing,
}

impl Default for VhtpConfig {
    /// An SA8255 under QNX in an ADAS domain, not paced.
    fn default() -> Self {
        Self {
            platform: PlatformKind::QnxAdas,
            arch: 73,
            soc: 52,
            vtcm_mib: 8,
            hvx_units: 4,
            seed: 0,
            pacing: Pacing::Free,
        }
    }
}

impl VhtpConfig {
    /// The default with the hardware of SoC model `soc`; `None` if it is not in [`SOCS`].
    pub fn for_soc(soc: u32) -> Option<Self> {
        let known = SOCS.iter().find(|known| known.model == soc)?;
        Some(Self {
            arch: known.arch,
            soc,
            vtcm_mib: known.vtcm_mib,
            hvx_units: known.hvx_units,
            ..Self::default()
        })
    }

    /// Clock of the modelled device in MHz without a vote: that of `NOM_PLUS`.
    pub fn frequency_mhz(&self) -> u32 {
        self.frequency_mhz_at(Corner::NOM_PLUS)
    }

    /// Clock of the modelled device in MHz at a corner; one between two named ones counts as the
    /// lower.
    pub fn frequency_mhz_at(&self, corner: Corner) -> u32 {
        // MIN, SVS2, SVS, SVS_PLUS, NOM, NOM_PLUS, TURBO, TURBO_PLUS, MAX.
        let [low @ .., max] = match self.arch {
            ..69 => [300, 400, 550, 700, 850, 1_000, 1_150, 1_200, 1_250],
            69..73 => [350, 450, 650, 800, 1_000, 1_150, 1_300, 1_400, 1_450],
            73..75 => [350, 500, 700, 850, 1_000, 1_200, 1_350, 1_450, 1_500],
            _ => [400, 550, 750, 950, 1_150, 1_350, 1_500, 1_600, 1_700],
        };
        // Named corners are 16 apart.
        let above_min = corner.number().saturating_sub(Corner::MIN.number());
        low.get(usize::from(above_min >> 4)).copied().unwrap_or(max)
    }

    /// 8-bit multiply-accumulates of the matrix unit in one cycle.
    pub(super) fn matrix_macs_per_cycle(&self) -> u64 {
        match self.arch {
            ..73 => 8_192,
            _ => 16_384,
        }
    }
}
