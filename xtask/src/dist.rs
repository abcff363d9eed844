//! `cargo xtask dist`: a package for each target, `target/dist/htp-runtime-VERSION-TRIPLE.tar.gz`.
//!
//! It has what `cargo xtask install` writes, the licences, and what was measured: which symbols the
//! library needs and exports, and how much memory its code takes. Libraries come without debug
//! information. The same sources give the same bytes: files are sorted, have one time and no owner,
//! and no path of the machine is in them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use flate2::{Compression, GzBuilder};

use crate::install::{self, Libraries};
use crate::product::{self, Product};
use crate::steps::{Outcome, Steps, Tally};
use crate::{cross, process, programs, sizes, staticlib, workspace};

/// Of every file: the first of January 1980, as early as any tool takes.
const TIME: u64 = 315_532_800;
const DOCUMENTS: [&str; 3] = ["LICENSE-APACHE", "LICENSE-MIT", "CHANGELOG.md"];
const CLIENTS: &str = "tests/install";
/// The target without an operating system whose package a client is built from.
const BARE: &str = "thumbv7em";
/// Longest time that all targets take.
const AGAIN_LIMIT: Duration = Duration::from_secs(60 * 60);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Make the packages of these targets only; this machine is `host`
    #[arg(long, value_delimiter = ',')]
    target: Vec<String>,
    /// Build and pack them once more from a copy of the project in another folder; fail unless
    /// that gives the same bytes
    #[arg(long)]
    again: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let all: Vec<String> = product::names().map(str::to_owned).collect();
    for name in &options.target {
        ensure!(all.contains(name), "no target `{name}`; there are {}", all.join(", "));
    }
    let chosen = if options.target.is_empty() { &all } else { &options.target };
    cross::build_together(|name| chosen.iter().any(|it| it == name))?;
    let mut steps = Steps::new();
    let mut made = Vec::new();
    for name in chosen {
        steps.run(name, |_| {
            let package = product::build(name).and_then(|product| pack(&product));
            package.map(|path| made.push(path)).map(|()| Tally::ONE).into()
        });
    }
    if options.again {
        steps.run("from another folder", |_| same_from_another_folder(chosen, &made).into());
    }
    for path in &made {
        println!("{:>9}  {}", fs::metadata(path)?.len(), path.display());
    }
    ensure!(steps.finish(), "not every package was made");
    Ok(())
}

fn folder() -> PathBuf {
    workspace::target_dir().join("dist")
}

/// Name of a package without its extension, which is that of the folder in it.
fn name(product: &Product) -> String {
    format!("htp-runtime-{}-{}", install::VERSION, product.triple)
}

/// Writes the package of a library; gives its path.
fn pack(product: &Product) -> Result<PathBuf> {
    let name = name(product);
    let tree = folder().join(&name);
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    fs::create_dir_all(&tree)?;
    fill(product, &tree)?;
    no_path_of_this_machine(&tree)?;
    let package = folder().join(format!("{name}.tar.gz"));
    let bytes = archive(&tree, &name)?;
    fs::write(&package, bytes).with_context(|| format!("cannot write {}", package.display()))?;
    fs::remove_dir_all(&tree)?;
    Ok(package)
}

