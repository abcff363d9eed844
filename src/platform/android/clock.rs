//! Time.

pub use crate::platform::posix::clock::now;
