//! Who may write which memory: the outputs of accepted requests, in contexts that watch them.
//!
//! The ranges of the table never overlap, since an output that overlaps one is refused, or counted
//! and left out. So they have one order, and one look finds whatever a new output overlaps.

use core::hash::{Hash, Hasher};

use super::{Graph, Runtime};
use crate::error::{HandleError, SubmitError};
use crate::handle::{ContextId, GraphId};
use crate::queue::RequestRef;
use crate::region::{OutOfMemory, Region, RegionSlice};

/// What becomes of a request that would write memory which an accepted request is going to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum IoOwnership {
    /// Nobody looks, and its outputs do not count for others: what QNN does. Costs nothing.
    #[default]
    Unwatched,
    /// It is accepted and counted, see [`super::ContextCounts::overlaps`].
    Counted,
    /// It is refused with [`SubmitError::OutputInUse`].
    Refused,
}

#[derive(Debug, Clone, Copy, Hash)]
struct Range {
    start: usize,
    end: usize,
    writer: RequestRef,
}

/// The outputs of requests that have not ended, in the order of their addresses.
pub(super) struct Lent<'m> {
    ranges: RegionSlice<'m, Range>,
    len: usize,
}

impl<'m> Lent<'m> {
    pub fn new(region: &mut Region<'m>, capacity: u16) -> Result<Self, OutOfMemory> {
        let nobodys = Range { start: 0, end: 0, writer: RequestRef::NONE };
        Ok(Self { ranges: region.alloc(usize::from(capacity), nobodys)?, len: 0 })
    }

    /// What it takes of the region.
    pub const fn bytes(capacity: u16) -> usize {
        size_of::<Range>().saturating_mul(capacity as usize)
    }

    /// The ranges in their order.
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        self.ranges.get(..self.len).unwrap_or(&[]).hash(hasher);
    }

    /// Ranges that begin below `address`.
    fn below(&self, address: usize) -> usize {
        let ranges = self.ranges.get(..self.len).unwrap_or(&[]);
        ranges.partition_point(|range| range.start < address)
    }

    fn overlaps(&self, start: usize, end: usize) -> bool {
        let last = self.below(end).checked_sub(1).and_then(|index| self.ranges.get(index));
        last.is_some_and(|range| range.end > start)
    }

    fn room(&self) -> usize {
        self.ranges.len().saturating_sub(self.len)
    }

    /// `false` if there is no room.
    fn insert(&mut self, start: usize, end: usize, writer: RequestRef) -> bool {
        let index = self.below(start);
        let Some(moved) = self.ranges.get_mut(index..self.len.saturating_add(1)) else {
            return false;
        };
        if !moved.is_empty() {
            moved.rotate_right(1);
        }
        if let Some(free) = moved.first_mut() {
            *free = Range { start, end, writer };
        }
        self.len = self.len.saturating_add(1);
        true
    }

    /// Whether a request whose memories are bound in `slot` may write them. `true` if one of them
    /// is to be written by another request, too.
    pub fn check(
        &self,
        ownership: IoOwnership,
        graph: &Graph<'_>,
        slot: u16,
    ) -> Result<bool, SubmitError> {
        if ownership == IoOwnership::Unwatched {
            return Ok(false);
        }
        let taken = graph.writes(slot).find(|(_, start, end)| self.overlaps(*start, *end));
        match (ownership, taken) {
            (IoOwnership::Refused, Some((tensor, _, _))) => Err(SubmitError::OutputInUse(tensor)),
            (IoOwnership::Refused, None) if graph.writes(slot).count() > self.room() => {
                Err(SubmitError::QueueFull)
            }
            (_, taken) => Ok(taken.is_some()),
        }
    }

    fn remove(&mut self, start: usize, writer: RequestRef) {
        let index = self.below(start);
        let Some(moved) = self.ranges.get_mut(index..self.len) else { return };
        if !moved.first().is_some_and(|range| range.start == start && range.writer == writer) {
            return;
        }
        moved.rotate_left(1);
        self.len = self.len.saturating_sub(1);
    }

    /// All that one request is going to write. Linear in the table.
    fn remove_all_of(&mut self, writer: RequestRef) {
        let mut kept: usize = 0;
        for index in 0..self.len {
            let Some(range) = self.ranges.get(index).copied() else { break };
            if range.writer == writer {
                continue;
            }
            if let Some(place) = self.ranges.get_mut(kept) {
                *place = range;
            }
            kept = kept.saturating_add(1);
        }
        self.len = kept;
    }
}

