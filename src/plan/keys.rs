//! Every key a plan may have: the one table behind both the parser and the schema for editors.

/// One key of a TOML table.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
    /// What it means, for editors.
    pub(super) about: &'static str,
}

/// What a value may be.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// The number 1.
    Version,
    /// A string, with variables.
    Text,
    /// A string that is not empty, with variables.
    Name,
    /// A string made of variables only.
    Secret,
    /// An address, where the password must be a variable.
    Url,
    /// The value of a header of HTTP. Where its name is that of a secret, a variable, or a word such as `Bearer` and one.
    Header,
    /// An IANA time zone or an offset.
    Zone,
    /// An RFC 3339 instant, as a string or a TOML date-time.
    Instant,
    /// `true` or `false`.
    Bool,
    /// `true`, where `false` would say nothing.
    True,
    /// A whole number from 0 on.
    Count,
    /// An exact decimal: a number, or a string that holds one.
    Decimal,
    /// A time such as `500ms`, `2s` or `1m`.
    Span,
    /// A string of one ASCII character.
    Byte,
    /// jq or SQL, without variables.
    Expression,
    /// A regular expression, without variables.
    Regex,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Different strings that are not empty, with variables.
    Texts,
    /// The same, at least one.
    SomeTexts,
    /// A list of `SomeTexts`.
    Groups,
    /// A program and its arguments, with variables.
    Command,
    /// Anything JSON can say.
    Any,
    /// Strings, numbers and booleans, at least one.
    Scalars,
    /// A table of names to strings, numbers and booleans, at least one.
    Map,
    /// A table with these keys.
    Table(&'static [Key]),
    /// A list of tables with these keys.
    Tables(&'static [Key]),
    /// A table whose keys are the reader's own names.
    Named(&'static Shape),
    /// Either of these, which differ in their TOML type.
    Either(&'static Shape, &'static Shape),
}

const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, required: false, about }
}

const fn required(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, required: true, about }
}

/// The stores a plan may name.
pub(super) const KINDS: &[&str] = &[
    "sqlite",
    "d1-export",
    "d1",
    "d1-local",
    "kv",
    "kv-local",
    "postgres",
    "edge-config",
    "edge-config-export",
    "local-storage",
    "json",
    "ndjson",
    "csv",
    "http",
    "snapshot",
];

/// Which keys a kind of store cannot do without.
pub(super) const NEEDS: &[(&str, &[&str])] = &[
    (
        "path",
        &[
            "sqlite",
            "d1-export",
            "d1-local",
            "kv-local",
            "edge-config-export",
            "local-storage",
            "json",
            "ndjson",
            "csv",
            "snapshot",
        ],
    ),
    ("url", &["http"]),
];

/// How a connection may be protected, from the best on.
const TLS: &[&str] = &["verify-full", "verify-ca", "require", "disable"];

/// Which keys mean something to some kinds of store only.
pub(super) const ONLY: &[(&str, &[&str])] =
    &[("null", &["csv"]), ("delimiter", &["csv"]), ("views", &["sqlite", "d1-export", "d1", "d1-local", "postgres"])];

/// The column types of a store.
pub(super) const TYPES: &[&str] = &[
    "bool",
    "int",
    "real",
    "decimal",
    "text",
    "bytes",
    "date",
    "time",
    "timestamp",
    "datetime",
    "uuid",
    "json",
    "any",
];

/// The column types of a rule: those of a store, and instants as numbers.
pub(super) const RULE_TYPES: &[&str] = &[
    "bool",
    "int",
    "real",
    "decimal",
    "text",
    "bytes",
    "date",
    "time",
    "timestamp",
    "datetime",
    "uuid",
    "json",
    "any",
    "epoch-s",
    "epoch-ms",
    "epoch-us",
];

/// Keys of a store that mean something to the plan itself. All others are passed on to the store as its settings.
pub(super) const OWN: &[&str] = &["kind", "path", "schema", "views", "null", "delimiter", "types"];

/// A whole plan.
pub(super) const ROOT: &[Key] = &[
    required("version", Shape::Version, "Version of the plan format: 1."),
    key("zone", Shape::Zone, "Time zone of timestamps that carry none: an IANA name or an offset. UTC if absent."),
    key("seed", Shape::Text, "What generated ids are derived from. \"cutover\" if absent."),
    key("instant", Shape::Instant, "The RFC 3339 instant that stands for \"now\" where a mapping makes a time up."),
    required("source", Shape::Table(ENDPOINT), "The store that rows come from."),
    required("target", Shape::Table(ENDPOINT), "The store where rows shall be."),
    key("table", Shape::Tables(TABLE), "How each target table comes to be."),
    key("check", Shape::Tables(CHECK), "Witnesses: independent questions that must have one answer."),
    key("gate", Shape::Table(GATE), "What still counts as a pass. Without it, no difference does."),
    key("migrate", Shape::Table(MIGRATE), "How `cutover migrate` writes."),
    key("hooks", Shape::Table(HOOKS), "Programs and addresses that are told of a run."),
    key("warm", Shape::Tables(WARM), "Requests made after a migration, so that a cache is filled."),
    key("query", Shape::Tables(QUERY), "Queries that are timed on both sides."),
    key("log", Shape::Table(LOG), "What is written down while a verb runs."),
];

