//! `cargo xtask symbols`: what the release static library needs from its surroundings, and the
//! proof that it has neither a heap nor a panic in it; that the shared library says which C library
//! it was linked with.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{bail, ensure, Result};

use crate::steps::Tally;
use crate::{process, staticlib, workspace};

const HEAP: [&str; 9] = [
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "aligned_alloc",
    "posix_memalign",
    "memalign",
    "free",
    "strdup",
];
const HOW_TO_GET: &str = "apt-get install binutils";

pub(crate) fn run() -> Result<()> {
    let bar = crate::steps::spinner("building the release library");
    let report = inspect()?;
    bar.finish_and_clear();
    println!("needed from outside ({}):", report.needed.len());
    for name in &report.needed {
        println!("  {name}");
    }
    report.verdict()?;
    println!("no heap, no panic: {} exported functions", report.exported);
    println!("the shared library names the C library, with the version of each function");
    Ok(())
}

/// The same as a step of `cargo xtask test`.
pub(crate) fn check() -> Result<Tally> {
    inspect()?.verdict()?;
    Ok(Tally { passed: 3, failed: 0 })
}

struct Report {
    /// What a program that uses every exported function must bring.
    needed: BTreeSet<String>,
    forbidden: BTreeSet<String>,
    exported: usize,
    /// What the shared library names without saying which version it means; everything that it
    /// needs, if it names no C library at all.
    unbound: BTreeSet<String>,
}

impl Report {
    fn verdict(&self) -> Result<()> {
        let list = |names: &BTreeSet<String>| {
            names.iter().map(String::as_str).collect::<Vec<_>>().join("\n  ")
        };
        if !self.forbidden.is_empty() {
            bail!("the static library must not contain or need:\n  {}", list(&self.forbidden));
        }
        if !self.unbound.is_empty() {
            bail!("the shared library is not bound to a C library:\n  {}", list(&self.unbound));
        }
        Ok(())
    }
}

fn inspect() -> Result<Report> {
    process::require("nm", HOW_TO_GET)?;
    process::require("ld", HOW_TO_GET)?;
    let archive = staticlib::release()?;
    let all = parse(&nm(&archive)?);
    let exported: BTreeSet<String> =
        all.iter().filter(|s| s.is_exported()).map(|s| s.name.clone()).collect();
    ensure!(!exported.is_empty(), "the static library exports no Qnn or htp_rt_ function");

    // The archive also holds the compiler's support library, of which a linker takes a few
    // members. So our members are judged as they are, and the rest by what a link leaves of it.
    let reachable = parse(&nm(&link(&archive, &exported)?)?);
    let needed = undefined_names(&reachable);
    let ours = all.iter().filter(|symbol| symbol.ours);
    let forbidden = ours
        .chain(&reachable)
        .map(|symbol| &symbol.name)
        .chain(&needed)
        .filter(|name| is_panic(name) || is_heap(name))
        .cloned()
        .collect();
    let unbound = unbound(&archive.with_extension("so"))?;
    Ok(Report { needed, forbidden, exported: exported.len(), unbound })
}

