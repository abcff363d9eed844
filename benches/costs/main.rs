//! What the core costs on the host, apart from what the device does. Timings are printed, never
//! judged; allocations on the execute path, numbers of commands and of instructions are.
//!
//! Without arguments: one inference and one recovery. `count CONTEXTS DEPTH` calls the steps of
//! some inferences, for a tool that counts instructions.

mod counts;
mod execute;
mod host;
mod recovery;

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator, counted.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller's promises are passed on.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller's promises are passed on.
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// Allocations so far.
fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let held = match words[..] {
        [] => {
            let executes = execute::run();
            println!();
            recovery::run() && executes
        }
        ["count", contexts, depth] => {
            counts::run(contexts.parse().expect("a number"), depth.parse().expect("a number"))
        }
        _ => {
            eprintln!("costs: no such arguments: {}", words.join(" "));
            false
        }
    };
    ExitCode::from(u8::from(!held))
}
