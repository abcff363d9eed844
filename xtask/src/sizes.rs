//! `cargo xtask sizes`: how much memory the code takes on every target, against a committed table.
//!
//! Measured is what a linker leaves of the static library if a program uses every exported function
//! (text with constants, initialised data, zeroed data). The core alone, without the virtual HTP,
//! is measured in the same way, compiled for size.

use std::collections::BTreeMap;
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

type Table = BTreeMap<String, Size>;

pub(crate) fn run(options: &Options) -> Result<()> {
    let known: Vec<&str> = product::names().chain([core_alone::NAME]).collect();
    for name in &options.only {
        ensure!(known.contains(&name.as_str()), "no `{name}`; there are {}", known.join(", "));
    }
    let mut table = read()?;
    let (mut lines, mut wrong) = (String::new(), Vec::new());
    for name in known {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        let bar = steps::spinner(name);
        let size = measure_target(name)?;
        bar.finish_and_clear();
        let Size { text, data, bss } = size;
        writeln!(lines, "{name:<16} text {text:>9}  data {data:>6}  bss {bss:>7}")?;
        wrong.extend(judge(name, size, table.get(name).filter(|_| !options.write)).err());
        table.insert(name.to_owned(), size);
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
    let all = || -> Result<Tally> {
        let table = read()?;
        let mut tally = Tally::default();
        for name in [product::HOST].into_iter().chain(cross::TESTED).chain([core_alone::NAME]) {
            judge(name, measure_target(name)?, table.get(name))?;
            tally.add(Tally::ONE);
        }
        Ok(tally)
    };
    all().into()
}

fn measure_target(name: &str) -> Result<Size> {
    match name {
        core_alone::NAME => measure(&core_alone::reachable(cross::find("thumbv7em")?)?.object),
        _ => measure(&product::build(name)?.reachable),
    }
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
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Table::new()),
        Err(error) => Err(error).context(TABLE),
    }
}

fn show(table: &Table) -> String {
    let mut text = String::from(
        "# Bytes that the library takes on each target: what a linker leaves if every exported\n\
         # function is used. Written by `cargo xtask sizes --write`; two per cent more fail.\n",
    );
    for (name, Size { text: code, data, bss }) in table {
        text.push_str(&format!("\n[{name}]\ntext = {code}\ndata = {data}\nbss = {bss}\n"));
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
        let table = Table::from([("host".to_owned(), BEFORE), ("b".to_owned(), Size::default())]);
        assert_eq!(toml::from_str::<Table>(&show(&table)).unwrap(), table);
    }

    #[test]
    fn this_program_has_all_three() {
        let size = measure(&std::env::current_exe().unwrap()).unwrap();
        assert!(size.text > size.data && size.data > 0 && size.bss > 0, "{size:?}");
    }
}
