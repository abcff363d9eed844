//! Child processes: found or reported as lacking, captured, ended when they hang.

use std::env;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{bail, Context, Result};
use wait_timeout::ChildExt;

/// Longest run of a build step.
pub(crate) const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
/// Longest run of a test program.
pub(crate) const PROGRAM_LIMIT: Duration = Duration::from_secs(60);

/// Longest run of a test program under an emulator.
pub(crate) const EMULATED_LIMIT: Duration = Duration::from_secs(5 * 60);

/// What a finished process left behind.
pub(crate) struct Finished {
    /// True if it ended by itself with code 0.
    pub(crate) success: bool,
    /// The code that it ended with by itself.
    pub(crate) code: Option<i32>,
    /// Standard output and standard error, in the order written.
    pub(crate) output: String,
}

/// Runs `command` to its end, or until `limit`, and captures what it prints.
pub(crate) fn capture(command: &mut Command, limit: Duration) -> Result<Finished> {
    let log = temporary()?;
    let output = log.try_clone()?;
    watch(command, limit, output, log)
}

/// As [`capture`], for a command whose standard output is no text: gives it beside the rest.
pub(crate) fn capture_bytes(command: &mut Command, limit: Duration) -> Result<(Vec<u8>, Finished)> {
    let mut output = temporary()?;
    let finished = watch(command, limit, output.try_clone()?, temporary()?)?;
    Ok((read_all(&mut output)?, finished))
}

fn temporary() -> Result<File> {
    tempfile::tempfile().context("cannot make a file for captured output")
}

fn watch(command: &mut Command, limit: Duration, output: File, mut log: File) -> Result<Finished> {
    let shown = show(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(log.try_clone()?)
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let status = child.wait_timeout(limit)?;
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    // Some tools colour what they write to a file.
    let text = read_all(&mut log)?;
    let mut output = console::strip_ansi_codes(&String::from_utf8_lossy(&text)).into_owned();
    let success = match status {
        Some(status) if status.success() => true,
        Some(status) => {
            output.push_str(&format!("\n`{shown}` ended with {status}\n"));
            false
        }
        None => {
            output.push_str(&format!("\n`{shown}` was ended after {} s\n", limit.as_secs()));
            false
        }
    };
    Ok(Finished { success, code: status.and_then(|status| status.code()), output })
}

/// As [`capture`], where anything but success is an error that carries the output.
pub(crate) fn succeed(command: &mut Command, limit: Duration) -> Result<String> {
    let finished = capture(command, limit)?;
    if !finished.success {
        bail!("{}", finished.output.trim_end());
    }
    Ok(finished.output)
}

/// Runs `command` on the terminal of the caller.
pub(crate) fn pass_through(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Finds a program in the search path, or says how to get it.
pub(crate) fn require(program: &str, how_to_get: &str) -> Result<PathBuf> {
    find(program).with_context(|| format!("lacking: {program} ({how_to_get})"))
}

/// Finds a program in the search path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// Cargo as the developer called it, at the root of the project.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(crate::workspace::root());
    command
}

fn show(command: &Command) -> String {
    let mut shown = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        shown.push(' ');
        shown.push_str(&argument.to_string_lossy());
    }
    shown
}

fn read_all(file: &mut File) -> Result<Vec<u8>> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_are_captured_in_order() {
        let finished = capture(&mut shell("echo a; echo b >&2; echo c"), PROGRAM_LIMIT).unwrap();
        assert!(finished.success);
        assert_eq!(finished.output, "a\nb\nc\n");
        assert_eq!(finished.code, Some(0));
    }

    #[test]
    fn output_that_is_no_text_comes_as_it_is() {
        let mut command = shell("printf '\\377\\000a'; echo b >&2; exit 3");
        let (bytes, finished) = capture_bytes(&mut command, PROGRAM_LIMIT).unwrap();
        assert_eq!(bytes, [0xff, 0, b'a']);
        assert!(!finished.success && finished.output.starts_with("b\n"), "{}", finished.output);
    }

    #[test]
    fn failure_carries_the_output() {
        let error = succeed(&mut shell("echo broken; exit 3"), PROGRAM_LIMIT).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("broken") && text.contains("exit status: 3"), "{text}");
    }

    #[test]
    fn a_hanging_program_is_ended() {
        let finished =
            capture(&mut shell("echo begun; while :; do :; done"), Duration::from_millis(200))
                .unwrap();
        assert!(!finished.success && finished.code.is_none());
        assert!(finished.output.contains("was ended after"), "{}", finished.output);
    }

    #[test]
    fn a_missing_program_is_named_with_its_remedy() {
        let error = require("no-such-program", "apt-get install it").unwrap_err();
        assert_eq!(error.to_string(), "lacking: no-such-program (apt-get install it)");
    }
}
