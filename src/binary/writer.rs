//! Writing a context binary into memory of the caller, whose size is known beforehand.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::error::WriteError;
use super::layout::{
    checksum, header_checksum, GraphRecord, Header, SectionRecord, GRAPH_ALIGN, MAGIC,
    SECTION_DIRECTORY, SECTION_GRAPH, VERSION,
};
use super::GRAPHS_MAX;
use crate::graph::table::Span;
use crate::graph::GraphTable;

/// A graph to write.
#[derive(Debug, Clone, Copy)]
pub struct GraphSource<'a> {
    /// A graph table. Bytes behind its end are left out.
    pub table: &'a [u8],
    /// Priority number, stored as it is.
    pub priority: u32,
}

/// A planned context binary: its size is known, nothing is written yet.
#[derive(Debug, Clone)]
pub struct BinaryLayout<I> {
    arch: u32,
    graphs: I,
    graph_count: usize,
    directory_start: usize,
    names_start: usize,
    directory_end: usize,
    size_bytes: usize,
}

impl<'a, I: Iterator<Item = GraphSource<'a>> + Clone> BinaryLayout<I> {
    /// Checks the graphs and computes the size of their binary for architecture `arch`. Takes the
    /// time of [`GraphTable::parse`] for each; `graphs` is cloned and must give the same graphs
    /// each time.
    pub fn plan(arch: u32, graphs: I) -> Result<Self, WriteError> {
        let mut names_bytes = 0usize;
        let mut graph_count = 0usize;
        for (index, source) in graphs.clone().enumerate() {
            if index >= GRAPHS_MAX {
                return Err(WriteError::TooManyGraphs);
            }
            let table = GraphTable::parse(source.table)
                .map_err(|error| WriteError::BadGraph { index, error })?;
            let mut earlier = graphs.clone().take(index).filter_map(|source| open(&source));
            if earlier.any(|earlier| earlier.name() == table.name()) {
                return Err(WriteError::DuplicateName { index });
            }
            names_bytes = names_bytes.saturating_add(table.name().len());
            graph_count = graph_count.saturating_add(1);
        }
        Self::place(arch, graphs, graph_count, names_bytes).ok_or(WriteError::TooLarge)
    }

    /// Exact length of the binary in bytes.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Writes the binary to the beginning of `buffer` and gives its length,
    /// [`BinaryLayout::size_bytes`]. The rest of a longer buffer stays as it was. Does not
    /// allocate.
    pub fn write_into(&self, buffer: &mut [u8]) -> Result<usize, WriteError> {
        let block = buffer.get_mut(..self.size_bytes).ok_or(WriteError::BufferTooSmall)?;
        block.fill(0);
        // Everything fits as planned, unless the iterator gave other graphs than it did to `plan`.
        self.fill(block).ok_or(WriteError::TooLarge)?;
        Ok(self.size_bytes)
    }

    fn place(arch: u32, graphs: I, graph_count: usize, names_bytes: usize) -> Option<Self> {
        let directory_start = section_at(graph_count.checked_add(1)?)?;
        let entries = graph_count.checked_mul(size_of::<GraphRecord>())?;
        let names_start = directory_start.checked_add(entries)?;
        let directory_end = names_start.checked_add(names_bytes)?;
        u32::try_from(directory_end).ok()?;
        let size_bytes = graphs.clone().try_fold(directory_end, |end, source| {
            align(end)?.checked_add(open(&source)?.bytes().len())
        })?;
        Some(Self {
            arch,
            graphs,
            graph_count,
            directory_start,
            names_start,
            directory_end,
            size_bytes,
        })
    }

    fn fill(&self, block: &mut [u8]) -> Option<()> {
        let mut name_at = self.names_start;
        let mut end = self.directory_end;
        for (index, source) in self.graphs.clone().enumerate() {
            let table = open(&source)?;
            let start = align(end)?;
            let record = GraphRecord {
                name: Span { first: word(name_at)?, count: word(table.name().len())? },
                table_offset: U64::new(start as u64),
                table_bytes: U64::new(table.bytes().len() as u64),
                priority: U32::new(source.priority),
            };
            let record_at =
                index.checked_mul(size_of::<GraphRecord>())?.checked_add(self.directory_start)?;
            put(block, record_at, record.as_bytes())?;
            name_at = put(block, name_at, table.name().as_bytes())?;
            end = put(block, start, table.bytes())?;
        }
        self.seal(block)
    }

    /// Writes the section table and the header of a block whose content is complete.
    fn seal(&self, block: &mut [u8]) -> Option<()> {
        let mut start = self.directory_start;
        let mut content_end = self.directory_end;
        let mut sources = self.graphs.clone();
        for index in 0..=self.graph_count {
            let next = sources.next();
            let end = if next.is_some() { align(content_end)? } else { content_end };
            let section = SectionRecord {
                kind: U32::new(if index == 0 { SECTION_DIRECTORY } else { SECTION_GRAPH }),
                crc: U32::new(checksum(&[block.get(start..end)?])),
                offset: U64::new(start as u64),
                bytes: U64::new(end.checked_sub(start)? as u64),
            };
            put(block, section_at(index)?, section.as_bytes())?;
            start = end;
            if let Some(source) = next {
                content_end = end.checked_add(open(&source)?.bytes().len())?;
            }
        }
        let mut header = Header {
            magic: MAGIC,
            version: U32::new(VERSION),
            total_bytes: U64::new(self.size_bytes as u64),
            arch: U32::new(self.arch),
            graph_count: word(self.graph_count)?,
            section_count: word(self.graph_count.checked_add(1)?)?,
            header_crc: U32::ZERO,
        };
        let sections = block.get(size_of::<Header>()..self.directory_start)?;
        let sections = <[SectionRecord]>::ref_from_bytes(sections).ok()?;
        header.header_crc = U32::new(header_checksum(&header, sections));
        put(block, 0, header.as_bytes())?;
        Some(())
    }
}

/// A table that [`BinaryLayout::plan`] has checked.
fn open<'a>(source: &GraphSource<'a>) -> Option<GraphTable<'a>> {
    GraphTable::open(source.table).ok()
}

/// Offset of entry `index` of the section table.
fn section_at(index: usize) -> Option<usize> {
    index.checked_mul(size_of::<SectionRecord>())?.checked_add(size_of::<Header>())
}

fn align(end: usize) -> Option<usize> {
    end.checked_next_multiple_of(GRAPH_ALIGN)
}

fn word(value: usize) -> Option<U32> {
    u32::try_from(value).ok().map(U32::new)
}

/// Copies `part` to `offset` and gives the offset behind it.
fn put(block: &mut [u8], offset: usize, part: &[u8]) -> Option<usize> {
    let end = offset.checked_add(part.len())?;
    let to = block.get_mut(offset..end)?;
    to.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
    Some(end)
}