fn unbound(library: &Path) -> Result<BTreeSet<String>> {
    process::require("readelf", HOW_TO_GET)?;
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

fn nm(file: &Path) -> Result<String> {
    let mut command = Command::new("nm");
    // Members carry bitcode beside their code. Without a plugin `nm` reads the code, which counts.
    command.args(["--plugin", "/dev/null", "--format=posix", "-A"]).arg(file);
    process::succeed(&mut command, process::BUILD_LIMIT)
}

/// Links what the exported functions reach into one object, and nothing else.
fn link(archive: &Path, exported: &BTreeSet<String>) -> Result<std::path::PathBuf> {
    let object = workspace::target_dir().join("xtask/reachable.o");
    std::fs::create_dir_all(object.parent().unwrap_or(Path::new(".")))?;
    let mut command = Command::new("ld");
    command.args(["-r", "--gc-sections"]);
    for name in exported {
        command.args(["-u", name]);
    }
    command.arg(archive).arg("-o").arg(&object);
    process::succeed(&mut command, process::BUILD_LIMIT)?;
    Ok(object)
}

struct Symbol {
    name: String,
    /// Letter of `nm`.
    kind: char,
    /// It stands in an object made from this project.
    ours: bool,
}

impl Symbol {
    fn is_exported(&self) -> bool {
        self.kind == 'T' && (self.name.starts_with("Qnn") || self.name.starts_with("htp_rt_"))
    }
}

/// Lines such as `lib.a[member.o]: name T 0 10`.
fn parse(output: &str) -> Vec<Symbol> {
    let symbol = |line: &str| {
        let (place, rest) = line.split_once(": ")?;
        let mut words = rest.split_whitespace();
        let name = words.next()?.to_owned();
        let kind = words.next()?.chars().next()?;
        Some(Symbol { name, kind, ours: is_ours(place) })
    };
    output.lines().filter_map(symbol).collect()
}

/// From `lib.a[member.o]`: everything compiled with the library, in one member by link-time
/// optimization, is named after it.
fn is_ours(place: &str) -> bool {
    place.contains("[htp_runtime")
}

/// Names no member defines.
fn undefined_names(symbols: &[Symbol]) -> BTreeSet<String> {
    let defined: BTreeSet<&str> =
        symbols.iter().filter(|s| !needs(s.kind)).map(|s| s.name.as_str()).collect();
    let needed = symbols.iter().filter(|s| needs(s.kind) && !defined.contains(s.name.as_str()));
    needed.map(|s| s.name.clone()).collect()
}

fn needs(kind: char) -> bool {
    matches!(kind, 'U' | 'w' | 'v')
}

fn is_heap(name: &str) -> bool {
    HEAP.contains(&name) || name.contains("__rust_alloc") || name.contains("__rust_realloc")
}

fn is_panic(name: &str) -> bool {
    ["4core9panicking", "9panicking", "9panic_fmt", "panic_bounds_check"]
        .iter()
        .any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: &str = "lib.a[htp_runtime-1.o]: QnnInterface_getProviders T 0 10\n\
                         lib.a[htp_runtime-1.o]: memcpy U\n\
                         lib.a[htp_runtime-1.o]: own U\n\
                         lib.a[htp_runtime-2.o]: own t 0 4\n";

    #[test]
    fn symbols_keep_their_kind_and_their_member() {
        let symbols = parse(CLEAN);
        assert_eq!(symbols.len(), 4);
        assert!(symbols[0].is_exported() && symbols[0].ours);
        let builtins = parse("lib.a[compiler_builtins-3.o]: __udivti3 T 0 1\n");
        assert!(!builtins[0].ours);
    }

    #[test]
    fn what_another_member_defines_is_not_needed() {
        assert_eq!(undefined_names(&parse(CLEAN)), BTreeSet::from(["memcpy".to_owned()]));
    }

    #[test]
    fn a_name_without_a_version_or_a_library_is_unbound() {
        let names = "close@GLIBC_2.2.5 U\nopen U\n__gmon_start__ w\n";
        let needed = " 0x1 (NEEDED)  Shared library: [libc.so.6]\n";
        assert_eq!(unbound_names(needed, names), BTreeSet::from(["open".to_owned()]));
        assert_eq!(unbound_names("", names).len(), 2);
    }

    #[test]
    fn both_manglings_of_a_panic_are_known() {
        assert!(is_panic("_ZN4core9panicking9panic_fmt17h0123456789abcdefE"));
        assert!(is_panic("_RNvNtCs1_4core9panicking18panic_bounds_check"));
        assert!(!is_panic("QnnGraph_execute"));
    }

    #[test]
    fn heap_functions_are_whole_names() {
        assert!(is_heap("free") && is_heap("malloc") && is_heap("__rust_alloc_zeroed"));
        assert!(!is_heap("QnnContext_free") && !is_heap("htp_rt_pool_free"));
    }
}
