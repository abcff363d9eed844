//! Random interleavings against a model that knows nothing of the runtime's tables: which requests
//! may start, which must, what each may end as, and that everything comes back to the start.

use crate::support::{depth, Connect, Seen, World, ASYNC, REPORT};
use htp_runtime::capability::Capabilities;
use htp_runtime::device::{Event, ExecuteError};
use htp_runtime::error::{CancelError, HandleError, SubmitError};
use htp_runtime::event::Outcome;
use htp_runtime::handle::{ContextId, GraphId, RequestId};
use htp_runtime::runtime::SubmitOptions;
use htp_runtime::sched::Priority;
use htp_runtime::ssr;
use htp_runtime::time::Instant;
use proptest::prelude::*;

/// Depth of each context and priorities of its graphs.
const SHAPE: [(u32, &[Priority]); 3] = [
    (2, &[Priority::High]),
    (5, &[Priority::Normal, Priority::Normal, Priority::Normal]),
    (7, &[Priority::Normal, Priority::Low, Priority::NormalHigh]),
];

#[derive(Debug, Clone)]
enum Op {
    Submit { graph: usize, deadline_us: Option<u64> },
    Cancel(usize),
    Finish { running: usize, result: Result<(), ExecuteError> },
    SayAgain(usize),
    Advance(u64),
    Crash { lost_attempts: usize },
    Replace(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let result = prop_oneof![
        8 => Just(Ok(())),
        1 => Just(Err(ExecuteError::Internal)),
        1 => Just(Err(ExecuteError::Aborted)),
    ];
    prop_oneof![
        12 => (0..7usize, prop::option::weighted(0.3, 1..200u64))
            .prop_map(|(graph, deadline_us)| Op::Submit { graph, deadline_us }),
        3 => any::<usize>().prop_map(Op::Cancel),
        9 => (0..8usize, result).prop_map(|(running, result)| Op::Finish { running, result }),
        1 => any::<usize>().prop_map(Op::SayAgain),
        3 => (0..100u64).prop_map(Op::Advance),
        1 => (0..3usize).prop_map(|lost_attempts| Op::Crash { lost_attempts }),
        1 => (0..3usize).prop_map(Op::Replace),
    ]
}

/// Where a request is, and how it will be heard.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Queued,
    /// On the device; what a stop that the device follows makes of it.
    Running(Option<Outcome>),
    Ended(Outcome),
    Heard,
}

/// A request as the model sees it.
#[derive(Debug, Clone)]
struct Entry {
    id: RequestId,
    word: usize,
    context: ContextId,
    graph: GraphId,
    priority: Priority,
    deadline: Instant,
    state: State,
}

impl Entry {
    fn runs(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// Somebody wants it to end with `outcome`; `false` if it ends anyway.
    fn stop(&mut self, outcome: Outcome) -> bool {
        match self.state {
            State::Queued => self.state = State::Ended(outcome),
            State::Running(None) => self.state = State::Running(Some(outcome)),
            _ => return false,
        }
        true
    }
}

struct Model {
    world: World,
    contexts: Vec<(ContextId, u32, bool)>,
    /// Graph, its context's place in `contexts`, its priority.
    graphs: Vec<(GraphId, usize, Priority)>,
    accepted: Vec<Entry>,
    words: usize,
}

impl Model {
    fn new(parallel: bool) -> Self {
        let mut world =
            if parallel { World::new() } else { World::without(Capabilities::PARALLEL_GRAPHS) };
        world.device.ignore_aborts = true;
        let mut model = Self {
            world,
            contexts: Vec::new(),
            graphs: Vec::new(),
            accepted: Vec::new(),
            words: 0,
        };
        for (place, (queue_depth, priorities)) in SHAPE.iter().enumerate() {
            let context = model.world.context(&depth(*queue_depth));
            model.contexts.push((context, *queue_depth, true));
            for (index, &priority) in priorities.iter().enumerate() {
                let graph = model.world.graph(context, &format!("net {index}"), priority);
                model.graphs.push((graph, place, priority));
            }
        }
        model
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Submit { graph, deadline_us } => self.submit(graph, deadline_us),
            Op::Cancel(pick) => self.cancel(pick),
            Op::Finish { running, result } => self.finish(running, result),
            Op::SayAgain(pick) => {
                let executed = |event: &&Event| matches!(event, Event::Executed { .. });
                let answered = self.world.device.answered.iter().filter(executed);
                let answered: Vec<_> = answered.copied().collect();
                if let Some(&event) = answered.get(pick % answered.len().max(1)) {
                    let late = self.world.runtime.counters().late_events;
                    self.world.device.say(event);
                    self.world.deliver();
                    assert_eq!(self.world.runtime.counters().late_events, late + 1);
                }
            }
            Op::Advance(us) => self.advance(us),
            Op::Crash { lost_attempts } => self.crash(lost_attempts),
            Op::Replace(place) => self.replace(place),
        }
        self.turn();
    }

