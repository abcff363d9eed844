//! `cargo xtask stack`: the most stack that each public entry can need, from the frames that the
//! compiler writes down and the calls in the linked object. No recursion, and a bound for each
//! image, committed in packaging/stack.toml.
//!
//! Calls through a register are resolved by hand, in that file, each with its reason; a function
//! that makes one and is not listed fails the check, and so does an entry of the list that nothing
//! needs, or that names what an object which needs it does not have. The stack of what others bring
//! (the C library, functions of clients) is theirs.

mod code;
mod graph;
mod image;

use std::collections::BTreeSet;
use std::fs;

use anyhow::{ensure, Context, Result};
use serde::Deserialize;

use crate::steps::{Outcome, Tally};
use crate::{core_alone, cross, product, workspace};

use graph::Graph;
use image::Image;

const FILE: &str = "packaging/stack.toml";
/// Entries that are printed for each image.
const SHOWN: usize = 12;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Print every entry, and how it gets there
    #[arg(long)]
    verbose: bool,
}

/// What packaging/stack.toml says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    image: Vec<Bounds>,
    #[serde(default)]
    edge: Vec<Edge>,
    #[serde(default)]
    frame: Vec<Frame>,
    #[serde(default)]
    repeat: Vec<Repeat>,
}

/// A function that calls itself, but not without end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    /// Its whole name, without hashes.
    function: String,
    /// How many of its frames there can be at once.
    times: u64,
    reason: String,
}

/// A function in assembly, of whose frame the compiler says nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame {
    /// Its whole name.
    function: String,
    bytes: u64,
    reason: String,
}

/// An object that is looked at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    /// Short name of a target, or the core alone.
    name: String,
    /// Most bytes of each entry.
    bytes: u64,
    /// Functions that are entries of their own, with a bound of their own: whoever calls them
    /// needs that much on top.
    #[serde(default)]
    apart: Vec<Apart>,
    /// Entries that need more, each with its own bound. One that no longer does is a finding.
    #[serde(default)]
    above: Vec<Apart>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Apart {
    function: String,
    bytes: u64,
    reason: String,
}

/// Whom functions call through a register.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edge {
    /// Part of the name of the caller, without hashes.
    from: String,
    /// Parts of names of what it can call, each of which some function has; none if that is
    /// others' code.
    to: Vec<String>,
    /// It calls functions whose addresses are in its own code: a compiler that saves bytes keeps
    /// the address of what is called several times in a register. At least so many; 0: none.
    #[serde(default)]
    addresses: usize,
    reason: String,
}

/// Result of one entry.
struct Entry {
    name: String,
    bytes: u64,
    path: Vec<String>,
    bound: u64,
    /// The bound is its own, as this is not enough.
    above: Option<u64>,
}

/// Most bytes that entries may need, as rows of a table: the first has the images' names, the
/// others a function and a number for each image, or `–` where nothing is said of it.
pub(crate) fn bounds() -> Result<Vec<Vec<String>>> {
    let images = read()?.image;
    let row = |name: String, bytes: &dyn Fn(&Bounds) -> Option<u64>| {
        let cells = images.iter().map(|image| bytes(image).map_or("–".into(), |n| n.to_string()));
        [name].into_iter().chain(cells).collect()
    };
    let own = |list: &[Apart], name: &str| {
        list.iter().find(|apart| apart.function == name).map(|apart| apart.bytes)
    };
    let names = |list: &dyn Fn(&Bounds) -> &[Apart]| -> BTreeSet<String> {
        images.iter().flat_map(list).map(|apart| apart.function.clone()).collect()
    };
    let heads = images.iter().map(|image| image.name.clone());
    let mut rows = vec![["Stack of a call, bytes".into()].into_iter().chain(heads).collect()];
    rows.push(row("each but these".into(), &|image| Some(image.bytes)));
    for name in names(&|image| &image.above) {
        rows.push(row(format!("`{name}`"), &|image| own(&image.above, &name)));
    }
    for name in names(&|image| &image.apart) {
        let shown = format!("on top: `{name}`");
        rows.push(row(shown, &|image| own(&image.apart, &name)));
    }
    Ok(rows)
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let data = read()?;
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for bounds in &data.image {
        let mut entries = analyse(bounds, &data, &mut used)?;
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.bytes));
        let most = entries.first().map_or(0, |entry| entry.bytes);
        println!("{}: {} entries, at most {most} bytes", bounds.name, entries.len());
        let shown = if options.verbose { entries.len() } else { SHOWN };
        for entry in entries.iter().take(shown) {
            println!("  {:>6}  {}", entry.bytes, entry.name);
            if options.verbose {
                println!("          {}", entry.path.join("\n          "));
            }
        }
        wrong.extend(entries.iter().filter_map(complaint));
    }
    wrong.extend(unused(&data, &used));
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The same as a step of `cargo xtask test`; an entry is a check.
pub(crate) fn check() -> Outcome {
    let all = || -> Result<Tally> {
        let data = read()?;
        let mut used = BTreeSet::new();
        let mut entries = Vec::new();
        for bounds in &data.image {
            entries.extend(analyse(bounds, &data, &mut used)?);
        }
        let wrong: Vec<String> =
            entries.iter().filter_map(complaint).chain(unused(&data, &used)).collect();
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(Tally { passed: u64::try_from(entries.len())?, failed: 0 })
    };
    all().into()
}

