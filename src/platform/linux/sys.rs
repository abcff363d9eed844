//! The POSIX calls of the Linux platform.

#![allow(unsafe_code, reason = "calls into the C library")]

use core::cell::UnsafeCell;
use core::ffi::{c_void, CStr};
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::ptr;

use crate::time::Instant;

const US_PER_S: u64 = 1_000_000;

/// Microseconds of the monotonic clock.
pub(super) fn monotonic_us() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable; the clock id is valid.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let sub_us = u64::try_from(time.tv_nsec).unwrap_or(0) / 1000;
    seconds.saturating_mul(US_PER_S).saturating_add(sub_us)
}

/// A mutex that lends the holder the priority of the most important waiter.
pub struct Mutex<T> {
    raw: UnsafeCell<libc::pthread_mutex_t>,
    value: UnsafeCell<T>,
}

// SAFETY: the mutex lets one thread at a time reach the value, so sharing it needs no more than
// sending the value.
unsafe impl<T: Send> Sync for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    /// An unlocked mutex. Call [`Mutex::init`] once it lies where it stays.
    pub const fn new(value: T) -> Self {
        let raw = UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER);
        Self { raw, value: UnsafeCell::new(value) }
    }

    /// Turns priority inheritance on. Before the first lock.
    pub fn init(&'static self) {
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        // SAFETY: nobody has locked the mutex yet, so it may be initialised again; the attributes
        // are initialised before their use and destroyed after it.
        unsafe {
            if libc::pthread_mutexattr_init(attributes.as_mut_ptr()) == 0 {
                let inherit = libc::PTHREAD_PRIO_INHERIT;
                libc::pthread_mutexattr_setprotocol(attributes.as_mut_ptr(), inherit);
                libc::pthread_mutex_init(self.raw.get(), attributes.as_ptr());
                libc::pthread_mutexattr_destroy(attributes.as_mut_ptr());
            }
        }
    }

    /// Waits for the lock. Held only for bounded work.
    pub fn lock(&self) -> Guard<'_, T> {
        // SAFETY: the mutex is initialised and never moves while shared.
        unsafe { libc::pthread_mutex_lock(self.raw.get()) };
        Guard { mutex: self }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        // SAFETY: as in `lock`.
        let free = unsafe { libc::pthread_mutex_trylock(self.raw.get()) } == 0;
        // Lazily: a guard that is made is dropped, and so unlocks.
        free.then(|| Guard { mutex: self })
    }
}

/// The held lock.
pub struct Guard<'a, T> {
    mutex: &'a Mutex<T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the lock, and it is borrowed exclusively.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this guard holds the lock.
        unsafe { libc::pthread_mutex_unlock(self.mutex.raw.get()) };
    }
}

/// A condition variable on the monotonic clock.
pub struct Condvar {
    raw: UnsafeCell<libc::pthread_cond_t>,
}

// SAFETY: condition variables are made to be shared.
unsafe impl Sync for Condvar {}
// SAFETY: as above; it is moved only before `init`.
unsafe impl Send for Condvar {}

impl Condvar {
    /// A condition variable. Call [`Condvar::init`] once it lies where it stays.
    pub const fn new() -> Self {
        Self { raw: UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER) }
    }

    /// Chooses the monotonic clock. Before the first wait.
    pub fn init(&'static self) {
        let mut attributes = MaybeUninit::<libc::pthread_condattr_t>::uninit();
        // SAFETY: nobody waits yet, so it may be initialised again; the attributes as in
        // `Mutex::init`.
        unsafe {
            if libc::pthread_condattr_init(attributes.as_mut_ptr()) == 0 {
                libc::pthread_condattr_setclock(attributes.as_mut_ptr(), libc::CLOCK_MONOTONIC);
                libc::pthread_cond_init(self.raw.get(), attributes.as_ptr());
                libc::pthread_condattr_destroy(attributes.as_mut_ptr());
            }
        }
    }

    /// Gives the lock up until someone notifies, or `deadline` passes, or for no reason; then takes
    /// it back.
    pub fn wait_until<'a, T>(&self, guard: Guard<'a, T>, deadline: Instant) -> Guard<'a, T> {
        let mutex = guard.mutex.raw.get();
        let at_us = deadline.as_us();
        let seconds = libc::time_t::try_from(at_us / US_PER_S).unwrap_or(libc::time_t::MAX);
        let nanos = (at_us % US_PER_S).saturating_mul(1000);
        let time = libc::timespec {
            tv_sec: seconds.min(libc::time_t::from(i32::MAX)),
            tv_nsec: libc::c_long::try_from(nanos).unwrap_or(0),
        };
        // SAFETY: this thread holds the mutex, and holds it again when the call returns, whatever
        // its result.
        unsafe { libc::pthread_cond_timedwait(self.raw.get(), mutex, &time) };
        guard
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        // SAFETY: initialised and never moved while shared.
        unsafe { libc::pthread_cond_signal(self.raw.get()) };
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        // SAFETY: as above.
        unsafe { libc::pthread_cond_broadcast(self.raw.get()) };
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

/// A thread could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpawnError;

/// Identity of a thread.
#[derive(Clone, Copy)]
pub struct ThreadId(libc::pthread_t);

