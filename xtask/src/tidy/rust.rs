//! Rules that look at Rust tokens, also inside macro calls.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{Config, Finding, SourceFile, FUNCTION_LINES_MAX};

/// Lines of code that may stand between a `SAFETY:` comment and what it speaks of.
const SAFETY_CODE_LINES_MAX: usize = 2;

pub(super) fn check(file: &SourceFile, config: &Config) -> Vec<Finding> {
    let tokens = match file.text.parse::<TokenStream>() {
        Ok(tokens) => tokens,
        Err(error) => return vec![Finding::at(file, 0, "syntax", error.to_string())],
    };
    let lines: Vec<&str> = file.text.lines().collect();
    let mut found = Vec::new();
    visit(tokens, &mut |here| {
        found.extend(long_function(file, here));
        found.extend(bare_allow(file, here));
        found.extend(ignored_test(file, here));
        found.extend(unsafe_code(file, config, &lines, here));
    });
    found
}

/// Calls `look` with every token and what follows it, at every depth.
pub(super) fn visit(tokens: TokenStream, look: &mut dyn FnMut(&[TokenTree])) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, tree) in trees.iter().enumerate() {
        look(&trees[index..]);
        if let TokenTree::Group(group) = tree {
            visit(group.stream(), look);
        }
    }
}

pub(super) fn is_word(tree: Option<&TokenTree>, word: &str) -> bool {
    matches!(tree, Some(TokenTree::Ident(ident)) if ident == word)
}

