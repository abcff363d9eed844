//! Finds the requirement comments of one file and the test each of them stands above.

/// A requirement named above a test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) id: String,
    /// Name of the test.
    pub(crate) test: String,
    /// Line of the test, from 1.
    pub(crate) line: usize,
}

/// A requirement comment that proves nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Line of the comment, from 1.
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// What one file says about requirements.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) mentions: Vec<Mention>,
    pub(crate) problems: Vec<Problem>,
}

/// Reads `text`, the content of the file at `path` (from the root).
pub(crate) fn scan(path: &str, text: &str) -> Scan {
    let rules = Rules::of(path);
    let mut found = Scan::default();
    let mut pending: Vec<(usize, String)> = Vec::new();
    let mut attributes = String::new();
    let mut open_attribute = false;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let code = line.trim();
        if open_attribute || (rules.rust && code.starts_with("#[")) {
            attributes.push_str(code);
            open_attribute = !code.ends_with(']');
        } else if let Some(ids) = requirement_comment(code) {
            match ids {
                Ok(ids) => pending.extend(ids.into_iter().map(|id| (number, id))),
                Err(what) => found.problems.push(Problem { line: number, what }),
            }
        } else if !code.starts_with("//") {
            let test = rules.test_name(code, &attributes);
            attributes.clear();
            for (comment, id) in pending.drain(..) {
                match &test {
                    Some(test) => {
                        found.mentions.push(Mention { id, test: test.clone(), line: number });
                    }
                    None => found.problems.push(not_above_a_test(comment, &id)),
                }
            }
        }
    }
    found.problems.extend(pending.iter().map(|(line, id)| not_above_a_test(*line, id)));
    found
}

fn not_above_a_test(line: usize, id: &str) -> Problem {
    Problem { line, what: format!("{id} does not stand directly above a test") }
}

/// The ids of a requirement comment; `None` if the line is something else.
fn requirement_comment(code: &str) -> Option<Result<Vec<String>, String>> {
    let words = code.strip_prefix("//")?.trim_start_matches(['/', '!']).trim_start();
    let rest = words.strip_prefix("REQ")?;
    if rest.starts_with(|next: char| next.is_alphanumeric() || next == '_') {
        return None; // a longer word
    }
    let Some(list) = code.strip_prefix("// REQ: ") else {
        return Some(Err("write it as `// REQ: ID[, ID...]`".into()));
    };
    let ids: Vec<String> = list.split(',').map(|id| id.trim().to_owned()).collect();
    match ids.iter().find(|id| !is_id(id)) {
        Some(id) => Some(Err(format!("`{id}` is not a requirement id"))),
        None => Some(Ok(ids)),
    }
}

/// `AREA-123`
fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(area, number)| {
        !area.is_empty()
            && area.chars().all(|c| c.is_ascii_uppercase())
            && number.len() == 3
            && number.chars().all(|c| c.is_ascii_digit())
    })
}

/// What counts as a test in a file.
struct Rules {
    rust: bool,
    /// Suites below `tests/` and `sim/` are written once as plain functions and then called for
    /// every device and platform, so there the attribute is not needed.
    plain_functions: bool,
}

impl Rules {
    fn of(path: &str) -> Self {
        let plain_functions = path.starts_with("tests/") || path.starts_with("sim/");
        Rules { rust: path.ends_with(".rs"), plain_functions }
    }

    fn test_name(&self, code: &str, attributes: &str) -> Option<String> {
        if self.rust {
            self.rust_test(code, attributes)
        } else {
            c_test(code)
        }
    }

    fn rust_test(&self, code: &str, attributes: &str) -> Option<String> {
        if ["const _", "const_assert", "assert_eq_size", "assert_eq_align", "static_assertions::"]
            .iter()
            .any(|start| code.starts_with(start))
        {
            return Some("static assertion".into());
        }
        if let Some((_, after)) = code.split_once("fn ").filter(|(before, _)| {
            before
                .split_whitespace()
                .all(|word| word.starts_with("pub") || RUST_WORDS.contains(&word))
        }) {
            let has_attribute = attributes.split(|c: char| !is_word(c)).any(|w| w == "test");
            return (has_attribute || self.plain_functions).then(|| first_word(after));
        }
        // A test made by a macro: `conv_case!(pads_on_the_left, ...)`.
        let (name, arguments) = code.split_once('!')?;
        (name.chars().all(is_word) && (name.contains("test") || name.contains("case")))
            .then(|| first_word(arguments))
    }
}

const RUST_WORDS: [&str; 5] = ["async", "const", "unsafe", "extern", "\"C\""];
const C_WORDS: [&str; 6] = ["if", "for", "while", "switch", "return", "sizeof"];

