//! The longest path through the calls.

use std::collections::BTreeSet;

use anyhow::{bail, Result};

use super::image::{Function, Image};
use super::Edge;

/// Calls, with those through registers resolved.
pub(super) struct Graph<'a> {
    functions: &'a [Function],
    calls: Vec<BTreeSet<usize>>,
    /// Called, and counted apart.
    cut: BTreeSet<usize>,
}

/// Most bytes of each function with all that it calls, and the call that needs them.
pub(super) struct Worst {
    found: Vec<Option<(u64, Option<usize>)>>,
}

impl Worst {
    /// Of a function that an entry reaches.
    pub(super) fn bytes(&self, function: usize) -> u64 {
        self.found[function].map_or(0, |(bytes, _)| bytes)
    }

    /// The function and what it calls, down to the last.
    pub(super) fn path(&self, function: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(function), |at| self.found[*at]?.1)
    }
}

impl Image {
    /// Frame and name of a function.
    pub(super) fn describe(&self, function: usize) -> String {
        let function = &self.functions[function];
        let frame = function.frame.map_or("?".to_owned(), |frame| frame.to_string());
        format!("{frame:>6}  {}", function.shown())
    }
}

impl<'a> Graph<'a> {
    pub(super) fn new(image: &'a Image) -> Self {
        let calls = image.functions.iter().map(|function| function.calls.clone()).collect();
        Self { functions: &image.functions, calls, cut: BTreeSet::new() }
    }

    /// Functions whose name has this part.
    pub(super) fn named(&self, part: &str) -> Vec<usize> {
        let named = |(place, function): (usize, &Function)| {
            function.shown().contains(part).then_some(place)
        };
        self.functions.iter().enumerate().filter_map(named).collect()
    }

    /// Whoever calls these does not get what they need.
    pub(super) fn cut(&mut self, functions: &[usize]) {
        self.cut.extend(functions);
    }

    /// Adds what the list says of calls through registers in functions that `entries` reach; fails
    /// if it lacks one, or names what the image does not have. `used` gets the places of the
    /// entries of the list that were needed.
    pub(super) fn resolve(
        &mut self,
        entries: &[usize],
        edges: &[Edge],
        used: &mut BTreeSet<usize>,
    ) -> Result<()> {
        let mut lacking = BTreeSet::new();
        let mut reached: BTreeSet<usize> = entries.iter().copied().collect();
        let mut due: Vec<usize> = entries.to_vec();
        while let Some(place) = due.pop() {
            let function = &self.functions[place];
            if function.indirect > 0 {
                self.resolve_one(place, edges, used, &mut lacking);
            }
            for callee in &self.calls[place] {
                if reached.insert(*callee) {
                    due.push(*callee);
                }
            }
        }
        if !lacking.is_empty() {
            let lines: Vec<String> = lacking.into_iter().collect();
            bail!("{} does not say what is called:\n{}", super::FILE, lines.join("\n"));
        }
        Ok(())
    }

    /// To have the address of a function is no answer: what else is called may come from anywhere.
    fn resolve_one(
        &mut self,
        place: usize,
        edges: &[Edge],
        used: &mut BTreeSet<usize>,
        lacking: &mut BTreeSet<String>,
    ) {
        let function = &self.functions[place];
        let name = function.shown();
        let mut found = false;
        for (index, edge) in edges.iter().enumerate() {
            if !name.contains(&edge.from) {
                continue;
            }
            found = true;
            used.insert(index);
            for part in &edge.to {
                let to = self.named(part);
                if to.is_empty() {
                    lacking
                        .insert(format!("  `{}` calls `{part}`, which is no function", edge.from));
                }
                self.calls[place].extend(to);
            }
            if edge.addresses > 0 {
                let there = function.addresses.len();
                if there < edge.addresses {
                    let least = edge.addresses;
                    lacking.insert(format!("  {name} has {there} addresses of {least} or more"));
                }
                self.calls[place].extend(&function.addresses);
            }
        }
        if !found {
            lacking.insert(format!("  {name} ({} calls through registers)", function.indirect));
        }
    }

    /// The longest path of each of these. Fails on recursion, and on a function without a frame.
    pub(super) fn worst(&self, entries: &[usize]) -> Result<Worst> {
        let mut search =
            Search { graph: self, found: vec![None; self.functions.len()], path: Vec::new() };
        for entry in entries {
            search.visit(*entry)?;
        }
        Ok(Worst { found: search.found })
    }
}

struct Search<'a> {
    graph: &'a Graph<'a>,
    found: Vec<Option<(u64, Option<usize>)>>,
    /// Functions under way.
    path: Vec<usize>,
}

