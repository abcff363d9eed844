//! The POSIX calls.

#![allow(unsafe_code, reason = "calls into the C library")]

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void, CStr};
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};

use super::lock::Guard;
use crate::platform::mutex::RawLock;
use crate::platform::os::sys::{inherit_priority, libc};
#[cfg(not(target_os = "nto"))]
use crate::platform::os::sys::{mremap, MREMAP_MAYMOVE};
use crate::platform::{LockError, MapError, Pages, SharedMemory, SpawnError, ThreadMain};
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

/// What POSIX initialises in storage that nobody has initialised yet; to do it twice is undefined.
trait Object: Sized {
    /// Whether the system could.
    ///
    /// # Safety
    /// The storage is not initialised, and nobody else reaches it.
    unsafe fn init(storage: *mut Self) -> bool;
}

/// An object that is initialised once: before its first use, or by it. Storage of zeros until then.
struct Once<T> {
    storage: UnsafeCell<MaybeUninit<T>>,
    is_made: AtomicBool,
}

/// Held while an object is initialised. Nobody initialises this one: it inherits no priorities, but
/// it is held once in the life of each of the others.
static MAKING: Making = Making(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));

struct Making(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: mutexes are made to be shared.
unsafe impl Sync for Making {}

impl Making {
    fn lock(&self) {
        static FORKS_EXPECTED: AtomicBool = AtomicBool::new(false);
        if !FORKS_EXPECTED.load(Ordering::Acquire) {
            // Twice does no harm.
            at_fork_in_child(begin_making_anew);
            FORKS_EXPECTED.store(true, Ordering::Release);
        }
        // SAFETY: a static initialiser made it, and it never moves.
        unsafe { libc::pthread_mutex_lock(self.0.get()) };
    }

    fn unlock(&self) {
        // SAFETY: the caller took it.
        unsafe { libc::pthread_mutex_unlock(self.0.get()) };
    }
}

/// Whoever held the lock when this process was forked is not here to give it back.
extern "C" fn begin_making_anew() {
    // SAFETY: a forked process has one thread, and that is here.
    unsafe { MAKING.0.get().write(libc::PTHREAD_MUTEX_INITIALIZER) };
}

impl<T: Object> Once<T> {
    #[allow(clippy::declare_interior_mutable_const, reason = "what every new one begins as")]
    const NEW: Self =
        Self { storage: UnsafeCell::new(MaybeUninit::zeroed()), is_made: AtomicBool::new(false) };

    /// Initialises it unless that is done.
    fn init(&self) -> Result<(), LockError> {
        // SAFETY: the storage is not initialised, and nobody else reaches it.
        self.init_by(|storage| unsafe { T::init(storage) })
    }

    /// As [`Self::init`], by `make`: it gets storage that is not initialised and that nobody else
    /// reaches, and says whether it could.
    fn init_by(&self, make: impl FnOnce(*mut T) -> bool) -> Result<(), LockError> {
        if self.is_made() {
            return Ok(());
        }
        MAKING.lock();
        let is_made = self.is_made() || make(self.fresh());
        self.is_made.store(is_made, Ordering::Release);
        MAKING.unlock();
        is_made.then_some(()).ok_or(LockError)
    }

    fn is_made(&self) -> bool {
        self.is_made.load(Ordering::Acquire)
    }

    /// Where it will lie, zeros again: a process that was forked meanwhile has it half made.
    fn fresh(&self) -> *mut T {
        // SAFETY: it is not made, and the caller holds `MAKING`.
        unsafe { self.storage.get().write(MaybeUninit::zeroed()) };
        self.raw()
    }

    /// Where it lies.
    fn raw(&self) -> *mut T {
        self.storage.get().cast()
    }
}

/// A mutex that lends the holder the priority of the most important waiter.
pub struct RawMutex {
    raw: Once<libc::pthread_mutex_t>,
    /// This one does not: nobody prepared it, and the system could not when it was needed.
    is_plain: AtomicBool,
}

// SAFETY: mutexes are made to be shared.
unsafe impl Sync for RawMutex {}
// SAFETY: as above; it is moved only before its first use.
unsafe impl Send for RawMutex {}

impl RawMutex {
    /// The mutex, initialised.
    fn get(&self) -> *mut libc::pthread_mutex_t {
        if !self.raw.is_made() {
            self.init_late();
        }
        self.raw.raw()
    }

    #[cold]
    #[inline(never)]
    fn init_late(&self) {
        if self.raw.init().is_err() {
            // It cannot fail.
            _ = self.raw.init_by(|storage| {
                self.is_plain.store(true, Ordering::Release);
                // SAFETY: nobody else reaches it.
                unsafe { storage.write(libc::PTHREAD_MUTEX_INITIALIZER) };
                true
            });
        }
    }
}

impl Object for libc::pthread_mutex_t {
    unsafe fn init(storage: *mut Self) -> bool {
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: the attributes are initialised before their use and destroyed after it; the
        // caller's promise.
        unsafe {
            if libc::pthread_mutexattr_init(attributes) != 0 {
                return false;
            }
            let done =
                inherit_priority(attributes) && libc::pthread_mutex_init(storage, attributes) == 0;
            libc::pthread_mutexattr_destroy(attributes);
            done
        }
    }
}

// SAFETY: that is what a mutex of the system's does.
unsafe impl RawLock for RawMutex {
    #[allow(clippy::declare_interior_mutable_const, reason = "what every new one begins as")]
    const NEW: Self = Self { raw: Once::NEW, is_plain: AtomicBool::new(false) };

    /// With priority inheritance.
    fn init(&'static self) -> Result<(), LockError> {
        self.raw.init()?;
        (!self.is_plain.load(Ordering::Acquire)).then_some(()).ok_or(LockError)
    }

    // Once for all who lock: with the check it is longer than a call.
    #[inline(never)]
    fn lock(&self) {
        // SAFETY: the mutex is initialised and never moves while shared.
        unsafe { libc::pthread_mutex_lock(self.get()) };
    }

    fn try_lock(&self) -> bool {
        // SAFETY: as in `lock`.
        unsafe { libc::pthread_mutex_trylock(self.get()) == 0 }
    }

    unsafe fn unlock(&self) {
        // SAFETY: the caller took it, so it is initialised.
        unsafe { libc::pthread_mutex_unlock(self.raw.raw()) };
    }
}

/// A condition variable.
pub struct RawCondvar {
    raw: Once<libc::pthread_cond_t>,
}

// SAFETY: condition variables are made to be shared.
unsafe impl Sync for RawCondvar {}
// SAFETY: as above; it is moved only before its first use.
unsafe impl Send for RawCondvar {}

impl Object for libc::pthread_cond_t {
    unsafe fn init(storage: *mut Self) -> bool {
        let mut attributes = MaybeUninit::<libc::pthread_condattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: as for mutexes.
        unsafe {
            if libc::pthread_condattr_init(attributes) != 0 {
                return false;
            }
            let done = libc::pthread_condattr_setclock(attributes, libc::CLOCK_MONOTONIC) == 0
                && libc::pthread_cond_init(storage, attributes) == 0;
            libc::pthread_condattr_destroy(attributes);
            done
        }
    }
}

impl RawCondvar {
    #[allow(clippy::declare_interior_mutable_const, reason = "what every new one begins as")]
    pub(super) const NEW: Self = Self { raw: Once::NEW };

    /// On the monotonic clock.
    pub(super) fn init(&'static self) -> Result<(), LockError> {
        self.raw.init()
    }

    /// Gives up the lock that `held` holds until woken or `deadline`, and takes it back. Without a
    /// condition on the monotonic clock it is woken at once, as by chance.
    pub(super) fn wait_until<T>(&self, held: &Guard<'_, T>, deadline: Instant) {
        let mutex = held.raw().raw.raw();
        if self.raw.init().is_err() {
            // SAFETY: the guard holds the mutex, and holds it again then; it is borrowed.
            unsafe {
                libc::pthread_mutex_unlock(mutex);
                libc::pthread_mutex_lock(mutex);
            }
            return;
        }
        let at_us = deadline.as_us();
        let seconds = libc::time_t::try_from(at_us / US_PER_S).unwrap_or(libc::time_t::MAX);
        let nanos = (at_us % US_PER_S).saturating_mul(1000);
        let time = libc::timespec {
            tv_sec: seconds.min(libc::time_t::from(i32::MAX)),
            tv_nsec: libc::c_long::try_from(nanos).unwrap_or(0),
        };
        // SAFETY: the guard holds the mutex, and holds it again when the call returns, whatever its
        // result. Nobody reaches the value meanwhile, as the guard is borrowed.
        unsafe { libc::pthread_cond_timedwait(self.raw.raw(), mutex, &time) };
    }

    pub(super) fn notify_one(&self) {
        // Whoever waits has made it.
        if self.raw.is_made() {
            // SAFETY: initialised and never moved while shared.
            unsafe { libc::pthread_cond_signal(self.raw.raw()) };
        }
    }

    pub(super) fn notify_all(&self) {
        if self.raw.is_made() {
            // SAFETY: as above.
            unsafe { libc::pthread_cond_broadcast(self.raw.raw()) };
        }
    }
}

/// Identity of a thread.
#[derive(Clone, Copy)]
pub struct ThreadId(libc::pthread_t);

impl PartialEq for ThreadId {
    fn eq(&self, other: &Self) -> bool {
        // SAFETY: compares two ids, which need not be alive.
        unsafe { libc::pthread_equal(self.0, other.0) != 0 }
    }
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
) -> Result<libc::pthread_t, c_int> {
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

pub(super) fn at_fork_in_child(call: extern "C" fn()) {
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

pub(super) fn abort() -> ! {
    // SAFETY: always allowed.
    unsafe { libc::abort() }
}

pub(super) fn map_memory(bytes: usize) -> Option<&'static mut [MaybeUninit<u8>]> {
    let address = map_anonymous(bytes)?;
    // SAFETY: the mapping is `bytes` long, ours alone and never unmapped.
    Some(unsafe { core::slice::from_raw_parts_mut(address.as_ptr().cast(), bytes) })
}

/// Memory that is committed at once.
#[cfg(target_os = "nto")]
fn map_anonymous(bytes: usize) -> Option<NonNull<c_void>> {
    map_private(bytes, libc::PROT_READ | libc::PROT_WRITE, 0)
}

/// Memory whose pages are committed when first written, also in a process that has asked for all
/// its memory to be resident (`mlockall`).
#[cfg(not(target_os = "nto"))]
fn map_anonymous(bytes: usize) -> Option<NonNull<c_void>> {
    // What grows from a page that need not be resident need not be either, nor does it count
    // against the limit of such memory.
    let seed = 1;
    let address = map_private(seed, libc::PROT_NONE, libc::MAP_NORESERVE)?.as_ptr();
    // SAFETY: the mapping is ours alone, and nothing is in it.
    let grown = unsafe {
        libc::munlock(address, seed);
        mremap(address, seed, bytes, MREMAP_MAYMOVE)
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
    NonNull::new(grown)
}

fn map_private(bytes: usize, access: c_int, more: c_int) -> Option<NonNull<c_void>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | more;
    // SAFETY: an anonymous mapping at an address of the system's choice touches nothing that
    // exists.
    let address = unsafe { libc::mmap(ptr::null_mut(), bytes, access, flags, -1, 0) };
    NonNull::new(address).filter(|address| address.as_ptr() != libc::MAP_FAILED)
}

pub(super) fn map_shared(fd: i32, offset: u64, bytes: u64) -> Result<SharedMemory, MapError> {
    let (size, identity) = look(fd)?;
    offset.checked_add(bytes).filter(|&end| end <= size).ok_or(MapError::TooSmall)?;
    let page = page_bytes();
    let lead = offset & page.saturating_sub(1); // a power of two
    let invalid = |_| MapError::Invalid;
    let lead_bytes = usize::try_from(lead).map_err(|_| MapError::Invalid)?;
    let length = usize::try_from(bytes.saturating_add(lead)).map_err(invalid)?;
    let start = libc::off_t::try_from(offset.saturating_sub(lead)).map_err(invalid)?;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the system's choice touches nothing that exists.
    let address =
        unsafe { libc::mmap(ptr::null_mut(), length, access, libc::MAP_SHARED, fd, start) };
    if address == libc::MAP_FAILED {
        return Err(MapError::Refused);
    }
    let base = address.expose_provenance();
    let pages = Pages { address: base, bytes: length };
    Ok(SharedMemory { pages, address: base.wrapping_add(lead_bytes), identity })
}

/// Size and identity of the memory behind a descriptor.
fn look(fd: i32) -> Result<(u64, (u64, u64)), MapError> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `status` is writable; any number may be asked about.
    if fd < 0 || unsafe { libc::fstat(fd, status.as_mut_ptr()) } != 0 {
        return Err(MapError::NoDescriptor);
    }
    // SAFETY: the call succeeded, so it is filled.
    let status = unsafe { status.assume_init() };
    let size = u64::try_from(status.st_size).map_err(|_| MapError::Invalid)?;
    #[allow(clippy::useless_conversion, reason = "narrower on some systems")]
    let identity = (u64::from(status.st_dev), u64::from(status.st_ino));
    Ok((size, identity))
}

fn page_bytes() -> u64 {
    // SAFETY: always allowed.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).ok().filter(|bytes| bytes.is_power_of_two()).unwrap_or(4096)
}

/// Unmaps what [`super::memory::map_shared`] mapped.
///
/// # Safety
/// They were mapped there, were not unmapped before, and nobody reaches them any more.
pub unsafe fn unmap_shared(pages: Pages) {
    let address = ptr::with_exposed_provenance_mut(pages.address);
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(address, pages.bytes) };
}

