//! Programs over streams, and the thread on which expressions are evaluated.
//!
//! jq calls itself as deeply as an expression likes and can stay within one native filter for as long as it likes. So a
//! program with expressions runs each batch on a thread with a large stack, while the caller waits for what it sends and
//! watches its pulse. No clock is read: the caller only counts the waits in which nothing moved.

use super::{
    Program, Selected,
    compile::Compiled,
    meter::{Limits, Meter, Pulse, STACK},
    work::{Halt, Worker},
};
use crate::{
    error::{Error, Kind, Result},
    row::{Batch, Feed, Flow, Shape},
};
use std::{
    mem,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread,
};

/// Maps what a store reads and passes it on.
pub struct Over<'p> {
    program: &'p mut Program,
    shape: Arc<Shape>,
    next: &'p mut dyn Feed,
}

impl<'p> Over<'p> {
    /// Source rows, of the shape [`Program::input`], go through `program` and on to `next` as rows of `shape`.
    pub fn new(program: &'p mut Program, shape: Arc<Shape>, next: &'p mut dyn Feed) -> Over<'p> {
        Over { program, shape, next }
    }
}

impl Feed for Over<'_> {
    /// # Errors
    /// As [`Program::apply`], and whatever the next one reports.
    fn take(&mut self, batch: &mut Batch) -> Result<Flow> {
        let empty = Batch::new(Arc::clone(batch.shape()));
        let rows = mem::replace(batch, empty);
        let next = &mut *self.next;
        let (mut rows, flow) = self.program.map(rows, &self.shape, &mut |made| next.take(made))?;
        rows.clear();
        *batch = rows;
        Ok(flow)
    }
}

impl Program {
    /// Hands what `rows` become to `emit`, some at a time, and gives the rows back.
    pub(super) fn map(
        &mut self,
        mut rows: Batch,
        shape: &Arc<Shape>,
        emit: &mut dyn FnMut(&mut Batch) -> Result<Flow>,
    ) -> Result<(Batch, Flow)> {
        let mut out = Batch::new(Arc::clone(shape));
        out.rejects = mem::take(&mut rows.rejects);
        let program = Arc::clone(&self.compiled);
        let (rows, selected, ended) = if program.evaluates {
            let limits = program.limits;
            on_thread(&limits, emit, move |pulse, emit| work(&program, &pulse, rows, out, emit))?
        } else {
            work(&program, &Pulse::default(), rows, out, emit)
        };
        self.selected.add(selected);
        match ended {
            Ok(()) => Ok((rows, Flow::Continue)),
            Err(Halt::Enough) => Ok((rows, Flow::Stop)),
            Err(Halt::Failed(error)) => Err(error),
            Err(Halt::Told) => Err(silent()),
        }
    }
}

impl Selected {
    fn add(&mut self, more: Selected) {
        self.rows_read += more.rows_read;
        self.rows_selected += more.rows_selected;
        self.items += more.items;
        self.rejected += more.rejected;
    }
}

type Done = (Batch, Selected, Result<(), Halt>);

fn work(
    program: &Compiled,
    pulse: &Pulse,
    rows: Batch,
    out: Batch,
    emit: &mut dyn FnMut(&mut Batch) -> Result<Flow>,
) -> Done {
    let meter = Meter::new(pulse);
    let (selected, ended) = Worker::new(program, &meter, out, emit).run(&rows);
    (rows, selected, ended)
}

/// What comes from the thread.
enum Sent<T> {
    Batch(Batch),
    Done(T),
}

/// Runs `work` on a thread with a large stack. Batches that it emits are handed to `emit` on this one.
///
/// # Errors
/// If the thread cannot be started, crashes, or shows no sign of life for the limit's `stall`: it is then left behind.
pub(super) fn on_thread<T: Send + 'static>(
    limits: &Limits,
    emit: &mut dyn FnMut(&mut Batch) -> Result<Flow>,
    work: impl FnOnce(Arc<Pulse>, &mut dyn FnMut(&mut Batch) -> Result<Flow>) -> T + Send + 'static,
) -> Result<T> {
    let pulse = Arc::new(Pulse::default());
    let (sender, receiver) = sync_channel(1);
    let (theirs, watched) = (Arc::clone(&pulse), Arc::clone(&pulse));
    let run = move || {
        let mut pass_on = |made: &mut Batch| {
            let empty = Batch::new(Arc::clone(made.shape()));
            let sent = sender.send(Sent::Batch(mem::replace(made, empty)));
            let enough = sent.is_err() || watched.enough.load(Ordering::Relaxed);
            Ok(if enough { Flow::Stop } else { Flow::Continue })
        };
        let done = work(theirs, &mut pass_on);
        // Whoever no longer listens has what it wanted.
        let _ = sender.send(Sent::Done(done));
    };
    let builder = thread::Builder::new().name("transform".into()).stack_size(STACK);
    builder.spawn(run).map_err(|error| Error::new(Kind::Limit, format_args!("cannot start a thread: {error}")))?;
    loop {
        match receive(&receiver, &pulse, limits)? {
            Sent::Done(done) => return Ok(done),
            Sent::Batch(_) if pulse.enough.load(Ordering::Relaxed) => (),
            Sent::Batch(mut made) => match emit(&mut made) {
                Ok(Flow::Continue) => (),
                Ok(Flow::Stop) => pulse.enough.store(true, Ordering::Relaxed),
                Err(error) => {
                    pulse.stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            },
        }
    }
}

/// The next thing that comes. Patience ends after a number of waits in a row without a beat of the pulse.
fn receive<T>(receiver: &Receiver<Sent<T>>, pulse: &Pulse, limits: &Limits) -> Result<Sent<T>> {
    // Several short waits, so that a machine that was asleep does not look like a thread that is.
    const WAITS: u32 = 8;
    let mut last = pulse.beats.load(Ordering::Relaxed);
    let mut silences = 0;
    loop {
        match receiver.recv_timeout(limits.stall / WAITS) {
            Ok(sent) => return Ok(sent),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new(Kind::Broken, "the thread that evaluates expressions crashed"));
            }
            Err(RecvTimeoutError::Timeout) => (),
        }
        let beats = pulse.beats.load(Ordering::Relaxed);
        silences = if beats == last { silences + 1 } else { 0 };
        last = beats;
        if silences >= WAITS {
            pulse.stop.store(true, Ordering::Relaxed);
            return Err(silent());
        }
    }
}

fn silent() -> Error {
    let message = "an expression of the plan does not end; look for one that makes ever larger values, and limit it";
    Error::new(Kind::Limit, message)
}
