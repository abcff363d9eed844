//! Developer commands: `cargo xtask <command>`. CI calls what a developer types.

mod abi;
mod abi_diff;
mod ahead;
mod audit;
mod bench;
mod conformance;
mod core_alone;
mod cross;
mod demo;
mod dist;
mod emulate;
mod examples;
mod firmware;
mod header;
mod install;
mod loom;
mod misra;
mod model;
mod ort;
mod process;
mod product;
mod programs;
mod quality;
mod recovery;
mod safety;
mod sim;
mod sizes;
mod stack;
mod staticlib;
mod steps;
mod symbols;
mod test;
mod threads;
mod tidy;
mod trace;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of htp-runtime")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check everything; the last line reads `N passed, N failed`
    Test(test::Options),
    /// Build the ADAS example and run it on the virtual HTP
    Demo(demo::Options),
    /// Measure submit, dispatch and complete against a plain queue, or calls against the vendor's
    Bench(bench::Options),
    /// Ask this library the measured cases of the vendor's backend, and compare the answers
    Conformance(conformance::Options),
    /// Show which tests prove which requirement
    Trace(trace::Options),
    /// Check the style rules
    Tidy,
    /// Write the C headers and their tests
    Header(Check),
    /// Write the Rust declarations of the QNN ABI
    Abi(Check),
    /// Run models through ONNX Runtime on this library, its CPU provider and the vendor's backend
    Ort(ort::Options),
    /// Write the libraries and headers into a folder, as a client takes them
    Install(install::Options),
    /// Make the digit network's context binary from its description
    Model(Check),
    /// Write the tables of docs/recovery.md
    Recovery(Check),
    /// Simulate clients, faults and restarts from seeds; find, replay and shrink what breaks
    Sim(sim::Options),
    /// Check what the release static library needs from its surroundings
    Symbols,
    /// Build the static library for every target and audit each archive
    Cross(cross::Options),
    /// Compare the C interface with that of the last release, once there is one
    AbiDiff(abi_diff::Options),
    /// Measure how much of the core its tests run
    Coverage,
    /// Find changes to queue, scheduler and restart machine that no test notices
    Mutants,
    /// Write what the headers deviate from in MISRA C into docs/safety/misra.md
    Misra(Check),
    /// Write the tables of docs/safety/limits.md
    Safety(Check),
    /// Write packages under target/dist, one for each target
    Dist(dist::Options),
    /// Compare the memory that the code takes with the committed table
    Sizes(sizes::Options),
    /// Find the most stack that each public entry can need
    Stack(stack::Options),
}

#[derive(clap::Args)]
struct Check {
    /// Write nothing; fail if a committed file is not what would be written
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test(options) => return test::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Conformance(options) => conformance::run(&options),
        Command::Trace(options) => trace::run(&options),
        Command::Tidy => tidy::run(),
        Command::Header(options) => header::run(options.check),
        Command::Abi(options) => abi::run(options.check),
        Command::Ort(options) => ort::run(&options),
        Command::Install(options) => install::run(&options),
        Command::Model(options) => model::run(options.check),
        Command::Recovery(options) => recovery::run(options.check),
        Command::Sim(options) => sim::run(&options),
        Command::Symbols => symbols::run(),
        Command::Cross(options) => cross::run(&options),
        Command::AbiDiff(options) => abi_diff::run(&options),
        Command::Coverage => quality::coverage(),
        Command::Mutants => quality::mutants(),
        Command::Misra(options) => misra::run(options.check),
        Command::Safety(options) => safety::run(options.check),
        Command::Dist(options) => dist::run(&options),
        Command::Sizes(options) => sizes::run(&options),
        Command::Stack(options) => stack::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} {error:#}", console::style("error:").red().bold());
            ExitCode::FAILURE
        }
    }
}
