//! The examples: those in C and Rust are built and run, and what README.md shows of C++ is what a
//! test compiles.

use std::fs;
use std::process::Command;

use anyhow::{bail, ensure, Context, Result};

use crate::steps::Tally;
use crate::{process, programs, staticlib, workspace};

/// The program that compiles the excerpt, and the marks around it.
const EXCERPT_OF: &str = "tests/cpp/readme_example.cpp";
const BEGIN: &str = "// README begin\n";
const END: &str = "// README end\n";

/// Builds each C example as C99 and runs it from the root; success is its exit code.
pub(crate) fn run_c() -> Result<Tally> {
    let root = workspace::root();
    let sources = programs::sources(&root.join("examples/c"), "c")?;
    ensure!(!sources.is_empty(), "lacking: examples/c (there is no example)");
    let compiler = programs::Language::C.compiler()?;
    let library = staticlib::release()?;
    let folder = workspace::target_dir().join("xtask/examples");
    fs::create_dir_all(&folder)?;
    let mut tally = Tally::default();
    for source in sources {
        let program = folder.join(source.file_stem().unwrap_or_default());
        let mut compile = programs::compile_command(&compiler, "c99");
        compile.arg(&source).arg(&library).args(staticlib::LINK_FLAGS).arg("-o").arg(&program);
        process::succeed(&mut compile, process::BUILD_LIMIT)?;
        let mut run = Command::new(&program);
        let finished = process::capture(run.current_dir(&root), process::PROGRAM_LIMIT)?;
        if !finished.success {
            bail!("{} failed:\n{}", source.display(), finished.output);
        }
        tally.add(Tally::ONE);
    }
    Ok(tally)
}

/// Builds and runs each example in Rust; success is its exit code.
pub(crate) fn run_rust() -> Result<Tally> {
    let mut tally = Tally::default();
    for source in programs::sources(&workspace::root().join("examples/rust"), "rs")? {
        let mut run = process::cargo();
        run.args(["run", "--quiet", "--package", "htp-runtime", "--features", "std", "--example"]);
        run.arg(source.file_stem().unwrap_or_default()).current_dir(workspace::root());
        process::succeed(&mut run, process::BUILD_LIMIT)?;
        tally.add(Tally::ONE);
    }
    ensure!(tally.passed > 0, "lacking: examples/rust (there is no example)");
    Ok(tally)
}

/// README.md shows the excerpt as it is compiled.
pub(crate) fn check_readme() -> Result<()> {
    let root = workspace::root();
    let program = fs::read_to_string(root.join(EXCERPT_OF)).context(EXCERPT_OF)?;
    let excerpt = excerpt(&program).with_context(|| format!("{EXCERPT_OF} has no marks"))?;
    let readme = fs::read_to_string(root.join("README.md")).context("README.md")?;
    let shown = format!("```cpp\n{}\n```", excerpt.trim());
    ensure!(readme.contains(&shown), "README.md does not show what {EXCERPT_OF} compiles");
    Ok(())
}

fn excerpt(program: &str) -> Option<&str> {
    let (_, rest) = program.split_once(BEGIN)?;
    rest.split_once(END).map(|(excerpt, _)| excerpt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_stands_between_its_marks() {
        assert_eq!(excerpt("a\n// README begin\nb\n// README end\nc"), Some("b\n"));
        assert_eq!(excerpt("a\n// README begin\nb\n"), None);
    }
}
