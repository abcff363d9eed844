//! No operating system: the integrator polls (`htp_rt_poll`), brings the memory and the critical
//! section.
//!
//! Nothing starts a thread and nobody sleeps: a blocking call drives the device itself, and one
//! that comes while somebody else drives (an interrupt, another core) ends at once with a time-out.
//!
//! A lock is the integrator's critical section (the `critical-section` crate, for which the C
//! library asks `htp_rt_critical_enter` and `htp_rt_critical_exit`), held for bounded work. The
//! role of the driver is held while the device computes, so it is a flag that is only tried: who
//! must have the device is told that somebody else has it.

pub mod clock;
pub mod library;
pub mod lock;
pub mod memory;
pub mod notify;
pub mod output;
mod sys;
pub mod wait;
pub mod worker;

pub use clock::now;
pub use lock::{AtomicBool, AtomicU32, AtomicU64, Guard, Mutex, Role};
pub use memory::{map_memory, map_shared, unmap_shared, MEMORY_DEFAULT_BYTES, MEMORY_MIN_BYTES};
pub use notify::Wake;
pub use wait::{Condvar, CAN_SLEEP};
pub use worker::{abort, at_fork_in_child, current_thread, goes_on, spawn, ThreadId, HAS_THREADS};

#[cfg(test)]
mod tests {
    use super::{library, output, *};
    use crate::platform::{MapError, Refused, SpawnError, ThreadMain, WakeBy, WakeError};
    use crate::time::Instant;
    use core::sync::atomic::Ordering;

    struct Never;

    impl ThreadMain<u32> for Never {
        fn main(_: &'static u32) {
            unreachable!("there are no threads");
        }
    }

    #[test]
    fn what_only_a_system_can_give_is_refused() {
        assert_eq!(spawn::<u32, Never>(&7, c"worker").err(), Some(SpawnError));
        assert!(map_memory(1).is_none());
        assert_eq!(map_shared(0, 0, 1), Err(MapError::NotSupported));
        assert_eq!(library::Library::load(c"libm.so.6").err(), Some(library::LoadError));
        assert_eq!(output::File::append(c"log").err(), Some(Refused));
        let refused = Wake::new(WakeBy::Descriptor(0)).err();
        assert_eq!(refused, Some(WakeError::NotSupported));
    }

    #[test]
    fn nobody_waits_and_there_is_one_caller() {
        static CONDITION: Condvar = Condvar::new();
        static LOCK: Mutex<u32> = Mutex::new(7);
        CONDITION.init().unwrap();
        let held = CONDITION.wait_until(LOCK.lock(), Instant::FAR);
        assert_eq!(*held, 7);
        assert!(LOCK.try_lock().is_none(), "it comes back held");
        drop(held);
        assert!(current_thread() == ThreadId::Caller && goes_on());
        assert_eq!(now(), Instant::ZERO, "the integrator says what time it is");
        static LARGE: AtomicU64 = AtomicU64::new(1);
        LARGE.store(u64::MAX, Ordering::Release);
        assert_eq!(LARGE.load(Ordering::Acquire), u64::MAX);
    }
}
