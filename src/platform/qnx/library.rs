//! Shared libraries.

pub use crate::platform::posix::library::{Library, LoadError};
