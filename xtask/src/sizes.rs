//! `cargo xtask sizes`: how much memory the code takes on every target, against a committed table.
//!
//! Measured is what a linker leaves of the static library if a program uses every exported function
//! (text with constants, initialised data, zeroed data). The core alone, without the virtual HTP,
//! is measured in the same way, compiled for size; so are its tables with the default capacities.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{bail, ensure, Context as _, Result};
use object::{Object, ObjectSection, SectionFlags};
use serde::Deserialize;

use crate::steps::{self, Outcome, Tally};
use crate::{core_alone, cross, product, workspace};

const TABLE: &str = "packaging/sizes.toml";
/// What may be added without a word: one part in this many, or [`SLACK_BYTES`] if that is more.
const GROWTH: u64 = 50;
const SLACK_BYTES: u64 = 64;
/// Most bytes of text that the core alone may take.
const CORE_TEXT_MAX: u64 = 96 * 1024;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measure these targets only, by their short names; the core alone is `core-thumbv7em`
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Write the table instead of comparing with it
    #[arg(long)]
    write: bool,
}

/// Bytes of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Size {
    /// Code and constants.
    pub(crate) text: u64,
    /// Initialised variables.
    pub(crate) data: u64,
    /// Variables that begin as zeroes.
    pub(crate) bss: u64,
}

/// Bytes of each table of the runtime with the default capacities.
type Tables = BTreeMap<String, u64>;

/// What the committed file has.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
struct Table {
    /// On targets with 32-bit addresses.
    #[serde(default)]
    tables: Tables,
    #[serde(flatten)]
    targets: BTreeMap<String, Size>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let known: Vec<&str> = known().collect();
    for name in &options.only {
        ensure!(known.contains(&name.as_str()), "no `{name}`; there are {}", known.join(", "));
    }
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|o| o == name);
    cross::build_together(wanted)?;
    let mut table = read()?;
    let (mut lines, mut wrong) = (String::new(), Vec::new());
    for name in known.into_iter().filter(|name| wanted(name)) {
        let bar = steps::spinner(name);
        let (size, tables) = measure_target(name)?;
        bar.finish_and_clear();
        let Size { text, data, bss } = size;
        writeln!(lines, "{name:<16} text {text:>9}  data {data:>6}  bss {bss:>7}")?;
        wrong.extend(judge(name, size, table.targets.get(name).filter(|_| !options.write)).err());
        table.targets.insert(name.to_owned(), size);
        if let Some(tables) = tables {
            for (table, bytes) in &tables {
                writeln!(lines, "    {table:<16} {bytes:>8} by default")?;
            }
            wrong.extend(judge_tables(&tables, &table.tables).err().filter(|_| !options.write));
            table.tables = tables;
        }
    }
    print!("{lines}");
    if options.write {
        fs::write(workspace::root().join(TABLE), show(&table)).context(TABLE)?;
        wrong.retain(|error| !error.to_string().contains("not in"));
    }
    let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The targets that `cargo xtask test` builds anyway, and the core alone.
pub(crate) fn check() -> Outcome {
    check_those([product::HOST].into_iter().chain(cross::TESTED)).into()
}

/// Every target, and the core alone.
pub(crate) fn check_all() -> Outcome {
    let built = cross::build_together(|_| true);
    built.and_then(|()| check_those(product::names())).into()
}

fn check_those<'a>(targets: impl Iterator<Item = &'a str>) -> Result<Tally> {
    let table = read()?;
    has_exactly(&table, known())?;
    let mut tally = Tally::ONE;
    let mut wrong = Vec::new();
    for name in targets.chain([core_alone::NAME]) {
        let (size, tables) = measure_target(name)?;
        let tables = tables.map(|tables| judge_tables(&tables, &table.tables));
        for result in [judge(name, size, table.targets.get(name))].into_iter().chain(tables) {
            match result {
                Ok(()) => tally.add(Tally::ONE),
                Err(error) => wrong.push(error.to_string()),
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(tally)
}

/// Names of all that is measured.
fn known() -> impl Iterator<Item = &'static str> {
    product::names().chain([core_alone::NAME])
}

/// The table has what is measured: what it lacked would be compared with nothing, and what it has
/// besides, nobody compares.
fn has_exactly<'a>(table: &Table, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let names: BTreeSet<&str> = names.collect();
    let listed: BTreeSet<&str> = table.targets.keys().map(String::as_str).collect();
    let wrong: Vec<&str> = names.symmetric_difference(&listed).copied().collect();
    ensure!(
        wrong.is_empty(),
        "{TABLE} does not have exactly the targets there are: {}",
        wrong.join(", ")
    );
    ensure!(!table.tables.is_empty(), "{TABLE} has no tables of the runtime");
    Ok(())
}

/// Of the core alone also its tables.
fn measure_target(name: &str) -> Result<(Size, Option<Tables>)> {
    if name != core_alone::NAME {
        return Ok((measure(&product::build(name)?.reachable)?, None));
    }
    let linked = core_alone::reachable(cross::find("thumbv7em")?)?;
    let tables = linked.default_bytes()?.into_iter();
    let tables = tables.map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    Ok((measure(&linked.object)?, Some(tables)))
}

/// The runtime's tables with the default capacities on targets with 32-bit addresses.
pub(crate) fn tables_of_32_bits() -> Result<BTreeMap<String, u64>> {
    Ok(read()?.tables)
}

fn judge_tables(now: &Tables, before: &Tables) -> Result<()> {
    let remedy = "`cargo xtask sizes --write`, then `cargo xtask safety`";
    ensure!(now == before, "tables have other sizes than {TABLE} says: {remedy}");
    Ok(())
}

fn judge(name: &str, size: Size, before: Option<&Size>) -> Result<()> {
    if name == core_alone::NAME && size.text > CORE_TEXT_MAX {
        bail!("{name}: {} bytes of text, at most {CORE_TEXT_MAX} are allowed", size.text);
    }
    let before = before.with_context(|| format!("{name} is not in {TABLE}"))?;
    let parts = [
        ("text", size.text, before.text),
        ("data", size.data, before.data),
        ("bss", size.bss, before.bss),
    ];
    for (part, now, before) in parts {
        let allowed = before + (before / GROWTH).max(SLACK_BYTES);
        ensure!(
            now <= allowed,
            "{name}: {part} grew from {before} to {now} bytes, more than 2 %; if it shall, \
             `cargo xtask sizes --write`"
        );
    }
    Ok(())
}

/// What the sections of an object take in memory.
pub(crate) fn measure(path: &Path) -> Result<Size> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = object::File::parse(&*bytes)?;
    let mut size = Size::default();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        if sh_flags & u64::from(object::elf::SHF_ALLOC) == 0 {
            continue;
        }
        let place = match sh_flags & u64::from(object::elf::SHF_WRITE) != 0 {
            _ if section.kind() == object::SectionKind::UninitializedData => &mut size.bss,
            true => &mut size.data,
            false => &mut size.text,
        };
        *place += section.size();
    }
    Ok(size)
}

