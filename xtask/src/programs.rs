//! C and C++ test programs: compiled under every language standard, linked with the static
//! library, run with a time limit. One with the line `// also: shared` in its opening comment is
//! linked with the shared library, too, under the newest standard.
//!
//! A program ends with the line `N passed, N failed` and a non-zero code if something failed. One
//! whose name begins with `header_` is only compiled. A line such as `// std: c11 c++17` in the
//! comment a file begins with restricts the standards, `// flags: -fno-rtti` adds to what the
//! compiler is given, and `// not emulated: why` keeps a program from running under an emulator.

use std::collections::VecDeque;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use anyhow::{anyhow, ensure, Context, Result};
use indicatif::ProgressBar;

use crate::process;
use crate::staticlib;
use crate::steps::{self, Outcome, Tally};
use crate::workspace;

const WARNINGS: [&str; 6] =
    ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"];
const INCLUDES: [&str; 2] = ["include", "include/qnn"];
const SANITIZERS: [&str; 4] =
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-O1"];

/// A language the programs are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    C,
    Cpp,
}

impl Language {
    const ALL: [Language; 2] = [Language::C, Language::Cpp];

    fn folder(self) -> &'static str {
        match self {
            Language::C => "tests/c",
            Language::Cpp => "tests/cpp",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Language::C => "c",
            Language::Cpp => "cpp",
        }
    }

    /// Oldest first.
    fn standards(self) -> [&'static str; 2] {
        match self {
            Language::C => ["c99", "c11"],
            Language::Cpp => ["c++14", "c++17"],
        }
    }

    /// The compiler: `CC` or `CXX` if set, otherwise GCC.
    pub(crate) fn compiler(self) -> Result<PathBuf> {
        let (variable, default) = match self {
            Language::C => ("CC", "gcc"),
            Language::Cpp => ("CXX", "g++"),
        };
        let program = env::var(variable).unwrap_or_else(|_| default.to_owned());
        process::require(&program, &format!("apt-get install {default}"))
    }
}

/// How programs are built and run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Every standard.
    Plain,
    /// The newest standard, under the address and undefined-behaviour sanitizers.
    Sanitized,
    /// The newest standard, for another machine, under its emulator.
    Elsewhere,
}

/// What programs for another machine are built with and linked with, and what runs them.
pub(crate) struct Elsewhere {
    /// Short name, for the folder of the programs.
    pub(crate) folder: &'static str,
    /// For C and for C++.
    pub(crate) compilers: [PathBuf; 2],
    /// Linked with each program.
    pub(crate) objects: Vec<PathBuf>,
    /// For programs that load the shared library.
    pub(crate) shared: PathBuf,
    /// Comes before each program.
    pub(crate) runner: Vec<String>,
    /// C++ programs; all programs in both languages if there is no choice.
    pub(crate) chosen: Option<Vec<PathBuf>>,
}

/// A compiler call with the project's warnings and headers.
pub(crate) fn compile_command(compiler: &Path, standard: &str) -> Command {
    let root = workspace::root();
    let mut command = Command::new(compiler);
    command.current_dir(&root).arg(format!("-std={standard}")).args(WARNINGS);
    for folder in INCLUDES {
        command.arg("-I").arg(root.join(folder));
    }
    command
}

/// A program behind its runner, if there is one.
pub(crate) fn run_command(runner: &[String], program: &Path) -> Command {
    let Some((first, arguments)) = runner.split_first() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(arguments).arg(program);
    // For a program that runs itself.
    command.env("HTP_TEST_RUNNER", runner.join(" "));
    command
}

