//! `cargo xtask bench`: what the core costs, as the benchmark prints it; the instructions of an
//! inference, as valgrind counts them, and those of AArch64, as an emulator does; or what calls
//! cost beside the vendor's backend.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use object::{Object, ObjectSymbol};

use crate::{cross, install, ort, process, programs, steps, workspace};

const VENDOR: &str = "benches/vendor.cpp";
const PLUGIN: &str = "benches/insns.c";
const BENCH: [&str; 7] =
    ["bench", "--package", "htp-runtime", "--features", "std", "--bench", "costs"];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Instead, execute and create contexts here and on the vendor's backend, in turns in one
    /// process (installs ONNX Runtime from PyPI under target/)
    #[arg(long)]
    vendor: bool,
    /// Only count the instructions of an inference
    #[arg(long, conflicts_with = "vendor")]
    counts: bool,
    /// Only count those of an inference on AArch64, under qemu-aarch64
    #[arg(long, conflicts_with_all = ["vendor", "counts"])]
    aarch64: bool,
}

/// A step of an inference: its function in benches/costs/counts.rs, and the instructions that it
/// shall take at most, if that is bounded.
const STEPS: [(&str, Option<u64>); 3] =
    [("count_submit", Some(600)), ("count_dispatch", None), ("count_complete", Some(500))];
/// Numbers of contexts and queue depths for which it shall take the same.
const SHAPES: [(u32, u32); 4] = [(1, 1), (1, 300), (64, 1), (64, 300)];

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.vendor {
        return beside_the_vendor();
    }
    let everything = !options.counts && !options.aarch64;
    if everything {
        process::pass_through(&mut cargo_bench())?;
        println!();
    }
    let mut above = Vec::new();
    if options.counts || everything {
        above.extend(show("this machine", count_instructions)?);
    }
    if options.aarch64 || everything {
        above.extend(show("AArch64", count_aarch64)?);
    }
    ensure!(above.is_empty(), "more instructions than there may be: {}", above.join(", "));
    Ok(())
}

/// Counts, and prints the table; gives the steps that take more than they should.
fn show(machine: &str, count: impl Fn() -> Result<Counted>) -> Result<Vec<String>> {
    let bar = steps::spinner(&format!("counting instructions of {machine}"));
    let counted = count();
    bar.finish_and_clear();
    let counted = counted?;
    println!("{}", counted.table(machine));
    Ok(counted.above().into_iter().map(|step| format!("{step} on {machine}")).collect())
}

fn cargo_bench() -> Command {
    let mut command = process::cargo();
    command.args(BENCH);
    command
}

/// Instructions of one call of each step, for each shape.
pub(crate) struct Counted([[u64; SHAPES.len()]; STEPS.len()]);

impl Counted {
    pub(crate) fn table(&self, machine: &str) -> String {
        let mut text =
            format!("instructions of one call on {machine}, mean of some\n\ncontexts, depth ");
        for (contexts, depth) in SHAPES {
            text.push_str(&format!("{:>9}", format!("{contexts}, {depth}")));
        }
        text.push_str("    at most\n");
        for ((name, most), counts) in STEPS.iter().zip(self.0) {
            text.push_str(&format!("{:<16}", name.trim_start_matches("count_")));
            counts.iter().for_each(|count| text.push_str(&format!("{count:>9}")));
            text.push_str(&most.map_or(String::new(), |most| format!("{most:>11}")));
            text.push('\n');
        }
        text
    }

    /// Steps that take more than they should.
    pub(crate) fn above(&self) -> Vec<&'static str> {
        let bounds = STEPS.iter().zip(self.0);
        let above = bounds.filter(|((_, most), counts)| {
            most.is_some_and(|most| counts.iter().any(|&count| count > most))
        });
        above.map(|((name, _), _)| *name).collect()
    }
}

