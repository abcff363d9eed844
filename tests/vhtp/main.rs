//! The virtual HTP through its device interface: one program, so that each change is linked once.

mod support;

mod commands;
mod device;
mod float16;
mod images;
mod macs;
mod movement;
mod networks;
mod ops;
mod options;
mod plan;
mod pointwise;
mod reduce;
mod reports;
