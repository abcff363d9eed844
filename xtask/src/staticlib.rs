//! The static library of the `ffi` member: how to build it, where it lands.

use std::path::PathBuf;

use anyhow::{ensure, Result};
use object::Architecture;

use crate::audit::Machine;
use crate::{cross, process, workspace};

/// The member that makes it.
pub(crate) const PACKAGE: &str = "htp-runtime-ffi";
/// Its name.
pub(crate) const FILE: &str = "libhtp_runtime.a";
/// This machine, as the compiler calls it. Sanitizers need an explicit target, so that build
/// scripts stay without them.
pub(crate) const HOST: &str = concat!("x86_64", "-unknown-linux-gnu");

/// What its libraries are made for.
pub(crate) const HOST_MACHINE: Machine =
    Machine { architecture: Architecture::X86_64, is_64: true };
/// Its operating system, as CMake calls it.
pub(crate) const HOST_SYSTEM: &str = "Linux";

/// What a program linked with the library needs besides it.
pub(crate) const LINK_FLAGS: [&str; 2] = ["-lpthread", "-ldl"];

/// Builds the release libraries (static and shared); returns the path of the static one.
///
/// Always a release build: the crate has its own panic handler and must not unwind.
pub(crate) fn release() -> Result<PathBuf> {
    let mut build = process::cargo();
    build.args(["build", "--release", "--package", PACKAGE]);
    process::succeed(&mut build, process::BUILD_LIMIT)?;
    existing(workspace::target_dir().join("release").join(FILE))
}

/// Builds the static library with the address sanitizer inside.
pub(crate) fn address_sanitized() -> Result<PathBuf> {
    ensure!(
        cfg!(all(target_arch = "x86_64", target_os = "linux")),
        "lacking: the sanitized build is set up for {HOST} only"
    );
    let target_dir = workspace::target_dir().join("asan");
    let mut build = process::cargo();
    build
        .args(["rustc", "--release", "--package", PACKAGE, "--lib", "--crate-type", "staticlib"])
        .args(["--target", HOST, "--target-dir"])
        .arg(&target_dir)
        .env("RUSTC_BOOTSTRAP", "1") // the flag is unstable; only this test build uses it
        .env("RUSTFLAGS", "-Zsanitizer=address");
    process::succeed(&mut build, process::BUILD_LIMIT)?;
    existing(target_dir.join(HOST).join("release").join(FILE))
}

/// Builds the static library with the thread sanitizer inside, `core` with it.
pub(crate) fn thread_sanitized() -> Result<PathBuf> {
    ensure!(
        cfg!(all(target_arch = "x86_64", target_os = "linux")),
        "lacking: the sanitized build is set up for {HOST} only"
    );
    let target_dir = workspace::target_dir().join("tsan");
    let mut build = process::cargo();
    build
        .arg(format!("+{}", cross::TOOLCHAIN))
        .args(["rustc", "--release", "-Zbuild-std=core", "--package", PACKAGE, "--lib"])
        .args(["--crate-type", "staticlib", "--target", HOST, "--target-dir"])
        .arg(&target_dir)
        .env("RUSTC_BOOTSTRAP", "1") // both flags are unstable; only this test build uses them
        // A report names functions; what is checked does not gain from one unit for all.
        .env("RUSTFLAGS", "-Zsanitizer=thread -Cforce-frame-pointers=yes")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    process::succeed(&mut build, process::BUILD_LIMIT)?;
    existing(target_dir.join(HOST).join("release").join(FILE))
}

/// The path of what a build must have made.
pub(crate) fn existing(path: PathBuf) -> Result<PathBuf> {
    ensure!(path.is_file(), "the build made no {}", path.display());
    Ok(path)
}
