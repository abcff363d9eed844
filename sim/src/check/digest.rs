//! The state of the model as one hash.

use std::hash::{Hash, Hasher};

use super::{Model, RequestState};

impl Model {
    /// Hashes all that decides what it expects from here on. Inputs have numbers only to be
    /// compared, so the n-th of those that something still names counts as n.
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        let mut inputs: Vec<u32> = self.owed.iter().map(|(input, _)| *input).collect();
        inputs.extend(self.requests.iter().filter_map(|request| input_of(request.state)));
        inputs.sort_unstable();
        inputs.dedup();
        let rank = |input: u32| inputs.partition_point(|other| *other < input);

        let Model {
            setup: _,
            link,
            contexts,
            graphs,
            buffers,
            requests,
            power,
            owed,
            input: _,
            late: _,
            unwatched: _,
            progress,
            stopping,
            owed_for_gone,
            steps,
            turn,
            voted,
            cpu,
        } = self;
        (link, graphs, buffers, power).hash(hasher);
        for context in contexts {
            // The counts of what has ended decide nothing.
            let mut context = context.clone();
            (context.submitted, context.ended, context.overlaps) = Default::default();
            context.on_fallback = 0;
            context.hash(hasher);
        }
        for request in requests {
            let mut request = request.clone();
            match &mut request.state {
                RequestState::Caught { input, .. } | RequestState::Ended { input, .. } => {
                    *input = rank(*input) as u32;
                }
                RequestState::Queued
                | RequestState::Running { .. }
                | RequestState::OnCpu { .. } => {}
            }
            request.hash(hasher);
        }
        owed.iter().for_each(|(input, due)| (rank(*input), due).hash(hasher));
        (contexts.len(), requests.len(), owed.len()).hash(hasher);
        (progress, stopping, owed_for_gone, steps, turn, voted, cpu).hash(hasher);
    }
}

fn input_of(state: RequestState) -> Option<u32> {
    match state {
        RequestState::Caught { input, .. } | RequestState::Ended { input, .. } => Some(input),
        RequestState::Queued | RequestState::Running { .. } | RequestState::OnCpu { .. } => None,
    }
}
