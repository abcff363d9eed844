//! Managed recovery under random interleavings of calls, answers, crashes, refusals and silence:
//! each request ends once and runs at most once, in its order, and everything comes to rest.

use std::collections::HashSet;

use crate::managed_world::{config, recovery};
use crate::support::{client_memory, Connect, Seen, World, ASYNC, REPORT};
use htp_runtime::device::{ExecuteError, PrepareError};
use htp_runtime::error::{CreateError, HandleError, Status};
use htp_runtime::event::Outcome;
use htp_runtime::handle::{ContextId, GraphId, RequestId};
use htp_runtime::runtime::SubmitOptions;
use htp_runtime::sched::Priority;
use htp_runtime::ssr::{Queued, Recovery, State};
use htp_runtime::time::Instant;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Submit {
        graph: usize,
        deadline_us: Option<u64>,
    },
    Cancel(usize),
    Finish(usize),
    /// The device takes its commands and gives one answer.
    Answer,
    Advance(u64),
    Crash {
        lost_answers: bool,
    },
    ConnectFails(usize),
    Refuse {
        after: usize,
    },
    Load(usize),
    Register(usize),
    Free(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (0..4usize, prop::option::weighted(0.2, 1..5_000u64))
            .prop_map(|(graph, deadline_us)| Op::Submit { graph, deadline_us }),
        2 => any::<usize>().prop_map(Op::Cancel),
        6 => any::<usize>().prop_map(Op::Finish),
        20 => Just(Op::Answer),
        3 => (0..20_000u64).prop_map(Op::Advance),
        3 => any::<bool>().prop_map(|lost_answers| Op::Crash { lost_answers }),
        1 => (1..3usize).prop_map(Op::ConnectFails),
        1 => (0..6usize).prop_map(|after| Op::Refuse { after }),
        1 => (0..4usize).prop_map(Op::Load),
        1 => (0..4usize).prop_map(Op::Register),
        1 => (0..4usize).prop_map(Op::Free),
    ]
}

struct Client {
    world: World,
    contexts: Vec<(ContextId, Recovery)>,
    graphs: Vec<GraphId>,
    freed: HashSet<usize>,
    accepted: Vec<(RequestId, usize)>,
    loaded: usize,
}

impl Client {
    fn new() -> Self {
        let mut world = World::new();
        let recoveries = [
            recovery(2, Queued::Requeue),
            recovery(3, Queued::Complete),
            Recovery::Native,
            Recovery::Managed { attempts_max: 9, time_budget_us: 9_000, queued: Queued::Requeue },
        ];
        let contexts = recoveries.map(|recovery| (world.context(&config(6, recovery)), recovery));
        let priorities = [Priority::Normal, Priority::High, Priority::Normal, Priority::Low];
        let graphs = contexts.iter().zip(priorities);
        let graphs = graphs.map(|((id, _), priority)| world.graph(*id, "net", priority)).collect();
        for (context, _) in contexts {
            world.runtime.buffer_register(context, client_memory(8)).unwrap();
        }
        world.settle();
        let contexts = contexts.to_vec();
        Self { world, contexts, graphs, freed: HashSet::new(), accepted: Vec::new(), loaded: 0 }
    }

    fn apply(&mut self, op: &Op) {
        let world = &mut self.world;
        match *op {
            Op::Submit { graph, deadline_us } => {
                let deadline = deadline_us.map_or(ASYNC.deadline, |us| world.now.after_us(us));
                let options = SubmitOptions { deadline, ..ASYNC };
                if let Ok(id) = world.submit(self.graphs[graph], options) {
                    self.accepted.push((id, graph));
                }
            }
            Op::Cancel(pick) => {
                if let Some((id, _)) = self.accepted.get(pick % self.accepted.len().max(1)) {
                    let _ = world.runtime.cancel(world.now, *id);
                }
            }
            Op::Finish(pick) => {
                let running = world.running();
                if let Some(id) = running.get(pick % running.len().max(1)) {
                    let result =
                        if pick % 7 == 0 { Err(ExecuteError::Internal) } else { Ok(REPORT) };
                    world.device.finish(*id, result);
                }
            }
            Op::Answer => {
                world.drain_commands();
                world.deliver();
                world.drain_notices();
            }
            Op::Advance(us) => {
                world.now = world.now.after_us(us);
                world.runtime.handle_timeout(world.now);
            }
            Op::Crash { lost_answers: true } => world.device.crash_at_once(),
            Op::Crash { lost_answers: false } => world.device.crash(),
            Op::ConnectFails(times) => world.device.connects.extend(vec![Connect::Fail; times]),
            Op::Refuse { after } => {
                world.device.refuse_after = after;
                world.device.refuse_next = Some(PrepareError::OutOfMemory);
            }
            Op::Load(context) => {
                let table = world.shared_table(&format!("loaded {}", self.loaded));
                self.loaded += 1;
                let _ = world.runtime.graph_load(self.contexts[context].0, table, None);
            }
            Op::Register(context) => {
                let memory = client_memory(8);
                let _ = world.runtime.buffer_register(self.contexts[context].0, memory);
            }
            Op::Free(context) => {
                if world.runtime.context_free(world.now, self.contexts[context].0).is_ok() {
                    self.freed.insert(context);
                }
            }
        }
    }

