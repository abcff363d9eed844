//! SubSystem Restart: what happens when the DSP crashes, as a state machine.

mod state;

pub use state::{next, Input, State, TRANSITIONS};
