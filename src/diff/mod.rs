//! Differences: one merge over two sorted streams finds them all.

pub mod tally;

pub use tally::Tally;
