//! `cargo xtask coverage` and `cargo xtask mutants`: how much of the code the tests run, and how
//! many small changes to it they notice. Each installs its tool below `target/` when it is lacking.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use serde::Deserialize;

use crate::process::Finished;
use crate::steps::{self, Tally};
use crate::{process, test, workspace};

/// Least part of the core's lines that its tests run, in per cent.
const LINES_MIN: f64 = 95.0;
/// Least part of the mutants that are caught, in per cent.
const CAUGHT_MIN: f64 = 90.0;
/// Where mutants are made: what a wrong line in would be hardest to see from outside.
const MUTATED: [&str; 3] = ["src/queue/", "src/sched/", "src/ssr/"];
/// The tests that judge them: each is built again for every mutant.
const JUDGES: [&str; 2] = ["--lib", "--test=runtime"];
/// Longest run of all mutants.
const MUTANTS_LIMIT: Duration = Duration::from_secs(45 * 60);
/// How a complete run of the mutants ends: all were caught, some survived, some ran too long. Every
/// other code is that of a run that was not begun, or not brought to its end.
const COMPLETE: [i32; 3] = [0, 2, 3];
/// The tests that both run.
const TESTS: [&str; 4] = ["--package", "htp-runtime", "--features", "std,os"];
/// Tools and their versions.
const COVERAGE_TOOL: (&str, &str) = ("cargo-llvm-cov", "0.9.1");
const MUTANTS_TOOL: (&str, &str) = ("cargo-mutants", "27.1.0");

/// A tool of cargo's, installed below `target/` unless it is there or in the search path.
fn tool((name, version): (&str, &str)) -> Result<PathBuf> {
    if let Some(found) = process::find(name) {
        return Ok(found);
    }
    let root = workspace::target_dir().join("tools");
    let installed = root.join("bin").join(name);
    if !installed.is_file() {
        let mut install = process::cargo();
        // What such a tool does itself takes no time, so it need not be optimized.
        install.args(["install", "--debug", "--locked", "--version", version]);
        install.arg("--root").arg(&root).arg(name);
        process::succeed(&mut install, process::BUILD_LIMIT)?;
    }
    Ok(installed)
}

/// Installs what both commands need.
pub(crate) fn install_tools() -> Result<()> {
    [COVERAGE_TOOL, MUTANTS_TOOL].into_iter().try_for_each(|it| tool(it).map(drop))
}

