//! What is QNX's own.

#![allow(unsafe_code, reason = "calls the kernel")]

use core::ffi::c_int;

use static_assertions::const_assert_eq;

/// Nothing to do: the documented default of a mutex's attributes is to inherit.
///
/// # Safety
/// None; the signature is that of the systems that must be told.
pub(in crate::platform) unsafe fn inherit_priority(_: *mut libc::pthread_mutexattr_t) -> bool {
    true
}

/// A pulse to the client's channel.
#[derive(Debug, Clone, Copy)]
pub struct Pulse {
    pub(super) connection: c_int,
    pub(super) priority: c_int,
    pub(super) code: c_int,
    pub(super) value: c_int,
}

impl Pulse {
    pub(super) fn send(self) -> bool {
        let Pulse { connection, priority, code, value } = self;
        // SAFETY: numbers, which the kernel checks.
        unsafe { libc::MsgSendPulse_r(connection, priority, code, value) == 0 }
    }
}

/// Part of an event's first number that says what it is.
const KIND: c_int = 0xff;
/// Kinds of events, as programs of 64 bits have them: a signal to the process, one with a code, and
/// a pulse.
const FOR_PROCESS: [c_int; 3] = [0x81, 0x82, 0x84];

/// The bytes of a `struct sigevent`.
#[derive(Debug, Clone, Copy)]
pub struct Event(pub(super) [u64; 4]);

const_assert_eq!(size_of::<libc::sigevent>(), size_of::<Event>());
const_assert_eq!(align_of::<libc::sigevent>(), align_of::<Event>());

impl Event {
    /// Whether it reaches the client whichever thread delivers it. A signal to a thread, an
    /// unblocking, an interrupt's: those are for the thread itself.
    pub(super) fn is_for_process(&self) -> bool {
        let [first, ..] = self.0;
        // The number is the first half of it in memory.
        let [a, b, c, d, ..] = first.to_ne_bytes();
        FOR_PROCESS.contains(&(c_int::from_ne_bytes([a, b, c, d]) & KIND))
    }

    /// To this process itself, which is what no receive id means.
    pub(super) fn deliver(&self) -> bool {
        // SAFETY: as large and as aligned as an event; the kernel checks what it says.
        unsafe { libc::MsgDeliverEvent_r(0, self.0.as_ptr().cast()) == 0 }
    }
}

/// The C library of QNX 7.1 and 8.0 with 64 bits, as far as it is used. Not from the crate of that
/// name, which knows one of the two. Types that only the system looks into are storage.
#[allow(non_camel_case_types, non_snake_case, reason = "names of C")]
pub(in crate::platform) mod libc {
    use core::ffi::{c_char, c_void};
    pub use core::ffi::{c_int, c_long, c_uint};

    pub type clockid_t = c_int;
    pub type off_t = i64;
    pub type pthread_t = c_int;
    pub type time_t = i64;

    pub const CLOCK_MONOTONIC: clockid_t = 2;
    pub const EINVAL: c_int = 22;
    pub const F_GETFL: c_int = 3;
    pub const MAP_ANONYMOUS: c_int = 0x0008_0000;
    pub const MAP_FAILED: *mut c_void = core::ptr::without_provenance_mut(usize::MAX);
    pub const MAP_PRIVATE: c_int = 2;
    pub const MAP_SHARED: c_int = 1;
    pub const O_ACCMODE: c_int = 0o7;
    pub const O_APPEND: c_int = 0o10;
    pub const O_CLOEXEC: c_int = 0o20_000;
    pub const O_CREAT: c_int = 0o400;
    pub const O_NONBLOCK: c_int = 0o200;
    pub const O_RDWR: c_int = 2;
    pub const O_WRONLY: c_int = 1;
    pub const PROT_READ: c_int = 0x100;
    pub const PROT_WRITE: c_int = 0x200;
    pub const PTHREAD_CREATE_DETACHED: c_int = 1;
    pub const RTLD_LOCAL: c_int = 0x200;
    pub const RTLD_NOW: c_int = 2;
    pub const SIGABRT: c_int = 6;
    pub const SIGBUS: c_int = 10;
    pub const SIGFPE: c_int = 8;
    pub const SIGILL: c_int = 4;
    pub const SIGSEGV: c_int = 11;
    pub const SIGTRAP: c_int = 5;
    pub const SIG_BLOCK: c_int = 0;
    pub const SIG_SETMASK: c_int = 2;
    pub const STDERR_FILENO: c_int = 2;
    pub const _SC_PAGESIZE: c_int = 11;

    #[repr(C)]
    pub struct timespec {
        pub tv_sec: time_t,
        pub tv_nsec: c_long,
    }

    #[repr(C)]
    pub struct pthread_mutex_t {
        state: c_uint,
        owner: c_uint,
    }
    #[repr(C)]
    pub struct pthread_cond_t([c_uint; 2]);

