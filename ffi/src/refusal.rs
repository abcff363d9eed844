//! Why a call was refused, in words: what was wrong with which argument.
//!
//! The words are kept for each thread until its next refusal, so that `QnnError_getMessage`, asked
//! with the code that the thread was just given, can say them. The logs hear them too.
//!
//! A site says `because!(CODE, "numInputs is ", count, ", the graph has ", own)`, which is `CODE`.
//! What it begins with is the argument or, in what several calls share, the field: the caller puts
//! in front what it belongs to with [`within!`]. A site without words leaves the code's meaning.

use core::ffi::{c_char, c_void, CStr};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use runtime::graph::DataType;
use runtime::platform::os::{self, ThreadId};

use crate::abi::*;
use crate::client::{BadList, BadText, TEXT_BYTES_MAX};
use crate::convert::{self, Code, Kind};
use crate::messages;

/// Threads whose last refusal is remembered; beyond them the oldest gives way.
const THREADS_MAX: usize = 64;
/// Longest text with its end, in bytes; a longer one is cut.
pub(crate) const TEXT_BYTES: usize = 384;
/// Most bytes of a client's name that are told.
const NAME_BYTES: usize = 64;

/// A text that is put together from parts; what is too long is cut.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    /// What is not used is zero, and the last byte never is used.
    bytes: [u8; TEXT_BYTES],
    len: usize,
}

impl Words {
    const NONE: Self = Self { bytes: [0; TEXT_BYTES], len: 0 };

    pub(crate) fn of(parts: &[&dyn Say]) -> Self {
        let mut words = Self::NONE;
        parts.iter().for_each(|part| part.say(&mut words));
        words
    }

    fn push(&mut self, text: &str) {
        let text = cut(text, (TEXT_BYTES - 1).saturating_sub(self.len));
        let room = self.bytes.get_mut(self.len..).unwrap_or(&mut []);
        room.iter_mut().zip(text.bytes()).for_each(|(to, byte)| *to = byte);
        self.len = self.len.saturating_add(text.len());
    }

    fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.len).unwrap_or(&[]);
        core::str::from_utf8(bytes).unwrap_or("")
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

/// The beginning of a text, at most `bytes` long, without half a character.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or("")
}

/// A part of a text.
pub(crate) trait Say {
    fn say(&self, words: &mut Words);
}

impl Say for &str {
    fn say(&self, words: &mut Words) {
        words.push(self);
    }
}

impl Say for &CStr {
    fn say(&self, words: &mut Words) {
        words.push(self.to_str().unwrap_or("?"));
    }
}

impl Say for u64 {
    fn say(&self, words: &mut Words) {
        digits(*self, 10, words);
    }
}

impl Say for u32 {
    fn say(&self, words: &mut Words) {
        digits(u64::from(*self), 10, words);
    }
}

impl Say for usize {
    fn say(&self, words: &mut Words) {
        digits(*self as u64, 10, words);
    }
}

impl Say for i32 {
    fn say(&self, words: &mut Words) {
        words.push(if *self < 0 { "-" } else { "" });
        digits(u64::from(self.unsigned_abs()), 10, words);
    }
}

impl Say for f32 {
    /// Six digits behind the point at most.
    fn say(&self, words: &mut Words) {
        const MILLION: u64 = 1_000_000;
        if self.is_nan() {
            return words.push("not a number");
        }
        words.push(if *self < 0.0 { "-" } else { "" });
        let magnitude = self.abs();
        if magnitude >= 1e12 {
            return words.push("1000000000000 or more");
        }
        if magnitude > 0.0 && magnitude < 1e-6 {
            return words.push("less than 0.000001");
        }
        let millionths = (f64::from(magnitude) * MILLION as f64 + 0.5) as u64;
        digits(millionths / MILLION, 10, words);
        let mut rest = millionths % MILLION;
        words.push(if rest > 0 { "." } else { "" });
        while rest > 0 {
            let shifted = rest.saturating_mul(10);
            digits(shifted / MILLION, 10, words);
            rest = shifted % MILLION;
        }
    }
}

