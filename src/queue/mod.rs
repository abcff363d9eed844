//! Requests: the bounded queue of each context, the lists that order them, and their deadlines.

mod deadline;
mod list;
mod request;
#[cfg(test)]
mod tests;

pub use deadline::Deadlines;
pub use list::{List, Nodes};
pub use request::{Mode, Queue, Request, RequestRef, RequestState};
