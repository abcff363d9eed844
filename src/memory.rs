//! Client memory: addresses that a client lent us for the time of one request.
//!
//! The runtime never forms references into client memory; it copies in and out through this type,
//! so memory that several threads or requests share is at worst garbled, never undefined behaviour
//! on our side beyond the copy.

#![allow(unsafe_code, reason = "one of the two storage modules: copies from and to lent addresses")]

use core::ptr;

/// A block of client memory: address and length in bytes. Lent, not owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientMemory {
    address: usize,
    len: usize,
}

impl ClientMemory {
    /// No memory at all.
    pub const NONE: ClientMemory = ClientMemory { address: 0, len: 0 };

    /// Lends `len` bytes at `address`.
    ///
    /// # Safety
    /// The bytes stay readable and writable until the request (or registration) that carries them
    /// has completed. `address` came from a pointer whose provenance was exposed.
    pub const unsafe fn new(address: usize, len: usize) -> Self {
        Self { address, len }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to read or write.
    pub fn is_empty(&self) -> bool {
        self.len == 0 || self.address == 0
    }

    /// Address of the first byte, for traces and overlap checks.
    pub fn address(&self) -> usize {
        self.address
    }

    /// The bytes from `offset` on, `len` of them; `None` if they do not lie inside.
    pub fn part(&self, offset: usize, len: usize) -> Option<ClientMemory> {
        let end = offset.checked_add(len)?;
        let address = self.address.checked_add(offset)?;
        (end <= self.len).then_some(ClientMemory { address, len })
    }

    /// Copies the first bytes into `to`; `false` and no change if there are fewer than `to.len()`.
    pub fn read(&self, to: &mut [u8]) -> bool {
        if self.is_empty() || to.len() > self.len {
            return to.is_empty();
        }
        // SAFETY: the lender promised `len` readable bytes; `to` is ours and as long as the copy.
        // `copy` allows overlap.
        unsafe {
            ptr::copy(ptr::with_exposed_provenance::<u8>(self.address), to.as_mut_ptr(), to.len());
        }
        true
    }

    /// Copies `from` over the first bytes; `false` and no change if it does not fit.
    pub fn write(&self, from: &[u8]) -> bool {
        if self.is_empty() || from.len() > self.len {
            return from.is_empty();
        }
        // SAFETY: the lender promised `len` writable bytes; `from` is ours. `copy` allows overlap.
        unsafe {
            let to = ptr::with_exposed_provenance_mut::<u8>(self.address);
            ptr::copy(from.as_ptr(), to, from.len());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_stay_inside() {
        let mut bytes = [1u8, 2, 3, 4];
        // SAFETY: `bytes` outlives the use below.
        let memory = unsafe { ClientMemory::new(bytes.as_mut_ptr().expose_provenance(), 4) };
        let mut out = [0u8; 2];
        assert!(memory.part(1, 2).unwrap().read(&mut out));
        assert_eq!(out, [2, 3]);
        assert!(memory.write(&[9, 8]));
        assert!(!memory.write(&[0; 5]));
        assert!(!memory.read(&mut [0; 5]));
        assert!(memory.part(3, 2).is_none() && memory.part(usize::MAX, 2).is_none());
        assert_eq!(bytes, [9, 8, 3, 4]);
        assert!(!ClientMemory::NONE.read(&mut out));
    }
}
