//! What the small world is explored for, counted apart from the model: each request is executed at
//! most once and heard exactly once, nothing starts before the device is whole, and each thing is
//! set up once in each life.

use std::hash::{Hash, Hasher};

use htp_runtime::device::Event;
use htp_runtime::event::{Notice, Outcome};
use htp_runtime::handle::{BufferId, ContextId, Epoch, GraphId, RequestId};
use htp_runtime::ssr::State;

use crate::check::{ensure, BufferState, Check, ContextState, GraphState, Model, Phase, Policy};
use crate::order::{Order, What};
use crate::trace::shown;

/// A request that was accepted.
#[derive(Debug, Clone, Hash)]
struct Line {
    id: RequestId,
    /// The life in which it went to the device.
    executed: Option<Epoch>,
    /// The device said how it ended, in the same life.
    answered: bool,
    heard: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Thing {
    Context(ContextId),
    Graph(GraphId),
    Buffer(BufferId),
}

/// The counts.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    lines: Vec<Line>,
    /// What the device was told to set up, in which life, and did not refuse or let go since.
    told: Vec<(Epoch, Thing)>,
}

impl Ledger {
    /// A request was accepted.
    pub fn accepted(&mut self, id: RequestId) -> Check {
        let known = self.lines.iter().any(|line| line.id == id);
        ensure!(!known, "each request has a name of its own", "{}", shown(id));
        self.lines.push(Line { id, executed: None, answered: false, heard: false });
        Ok(())
    }

    /// A command, in this phase.
    pub fn order(&mut self, order: &Order<'_>, state: State) -> Check {
        let Some(epoch) = order.epoch else { return Ok(()) };
        match &order.what {
            What::Execute(execute) => {
                let id = execute.request;
                ensure!(state == State::Online, "nothing starts before Online", "{}", shown(id));
                let line = self.lines.iter_mut().find(|line| line.id == id && !line.heard);
                let Some(line) = line else {
                    ensure!(false, "only accepted requests start", "{}", shown(id));
                    return Ok(());
                };
                ensure!(line.executed.is_none(), "nothing is executed twice", "{}", shown(id));
                line.executed = Some(epoch);
            }
            What::ContextCreate(id) => self.set_up(epoch, Thing::Context(*id))?,
            What::GraphPrepare { graph, .. } => self.set_up(epoch, Thing::Graph(*graph))?,
            What::BufferMap { buffer, .. } => self.set_up(epoch, Thing::Buffer(*buffer))?,
            What::ContextRelease(id) => self.let_go(epoch, Thing::Context(*id)),
            What::GraphRelease(id) => self.let_go(epoch, Thing::Graph(*id)),
            What::BufferUnmap(id) => self.let_go(epoch, Thing::Buffer(*id)),
            _ => {}
        }
        Ok(())
    }

    fn set_up(&mut self, epoch: Epoch, thing: Thing) -> Check {
        let once = !self.told.contains(&(epoch, thing));
        ensure!(once, "each thing is set up once in a life", "{thing:?}");
        // Earlier lives are over.
        self.told.retain(|(other, _)| *other == epoch);
        self.told.push((epoch, thing));
        Ok(())
    }

    fn let_go(&mut self, epoch: Epoch, thing: Thing) {
        self.told.retain(|told| *told != (epoch, thing));
    }

    /// An answer arrived in life `present`.
    pub fn event(&mut self, event: &Event, present: Epoch) {
        match *event {
            Event::Executed { request, epoch, .. } if epoch == present => {
                let line = self.lines.iter_mut().find(|line| line.id == request);
                if let Some(line) = line.filter(|line| line.executed == Some(epoch)) {
                    line.answered = true;
                }
            }
            Event::ContextCreated { context, epoch, result: Err(_) } => {
                self.let_go(epoch, Thing::Context(context));
            }
            Event::GraphPrepared { graph, epoch, result: Err(_) } => {
                self.let_go(epoch, Thing::Graph(graph));
            }
            Event::BufferMapped { buffer, epoch, result: Err(_) } => {
                self.let_go(epoch, Thing::Buffer(buffer));
            }
            _ => {}
        }
    }

    /// A client heard something.
    pub fn notice(&mut self, notice: &Notice) -> Check {
        let Notice::Completion(completion) = notice else { return Ok(()) };
        let named = shown(completion.request);
        let line = self.lines.iter_mut().find(|line| line.id == completion.request);
        let Some(line) = line else {
            ensure!(false, "only accepted requests are heard", "{named}");
            return Ok(());
        };
        ensure!(!line.heard, "each request is heard exactly once", "{named}");
        let completed = completion.outcome == Outcome::Completed;
        ensure!(line.answered || !completed, "nothing of an old life completes", "{named}");
        ensure!(
            completed || !line.answered,
            "what ended is heard so",
            "{named} is heard as {:?}",
            completion.outcome
        );
        line.heard = true;
        Ok(())
    }

    /// Every accepted request was heard.
    pub fn all_heard(&self) -> Check {
        let waits = self.lines.iter().find(|line| !line.heard).map(|line| shown(line.id));
        ensure!(waits.is_none(), "each request is heard exactly once", "{waits:?} never");
        Ok(())
    }

    /// The device was told, in the present life, of all that managed contexts have.
    pub fn all_told(&self, model: &Model) -> Check {
        if model.link.phase != Phase::Online {
            return Ok(());
        }
        let epoch = model.epoch();
        let usable = |id| {
            let context = model.context(id);
            context.is_some_and(|c| c.policy != Policy::Native && c.state == ContextState::Ready)
        };
        let contexts = model.contexts.iter().map(|c| (c.id, Thing::Context(c.id)));
        let graphs = model.graphs.iter().filter(|graph| graph.state == GraphState::Ready);
        let graphs = graphs.map(|graph| (graph.context, Thing::Graph(graph.id)));
        let buffers = model.buffers.iter().filter(|buffer| buffer.state == BufferState::Mapped);
        let buffers = buffers.map(|buffer| (buffer.context, Thing::Buffer(buffer.id)));
        for (_, thing) in contexts.chain(graphs).chain(buffers).filter(|(id, _)| usable(*id)) {
            let told = self.told.contains(&(epoch, thing));
            ensure!(told, "each thing is set up once in a life", "{thing:?} never");
        }
        Ok(())
    }

    /// Hashes all that decides what it expects from here on.
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        self.lines.iter().filter(|line| !line.heard).for_each(|line| line.hash(hasher));
        (self.lines.len(), &self.told).hash(hasher);
    }
}
