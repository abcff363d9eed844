//! A context binary that owns its bytes and was checked whole.

use super::error::BinaryError;
use super::reader::ContextBinary;
use crate::region::SharedBytes;

/// Proof that [`ContextBinary::parse`] accepted these bytes for an architecture. Checking reads
/// every byte; whoever must not hold others up meanwhile checks first and hands the proof in
/// afterwards.
pub struct CheckedBinary<'m> {
    bytes: SharedBytes<'m>,
}

impl<'m> CheckedBinary<'m> {
    /// Checks a binary for a device of architecture `arch`. On an error the bytes come back.
    pub fn check(
        bytes: SharedBytes<'m>,
        arch: u32,
    ) -> Result<Self, (BinaryError, SharedBytes<'m>)> {
        match ContextBinary::parse(&bytes).and_then(|binary| binary.check_arch(arch)) {
            Ok(()) => Ok(Self { bytes }),
            Err(error) => Err((error, bytes)),
        }
    }

    /// The binary, without checking its bytes again.
    pub fn open(&self) -> Result<ContextBinary<'_>, BinaryError> {
        ContextBinary::open(&self.bytes)
    }

    /// Its bytes, to share.
    pub fn bytes(&self) -> &SharedBytes<'m> {
        &self.bytes
    }

    /// Its bytes, to give back.
    pub fn into_bytes(self) -> SharedBytes<'m> {
        self.bytes
    }
}
