//! What bounds an evaluation, since jq itself knows no bounds.
//!
//! The jq interpreter has no limit on steps, memory or depth. So every place of a program that can come round again (the
//! body of a definition, an element that is collected, an update) gets a call of the native filter `!tick` before it runs:
//! it counts, looks how much of the stack is in use, and ends the evaluation by an exception that jq's `try` cannot catch.
//! What one native filter does between two ticks is bounded by wrapping the few that can do much from little input.

use jaq_core::{
    Ctx, Exn, Native,
    box_iter::box_once,
    data::{DataT, HasLut},
    native::{Fun, bome, v},
};
use jaq_json::{Num, Val};
use std::{
    cell::Cell,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// How far one evaluation may go.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Steps that the evaluation of one row may take, whatever its size.
    pub steps: u64,
    /// Steps on top of them for each byte of the row.
    pub steps_per_byte: u64,
    /// How long the evaluator may show no sign of life before the run is given up.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { steps: 1_000_000, steps_per_byte: 16, stall: Duration::from_secs(2) }
    }
}

/// The stack of the thread that evaluates. It is address space only until it is used.
pub(super) const STACK: usize = 512 << 20;
/// How much of it an evaluation may use; the rest is for the drop of what it built, which nothing counts.
const STACK_USED_MAX: usize = STACK / 4;
/// The longest text that an evaluation may hold, in bytes, when its row is small.
const TEXT_MAX: usize = 16 << 20;
/// The longest array, when its row is small.
const ARRAY_MAX: usize = 1 << 20;
/// How many bytes of text any value counts for at least.
const NODE: usize = 4;
/// The longest integer, in bits.
const BITS_MAX: u64 = 1 << 20;
/// How deep arrays and objects may nest.
pub(super) const DEPTH_MAX: usize = 10_000;
/// Ticks between two looks at what is too expensive to look at each time.
const LOOK: u64 = 1024;

/// Why an evaluation was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Steps,
    Stack,
    Size,
    Depth,
    /// The one who watches lost patience.
    Told,
    /// An exception that the interpreter should have handled itself.
    Stray,
}

impl Stop {
    const ALL: [Stop; 6] = [Stop::Steps, Stop::Stack, Stop::Size, Stop::Depth, Stop::Told, Stop::Stray];

    pub(super) fn exception<'a>(self) -> Exn<'a, Val> {
        Exn::halt(self as i32)
    }

    pub(super) fn of(exception: Exn<'_, Val>) -> Stop {
        let code = exception.get_halt().unwrap_or(Stop::Stray as i32);
        Stop::ALL.into_iter().find(|it| *it as i32 == code).unwrap_or(Stop::Stray)
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            Stop::Steps => "takes too many steps",
            Stop::Stack => "calls itself too deeply",
            Stop::Size => "makes a value that is too large",
            Stop::Depth => "makes a value that nests too deeply",
            Stop::Told => "did not end in time",
            Stop::Stray => "ends by an exception of the evaluator",
        }
    }
}

/// What the evaluating thread and the one who watches it share.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Grows as long as there is progress.
    pub(super) beats: AtomicU64,
    /// Set to have the evaluation end at its next tick.
    pub(super) stop: AtomicBool,
    /// Set when nobody wants more rows.
    pub(super) enough: AtomicBool,
}

/// Counts the steps of one evaluation after the other. It belongs to one thread.
pub(super) struct Meter<'p> {
    left: Cell<u64>,
    /// Bytes of the row.
    bytes: Cell<usize>,
    base: usize,
    pulse: &'p Pulse,
}

