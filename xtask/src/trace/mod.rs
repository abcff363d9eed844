//! `cargo xtask trace`: which tests prove which requirement of docs/requirements.toml.

mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{bail, Context, Result};
use serde::Deserialize;

use crate::workspace::{self, SourceFile};

const REQUIREMENTS: &str = "docs/requirements.toml";
const FOLDERS: [&str; 6] = ["src/", "ffi/", "tests/", "sim/", "examples/", "benches/"];
const EXTENSIONS: [&str; 4] = ["rs", "c", "cpp", "hpp"];

#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// List every requirement with its tests
    #[arg(long, short)]
    verbose: bool,
    /// List the `must` requirements without a test
    #[arg(long)]
    missing: bool,
}

/// One requirement; the file has more fields, for readers.
#[derive(Clone, Debug, Deserialize)]
struct Requirement {
    id: String,
    area: String,
    priority: Priority,
    text: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Priority {
    Must,
    Should,
    Info,
}

#[derive(Deserialize)]
struct Catalogue {
    req: Vec<Requirement>,
}

/// Requirements with the tests that name them.
struct Trace {
    requirements: Vec<Requirement>,
    /// By requirement id: `file:line test`.
    tests: BTreeMap<String, Vec<String>>,
    problems: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let trace = Trace::read()?;
    if options.verbose {
        trace.print_each();
    }
    trace.print_areas();
    if options.missing {
        trace.print_missing();
    }
    trace.verdict()
}

/// Fails on comments that name no requirement or no test; prints nothing.
pub(crate) fn check() -> Result<()> {
    Trace::read()?.verdict()
}

impl Trace {
    fn read() -> Result<Self> {
        let root = workspace::root();
        let path = root.join(REQUIREMENTS);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {REQUIREMENTS}"))?;
        let catalogue = parse(&text).with_context(|| REQUIREMENTS.to_owned())?;
        Ok(Trace::of(catalogue, &workspace::text_files(&root)?))
    }

    fn of(requirements: Vec<Requirement>, files: &[SourceFile]) -> Self {
        let known: BTreeSet<String> = requirements.iter().map(|r| r.id.clone()).collect();
        let mut trace = Trace { requirements, tests: BTreeMap::new(), problems: Vec::new() };
        for file in files {
            let path = &file.path;
            let wanted = FOLDERS.iter().any(|folder| path.starts_with(folder))
                && EXTENSIONS.contains(&file.extension());
            if !wanted {
                continue;
            }
            let found = scan::scan(path, &file.text);
            for problem in found.problems {
                trace.problems.push(format!("{path}:{}: {}", problem.line, problem.what));
            }
            for mention in found.mentions {
                let place = format!("{path}:{}", mention.line);
                if known.contains(&mention.id) {
                    let tests = trace.tests.entry(mention.id).or_default();
                    tests.push(format!("{place} {}", mention.test));
                } else {
                    trace.problems.push(format!("{place}: {} does not exist", mention.id));
                }
            }
        }
        trace
    }

    fn covered(&self, requirement: &Requirement) -> bool {
        self.tests.contains_key(&requirement.id)
    }

    fn verdict(&self) -> Result<()> {
        if self.problems.is_empty() {
            return Ok(());
        }
        bail!("requirement comments:\n  {}", self.problems.join("\n  "));
    }

    fn print_areas(&self) {
        let mut areas: BTreeMap<&str, Row> = BTreeMap::new();
        let mut sum = Row::default();
        for requirement in &self.requirements {
            let covered = self.covered(requirement);
            areas.entry(&requirement.area).or_default().count(requirement.priority, covered);
            sum.count(requirement.priority, covered);
        }
        println!("area     total   must  tested  must tested   share of must");
        for (area, row) in &areas {
            println!("{}", row.line(area));
        }
        println!("{}", sum.line("all"));
    }

    fn print_each(&self) {
        for requirement in &self.requirements {
            let text = shorten(&requirement.text, 84);
            println!("{:<10} {:?}  {text}", requirement.id, requirement.priority);
            for test in self.tests.get(&requirement.id).into_iter().flatten() {
                println!("           {test}");
            }
        }
        println!();
    }

