//! `cargo xtask install FOLDER`: the libraries and headers as a client takes them, with what CMake
//! and pkg-config find them by.
//!
//! `lib` also has the names by which QNN's clients look for a backend: `libQnnHtp.so`, and beside
//! it `libQnnSystem.so`. Both are links to the one shared library.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};
use object::Architecture;

use crate::audit::Machine;
use crate::steps::{Outcome, Tally};
use crate::{process, programs, staticlib, workspace};

const SHARED: &str = "libhtp_runtime.so";
const STATIC: &str = "libhtp_runtime.a";
/// What clients open instead of [`SHARED`].
const BACKEND: &str = "libQnnHtp.so";
const LINKS: [&str; 2] = [BACKEND, "libQnnSystem.so"];
const CLIENT: &str = "tests/install/client.c";
/// Files with the version and the like filled in, and the folder they go to.
const FILLED_IN: [(&str, &str); 3] = [
    ("packaging/cmake/htp_runtime-config.cmake", "lib/cmake/htp_runtime"),
    ("packaging/cmake/htp_runtime-config-version.cmake", "lib/cmake/htp_runtime"),
    ("packaging/pkgconfig/htp_runtime.pc", "lib/pkgconfig"),
];
/// Of the project; the members of the workspace have the same.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is installed, and for which machine.
pub(crate) struct Libraries<'a> {
    pub(crate) archive: &'a Path,
    pub(crate) shared: Option<&'a Path>,
    pub(crate) machine: Machine,
    /// The operating system, as CMake calls it. It brings threads.
    pub(crate) system: Option<&'static str>,
}

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Gets `lib` and `include`; what is there under the same names is replaced
    folder: PathBuf,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    into(&options.folder)?;
    println!("installed into {}", options.folder.display());
    Ok(())
}

/// Builds for release and writes into `folder`; returns the path of the backend in it.
pub(crate) fn into(folder: &Path) -> Result<PathBuf> {
    let archive = staticlib::release()?;
    let libraries = Libraries {
        shared: Some(&archive.with_file_name(SHARED)),
        archive: &archive,
        machine: staticlib::HOST_MACHINE,
        system: Some(staticlib::HOST_SYSTEM),
    };
    write(folder, &libraries)?;
    Ok(folder.join("lib").join(BACKEND))
}

/// Writes libraries, headers, and what CMake and pkg-config read.
pub(crate) fn write(folder: &Path, libraries: &Libraries<'_>) -> Result<()> {
    let lib = folder.join("lib");
    fs::create_dir_all(&lib).with_context(|| format!("cannot make {}", lib.display()))?;
    replace(libraries.archive, &lib.join(STATIC))?;
    if let Some(shared) = libraries.shared {
        replace(shared, &lib.join(SHARED))?;
        for name in LINKS {
            let link = lib.join(name);
            remove(&link)?;
            symlink(SHARED, &link).with_context(|| format!("cannot make {}", link.display()))?;
        }
    }
    let root = workspace::root();
    for (source, to) in FILLED_IN {
        let source = root.join(source);
        let text = fs::read_to_string(&source)
            .with_context(|| format!("cannot read {}", source.display()))?;
        let to = folder.join(to);
        fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
        let to = to.join(source.file_name().unwrap_or_default());
        fs::write(&to, fill_in(&text, libraries)?)
            .with_context(|| format!("cannot write {}", to.display()))?;
    }
    copy_folder(&root.join("include"), &folder.join("include"))
}

fn fill_in(text: &str, libraries: &Libraries<'_>) -> Result<String> {
    let Machine { architecture, is_64 } = libraries.machine;
    Ok(text
        .replace("@VERSION@", VERSION)
        .replace("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
        .replace("@MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
        .replace("@POINTER_BYTES@", if is_64 { "8" } else { "4" })
        .replace("@PROCESSORS@", processors(architecture)?)
        .replace("@SYSTEM@", libraries.system.unwrap_or("none"))
        .replace("@HAS_THREADS@", if libraries.system.is_some() { "TRUE" } else { "FALSE" })
        .replace("@THREADS@", if libraries.system.is_some() { "-pthread" } else { "" }))
}

/// What systems call a processor, as a regular expression of CMake's for the begin of the name in
/// lower case. The size of pointers is compared besides.
fn processors(architecture: Architecture) -> Result<&'static str> {
    Ok(match architecture {
        Architecture::X86_64 => "x86_64|x86-64|amd64|x64",
        Architecture::Aarch64 => "aarch64|arm64|armv[89]|cortex",
        Architecture::Arm => "arm|thumb|cortex",
        Architecture::Hexagon => "hexagon|qdsp6",
        other => bail!("nobody knows what CMake calls {other:?}"),
    })
}

pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        match path.is_dir() {
            true => copy_folder(&path, &to.join(name))?,
            false => replace(&path, &to.join(name))?,
        }
    }
    Ok(())
}

/// Copies to a new file: a process that has mapped the old one keeps it.
pub(crate) fn replace(from: &Path, to: &Path) -> Result<()> {
    remove(to)?;
    fs::copy(from, to).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot replace {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Installs twice, then builds a client against nothing but the folder, with each library.
pub(crate) fn check() -> Outcome {
    install_and_build().into()
}

fn install_and_build() -> Result<Tally> {
    let folder = workspace::target_dir().join("xtask/installed");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    into(&folder)?;
    into(&folder).context("a second time")?;
    let lib = folder.join("lib");
    let mut tally = Tally::default();
    let archive = vec![lib.join(STATIC).into_os_string()];
    let shared = vec!["-L".into(), lib.clone().into_os_string(), "-lhtp_runtime".into()];
    for (name, library) in [("static", archive), ("shared", shared)] {
        let program = folder.join(format!("client-{name}"));
        let mut compile = Command::new(programs::Language::C.compiler()?);
        compile.args(["-std=c99", "-Wall", "-Wextra", "-Werror"]);
        for headers in ["include", "include/qnn"] {
            compile.arg("-I").arg(folder.join(headers));
        }
        compile.arg(workspace::root().join(CLIENT)).args(library);
        compile.args(staticlib::LINK_FLAGS).arg("-o").arg(&program);
        process::succeed(&mut compile, process::BUILD_LIMIT)?;
        let mut run = Command::new(&program);
        run.arg(&lib).env("LD_LIBRARY_PATH", &lib);
        let finished = process::capture(&mut run, process::PROGRAM_LIMIT)?;
        tally.add(programs::tally(&finished)?);
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross;

    #[test]
    fn every_place_is_filled_in_for_every_target() {
        let machines = cross::TARGETS.iter().map(|target| (target.machine, target.system));
        let host = (staticlib::HOST_MACHINE, Some(staticlib::HOST_SYSTEM));
        for (machine, system) in machines.chain([host]) {
            for (source, _) in FILLED_IN {
                let text = fs::read_to_string(workspace::root().join(source)).unwrap();
                let libraries =
                    Libraries { archive: Path::new("a"), shared: None, machine, system };
                let filled = fill_in(&text, &libraries).unwrap();
                assert!(!filled.contains('@'), "{filled}");
                assert!(source.ends_with("config.cmake") || filled.contains(VERSION), "{filled}");
                let threads = if system.is_some() { "if(TRUE)" } else { "if(FALSE)" };
                assert_eq!(source.ends_with("-config.cmake"), filled.contains(threads), "{filled}");
                let system = format!("STREQUAL \"{}\"", system.unwrap_or("none"));
                assert_eq!(source.ends_with("version.cmake"), filled.contains(&system), "{filled}");
            }
        }
    }
}
