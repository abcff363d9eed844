//! `cargo xtask symbols`: what the release static library needs from its surroundings, and the
//! proof that it has neither a heap nor a panic in it; that the shared library says which C library
//! it was linked with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Result};

use crate::audit::{self, Report};
use crate::steps::Tally;
use crate::{process, staticlib, workspace};

const HOW_TO_GET: &str = "apt-get install binutils";

pub(crate) fn run() -> Result<()> {
    let bar = crate::steps::spinner("building the release library");
    let archive = staticlib::release()?;
    let (report, _) = inspect(&archive)?;
    bar.finish_and_clear();
    println!("needed from outside ({}):", report.needed.len());
    for name in &report.needed {
        println!("  {name}");
    }
    report.verdict()?;
    println!("no heap, no panic: {} exported functions", report.exported.len());
    bound(&archive)?;
    println!("the shared library names the C library, with the version of each function");
    Ok(())
}

/// The same as a step of `cargo xtask test`.
pub(crate) fn check() -> Result<Tally> {
    let archive = staticlib::release()?;
    inspect(&archive)?.0.verdict()?;
    bound(&archive)?;
    Ok(Tally { passed: 3, failed: 0 })
}

/// What the library of this machine needs, and one object, at the second path, of what its exports
/// reach.
pub(crate) fn inspect(archive: &Path) -> Result<(Report, PathBuf)> {
    process::require("ld", HOW_TO_GET)?;
    let reachable = workspace::target_dir().join("xtask/reachable.o");
    Ok((audit::inspect(archive, Command::new("ld"), reachable.clone())?, reachable))
}

/// Fails if the shared library beside the static one names functions without saying which version
/// it means.
fn bound(archive: &Path) -> Result<()> {
    let names = unbound(&archive.with_extension("so"))?;
    let list = names.iter().map(String::as_str).collect::<Vec<_>>().join("\n  ");
    ensure!(names.is_empty(), "the shared library is not bound to a C library:\n  {list}");
    Ok(())
}

/// Everything that it needs, if it names no C library at all.
fn unbound(library: &Path) -> Result<BTreeSet<String>> {
    process::require("readelf", HOW_TO_GET)?;
    process::require("nm", HOW_TO_GET)?;
    let mut dynamic = Command::new("readelf");
    dynamic.args(["--dynamic", "--wide"]).arg(library);
    let dynamic = process::succeed(&mut dynamic, process::BUILD_LIMIT)?;
    let mut names = Command::new("nm");
    names.args(["--dynamic", "--undefined-only", "--format=posix"]).arg(library);
    let names = process::succeed(&mut names, process::BUILD_LIMIT)?;
    Ok(unbound_names(&dynamic, &names))
}

/// From the dynamic section and the lines `name@VERSION U`. What is only weak may be missing.
fn unbound_names(dynamic: &str, names: &str) -> BTreeSet<String> {
    let names_libc =
        dynamic.lines().any(|line| line.contains("(NEEDED)") && line.contains("[libc.so"));
    let strong = names.lines().filter_map(|line| line.trim_end().strip_suffix(" U"));
    strong.filter(|name| !names_libc || !name.contains('@')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_version_or_a_library_is_unbound() {
        let names = "close@GLIBC_2.2.5 U\nopen U\n__gmon_start__ w\n";
        let needed = " 0x1 (NEEDED)  Shared library: [libc.so.6]\n";
        assert_eq!(unbound_names(needed, names), BTreeSet::from(["open".to_owned()]));
        assert_eq!(unbound_names("", names).len(), 2);
    }
}