    fn print_missing(&self) {
        println!("\nmust, without a test:");
        let missing = |r: &&Requirement| r.priority == Priority::Must && !self.covered(r);
        for requirement in self.requirements.iter().filter(missing) {
            println!("{:<10} {}", requirement.id, shorten(&requirement.text, 88));
        }
    }
}

/// Counts of one area.
#[derive(Default)]
struct Row {
    total: u32,
    must: u32,
    tested: u32,
    must_tested: u32,
}

impl Row {
    fn count(&mut self, priority: Priority, covered: bool) {
        let must = u32::from(priority == Priority::Must);
        let covered = u32::from(covered);
        self.total += 1;
        self.must += must;
        self.tested += covered;
        self.must_tested += must * covered;
    }

    fn line(&self, area: &str) -> String {
        let Row { total, must, tested, must_tested } = self;
        let share = match must {
            0 => "-".to_owned(),
            _ => format!("{:.1} %", f64::from(*must_tested) * 100.0 / f64::from(*must)),
        };
        format!("{area:<8} {total:>5}  {must:>5}  {tested:>6}  {must_tested:>11}  {share:>14}")
    }
}

/// Reads the list and checks that it is one: unique ids that begin with their area.
fn parse(text: &str) -> Result<Vec<Requirement>> {
    let catalogue: Catalogue = toml::from_str(text)?;
    let mut seen = BTreeSet::new();
    for Requirement { id, area, text, .. } in &catalogue.req {
        if !seen.insert(id) {
            bail!("{id} is there twice");
        }
        if !id.strip_prefix(area.as_str()).is_some_and(|number| number.starts_with('-')) {
            bail!("{id} does not begin with its area {area}");
        }
        if text.trim().is_empty() {
            bail!("{id} says nothing");
        }
    }
    Ok(catalogue.req)
}

fn shorten(text: &str, characters_max: usize) -> String {
    if text.chars().count() <= characters_max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(characters_max.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
        [[req]]
        id = "SSR-001"
        area = "SSR"
        priority = "must"
        text = "a"
        [[req]]
        id = "SSR-002"
        area = "SSR"
        priority = "info"
        text = "b"
    "#;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn tests_are_filed_under_their_requirement() {
        let text = "// REQ: SSR-001\n#[test]\nfn restarts() {}\n";
        let trace = Trace::of(parse(LIST).unwrap(), &[file("src/ssr.rs", text)]);
        assert_eq!(trace.tests["SSR-001"], ["src/ssr.rs:3 restarts"]);
        assert!(!trace.covered(&trace.requirements[1]));
        assert!(trace.verdict().is_ok());
    }

    #[test]
    fn an_unknown_id_fails() {
        let text = "// REQ: SSR-003\n#[test]\nfn restarts() {}\n";
        let trace = Trace::of(parse(LIST).unwrap(), &[file("src/ssr.rs", text)]);
        let error = trace.verdict().unwrap_err().to_string();
        assert!(error.contains("src/ssr.rs:3: SSR-003 does not exist"), "{error}");
    }

    #[test]
    fn other_folders_and_other_files_are_not_read() {
        let text = "// REQ: SSR-003\n";
        let trace =
            Trace::of(parse(LIST).unwrap(), &[file("docs/a.rs", text), file("src/a.md", text)]);
        assert!(trace.verdict().is_ok());
    }

    #[test]
    fn a_broken_list_is_refused() {
        assert!(parse(&LIST.replace("SSR-002", "SSR-001")).is_err());
        assert!(parse(&LIST.replace("area = \"SSR\"", "area = \"SS\"")).is_err());
        assert!(parse(&LIST.replace("must", "perhaps")).is_err());
        assert!(parse(&LIST.replace("\"b\"", "\"\"")).is_err());
    }

    #[test]
    fn the_share_is_that_of_the_must_requirements() {
        let mut row = Row::default();
        row.count(Priority::Must, true);
        row.count(Priority::Must, false);
        row.count(Priority::Should, true);
        assert!(row.line("SSR").ends_with("50.0 %"), "{}", row.line("SSR"));
    }
}
