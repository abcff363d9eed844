//! SubSystem Restart: what happens when the DSP crashes, as a state machine.

mod machine;
mod recovery;
mod state;

pub use machine::{Failed, Machine};
pub use recovery::{Queued, Recovery};
pub use state::{next, Input, State, TRANSITIONS};
