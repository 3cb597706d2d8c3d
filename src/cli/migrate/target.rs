//! The target of a run, before it is written to.

use super::session::Session;
use crate::{
    cli::stores,
    error::{Error, Kind, Result},
    run::{
        migrate::unmade::Unmade,
        prepare::Opened,
        state::{self, Phase, RunRecord},
    },
    store::Source,
};
use std::{fs, path::Path};

/// What there is of the target, and what has to be made.
pub(super) struct Wanted {
    /// To compare with: tables that are not there yet stand in it without rows.
    pub opened: Opened,
    /// Statements that make the tables that are not there.
    pub schema: Option<String>,
    /// What tells it from every other store.
    pub fingerprint: String,
    /// Nothing of it is there.
    pub absent: bool,
}

impl Wanted {
    /// The target of the plan.
    ///
    /// # Errors
    /// If it cannot be read, or be written to.
    pub(super) fn of(session: &Session) -> Result<Wanted> {
        let (plan, options) = (&session.plan, &session.options);
        let path = plan.target.path.as_ref().map(|it| plan.resolve(it));
        let absent = path.as_ref().is_some_and(|it| !it.exists());
        let fingerprint = stores::fingerprint_of_target(plan, options).map_err(|it| it.context("the target"))?;
        let (name, there) = stores::target_if_there(plan, options).map_err(|it| it.context("the target"))?;
        let absence = || Error::new(Kind::Store, "the target is not there");
        let Some(schema) = plan.target.schema.as_ref().map(|it| plan.resolve(it)) else {
            let opened = Opened { store: there.ok_or_else(absence)?, name };
            return Ok(Wanted { opened, schema: None, fingerprint, absent });
        };
        let statements = fs::read_to_string(&schema)
            .map_err(|it| Error::new(Kind::Plan, format_args!("{}: {it}", schema.display())))?;
        let declared = stores::declared_of_target(plan, &schema, options);
        let declared = declared.map_err(|it| it.context("the target's schema"))?;
        let unmade = Unmade::new(there, declared)?;
        let schema = (!unmade.is_whole()).then_some(statements);
        let store: Box<dyn Source> = match (&schema, unmade) {
            (None, unmade) => unmade.there().ok_or_else(absence)?,
            (Some(_), unmade) => Box::new(unmade),
        };
        Ok(Wanted { opened: Opened { store, name }, schema, fingerprint, absent })
    }

    /// How the journal knows a run to it.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(super) fn record(&self, session: &Session, source: &Opened) -> Result<RunRecord> {
        let shown = |it: &Opened| format!("{} {}", it.name.kind, it.name.name);
        Ok(RunRecord {
            id: session.state.new_run_id(&session.start)?,
            plan: state::plan_name(Path::new(&session.plan.path)),
            plan_hash: session.plan.hash.clone(),
            source: shown(source),
            source_fingerprint: shown(source),
            target: shown(&self.opened),
            target_fingerprint: self.fingerprint.clone(),
            phase: Phase::Connected,
            started: session.start.clone(),
            by: session.by.clone(),
            ..RunRecord::default()
        })
    }
}
