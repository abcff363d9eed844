//! `cargo xtask conformance`: asks this library the measured cases of the vendor's backend.
//!
//! Each answer agrees, differs on purpose (a rule of `differences.toml` says why), or is wrong.

mod compare;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use console::style;

use self::compare::{Answer, Asked, Comparison, Difference, Verdict};
use crate::programs::{self, Language};
use crate::steps::{self, Outcome, Tally};
use crate::{ort, process, staticlib, workspace};

const FOLDER: &str = "tests/conformance";
/// Every scenario is a process that loads the library.
const RUN_LIMIT: Duration = Duration::from_secs(10 * 60);
/// Wrong answers of one run that are worth printing.
const WRONG_SHOWN_MAX: usize = 60;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Ask the vendor's backend instead (from PyPI): does the program ask what was measured?
    #[arg(long)]
    vendor: bool,
    /// Only scenarios whose name begins so
    #[arg(long, default_value = "")]
    scenario: String,
    /// Name every case that differs on purpose
    #[arg(long)]
    all: bool,
}

/// Asks, compares, prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let bar = steps::spinner("asking the measured cases");
    let comparison = compare(options.vendor, &options.scenario);
    bar.finish_and_clear();
    let comparison = comparison?;
    print!("{}", report(&comparison, options.all));
    ensure!(comparison.wrong() == 0, "{} wrong", comparison.wrong());
    Ok(())
}

/// The whole table as checks of `cargo xtask test`.
pub(crate) fn check() -> Outcome {
    match compare(false, "") {
        Ok(comparison) => {
            let failed = comparison.wrong() as u64;
            let passed = comparison.cases.len() as u64 - failed.min(comparison.cases.len() as u64);
            let failure = (failed > 0).then(|| report(&comparison, false));
            Outcome::new(Tally { passed, failed }, failure)
        }
        Err(error) => Outcome::from(Err(error)),
    }
}

fn compare(vendor: bool, scenario: &str) -> Result<Comparison> {
    let measured = compare::parse(&read("measured.tsv")?)?;
    let differences = if vendor { Vec::new() } else { differences()? };
    let (backend, system) = if vendor { ort::vendor_libraries()? } else { own_libraries()? };
    let answers = ask(&backend, &system, scenario)?;
    let wanted = |answer: &Answer| answer.scenario.starts_with(scenario);
    Ok(Comparison::new(
        measured.into_iter().filter(wanted).collect(),
        answers,
        differences,
        Asked { ours: !vendor, whole: scenario.is_empty() },
    ))
}

fn own_libraries() -> Result<(PathBuf, PathBuf)> {
    let library = staticlib::release()?.with_file_name("libhtp_runtime.so");
    ensure!(library.is_file(), "the build made no {}", library.display());
    Ok((library.clone(), library))
}

/// Builds the program and takes down its answers.
fn ask(backend: &Path, system: &Path, scenario: &str) -> Result<Vec<Answer>> {
    let folder = workspace::target_dir().join("xtask/conformance");
    fs::create_dir_all(&folder)?;
    let program = folder.join("conformance");
    let mut compile = programs::compile_command(&Language::Cpp.compiler()?, "c++17");
    compile.args(programs::sources(&workspace::root().join(FOLDER), "cpp")?);
    compile.args(["-O1", "-pthread", "-ldl", "-o"]).arg(&program);
    process::succeed(&mut compile, process::BUILD_LIMIT)?;
    let answers = folder.join("answers.tsv");
    let mut run = Command::new(&program);
    run.arg(backend).arg(system).arg(&answers).arg(scenario);
    process::succeed(&mut run, RUN_LIMIT)?;
    compare::parse(&fs::read_to_string(answers)?)
}

fn differences() -> Result<Vec<Difference>> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        difference: Vec<Difference>,
    }
    let file: File = toml::from_str(&read("differences.toml")?)?;
    let known = decisions()?;
    for difference in &file.difference {
        let name = &difference.decision;
        ensure!(known.contains(name), "differences.toml: there is no decision {name}");
    }
    Ok(file.difference)
}

