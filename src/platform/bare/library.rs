//! There is nothing to load from.

use core::ffi::{c_void, CStr};
use core::ptr::NonNull;

/// A shared library, of which there is none.
#[derive(Debug, Clone, Copy)]
pub enum Library {}

/// There is no such library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadError;

impl Library {
    /// Finds nothing.
    pub fn load(_: &CStr) -> Result<Self, LoadError> {
        Err(LoadError)
    }

    /// Never called, as there is no library.
    pub fn symbol(self, _: &CStr) -> Option<NonNull<c_void>> {
        match self {}
    }
}
