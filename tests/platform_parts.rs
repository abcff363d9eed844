//! What the platform layer offers on its own: locks as the drive loop uses them, libraries,
//! files and memory.

#![cfg(all(feature = "os", target_os = "linux"))]

use std::ffi::CString;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread;

use htp_runtime::memory::ClientMemory;
use htp_runtime::platform::os::library::{Library, LoadError};
use htp_runtime::platform::os::output::File;
use htp_runtime::platform::os::{map_memory, map_shared, unmap_shared, Mutex};
use htp_runtime::platform::{MapError, Refused};

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

/// An empty folder of this test program's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).unwrap()
}

#[test]
fn a_file_takes_all_bytes_at_its_end() {
    let path = folder("files").join("log");
    for line in ["one\n", "two\n"] {
        let file = File::append(&c_path(&path)).unwrap();
        assert_eq!(file.write(line.as_bytes()), Ok(()));
        assert_eq!(file.write(b""), Ok(()));
        file.close();
    }
    assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
}

#[test]
fn a_file_that_cannot_be_had_or_takes_no_more_is_refused() {
    let nowhere = folder("no files").join("missing").join("log");
    assert_eq!(File::append(&c_path(&nowhere)).err(), Some(Refused));
    let full = File::append(c"/dev/full").unwrap();
    assert_eq!(full.write(b"one"), Err(Refused));
    full.close();
}

#[test]
fn memory_of_the_system_is_zero_and_ours() {
    let bytes = map_memory(1 << 20).unwrap();
    assert_eq!(bytes.len(), 1 << 20);
    // SAFETY: memory of the system's is zeroed.
    assert!(bytes.iter().all(|byte| unsafe { byte.assume_init() } == 0));
    bytes.fill(MaybeUninit::new(0xA5));
    let other = map_memory(4096).unwrap();
    assert!(!bytes.as_ptr_range().contains(&other.as_ptr()));
    // More than any address space has.
    assert!(map_memory(usize::MAX >> 1).is_none());
}

#[test]
fn memory_behind_a_descriptor_is_shared_from_any_byte_on() {
    let path = folder("shared").join("memory");
    let content: Vec<u8> = (0..20_000u32).map(|index| index as u8).collect();
    fs::write(&path, &content).unwrap();
    let open = || fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let (one, two) = (open(), open());
    for (offset, len) in [(0, 20_000), (4_096, 1), (5_000, 9_000), (19_999, 1)] {
        let shared = map_shared(one.as_raw_fd(), offset as u64, len as u64).unwrap();
        // SAFETY: the mapping is there until it is unmapped below.
        let memory = unsafe { ClientMemory::new(shared.address, len) };
        let mut read = vec![0; len];
        assert!(memory.read(&mut read));
        assert_eq!(read, content[offset..offset + len]);
        let written: Vec<u8> = read.iter().map(|byte| !byte).collect();
        assert!(memory.write(&written));
        assert_eq!(fs::read(&path).unwrap()[offset..offset + len], written);
        assert!(memory.write(&read));
        let again = map_shared(two.as_raw_fd(), 0, 1).unwrap();
        assert_eq!(again.identity, shared.identity, "the same memory, by another descriptor");
        for mapped in [shared, again] {
            // SAFETY: mapped above, and not used any more.
            unsafe { unmap_shared(mapped.pages) };
        }
    }
    let other = fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let refused = map_shared(other.as_raw_fd(), 0, 1).err();
    assert_eq!(refused, Some(MapError::Refused), "it cannot be written");
}

#[test]
fn ranges_that_a_descriptor_does_not_have_are_refused() {
    let path = folder("ranges").join("memory");
    fs::write(&path, [0; 100]).unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let fd = file.as_raw_fd();
    for (offset, bytes) in [(0, 101), (100, 1), (1, 100), (u64::MAX, 1), (u64::MAX, u64::MAX)] {
        assert_eq!(map_shared(fd, offset, bytes), Err(MapError::TooSmall), "{offset} {bytes}");
    }
    assert_eq!(map_shared(-1, 0, 1), Err(MapError::NoDescriptor));
    assert_eq!(map_shared(i32::MAX, 0, 1), Err(MapError::NoDescriptor));
}