impl<'p> Meter<'p> {
    /// A meter for evaluations that start at about the caller's depth of the stack.
    pub(super) fn new(pulse: &'p Pulse) -> Meter<'p> {
        Meter { left: Cell::new(0), bytes: Cell::new(0), base: stack_address(), pulse }
    }

    /// Begins to count for a row of so many bytes.
    pub(super) fn start(&self, limits: &Limits, bytes: usize) {
        let more = limits.steps_per_byte.saturating_mul(bytes as u64);
        self.left.set(limits.steps.saturating_add(more));
        self.bytes.set(bytes);
        self.pulse.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one step at which `value` is at hand.
    pub(super) fn tick(&self, value: &Val) -> Result<(), Stop> {
        let left = self.left.get();
        let cost = match value {
            Val::TStr(text) | Val::BStr(text) if text.len() > self.text_max() => return Err(Stop::Size),
            Val::Arr(items) if items.len() > ARRAY_MAX.saturating_add(self.bytes.get()) => return Err(Stop::Size),
            Val::TStr(text) | Val::BStr(text) => 1 + text.len() as u64 / 64,
            _ => 1,
        };
        let Some(rest) = left.checked_sub(cost) else { return Err(Stop::Steps) };
        self.left.set(rest);
        if self.base.abs_diff(stack_address()) > STACK_USED_MAX {
            return Err(Stop::Stack);
        }
        if left / LOOK != rest / LOOK { self.look(value) } else { Ok(()) }
    }

    /// Refuses a value whose text would be too large. Parts that it shares with itself count each time they are met.
    fn lean(&self, value: &Val) -> Result<(), Stop> {
        let mut room = self.text_max();
        let mut stack: Vec<Box<dyn Iterator<Item = &Val> + '_>> = vec![Box::new(std::iter::once(value))];
        while let Some(values) = stack.last_mut() {
            let Some(value) = values.next() else {
                stack.pop();
                continue;
            };
            let size = match value {
                Val::TStr(text) | Val::BStr(text) => NODE + text.len(),
                _ => NODE,
            };
            room = room.checked_sub(size).ok_or(Stop::Size)?;
            match value {
                Val::Arr(items) => stack.push(Box::new(items.iter())),
                Val::Obj(members) => stack.push(Box::new(members.iter().flat_map(|(key, value)| [key, value]))),
                _ => (),
            }
        }
        Ok(())
    }

    fn text_max(&self) -> usize {
        TEXT_MAX.saturating_add(self.bytes.get().saturating_mul(4))
    }

    #[cold]
    fn look(&self, value: &Val) -> Result<(), Stop> {
        self.pulse.beats.fetch_add(1, Ordering::Relaxed);
        if self.pulse.stop.load(Ordering::Relaxed) {
            return Err(Stop::Told);
        }
        if spine(value) > DEPTH_MAX { Err(Stop::Depth) } else { Ok(()) }
    }
}

/// The data that jq programs run with: 64-bit and larger numbers, and a meter within reach of native filters.
pub(super) struct Metered;

/// What native filters can reach.
#[derive(Clone, Copy)]
pub(super) struct Data<'a> {
    pub(super) lut: &'a jaq_core::Lut<Metered>,
    pub(super) meter: &'a Meter<'a>,
}

impl DataT for Metered {
    type V<'a> = Val;
    type Data<'a> = Data<'a>;
}

impl<'a> HasLut<'a, Metered> for Data<'a> {
    fn lut(&self) -> &'a jaq_core::Lut<Metered> {
        self.lut
    }
}

/// Native filters that an expression has no business with: they read the clock, the zone or the environment, or they write.
const BARRED: &[&str] =
    &["halt", "env", "now", "localtime", "strflocaltime", "debug_empty", "stderr_empty", "input", "inputs"];

/// Every native filter that an expression may come to.
pub(super) fn natives() -> impl Iterator<Item = Fun<Metered>> {
    let all = jaq_core::funs::<Metered>().chain(jaq_std::funs::<Metered>()).chain(jaq_json::funs::<Metered>());
    let kept = all.filter(|(name, ..)| !BARRED.contains(name)).map(|(name, args, run)| match name {
        "range" => ("!range", args, run),
        "fromjson" => ("!fromjson", args, run),
        "tojson" => ("!tojson", args, run),
        _ => (name, args, run),
    });
    kept.chain([tick(), times(), shallow(), lean()])
}

