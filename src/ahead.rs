//! A stream read on a thread of its own, a bounded number of batches ahead.

use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Rows, Shape},
};
use std::sync::{
    Arc,
    mpsc::{Receiver, SyncSender, sync_channel},
};

/// How many full batches may wait.
const DEPTH: usize = 4;

/// The end that the reading thread fills.
pub struct Tap {
    full: SyncSender<Message>,
    empty: Receiver<Batch>,
    shape: Arc<Shape>,
}

/// The end that gives the rows out.
pub struct Ahead {
    full: Receiver<Message>,
    empty: SyncSender<Batch>,
    shape: Arc<Shape>,
    ended: bool,
}

enum Message {
    Batch(Batch),
    End(Result<()>),
}

/// A tap and what comes out of it.
pub fn ahead(shape: &Arc<Shape>) -> (Tap, Ahead) {
    let (full_in, full) = sync_channel(DEPTH);
    let (empty, empty_out) = sync_channel(DEPTH + 1);
    let tap = Tap { full: full_in, empty: empty_out, shape: Arc::clone(shape) };
    (tap, Ahead { full, empty, shape: Arc::clone(shape), ended: false })
}

impl Tap {
    /// Ends the stream, well or not. Without this the other end reports that the reader died.
    pub fn end(self, result: Result<()>) {
        // Whoever no longer listens does not need to know.
        let _ = self.full.send(Message::End(result));
    }
}

impl Feed for Tap {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        let empty = self.empty.try_recv().unwrap_or_else(|_| Batch::new(Arc::clone(&self.shape)));
        match self.full.send(Message::Batch(std::mem::replace(batch, empty))) {
            Ok(()) => Ok(Flow::Continue),
            Err(_) => Ok(Flow::Stop),
        }
    }
}

impl Rows for Ahead {
    fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    fn fill(&mut self, batch: &mut Batch) -> Result<()> {
        batch.clear();
        if self.ended {
            return Ok(());
        }
        match self.full.recv() {
            Ok(Message::Batch(full)) => {
                // A full pool means that enough batches are on their way already.
                let _ = self.empty.try_send(std::mem::replace(batch, full));
                Ok(())
            }
            Ok(Message::End(result)) => {
                self.ended = true;
                result
            }
            Err(_) => Err(Error::new(Kind::Broken, "the thread that read a store ended without saying why")),
        }
    }
}
