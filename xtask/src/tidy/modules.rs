//! Rust files that no `mod` reaches.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::rust::{is_sign, is_word};
use super::{Finding, SourceFile};

/// Folders whose files, and whose sub-folders' `main.rs`, cargo takes as programs of their own.
const PROGRAM_FOLDERS: [&str; 4] = ["src/bin", "tests", "benches", "examples"];
/// Sections of a manifest that may name a root file.
const TARGET_SECTIONS: [&str; 5] = ["lib", "bin", "test", "bench", "example"];

pub(super) fn check(files: &[SourceFile]) -> Result<Vec<Finding>> {
    let rust: BTreeMap<&str, &SourceFile> =
        files.iter().filter(|f| f.extension() == "rs").map(|f| (f.path.as_str(), f)).collect();
    let mut open: Vec<String> = roots(files, &rust)?;
    let roots: BTreeSet<String> = open.iter().cloned().collect();
    let mut reached = BTreeSet::new();
    while let Some(path) = open.pop() {
        let Some(file) = rust.get(path.as_str()) else {
            continue;
        };
        if !reached.insert(path.clone()) {
            continue;
        }
        // What does not parse is reported by the token rules.
        let Ok(tokens) = file.text.parse::<TokenStream>() else {
            continue;
        };
        let mut names = Names { file: &path, is_root: roots.contains(&path), found: Vec::new() };
        names.collect(tokens, "");
        open.extend(names.found);
    }
    let dead = rust.values().filter(|file| !reached.contains(&file.path));
    Ok(dead.map(|f| Finding::at(f, 0, "dead-module", "no `mod` leads to this file")).collect())
}

fn roots(files: &[SourceFile], rust: &BTreeMap<&str, &SourceFile>) -> Result<Vec<String>> {
    let mut roots = Vec::new();
    for manifest in files.iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        let folder = folder_of(&manifest.path);
        for name in ["src/lib.rs", "src/main.rs", "build.rs"] {
            roots.push(join(folder, name));
        }
        for program_folder in PROGRAM_FOLDERS {
            let base = join(folder, program_folder) + "/";
            roots.extend(rust.keys().filter_map(|path| {
                let rest = path.strip_prefix(&base)?;
                let own = !rest.contains('/')
                    || rest.strip_suffix("/main.rs").is_some_and(|name| !name.contains('/'));
                own.then(|| (*path).to_owned())
            }));
        }
        let table: toml::Table = manifest.text.parse().with_context(|| manifest.path.clone())?;
        for section in TARGET_SECTIONS {
            roots.extend(named_paths(table.get(section)).map(|path| join(folder, path)));
        }
    }
    Ok(roots)
}

/// The `path` of a `[lib]` or of each `[[bin]]`.
fn named_paths(section: Option<&toml::Value>) -> impl Iterator<Item = &str> {
    let many = section.and_then(toml::Value::as_array).into_iter().flatten();
    section.into_iter().chain(many).filter_map(|target| target.get("path")?.as_str())
}

/// Files that the modules of one file may stand in.
struct Names<'a> {
    file: &'a str,
    is_root: bool,
    found: Vec<String>,
}