/// Lines or branches, and how many of them were run.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Count {
    count: u64,
    covered: u64,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.count += other.count;
        self.covered += other.covered;
    }

    fn per_cent(self) -> f64 {
        match self.count {
            0 => 100.0,
            count => self.covered as f64 * 100.0 / count as f64,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Summary {
    lines: Count,
    branches: Count,
}

#[derive(Deserialize)]
struct Export {
    data: Vec<ExportData>,
}

#[derive(Deserialize)]
struct ExportData {
    files: Vec<ExportFile>,
}

#[derive(Deserialize)]
struct ExportFile {
    filename: String,
    summary: Summary,
}

/// Prints lines and branches of each room of the core; fails below [`LINES_MIN`].
pub(crate) fn coverage() -> Result<()> {
    let Measured { tests, said, report } = measure_coverage()?;
    print!("{}", said.unwrap_or_default());
    let (text, result) = read_coverage(&report)?;
    println!("{text}");
    ensure!(tests.failed == 0, "{} tests failed", tests.failed);
    result
}

/// The same as a step of `cargo xtask test --all`, which runs the core's tests in no other step.
pub(crate) fn check_coverage() -> steps::Outcome {
    match measure_coverage() {
        Ok(Measured { tests, said, report }) => reported(read_coverage(&report), tests, said),
        Err(error) => Err(error).into(),
    }
}

/// What a run of the tests left.
struct Measured {
    tests: Tally,
    /// If one failed, what all of them said.
    said: Option<String>,
    report: PathBuf,
}

/// The tests with what failing ones said, and one check more: the bound.
fn reported(
    measured: Result<(String, Result<()>)>,
    mut tally: Tally,
    said: Option<String>,
) -> steps::Outcome {
    let (report, result) = match measured {
        Ok((text, result)) => (Some(text), result),
        Err(error) => (None, Err(error)),
    };
    match result {
        Ok(()) => tally.passed += 1,
        Err(_) => tally.failed += 1,
    }
    let reasons: Vec<String> =
        said.into_iter().chain(result.err().map(|error| format!("{error:#}"))).collect();
    let failure = (!reasons.is_empty()).then(|| reasons.join("\n"));
    steps::Outcome { tally, failure, report }
}

fn measure_coverage() -> Result<Measured> {
    let how = "apt-get install llvm-22";
    let tools = [process::require("llvm-cov-22", how)?, process::require("llvm-profdata-22", how)?];
    let report = workspace::target_dir().join("coverage.json");
    remove(&report)?;
    let program = tool(COVERAGE_TOOL)?;
    let command = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(workspace::root()).arg("llvm-cov").args(arguments);
        command.env("LLVM_COV", &tools[0]).env("LLVM_PROFDATA", &tools[1]);
        // Branches are unstable, and so is the flag below; only this build has them.
        command.env("RUSTC_BOOTSTRAP", "1");
        // Else a small function that the compiler copies into a test's crate is not counted there.
        command.env("RUSTFLAGS", "-Zcross-crate-inline-threshold=never");
        command
    };
    // Else what an earlier run counted would count again.
    process::succeed(&mut command(&["clean", "--workspace"]), process::BUILD_LIMIT)?;
    let mut run = command(&["--branch", "--no-report", "--no-fail-fast"]);
    run.args(TESTS).env("PROPTEST_RNG_SEED", test::PROPERTY_SEED);
    let Finished { success, output, .. } = process::capture(&mut run, process::BUILD_LIMIT)?;
    let mut tests = test::count_tests(&output);
    ensure!(tests.passed > 0, "no test ran:\n{output}");
    if !success && tests.failed == 0 {
        tests.failed = 1;
    }
    let said = (!success).then(|| what_failed(&output));
    let mut write = command(&["report", "--json", "--summary-only", "--output-path"]);
    let written = process::succeed(write.arg(&report), process::BUILD_LIMIT);
    written.with_context(|| said.clone().unwrap_or_default())?;
    Ok(Measured { tests, said, report })
}

/// What tests said, without those that passed.
fn what_failed(output: &str) -> String {
    let lines = output.lines().filter(|line| !line.ends_with(" ... ok"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn read_coverage(report: &Path) -> Result<(String, Result<()>)> {
    let text = fs::read_to_string(report).context("no report of the coverage")?;
    let export: Export = serde_json::from_str(&text).context("the report of the coverage")?;
    let files = export.data.into_iter().flat_map(|data| data.files);
    judge_coverage(files.map(|file| (file.filename, file.summary)), &workspace::root())
}

fn judge_coverage(
    files: impl Iterator<Item = (String, Summary)>,
    root: &Path,
) -> Result<(String, Result<()>)> {
    let mut rooms: BTreeMap<String, Summary> = BTreeMap::new();
    let mut all = Summary::default();
    for (name, summary) in files {
        let Ok(path) = Path::new(&name).strip_prefix(root.join("src")) else { continue };
        let room = path.iter().next().unwrap_or_default().to_string_lossy().into_owned();
        for sum in [rooms.entry(room).or_default(), &mut all] {
            sum.lines.add(summary.lines);
            sum.branches.add(summary.branches);
        }
    }
    ensure!(all.lines.count > 0, "no line of the core was counted");
    let mut text = format!("{:<20} {:>14} {:>18}\n", "src/", "lines", "branches");
    let sums = rooms.iter().map(|(room, sum)| (room.as_str(), sum));
    for (room, Summary { lines, branches }) in sums.chain([("all", &all)]) {
        text.push_str(&format!(
            "{room:<20} {:>6.2} % {:>5} {:>8.2} % {:>7}\n",
            lines.per_cent(),
            lines.count,
            branches.per_cent(),
            branches.count
        ));
    }
    let reached = all.lines.per_cent();
    let result = match reached >= LINES_MIN {
        true => Ok(()),
        false => {
            Err(anyhow::anyhow!("{reached:.2} % of the lines, at least {LINES_MIN} % shall be"))
        }
    };
    Ok((text, result))
}

/// Prints the mutants that no test noticed; fails below [`CAUGHT_MIN`].
pub(crate) fn mutants() -> Result<()> {
    let (text, result) = measure_mutants()?;
    println!("{text}");
    result
}

/// The same as a step of `cargo xtask test --all`.
pub(crate) fn check_mutants() -> steps::Outcome {
    reported(measure_mutants(), Tally::default(), None)
}

fn measure_mutants() -> Result<(String, Result<()>)> {
    let folder = workspace::target_dir().join("mutants");
    fs::create_dir_all(&folder)?;
    let mut run = Command::new(tool(MUTANTS_TOOL)?);
    run.current_dir(workspace::root()).args(["mutants", "--no-shuffle", "--output"]).arg(&folder);
    run.args(TESTS);
    for place in MUTATED {
        run.arg("--file").arg(format!("{place}**/*.rs"));
    }
    run.args(["--jobs", "2"]).args(JUDGES.map(|judge| format!("--cargo-arg={judge}")));
    run.env("PROPTEST_CASES", "64").env("PROPTEST_RNG_SEED", test::PROPERTY_SEED);
    // A mutant is one changed line: built in a second or two where the rest is kept, unoptimized.
    run.env("CARGO_INCREMENTAL", "1").env("CARGO_PROFILE_DEV_OPT_LEVEL", "0");
    // Nobody looks at them in a debugger.
    run.env("CARGO_PROFILE_DEV_DEBUG", "none");
    // What is judged is of this run.
    let found = folder.join("mutants.out");
    remove(&found)?;
    remove(&found.with_extension("out.old"))?;
    let finished = process::capture(&mut run, MUTANTS_LIMIT)?;
    complete(&finished, &found).and_then(|lists| judge_mutants(lists.caught, &lists.missed))
}

/// Removes a file or folder that may be there.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// What became of the mutants.
#[derive(Debug)]
struct Lists {
    /// How many were noticed: by a test that failed, or one that did not end.
    caught: usize,
    /// Those that survived.
    missed: Vec<String>,
}

/// Reads what a run left; fails unless it came to its end and every mutant has its result.
fn complete(finished: &process::Finished, found: &Path) -> Result<Lists> {
    let ended = finished.code.is_some_and(|code| COMPLETE.contains(&code));
    ensure!(ended, "the mutants were not all tried:\n{}", finished.output);
    let read = |name: &str| -> Result<String> {
        fs::read_to_string(found.join(name))
            .with_context(|| format!("no {name}:\n{}", finished.output))
    };
    let list = |name: &str| -> Result<Vec<String>> {
        Ok(read(name)?.lines().map(str::to_owned).collect())
    };
    let made: Vec<serde_json::Value> =
        serde_json::from_str(&read("mutants.json")?).context("mutants.json")?;
    let caught = list("caught.txt")?.len() + list("timeout.txt")?.len();
    let missed = list("missed.txt")?;
    let results = caught + missed.len() + list("unviable.txt")?.len();
    ensure!(made.len() == results, "{} mutants were made, {results} have a result", made.len());
    Ok(Lists { caught, missed })
}

fn judge_mutants(caught: usize, missed: &[String]) -> Result<(String, Result<()>)> {
    let all =
        Count { count: u64::try_from(caught + missed.len())?, covered: u64::try_from(caught)? };
    ensure!(all.count > 0, "there was no mutant");
    let part = all.per_cent();
    let mut text = format!("{caught} of {} mutants were caught, {part:.1} %\n", all.count);
    for mutant in missed {
        text.push_str(&format!("  survived: {mutant}\n"));
    }
    let result = match part >= CAUGHT_MIN {
        true => Ok(()),
        false => Err(anyhow::anyhow!("{part:.1} % were caught, at least {CAUGHT_MIN} % shall be")),
    };
    Ok((text, result))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, count: u64, covered: u64) -> (String, Summary) {
        let lines = Count { count, covered };
        (format!("/p/{name}"), Summary { lines, branches: Count::default() })
    }

    #[test]
    fn rooms_are_summed_and_others_left_out() {
        let files = [file("src/a/x.rs", 90, 90), file("src/a/y.rs", 10, 5), file("sim/z.rs", 9, 0)];
        let (text, result) = judge_coverage(files.into_iter(), Path::new("/p")).unwrap();
        assert!(result.is_ok());
        assert!(text.contains("a                     95.00 %   100"), "{text}");
        let files = [file("src/a.rs", 100, 94)];
        assert!(judge_coverage(files.into_iter(), Path::new("/p")).unwrap().1.is_err());
        assert!(judge_coverage([].into_iter(), Path::new("/p")).is_err());
    }

    #[test]
    fn a_step_counts_its_tests_and_its_bound() {
        let tests = Tally { passed: 7, failed: 1 };
        let within = reported(Ok(("table".to_owned(), Ok(()))), tests, Some("said".to_owned()));
        assert_eq!((within.tally.passed, within.tally.failed), (8, 1));
        assert_eq!(within.failure.as_deref(), Some("said"));
        assert_eq!(
            what_failed("test a ... ok\ntest b ... FAILED\nb said"),
            "test b ... FAILED\nb said\n"
        );
        let low = || Err(anyhow::anyhow!("low"));
        let below = reported(Ok(("table".to_owned(), low())), Tally::ONE, None);
        assert_eq!((below.tally.passed, below.tally.failed), (1, 1));
        assert_eq!(
            (below.failure.as_deref(), below.report.as_deref()),
            (Some("low"), Some("table"))
        );
        let lacking = reported(low().map(|()| unreachable!()), Tally::default(), None);
        assert_eq!((lacking.tally.failed, lacking.report), (1, None));
    }

    #[test]
    fn survivors_are_listed_and_nine_in_ten_are_caught() {
        let missed = ["replace a with b".to_owned()];
        let (text, result) = judge_mutants(9, &missed).unwrap();
        assert!(text.contains("survived: replace a with b") && result.is_ok());
        assert!(judge_mutants(8, &missed).unwrap().1.is_err());
        assert!(judge_mutants(0, &[]).is_err());
    }

    #[test]
    fn a_run_without_an_end_or_without_every_result_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let ended = |code: Option<i32>| {
            let finished = process::Finished { success: false, code, output: "said".to_owned() };
            complete(&finished, folder.path())
        };
        assert!(ended(Some(0)).unwrap_err().to_string().contains("no mutants.json"));
        let files = [("caught.txt", "a\nb\n"), ("timeout.txt", "c\n"), ("unviable.txt", "")];
        for (name, text) in files.into_iter().chain([("missed.txt", "d\n")]) {
            fs::write(folder.path().join(name), text).unwrap();
        }
        fs::write(folder.path().join("mutants.json"), r#"[{}, {"a": 1}, {}, {}]"#).unwrap();
        for code in COMPLETE {
            let lists = ended(Some(code)).unwrap();
            assert_eq!((lists.caught, lists.missed), (3, vec!["d".to_owned()]));
        }
        // Ended by a signal or for its time; by an error before or in between.
        for code in [None, Some(1), Some(4), Some(70)] {
            assert!(ended(code).unwrap_err().to_string().contains("said"), "{code:?}");
        }
        fs::write(folder.path().join("unviable.txt"), "e\n").unwrap();
        let error = ended(Some(2)).unwrap_err().to_string();
        assert_eq!(error, "4 mutants were made, 5 have a result");
    }

    #[test]
    fn what_an_earlier_run_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, tree) = (folder.path().join("file"), folder.path().join("tree"));
        fs::write(&file, "").unwrap();
        fs::create_dir_all(tree.join("inner")).unwrap();
        for path in [&file, &tree, &tree.join("none")] {
            remove(path).unwrap();
            assert!(!path.exists());
        }
    }
}
