//! What a plan wants done around a migration: hooks, warm caches, timed queries, reminders.

use super::session::Session;
use crate::{
    cli::{clock, output, progress::Telling, quoted, stores},
    error::{Error, Kind, Result},
    gate::{Judgement, Verdict},
    plan::Plan,
    report::{
        PlanName, escape,
        migration::{self, Migration},
        queries,
    },
    run::around::{hook::Caller, query, remind, warm},
};
use serde_json::json;
use std::time::Duration;

/// What there is to call around a run. A preview, and what is no migration, has nothing.
#[derive(Default)]
pub(super) struct Around {
    wanted: bool,
    hooks: Vec<Caller>,
    /// The run, once it has begun.
    run: Option<String>,
    telling: Option<Result<Telling>>,
}

impl Around {
    /// What the plan wants. Its addresses are looked at, and none is called.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub(super) fn of(plan: &Plan) -> Result<Around> {
        let hooks = plan.hooks.all().map(|(name, hook)| Caller::new(plan, name, hook)).collect::<Result<_>>()?;
        Ok(Around { wanted: true, hooks, ..Around::default() })
    }

    fn take(&mut self, name: &str) -> Option<Caller> {
        let at = self.hooks.iter().position(|it| it.name() == name)?;
        Some(self.hooks.swap_remove(at))
    }

    /// Comes before a store is opened.
    ///
    /// # Errors
    /// If the hook `before` fails.
    pub(super) fn before(&mut self, session: &mut Session) -> Result<()> {
        let Some(caller) = self.take("before") else { return Ok(()) };
        let told = json!({ "verb": "migrate", "plan": session.plan.path });
        session.watch.wait(Duration::ZERO)?;
        let called = caller.call(told.to_string().as_bytes(), &session.watch);
        note(session, None, "before", called.as_ref().err());
        called.map_err(|it| it.context("nothing was written"))
    }

    /// Begins to tell of the progress of a run. A hook that cannot be started is no reason not to run, and is told of in the end.
    pub(super) fn begin(&mut self, session: &Session, run: &str) {
        self.run = Some(run.to_owned());
        self.telling = self.take("on_progress").map(|it| Telling::start(it, &session.watch));
    }

    /// Ends to tell of progress, and does what follows a run that passed.
    pub(super) fn follow(&mut self, session: &Session, done: &mut Result<Migration>) {
        let told = self.telling.take().map_or(Ok(()), |it| it.and_then(Telling::end)).err();
        told.iter().for_each(complain);
        let Ok(done) = done else { return };
        done.facts.extend(told.map(|it| it.to_string()));
        if !self.wanted || done.verdict != Verdict::Pass {
            return;
        }
        let mut judged = warm(session, done);
        if !session.watch.is_stopped() {
            judged.and(time(session, done));
        }
        let why = if session.watch.is_stopped() { "to do what is left" } else { "once that is mended" };
        match judged.verdict {
            Verdict::Pass => done.reminders = remind::remind(&session.plan, done.backup.as_deref()),
            _ => done.next = Some(format!("cutover migrate {}    {why}", quoted(&session.plan.path))),
        }
        done.verdict = judged.verdict;
        done.reasons.extend(judged.reasons);
    }

    /// Tells what came of the run. What a hook makes of that changes nothing about it.
    ///
    /// # Errors
    /// Those of `done`.
    pub(super) fn told(mut self, session: &mut Session, mut done: Result<Migration>) -> Result<Migration> {
        if !self.wanted {
            return done;
        }
        let run = self.run.take();
        let failed = done.as_ref().err().map(|it| failed(session, run.as_deref(), it));
        let outcome = done.as_ref().ok().or(failed.as_ref());
        let name = if done.as_ref().is_ok_and(|it| it.verdict == Verdict::Pass) { "after" } else { "on_failure" };
        let (Some(caller), Some(outcome)) = (self.take(name), outcome) else { return done };
        let mut json = Vec::new();
        let called = match migration::json(outcome, &mut json) {
            Ok(()) => caller.call(&json, &session.watch),
            Err(it) => Err(Error::new(Kind::File, it)),
        };
        note(session, run.as_deref(), name, called.as_ref().err());
        if let Err(it) = called {
            complain(&it);
            done = done.map(|mut done| {
                done.facts.push(it.to_string());
                done
            });
        }
        done
    }
}

/// Fills the plan's caches.
fn warm(session: &Session, done: &mut Migration) -> Judgement {
    let mut judged = Judgement::pass();
    let all = match warm::all(&session.plan, &session.watch) {
        Ok(all) => all,
        Err(it) => return Judgement { verdict: Verdict::Unknown, reasons: vec![it.to_string()] },
    };
    for warmed in all {
        if !warmed.ok && warmed.must {
            judged.and(Judgement { verdict: Verdict::Fail, reasons: vec![warmed.says] });
            continue;
        }
        if !warmed.ok {
            output::say(&escape::message(&warmed.says));
        }
        done.facts.push(warmed.says);
    }
    judged
}

/// Asks the plan's queries, from stores that are opened for it.
fn time(session: &Session, done: &mut Migration) -> Judgement {
    let plan = &session.plan;
    if plan.queries.is_empty() {
        return Judgement::pass();
    }
    let asked = || {
        let mut source = stores::of_plan(plan, &plan.source, &session.options)?.store;
        let mut target = stores::of_plan(plan, &plan.target, &session.options)?.store;
        query::ask(&plan.queries, source.as_mut(), target.as_mut(), &session.run, &clock::elapsed)
    };
    match asked() {
        Ok(queries) => {
            done.queries = queries;
            queries::judge(&done.queries)
        }
        Err(it) => {
            // What an interruption says of the run before does not hold here.
            let why = if it.kind() == Kind::Interrupted { "interrupted".to_owned() } else { it.to_string() };
            Judgement { verdict: Verdict::Unknown, reasons: vec![format!("the queries were not timed: {why}")] }
        }
    }
}

/// What there is to tell of a run that ended with an error.
fn failed(session: &Session, run: Option<&str>, error: &Error) -> Migration {
    Migration {
        verb: "migrate",
        id: run.unwrap_or_default().to_owned(),
        verdict: Verdict::Unknown,
        reasons: vec![error.to_string()],
        plan: PlanName { path: session.plan.path.clone(), hash: session.plan.hash.clone() },
        source: stores::name(&session.plan.source),
        target: stores::name(&session.plan.target),
        state: "The run ended with an error; `cutover status` says what the target holds.".to_owned(),
        ..Migration::default()
    }
}

/// Writes down that a hook was called.
fn note(session: &mut Session, run: Option<&str>, name: &str, error: Option<&Error>) {
    let detail = json!({ "hook": name, "error": error.map(ToString::to_string) });
    let noted = session.state.audit(run, "hook", &detail, &clock::text());
    noted.unwrap_or_else(|it| complain(&it));
}

fn complain(error: &Error) {
    output::say(&escape::message(&error.to_string()));
}
