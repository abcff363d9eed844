//! The shortest list of decisions that still breaks the same rule.

use std::mem::MaybeUninit;

use crate::check::Violation;
use crate::coverage::Coverage;
use crate::mutant::Mutant;
use crate::plan::Plan;
use crate::trace::Trace;
use crate::world::run;

/// Runs that a search may take.
const RUNS_MAX: u32 = 20_000;

/// A plan from which nothing can be taken, and how it fails.
pub struct Shrunk {
    pub plan: Plan,
    pub violation: Violation,
    /// Runs that it took to find it.
    pub runs: u32,
}

/// Takes decisions out of a plan that fails, in ever smaller pieces, as long as it fails by the
/// same rule; `None` if it does not fail.
pub fn shrink(
    plan: &Plan,
    mutant: Option<Mutant>,
    arena: &mut [MaybeUninit<u8>],
) -> Option<Shrunk> {
    let mut runs = 0;
    let mut fails = |plan: &Plan, arena: &mut [MaybeUninit<u8>]| {
        runs += 1;
        let mut coverage = Coverage::default();
        run(plan, mutant, arena, &mut Trace::silent(), &mut coverage).err()
    };
    let failure = fails(plan, arena)?;
    let mut best = plan.clone();
    best.decisions.truncate(failure.decisions);
    let mut violation = failure.violation;
    let mut piece = best.decisions.len().div_ceil(2);
    let mut tried = 0;
    while piece > 0 && tried < RUNS_MAX {
        let mut start = 0;
        let mut smaller = false;
        while start < best.decisions.len() && tried < RUNS_MAX {
            tried += 1;
            let mut shorter = best.clone();
            let end = (start + piece).min(shorter.decisions.len());
            shorter.decisions.drain(start..end);
            match fails(&shorter, arena) {
                Some(failure) if failure.violation.rule == violation.rule => {
                    shorter.decisions.truncate(failure.decisions);
                    best = shorter;
                    violation = failure.violation;
                    smaller = true;
                }
                _ => start += piece,
            }
        }
        if !smaller || piece > 1 {
            piece /= 2;
        }
    }
    Some(Shrunk { plan: best, violation, runs })
}
