//! Why a call was refused, in words: what was wrong with which argument.
//!
//! The words are kept for each thread until its next refusal, so that `QnnError_getMessage`, asked
//! with the code that the thread was just given, can say them. The logs hear them too.

use core::ffi::CStr;

use runtime::platform::os::{self, ThreadId};

use crate::abi::QNN_SUCCESS;
use crate::convert::Code;
use crate::messages;

/// Threads whose last refusal is remembered; beyond them the oldest gives way.
const THREADS_MAX: usize = 64;
/// Longest text with its end, in bytes; a longer one is cut.
pub(crate) const TEXT_BYTES: usize = 256;

/// A text that ends with a zero.
pub(crate) type Text = [u8; TEXT_BYTES];

/// The last refusal of a thread.
#[derive(Clone, Copy)]
struct Refusal {
    thread: Option<ThreadId>,
    code: Code,
    /// The call that it belongs to has not ended yet.
    open: bool,
    /// Number of the refusal, to find the oldest.
    serial: u64,
    text: Text,
}

struct Refusals {
    serial: u64,
    last: [Refusal; THREADS_MAX],
}

static REFUSALS: os::Mutex<Refusals> = {
    let none =
        Refusal { thread: None, code: QNN_SUCCESS, open: false, serial: 0, text: [0; TEXT_BYTES] };
    os::Mutex::new(Refusals { serial: 0, last: [none; THREADS_MAX] })
};

impl Refusals {
    fn of_this_thread(&mut self) -> Option<&mut Refusal> {
        let thread = Some(os::current_thread());
        self.last.iter_mut().find(|refusal| refusal.thread == thread)
    }

    /// The place for this thread's next refusal: its own, or the one unused for longest.
    fn place(&mut self) -> Option<&mut Refusal> {
        self.serial = self.serial.saturating_add(1);
        let (thread, serial) = (Some(os::current_thread()), self.serial);
        let refusal = match self.last.iter().position(|refusal| refusal.thread == thread) {
            Some(own) => self.last.get_mut(own),
            None => self.last.iter_mut().min_by_key(|refusal| refusal.serial),
        }?;
        refusal.thread = thread;
        refusal.serial = serial;
        Some(refusal)
    }
}

/// `code`, and why: the parts of `why` make one text, which begins with the argument's name. For
/// what the call then ends with; nothing that is tried again says why.
///
///     .ok_or_else(|| because(BAD, &["numInputs: ", number(count).as_str(), ", the graph has 2"]))
pub(crate) fn because(code: Code, why: &[&str]) -> Code {
    let mut refusals = REFUSALS.lock();
    if let Some(refusal) = refusals.place() {
        refusal.code = code;
        refusal.open = true;
        refusal.text = [0; TEXT_BYTES];
        let name = messages::name(code);
        let bytes = [name, ": "].into_iter().chain(why.iter().copied()).flat_map(str::bytes);
        // The last byte stays the end.
        for (to, byte) in refusal.text.iter_mut().take(TEXT_BYTES - 1).zip(bytes) {
            *to = byte;
        }
    }
    code
}

/// The call ends with `code`; gives what there is to say. Words said for another code were about
/// something that the call tried in between.
pub(crate) fn end(code: Code) -> Text {
    let mut refusals = REFUSALS.lock();
    if let Some(refusal) = refusals.of_this_thread() {
        if refusal.open && refusal.code == code {
            refusal.open = false;
            return refusal.text;
        }
        refusal.code = QNN_SUCCESS;
    }
    let mut text = [0; TEXT_BYTES];
    let meaning = messages::text(code).unwrap_or(c"an error without a name").to_bytes();
    for (to, byte) in text.iter_mut().take(TEXT_BYTES - 1).zip(meaning) {
        *to = *byte;
    }
    text
}

/// What this thread was last refused with `code` for; stays as it is until the thread's next
/// refusal (and until 64 other threads had theirs).
pub(crate) fn last(code: Code) -> Option<&'static CStr> {
    let mut refusals = REFUSALS.lock();
    let refusal = refusals.of_this_thread().filter(|it| it.code == code && !it.open)?;
    let text: *const Text = &raw const refusal.text;
    // SAFETY: it lies in a static, and only this thread writes it: nobody does while it reads.
    CStr::from_bytes_until_nul(unsafe { &*text }).ok()
}

/// A number as text.
pub(crate) struct Number {
    digits: [u8; 20],
    first: usize,
}

impl Number {
    pub(crate) fn as_str(&self) -> &str {
        let digits = self.digits.get(self.first..).unwrap_or(&[]);
        core::str::from_utf8(digits).unwrap_or("?")
    }
}

/// `value` in decimal digits.
pub(crate) fn number(value: impl Into<u64>) -> Number {
    let mut rest: u64 = value.into();
    let mut number = Number { digits: [b'0'; 20], first: 20 };
    for (index, digit) in number.digits.iter_mut().enumerate().rev() {
        *digit = b'0'.saturating_add((rest % 10) as u8);
        rest /= 10;
        number.first = index;
        if rest == 0 {
            break;
        }
    }
    number
}
