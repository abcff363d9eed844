//! The core without the virtual HTP and without a platform, as firmware in Rust that brings its own
//! device takes it: compiled for size, and one object of what its public functions reach.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};

use crate::cross::{self, Target};
use crate::{process, staticlib, workspace};

/// As developers call it in tables.
pub(crate) const NAME: &str = "core-thumbv7em";

/// One object, and its entries by their names in it.
pub(crate) struct Linked {
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
    Ok(Linked { object, entries })
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
    for member in ArchiveFile::parse(&*bytes)?.members() {
        let member = member?;
        if !member.name().ends_with(b".o") {
            continue;
        }
        let data = member.data(&*bytes)?.to_vec();
        let object = object::File::parse(&*data)?;
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
