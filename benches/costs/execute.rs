//! One inference: submit, dispatch, complete, on a device that is instantly done. Printed as ratios
//! to a push and a pop of a lock-free queue and an indirect call, measured in the same rounds of
//! the same run.

use std::hint::black_box;
use std::time::Instant as Clock;

use crossbeam_queue::ArrayQueue;
use htp_runtime::time::Instant;

use crate::host::Host;
use crate::{allocations, median};

/// Rounds of which the median is printed.
const ROUNDS: usize = 301;
/// Cycles of one round.
const CYCLES: u32 = 2_000;

fn round(host: &mut Host) -> f64 {
    let start = Clock::now();
    for cycle in 0..CYCLES {
        host.cycle(Instant::from_us(cycle.into()));
    }
    let ns = per_cycle(start);
    black_box(host.heard);
    ns
}

type Notify = fn(&mut u64, usize);

/// The yardstick: what a hand-written queue of callbacks would do.
struct Yardstick {
    queue: ArrayQueue<(Notify, usize)>,
    heard: u64,
}

impl Yardstick {
    fn new() -> Self {
        Self { queue: ArrayQueue::new(300), heard: 0 }
    }

    fn round(&mut self) -> f64 {
        let notify: Notify = |heard, word| *heard += word as u64;
        let start = Clock::now();
        for cycle in 0..CYCLES {
            self.queue.push(black_box((notify, cycle as usize))).expect("it is empty");
            if let Some((notify, word)) = self.queue.pop() {
                notify(&mut self.heard, word);
            }
        }
        let ns = per_cycle(start);
        black_box(self.heard);
        ns
    }
}

fn per_cycle(start: Clock) -> f64 {
    start.elapsed().as_nanos() as f64 / f64::from(CYCLES)
}

/// Measures and prints; whether nothing was allocated.
pub fn run() -> bool {
    let shapes = [(1, 1), (1, 10), (1, 100), (1, 300), (16, 1), (16, 10), (16, 300)];
    let mut hosts = shapes.map(|(contexts, depth)| Host::new(contexts, depth));
    let mut yardstick = Yardstick::new();
    let mut times: [Vec<f64>; 7] = std::array::from_fn(|_| Vec::with_capacity(ROUNDS));
    let mut yard_times = Vec::with_capacity(ROUNDS);
    let before = allocations();
    // Round by round through all shapes, so that a busy machine disturbs them alike.
    for _ in 0..ROUNDS {
        yard_times.push(yardstick.round());
        for (host, times) in hosts.iter_mut().zip(&mut times) {
            times.push(round(host));
        }
    }
    let count = allocations() - before;

    let yard = median(yard_times);
    let medians = times.map(median);
    let flat = medians[0];
    println!(
        "submit + dispatch + complete on an instant device, median of {ROUNDS} rounds of {CYCLES}"
    );
    println!("yardstick: ArrayQueue push + pop + indirect call, {yard:.1} ns\n");
    println!("contexts  depth   ns/request   x yardstick   x depth 1");
    for ((contexts, depth), ns) in shapes.iter().zip(medians) {
        println!("{contexts:>8} {depth:>6} {ns:>12.1} {:>13.2} {:>11.2}", ns / yard, ns / flat);
    }
    println!("\nallocations in {} cycles: {count}", ROUNDS * CYCLES as usize * shapes.len());
    if count != 0 {
        eprintln!("costs: the execute path allocated");
    }
    count == 0
}
