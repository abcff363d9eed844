//! The C faces of htp-runtime: the QNN provider ([`export`]) and the extension API ([`ext`]).
//!
//! ```text
//! export: one file per QNN header ─┐
//! ext*: htp_rt_*                   ├─► instance: driver + runtime + device, made on first use
//! client: reads what clients point to, convert: handles and codes, objects: what lives on the
//! host, binary_info: descriptions of context binaries, profile_log: files of profiling data
//! ```
//!
//! No call panics, allocates from a heap, or follows a handle: handles are numbers that tables
//! check.
#![no_std]

pub mod abi;
mod binary_info;
mod client;
mod convert;
#[cfg(target_os = "none")]
mod critical;
mod export;
pub mod ext;
pub mod ext_fallback;
mod ext_ownership;
pub mod ext_recovery;
pub mod ext_request;
pub mod ext_vdev;
pub mod ext_wake;
pub mod ext_watch;
mod instance;
mod log;
mod messages;
mod objects;
mod profile_list;
mod profile_log;
mod refusal;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // No panic can be reached in the release library, which `cargo xtask symbols` proves.
    runtime::platform::os::abort()
}