pub(super) const ENDPOINT: &[Key] = &[
    required("kind", Shape::Word(KINDS), "What kind of store this is."),
    key("path", Shape::Name, "File or folder, from the plan's folder if relative."),
    key("schema", Shape::Name, "File with CREATE TABLE statements that the store has to agree with."),
    key("views", Shape::Bool, "Compare views like tables."),
    key("null", Shape::Text, "The CSV field that stands for NULL. Absent: no field does."),
    key("delimiter", Shape::Byte, "The character between CSV fields. A comma if absent."),
    key(
        "types",
        Shape::Named(&Shape::Named(&Shape::Word(TYPES))),
        "Column types by table and column, for stores that know none.",
    ),
    key("id", Shape::Name, "Identifier of the store at its vendor."),
    key("url", Shape::Url, "Address of the store. A password in it must be a variable."),
    key("token", Shape::Secret, "Access token: a variable, such as \"${API_TOKEN}\"."),
    key("password", Shape::Secret, "Password: a variable, such as \"${DB_PASSWORD}\"."),
    key("secret", Shape::Secret, "Shared secret: a variable."),
    key("api_key", Shape::Secret, "API key: a variable."),
    key("user", Shape::Name, "User to sign in as."),
    key("host", Shape::Name, "Host to connect to, or the folder of its socket."),
    key("port", Shape::Count, "Port to connect to."),
    key("account", Shape::Name, "Account that the store belongs to."),
    key("database", Shape::Name, "Database, by name or id."),
    key("namespace", Shape::Name, "Namespace, by id or title; where the store is local, by id or binding."),
    key("team", Shape::Name, "Team that the store belongs to."),
    key("api", Shape::Url, "Address of the vendor's interface, where it is not the usual one."),
    key("schemas", Shape::SomeTexts, "Database schemas to read. Those of the search path if absent."),
    key(
        "tls",
        Shape::Word(TLS),
        "How a connection is protected. \"verify-full\" if absent, also \"disable\" on one machine.",
    ),
    key("ca", Shape::Name, "File with the certificates of who may vouch for the server."),
    key("origin", Shape::Name, "Web origin whose data are read, such as \"https://example.com\"."),
    key("prefix", Shape::Text, "Only keys that begin with this."),
    key("include", Shape::SomeTexts, "Only keys that begin with one of these."),
    key("exclude", Shape::SomeTexts, "No keys that begin with one of these."),
    key("headers", Shape::Named(&Shape::Header), "Headers of every request, by name. A secret must be a variable."),
    key("rows", Shape::Text, "JSON pointer to the rows in an answer. Absent: the answer is the document."),
    key(
        "next_link",
        Shape::Name,
        "JSON pointer to the link to the next page, or \"Link\" for the header of that name.",
    ),
    key(
        "next_cursor",
        Shape::Named(&Shape::Name),
        "Parameter of the query for the next page, and the JSON pointer to what it gets.",
    ),
    key("import", Shape::Name, "Where the service takes rows: a path, or an address of the same origin."),
    key("page", Shape::Name, "Parameter of the query that counts pages from 1 until one is empty."),
    key("pages", Shape::Count, "Pages to read at most. More are an error. 10000 if absent."),
    key("deadline", Shape::Decimal, "Seconds that one request may take with all its attempts. 180 if absent."),
];