pub(super) fn load(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the name ends with a zero. The initialisers that run are as safe as the library that
    // the caller chose.
    NonNull::new(unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) })
}

pub(super) fn symbol(library: NonNull<c_void>, name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the handle came from `load` and is never closed.
    NonNull::new(unsafe { libc::dlsym(library.as_ptr(), name.as_ptr()) })
}

/// Whether it is a descriptor that can be written to, and whose writes fail rather than wait.
pub(super) fn never_blocks(fd: i32) -> bool {
    // SAFETY: any number may be asked about.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    let is_written = [libc::O_WRONLY, libc::O_RDWR].contains(&(flags & libc::O_ACCMODE));
    flags != -1 && is_written && flags & libc::O_NONBLOCK != 0
}

/// The standard error stream.
pub(super) const STANDARD_ERROR: i32 = libc::STDERR_FILENO;

/// Gives how many bytes were taken, `None` if the system refused.
pub(super) fn write(fd: i32, bytes: &[u8]) -> Option<usize> {
    // SAFETY: the bytes are readable; any descriptor may be tried.
    let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written).ok()
}

/// Opens a file, or makes it, for writing at its end.
pub(super) fn open_for_append(path: &CStr) -> Option<i32> {
    let how = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let mode: libc::c_uint = 0o644;
    // SAFETY: the path ends.
    let fd = unsafe { libc::open(path.as_ptr(), how, mode) };
    (fd >= 0).then_some(fd)
}

