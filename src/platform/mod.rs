//! Platforms: what the runtime needs of an operating system, and the one loop that drives it.
//!
//! The platforms have the same files, and the folder of the build's target is [`os`]:
//!
//! | file | what |
//! |---|---|
//! | `clock` | monotonic time |
//! | `lock` | mutual exclusion that lends priorities, or the integrator's critical section |
//! | `wait` | sleeping until told, at most until a time |
//! | `worker` | threads, and what a fork leaves of them |
//! | `memory` | memory of the system's, and memory that other processes or devices share |
//! | `library` | loading a shared library |
//! | `output` | the standard error stream, and files |
//! | `notify` | waking a client that takes its notices itself |
//! | `sys` | the calls, the only file with `unsafe` |
//!
//! What POSIX systems have in common stands once, in `posix`, under the same names; the files of a
//! system take it from there or say what differs. [`drive::Driver`] is written against [`os`] once.

pub mod drive;
pub mod mutex;

#[cfg(any(target_os = "linux", target_os = "android", target_os = "nto"))]
mod posix;

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(all(target_os = "linux", not(all(loom, test))))]
pub use linux as os;

// Linux with threads, locks and numbers whose orders an explorer chooses: `cargo xtask test --only
// loom`.
#[cfg(all(loom, test))]
pub mod explored;
#[cfg(all(loom, test))]
pub use explored as os;

#[cfg(target_os = "android")]
pub mod android;
#[cfg(target_os = "android")]
pub use android as os;

#[cfg(target_os = "nto")]
pub mod qnx;
#[cfg(target_os = "nto")]
pub use qnx as os;

// Everywhere in tests, as nothing in it needs a target.
#[cfg(any(target_os = "none", test))]
pub mod bare;
#[cfg(target_os = "none")]
pub use bare as os;

/// A thread could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpawnError;

/// The system could not make a lock, or a condition to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockError;

/// What a thread runs.
pub trait ThreadMain<T> {
    /// Runs for the life of the process.
    fn main(argument: &'static T);
}

/// Pages that a descriptor was mapped to. Plain data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// First byte of the first page.
    pub address: usize,
    /// Bytes mapped.
    pub bytes: usize,
}

/// A part of the memory behind a descriptor, mapped for reading and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedMemory {
    /// The mapping, to be unmapped.
    pub pages: Pages,
    /// Address of the first byte asked for.
    pub address: usize,
    /// Same for every descriptor of the same memory.
    pub identity: (u64, u64),
}

/// Why memory behind a descriptor cannot be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapError {
    /// The descriptor is not open.
    NoDescriptor,
    /// A range that no mapping can have.
    Invalid,
    /// The memory is smaller than the range asked for.
    TooSmall,
    /// The system refused.
    Refused,
    /// This platform has no descriptors.
    NotSupported,
}

/// The system did not open a file, or did not take what was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// How a client that takes its notices itself wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeBy {
    /// The number 1, as 8 bytes, is written to a descriptor that is open for writing and never
    /// blocks: an event descriptor, or a pipe or socket whose other end stays open.
    Descriptor(i32),
    /// QNX: a pulse.
    Pulse {
        /// Connection to the client's channel.
        connection: i32,
        /// Priority of the pulse, at most 255; -1 for that of the thread that sends it.
        priority: i32,
        /// Code, 0 to 127.
        code: i32,
        /// Value that comes with it.
        value: i32,
    },
    /// QNX: a pulse or a signal to the process, as the bytes of a `struct sigevent`. Other events
    /// are for the thread that sends them.
    Event([u64; 4]),
}

/// Why a client cannot be woken that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeError {
    /// A number is out of its range; the descriptor is none, not for writing, or may block; the
    /// event would not reach the client.
    Invalid,
    /// This platform has no such thing.
    NotSupported,
}
