//! The end of a run: faults stop, everything comes to rest in bounded time, the runtime is as
//! usable as before, and when all is freed nothing is left.

use htp_runtime::event::Outcome;
use htp_runtime::limits::{
    CONNECT_ATTEMPTS_MAX, CONNECT_BACKOFF_US, CONNECT_TIMEOUT_US, HANG_BUDGET_US,
};
use htp_runtime::queue::Mode;
use htp_runtime::ssr::State;

use super::World;
use crate::check::{ensure, Check, ContextState, GraphState, Policy};
use crate::plan::{Tensors, INTERVAL_MAX_US, REQUESTS_MAX, TIME_BUDGET_MAX_US};

/// Longest time to rest: a hang is seen last of all, then every attempt but the last fails, and
/// once more, since the restart may have been doomed when the faults stopped; what is lost goes on
/// on the CPU, as slowly as its client asked for.
const REST_US: u64 = 2
    * (HANG_BUDGET_US * 3 / 2
        + CONNECT_ATTEMPTS_MAX as u64 * CONNECT_TIMEOUT_US
        + (CONNECT_BACKOFF_US << CONNECT_ATTEMPTS_MAX))
    + TIME_BUDGET_MAX_US
    + REQUESTS_MAX as u64 * INTERVAL_MAX_US;
/// Turns of the loop to rest.
const TURNS_MAX: u32 = 2_000;
/// How often a client tries to start over.
const TRIES: u32 = 4;
/// Depth of the context that shows that the runtime is usable.
const DEPTH: u16 = 3;

impl World<'_> {
    pub(super) fn finale(&mut self) -> Check {
        self.trace.note(&[60], || "faults stop".into());
        self.device.connects.clear();
        self.device.refuse_next = false;
        self.device.ignore_aborts = false;
        self.rest()?;
        self.free_all()?;
        self.start_anew()?;
        self.free_all()?;
        self.nothing_is_left()
    }

    /// Drives everything until nothing is to be done.
    fn rest(&mut self) -> Check {
        let begin = self.now;
        for _ in 0..TURNS_MAX {
            self.tally.steps += 1;
            self.model.begin();
            let mut moved = self.turn()?;
            while self.device.finish(self.now, 0, None, &self.pool)? {
                moved = true;
            }
            moved |= self.device.finish_on_cpu(None, &self.pool)?;
            self.check()?;
            if moved {
                continue;
            }
            self.model.queues(&self.port.runtime)?;
            let settled = self.model.link.is_settled();
            if settled && self.model.is_idle() && self.device.is_quiet() {
                ensure!(self.port.runtime.is_idle(), "idle means idle", "the runtime is not");
                let sees_the_truth = self.device.up && !self.device.hung;
                if sees_the_truth && self.port.runtime.state() == State::Online {
                    self.model.twin(&self.device)?;
                }
                return Ok(());
            }
            self.model.begin();
            let timer = self.next_timer()?;
            ensure!(timer, LIVENESS, "nothing is due, and it is not idle");
            let passed_us = self.now.since_us(begin);
            ensure!(passed_us <= REST_US, LIVENESS, "not idle after {passed_us} us");
        }
        ensure!(false, LIVENESS, "not idle after {TURNS_MAX} turns");
        Ok(())
    }

    /// Clients free everything they have.
    fn free_all(&mut self) -> Check {
        let open = |state| state != ContextState::Closing;
        let contexts = self.model.contexts.iter().filter(|context| open(context.state));
        let contexts: Vec<_> = contexts.map(|context| context.id).collect();
        for id in contexts {
            self.model.begin();
            self.context_free(Some(id))?;
            self.check()?;
        }
        self.rest()
    }

    /// A client makes a context, a graph, a request: it completes, unless the DSP is lost.
    fn start_anew(&mut self) -> Check {
        for _ in 0..TRIES {
            if self.port.runtime.state() == State::Lost {
                self.tally.lost += 1;
                return Ok(());
            }
            self.model.begin();
            self.context_create(DEPTH, 2, Policy::Native)?;
            self.rest()?;
            self.model.begin();
            let context = self.contexts.last().copied();
            self.graph_load(context, 2)?;
            self.rest()?;
            let told = Some(self.model.epoch());
            let ready = |g: &&crate::check::Graph| {
                Some(g.context) == context && g.told == told && g.state == GraphState::Ready
            };
            let graph = self.model.graphs.iter().find(ready).map(|graph| graph.id);
            if let Some(graph) = graph {
                self.model.begin();
                self.submit(graph, Mode::Blocking, None, Tensors::Right)?;
                let id = self.requests.last().copied();
                while self.turn()? {}
                self.device.finish(self.now, 0, None, &self.pool)?;
                self.turn()?;
                if id.is_some_and(|id| self.model.request(id).is_none()) {
                    return self.completed_anew(graph);
                }
            }
            self.rest()?;
            self.free_all()?;
        }
        ensure!(false, LIVENESS, "a client cannot start over");
        Ok(())
    }

    /// The request that was just heard ended well: it is counted so.
    fn completed_anew(&mut self, graph: htp_runtime::handle::GraphId) -> Check {
        let context = self.model.graph(graph).and_then(|graph| self.model.context(graph.context));
        let completed = context.is_some_and(|context| context.ended[0] > 0);
        let expected = Outcome::Completed;
        ensure!(completed, LIVENESS, "a request after all faults is not {expected:?}");
        self.rest()
    }

    /// Tables and memory are as at the start.
    fn nothing_is_left(&mut self) -> Check {
        while let Some(id) = self.model.power.ids.first().map(|(id, ..)| *id) {
            self.model.begin();
            let got = self.port.runtime.power_config_destroy(id);
            crate::check::Model::same("destroy", got, self.model.power_destroy(id))?;
        }
        self.rest()?;
        let contexts = self.model.contexts.len();
        ensure!(contexts == 0, "contexts go when they can", "{contexts} are left");
        let used = self.port.runtime.region().used_bytes();
        let start = self.bytes_at_start;
        let whole = used == start || self.port.runtime.counters().blocks_leaked > 0;
        ensure!(whole, "memory comes back", "{used} bytes are used, {start} at the start");
        self.trace.note(&[61, self.now.as_us()], || "nothing is left".into());
        Ok(())
    }
}

const LIVENESS: &str = "everything comes to rest when faults stop";
