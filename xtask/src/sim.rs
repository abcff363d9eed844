//! `cargo xtask sim`: the simulation, built for speed; what it prints is the program's.

use std::process::Command;

use anyhow::Result;

use crate::process::{self, BUILD_LIMIT};
use crate::programs;
use crate::steps::Outcome;

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

/// Fixed seeds and the broken runtimes.
pub(crate) fn check() -> Outcome {
    let finished = process::capture(program().arg("--check"), BUILD_LIMIT);
    finished.and_then(|finished| programs::tally(&finished)).into()
}

fn program() -> Command {
    let mut command = process::cargo();
    command.args(["run", "--quiet", "--release", "--package", "htp-sim", "--"]);
    command
}