/// Passes its input on, also where a path or an update is wanted.
fn tick() -> Fun<Metered> {
    fn check(ctx: &Ctx<'_, Metered>, value: &Val) -> Result<(), Stop> {
        ctx.data().meter.tick(value)
    }
    let native =
        Native::<Metered>::new(|(ctx, value)| box_once(check(&ctx, &value).map(|()| value).map_err(Stop::exception)));
    let native = native.with_paths(|(ctx, (value, path))| {
        box_once(check(&ctx, &value).map(|()| (value, path)).map_err(Stop::exception))
    });
    let native = native.with_update(|(ctx, value), update| match check(&ctx, &value) {
        Ok(()) => update(value),
        Err(stop) => box_once(Err(stop.exception())),
    });
    ("!tick", v(0), native)
}

/// Multiplication, which alone makes large values of small ones: `"x" * 1000000000`.
fn times() -> Fun<Metered> {
    let native = Native::<Metered>::new(|(mut ctx, _)| {
        let (right, left) = (ctx.pop_var(), ctx.pop_var());
        if product(&left, &right, ctx.data().meter.text_max()) {
            bome(left * right)
        } else {
            box_once(Err(Stop::Size.exception()))
        }
    });
    ("!times", v(2), native)
}

/// Whether the product of two values has a size that is allowed.
fn product(left: &Val, right: &Val, text_max: usize) -> bool {
    let bits = |it: &Num| match it {
        Num::BigInt(it) => it.bits(),
        _ => 64,
    };
    match (left, right) {
        (Val::Num(left), Val::Num(right)) => bits(left) + bits(right) <= BITS_MAX,
        (Val::TStr(text) | Val::BStr(text), Val::Num(count)) | (Val::Num(count), Val::TStr(text) | Val::BStr(text)) => {
            let count = match count {
                Num::Int(it) => usize::try_from(*it).unwrap_or(0),
                Num::BigInt(_) => usize::MAX,
                _ => 0,
            };
            text.len().saturating_mul(count) <= text_max
        }
        _ => true,
    }
}

/// Refuses a JSON text that nests too deeply for the parser, which calls itself.
fn shallow() -> Fun<Metered> {
    let native = Native::<Metered>::new(|(_, value)| match &value {
        Val::TStr(text) if nesting(text) > DEPTH_MAX => box_once(Err(Stop::Depth.exception())),
        _ => box_once(Ok(value)),
    });
    ("!shallow", v(0), native)
}

/// Refuses a value that is small in memory and has no end as text.
fn lean() -> Fun<Metered> {
    let native = Native::<Metered>::new(|(ctx, value)| match ctx.data().meter.lean(&value) {
        Ok(()) => box_once(Ok(value)),
        Err(stop) => box_once(Err(stop.exception())),
    });
    ("!lean", v(0), native)
}

/// At least as many levels as the JSON in `text` has: brackets within strings count as well.
pub(super) fn nesting(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text {
        match byte {
            b'[' | b'{' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' | b')' => depth = depth.saturating_sub(1),
            _ => (),
        }
    }
    deepest
}

/// How deep a value nests along its first children that nest at all.
fn spine(value: &Val) -> usize {
    let mut depth = 0;
    let mut at = value;
    loop {
        let nests = |it: &&Val| matches!(it, Val::Arr(_) | Val::Obj(_));
        let child = match at {
            Val::Arr(items) => items.iter().take(16).find(nests),
            Val::Obj(members) => members.values().take(16).find(nests),
            _ => return depth,
        };
        depth += 1;
        match child {
            Some(child) => at = child,
            None => return depth,
        }
    }
}

/// Where the stack of this thread is in use up to.
#[inline(never)]
fn stack_address() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(&here).addr()
}
