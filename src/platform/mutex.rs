//! A value behind a lock. The lock itself is the platform's.

#![allow(unsafe_code, reason = "reaches the value that the lock protects")]

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

use super::LockError;

/// What a platform locks with.
///
/// # Safety
/// Between a `lock` or a `try_lock` that gave `true`, and the next `unlock`, no other `lock`
/// returns and no other `try_lock` gives `true`.
pub unsafe trait RawLock {
    /// An unlocked lock.
    const NEW: Self;

    /// Prepares it, once it lies where it stays. Does nothing when that is done.
    fn init(&'static self) -> Result<(), LockError>;

    /// Waits for it.
    fn lock(&self);

    /// Takes it if it is free, and says whether it did.
    fn try_lock(&self) -> bool;

    /// Gives it back.
    ///
    /// # Safety
    /// The caller took it.
    unsafe fn unlock(&self);
}

/// A value that one caller at a time reaches.
pub struct Mutex<R, T> {
    raw: R,
    value: UnsafeCell<T>,
}

// SAFETY: the lock lets one caller at a time reach the value, so sharing it needs no more than
// sending the value.
unsafe impl<R: RawLock + Sync, T: Send> Sync for Mutex<R, T> {}

impl<R: RawLock, T> Mutex<R, T> {
    /// An unlocked mutex. Call [`Mutex::init`] once it lies where it stays.
    pub const fn new(value: T) -> Self {
        Self { raw: R::NEW, value: UnsafeCell::new(value) }
    }

    /// Prepares the lock, before its first use. Any thread may, at any time: it is done once. A
    /// lock that is used without it prepares itself, and is the system's plain one if that fails.
    pub fn init(&'static self) -> Result<(), LockError> {
        self.raw.init()
    }

    /// Waits for the lock. Held only for bounded work.
    pub fn lock(&self) -> Guard<'_, R, T> {
        self.raw.lock();
        Guard { mutex: self }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<Guard<'_, R, T>> {
        // Lazily: a guard that is made is dropped, and so unlocks.
        self.raw.try_lock().then(|| Guard { mutex: self })
    }
}

/// The held lock.
pub struct Guard<'a, R: RawLock, T> {
    mutex: &'a Mutex<R, T>,
}

impl<R: RawLock, T> Guard<'_, R, T> {
    /// The platform's part, which this guard holds.
    #[cfg(not(target_os = "none"))]
    pub(super) fn raw(&self) -> &R {
        &self.mutex.raw
    }
}

impl<R: RawLock, T> Deref for Guard<'_, R, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<R: RawLock, T> DerefMut for Guard<'_, R, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the lock, and it is borrowed exclusively.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<R: RawLock, T> Drop for Guard<'_, R, T> {
    fn drop(&mut self) {
        // SAFETY: this guard took the lock.
        unsafe { self.mutex.raw.unlock() };
    }
}