impl Search<'_> {
    fn visit(&mut self, place: usize) -> Result<u64> {
        if let Some((bytes, _)) = self.found[place] {
            return Ok(bytes);
        }
        let functions = self.graph.functions;
        if let Some(begin) = self.path.iter().position(|at| *at == place) {
            let circle: Vec<String> =
                self.path[begin..].iter().map(|at| functions[*at].shown()).collect();
            bail!("recursion: {}", circle.join(" -> "));
        }
        let Some(frame) = functions[place].frame else {
            bail!("the compiler says nothing of the frame of {}", functions[place].shown());
        };
        self.path.push(place);
        let mut deepest = (0, None);
        for callee in &self.graph.calls[place] {
            let bytes = match self.graph.cut.contains(callee) {
                true => 0,
                false => self.visit(*callee)?,
            };
            if bytes > deepest.0 {
                deepest = (bytes, Some(*callee));
            }
        }
        self.path.pop();
        self.found[place] = Some((frame + deepest.0, deepest.1));
        Ok(frame + deepest.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(functions: &[(&str, u64, &[usize], usize)]) -> Image {
        let made = functions.iter().map(|(name, frame, calls, indirect)| Function {
            names: BTreeSet::from([(*name).to_owned()]),
            frame: Some(*frame),
            calls: calls.iter().copied().collect(),
            indirect: *indirect,
            ..Function::default()
        });
        Image { functions: made.collect(), ..Image::default() }
    }

    fn edge(from: &str, to: &[&str]) -> Edge {
        let to = to.iter().map(|part| (*part).to_owned()).collect();
        Edge { from: from.to_owned(), to, addresses: 0, reason: "a test".to_owned() }
    }

    #[test]
    fn the_deepest_path_counts() {
        let image =
            image(&[("a", 8, &[1, 2], 0), ("b", 16, &[3], 0), ("c", 40, &[], 0), ("d", 4, &[], 0)]);
        let worst = Graph::new(&image).worst(&[0]).unwrap();
        assert_eq!((worst.bytes(0), worst.bytes(1)), (48, 20));
        assert_eq!(worst.path(0).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn recursion_is_found_wherever_it_is() {
        let near = image(&[("a", 8, &[0], 0)]);
        assert!(Graph::new(&near).worst(&[0]).is_err());
        let far = image(&[("a", 8, &[1], 0), ("b", 8, &[2], 0), ("c", 8, &[1], 0)]);
        let Err(error) = Graph::new(&far).worst(&[0]) else { panic!("b calls c calls b") };
        assert_eq!(error.to_string(), "recursion: b -> c");
    }

    #[test]
    fn recursion_with_an_end_is_a_larger_frame() {
        let mut image = image(&[("a", 8, &[0, 1], 0), ("b", 4, &[], 0)]);
        image.repeat("a", 3);
        assert_eq!(Graph::new(&image).worst(&[0]).unwrap().bytes(0), 28);
    }

    #[test]
    fn calls_through_registers_need_an_entry_of_the_list() {
        let image = image(&[("asks", 8, &[], 1), ("callback", 100, &[], 0)]);
        let mut used = BTreeSet::new();
        let mut graph = Graph::new(&image);
        assert!(graph.resolve(&[0], &[edge("other", &[])], &mut used).is_err());
        assert!(used.is_empty());
        graph.resolve(&[0], &[edge("ask", &["back"])], &mut used).unwrap();
        assert_eq!(graph.worst(&[0]).unwrap().bytes(0), 108);
        assert_eq!(used, BTreeSet::from([0]));
    }

    #[test]
    fn what_is_listed_must_be_there_where_it_is_called() {
        let calls = image(&[("asks", 8, &[], 1), ("callback", 100, &[], 0)]);
        let edges = [edge("asks", &["callback", "closure"])];
        let resolve = |image| Graph::new(image).resolve(&[0], &edges, &mut BTreeSet::new());
        let error = resolve(&calls).unwrap_err().to_string();
        assert!(error.contains("`asks` calls `closure`, which is no function"), "{error}");
        // Where nobody asks, nobody needs to be there to answer.
        assert!(resolve(&image(&[("other", 8, &[], 0)])).is_ok());
    }

    #[test]
    fn an_address_counts_only_where_the_list_says_so() {
        let mut image = image(&[("asks", 8, &[], 1), ("callback", 100, &[], 0)]);
        let listed = [Edge { addresses: 1, ..edge("asks", &[]) }];
        let resolve = |graph: &mut Graph<'_>, edges: &[Edge]| {
            graph.resolve(&[0], edges, &mut BTreeSet::new())
        };
        assert!(resolve(&mut Graph::new(&image), &listed).is_err());
        image.functions[0].addresses.insert(1);
        assert!(resolve(&mut Graph::new(&image), &[]).is_err());
        let more = [Edge { addresses: 2, ..edge("asks", &[]) }];
        let error = resolve(&mut Graph::new(&image), &more).unwrap_err().to_string();
        assert!(error.contains("asks has 1 addresses of 2 or more"), "{error}");
        let bytes = |edges: &[Edge]| {
            let mut graph = Graph::new(&image);
            resolve(&mut graph, edges).unwrap();
            graph.worst(&[0]).unwrap().bytes(0)
        };
        assert_eq!((bytes(&[edge("asks", &[])]), bytes(&listed)), (8, 108));
    }

    #[test]
    fn what_is_counted_apart_is_not_counted_twice() {
        let image = image(&[("entry", 8, &[1], 0), ("step", 100, &[], 0)]);
        let mut graph = Graph::new(&image);
        graph.cut(&[1]);
        let worst = graph.worst(&[0, 1]).unwrap();
        assert_eq!((worst.bytes(0), worst.bytes(1)), (8, 100));
    }

    #[test]
    fn a_frame_that_nobody_knows_is_an_error() {
        let mut image = image(&[("a", 8, &[], 0)]);
        image.functions[0].frame = None;
        assert!(Graph::new(&image).worst(&[0]).is_err());
    }
}
