//! Which requests start next.

mod in_flight;
pub mod priority;

pub use in_flight::{InFlight, Running};
pub use priority::Priority;