impl Names<'_> {
    /// `inside`: the inline modules around the tokens, each followed by `/`.
    fn collect(&mut self, tokens: TokenStream, inside: &str) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut path_attribute = None;
        for (index, tree) in trees.iter().enumerate() {
            let here = &trees[index..];
            match tree {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                    path_attribute = path_of(group.stream()).or(path_attribute);
                    self.collect(group.stream(), inside);
                }
                TokenTree::Group(group) => {
                    let deeper = match index.checked_sub(2).map(|start| &trees[start..index]) {
                        Some([word, name]) if is_word(Some(word), "mod") => {
                            format!("{inside}{name}/")
                        }
                        _ => inside.to_owned(),
                    };
                    self.collect(group.stream(), &deeper);
                    path_attribute = None;
                }
                _ if is_word(Some(tree), "mod") && is_sign(here.get(2), ';') => {
                    self.declare(&here[1].to_string(), inside, path_attribute.take());
                }
                _ if is_word(Some(tree), "include") && is_sign(here.get(1), '!') => {
                    if let Some(TokenTree::Group(group)) = here.get(2) {
                        let name = group.stream().to_string();
                        self.found.push(join(folder_of(self.file), name.trim_matches('"')));
                    }
                }
                _ if is_sign(Some(tree), ';') => path_attribute = None,
                _ => {}
            }
        }
    }

    fn declare(&mut self, name: &str, inside: &str, path: Option<String>) {
        let folder = folder_of(self.file);
        if let Some(path) = path {
            self.found.push(join(folder, &path));
            return;
        }
        let name = name.trim_start_matches("r#");
        let base = if self.is_root || self.file.ends_with("/mod.rs") {
            folder.to_owned()
        } else {
            self.file.trim_end_matches(".rs").to_owned()
        };
        self.found.push(join(&base, &format!("{inside}{name}.rs")));
        self.found.push(join(&base, &format!("{inside}{name}/mod.rs")));
    }
}

/// The value of `path = "..."`.
fn path_of(attribute: TokenStream) -> Option<String> {
    let trees: Vec<TokenTree> = attribute.into_iter().collect();
    let is_path = is_word(trees.first(), "path") && is_sign(trees.get(1), '=');
    is_path.then(|| trees.get(2).map(|value| value.to_string().trim_matches('"').to_owned()))?
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Joins two paths and takes `.` and `..` out of the result.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;

    fn dead(files: &[(&str, &str)]) -> Vec<String> {
        let mut all = vec![file("Cargo.toml", "[package]\nname = \"a\"\n")];
        all.extend(files.iter().map(|(path, text)| file(path, text)));
        check(&all).unwrap().into_iter().map(|finding| finding.path).collect()
    }

    #[test]
    fn modules_are_followed_through_files_and_folders() {
        let files = [
            ("src/lib.rs", "mod a;\n#[cfg(x)]\npub mod b;\n"),
            ("src/a.rs", "mod inner;\n"),
            ("src/a/inner.rs", ""),
            ("src/b/mod.rs", "mod c;\n"),
            ("src/b/c.rs", ""),
            ("src/b/d.rs", ""),
            ("src/inner.rs", ""),
        ];
        assert_eq!(dead(&files), ["src/b/d.rs", "src/inner.rs"]);
    }

    #[test]
    fn inline_modules_macros_and_paths_are_followed() {
        let files = [
            ("src/lib.rs", "mod a { mod b; }\ncfg_if! { if #[cfg(x)] { mod c; } }\n"),
            ("src/a/b.rs", "#[path = \"../other/d.rs\"]\nmod d;\ninclude!(\"e.rs\");\n"),
            ("src/c.rs", ""),
            ("src/other/d.rs", ""),
            ("src/a/e.rs", ""),
        ];
        assert_eq!(dead(&files), [""; 0]);
    }

    #[test]
    fn programs_are_roots_and_their_helpers_are_not() {
        let files = [
            ("tests/one.rs", "mod common;\n"),
            ("tests/common/mod.rs", ""),
            ("tests/unused/mod.rs", ""),
            ("examples/two/main.rs", "mod part;\n"),
            ("examples/two/part.rs", ""),
            ("src/bin/three.rs", ""),
        ];
        assert_eq!(dead(&files), ["tests/unused/mod.rs"]);
    }

    #[test]
    fn a_manifest_may_name_its_roots() {
        let manifest = "[lib]\npath = \"x.rs\"\n[[bench]]\nname = \"b\"\npath = \"deep/b.rs\"\n";
        let all = [file("k/Cargo.toml", manifest), file("k/x.rs", ""), file("k/deep/b.rs", "")];
        assert!(check(&all).unwrap().is_empty());
    }
}