/// Names of decisions: rulings, requirements, decision records.
fn decisions() -> Result<HashSet<String>> {
    let docs = workspace::root().join("docs");
    let rulings = fs::read_to_string(docs.join("decisions.md"))?;
    let requirements = fs::read_to_string(docs.join("requirements.toml"))?;
    let mut names = named(&rulings, &requirements);
    for record in fs::read_dir(docs.join("adr"))? {
        let name = record?.file_name();
        let number = name.to_string_lossy().chars().take(3).collect::<String>();
        names.insert(format!("ADR-{number}"));
    }
    Ok(names)
}

/// The rulings that have a heading, and the requirements that have an entry.
fn named(rulings: &str, requirements: &str) -> HashSet<String> {
    let headings = rulings.lines().filter_map(|line| line.strip_prefix("## ")?.split(' ').next());
    let entries =
        requirements.lines().filter_map(|line| line.strip_prefix("id = \"")?.strip_suffix('"'));
    headings.chain(entries).map(str::to_owned).collect()
}

fn read(file: &str) -> Result<String> {
    let path = Path::new(FOLDER).join(file);
    fs::read_to_string(workspace::root().join(&path))
        .with_context(|| format!("cannot read {}", path.display()))
}

/// The table by area, the differences by rule, what is wrong.
fn report(comparison: &Comparison, all: bool) -> String {
    let mut areas: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for case in &comparison.cases {
        let counts = areas.entry(case.area()).or_default();
        counts[case.verdict.column()] += 1;
    }
    let mut text =
        format!("{:<14}{:>7}{:>8}{:>12}{:>8}\n", "area", "cases", "agree", "on purpose", "wrong");
    let mut total = [0; 3];
    for (area, counts) in &areas {
        text += &row(area, *counts);
        (0..3).for_each(|column| total[column] += counts[column]);
    }
    text += &row("all", total);
    text += &purposes(comparison, all);
    text += &wrongs(comparison);
    text += &format!(
        "\nconformance: {} agree, {} differ on purpose, {} wrong\n",
        total[0],
        total[1],
        comparison.wrong()
    );
    text
}

fn row(area: &str, counts: [usize; 3]) -> String {
    let cases: usize = counts.iter().sum();
    format!("{area:<14}{cases:>7}{:>8}{:>12}{:>8}\n", counts[0], counts[1], counts[2])
}

fn purposes(comparison: &Comparison, all: bool) -> String {
    let mut text = String::from("\ndiffers on purpose\n");
    for (index, difference) in comparison.differences.iter().enumerate() {
        let cases: Vec<_> = comparison
            .cases
            .iter()
            .filter(|case| case.verdict == Verdict::Purpose(index))
            .collect();
        let Some(first) = cases.first() else { continue };
        text += &format!(
            "{:>5}  {}, the vendor's backend {}: {} ({})\n",
            cases.len(),
            first.answer.result,
            first.measured.result,
            difference.reason,
            difference.decision
        );
        for case in cases.iter().filter(|_| all) {
            text += &format!("         {}\n", case.name());
        }
    }
    text
}

fn wrongs(comparison: &Comparison) -> String {
    let mut lines: Vec<String> = Vec::new();
    for case in comparison.cases.iter().filter(|case| case.verdict == Verdict::Wrong) {
        lines.push(format!(
            "{}\n         measured  {}\n         answered  {}\n",
            case.name(),
            case.measured.shown(),
            case.answer.shown()
        ));
    }
    lines.extend(comparison.complaints.iter().map(|complaint| format!("{complaint}\n")));
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", style("wrong").red().bold());
    for line in lines.iter().take(WRONG_SHOWN_MAX) {
        text += &format!("       {line}");
    }
    if lines.len() > WRONG_SHOWN_MAX {
        text += &format!("       and {} more\n", lines.len() - WRONG_SHOWN_MAX);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_has_a_heading_or_an_entry_of_its_whole_name() {
        let names = named("## C-11 Title\n- where: C-2\n", "id = \"LOG-012\"\nnote = \"C-3\"\n");
        assert_eq!(names, HashSet::from(["C-11".to_owned(), "LOG-012".to_owned()]));
    }
}
