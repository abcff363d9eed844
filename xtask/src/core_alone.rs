//! The core without the virtual HTP and without a platform, as firmware in Rust that brings its own
//! device takes it: compiled for size, and one object of what its public functions reach.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use htp_runtime::limits::Capacities;
use htp_runtime::runtime::Runtime;
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, ObjectSymbol};

use crate::cross::{self, Target};
use crate::{process, staticlib, workspace};

/// As developers call it in tables.
pub(crate) const NAME: &str = "core-thumbv7em";

/// One object, its entries by their names in it, and the library that both are from.
pub(crate) struct Linked {
    library: PathBuf,
    pub(crate) object: PathBuf,
    pub(crate) entries: BTreeSet<String>,
}

/// Builds the core for a target and links what its public functions reach.
pub(crate) fn reachable(target: &Target) -> Result<Linked> {
    cross::require_toolchain()?;
    let target_dir = workspace::target_dir().join("core");
    let mut build = cross::cargo("rustc", target);
    build.args(["--package", "htp-runtime", "--lib", "--no-default-features", "--target-dir"]);
    build.arg(&target_dir);
    // Every function stays by itself, so that what nobody calls can be dropped.
    build.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "z").env("CARGO_PROFILE_RELEASE_LTO", "off");
    process::succeed(&mut build, process::BUILD_LIMIT)?;

    let folder = target_dir.join(target.triple).join("release");
    let library = staticlib::existing(folder.join("libhtp_runtime.rlib"))?;
    let entries = public_functions(&library)?;
    ensure!(!entries.is_empty(), "{} has no public function", library.display());
    let object = folder.join("reachable.o");
    let mut link = cross::linker();
    link.args(["-r", "--gc-sections"]);
    for name in &entries {
        link.args(["-u", name]);
    }
    link.arg("--start-group").arg(&library);
    link.args(libraries(&folder.join("deps"))?).arg("--end-group").arg("-o").arg(&object);
    process::succeed(&mut link, process::BUILD_LIMIT)?;
    Ok(Linked { library, object, entries })
}

impl Linked {
    /// Bytes of each table with the default capacities, as the target has them, then the sum with
    /// what blocks cost.
    pub(crate) fn default_bytes(&self) -> Result<Vec<(&'static str, u64)>> {
        let bytes = fs::read(&self.library)?;
        let tables = Runtime::table_bytes(&Capacities::DEFAULT);
        let names: Vec<&str> = tables.map(|(name, _)| name).into_iter().chain([ALL]).collect();
        for object in objects(&bytes)? {
            let file = object::File::parse(&*object)?;
            if let Some(words) = words_of(&file, "htp_runtime::runtime::DEFAULT_BYTES")? {
                ensure!(words.len() == names.len(), "{} words", words.len());
                return Ok(names.into_iter().zip(words).collect());
            }
        }
        bail!("{} does not say how large its tables are", self.library.display())
    }
}

/// The sum of all tables.
pub(crate) const ALL: &str = "all";

/// Words of 32 bits of a static variable.
fn words_of(file: &object::File<'_>, name: &str) -> Result<Option<Vec<u64>>> {
    ensure!(!file.is_64() && file.is_little_endian(), "not of 32 bits, little-endian");
    let is_it = |symbol: &object::Symbol<'_, '_>| {
        symbol.is_definition()
            && symbol.name().is_ok_and(|it| format!("{:#}", rustc_demangle::demangle(it)) == name)
    };
    let Some(symbol) = file.symbols().find(is_it) else { return Ok(None) };
    let section = symbol.section_index().context("a variable of no section")?;
    let data = file.section_by_index(section)?.data_range(symbol.address(), symbol.size())?;
    let words = data.context("a variable of nothing")?.chunks_exact(4);
    let word = |bytes: &[u8]| Ok(u32::from_le_bytes(bytes.try_into()?).into());
    words.map(word).collect::<Result<_>>().map(Some)
}

/// The objects in a library.
fn objects(library: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut objects = Vec::new();
    for member in ArchiveFile::parse(library)?.members() {
        let member = member?;
        if member.name().ends_with(b".o") {
            objects.push(member.data(library)?.to_vec());
        }
    }
    Ok(objects)
}

/// What the core is built upon. Names carry hashes, so one of an earlier build harms nobody.
fn libraries(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    let paths: BTreeSet<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    let is_other = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".rlib") && !name.starts_with("libhtp_runtime")
    };
    Ok(paths.into_iter().filter(is_other).collect())
}

/// Functions of the crate that others see. Those of its dependencies that were compiled with it are
/// no entries.
fn public_functions(library: &Path) -> Result<BTreeSet<String>> {
    let bytes = fs::read(library).with_context(|| format!("cannot read {}", library.display()))?;
    let mut names = BTreeSet::new();
    for object in objects(&bytes)? {
        let object = object::File::parse(&*object)?;
        let functions = object.symbols().filter(|symbol| {
            symbol.is_global()
                && symbol.is_definition()
                && symbol.kind() == object::SymbolKind::Text
        });
        let of_the_crate = functions.filter_map(|symbol| symbol.name().ok()).filter(|name| {
            // Without the hash of the crate.
            let shown = format!("{:#}", rustc_demangle::demangle(name));
            shown.trim_start_matches('<').starts_with("htp_runtime::")
        });
        names.extend(of_the_crate.map(str::to_owned));
    }
    Ok(names)
}
