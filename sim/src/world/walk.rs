//! A small world, one action at a time: what an explorer of all orders needs.
//!
//! Nothing here is cloned: a state is the list of actions that lead to it, done anew, and known by
//! a hash of all that decides what follows. Time passes only when nothing else can happen, or when
//! something is due.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::MaybeUninit;

use htp_runtime::capability::PlatformKind;
use htp_runtime::device::Event;
use htp_runtime::limits::Capacities;
use htp_runtime::queue::Mode;
use htp_runtime::ssr::State;

use super::faults::epoch_of;
use super::ledger::Ledger;
use super::World;
use crate::check::{ensure, Check, ContextState, Policy};
use crate::device::Connect;
use crate::mutant::Mutant;
use crate::plan::{Decision, Plan, Setup, Tensors, Vote};
use crate::trace::Trace;

/// Requests that clients submit.
pub const REQUESTS: usize = 3;
/// Index of the graph of each request.
const GRAPH_OF: [usize; REQUESTS] = [0, 1, 0];
/// Capacities of the small world.
const CAPACITIES: Capacities = Capacities {
    contexts: 2,
    graphs: 2,
    buffers: 2,
    requests: 6,
    profiles: 0,
    power_configs: 1,
    watched_outputs: 0,
    trace_records: 0,
};

/// What there is, and how often what may go wrong does.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Of the two contexts, each with one graph and one buffer.
    pub policies: [Policy; 2],
    pub crashes: usize,
    /// Crashes of which the host does not hear.
    pub hangs: usize,
    /// Connection attempts that fail or are not answered.
    pub connects: usize,
    /// Objects that the device refuses.
    pub refusals: usize,
    pub mutant: Option<Mutant>,
}

/// One thing that may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A client submits the next request.
    Submit,
    /// The next command goes to the device, which takes it at once if it can.
    Poll,
    /// The n-th answer that the device owes goes on its way.
    Answer(u8),
    /// The n-th answer under way arrives: the oldest, or the oldest of the present life.
    Deliver(u8),
    /// The n-th execution ends, and its answer goes on its way.
    Finish(u8),
    /// A client hears the next notice.
    Hear,
    /// The runtime is told that what is due next is due.
    Timer,
    Crash,
    Hang,
    /// The next connection attempt fails.
    ConnectFails,
    /// The next connection attempt is not answered.
    ConnectSilent,
    /// The device refuses the next object.
    Refuse,
}

/// A state.
#[derive(Debug, Clone)]
pub struct Reached {
    /// Equal for states from which the same follows.
    pub hash: u64,
    /// What may happen next.
    pub actions: Vec<Action>,
    /// Every request was heard, nothing is under way, every managed context is usable or lost.
    pub at_rest: bool,
    pub state: State,
}

/// Does these actions.
pub fn walk(scenario: &Scenario, path: &[Action], arena: &mut [MaybeUninit<u8>]) -> Check<Reached> {
    let world = World::walked(scenario, path, arena)?;
    let actions = world.actions(scenario, path);
    let mut hasher = DefaultHasher::new();
    world.hash_state(&mut hasher);
    let fuel: Vec<_> = scenario.fuel().map(|(action, _)| spent(path, action)).collect();
    (fuel, spent(path, Action::Submit)).hash(&mut hasher);
    let state = world.port.runtime.state();
    Ok(Reached { hash: hasher.finish(), actions, at_rest: world.is_at_rest(), state })
}

/// Does these actions, then lets everything come to rest, frees all and starts anew.
pub fn walk_to_rest(scenario: &Scenario, path: &[Action], arena: &mut [MaybeUninit<u8>]) -> Check {
    let mut world = World::walked(scenario, path, arena)?;
    world.finale()?;
    world.ledger.as_deref().map_or(Ok(()), Ledger::all_heard)
}

impl Scenario {
    /// What may go wrong, and how often.
    fn fuel(&self) -> impl Iterator<Item = (Action, usize)> {
        let connects = self.connects;
        let all = [
            (Action::Crash, self.crashes),
            (Action::Hang, self.hangs),
            (Action::ConnectFails, connects),
            (Action::ConnectSilent, connects),
            (Action::Refuse, self.refusals),
        ];
        all.into_iter()
    }

    fn plan() -> Plan {
        let capabilities = PlatformKind::QnxAdas.capabilities(75);
        let setup = Setup { capacities: CAPACITIES, capabilities };
        Plan { seed: 0, setup, decisions: Vec::new() }
    }
}

fn spent(path: &[Action], action: Action) -> usize {
    path.iter().filter(|done| **done == action).count()
}

impl<'m> World<'m> {
    fn walked(
        scenario: &Scenario,
        path: &[Action],
        arena: &'m mut [MaybeUninit<u8>],
    ) -> Check<Self> {
        let mut world = World::new(&Scenario::plan(), None, arena, Trace::silent());
        world.ledger = Some(Box::default());
        world.furnish(scenario)?;
        world.port.break_as(scenario.mutant);
        for action in path {
            world.model.begin();
            world.act(*action)?;
            world.check()?;
        }
        world.model.queues(&world.port.runtime)?;
        Ok(world)
    }

