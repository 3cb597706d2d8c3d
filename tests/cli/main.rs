//! The program from outside: what is typed, what comes out, what is left behind.

#![cfg(test)]

mod analyze;
mod around;
mod backup;
mod clear;
#[path = "../support/canary.rs"]
mod canary;
mod command;
mod connection;
mod counts;
mod documents;
mod early;
mod encrypted;
mod export;
mod faces;
mod fields;
mod files;
mod held;
mod ids;
mod inspect;
mod interrupted;
mod logs;
mod migrate;
mod moving;
mod names;
mod optimize;
mod refusals;
mod repair;
mod resources;
mod secrets;
mod selectors;
#[expect(dead_code, reason = "the tests of live stores use the rest of it")]
#[path = "../support/web.rs"]
mod server;
mod state;
mod stores;
mod undo;

#[path = "../support/mod.rs"]
mod support;
mod terminal;
mod validate;
mod verbs;
mod watch;
