//! What is taken by contexts that are not usable, what creation leaves behind when it is undone,
//! and buffers that come and go.

use crate::support::{client_memory, depth, table, Seen, World, ASYNC};
use htp_runtime::binary::{BinaryLayout, GraphSource};
use htp_runtime::capability::Capabilities;
use htp_runtime::device::{Event, PrepareError};
use htp_runtime::error::{CreateError, HandleError, Status, SubmitError};
use htp_runtime::limits::HANG_BUDGET_US;
use htp_runtime::memory::ClientMemory;
use htp_runtime::region::SharedBytes;
use htp_runtime::runtime::ContextConfig;
use htp_runtime::sched::Priority;

const ARCH: u32 = 75;

/// A context binary with these graphs, in the runtime's memory.
fn binary(world: &mut World, names: &[&str]) -> SharedBytes<'static> {
    let tables: Vec<_> = names.iter().map(|name| table(name)).collect();
    let priority = Priority::Normal.qnn();
    let sources = tables.iter().map(|table| GraphSource { table, priority });
    let layout = BinaryLayout::plan(ARCH, sources).unwrap();
    let mut bytes = vec![0; layout.size_bytes()];
    layout.write_into(&mut bytes).unwrap();
    let region = world.runtime.region_mut();
    region.alloc_shared(bytes.len(), 64, |to| to.copy_from_slice(&bytes)).unwrap()
}

#[test]
fn a_graph_added_to_a_loaded_context_gives_its_own_memory_back() {
    let mut world = World::new();
    let bytes = binary(&mut world, &["loaded"]);
    let context = world.runtime.context_load(bytes, ARCH, &ContextConfig::default()).unwrap();
    world.settle();
    world.graph(context, "added", Priority::Normal);
    let composed = world.composed(context, "composed");
    world.runtime.graph_finalize(composed).unwrap();
    world.settle();
    assert_eq!(world.runtime.graph_status(composed), Ok(Status::Ready));
    world.free_and_check(&[context]);
}

#[test]
fn a_context_that_the_device_refused_takes_nothing_more() {
    let mut world = World::new();
    world.device.refuse_next = Some(PrepareError::OutOfMemory);
    let context = world.runtime.context_create(&depth(2)).unwrap();
    world.settle();
    let invalid = CreateError::Handle(HandleError::Invalid);
    let graph = world.shared_table("net");
    assert_eq!(world.runtime.graph_load(context, graph, None), Err(invalid));
    assert_eq!(world.runtime.buffer_register(context, client_memory(8)), Err(invalid));
    let refused = CreateError::Device(PrepareError::OutOfMemory);
    assert_eq!(world.runtime.context_status(context), Err(refused));
    world.settle();
    assert_eq!(world.device.journal, [Seen::ContextCreate(context)]);
    world.assert_clean();
}

#[test]
fn a_graph_is_executable_when_its_whole_context_is_usable() {
    let mut world = World::new();
    let bytes = binary(&mut world, &["first", "second"]);
    let context = world.runtime.context_load(bytes, ARCH, &ContextConfig::default()).unwrap();
    let first = world.runtime.graph_by_name(context, "first").unwrap();
    // The device has the context and the first graph, then it refuses the second.
    for _ in 0..2 {
        let command = world.runtime.poll_command(world.now).unwrap();
        htp_runtime::device::Device::submit(&mut world.device, world.now, command);
    }
    world.device.refuse_next = Some(PrepareError::OutOfMemory);
    world.drain_commands();
    assert!(world.deliver() && world.deliver());
    assert_eq!(world.runtime.graph_status(first), Ok(Status::Ready));
    assert_eq!(world.runtime.context_status(context), Ok(Status::Pending));
    assert_eq!(world.submit(first, ASYNC), Err(SubmitError::NotFinalized));
    world.settle();
    assert_eq!(world.submit(first, ASYNC), Err(SubmitError::NotFinalized));
    let refused = CreateError::Device(PrepareError::OutOfMemory);
    assert_eq!(world.runtime.context_status(context), Err(refused));
    world.settle();
    world.assert_clean();
}

