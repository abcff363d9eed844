//! Waking a client that takes its notices itself: as on Linux.

#[path = "../linux/notify.rs"]
mod same;

pub use same::Wake;
