//! What the journal holds, and how it is asked and told.

use super::{
    Decision, Event, JOURNAL, Phase, RunRecord, State, TableCounts,
    chain::{self, Audited},
    failed,
};
use crate::error::{Error, Kind, Result};
use rusqlite::{OptionalExtension, Params, Row, Transaction, TransactionBehavior, params};
use serde_json::{Value, json};
use std::borrow::Cow;

/// `runs.number` gives the order: an id follows a clock, and a clock may be set back.
pub(super) const SCHEMA: &str = "
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    continues TEXT REFERENCES runs (id),
    plan TEXT NOT NULL,
    plan_hash TEXT NOT NULL,
    source TEXT NOT NULL,
    source_fingerprint TEXT NOT NULL,
    target TEXT NOT NULL,
    target_fingerprint TEXT NOT NULL,
    phase TEXT NOT NULL,
    started TEXT NOT NULL,
    ended TEXT,
    outcome TEXT,
    advice TEXT
) STRICT;
CREATE TABLE tables (
    run TEXT NOT NULL REFERENCES runs (id),
    name TEXT NOT NULL,
    inserts INTEGER NOT NULL DEFAULT 0,
    updates INTEGER NOT NULL DEFAULT 0,
    deletes INTEGER NOT NULL DEFAULT 0,
    skips INTEGER NOT NULL DEFAULT 0,
    conflicts INTEGER NOT NULL DEFAULT 0,
    rejects INTEGER NOT NULL DEFAULT 0,
    done_rows INTEGER NOT NULL DEFAULT 0,
    batches INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, name)
) STRICT;
CREATE TABLE batches (
    run TEXT NOT NULL REFERENCES runs (id),
    tbl TEXT NOT NULL,
    number INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (run, tbl, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE decisions (
    run TEXT NOT NULL REFERENCES runs (id),
    tbl TEXT NOT NULL,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    choice TEXT NOT NULL,
    by TEXT NOT NULL,
    PRIMARY KEY (run, tbl, key, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    run TEXT,
    event TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    audit_entries INTEGER NOT NULL,
    audit_head TEXT NOT NULL
) STRICT;
";

const RUN: &str = "id, continues, plan, plan_hash, source, source_fingerprint, target, target_fingerprint, phase, started, \
                   ended, outcome, advice";

/// How much is lost when the machine loses power.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lasting {
    /// Nothing.
    Always,
    /// What was told last, never the journal itself. Enough for counts that a resume does not believe anyway, and many times
    /// faster, which matters once for each batch.
    Mostly,
}

/// Why a change was not made.
enum Failure {
    Sql(rusqlite::Error),
    Own(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(it: rusqlite::Error) -> Failure {
        Failure::Sql(it)
    }
}

impl From<Error> for Failure {
    fn from(it: Error) -> Failure {
        Failure::Own(it)
    }
}

impl State {
    /// Writes a run down that begins now, at its `started`, in its phase.
    ///
    /// # Errors
    /// If there is a run of that name, or the journal cannot be written.
    pub fn begin_run(&mut self, run: &RunRecord) -> Result<()> {
        self.run_folder_path(&run.id)?;
        let mut detail = json!({
            "plan": run.plan, "hash": run.plan_hash, "target": run.target_fingerprint, "continues": run.continues,
            "phase": run.phase.name(),
        });
        if !run.by.is_empty() {
            detail["by"] = run.by.as_str().into();
        }
        self.change(Lasting::Always, |change| {
            let query =
                format!("INSERT INTO runs ({RUN}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
            change.execute(
                &query,
                params![
                    run.id,
                    run.continues,
                    run.plan,
                    run.plan_hash,
                    run.source,
                    run.source_fingerprint,
                    run.target,
                    run.target_fingerprint,
                    run.phase.name(),
                    run.started,
                    run.ended,
                    run.outcome,
                    run.advice
                ],
            )?;
            Ok(chain::append(change, &run.started, Some(&run.id), "begin", &detail.to_string())?)
        })
    }

    /// Writes down how far the run is. To tell the same phase again changes nothing.
    ///
    /// # Errors
    /// If there is no such run, none goes that way, or the journal cannot be written.
    pub fn set_phase(&mut self, run: &str, phase: Phase, at: &str) -> Result<()> {
        self.change(Lasting::Always, |change| {
            let query = "SELECT phase FROM runs WHERE id = ?1";
            let before = change.query_row(query, [run], |it| phase_of(it, 0)).optional()?;
            let before = before.ok_or_else(|| no_run(run))?;
            if before.advance(phase)? == before {
                return Ok(());
            }
            change.execute("UPDATE runs SET phase = ?2 WHERE id = ?1", [run, phase.name()])?;
            let detail = json!({ "from": before.name(), "to": phase.name() });
            Ok(chain::append(change, at, Some(run), "phase", &detail.to_string())?)
        })
    }

    /// Writes down what the run has to do in one table. What is done of it stays as it was counted.
    ///
    /// # Errors
    /// If there is no such run, or the journal cannot be written.
    pub fn set_table(&mut self, run: &str, table: &TableCounts) -> Result<()> {
        let counts = [table.inserts, table.updates, table.deletes, table.skips, table.conflicts, table.rejects];
        let [inserts, updates, deletes, skips, conflicts, rejects] = counts.map(stored);
        self.change(Lasting::Always, |change| {
            let query = "
                INSERT INTO tables (run, name, inserts, updates, deletes, skips, conflicts, rejects)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                ON CONFLICT (run, name) DO UPDATE SET inserts = ?3, updates = ?4, deletes = ?5, skips = ?6,
                conflicts = ?7, rejects = ?8";
            let all = params![run, table.name, inserts, updates, deletes, skips, conflicts, rejects];
            change.execute(query, all)?;
            Ok(())
        })
    }

    /// Counts a batch of so many rows that arrived. A number that was counted already is not counted again.
    ///
    /// # Errors
    /// If there is no such run, or the journal cannot be written. A run may go on without: it is only for people.
    pub fn batch_done(&mut self, run: &str, table: &str, number: u64, rows: u64, at: &str) -> Result<()> {
        let (number, rows) = (stored(number), stored(rows));
        self.change(Lasting::Mostly, |change| {
            let query = "INSERT INTO batches (run, tbl, number, rows, at) VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT DO NOTHING";
            if change.prepare_cached(query)?.execute(params![run, table, number, rows, at])? == 0 {
                return Ok(());
            }
            let query = "
                INSERT INTO tables (run, name, done_rows, batches) VALUES (?1, ?2, ?3, 1)
                ON CONFLICT (run, name) DO UPDATE SET done_rows = done_rows + ?3, batches = batches + 1";
            change.prepare_cached(query)?.execute(params![run, table, rows])?;
            Ok(())
        })
    }

    /// Writes down what was decided about rows. What is decided about the same row later takes the place of it. The audit
    /// trail keeps how many there were and a hash over all of them.
    ///
    /// # Errors
    /// If there is no such run, or the journal cannot be written.
    pub fn decide(&mut self, run: &str, decisions: &[Decision], at: &str) -> Result<()> {
        if decisions.is_empty() {
            return Ok(());
        }
        self.change(Lasting::Always, |change| {
            let query =
                "INSERT OR REPLACE INTO decisions (run, tbl, key, kind, choice, by) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let (mut statement, mut hasher) = (change.prepare_cached(query)?, blake3::Hasher::new());
            for Decision { table, key, kind, choice, by } in decisions {
                statement.execute([run, table, key, kind, choice, by])?;
                for field in [table, key, kind, choice, by] {
                    hasher.update(&(field.len() as u64).to_le_bytes()).update(field.as_bytes());
                }
            }
            let detail = json!({ "decisions": decisions.len(), "hash": hasher.finalize().to_hex().as_str() });
            Ok(chain::append(change, at, Some(run), "decide", &detail.to_string())?)
        })
    }

    /// Writes down that the run's process comes to its end in good order, and what to do next. The phase stays.
    ///
    /// # Errors
    /// If there is no such run, or the journal cannot be written.
    pub fn finish(&mut self, run: &str, outcome: &str, advice: Option<&str>, at: &str) -> Result<()> {
        self.change(Lasting::Always, |change| {
            let query = "UPDATE runs SET ended = ?2, outcome = ?3, advice = ?4 WHERE id = ?1";
            if change.execute(query, params![run, at, outcome, advice])? == 0 {
                return Err(no_run(run).into());
            }
            Ok(chain::append(change, at, Some(run), "end", &json!({ "outcome": outcome }).to_string())?)
        })
    }

    /// Writes an entry into the audit trail. `detail` shows no secret.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn audit(&mut self, run: Option<&str>, event: &str, detail: &Value, at: &str) -> Result<()> {
        self.change(Lasting::Always, |change| Ok(chain::append(change, at, run, event, &detail.to_string())?))
    }

    /// Looks at the whole audit trail.
    ///
    /// # Errors
    /// If the journal cannot be read. A broken trail is an answer.
    pub fn audit_verify(&self) -> Result<Audited> {
        chain::verify(&self.connection).map_err(|it| self.failed(&it))
    }

    /// The entries of the audit trail, of one run or all, the first one first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn events(&self, run: Option<&str>) -> Result<Vec<Event>> {
        let query = "SELECT seq, at, run, event, detail, hash FROM audit WHERE ?1 IS NULL OR run = ?1 ORDER BY seq";
        self.list(query, [run], |it| {
            // A trail that somebody damaged is shown as well as it can be.
            let text =
                |place| Ok::<_, rusqlite::Error>(it.get_ref(place)?.as_bytes_or_null()?.map(String::from_utf8_lossy));
            let told = |place| text(place).map(|it| it.unwrap_or_default().into_owned());
            Ok(Event {
                entry: counted(it.get(0)?),
                at: told(1)?,
                run: text(2)?.map(Cow::into_owned),
                event: told(3)?,
                detail: told(4)?,
                hash: told(5)?,
            })
        })
    }

    /// Reads several things of one and the same moment, although another process writes meanwhile. It is not called within itself.
    ///
    /// # Errors
    /// If the journal cannot be read, or `read` fails.
    pub fn moment<T>(&self, read: impl FnOnce(&State) -> Result<T>) -> Result<T> {
        // Whatever is read within a transaction is as it was when the first of it was read.
        let _held = self.connection.unchecked_transaction().map_err(|it| self.failed(&it))?;
        read(self)
    }

    /// The run of that name.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn run(&self, id: &str) -> Result<Option<RunRecord>> {
        let found = self.list(&format!("SELECT {RUN} FROM runs WHERE id = ?1"), [id], record)?;
        Ok(found.into_iter().next())
    }

    /// All runs, the last one first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn runs(&self) -> Result<Vec<RunRecord>> {
        self.list(&format!("SELECT {RUN} FROM runs ORDER BY number DESC"), [], record)
    }

    /// The run of that plan that began last.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn last_run(&self, plan: &str) -> Result<Option<RunRecord>> {
        let query = format!("SELECT {RUN} FROM runs WHERE plan = ?1 ORDER BY number DESC LIMIT 1");
        Ok(self.list(&query, [plan], record)?.into_iter().next())
    }

    /// What a run has to do in each of its tables, in the order in which they were told.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn tables(&self, run: &str) -> Result<Vec<TableCounts>> {
        let query = "SELECT name, inserts, updates, deletes, skips, conflicts, rejects, done_rows, batches FROM tables
                     WHERE run = ?1 ORDER BY rowid";
        self.list(query, [run], |it| {
            let count = |place| it.get(place).map(counted);
            Ok(TableCounts {
                name: it.get(0)?,
                inserts: count(1)?,
                updates: count(2)?,
                deletes: count(3)?,
                skips: count(4)?,
                conflicts: count(5)?,
                rejects: count(6)?,
                done_rows: count(7)?,
                batches: count(8)?,
            })
        })
    }

    /// What was chosen for a row in a run, so that nobody is asked twice.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn decision(&self, run: &str, table: &str, key: &str, kind: &str) -> Result<Option<String>> {
        let query = "SELECT choice FROM decisions WHERE run = ?1 AND tbl = ?2 AND key = ?3 AND kind = ?4";
        Ok(self.list(query, [run, table, key, kind], |it| it.get(0))?.into_iter().next())
    }

    /// What was decided in a run, without keys, and how often.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn decisions(&self, run: &str) -> Result<Vec<(Decision, u64)>> {
        let query = "SELECT tbl, kind, choice, by, count(*) FROM decisions WHERE run = ?1 GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";
        self.list(query, [run], |it| {
            let (table, kind, choice, by) = (it.get(0)?, it.get(1)?, it.get(2)?, it.get(3)?);
            Ok((Decision { table, key: String::new(), kind, choice, by }, counted(it.get(4)?)))
        })
    }

    fn change(
        &mut self,
        lasting: Lasting,
        make: impl FnOnce(&Transaction<'_>) -> std::result::Result<(), Failure>,
    ) -> Result<()> {
        let synchronous = if lasting == Lasting::Always { "FULL" } else { "NORMAL" };
        let run = || {
            self.connection.pragma_update(None, "synchronous", synchronous)?;
            let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            make(&change)?;
            Ok(change.commit()?)
        };
        let done: std::result::Result<(), Failure> = run();
        done.map_err(|it| match it {
            Failure::Sql(it) => self.failed(&it),
            Failure::Own(it) => it,
        })
    }

    fn list<T>(
        &self,
        query: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let run = || self.connection.prepare_cached(query)?.query_map(parameters, read)?.collect();
        let rows: rusqlite::Result<Vec<T>> = run();
        rows.map_err(|it| self.failed(&it))
    }

    fn failed(&self, error: &rusqlite::Error) -> Error {
        failed(&self.folder.join(JOURNAL), error)
    }
}

fn no_run(run: &str) -> Error {
    Error::new(Kind::Broken, format_args!("the journal knows no run `{run}`; please report this defect"))
}

fn record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    Ok(RunRecord {
        id: row.get(0)?,
        continues: row.get(1)?,
        plan: row.get(2)?,
        plan_hash: row.get(3)?,
        source: row.get(4)?,
        source_fingerprint: row.get(5)?,
        target: row.get(6)?,
        target_fingerprint: row.get(7)?,
        phase: phase_of(row, 8)?,
        started: row.get(9)?,
        ended: row.get(10)?,
        outcome: row.get(11)?,
        advice: row.get(12)?,
        by: String::new(),
    })
}

fn phase_of(row: &Row<'_>, place: usize) -> rusqlite::Result<Phase> {
    let name: String = row.get(place)?;
    let unknown = || {
        let why = format!("there is no phase `{name}`").into();
        rusqlite::Error::FromSqlConversionFailure(place, rusqlite::types::Type::Text, why)
    };
    Phase::parse(&name).ok_or_else(unknown)
}

/// SQLite counts to 2^63 - 1, which no count of rows reaches.
fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn counted(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