const TABLE: &[Key] = &[
    required("into", Shape::Name, "The target table."),
    key("from", Shape::Name, "The source table or collection. Absent: of the same name, or the only one."),
    key(
        "prefix",
        Shape::Either(&Shape::Name, &Shape::SomeTexts),
        "Only source rows whose key begins with this text, or with one of these. No character stands for others.",
    ),
    key("where", Shape::Expression, "jq on one source row that says whether it takes part."),
    key("each", Shape::Expression, "jq from one source row to any number of items."),
    key(
        "key",
        Shape::Texts,
        "Columns that identify a row. Absent: the schema's key. Empty: rows are compared whole, as a multiset.",
    ),
    key(
        "conflict",
        Shape::Word(&["stop", "skip", "overwrite", "merge", "newest", "ask"]),
        "What to do where the target holds another row under the same key. \"stop\" if absent.",
    ),
    key(
        "on_clash",
        Shape::Word(&["new-id"]),
        "\"new-id\": the first run that writes gives rows whose key belongs to another row of the target a new one, and \
         maps references to them too.",
    ),
    key("newest_by", Shape::Name, "The target's column of times by which `conflict = \"newest\"` decides."),
    key("dated", Shape::Name, "The source's column of times that `--since` and `--until` look at."),
    key(
        "columns",
        Shape::Named(&Shape::Either(&Shape::Expression, &Shape::Table(COLUMN))),
        "How each column is made: jq on the item, or rules. Absent: columns of the same names, cast by type.",
    ),
    key("unique", Shape::Groups, "Sets of columns that no two rows may share."),
    key("references", Shape::Tables(REFERENCE), "Columns that must find a row in another table."),
    key("index", Shape::Table(INDEX), "The source row that lists the ids of the records: it and they must agree."),
    key("expect", Shape::Name, "File of rows written by hand that the target must hold: a witness."),
    key(
        "inverse",
        Shape::Named(&Shape::Expression),
        "How columns of the source are made back from a target row: a witness.",
    ),
    key("command", Shape::Command, "A program that maps rows: NDJSON in, {\"table\":…,\"row\":{…}} lines out."),
];

const COLUMN: &[Key] = &[
    key("from", Shape::Expression, "jq on the item. Absent: the field that is called like the column."),
    key("default", Shape::Any, "Stands in where the value is missing or null."),
    key(
        "type",
        Shape::Word(RULE_TYPES),
        "The column's type, where the target's schema says nothing or something else.",
    ),
    key("map", Shape::Map, "Source value to target value. Strict: any other value is a reject."),
    key("required", Shape::Bool, "A missing, null or empty value is a reject."),
    key("matches", Shape::Regex, "A regular expression that the text must match."),
    key("min", Shape::Decimal, "Least value allowed."),
    key("max", Shape::Decimal, "Greatest value allowed."),
    key("one_of", Shape::Scalars, "The only values allowed."),
    key("trim", Shape::Bool, "Cut blanks off both ends."),
    key("strip_nul", Shape::Bool, "Drop NUL characters."),
    key("truncate", Shape::Word(super::Rule::UNITS), "Cut times to this unit on both sides. Needs `because`."),
    key("round", Shape::Count, "Round to this many decimals on both sides. Needs `because`."),
    key("ignore", Shape::Bool, "Do not compare this column. Needs `because`."),
    key("secret", Shape::Bool, "Mask the values in everything that is shown or stored."),
    key(
        "encrypt",
        Shape::Secret,
        "Encrypt the value with this key, a variable that holds 32 bytes in hexadecimal or base64. The column is secret, too.",
    ),
    key(
        "merge",
        Shape::Word(&["fill", "source", "target"]),
        "Whose value stays where `conflict = \"merge\"`: \"fill\" (if absent) takes the source's where the target has none.",
    ),
    key("generated", Shape::Word(&["ulid", "uuid"]), "Make the value up, from the item and the plan's seed."),
    key("because", Shape::Name, "Why the rule is right; the report repeats it."),
];

const INDEX: &[Key] = &[
    required("key", Shape::Name, "The key of the row that lists the ids."),
    key("ids", Shape::Expression, "jq from that row to the ids. \".value[]\" if absent."),
    key("record", Shape::Name, "What the key of a record has in front of its id. The table's `prefix` if absent."),
];

const REFERENCE: &[Key] = &[
    required("columns", Shape::SomeTexts, "Columns of this table."),
    required("table", Shape::Name, "The target table referred to."),
    key("to", Shape::SomeTexts, "Its columns, in the same order. Absent: its key."),
];

const CHECK: &[Key] = &[
    required("name", Shape::Name, "What reports call it."),
    key("table", Shape::Name, "The target table it vouches for."),
    key("source", Shape::Expression, "A question to the source: jq over its rows, or SQL."),
    key("target", Shape::Expression, "The same question to the target: jq over its rows, or SQL."),
    key("from", Shape::Name, "The collection that jq runs over. Absent: the only one."),
    key("expect", Shape::Any, "The answer, if it is known beforehand."),
    key("secret", Shape::Bool, "Mask the answers. If not said, those in words are masked where any column is secret."),
];

