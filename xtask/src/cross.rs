//! `cargo xtask cross`: the static library for every target it is made for, and an audit of each.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use anyhow::{bail, ensure, Context, Result};
use object::Architecture;

use crate::audit::{self, Machine, Report};
use crate::steps::{Outcome, Steps, Tally};
use crate::{process, staticlib, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Build these targets only, by their short names
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Write the lists in packaging/symbols/ instead of comparing with them
    #[arg(long)]
    write: bool,
}

/// A target the library is made for.
pub(crate) struct Target {
    /// As developers call it.
    pub(crate) name: &'static str,
    /// As the compiler calls it.
    pub(crate) triple: &'static str,
    pub(crate) machine: Machine,
    /// Links the shared library, and programs, where such are run for that target.
    pub(crate) shared_linker: Option<&'static str>,
    /// The operating system under it, as CMake calls it. It brings threads.
    pub(crate) system: Option<&'static str>,
}

const fn target(
    name: &'static str,
    triple: &'static str,
    architecture: Architecture,
    is_64: bool,
) -> Target {
    let machine = Machine { architecture, is_64 };
    Target { name, triple, machine, shared_linker: None, system: None }
}

/// All of them. Names of targets stand here and nowhere else.
pub(crate) const TARGETS: [Target; 8] = [
    Target {
        system: Some("QNX"),
        ..target("qnx710", "aarch64-unknown-nto-qnx710", Architecture::Aarch64, true)
    },
    Target {
        system: Some("QNX"),
        ..target("qnx800", "aarch64-unknown-nto-qnx800", Architecture::Aarch64, true)
    },
    Target {
        system: Some("Android"),
        ..target("android", "aarch64-linux-android", Architecture::Aarch64, true)
    },
    Target {
        system: Some("Linux"),
        shared_linker: Some("aarch64-linux-gnu-gcc"),
        ..target("aarch64", "aarch64-unknown-linux-gnu", Architecture::Aarch64, true)
    },
    target("aarch64-none", "aarch64-unknown-none", Architecture::Aarch64, true),
    target("thumbv7em", "thumbv7em-none-eabihf", Architecture::Arm, false),
    target("armv8r", "armv8r-none-eabihf", Architecture::Arm, false),
    target("hexagon", "hexagon-unknown-none-elf", Architecture::Hexagon, false),
];

/// Targets that `cargo xtask test` builds: one with an operating system, one with neither that nor
/// 64-bit pointers.
pub(crate) const TESTED: [&str; 2] = ["qnx710", "thumbv7em"];

/// Feature sets of the core that must compile where there is no operating system.
const CORE_FEATURE_SETS: [&str; 3] = ["", "vhtp", "defmt,vhtp"];
const CORE_TARGET: &str = "thumbv7em";

/// A linked toolchain whose library source is packaged, so that `core` can be built.
pub(crate) const TOOLCHAIN: &str = "debian";
const HOW_TO_GET: &str = "on Debian 12 `.ci/run --install`";

pub(crate) fn run(options: &Options) -> Result<()> {
    for name in &options.only {
        find(name)?;
    }
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|o| o == name);
    let mut steps = Steps::new();
    steps.run("libraries", |_| build_together(wanted).map(|()| Tally::ONE).into());
    for target in TARGETS.iter().filter(|target| wanted(target.name)) {
        steps.run(target.triple, |_| build_and_audit(target, options.write).into());
    }
    ensure!(steps.finish(), "not every target is as it should be");
    Ok(())
}

/// The core, and the library for two targets, as a step of `cargo xtask test`.
pub(crate) fn check() -> Outcome {
    check_those(|name| TESTED.contains(&name)).into()
}

/// The core, and the library for every target, as a step of `cargo xtask test --all`.
pub(crate) fn check_all() -> Outcome {
    check_those(|_| true).into()
}

