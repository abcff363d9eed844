//! The hash of the machine's state: equal where two machines go on alike, different where one value
//! that decides something differs.

use std::hash::{DefaultHasher, Hasher};

use crate::managed_world::{config, recovery};
use crate::support::{
    all_capabilities, client_memory, depth, Connect, World, ASYNC, CAPACITIES, REPORT,
};
use htp_runtime::capability::Capabilities;
use htp_runtime::device::{Event, ExecuteError, PrepareError};
use htp_runtime::graph::GraphOptions;
use htp_runtime::handle::{ContextId, GraphId, PowerConfigId, RequestId};
use htp_runtime::power::{Corner, Corners, MemoryConfig, PowerChange};
use htp_runtime::profile::ProfileLevel;
use htp_runtime::queue::Mode;
use htp_runtime::runtime::{Fallback, IoOwnership, SubmitOptions};
use htp_runtime::sched::Priority;
use htp_runtime::ssr::{Queued, State};
use htp_runtime::time::Instant;

/// A world with a context that is rebuilt and one that is not, a graph in each, and a vote.
struct Prepared {
    world: World,
    managed: ContextId,
    native: ContextId,
    kept: GraphId,
    graph: GraphId,
    power: PowerConfigId,
}

impl Prepared {
    fn new() -> Self {
        let offered = all_capabilities().union(Capabilities::CPU_FALLBACK);
        let mut world = World::with(offered, CAPACITIES);
        let managed = world.context(&config(4, recovery(3, Queued::Requeue)));
        let native = world.context(&depth(4));
        let kept = world.graph(managed, "kept", Priority::Normal);
        let graph = world.graph(native, "net", Priority::Normal);
        let power = world.runtime.power_config_create().unwrap();
        Self { world, managed, native, kept, graph, power }
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.world.runtime.hash_state(&mut hasher);
        hasher.finish()
    }

    fn submit(&mut self, options: SubmitOptions) -> RequestId {
        self.world.submit(self.graph, options).unwrap()
    }

    /// A request that is on the device.
    fn running(&mut self) -> RequestId {
        let request = self.submit(ASYNC);
        self.world.settle();
        assert!(self.world.runtime.is_running(request));
        request
    }

    fn vote(&mut self, corner: Corner) {
        let change = PowerChange { core: Some(Corners::all(corner)), ..PowerChange::default() };
        self.world.runtime.power_config_set(self.power, &change).unwrap();
    }

    /// The device goes down and does not answer.
    fn go_down(&mut self) {
        self.world.device.connects.push_back(Connect::Ignore);
        self.world.crash();
        assert_eq!(self.world.runtime.state(), State::BeforePowerUp);
    }
}

/// Two of two.
fn pick<T>(second: bool, of: [T; 2]) -> T {
    let [first, other] = of;
    if second {
        other
    } else {
        first
    }
}

