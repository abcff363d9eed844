//! Waking a client that takes its notices itself.

pub use crate::platform::posix::notify::Wake;
