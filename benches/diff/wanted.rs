//! What a benchmark was asked for.

use std::{env, error::Error, path::PathBuf};

/// `[rows=1000000] [runs=5] [CASE…]` on the command line, and `CUTOVER` in the environment.
pub(crate) struct Wanted<C: 'static> {
    pub(crate) rows: Vec<u64>,
    pub(crate) runs: usize,
    pub(crate) cases: Vec<&'static C>,
    /// The program to measure.
    pub(crate) binary: PathBuf,
}

impl<C> Wanted<C> {
    /// Which of `all` cases, which `name` names, are to be measured, and how. Without any, it is all of them.
    #[expect(clippy::disallowed_methods, reason = "a benchmark is told by its environment what to measure")]
    pub(crate) fn read(
        arguments: &[&str],
        all: &'static [C],
        name: impl Fn(&C) -> &'static str,
    ) -> Result<Wanted<C>, Box<dyn Error>> {
        let binary = env::var_os("CUTOVER").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_cutover")), PathBuf::from);
        let mut wanted = Wanted { rows: vec![1_000_000], runs: 5, cases: Vec::new(), binary };
        for argument in arguments {
            if let Some(rows) = argument.strip_prefix("rows=") {
                wanted.rows = rows.split(',').map(str::parse).collect::<Result<_, _>>()?;
            } else if let Some(runs) = argument.strip_prefix("runs=") {
                wanted.runs = runs.parse()?;
            } else {
                let case = all.iter().find(|it| name(it) == *argument);
                wanted.cases.push(case.ok_or_else(|| format!("there is no case `{argument}`"))?);
            }
        }
        if wanted.cases.is_empty() {
            wanted.cases = all.iter().collect();
        }
        Ok(wanted)
    }
}
