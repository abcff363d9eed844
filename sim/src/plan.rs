//! What a run does: everything that a seed decides, written down before the run begins.
//!
//! A decision that needs an object picks "the n-th there is", so a list stays a run when decisions
//! are taken out of it; one that finds nothing does nothing. Each run draws its own weights, some
//! of them 0: runs differ in kind, not only in detail.

use crate::check::Policy;
use crate::memory::COMMON_PLACES;
use htp_runtime::capability::{Capabilities, PlatformKind};
use htp_runtime::limits::{Capacities, FALLBACK_INTERVAL_US_MAX};
use htp_runtime::runtime::IoOwnership;
use rand_pcg::rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Longest time that a context may be rebuilt.
pub const TIME_BUDGET_MAX_US: u64 = 2_000_000;
/// Longest time between two executions on the CPU.
pub const INTERVAL_MAX_US: u64 = 20_000;
/// Most requests that there is room for.
pub const REQUESTS_MAX: u16 = 80;

/// One step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    // Calls of clients.
    ContextCreate {
        depth: u16,
        level: u8,
        policy: Policy,
    },
    ContextLoad {
        depth: u16,
        graphs: u8,
        policy: Policy,
    },
    ContextFree {
        pick: u16,
    },
    ContextStatus {
        pick: u16,
    },
    ContextPriority {
        pick: u16,
        level: u8,
    },
    ContextOwnership {
        pick: u16,
        ownership: IoOwnership,
    },
    ContextFallback {
        pick: u16,
        interval_us: Option<u32>,
    },
    GraphLoad {
        context: u16,
        level: u8,
    },
    GraphCompose {
        context: u16,
        level: u8,
    },
    GraphFinalize {
        pick: u16,
    },
    GraphStatus {
        pick: u16,
    },
    GraphPriority {
        pick: u16,
        level: u8,
    },
    BufferRegister {
        context: u16,
        empty: bool,
    },
    BufferStatus {
        pick: u16,
    },
    BufferDeregister {
        pick: u16,
    },
    Submit {
        pick: u16,
        blocking: bool,
        deadline_us: Option<u32>,
        tensors: Tensors,
    },
    Cancel {
        pick: u16,
    },
    TakeOutcome {
        pick: u16,
    },
    Abandon {
        pick: u16,
    },
    PowerCreate,
    PowerSet {
        pick: u16,
        vote: Vote,
    },
    PowerDestroy {
        pick: u16,
    },
    MemorySet {
        grow_kib: u8,
    },
    /// Frees what a restart made stale and creates as much anew, as QNN tells its clients to.
    StartOver {
        graphs: u8,
        depth: u16,
        policy: Policy,
        interval_us: Option<u32>,
    },
    // The loop around the runtime.
    Poll {
        count: u8,
    },
    Take {
        count: u8,
    },
    Deliver {
        pick: u16,
    },
    Hear {
        count: u8,
    },
    Pass {
        us: u32,
    },
    Timeout,
    NextTimer,
    Turn,
    /// Turns in which the device finishes all that runs.
    Serve {
        turns: u8,
    },
    // What the device does.
    Answer {
        pick: u16,
    },
    Work {
        pick: u16,
    },
    Finish {
        pick: u16,
    },
    /// What the CPU executes ends.
    FinishOnCpu {
        failing: Option<u8>,
    },
    // What goes wrong.
    Fail {
        pick: u16,
        how: u8,
    },
    Crash,
    SilentCrash,
    Hang,
    Lose {
        pick: u16,
    },
    Duplicate {
        pick: u16,
    },
    Forge {
        pick: u16,
        back: u8,
    },
    Connects {
        failing: u8,
        ignored: u8,
    },
    Refuse,
    IgnoreAborts,
    ClockJump {
        ms: u32,
    },
}

/// How a client binds the tensors of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tensors {
    Right,
    OtherOrder,
    OneMissing,
    TooShort,
    /// The output is where other requests may write, too.
    Common(u8),
}

/// What a client votes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vote {
    SleepLatency(u32),
    Bus(u8),
    NoBus,
    Core(u8),
    HmxFollows,
}

/// What holds for a whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// Sizes of the runtime's tables.
    pub capacities: Capacities,
    /// What the platform offers.
    pub capabilities: Capabilities,
}

/// A whole run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where it comes from.
    pub seed: u64,
    /// What holds for all of it.
    pub setup: Setup,
    /// Its steps.
    pub decisions: Vec<Decision>,
}

