//! `cargo xtask sim`: the simulation, optimized; what it prints is the program's.

use std::process::Command;

use anyhow::Result;

use crate::process::{self, BUILD_LIMIT};
use crate::programs;
use crate::steps::Outcome;
use crate::test;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// `--seed N` replays a run, `--minutes M` explores, `--mutants` breaks the runtime on
    /// purpose; `-- --help` has the rest
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    process::pass_through(program().args(&options.arguments))
}

/// Fixed seeds and the broken runtimes; then the restart machine in every order, of which it
/// reports how many states there are.
pub(crate) fn check() -> Outcome {
    let seeds = process::capture(program().arg("--check"), BUILD_LIMIT);
    let seeds = seeds.and_then(|finished| programs::tally(&finished));
    let mut every_order = process::cargo();
    every_order.args(["test", "--profile", "sim", "--package", "htp-sim", "--test", "restart"]);
    every_order.args(["--", "--nocapture", "--test-threads", "1"]);
    let orders = process::succeed(&mut every_order, BUILD_LIMIT);
    let states = |line: &&str| line.contains(" of them different, ");
    let report = orders.as_ref().ok().map(|output| {
        let lines = output.lines().filter(states);
        let line = |line: &str| line.rsplit_once(" ... ").map_or(line, |(_, rest)| rest).to_owned();
        lines.map(line).collect::<Vec<_>>().join("\n")
    });
    let both = seeds.and_then(|mut tally| {
        tally.add(test::count_tests(&orders?));
        Ok(tally)
    });
    Outcome { report, ..both.into() }
}

fn program() -> Command {
    let mut command = process::cargo();
    command.args(["run", "--quiet", "--profile", "sim", "--package", "htp-sim", "--"]);
    command
}
