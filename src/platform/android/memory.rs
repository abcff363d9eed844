//! Memory of the system's.

pub use crate::platform::posix::memory::{map_memory, map_shared, unmap_shared};

/// Bytes that [`map_memory`] is asked for where the integrator gives no memory: address space, of
/// which pages count when they are written.
pub const MEMORY_DEFAULT_BYTES: usize = if usize::BITS == 64 { 1 << 34 } else { 1 << 24 };
/// What is asked for at least where the system refuses more.
pub const MEMORY_MIN_BYTES: usize = if usize::BITS == 64 { 1 << 28 } else { 1 << 22 };
