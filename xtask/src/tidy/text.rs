//! Rules that look at lines of text.

use super::{Finding, SourceFile};

const LINE_CHARACTERS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 600;
const CODE: [&str; 7] = ["rs", "c", "cpp", "h", "hpp", "py", "sh"];

// Put together from halves, so that this file may contain them.
const BANNED: [(&str, &str); 9] = [
    (concat!("todo", "!"), "leave it absent or answer not-supported"),
    (concat!("unimple", "mented!"), "leave it absent or answer not-supported"),
    (concat!("db", "g!"), "debugging output"),
    (concat!("FIX", "ME"), "mend it or record it as a limit"),
    (concat!("..", "/shared"), "the project stands alone"),
    (concat!("crates", ".io"), "a registry is cargo's business"),
    (concat!("pypi", ".org"), "a registry is pip's business"),
    (concat!("registry", ".npmjs"), "a registry is npm's business"),
    (concat!("#[ign", "ore"), "a test runs or is not there"),
];
const MACHINE_FOLDERS: [&str; 3] =
    [concat!("/wo", "rk"), concat!("/ho", "me"), concat!("/ro", "ot")];
const SLEEPS: [&str; 6] = [
    concat!("thread::sl", "eep"),
    concat!("sl", "eep_for"),
    concat!("sl", "eep_until"),
    concat!("usl", "eep("),
    concat!("nanosl", "eep("),
    concat!(" sl", "eep("),
];
const WITHOUT_SLEEP: [&str; 5] = ["src/", "ffi/", "tests/", "sim/", "benches/"];

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_code = CODE.contains(&file.extension());
    let no_sleep = WITHOUT_SLEEP.iter().any(|folder| file.path.starts_with(folder));
    for (index, line) in file.text.split_terminator('\n').enumerate() {
        let number = index + 1;
        let mut say =
            |rule: &'static str, what: String| found.push(Finding::at(file, number, rule, what));
        let characters = line.chars().count();
        if is_code && characters > LINE_CHARACTERS_MAX {
            say("line-length", format!("{characters} characters, {LINE_CHARACTERS_MAX} at most"));
        }
        if line.ends_with([' ', '\t', '\r']) {
            say("whitespace", "white space at the end of the line".into());
        }
        for (word, why) in BANNED {
            if line.contains(word) {
                say("banned-word", format!("`{word}`: {why}"));
            }
        }
        if let Some(folder) = machine_folder(line) {
            say("banned-word", format!("`{folder}`: a path of one machine"));
        }
        if no_sleep && !line.trim_start().starts_with("//") {
            if let Some(call) = SLEEPS.iter().find(|call| line.contains(*call)) {
                say("sleep", format!("`{}`: wait on an event with a deadline", call.trim()));
            }
        }
    }
    let lines = file.text.lines().count();
    if is_code && lines > FILE_LINES_MAX {
        let what = format!("{lines} lines, {FILE_LINES_MAX} at most");
        found.push(Finding::at(file, 0, "file-length", what));
    }
    if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
        let what = "the file ends with exactly one line break";
        found.push(Finding::at(file, lines, "final-newline", what));
    }
    found
}

/// The top-level folder of a machine, where `line` names it by an absolute path.
fn machine_folder(line: &str) -> Option<&'static str> {
    let is_part = |c: char| c.is_alphanumeric() || "_-.}~/".contains(c);
    MACHINE_FOLDERS.into_iter().find(|folder| {
        line.match_indices(folder).any(|(start, _)| {
            let before = line[..start].chars().next_back();
            let after = line[start + folder.len()..].chars().next();
            !before.is_some_and(is_part) && !after.is_some_and(|c| is_part(c) && c != '/')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&file(path, text)).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn good_text_has_no_findings() {
        assert_eq!(rules("src/a.rs", "//! A.\nfn a() {}\n"), [""; 0]);
        assert_eq!(rules("src/empty.rs", ""), [""; 0]);
    }

    #[test]
    fn length_counts_characters_and_only_in_code() {
        let line = |count| format!("// {}\n", "é".repeat(count));
        assert_eq!(rules("src/a.rs", &line(97)), [""; 0]);
        assert_eq!(rules("src/a.rs", &line(98)), ["line-length"]);
        assert_eq!(rules("README.md", &line(98)), [""; 0]);
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(rules("src/a.rs", &"x\n".repeat(600)), [""; 0]);
        assert_eq!(rules("src/a.rs", &"x\n".repeat(601)), ["file-length"]);
    }

    #[test]
    fn white_space_and_line_breaks_are_checked() {
        assert_eq!(rules("a.md", "x \n"), ["whitespace"]);
        assert_eq!(rules("a.md", "x\r\n"), ["whitespace"]);
        assert_eq!(rules("a.md", "x"), ["final-newline"]);
        assert_eq!(rules("a.md", "x\n\n"), ["final-newline"]);
    }

    #[test]
    fn every_banned_word_is_found() {
        for (word, _) in BANNED {
            assert_eq!(rules("a.md", &format!("a {word} b\n")), ["banned-word"], "{word}");
        }
    }

    #[test]
    fn paths_of_a_machine_are_found_and_others_are_not() {
        for folder in MACHINE_FOLDERS {
            assert!(machine_folder(&format!("see {folder}/x")).is_some());
            assert!(machine_folder(&format!("(\"{folder}\")")).is_some());
            assert!(machine_folder(&format!("src{folder}/x")).is_none());
            assert!(machine_folder(&format!("{folder}space/x")).is_none());
        }
    }

    #[test]
    fn sleeps_are_found_where_tests_live() {
        let line = format!("    {}(d);\n", SLEEPS[0]);
        assert_eq!(rules("tests/a.rs", &line), ["sleep"]);
        assert_eq!(rules("examples/rust/a.rs", &line), [""; 0]);
        assert_eq!(rules("tests/a.rs", &format!("// {}\n", SLEEPS[0])), [""; 0]);
    }
}
