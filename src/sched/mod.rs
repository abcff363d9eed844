//! Which requests start next.

mod in_flight;
pub mod priority;

pub use in_flight::InFlight;
pub use priority::Priority;
