//! The standard error stream, and files.

pub use crate::platform::posix::output::{write_error, File};
