//! Measurements: the trace ring, its exporter, and profile objects.

mod object;
#[cfg(test)]
mod tests;
pub mod trace;

pub use object::{PreparePart, Profile, ProfileCall, ProfileEvent, ProfileLevel};
pub use trace::{Decimal, Trace, TraceKind, TraceRecord};
