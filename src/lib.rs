//! htp-runtime
#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::arithmetic_side_effects
    )
)]
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod binary;
pub mod capability;
pub mod device;
pub mod error;
pub mod event;
pub mod graph;
pub mod handle;
pub mod limits;
pub mod memory;
#[cfg(feature = "os")]
pub mod platform;
pub mod profile;
pub mod queue;
pub mod region;
pub mod runtime;
pub mod sched;
pub mod slots;
pub mod ssr;
pub mod time;
#[cfg(feature = "vhtp")]
pub mod vhtp;