fn digits(value: u64, base: u64, words: &mut Words) {
    let mut text = [0; 20];
    let (mut rest, mut first) = (value, text.len());
    for (index, digit) in text.iter_mut().enumerate().rev() {
        let value = rest.checked_rem(base).unwrap_or(0) as u8;
        *digit =
            if value < 10 { b'0'.saturating_add(value) } else { (b'a' - 10).saturating_add(value) };
        rest = rest.checked_div(base).unwrap_or(0);
        first = index;
        if rest == 0 {
            break;
        }
    }
    words.push(text.get(first..).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or(""));
}

/// A client's word; the beginning of a long one.
pub(crate) struct Short<'a>(pub(crate) &'a str);

impl Say for Short<'_> {
    fn say(&self, words: &mut Words) {
        let text = cut(self.0, NAME_BYTES);
        words.push(text);
        words.push(if text.len() < self.0.len() { "..." } else { "" });
    }
}

/// A client's name, in quotes; the beginning of a long one.
pub(crate) struct Name<'a>(pub(crate) &'a str);

impl Say for Name<'_> {
    fn say(&self, words: &mut Words) {
        words.push("'");
        Short(self.0).say(words);
        words.push("'");
    }
}

/// A number whose digits tell something in base 16 only.
pub(crate) struct Hex(pub(crate) u32);

impl Say for Hex {
    fn say(&self, words: &mut Words) {
        words.push("0x");
        digits(u64::from(self.0), 16, words);
    }
}

/// A data type's number, by the name that the QNN API gives it (without `QNN_DATATYPE_`).
pub(crate) struct TypeName(pub(crate) Qnn_DataType_t);

impl Say for TypeName {
    fn say(&self, words: &mut Words) {
        words.push(match self.0 {
            QNN_DATATYPE_INT_8 => "INT_8",
            QNN_DATATYPE_INT_16 => "INT_16",
            QNN_DATATYPE_INT_32 => "INT_32",
            QNN_DATATYPE_INT_64 => "INT_64",
            QNN_DATATYPE_UINT_8 => "UINT_8",
            QNN_DATATYPE_UINT_16 => "UINT_16",
            QNN_DATATYPE_UINT_32 => "UINT_32",
            QNN_DATATYPE_UINT_64 => "UINT_64",
            QNN_DATATYPE_FLOAT_16 => "FLOAT_16",
            QNN_DATATYPE_FLOAT_32 => "FLOAT_32",
            QNN_DATATYPE_FLOAT_64 => "FLOAT_64",
            QNN_DATATYPE_BFLOAT_16 => "BFLOAT_16",
            QNN_DATATYPE_SFIXED_POINT_4 => "SFIXED_POINT_4",
            QNN_DATATYPE_SFIXED_POINT_8 => "SFIXED_POINT_8",
            QNN_DATATYPE_SFIXED_POINT_16 => "SFIXED_POINT_16",
            QNN_DATATYPE_SFIXED_POINT_32 => "SFIXED_POINT_32",
            QNN_DATATYPE_UFIXED_POINT_4 => "UFIXED_POINT_4",
            QNN_DATATYPE_UFIXED_POINT_8 => "UFIXED_POINT_8",
            QNN_DATATYPE_UFIXED_POINT_16 => "UFIXED_POINT_16",
            QNN_DATATYPE_UFIXED_POINT_32 => "UFIXED_POINT_32",
            QNN_DATATYPE_BOOL_8 => "BOOL_8",
            QNN_DATATYPE_STRING => "STRING",
            QNN_DATATYPE_UNDEFINED => "UNDEFINED",
            number => return Hex(number).say(words),
        });
    }
}

impl Say for DataType {
    fn say(&self, words: &mut Words) {
        TypeName(self.qnn()).say(words);
    }
}

/// Dimensions, in brackets.
pub(crate) struct Dims<I>(pub(crate) I);

