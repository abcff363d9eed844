//! `cargo xtask header`.
use anyhow::Result;
/// x
pub(crate) fn run(_check: bool) -> Result<()> {
    Ok(())
}
