//! Where things are: the root of the project, its files, its build folder.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Folder of the workspace manifest.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable on `cargo run`; the built-in value serves a binary started by hand.
    let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest_dir.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Folder cargo builds into.
pub(crate) fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Folder of cargo's own files, registry sources among them.
pub(crate) fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// One file of the project.
pub(crate) struct SourceFile {
    /// Path from the root, with `/` between its parts.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl SourceFile {
    /// Part of the path after the last dot; empty if there is none.
    pub(crate) fn extension(&self) -> &str {
        Path::new(&self.path).extension().and_then(|part| part.to_str()).unwrap_or("")
    }
}

/// What is below `base` and version control does not ignore.
pub(crate) fn tracked(base: &Path) -> ignore::Walk {
    ignore::WalkBuilder::new(base)
        .hidden(false)
        .parents(false)
        .git_global(false)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build()
}

/// Every text file below `base` that version control does not ignore, sorted by path.
pub(crate) fn text_files(base: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for entry in tracked(base) {
        let entry = entry?;
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let bytes = std::fs::read(entry.path())
            .with_context(|| format!("cannot read {}", entry.path().display()))?;
        // Data files (images, context binaries) are not text.
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        if text.contains('\0') {
            continue;
        }
        let path = entry.path().strip_prefix(base)?.to_string_lossy().replace('\\', "/");
        files.push(SourceFile { path, text });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
