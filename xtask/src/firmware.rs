//! The firmware in Rust of `examples/firmware`, under an emulator: what it logs through defmt is
//! decoded, and must be what happened.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};

use crate::cross::{self, Target};
use crate::steps::Tally;
use crate::{process, staticlib, workspace};

const FOLDER: &str = "examples/firmware";
const NAME: &str = "digits-firmware";
const CLASSES: usize = 10;
/// Images that are executed at a time. Of the second batch, the first attempt meets a crash.
const BATCH: usize = 4;
/// Phases of a restart, from the first to the last.
const PHASES: [&str; 6] =
    ["Online", "BeforeShutdown", "AfterShutdown", "BeforePowerUp", "AfterPowerUp", "Online"];

/// Builds and runs it, and reads its log; gives what there is to read of that.
pub(crate) fn check(target: &Target, emulator: &[&str]) -> Result<(Tally, String)> {
    let firmware = build(target)?;
    let mut run = Command::new(emulator[0]);
    run.args(&emulator[1..]).arg(&firmware);
    let (frames, finished) = process::capture_bytes(&mut run, process::EMULATED_LIMIT)?;
    let log = decode(&firmware, &frames).with_context(|| finished.output.clone())?;
    ensure!(finished.success, "{log}{}", finished.output);
    let logits = fs::read(workspace::root().join("data/digits/logits.bin"))?;
    let tally = judge(&log, &logits).with_context(|| log.clone())?;
    Ok((tally, lines(&log).filter(|line| !is_notice(line)).collect::<Vec<_>>().join("\n")))
}

fn build(target: &Target) -> Result<PathBuf> {
    let mut build = cross::cargo("build", target);
    // There its own configuration is found, which says what is logged.
    build.current_dir(workspace::root().join(FOLDER));
    process::succeed(build.args(["--locked", "--package", NAME]), process::BUILD_LIMIT)?;
    staticlib::existing(cross::target_dir(target).join(target.triple).join("release").join(NAME))
}

/// The log as lines. A frame that cannot be read is an error.
fn decode(firmware: &Path, frames: &[u8]) -> Result<String> {
    let folder = workspace::target_dir().join("xtask/decode");
    let manifest = workspace::root().join(FOLDER).join("decode/Cargo.toml");
    let mut build = process::cargo();
    build.args(["build", "--locked", "--manifest-path"]).arg(manifest);
    process::succeed(build.arg("--target-dir").arg(&folder), process::BUILD_LIMIT)?;
    let path = folder.join("frames");
    fs::write(&path, frames)?;
    let mut decode = Command::new(folder.join("debug/decode"));
    process::succeed(decode.arg(firmware).arg(path), process::PROGRAM_LIMIT)
}

fn lines(log: &str) -> impl Iterator<Item = &str> {
    log.lines().filter(|line| !line.is_empty())
}

/// Notices are logged as they are, before what the firmware makes of them.
fn is_notice(line: &str) -> bool {
    line.starts_with("debug ")
}

/// Everything is logged, in order, and nothing else; each notice stands before its line.
fn judge(log: &str, logits: &[u8]) -> Result<Tally> {
    let expected = expected(logits)?;
    let mut found = lines(log);
    for (notice, message) in &expected {
        if let Some([kind, outcome]) = notice {
            let line = found.next().unwrap_or("nothing");
            let is_it = is_notice(line) && line.contains(kind) && line.contains(outcome);
            ensure!(is_it, "expected a notice `{kind}` with `{outcome}`, found: {line}");
        }
        let line = found.next().unwrap_or("nothing");
        ensure!(line == message, "expected: {message}\nfound: {line}");
    }
    ensure!(found.next().is_none(), "more was logged than happened");
    Ok(Tally { passed: expected.len() as u64, failed: 0 })
}

type Expected = (Option<[String; 2]>, String);

/// Lines of level and message, each with what its notice says.
fn expected(logits: &[u8]) -> Result<Vec<Expected>> {
    let completion = |outcome: &str| Some(["Completion(".into(), format!("outcome: {outcome},")]);
    let loaded = |epoch| (None, format!("info digits: 13 operations in Epoch({epoch})"));
    let done = |(image, logits): (usize, &[u8])| {
        (completion("Completed"), format!("info image {image}: {logits:?}"))
    };
    let caught = |image| (completion("DeviceReset"), format!("warn image {image}: DeviceReset"));
    let phase = |(step, pair): (usize, &[&str])| {
        let [from, to] = [pair[0], pair[1]];
        // The first phase belongs to the life that ends.
        let epoch = if step == 0 { 1 } else { 2 };
        let notice = ["Restart(".into(), format!("from: {from}, to: {to},")];
        (Some(notice), format!("warn {from} -> {to}, Epoch({epoch})"))
    };
    let results = logits.chunks_exact(CLASSES).enumerate().take(2 * BATCH);
    let mut results: Vec<Expected> = results.map(done).collect();
    ensure!(results.len() == 2 * BATCH, "too few logits");
    let second = results.split_off(BATCH);

    let mut all = vec![loaded(1)];
    all.extend(results);
    all.extend(PHASES.windows(2).enumerate().map(phase));
    all.extend((BATCH..2 * BATCH).map(caught));
    all.push(loaded(2));
    all.extend(second);
    all.push((None, "info 1 restart, 0 faults".into()));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a firmware logs that does everything right.
    fn log(logits: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for (notice, message) in expected(logits).unwrap() {
            lines.extend(notice.map(|[kind, rest]| format!("debug {kind}It {{ {rest} at: 3 }})")));
            lines.push(message);
        }
        lines
    }

    fn verdict(lines: &[String], logits: &[u8]) -> Result<Tally> {
        judge(&lines.join("\n"), logits)
    }

    #[test]
    fn the_log_is_what_happened_and_nothing_else() {
        let logits: Vec<u8> = (0..80).collect();
        let whole = log(&logits);
        assert_eq!(verdict(&whole, &logits).unwrap(), Tally { passed: 20, failed: 0 });
        for place in 0..whole.len() {
            let mut less = whole.clone();
            less.remove(place);
            assert!(verdict(&less, &logits).is_err(), "without {}", whole[place]);
            let mut more = whole.clone();
            more.insert(place, whole[place].clone());
            assert!(verdict(&more, &logits).is_err(), "twice {}", whole[place]);
            if whole[place] != *whole.get(place + 1).unwrap_or(&whole[place]) {
                let mut swapped = whole.clone();
                swapped.swap(place, place + 1);
                assert!(verdict(&swapped, &logits).is_err(), "later {}", whole[place]);
            }
        }
    }

    #[test]
    fn every_result_counts() {
        let logits: Vec<u8> = (0..80).collect();
        let whole = log(&logits);
        for place in 0..logits.len() {
            let mut wrong = logits.clone();
            wrong[place] += 1;
            assert!(verdict(&whole, &wrong).is_err(), "logit {place}");
        }
        assert!(verdict(&whole, &logits[..79]).is_err());
    }
}
