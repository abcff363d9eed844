//! Who writes which memory: the outputs of accepted requests, in contexts that watch them.

use htp_runtime::error::HandleError;
use htp_runtime::handle::{ContextId, GraphId};
use htp_runtime::runtime::IoOwnership;

use super::Model;

impl Model {
    /// A client chooses what becomes of requests whose outputs others write.
    pub fn ownership_chosen(
        &mut self,
        id: ContextId,
        ownership: IoOwnership,
    ) -> Result<(), HandleError> {
        self.context_usable(id)?;
        if let Some(context) = self.context_mut(id) {
            context.ownership = ownership;
        }
        Ok(())
    }

    /// Whether the outputs of this graph are watched.
    pub fn watches(&self, graph: GraphId) -> bool {
        let context = self.graph(graph).and_then(|graph| self.context(graph.context));
        context.is_some_and(|context| context.ownership != IoOwnership::Unwatched)
    }

    fn watched(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.requests.iter().filter(|request| !request.has_ended()).filter_map(|r| r.watched)
    }

    /// Outputs for which there is room.
    pub(super) fn watched_room(&self) -> usize {
        usize::from(self.setup.capacities.watched_outputs) - self.watched().count()
    }

    /// Whether a request that has not ended, of a context that watches, writes a part of it.
    pub(super) fn overlaps(&self, output: (usize, usize)) -> bool {
        self.watched().any(|other| other.0 < output.1 && output.0 < other.1)
    }

    /// An output of this context is accepted; what is watched of it.
    pub(super) fn watch(
        &mut self,
        id: ContextId,
        output: (usize, usize),
    ) -> Option<(usize, usize)> {
        let (overlaps, room) = (self.overlaps(output), self.watched_room());
        let context = self.context_mut(id)?;
        if context.ownership == IoOwnership::Unwatched {
            return None;
        }
        if overlaps {
            context.overlaps += 1;
            return None;
        }
        if room == 0 {
            self.unwatched += 1;
            return None;
        }
        Some(output)
    }
}