    fn submit(&mut self, graph: usize, deadline_us: Option<u64>) {
        let (graph, place, priority) = self.graphs[graph % self.graphs.len()];
        let (context, queue_depth, fresh) = self.contexts[place];
        self.words += 1;
        let now = self.world.now;
        let deadline = deadline_us.map_or(ASYNC.deadline, |us| now.after_us(us));
        let options = SubmitOptions { deadline, user_data: [self.words; 3], ..ASYNC };
        let used = self.unheard().filter(|entry| entry.context == context).count();
        match self.world.submit(graph, options) {
            Ok(id) => {
                assert!(fresh && used < queue_depth as usize);
                assert!(self.accepted.iter().all(|entry| entry.id != id), "an id twice");
                let (word, state) = (self.words, State::Queued);
                self.accepted.push(Entry { id, word, context, graph, priority, deadline, state });
            }
            Err(SubmitError::QueueFull) => assert!(fresh && used == queue_depth as usize),
            Err(SubmitError::Handle(HandleError::Stale)) => assert!(!fresh),
            Err(error) => panic!("{error:?}"),
        }
    }

    fn cancel(&mut self, pick: usize) {
        let count = self.accepted.len().max(1);
        let Some(entry) = self.accepted.get_mut(pick % count) else { return };
        let expected = match entry.state {
            State::Heard => Err(CancelError::Invalid),
            _ => entry.stop(Outcome::Aborted).then_some(()).ok_or(CancelError::Ending),
        };
        assert_eq!(self.world.runtime.cancel(self.world.now, entry.id), expected);
    }

    fn finish(&mut self, pick: usize, result: Result<(), ExecuteError>) {
        let running = self.world.running();
        let Some(&request) = running.get(pick % running.len().max(1)) else { return };
        self.world.device.finish(request, result.map(|()| REPORT));
        self.world.deliver();
        let entry = self.accepted.iter_mut().find(|entry| entry.id == request).unwrap();
        let State::Running(stop) = entry.state else { panic!("{entry:?} does not run") };
        entry.state = State::Ended(match result {
            Ok(()) => Outcome::Completed,
            Err(ExecuteError::Aborted) => stop.unwrap_or(Outcome::Aborted),
            Err(_) => Outcome::Failed,
        });
    }

    fn advance(&mut self, us: u64) {
        self.world.now = self.world.now.after_us(us);
        let now = self.world.now;
        for entry in self.accepted.iter_mut().filter(|entry| entry.deadline <= now) {
            entry.stop(Outcome::TimedOut);
        }
        self.world.runtime.handle_timeout(self.world.now);
    }

    fn crash(&mut self, lost_attempts: usize) {
        for entry in &mut self.accepted {
            if matches!(entry.state, State::Queued | State::Running(_)) {
                entry.state = State::Ended(Outcome::DeviceReset);
            }
        }
        for (_, _, fresh) in &mut self.contexts {
            *fresh = false;
        }
        self.world.device.connects.extend(vec![Connect::Fail; lost_attempts]);
        self.world.device.crash();
        self.world.deliver();
        self.world.drain_commands();
        while self.world.runtime.state() != ssr::State::Online {
            self.world.drain_notices();
            assert!(self.world.completions.is_empty(), "heard before the connection is back");
            self.world.drain_commands();
            if !self.world.deliver() {
                self.world.now = self.world.runtime.poll_timeout().unwrap().max(self.world.now);
                self.world.runtime.handle_timeout(self.world.now);
            }
        }
    }

    /// Frees a context and makes it anew.
    fn replace(&mut self, place: usize) {
        let (context, queue_depth, _) = self.contexts[place];
        self.world.runtime.context_free(self.world.now, context).unwrap();
        self.stop_all(context);
        self.turn();
        let still = |entry: &&Entry| entry.context == context && entry.runs();
        let running: Vec<_> = self.accepted.iter().filter(still).map(|entry| entry.id).collect();
        for request in running {
            let index = self.world.running().iter().position(|id| *id == request).unwrap();
            self.finish(index, Err(ExecuteError::Aborted));
        }
        self.turn();
        assert!(self.world.runtime.context_is_gone(context));
        let new = self.world.context(&depth(queue_depth));
        self.contexts[place] = (new, queue_depth, true);
        for index in 0..self.graphs.len() {
            let (_, owner, priority) = self.graphs[index];
            if owner == place {
                let graph = self.world.graph(new, &format!("net {index}"), priority);
                self.graphs[index].0 = graph;
            }
        }
        self.seen_starts();
    }

