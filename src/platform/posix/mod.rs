//! What Linux, Android and QNX have in common: POSIX threads with priority-inheriting mutexes,
//! condition variables on the monotonic clock, mapped memory, dynamic libraries.
//!
//! Each platform's own `sys` says what differs: flags, what a new mutex does by itself, and, as
//! `libc`, what its C library declares.

pub mod clock;
pub mod library;
pub mod lock;
pub mod memory;
pub mod notify;
pub mod output;
mod sys;
pub mod wait;
pub mod worker;
