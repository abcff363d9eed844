//! `cargo xtask test --target NAME`: what was built for another machine, run under an emulator.
//!
//! - `aarch64`: the C and C++ programs and the ADAS example, as processes under qemu-aarch64.
//! - `qnx710`, `qnx800`, `android`: the objects of that target, linked with a shim that is their C
//!   library on Linux, under qemu-aarch64. Neither QNX nor Android runs.
//! - `thumbv7em`, `aarch64-none`, `hexagon`: the firmware of `examples/rtos`. `thumbv7em` also:
//!   that of `examples/firmware`, whose log is read.
//!
//! The first of them also runs on a clock that depends on nothing: its trace must be, to the byte,
//! what it is on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use indicatif::ProgressBar;

use crate::cross::{self, Target};
use crate::process::Finished;
use crate::programs::{self, Elsewhere, Language};
use crate::steps::{Outcome, Tally};
use crate::{demo, firmware, process, staticlib, workspace};

const ARM_LINUX: &str = "apt-get install g++-aarch64-linux-gnu";
const QEMU_USER: &str = "apt-get install qemu-user";
const QEMU_SYSTEM: &str = "apt-get install qemu-system-arm";
const FIRMWARE: &str = "examples/rtos";
const FOREIGN: &str = "tests/foreign";
/// Runs the firmware on a clock that depends on nothing.
const STEADY_CLOCK: &str = "-DSTEADY_CLOCK";

/// Programs that run with objects of another system: life cycles, queues, restarts, waking.
const WITH_FOREIGN_OBJECTS: [&str; 5] =
    ["callbacks", "qnn_lifecycle", "qnn_queue", "ssr_async", "ssr_managed"];

/// Runs the targets whose library another step of `cargo xtask test` has built, so it costs little.
pub(crate) fn check(bar: &ProgressBar) -> Outcome {
    run_all(&cross::TESTED, bar)
}

/// Every target of which something can be run.
pub(crate) fn check_all(bar: &ProgressBar) -> Outcome {
    let others = ["aarch64", "qnx710", "qnx800", "android"];
    let boards = BOARDS.iter().map(|board| board.target);
    let names: Vec<&str> = others.into_iter().chain(boards).collect();
    match cross::build_together(|name| names.contains(&name)) {
        Ok(()) => run_all(&names, bar),
        Err(error) => Outcome::from(Err(error)),
    }
}

fn run_all(targets: &[&str], bar: &ProgressBar) -> Outcome {
    let mut tally = Tally::default();
    let (mut texts, mut reports) = (Vec::new(), Vec::new());
    for target in targets {
        let outcome = run(target, bar);
        tally.add(outcome.tally);
        texts.extend(outcome.failure.map(|text| format!("{target}:\n{text}")));
        reports.extend(outcome.report);
    }
    let all = |texts: Vec<String>| (!texts.is_empty()).then(|| texts.join("\n"));
    Outcome { tally, failure: all(texts), report: all(reports) }
}

/// Runs what there is for a target.
pub(crate) fn run(name: &str, bar: &ProgressBar) -> Outcome {
    let outcome = || -> Result<Outcome> {
        let target = cross::find(name)?;
        cross::require_toolchain()?;
        match name {
            "aarch64" => linux(target, bar),
            "qnx710" | "qnx800" => foreign(target, "-DFOREIGN_QNX", &["locks", "pulses"], bar),
            "android" => foreign(target, "-DFOREIGN_ANDROID", &["locks"], bar),
            _ => match BOARDS.iter().find(|board| board.target == name) {
                Some(board) => board.run(target),
                None => bail!("nothing of `{name}` can be run; it is built and audited"),
            },
        }
    };
    outcome().unwrap_or_else(|error| Outcome::from(Err(error)))
}

fn qemu_aarch64() -> Result<Vec<String>> {
    process::require("qemu-aarch64", QEMU_USER)?;
    Ok(["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"].map(str::to_owned).to_vec())
}

fn compilers() -> Result<[PathBuf; 2]> {
    Ok([
        process::require("aarch64-linux-gnu-gcc", ARM_LINUX)?,
        process::require("aarch64-linux-gnu-g++", ARM_LINUX)?,
    ])
}

