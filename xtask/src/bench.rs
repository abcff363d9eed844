//! `cargo xtask bench`: the benchmark of the execute path, as it prints.

use anyhow::{bail, Result};

use crate::{process, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Passed to the benchmark
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if !workspace::root().join("benches/submit.rs").is_file() {
        bail!("lacking: benches/submit.rs (the benchmark is not in this tree)");
    }
    let mut command = process::cargo();
    command.args(["bench", "--package", "htp-runtime", "--features", "std", "--bench", "submit"]);
    command.arg("--").args(&options.arguments);
    process::pass_through(&mut command)
}