impl<I: Iterator<Item = u32> + Clone> Say for Dims<I> {
    fn say(&self, words: &mut Words) {
        words.push("[");
        for (axis, dim) in self.0.clone().enumerate() {
            words.push(if axis == 0 { "" } else { "," });
            dim.say(words);
        }
        words.push("]");
    }
}

/// The last refusal of a thread.
#[derive(Clone, Copy)]
struct Refusal {
    thread: Option<ThreadId>,
    code: Code,
    /// The call that it belongs to has not ended yet.
    open: bool,
    /// Number of the refusal, to find the oldest.
    serial: u64,
    words: Words,
}

pub(crate) struct Refusals {
    serial: u64,
    last: [Refusal; THREADS_MAX],
}

pub(crate) static REFUSALS: os::Mutex<Refusals> = {
    let none =
        Refusal { thread: None, code: QNN_SUCCESS, open: false, serial: 0, words: Words::NONE };
    os::Mutex::new(Refusals { serial: 0, last: [none; THREADS_MAX] })
};

/// Open refusals of all threads. Spares a call that succeeds the look for its own.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A fork would be noticed.
static WATCHED: AtomicBool = AtomicBool::new(false);
/// This process was forked from one that had refusals: it has the lock as that had it, and no
/// thread that would release it. There are no words here.
static FORKED: AtomicBool = AtomicBool::new(false);

extern "C" fn forget_in_forked_process() {
    FORKED.store(true, Ordering::Release);
}

impl Refusals {
    fn of_this_thread(&mut self) -> Option<&mut Refusal> {
        let thread = Some(os::current_thread());
        self.last.iter_mut().find(|refusal| refusal.thread == thread)
    }

