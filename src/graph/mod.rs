//! Graphs as data: the position-independent [`GraphTable`], its builder for online composition, and
//! its check.

mod builder;
mod growing;
mod options;
mod param;
pub mod table;
#[cfg(test)]
mod tests;
mod types;
mod validate;

pub use builder::{BuildError, GraphBuilder, Mark, OpSpec, ParamSpec, ParamValue, TensorSpec};
pub use options::{GraphOptions, OptionsRecord, VTCM_DEFAULT_BYTES};
pub use param::Param;
pub use table::{GraphTable, Op, TableError, Tensor, TensorList};
pub use types::{element_count, DataType, ScaleOffset, TensorKind, RANK_MAX};
