//! `htp-sim`: explores runs, replays one, or breaks the runtime on purpose.

mod report;

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use htp_sim::coverage::Coverage;
use htp_sim::explore::{arena, explore, Found, RUNNING};
use htp_sim::mutant::Mutant;
use htp_sim::plan::Plan;
use htp_sim::shrink::shrink;
use htp_sim::trace::Trace;
use htp_sim::world::run;

/// Runs in which each mutant must be caught.
const MUTANT_RUNS_MAX: u64 = 1_000_000;
/// Runs of `--check`, from the seed 0.
const CHECK_RUNS: u64 = 20_000;
/// Minutes of an exploration of which nothing else is said.
const MINUTES_DEFAULT: u64 = 1;

/// Simulates the runtime: one seed decides workload, faults and interleaving.
#[derive(Parser)]
#[command(name = "htp-sim")]
struct Options {
    /// Replay the run of this seed, print what happened, and shrink it if it fails
    #[arg(long)]
    seed: Option<u64>,
    /// Explore for so long
    #[arg(long, conflicts_with = "seed")]
    minutes: Option<u64>,
    /// Explore so many runs
    #[arg(long, conflicts_with_all = ["seed", "minutes"])]
    runs: Option<u64>,
    /// The first seed of an exploration; drawn from the clock if it is not given
    #[arg(long)]
    from: Option<u64>,
    /// Threads of an exploration; all cores if it is not given
    #[arg(long)]
    threads: Option<usize>,
    /// See that every deliberately broken runtime is caught
    #[arg(long, conflicts_with_all = ["seed", "minutes", "runs"])]
    mutants: bool,
    /// A fixed exploration and the broken runtimes; the last line reads `N passed, N failed`
    #[arg(long, conflicts_with_all = ["seed", "minutes", "runs", "from", "mutants"])]
    check: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    name_the_seed_of_a_panic();
    let held = match options {
        Options { seed: Some(seed), .. } => replay(seed),
        Options { mutants: true, .. } => mutants(options.threads()).failed == 0,
        Options { check: true, .. } => check(options.threads()),
        _ => exploration(&options),
    };
    if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Options {
    fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or(cores)
    }
}

/// A panic ends the program; which run it was is all that is needed to see it again.
fn name_the_seed_of_a_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        eprintln!("panic in the run of seed {}", RUNNING.get());
        print(panic);
    }));
}

/// Does the run of one seed; whether everything held.
fn replay(seed: u64) -> bool {
    RUNNING.set(seed);
    let (plan, mut arena, mut trace) = (Plan::of(seed), arena(), Trace::told());
    let result = run(&plan, None, &mut arena, &mut trace, &mut Coverage::default());
    println!("{:?}\n{}", plan.setup, trace.text());
    match result {
        Ok(tally) => {
            report::closing(&tally, 0);
            true
        }
        Err(_) => {
            explain(seed);
            false
        }
    }
}

/// Prints the shortest list of decisions with which the run of this seed fails, and what happens.
fn explain(seed: u64) {
    let mut arena = arena();
    let Some(shrunk) = shrink(&Plan::of(seed), None, &mut arena) else { return };
    let mut trace = Trace::told();
    let _ = run(&shrunk.plan, None, &mut arena, &mut trace, &mut Coverage::default());
    println!("seed {seed}, shrunk to {} decisions:", shrunk.plan.decisions.len());
    println!("{}", trace.text());
    println!("{:?}", shrunk.plan.setup);
    shrunk.plan.decisions.iter().for_each(|decision| println!("  {decision:?}"));
    println!("seed {seed} breaks: {}\n  {}", shrunk.violation.rule, shrunk.violation.what);
}

/// Explores; whether everything held.
fn exploration(options: &Options) -> bool {
    let from = options.from.unwrap_or_else(drawn);
    let begin = Instant::now();
    let minutes = options.minutes.unwrap_or(MINUTES_DEFAULT);
    let limit = options.runs.is_none().then(|| Duration::from_secs(60 * minutes));
    let progress = report::Progress::new(limit, options.runs);
    let count = options.runs.unwrap_or(u64::MAX - from);
    let found = explore(from, count, options.threads(), None, |found: &Found| {
        progress.show(found, begin.elapsed());
        limit.is_none_or(|limit| begin.elapsed() < limit)
    });
    progress.end();
    report::summary(&found, from, begin.elapsed());
    if let Some((seed, _)) = found.failure {
        explain(seed);
    }
    report::closing(&found.tally, u64::from(found.failure.is_some()));
    found.failure.is_none()
}

/// A seed from which seeds were hardly explored before.
fn drawn() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() << 24
}

/// How many checks held.
#[derive(Default)]
struct Count {
    passed: u32,
    failed: u32,
}

impl Count {
    fn add(&mut self, held: bool) {
        self.passed += u32::from(held);
        self.failed += u32::from(!held);
    }
}

/// Breaks the runtime in every way there is, and counts the mutants that are caught.
fn mutants(threads: usize) -> Count {
    let mut count = Count::default();
    println!("{:<20} {:>6} {:>9}  broken rule", "mutant", "seeds", "decisions");
    for mutant in Mutant::ALL {
        let found = explore(0, MUTANT_RUNS_MAX, threads, Some(mutant), |_| true);
        let name = format!("{mutant:?}");
        count.add(found.failure.is_some());
        let Some((seed, _)) = found.failure else {
            println!("{name:<20} not caught in {MUTANT_RUNS_MAX} runs: {}", mutant.says());
            continue;
        };
        let shrunk = shrink(&Plan::of(seed), Some(mutant), &mut arena());
        let decisions = shrunk.as_ref().map_or(0, |shrunk| shrunk.plan.decisions.len());
        let rule = shrunk.map_or("", |shrunk| shrunk.violation.rule);
        println!("{name:<20} {:>6} {decisions:>9}  {rule}", seed + 1);
    }
    count
}

/// The same runs each time, and every mutant.
fn check(threads: usize) -> bool {
    let begin = Instant::now();
    let found = explore(0, CHECK_RUNS, threads, None, |_| true);
    report::summary(&found, 0, begin.elapsed());
    if let Some((seed, _)) = found.failure {
        explain(seed);
    }
    let mut count = mutants(threads);
    count.add(found.failure.is_none());
    println!("{} passed, {} failed", count.passed, count.failed);
    count.failed == 0
}
