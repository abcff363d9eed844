//! The locks of the operating system, as the drive loop uses them.

#![cfg(all(feature = "os", target_os = "linux"))]

use std::thread;

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
