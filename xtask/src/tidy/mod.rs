//! `cargo xtask tidy`: the style rules, as a check. Exceptions stand in xtask/tidy.toml.

mod c_functions;
mod modules;
mod rust;
mod text;

use std::cell::Cell;
use std::fs;

use anyhow::{bail, Context, Result};
use serde::Deserialize;

use crate::workspace::{self, SourceFile};

const CONFIG: &str = "xtask/tidy.toml";
const FUNCTION_LINES_MAX: usize = 70;

/// A broken rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    rule: &'static str,
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    /// The function or module meant, where an exception may name it.
    item: String,
    what: String,
}

impl Finding {
    fn at(file: &SourceFile, line: usize, rule: &'static str, what: impl Into<String>) -> Self {
        let path = file.path.clone();
        Finding { rule, path, line, item: String::new(), what: what.into() }
    }

    fn about(mut self, item: &str) -> Self {
        self.item = item.to_owned();
        self
    }

    fn shown(&self) -> String {
        format!("{}:{}: {} [{}]", self.path, self.line, self.what, self.rule)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Files no one writes by hand.
    generated: Vec<Place>,
    /// Where `unsafe` may stand.
    unsafe_places: Vec<Place>,
    /// Exceptions to other rules.
    #[serde(default)]
    allow: Vec<Exception>,
}

/// A file, a folder (ending in `/`), or a pattern with one `*` inside.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    path: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    rule: String,
    path: String,
    #[serde(default)]
    item: String,
    reason: String,
    #[serde(skip)]
    used: Cell<bool>,
}

pub(crate) fn run() -> Result<()> {
    check()?;
    println!("tidy");
    Ok(())
}

/// As [`run`], without a word when all is well.
pub(crate) fn check() -> Result<()> {
    let root = workspace::root();
    let text = fs::read_to_string(root.join(CONFIG)).with_context(|| CONFIG.to_owned())?;
    let config = Config::parse(&text).with_context(|| CONFIG.to_owned())?;
    let findings = findings(&workspace::text_files(&root)?, &config)?;
    if findings.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = findings.iter().map(Finding::shown).collect();
    bail!("{} style findings:\n  {}", lines.len(), lines.join("\n  "));
}

fn findings(files: &[SourceFile], config: &Config) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for file in files {
        found.extend(text::check(file));
        match file.extension() {
            "rs" => found.extend(rust::check(file, config)),
            "c" | "cpp" | "h" | "hpp" => found.extend(c_functions::check(file)),
            _ => {}
        }
    }
    found.extend(modules::check(files)?);
    found.retain(|finding| !config.allows(finding));
    found.extend(config.stale(files));
    Ok(found)
}

impl Config {
    fn parse(text: &str) -> Result<Self> {
        let config: Config = toml::from_str(text)?;
        let places = config.generated.iter().chain(&config.unsafe_places);
        let reasons = places.map(|place| (&place.path, &place.reason));
        for (path, reason) in reasons.chain(config.allow.iter().map(|a| (&a.path, &a.reason))) {
            if reason.trim().is_empty() {
                bail!("the exception for {path} has no reason");
            }
        }
        Ok(config)
    }

    fn may_be_unsafe(&self, path: &str) -> bool {
        self.unsafe_places.iter().any(|place| matches(&place.path, path))
    }

    fn allows(&self, finding: &Finding) -> bool {
        // Length and layout of a generated file are the generator's business.
        let by_hand =
            ["line-length", "file-length", "function-length", "banned-word", "whitespace"];
        if by_hand.contains(&finding.rule)
            && self.generated.iter().any(|place| matches(&place.path, &finding.path))
        {
            return true;
        }
        let exception = self.allow.iter().find(|exception| {
            exception.rule == finding.rule
                && matches(&exception.path, &finding.path)
                && (exception.item.is_empty() || exception.item == finding.item)
        });
        if let Some(exception) = exception {
            exception.used.set(true);
        }
        exception.is_some()
    }

    /// Exceptions for files that are there and do not need them.
    fn stale(&self, files: &[SourceFile]) -> Vec<Finding> {
        let unused = self.allow.iter().filter(|exception| !exception.used.get());
        let there = |e: &&Exception| files.iter().any(|file| matches(&e.path, &file.path));
        let finding = |exception: &Exception| Finding {
            rule: "stale-exception",
            path: CONFIG.into(),
            line: 0,
            item: String::new(),
            what: format!("{} no longer needs `{}`", exception.path, exception.rule),
        };
        unused.filter(there).map(finding).collect()
    }
}

/// True if `pattern` covers `path`. A `*` stands for any characters but `/`.
fn matches(pattern: &str, path: &str) -> bool {
    let (before, after) = match pattern.split_once('*') {
        None if pattern.ends_with('/') => return path.starts_with(pattern),
        None => return path == pattern,
        Some(parts) => parts,
    };
    let Some(rest) = path.strip_prefix(before) else {
        return false;
    };
    match after.strip_suffix('/') {
        Some(folder) => {
            rest.match_indices(&format!("{folder}/")).any(|(i, _)| !rest[..i].contains('/'))
        }
        None => rest.strip_suffix(after).is_some_and(|middle| !middle.contains('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    const CONFIG_TEXT: &str = "unsafe_places = [{ path = \"ffi/\", reason = \"C\" }]\n\
        generated = [{ path = \"include/\", reason = \"made\" }]\n\
        [[allow]]\nrule = \"whitespace\"\npath = \"a.md\"\nreason = \"hard breaks\"\n";

    fn shown(files: &[SourceFile]) -> Vec<String> {
        let config = Config::parse(CONFIG_TEXT).unwrap();
        findings(files, &config).unwrap().iter().map(Finding::shown).collect()
    }

    #[test]
    fn patterns_cover_files_folders_and_one_level() {
        assert!(matches("src/region.rs", "src/region.rs"));
        assert!(!matches("src/region.rs", "src/region.rs.bak"));
        assert!(matches("ffi/", "ffi/src/lib.rs"));
        assert!(matches("src/platform/*/sys.rs", "src/platform/linux/sys.rs"));
        assert!(!matches("src/platform/*/sys.rs", "src/platform/a/b/sys.rs"));
        assert!(!matches("src/platform/*/sys.rs", "src/platform/linux/lock.rs"));
        assert!(matches("src/platform/*/sys/", "src/platform/linux/sys/lock.rs"));
    }

    #[test]
    fn an_exception_covers_its_rule_and_file_only() {
        assert_eq!(shown(&[file("a.md", "x \n")]), [""; 0]);
        assert_eq!(shown(&[file("a.md", "x \n"), file("b.md", "x \n")]).len(), 1);
    }

    #[test]
    fn an_exception_that_is_not_needed_is_a_finding() {
        let found = shown(&[file("a.md", "x\n")]);
        assert_eq!(
            found,
            ["xtask/tidy.toml:0: a.md no longer needs `whitespace` [stale-exception]"]
        );
    }

    #[test]
    fn generated_files_have_their_own_layout() {
        let long = format!("// {}\n", "x".repeat(200));
        assert_eq!(shown(&[file("include/htp_runtime.h", &long)]), [""; 0]);
        assert_eq!(shown(&[file("src/a.h", &long)]).len(), 1);
    }

    #[test]
    fn an_exception_needs_a_reason() {
        assert!(Config::parse(&CONFIG_TEXT.replace("hard breaks", " ")).is_err());
    }

    #[test]
    fn the_exceptions_of_this_project_are_well_formed() {
        let root = workspace::root();
        let text = fs::read_to_string(root.join(CONFIG)).unwrap();
        assert!(Config::parse(&text).is_ok());
    }
}