/// All programs, and the ADAS example.
fn linux(target: &Target, bar: &ProgressBar) -> Result<Outcome> {
    let compilers = compilers()?;
    let library = cross::build(target)?;
    let elsewhere = Elsewhere {
        folder: target.name,
        shared: library.with_extension("so"),
        objects: vec![library.clone()],
        runner: qemu_aarch64()?,
        chosen: None,
        compilers,
    };
    let mut outcome = programs::run_elsewhere(&elsewhere, bar);
    let trace = trace_of_process(&elsewhere.compilers[0], &elsewhere.runner, &library)
        .and_then(|trace| compare_traces(target, &trace))
        .map(|report| outcome.report = Some(report));
    for (what, result) in [("ADAS example", demo::check_elsewhere(&elsewhere)), ("trace", trace)] {
        match result {
            Ok(()) => outcome.tally.add(Tally::ONE),
            Err(error) => {
                outcome.tally.failed += 1;
                let text = outcome.failure.get_or_insert_default();
                text.push_str(&format!("\n{what}: {error:#}"));
            }
        }
    }
    Ok(outcome)
}

/// The trace of the example as a process of an operating system.
fn trace_of_process(compiler: &Path, runner: &[String], library: &Path) -> Result<String> {
    let root = workspace::root().join(FIRMWARE);
    let program = library.with_file_name("rtos_example");
    let mut compile = programs::compile_command(compiler, "gnu99");
    compile.args(["-O2", STEADY_CLOCK]);
    compile.args(["main.c", "data.S", "board/process.c"].map(|source| root.join(source)));
    compile.arg(library).args(staticlib::LINK_FLAGS).arg("-o").arg(&program);
    process::succeed(&mut compile, process::BUILD_LIMIT)?;
    let mut run = programs::run_command(runner, &program);
    let finished = process::capture(&mut run, process::EMULATED_LIMIT)?;
    programs::tally(&finished)?;
    trace_in(&finished)
}

/// The trace that the example printed, as a hash.
fn trace_in(finished: &Finished) -> Result<String> {
    let trace = finished.output.lines().find_map(|line| line.strip_prefix("trace "));
    trace.map(str::to_owned).context("the example printed no trace")
}

/// A run on a clock that depends on nothing is the same here; says so.
fn compare_traces(target: &Target, trace: &str) -> Result<String> {
    let here = trace_of_process(&Language::C.compiler()?, &[], &staticlib::release()?)?;
    ensure!(trace == here, "the trace is {trace}, on this machine it is {here}");
    Ok(format!("trace {trace} on {} and {}", target.triple, staticlib::HOST))
}

/// Programs with the objects of another system. What those ask their C library for is renamed, and
/// the shim has it.
fn foreign(target: &Target, define: &str, extra: &[&str], bar: &ProgressBar) -> Result<Outcome> {
    let compilers = compilers()?;
    let (report, reachable) = cross::build_and_inspect(target)?;
    let folder = workspace::target_dir().join("xtask").join(target.name);
    std::fs::create_dir_all(&folder)?;

    let renamed = folder.join("renamed.o");
    let mut rename = Command::new("aarch64-linux-gnu-objcopy");
    // These mean the same everywhere, and the compiler calls them by itself.
    for name in report.needed.iter().filter(|name| !name.starts_with("mem")) {
        rename.arg(format!("--redefine-sym={name}=foreign_{name}"));
    }
    process::succeed(rename.arg(&reachable).arg(&renamed), process::BUILD_LIMIT)?;

    let shim = folder.join("shim.o");
    let mut compile = programs::compile_command(&compilers[0], "c11");
    compile.arg(define).arg("-c").arg(Path::new(FOREIGN).join("shim.c")).arg("-o").arg(&shim);
    process::succeed(&mut compile, process::BUILD_LIMIT)?;

    let root = workspace::root();
    let cpp = |folder: &str, name: &str| root.join(folder).join(name).with_extension("cpp");
    let mut chosen: Vec<PathBuf> =
        WITH_FOREIGN_OBJECTS.iter().map(|name| cpp("tests/cpp", name)).collect();
    chosen.extend(extra.iter().map(|name| cpp(FOREIGN, name)));
    let elsewhere = Elsewhere {
        folder: target.name,
        shared: PathBuf::new(),
        objects: vec![renamed, shim],
        runner: qemu_aarch64()?,
        chosen: Some(chosen),
        compilers,
    };
    Ok(programs::run_elsewhere(&elsewhere, bar))
}

