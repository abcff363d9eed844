//! Why a block is not a usable context binary, and why one was not written.

use crate::graph::TableError;

/// Why a block is refused as a context binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum BinaryError {
    /// Does not begin with the magic.
    NotABinary,
    /// Another format version. Nothing behind the version number was looked at.
    Version {
        /// The version it has.
        found: u32,
    },
    /// Shorter than its header, or not exactly as long as its header says.
    SizeMismatch,
    /// Prepared for another architecture than the device's. Only
    /// [`super::ContextBinary::check_arch`] says so.
    Arch {
        /// The architecture it was prepared for.
        prepared_for: u32,
    },
    /// Says that it has more than [`super::GRAPHS_MAX`] graphs.
    TooManyGraphs,
    /// The checksum over header and section table is wrong.
    HeaderChecksum,
    /// The checksum of a section is wrong.
    SectionChecksum {
        /// Place in the section table: 0 is the directory, `i + 1` is graph `i`.
        section: usize,
    },
    /// Sections do not follow each other without gap, or a directory entry points outside its
    /// section.
    OutOfBounds,
    /// A directory entry contradicts its graph table: another name, or another length.
    BadEntry {
        /// The graph.
        index: usize,
    },
    /// An earlier graph has the same name.
    DuplicateName {
        /// The later graph.
        index: usize,
    },
    /// A graph table is refused.
    BadGraph {
        /// The graph.
        index: usize,
        /// Why.
        error: TableError,
    },
}

/// Why a context binary was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum WriteError {
    /// More than [`super::GRAPHS_MAX`] graphs.
    TooManyGraphs,
    /// A graph table is refused.
    BadGraph {
        /// The graph.
        index: usize,
        /// Why.
        error: TableError,
    },
    /// An earlier graph has the same name.
    DuplicateName {
        /// The later graph.
        index: usize,
    },
    /// The sizes add up to more than the address space, or the names to more than 4 GiB; or the
    /// iterator gave `write_into` other graphs than it gave `plan`.
    TooLarge,
    /// The buffer is shorter than [`super::BinaryLayout::size_bytes`]. Its contents were not
    /// changed.
    BufferTooSmall,
}
