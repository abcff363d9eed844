//! What the platform layer offers on its own: locks as the drive loop uses them, libraries.

#![cfg(all(feature = "os", target_os = "linux"))]

use std::thread;

use htp_runtime::platform::os::library::{Library, LoadError};
use htp_runtime::platform::os::Mutex;

/// Trying is no unlocking. Without `init` the lock is a plain one, of which the system does not
/// know the owner.
#[test]
fn a_lock_that_is_tried_in_vain_stays_locked() {
    static LOCK: Mutex<u32> = Mutex::new(7);
    let held = LOCK.lock();
    for _ in 0..2 {
        let free = thread::spawn(|| LOCK.try_lock().is_some()).join();
        assert!(!free.unwrap());
    }
    assert_eq!(*held, 7);
    drop(held);
    assert_eq!(LOCK.try_lock().map(|value| *value), Some(7));
}

#[test]
fn a_library_gives_what_it_exports_and_nothing_else() {
    let math = Library::load(c"libm.so.6").unwrap();
    assert!(math.symbol(c"cos").is_some());
    assert!(math.symbol(c"no such function").is_none());
    assert_eq!(Library::load(c"no such library").err(), Some(LoadError));
}
