//! `cargo xtask test`: every check in order. A failure does not hide the checks after it.

use std::process::{Command, ExitCode};
use std::thread::JoinHandle;

use anyhow::Result;
use clap::ValueEnum;
use indicatif::ProgressBar;

use crate::process::{self, Finished, BUILD_LIMIT};
use crate::programs::{self, Mode};
use crate::steps::{Outcome, Steps, Tally};
use crate::{
    abi, abi_diff, ahead, bench, conformance, cross, dist, emulate, examples, header, install,
    loom, misra, model, ort, quality, recovery, safety, sim, sizes, stack, symbols, threads, tidy,
    trace, workspace,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run these steps only
    #[arg(long, value_delimiter = ',')]
    only: Vec<Step>,
    /// Everything: also ONNX Runtime, every target and package, coverage and mutants. Installs
    /// what it needs, so it wants to be root on Debian 12
    #[arg(long, conflicts_with_all = ["only", "skip", "target"])]
    all: bool,
    /// Also run models through ONNX Runtime (installs packages from PyPI under target/)
    #[arg(long)]
    ort: bool,
    /// Leave these steps out
    #[arg(long, value_delimiter = ',')]
    skip: Vec<Step>,
    /// Run what is built for these targets under an emulator, and nothing else: aarch64,
    /// thumbv7em, aarch64-none, hexagon, and the objects for qnx710, qnx800 and android under
    /// a Linux harness
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["only", "skip", "ort"])]
    target: Vec<String>,
}

/// The steps, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// rustfmt
    Format,
    /// clippy, warnings as errors
    Clippy,
    /// style rules
    Tidy,
    /// requirement comments
    Trace,
    /// generated files are what the generators write
    Header,
    /// Rust tests and doc tests
    Rust,
    /// Rust tests but those of the core, which coverage runs; only with --all
    RustOthers,
    /// simulation of fixed seeds; every deliberately broken runtime is caught; the restart machine
    /// in every order
    Sim,
    /// what threads share, in every order of theirs
    Loom,
    /// rustdoc, warnings as errors
    Docs,
    /// the core with every feature set on this machine, checked by the compiler
    Features,
    /// the core and the static library for machines that are not this one
    Cross,
    /// firmware for a Cortex-M4, and the objects for QNX, under emulation
    Emulated,
    /// no heap, no panic in the release library
    Symbols,
    /// memory that the code takes on the targets built above, against the committed table
    Sizes,
    /// stack that each public entry can need; no recursion
    Stack,
    /// C and C++ programs
    Programs,
    /// C and C++ programs under sanitizers
    Sanitizers,
    /// client threads under the thread sanitizer, and a race on purpose
    Threads,
    /// the measured cases of the vendor's backend
    Conformance,
    /// the installed folder serves a client
    Install,
    /// the package serves clients that CMake and pkg-config build, and one for a machine without
    /// an operating system serves firmware
    Dist,
    /// deviations of the headers from MISRA C are those that are listed
    Misra,
    /// changes of the C interface are seen; once there is a release, the interface is that of the
    /// last one
    Abi,
    /// the examples in C and Rust; README.md shows what is compiled; the C++ benchmark compiles
    Examples,
    /// models through ONNX Runtime; only with --ort or --all
    Ort,
    /// the static library for every target; only with --all
    CrossAll,
    /// memory that the code takes on every target, against the committed table; only with --all
    SizesAll,
    /// what can be run of every target under emulation; only with --all
    EmulatedAll,
    /// a package for every target, this machine's the same from another folder; only with --all
    DistAll,
    /// the core's tests, and how much of it they run; only with --all
    Coverage,
    /// changes to the core that no test notices; only with --all
    Mutants,
}

