//! The steps of an inference, as functions that a tool finds by name: `cargo xtask bench` has
//! valgrind count the instructions in them.

use std::hint::black_box;

use htp_runtime::device::Event;
use htp_runtime::event::Notice;
use htp_runtime::handle::{GraphId, RequestId};
use htp_runtime::runtime::{IoBinding, Runtime, SubmitOptions};
use htp_runtime::time::Instant;

use crate::host::{answer, Host};

/// Calls of the step.
const CALLS: u32 = 100;

#[no_mangle]
#[inline(never)]
fn count_submit(
    runtime: &mut Runtime<'static>,
    graph: GraphId,
    io: &[IoBinding],
    options: SubmitOptions,
) -> Option<RequestId> {
    runtime.submit(Instant::ZERO, graph, io, options).ok()
}

/// The next request goes to the device.
#[no_mangle]
#[inline(never)]
fn count_dispatch(runtime: &mut Runtime<'static>) -> Option<Event> {
    runtime.poll_command(Instant::ZERO).and_then(answer)
}

/// From the device's answer to the notice.
#[no_mangle]
#[inline(never)]
fn count_complete(runtime: &mut Runtime<'static>, event: Event) -> Option<Notice> {
    runtime.handle_event(Instant::ZERO, event);
    runtime.poll_notice(Instant::ZERO)
}

/// Goes through inferences, with all queues full after each submission.
pub fn run(contexts: u16, depth: u16) -> bool {
    let mut host = Host::new(contexts, depth);
    for _ in 0..CALLS {
        let (graph, options) = host.next();
        let submitted = count_submit(&mut host.runtime, graph, &host.io, options);
        black_box(submitted.expect("there is room"));
        let event = count_dispatch(&mut host.runtime).expect("a request is due");
        let notice = count_complete(&mut host.runtime, black_box(event));
        host.hear(notice);
    }
    black_box(host.heard);
    println!("{CALLS} calls");
    true
}
