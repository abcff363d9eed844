//! Submitting, cancelling, collecting, giving up.

use super::*;
use crate::check::Submission;
use crate::memory::Pool;

impl World<'_> {
    pub(super) fn request_call(&mut self, decision: Decision) -> Check {
        match decision {
            Decision::Submit { pick: n, blocking, deadline_us, tensors } => {
                let Some(graph) = self.graph_to_execute(n) else { return Ok(()) };
                // Some graphs are mostly executed in one way, some mostly in the other.
                let blocking = blocking != (graph.index() % 4 == 3);
                let mode = if blocking { Mode::Blocking } else { Mode::Asynchronous };
                self.submit(graph, mode, deadline_us, tensors)
            }
            Decision::Cancel { pick: n } => {
                let on_cpu = self.model.on_cpu().filter(|_| n % 16 < 4).map(|request| request.id);
                let id = on_cpu.or_else(|| self.request(n, |_| true));
                let Some(id) = id else { return Ok(()) };
                let got = self.port.cancel(self.now, id);
                let expected = self.model.cancelled(self.now, id);
                self.answered(request_word(id), got.is_ok());
                Model::same("cancel", got, expected)
            }
            Decision::TakeOutcome { pick: n } => {
                let mode = |request: &crate::check::Accepted| request.mode == Mode::Blocking;
                match self.request(n, mode) {
                    Some(id) => self.collect(id).map(drop),
                    None => Ok(()),
                }
            }
            Decision::Abandon { pick: n } => {
                match self.request(n, |request| request.mode == Mode::Blocking) {
                    Some(id) => self.abandon(id),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Mostly a graph that can be executed, now and then any that there ever was.
    fn graph_to_execute(&self, n: u16) -> Option<GraphId> {
        let ready = |g: &&crate::check::Graph| {
            let usable = self.model.graph_to_execute(g.id).is_ok();
            usable && matches!(g.state, GraphState::Ready | GraphState::Rebuilding)
        };
        let count = self.model.graphs.iter().filter(ready).count();
        if count == 0 || n.is_multiple_of(16) {
            return pick(&self.graphs, n / 16);
        }
        let mut graphs = self.model.graphs.iter().filter(ready);
        graphs.nth(usize::from(n / 16) % count).map(|graph| graph.id)
    }

    /// One of the live requests, or of those that were: of these now and then.
    fn request(
        &self,
        n: u16,
        wanted: impl Fn(&crate::check::Accepted) -> bool,
    ) -> Option<htp_runtime::handle::RequestId> {
        let live = self.model.requests.iter().filter(|request| wanted(request));
        let live: Vec<_> = live.map(|request| request.id).collect();
        if live.is_empty() || n.is_multiple_of(16) {
            let id = pick(&self.requests, n / 16)?;
            return self.model.request(id).is_none_or(wanted).then_some(id);
        }
        pick(&live, n / 16)
    }

    pub(in crate::world) fn submit(
        &mut self,
        graph: GraphId,
        mode: Mode,
        deadline_us: Option<u32>,
        tensors: Tensors,
    ) -> Check {
        let Some(block) = self.pool.take() else { return Ok(()) };
        self.words += 1;
        let word = self.words;
        let common = match tensors {
            Tensors::Common(place) => Some(place),
            _ => None,
        };
        // Whose outputs are watched is heard of all that ends: that is certain at any time.
        let mode = if self.model.watches(graph) { Mode::Asynchronous } else { mode };
        let memories = self.pool.memories(block, common);
        write(memories[0], u64::from(word));
        write(memories[1], !u64::from(word));
        let mut io = Pool::bindings(memories);
        match tensors {
            Tensors::Right | Tensors::OneMissing | Tensors::Common(_) => {}
            Tensors::OtherOrder => io.reverse(),
            Tensors::TooShort => {
                io[1].memory = io[1].memory.part(0, 1).unwrap_or(io[1].memory);
            }
        }
        let given = if tensors == Tensors::OneMissing { TENSORS - 1 } else { TENSORS };
        let deadline = deadline_us.map(|us| self.free_deadline(us));
        let options = SubmitOptions {
            mode,
            deadline: deadline.unwrap_or(Instant::FAR),
            user_data: [word as usize; 3],
            profile: None,
        };
        let got = self.port.submit(self.now, graph, &io[..given], options);
        let output = self.pool.output(block, common);
        let submission = Submission { graph, mode, deadline, tensors, word, block, output };
        let id = got.ok();
        self.trace.note(&[51, id.map_or(0, request_word)], || match got {
            Ok(id) => format!("    {} of graph {graph:?}, {mode:?}", shown(id)),
            Err(error) => format!("    graph {graph:?}: {error:?}"),
        });
        if id.is_none() {
            self.pool.give_back(block);
            self.tally.refused += 1;
        }
        self.model.submitted(self.now, &submission, &got)?;
        if let Some(id) = id {
            if let Some(ledger) = &mut self.ledger {
                ledger.accepted(id)?;
            }
            self.pool.lend(block, id);
            self.tally.requests += 1;
            remember(&mut self.requests, id);
        }
        Ok(())
    }

    /// A deadline that no other request has: which of two equal ones comes first is not promised.
    fn free_deadline(&self, us: u32) -> Instant {
        let mut deadline = self.now.after_us(u64::from(us));
        while self.model.requests.iter().any(|request| request.deadline == Some(deadline)) {
            deadline = deadline.after_us(1);
        }
        deadline
    }
}
