//! Calls of clients, each compared with the model's answer.

use htp_runtime::error::CreateError;
use htp_runtime::handle::{ContextId, GraphId};
use htp_runtime::power::{Corners, HmxChoice, MemoryConfig, PowerChange};
use htp_runtime::queue::Mode;
use htp_runtime::region::SharedBytes;
use htp_runtime::runtime::{ContextConfig, Fallback, SubmitOptions};
use htp_runtime::sched::Priority;
use htp_runtime::ssr::{Queued, Recovery};
use htp_runtime::time::Instant;

use super::networks::{binary, table, tensors, ARCH, BINARY_PRIORITY, OP};
use super::{pick, remember, World, BUFFER_BLOCKS};
use crate::check::{ensure, Check, Context, ContextState, GraphState, Model, Policy};
use crate::memory::write;
use crate::order::TENSORS;
use crate::plan::{Decision, Tensors, Vote};
use crate::trace::{request_word, shown, word};

mod requests;

impl<'m> World<'m> {
    /// Makes a call; `false` if the decision is none.
    pub(super) fn call(&mut self, decision: Decision) -> Check<bool> {
        match decision {
            Decision::ContextCreate { depth, level, policy } => {
                self.context_create(depth, level, policy)?;
            }
            Decision::ContextLoad { depth, graphs, policy } => {
                self.context_load(depth, graphs, policy)?;
            }
            Decision::ContextFree { pick: n } => self.context_free(pick(&self.contexts, n))?,
            Decision::ContextStatus { pick: n } => {
                let Some(id) = pick(&self.contexts, n) else { return Ok(true) };
                let got = self.port.runtime.context_status(id);
                let expected = self.model.context_status(id);
                self.answered(word(id), got.is_ok());
                Model::same("context_status", got, expected)?;
            }
            Decision::ContextPriority { pick: n, level } => {
                let Some(id) = pick(&self.contexts, n) else { return Ok(true) };
                let got = self.port.runtime.context_set_priority(id, priority(level));
                let expected = self.model.context_priority(id, priority(level));
                self.answered(word(id), got.is_ok());
                Model::same("context_set_priority", got, expected)?;
            }
            Decision::ContextOwnership { pick: n, ownership } => {
                let Some(id) = pick(&self.contexts, n) else { return Ok(true) };
                let got = self.port.runtime.context_set_io_ownership(id, ownership);
                let expected = self.model.ownership_chosen(id, ownership);
                self.answered(word(id), got.is_ok());
                Model::same("context_set_io_ownership", got, expected)?;
            }
            Decision::ContextFallback { pick: n, interval_us } => {
                self.context_fallback(self.context_there_is(n), interval_us)?;
            }
            Decision::GraphLoad { .. }
            | Decision::GraphCompose { .. }
            | Decision::GraphFinalize { .. }
            | Decision::GraphStatus { .. }
            | Decision::GraphPriority { .. } => self.graph_call(decision)?,
            Decision::BufferRegister { context, empty } => self.buffer_register(context, empty)?,
            Decision::BufferStatus { pick: n } => {
                let Some(id) = pick(&self.buffers, n) else { return Ok(true) };
                let got = self.port.runtime.buffer_status(id);
                self.answered(word(id), got.is_ok());
                Model::same("buffer_status", got, self.model.buffer_status(id))?;
            }
            Decision::BufferDeregister { pick: n } => {
                let Some(id) = pick(&self.buffers, n) else { return Ok(true) };
                let got = self.port.runtime.buffer_deregister(id);
                self.answered(word(id), got.is_ok());
                let expected = self.model.buffer_deregistered(id);
                Model::same("buffer_deregister", got, expected)?;
            }
            Decision::Submit { .. }
            | Decision::Cancel { .. }
            | Decision::TakeOutcome { .. }
            | Decision::Abandon { .. } => self.request_call(decision)?,
            Decision::PowerCreate
            | Decision::PowerSet { .. }
            | Decision::PowerDestroy { .. }
            | Decision::MemorySet { .. } => self.power_call(decision)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn answered(&mut self, about: u64, ok: bool) {
        self.trace.note(&[50, about, u64::from(ok)], || {
            format!("    {about:x} {}", if ok { "done" } else { "refused" })
        });
    }

    /// The answer to a creation must be an error that the model has a reason for, or no error.
    fn created<T>(
        &mut self,
        call: &'static str,
        got: &Result<T, CreateError>,
        reasons: &[CreateError],
    ) -> Check<bool> {
        let error = got.as_ref().err();
        let fits = error.map_or(reasons.is_empty(), |error| reasons.contains(error));
        ensure!(fits, "answers of calls", "{call}: {error:?}, given the reasons {reasons:?}");
        self.answered(0, got.is_ok());
        Ok(got.is_ok())
    }

    pub(super) fn context_create(&mut self, depth: u16, level: u8, policy: Policy) -> Check {
        let config = ContextConfig {
            queue_depth: depth.into(),
            priority: priority(level),
            recovery: recovery(policy),
            ..ContextConfig::default()
        };
        let reasons = self.model.context_refusals(depth, policy);
        let before = self.port.runtime.region().used_bytes();
        let got = self.port.runtime.context_create(&config);
        if self.created("context_create", &got, &reasons)? {
            let Ok(id) = got else { return Ok(()) };
            self.model.context_created(id, depth, priority(level), policy);
            remember(&mut self.contexts, id);
            return Ok(());
        }
        self.unchanged("context_create", before)
    }

    /// A refused call keeps no memory.
    fn unchanged(&self, call: &'static str, before: usize) -> Check {
        let after = self.port.runtime.region().used_bytes();
        ensure!(after == before, "refused calls change nothing", "{call} keeps memory");
        Ok(())
    }

    fn context_load(&mut self, depth: u16, graphs: u8, policy: Policy) -> Check {
        let room = usize::from(self.model.setup.capacities.graphs) - self.model.graphs.len();
        let graphs = usize::from(graphs);
        if graphs > room {
            return Ok(());
        }
        let config = ContextConfig {
            queue_depth: depth.into(),
            recovery: recovery(policy),
            ..ContextConfig::default()
        };
        let reasons = self.model.context_refusals(depth, policy);
        let before = self.port.runtime.region().used_bytes();
        let Some(bytes) = self.in_region(binary(graphs)) else { return Ok(()) };
        let got = self.port.runtime.context_load(bytes, ARCH, &config);
        if !self.created("context_load", &got, &reasons)? {
            return self.unchanged("context_load", before);
        }
        let Ok(id) = got else { return Ok(()) };
        self.model.context_created(id, depth, Priority::DEFAULT, policy);
        remember(&mut self.contexts, id);
        let mut loaded: Vec<GraphId> = self.port.runtime.graphs_of(id).collect();
        ensure!(loaded.len() == graphs, "answers of calls", "context_load: {loaded:?}");
        // The device is told of them in the order of the binary.
        loaded.sort_by_key(|graph| self.part_number(*graph));
        for graph in loaded {
            self.model.begin();
            self.model.graph_created(graph, id, Some(BINARY_PRIORITY), false);
            remember(&mut self.graphs, graph);
        }
        Ok(())
    }

    fn part_number(&self, graph: GraphId) -> String {
        self.port.runtime.graph_table(graph).map_or(String::new(), |table| table.name().into())
    }

    /// Bytes in the runtime's own memory.
    fn in_region(&mut self, bytes: &[u8]) -> Option<SharedBytes<'m>> {
        let region = self.port.runtime.region_mut();
        region.alloc_shared(bytes.len(), 64, |to| to.copy_from_slice(bytes)).ok()
    }

    pub(super) fn context_free(&mut self, id: Option<ContextId>) -> Check {
        let Some(id) = id else { return Ok(()) };
        let got = self.port.context_free(self.now, id);
        self.answered(word(id), got.is_ok());
        let expected = self.model.context_freed(self.now, id);
        Model::same("context_free", got, expected)?;
        let gone = self.model.context(id).is_none();
        Model::same("context_is_gone", self.port.runtime.context_is_gone(id), gone)
    }

    /// Mostly a context that there is, now and then any that there ever was.
    fn context_there_is(&self, n: u16) -> Option<ContextId> {
        if n.is_multiple_of(16) {
            return pick(&self.contexts, n / 16);
        }
        let all: Vec<_> = self.model.contexts.iter().map(|context| context.id).collect();
        pick(&all, n / 16)
    }

    pub(super) fn context_fallback(
        &mut self,
        id: Option<ContextId>,
        interval_us: Option<u32>,
    ) -> Check {
        let Some(id) = id else { return Ok(()) };
        let interval_us = interval_us.map(u64::from);
        let reasons = self.model.fallback_refusals(id, interval_us);
        let fallback = interval_us.map(|interval_us| Fallback { interval_us });
        let got = self.port.context_set_fallback(id, fallback);
        self.answered(word(id), got.is_ok());
        let fits = got.as_ref().err().map_or(reasons.is_empty(), |error| reasons.contains(error));
        ensure!(fits, "answers of calls", "context_set_fallback: {got:?}, given {reasons:?}");
        if got.is_ok() {
            self.model.fallback_chosen(id, interval_us);
        }
        Ok(())
    }

    /// Frees what is stale or lost, unless it goes on on the CPU, and has a context anew if there
    /// is room: whether there was.
    pub(super) fn start_over(&mut self, graphs: u8, depth: u16, policy: Policy) -> Check<bool> {
        let epoch = self.model.epoch();
        let useless = |context: &&Context| {
            let stale = context.policy == Policy::Native && context.epoch != epoch;
            (stale || context.state == ContextState::Lost) && context.fallback.is_none()
        };
        let stale = self.model.contexts.iter().filter(useless);
        let stale: Vec<_> = stale.map(|context| context.id).collect();
        for id in stale {
            self.model.begin();
            self.context_free(Some(id))?;
        }
        let usable = |state| matches!(state, ContextState::Creating | ContextState::Ready);
        let count = self.model.contexts.iter().filter(|context| usable(context.state)).count();
        if count > 1 || !self.model.context_refusals(depth, policy).is_empty() {
            return Ok(false);
        }
        self.model.begin();
        self.context_create(depth, 2, policy)?;
        self.turn()?;
        for level in 0..graphs {
            self.model.begin();
            let context = self.contexts.last().copied();
            self.graph_load(context, 1 + level % 3)?;
        }
        self.turn()?;
        self.model.begin();
        Ok(true)
    }

    fn graph_call(&mut self, decision: Decision) -> Check {
        match decision {
            Decision::GraphLoad { context, level } => {
                self.graph_load(pick(&self.contexts, context), level)
            }
            Decision::GraphCompose { context, level } => self.graph_compose(context, level),
            Decision::GraphFinalize { pick: n } => {
                let Some(id) = pick(&self.graphs, n) else { return Ok(()) };
                let got = self.port.runtime.graph_finalize(id);
                let expected = self.model.graph_finalized(id);
                self.answered(word(id), got.is_ok());
                Model::same("graph_finalize", got, expected)
            }
            Decision::GraphStatus { pick: n } => {
                let Some(id) = pick(&self.graphs, n) else { return Ok(()) };
                let got = self.port.runtime.graph_status(id);
                self.answered(word(id), got.is_ok());
                Model::same("graph_status", got, self.model.graph_status(id))
            }
            Decision::GraphPriority { pick: n, level } => {
                let Some(id) = pick(&self.graphs, n) else { return Ok(()) };
                let got = self.port.runtime.graph_set_priority(id, priority(level));
                let expected = self.model.graph_priority(id, priority(level));
                self.answered(word(id), got.is_ok());
                Model::same("graph_set_priority", got, expected)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn graph_load(&mut self, context: Option<ContextId>, level: u8) -> Check {
        let Some(context) = context else { return Ok(()) };
        let reasons = self.model.graph_refusals(context, false);
        let before = self.port.runtime.region().used_bytes();
        let bytes = match level {
            0 => Some(SharedBytes::from_borrowed(table())),
            _ => self.in_region(table()),
        };
        let Some(bytes) = bytes else { return Ok(()) };
        let got = self.port.runtime.graph_load(context, bytes, Some(priority(level)));
        if !self.created("graph_load", &got, &reasons)? {
            return self.unchanged("graph_load", before);
        }
        if let Ok(id) = got {
            self.model.graph_created(id, context, Some(priority(level)), false);
            remember(&mut self.graphs, id);
        }
        Ok(())
    }

    fn graph_compose(&mut self, context: u16, level: u8) -> Check {
        let Some(context) = pick(&self.contexts, context) else { return Ok(()) };
        let reasons = self.model.graph_refusals(context, true);
        let before = self.port.runtime.region().used_bytes();
        self.words += 1;
        let name = format!("made {}", self.words);
        let asked = (level > 0).then(|| priority(level));
        let got = self.port.runtime.graph_create(context, &name, asked);
        if !self.created("graph_create", &got, &reasons)? {
            return self.unchanged("graph_create", before);
        }
        let Ok(id) = got else { return Ok(()) };
        for tensor in tensors() {
            let added = self.port.runtime.graph_add_tensor(id, &tensor);
            ensure!(added.is_ok(), "answers of calls", "graph_add_tensor: {added:?}");
        }
        let added = self.port.runtime.graph_add_op(id, &OP);
        ensure!(added.is_ok(), "answers of calls", "graph_add_op: {added:?}");
        self.model.graph_created(id, context, asked, true);
        remember(&mut self.graphs, id);
        Ok(())
    }

    fn buffer_register(&mut self, context: u16, empty: bool) -> Check {
        let Some(id) = pick(&self.contexts, context) else { return Ok(()) };
        let reasons = self.model.buffer_refusals(id, empty);
        let block = self.pool.others() + context % BUFFER_BLOCKS;
        let memory = self.pool.block(block);
        let memory = if empty { htp_runtime::memory::ClientMemory::NONE } else { memory };
        let got = self.port.runtime.buffer_register(id, memory);
        if self.created("buffer_register", &got, &reasons)? {
            if let Ok(buffer) = got {
                self.model.buffer_registered(buffer, id, block);
                remember(&mut self.buffers, buffer);
            }
        }
        Ok(())
    }

    fn power_call(&mut self, decision: Decision) -> Check {
        match decision {
            Decision::PowerCreate => {
                let full = self.model.power.ids.len()
                    >= usize::from(self.model.setup.capacities.power_configs);
                let got = self.port.runtime.power_config_create();
                Model::same("power_config_create", got.is_err(), full)?;
                self.answered(1, got.is_ok());
                if let Ok(id) = got {
                    self.model.power.ids.push((id, 0, Default::default()));
                    remember(&mut self.powers, id);
                }
                Ok(())
            }
            Decision::PowerSet { pick: n, vote } => {
                let Some(id) = pick(&self.powers, n) else { return Ok(()) };
                let got = self.port.runtime.power_config_set(id, &change(vote));
                let expected = self.model.power_set(id, vote);
                self.answered(word(id), got.is_ok());
                Model::same("power_config_set", got, expected)?;
                let in_effect = *self.port.runtime.power_in_effect();
                let expected = self.model.power.in_effect(self.model.epoch());
                Model::same("power_in_effect", in_effect, expected)
            }
            Decision::PowerDestroy { pick: n } => {
                let Some(id) = pick(&self.powers, n) else { return Ok(()) };
                let got = self.port.runtime.power_config_destroy(id);
                self.answered(word(id), got.is_ok());
                Model::same("power_config_destroy", got, self.model.power_destroy(id))
            }
            Decision::MemorySet { grow_kib } => {
                let grow_bytes = u32::from(grow_kib) << 10;
                let got = self.port.runtime.memory_config_set(MemoryConfig { grow_bytes });
                self.answered(2, got.is_ok());
                Model::same("memory_config_set", got, self.model.memory_set(grow_bytes))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn priority(level: u8) -> Priority {
    Priority::ALL[usize::from(level) % Priority::ALL.len()]
}

fn recovery(policy: Policy) -> Recovery {
    match policy {
        Policy::Native => Recovery::Native,
        Policy::Managed { attempts_max, time_budget_us, keeps } => {
            let queued = if keeps { Queued::Requeue } else { Queued::Complete };
            Recovery::Managed { attempts_max, time_budget_us, queued }
        }
    }
}

fn change(vote: Vote) -> PowerChange {
    let corners = |step: u8| Some(Corners::all(crate::check::CORNERS[usize::from(step)]));
    let nothing = PowerChange::default();
    match vote {
        Vote::SleepLatency(us) => PowerChange { sleep_latency_us: Some(us), ..nothing },
        Vote::Bus(step) => PowerChange { bus: corners(step), ..nothing },
        Vote::NoBus => PowerChange { bus: corners(0), ..nothing },
        Vote::Core(step) => PowerChange { core: corners(step), ..nothing },
        Vote::HmxFollows => PowerChange { hmx: Some(HmxChoice::Default), ..nothing },
    }
}