fn read() -> Result<Data> {
    let text = fs::read_to_string(workspace::root().join(FILE)).context(FILE)?;
    let data: Data = toml::from_str(&text).context(FILE)?;
    let apart = data.image.iter().flat_map(|image| image.apart.iter().chain(&image.above));
    let reasons = data.edge.iter().map(|edge| &edge.reason).chain(apart.map(|a| &a.reason));
    let reasons = reasons.chain(data.repeat.iter().map(|repeat| &repeat.reason));
    let reasons = reasons.chain(data.frame.iter().map(|frame| &frame.reason));
    for reason in reasons {
        ensure!(!reason.trim().is_empty(), "{FILE}: everything has a reason");
    }
    Ok(data)
}

fn complaint(entry: &Entry) -> Option<String> {
    if let Some(enough) = entry.above.filter(|enough| entry.bytes <= *enough) {
        return Some(format!("{}: needs no bound of its own, {enough} are enough", entry.name));
    }
    (entry.bytes > entry.bound).then(|| {
        let Entry { name, bytes, bound, path, .. } = entry;
        format!("{name}: {bytes} bytes of stack, at most {bound}:\n    {}", path.join("\n    "))
    })
}

fn unused<'a>(data: &'a Data, used: &'a BTreeSet<usize>) -> impl Iterator<Item = String> + 'a {
    let edges = data.edge.iter().enumerate().filter(|(index, _)| !used.contains(index));
    edges.map(|(_, edge)| format!("{FILE}: nothing needs the edges from `{}`", edge.from))
}

fn analyse(bounds: &Bounds, data: &Data, used: &mut BTreeSet<usize>) -> Result<Vec<Entry>> {
    let (object, entries) = match bounds.name.as_str() {
        core_alone::NAME => {
            let linked = core_alone::reachable(cross::find("thumbv7em")?)?;
            (linked.object, linked.entries)
        }
        name => {
            let product = product::build(name)?;
            (product.reachable, product.report.exported)
        }
    };
    let mut image = Image::read(&object)?;
    for Frame { function: name, bytes, .. } in &data.frame {
        let named = image.functions.iter_mut().filter(|function| function.names.contains(name));
        named.for_each(|function| function.frame = function.frame.or(Some(*bytes)));
    }
    for Repeat { function: name, times, .. } in &data.repeat {
        image.repeat(name, *times);
    }
    judge(&image, &entries, bounds, &data.edge, used).with_context(|| bounds.name.clone())
}

fn judge(
    image: &Image,
    names: &BTreeSet<String>,
    bounds: &Bounds,
    edges: &[Edge],
    used: &mut BTreeSet<usize>,
) -> Result<Vec<Entry>> {
    let mut graph = Graph::new(image);
    let mut entries = Vec::new();
    for part in &bounds.apart {
        let found = graph.named(&part.function);
        ensure!(!found.is_empty(), "no function is named `{}`", part.function);
        entries.extend(found.iter().map(|function| (*function, part.bytes)));
        graph.cut(&found);
    }
    for (place, function) in image.functions.iter().enumerate() {
        // What formats for people is for development.
        let is_entry = function.names.iter().any(|name| names.contains(name));
        if is_entry && !function.shown().contains(" as core::fmt::") {
            entries.push((place, bounds.bytes));
        }
    }
    let places: Vec<usize> = entries.iter().map(|(place, _)| *place).collect();
    graph.resolve(&places, edges, used)?;
    let worst = graph.worst(&places)?;
    for above in &bounds.above {
        let is_entry = names.contains(&above.function);
        ensure!(is_entry, "no entry is named `{}`", above.function);
    }
    let show = |place: usize, bound: u64| {
        let names = &image.functions[place].names;
        let above = bounds.above.iter().find(|above| names.contains(&above.function));
        Entry {
            name: image.functions[place].shown(),
            bytes: worst.bytes(place),
            path: worst.path(place).map(|at| image.describe(at)).collect(),
            bound: above.map_or(bound, |above| above.bytes),
            above: above.map(|_| bound),
        }
    };
    Ok(entries.into_iter().map(|(place, bound)| show(place, bound)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_holds_and_one_that_is_not_needed_is_a_finding() {
        let entry = |bytes, bound, above| Entry {
            name: "f".to_owned(),
            bytes,
            path: Vec::new(),
            bound,
            above,
        };
        assert!(complaint(&entry(100, 100, None)).is_none());
        assert!(complaint(&entry(101, 100, None)).is_some());
        assert!(complaint(&entry(101, 200, Some(100))).is_none());
        assert!(complaint(&entry(201, 200, Some(100))).is_some());
        assert!(complaint(&entry(100, 200, Some(100))).is_some());
    }

    #[test]
    fn the_committed_file_is_read_and_has_reasons() {
        let data = read().unwrap();
        assert!(!data.image.is_empty() && !data.edge.is_empty());
    }
}
