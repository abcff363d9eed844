//! What the `getProviders` functions hand out: an interface with zeroed room behind it.
//!
//! The function tables grow at their ends, and a client copies the table of *its* header. One made
//! for a newer header reads past our last entry; there it must find null pointers.

use super::{QnnInterface_t, QnnSystemInterface_t};

/// Null entries behind the last one.
pub const RESERVED_ENTRIES: usize = 16;

/// A core interface and the room behind its table.
#[repr(C)]
pub struct ProviderStorage {
    /// What the client is given a pointer to.
    pub interface: QnnInterface_t,
    /// Zeros, read by newer clients as entries that are not there.
    pub reserved: [usize; RESERVED_ENTRIES],
}

/// A system interface and the room behind its table.
#[repr(C)]
pub struct SystemProviderStorage {
    /// What the client is given a pointer to.
    pub interface: QnnSystemInterface_t,
    /// Zeros, read by newer clients as entries that are not there.
    pub reserved: [usize; RESERVED_ENTRIES],
}

// SAFETY: immutable once built; the pointers in it are to functions and string constants.
unsafe impl Sync for ProviderStorage {}
// SAFETY: as above.
unsafe impl Sync for SystemProviderStorage {}

// The room begins where entry 75 (system: 89) would.
#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(ProviderStorage, reserved) == 40 + 75 * 8);
    assert!(offset_of!(SystemProviderStorage, reserved) == 32 + 89 * 8);
};
