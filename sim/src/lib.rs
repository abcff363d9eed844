//! **htp-sim**: one seed decides a whole life of the runtime: what its clients do, what its device
//! does and does wrong, and in which order all of it meets. Time is virtual, nothing waits, and the
//! same seed is the same run on every machine.
//!
//! A run has three parts. While faults come, every step is checked: what was accepted is heard
//! exactly once, late answers change nothing, starts and completions come in their order, memory
//! stays lent while the device uses it, each command is the one that was due. Then faults stop, and
//! everything must come to rest in bounded virtual time, with a device that holds what a twin would
//! that never crashed, and a runtime that is as usable as before. At last all is freed, and nothing
//! may be left.
//!
//! Faults: crashes that the host hears of or does not, hangs, answers that are lost, late,
//! repeated, forged or out of order, executions that fail, aborts that are not followed, objects
//! that are refused, connections that fail or are not answered, a clock that jumps ahead. They come
//! at any time, also in every phase of a recovery. What the device never does: claim for the
//! present epoch that something ended which did not, also not by repeating an answer after it was
//! asked the same once more, since no runtime could tell. Executions on the CPU, which stands in
//! for it, may fail or outlast their abort; their answers come late and repeated, but are never
//! lost.
//!
//! Read it from top to bottom:
//!
//! - [`plan`]: what a seed decides, as a list of decisions;
//! - [`device`], [`memory`], [`order`]: the device and the memory of the clients;
//! - [`port`], [`mutant`]: the runtime under test, as it is or deliberately broken;
//! - [`check`]: what must hold, without the runtime's own code;
//! - [`world`]: a run;
//! - [`shrink`]: the shortest list of decisions that still fails;
//! - [`explore`], [`coverage`]: many runs, on all cores;
//! - [`trace`]: what a run did, as a hash and as text.

#![allow(missing_docs, reason = "fields and variants say by their names what they are")]

pub mod check;
pub mod coverage;
pub mod device;
pub mod explore;
pub mod memory;
pub mod mutant;
pub mod order;
pub mod plan;
pub mod port;
pub mod shrink;
pub mod trace;
pub mod world;
