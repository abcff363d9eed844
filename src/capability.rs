//! What a platform allows, as data: every platform's rules can be tested on any machine.

use bitflags::bitflags;

bitflags! {
    /// Features that exist on some platforms only.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Capabilities: u32 {
        /// Graphs can be composed online; without it only context binaries load.
        const ONLINE_COMPOSITION = 1 << 0;
        /// Asynchronous execution (ASYNC-018 to ASYNC-022).
        const ASYNC_EXECUTION = 1 << 1;
        /// Two graphs of equal priority may run at once (ASYNC-035).
        const PARALLEL_GRAPHS = 1 << 2;
        /// A crashed DSP is reconnected (SSR-002); without it a crash is final.
        const SUBSYSTEM_RESTART = 1 << 3;
        /// Shared buffers can be registered.
        const SHARED_BUFFERS = 1 << 4;
        /// Several contexts load at once from a list, asynchronously.
        const LIST_ASYNC = 1 << 5;
        /// The client may use the priorities NORMAL_HIGH and HIGH (PRIO-010).
        const PRIVILEGED_PRIORITY = 1 << 6;
        /// The device is reached by remote calls (stub and skel).
        const REMOTE = 1 << 7;
        /// Latency and polling of remote calls can be set (PERF-018, PERF-020).
        const RPC_SETTINGS = 1 << 8;
        /// The matrix unit can be voted for apart from the core (PERF-025).
        const HMX_VOTE = 1 << 9;
        /// Something executes graphs beside the device; no platform's own, but
        /// [`crate::vhtp::WithFallback`]'s.
        const CPU_FALLBACK = 1 << 10;
    }
}

/// The platforms whose rules are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u32)]
pub enum PlatformKind {
    /// QNX in an ADAS domain.
    QnxAdas = 0,
    /// QNX in an infotainment domain.
    QnxIvi = 1,
    /// Android.
    Android = 2,
    /// Linux on an ARM target, through remote calls.
    LinuxArm = 3,
    /// Windows on ARM.
    Windows = 4,
    /// The x86-64 host simulation.
    X86Simulation = 5,
}

impl PlatformKind {
    /// The platform with this number, as the C extension passes it.
    pub const fn from_number(number: u32) -> Option<PlatformKind> {
        Some(match number {
            0 => PlatformKind::QnxAdas,
            1 => PlatformKind::QnxIvi,
            2 => PlatformKind::Android,
            3 => PlatformKind::LinuxArm,
            4 => PlatformKind::Windows,
            5 => PlatformKind::X86Simulation,
            _ => return None,
        })
    }

    /// Features of the platform with Hexagon architecture `arch` (68, 73, 75, …).
    pub const fn capabilities(self, arch: u32) -> Capabilities {
        const COMMON: Capabilities = Capabilities::ONLINE_COMPOSITION
            .union(Capabilities::PARALLEL_GRAPHS)
            .union(Capabilities::PRIVILEGED_PRIORITY);
        const RESTARTING: Capabilities = COMMON
            .union(Capabilities::SHARED_BUFFERS)
            .union(Capabilities::REMOTE)
            .union(Capabilities::SUBSYSTEM_RESTART);
        const MOBILE: Capabilities = RESTARTING.union(Capabilities::RPC_SETTINGS);
        let platform = match self {
            PlatformKind::QnxAdas => RESTARTING.union(Capabilities::ASYNC_EXECUTION),
            PlatformKind::QnxIvi if arch >= 73 => RESTARTING.union(Capabilities::ASYNC_EXECUTION),
            PlatformKind::QnxIvi => RESTARTING,
            PlatformKind::Android => MOBILE.union(Capabilities::LIST_ASYNC),
            PlatformKind::LinuxArm => MOBILE,
            PlatformKind::Windows => MOBILE.union(Capabilities::LIST_ASYNC),
            PlatformKind::X86Simulation => COMMON.union(Capabilities::RPC_SETTINGS),
        };
        if arch >= 75 {
            platform.union(Capabilities::HMX_VOTE)
        } else {
            platform
        }
    }
}