fn read() -> Result<Table> {
    let path = workspace::root().join(TABLE);
    match fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).context(TABLE),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Table::default()),
        Err(error) => Err(error).context(TABLE),
    }
}

fn show(table: &Table) -> String {
    let mut text = String::from(
        "# Bytes that the library takes on each target: what a linker leaves if every exported\n\
         # function is used. Written by `cargo xtask sizes --write`; two per cent more fail.\n",
    );
    for (name, Size { text: code, data, bss }) in &table.targets {
        text.push_str(&format!("\n[{name}]\ntext = {code}\ndata = {data}\nbss = {bss}\n"));
    }
    text.push_str(
        "\n# The runtime's tables with the default capacities, where addresses have 32 bits.\n",
    );
    text.push_str("[tables]\n");
    for (name, bytes) in &table.tables {
        text.push_str(&format!("{name} = {bytes}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Size = Size { text: 10_000, data: 0, bss: 500 };

    #[test]
    fn two_per_cent_pass_and_more_does_not() {
        assert!(judge("a", Size { text: 10_200, ..BEFORE }, Some(&BEFORE)).is_ok());
        let error = judge("a", Size { text: 10_201, ..BEFORE }, Some(&BEFORE)).unwrap_err();
        assert!(error.to_string().contains("text grew from 10000 to 10201"), "{error}");
        assert!(judge("a", Size { text: 1, ..BEFORE }, Some(&BEFORE)).is_ok());
        assert!(judge("a", Size { data: 65, ..BEFORE }, Some(&BEFORE)).is_err());
        assert!(judge("a", Size { bss: 565, ..BEFORE }, Some(&BEFORE)).is_err());
        assert!(judge("a", BEFORE, None).is_err());
    }

    #[test]
    fn the_core_has_a_bound_of_its_own() {
        let size = Size { text: CORE_TEXT_MAX + 1, ..BEFORE };
        assert!(judge(core_alone::NAME, size, Some(&size)).is_err());
        assert!(judge("host", size, Some(&size)).is_ok());
    }

    #[test]
    fn a_written_table_is_read_back() {
        let targets = [("host".to_owned(), BEFORE), ("b".to_owned(), Size::default())].into();
        let table = Table { tables: [("graphs".to_owned(), 7)].into(), targets };
        assert_eq!(toml::from_str::<Table>(&show(&table)).unwrap(), table);
    }

    #[test]
    fn the_table_has_all_that_is_measured_and_nothing_else() {
        let table = read().unwrap();
        has_exactly(&table, known()).unwrap();
        let more = has_exactly(&table, known().chain(["pdp11"])).unwrap_err().to_string();
        let fewer = has_exactly(&table, known().skip(1)).unwrap_err().to_string();
        assert!(more.contains(": pdp11") && fewer.contains(": host"), "{more} {fewer}");
        let no_tables = Table { tables: Tables::new(), ..table };
        assert!(has_exactly(&no_tables, known()).is_err());
    }

    #[test]
    fn a_table_of_another_size_is_a_finding() {
        let tables = |bytes| Tables::from([("graphs".to_owned(), bytes)]);
        assert!(judge_tables(&tables(7), &tables(7)).is_ok());
        assert!(judge_tables(&tables(7), &tables(8)).is_err());
        assert!(judge_tables(&tables(7), &Tables::new()).is_err());
    }

    #[test]
    fn this_program_has_all_three() {
        let size = measure(&std::env::current_exe().unwrap()).unwrap();
        assert!(size.text > size.data && size.data > 0 && size.bss > 0, "{size:?}");
    }
}