fn fill(product: &Product, tree: &Path) -> Result<()> {
    let scratch = folder().join("stripped");
    fs::create_dir_all(&scratch)?;
    let stripped = |library: &Path| -> Result<PathBuf> {
        let to = scratch.join(library.file_name().unwrap_or_default());
        strip(library, &to)?;
        Ok(to)
    };
    let archive = stripped(&product.archive)?;
    let shared = product.shared.as_deref().map(stripped).transpose()?;
    let libraries = Libraries {
        archive: &archive,
        shared: shared.as_deref(),
        machine: product.report.machine,
        system: product.system,
    };
    install::write(tree, &libraries)?;
    fs::remove_dir_all(scratch)?;

    let documents = tree.join("share/doc/htp-runtime");
    fs::create_dir_all(&documents)?;
    for file in DOCUMENTS {
        install::replace(&workspace::root().join(file), &documents.join(file))?;
    }
    let list = |names: &BTreeSet<String>| {
        names.iter().map(|name| format!("  {name}\n")).collect::<String>()
    };
    let report = &product.report;
    let symbols = format!(
        "needed from outside ({}):\n{}exported ({}):\n{}",
        report.needed.len(),
        list(&report.needed),
        report.exported.len(),
        list(&report.exported)
    );
    fs::write(documents.join("symbols.txt"), symbols)?;
    let sizes::Size { text, data, bss } = sizes::measure(&product.reachable)?;
    let sizes = format!(
        "bytes, if every exported function is used:\ntext {text}\ndata {data}\nbss {bss}\n"
    );
    Ok(fs::write(documents.join("sizes.txt"), sizes)?)
}

/// A copy without debug information and frames, by the tool that comes with the compiler and knows
/// objects of every machine.
fn strip(from: &Path, to: &Path) -> Result<()> {
    let mut rustc = Command::new("rustc");
    let sysroot = process::succeed(rustc.args(["--print", "sysroot"]), process::BUILD_LIMIT)?;
    let libraries = Path::new(sysroot.trim()).join("lib");
    let tool = libraries.join("rustlib").join(staticlib::HOST).join("bin/rust-objcopy");
    ensure!(tool.is_file(), "lacking: {} (it comes with rustup's toolchains)", tool.display());
    let mut strip = Command::new(tool);
    strip.args(["--strip-debug", "--remove-section=.stack_sizes"]).arg(from).arg(to);
    process::succeed(strip.env("LD_LIBRARY_PATH", libraries), process::BUILD_LIMIT).map(drop)
}

/// Every file and link below `tree`, sorted, with its path in it.
fn files(tree: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    let mut folders = vec![tree.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            match path.is_dir() && !path.is_symlink() {
                true => folders.push(path),
                false => found.push((path.strip_prefix(tree)?.to_path_buf(), path)),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The tree as a compressed archive, below `name`.
fn archive(tree: &Path, name: &str) -> Result<Vec<u8>> {
    let compressed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    let mut archive = tar::Builder::new(compressed);
    for (place, path) in files(tree)? {
        let place = Path::new(name).join(place);
        let mut header = tar::Header::new_gnu();
        header.set_mtime(TIME);
        if path.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            archive.append_link(&mut header, place, fs::read_link(&path)?)?;
        } else {
            let bytes = fs::read(&path)?;
            header.set_entry_type(tar::EntryType::Regular);
            let is_shared = path.extension().is_some_and(|extension| extension == "so");
            header.set_mode(if is_shared { 0o755 } else { 0o644 });
            header.set_size(u64::try_from(bytes.len())?);
            archive.append_data(&mut header, place, &*bytes)?;
        }
    }
    let mut compressed = archive.into_inner()?;
    compressed.flush()?;
    Ok(compressed.finish()?)
}

/// Fails on a file that says where the project or cargo lives.
fn no_path_of_this_machine(tree: &Path) -> Result<()> {
    let folders = [workspace::root(), workspace::cargo_home()];
    for (place, path) in files(tree)? {
        let bytes = fs::read(&path)?;
        for folder in folders.iter().map(|folder| folder.as_os_str().as_encoded_bytes()) {
            let found = bytes.windows(folder.len()).any(|window| window == folder);
            ensure!(!found, "{} names a folder of this machine", place.display());
        }
    }
    Ok(())
}

/// Packs this machine's library twice, and builds clients from nothing but the unpacked package;
/// one from that of a machine without an operating system.
pub(crate) fn check() -> Outcome {
    let all = || -> Result<Tally> {
        process::require("cmake", "apt-get install cmake make")?;
        process::require("make", "apt-get install make")?;
        process::require("pkg-config", "apt-get install pkg-config")?;
        let product = product::build(product::HOST)?;
        let package = pack(&product)?;
        let first = fs::read(&package)?;
        ensure!(first == fs::read(pack(&product)?)?, "packed twice, the bytes differ");
        let unpacked = workspace::target_dir().join("xtask/unpacked");
        if unpacked.exists() {
            fs::remove_dir_all(&unpacked)?;
        }
        let prefix = unpack(&package, &unpacked)?.join(name(&product));
        let mut tally = Tally::ONE;
        tally.add(with_cmake(&prefix, "cmake-c", &[prefix.join("lib")])?);
        tally.add(with_cmake(&prefix, "cmake-cpp", &[])?);
        tally.add(with_pkg_config(&prefix)?);
        let bare = product::build(BARE)?;
        let prefix = unpack(&pack(&bare)?, &unpacked)?.join(name(&bare));
        tally.add(firmware(&prefix)?);
        Ok(tally)
    };
    all().into()
}

/// Unpacks a package into a folder; gives the folder.
fn unpack<'a>(package: &Path, folder: &'a Path) -> Result<&'a Path> {
    let compressed = File::open(package).with_context(|| format!("no {}", package.display()))?;
    tar::Archive::new(flate2::read::GzDecoder::new(compressed)).unpack(folder)?;
    Ok(folder)
}

