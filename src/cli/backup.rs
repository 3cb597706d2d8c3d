//! `backup`: snapshots that count only after they were read back.

use super::{
    args::{Cli, Format, Means},
    clock,
    connection::document_text,
    exit, inspect, options, output,
    progress::{self, Progress},
    quoted, stores, usage,
};
use crate::{
    error::{Error, Kind, Result},
    plan::Plan,
    report::{escape, layout},
    run::{
        Run, Watch,
        backup::{self, Backup, Checked, Entry, Manifest, PlanFile, Request, export, seal::Secret},
        prepare::Opened,
        state::FOLDER,
    },
    snapshot::Store,
};
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The version of what `list --format json` and `prune` write.
const LIST: &str = "cutover-backups/1";

/// The variable that may hold a passphrase.
const PASSPHRASE: &str = "CUTOVER_PASSPHRASE";

/// How large the file of a secret may be.
const SECRET_MAX: u64 = 64 << 10;

/// `cutover backup`.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Take a backup of a store, and read it back.
    #[command(after_help = "\
Examples:
  cutover backup create                    the source of cutover.toml in this folder
  cutover backup create prod.toml --target what is about to be written to
  cutover backup create env:DATABASE_URL --encrypt
  cutover backup create edge-config:ecfg_1 --format json --folder data/backups

The path of the backup is printed; its last part is its id. A backup holds every table, with nothing
masked. It is compared with the store row by row before it counts, unless --quick says otherwise.")]
    Create(Create),
    /// Say which backups there are, the newest first.
    #[command(after_help = "\
Examples:
  cutover backup list
  cutover backup list --format json")]
    List(List),
    /// Show what a backup says about itself.
    #[command(after_help = "\
Example:
  cutover backup show 2026-01-18T09-30-00Z")]
    Show(ShowBackup),
    /// Read all of a backup, and say whether it is what was written.
    #[command(after_help = "\
Examples:
  cutover backup verify 2026-01-18T09-30-00Z
  cutover backup verify --all --passphrase-file secret.txt

The exit code is 0 when each of them is whole, 2 otherwise.")]
    Verify(VerifyBackup),
    /// Write the rows of a backup back into the store that it is of.
    #[command(after_help = "\
Examples:
  cutover backup restore 2026-01-18T09-30-00Z            what would be written
  cutover backup restore 2026-01-18T09-30-00Z --confirm  and then it is, and is proved

Rows that differ from the backup are overwritten, rows that are gone come back, and rows that only the
store has stay. It is a run as `cutover migrate` makes one, so `cutover rollback` undoes it.")]
    Restore(super::migrate::restore::RestoreArgs),
    /// Remove old backups, but never the newest one of a store.
    #[command(after_help = "\
Examples:
  cutover backup prune                     what would go
  cutover backup prune --days 7 --confirm  and then it goes")]
    Prune(Prune),
}

