//! `cutover` proves that a data migration lost nothing.
//!
//! Reading order is dependency order: a module uses only the ones above it (`tests/tidy.rs` checks that).

pub mod error;
pub mod value;
pub mod schema;
pub mod row;
pub mod plan;
pub mod snapshot;
pub mod sort;
pub mod ahead;
pub mod pairing;
pub mod transform;
pub mod diff;
pub mod store;
pub mod gate;
pub mod report;
pub mod run;
pub mod cli;