/// Source files of one extension in a folder, sorted; none if the folder is not there.
pub(crate) fn sources(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new(extension)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Builds and runs every program.
pub(crate) fn run_all(mode: Mode, bar: &ProgressBar) -> Outcome {
    match prepare(mode) {
        Ok(jobs) => run_jobs(jobs, bar),
        Err(error) => Outcome::from(Err(error)),
    }
}

/// Builds programs for another machine and runs them.
pub(crate) fn run_elsewhere(elsewhere: &Elsewhere, bar: &ProgressBar) -> Outcome {
    match prepare_elsewhere(elsewhere) {
        Ok(jobs) => run_jobs(jobs, bar),
        Err(error) => Outcome::from(Err(error)),
    }
}

fn run_jobs(jobs: Vec<Job>, bar: &ProgressBar) -> Outcome {
    steps::show_parts(bar, jobs.len());
    let queue = Mutex::new(VecDeque::from(jobs));
    let results = Mutex::new(Vec::new());
    let workers = thread::available_parallelism().map_or(1, |count| count.get());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(job) = take(&queue) {
                    let result = job.build_and_run();
                    bar.inc(1);
                    if let Ok(mut results) = results.lock() {
                        results.push((job.name(), result));
                    }
                }
            });
        }
    });
    summary(results.into_inner().unwrap_or_default())
}

fn take(queue: &Mutex<VecDeque<Job>>) -> Option<Job> {
    queue.lock().ok()?.pop_front()
}

fn summary(mut results: Vec<(String, Result<Tally, Failed>)>) -> Outcome {
    results.sort_by(|a, b| a.0.cmp(&b.0));
    let mut tally = Tally::default();
    let mut texts = Vec::new();
    for (name, result) in results {
        match result {
            Ok(passed) => tally.add(passed),
            Err(failed) => {
                tally.add(failed.tally);
                texts.push(format!("{name}:\n{}", failed.text.trim_end()));
            }
        }
    }
    Outcome::new(tally, (!texts.is_empty()).then(|| texts.join("\n")))
}

/// One program under one standard.
struct Job {
    source: PathBuf,
    standard: &'static str,
    /// More flags for the compiler.
    flags: Vec<String>,
    compiler: PathBuf,
    /// Linked with it.
    objects: Vec<PathBuf>,
    /// The release shared library, for programs that load it: `HTP_RUNTIME_SHARED_LIBRARY`.
    shared: PathBuf,
    /// Comes before the program; empty where it runs by itself.
    runner: Vec<String>,
    /// Programs are built there, in one for each standard.
    folder: &'static str,
    /// It is linked with the shared library instead of `objects`.
    links_shared: bool,
    mode: Mode,
}

/// A program that did not compile, did not end well, or failed some of its tests.
struct Failed {
    tally: Tally,
    text: String,
}

impl Failed {
    fn whole(text: String) -> Self {
        Failed { tally: Tally { passed: 0, failed: 1 }, text }
    }
}

fn prepare(mode: Mode) -> Result<Vec<Job>> {
    let mut chosen = Vec::new();
    for language in Language::ALL {
        let files = language_sources(language)?;
        if !files.is_empty() {
            chosen.push((language, language.compiler()?, files));
        }
    }
    ensure!(!chosen.is_empty(), "lacking: tests/c/*.c and tests/cpp/*.cpp (there is no program)");
    let release = staticlib::release()?;
    let shared = release.with_extension("so");
    let (library, folder) = match mode {
        Mode::Sanitized => (staticlib::address_sanitized()?, "sanitized"),
        _ => (release, "plain"),
    };
    jobs(chosen, mode, |source, standard, flags, compiler| Job {
        source,
        standard,
        flags,
        compiler,
        objects: vec![library.clone()],
        shared: shared.clone(),
        runner: Vec::new(),
        folder,
        links_shared: false,
        mode,
    })
}

fn prepare_elsewhere(elsewhere: &Elsewhere) -> Result<Vec<Job>> {
    let [c, cpp] = elsewhere.compilers.clone();
    let chosen = match &elsewhere.chosen {
        Some(files) => vec![(Language::Cpp, cpp, files.clone())],
        None => vec![
            (Language::C, c, language_sources(Language::C)?),
            (Language::Cpp, cpp, language_sources(Language::Cpp)?),
        ],
    };
    jobs(chosen, Mode::Elsewhere, |source, standard, flags, compiler| Job {
        source,
        standard,
        flags,
        compiler,
        objects: elsewhere.objects.clone(),
        shared: elsewhere.shared.clone(),
        runner: elsewhere.runner.clone(),
        folder: elsewhere.folder,
        links_shared: false,
        mode: Mode::Elsewhere,
    })
}

