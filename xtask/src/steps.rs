//! Steps of a long command: shown while they run, reported together at the end.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Result;
use console::style;
use indicatif::{ProgressBar, ProgressStyle};

/// Lines of a failed step's output that are worth reading.
const OUTPUT_LINES_MAX: usize = 120;

/// Checks counted by a step: its tests where it has tests, otherwise itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Checks that held.
    pub(crate) passed: u64,
    /// Checks that did not.
    pub(crate) failed: u64,
}

impl Tally {
    /// A step that is one check, and holds.
    pub(crate) const ONE: Tally = Tally { passed: 1, failed: 0 };

    /// Adds another count to this one.
    pub(crate) fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// How a step ends: its count and what there is to read.
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    pub(crate) failure: Option<String>,
    /// What is worth reading however it ended.
    pub(crate) report: Option<String>,
}

impl Outcome {
    /// A count, and what failed; nothing else to read.
    pub(crate) fn new(tally: Tally, failure: Option<String>) -> Self {
        Outcome { tally, failure, report: None }
    }
}

impl From<Result<Tally>> for Outcome {
    fn from(result: Result<Tally>) -> Self {
        match result {
            Ok(tally) => Outcome::new(tally, None),
            Err(error) => Outcome::new(Tally::default(), Some(format!("{error:#}"))),
        }
    }
}

/// Runs steps and remembers how they ended.
pub(crate) struct Steps {
    tally: Tally,
    failures: Vec<(String, String)>,
}

impl Steps {
    /// Nothing run yet.
    pub(crate) fn new() -> Self {
        Steps { tally: Tally::default(), failures: Vec::new() }
    }

    /// Runs one step. A failure does not keep the next step from running.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce(&ProgressBar) -> Outcome) {
        let bar = spinner(name);
        let begin = Instant::now();
        let mut outcome = step(&bar);
        bar.finish_and_clear();
        if outcome.failure.is_some() && outcome.tally.failed == 0 {
            outcome.tally.failed = 1;
        }
        if outcome.tally.failed > 0 && outcome.failure.is_none() {
            outcome.failure = Some("the step gave no reason".into());
        }
        let word = if outcome.failure.is_some() {
            style("FAIL").red().bold()
        } else {
            style("  ok").green()
        };
        let seconds = begin.elapsed().as_secs_f64();
        println!("{word}  {name:<44} {seconds:>7.1} s  {:>5} checks", outcome.tally.passed);
        if let Some(text) = outcome.report {
            println!("\n{}\n", text.trim_end());
        }
        self.tally.add(outcome.tally);
        if let Some(text) = outcome.failure {
            self.failures.push((name.into(), text));
        }
    }

    /// Says that a step was left out because the developer asked for it.
    pub(crate) fn skip(&mut self, name: &str) {
        println!("{}  {name}", style("skip").yellow());
    }

    /// Prints what failed, then the count as the last line; true if nothing failed.
    pub(crate) fn finish(self) -> bool {
        for (name, text) in &self.failures {
            println!("\n{} {name}\n{}", style("FAIL").red().bold(), tail(text));
        }
        if !self.failures.is_empty() {
            let names: Vec<&str> = self.failures.iter().map(|(name, _)| name.as_str()).collect();
            println!("\nfailed: {}", names.join(", "));
        }
        println!("\n{} passed, {} failed", self.tally.passed, self.tally.failed);
        self.failures.is_empty()
    }
}

/// A spinner with a clock; without a terminal, a line that says what has begun.
pub(crate) fn spinner(name: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        eprintln!(" ...  {name}");
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message(name.to_owned());
    set_template(&bar, "{spinner}     {msg}  {elapsed}");
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Lets a spinner show how many of `total` parts are done.
pub(crate) fn show_parts(bar: &ProgressBar, total: usize) {
    bar.set_length(total as u64);
    set_template(bar, "{spinner}     {msg}  {pos}/{len}  {elapsed}");
}

fn set_template(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let left_out = lines.len().saturating_sub(OUTPUT_LINES_MAX);
    let mut shown = String::new();
    if left_out > 0 {
        shown.push_str(&format!("({left_out} lines left out)\n"));
    }
    shown.push_str(&lines[left_out..].join("\n"));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_failed_step_counts_and_later_steps_still_run() {
        let mut steps = Steps::new();
        let mut reached = false;
        steps.run("first", |_| Outcome::from(Err(anyhow!("broken"))));
        steps.run("second", |_| {
            reached = true;
            Outcome::from(Ok(Tally { passed: 4, failed: 0 }))
        });
        assert!(reached);
        assert_eq!(steps.tally, Tally { passed: 4, failed: 1 });
        assert_eq!(steps.failures, [("first".into(), "broken".into())]);
        assert!(!steps.finish());
    }

    #[test]
    fn failed_checks_without_a_reason_still_fail() {
        let mut steps = Steps::new();
        steps.run("quiet", |_| Outcome::from(Ok(Tally { passed: 1, failed: 2 })));
        assert!(!steps.finish());
    }

    #[test]
    fn only_the_end_of_long_output_is_shown() {
        let text: String = (0..500).map(|line| format!("line {line}\n")).collect();
        let shown = tail(&text);
        assert!(shown.starts_with("(380 lines left out)\nline 380\n"), "{shown}");
        assert!(shown.ends_with("line 499"));
    }
}
