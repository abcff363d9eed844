//! Contexts under managed recovery, with everything in them that a rebuild must bring back.

use htp_runtime::error::Status;
use htp_runtime::handle::{BufferId, ContextId, GraphId};
use htp_runtime::power::{Corner, Corners, MemoryConfig, PowerChange};
use htp_runtime::runtime::ContextConfig;
use htp_runtime::sched::Priority;
use htp_runtime::ssr::{Queued, Recovery, State};

use super::support::{client_memory, depth, Seen, World};

/// Device answers of the rebuild of [`Managed::new`], the connection's included: two contexts,
/// three graphs, three buffers. Then come a vote and a memory configuration, which have none.
pub const ANSWERS: usize = 1 + 2 + 3 + 3;

pub fn recovery(attempts_max: u32, queued: Queued) -> Recovery {
    Recovery::Managed { attempts_max, time_budget_us: 2_000_000, queued }
}

pub fn config(queue_depth: u32, recovery: Recovery) -> ContextConfig {
    ContextConfig { recovery, ..depth(queue_depth) }
}

/// Two managed contexts with graphs, buffers and a graph under construction, and a vote.
pub struct Managed {
    pub world: World,
    pub first: ContextId,
    pub second: ContextId,
    pub loaded: GraphId,
    pub composed: GraphId,
    pub composing: GraphId,
    pub other: GraphId,
    pub buffers: [BufferId; 3],
}

impl Managed {
    pub fn new(recovery: Recovery) -> Self {
        Self::with(recovery, recovery)
    }

    pub fn with(first: Recovery, second: Recovery) -> Self {
        let mut world = World::new();
        let first = world.context(&config(10, first));
        let loaded = world.graph(first, "loaded", Priority::Normal);
        let composed = world.composed(first, "composed");
        world.runtime.graph_finalize(composed).unwrap();
        let composing = world.composed(first, "composing");
        let second = world.context(&config(10, second));
        let other = world.graph(second, "other", Priority::High);
        let buffers = [first, first, second]
            .map(|context| world.runtime.buffer_register(context, client_memory(64)).unwrap());
        let power = world.runtime.power_config_create().unwrap();
        let core = Some(Corners::all(Corner::TURBO));
        let vote = PowerChange { core, ..PowerChange::default() };
        world.runtime.power_config_set(power, &vote).unwrap();
        world.runtime.memory_config_set(MemoryConfig { grow_bytes: 4096 }).unwrap();
        world.settle();
        let this = Self { world, first, second, loaded, composed, composing, other, buffers };
        this.assert_usable();
        this
    }

    /// Every handle is as good as when it was made.
    pub fn assert_usable(&self) {
        let runtime = &self.world.runtime;
        assert_eq!(runtime.state(), State::Online);
        for graph in [self.loaded, self.composed, self.other] {
            assert_eq!(runtime.graph_status(graph), Ok(Status::Ready));
        }
        for buffer in self.buffers {
            assert_eq!(runtime.buffer_status(buffer), Ok(Status::Ready));
        }
        assert_eq!(runtime.graph_by_name(self.first, "composing"), Ok(self.composing));
        assert_eq!(runtime.counters().faults, 0);
    }

    /// What the device was told since its last connection began.
    pub fn last_life(&self) -> Vec<Seen> {
        let journal = &self.world.device.journal;
        let begin = journal.iter().rposition(|seen| matches!(seen, Seen::Connect(_)));
        journal[begin.unwrap_or(0)..].to_vec()
    }

    /// The DSP crashes; the device then gives `answers` answers and no more. `false` if it has not
    /// so many to give.
    pub fn crash_and_answer(&mut self, answers: usize) -> bool {
        self.world.device.crash_at_once();
        assert!(self.world.deliver());
        (0..answers).all(|_| {
            self.world.drain_commands();
            self.world.deliver()
        })
    }

    /// Frees both contexts; nothing is left of them anywhere.
    pub fn end(mut self) {
        self.world.finish_all();
        self.world.free_and_check(&[self.first, self.second]);
    }
}

/// No object is told of twice in one life of the DSP.
pub fn assert_told_once(journal: &[Seen]) {
    let lives = journal.split(|seen| matches!(seen, Seen::Connect(_)));
    for life in lives {
        for (place, seen) in life.iter().enumerate() {
            let again = life[place + 1..].contains(seen);
            assert!(!again || matches!(seen, Seen::Probe), "{seen:?} twice in one life");
        }
    }
}
