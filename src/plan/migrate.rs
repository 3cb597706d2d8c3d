//! What a plan says about writing.

/// How `migrate` writes. The default is what holds where a plan says nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Migrate {
    /// Back the source up before anything is written.
    pub backup: bool,
    /// Rows in one batch. Nothing: as the target finds good.
    pub batch_size: Option<u64>,
    /// Connections that write at once, where the target can: to tables of which none refers to another, or to one that gets new rows.
    pub concurrency: u64,
    /// Seconds to wait between two batches.
    pub batch_delay: f64,
    /// How often a batch that could not be written is tried again.
    pub retries: u64,
    /// Seconds to wait before that, doubled each time.
    pub backoff: f64,
    /// Go on without rows that the mapping or the target refuses.
    pub skip_errors: bool,
    /// Undo a run that fails.
    pub auto_rollback: bool,
    /// The share of rows that may fail under `skip_errors`.
    pub rollback_threshold: f64,
    /// Keep what a failed run has written.
    pub preserve_partial: bool,
    /// Drop secondary indexes meanwhile and make them again.
    pub disable_indexes: bool,
    /// What to remember once a migration passed.
    pub reminders: Vec<String>,
}

/// Whose value of a column stays where rows are merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Merge {
    /// The source's where the target has none, else the target's.
    #[default]
    Fill,
    /// The source's.
    Source,
    /// The target's.
    Target,
}

impl Default for Migrate {
    fn default() -> Migrate {
        Migrate {
            backup: true,
            batch_size: None,
            concurrency: 2,
            batch_delay: 0.0,
            retries: 3,
            backoff: 1.0,
            skip_errors: false,
            auto_rollback: true,
            rollback_threshold: 0.1,
            preserve_partial: false,
            disable_indexes: false,
            reminders: Vec::new(),
        }
    }
}