    fn stop_all(&mut self, context: ContextId) {
        for entry in self.accepted.iter_mut().filter(|entry| entry.context == context) {
            entry.stop(Outcome::Aborted);
        }
    }

    /// Turns the loop and checks everything that happened in it.
    fn turn(&mut self) {
        self.world.drain_notices();
        self.hear();
        self.world.drain_commands();
        self.seen_starts();
        self.world.settle();
        self.hear();
        self.seen_starts();
        let idle = self.queued(|_| true);
        assert!(idle.iter().all(|id| !self.may_start(*id)), "something could start and did not");
    }

    /// Takes note of what was heard: each request once, with its words and an outcome that it may
    /// have.
    fn hear(&mut self) {
        for completion in std::mem::take(&mut self.world.completions) {
            let entry = self.accepted.iter_mut().find(|entry| entry.id == completion.request);
            let entry = entry.expect("only accepted requests are heard");
            assert_eq!(completion.user_data, [entry.word; 3]);
            assert_eq!(entry.state, State::Ended(completion.outcome), "{entry:?}");
            entry.state = State::Heard;
        }
    }

    /// Each start must have been allowed at that moment.
    fn seen_starts(&mut self) {
        let journal = self.world.device.journal.split_off(0);
        for seen in journal {
            if let Seen::Execute(request) = seen {
                assert!(self.may_start(request), "{request:?} starts out of turn");
                let entry = self.accepted.iter_mut().find(|entry| entry.id == request).unwrap();
                entry.state = State::Running(None);
            }
        }
    }

    fn unheard(&self) -> impl Iterator<Item = &Entry> {
        self.accepted.iter().filter(|entry| entry.state != State::Heard)
    }

    /// Requests that wait to run, in the order in which they were accepted.
    fn queued(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<RequestId> {
        let waits = self.accepted.iter().filter(|entry| entry.state == State::Queued);
        waits.filter(|entry| wanted(entry)).map(|entry| entry.id).collect()
    }

    /// Whether the rules let this request start now, and no other before it.
    fn may_start(&self, request: RequestId) -> bool {
        let entry = self.accepted.iter().find(|entry| entry.id == request).unwrap();
        let running: Vec<_> = self.unheard().filter(|entry| entry.runs()).collect();
        let parallel = self.world.runtime.capabilities().contains(Capabilities::PARALLEL_GRAPHS);
        let equals = running.iter().filter(|other| other.priority == entry.priority).count();
        let blocked = running.iter().any(|other| other.priority < entry.priority)
            || equals >= if parallel { 2 } else { 1 };
        let more_important = self.queued(|other| other.priority < entry.priority);
        let window = self.queued(|other| other.priority == entry.priority);
        let free = |id: &RequestId| {
            let graph = self.accepted.iter().find(|entry| entry.id == *id).unwrap().graph;
            running.iter().all(|other| other.graph != graph)
        };
        let first_free = window.iter().take(3).find(|id| free(id));
        let more_important_starts = more_important.iter().any(|id| self.may_start(*id));
        !blocked && !more_important_starts && first_free == Some(&request)
    }

    /// Everything ends; nothing is left.
    fn end(mut self) {
        for place in 0..self.contexts.len() {
            let context = self.contexts[place].0;
            self.world.runtime.context_free(self.world.now, context).unwrap();
            self.stop_all(context);
        }
        self.turn();
        while !self.world.running().is_empty() {
            self.finish(0, Ok(()));
            self.turn();
        }
        assert!(self.unheard().next().is_none(), "a completion is missing");
        self.world.assert_clean();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    // REQ: ASYNC-002, ASYNC-024, ASYNC-026, ASYNC-033, ASYNC-034, ASYNC-035, ASYNC-039, ASYNC-040
    #[test]
    fn every_interleaving_keeps_the_rules(
        parallel in prop::bool::weighted(0.8),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut model = Model::new(parallel);
        for op in &ops {
            model.apply(op);
        }
        model.end();
    }
}
