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

pub mod capability;
pub mod device;
pub mod event;
pub mod graph;
pub mod handle;
pub mod memory;
pub mod region;
pub mod slots;
pub mod ssr;
pub mod time;
