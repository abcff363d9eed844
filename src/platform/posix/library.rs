//! Shared libraries.

use core::ffi::{c_void, CStr};
use core::ptr::NonNull;

use super::sys;

/// A shared library that was loaded. It stays for the life of the process: what it was asked for
/// may be called at any time.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    handle: NonNull<c_void>,
}

/// The library is not there, or needs something that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadError;

impl Library {
    /// Loads a library, by path or by a name that the system's search finds. All it needs is bound
    /// at once, so nothing is left to fail later. Runs the library's initialisers; unbounded.
    pub fn load(name: &CStr) -> Result<Self, LoadError> {
        sys::load(name).map(|handle| Self { handle }).ok_or(LoadError)
    }

    /// Address of something it exports.
    pub fn symbol(self, name: &CStr) -> Option<NonNull<c_void>> {
        sys::symbol(self.handle, name)
    }
}
