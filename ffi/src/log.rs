//! Messages to the logs of clients.
//!
//! A QNN log callback takes a `va_list`, which only C code can make. On the two 64-bit calling
//! conventions that the QNN API is used with, the list is a small struct, and one whose register
//! part is used up makes `va_arg` read all its arguments from plain memory. On 32-bit Arm it is no
//! more than the address of the arguments. That is built here by hand; on any other target
//! callbacks are never called. A log without a callback writes to the standard error stream, and
//! waits as long as that does.

use core::ffi::{c_char, CStr};
use core::sync::atomic::{AtomicU32, Ordering};

use runtime::limits::BLOCKING_TIMEOUT_US;
use runtime::platform::os;

use crate::abi::*;
use crate::convert::Code;
use crate::instance::Instance;
use crate::objects::{LogId, Objects};
use crate::{client, instance, messages, refusal};

/// The highest level that any log wants; 0 while there is none. Spares the look at the logs.
static LEVEL_MAX: AtomicU32 = AtomicU32::new(0);

/// Threads that may be in callbacks at once. What one more has to say is lost.
pub(crate) const CALLS_MAX: usize = 64;

/// A thread that tells the logs something.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    thread: os::ThreadId,
    /// Whose callback it is in.
    log: LogId,
}

/// Wakes those who wait until nobody is in the callbacks of a log.
pub(crate) static LEFT: os::Condvar = os::Condvar::new();

/// Longest line of the standard error stream.
const LINE_BYTES: usize = 512;

/// Recomputes what the logs want together. After every change of the logs, under their lock.
pub(crate) fn logs_changed(objects: &Objects) {
    let level = objects.logs.iter().map(|(_, log)| log.level_max).max().unwrap_or(0);
    LEVEL_MAX.store(level, Ordering::Release);
}

/// Tells the logs that a call failed, and why.
pub(crate) fn error(call: &'static CStr, code: Code) {
    let words = refusal::end(call, code);
    let meaning = messages::text(code).unwrap_or(c"an error without a name");
    emit(QNN_LOG_LEVEL_ERROR, call, words.as_ref().map_or(meaning, |words| words.as_c_str()));
}

/// Tells the logs something. The caller holds no lock: callbacks may call the library. What a
/// thread does within a callback is told to nobody, or one that calls the library would be called
/// without end.
pub(crate) fn emit(level: QnnLog_Level_t, call: &'static CStr, text: &CStr) {
    if level > LEVEL_MAX.load(Ordering::Acquire) {
        return;
    }
    let Some(instance) = instance::existing() else { return };
    let now_us = instance.driver.now().as_us();
    let mut streamed = false;
    let mut place = None;
    let mut from = 0;
    while let Some((next, callback)) = next_wanting(instance, &mut place, from, level) {
        from = next;
        match callback {
            Some(callback) => {
                call_with(callback, level, now_us, [client::address(call), text.as_ptr().cast()]);
            }
            // Several logs without a callback are one stream.
            None if !streamed => {
                write_line(level, call, text);
                streamed = true;
            }
            None => {}
        }
    }
}

/// Leaves the log that the caller is in and enters the next one, from slot `from` on, that wants to
/// hear of `level`. Gives the slot behind it and its callback. `place` is the caller's place in the
/// list of calls.
fn next_wanting(
    instance: &Instance,
    place: &mut Option<usize>,
    from: u16,
    level: QnnLog_Level_t,
) -> Option<(u16, QnnLog_Callback_t)> {
    let mut objects = instance.objects.lock();
    if let Some(left) = place.and_then(|place| objects.calls.get_mut(place)) {
        *left = None;
        LEFT.notify_all();
    }
    let thread = os::current_thread();
    if objects.calls.iter().flatten().any(|call| call.thread == thread) {
        return None;
    }
    let wants = |log: LogId, level_max| log.index() >= from && level <= level_max;
    let wanting = objects.logs.iter().find(|(id, log)| wants(*id, log.level_max));
    let (log, callback) = wanting.map(|(id, log)| (id, log.callback))?;
    *place = objects.calls.iter().position(Option::is_none);
    let call = objects.calls.get_mut((*place)?)?;
    *call = Some(Call { thread, log });
    Some((log.index().saturating_add(1), callback))
}

