//! Reading a context binary in place.

use core::ops::Range;

use zerocopy::FromBytes;

use super::error::BinaryError;
use super::layout::{
    checksum, header_checksum, GraphRecord, Header, SectionRecord, GRAPH_ALIGN, MAGIC,
    SECTION_DIRECTORY, SECTION_GRAPH, VERSION,
};
use super::GRAPHS_MAX;
use crate::graph::GraphTable;

/// A checked view of a context binary. Copying it copies a reference.
#[derive(Clone, Copy)]
pub struct ContextBinary<'a> {
    bytes: &'a [u8],
    header: &'a Header,
    graphs: &'a [GraphRecord],
}

/// A graph of a context binary.
#[derive(Clone)]
pub struct GraphEntry<'a> {
    /// Name, unique in the binary.
    pub name: &'a str,
    /// Priority number, as the API counts priorities. Not checked.
    pub priority: u32,
    /// Where the graph table lies in the block, so that an owner of the block can share this part
    /// of it.
    pub range: Range<usize>,
    /// The graph table, used in place.
    pub table: GraphTable<'a>,
}

fn range(offset: u64, bytes: u64) -> Option<Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    Some(start..start.checked_add(usize::try_from(bytes).ok()?)?)
}

impl<'a> ContextBinary<'a> {
    /// Checks a whole block, every graph table included, and opens it. `bytes` must end where the
    /// binary ends.
    ///
    /// Reads every byte once for the checksums, then takes the time of [`GraphTable::parse`] per
    /// graph. Never panics, whatever the bytes are. Checksums find accidents; they do not prove
    /// who wrote the binary.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BinaryError> {
        let (binary, sections) = Self::locate(bytes)?;
        check_sections(bytes, sections)?;
        let (directory, graph_sections) = sections.split_first().ok_or(BinaryError::OutOfBounds)?;
        for (index, (record, section)) in binary.graphs.iter().zip(graph_sections).enumerate() {
            if !lies_in(record, directory) {
                return Err(BinaryError::OutOfBounds);
            }
            binary.check_graph(index, record, section)?;
        }
        Ok(binary)
    }

    /// Opens a block that [`ContextBinary::parse`] accepted before: its parts are located, and only
    /// the header's checksum is compared. Linear in the number of graphs.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, BinaryError> {
        Self::locate(bytes).map(|(binary, _)| binary)
    }

    fn locate(bytes: &'a [u8]) -> Result<(Self, &'a [SectionRecord]), BinaryError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(BinaryError::NotABinary);
        }
        let (header, rest) =
            Header::ref_from_prefix(bytes).map_err(|_| BinaryError::SizeMismatch)?;
        if header.version.get() != VERSION {
            return Err(BinaryError::Version { found: header.version.get() });
        }
        if header.total_bytes.get() != bytes.len() as u64 {
            return Err(BinaryError::SizeMismatch);
        }
        let sections = section_table(header, rest)?;
        let (directory, graph_sections) = sections.split_first().ok_or(BinaryError::OutOfBounds)?;
        let content = section_bytes(bytes, directory).ok_or(BinaryError::OutOfBounds)?;
        let (graphs, _) =
            <[GraphRecord]>::ref_from_prefix_with_elems(content, graph_sections.len())
                .map_err(|_| BinaryError::OutOfBounds)?;
        Ok((Self { bytes, header, graphs }, sections))
    }

    /// Whether the binary was prepared for `arch`; [`BinaryError::Arch`] if not. Results on another
    /// architecture are indeterminate, so a loader refuses.
    pub fn check_arch(&self, arch: u32) -> Result<(), BinaryError> {
        let prepared_for = self.arch();
        if prepared_for == arch {
            Ok(())
        } else {
            Err(BinaryError::Arch { prepared_for })
        }
    }

    /// Architecture the graphs were prepared for: 68, 69, 73, 75…
    pub fn arch(&self) -> u32 {
        self.header.arch.get()
    }

    /// The whole block.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Number of graphs, at most [`GRAPHS_MAX`].
    pub fn graph_count(&self) -> usize {
        self.graphs.len()
    }

    /// Graph `index`, in the order of writing.
    pub fn graph(&self, index: usize) -> Option<GraphEntry<'a>> {
        self.entry(self.graphs.get(index)?)
    }

    /// All graphs in the order of writing.
    pub fn graphs(&self) -> impl Iterator<Item = GraphEntry<'a>> + 'a {
        let binary = *self;
        binary.graphs.iter().filter_map(move |record| binary.entry(record))
    }

    /// The graph called `name`. Linear in the number of graphs; only the one found is opened.
    pub fn find(&self, name: &str) -> Option<GraphEntry<'a>> {
        let record = self.graphs.iter().find(|record| self.name(record) == Some(name))?;
        self.entry(record)
    }

    fn entry(&self, record: &GraphRecord) -> Option<GraphEntry<'a>> {
        let range = range(record.table_offset.get(), record.table_bytes.get())?;
        let table = GraphTable::open(self.bytes.get(range.clone())?).ok()?;
        Some(GraphEntry { name: self.name(record)?, priority: record.priority.get(), range, table })
    }

    fn name(&self, record: &GraphRecord) -> Option<&'a str> {
        let range = range(record.name.first.get().into(), record.name.count.get().into())?;
        core::str::from_utf8(self.bytes.get(range)?).ok()
    }

    fn check_graph(
        &self,
        index: usize,
        record: &GraphRecord,
        section: &SectionRecord,
    ) -> Result<(), BinaryError> {
        let bytes = section_bytes(self.bytes, section)
            .filter(|_| record.table_offset == section.offset)
            .ok_or(BinaryError::OutOfBounds)?;
        let (table, padding) = usize::try_from(record.table_bytes.get())
            .ok()
            .and_then(|table_bytes| bytes.split_at_checked(table_bytes))
            .ok_or(BinaryError::OutOfBounds)?;
        if padding.len() >= GRAPH_ALIGN {
            return Err(BinaryError::OutOfBounds);
        }
        let table =
            GraphTable::parse(table).map_err(|error| BinaryError::BadGraph { index, error })?;
        let same_length = table.bytes().len() as u64 == record.table_bytes.get();
        if !same_length || self.name(record) != Some(table.name()) {
            return Err(BinaryError::BadEntry { index });
        }
        let mut earlier = self.graphs.iter().take(index);
        match earlier.any(|other| self.name(other) == Some(table.name())) {
            true => Err(BinaryError::DuplicateName { index }),
            false => Ok(()),
        }
    }
}

