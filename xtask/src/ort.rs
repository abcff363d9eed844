//! `cargo xtask ort`: ONNX Runtime runs models on the shared library, as any client would.
//!
//! The client comes from the Python package index into an environment of its own below the build
//! folder. Where the index does not answer, the check fails and says so; it is never left out
//! unless the developer says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{ensure, Context, Result};

use crate::steps::{self, Outcome, Tally};
use crate::{install, process, workspace};

const SCRIPT: &str = "tests/ort/run.py";
const REQUIREMENTS: &str = "tests/ort/requirements.txt";
const LACKING: &str = "lacking: ONNX Runtime (the Python package index did not give it; \
                       HTP_SKIP_ORT=1 .ci/run leaves it out)";
/// Installing takes minutes on a slow line.
const INSTALL_LIMIT: Duration = Duration::from_secs(15 * 60);
/// About 240 models, three processes each.
const RUN_LIMIT: Duration = Duration::from_secs(20 * 60);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run the vendor's backend alone, as a check of the models
    #[arg(long)]
    vendor_only: bool,
    /// Passed to the script
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the script on the terminal of the caller.
pub(crate) fn run(options: &Options) -> Result<()> {
    let bar = steps::spinner("preparing ONNX Runtime");
    let mut script = script(options.vendor_only)?;
    bar.finish_and_clear();
    process::pass_through(script.args(&options.arguments))
}

/// Runs every model and scenario; each is one check.
pub(crate) fn check() -> Outcome {
    let finished = script(false).and_then(|mut script| {
        let report = folder().join("report.json");
        process::capture(script.arg("--json").arg(report), RUN_LIMIT)
    });
    match finished {
        Ok(finished) => judge(&finished.output, finished.success),
        Err(error) => Outcome::from(Err(error)),
    }
}

/// The script in its environment, with the installed library it is to run on.
fn script(vendor_only: bool) -> Result<Command> {
    let mut command = Command::new(environment()?);
    command.current_dir(workspace::root()).arg("-B").arg(SCRIPT);
    if vendor_only {
        command.arg("--vendor-only");
    } else {
        command.arg("--library").arg(install::into(&folder().join("installed"))?);
    }
    Ok(command)
}

/// Core and system library of the vendor's backend, as the wheel holds them.
pub(crate) fn vendor_libraries() -> Result<(PathBuf, PathBuf)> {
    let mut ask = Command::new(environment()?);
    ask.args(["-c", "import onnxruntime_qnn; print(onnxruntime_qnn.get_qnn_htp_path())"]);
    let output = process::succeed(&mut ask, process::PROGRAM_LIMIT)?;
    let backend = PathBuf::from(output.trim_end().lines().last().unwrap_or_default());
    let system = backend.with_file_name("libQnnSystem.so");
    ensure!(backend.is_file() && system.is_file(), "the wheel holds no {}", backend.display());
    Ok((backend, system))
}

/// The interpreter of an environment that holds what the requirements name.
fn environment() -> Result<PathBuf> {
    let wanted = fs::read_to_string(workspace::root().join(REQUIREMENTS))
        .with_context(|| format!("cannot read {REQUIREMENTS}"))?;
    let environment = folder().join("venv");
    let interpreter = environment.join("bin/python3");
    let stamp = environment.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(interpreter);
    }
    let python = process::require("python3", "apt-get install python3 python3-venv")?;
    let mut create = Command::new(python);
    process::succeed(create.args(["-m", "venv", "--clear"]).arg(&environment), INSTALL_LIMIT)
        .context("cannot make a Python environment (apt-get install python3-venv)")?;
    install(&interpreter)?;
    fs::write(stamp, wanted)?;
    Ok(interpreter)
}

fn install(interpreter: &Path) -> Result<()> {
    let mut pip = Command::new(interpreter);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip.arg("--requirement").arg(workspace::root().join(REQUIREMENTS));
    process::succeed(&mut pip, INSTALL_LIMIT).context(LACKING)?;
    Ok(())
}

fn folder() -> PathBuf {
    workspace::target_dir().join("xtask/ort")
}

/// Believes the last line, and that only together with the exit code.
fn judge(output: &str, success: bool) -> Outcome {
    let last = output.trim_end().lines().last().unwrap_or("");
    let tally = parse(last).unwrap_or_default();
    let held = success && tally.failed == 0 && tally.passed > 0;
    let failure = (!held).then(|| failures(output));
    Outcome { tally, failure, report: Some(output.to_owned()) }
}

/// `N crashes; N passed, N failed`
fn parse(line: &str) -> Option<Tally> {
    let (crashes, counts) = line.split_once(" crashes; ")?;
    crashes.parse::<u64>().ok()?;
    let (passed, rest) = counts.split_once(" passed, ")?;
    let failed = rest.strip_suffix(" failed")?;
    Some(Tally { passed: passed.parse().ok()?, failed: failed.parse().ok()? })
}

/// The output without the lines of what went well.
fn failures(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.ends_with("  ok")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_count() {
        let outcome = judge("conv-u8  1 / 0.1  ok\n0 crashes; 244 passed, 0 failed\n", true);
        assert_eq!(outcome.tally, Tally { passed: 244, failed: 0 });
        assert!(outcome.failure.is_none());
        assert!(outcome.report.unwrap().starts_with("conv-u8"));
    }

    #[test]
    fn failures_are_shown_without_what_went_well() {
        let output = "abs-u8  ok\nconv-u8  mean distance\n0 crashes; 1 passed, 1 failed\n";
        let outcome = judge(output, false);
        assert_eq!(outcome.tally, Tally { passed: 1, failed: 1 });
        let failure = outcome.failure.unwrap();
        assert!(failure.contains("conv-u8") && !failure.contains("abs-u8"), "{failure}");
    }

    #[test]
    fn a_count_without_success_is_not_believed() {
        assert!(judge("0 crashes; 244 passed, 0 failed\n", false).failure.is_some());
    }

    #[test]
    fn no_count_and_an_empty_one_are_failures() {
        assert!(judge("Traceback\nImportError: onnx\n", true).failure.is_some());
        assert!(judge("0 crashes; 0 passed, 0 failed\n", true).failure.is_some());
    }
}