fn check_those(wanted: impl Fn(&str) -> bool) -> Result<Tally> {
    build_together(&wanted)?;
    let mut tally = Tally::default();
    for set in CORE_FEATURE_SETS {
        let mut build = cargo("check", find(CORE_TARGET)?);
        build.args(["--package", "htp-runtime", "--lib"]);
        build.args(["--no-default-features", "--features", set]);
        process::succeed(&mut build, process::BUILD_LIMIT)?;
        tally.add(Tally::ONE);
    }
    for target in TARGETS.iter().filter(|target| wanted(target.name)) {
        tally.add(build_and_audit(target, false)?);
    }
    Ok(tally)
}

/// The target of a short name.
pub(crate) fn find(name: &str) -> Result<&'static Target> {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let known = || format!("no target `{name}`; there are {}", names.join(", "));
    TARGETS.iter().find(|target| target.name == name).with_context(known)
}

fn build_and_audit(target: &Target, write: bool) -> Result<Tally> {
    let (report, _) = build_and_inspect(target)?;
    judge(target, &report, &workspace::root().join("packaging/symbols"), write)?;
    // Architecture, no heap and no panic, the list.
    Ok(Tally { passed: 3, failed: 0 })
}

/// Builds the library; gives what was found in it, and one object of what its exports reach.
pub(crate) fn build_and_inspect(target: &Target) -> Result<(Report, PathBuf)> {
    inspect(target, &build(target)?)
}

/// The second half of [`build_and_inspect`].
pub(crate) fn inspect(target: &Target, archive: &Path) -> Result<(Report, PathBuf)> {
    let reachable = workspace::target_dir().join("xtask/reachable").join(target.triple);
    let report = audit::inspect(archive, linker(), reachable.clone())?;
    Ok((report, reachable))
}

/// It links objects of every architecture.
pub(crate) fn linker() -> Command {
    let mut linker = Command::new("rust-lld");
    linker.args(["-flavor", "gnu"]);
    linker
}

/// Builds the libraries for the targets of some names, so that [`build`] finds them built. Most of
/// a build is one thread's, so there are two at a time.
pub(crate) fn build_together(wanted: impl Fn(&str) -> bool) -> Result<()> {
    let chosen: Vec<&Target> = TARGETS.iter().filter(|target| wanted(target.name)).collect();
    if !chosen.is_empty() {
        require_toolchain()?;
    }
    let queue = Mutex::new(chosen.into_iter());
    let next = || queue.lock().map_or(None, |mut queue| queue.next());
    let lane = || -> Result<()> {
        while let Some(target) = next() {
            build(target)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let beside = scope.spawn(lane);
        let here = lane();
        let beside = beside.join().unwrap_or_else(|_| bail!("a thread panicked"));
        here.and(beside)
    })
}

/// Where a target is built. Cargo lets one build at a time into a folder, so each has its own.
pub(crate) fn target_dir(target: &Target) -> PathBuf {
    workspace::target_dir().join("cross").join(target.name)
}

/// Builds the release static library for a target, and the shared one where programs load it; gives
/// the path of the first.
pub(crate) fn build(target: &Target) -> Result<PathBuf> {
    let mut build = cargo("rustc", target);
    build.args(["--package", staticlib::PACKAGE, "--lib", "--crate-type"]);
    let kinds = if target.shared_linker.is_some() { "staticlib,cdylib" } else { "staticlib" };
    link(build.arg(kinds), target)?;
    process::succeed(&mut build, process::BUILD_LIMIT)?;
    let folder = target_dir(target).join(target.triple).join("release");
    staticlib::existing(folder.join(staticlib::FILE))
}

/// Names the linker of a target that has one.
pub(crate) fn link(build: &mut Command, target: &Target) -> Result<()> {
    let Some(linker) = target.shared_linker else { return Ok(()) };
    process::require(linker, "apt-get install g++-aarch64-linux-gnu")?;
    let variable = target.triple.to_uppercase().replace('-', "_");
    build.env(format!("CARGO_TARGET_{variable}_LINKER"), linker);
    Ok(())
}