/// Where backups are.
#[derive(Debug, Args)]
struct Home {
    /// The folder that holds the backups: `.cutover/backups` beside the plan, if not said.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// What opens what is sealed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Encryption")]
pub(super) struct Secrets {
    /// A file that holds the passphrase on its first line. If neither this nor a key file is given, the passphrase is that of
    /// the variable CUTOVER_PASSPHRASE, or is asked for on the terminal.
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    passphrase_file: Option<PathBuf>,
    /// A file that holds a key of 32 bytes, as they are, in hexadecimal or in base64.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// Whether and with what a backup is sealed.
#[derive(Debug, Args)]
pub(super) struct Sealing {
    /// Encrypt the backup, with a passphrase or a key file. Naming a file with either says so too.
    #[arg(long, help_heading = "Encryption")]
    encrypt: bool,
    #[command(flatten)]
    secrets: Secrets,
}

#[derive(Debug, Args)]
struct Create {
    /// The plan (.toml), `cutover.toml` if not said, or a store.
    #[arg(value_name = "PLAN | STORE", default_value = "cutover.toml")]
    of: String,
    /// The source of the plan. This is what is taken if nothing is said.
    #[arg(long, conflicts_with = "target")]
    source: bool,
    /// The target of the plan.
    #[arg(long)]
    target: bool,
    /// What to write: a snapshot, or plain JSON that other programs read.
    #[arg(long, value_name = "FORMAT", default_value = "snapshot")]
    format: Kept,
    /// Read the backup back, but do not compare it with the store.
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    home: Home,
    #[command(flatten)]
    sealing: Sealing,
    #[command(flatten)]
    means: Means,
    /// Say nothing but the path, and errors.
    #[arg(long, short)]
    quiet: bool,
}

/// What `create` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kept {
    /// A snapshot and a manifest.
    Snapshot,
    /// One file of keys and values, or a folder with a file for each table. It has no id, and nothing restores it.
    Json,
}

#[derive(Debug, Args)]
struct List {
    /// The plan beside which the backups are.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// How to write it. As JSON it has the format `cutover-backups/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    #[command(flatten)]
    home: Home,
}

#[derive(Debug, Args)]
struct ShowBackup {
    /// Its id, or the path of its folder.
    id: String,
    /// How to write it. As JSON it is the manifest, of the format `cutover-backup/1`.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    #[command(flatten)]
    home: Home,
}

#[derive(Debug, Args)]
struct VerifyBackup {
    /// Its id, or the path of its folder.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<String>,
    /// Every backup of the folder.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    home: Home,
    #[command(flatten)]
    secrets: Secrets,
}

#[derive(Debug, Args)]
struct Prune {
    /// The plan beside which the backups are.
    #[arg(default_value = "cutover.toml")]
    plan: PathBuf,
    /// How many days a backup is kept.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=36_500))]
    days: u32,
    /// Remove them. Without this they are only listed.
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    home: Home,
}

pub(super) fn run(args: &BackupArgs, cli: &Cli) -> Result<u8> {
    match &args.verb {
        Verb::Create(it) => create(it, cli),
        Verb::List(it) => list(it),
        Verb::Show(it) => show(it),
        Verb::Verify(it) => verify(it),
        Verb::Prune(it) => prune(it),
        Verb::Restore(it) => super::migrate::restore::restore(it, cli),
    }
}

/// The store that is to be backed up.
struct Subject {
    opened: Opened,
    fingerprint: String,
    plan: Option<PlanFile>,
    /// The plan's folder.
    folder: PathBuf,
}

fn create(args: &Create, cli: &Cli) -> Result<u8> {
    if args.sealing.is_wanted() && args.format == Kept::Json {
        return Err(usage("an export as JSON is not encrypted; leave out --format json, or what encrypts it"));
    }
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let Subject { mut opened, fingerprint, plan, folder } = subject(args, cli)?;
    let secret = args.sealing.secret()?;
    let home = match &args.home.folder {
        Some(it) => {
            backup::ensure_chosen(it)?;
            it.clone()
        }
        None => backup::ensure(&folder.join(FOLDER))?,
    };
    let run = options::run(&args.means, Arc::clone(&watch));
    let store = Store { kind: opened.name.kind.clone(), name: opened.name.name.clone() };
    let progress = Progress::start(&watch, args.quiet);
    let made = if args.format == Kept::Json {
        let made = export::export(&run, &home, opened.store.as_mut(), &store, clock::now()?);
        made.map(|it| (it.path, it.tables, None))
    } else {
        let check = if args.quick { Checked::ReadBack } else { Checked::Compared };
        let (why, secret) = ("by hand".to_owned(), secret.as_ref());
        let request = Request { store, fingerprint, plan, why, now: clock::now()?, check, secret };
        let made = backup::create(&run, &home, opened.store.as_mut(), request);
        made.map(|it| (it.folder, it.manifest.tables, Some(it.id)))
    };
    drop(progress);
    let (path, tables, id) = made?;
    output::print(format!("{}\n", path.display()).as_bytes())?;
    inspect::say_partial(&tables);
    if !args.quiet {
        let rows = tables.iter().map(|it| it.rows).sum();
        let checked = if args.quick && id.is_some() { "read back" } else { "compared with the store" };
        let next = id.map(|_| format!("; later: cutover backup verify {}", quoted(&path.display().to_string())));
        let (rows, tables) = (layout::count(rows), tables.len());
        output::say(&format!("{rows} rows of {tables} tables, {checked}{}", next.unwrap_or_default()));
    }
    Ok(exit::PASS)
}

fn subject(args: &Create, cli: &Cli) -> Result<Subject> {
    let options = options::store(&args.means.asking);
    let path = Path::new(&args.of);
    if path.extension().is_none_or(|it| it != "toml") {
        if args.source || args.target {
            return Err(usage("--source and --target are of a plan, and a store was named"));
        }
        let opened = stores::open(&args.of, &options)?;
        let fingerprint = fingerprint(&opened, Path::new(&opened.name.name));
        return Ok(Subject { opened, fingerprint, plan: None, folder: PathBuf::new() });
    }
    let colour = output::colours(cli.color, std::io::stderr().is_terminal());
    let (plan, _) = stores::read_plan(path, colour)?;
    let endpoint = if args.target { &plan.target } else { &plan.source };
    let opened = stores::of_plan(&plan, endpoint, &options)?;
    let place = endpoint.path.as_ref().map(|it| plan.resolve(it)).unwrap_or_default();
    let fingerprint = fingerprint(&opened, &place);
    let Plan { path: name, hash, .. } = plan;
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    Ok(Subject { opened, fingerprint, plan: Some(PlanFile { path: name, hash }), folder })
}

/// What tells a store from every other one: its kind, and where it lies on this machine or what it is called.
fn fingerprint(opened: &Opened, path: &Path) -> String {
    let place = fs::canonicalize(path).map_or_else(|_| opened.name.name.clone(), |it| it.display().to_string());
    format!("{} {place}", opened.name.kind)
}

fn list(args: &List) -> Result<u8> {
    let (home, now) = (args.home.beside(&args.plan), clock::now()?);
    let entries = backup::list(&home)?;
    if args.format == Format::Json {
        return print_json(&entries, json!({}));
    }
    output::print(table(&entries, now).as_bytes())?;
    if entries.is_empty() {
        output::say(&format!("there are no backups in {}", home.display()));
    }
    for (entry, fault) in entries.iter().filter_map(|it| Some((it, it.fault.as_ref()?))) {
        output::say(&escape::message(&format!("{}: {fault}", entry.id)));
    }
    Ok(exit::PASS)
}

fn print_json(entries: &[Entry], more: Value) -> Result<u8> {
    let mut document = json!({ "format": LIST, "backups": entries.iter().map(entry_json).collect::<Vec<_>>() });
    if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
        document.extend(more);
    }
    output::print(document_text(&document)?.as_bytes())?;
    Ok(exit::PASS)
}