impl Plan {
    /// The run of this seed.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice(Pcg64Mcg::seed_from_u64(seed));
        let setup = Setup::drawn(&mut dice);
        let weights = Weights::drawn(&mut dice);
        let len = 200 + dice.below(600);
        let decisions = (0..len).map(|_| weights.draw(&mut dice)).collect();
        Self { seed, setup, decisions }
    }
}

impl Setup {
    fn drawn(dice: &mut Dice) -> Self {
        let capacities = Capacities {
            contexts: 2 + dice.below(4) as u16,
            graphs: 4 + dice.below(8) as u16,
            buffers: 1 + dice.below(4) as u16,
            requests: 20 + dice.below(u32::from(REQUESTS_MAX) - 20) as u16,
            profiles: 1,
            power_configs: 1 + dice.below(3) as u16,
            watched_outputs: dice.below(12) as u16,
            trace_records: 4,
        };
        let mut capabilities = PlatformKind::QnxAdas.capabilities(75);
        let rare = [
            (5, Capabilities::PARALLEL_GRAPHS),
            (20, Capabilities::SUBSYSTEM_RESTART),
            (10, Capabilities::PRIVILEGED_PRIORITY),
            (40, Capabilities::SHARED_BUFFERS),
            (80, Capabilities::ASYNC_EXECUTION),
            (40, Capabilities::ONLINE_COMPOSITION),
        ];
        for (one_in, capability) in rare {
            if dice.one_in(one_in) {
                capabilities.remove(capability);
            }
        }
        if dice.one_in(2) {
            capabilities.insert(Capabilities::CPU_FALLBACK);
            if dice.one_in(6) {
                capabilities.remove(Capabilities::SUBSYSTEM_RESTART);
            }
        }
        Self { capacities, capabilities }
    }
}

/// The one source of chance.
struct Dice(Pcg64Mcg);

impl Dice {
    /// 0 to `end` - 1.
    fn below(&mut self, end: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(end)) >> 32) as u32
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    fn pick(&mut self) -> u16 {
        (self.0.next_u32() >> 16) as u16
    }

    /// The first mostly, any other rarely.
    fn front(&mut self) -> u16 {
        if self.one_in(8) {
            self.pick()
        } else {
            0
        }
    }

    fn level(&mut self) -> u8 {
        self.below(4) as u8
    }

    fn policy(&mut self) -> Policy {
        if self.below(5) < 2 {
            return Policy::Native;
        }
        Policy::Managed {
            attempts_max: 1 + self.below(4),
            time_budget_us: match self.below(4) {
                0 => 1 + u64::from(self.below(5_000)),
                _ => TIME_BUDGET_MAX_US,
            },
            keeps: self.below(4) > 0,
        }
    }

    fn ownership(&mut self) -> IoOwnership {
        [IoOwnership::Unwatched, IoOwnership::Counted, IoOwnership::Refused][self.below(3) as usize]
    }

    fn interval(&mut self) -> Option<u32> {
        Some(match self.below(20) {
            0 => 0,
            1 => FALLBACK_INTERVAL_US_MAX as u32 + 1,
            2..=4 => return None,
            5..=7 => 1 + self.below(INTERVAL_MAX_US as u32),
            _ => 1 + self.below(300),
        })
    }

    fn depth(&mut self) -> u16 {
        match self.below(40) {
            0 => 0,
            1 => 301,
            2 => 60,
            _ => 1 + self.below(12) as u16,
        }
    }
}

/// A kind of decision: how often it comes, and how its details are drawn.
type Kind = (u32, fn(&mut Dice) -> Decision);

/// How often the whole loop is turned.
const TURN: u32 = 800;
const SERVE: u32 = 600;

