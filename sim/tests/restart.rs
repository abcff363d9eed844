//! The restart machine in every order: two contexts, two graphs, two buffers, three requests; and
//! crashes, hangs, refusals and failing connections wherever they can come
//! (docs/adr/011-every-order.md).
//!
//! A state is the list of actions that lead to it, done anew on the real runtime, and known by a
//! hash of everything in it. What is explored with optimization has one crash more.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use htp_runtime::ssr::State as Phase;
use htp_sim::check::{Policy, Violation};
use htp_sim::explore::arena;
use htp_sim::mutant::Mutant;
use htp_sim::world::{walk, walk_to_rest, Action, Reached, Scenario};
use stateright::{Checker, HasDiscoveries, Model, Property};

/// A second crash wherever one can come.
const CRASHES: usize = if cfg!(debug_assertions) { 1 } else { 2 };

const NATIVE: Policy = Policy::Native;
const MANAGED: Policy = managed(2, 2_000_000);
/// A crash in its rebuild costs it.
const ONE_ATTEMPT: Policy = managed(1, 2_000_000);
/// So does a connection attempt that is not answered.
const HASTY: Policy = managed(2, 50_000);

const fn managed(attempts_max: u32, time_budget_us: u64) -> Policy {
    Policy::Managed { attempts_max, time_budget_us, keeps: true }
}

const fn scenario(policies: [Policy; 2]) -> Scenario {
    Scenario { policies, crashes: CRASHES, hangs: 0, connects: 0, refusals: 0, mutant: None }
}

/// From which state to which.
type Edges = Arc<Mutex<Vec<(u64, u64)>>>;

struct Exploration {
    scenario: Scenario,
    edges: Edges,
}

#[derive(Debug, Clone)]
struct State {
    path: Vec<Action>,
    found: Result<Reached, Violation>,
}

impl State {
    fn is(&self, holds: impl Fn(&Reached) -> bool) -> bool {
        self.found.as_ref().is_ok_and(holds)
    }

    fn hash_of(&self) -> u64 {
        self.found.as_ref().map_or(0, |reached| reached.hash)
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.hash_of().hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.hash_of() == other.hash_of()
    }
}

fn with_arena<R>(call: impl FnOnce(&mut [MaybeUninit<u8>]) -> R) -> R {
    thread_local! {
        static ARENA: RefCell<Box<[MaybeUninit<u8>]>> = RefCell::new(arena());
    }
    ARENA.with_borrow_mut(|arena| call(arena))
}

impl Exploration {
    fn reach(&self, path: Vec<Action>) -> State {
        let found = with_arena(|arena| walk(&self.scenario, &path, arena));
        State { path, found }
    }
}

impl Model for Exploration {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.reach(Vec::new())]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if let Ok(reached) = &state.found {
            actions.extend(&reached.actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut path = state.path.clone();
        path.push(action);
        let next = self.reach(path);
        self.edges.lock().unwrap().push((state.hash_of(), next.hash_of()));
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let crash_in_rebuild = |_: &Self, state: &State| {
            let second = state.path.last() == Some(&Action::Crash);
            second && state.is(|reached| reached.state == Phase::AfterPowerUp)
        };
        let mut properties = vec![
            Property::always("no rule is broken", |_, state: &State| state.found.is_ok()),
            Property::always("faults may stop here", |model: &Self, state: &State| {
                // With two crashes only in the end, where each path leads: it costs as much again.
                let skips = model.scenario.crashes > 1;
                let skips = skips && state.is(|reached| !reached.actions.is_empty());
                skips
                    || with_arena(|arena| walk_to_rest(&model.scenario, &state.path, arena)).is_ok()
            }),
            // True only where nothing is left to happen, so that paths which meet owe the same.
            Property::eventually("rest", |_, state: &State| {
                state.is(|reached| reached.at_rest && reached.actions.is_empty())
            }),
        ];
        if self.scenario.crashes > 1 {
            properties.push(Property::sometimes("a crash in a rebuild", crash_in_rebuild));
        }
        properties
    }
}

