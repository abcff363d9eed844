//! What an exploration shows while it runs, and at its end.

use std::io::IsTerminal;
use std::time::Duration;

use htp_sim::coverage::FAULTS;
use htp_sim::explore::Found;
use htp_sim::world::Tally;
use indicatif::{ProgressBar, ProgressStyle};

/// The one line that moves.
pub struct Progress(ProgressBar);

impl Progress {
    /// A line, or nothing where nobody looks.
    pub fn new(limit: Option<Duration>, runs: Option<u64>) -> Self {
        if !std::io::stderr().is_terminal() {
            eprintln!(" ...  simulating");
            return Self(ProgressBar::hidden());
        }
        let length = limit.map(|limit| limit.as_secs()).or(runs).unwrap_or(0);
        let bar = ProgressBar::new(length);
        let unit = if limit.is_some() { "{pos}/{len} s" } else { "{pos}/{len} runs" };
        if let Ok(style) = ProgressStyle::with_template(&format!("{{spinner}} {unit}  {{msg}}")) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// What was found so far.
    pub fn show(&self, found: &Found, elapsed: Duration) {
        if self.0.is_hidden() {
            return;
        }
        let tally = &found.tally;
        let (reached, cells) = found.coverage.cells();
        let per_second = u128::from(tally.steps) * 1_000 / elapsed.as_millis().max(1);
        self.0.set_message(format!(
            "{per_second} steps/s, {} requests, {} faults, {} recoveries, {reached}/{cells} cells",
            tally.requests,
            tally.faults_all(),
            tally.recoveries,
        ));
        let runs = self.0.length().is_some_and(|length| length >= tally.runs);
        self.0.set_position(if runs { tally.runs } else { elapsed.as_secs() });
    }

    /// Takes the line away.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// The table at the end.
pub fn summary(found: &Found, from: u64, elapsed: Duration) {
    let tally = &found.tally;
    let seconds = elapsed.as_millis().max(1);
    let rate = |count: u64| u128::from(count) * 1_000 / seconds;
    let (reached, cells) = found.coverage.cells();
    let rows = [
        ("runs", tally.runs),
        ("steps", tally.steps),
        ("requests accepted", tally.requests),
        ("requests refused", tally.refused),
        ("requests on the CPU", tally.on_cpu),
        ("of these, of lost ones", tally.on_cpu_lost),
        ("faults", tally.faults_all()),
        ("recoveries", tally.recoveries),
        ("runs that lost the DSP", tally.lost),
    ];
    println!("seeds from {from}, {} s", elapsed.as_secs());
    for (name, count) in rows {
        println!("  {name:<24} {count:>14} {:>10}/s", rate(count));
    }
    println!("  {:<24} {:>14}", "fault x phase x call", format!("{reached} of {cells}"));
    for (name, count) in FAULTS.iter().zip(tally.faults).skip(1) {
        println!("    {name:<22} {count:>14}");
    }
}

/// The last line.
pub fn closing(tally: &Tally, violations: u64) {
    println!(
        "sim: {} requests, {} faults, {} recoveries, {violations} violations, hash {:016x}",
        tally.requests,
        tally.faults_all(),
        tally.recoveries,
        tally.hash
    );
}
