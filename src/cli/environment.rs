//! What there is around a plan: this program and machine, the plan, what is known of its runs, what its target takes.

use super::{
    optimize,
    stores::{self, Planned},
};
use crate::{
    report::{layout, timing},
    run::state::{self, State, lock},
    store,
};
use std::path::Path;

/// One thing and what there is to say about it.
pub(super) type Said = (&'static str, String);

/// What there is around a plan. What cannot be found out says why: to look is no reason to fail.
pub(super) fn around(planned: &Planned, options: &store::Options) -> Vec<Said> {
    let plan = &planned.plan;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let mut out = vec![
        ("program", format!("cutover {}, {os} on {arch}, {cores} cores", env!("CARGO_PKG_VERSION"))),
        ("plan", format!("{}, {} tables, {} checks", plan.path, plan.tables.len(), plan.checks.len())),
        ("plan hash", plan.hash.clone()),
    ];
    let folder = state::folder_of(Path::new(&plan.path));
    out.push(("state", runs(&folder, &state::plan_name(Path::new(&plan.path)))));
    match lock::holder(&folder) {
        Ok(None) => {}
        Ok(Some(it)) => out.push(("lock", it.about())),
        Err(it) => out.push(("lock", it.to_string())),
    }
    out.extend(plan.log_folder.iter().map(|it| ("logs", plan.resolve(it).display().to_string())));
    out.push(("limits", limits(planned, options)));
    out
}

fn runs(folder: &Path, plan: &str) -> String {
    let known = State::look(folder).and_then(|it| it.map(|it| it.runs()).transpose());
    let shown = folder.display();
    match known {
        Err(it) => it.to_string(),
        Ok(None) => format!("{shown}: no run yet"),
        Ok(Some(runs)) => {
            let own: Vec<_> = runs.into_iter().filter(|it| it.plan == plan).collect();
            let last = own.first().map(|it| {
                let outcome = it.outcome.as_deref().unwrap_or("not ended");
                format!(", the last one {} ({}, {outcome})", it.id, it.phase.name())
            });
            format!("{shown}: {} runs{}", own.len(), last.unwrap_or_default())
        }
    }
}

/// What the target takes in one batch.
fn limits(Planned { plan, .. }: &Planned, options: &store::Options) -> String {
    match optimize::rooms(plan, options) {
        Err(it) => format!("the target does not say: {it}"),
        Ok(rooms) => {
            let narrowest = rooms.into_iter().min_by_key(|it| (it.rows_max, it.bytes_max));
            narrowest.map_or_else(|| stores::name(&plan.target).label(), |it| taken(&it))
        }
    }
}

/// What one batch may hold, for people.
pub(super) fn taken(room: &store::target::Room) -> String {
    let most = |count: usize| (count < usize::MAX).then(|| layout::count(count as u64));
    let rows = most(room.rows_max).map_or_else(|| "any number of rows".to_owned(), |it| format!("{it} rows"));
    let bytes =
        most(room.bytes_max).map_or_else(String::new, |_| format!(" and {}", timing::bytes(room.bytes_max as u64)));
    let good = most(room.rows).map_or_else(String::new, |it| format!(", of which {it} are good"));
    format!("a batch takes {rows}{bytes}{good}")
}
