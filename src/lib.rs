//! `cutover` proves that a data migration lost nothing.
//!
//! Whatever yields rows is a [`store::Source`]. [`run::prepare`] pairs two of them, by a plan or by names alone, into a
//! [`run::verify::Task`]; running it gives a [`report::Report`] with a verdict, exact counts and examples. Differences are
//! in the report. An [`error::Error`] means that something could not be compared.
//!
//! ```
//! use cutover::{
//!     gate::Verdict,
//!     plan::Policy,
//!     report::{StoreName, text},
//!     run::{Run, prepare::{self, Opened, Options}},
//!     schema::{Column, Table},
//!     store::memory::Memory,
//!     value::{Type, Value},
//! };
//!
//! let store = |name: &str, emails: [&'static str; 2]| {
//!     let mut users = Table::new("users");
//!     users.columns = vec![Column::new("id", Type::Int), Column::new("email", Type::Text)];
//!     users.key = vec![0];
//!     let rows = (1..).zip(emails).map(|(id, email)| [Value::Int(id), Value::Text(email)]);
//!     let name = StoreName { kind: "memory".into(), name: name.into() };
//!     Opened { store: Box::new(Memory::new().with(users, rows)), name }
//! };
//! let source = store("old", ["mira@example.test", "bo@example.test"]);
//! let target = store("new", ["mira@example.test", "bo@example.test "]);
//!
//! let mut task = prepare::diff(source, target, &Options::default(), Policy::default())?;
//! let report = task.run(&Run::new(64 << 20, std::env::temp_dir()), None)?;
//!
//! assert_eq!(report.verdict, Verdict::Fail);
//! assert_eq!(report.reasons, ["users: changed 1 > 0"]);
//! assert_eq!((report.totals.same, report.totals.changed), (1, 1));
//! println!("{}", text::text(&report, text::Style::default()));
//! # Ok::<(), cutover::error::Error>(())
//! ```
//!
//! Reading order is dependency order: a module uses only the ones above it (`tests/tidy.rs` checks that). `ARCHITECTURE.md`
//! says why they are as they are, `README.md` what the program does.

pub mod error;
pub mod disk;
pub mod value;
pub mod schema;
pub mod row;
pub mod plan;
pub mod snapshot;
pub mod sort;
pub mod ahead;
pub mod pairing;
pub mod transform;
pub mod diff;
pub mod store;
pub mod gate;
pub mod report;
pub mod run;
pub mod cli;
