//! Memory of the system's.

pub use crate::platform::posix::memory::{map_memory, map_shared, unmap_shared};

/// Bytes that [`map_memory`] is asked for where the integrator gives no memory. Modest, as the
/// system commits all of it at once.
pub const MEMORY_DEFAULT_BYTES: usize = 1 << 26;
/// What is asked for at least where the system refuses more.
pub const MEMORY_MIN_BYTES: usize = 1 << 24;
