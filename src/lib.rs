//! **htp-runtime**: runs neural networks on Qualcomm's HTP for programs that must never be left
//! waiting.
//!
//! The crate is the core of the library: no C, no heap, no operating system unless the feature `os`
//! asks for one. Read it from top to bottom:
//!
//! - ground: [`limits`] [`time`] [`handle`] [`slots`] [`error`] [`event`] (numbers and names),
//!   [`region`] [`memory`] (memory);
//! - networks: [`graph`] (position-independent tables), [`binary`] (context binaries, used in
//!   place);
//! - order: [`queue`] (requests), [`sched`] (who runs next), [`ssr`] (restarts), [`power`] (votes),
//!   [`profile`] (measurements);
//! - composition: [`runtime`], the machine: calls and events in, commands and notices out;
//! - below: [`device`] [`capability`] (what executes graphs, and where), [`vhtp`] (built in);
//! - around: `platform` (feature `os`), locks, threads and the one loop that drives the machine.
//!
//! # The run loop
//!
//! One input, then drain. An owner of a [`runtime::Runtime`] and a [`device::Device`] repeats:
//!
//! 1. one call (`submit`, `context_create`, …), one [`runtime::Runtime::handle_event`], or one
//!    [`runtime::Runtime::handle_timeout`];
//! 2. [`runtime::Runtime::poll_notice`] until `None`, each told to its client, outside any lock;
//! 3. [`runtime::Runtime::poll_command`] until `None`, each handed to [`device::Device::submit`]:
//!    after the notices, because hearing the last one of a context may release it on the device;
//! 4. [`device::Device::step`]; when it waits, sleep until the earlier of its time and
//!    [`runtime::Runtime::poll_timeout`].
//!
//! # Guarantees
//!
//! - An accepted request has exactly one completion, whatever fails; a refused one has none.
//! - Every entry point does bounded work, constant in queue depth and object counts unless its
//!   documentation says so.
//! - Nothing is allocated on the way from submit to completion, nor by a restart.
//! - A restart makes every context, graph and buffer stale, and drops every power vote, in constant
//!   time; late answers are dropped and counted.
//! - Same inputs, same trace, on every machine.
//! - No reachable panic, and no `unsafe` outside [`region`], [`memory`] and the `sys` modules of
//!   the platforms.

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
pub mod power;
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
