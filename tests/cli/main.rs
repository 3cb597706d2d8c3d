//! The program from outside: what is typed, what comes out, what is left behind.

mod command;
mod counts;
mod faces;
mod files;
mod names;
mod resources;
mod verbs;

#[path = "../support/mod.rs"]
mod support;
