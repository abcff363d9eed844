//! `cargo xtask demo`: builds the ADAS example, runs it under native and under managed recovery,
//! and believes only its last lines.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{bail, ensure, Context, Result};

use crate::programs::{self, Elsewhere};
use crate::{process, staticlib, steps, workspace};

const EXAMPLE: &str = "examples/cpp/adas_pipeline";
const ACCURACY_MIN: f64 = 0.95;
const NATIVE: &[&str] = &["--recovery", "native"];
const MANAGED: &[&str] =
    &["--recovery", "managed", "--trace", "target/adas_pipeline_managed.trace.json"];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Passed to the example, which then runs once
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let program = build()?;
    if !options.arguments.is_empty() {
        return watch(&program, &options.arguments);
    }
    watch(&program, NATIVE)?;
    println!("\nthe same under managed recovery: the runtime rebuilds the contexts\n");
    watch(&program, MANAGED)
}

fn watch(program: &Path, arguments: &[impl AsRef<std::ffi::OsStr>]) -> Result<()> {
    let mut command = Command::new(program);
    let last_line = run_and_watch(command.args(arguments).current_dir(workspace::root()))?;
    judge(&last_line)
}

fn build() -> Result<PathBuf> {
    let compiler = programs::Language::Cpp.compiler()?;
    let bar = steps::spinner("building the release library");
    let library = staticlib::release()?;
    bar.finish_and_clear();
    let bar = steps::spinner("building the example");
    let program = compile(&compiler, &[library], "demo")?;
    bar.finish_and_clear();
    Ok(program)
}

/// Builds the example for another machine and runs it there, once under each kind of recovery.
pub(crate) fn check_elsewhere(elsewhere: &Elsewhere) -> Result<()> {
    let program = compile(&elsewhere.compilers[1], &elsewhere.objects, elsewhere.folder)?;
    for arguments in [NATIVE, &MANAGED[..2]] {
        let mut run = programs::run_command(&elsewhere.runner, &program);
        run.args(arguments).current_dir(workspace::root());
        let output = process::succeed(&mut run, process::BUILD_LIMIT)?;
        judge(output.lines().last().unwrap_or(""))?;
    }
    Ok(())
}

fn compile(compiler: &Path, objects: &[PathBuf], name: &str) -> Result<PathBuf> {
    let folder = workspace::root().join(EXAMPLE);
    let sources = programs::sources(&folder, "cpp")?;
    ensure!(!sources.is_empty(), "lacking: {EXAMPLE} (the example is not in this tree)");
    let program = workspace::target_dir().join("xtask").join(name).join("adas_pipeline");
    std::fs::create_dir_all(program.parent().unwrap_or(Path::new(".")))?;
    let mut compile = programs::compile_command(compiler, "c++17");
    compile.arg("-O2").arg("-I").arg(&folder).args(&sources).args(objects);
    compile.args(staticlib::LINK_FLAGS).arg("-o").arg(&program);
    process::succeed(&mut compile, process::BUILD_LIMIT)?;
    Ok(program)
}

/// Runs on the caller's terminal; returns the last line written to standard output.
fn run_and_watch(command: &mut Command) -> Result<String> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start the example")?;
    let mut from = child.stdout.take().context("the example has no standard output")?;
    let mut to = std::io::stdout();
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let length = from.read(&mut chunk)?;
        if length == 0 {
            break;
        }
        to.write_all(&chunk[..length])?;
        to.flush()?;
        all.extend_from_slice(&chunk[..length]);
    }
    let status = child.wait()?;
    ensure!(status.success(), "the example ended with {status}");
    let text = String::from_utf8_lossy(&all);
    Ok(text.lines().last().unwrap_or("").to_owned())
}

/// `demo: images N completed N lost N duplicated N accuracy N restarts N`
fn judge(line: &str) -> Result<()> {
    let Some(words) = line.strip_prefix("demo: ") else {
        bail!("the last line does not begin with `demo: ` but reads `{line}`");
    };
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut values = BTreeMap::new();
    for pair in words.chunks(2) {
        let [name, value] = pair else { bail!("`{}` has no value in `{line}`", pair[0]) };
        let value: f64 = value.parse().with_context(|| format!("{name} of `{line}`"))?;
        values.insert(*name, value);
    }
    let value = |name| values.get(name).copied().with_context(|| format!("no {name} in `{line}`"));
    ensure!(value("images")? > 0.0, "nothing was executed");
    ensure!(value("completed")? == value("images")?, "not every image was completed");
    ensure!(value("lost")? == 0.0, "requests were lost");
    ensure!(value("duplicated")? == 0.0, "requests were completed twice");
    ensure!(value("accuracy")? >= ACCURACY_MIN, "accuracy is below {ACCURACY_MIN}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "demo: images 9 completed 9 lost 0 duplicated 0 accuracy 0.961 restarts 1";

    #[test]
    fn a_good_line_is_accepted() {
        assert!(judge(GOOD).is_ok());
    }

    #[test]
    fn every_claim_is_checked() {
        for (good, bad) in [
            ("demo:", "done:"),
            ("images 9", "images 0"),
            ("completed 9", "completed 8"),
            ("lost 0", "lost 1"),
            ("duplicated 0", "duplicated 1"),
            ("accuracy 0.961", "accuracy 0.949"),
            ("accuracy 0.961", "accuracy NaN"),
            ("accuracy 0.961", ""),
            ("lost 0", "lost none"),
            ("restarts 1", "restarts"),
        ] {
            assert!(judge(&GOOD.replace(good, bad)).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn the_last_line_is_read_and_a_failure_is_seen() {
        let mut good = Command::new("sh");
        good.args(["-c", "echo table; echo 'demo: end'"]);
        assert_eq!(run_and_watch(&mut good).unwrap(), "demo: end");
        let mut bad = Command::new("sh");
        bad.args(["-c", "echo 'demo: end'; exit 1"]);
        assert!(run_and_watch(&mut bad).is_err());
    }
}