fn any_word(tree: Option<&TokenTree>) -> Option<String> {
    match tree {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

pub(super) fn is_sign(tree: Option<&TokenTree>, sign: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn is_group(tree: Option<&TokenTree>, delimiter: Delimiter) -> bool {
    matches!(tree, Some(TokenTree::Group(group)) if group.delimiter() == delimiter)
}

fn line_of(tree: &TokenTree) -> usize {
    tree.span().start().line
}

fn long_function(file: &SourceFile, here: &[TokenTree]) -> Option<Finding> {
    let name = any_word(here.get(1)).filter(|_| is_word(here.first(), "fn"))?;
    let body = here
        .iter()
        .find(|tree| is_sign(Some(tree), ';') || is_group(Some(tree), Delimiter::Brace))?;
    let first = line_of(&here[0]);
    let lines = body.span().end().line.saturating_sub(first) + 1;
    let what = format!("`{name}` has {lines} lines, {FUNCTION_LINES_MAX} at most");
    (lines > FUNCTION_LINES_MAX)
        .then(|| Finding::at(file, first, "function-length", what).about(&name))
}

/// The content of the attribute that begins here.
fn attribute(here: &[TokenTree]) -> Option<Vec<TokenTree>> {
    let after = if is_sign(here.get(1), '!') { 2 } else { 1 };
    match here.get(after) {
        Some(TokenTree::Group(group))
            if is_sign(here.first(), '#') && group.delimiter() == Delimiter::Bracket =>
        {
            Some(group.stream().into_iter().collect())
        }
        _ => None,
    }
}

fn bare_allow(file: &SourceFile, here: &[TokenTree]) -> Option<Finding> {
    let content = attribute(here)?;
    let mut bare = false;
    visit(content.into_iter().collect(), &mut |inner| {
        let lint = is_word(inner.first(), "allow") || is_word(inner.first(), "expect");
        if let (true, Some(TokenTree::Group(list))) = (lint, inner.get(1)) {
            let mut words = list.stream().into_iter();
            bare |= !words.any(|tree| is_word(Some(&tree), "reason"));
        }
    });
    let what = "a lint is switched off without `reason = \"...\"`";
    bare.then(|| Finding::at(file, line_of(&here[0]), "allow-reason", what))
}

fn ignored_test(file: &SourceFile, here: &[TokenTree]) -> Option<Finding> {
    let content = attribute(here)?;
    // Written plainly it is a banned word already; this finds it inside `cfg_attr`.
    let mut ignored = false;
    if is_word(content.first(), "cfg_attr") {
        visit(content.into_iter().collect(), &mut |inner| {
            ignored |= is_word(inner.first(), "ignore");
        });
    }
    let what = "a test runs or is not there";
    ignored.then(|| Finding::at(file, line_of(&here[0]), "ignored-test", what))
}

fn unsafe_code(
    file: &SourceFile,
    config: &Config,
    lines: &[&str],
    here: &[TokenTree],
) -> Vec<Finding> {
    if !is_word(here.first(), "unsafe") {
        return Vec::new();
    }
    let Some(kind) = UnsafeKind::of(&here[1..]) else {
        return Vec::new();
    };
    let line = line_of(&here[0]);
    let mut found = Vec::new();
    if !config.may_be_unsafe(&file.path) {
        let what = "`unsafe` stands outside the places of xtask/tidy.toml";
        found.push(Finding::at(file, line, "unsafe-place", what));
    }
    if kind == UnsafeKind::Claim && !has_safety_comment(lines, line) {
        let what = "`unsafe` without a `SAFETY:` comment above it";
        found.push(Finding::at(file, line, "unsafe-comment", what));
    }
    found
}

#[derive(PartialEq, Eq)]
enum UnsafeKind {
    /// A block or an impl: someone claims that a contract holds.
    Claim,
    /// A function, a trait, foreign declarations: someone states a contract.
    Contract,
}

impl UnsafeKind {
    /// From the tokens after `unsafe`; `None` for the type of a function and for attributes.
    fn of(after: &[TokenTree]) -> Option<Self> {
        if is_group(after.first(), Delimiter::Brace) || is_word(after.first(), "impl") {
            return Some(UnsafeKind::Claim);
        }
        let mut rest = after;
        if is_word(rest.first(), "extern") {
            rest = &rest[1..];
            if matches!(rest.first(), Some(TokenTree::Literal(_))) {
                rest = &rest[1..];
            }
            if is_group(rest.first(), Delimiter::Brace) {
                return Some(UnsafeKind::Contract);
            }
        }
        let function = is_word(rest.first(), "fn") && any_word(rest.get(1)).is_some();
        (function || is_word(rest.first(), "trait")).then_some(UnsafeKind::Contract)
    }
}

fn has_safety_comment(lines: &[&str], line: usize) -> bool {
    let mut code_lines = 0;
    for text in lines[..line.min(lines.len())].iter().rev() {
        if text.contains("SAFETY:") {
            return true;
        }
        let text = text.trim_start();
        if !text.starts_with("//") && !text.starts_with("#[") {
            code_lines += 1;
            if code_lines > SAFETY_CODE_LINES_MAX + 1 {
                return false; // the first one is the line of `unsafe` itself
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        let config = Config::parse(
            "generated = []\nunsafe_places = [{ path = \"ffi/\", reason = \"C\" }]\n",
        );
        check(&file(path, text), &config.unwrap()).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn long_functions_are_found() {
        let function = |lines: usize| format!("fn a() -> u8 {{\n{}}}\n", "x;\n".repeat(lines - 2));
        assert_eq!(rules("src/a.rs", &function(70)), [""; 0]);
        assert_eq!(rules("src/a.rs", &function(71)), ["function-length"]);
        assert_eq!(rules("src/a.rs", "trait A { fn a(); }\n"), [""; 0]);
    }

    #[test]
    fn functions_inside_macro_calls_are_measured() {
        let text = format!("proptest! {{\nfn a() {{\n{}}}\n}}\n", "x;\n".repeat(80));
        assert_eq!(rules("tests/a.rs", &text), ["function-length"]);
    }

    #[test]
    fn a_lint_is_switched_off_with_a_reason() {
        assert_eq!(rules("src/a.rs", "#[allow(dead_code)]\nfn a() {}\n"), ["allow-reason"]);
        assert_eq!(rules("src/a.rs", "#![cfg_attr(test, allow(x))]\n"), ["allow-reason"]);
        assert_eq!(rules("src/a.rs", "#[allow(x, reason = \"y\")]\nfn a() {}\n"), [""; 0]);
    }

    #[test]
    fn a_conditionally_ignored_test_is_found() {
        assert_eq!(rules("tests/a.rs", "#[cfg_attr(x, ignore)]\nfn a() {}\n"), ["ignored-test"]);
    }

    #[test]
    fn unsafe_is_kept_in_its_places() {
        let text = "// SAFETY: why\nunsafe impl Send for A {}\n";
        assert_eq!(rules("ffi/src/a.rs", text), [""; 0]);
        assert_eq!(rules("src/a.rs", text), ["unsafe-place"]);
        assert_eq!(rules("src/a.rs", "unsafe extern \"C\" fn a() {}\n"), ["unsafe-place"]);
        assert_eq!(rules("src/a.rs", "unsafe extern \"C\" { fn a(); }\n"), ["unsafe-place"]);
    }

    #[test]
    fn the_type_of_an_unsafe_function_is_no_unsafe_code() {
        let text = "type A = unsafe extern \"C\" fn(u8);\n#[unsafe(no_mangle)]\nfn a() {}\n";
        assert_eq!(rules("src/a.rs", text), [""; 0]);
    }

    #[test]
    fn a_claim_needs_its_comment() {
        let block = "fn a() {\n    let x = 1;\n    b();\n    c();\n    unsafe { d() };\n}\n";
        assert_eq!(rules("ffi/a.rs", block), ["unsafe-comment"]);
        let block = "fn a() {\n    // SAFETY: long\n    // reason\n    let x =\n        \
                     unsafe { d() };\n}\n";
        assert_eq!(rules("ffi/a.rs", block), [""; 0]);
        assert_eq!(rules("ffi/a.rs", "unsafe fn a() {}\n"), [""; 0]);
    }

    #[test]
    fn text_and_comments_are_not_code() {
        assert_eq!(rules("src/a.rs", "// unsafe { }\nconst A: &str = \"unsafe { }\";\n"), [""; 0]);
    }

    #[test]
    fn what_is_not_rust_is_a_finding() {
        assert_eq!(rules("src/a.rs", "fn a( {\n"), ["syntax"]);
    }
}
