//! The program is killed at each of its writes, and at moments drawn by a seed: while it writes, while it goes on and while it undoes,
//! many times in a row; then it goes on to its end, and no row is lost, doubled or wrong.
//!
//! `strace` kills it at a counted system call, so every run of these tests kills at the same ones. `CUTOVER_KILLS` says how many
//! drawn moments there are for each store, 200 if not said; `CUTOVER_SEED` draws others.

#![cfg(test)]

mod killer;
#[path = "../support/postgres.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod postgres;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/workerd.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod workerd;

mod d1;
mod failures;
mod pg;
mod sqlite;
mod trial;
