//! The critical section, and the flags beside it.

#![allow(unsafe_code, reason = "implements locks")]

use core::cell::Cell;
use core::mem;

use critical_section::RestoreState;
use spin::mutex::SpinMutex;

use crate::platform::mutex::RawLock;
use crate::platform::{LockError, Pages};

/// A flag that is spun on.
pub struct Spin {
    flag: SpinMutex<()>,
}

// SAFETY: that is what a spin lock does.
unsafe impl RawLock for Spin {
    const NEW: Self = Self { flag: SpinMutex::new(()) };

    fn init(&'static self) -> Result<(), LockError> {
        Ok(())
    }

    fn lock(&self) {
        mem::forget(self.flag.lock());
    }

    fn try_lock(&self) -> bool {
        self.flag.try_lock().map(mem::forget).is_some()
    }

    unsafe fn unlock(&self) {
        // SAFETY: the caller took it, and its guard was forgotten.
        unsafe { self.flag.force_unlock() };
    }
}

/// The integrator's critical section, which keeps interrupts and other cores out, and a flag,
/// because it lets its holder in again.
pub struct CriticalSection {
    flag: Spin,
    /// What to give back when it ends. Touched by the holder alone.
    restore: Cell<RestoreState>,
}

// SAFETY: the cell is the holder's.
unsafe impl Sync for CriticalSection {}

// SAFETY: the flag is one lock, the section around it another.
unsafe impl RawLock for CriticalSection {
    const NEW: Self = Self { flag: Spin::NEW, restore: Cell::new(RestoreState::invalid()) };

    fn init(&'static self) -> Result<(), LockError> {
        Ok(())
    }

    fn lock(&self) {
        // SAFETY: `unlock` ends the section; guards end in the reverse order.
        let restore = unsafe { critical_section::acquire() };
        self.flag.lock();
        self.restore.set(restore);
    }

    fn try_lock(&self) -> bool {
        // SAFETY: ended here or in `unlock`.
        let restore = unsafe { critical_section::acquire() };
        let free = self.flag.try_lock();
        if free {
            self.restore.set(restore);
        } else {
            // SAFETY: what the section began with.
            unsafe { critical_section::release(restore) };
        }
        free
    }

    unsafe fn unlock(&self) {
        let restore = self.restore.replace(RestoreState::invalid());
        // SAFETY: the caller took the flag, and then the section began with that state.
        unsafe {
            self.flag.unlock();
            critical_section::release(restore);
        }
    }
}

/// Nothing was ever mapped.
///
/// # Safety
/// None; the signature is that of the systems that map.
pub unsafe fn unmap_shared(_: Pages) {}