pub(super) fn close(fd: i32) {
    // SAFETY: any number may be tried.
    unsafe { libc::close(fd) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_forked_while_a_lock_is_made_can_make_its_own() {
        static LATER: RawMutex = RawMutex::NEW;
        MAKING.lock();
        // SAFETY: the forked process makes a lock, for which it needs no memory, and ends; if it
        // waits for ever, the signal ends it.
        let child = unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::alarm(10);
                libc::_exit(c_int::from(LATER.init().is_err()));
            }
            child
        };
        MAKING.unlock();
        assert!(child > 0);
        let mut status = -1;
        // SAFETY: `status` is writable.
        let ended = unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!((ended, status), (child, 0));
    }

    #[test]
    fn a_lock_that_is_plain_says_so_whenever_it_is_asked() {
        static PLAIN: RawMutex = RawMutex::NEW;
        let made = PLAIN.raw.init_by(|storage| {
            PLAIN.is_plain.store(true, Ordering::Release);
            // SAFETY: nobody else reaches it.
            unsafe { storage.write(libc::PTHREAD_MUTEX_INITIALIZER) };
            true
        });
        assert!(made.is_ok() && PLAIN.init().is_err());
        PLAIN.lock();
        assert!(!PLAIN.try_lock());
        // SAFETY: taken above.
        unsafe { PLAIN.unlock() };
        assert!(PLAIN.try_lock());
    }

    #[test]
    fn what_cannot_be_made_is_tried_again_and_then_made_once() {
        let once = Once::<libc::pthread_mutex_t>::NEW;
        assert!(once.init_by(|_| false).is_err() && !once.is_made());
        assert!(once.init().is_ok() && once.is_made());
        assert!(once.init_by(|_| panic!("made twice")).is_ok());
    }
}
