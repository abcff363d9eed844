//! `cargo xtask bench`: the benchmark of the execute path, as it prints; and what calls cost beside
//! the vendor's backend.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{bail, Result};

use crate::{install, ort, process, programs, steps, workspace};

const VENDOR: &str = "benches/vendor.cpp";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Instead, execute and create contexts here and on the vendor's backend, in turns in one
    /// process (installs ONNX Runtime from PyPI under target/)
    #[arg(long)]
    vendor: bool,
    /// Passed to the benchmark
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.vendor {
        return beside_the_vendor();
    }
    if !workspace::root().join("benches/submit.rs").is_file() {
        bail!("lacking: benches/submit.rs (the benchmark is not in this tree)");
    }
    let mut command = process::cargo();
    command.args(["bench", "--package", "htp-runtime", "--features", "std", "--bench", "submit"]);
    command.arg("--").args(&options.arguments);
    process::pass_through(&mut command)
}

fn beside_the_vendor() -> Result<()> {
    let bar = steps::spinner("preparing the libraries");
    let program = build()?;
    let ours = install::into(&program.with_file_name("installed"))?;
    let (theirs, _) = ort::vendor_libraries()?;
    bar.finish_and_clear();
    process::pass_through(Command::new(program).arg(ours).arg(theirs))
}

/// Compiles the program that calls both libraries.
pub(crate) fn build() -> Result<PathBuf> {
    let folder = workspace::target_dir().join("xtask/bench");
    fs::create_dir_all(&folder)?;
    let program = folder.join("vendor");
    let mut compile = programs::compile_command(&programs::Language::Cpp.compiler()?, "c++17");
    compile.arg("-O2").arg(workspace::root().join(VENDOR)).arg("-ldl").arg("-o").arg(&program);
    process::succeed(&mut compile, process::BUILD_LIMIT)?;
    Ok(program)
}
