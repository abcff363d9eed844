//! Many runs, on many threads.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;

use crate::coverage::Coverage;
use crate::mutant::Mutant;
use crate::plan::Plan;
use crate::trace::Trace;
use crate::world::{run, Failure, Tally, ARENA_BYTES};

/// Runs between two reports of a thread.
const RUNS_PER_REPORT: u64 = 64;

/// What an exploration has found so far.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub tally: Tally,
    pub coverage: Coverage,
    /// The first seed that failed, in the order of the seeds.
    pub failure: Option<(u64, Failure)>,
}

/// Memory for one run after another.
pub fn arena() -> Box<[MaybeUninit<u8>]> {
    Box::new_uninit_slice(ARENA_BYTES)
}

/// Explores the seeds from `first` on, `count` of them or until `stop` says so, on `threads`
/// threads; `report` hears of what was found, on any of them.
pub fn explore(
    first: u64,
    count: u64,
    threads: usize,
    mutant: Option<Mutant>,
    report: impl Fn(&Found) -> bool + Sync,
) -> Found {
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let found = Mutex::new(Found::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mut arena = arena();
                while !stop.load(Ordering::Relaxed) {
                    let begin = next.fetch_add(RUNS_PER_REPORT, Ordering::Relaxed);
                    let end = begin.saturating_add(RUNS_PER_REPORT).min(count);
                    if begin >= end {
                        break;
                    }
                    let more = some(first + begin..first + end, mutant, &mut arena);
                    let mut all = found.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    let failed = all.add(more);
                    if !report(&all) || failed {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn some(
    seeds: std::ops::Range<u64>,
    mutant: Option<Mutant>,
    arena: &mut [MaybeUninit<u8>],
) -> Found {
    let mut found = Found::default();
    for seed in seeds {
        RUNNING.set(seed);
        let plan = Plan::of(seed);
        match run(&plan, mutant, arena, &mut Trace::silent(), &mut found.coverage) {
            Ok(tally) => found.tally.add(&tally),
            Err(failure) => {
                found.tally.runs += 1;
                found.failure = Some((seed, failure));
                break;
            }
        }
    }
    found
}

impl Found {
    /// Adds what others found; whether something failed.
    fn add(&mut self, more: Found) -> bool {
        self.tally.add(&more.tally);
        self.coverage.add(&more.coverage);
        let earlier = match (&self.failure, &more.failure) {
            (Some((here, _)), Some((there, _))) => there < here,
            (None, Some(_)) => true,
            _ => false,
        };
        if earlier {
            self.failure = more.failure;
        }
        self.failure.is_some()
    }
}

thread_local! {
    /// The seed that this thread runs, for the message of a panic.
    pub static RUNNING: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}
