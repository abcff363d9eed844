//! Every limit of the runtime: what it bounds, its unit, what it costs, and how limits relate.

use static_assertions::const_assert;

/// Largest queue depth of a context, in requests (ASYNC-008).
pub const QUEUE_DEPTH_MAX: u16 = 300;
/// Queue depth without configuration, in requests (ASYNC-014).
pub const QUEUE_DEPTH_DEFAULT: u16 = 10;

/// QNN priority levels that have HTP thread priorities (PRIO-003 to PRIO-006).
pub const PRIORITY_LEVELS: usize = 4;
/// Most executions of one priority at once (ASYNC-033).
pub const PARALLEL_PER_PRIORITY: usize = 2;
/// Requests at the head of a priority's queue that are looked at to find a runnable one
/// (ASYNC-034).
pub const DISPATCH_WINDOW: usize = 3;
/// Most executions on the device at once: a pair for each priority level, since a more important
/// pair suspends the others without ending them.
pub const IN_FLIGHT_MAX: usize = PRIORITY_LEVELS * PARALLEL_PER_PRIORITY;

/// Graphs of one context (C-58: 64 with weight sharing, the largest of the documented limits).
pub const GRAPHS_PER_CONTEXT_MAX: u16 = 64;

/// Attempts to reconnect in one restart before the backend is `Lost`.
pub const CONNECT_ATTEMPTS_MAX: u32 = 5;
/// Wait before the second connection attempt, in microseconds; doubles with each further one.
pub const CONNECT_BACKOFF_US: u64 = 1_000;
/// Longest time a connection attempt may take, in microseconds; then it counts as failed.
pub const CONNECT_TIMEOUT_US: u64 = 100_000;
/// Time without progress while something is in flight after which the device is restarted, in
/// microseconds. Seen in steps of half of it, so that a hang is noticed after 1 to 1.5 times this.
pub const HANG_BUDGET_US: u64 = 500_000;
/// Most rebuilds that a context under managed recovery may allow itself before one must succeed.
pub const REBUILD_ATTEMPTS_MAX: u32 = 100;
/// Longest time that a context under managed recovery may allow itself from the crash until it is
/// usable again, in microseconds.
pub const REBUILD_TIME_MAX_US: u64 = 8_000_000;
/// Longest time that a context may choose between two executions on the CPU fallback, in
/// microseconds: less than a blocking call waits for one.
pub const FALLBACK_INTERVAL_US_MAX: u64 = 5_000_000;
/// How long a blocking call waits while the device makes no progress, in microseconds: longer than
/// the slowest restart, so that the answer after one is the restart's and not a time-out. It begins
/// anew with every sign of progress (C-118), so that long work is waited for and a silent device is
/// not. Where a call waits for clients as well, for their notifications to return, it bounds the
/// whole wait.
pub const BLOCKING_TIMEOUT_US: u64 = 10_000_000;
/// The whole wait of a blocking call that nobody bounds, in microseconds.
pub const NO_TIMEOUT_US: u64 = u64::MAX;
/// Expired deadlines handled by one `handle_timeout` call.
pub const DEADLINES_PER_CALL: usize = 16;
/// Notifications that one poll delivers at most, without threads: a full queue, and some more. A
/// client that submits again from each of them still gets back what it polls from.
pub const NOTICES_PER_POLL: usize = 512;
/// Phases of restarts that wait for the subscribers; older ones give way and are counted.
pub const TRANSITIONS_KEPT: usize = 32;
/// Events of one profile object, without those of operations: those of the call that used it last.
/// A finalization has most: its own and eight parts.
pub const PROFILE_EVENTS_MAX: usize = 9;

/// Shortest sleep latency that can be voted for, in microseconds (PERF-009).
pub const SLEEP_LATENCY_US_MIN: u16 = 10;
/// Longest sleep latency that can be voted for, in microseconds (PERF-009).
pub const SLEEP_LATENCY_US_MAX: u16 = 65_535;
/// Longest polling time of remote calls, in microseconds (C-25).
pub const RPC_POLLING_US_MAX: u16 = 9_999;

const_assert!(QUEUE_DEPTH_DEFAULT > 0 && QUEUE_DEPTH_DEFAULT <= QUEUE_DEPTH_MAX);
const_assert!(NOTICES_PER_POLL > QUEUE_DEPTH_MAX as usize);
const_assert!(PARALLEL_PER_PRIORITY < DISPATCH_WINDOW);
// The slowest restart: every attempt runs into its time-out, back-offs double, and the hang was
// seen last of all.
const SLOWEST_RESTART_US: u64 = HANG_BUDGET_US * 3 / 2
    + CONNECT_ATTEMPTS_MAX as u64 * CONNECT_TIMEOUT_US
    + CONNECT_BACKOFF_US * (1 << CONNECT_ATTEMPTS_MAX);
const_assert!(SLOWEST_RESTART_US < BLOCKING_TIMEOUT_US);
// The same for a context that the runtime rebuilds, or loses at the end of its time.
const_assert!(HANG_BUDGET_US * 3 / 2 + REBUILD_TIME_MAX_US < BLOCKING_TIMEOUT_US);
const_assert!(FALLBACK_INTERVAL_US_MAX < BLOCKING_TIMEOUT_US);

/// How many objects the tables hold, chosen at init. Cost on 64-bit targets in bytes, see
/// [`crate::runtime::Runtime::memory_required`] for the exact sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Capacities {
    /// Contexts that live at once. About 200 bytes each, and 130 a request of their depth while
    /// they live.
    pub contexts: u16,
    /// Graphs of all contexts. About 500 bytes each.
    pub graphs: u16,
    /// Registered buffers of all contexts. About 50 bytes each.
    pub buffers: u16,
    /// Requests: the sum of the queue depths of all contexts. 4 bytes each.
    pub requests: u16,
    /// Profile objects. About 250 bytes each.
    pub profiles: u16,
    /// Power configuration ids. About 100 bytes each.
    pub power_configs: u16,
    /// Outputs of accepted requests in contexts that watch who writes what, see
    /// [`crate::runtime::IoOwnership`]. 24 bytes each.
    pub watched_outputs: u16,
    /// Records of the trace ring; 0 switches tracing off. 32 bytes each.
    pub trace_records: u32,
}

impl Capacities {
    /// Room for a mid-size ADAS process: 16 contexts with full queues.
    pub const DEFAULT: Capacities = Capacities {
        contexts: 16,
        graphs: 64,
        buffers: 256,
        requests: 16 * QUEUE_DEPTH_MAX,
        profiles: 32,
        power_configs: 64,
        watched_outputs: 1_024,
        trace_records: 16_384,
    };

    /// Room for a process with many models on a system with virtual memory: 64 contexts with full
    /// queues. About 3 MiB.
    pub const HOSTED: Capacities = Capacities {
        contexts: 64,
        graphs: 64 * 16,
        buffers: 4096,
        requests: 64 * QUEUE_DEPTH_MAX,
        profiles: 256,
        power_configs: 256,
        watched_outputs: 4096,
        trace_records: 16_384,
    };
}

impl Default for Capacities {
    fn default() -> Self {
        Self::DEFAULT
    }
}