impl Graph<'_> {
    /// The outputs of the request in `slot`: tensor id, first address, address behind.
    fn writes(&self, slot: u16) -> impl Iterator<Item = (u32, usize, usize)> + '_ {
        let cells = self.io.iter().zip(self.row(slot));
        cells.filter(|(tensor, _)| tensor.is_output).map(|(tensor, memory)| {
            (tensor.id, memory.address(), memory.address().saturating_add(memory.len()))
        })
    }
}

impl Runtime<'_> {
    /// Chooses what becomes of requests of a context that would write memory which an accepted
    /// request of a watching context is going to write, from the next request on. Constant time.
    ///
    /// A request of a watching context costs, for each output, a search of the table and a move of
    /// what lies behind it, [`crate::limits::Capacities::watched_outputs`] at most.
    pub fn context_set_io_ownership(
        &mut self,
        id: ContextId,
        ownership: IoOwnership,
    ) -> Result<(), HandleError> {
        self.context(id)?;
        if let Ok(context) = self.contexts.get_mut(id) {
            context.ownership = ownership;
        }
        Ok(())
    }

    /// What becomes of such requests.
    pub fn context_io_ownership(&self, id: ContextId) -> Result<IoOwnership, HandleError> {
        Ok(self.context(id)?.ownership)
    }

    /// The request at `place` is going to write its outputs.
    pub(super) fn lend_outputs(&mut self, place: RequestRef, graph: GraphId) {
        let Ok(graph) = self.graphs.get(graph) else { return };
        for (_, start, end) in graph.writes(place.slot) {
            if self.lent.overlaps(start, end) {
                continue;
            }
            if !self.lent.insert(start, end, place) {
                self.counters.outputs_unwatched = self.counters.outputs_unwatched.saturating_add(1);
            }
        }
    }

    /// The request at `place` has ended. Its graph may be gone: of a context that was freed while
    /// it was rebuilt, before what a restart had caught was heard.
    pub(super) fn return_outputs(&mut self, place: RequestRef, graph: GraphId) {
        match self.graphs.get(graph) {
            Ok(graph) => {
                graph.writes(place.slot).for_each(|(_, start, _)| self.lent.remove(start, place));
            }
            Err(_) => self.lent.remove_all_of(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const SOMEBODY: RequestRef = RequestRef { context: 0, slot: 0 };

    proptest! {
        /// Against a plain list of all ranges.
        #[test]
        fn each_overlap_is_found(
            steps in prop::collection::vec((any::<bool>(), 0usize..120, 1usize..12), 1..200)
        ) {
            let mut lent = Lent::new(&mut Region::from_heap(1 << 14), 16).unwrap();
            let mut plain: Vec<(usize, usize)> = Vec::new();
            for (takes, start, size) in steps {
                let end = start + size;
                if takes {
                    let overlaps = plain.iter().any(|&(from, to)| from < end && to > start);
                    prop_assert_eq!(lent.overlaps(start, end), overlaps);
                    if !overlaps {
                        prop_assert_eq!(lent.insert(start, end, SOMEBODY), plain.len() < 16);
                        plain.push((start, end));
                        plain.truncate(16);
                    }
                } else {
                    lent.remove(start, SOMEBODY);
                    plain.retain(|&(from, _)| from != start);
                }
                prop_assert_eq!(lent.room(), 16 - plain.len());
            }
        }
    }

    #[test]
    fn all_of_one_request_goes_and_the_others_stay_in_their_order() {
        let mut region = Region::from_heap(1 << 14);
        let mut lent = Lent::new(&mut region, 5).unwrap();
        let [first, second] = [3, 4].map(|slot| RequestRef { context: 0, slot });
        for (start, writer) in [(40, first), (10, first), (30, second), (20, first), (0, second)] {
            assert!(lent.insert(start, start + 10, writer));
        }
        lent.remove_all_of(first);
        let left: Vec<_> =
            lent.ranges[..lent.len].iter().map(|range| (range.start, range.writer)).collect();
        assert_eq!(left, [(0, second), (30, second)]);
        lent.remove_all_of(first);
        assert_eq!(lent.len, 2, "nothing is left of it");
        lent.remove_all_of(second);
        assert_eq!((lent.len, lent.overlaps(0, 50)), (0, false));
    }
}