const MIGRATE: &[Key] = &[
    key("backup", Shape::Bool, "Back the source up before anything is written. true if absent."),
    key("batch_size", Shape::Count, "Rows in one batch. As the target finds good if absent."),
    key("batch_delay", Shape::Decimal, "Seconds to wait between two batches. 0 if absent."),
    key("retries", Shape::Count, "How often a batch that could not be written is tried again. 3 if absent."),
    key("backoff", Shape::Decimal, "Seconds to wait before that at least; doubled each time. 1 if absent."),
    key("skip_errors", Shape::Bool, "Go on without rows that the mapping or the target refuses. false if absent."),
    key("auto_rollback", Shape::Bool, "Undo a run that fails. true if absent."),
    key("rollback_threshold", Shape::Decimal, "The share of rows that may fail under `skip_errors`. 0.1 if absent."),
    key("preserve_partial", Shape::Bool, "Keep what a failed run has written. false if absent."),
    key(
        "concurrency",
        Shape::Count,
        "Connections that write at once, where the target is Postgres: to tables of which none refers to another, or to one that only gets new rows. 2 if absent.",
    ),
    key("disable_indexes", Shape::Bool, "Drop secondary indexes meanwhile and make them again. false if absent."),
    key("reminders", Shape::SomeTexts, "What to remember once a migration passed."),
];

const HOOK: Shape = Shape::Either(&Shape::Command, &Shape::Table(ADDRESS));

const HOOKS: &[Key] = &[
    key("before", HOOK, "Before the source is looked at. If it fails, nothing is written."),
    key("on_progress", HOOK, "Told how far a run is: a line of JSON, or a request, each time."),
    key("after", HOOK, "Told of a run that passed."),
    key("on_failure", HOOK, "Told of a run that did not pass."),
    key("on_change", HOOK, "Told when the verdict of `cutover watch` changes."),
    key("timeout", Shape::Span, "How long one of them may take. \"60s\" if absent."),
];

const ADDRESS: &[Key] = &[
    required("url", Shape::Url, "The address that is sent JSON. A secret in it must be a variable."),
    key("headers", Shape::Named(&Shape::Header), "Headers of the request, by name. A secret must be a variable."),
];

const WARM: &[Key] = &[
    required("name", Shape::Name, "What the run calls it."),
    required("url", Shape::Url, "The address that is asked. A secret in it must be a variable."),
    key("headers", Shape::Named(&Shape::Header), "Headers of each request, by name. A secret must be a variable."),
    key("times", Shape::Count, "How often it is asked. 2 if absent."),
    key("cached", Shape::Table(CACHED), "What an answer from the cache says. The usual headers of caches if absent."),
    key("must", Shape::Bool, "The run does not pass without it. false if absent."),
];

const CACHED: &[Key] = &[
    required("header", Shape::Name, "A header of the answer."),
    required("value", Shape::Name, "What it says where the answer comes from the cache."),
];

const QUERY: &[Key] = &[
    required("name", Shape::Name, "What reports call it."),
    key("source", Shape::Expression, "A question to the source: jq over its rows, or SQL."),
    required("target", Shape::Expression, "The same question to the target: jq over its rows, or SQL."),
    key("from", Shape::Name, "The collection that jq runs over. Absent: the only one."),
    key("runs", Shape::Count, "How often each side is asked; the median counts. 5 if absent."),
    key("faster", Shape::Decimal, "How many times faster than the source the target has to be."),
    key("within", Shape::Span, "How long the target may take, such as \"50ms\"."),
];

const LOG: &[Key] =
    &[key("folder", Shape::Name, "Folder for the four logs, from the plan's folder if relative. None if absent.")];

const LIMIT: Shape = Shape::Either(&Shape::Count, &Shape::Named(&Shape::Count));

const GATE: &[Key] = &[
    key("missing", LIMIT, "Rows the target may lack: a number for each table, or { table = number, \"*\" = number }."),
    key("extra", LIMIT, "Rows that only the target may have."),
    key("changed", LIMIT, "Rows that may differ."),
    key("duplicates", LIMIT, "Rows beyond the first under one key."),
    key("orphans", LIMIT, "Rows that refer to nothing."),
    key("clashes", LIMIT, "Rows that break a unique constraint."),
    key("rejects", LIMIT, "Source rows that the mapping refuses."),
    key("invalid", LIMIT, "Values that break their type or rule."),
    key(
        "allow_empty",
        Shape::Either(&Shape::True, &Shape::Texts),
        "Tables that may be empty on both sides; true for all.",
    ),
    key("leave", Shape::SomeTexts, "Rows of the source that no table takes, by what their key begins with."),
    key(
        "unselected",
        LIMIT,
        "Rows of a source table that no table takes. 0 if absent where a `prefix` selects, else any number.",
    ),
    key("unpaired", Shape::Texts, "Tables, or columns as table.column, that may stand on one side only."),
];