#[test]
fn a_buffer_that_goes_before_the_device_heard_of_it_is_not_spoken_of() {
    let mut world = World::new();
    let (context, _) = world.context_and_graph(1);
    world.device.journal.clear();
    // Many more than commands that can wait.
    for _ in 0..100 {
        let buffer = world.runtime.buffer_register(context, client_memory(8)).unwrap();
        world.runtime.buffer_deregister(buffer).unwrap();
    }
    let kept = world.runtime.buffer_register(context, client_memory(8)).unwrap();
    world.settle();
    assert_eq!(world.device.journal, [Seen::BufferMap(kept)]);
    assert_eq!(world.runtime.buffer_status(kept), Ok(Status::Ready));
    world.free_and_check(&[context]);
}

#[test]
fn repeated_answers_of_a_buffer_that_is_gone_do_not_end_the_watch_over_another() {
    let mut world = World::new();
    let (context, _) = world.context_and_graph(1);
    let gone = world.runtime.buffer_register(context, client_memory(8)).unwrap();
    world.settle();
    world.runtime.buffer_deregister(gone).unwrap();
    world.settle();
    let waiting = world.runtime.buffer_register(context, client_memory(8)).unwrap();
    // The device takes this one and says no more of it, but what it said before once more.
    assert!(world.runtime.poll_command(world.now).is_some());
    let (epoch, late) = (world.runtime.epoch(), world.runtime.counters().late_events);
    let mapped = Event::BufferMapped { buffer: gone, epoch, result: Ok(()) };
    world.runtime.handle_event(world.now, mapped);
    world.runtime.handle_event(world.now, Event::BufferUnmapped { buffer: gone, epoch });
    assert_eq!(world.runtime.counters().late_events, late + 2);
    assert_eq!(world.runtime.buffer_status(waiting), Ok(Status::Pending));
    world.advance(HANG_BUDGET_US);
    assert_eq!((world.runtime.restarts(), world.runtime.counters().hangs), (1, 1));
}

#[test]
fn a_buffer_that_goes_before_its_answer_is_watched_until_the_device_has_let_go() {
    let mut world = World::new();
    let (context, _) = world.context_and_graph(1);
    let buffer = world.runtime.buffer_register(context, client_memory(8)).unwrap();
    world.drain_commands();
    world.runtime.buffer_deregister(buffer).unwrap();
    world.drain_commands();
    assert!(world.deliver());
    assert!(world.runtime.poll_timeout().is_some(), "unmapping is not answered");
    assert!(world.deliver());
    assert_eq!(world.runtime.poll_timeout(), None);
    assert_eq!(world.runtime.counters().late_events, 0);
}

#[test]
fn a_buffer_needs_memory_and_a_platform_that_shares_it() {
    let mut world = World::without(Capabilities::SHARED_BUFFERS);
    let context = world.context(&depth(1));
    let refused = world.runtime.buffer_register(context, client_memory(8));
    assert_eq!(refused, Err(CreateError::NotSupported));

    let mut world = World::new();
    let context = world.context(&depth(1));
    let refused = world.runtime.buffer_register(context, ClientMemory::NONE);
    assert_eq!(refused, Err(CreateError::Config));
    assert!(!world.runtime.has_command(), "the device hears of nothing");
    let memory = client_memory(8);
    let buffer = world.runtime.buffer_register(context, memory).unwrap();
    world.settle();
    let epoch = world.runtime.epoch();
    // Nobody asked for that.
    world.runtime.handle_event(world.now, Event::BufferUnmapped { buffer, epoch });
    assert_eq!(world.runtime.counters().late_events, 1);
    assert_eq!(world.runtime.buffer_status(buffer), Ok(Status::Ready));
    let known = world.runtime.buffer_memory(buffer).map(|m| (m.address(), m.len()));
    assert_eq!(known, Ok((memory.address(), 8)));
    world.free_and_check(&[context]);
}
