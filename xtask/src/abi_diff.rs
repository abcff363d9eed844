//! `cargo xtask abi-diff`: the C interface against that of the last release, by libabigail. Until
//! there is a release, there is nothing to compare with.
//!
//! A dump describes a little library of C that has, for each exported function, a constant of a
//! pointer to it, and one for each structure of the headers. So it has all types as a client's
//! compiler sees them, whatever the library itself is written in. Dumps of releases are
//! `packaging/abi/VERSION.abi`; `--write` makes the one of this version. Each version that
//! CHANGELOG.md names has to have one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};

use crate::steps::{Outcome, Tally};
use crate::{install, process, product, programs, workspace};

const RELEASES: &str = "packaging/abi";
const CHANGES: &str = "CHANGELOG.md";
const HOW_TO_GET: &str = "apt-get install abigail-tools";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write the dump of this version, which a release commits
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let exported = product::build(product::HOST)?.report.exported;
    let dump = describe(&workspace::root().join("include"), &exported, "present")?;
    if options.write {
        let releases = workspace::root().join(RELEASES);
        fs::create_dir_all(&releases)?;
        let to = releases.join(format!("{}.abi", install::VERSION));
        install::replace(&dump, &to)?;
        println!("written: {}", to.display());
        return Ok(());
    }
    let Some(last) = last_release(&workspace::root())? else {
        println!("{NO_RELEASE}");
        return Ok(());
    };
    let (is_same, report) = compare(&last, &dump)?;
    print!("{report}");
    ensure!(is_same, "the interface is not that of {}", last.display());
    println!("the interface is that of {}", last.display());
    Ok(())
}

/// What there is to read where nothing was compared with.
const NO_RELEASE: &str = "no release yet: the C interface was compared with no earlier one";

/// Compares with the last release if there is one, and shows that changes are seen.
pub(crate) fn check() -> Outcome {
    let mut last = None;
    let mut all = || -> Result<Tally> {
        last = last_release(&workspace::root())?;
        let exported = product::build(product::HOST)?.report.exported;
        let include = workspace::root().join("include");
        let dump = describe(&include, &exported, "present")?;
        let mut tally = Tally::default();
        if let Some(last) = &last {
            let (is_same, report) = compare(last, &dump)?;
            ensure!(is_same, "the interface is not that of {}:\n{report}", last.display());
            tally.add(Tally::ONE);
        }
        let again = describe(&include, &exported, "again")?;
        let (is_same, report) = compare(&dump, &again)?;
        ensure!(is_same, "the same interface is not the same:\n{report}");
        tally.add(Tally::ONE);
        for (what, changed) in planted(&include, &exported)? {
            let (is_same, _) = compare(&dump, &changed)?;
            ensure!(!is_same, "nobody sees {what}");
            tally.add(Tally::ONE);
        }
        Ok(tally)
    };
    let mut outcome = Outcome::from(all());
    if outcome.failure.is_none() && last.is_none() {
        outcome.report = Some(NO_RELEASE.to_owned());
    }
    outcome
}

/// Interfaces that differ from the present one, and in what.
fn planted(include: &Path, exported: &BTreeSet<String>) -> Result<Vec<(&'static str, PathBuf)>> {
    let mut fewer = exported.clone();
    let first = fewer.pop_first();
    ensure!(first.is_some() && !fewer.is_empty(), "nothing is exported");
    let mut dumps = vec![("a function that is gone", describe(include, &fewer, "fewer")?)];
    let changes = [
        (
            "another member of a structure",
            "htp_runtime.h",
            "} htp_rt_completion_t;",
            "  uint64_t planted;\n} htp_rt_completion_t;",
        ),
        (
            "another parameter of a function",
            "htp_runtime.h",
            "uint32_t htp_rt_version(void)",
            "uint32_t htp_rt_version(uint32_t planted)",
        ),
    ];
    for (index, (what, header, from, to)) in changes.into_iter().enumerate() {
        let folder = folder().join(format!("planted-{index}"));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        install::copy_folder(include, &folder)?;
        let path = folder.join(header);
        let text = fs::read_to_string(&path)?;
        ensure!(text.contains(from), "{header} has no `{from}`");
        fs::write(&path, text.replacen(from, to, 1))?;
        dumps.push((what, describe(&folder, exported, &format!("planted-{index}"))?));
    }
    Ok(dumps)
}

fn folder() -> PathBuf {
    workspace::target_dir().join("xtask/abi")
}

/// Writes the description of the headers in `include`, with these functions; gives its path.
fn describe(include: &Path, functions: &BTreeSet<String>, name: &str) -> Result<PathBuf> {
    let abidw = process::require("abidw", HOW_TO_GET)?;
    let folder = folder();
    fs::create_dir_all(&folder)?;
    let source = folder.join(format!("{name}.c"));
    let mut headers = Vec::new();
    for file in workspace::text_files(include)?.iter().filter(|file| file.extension() == "h") {
        headers.push((file.path.clone(), structures(&file.text)));
    }
    fs::write(&source, shim(&headers, functions))?;
    let library = folder.join(format!("lib{name}.so"));
    let mut compile = Command::new(programs::Language::C.compiler()?);
    compile.args(["-std=gnu11", "-g", "-shared", "-fPIC", "-Wl,-z,lazy", "-I"]).arg(include);
    compile.arg("-I").arg(include.join("qnn")).arg(&source).arg("-o").arg(&library);
    process::succeed(&mut compile, process::BUILD_LIMIT)?;
    let dump = folder.join(format!("{name}.abi"));
    let mut describe = Command::new(abidw);
    describe.args(["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--out-file"]);
    process::succeed(describe.arg(&dump).arg(&library), process::BUILD_LIMIT)?;
    Ok(dump)
}

