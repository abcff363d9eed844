//! The table of running requests: at most a pair for each priority level.

use super::Priority;
use crate::handle::GraphId;
use crate::limits::{PARALLEL_PER_PRIORITY, PRIORITY_LEVELS};
use crate::queue::RequestRef;

/// A running request and the graph whose scratch area it occupies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Running {
    /// The request.
    pub request: RequestRef,
    /// Its graph, which can run once at a time.
    pub graph: GraphId,
}

/// All running requests, by priority level.
#[derive(Debug, Clone, Copy, Hash)]
pub struct InFlight {
    levels: [[Option<Running>; PARALLEL_PER_PRIORITY]; PRIORITY_LEVELS],
    parallel: bool,
}

impl InFlight {
    /// An empty table. Without `parallel` each level holds one request (ASYNC-035).
    pub const fn new(parallel: bool) -> Self {
        Self { levels: [[None; PARALLEL_PER_PRIORITY]; PRIORITY_LEVELS], parallel }
    }

    /// Whether another request of `priority` may start now.
    ///
    /// Not while anything more important is running: the device would only hold it, and by then
    /// something more important may have come.
    pub fn has_room(&self, priority: Priority) -> bool {
        let more_important_idle =
            self.levels.iter().take(priority.level()).flatten().all(Option::is_none);
        let limit = if self.parallel { PARALLEL_PER_PRIORITY } else { 1 };
        let running = self.level(priority).filter(|running| running.is_some()).count();
        more_important_idle && running < limit
    }

    /// Whether `graph` is running. A graph has one scratch area, so it is never paired with itself.
    pub fn runs(&self, graph: GraphId) -> bool {
        self.iter().any(|running| running.graph == graph)
    }

    /// Notes a start; `false` if there was no room, which the caller checked before.
    pub fn insert(&mut self, priority: Priority, running: Running) -> bool {
        let level = self.levels.get_mut(priority.level());
        match level.and_then(|level| level.iter_mut().find(|slot| slot.is_none())) {
            Some(slot) => {
                *slot = Some(running);
                true
            }
            None => false,
        }
    }

    /// Notes an end; `false` if the request was not running.
    pub fn remove(&mut self, request: RequestRef) -> bool {
        let is_it = |slot: &&mut Option<Running>| slot.is_some_and(|r| r.request == request);
        match self.levels.iter_mut().flatten().find(is_it) {
            Some(slot) => {
                *slot = None;
                true
            }
            None => false,
        }
    }

    /// Takes any running request out.
    pub fn pop(&mut self) -> Option<Running> {
        self.levels.iter_mut().flatten().find_map(Option::take)
    }

    /// All running requests, most important first.
    pub fn iter(&self) -> impl Iterator<Item = Running> + '_ {
        self.levels.iter().flatten().filter_map(|slot| *slot)
    }

    /// Whether nothing runs.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    fn level(&self, priority: Priority) -> impl Iterator<Item = &Option<Running>> {
        self.levels.iter().skip(priority.level()).take(1).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::Epoch;
    use crate::limits::IN_FLIGHT_MAX;
    use std::vec::Vec;

    fn running(slot: u16) -> Running {
        let graph = GraphId::from_parts(slot, 1, Epoch::FIRST);
        Running { request: RequestRef { context: 0, slot }, graph }
    }

    // REQ: ASYNC-033
    #[test]
    fn a_level_holds_a_pair_and_the_more_important_close_it() {
        let mut table = InFlight::new(true);
        for priority in Priority::ALL {
            assert!(table.has_room(priority));
        }
        for (slot, priority) in (0..).zip([Priority::Normal, Priority::Normal]) {
            assert!(table.insert(priority, running(slot)));
        }
        assert!(!table.insert(Priority::Normal, running(9)), "there is no third place");
        let room = Priority::ALL.map(|priority| table.has_room(priority));
        assert_eq!(room, [true, true, false, false]);
        assert!(table.runs(running(1).graph) && !table.runs(running(9).graph));
        assert!(table.remove(running(0).request));
        assert!(!table.remove(running(0).request));
        let room = Priority::ALL.map(|priority| table.has_room(priority));
        assert_eq!(room, [true, true, true, false]);
    }

    // REQ: ASYNC-035
    #[test]
    fn a_level_holds_one_where_graphs_do_not_run_in_parallel() {
        let mut table = InFlight::new(false);
        table.insert(Priority::High, running(0));
        assert!(Priority::ALL.iter().all(|priority| !table.has_room(*priority)));
    }

    #[test]
    fn everything_comes_out_again_the_most_important_first() {
        let mut table = InFlight::new(true);
        for (slot, priority) in (0..).zip(Priority::ALL.into_iter().rev().flat_map(|p| [p, p])) {
            assert!(table.insert(priority, running(slot)));
        }
        assert_eq!(table.iter().count(), IN_FLIGHT_MAX);
        assert!(!table.is_empty());
        let slots: Vec<_> = core::iter::from_fn(|| table.pop()).map(|r| r.request.slot).collect();
        assert_eq!(slots, [6, 7, 4, 5, 2, 3, 0, 1]);
        assert!(table.is_empty());
    }
}