    /// No more trouble: everything comes to rest, and the device has what the client believes.
    fn rest(&mut self) {
        let world = &mut self.world;
        world.device.connects.clear();
        world.device.refuse_next = None;
        world.settle();
        world.advance(5_000_000);
        world.finish_all();
        world.settle();
        assert!(world.runtime.is_idle(), "something is left to do");
        let all_lost = world.runtime.state() == State::Lost;
        assert!(all_lost || world.runtime.state() == State::Online);
        let mut live = Vec::new();
        for (place, (context, recovery)) in self.contexts.iter().enumerate() {
            let handle = |error| Err(CreateError::Handle(error));
            match world.runtime.context_status(*context) {
                Ok(Status::Ready) => live.push(context.index()),
                status if self.freed.contains(&place) => {
                    assert_eq!(status, handle(HandleError::Invalid));
                }
                status if all_lost || recovery.is_managed() => {
                    assert_eq!(status, handle(HandleError::Lost))
                }
                status => assert_eq!(status, handle(HandleError::Stale)),
            }
        }
        live.sort();
        assert_eq!(world.device.state().contexts, live);
    }

    fn check_requests(&self) {
        let executed = self.world.device.journal.iter().filter_map(|seen| match seen {
            Seen::Execute(id) => Some(*id),
            _ => None,
        });
        let executed: Vec<_> = executed.collect();
        let once: HashSet<_> = executed.iter().collect();
        assert_eq!(once.len(), executed.len(), "nothing is executed twice");
        assert_eq!(self.world.completions.len(), self.accepted.len());
        for graph in 0..self.graphs.len() {
            let of_graph = |id: &&RequestId| self.accepted.contains(&(**id, graph));
            let order: Vec<_> = executed.iter().filter(of_graph).map(|id| id.generation).collect();
            assert!(order.is_sorted(), "a graph's requests run in their order: {order:?}");
        }
        let all_lost = self.world.runtime.state() == State::Lost;
        for (id, graph) in &self.accepted {
            let outcome = self.world.outcome(*id).expect("it is heard");
            let heard = self.world.completions.iter().find(|heard| heard.request == *id);
            // The device may have been down already.
            let sent = heard.is_some_and(|heard| heard.times.dispatched != Instant::ZERO);
            let recovery = self.contexts[*graph].1;
            match outcome {
                Outcome::Completed => assert!(once.contains(id)),
                Outcome::DeviceReset => assert!(sent || !recovery.keeps_queued(), "{id:?}"),
                Outcome::DeviceLost => assert!(all_lost || recovery.is_managed()),
                Outcome::TimedOut | Outcome::Aborted | Outcome::Failed => {}
            }
        }
    }

    fn end(mut self) {
        for (place, (context, _)) in self.contexts.clone().into_iter().enumerate() {
            if !self.freed.contains(&place) {
                self.world.runtime.context_free(self.world.now, context).unwrap();
            }
        }
        self.world.settle();
        self.world.assert_clean();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    // REQ: ASYNC-002, ASYNC-024, SSR-028
    #[test]
    fn every_request_ends_once_and_runs_at_most_once(ops in prop::collection::vec(op(), 1..150)) {
        let mut client = Client::new();
        for op in &ops {
            client.apply(op);
        }
        client.rest();
        client.check_requests();
        client.end();
    }
}
