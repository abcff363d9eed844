//! Commands to the virtual HTP that find nothing, no room, or nobody to carry them out.

use crate::support::*;
use htp_runtime::device::{Command, Event, PrepareError};
use htp_runtime::graph::DataType;
use htp_runtime::handle::{BufferId, ContextId, Epoch};
use htp_runtime::memory::ClientMemory;
use htp_runtime::region::SharedBytes;
use htp_runtime::vhtp::{JournalKind, VhtpCapacities, VhtpConfig};

/// A Relu over 4 bytes.
fn relu() -> SharedBytes<'static> {
    let of = fixed(DataType::Ufixed8, &[4], 1.0, -10);
    let mut net = Net::new();
    let (from, to) = (net.input(&of), net.output(&of));
    net.op("Relu", &[], &[from], &[to]);
    net.table()
}

#[test]
fn buffers_come_and_go_within_the_table_and_the_journal_tells_of_it() {
    let mut rig = Rig::new(VhtpConfig::default());
    let epoch = rig.device.epoch();
    let room = VhtpCapacities::default().buffers;
    let mut blocks = [vec![0; 8]];
    let memory = lend(&mut blocks)[0];
    let buffer = |index| BufferId::from_parts(index, 1, epoch);
    let map = |rig: &mut Rig, index, memory| {
        rig.submit(Command::BufferMap { buffer: buffer(index), epoch, memory });
        rig.run()
    };
    let answer = |index, result| Event::BufferMapped { buffer: buffer(index), epoch, result };
    assert_eq!(map(&mut rig, 0, memory), [answer(0, Ok(()))]);
    assert_eq!(rig.device.object_counts(), [0, 0, 1]);
    let full = Err(PrepareError::CapacityExceeded);
    assert_eq!(map(&mut rig, room, memory), [answer(room, full)]);
    let nothing = Err(PrepareError::OutOfMemory);
    assert_eq!(map(&mut rig, 1, ClientMemory::NONE), [answer(1, nothing)]);
    assert_eq!(rig.device.object_counts(), [0, 0, 1]);
    rig.submit(Command::BufferUnmap { buffer: buffer(0), epoch });
    assert_eq!(rig.run(), [Event::BufferUnmapped { buffer: buffer(0), epoch }]);
    assert_eq!(rig.device.object_counts(), [0, 0, 0]);
    let told = rig
        .device
        .journal()
        .map(|entry| entry.what)
        .filter(|what| matches!(what, JournalKind::BufferUnmap | JournalKind::BufferUnmapped));
    let expected = [JournalKind::BufferUnmap, JournalKind::BufferUnmapped];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn a_graph_needs_a_context_and_room() {
    let mut rig = Rig::new(VhtpConfig::default());
    let epoch = Epoch::FIRST;
    let prepare = |rig: &mut Rig, graph, context| {
        rig.submit(Command::GraphPrepare { graph, context, epoch, table: relu() });
        rig.run()
    };
    let known = context();
    let unknown = ContextId::from_parts(1, 1, epoch);
    let at_start = rig.device.used_bytes();
    let refused = |graph, error| [Event::GraphPrepared { graph, epoch, result: Err(error) }];
    let answer = prepare(&mut rig, graph(0), unknown);
    assert_eq!(answer, refused(graph(0), PrepareError::InvalidTable));
    rig.submit(Command::ContextCreate { context: known, epoch });
    rig.run();
    let far = graph(VhtpCapacities::default().graphs);
    assert_eq!(prepare(&mut rig, far, known), refused(far, PrepareError::CapacityExceeded));
    assert_eq!(rig.device.object_counts(), [1, 0, 0]);
    assert_eq!(rig.device.used_bytes(), at_start);
    assert!(matches!(
        prepare(&mut rig, graph(0), known)[..],
        [Event::GraphPrepared { result: Ok(_), .. }]
    ));
    assert!(rig.device.used_bytes_max() >= rig.device.used_bytes());
    assert!(rig.device.used_bytes() > at_start);
}

#[test]
fn what_breaks_the_contract_of_commands_is_refused_and_counted() {
    let mut rig = Rig::new(VhtpConfig::default());
    rig.prepare(graph(0), relu()).unwrap();
    let table = relu();
    assert_eq!(rig.device.refused_commands(), 0);
    rig.submit(Command::FallbackExecute { request: request(0), graph: graph(0), table, io: &[] });
    rig.submit(Command::FallbackAbort { request: request(0) });
    assert_eq!(rig.device.refused_commands(), 2);
    // More control commands than a runtime can have outstanding.
    let before = rig.device.object_counts();
    for _ in 0..10_000 {
        rig.submit(Command::GraphRelease { graph: graph(9), epoch: Epoch::FIRST });
    }
    let refused = rig.device.refused_commands() - 2;
    let answered = rig.run().len() as u64;
    assert!(refused > 0 && answered > 0);
    assert_eq!(refused + answered, 10_000, "each is answered or counted");
    assert_eq!(rig.device.object_counts(), before);
    assert!(!rig.device.is_held());
    rig.device.hold();
    assert!(rig.device.is_held());
    assert_eq!(rig.device.config().arch, VhtpConfig::default().arch);
}
