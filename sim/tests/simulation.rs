//! A bounded part of what `cargo xtask sim` explores: fixed seeds, every mutant, the shrinking.

use htp_sim::coverage::Coverage;
use htp_sim::explore::{arena, explore};
use htp_sim::mutant::Mutant;
use htp_sim::plan::Plan;
use htp_sim::shrink::shrink;
use htp_sim::trace::Trace;
use htp_sim::world::run;

/// Runs of the short exploration.
const RUNS: u64 = 600;
/// Seeds within which each mutant is caught.
const MUTANT_SEEDS: u64 = 400;

/// Seeds and the hashes of their traces, on every machine. They change when a run changes: with the
/// runtime's behaviour, or with what the simulation draws. `cargo xtask sim --seed N` prints the
/// new one. Two of them execute on the CPU: during a restart, and what is lost.
const HASHES: [(u64, u64); 8] = [
    (1, 0xf306_04d2_468a_c6b7),
    (2, 0xf880_ad23_4d5f_0c41),
    (3, 0x6bb2_c57a_8162_0b01),
    (20, 0x0ae6_5dcc_ad7a_7494),
    (91, 0x12f5_7596_bb56_54b5),
    (203, 0x4068_48a4_f6e3_936d),
    (300, 0xfbd9_34c1_ec95_9864),
    (4_000, 0xa84c_6ca8_2f5b_7932),
];

#[test]
fn a_seed_is_the_same_run_on_every_machine() {
    let mut arena = arena();
    let mut hash = |seed| {
        let mut trace = Trace::silent();
        let mut coverage = Coverage::default();
        let done = run(&Plan::of(seed), None, &mut arena, &mut trace, &mut coverage);
        assert!(done.is_ok(), "seed {seed}: {done:?}");
        (seed, trace.hash())
    };
    let hashes = HASHES.map(|(seed, _)| hash(seed));
    assert_eq!(hashes, HASHES, "{hashes:#x?}");
    assert_eq!(hash(1), hashes[0], "what ran before in the same memory does not matter");
}

#[test]
fn keeping_the_text_does_not_change_a_run() {
    let mut arena = arena();
    let mut traces = [Trace::silent(), Trace::told()];
    for trace in &mut traces {
        let mut coverage = Coverage::default();
        assert!(run(&Plan::of(7), None, &mut arena, trace, &mut coverage).is_ok());
    }
    let [silent, told] = traces;
    assert_eq!(silent.hash(), told.hash());
    assert!(silent.text().is_empty() && told.text().contains("nothing is left"));
}

// REQ: ASYNC-002, ASYNC-024, ASYNC-026, ASYNC-033, ASYNC-034, ASYNC-035, ASYNC-039, ASYNC-040
// REQ: SSR-005, SSR-006, SSR-028
#[test]
fn no_seed_of_the_short_exploration_breaks_a_rule() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let found = explore(0, RUNS, threads, None, |_| true);
    assert!(found.failure.is_none(), "{:?}", found.failure);
    let tally = found.tally;
    assert_eq!(tally.runs, RUNS);
    assert!(tally.requests > 10 * RUNS && tally.recoveries > RUNS / 4, "{tally:?}");
    assert!(tally.on_cpu > RUNS / 4 && tally.on_cpu_lost > RUNS / 8, "{tally:?}");
    assert!(tally.faults[1..].iter().all(|count| *count > 0), "a fault never came: {tally:?}");
    let (reached, cells) = found.coverage.cells();
    assert!(reached * 2 > cells, "{reached} of {cells} cells");
}

#[test]
fn every_broken_runtime_is_caught() {
    for mutant in Mutant::ALL {
        let found = explore(0, MUTANT_SEEDS, 1, Some(mutant), |_| true);
        assert!(found.failure.is_some(), "{mutant:?} is not caught: {}", mutant.says());
    }
}

#[test]
fn a_failing_run_shrinks_until_every_decision_is_needed() {
    let mut arena = arena();
    let plan = Plan::of(0);
    let mutant = Some(Mutant::SkipCompletion);
    let shrunk = shrink(&plan, mutant, &mut arena).expect("the mutant is caught");
    assert!(shrunk.plan.decisions.len() < plan.decisions.len() / 10);
    let mut rule_without = |index: usize| {
        let mut plan = shrunk.plan.clone();
        plan.decisions.remove(index);
        let mut coverage = Coverage::default();
        let done = run(&plan, mutant, &mut arena, &mut Trace::silent(), &mut coverage);
        done.err().map(|failure| failure.violation.rule)
    };
    for index in 0..shrunk.plan.decisions.len() {
        assert_ne!(rule_without(index), Some(shrunk.violation.rule), "{index} is not needed");
    }
    assert!(
        shrink(&Plan::of(0), None, &mut arena).is_none(),
        "a run that holds has no shorter one"
    );
}
