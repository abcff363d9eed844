//! Context binaries that are written, read, and written again.

mod binary_support;

use binary_support::{sources, table, three_graphs, walk, write};
use htp_runtime::binary::layout::{checksum, GRAPH_ALIGN};
use htp_runtime::binary::{
    BinaryError, BinaryLayout, ContextBinary, GraphSource, WriteError, GRAPHS_MAX,
};
use htp_runtime::graph::TableError;
use proptest::prelude::*;

#[test]
fn what_was_written_is_read() {
    let graphs = three_graphs();
    let bytes = write(73, &graphs);
    let binary = ContextBinary::parse(&bytes).ok().unwrap();
    assert_eq!((binary.arch(), binary.graph_count()), (73, 3));
    for (index, name) in ["lane", "pedestrian", "schild-ß"].into_iter().enumerate() {
        let entry = binary.graph(index).unwrap();
        assert_eq!((entry.name, entry.priority), (name, graphs[index].1));
        assert_eq!(entry.table.bytes(), graphs[index].0);
        assert_eq!(&bytes[entry.range.clone()], graphs[index].0);
        assert_eq!(entry.table.name(), name);
        assert_eq!(binary.find(name).unwrap().range, entry.range);
        assert!(walk(&binary) > 0);
    }
    assert!(binary.graph(3).is_none());
    assert!(binary.find("lan").is_none());
}

#[test]
fn a_context_without_graphs_has_a_binary() {
    let bytes = write(75, &[]);
    let binary = ContextBinary::parse(&bytes).ok().unwrap();
    assert_eq!((binary.graph_count(), binary.arch()), (0, 75));
}

#[test]
fn constants_are_page_aligned_in_the_block() {
    let bytes = write(73, &three_graphs());
    let binary = ContextBinary::parse(&bytes).ok().unwrap();
    for graph in binary.graphs() {
        assert_eq!(graph.range.start % GRAPH_ALIGN, 0);
        let weights = graph.table.tensor(1).unwrap().data();
        let offset = weights.as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(offset % GRAPH_ALIGN, 0);
    }
}

#[test]
fn the_block_works_at_any_address() {
    let bytes = write(73, &three_graphs());
    for shift in 1..9 {
        let moved = [vec![0; shift], bytes.clone()].concat();
        let binary = ContextBinary::parse(&moved[shift..]).ok().unwrap();
        assert_eq!(binary.graph_count(), 3);
        assert!(walk(&binary) > 0);
    }
}

// The tables, the priorities and the architecture determine every byte, so nothing else is stored:
// no queue depth. REQ: ASYNC-013
#[test]
fn nothing_but_graphs_priorities_and_arch_is_stored() {
    let first = write(73, &three_graphs());
    let binary = ContextBinary::parse(&first).ok().unwrap();
    let again = binary.graphs().map(|g| (g.table.bytes().to_vec(), g.priority)).collect::<Vec<_>>();
    assert_eq!(write(binary.arch(), &again), first);
}

#[test]
fn another_architecture_is_noticed() {
    let bytes = write(75, &three_graphs());
    let binary = ContextBinary::parse(&bytes).ok().unwrap();
    assert_eq!(binary.check_arch(75), Ok(()));
    assert_eq!(binary.check_arch(73), Err(BinaryError::Arch { prepared_for: 75 }));
}

#[test]
fn a_longer_buffer_keeps_its_rest_and_a_shorter_one_everything() {
    let graphs = three_graphs();
    let sources = sources(&graphs);
    let layout = BinaryLayout::plan(73, sources.iter().copied()).unwrap();
    let size = layout.size_bytes();
    let mut longer = vec![0x55; size + 10];
    assert_eq!(layout.write_into(&mut longer), Ok(size));
    assert_eq!(longer[..size], write(73, &graphs));
    assert_eq!(longer[size..], [0x55; 10]);
    let mut shorter = vec![0x55; size - 1];
    assert_eq!(layout.write_into(&mut shorter), Err(WriteError::BufferTooSmall));
    assert!(shorter.iter().all(|&byte| byte == 0x55));
}

