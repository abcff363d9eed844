//! Length of C and C++ functions. A reader of braces, not of the language: it needs no compiler,
//! and code that it misreads is code that a person misreads too.

use super::{Finding, SourceFile, FUNCTION_LINES_MAX};

const NOT_FUNCTIONS: [&str; 5] = ["struct", "class", "enum", "union", "namespace"];

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    let long = functions(&file.text).into_iter().filter(|f| f.lines > FUNCTION_LINES_MAX);
    long.map(|Function { name, line, lines }| {
        let what = format!("`{name}` has {lines} lines, {FUNCTION_LINES_MAX} at most");
        Finding::at(file, line, "function-length", what).about(&name)
    })
    .collect()
}

#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// Outermost functions; what they contain belongs to them.
fn functions(text: &str) -> Vec<Function> {
    let code = without_comments_and_text(text);
    let mut found = Vec::new();
    let mut head = String::new();
    let (mut line, mut head_line) = (1, 1);
    let mut depth = 0_usize;
    let mut open: Option<(String, usize, usize)> = None; // name, line, depth outside
    for c in code.chars() {
        match c {
            '{' => {
                if open.is_none() {
                    open = name_of(&head).map(|name| (name, head_line, depth));
                }
                depth += 1;
                head.clear();
            }
            '}' => {
                depth = depth.saturating_sub(1);
                if let Some((name, first, _)) = open.take_if(|(_, _, outside)| *outside == depth) {
                    found.push(Function { name, line: first, lines: line - first + 1 });
                }
                head.clear();
            }
            ';' => head.clear(),
            _ => {
                if head.trim().is_empty() {
                    head.clear();
                    head_line = line;
                }
                head.push(c);
            }
        }
        line += usize::from(c == '\n');
    }
    found
}

/// The function a `{` begins, from the text before it.
fn name_of(head: &str) -> Option<String> {
    let (before, _) = head.split_once('(')?;
    let head = head.trim_end();
    let is_type = before.split_whitespace().any(|word| NOT_FUNCTIONS.contains(&word));
    if (is_type && !head.ends_with(')')) || before.contains('=') {
        return None;
    }
    let start = before.trim_end().rfind(|c: char| !(c.is_alphanumeric() || "_:~".contains(c)));
    let name = before.trim_end()[start.map_or(0, |at| at + 1)..].to_owned();
    (!name.is_empty()).then_some(name)
}

/// The text with everything blanked that is not code; line breaks stay.
fn without_comments_and_text(text: &str) -> String {
    #[derive(Clone, Copy, PartialEq)]
    enum In {
        Code,
        LineComment,
        BlockComment,
        Directive,
        Quoted(char),
    }
    let mut state = In::Code;
    let mut line_is_blank = true;
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        let mut shown = ' ';
        match state {
            In::Code => match (c, next) {
                ('/', Some('/')) => state = In::LineComment,
                ('/', Some('*')) => state = In::BlockComment,
                ('#', _) if line_is_blank => state = In::Directive,
                ('"', _) => state = In::Quoted('"'),
                // A quote between digits separates them.
                ('\'', _) if !out.ends_with(|before: char| before.is_ascii_hexdigit()) => {
                    state = In::Quoted('\'');
                }
                _ => shown = c,
            },
            In::LineComment if c == '\n' => state = In::Code,
            In::BlockComment if c == '*' && next == Some('/') => {
                chars.next();
                state = In::Code;
            }
            In::Directive if c == '\n' => state = In::Code,
            In::Directive | In::Quoted(_) if c == '\\' => {
                let escaped = chars.next();
                shown = escaped.filter(|c| *c == '\n').unwrap_or(' ');
            }
            In::Quoted(end) if c == end => state = In::Code,
            _ => {}
        }
        if c == '\n' {
            shown = '\n';
        }
        line_is_blank = c == '\n' || (line_is_blank && c.is_whitespace());
        out.push(shown);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;

    fn named(text: &str) -> Vec<(String, usize, usize)> {
        functions(text).into_iter().map(|f| (f.name, f.line, f.lines)).collect()
    }

    fn row(name: &str, line: usize, lines: usize) -> (String, usize, usize) {
        (name.into(), line, lines)
    }

    #[test]
    fn functions_of_c_and_methods_of_cpp_are_measured() {
        let text = "#include <a.h>\n#define X(a) { a \\\n }\nstatic int f(int a)\n{\n  \
                    if (a) { b(); }\n}\nnamespace n {\nclass C {\n  \
                    int m() const noexcept { return 1; }\n};\nC::~C() {\n}\n}\n";
        assert_eq!(named(text), [row("f", 4, 4), row("m", 10, 1), row("C::~C", 12, 2)]);
    }

    #[test]
    fn types_and_tables_are_no_functions() {
        let text = "struct alignas(8) S {\n int a;\n};\nint t[] = { f(1) };\nenum E { A };\n";
        assert_eq!(named(text), []);
    }

    #[test]
    fn braces_in_text_and_comments_do_not_count() {
        let text = "void f() {\n  // }\n  /* } */ g(\"}\", '}', '\\'', 1'000);\n}\nvoid h() {}\n";
        assert_eq!(named(text), [row("f", 1, 4), row("h", 5, 1)]);
    }

    #[test]
    fn a_long_function_is_a_finding() {
        let function = |lines: usize| format!("void f() {{\n{}}}\n", "g();\n".repeat(lines - 2));
        assert!(check(&file("a.c", &function(70))).is_empty());
        let found = check(&file("a.c", &function(71)));
        assert_eq!((found[0].rule, found[0].item.as_str()), ("function-length", "f"));
    }
}
