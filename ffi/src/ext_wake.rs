//! Taking notices on a thread of the client's own, woken by the operating system.

#![allow(non_camel_case_types, reason = "names of the C interface")]

use core::ffi::c_void;

use runtime::platform::os::Wake;
use runtime::platform::{WakeBy, WakeError};

use crate::abi::*;
use crate::convert::Code;
use crate::export::answer;
use crate::instance;
use crate::refusal::{self, because, null};

const BAD: Code = QNN_COMMON_ERROR_INVALID_ARGUMENT;

/// How a client is woken.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum htp_rt_wake_kind_t {
    /// The number 1, as 8 bytes, is written to `descriptor`, which must be non-blocking and open
    /// for writing. Best an `eventfd`. Of a pipe or socket the other end must stay open: to write
    /// to one whose reader is gone raises SIGPIPE on the thread that wakes, which may be one of
    /// the client's in any call of the library, and ends a process that does not ignore the
    /// signal.
    HTP_RT_WAKE_DESCRIPTOR = 1,
    /// QNX: a pulse.
    HTP_RT_WAKE_PULSE = 2,
    /// QNX: an event of the kernel's that reaches the process whichever thread delivers it:
    /// `SIGEV_PULSE`, `SIGEV_SIGNAL` or `SIGEV_SIGNAL_CODE`.
    HTP_RT_WAKE_EVENT = 3,
}

/// How a client that takes its notices itself is woken. Zero the struct, set `struct_size` and
/// `kind`, then what the kind needs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct htp_rt_wake_t {
    /// `sizeof(htp_rt_wake_t)`.
    pub struct_size: u32,
    /// One of `htp_rt_wake_kind_t`.
    pub kind: i32,
    /// The descriptor.
    pub descriptor: i32,
    /// Pulse: connection to the client's channel, from `ConnectAttach`. As that of an event, it
    /// must stay attached until `htp_rt_set_wake` has named another way.
    pub connection: i32,
    /// Pulse: its priority, 0 to 255; -1 for that of the thread that sends it.
    pub priority: i32,
    /// Pulse: its code, 0 to 127.
    pub code: i32,
    /// Pulse: the value that comes with it.
    pub value: i32,
    /// Event: a `struct sigevent`, which is copied.
    pub event: *const c_void,
}

/// From here on notices (completions and phases of restarts) are not told on the library's own
/// thread: the client is woken, and takes them with `htp_rt_take_notices`. It is woken once when
/// there is something to take after there was nothing; should the system fail to, that is counted
/// (`htp_rt_stats_t::wake_failures`), and tried again after 1 ms, then after twice as long each
/// time, up to 100 ms, until it can. Call it after `htp_rt_init` and before the first request.
/// Called again, it replaces the former way. The descriptor or the connection is used until then,
/// so it must outlive the registration: where it leads to shows only when it is used.
///
/// Errors: `QNN_COMMON_ERROR_INVALID_ARGUMENT` if the struct is not understood, a number is out of
/// range, the descriptor may block or cannot be written to, or the event would not reach the
/// client; `QNN_COMMON_ERROR_NOT_SUPPORTED` if the platform has no such
/// thing; `QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED` without threads, where `htp_rt_poll` tells.
///
/// # Safety
/// `wake` is NULL or points to a struct whose event, if that is the kind, can be read.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_set_wake(wake: *const htp_rt_wake_t) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"htp_rt_set_wake", unsafe { set(wake) })
}

/// # Safety
/// As for [`htp_rt_set_wake`].
unsafe fn set(wake: *const htp_rt_wake_t) -> Result<(), Code> {
    // SAFETY: the caller's promise.
    let given = unsafe { wake.as_ref() }.ok_or_else(null(BAD, "wake"))?;
    const SIZE: usize = size_of::<htp_rt_wake_t>();
    if given.struct_size as usize != SIZE {
        return Err(because!(BAD, "wake->struct_size is ", given.struct_size, ", not ", SIZE));
    }
    // SAFETY: the caller's promise.
    let by = unsafe { wake_by(given) }?;
    let instance = instance::get()?;
    if !instance.threaded {
        let why = "the library was initialised without threads: htp_rt_poll tells";
        return Err(because!(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED, why));
    }
    let wake = Wake::new(by).map_err(|error| refused(by, error))?;
    instance.driver.wake_taker_by(wake);
    Ok(())
}

fn refused(by: WakeBy, error: WakeError) -> Code {
    match (error, by) {
        (WakeError::NotSupported, _) => {
            let code = QNN_COMMON_ERROR_NOT_SUPPORTED;
            because!(code, "wake->kind is for another operating system")
        }
        (_, WakeBy::Descriptor(fd)) => {
            because!(
                BAD,
                "wake->descriptor is ",
                fd,
                ", which is not open for writing or may block"
            )
        }
        (_, WakeBy::Pulse { connection, priority, code, .. }) => {
            let (are, least) = ("wake->connection, priority, code are ", ", at least 0, -1, 0 ");
            let most = "and at most any, 255, 127 are needed";
            because!(BAD, are, connection, ", ", priority, ", ", code, least, most)
        }
        (_, WakeBy::Event(_)) => {
            because!(BAD, "wake->event is neither a pulse nor a signal to the process")
        }
    }
}

/// # Safety
/// The event, if that is the kind, can be read.
unsafe fn wake_by(given: &htp_rt_wake_t) -> Result<WakeBy, Code> {
    use htp_rt_wake_kind_t as Kind;
    let &htp_rt_wake_t { kind, descriptor, connection, priority, code, value, event, .. } = given;
    if kind == Kind::HTP_RT_WAKE_DESCRIPTOR as i32 {
        Ok(WakeBy::Descriptor(descriptor))
    } else if kind == Kind::HTP_RT_WAKE_PULSE as i32 {
        Ok(WakeBy::Pulse { connection, priority, code, value })
    } else if kind == Kind::HTP_RT_WAKE_EVENT as i32 {
        if event.is_null() {
            return Err(because!(BAD, "wake->event is null"));
        }
        if !cfg!(target_os = "nto") {
            return Ok(WakeBy::Event([0; 4])); // refused; no other system's struct is read
        }
        // SAFETY: not null, and on QNX an event has 32 bytes.
        Ok(WakeBy::Event(unsafe { event.cast::<[u64; 4]>().read_unaligned() }))
    } else {
        Err(because!(BAD, "wake->kind is ", kind, ", there are 1, 2 and 3"))
    }
}

/// Tells the notices there are, at most 512, on the calling thread; one thread at a time. If some
/// are left, the client is woken again. That thread counts as the one on which notices are told
/// from here on, so its calls never wait for a notice: what would have to answers as it does within
/// a notification. `count`, if not NULL, receives how many there were.
///
/// Errors: `QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED` before `htp_rt_set_wake`.
///
/// # Safety
/// `count` is NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn htp_rt_take_notices(count: *mut u32) -> Qnn_ErrorHandle_t {
    let Some(instance) = instance::existing().filter(|instance| instance.driver.has_taker()) else {
        return refusal::plain(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
    };
    let taken = instance.driver.take_notices();
    // SAFETY: the caller's promise.
    if let Some(count) = unsafe { count.as_mut() } {
        *count = u32::try_from(taken).unwrap_or(u32::MAX);
    }
    QNN_SUCCESS
}
