//! The standard error stream, and files.

use core::ffi::CStr;

use super::sys;
use crate::platform::Refused;

/// Writes one line, in one piece, so that those of several threads do not mix. Waits as long as the
/// stream does; one that takes no more loses the rest.
pub fn write_error(line: &[u8]) {
    sys::write(sys::STANDARD_ERROR, line);
}

/// An open file. Closed by [`File::close`] only, so that it can be copied out of a table.
#[derive(Debug, Clone, Copy)]
pub struct File {
    fd: i32,
}

impl File {
    /// Opens a file for more bytes at its end; made if it is not there. Does not wait for a reader
    /// where the file is a pipe.
    pub fn append(path: &CStr) -> Result<Self, Refused> {
        sys::open_for_append(path).map(|fd| Self { fd }).ok_or(Refused)
    }

    /// Closes it. Nobody may use a copy any more.
    pub fn close(self) {
        sys::close(self.fd);
    }

    /// Writes all of `bytes`. What is refused may be written in part.
    pub fn write(self, mut bytes: &[u8]) -> Result<(), Refused> {
        while !bytes.is_empty() {
            let taken = sys::write(self.fd, bytes).filter(|&taken| taken > 0).ok_or(Refused)?;
            bytes = bytes.get(taken..).unwrap_or(&[]);
        }
        Ok(())
    }
}