/// Runs the steps under valgrind.
pub(crate) fn count_instructions() -> Result<Counted> {
    let valgrind = process::require("valgrind", "Debian's package valgrind")?;
    let program = built_program(cargo_bench().arg("--no-run"))?;
    count(|step| {
        let mut command = Command::new(&valgrind);
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        command.arg(format!("--toggle-collect={step}")).arg(&program);
        Ok(command)
    })
}

/// Runs the steps under qemu-aarch64, with a plugin that counts.
pub(crate) fn count_aarch64() -> Result<Counted> {
    let emulator = process::require("qemu-aarch64", "apt-get install qemu-user")?;
    cross::require_toolchain()?;
    let target = cross::find("aarch64")?;
    let folder = workspace::target_dir().join("aarch64-bench");
    let mut build = process::cargo();
    build.arg(format!("+{}", cross::TOOLCHAIN)).args(BENCH).args(["--no-run", "-Zbuild-std=std"]);
    build.args(["--target", target.triple, "--target-dir"]).arg(&folder);
    cross::link(&mut build, target)?;
    // Building `std` is unstable; only other targets need it.
    build.env("RUSTC_BOOTSTRAP", "1");
    // Cargo lets benchmarks unwind; if what they need did not, there would be two `core`.
    build.env("CARGO_PROFILE_RELEASE_PANIC", "unwind");
    // Functions are where the file says.
    build.env("CARGO_ENCODED_RUSTFLAGS", "-Crelocation-model=static");
    let program = built_program(&mut build)?;

    let plugin = folder.join("libinsns.so");
    let mut compile = programs::compile_command(&programs::Language::C.compiler()?, "c11");
    compile.args(["-O2", "-shared", "-fPIC"]).arg(workspace::root().join(PLUGIN));
    process::succeed(compile.arg("-o").arg(&plugin), process::BUILD_LIMIT)?;
    let bytes = fs::read(&program)?;
    let file = object::File::parse(&*bytes)?;
    count(|step| {
        let function = file.symbol_by_name(step).with_context(|| format!("no {step}"))?;
        let mut command = Command::new(&emulator);
        command.args(["-L", "/usr/aarch64-linux-gnu", "-d", "plugin", "-plugin"]);
        command.arg(format!("{},first={}", plugin.display(), function.address())).arg(&program);
        Ok(command)
    })
}

/// The path of the benchmark, as cargo says it.
fn built_program(build: &mut Command) -> Result<PathBuf> {
    let built = process::succeed(build, process::BUILD_LIMIT)?;
    let program =
        built.split_once("benches/costs/main.rs (").and_then(|(_, it)| it.split_once(')'));
    let Some((program, _)) = program else { bail!("cargo does not say what it built:\n{built}") };
    Ok(workspace::root().join(program))
}

/// Runs each step in each shape. `command` has the tool and the program, and lacks its arguments.
fn count(command: impl Fn(&str) -> Result<Command>) -> Result<Counted> {
    let mut counted = Counted([[0; SHAPES.len()]; STEPS.len()]);
    for ((step, _), counts) in STEPS.iter().zip(&mut counted.0) {
        for ((contexts, depth), count) in SHAPES.iter().zip(counts) {
            let mut command = command(step)?;
            command.args(["count".to_owned(), contexts.to_string(), depth.to_string()]);
            let output =
                process::succeed(command.current_dir(workspace::root()), process::EMULATED_LIMIT)?;
            *count = mean(&output).with_context(|| format!("{step} was not counted:\n{output}"))?;
        }
    }
    Ok(counted)
}

/// Instructions of one call: what was collected, by the number of calls that the program says.
fn mean(output: &str) -> Option<u64> {
    let calls = output.lines().find_map(|line| line.strip_suffix(" calls"))?;
    let collected = output.lines().find_map(|line| line.split_once("Collected : "))?.1;
    let (calls, collected): (u64, u64) = (calls.parse().ok()?, collected.trim().parse().ok()?);
    (collected > 0).then_some(collected.div_ceil(calls))
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