/// A machine without an operating system, as an emulator has it.
struct Board {
    target: &'static str,
    compiler: &'static str,
    compiler_from: &'static str,
    flags: &'static [&'static str],
    /// Below `board/`, without the extension.
    file: &'static str,
    /// It has a linker script of that name.
    script: bool,
    linker: &'static [&'static str],
    emulator: &'static [&'static str],
    emulator_from: &'static str,
    /// The firmware in Rust is for this one.
    in_rust: bool,
}

const BOARDS: [Board; 3] = [
    Board {
        target: "thumbv7em",
        compiler: "arm-none-eabi-gcc",
        compiler_from: "apt-get install gcc-arm-none-eabi",
        flags: &["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
        file: "mps2",
        script: true,
        linker: &["arm-none-eabi-ld"],
        emulator: &[
            "qemu-system-arm",
            "-M",
            "mps2-an386",
            "-nographic",
            "-monitor",
            "none",
            "-serial",
            "none",
            "-semihosting-config",
            "enable=on,target=native",
            "-kernel",
        ],
        emulator_from: QEMU_SYSTEM,
        in_rust: true,
    },
    Board {
        target: "aarch64-none",
        compiler: "aarch64-linux-gnu-gcc",
        compiler_from: ARM_LINUX,
        flags: &["-fno-pic", "-mno-outline-atomics"],
        file: "virt",
        script: true,
        linker: &["aarch64-linux-gnu-ld"],
        emulator: &[
            "qemu-system-aarch64",
            "-M",
            "virt",
            "-cpu",
            "cortex-a76",
            "-m",
            "64M",
            "-nic",
            "none",
            "-nographic",
            "-monitor",
            "none",
            "-serial",
            "none",
            "-semihosting-config",
            "enable=on,target=native",
            "-kernel",
        ],
        emulator_from: QEMU_SYSTEM,
        in_rust: false,
    },
    Board {
        target: "hexagon",
        compiler: "clang-22",
        compiler_from: "apt-get install clang-22",
        flags: &["--target=hexagon-unknown-none-elf", "-mcpu=hexagonv67", "-fno-pic", "-G0"],
        file: "hexagon",
        script: false,
        linker: &["rust-lld", "-flavor", "gnu"],
        emulator: &["qemu-hexagon", "-cpu", "v67"],
        emulator_from: QEMU_USER,
        in_rust: false,
    },
];

impl Board {
    fn run(&self, target: &Target) -> Result<Outcome> {
        process::require(self.compiler, self.compiler_from)?;
        process::require(self.emulator[0], self.emulator_from)?;
        let library = cross::build(target)?;
        let mut tally = programs::tally(&self.run_with(&library, None)?)?;
        let steady = self.run_with(&library, Some(STEADY_CLOCK))?;
        tally.add(programs::tally(&steady)?);
        let mut report = compare_traces(target, &trace_in(&steady)?)?;
        tally.add(Tally::ONE);
        if self.in_rust {
            let (checks, log) = firmware::check(target, self.emulator)?;
            tally.add(checks);
            report = format!("{report}\n{log}");
        }
        Ok(Outcome { report: Some(report), ..Outcome::new(tally, None) })
    }

    fn run_with(&self, library: &Path, define: Option<&str>) -> Result<Finished> {
        let root = workspace::root();
        let folder = workspace::target_dir().join("xtask").join(self.target);
        std::fs::create_dir_all(&folder)?;
        let board = root.join(FIRMWARE).join("board").join(self.file);

        let mut link = Command::new(self.linker[0]);
        link.args(&self.linker[1..]).args(["--gc-sections", "-o"]);
        let firmware = folder.join("firmware.elf");
        link.arg(&firmware);
        if self.script {
            link.arg("-T").arg(board.with_extension("ld"));
        }
        for source in [
            root.join(FIRMWARE).join("main.c"),
            root.join(FIRMWARE).join("data.S"),
            board.with_extension("c"),
        ] {
            let object = folder.join(source.file_name().unwrap_or_default()).with_extension("o");
            let mut compile = programs::compile_command(Path::new(self.compiler), "gnu99");
            compile.args(["-ffreestanding", "-O2"]).args(self.flags).args(define);
            compile.arg("-c").arg(&source).arg("-o").arg(&object);
            process::succeed(&mut compile, process::BUILD_LIMIT)?;
            link.arg(object);
        }
        process::succeed(link.arg(library), process::BUILD_LIMIT)?;

        let mut emulator = Command::new(self.emulator[0]);
        emulator.args(&self.emulator[1..]).arg(&firmware);
        process::capture(&mut emulator, process::EMULATED_LIMIT)
    }
}
