//! `cargo xtask symbols`: what the release static library needs from its surroundings, and the
//! proof that it has neither a heap nor a panic in it.

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
    println!("needed from outside ({}):", report.undefined.len());
    for name in &report.undefined {
        println!("  {name}");
    }
    if report.linked {
        println!(
            "compiler_builtins brings panicking code along; judged is what is left of the \
             archive when linked from its {} exported functions",
            report.exported
        );
    }
    report.verdict()?;
    println!("no heap, no panic: {} exported functions", report.exported);
    Ok(())
}

/// The same as a step of `cargo xtask test`.
pub(crate) fn check() -> Result<Tally> {
    inspect()?.verdict()?;
    Ok(Tally {
        passed: 2,
        failed: 0,
    })
}

struct Report {
    undefined: BTreeSet<String>,
    forbidden: BTreeSet<String>,
    exported: usize,
    /// Panicking code stood only in members that are not ours, so a link had to decide.
    linked: bool,
}

impl Report {
    fn verdict(&self) -> Result<()> {
        if self.forbidden.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.forbidden.iter().map(String::as_str).collect();
        bail!(
            "the static library must not contain or need:\n  {}",
            names.join("\n  ")
        );
    }
}

fn inspect() -> Result<Report> {
    process::require("nm", HOW_TO_GET)?;
    process::require("ld", HOW_TO_GET)?;
    let archive = staticlib::release()?;
    let mut symbols = parse(&nm(&archive)?);
    let exported: BTreeSet<String> = symbols
        .iter()
        .filter(|s| s.is_exported())
        .map(|s| s.name.clone())
        .collect();
    ensure!(
        !exported.is_empty(),
        "the static library exports no Qnn or htp_rt_ function"
    );

    // The compiler's own support library has members that panic; the linker drops them.
    let linked = symbols.iter().any(|s| !s.ours && is_panic(&s.name))
        && !symbols.iter().any(|s| s.ours && is_panic(&s.name));
    if linked {
        symbols = parse(&nm(&link(&archive, &exported)?)?);
    }
    let undefined = undefined_names(&symbols);
    let panics = symbols
        .iter()
        .map(|s| &s.name)
        .filter(|name| is_panic(name));
    let heap = undefined.iter().filter(|name| is_heap(name));
    let forbidden = panics.chain(heap).cloned().collect();
    Ok(Report {
        undefined,
        forbidden,
        exported: exported.len(),
        linked,
    })
}

fn nm(file: &Path) -> Result<String> {
    let mut command = Command::new("nm");
    process::succeed(
        command.args(["--format=posix", "-A"]).arg(file),
        process::BUILD_LIMIT,
    )
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
        Some(Symbol {
            name,
            kind,
            ours: !place.contains("[compiler_builtins"),
        })
    };
    output.lines().filter_map(symbol).collect()
}

/// Names no member defines.
fn undefined_names(symbols: &[Symbol]) -> BTreeSet<String> {
    let defined: BTreeSet<&str> = symbols
        .iter()
        .filter(|s| !needs(s.kind))
        .map(|s| s.name.as_str())
        .collect();
    let needed = symbols
        .iter()
        .filter(|s| needs(s.kind) && !defined.contains(s.name.as_str()));
    needed.map(|s| s.name.clone()).collect()
}

fn needs(kind: char) -> bool {
    matches!(kind, 'U' | 'w' | 'v')
}

fn is_heap(name: &str) -> bool {
    HEAP.contains(&name) || name.contains("__rust_alloc") || name.contains("__rust_realloc")
}

fn is_panic(name: &str) -> bool {
    [
        "4core9panicking",
        "9panicking",
        "9panic_fmt",
        "panic_bounds_check",
    ]
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
        assert_eq!(
            undefined_names(&parse(CLEAN)),
            BTreeSet::from(["memcpy".to_owned()])
        );
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