    /// As the 7.1 library has it; 8.0 differs in a bit. Only one mutex begins as it: the one that
    /// is held while another is initialised by a call.
    pub const PTHREAD_MUTEX_INITIALIZER: pthread_mutex_t = pthread_mutex_t {
        state: if cfg!(target_env = "nto71") { 0x8200_0000 } else { 0x8000_0000 },
        owner: 0,
    };

    #[repr(C)]
    pub struct pthread_mutexattr_t([c_int; 8]);
    pub type pthread_condattr_t = pthread_mutexattr_t;
    #[repr(C)]
    pub struct pthread_attr_t([c_long; 13]);
    #[repr(C)]
    pub struct sigset_t([u64; 1]);
    #[repr(C)]
    pub struct sigevent([u64; 4]);

    #[repr(C)]
    pub struct stat {
        pub st_ino: u64,
        pub st_size: off_t,
        pub st_dev: u32,
        rest: [u32; 14],
        times: [timespec; 3],
    }
    static_assertions::const_assert_eq!(size_of::<stat>(), 128);

    extern "C" {
        pub fn MsgDeliverEvent_r(receive_id: c_int, event: *const sigevent) -> c_int;
        pub fn MsgSendPulse_r(
            connection: c_int,
            priority: c_int,
            code: c_int,
            value: c_int,
        ) -> c_int;
        pub fn abort() -> !;
        pub fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int;
        pub fn close(fd: c_int) -> c_int;
        pub fn dlopen(name: *const c_char, how: c_int) -> *mut c_void;
        pub fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
        pub fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
        pub fn fstat(fd: c_int, status: *mut stat) -> c_int;
        pub fn mmap(
            address: *mut c_void,
            bytes: usize,
            access: c_int,
            flags: c_int,
            fd: c_int,
            offset: off_t,
        ) -> *mut c_void;
        pub fn munmap(address: *mut c_void, bytes: usize) -> c_int;
        pub fn open(path: *const c_char, how: c_int, ...) -> c_int;
        pub fn pthread_atfork(
            before: Option<unsafe extern "C" fn()>,
            parent: Option<unsafe extern "C" fn()>,
            child: Option<unsafe extern "C" fn()>,
        ) -> c_int;
        pub fn pthread_attr_destroy(attributes: *mut pthread_attr_t) -> c_int;
        pub fn pthread_attr_init(attributes: *mut pthread_attr_t) -> c_int;
        pub fn pthread_attr_setdetachstate(attributes: *mut pthread_attr_t, state: c_int) -> c_int;
        pub fn pthread_attr_setstacksize(attributes: *mut pthread_attr_t, bytes: usize) -> c_int;
        pub fn pthread_cond_broadcast(condition: *mut pthread_cond_t) -> c_int;
        pub fn pthread_cond_init(
            condition: *mut pthread_cond_t,
            attributes: *const pthread_condattr_t,
        ) -> c_int;
        pub fn pthread_cond_signal(condition: *mut pthread_cond_t) -> c_int;
        pub fn pthread_cond_timedwait(
            condition: *mut pthread_cond_t,
            mutex: *mut pthread_mutex_t,
            deadline: *const timespec,
        ) -> c_int;
        pub fn pthread_condattr_destroy(attributes: *mut pthread_condattr_t) -> c_int;
        pub fn pthread_condattr_init(attributes: *mut pthread_condattr_t) -> c_int;
        pub fn pthread_condattr_setclock(
            attributes: *mut pthread_condattr_t,
            clock: clockid_t,
        ) -> c_int;
        pub fn pthread_create(
            thread: *mut pthread_t,
            attributes: *const pthread_attr_t,
            main: extern "C" fn(*mut c_void) -> *mut c_void,
            argument: *mut c_void,
        ) -> c_int;
        pub fn pthread_equal(one: pthread_t, other: pthread_t) -> c_int;
        pub fn pthread_mutex_init(
            mutex: *mut pthread_mutex_t,
            attributes: *const pthread_mutexattr_t,
        ) -> c_int;
        pub fn pthread_mutex_lock(mutex: *mut pthread_mutex_t) -> c_int;
        pub fn pthread_mutex_trylock(mutex: *mut pthread_mutex_t) -> c_int;
        pub fn pthread_mutex_unlock(mutex: *mut pthread_mutex_t) -> c_int;
        pub fn pthread_mutexattr_destroy(attributes: *mut pthread_mutexattr_t) -> c_int;
        pub fn pthread_mutexattr_init(attributes: *mut pthread_mutexattr_t) -> c_int;
        pub fn pthread_self() -> pthread_t;
        pub fn pthread_setname_np(thread: pthread_t, name: *const c_char) -> c_int;
        pub fn pthread_sigmask(how: c_int, set: *const sigset_t, former: *mut sigset_t) -> c_int;
        pub fn sigdelset(set: *mut sigset_t, signal: c_int) -> c_int;
        pub fn sigfillset(set: *mut sigset_t) -> c_int;
        pub fn sysconf(name: c_int) -> c_long;
        pub fn write(fd: c_int, bytes: *const c_void, count: usize) -> isize;
    }
}
