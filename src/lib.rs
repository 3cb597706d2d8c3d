//! `cutover` proves that a data migration lost nothing.
//!
//! Reading order is dependency order: a module uses only the ones above it (`tests/tidy.rs` checks that).

pub mod ahead;
pub mod cli;
pub mod diff;
pub mod error;
pub mod gate;
pub mod pairing;
pub mod plan;
pub mod report;
pub mod row;
pub mod run;
pub mod schema;
pub mod snapshot;
pub mod sort;
pub mod store;
pub mod transform;
pub mod value;
