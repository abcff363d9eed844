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
    outputs.push(("tests/c/qnn_initializers.c".into(), initializer::test(&facts)?));
    if let Some(text) = extension::header(&root)? {
        outputs.push(("include/htp_runtime.h".into(), text));
    }
    settle(&root, &outputs, check, "cargo xtask header")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    /// Feeds `source` to a compiler and returns what it complains about.
    fn complaints(compiler: &str, language: &str, standard: &str, source: &str) -> String {
        let mut child = Command::new(compiler)
            .current_dir(root())
            .args(["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Werror"])
            .args(["-Iinclude", "-Iinclude/qnn", &format!("-std={standard}"), "-x", language, "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a C and a C++ compiler: apt-get install gcc g++");
        child.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        match output.status.success() {
            true => String::new(),
            false => String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    // REQ: DEV-002
    #[test]
    fn every_header_stands_alone_in_every_language() {
        let facts = Facts::load(&root()).unwrap();
        let own = "htp_runtime.h".to_owned();
        for header in facts.headers.keys().chain([&own]) {
            let source = format!("#include \"{header}\"\nint something(void);\n");
            for (compiler, language, standard) in [
                ("gcc", "c", "c99"),
                ("gcc", "c", "c11"),
                ("g++", "c++", "c++14"),
                ("g++", "c++", "c++17"),
            ] {
                let text = complaints(compiler, language, standard, &source);
                assert!(text.is_empty(), "{header} as {standard}:\n{text}");
            }
        }
    }
}
