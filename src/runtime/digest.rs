//! The state of the machine as one hash, for those who explore it.

use core::hash::{Hash, Hasher};
use core::mem::discriminant;

use super::objects::{Buffer, Context, Graph, GraphState};
use super::Runtime;

impl Runtime<'_> {
    /// Hashes all that decides what the runtime does from here on: two that were set up alike and
    /// hash alike go on alike. Linear in the capacities.
    ///
    /// Left out are what only counts or records (counters, statistics, trace, profiles), the
    /// region, which the run paths never touch, what never changes once an object is made (tables,
    /// tensors), graphs under composition, and the memory that clients lend: where it lies decides
    /// nothing but which watched outputs overlap, and of those all is hashed.
    pub fn hash_state<H: Hasher>(&self, hasher: &mut H) {
        // All by name: a new field has to be thought of here.
        let Runtime {
            region: _,
            capabilities: _,
            contexts,
            graphs,
            buffers,
            profiles: _,
            power,
            power_due,
            run_lists,
            queued,
            interrupted,
            held,
            done,
            in_flight,
            lent,
            deadlines,
            requests_free,
            serial,
            outbox,
            ssr,
            hang,
            owed,
            plan,
            fallback,
            trace: _,
            counters: _,
            lent_tables: _,
            graphs_ready: _,
        } = self;
        contexts.hash_state(hasher, hash_context);
        graphs.hash_state(hasher, hash_graph);
        buffers.hash_state(hasher, hash_buffer);
        power.hash_state(hasher);
        (power_due, run_lists, queued, interrupted, held, done, in_flight).hash(hasher);
        lent.hash_state(hasher);
        deadlines.hash_state(hasher);
        (requests_free, serial).hash(hasher);
        outbox.hash_state(hasher);
        ssr.hash_state(hasher);
        (hang, owed, plan, fallback).hash(hasher);
    }
}

fn hash_context<H: Hasher>(context: &Context<'_>, hasher: &mut H) {
    let Context {
        state,
        epoch,
        recovery,
        rebuild,
        fallback,
        priority,
        prepare_only,
        ownership,
        queue,
        binary: _,
        create_due,
        release_due,
        answers_due,
        maps_due,
        graphs,
        on_device,
        tensors: _,
        counts: _,
    } = context;
    (state, epoch, recovery, rebuild, fallback, priority, prepare_only, ownership).hash(hasher);
    queue.hash_state(hasher);
    (create_due, release_due, answers_due, maps_due, graphs, on_device).hash(hasher);
}

fn hash_graph<H: Hasher>(graph: &Graph<'_>, hasher: &mut H) {
    let Graph {
        state,
        context,
        told,
        priority,
        table: _,
        io: _,
        rows: _,
        active_async,
        active_blocking,
        report: _,
        hvx_threads,
        executed,
        on_fallback,
    } = graph;
    discriminant(state).hash(hasher);
    if let GraphState::Failed(error) = state {
        error.hash(hasher);
    }
    (context, told, priority, active_async, active_blocking).hash(hasher);
    (hvx_threads, executed, on_fallback).hash(hasher);
}

fn hash_buffer<H: Hasher>(buffer: &Buffer, hasher: &mut H) {
    let Buffer { state, context, told, memory: _ } = buffer;
    (state, context, told).hash(hasher);
}
