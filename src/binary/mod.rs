//! The context binary: all graphs of a context as one position-independent little-endian block.
//!
//! ```text
//! Header | sections | directory, names | (padding to 4 KiB) graph table | (padding) graph table …
//! ```
//!
//! Every byte is covered by exactly one checksum: the header and the section table by the header's,
//! everything behind them by its section's, padding included. A binary holds what is needed to run
//! its graphs and nothing that the client says when it loads them: a queue depth, for one, has no
//! place in it. The same graphs in the same order give the same bytes. All layouts stand in
//! [`layout`].

mod checked;
mod error;
pub mod layout;
mod reader;
mod writer;

pub use checked::CheckedBinary;
pub use error::{BinaryError, WriteError};
pub use reader::{ContextBinary, GraphEntry};
pub use writer::{BinaryLayout, GraphSource};

/// Most graphs in one binary: as many as share weights in one context. Bounds the directory to 64
/// entries and the search for equal names to 64² / 2 comparisons.
pub const GRAPHS_MAX: usize = 64;