/// Packages for all targets; this machine's once more from another folder. Others would cost their
/// builds once more: `cargo xtask dist --again`.
pub(crate) fn check_all() -> Outcome {
    let all = || -> Result<Tally> {
        cross::build_together(|_| true)?;
        let mut again = Vec::new();
        let mut tally = Tally::default();
        for name in product::names() {
            let package = pack(&product::build(name)?)?;
            tally.add(Tally::ONE);
            if name == product::HOST {
                again.push(package);
            }
        }
        tally.add(same_from_another_folder(&[product::HOST.to_owned()], &again)?);
        Ok(tally)
    };
    all().into()
}

/// Packs these targets from a copy of the project in another folder; what comes out is what these
/// packages are.
fn same_from_another_folder(targets: &[String], packages: &[PathBuf]) -> Result<Tally> {
    let elsewhere = workspace::target_dir().join("xtask/another place");
    if elsewhere.exists() {
        fs::remove_dir_all(&elsewhere)?;
    }
    copy_project(&elsewhere)?;
    // This program, told that its project is there.
    let mut again = Command::new(std::env::current_exe()?);
    again.current_dir(&elsewhere).env_remove("CARGO_TARGET_DIR");
    again.env("CARGO_MANIFEST_DIR", elsewhere.join("xtask"));
    process::succeed(again.args(["dist", "--target", &targets.join(",")]), AGAIN_LIMIT)?;
    let mut tally = Tally::default();
    for package in packages {
        let other = elsewhere.join("target/dist").join(package.file_name().unwrap_or_default());
        let is_same = fs::read(package)? == fs::read(&other)?;
        ensure!(is_same, "{} is other than {}", other.display(), package.display());
        tally.add(Tally::ONE);
    }
    fs::remove_dir_all(&elsewhere)?;
    Ok(tally)
}

/// What version control has of the project.
fn copy_project(to: &Path) -> Result<()> {
    let root = workspace::root();
    for entry in workspace::tracked(&root) {
        let entry = entry?;
        let place = to.join(entry.path().strip_prefix(&root)?);
        match entry.file_type().is_some_and(|kind| kind.is_dir()) {
            true => fs::create_dir_all(place)?,
            false => install::replace(entry.path(), &place)?,
        }
    }
    Ok(())
}

