//! Blocks that are not context binaries, or not any more.

mod binary_support;

use binary_support::{reseal, three_graphs, walk, write, HEADER_BYTES};
use htp_runtime::binary::layout::{GraphRecord, Header, SectionRecord};
use htp_runtime::binary::{BinaryError, ContextBinary, GRAPHS_MAX};
use htp_runtime::graph::TableError;
use proptest::prelude::*;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const SECTIONS: usize = 4;
const DIRECTORY: usize = HEADER_BYTES + SECTIONS * size_of::<SectionRecord>();

fn binary() -> Vec<u8> {
    write(73, &three_graphs())
}

fn error(bytes: &[u8]) -> BinaryError {
    ContextBinary::parse(bytes).err().unwrap()
}

fn record<T: FromBytes + IntoBytes + Immutable + KnownLayout>(
    bytes: &mut [u8],
    offset: usize,
) -> &mut T {
    T::mut_from_prefix(&mut bytes[offset..]).unwrap_or_else(|_| panic!("no record there")).0
}

fn header(bytes: &mut [u8]) -> &mut Header {
    record(bytes, 0)
}

fn section(bytes: &mut [u8], index: usize) -> &mut SectionRecord {
    record(bytes, HEADER_BYTES + index * size_of::<SectionRecord>())
}

fn entry(bytes: &mut [u8], index: usize) -> &mut GraphRecord {
    record(bytes, DIRECTORY + index * size_of::<GraphRecord>())
}

/// What a binary is refused for after `change`, with all checksums right.
fn forged(change: impl FnOnce(&mut [u8])) -> BinaryError {
    let mut bytes = binary();
    change(&mut bytes);
    reseal(&mut bytes);
    error(&bytes)
}

#[test]
fn another_magic() {
    let mut bytes = binary();
    bytes[3] = b'G';
    assert_eq!(error(&bytes), BinaryError::NotABinary);
    assert_eq!(error(&[]), BinaryError::NotABinary);
    assert_eq!(error(b"HTP"), BinaryError::NotABinary);
}

// REQ: BIN-012
#[test]
fn another_version() {
    for version in [0, 2, u32::MAX] {
        let found = BinaryError::Version { found: version };
        assert_eq!(forged(|bytes| header(bytes).version.set(version)), found);
    }
}

#[test]
fn every_other_length() {
    let bytes = binary();
    for len in 4..bytes.len() {
        assert_eq!(error(&bytes[..len]), BinaryError::SizeMismatch);
    }
    let mut longer = bytes.clone();
    for _ in 0..70 {
        longer.push(0);
        assert_eq!(error(&longer), BinaryError::SizeMismatch);
    }
}

// Each byte of the block, padding too, is covered by a checksum or is the magic, the version or the
// length.
#[test]
fn every_change_of_one_byte() {
    let mut bytes = binary();
    for index in 0..bytes.len() {
        let mask = [0x01, 0x80, 0xFF][index % 3];
        bytes[index] ^= mask;
        let refused = error(&bytes);
        bytes[index] ^= mask;
        let by_checksum = matches!(refused, BinaryError::SectionChecksum { .. });
        assert!(by_checksum || index < DIRECTORY, "byte {index}: {refused:?}");
    }
    assert!(ContextBinary::parse(&bytes).is_ok());
}

#[test]
fn the_checksum_that_is_wrong_is_named() {
    let mut bytes = binary();
    header(&mut bytes).arch.set(75);
    assert_eq!(error(&bytes), BinaryError::HeaderChecksum);
    for index in 0..SECTIONS {
        let mut bytes = binary();
        let offset = usize::try_from(section(&mut bytes, index).offset.get()).unwrap();
        bytes[offset] ^= 4;
        assert_eq!(error(&bytes), BinaryError::SectionChecksum { section: index });
    }
}

#[test]
fn counts_that_do_not_fit() {
    let too_many = u32::try_from(GRAPHS_MAX + 1).unwrap();
    assert_eq!(forged(|b| header(b).graph_count.set(too_many)), BinaryError::TooManyGraphs);
    assert_eq!(forged(|b| header(b).graph_count.set(u32::MAX)), BinaryError::TooManyGraphs);
    assert_eq!(forged(|b| header(b).graph_count.set(2)), BinaryError::OutOfBounds);
    assert_eq!(forged(|b| header(b).section_count.set(5)), BinaryError::OutOfBounds);
    let empty_with_graphs = |bytes: &mut [u8]| {
        header(bytes).graph_count.set(64);
        header(bytes).section_count.set(65);
    };
    let mut bytes = write(73, &[]);
    empty_with_graphs(&mut bytes);
    assert_eq!(error(&bytes), BinaryError::OutOfBounds);
}

