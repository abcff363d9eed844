//! Layout of the context binary, version 1: facts that the reader and the writer share.

use crc::{Crc, Table, CRC_32_ISO_HDLC};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::graph::table::{Span, CONSTANTS_ALIGN};

/// First bytes of every context binary.
pub const MAGIC: [u8; 4] = *b"HTPB";
/// Format version; a binary of another version is refused.
pub const VERSION: u32 = 1;
/// Graph tables start at multiples of this, which makes their constants page aligned in the block
/// too.
pub const GRAPH_ALIGN: usize = CONSTANTS_ALIGN;

/// [`SectionRecord::kind`] of the directory, the first section.
pub const SECTION_DIRECTORY: u32 = 1;
/// [`SectionRecord::kind`] of a graph. Section `i + 1` is graph `i`.
pub const SECTION_GRAPH: u32 = 2;

/// The block's first record. All offsets in the block are bytes from its start.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 4],
    /// [`VERSION`].
    pub version: U32,
    /// Length of the whole block.
    pub total_bytes: U64,
    /// Architecture the graphs were prepared for: 68, 69, 73, 75…
    pub arch: U32,
    /// Number of graphs.
    pub graph_count: U32,
    /// Number of [`SectionRecord`]s, which follow the header: one more than graphs.
    pub section_count: U32,
    /// Checksum of this header, with zero in this field, and the section table.
    pub header_crc: U32,
}

/// One section. Each begins where the one before ended and includes the padding up to the next.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SectionRecord {
    /// [`SECTION_DIRECTORY`] or [`SECTION_GRAPH`].
    pub kind: U32,
    /// Checksum of the section's bytes.
    pub crc: U32,
    /// Offset of the first byte.
    pub offset: U64,
    /// Number of bytes.
    pub bytes: U64,
}

/// Directory entry of one graph. The names follow the entries, in the same section.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GraphRecord {
    /// Name: offset and number of bytes, UTF-8.
    pub name: Span,
    /// Offset of the graph table, a multiple of [`GRAPH_ALIGN`].
    pub table_offset: U64,
    /// Bytes of the graph table, without padding.
    pub table_bytes: U64,
    /// Priority number of the graph, as the API counts priorities.
    pub priority: U32,
}

/// CRC-32 as in Ethernet and zip files. One table of 1 KiB: the crate's faster loop over sixteen
/// tables has bounds checks that the compiler keeps, and with them panics.
static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// Checksum of the concatenation of `parts`.
pub fn checksum(parts: &[&[u8]]) -> u32 {
    let mut digest = CRC.digest();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize()
}

/// The checksum that belongs into `header.header_crc`, whatever is there now.
pub fn header_checksum(header: &Header, sections: &[SectionRecord]) -> u32 {
    let sealed = Header { header_crc: U32::ZERO, ..*header };
    checksum(&[sealed.as_bytes(), sections.as_bytes()])
}
