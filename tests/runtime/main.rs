//! The runtime through its public interface, driven by hand: one program, so that each change is
//! linked once.

#[allow(dead_code, reason = "shared with the test of the digit network")]
#[path = "../support/digits_world.rs"]
mod digits;
#[path = "../support/managed_world.rs"]
mod managed_world;
#[path = "../support/mod.rs"]
mod support;

mod cancel;
mod creation;
mod digest;
mod fallback;
mod graphs;
mod handles;
mod load;
mod managed;
mod managed_model;
mod memory;
mod model;
mod ownership;
mod power;
mod priority;
mod queue;
mod rebuild;
mod restart;
mod teardown;
mod trace;