#[test]
fn sections_that_do_not_tile_the_block() {
    let changes: [fn(&mut [u8]); 8] = [
        |b| section(b, 0).kind.set(2),
        |b| section(b, 1).kind.set(1),
        |b| section(b, 3).kind.set(3),
        |b| section(b, 0).offset.set(0),
        |b| section(b, 1).offset.set(u64::MAX),
        |b| section(b, 1).bytes.set(u64::MAX),
        |b| {
            let bytes = section(b, 2).bytes.get();
            section(b, 2).bytes.set(bytes - 4096);
        },
        |b| {
            let bytes = section(b, 3).bytes.get();
            section(b, 3).bytes.set(bytes - 1);
        },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert_eq!(forged(change), BinaryError::OutOfBounds, "change {index}");
    }
}

#[test]
fn entries_that_point_elsewhere() {
    let changes: [fn(&mut [u8]); 8] = [
        |b| entry(b, 0).table_offset.set(8192),
        |b| entry(b, 0).table_offset.set(u64::MAX),
        |b| entry(b, 2).table_bytes.set(u64::MAX),
        |b| entry(b, 0).table_bytes.set(0),
        |b| entry(b, 0).name.first.set(0),
        |b| entry(b, 0).name.first.set(4096),
        |b| entry(b, 0).name.first.set(u32::MAX),
        |b| entry(b, 0).name.count.set(u32::MAX),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert_eq!(forged(change), BinaryError::OutOfBounds, "change {index}");
    }
}

#[test]
fn entries_that_contradict_their_tables() {
    let shorter_name = forged(|b| entry(b, 1).name.count.set(3));
    assert_eq!(shorter_name, BinaryError::BadEntry { index: 1 });
    let not_utf8 = forged(|b| {
        let name = usize::try_from(entry(b, 2).name.first.get()).unwrap();
        b[name] = 0xFF;
    });
    assert_eq!(not_utf8, BinaryError::BadEntry { index: 2 });
    let longer_table = forged(|b| {
        let bytes = entry(b, 1).table_bytes.get();
        entry(b, 1).table_bytes.set(bytes + 1);
    });
    assert_eq!(longer_table, BinaryError::BadEntry { index: 1 });
}

#[test]
fn graphs_that_are_refused_or_have_one_name() {
    let bad_graph = forged(|b| {
        let at = usize::try_from(section(b, 2).offset.get()).unwrap();
        b[at] = b'X';
    });
    assert_eq!(bad_graph, BinaryError::BadGraph { index: 1, error: TableError::NotATable });

    // Two graphs, `b` renamed to `a` in its directory entry and in its table.
    let graphs: Vec<_> =
        ["a", "b"].into_iter().map(|name| (binary_support::table(name, &[1]), 0)).collect();
    let mut bytes = write(73, &graphs);
    let names = HEADER_BYTES + 3 * size_of::<SectionRecord>() + 2 * size_of::<GraphRecord>();
    assert_eq!(bytes[names..names + 2], *b"ab");
    bytes[names + 1] = b'a';
    let table_at = usize::try_from(section(&mut bytes, 2).offset.get()).unwrap();
    let table: &mut htp_runtime::graph::table::Header = record(&mut bytes, table_at);
    let name_at = table_at + usize::try_from(table.strings.first.get()).unwrap();
    assert_eq!(bytes[name_at], b'b');
    bytes[name_at] = b'a';
    reseal(&mut bytes);
    assert_eq!(error(&bytes), BinaryError::DuplicateName { index: 1 });
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(ContextBinary::parse(&bytes).is_err());
        let forged = [b"HTPB\x01\0\0\0", &bytes[..]].concat();
        prop_assert!(ContextBinary::parse(&forged).is_err());
    }

    // Changes with right checksums reach the checks behind them.
    #[test]
    fn forged_binaries_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..4usize, any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = binary();
        // Half of the changes hit header, section table and directory, a quarter a graph table's records.
        let ends = [300, 300, 4096 + 700, bytes.len()];
        for (index, part, value) in changes {
            let start = if part == 2 { 4096 } else { 0 };
            bytes[start + index.index(ends[part] - start)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        reseal(&mut bytes);
        if let Ok(binary) = ContextBinary::parse(&bytes) {
            walk(&binary);
        }
    }
}
