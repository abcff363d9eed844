//! Memory of the system's.

use core::mem::MaybeUninit;

use super::sys;
pub use super::sys::unmap_shared;
use crate::platform::{MapError, SharedMemory};

/// Zeroed memory from the system, page aligned, for the life of the process. `None` if the system
/// has none.
pub fn map_memory(bytes: usize) -> Option<&'static mut [MaybeUninit<u8>]> {
    sys::map_memory(bytes)
}

/// Maps `bytes` bytes of the memory behind a descriptor, from byte `offset` on.
pub fn map_shared(fd: i32, offset: u64, bytes: u64) -> Result<SharedMemory, MapError> {
    sys::map_shared(fd, offset, bytes)
}
