//! Calls on handles that lead nowhere: which error each gives in each life of its object, and that
//! it changes nothing.

use std::hash::{DefaultHasher, Hasher};

use crate::support::{bindings, client_memory, tensors, Connect, World, ASYNC, OP, TENSOR_BYTES};
use htp_runtime::error::{CreateError, FallbackError, HandleError, RecoveryError, SubmitError};
use htp_runtime::graph::GraphOptions;
use htp_runtime::handle::{BufferId, ContextId, Epoch, GraphId};
use htp_runtime::runtime::{IoOwnership, Runtime};
use htp_runtime::sched::Priority;
use htp_runtime::ssr::{Recovery, State};

/// The error of a handle in the error of a call.
trait OfHandle {
    fn of_handle(self) -> Option<HandleError>;
}

impl OfHandle for HandleError {
    fn of_handle(self) -> Option<HandleError> {
        Some(self)
    }
}

macro_rules! of_handle {
    ($($error:ident),*) => {$(
        impl OfHandle for $error {
            fn of_handle(self) -> Option<HandleError> {
                match self {
                    $error::Handle(error) => Some(error),
                    _ => None,
                }
            }
        }
    )*};
}

of_handle!(CreateError, FallbackError, RecoveryError, SubmitError);

/// What a call said of its handle; a call that went through or found something else is `None`.
fn said<T, E: OfHandle>(answer: Result<T, E>) -> Option<HandleError> {
    answer.err().and_then(OfHandle::of_handle)
}

