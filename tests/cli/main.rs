//! The program from outside: what is typed, what comes out, what is left behind.

#![cfg(test)]

mod analyze;
mod backup;
#[path = "../support/canary.rs"]
mod canary;
mod command;
mod connection;
mod counts;
mod documents;
mod faces;
mod files;
mod inspect;
mod logs;
mod migrate;
mod moving;
mod names;
mod optimize;
mod resources;
mod secrets;
mod selectors;
mod state;
mod stores;

#[path = "../support/mod.rs"]
mod support;
mod verbs;