type Turn = (&'static str, fn(&mut Prepared, bool));

/// What two clients may do differently, one value at a time.
const BY_CLIENTS: [Turn; 17] = [
    ("depth", |p, second| {
        p.world.context(&depth(pick(second, [2, 3])));
    }),
    ("attempts", |p, second| {
        p.world.context(&config(2, recovery(pick(second, [1, 2]), Queued::Requeue)));
    }),
    ("what becomes of queued ones", |p, second| {
        let queued = pick(second, [Queued::Requeue, Queued::Complete]);
        p.world.runtime.context_set_recovery(p.managed, recovery(3, queued)).unwrap();
    }),
    ("priority of a context", |p, second| {
        let priority = pick(second, [Priority::Low, Priority::High]);
        let empty = p.world.context(&depth(1));
        p.world.runtime.context_set_priority(empty, priority).unwrap();
    }),
    ("priority of a graph", |p, second| {
        let priority = pick(second, [Priority::Low, Priority::High]);
        p.world.runtime.graph_set_priority(p.graph, priority).unwrap();
    }),
    ("threads of a graph", |p, second| {
        p.world.runtime.graph_set_hvx_threads(p.graph, pick(second, [1, 2])).unwrap();
    }),
    ("only prepared", |p, second| {
        p.world.runtime.context_set_prepare_only(p.native, second).unwrap();
    }),
    ("watched outputs", |p, second| {
        let ownership = pick(second, [IoOwnership::Counted, IoOwnership::Refused]);
        p.world.runtime.context_set_io_ownership(p.native, ownership).unwrap();
    }),
    ("interval of the fallback", |p, second| {
        let fallback = Fallback { interval_us: pick(second, [500, 501]) };
        p.world.runtime.context_set_fallback(p.managed, Some(fallback)).unwrap();
    }),
    ("deadline", |p, second| {
        let deadline = p.world.now.after_us(pick(second, [10, 11]));
        p.submit(SubmitOptions { deadline, ..ASYNC });
    }),
    ("a deadline or none", |p, second| {
        let deadline = pick(second, [Instant::FAR, Instant::from_us(10_000)]);
        p.submit(SubmitOptions { deadline, ..ASYNC });
    }),
    ("words", |p, second| {
        p.submit(SubmitOptions { user_data: [0, 0, second.into()], ..ASYNC });
    }),
    ("how the client waits", |p, second| {
        p.submit(SubmitOptions {
            mode: pick(second, [Mode::Asynchronous, Mode::Blocking]),
            ..ASYNC
        });
    }),
    ("which graph", |p, second| {
        let graph = pick(second, [p.graph, p.kept]);
        p.world.submit(graph, ASYNC).unwrap();
    }),
    ("cancelled or not", |p, second| {
        let request = p.running();
        if second {
            p.world.runtime.cancel(p.world.now, request).unwrap();
        }
    }),
    ("vote", |p, second| p.vote(pick(second, [Corner::NOM, Corner::MAX]))),
    ("memory", |p, second| {
        let config = MemoryConfig { grow_bytes: pick(second, [1, 2]) };
        p.world.runtime.memory_config_set(config).unwrap();
    }),
];

/// What the device, or the time, may do differently.
const BY_THE_DEVICE: [Turn; 13] = [
    ("a command was taken or not", |p, second| {
        p.submit(ASYNC);
        if second {
            assert_eq!(p.world.drain_commands(), 1);
        }
    }),
    ("a completion was heard or not", |p, second| {
        let request = p.running();
        p.world.device.finish(request, Ok(REPORT));
        assert!(p.world.deliver());
        if second {
            assert_eq!(p.world.drain_notices(), 1);
        }
    }),
    ("outcome", |p, second| {
        let request = p.running();
        let result = pick(second, [Err(ExecuteError::Aborted), Err(ExecuteError::Internal)]);
        p.world.device.finish(request, result);
        assert!(p.world.deliver());
    }),
    ("an answer came or not", |p, second| {
        p.world.runtime.context_create(&depth(1)).unwrap();
        p.world.drain_commands();
        if second {
            assert!(p.world.deliver());
        }
    }),
    ("why a graph was refused", |p, second| {
        let error = pick(second, [PrepareError::OutOfMemory, PrepareError::InvalidTable]);
        p.world.device.refuse_next = Some(error);
        let table = p.world.shared_table("refused");
        p.world.runtime.graph_load(p.native, table, None).unwrap();
        p.world.settle();
    }),
    ("whether a buffer was mapped", |p, second| {
        p.world.device.refuse_next = Some(PrepareError::OutOfMemory).filter(|_| second);
        p.world.runtime.buffer_register(p.native, client_memory(64)).unwrap();
        p.world.settle();
    }),
    ("whose buffer", |p, second| {
        let context = pick(second, [p.native, p.managed]);
        p.world.runtime.buffer_register(context, client_memory(64)).unwrap();
    }),
    ("steps", |p, second| {
        p.running();
        let epoch = p.world.device.epoch();
        let alive = Event::Alive { epoch, steps: pick(second, [5, 6]), held: false };
        p.world.runtime.handle_event(p.world.now, alive);
    }),
    ("when the device worked", |p, second| {
        p.world.runtime.note_work(p.world.now.after_us(pick(second, [1, 2])));
    }),
    ("when it crashed", |p, second| {
        p.world.now = p.world.now.after_us(pick(second, [1, 2]));
        p.go_down();
    }),
    ("phases that nobody heard", |p, second| {
        p.world.device.crash();
        assert!(p.world.deliver());
        if second {
            assert!(p.world.drain_notices() > 0);
        }
    }),
    ("number of the attempt", |p, second| {
        p.world.device.connects.extend(pick(second, [vec![], vec![Connect::Fail]]));
        p.world.crash();
        p.world.advance(1_000_000);
        assert_eq!(p.world.runtime.state(), State::Online);
    }),
    ("what the fallback does", |p, second| {
        let fallback = Fallback { interval_us: 500 };
        p.world.runtime.context_set_fallback(p.managed, Some(fallback)).unwrap();
        p.go_down();
        let request = p.world.submit(p.kept, ASYNC).unwrap();
        p.world.settle();
        assert!(p.world.device.fallback.is_some());
        if second {
            p.world.runtime.cancel(p.world.now, request).unwrap();
        }
    }),
];

#[test]
fn one_value_that_decides_something_shows() {
    for (what, turn) in BY_CLIENTS.into_iter().chain(BY_THE_DEVICE) {
        let [first, second, again] = [false, true, false].map(|second| {
            let mut prepared = Prepared::new();
            turn(&mut prepared, second);
            assert_eq!(prepared.world.runtime.counters().faults, 0, "{what}");
            prepared.hash()
        });
        assert_ne!(first, second, "{what}");
        assert_eq!(first, again, "{what}: not only by where memory lies");
    }
}

#[test]
fn each_step_of_a_life_shows_and_shows_alike_in_a_second_world() {
    let lives = [(), ()].map(|()| {
        let mut prepared = Prepared::new();
        let mut hashes = vec![prepared.hash()];
        for (what, turn) in [
            ("vote", (|p, _| p.vote(Corner::MAX)) as fn(&mut Prepared, bool)),
            ("settle", |p, _| p.world.settle()),
            ("buffer", |p, _| {
                p.world.runtime.buffer_register(p.managed, client_memory(64)).unwrap();
            }),
            ("settle", |p, _| p.world.settle()),
            ("submit", |p, _| {
                p.submit(ASYNC);
                // A graph runs once at a time, so the second waits.
                p.world.submit(p.kept, ASYNC).unwrap();
                p.world.submit(p.kept, ASYNC).unwrap();
            }),
            ("crash", |p, _| p.go_down()),
            ("restart", |p, _| p.world.advance(200_000)),
            ("end", |p, _| {
                assert_eq!(p.world.running().len(), 1, "what was kept");
                p.world.finish_all();
            }),
            ("free", |p, _| {
                for context in [p.native, p.managed] {
                    p.world.runtime.context_free(p.world.now, context).unwrap();
                }
                p.world.settle();
            }),
        ] {
            turn(&mut prepared, false);
            hashes.push(prepared.hash());
            let seen = hashes.iter().filter(|hash| Some(*hash) == hashes.last()).count();
            assert_eq!(seen, 1, "{what} does not show");
        }
        assert_eq!(prepared.world.runtime.context_count(), 0);
        hashes
    });
    assert_eq!(lives[0], lives[1]);
}

#[test]
fn what_only_counts_or_records_does_not_show() {
    let mut prepared = Prepared::new();
    let composed = prepared.world.composed(prepared.native, "composed");
    let before = prepared.hash();
    let Prepared { world, graph, .. } = &mut prepared;
    let records = world.runtime.trace().total();
    let epoch = world.device.epoch();
    world.runtime.handle_event(world.now, Event::GraphReleased { graph: *graph, epoch });
    assert_eq!(world.runtime.counters().late_events, 1);
    let profile = world.runtime.profile_create(ProfileLevel::Basic).unwrap();
    world.runtime.profile_free(profile).unwrap();
    let options = GraphOptions { hvx_threads: 3, ..GraphOptions::default() };
    world.runtime.graph_set_options(composed, options).unwrap();
    let table = world.runtime.lend_table(*graph).unwrap();
    world.runtime.return_table(table);
    world.runtime.handle_timeout(world.now);
    assert_eq!(world.runtime.trace().total(), records);
    assert_eq!(prepared.hash(), before);
}