/// Too slow for every time.
const ONLY_WITH_ALL: [Step; 7] = [
    Step::RustOthers,
    Step::CrossAll,
    Step::SizesAll,
    Step::EmulatedAll,
    Step::DistAll,
    Step::Coverage,
    Step::Mutants,
];
/// What a longer step does as well.
const PART_OF_ANOTHER: [Step; 4] = [Step::Rust, Step::Cross, Step::Emulated, Step::Sizes];

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Format => "format",
            Step::Clippy => "clippy",
            Step::Tidy => "tidy",
            Step::Trace => "trace",
            Step::Header => "generated files",
            Step::Rust => "Rust tests",
            Step::Sim => "simulation",
            Step::Loom => "every order of threads",
            Step::Docs => "docs",
            Step::Features => "feature sets of the core",
            Step::Cross => "static library for other targets",
            Step::Emulated => "firmware and QNX objects under emulation",
            Step::Symbols => "symbols of the static library",
            Step::Programs => "C and C++ programs",
            Step::Sanitizers => "C and C++ programs under sanitizers",
            Step::Threads => "client threads under the thread sanitizer",
            Step::Conformance => "conformance",
            Step::Sizes => "sizes",
            Step::Stack => "stack",
            Step::Install => "installed folder",
            Step::Dist => "package",
            Step::Misra => "MISRA deviations of the headers",
            Step::Abi => "changes of the C interface",
            Step::CrossAll => "static library for every target",
            Step::RustOthers => "Rust tests but the core's",
            Step::SizesAll => "sizes of every target",
            Step::EmulatedAll => "every target under emulation",
            Step::DistAll => "packages",
            Step::Coverage => "coverage",
            Step::Mutants => "mutants",
            Step::Examples => "examples",
            Step::Ort => "ONNX Runtime",
        }
    }

    fn run(self, bar: &ProgressBar) -> Outcome {
        match self {
            Step::Format => one(format()),
            Step::Clippy => one(clippy()),
            Step::Tidy => one(tidy::check()),
            Step::Trace => one(trace::check()),
            Step::Header => {
                let interface = abi::run(true).and_then(|()| header::run(true));
                let pages = || recovery::run(true).and_then(|()| safety::run(true));
                one(interface.and_then(|()| model::run(true)).and_then(|()| pages()))
            }
            Step::Rust => rust_tests(&CORE_FEATURES),
            Step::RustOthers => rust_tests(&["--exclude", "htp-runtime"]),
            Step::Sim => sim::check(),
            Step::Loom => loom::check(),
            Step::Docs => one(docs()),
            Step::Features => features().into(),
            Step::Cross => cross::check(),
            Step::Emulated => emulate::check(bar),
            Step::Symbols => symbols::check().into(),
            Step::Programs => programs::run_all(Mode::Plain, bar),
            Step::Sanitizers => programs::run_all(Mode::Sanitized, bar),
            Step::Threads => threads::check(),
            Step::Conformance => conformance::check(),
            Step::Sizes => sizes::check(),
            Step::Stack => stack::check(),
            Step::Install => install::check(),
            Step::Dist => dist::check(),
            Step::Misra => one(misra::run(true)),
            Step::Abi => abi_diff::check(),
            Step::CrossAll => cross::check_all(),
            Step::SizesAll => sizes::check_all(),
            Step::EmulatedAll => emulate::check_all(bar),
            Step::DistAll => dist::check_all(),
            Step::Coverage => quality::check_coverage(),
            Step::Mutants => quality::check_mutants(),
            Step::Examples => examples().into(),
            Step::Ort => ort::check(),
        }
    }
}

/// Seed of the property tests: a check that passed passes again. `cargo test` alone explores
/// others.
pub(crate) const PROPERTY_SEED: &str = "20261120";

/// The core as its tests want it.
const CORE_FEATURES: [&str; 2] = ["--features", "htp-runtime/std,htp-runtime/os"];

/// Feature sets the core is compiled with, besides those of the tests.
const FEATURE_SETS: [&str; 4] = ["", "vhtp", "os,vhtp", "std,os,vhtp"];

/// The code says what the last line says, so nothing needs to follow it.
pub(crate) fn run(options: &Options) -> ExitCode {
    let mut steps = Steps::new();
    if options.all {
        steps.run("what is needed", |_| one(install_all()));
    }
    let everything =
        options.only.is_empty() && options.skip.is_empty() && options.target.is_empty();
    let ahead = everything.then(|| ahead::begin(options.all));
    for target in &options.target {
        steps.run(&format!("{target} under emulation"), |bar| emulate::run(target, bar));
    }
    for step in Step::value_variants() {
        if !options.target.is_empty() {
            break;
        }
        if options.all && PART_OF_ANOTHER.contains(step) {
            continue;
        }
        let left_out = options.skip.contains(step)
            || (*step == Step::Ort && !options.ort && !options.all)
            || (ONLY_WITH_ALL.contains(step) && !options.all && !options.only.contains(step))
            || (!options.only.is_empty() && !options.only.contains(step));
        if left_out {
            steps.skip(step.name());
        } else {
            steps.run(step.name(), |bar| step.run(bar));
        }
    }
    // Nothing is left running; what it built, the steps have used.
    let _ = ahead.map(JoinHandle::join);
    if steps.finish() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn one(result: Result<()>) -> Outcome {
    result.map(|()| Tally::ONE).into()
}

fn install_all() -> Result<()> {
    let mut install = Command::new(workspace::root().join(".ci/run"));
    process::succeed(install.arg("--install-all"), BUILD_LIMIT).map(drop)
}

fn cargo(arguments: &[&str]) -> Result<()> {
    process::succeed(process::cargo().args(arguments), BUILD_LIMIT).map(drop)
}

fn format() -> Result<()> {
    process::require("cargo-fmt", "rustup component add rustfmt")?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["fmt", "--all", "--check", "--manifest-path", "examples/firmware/Cargo.toml"])
}