/// Names of structures, unions and enumerations that a header defines.
fn structures(text: &str) -> Vec<String> {
    let closing = text.lines().filter_map(|line| line.strip_prefix("} ")?.strip_suffix(';'));
    let names = closing.filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    names.map(str::to_owned).collect()
}

fn shim(headers: &[(String, Vec<String>)], functions: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for (header, _) in headers {
        text.push_str(&format!("#include \"{header}\"\n"));
    }
    for name in headers.iter().flat_map(|(_, structures)| structures) {
        text.push_str(&format!("{name}* const type_{name};\n"));
    }
    for name in functions {
        text.push_str(&format!("__typeof__({name})* const function_{name};\n"));
    }
    text
}

/// Whether two dumps say the same, and what is different.
fn compare(before: &Path, after: &Path) -> Result<(bool, String)> {
    let abidiff = process::require("abidiff", HOW_TO_GET)?;
    let mut command = Command::new(abidiff);
    let finished = process::capture(command.arg(before).arg(after), process::BUILD_LIMIT)?;
    // It ends with 0 only if nothing differs; a dump that it cannot read is no difference.
    if finished.output.contains("failed to read") {
        bail!("{}", finished.output);
    }
    Ok((finished.success, finished.output))
}

/// The dump of the newest version; none before the first release. Fails if a version in the list of
/// changes has left none.
fn last_release(root: &Path) -> Result<Option<PathBuf>> {
    let changes = fs::read_to_string(root.join(CHANGES)).context(CHANGES)?;
    let dumps = dumps(&root.join(RELEASES))?;
    for version in released(&changes)? {
        let [major, minor, patch] = version;
        ensure!(
            dumps.contains_key(&version),
            "{CHANGES} has version {major}.{minor}.{patch}, of which {RELEASES}/ has no dump: \
             `cargo xtask abi-diff --write` at that version makes it"
        );
    }
    Ok(dumps.into_iter().next_back().map(|(_, path)| path))
}

/// Versions that have a section of their own in the list of changes, as in `## [1.2.3] - date`.
fn released(changes: &str) -> Result<Vec<[u32; 3]>> {
    let titles = changes.lines().filter_map(|line| line.strip_prefix("## "));
    let words = titles.map(|title| title.split_whitespace().next().unwrap_or_default());
    let names = words.map(|word| word.trim_matches(['[', ']']).trim_start_matches('v'));
    let released = names.filter(|name| *name != "Unreleased");
    released
        .map(|name| version(name).with_context(|| format!("{CHANGES}: `{name}` is no version")))
        .collect()
}

/// Dumps in a folder, if it is there, by their versions.
fn dumps(folder: &Path) -> Result<BTreeMap<[u32; 3], PathBuf>> {
    let mut releases = BTreeMap::new();
    if !folder.is_dir() {
        return Ok(releases);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))? {
        let path = entry?.path();
        let version = path.file_stem().and_then(|stem| version(stem.to_str()?));
        if path.extension().is_some_and(|extension| extension == "abi") {
            let version = version.with_context(|| format!("{} is no version", path.display()))?;
            releases.insert(version, path);
        }
    }
    Ok(releases)
}

fn version(text: &str) -> Option<[u32; 3]> {
    let parts: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    parts?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_the_last_release() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(CHANGES), "## [Unreleased]\n").unwrap();
        assert!(last_release(root.path()).unwrap().is_none());
        let folder = root.path().join(RELEASES);
        fs::create_dir_all(&folder).unwrap();
        assert!(last_release(root.path()).unwrap().is_none());
        for name in ["0.9.0.abi", "0.10.0.abi", "0.2.11.abi"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let last = last_release(root.path()).unwrap().unwrap();
        assert!(last.ends_with("0.10.0.abi"), "{last:?}");
        fs::write(folder.join("new.abi"), "").unwrap();
        assert!(last_release(root.path()).is_err());
    }

    #[test]
    fn a_release_without_a_dump_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let changes =
            "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-24\n### Added\n## v0.1.0\n";
        assert_eq!(released(changes).unwrap(), [[0, 2, 0], [0, 1, 0]]);
        let error = released("## [Unreleased]\n## [1.0.0-rc.1]\n").unwrap_err().to_string();
        assert!(error.contains("`1.0.0-rc.1` is no version"), "{error}");
        assert!(last_release(root.path()).is_err(), "nothing says what was released");
        fs::write(root.path().join(CHANGES), changes).unwrap();
        let folder = root.path().join(RELEASES);
        let error = last_release(root.path()).unwrap_err().to_string();
        assert!(
            error.contains("has version 0.2.0, of which packaging/abi/ has no dump"),
            "{error}"
        );
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("0.2.0.abi"), "").unwrap();
        let error = last_release(root.path()).unwrap_err().to_string();
        assert!(error.contains("has version 0.1.0"), "{error}");
        fs::write(folder.join("0.1.0.abi"), "").unwrap();
        assert!(last_release(root.path()).unwrap().unwrap().ends_with("0.2.0.abi"));
    }

    #[test]
    fn a_shim_has_functions_and_structures() {
        let text = "typedef struct {\n  int a;\n} a_t;\nenum { B };\n} b[3];\n";
        let headers = [("a.h".to_owned(), structures(text))];
        let shim = shim(&headers, &BTreeSet::from(["f".to_owned()]));
        assert_eq!(
            shim,
            "#include \"a.h\"\na_t* const type_a_t;\n__typeof__(f)* const function_f;\n"
        );
    }
}
