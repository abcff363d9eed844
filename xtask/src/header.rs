//! `cargo xtask header`: the C headers under `include/`.
//!
//! - `include/qnn/`: the QNN-compatible headers, written from the ABI facts by [`qnn`]. Why not by
//!   cbindgen: docs/adr/001-qnn-headers.md.
//! - `include/htp_runtime.h`: our own extension, written by cbindgen from `ffi/src/ext*`.

mod extension;
mod initializer;
mod qnn;

use anyhow::Result;

use crate::abi::facts::Facts;
use crate::abi::{root, settle};

/// Generates the headers, or with `check` compares them with the committed ones.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = root();
    let facts = Facts::load(&root)?;
    let mut outputs = Vec::new();
    for header in facts.headers.values() {
        let path = format!("include/qnn/{}", header.header);
        outputs.push((path.into(), qnn::header(&facts, header)?));
    }
    outputs.push((
        "tests/c/header_initializers.c".into(),
        initializer::test(&facts)?,
    ));
    if let Some(text) = extension::header(&root)? {
        outputs.push(("include/htp_runtime.h".into(), text));
    }
    settle(&root, &outputs, check, "cargo xtask header")
}
