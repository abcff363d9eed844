//! Memory is the integrator's.

use core::mem::MaybeUninit;

pub use super::sys::unmap_shared;
use crate::platform::{MapError, SharedMemory};

/// Nothing is asked for by default.
pub const MEMORY_DEFAULT_BYTES: usize = 0;
/// Nor is less.
pub const MEMORY_MIN_BYTES: usize = 0;

/// There is no system to give any.
pub fn map_memory(_: usize) -> Option<&'static mut [MaybeUninit<u8>]> {
    None
}

/// There are no descriptors.
pub fn map_shared(_: i32, _: u64, _: u64) -> Result<SharedMemory, MapError> {
    Err(MapError::NotSupported)
}