/// Whether no way leads back to where it was: what goes on for ever would be a circle.
fn has_no_circle(edges: &[(u64, u64)]) -> bool {
    let mut out: HashMap<u64, Vec<u64>> = HashMap::new();
    let mut into: HashMap<u64, u32> = HashMap::new();
    for &(from, to) in edges {
        out.entry(from).or_default().push(to);
        into.entry(from).or_default();
        *into.entry(to).or_default() += 1;
    }
    let mut free: Vec<u64> = into.iter().filter(|(_, n)| **n == 0).map(|(at, _)| *at).collect();
    let mut seen = 0;
    while let Some(at) = free.pop() {
        seen += 1;
        for to in out.remove(&at).unwrap_or_default() {
            let left = into.get_mut(&to).unwrap();
            *left -= 1;
            if *left == 0 {
                free.push(to);
            }
        }
    }
    seen == into.len()
}

/// All states of a scenario.
fn explore(name: &str, scenario: Scenario) {
    let edges = Edges::default();
    let begin = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let model = Exploration { scenario, edges: edges.clone() };
    let failures = HasDiscoveries::AnyFailures;
    let checker = model.checker().threads(threads).finish_when(failures).spawn_bfs().join();
    println!(
        "{name}: {} states, {} of them different, depth {}, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        begin.elapsed().as_secs_f64()
    );
    for (property, path) in checker.discoveries() {
        if property != "a crash in a rebuild" {
            let State { path, found } = path.last_state();
            let rest = with_arena(|arena| walk_to_rest(&scenario, path, arena));
            panic!("{name} breaks `{property}`: {path:?} leads to {found:?}, to rest: {rest:?}");
        }
    }
    checker.assert_properties();
    assert!(checker.is_done());
    assert!(has_no_circle(&edges.lock().unwrap()), "{name}: something can go on for ever");
}

// REQ: SSR-005, SSR-006, SSR-028, ASYNC-024
#[test]
fn every_order_with_a_managed_and_a_native_context() {
    explore("managed, native", scenario([MANAGED, NATIVE]));
    explore("native, managed", scenario([NATIVE, MANAGED]));
    explore("native, managed with one attempt", scenario([NATIVE, ONE_ATTEMPT]));
}

// REQ: SSR-005, SSR-006, SSR-028, ASYNC-024
#[test]
fn every_order_with_two_managed_contexts() {
    explore("managed, managed", scenario([MANAGED, MANAGED]));
}

#[test]
fn every_order_with_what_else_goes_wrong() {
    let one = Scenario { crashes: 1, ..scenario([MANAGED, NATIVE]) };
    explore("a connection fails, one is silent", Scenario { connects: 1, ..one });
    explore("an object is refused", Scenario { refusals: 1, ..one });
    explore("the device hangs", Scenario { crashes: CRASHES - 1, hangs: 1, ..one });
    let hasty = Scenario { policies: [HASTY, MANAGED], ..one };
    explore("a context runs out of time", Scenario { connects: 1, ..hasty });
}

#[test]
fn a_broken_runtime_is_found() {
    let mutants = [
        Mutant::SkipCompletion,
        Mutant::CompleteTwice,
        Mutant::SettleEarly,
        Mutant::OldEpochCommand,
        Mutant::SkipRebuild,
        Mutant::RebuildTwice,
        Mutant::SleepThrough,
    ];
    for mutant in mutants {
        let scenario = Scenario { crashes: 1, ..scenario([MANAGED, NATIVE]) };
        let scenario = Scenario { mutant: Some(mutant), ..scenario };
        let model = Exploration { scenario, edges: Edges::default() };
        let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let found = checker.discoveries();
        let first = found.iter().next();
        let (property, path) = first.unwrap_or_else(|| panic!("not found: {}", mutant.says()));
        let length = path.last_state().path.len();
        println!("{mutant:?}: `{property}` after {length} actions");
    }
}

#[test]
fn a_circle_is_seen() {
    assert!(has_no_circle(&[(1, 2), (1, 3), (2, 4), (3, 4)]));
    assert!(!has_no_circle(&[(1, 2), (2, 3), (3, 2)]));
}