pub(crate) fn cargo(command: &str, target: &Target) -> Command {
    let mut cargo = process::cargo();
    cargo.arg(format!("+{TOOLCHAIN}")).args([command, "--release", "-Zbuild-std=core"]);
    cargo.args(["--target", target.triple]).env("CARGO_TARGET_DIR", target_dir(target));
    cargo.env("RUSTC_BOOTSTRAP", "1"); // building `core` is unstable; only these targets need it
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags().join("\u{1f}"));
    cargo
}

/// Sizes of stack frames for `cargo xtask stack`, and no path of this machine.
fn flags() -> Vec<String> {
    let mut flags = vec!["-Zemit-stack-sizes".to_owned()];
    let remapped = [
        (workspace::root(), "/htp-runtime"),
        (workspace::cargo_home(), "/cargo"),
        (PathBuf::from("/usr/lib/rustlib/src/rust"), "/rustc"),
    ];
    flags.extend(
        remapped.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())),
    );
    flags
}

pub(crate) fn require_toolchain() -> Result<()> {
    process::require("rustup", "it comes with the Rust installer")?;
    process::require("rust-lld", HOW_TO_GET)?;
    let mut list = Command::new("rustup");
    let output = process::succeed(list.args(["toolchain", "list"]), process::BUILD_LIMIT)?;
    let linked = output.lines().any(|line| line.split_whitespace().next() == Some(TOOLCHAIN));
    ensure!(linked, "lacking: a toolchain that builds `core` from source ({HOW_TO_GET})");
    Ok(())
}

fn judge(target: &Target, report: &Report, lists: &Path, write: bool) -> Result<()> {
    ensure!(
        report.machine == target.machine,
        "{} is made for {:?}, expected {:?}",
        target.triple,
        report.machine,
        target.machine
    );
    report.verdict()?;
    let list = lists.join(format!("{}.txt", target.triple));
    if write {
        fs::create_dir_all(lists)?;
        let text: String = report.needed.iter().map(|name| format!("{name}\n")).collect();
        return Ok(fs::write(&list, text)?);
    }
    compare(&list, &report.needed)
}

fn compare(list: &Path, needed: &BTreeSet<String>) -> Result<()> {
    let shown = list.display();
    let text = fs::read_to_string(list).with_context(|| format!("lacking: {shown}"))?;
    let listed: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let added = needed.difference(&listed).map(|name| format!("\n  needed, not listed: {name}"));
    let gone = listed.difference(needed).map(|name| format!("\n  listed, not needed: {name}"));
    let differences: String = added.chain(gone).collect();
    if !differences.is_empty() {
        bail!("{shown} (`cargo xtask cross --write`):{differences}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_triples_are_unique_and_tested_targets_exist() {
        let names: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
        let triples: BTreeSet<&str> = TARGETS.iter().map(|target| target.triple).collect();
        assert_eq!((names.len(), triples.len()), (TARGETS.len(), TARGETS.len()));
        for name in TESTED.into_iter().chain([CORE_TARGET]) {
            assert!(find(name).is_ok(), "{name}");
        }
        assert!(find("pdp11").is_err());
    }

    #[test]
    fn a_list_must_be_exactly_what_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("t.txt");
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        fs::write(&list, "abort\nmemcpy\n").unwrap();
        assert!(compare(&list, &set(&["abort", "memcpy"])).is_ok());
        let more = compare(&list, &set(&["abort", "memcpy", "open"])).unwrap_err().to_string();
        assert!(more.contains("needed, not listed: open"), "{more}");
        let less = compare(&list, &set(&["memcpy"])).unwrap_err().to_string();
        assert!(less.contains("listed, not needed: abort"), "{less}");
        assert!(compare(&folder.path().join("none.txt"), &set(&[])).is_err());
    }
}
