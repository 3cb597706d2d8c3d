//! stub
#![allow(missing_docs, dead_code)]
use crate::{
    error::Result,
    row::{Batch, Feed, Flow, Shape},
};
use std::sync::Arc;
pub struct Program;
#[derive(Clone, Copy, Debug, Default)]
pub struct Selected {
    pub rows_read: u64,
    pub rows_selected: u64,
    pub items: u64,
    pub rejected: u64,
}
impl Program {
    pub fn input(&self) -> Arc<Shape> {
        Arc::default()
    }
    pub fn selected(&self) -> Selected {
        Selected::default()
    }
    pub fn keeps_order(&self) -> bool {
        true
    }
}
pub struct Over<'p>(&'p mut dyn Feed);
impl<'p> Over<'p> {
    pub fn new(_: &'p mut Program, _: Arc<Shape>, next: &'p mut dyn Feed) -> Over<'p> {
        Over(next)
    }
}
impl Feed for Over<'_> {
    fn take(&mut self, b: &mut Batch) -> Result<Flow> {
        self.0.take(b)
    }
}
pub struct Context;
