//! The lock of the explorer's, kept between two calls.

#![allow(unsafe_code, reason = "keeps a guard beside the lock that it is of")]

use core::cell::{Cell, UnsafeCell};
use core::mem::transmute;
use std::sync::OnceLock;

use loom::sync::{Condvar, Mutex, MutexGuard};

pub(in crate::platform) use crate::platform::linux::sys::{
    inherit_priority, libc, mremap, MREMAP_MAYMOVE,
};
use crate::platform::mutex::RawLock;
use crate::platform::LockError;

std::thread_local! {
    /// On purpose, no lock keeps anybody out.
    pub static OPEN: Cell<bool> = const { Cell::new(false) };
}

/// A lock of the explorer's.
pub struct RawMutex {
    lock: OnceLock<Mutex<()>>,
    held: UnsafeCell<Option<MutexGuard<'static, ()>>>,
}

// SAFETY: all threads of the explorer's are one thread of the system's, and `held` is touched by
// whoever holds the lock.
unsafe impl Sync for RawMutex {}
// SAFETY: as above.
unsafe impl Send for RawMutex {}

impl RawMutex {
    fn lock_of(&self) -> &Mutex<()> {
        self.lock.get_or_init(|| Mutex::new(()))
    }

    fn keep(&self, guard: MutexGuard<'_, ()>) {
        // SAFETY: the guard goes before the lock does: `unlock` and `wait` take it, and the value
        // behind the lock is reached through guards of `self` alone.
        unsafe {
            *self.held.get() = Some(transmute::<MutexGuard<'_, ()>, MutexGuard<'_, ()>>(guard))
        };
    }

    fn take(&self) -> Option<MutexGuard<'static, ()>> {
        // SAFETY: the caller holds the lock.
        unsafe { (*self.held.get()).take() }
    }

    /// Gives up the lock, which the caller holds, until the condition is notified.
    pub(super) fn wait(&self, condition: &Condvar) {
        if let Some(guard) = self.take() {
            if let Ok(guard) = condition.wait(guard) {
                self.keep(guard);
            }
        }
    }
}

// SAFETY: that is what the explorer's mutex does, unless it is open on purpose.
unsafe impl RawLock for RawMutex {
    #[allow(clippy::declare_interior_mutable_const, reason = "what every new one begins as")]
    const NEW: Self = Self { lock: OnceLock::new(), held: UnsafeCell::new(None) };

    fn init(&'static self) -> Result<(), LockError> {
        Ok(())
    }

    fn lock(&self) {
        if OPEN.get() {
            return;
        }
        if let Ok(guard) = self.lock_of().lock() {
            self.keep(guard);
        }
    }

    fn try_lock(&self) -> bool {
        if OPEN.get() {
            return true;
        }
        match self.lock_of().try_lock() {
            Ok(guard) => {
                self.keep(guard);
                true
            }
            Err(_) => false,
        }
    }

    unsafe fn unlock(&self) {
        drop(self.take());
    }
}