    /// Two contexts with a graph and a buffer each, all ready, and a vote.
    fn furnish(&mut self, scenario: &Scenario) -> Check {
        for policy in scenario.policies {
            self.model.begin();
            self.context_create(2, 2, policy)?;
            let context = self.contexts.last().copied();
            self.graph_load(context, 0)?;
            let index = self.contexts.len() as u16 - 1;
            self.call(Decision::BufferRegister { context: index, empty: false })?;
            while self.turn()? {}
        }
        self.call(Decision::PowerCreate)?;
        self.call(Decision::PowerSet { pick: 0, vote: Vote::Bus(3) })?;
        while self.turn()? {}
        ensure!(self.is_at_rest(), "the small world is ready", "{:?}", self.model.contexts);
        Ok(())
    }

    fn act(&mut self, action: Action) -> Check {
        match action {
            Action::Submit => {
                let graph = self.graphs[GRAPH_OF[self.words as usize % REQUESTS]];
                self.submit(graph, Mode::Asynchronous, None, Tensors::Right)
            }
            Action::Poll => {
                self.poll(1)?;
                self.take(u8::MAX).map(drop)
            }
            Action::Answer(n) => {
                self.device.answer(n.into());
                Ok(())
            }
            Action::Deliver(n) => self.deliver(n.into()).map(drop),
            Action::Finish(n) => {
                self.device.finish(self.now, n.into(), None, &self.pool)?;
                let [owed, _] = self.device.counts();
                self.device.answer(owed as u16 - 1);
                Ok(())
            }
            Action::Hear => self.hear(1).map(drop),
            Action::Timer => self.next_timer().map(drop),
            Action::Crash => self.go_wrong(Decision::Crash),
            Action::Hang => self.go_wrong(Decision::Hang),
            Action::ConnectFails => {
                self.device.connects.push_back(Connect::Fail);
                Ok(())
            }
            Action::ConnectSilent => {
                self.device.connects.push_back(Connect::Ignore);
                Ok(())
            }
            Action::Refuse => self.go_wrong(Decision::Refuse),
        }
    }

    fn actions(&self, scenario: &Scenario, path: &[Action]) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.port.has_command() {
            actions.push(Action::Poll);
        }
        let [owed, executing] = self.device.counts().map(|count| count as u8);
        if !self.device.hung {
            actions.extend((0..owed).map(Action::Answer));
            actions.extend((0..executing).map(Action::Finish));
        }
        let arriving = |late| {
            let present = self.port.runtime.epoch();
            let old = |event: &Event| epoch_of(event) != Some(present);
            self.device.outgoing.iter().position(|event| old(event) == late)
        };
        let arriving = [true, false].into_iter().filter_map(arriving);
        actions.extend(arriving.map(|place| Action::Deliver(place as u8)));
        if self.port.has_notice() {
            actions.push(Action::Hear);
        }
        let due = self.port.poll_timeout();
        if due.is_some_and(|at| at <= self.now || actions.is_empty()) {
            actions.push(Action::Timer);
        }
        if self.words < REQUESTS as u32 {
            actions.push(Action::Submit);
        }
        for (action, most) in scenario.fuel() {
            if spent(path, action) < most && self.can_go_wrong(action) {
                actions.push(action);
            }
        }
        actions
    }

    fn can_go_wrong(&self, action: Action) -> bool {
        let connecting = !self.model.link.is_up() && !self.model.link.is_settled();
        match action {
            Action::ConnectFails | Action::ConnectSilent => {
                connecting && self.device.connects.is_empty()
            }
            Action::Refuse => {
                self.port.runtime.state() == State::AfterPowerUp && !self.device.refuse_next
            }
            _ => self.device.up && !self.device.hung,
        }
    }

    fn is_at_rest(&self) -> bool {
        let alive = |context: &crate::check::Context| {
            context.policy == Policy::Native
                || self.model.link.phase == crate::check::Phase::Lost
                || matches!(context.state, ContextState::Ready | ContextState::Lost)
        };
        self.model.link.is_settled()
            && self.model.is_idle()
            && self.device.is_quiet()
            && self.port.runtime.is_idle()
            && self.model.contexts.iter().all(alive)
            && self.ledger.as_deref().is_none_or(|ledger| {
                ledger.all_heard().is_ok() && ledger.all_told(&self.model).is_ok()
            })
    }

    fn hash_state(&self, hasher: &mut impl Hasher) {
        self.port.hash_state(hasher);
        self.device.hash_state(hasher);
        self.model.hash_state(hasher);
        if let Some(ledger) = &self.ledger {
            ledger.hash_state(hasher);
        }
        (self.now, self.words, self.tables_lost).hash(hasher);
    }
}