/// A project that finds the package; its two programs are run.
fn with_cmake(prefix: &Path, project: &str, arguments: &[PathBuf]) -> Result<Tally> {
    let build = prefix.join("..").join(project);
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(workspace::root().join(CLIENTS).join(project)).arg("-B").arg(&build);
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    process::succeed(&mut configure, process::BUILD_LIMIT)?;
    let mut make = Command::new("cmake");
    process::succeed(make.arg("--build").arg(&build), process::BUILD_LIMIT)?;
    let mut tally = Tally::default();
    for program in ["client-static", "client-shared"] {
        let mut run = Command::new(build.join(program));
        let finished = process::capture(run.args(arguments), process::PROGRAM_LIMIT)?;
        tally.add(programs::tally(&finished).with_context(|| format!("{project}: {program}"))?);
    }
    // A version that this is not is not found, nor is this for another processor or system.
    let mut other = Command::new("cmake");
    other.arg("-S").arg(workspace::root().join(CLIENTS).join("cmake-version"));
    other.arg("-B").arg(prefix.join("../version"));
    other.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    process::succeed(&mut other, process::BUILD_LIMIT)?;
    tally.add(Tally::ONE);
    Ok(tally)
}

/// Firmware that finds the package, compiled and linked. That all of it is for the machine, the
/// linker says.
fn firmware(prefix: &Path) -> Result<Tally> {
    process::require("arm-none-eabi-gcc", "apt-get install gcc-arm-none-eabi")?;
    let project = workspace::root().join(CLIENTS).join("cmake-bare");
    let build = prefix.join("../cmake-bare");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(&project).arg("-B").arg(&build);
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    let toolchain = project.join("cortex-m4.cmake");
    configure.arg(format!("-DCMAKE_TOOLCHAIN_FILE={}", toolchain.display()));
    process::succeed(&mut configure, process::BUILD_LIMIT)?;
    let mut make = Command::new("cmake");
    process::succeed(make.arg("--build").arg(&build), process::BUILD_LIMIT)?;
    staticlib::existing(build.join("firmware"))?;
    Ok(Tally::ONE)
}

/// The C++ client with the shared library, and without any.
fn with_pkg_config(prefix: &Path) -> Result<Tally> {
    let mut tally = Tally::default();
    for (name, is_static) in [("pkg-config-shared", false), ("pkg-config-static", true)] {
        let mut ask = Command::new("pkg-config");
        ask.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        ask.args(["--cflags", "--libs"]);
        if is_static {
            ask.arg("--static");
        }
        let flags = process::succeed(ask.arg("htp_runtime"), process::BUILD_LIMIT)?;
        let program = prefix.join("..").join(name);
        let mut compile = Command::new(programs::Language::Cpp.compiler()?);
        compile.args(["-std=c++17", "-Wall", "-Werror"]);
        compile.arg(workspace::root().join(CLIENTS).join("client.cpp"));
        compile.args(flags.split_whitespace());
        if is_static {
            compile.arg("-static");
        }
        process::succeed(compile.arg("-o").arg(&program), process::BUILD_LIMIT)?;
        let mut run = Command::new(&program);
        run.env("LD_LIBRARY_PATH", prefix.join("lib"));
        let finished = process::capture(&mut run, process::PROGRAM_LIMIT)?;
        tally.add(programs::tally(&finished).context(name)?);
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_depends_on_names_and_bytes_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut made = Vec::new();
        for (index, order) in [["b", "a/c"], ["a/c", "b"]].iter().enumerate() {
            let tree = folder.path().join(index.to_string());
            fs::create_dir_all(tree.join("a")).unwrap();
            for file in order {
                fs::write(tree.join(file), file).unwrap();
            }
            made.push(archive(&tree, "name").unwrap());
        }
        assert_eq!(made[0], made[1]);
        fs::write(folder.path().join("1/b"), "other").unwrap();
        assert_ne!(archive(&folder.path().join("1"), "name").unwrap(), made[0]);
    }

    #[test]
    fn a_path_of_this_machine_is_found() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("clean"), "nothing").unwrap();
        assert!(no_path_of_this_machine(folder.path()).is_ok());
        let text = format!("\0{}/src", workspace::root().display());
        fs::write(folder.path().join("library"), text).unwrap();
        assert!(no_path_of_this_machine(folder.path()).is_err());
    }
}
