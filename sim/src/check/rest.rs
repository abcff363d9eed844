//! What must hold after every step, whatever the step was.

use htp_runtime::runtime::Runtime;
use htp_runtime::time::Instant;

use super::{ensure, Check, Model};

impl Model {
    /// The runtime's visible state is the model's. Constant work for a world of this size.
    pub fn holds(&self, runtime: &Runtime<'_>, wakes: Option<Instant>) -> Check {
        let phase = (runtime.state(), runtime.epoch(), runtime.restarts());
        let expected = (self.link.state(), self.epoch(), self.link.restarts);
        ensure!(phase == expected, "phase and epoch", "{phase:?} instead of {expected:?}");
        let counters = runtime.counters();
        ensure!(counters.faults == 0, "internal rules", "{} did not hold", counters.faults);
        ensure!(
            counters.late_events == self.late,
            "late answers have no effect and are counted",
            "{} instead of {}",
            counters.late_events,
            self.late
        );
        let unwatched = counters.outputs_unwatched;
        ensure!(
            unwatched == self.unwatched,
            "outputs without room are counted",
            "{unwatched} instead of {}",
            self.unwatched
        );
        let contexts = usize::from(runtime.context_count());
        let expected = self.contexts.len();
        ensure!(contexts == expected, "contexts go when they can", "{contexts}, not {expected}");
        let starts = self.next_to_start().is_some() || self.owes_cpu().is_some();
        let must_drain = self.owes_commands() || starts;
        ensure!(
            runtime.has_command() || !must_drain,
            "pending commands are announced",
            "{:?}",
            self.owed.front()
        );
        // Whether the CPU must wait is looked at when commands are asked for.
        let cpu = self.cpu_timer().filter(|_| !runtime.has_command());
        self.timers(wakes, cpu)
    }

    /// Nothing that is due can be slept through.
    fn timers(&self, wakes: Option<Instant>, cpu: Option<Instant>) -> Check {
        let live = self.requests.iter().filter(|request| !request.is_caught());
        let deadline = live.filter_map(|request| request.deadline).min();
        let timers = [deadline, self.link.timer(), self.rebuild_timer(), cpu];
        let due = timers.into_iter().flatten().min();
        let Some(due) = due else { return Ok(()) };
        ensure!(
            wakes.is_some_and(|at| at <= due),
            "nothing due is slept through",
            "{wakes:?} is later than {due:?}"
        );
        Ok(())
    }

    /// Each context says of its queue what the model says.
    pub fn queues(&self, runtime: &Runtime<'_>) -> Check {
        for context in &self.contexts {
            let Ok(stats) = runtime.context_stats(context.id) else {
                ensure!(false, "contexts are in their table", "{:?} is not", context.id);
                continue;
            };
            let counts = stats.counts;
            let got = (stats.queue_depth, usize::from(stats.queue_used), counts.submitted);
            let expected = (context.depth, self.used(context.id), context.submitted);
            ensure!(got == expected, "queues", "{:?}: {got:?}, not {expected:?}", context.id);
            let (got, expected) = (counts.overlaps, context.overlaps);
            ensure!(got == expected, "overlaps", "{:?}: {got}, not {expected}", context.id);
            let (got, expected) = (counts.on_fallback, context.on_fallback);
            ensure!(
                got == expected,
                "executed on the CPU",
                "{:?}: {got:?}, not {expected:?}",
                context.id
            );
            let ended = [counts.completed, counts.timed_out, counts.aborted, counts.failed];
            ensure!(
                ended == context.ended,
                "counts of outcomes",
                "{:?}: {ended:?}, not {:?}",
                context.id,
                context.ended
            );
        }
        Ok(())
    }

    /// Whether nothing is to be done, by anybody.
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty()
            && self.owed.is_empty()
            && !self.awaits_objects()
            && !self.contexts.iter().any(super::Context::is_rebuilding)
    }
}
