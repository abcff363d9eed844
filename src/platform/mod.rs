//! Platforms: what the runtime needs of an operating system, and the one loop that drives it.
//!
//! Every platform folder has the same files: `mod` (what it offers, in safe Rust) and `sys` (the
//! calls themselves, the only place with `unsafe`). The folder for the build's target is [`os`];
//! [`drive::Driver`] is written against it once.

pub mod drive;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub mod linux;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use linux as os;
