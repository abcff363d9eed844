//! The extension header `htp_runtime.h`, written by cbindgen.
//!
//! Only what `ffi/src/ext.rs` and the files of `ffi/src/ext/` declare goes in; QNN types they
//! mention come from the QNN headers the configuration includes.

use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};

/// The header's text, or none while there is no extension.
pub(crate) fn header(root: &Path) -> Result<Option<String>> {
    let sources = sources(&root.join("ffi/src"))?;
    if sources.is_empty() {
        return Ok(None);
    }
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml"))
        .map_err(|error| anyhow::anyhow!("cbindgen.toml: {error}"))?;
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in &sources {
        builder = builder.with_src(source);
    }
    let bindings = builder.generate().context("cbindgen on ffi/src/ext")?;
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    let text = String::from_utf8(bytes)?;
    own_names_only(&text)?;
    Ok(Some(text))
}

/// `ext.rs`, `ext_*.rs` and everything directly under `ext/`, in name order.
fn sources(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in [directory.to_path_buf(), directory.join("ext")] {
        if !folder.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let ours = folder.ends_with("ext") || name == "ext.rs" || name.starts_with("ext_");
            if ours && name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Everything the header declares or defines begins with the extension's prefix.
fn own_names_only(text: &str) -> Result<()> {
    for line in text.lines() {
        let name = if let Some(rest) = line.strip_prefix("#define ") {
            rest.split([' ', '(']).next()
        } else if let Some(rest) = line.strip_prefix("} ") {
            rest.split(';').next()
        } else if line.starts_with(|c: char| c.is_alphabetic()) && line.contains('(') {
            line.split('(').next().and_then(|head| head.rsplit([' ', '*']).next())
        } else {
            None
        };
        let name = name.map(str::trim);
        let Some(name) = name.filter(|name| !name.is_empty() && !name.starts_with("//")) else {
            continue;
        };
        ensure!(
            name.starts_with("htp_rt_") || name.starts_with("HTP_RT_"),
            "htp_runtime.h would declare `{name}`, which is no htp_rt_ name: {line}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_origin_are_refused() {
        let own = "#define HTP_RT_LIMIT 3\ntypedef struct {\n  int a;\n} htp_rt_a_t;\n\
                   Qnn_ErrorHandle_t htp_rt_poll(Qnn_ContextHandle_t context,\n\
                   \x20                             uint64_t timeout_us);\n}  // extern \"C\"\n";
        assert!(own_names_only(own).is_ok());
        for foreign in ["#define LIMIT 3\n", "} config_t;\n", "uint32_t *poll(uint32_t a);\n"] {
            assert!(own_names_only(foreign).is_err(), "{foreign}");
        }
    }
}