fn section_table<'a>(header: &Header, rest: &'a [u8]) -> Result<&'a [SectionRecord], BinaryError> {
    let graph_count = usize::try_from(header.graph_count.get()).unwrap_or(usize::MAX);
    let section_count = usize::try_from(header.section_count.get()).unwrap_or(usize::MAX);
    if graph_count > GRAPHS_MAX {
        return Err(BinaryError::TooManyGraphs);
    }
    if section_count != graph_count.saturating_add(1) {
        return Err(BinaryError::OutOfBounds);
    }
    let (sections, _) = <[SectionRecord]>::ref_from_prefix_with_elems(rest, section_count)
        .map_err(|_| BinaryError::OutOfBounds)?;
    if header_checksum(header, sections) != header.header_crc.get() {
        return Err(BinaryError::HeaderChecksum);
    }
    Ok(sections)
}

/// Sections tile the block from the end of the section table to its own end, and each has its
/// checksum.
fn check_sections(bytes: &[u8], sections: &[SectionRecord]) -> Result<(), BinaryError> {
    let mut end = size_of_val(sections).saturating_add(size_of::<Header>());
    for (index, section) in sections.iter().enumerate() {
        let (kind, align) =
            if index == 0 { (SECTION_DIRECTORY, 1) } else { (SECTION_GRAPH, GRAPH_ALIGN) };
        let start = usize::try_from(section.offset.get()).unwrap_or(usize::MAX);
        if section.kind.get() != kind || start != end || !start.is_multiple_of(align) {
            return Err(BinaryError::OutOfBounds);
        }
        let content = section_bytes(bytes, section).ok_or(BinaryError::OutOfBounds)?;
        if checksum(&[content]) != section.crc.get() {
            return Err(BinaryError::SectionChecksum { section: index });
        }
        end = end.saturating_add(content.len());
    }
    (end == bytes.len()).then_some(()).ok_or(BinaryError::OutOfBounds)
}

fn section_bytes<'a>(bytes: &'a [u8], section: &SectionRecord) -> Option<&'a [u8]> {
    bytes.get(range(section.offset.get(), section.bytes.get())?)
}

/// Whether the name of a graph lies in the directory.
fn lies_in(record: &GraphRecord, directory: &SectionRecord) -> bool {
    let name = range(record.name.first.get().into(), record.name.count.get().into());
    let directory = range(directory.offset.get(), directory.bytes.get());
    name.zip(directory)
        .is_some_and(|(name, directory)| directory.start <= name.start && name.end <= directory.end)
}
