//! `cargo xtask test --only threads`: client threads under the thread sanitizer, with the library
//! instrumented; and a race on purpose inside the library, which it must see.

use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};

use crate::process::{self, Finished, BUILD_LIMIT, PROGRAM_LIMIT};
use crate::programs::{self, Language};
use crate::staticlib;
use crate::steps::{Outcome, Tally};
use crate::workspace;

const STANDARD: &str = "c++17";
const SANITIZER: [&str; 3] = ["-fsanitize=thread", "-g", "-O1"];
/// The code of a program in which the sanitizer saw a race.
const RACE_CODE: &str = "exit status: 66";
/// Where the race on purpose is: a function of the library.
const RACE_IN: &str = "QnnInterface_getProviders";

pub(crate) fn check() -> Outcome {
    run().into()
}

fn run() -> Result<Tally> {
    let library = staticlib::thread_sanitized()?;
    let compiler = Language::Cpp.compiler()?;
    let build = |source: &str| build(&compiler, &library, source);
    let race = execute(&build("tests/threads/race.cpp")?)?;
    let seen = !race.success
        && race.output.contains(RACE_CODE)
        && race.output.contains("data race")
        && race.output.contains(RACE_IN);
    ensure!(seen, "the race on purpose is not seen:\n{}", race.output);
    let mut tally = Tally::ONE;
    tally.add(programs::tally(&execute(&build("tests/cpp/threads.cpp")?)?)?);
    Ok(tally)
}

fn build(compiler: &Path, library: &Path, source: &str) -> Result<PathBuf> {
    let root = workspace::root();
    let folder = workspace::target_dir().join("xtask").join("threads");
    std::fs::create_dir_all(&folder)?;
    let source = root.join(source);
    let program = folder.join(source.file_stem().context("a source has a name")?);
    let mut compile = programs::compile_command(compiler, STANDARD);
    compile.args(SANITIZER).arg("-I").arg(root.join("tests/cpp")).arg(&source);
    compile.arg(root.join("tests/threads/copies.cpp")).arg(library);
    compile.args(staticlib::LINK_FLAGS).arg("-o").arg(&program);
    process::succeed(&mut compile, BUILD_LIMIT)?;
    Ok(program)
}

/// Runs a program; without random addresses, since a kernel may choose some that the sanitizer of
/// GCC 12 does not know.
fn execute(program: &Path) -> Result<Finished> {
    let runner = process::require("setarch", "apt-get install util-linux")?;
    let mut run = programs::run_command(&[runner.display().to_string(), "-R".into()], program);
    run.current_dir(workspace::root())
        .env("TSAN_OPTIONS", "halt_on_error=0 second_deadlock_stack=1");
    process::capture(&mut run, PROGRAM_LIMIT)
}