#[test]
fn bytes_behind_a_table_are_left_out() {
    let exact = vec![(table("a", &[7; 10]), 1)];
    let longer = vec![([&exact[0].0[..], &[9; 33]].concat(), 1)];
    assert_eq!(write(73, &longer), write(73, &exact));
}

#[test]
fn only_what_can_be_read_is_written() {
    let (good, twin) = (table("same", &[1; 4]), table("same", &[2; 4]));
    let bad = &good[..good.len() - 1];
    let plan = |tables: &[&[u8]]| {
        let sources: Vec<_> =
            tables.iter().map(|t| GraphSource { table: t, priority: 0 }).collect();
        BinaryLayout::plan(73, sources.iter().copied()).map(|layout| layout.size_bytes())
    };
    assert_eq!(plan(&[&good, &twin]), Err(WriteError::DuplicateName { index: 1 }));
    let error = TableError::Truncated;
    assert_eq!(plan(&[bad]), Err(WriteError::BadGraph { index: 0, error }));
    let many: Vec<_> = (0..=GRAPHS_MAX).map(|i| table(&format!("g{i}"), &[1])).collect();
    let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    assert!(plan(&many[..GRAPHS_MAX]).is_ok());
    assert_eq!(plan(&many), Err(WriteError::TooManyGraphs));
}

// The offsets of docs/formats.md, written down a second time: a change here needs a new version
// number.
#[test]
fn the_layout_is_the_documented_one() {
    let graphs = three_graphs();
    let bytes = write(73, &graphs);
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    assert_eq!(bytes[..4], *b"HTPB");
    assert_eq!((u32_at(4), u64_at(8)), (1, bytes.len()));
    assert_eq!((u32_at(16), u32_at(20), u32_at(24)), (73, 3, 4));
    let sealed = [&bytes[..28], &[0; 4], &bytes[32..32 + 4 * 24]].concat();
    assert_eq!(u32_at(28), checksum(&[&sealed]));
    let mut end = 32 + 4 * 24;
    for section in 0..4 {
        let at = 32 + section * 24;
        assert_eq!((u32_at(at), u64_at(at + 8)), (if section == 0 { 1 } else { 2 }, end));
        end += u64_at(at + 16);
        assert_eq!(u32_at(at + 4), checksum(&[&bytes[u64_at(at + 8)..end]]));
    }
    assert_eq!(end, bytes.len());
    let mut name_at = 128 + 3 * 28;
    for (index, name) in ["lane", "pedestrian", "schild-ß"].into_iter().enumerate() {
        let at = 128 + index * 28;
        assert_eq!((u32_at(at) as usize, u32_at(at + 4) as usize), (name_at, name.len()));
        assert_eq!(&bytes[name_at..name_at + name.len()], name.as_bytes());
        name_at += name.len();
        let table = u64_at(at + 8)..u64_at(at + 8) + u64_at(at + 16);
        assert_eq!((table.start % 4096, &bytes[table]), (0, &graphs[index].0[..]));
        assert_eq!(u32_at(at + 24), graphs[index].1);
    }
    assert_eq!(checksum(&[b"1234", b"56789"]), 0xCBF4_3926);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_graphs_survive_the_round_trip(
        arch: u32,
        graphs in prop::collection::vec((1usize..9000, any::<u8>(), any::<u32>()), 0..6),
    ) {
        let graphs: Vec<_> = graphs.into_iter().enumerate()
            .map(|(i, (len, byte, priority))| (table(&format!("g{i}"), &vec![byte; len]), priority))
            .collect();
        let bytes = write(arch, &graphs);
        let binary = ContextBinary::parse(&bytes).ok().unwrap();
        let read: Vec<_> =
            binary.graphs().map(|graph| (graph.table.bytes().to_vec(), graph.priority)).collect();
        prop_assert_eq!(&read, &graphs);
        prop_assert_eq!(binary.arch(), arch);
        prop_assert_eq!(write(arch, &read), bytes);
    }
}