fn entry_json(entry: &Entry) -> Value {
    let manifest = entry.manifest.as_ref();
    json!({
        "id": entry.id,
        "created": entry.created.to_string(),
        "store": manifest.map(|it| json!({ "kind": it.store.kind, "name": it.store.name })),
        "why": manifest.map(|it| it.why.as_str()),
        "tables": manifest.map(|it| it.tables.len()),
        "rows": manifest.map(Manifest::rows),
        "bytes": entry.bytes,
        "encrypted": manifest.map(|it| it.sealed.is_some()),
        "complete": entry.fault.is_none(),
        "fault": entry.fault,
    })
}

/// A line for each backup.
fn table(entries: &[Entry], now: Timestamp) -> String {
    let head = ["ID", "STORE", "ROWS", "SIZE", "AGE", "ENCRYPTED", "COMPLETE"].map(str::to_owned).to_vec();
    let line = |it: &Entry| {
        let manifest = it.manifest.as_ref();
        let text = |text: fn(&Manifest) -> String| manifest.map_or_else(|| "?".to_owned(), text);
        vec![
            it.id.clone(),
            layout::cut(&escape::message(&text(|it| format!("{} {}", it.store.kind, it.store.name))), 60),
            text(|it| layout::count(it.rows())),
            size_text(it.bytes),
            age(it.created, now),
            text(|it| if it.sealed.is_some() { "yes" } else { "no" }.to_owned()),
            if it.fault.is_none() { "yes" } else { "no" }.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(entries.iter().map(line)).collect();
    if entries.is_empty() {
        return String::new();
    }
    let right = [false, false, true, true, true, false, false];
    let lines = layout::aligned(&rows, &right);
    lines.iter().map(|it| format!("{}\n", it.trim())).collect()
}

/// How long ago something was, in its largest unit.
fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs();
    match seconds {
        ..0 => "in the future".to_owned(),
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn size_text(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.iter().find(|it| bytes >= it.0);
    unit.map_or_else(|| format!("{bytes} B"), |it| format!("{:.1} {}", bytes as f64 / it.0 as f64, it.1))
}

fn show(args: &ShowBackup) -> Result<u8> {
    let (home, id) = args.home.named(&args.id);
    let entries = backup::list(&home)?;
    let entry = entries.into_iter().find(|it| it.id == id);
    let unknown = || {
        usage(format_args!(
            "there is no backup {id} in {}; `cutover backup list` shows those there are",
            home.display()
        ))
    };
    let entry = entry.ok_or_else(unknown)?;
    let Some(manifest) = &entry.manifest else {
        return Err(Error::new(Kind::Snapshot, entry.fault.unwrap_or_default()));
    };
    let text = match args.format {
        Format::Json => {
            let document = serde_json::to_value(manifest).map_err(|it| Error::new(Kind::Broken, it))?;
            document_text(&document)?
        }
        Format::Text => shown(&entry, manifest, clock::now()?),
    };
    output::print(text.as_bytes())?;
    match entry.fault {
        None => Ok(exit::PASS),
        Some(fault) => Err(Error::new(Kind::Snapshot, fault)),
    }
}

fn shown(entry: &Entry, manifest: &Manifest, now: Timestamp) -> String {
    let sealed =
        manifest.sealed.as_ref().map_or_else(|| "no".to_owned(), |it| format!("{}, with a {}", it.format, it.by));
    let checked = match manifest.checked {
        Checked::Compared => "read back and compared with the store, row by row",
        Checked::ReadBack => "read back",
    };
    let plan = manifest.plan.as_ref().map_or_else(|| "none".to_owned(), |it| format!("{} {}", it.path, it.hash));
    let facts = [
        ("store", format!("{} {}", manifest.store.kind, manifest.store.name)),
        ("fingerprint", manifest.fingerprint.clone()),
        ("plan", plan),
        ("created", format!("{}, {} ago, {}", manifest.created, age(entry.created, now), manifest.why)),
        ("checked", checked.to_owned()),
        ("encrypted", sealed),
        ("size", format!("{} in {} files", size_text(entry.bytes), manifest.files.len() + 1)),
        ("rows", format!("{} in {} tables", layout::count(manifest.rows()), manifest.tables.len())),
    ];
    let mut rows: Vec<Vec<String>> = facts.map(|it| vec![it.0.to_owned(), escape::message(&it.1)]).to_vec();
    rows.extend(manifest.tables.iter().map(|it| {
        let partial = it.partial.as_ref().map_or_else(String::new, |it| format!(", but maybe not all: {it}"));
        vec![String::new(), escape::message(&format!("{}: {}{partial}", it.name, layout::count(it.rows)))]
    }));
    let lines = layout::aligned(&rows, &[]);
    let lines: String = lines.iter().map(|it| format!("{}\n", it.trim_end())).collect();
    format!("{}\n{lines}", entry.id)
}

fn verify(args: &VerifyBackup) -> Result<u8> {
    let watch = Arc::new(Watch::default());
    progress::stop_on_signal(&watch)?;
    let run = Run { watch, ..Run::new(64 << 20, std::env::temp_dir()) };
    let (home, ids) = match &args.id {
        Some(id) => {
            let (home, id) = args.home.named(id);
            (home, vec![id])
        }
        None => {
            let home = args.home.beside(Path::new(""));
            let ids = backup::list(&home)?.into_iter().map(|it| it.id).collect();
            (home, ids)
        }
    };
    if ids.is_empty() {
        return Err(usage(format_args!("there are no backups in {}", home.display())));
    }
    let sealed = backup::list(&home)?;
    let sealed =
        sealed.iter().any(|it| ids.contains(&it.id) && it.manifest.as_ref().is_some_and(|it| it.sealed.is_some()));
    let secret = if sealed { args.secrets.secret()? } else { None };
    let mut code = exit::PASS;
    for id in &ids {
        match backup::verify(&run, &home, id, secret.as_ref()) {
            Ok(it) => {
                let rows = layout::count(it.rows());
                output::print(format!("{id}: whole, {rows} rows of {} tables\n", it.tables.len()).as_bytes())?;
            }
            Err(it) if it.kind() == Kind::Interrupted || args.id.is_some() => return Err(it),
            Err(it) => {
                let what = if it.kind() == Kind::Snapshot { "damaged" } else { "not verified" };
                output::print(format!("{id}: {what}\n").as_bytes())?;
                output::say(&escape::message(&it.to_string()));
                code = exit::UNDECIDED;
            }
        }
    }
    Ok(code)
}

fn prune(args: &Prune) -> Result<u8> {
    let (home, now) = (args.home.beside(&args.plan), clock::now()?);
    let pruned = backup::prune(&home, args.days, now, !args.confirm)?;
    output::print(table(&pruned.backups, now).as_bytes())?;
    let left: String = pruned.left.iter().map(|it| format!("{it}  left by a run that did not end\n")).collect();
    output::print(escape::message(left.trim_end()).as_bytes())?;
    if !left.is_empty() {
        output::print(b"\n")?;
    }
    let gone = pruned.backups.len() + pruned.left.len();
    let (what, hint) = match (args.confirm, gone) {
        (_, 0) => ("nothing is old enough to be removed", ""),
        (true, _) => ("removed", ""),
        (false, _) => ("would be removed", "; --confirm removes them"),
    };
    let count = if gone == 0 { String::new() } else { format!("{gone} ") };
    output::say(&format!("{count}{what}, {} stay{hint}", pruned.kept));
    Ok(exit::PASS)
}

impl Home {
    /// The folder of the backups beside that plan.
    fn beside(&self, plan: &Path) -> PathBuf {
        let own = || plan.parent().unwrap_or(Path::new("")).join(FOLDER).join("backups");
        self.folder.clone().unwrap_or_else(own)
    }

    /// The folder that holds a backup, and its id.
    fn named(&self, id: &str) -> (PathBuf, String) {
        let path = if self.folder.is_none() { Backup::split(Path::new(id)) } else { None };
        path.unwrap_or_else(|| (self.beside(Path::new("")), id.to_owned()))
    }
}

impl Sealing {
    /// Whether something asks for it.
    pub(super) fn is_wanted(&self) -> bool {
        self.encrypt || self.secrets.passphrase_file.is_some() || self.secrets.key_file.is_some()
    }

    /// What to seal a new backup with, if that is wanted.
    pub(super) fn secret(&self) -> Result<Option<Secret>> {
        self.is_wanted().then(|| self.secrets.new_secret()).transpose()
    }
}

impl Secrets {
    /// The secret that was given, if any was. On a terminal it is asked for.
    pub(super) fn secret(&self) -> Result<Option<Secret>> {
        if let Some(it) = self.given()? {
            return Ok(Some(it));
        }
        if !is_terminal() {
            return Ok(None);
        }
        ask("Passphrase: ").and_then(Secret::passphrase).map(Some)
    }

    /// The same, for what is going to be sealed.
    fn new_secret(&self) -> Result<Secret> {
        if let Some(it) = self.given()? {
            return Ok(it);
        }
        if !is_terminal() {
            let hint = format!("set {PASSPHRASE}, or name a file with --passphrase-file or --key-file");
            return Err(usage(format_args!("there is no passphrase, and no terminal to ask for one: {hint}")));
        }
        let (first, again) = (ask("New passphrase: ")?, ask("The same again: ")?);
        match first == again {
            true => Secret::passphrase(first),
            false => Err(usage("the two passphrases are not the same")),
        }
    }

    fn given(&self) -> Result<Option<Secret>> {
        if let Some(path) = &self.key_file {
            let secret = Secret::key_file(&read_secret(path)?);
            return secret.map(Some).map_err(|it| it.context(path.display()));
        }
        if let Some(path) = &self.passphrase_file {
            let text = String::from_utf8(read_secret(path)?);
            let text = text.map_err(|_| usage(format_args!("{}: the passphrase is not UTF-8", path.display())))?;
            let line = text.lines().next().unwrap_or_default().to_owned();
            return Secret::passphrase(line).map(Some).map_err(|it| it.context(path.display()));
        }
        #[expect(clippy::disallowed_methods, reason = "cli reads the environment")]
        let variable = std::env::var(PASSPHRASE).ok().filter(|it| !it.is_empty());
        variable.map(Secret::passphrase).transpose()
    }
}

fn is_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks on the terminal, where what is typed does not show.
fn ask(prompt: &str) -> Result<String> {
    rpassword::prompt_password(prompt)
        .map_err(|it| Error::new(Kind::File, format_args!("cannot ask for a passphrase: {it}")))
}

fn read_secret(path: &Path) -> Result<Vec<u8>> {
    let failed = |it: &dyn std::fmt::Display| usage(format_args!("{}: {it}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|it| failed(&it))?;
    file.take(SECRET_MAX + 1).read_to_end(&mut bytes).map_err(|it| failed(&it))?;
    if bytes.len() as u64 > SECRET_MAX {
        return Err(failed(&"it is larger than 64 KiB"));
    }
    Ok(bytes)
}