/// Every kind, with how often it comes among about 10,000.
const KINDS: [Kind; 48] = [
    (60, |d| Decision::ContextCreate { depth: d.depth(), level: d.level(), policy: d.policy() }),
    (40, |d| Decision::ContextLoad {
        depth: d.depth(),
        graphs: 1 + d.below(3) as u8,
        policy: d.policy(),
    }),
    (12, |d| Decision::ContextFree { pick: d.pick() }),
    (40, |d| Decision::ContextStatus { pick: d.pick() }),
    (20, |d| Decision::ContextPriority { pick: d.pick(), level: d.level() }),
    (60, |d| Decision::ContextOwnership { pick: d.pick(), ownership: d.ownership() }),
    (200, |d| Decision::ContextFallback { pick: d.pick(), interval_us: d.interval() }),
    (80, |d| Decision::GraphLoad { context: d.pick(), level: d.level() }),
    (30, |d| Decision::GraphCompose { context: d.pick(), level: d.level() }),
    (40, |d| Decision::GraphFinalize { pick: d.pick() }),
    (20, |d| Decision::GraphStatus { pick: d.pick() }),
    (20, |d| Decision::GraphPriority { pick: d.pick(), level: d.level() }),
    (40, |d| Decision::BufferRegister { context: d.pick(), empty: d.one_in(10) }),
    (15, |d| Decision::BufferStatus { pick: d.pick() }),
    (25, |d| Decision::BufferDeregister { pick: d.pick() }),
    (3000, submit),
    (150, |d| Decision::Cancel { pick: d.pick() }),
    (250, |d| Decision::TakeOutcome { pick: d.pick() }),
    (30, |d| Decision::Abandon { pick: d.pick() }),
    (15, |_| Decision::PowerCreate),
    (40, |d| Decision::PowerSet { pick: d.pick(), vote: vote(d) }),
    (10, |d| Decision::PowerDestroy { pick: d.pick() }),
    (15, |d| Decision::MemorySet { grow_kib: d.below(3) as u8 }),
    (200, |d| Decision::StartOver {
        graphs: 1 + d.below(4) as u8,
        depth: 1 + d.below(10) as u16,
        policy: d.policy(),
        interval_us: d.interval(),
    }),
    (700, |d| Decision::Poll { count: 1 + d.below(4) as u8 }),
    (700, |d| Decision::Take { count: 1 + d.below(4) as u8 }),
    (900, |d| Decision::Deliver { pick: d.front() }),
    (500, |d| Decision::Hear { count: 1 + d.below(6) as u8 }),
    (300, |d| Decision::Pass { us: d.below(400) }),
    (200, |_| Decision::Timeout),
    (120, |_| Decision::NextTimer),
    (TURN, |_| Decision::Turn),
    (SERVE, |d| Decision::Serve { turns: 1 + d.below(4) as u8 }),
    (500, |d| Decision::Answer { pick: d.front() }),
    (200, |d| Decision::Work { pick: d.pick() }),
    (1500, |d| Decision::Finish { pick: d.pick() }),
    (300, |d| Decision::FinishOnCpu { failing: d.one_in(8).then(|| d.below(4) as u8) }),
    (60, |d| Decision::Fail { pick: d.pick(), how: d.below(4) as u8 }),
    (20, |_| Decision::Crash),
    (3, |_| Decision::SilentCrash),
    (5, |_| Decision::Hang),
    (8, |d| Decision::Lose { pick: d.pick() }),
    (60, |d| Decision::Duplicate { pick: d.pick() }),
    (60, |d| Decision::Forge { pick: d.pick(), back: d.below(3) as u8 }),
    (25, |d| Decision::Connects { failing: d.below(3) as u8, ignored: d.below(3) as u8 }),
    (20, |_| Decision::Refuse),
    (20, |_| Decision::IgnoreAborts),
    (6, |d| Decision::ClockJump { ms: 1 + d.below(2_000) }),
];

fn submit(dice: &mut Dice) -> Decision {
    let tensors = match dice.below(60) {
        0 => Tensors::OneMissing,
        1 => Tensors::TooShort,
        2 => Tensors::OtherOrder,
        3..=14 => Tensors::Common(dice.below(COMMON_PLACES.into()) as u8),
        _ => Tensors::Right,
    };
    Decision::Submit {
        pick: dice.pick(),
        blocking: dice.one_in(20),
        deadline_us: dice.one_in(5).then(|| dice.below(600)),
        tensors,
    }
}

fn vote(dice: &mut Dice) -> Vote {
    match dice.below(6) {
        0 => Vote::SleepLatency(dice.below(66_000)),
        1 | 2 => Vote::Bus(dice.below(9) as u8),
        3 => Vote::NoBus,
        4 => Vote::Core(dice.below(9) as u8),
        _ => Vote::HmxFollows,
    }
}

/// How often each kind comes in one run: the sums up to and with it.
struct Weights([u32; KINDS.len()]);

impl Weights {
    fn drawn(dice: &mut Dice) -> Self {
        let mut sum = 0;
        // A whole turn leaves nothing under way that could be lost or overtaken.
        let turns_are_rare = dice.one_in(3);
        Self(KINDS.map(|(weight, _)| {
            let factor = [0, 1, 2, 2, 2, 3, 4, 8][dice.below(8) as usize];
            sum += match weight {
                TURN | SERVE if turns_are_rare => weight * factor / 32,
                // Without the loop nothing happens at all.
                500.. => weight * factor.max(1),
                _ => weight * factor,
            };
            sum
        }))
    }

    fn draw(&self, dice: &mut Dice) -> Decision {
        let at = dice.below(self.0[KINDS.len() - 1]);
        let (_, kind) = KINDS[self.0.partition_point(|sum| *sum <= at)];
        kind(dice)
    }
}
