//! Sleeping.

pub use crate::platform::posix::wait::{Condvar, CAN_SLEEP};
