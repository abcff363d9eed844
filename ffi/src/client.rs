//! Reading what clients point to: strings, arrays and configuration lists, each checked as far as a
//! pointer can be.

use core::ffi::{c_char, CStr};

/// Longest string that is read, in bytes without its end. A longer one counts as not ended.
pub(crate) const TEXT_BYTES_MAX: usize = 8191;
/// Longest configuration list, without its end.
const CONFIGS_MAX: usize = 64;
/// Longest array that is read where a call knows no maximum of its own.
pub(crate) const ARRAY_MAX: usize = 1 << 20;

/// A string is null, not ended within [`TEXT_BYTES_MAX`], or not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadText;

/// Reads a string.
///
/// # Safety
/// `text` is null or points to a string that ends, or to more than [`TEXT_BYTES_MAX`] readable
/// bytes; it stays as it is for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, BadText> {
    if text.is_null() {
        return Err(BadText);
    }
    let bytes = text.cast::<u8>();
    let mut len = 0;
    // SAFETY: every byte up to the end is readable, and none behind it is read.
    while unsafe { bytes.wrapping_add(len).read() } != 0 {
        len = len.wrapping_add(1);
        if len > TEXT_BYTES_MAX {
            return Err(BadText);
        }
    }
    // SAFETY: `len` bytes were just read.
    let bytes = unsafe { core::slice::from_raw_parts(bytes, len) };
    core::str::from_utf8(bytes).map_err(|_| BadText)
}

/// Views an array; `None` if it is null but not empty, not aligned, or has more than `max`
/// elements, which nobody looks at.
///
/// # Safety
/// `array` is null or points to `count` elements that stay as they are for `'a`.
pub(crate) unsafe fn array<'a, T>(array: *const T, count: u32, max: usize) -> Option<&'a [T]> {
    if count == 0 {
        return Some(&[]);
    }
    if array.is_null() || !array.is_aligned() || count as usize > max {
        return None;
    }
    // SAFETY: not null, aligned, and the caller's promise.
    Some(unsafe { core::slice::from_raw_parts(array, count as usize) })
}

/// Views one element; `None` if it is null or not aligned.
///
/// # Safety
/// `pointer` is null or points to an element that stays as it is for `'a`.
pub(crate) unsafe fn one<'a, T>(pointer: *const T) -> Option<&'a T> {
    if !pointer.is_aligned() {
        return None;
    }
    // SAFETY: aligned; the rest is the caller's promise.
    unsafe { pointer.as_ref() }
}

/// Where an answer goes; `None` if it is null or not aligned.
///
/// # Safety
/// `pointer` is null or points to a writable element that nobody else uses for `'a`.
pub(crate) unsafe fn out<'a, T>(pointer: *mut T) -> Option<&'a mut T> {
    if !pointer.is_aligned() {
        return None;
    }
    // SAFETY: aligned; the rest is the caller's promise.
    unsafe { pointer.as_mut() }
}

/// A configuration list: pointers to entries, ended by null. A null list is an empty one.
pub(crate) struct Configs<'a, T> {
    entries: &'a [*const T],
}

/// A configuration list does not end within 64 entries, or an entry is not aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadList;

impl<'a, T> Configs<'a, T> {
    /// Finds the end of a list.
    ///
    /// # Safety
    /// `list` is null or points to pointers ended by null, or to at least 65 of them; the others
    /// point to entries. All stay as they are for `'a`.
    pub(crate) unsafe fn read(list: *mut *const T) -> Result<Self, BadList> {
        if list.is_null() {
            return Ok(Self { entries: &[] });
        }
        if !list.is_aligned() {
            return Err(BadList);
        }
        for count in 0..=CONFIGS_MAX {
            // SAFETY: every pointer up to the end is readable, and none behind it is read.
            let entry = unsafe { list.wrapping_add(count).read() };
            if entry.is_null() {
                // SAFETY: `count` pointers were just read.
                let entries = unsafe { core::slice::from_raw_parts(list, count) };
                return Ok(Self { entries });
            }
            if !entry.is_aligned() {
                return Err(BadList);
            }
        }
        Err(BadList)
    }

    /// The entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a T> {
        // SAFETY: `read` saw that they are neither null nor misaligned; the rest is its caller's
        // promise.
        self.entries.iter().filter_map(|entry| unsafe { entry.as_ref() })
    }
}

/// A constant as the address of a C string.
pub(crate) const fn address(text: &'static CStr) -> *const c_char {
    text.as_ptr().cast()
}
