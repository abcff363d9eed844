//! Graphs as data: the position-independent [`GraphTable`], its builder for online composition, and
//! its check.

mod builder;
pub mod table;
#[cfg(test)]
mod tests;
mod types;
mod validate;

pub use builder::{BuildError, GraphBuilder, OpSpec, ParamSpec, ParamValue, TensorSpec};
pub use table::{GraphTable, Op, Param, TableError, Tensor, TensorList};
pub use types::{element_count, DataType, ScaleOffset, TensorKind, RANK_MAX};
