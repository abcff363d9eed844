//! The library as built for one target, this machine or another, and what was found in it.

use std::path::PathBuf;

use anyhow::Result;

use crate::audit::Report;
use crate::{cross, staticlib, symbols};

/// The short name of this machine.
pub(crate) const HOST: &str = "host";

/// A built library.
pub(crate) struct Product {
    /// As the compiler calls it.
    pub(crate) triple: &'static str,
    pub(crate) archive: PathBuf,
    pub(crate) shared: Option<PathBuf>,
    pub(crate) report: Report,
    /// One object of all that the exported functions reach.
    pub(crate) reachable: PathBuf,
    pub(crate) system: Option<&'static str>,
}

/// Short names of everything the library is built for.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    std::iter::once(HOST).chain(cross::TARGETS.iter().map(|target| target.name))
}

/// Builds the library for the target of a short name.
pub(crate) fn build(name: &str) -> Result<Product> {
    if name == HOST {
        let archive = staticlib::release()?;
        let (report, reachable) = symbols::inspect(&archive)?;
        return Ok(Product {
            triple: staticlib::HOST,
            shared: Some(archive.with_extension("so")),
            archive,
            report,
            reachable,
            system: Some(staticlib::HOST_SYSTEM),
        });
    }
    let target = cross::find(name)?;
    cross::require_toolchain()?;
    let archive = cross::build(target)?;
    let (report, reachable) = cross::inspect(target, &archive)?;
    Ok(Product {
        triple: target.triple,
        shared: target.shared_linker.map(|_| archive.with_extension("so")),
        archive,
        report,
        reachable,
        system: target.system,
    })
}
