//! What an archive of this library contains, and what a program that uses all of it must bring.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};

use crate::process;

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

/// What was found.
pub(crate) struct Report {
    /// What a program that uses every exported function must bring.
    pub(crate) needed: BTreeSet<String>,
    /// What must neither be in the library nor be needed by it.
    forbidden: BTreeSet<String>,
    /// Functions it exports.
    pub(crate) exported: BTreeSet<String>,
    /// Processor and bits of its objects.
    pub(crate) machine: Machine,
}

/// What an object is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) architecture: object::Architecture,
    pub(crate) is_64: bool,
}

impl Report {
    /// Fails on a heap or a panic.
    pub(crate) fn verdict(&self) -> Result<()> {
        if self.forbidden.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.forbidden.iter().map(String::as_str).collect();
        bail!("the static library must not contain or need:\n  {}", names.join("\n  "));
    }
}

/// Reads an archive. `linker` makes one object, `scratch`, of what its exports reach.
pub(crate) fn inspect(archive: &Path, mut linker: Command, scratch: PathBuf) -> Result<Report> {
    let (machine, all) = members(archive)?;
    let exported: BTreeSet<String> =
        all.iter().filter(|s| s.is_exported()).map(|s| s.name.clone()).collect();
    ensure!(!exported.is_empty(), "the static library exports no Qnn or htp_rt_ function");

    // The archive also holds the compiler's support library, of which a linker takes a few
    // members. So our members are judged as they are, and the rest by what a link leaves of it.
    fs::create_dir_all(scratch.parent().unwrap_or(Path::new(".")))?;
    linker.args(["-r", "--gc-sections"]);
    for name in &exported {
        linker.args(["-u", name]);
    }
    linker.arg(archive).arg("-o").arg(&scratch);
    process::succeed(&mut linker, process::BUILD_LIMIT)?;
    let linked = fs::read(&scratch)?;
    let reachable = symbols(&object::File::parse(&*linked)?, false);

    let needed = undefined_names(&reachable);
    let ours = all.iter().filter(|symbol| symbol.ours);
    let forbidden = ours
        .chain(&reachable)
        .map(|symbol| &symbol.name)
        .chain(&needed)
        .filter(|name| is_panic(name) || is_heap(name))
        .cloned()
        .collect();
    Ok(Report { needed, forbidden, exported, machine })
}

/// The symbols of all members, and what they are made for, which is the same for all.
fn members(archive: &Path) -> Result<(Machine, Vec<Symbol>)> {
    let shown = archive.display();
    let bytes = fs::read(archive).with_context(|| format!("cannot read {shown}"))?;
    let file = ArchiveFile::parse(&*bytes).with_context(|| format!("{shown} is no archive"))?;
    let (mut machine, mut all) = (None, Vec::new());
    for member in file.members() {
        let member = member?;
        let name = String::from_utf8_lossy(member.name()).into_owned();
        // Members lie at even places, an object's tables at multiples of eight.
        let data = member.data(&*bytes)?.to_vec();
        let object =
            object::File::parse(&*data).with_context(|| format!("{shown}: {name} is no object"))?;
        let its = Machine { architecture: object.architecture(), is_64: object.is_64() };
        ensure!(
            *machine.get_or_insert(its) == its,
            "{shown}: {name} is for {its:?}, others for {machine:?}"
        );
        all.extend(symbols(&object, is_ours(&name)));
    }
    Ok((machine.with_context(|| format!("{shown} is empty"))?, all))
}

struct Symbol {
    name: String,
    undefined: bool,
    /// A function that other objects see.
    function: bool,
    /// It stands in an object made from this project.
    ours: bool,
}

impl Symbol {
    fn is_exported(&self) -> bool {
        self.function && (self.name.starts_with("Qnn") || self.name.starts_with("htp_rt_"))
    }
}

fn symbols(object: &object::File<'_>, ours: bool) -> Vec<Symbol> {
    let symbol = |symbol: object::Symbol<'_, '_>| {
        let name = symbol.name().ok().filter(|name| !name.is_empty())?.to_owned();
        let undefined = symbol.is_undefined();
        let function =
            !undefined && symbol.is_global() && symbol.kind() == object::SymbolKind::Text;
        Some(Symbol { name, undefined, function, ours })
    };
    object.symbols().filter_map(symbol).collect()
}

/// Everything compiled with the library, in one member by link-time optimization, is named after
/// it.
fn is_ours(member: &str) -> bool {
    member.starts_with("htp_runtime")
}

/// Names that are used and not defined.
fn undefined_names(symbols: &[Symbol]) -> BTreeSet<String> {
    let defined: BTreeSet<&str> =
        symbols.iter().filter(|s| !s.undefined).map(|s| s.name.as_str()).collect();
    let needed = symbols.iter().filter(|s| s.undefined && !defined.contains(s.name.as_str()));
    needed.map(|s| s.name.clone()).collect()
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

    fn symbol(name: &str, undefined: bool, function: bool) -> Symbol {
        Symbol { name: name.to_owned(), undefined, function, ours: true }
    }

    #[test]
    fn what_is_defined_somewhere_is_not_needed() {
        let symbols =
            [symbol("memcpy", true, false), symbol("own", true, false), symbol("own", false, true)];
        assert_eq!(undefined_names(&symbols), BTreeSet::from(["memcpy".to_owned()]));
    }

    #[test]
    fn exported_are_functions_of_the_interface() {
        assert!(symbol("QnnInterface_getProviders", false, true).is_exported());
        assert!(symbol("htp_rt_poll", false, true).is_exported());
        // What the integrator brings begins so too.
        assert!(!symbol("htp_rt_critical_enter", true, false).is_exported());
        assert!(!symbol("memcpy", false, true).is_exported());
    }

    #[test]
    fn the_compiler_s_members_are_not_ours() {
        assert!(is_ours("htp_runtime.htp_runtime.7d3f-cgu.0.rcgu.o"));
        assert!(!is_ours("compiler_builtins-3.o"));
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

    #[test]
    fn this_program_s_own_object_is_read() {
        let bytes = fs::read(std::env::current_exe().unwrap()).unwrap();
        let object = object::File::parse(&*bytes).unwrap();
        assert!(object.is_64() == cfg!(target_pointer_width = "64"));
        assert!(symbols(&object, false).iter().any(|symbol| symbol.name == "main"));
    }
}