type Answers = Vec<(&'static str, Option<HandleError>)>;

fn on_context(world: &mut World, id: ContextId) -> Answers {
    let table = world.shared_table("another");
    let runtime = &mut world.runtime;
    let [spec, _] = tensors();
    vec![
        ("status", said(runtime.context_status(id))),
        ("set_priority", said(runtime.context_set_priority(id, Priority::High))),
        ("set_prepare_only", said(runtime.context_set_prepare_only(id, true))),
        ("set_io_ownership", said(runtime.context_set_io_ownership(id, IoOwnership::Counted))),
        ("io_ownership", said(runtime.context_io_ownership(id))),
        ("set_recovery", said(runtime.context_set_recovery(id, Recovery::Native))),
        ("recovery", said(runtime.context_recovery(id))),
        ("check_fallback", said(runtime.context_check_fallback(id, None))),
        ("set_fallback", said(runtime.context_set_fallback(id, None))),
        ("add_tensor", said(runtime.context_add_tensor(id, &spec))),
        ("graph_create", said(runtime.graph_create(id, "another", None))),
        ("graph_load", said(runtime.graph_load(id, table, None))),
        ("graph_by_name", said(runtime.graph_by_name(id, "net"))),
        ("buffer_register", said(runtime.buffer_register(id, client_memory(TENSOR_BYTES)))),
    ]
}

fn on_graph(world: &mut World, id: GraphId) -> Answers {
    let (now, runtime) = (world.now, &mut world.runtime);
    let [spec, _] = tensors();
    vec![
        ("add_tensor", said(runtime.graph_add_tensor(id, &spec))),
        ("add_op", said(runtime.graph_add_op(id, &OP))),
        ("operand", said(runtime.graph_operand(id, spec.id, false))),
        ("mark", said(runtime.graph_mark(id))),
        ("options", said(runtime.graph_options(id))),
        ("set_options", said(runtime.graph_set_options(id, GraphOptions::default()))),
        ("hvx_threads", said(runtime.graph_hvx_threads(id))),
        ("set_hvx_threads", said(runtime.graph_set_hvx_threads(id, 1))),
        ("finalize", said(runtime.graph_finalize(id))),
        ("status", said(runtime.graph_status(id))),
        ("table", said(runtime.graph_table(id))),
        ("to_bind", said(runtime.graph_to_bind(id))),
        ("lend_table", said(runtime.lend_table(id))),
        ("report", said(runtime.graph_report(id))),
        ("io", said(runtime.graph_io(id, 0))),
        ("context", said(runtime.graph_context(id))),
        ("priority", said(runtime.graph_priority(id))),
        ("set_priority", said(runtime.graph_set_priority(id, Priority::High))),
        ("submit", said(runtime.submit(now, id, &bindings()[..], ASYNC))),
    ]
}

fn on_buffer(world: &World, id: BufferId) -> Answers {
    let runtime = &world.runtime;
    vec![
        ("status", said(runtime.buffer_status(id))),
        ("memory", said(runtime.buffer_memory(id).map(|memory| memory.len()))),
    ]
}

/// What a call could change: the state of the machine, and the memory that it takes.
fn state(runtime: &Runtime<'_>) -> (u64, usize) {
    let mut hasher = DefaultHasher::new();
    runtime.hash_state(&mut hasher);
    (hasher.finish(), runtime.region().used_bytes())
}

/// One of each, usable.
struct Objects {
    context: ContextId,
    graph: GraphId,
    buffer: BufferId,
}

impl Objects {
    fn new(world: &mut World) -> Self {
        let (context, graph) = world.context_and_graph(4);
        let buffer = world.runtime.buffer_register(context, client_memory(64)).unwrap();
        world.settle();
        let this = Self { context, graph, buffer };
        assert!(this.answers(world, false).iter().all(|(_, said)| said.is_none()));
        this
    }

    /// What each call says; `all`: also those that change a usable object.
    fn answers(&self, world: &mut World, all: bool) -> Answers {
        let mut answers = on_buffer(world, self.buffer);
        if all {
            answers.extend(on_context(world, self.context));
            answers.extend(on_graph(world, self.graph));
        }
        answers
    }

    /// Every call gives `error`, and nothing else happens.
    fn assert_all_say(&self, world: &mut World, error: HandleError) {
        let before = state(&world.runtime);
        for (call, said) in self.answers(world, true) {
            assert_eq!(said, Some(error), "{call}");
        }
        assert_eq!(state(&world.runtime), before);
        assert!(!world.runtime.has_command());
    }
}

#[test]
fn handles_that_were_never_given_out_or_went_are_invalid() {
    let mut world = World::new();
    let objects = Objects::new(&mut world);
    let forged = Objects {
        context: ContextId::from_parts(7, 3, Epoch::FIRST),
        graph: GraphId::from_parts(u16::MAX, 1, Epoch::FIRST),
        buffer: BufferId::from_parts(1, 1, Epoch::FIRST.next()),
    };
    forged.assert_all_say(&mut world, HandleError::Invalid);
    world.free_and_check(&[objects.context]);
    objects.assert_all_say(&mut world, HandleError::Invalid);
    let (now, runtime) = (world.now, &mut world.runtime);
    assert_eq!(runtime.context_free(now, objects.context), Err(HandleError::Invalid));
    assert_eq!(runtime.buffer_deregister(objects.buffer), Err(HandleError::Invalid));
    assert_eq!(runtime.context_stats(objects.context), Err(HandleError::Invalid));
    assert_eq!(runtime.context_fallback(objects.context), Err(HandleError::Invalid));
}

#[test]
fn a_context_that_is_going_and_its_graphs_are_invalid_at_once() {
    let mut world = World::new();
    let Objects { context, graph, .. } = Objects::new(&mut world);
    let request = world.submit_n(graph, 1)[0];
    world.device.ignore_aborts = true;
    world.runtime.context_free(world.now, context).unwrap();
    world.settle();
    assert!(!world.runtime.context_is_gone(context), "the device still executes");
    let before = state(&world.runtime);
    for (call, said) in on_context(&mut world, context) {
        assert_eq!(said, Some(HandleError::Invalid), "{call}");
    }
    for (call, said) in on_graph(&mut world, graph) {
        assert_eq!(said, Some(HandleError::Invalid), "{call}");
    }
    assert_eq!(world.runtime.context_free(world.now, context), Err(HandleError::Invalid));
    assert_eq!(state(&world.runtime), before);
    world.finish(request);
    world.assert_clean();
}

// REQ: SSR-008, SSR-009
#[test]
fn a_restart_makes_every_call_answer_recovering_and_then_stale() {
    let mut world = World::new();
    let objects = Objects::new(&mut world);
    world.device.connects.push_back(Connect::Ignore);
    world.crash();
    assert_eq!(world.runtime.state(), State::BeforePowerUp);
    objects.assert_all_say(&mut world, HandleError::Recovering);
    let (now, runtime) = (world.now, &mut world.runtime);
    assert_eq!(runtime.context_free(now, objects.context), Err(HandleError::Recovering));
    world.advance(1_000_000);
    assert_eq!(world.runtime.state(), State::Online);
    objects.assert_all_say(&mut world, HandleError::Stale);
    assert_eq!(world.runtime.buffer_deregister(objects.buffer), Ok(()));
    world.free_and_check(&[objects.context]);
}

// REQ: SSR-017
#[test]
fn when_the_dsp_is_lost_every_call_says_so_and_only_releasing_works() {
    let mut world = World::new();
    let objects = Objects::new(&mut world);
    world.device.connects.extend([Connect::Fail; 5]);
    world.crash();
    world.advance(10_000_000);
    assert_eq!(world.runtime.state(), State::Lost);
    objects.assert_all_say(&mut world, HandleError::Lost);
    assert_eq!(world.runtime.buffer_deregister(objects.buffer), Ok(()));
    world.free_and_check(&[objects.context]);
}

#[test]
fn what_needs_a_graph_under_construction_is_refused_on_a_finished_one() {
    let mut world = World::new();
    let (context, graph) = world.context_and_graph(4);
    let composed = world.composed(context, "composed");
    world.runtime.graph_finalize(composed).unwrap();
    let before = state(&world.runtime);
    let [spec, _] = tensors();
    for graph in [graph, composed] {
        let runtime = &mut world.runtime;
        let finished = CreateError::AlreadyFinalized;
        assert_eq!(runtime.graph_add_tensor(graph, &spec), Err(finished));
        assert_eq!(runtime.graph_add_op(graph, &OP), Err(finished));
        assert_eq!(runtime.graph_operand(graph, spec.id, true), Err(finished));
        assert_eq!(runtime.graph_mark(graph).err(), Some(finished));
        assert_eq!(runtime.graph_set_options(graph, GraphOptions::default()), Err(finished));
        assert_eq!(runtime.graph_finalize(graph), Err(finished));
    }
    assert_eq!(state(&world.runtime), before);
}

#[test]
fn what_needs_a_finished_graph_is_refused_on_one_under_construction() {
    let mut world = World::new();
    let (context, _) = world.context_and_graph(4);
    let composing = world.composed(context, "composing");
    let before = state(&world.runtime);
    let runtime = &mut world.runtime;
    assert_eq!(said(runtime.graph_table(composing)), Some(HandleError::Invalid));
    assert_eq!(said(runtime.graph_to_bind(composing)), Some(HandleError::Invalid));
    assert_eq!(said(runtime.lend_table(composing)), Some(HandleError::Invalid));
    assert_eq!(said(runtime.graph_status(composing)), Some(HandleError::Invalid));
    assert_eq!(runtime.graph_io(composing, 0), Ok(None));
    assert_eq!(world.submit(composing, ASYNC), Err(SubmitError::NotFinalized));
    assert_eq!(state(&world.runtime), before);
}
