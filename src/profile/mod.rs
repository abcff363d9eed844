//! Measurements: the trace ring, its exporter, and profile objects.

mod object;
pub mod trace;

pub use object::{Profile, ProfileEvent, ProfileLevel};
pub use trace::{Trace, TraceKind, TraceRecord};