impl PartialEq for ThreadId {
    fn eq(&self, other: &Self) -> bool {
        // SAFETY: compares two ids, which need not be alive.
        unsafe { libc::pthread_equal(self.0, other.0) != 0 }
    }
}

/// What a thread runs.
pub trait ThreadMain<T> {
    /// Runs for the life of the process.
    fn main(argument: &'static T);
}

/// Stack of a thread in bytes. Clients' functions are called on one of them, and the thread-local
/// variables of the program lie there, too.
const STACK_BYTES: usize = 1024 * 1024;

pub(super) fn spawn<T: Sync, M: ThreadMain<T>>(
    argument: &'static T,
    name: &CStr,
) -> Result<ThreadId, SpawnError> {
    extern "C" fn trampoline<T: Sync + 'static, M: ThreadMain<T>>(
        argument: *mut c_void,
    ) -> *mut c_void {
        // SAFETY: `spawn` passed a `&'static T`, which is shared with this thread because T is
        // Sync.
        M::main(unsafe { &*argument.cast::<T>() });
        ptr::null_mut()
    }
    let argument = ptr::from_ref(argument).cast_mut().cast::<c_void>();
    let main = trampoline::<T, M>;
    let started = match start(Some(STACK_BYTES), main, argument) {
        // Thread-local variables fill it: the stack that the program's own threads get must do.
        Err(libc::EINVAL) => start(None, main, argument),
        other => other,
    };
    let thread = started.map_err(|_| SpawnError)?;
    // SAFETY: the thread never ends, and the name does.
    unsafe { libc::pthread_setname_np(thread, name.as_ptr()) };
    Ok(ThreadId(thread))
}

/// Starts a thread with so many bytes of stack, or as many as the system's default.
fn start(
    stack_bytes: Option<usize>,
    main: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> Result<libc::pthread_t, libc::c_int> {
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the attributes are initialised before their use and destroyed after it; the argument
    // lives for ever.
    unsafe {
        let result = libc::pthread_attr_init(attributes.as_mut_ptr());
        if result != 0 {
            return Err(result);
        }
        if let Some(bytes) = stack_bytes {
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), bytes);
        }
        let detached = libc::PTHREAD_CREATE_DETACHED;
        libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), detached);
        let former = block_signals();
        let result = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), main, argument);
        libc::pthread_sigmask(libc::SIG_SETMASK, &former, ptr::null_mut());
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        match result {
            0 => Ok(thread.assume_init()),
            error => Err(error),
        }
    }
}

/// Blocks the signals that are sent to the process: their handlers belong on the client's threads,
/// whose stacks and locks they were written for. Signals that a thread raises by its own doing
/// stay. Gives the former mask, which a new thread does not inherit.
fn block_signals() -> libc::sigset_t {
    let own =
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT];
    let mut blocked = MaybeUninit::<libc::sigset_t>::zeroed();
    let mut former = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: both sets are writable, and sets of zeros are sets; the numbers are signals.
    unsafe {
        libc::sigfillset(blocked.as_mut_ptr());
        for signal in own {
            libc::sigdelset(blocked.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, blocked.as_ptr(), former.as_mut_ptr());
        former.assume_init()
    }
}

/// Has `call` called in every process that this one forks, before anything else there. A fork takes
/// along the locks as they are, and none of the threads that would release them.
pub fn at_fork_in_child(call: extern "C" fn()) {
    // SAFETY: the function lives for ever. Without memory for the note it is not called, which is
    // all that can happen.
    unsafe {
        // The C library's type has an unsafe function.
        let call: unsafe extern "C" fn() = call;
        libc::pthread_atfork(None, None, Some(call));
    }
}

pub(super) fn current_thread() -> ThreadId {
    // SAFETY: always valid.
    ThreadId(unsafe { libc::pthread_self() })
}

/// Zeroed memory from the system, page aligned, for the life of the process. Pages are committed
/// when first written, also in a process that has asked for all its memory to be resident
/// (`mlockall`). `None` if the system has none.
pub fn map_memory(bytes: usize) -> Option<&'static mut [MaybeUninit<u8>]> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // What grows from a page that need not be resident need not be either, nor does it count
    // against the limit of such memory.
    let seed = 1;
    // SAFETY: an anonymous mapping at an address of the system's choice touches nothing that
    // exists.
    let address = unsafe { libc::mmap(ptr::null_mut(), seed, libc::PROT_NONE, flags, -1, 0) };
    if address == libc::MAP_FAILED || address.is_null() {
        return None;
    }
    // SAFETY: the mapping is ours alone, and nothing is in it.
    let grown = unsafe {
        libc::munlock(address, seed);
        libc::mremap(address, seed, bytes, libc::MREMAP_MAYMOVE)
    };
    if grown == libc::MAP_FAILED {
        // SAFETY: as above.
        unsafe { libc::munmap(address, seed) };
        return None;
    }
    // SAFETY: as above.
    if unsafe { libc::mprotect(grown, bytes, libc::PROT_READ | libc::PROT_WRITE) } != 0 {
        // SAFETY: as above.
        unsafe { libc::munmap(grown, bytes) };
        return None;
    }
    // SAFETY: the mapping is `bytes` long, ours alone and never unmapped.
    Some(unsafe { core::slice::from_raw_parts_mut(grown.cast(), bytes) })
}