fn language_sources(language: Language) -> Result<Vec<PathBuf>> {
    sources(&workspace::root().join(language.folder()), language.extension())
}

/// A job for every program and each of its standards.
fn jobs(
    chosen: Vec<(Language, PathBuf, Vec<PathBuf>)>,
    mode: Mode,
    job: impl Fn(PathBuf, &'static str, Vec<String>, PathBuf) -> Job,
) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for (language, compiler, files) in chosen {
        for source in files {
            let text = fs::read_to_string(&source)
                .with_context(|| format!("cannot read {}", source.display()))?;
            if mode == Mode::Elsewhere && marked(&text, "// not emulated:").next().is_some() {
                continue;
            }
            let flags = marked(&text, "// flags:").map(str::to_owned).collect::<Vec<_>>();
            let standards = chosen_standards(language, mode, &text);
            let also_shared =
                mode == Mode::Plain && marked(&text, "// also:").any(|word| word == "shared");
            let shared = standards.last().filter(|_| also_shared).map(|&standard| (standard, true));
            let kinds = standards.iter().map(|&standard| (standard, false)).chain(shared);
            for (standard, links_shared) in kinds {
                let job = job(source.clone(), standard, flags.clone(), compiler.clone());
                jobs.push(Job { links_shared, ..job });
            }
        }
    }
    Ok(jobs)
}

fn chosen_standards(language: Language, mode: Mode, text: &str) -> Vec<&'static str> {
    let mut standards = language.standards().to_vec();
    let named: Vec<&str> = marked(text, "// std:").collect();
    if !named.is_empty() {
        standards.retain(|standard| named.contains(standard));
    }
    match mode {
        Mode::Plain => standards,
        Mode::Sanitized | Mode::Elsewhere => standards.pop().into_iter().collect(),
    }
}

/// The words behind a marker in a program's opening comment.
fn marked<'a>(text: &'a str, marker: &'a str) -> impl Iterator<Item = &'a str> {
    let comment = text.lines().take_while(|line| line.starts_with("//"));
    comment.filter_map(move |line| line.strip_prefix(marker)).flat_map(str::split_whitespace)
}

impl Job {
    fn name(&self) -> String {
        let file = self.source.file_name().unwrap_or_default().to_string_lossy();
        let with = if self.links_shared { " with the shared library" } else { "" };
        format!("{file} as {}{with}", self.standard)
    }

    fn build_and_run(&self) -> Result<Tally, Failed> {
        let stem = self.source.file_stem().unwrap_or_default().to_string_lossy();
        let compile_only = stem.starts_with("header_");
        let program = self.program(&stem).map_err(|error| Failed::whole(format!("{error:#}")))?;

        let mut compile = compile_command(&self.compiler, self.standard);
        compile.args(&self.flags);
        if self.mode == Mode::Sanitized {
            compile.arg("-g").args(SANITIZERS);
        }
        if compile_only {
            compile.arg("-c").arg(&self.source);
        } else {
            compile.arg(&self.source).args(self.link_arguments()).args(staticlib::LINK_FLAGS);
        }
        compile.arg("-o").arg(&program);
        process::succeed(&mut compile, process::BUILD_LIMIT)
            .map_err(|error| Failed::whole(format!("{error:#}")))?;
        if compile_only {
            return Ok(Tally::ONE);
        }

        let mut run = run_command(&self.runner, &program);
        run.current_dir(workspace::root()).env("HTP_RUNTIME_SHARED_LIBRARY", &self.shared);
        let limit = match self.mode {
            Mode::Elsewhere => process::EMULATED_LIMIT,
            _ => process::PROGRAM_LIMIT,
        };
        let finished = process::capture(&mut run, limit)
            .map_err(|error| Failed::whole(format!("{error:#}")))?;
        judge(finished.success, &finished.output)
    }