    /// This thread's refusal that is open, with this code.
    fn open(&mut self, code: Code) -> Option<&mut Refusal> {
        self.of_this_thread().filter(|refusal| refusal.open && refusal.code == code)
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

impl Refusal {
    fn set_open(&mut self, open: bool) {
        match (self.open, open) {
            (false, true) => _ = OPEN.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = OPEN.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        self.open = open;
    }
}

fn refusals() -> Option<os::Guard<'static, Refusals>> {
    if !WATCHED.load(Ordering::Acquire) {
        // Twice does no harm.
        os::at_fork_in_child(forget_in_forked_process);
        WATCHED.store(true, Ordering::Release);
    }
    if FORKED.load(Ordering::Acquire) {
        return None;
    }
    // A call may be refused before there is an instance. Without a lock there are no words.
    REFUSALS.init().ok()?;
    Some(REFUSALS.lock())
}

/// A code, and why the call ends with it: parts of one text.
macro_rules! because {
    ($code:expr, $($part:expr),+ $(,)?) => {
        $crate::refusal::because_of($code, &[$(&$part as &dyn $crate::refusal::Say),+])
    };
}
pub(crate) use because;

/// A code, with this in front of the words that there are for it.
macro_rules! within {
    ($code:expr, $($part:expr),+ $(,)?) => {
        $crate::refusal::put_in_front($code, &[$(&$part as &dyn $crate::refusal::Say),+])
    };
}
pub(crate) use within;

/// What [`because!`] says. Not inlined, nor are the others here: a caller would have room for each
/// of its texts in its frame.
#[cold]
#[inline(never)]
pub(crate) fn because_of(code: Code, why: &[&dyn Say]) -> Code {
    let words = Words::of(why);
    if let Some(refusal) = refusals().as_mut().and_then(|refusals| refusals.place()) {
        refusal.code = code;
        refusal.words = words;
        refusal.set_open(true);
    }
    code
}

/// What [`within!`] says. Without words for `code` there is nothing to put anything in front of.
#[cold]
#[inline(never)]
pub(crate) fn put_in_front(code: Code, parts: &[&dyn Say]) -> Code {
    if let Some(refusal) = refusals().as_mut().and_then(|refusals| refusals.open(code)) {
        let mut words = Words::of(parts);
        words.push(refusal.words.as_str());
        refusal.words = words;
    }
    code
}

/// The words for `from` are those for `to`.
pub(crate) fn instead(from: Code, to: Code) -> Code {
    if let Some(refusal) = refusals().as_mut().and_then(|refusals| refusals.open(from)) {
        refusal.code = to;
    }
    to
}

/// `call` ends with `code`: gives what was said of that, if something was, for those who know the
/// call. Words for another code were about something that the call tried in between.
#[inline(never)]
pub(crate) fn end(call: &CStr, code: Code) -> Option<Words> {
    let mut refusals = refusals()?;
    let refusal = refusals.of_this_thread()?;
    let said = refusal.open && refusal.code == code;
    refusal.set_open(false);
    if !said {
        refusal.code = QNN_SUCCESS;
        return None;
    }
    let (name, why) = (messages::name(code), refusal.words);
    refusal.words = Words::of(&[&name, &": ", &call, &": ", &why.as_str()]);
    Some(Words::of(&[&name, &": ", &why.as_str()]))
}

/// Ends a call that the logs do not hear of, such as one that is made again and again.
pub(crate) fn quiet(call: &CStr, run: impl FnOnce() -> Result<(), Code>) -> Qnn_ErrorHandle_t {
    match run() {
        Ok(()) => {
            end_well();
            QNN_SUCCESS
        }
        Err(code) => {
            end(call, code);
            code
        }
    }
}

/// The code of a call that has no more to say; what was said before is not about it.
pub(crate) fn plain(code: Code) -> Code {
    end(c"", code);
    code
}

/// A call ends well, whatever it tried in between.
pub(crate) fn end_well() {
    if OPEN.load(Ordering::Relaxed) == 0 {
        return;
    }
    let mut refusals = refusals();
    let refusal = refusals.as_mut().and_then(|refusals| refusals.of_this_thread());
    if let Some(refusal) = refusal.filter(|refusal| refusal.open) {
        refusal.set_open(false);
        refusal.code = QNN_SUCCESS;
    }
}

/// Where it stands, as C reads it, what this thread was last refused with `code` for. It stays as
/// it is until the thread's next refusal, or until 64 other threads had theirs; a zero ends it
/// always.
pub(crate) fn last(code: Code) -> Option<*const c_char> {
    let mut refusals = refusals()?;
    let refusal = refusals.of_this_thread().filter(|it| it.code == code && !it.open)?;
    Some(refusal.words.as_c_str().as_ptr().cast())
}

/// A pointer that should not be null.
pub(crate) fn null(code: Code, argument: &'static str) -> impl Fn() -> Code {
    move || because!(code, argument, " is null or not aligned")
}

/// A string that is none.
pub(crate) fn no_text(code: Code, argument: &'static str) -> impl Fn(BadText) -> Code {
    move |BadText| {
        let why = " is null, not UTF-8, or longer than ";
        because!(code, argument, why, TEXT_BYTES_MAX, " bytes")
    }
}

/// An array that is none, and the number of its elements.
pub(crate) fn no_array(
    code: Code,
    (array, number): (&'static str, &'static str),
    count: u32,
) -> impl Fn() -> Code {
    move || because!(code, array, " is null, not aligned or too long; ", number, " is ", count)
}

/// A configuration list that is none.
pub(crate) fn no_list(code: Code, argument: &'static str) -> impl Fn(BadList) -> Code {
    move |BadList| {
        let why = " does not end with null within 64 entries, or is not aligned";
        because!(code, argument, why)
    }
}

/// A handle that names no living object of its kind.
pub(crate) fn no_handle<K: Kind>(
    code: Code,
    argument: &'static str,
    handle: *mut c_void,
) -> impl Fn() -> Code {
    move || match convert::kind_name(handle) {
        _ if handle.is_null() => because!(code, argument, " is null"),
        Some(kind) if kind == K::NAME => {
            because!(code, argument, " names no living ", kind, ": it was freed, or never made")
        }
        Some(kind) => {
            because!(code, argument, " is the handle of a ", kind, ", not of a ", K::NAME)
        }
        None => because!(code, argument, " is no handle that was given out"),
    }
}
