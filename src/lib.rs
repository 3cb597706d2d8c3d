//! `cutover` proves that a data migration lost nothing.
//!
//! Reading order is dependency order: a module uses only the ones above it (`tests/tidy.rs` checks that).

pub mod error;