/// Waits until no other thread is in the callback of a log that is gone; whether that came true in
/// time.
pub(crate) fn wait_until_left(instance: &Instance, log: LogId) -> bool {
    let deadline = os::now().after_us(BLOCKING_TIMEOUT_US);
    let me = os::current_thread();
    let mut objects = instance.objects.lock();
    while objects.calls.iter().flatten().any(|call| call.log == log && call.thread != me) {
        if os::now() >= deadline {
            return false;
        }
        objects = LEFT.wait_until(objects, deadline);
    }
    true
}

/// One line on the standard error stream, in one piece, so that those of several threads do not
/// mix.
fn write_line(level: QnnLog_Level_t, call: &CStr, text: &CStr) {
    let level: &[u8] = match level {
        QNN_LOG_LEVEL_ERROR => b"error",
        QNN_LOG_LEVEL_WARN => b"warning",
        QNN_LOG_LEVEL_INFO => b"info",
        QNN_LOG_LEVEL_VERBOSE => b"verbose",
        _ => b"debug",
    };
    let parts = [b"htp-runtime: ", level, b": ", call.to_bytes(), b": ", text.to_bytes()];
    // What is too long is cut; the last place is the line's end.
    let bytes = parts.into_iter().flatten().take(LINE_BYTES - 1).chain(b"\n");
    let mut line = [0; LINE_BYTES];
    let mut len = 0_usize;
    for (to, byte) in line.iter_mut().zip(bytes) {
        *to = *byte;
        len = len.saturating_add(1);
    }
    os::output::write_error(line.get(..len).unwrap_or(&line));
}

type Callback = unsafe extern "C" fn(*const c_char, QnnLog_Level_t, u64, va_list);

/// Two strings, as variable arguments that lie on the stack.
#[cfg(any(
    all(target_arch = "x86_64", not(windows)),
    all(target_arch = "aarch64", not(windows), not(target_vendor = "apple"))
))]
fn call_with(
    callback: Callback,
    level: QnnLog_Level_t,
    timestamp: u64,
    mut arguments: [*const c_char; 2],
) {
    let mut list = List::of(arguments.as_mut_ptr());
    let format = client::address(c"%s: %s");
    // SAFETY: the client promised a callable function; list and arguments outlive the call, and the
    // format reads exactly the two strings there are.
    unsafe { callback(format, level, timestamp, (&raw mut list).cast()) }
}

/// AAPCS: the list, a struct of one pointer, is passed as that pointer is.
#[cfg(target_arch = "arm")]
fn call_with(
    callback: Callback,
    level: QnnLog_Level_t,
    timestamp: u64,
    mut arguments: [*const c_char; 2],
) {
    // SAFETY: as above.
    unsafe {
        callback(client::address(c"%s: %s"), level, timestamp, arguments.as_mut_ptr().cast());
    }
}

#[cfg(not(any(
    all(target_arch = "x86_64", not(windows)),
    all(target_arch = "aarch64", not(windows), not(target_vendor = "apple")),
    target_arch = "arm"
)))]
fn call_with(_: Callback, _: QnnLog_Level_t, _: u64, _: [*const c_char; 2]) {}

/// System V x86-64: offsets into the area of saved registers, the arguments in memory, that area.
#[cfg(all(target_arch = "x86_64", not(windows)))]
#[repr(C)]
struct List {
    integers_used: u32,
    floats_used: u32,
    memory: *mut *const c_char,
    registers: *mut u8,
}

#[cfg(all(target_arch = "x86_64", not(windows)))]
impl List {
    fn of(arguments: *mut *const c_char) -> Self {
        // Six integer registers of 8 bytes and eight vector registers of 16 are used up.
        let (integers_used, floats_used) = (6 * 8, 6 * 8 + 8 * 16);
        Self { integers_used, floats_used, memory: arguments, registers: core::ptr::null_mut() }
    }
}

/// AAPCS64: the arguments in memory, the ends of both areas of saved registers, what is left of
/// each (nothing).
#[cfg(all(target_arch = "aarch64", not(windows), not(target_vendor = "apple")))]
#[repr(C)]
struct List {
    memory: *mut *const c_char,
    integers_end: *mut u8,
    floats_end: *mut u8,
    integers_left: i32,
    floats_left: i32,
}

#[cfg(all(target_arch = "aarch64", not(windows), not(target_vendor = "apple")))]
impl List {
    fn of(arguments: *mut *const c_char) -> Self {
        let none = core::ptr::null_mut();
        Self {
            memory: arguments,
            integers_end: none,
            floats_end: none,
            integers_left: 0,
            floats_left: 0,
        }
    }
}