    fn link_arguments(&self) -> Vec<OsString> {
        if !self.links_shared {
            return self.objects.iter().map(OsString::from).collect();
        }
        let mut run_path = OsString::from("-Wl,-rpath,");
        run_path.push(self.shared.parent().unwrap_or(Path::new(".")));
        vec![self.shared.clone().into(), run_path]
    }

    fn program(&self, stem: &str) -> Result<PathBuf> {
        let folder = if self.links_shared { "shared" } else { self.folder };
        let folder = workspace::target_dir().join("xtask").join(folder).join(self.standard);
        fs::create_dir_all(&folder)?;
        Ok(folder.join(stem))
    }
}

/// The count of a program that ended well.
pub(crate) fn tally(finished: &process::Finished) -> Result<Tally> {
    judge(finished.success, &finished.output).map_err(|failed| anyhow!(failed.text))
}

/// Believes a program only if its code and its closing line agree.
fn judge(success: bool, output: &str) -> Result<Tally, Failed> {
    let Some(tally) = output.lines().rev().find_map(closing_line) else {
        return Err(Failed::whole(format!("{output}\nno closing line `N passed, N failed`")));
    };
    if success && tally.failed == 0 && tally.passed > 0 {
        return Ok(tally);
    }
    let mut text = output.to_owned();
    if tally.passed + tally.failed == 0 {
        text.push_str("\nthe program tested nothing");
    }
    Err(Failed { tally: Tally { failed: tally.failed.max(1), ..tally }, text })
}

fn closing_line(line: &str) -> Option<Tally> {
    let (passed, failed) = line.trim().split_once(" passed, ")?;
    let failed = failed.strip_suffix(" failed")?;
    Some(Tally { passed: passed.parse().ok()?, failed: failed.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_program_counts_its_tests() {
        assert_eq!(
            judge(true, "ok a\n7 passed, 0 failed\n").ok(),
            Some(Tally { passed: 7, failed: 0 })
        );
    }

    #[test]
    fn code_and_closing_line_must_agree() {
        for (success, output, tally) in [
            (false, "7 passed, 0 failed", Tally { passed: 7, failed: 1 }),
            (true, "6 passed, 1 failed", Tally { passed: 6, failed: 1 }),
            (true, "0 passed, 0 failed", Tally { passed: 0, failed: 1 }),
            (true, "all well", Tally { passed: 0, failed: 1 }),
        ] {
            let failed = judge(success, output).err().map(|failed| failed.tally);
            assert_eq!(failed, Some(tally), "{output}");
        }
    }

    #[test]
    fn the_marker_restricts_the_standards() {
        let choose = |mode, text| chosen_standards(Language::Cpp, mode, text);
        assert_eq!(choose(Mode::Plain, "int x;\n"), ["c++14", "c++17"]);
        assert_eq!(choose(Mode::Plain, "// what\n// std: c++17\n"), ["c++17"]);
        assert_eq!(choose(Mode::Plain, "int x;\n// std: c++17\n"), ["c++14", "c++17"]);
        assert_eq!(choose(Mode::Sanitized, "int x;\n"), ["c++17"]);
        assert_eq!(choose(Mode::Sanitized, "// std: c11 c++14\n"), ["c++14"]);
        assert!(choose(Mode::Plain, "// std: c11\n").is_empty());
    }

    #[test]
    fn a_broken_program_does_not_hide_the_others() {
        let outcome = summary(vec![
            ("b".into(), Err(Failed::whole("no".into()))),
            ("a".into(), Ok(Tally { passed: 3, failed: 0 })),
        ]);
        assert_eq!(outcome.tally, Tally { passed: 3, failed: 1 });
        assert_eq!(outcome.failure.as_deref(), Some("b:\nno"));
    }
}