fn c_test(code: &str) -> Option<String> {
    if code.starts_with("static_assert") || code.starts_with("_Static_assert") {
        return Some("static assertion".into());
    }
    let (before, after) = code.split_once('(')?;
    let name = before.trim_end().rsplit(|c: char| !is_word(c)).next()?;
    if name.is_empty() || C_WORDS.contains(&name) || before.contains('=') {
        return None;
    }
    if code.ends_with(';') && !code.contains('{') {
        return None; // a declaration or a call
    }
    let is_macro = name.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit());
    Some(if is_macro { first_word(after) } else { name.to_owned() })
}

fn first_word(text: &str) -> String {
    text.chars().skip_while(|c| !is_word(*c)).take_while(|c| is_word(*c)).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests_of(path: &str, text: &str) -> Vec<(String, String, usize)> {
        let found = scan(path, text);
        assert_eq!(found.problems, []);
        found.mentions.into_iter().map(|m| (m.id, m.test, m.line)).collect()
    }

    fn problems_of(path: &str, text: &str) -> Vec<usize> {
        let found = scan(path, text);
        assert_eq!(found.mentions, []);
        found.problems.into_iter().map(|p| p.line).collect()
    }

    fn row(id: &str, test: &str, line: usize) -> (String, String, usize) {
        (id.into(), test.into(), line)
    }

    #[test]
    fn several_ids_and_several_comments_name_the_next_rust_test() {
        let text = "// REQ: SSR-001, ASYNC-012\n// REQ: BUF-003\n// why\n#[test]\nfn one() {\n}\n";
        assert_eq!(
            tests_of("src/queue/mod.rs", text),
            [row("SSR-001", "one", 5), row("ASYNC-012", "one", 5), row("BUF-003", "one", 5)]
        );
    }

    #[test]
    fn the_comment_may_stand_below_the_attribute() {
        let text = "    #[test]\n    // REQ: SSR-001\n    fn one() {}\n";
        assert_eq!(tests_of("src/a.rs", text), [row("SSR-001", "one", 3)]);
    }

    #[test]
    fn an_attribute_may_span_lines() {
        let text = "// REQ: SSR-001\n#[test]\n#[cfg(any(\n    a,\n    b\n))]\nfn one() {}\n";
        assert_eq!(tests_of("src/a.rs", text), [row("SSR-001", "one", 7)]);
    }

    #[test]
    fn a_plain_function_of_the_core_is_no_test() {
        assert_eq!(
            problems_of("src/a.rs", "#[test]\nfn a() {}\n// REQ: SSR-001\nfn b() {}\n"),
            [3]
        );
        assert_eq!(problems_of("src/a.rs", "// REQ: SSR-001\n#[inline]\nfn b() {}\n"), [1]);
    }

    #[test]
    fn a_suite_function_and_a_case_macro_are_tests() {
        let text = "// REQ: SSR-001\npub fn reconnects<D: Device>(device: D) {\n}\n";
        assert_eq!(tests_of("tests/conformance/ssr.rs", text), [row("SSR-001", "reconnects", 2)]);
        let text = "// REQ: OPS-001\nconv_case!(pads_left, 1, 2);\n";
        assert_eq!(tests_of("src/a.rs", text), [row("OPS-001", "pads_left", 2)]);
    }

    #[test]
    fn c_functions_cases_and_assertions_are_tests() {
        let text = "// REQ: CB-001\nstatic void notified_once(void) {\n}\n// REQ: CB-002\n\
                    TEST(queue_full) {\n}\n// REQ: LIB-001\n_Static_assert(1, \"x\");\n";
        assert_eq!(
            tests_of("tests/c/a.c", text),
            [
                row("CB-001", "notified_once", 2),
                row("CB-002", "queue_full", 5),
                row("LIB-001", "static assertion", 8)
            ]
        );
    }

    #[test]
    fn c_calls_declarations_and_data_are_no_tests() {
        assert_eq!(problems_of("tests/c/a.c", "// REQ: CB-001\nvoid notified_once(void);\n"), [1]);
        assert_eq!(problems_of("tests/c/a.c", "// REQ: CB-001\nif (x) {\n"), [1]);
        assert_eq!(problems_of("tests/c/a.c", "// REQ: CB-001\nint x = f(3);\n"), [1]);
    }

    #[test]
    fn a_comment_must_touch_its_test() {
        assert_eq!(problems_of("src/a.rs", "// REQ: SSR-001\n\n#[test]\nfn one() {}\n"), [1]);
        assert_eq!(problems_of("src/a.rs", "fn one() {}\n// REQ: SSR-001\n"), [2]);
    }

    #[test]
    fn a_misspelt_comment_is_a_problem() {
        for comment in ["//REQ: SSR-001", "/// REQ: SSR-001", "// REQ SSR-001", "// REQ: ssr-1"] {
            assert_eq!(problems_of("src/a.rs", &format!("{comment}\n#[test]\nfn a() {{}}\n")), [1]);
        }
        assert_eq!(tests_of("src/a.rs", "// REQUEST slots\nfn a() {}\n"), []);
    }
}
