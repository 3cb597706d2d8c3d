//! A table read by several sessions, a few pages in turn, and handed on in the order of its pages.

use super::{decode::Decoder, scan::Scan, session::Session};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Shape},
};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// How many pages are one turn: some megabytes, so that nobody waits long for a turn to come.
pub(super) const PAGES: u64 = 512;

/// How many full batches a session may be ahead: about what a turn gives.
const DEPTH: usize = 16;

/// What a session has to say.
enum Message {
    Batch(Batch),
    /// A turn is over.
    Turn,
    Failed(Error),
}

/// The end that a session fills.
struct Ahead {
    full: SyncSender<Message>,
    empty: Receiver<Batch>,
    shape: Arc<Shape>,
}

impl Feed for Ahead {
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        let empty = self.empty.try_recv().unwrap_or_else(|_| Batch::new(Arc::clone(&self.shape)));
        match self.full.send(Message::Batch(std::mem::replace(batch, empty))) {
            Ok(()) => Ok(Flow::Continue),
            Err(_) => Ok(Flow::Stop),
        }
    }
}

/// Reads a table of so many pages. The order of the rows is that of one session alone.
///
/// # Errors
/// As [`Scan::read`].
pub(super) fn read(scan: &Scan, first: &Session, others: &[Session], pages: u64, feed: &mut dyn Feed) -> Result<()> {
    let turns = pages.div_ceil(PAGES).max(1);
    let sessions: Vec<&Session> = std::iter::once(first).chain(others).collect();
    let step = sessions.len() as u64;
    thread::scope(|scope| {
        let mut outs = Vec::new();
        for (first, session) in (0..step).zip(sessions) {
            let (full_in, full) = sync_channel(DEPTH);
            let (empty, empty_out) = sync_channel(DEPTH + 1);
            let mut ahead = Ahead { full: full_in, empty: empty_out, shape: Arc::clone(&scan.shape) };
            scope.spawn(move || {
                let done = work(scan, session, (first, step, turns), &mut ahead);
                if let Err(error) = done {
                    // Whoever no longer listens does not need to know.
                    let _ = ahead.full.send(Message::Failed(error));
                }
            });
            outs.push((full, empty));
        }
        hand_on(turns, &outs, feed)
    })
}

/// One session's turns.
fn work(scan: &Scan, session: &Session, (first, step, turns): (u64, u64, u64), ahead: &mut Ahead) -> Result<()> {
    let mut decoder = Decoder::new(scan.cells.clone());
    let mut batch = Batch::new(Arc::clone(&scan.shape));
    let mut turn = first;
    while turn < turns {
        // The last turn has no end: a table may have grown.
        let end = (turn + 1 < turns).then_some((turn + 1) * PAGES);
        let flow = scan.pages(session, (turn * PAGES, end), &mut decoder, &mut batch, ahead)?;
        if flow == Flow::Stop || !batch.is_empty() && ahead.take(&mut batch)? == Flow::Stop {
            return Ok(());
        }
        if ahead.full.send(Message::Turn).is_err() {
            return Ok(());
        }
        turn += step;
    }
    Ok(())
}

/// Takes the turns as they come in the table.
fn hand_on(turns: u64, outs: &[(Receiver<Message>, SyncSender<Batch>)], feed: &mut dyn Feed) -> Result<()> {
    for (_, (full, empty)) in (0..turns).zip(outs.iter().cycle()) {
        loop {
            match full.recv() {
                Ok(Message::Batch(mut batch)) => {
                    if feed.take(&mut batch)? == Flow::Stop {
                        return Ok(());
                    }
                    // A full pool means that enough batches are on their way already.
                    let _ = empty.try_send(batch);
                }
                Ok(Message::Turn) => break,
                Ok(Message::Failed(error)) => return Err(error),
                Err(_) => return Err(Error::new(Kind::Broken, "a thread that read a table ended without saying why")),
            }
        }
    }
    Ok(())
}