fn clippy() -> Result<()> {
    process::require("cargo-clippy", "rustup component add clippy")?;
    let most = ["clippy", "--workspace", "--exclude", "htp-runtime-ffi", "--all-targets"];
    cargo(
        &[&most[..], &["--features", "htp-runtime/std,htp-runtime/os", "--", "-D", "warnings"]]
            .concat(),
    )?;
    // Apart from the rest, as its panic handler needs the release profile.
    cargo(&["clippy", "--package", "htp-runtime-ffi", "--release", "--", "-D", "warnings"])
}

/// Tests of the workspace, chosen further, and the doc tests.
fn rust_tests(further: &[&str]) -> Outcome {
    let packages = [&["--workspace", "--exclude", "htp-runtime-ffi"][..], further].concat();
    let runner: &[&str] = match process::find("cargo-nextest") {
        Some(_) => &["nextest", "run", "--no-fail-fast", "--status-level", "fail"],
        None => &["test", "--no-fail-fast", "--tests"],
    };
    let doc = ["test", "--doc", "--package", "htp-runtime", "--features", "std,os"];
    let mut tally = Tally::default();
    let mut texts = Vec::new();
    for arguments in [[runner, &packages].concat(), doc.to_vec()] {
        match process::capture(
            process::cargo().args(arguments).env("PROPTEST_RNG_SEED", PROPERTY_SEED),
            BUILD_LIMIT,
        ) {
            Ok(Finished { success, output, .. }) => {
                let counted = count_tests(&output);
                tally.add(counted);
                if !success {
                    tally.failed += u64::from(counted.failed == 0);
                    texts.push(output);
                }
            }
            Err(error) => texts.push(format!("{error:#}")),
        }
    }
    Outcome::new(tally, (!texts.is_empty()).then(|| texts.join("\n")))
}

/// Sums the closing lines of nextest and of the standard test runner.
pub(crate) fn count_tests(output: &str) -> Tally {
    let mut sum = Tally::default();
    for line in output.lines() {
        // An indented `test result:` is nextest quoting what a failed test printed.
        if !(line.trim_start().starts_with("Summary [") || line.starts_with("test result:")) {
            continue;
        }
        let mut before = "";
        for word in line.split_whitespace() {
            let word = word.trim_end_matches([',', ';']);
            let number = before.parse().unwrap_or(0);
            match word {
                "passed" => sum.passed += number,
                "failed" | "timed" => sum.failed += number,
                _ => {}
            }
            before = word;
        }
    }
    sum
}

fn examples() -> Result<Tally> {
    let mut tally = examples::run_c()?;
    tally.add(examples::run_rust()?);
    examples::check_readme()?;
    // Run with `cargo xtask bench --vendor`; here it shall compile.
    bench::build()?;
    tally.add(Tally::ONE);
    Ok(tally)
}

fn docs() -> Result<()> {
    let mut command = process::cargo();
    command.args(["doc", "--no-deps", "--package", "htp-runtime", "--features", "std"]);
    process::succeed(command.env("RUSTDOCFLAGS", "-D warnings"), BUILD_LIMIT).map(drop)
}

fn features() -> Result<Tally> {
    let mut tally = Tally::default();
    for set in FEATURE_SETS {
        let package = ["check", "--package", "htp-runtime", "--lib", "--no-default-features"];
        cargo(&[&package[..], &["--features", set]].concat())?;
        tally.add(Tally::ONE);
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_test_runners_are_counted() {
        let output = [
            "     Summary [   0.005s] 5 tests run: 3 passed, 1 failed, 1 timed out, 2 skipped",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured",
            "    test result: FAILED. 0 passed; 1 failed;",
            "a line about 9 passed",
        ]
        .join("\n");
        assert_eq!(count_tests(&output), Tally { passed: 15, failed: 2 });
    }

    #[test]
    fn what_a_complete_test_leaves_out_a_later_step_does() {
        let steps = Step::value_variants();
        let place = |step| steps.iter().position(|it| *it == step).unwrap();
        let longer = [Step::RustOthers, Step::CrossAll, Step::EmulatedAll, Step::SizesAll];
        for (part, whole) in PART_OF_ANOTHER.into_iter().zip(longer) {
            assert!(place(part) < place(whole) && ONLY_WITH_ALL.contains(&whole), "{part:?}");
        }
        // What `RustOthers` leaves out.
        assert!(place(Step::Rust) < place(Step::Coverage));
        assert!(ONLY_WITH_ALL.contains(&Step::Coverage));
        // It finds the libraries built.
        assert!(place(Step::CrossAll) < place(Step::SizesAll));
    }

    #[test]
    fn flaky_words_do_not_count() {
        let output = "Summary [ 0.1s] 2 tests run: 2 passed (1 slow), 0 skipped";
        assert_eq!(count_tests(output), Tally { passed: 2, failed: 0 });
    }
}
