//! Builds that later steps of `cargo xtask test` need, begun with its first step: a release build
//! is one thread's for minutes, and so is many a step. Those for other machines have folders of
//! their own. A step whose build is not done waits for it, as cargo lets one at a time into a
//! folder.

use std::thread::{self, JoinHandle};

use anyhow::Result;

use crate::{cross, quality, staticlib};

/// Begins to build, one after the other; `all` for `cargo xtask test --all`.
pub(crate) fn begin(all: bool) -> JoinHandle<()> {
    thread::spawn(move || {
        // What fails here fails again in its step, which says so.
        let _ = build(cross::TARGETS.iter().filter(|target| cross::TESTED.contains(&target.name)));
        let _ = staticlib::release();
        let _ = staticlib::address_sanitized();
        let _ = staticlib::thread_sanitized();
        if all {
            let _ = build(cross::TARGETS.iter());
            let _ = quality::install_tools();
        }
    })
}

fn build<'a>(mut targets: impl Iterator<Item = &'a cross::Target>) -> Result<()> {
    cross::require_toolchain()?;
    targets.try_for_each(|target| cross::build(target).map(drop))
}
