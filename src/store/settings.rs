//! What a live store has to be told: by the plan, the command line, or the environment.

use crate::{
    error::{Error, Kind, Result},
    plan::Setting,
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Looks a variable up.
pub type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The settings of one store, and where those that are not given are looked up.
///
/// ```
/// use cutover::{plan::Setting, store::settings::Settings};
/// use std::{collections::BTreeMap, sync::Arc};
///
/// let given = BTreeMap::from([("database".to_owned(), Setting::Text("shop".to_owned()))]);
/// let variables = Arc::new(|name: &str| (name == "PGUSER").then(|| "mira".to_owned()));
/// let settings = Settings::new(given, variables);
/// assert_eq!(settings.text("database"), Some("shop"));
/// assert_eq!(settings.or_variable("user", &["PGUSER"]).as_deref(), Some("mira"));
/// ```
#[derive(Clone, Default)]
pub struct Settings {
    given: BTreeMap<String, Setting>,
    lookup: Option<Lookup>,
}

impl Settings {
    /// What is given goes before what `lookup` finds.
    pub fn new(given: BTreeMap<String, Setting>, lookup: Lookup) -> Settings {
        Settings { given, lookup: Some(lookup) }
    }

    /// The same place to look up, with other settings.
    #[must_use]
    pub fn with(&self, given: BTreeMap<String, Setting>) -> Settings {
        Settings { given, lookup: self.lookup.clone() }
    }

    /// A setting that is one text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.given.get(name).and_then(Setting::text)
    }

    /// A setting that is a list; nothing if it is not there.
    pub fn texts(&self, name: &str) -> &[String] {
        match self.given.get(name) {
            Some(Setting::Texts(all)) => all,
            _ => &[],
        }
    }

    /// A setting that is a table of names and texts; nothing if it is not there.
    pub fn named(&self, name: &str) -> &[(String, String)] {
        match self.given.get(name) {
            Some(Setting::Named(all)) => all,
            _ => &[],
        }
    }

    /// A variable of the environment or of the plan's `.env`, if it is set and not empty.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.lookup.as_ref().and_then(|it| it(name)).filter(|it| !it.is_empty())
    }

    /// A setting that is one text, or else the first of these variables that is set.
    pub fn or_variable(&self, name: &str, variables: &[&str]) -> Option<String> {
        let given = self.text(name).map(str::to_owned);
        given.or_else(|| variables.iter().find_map(|it| self.variable(it)))
    }

    /// The same, for what a store cannot do without.
    ///
    /// # Errors
    /// If it is nowhere.
    pub fn required(&self, kind: &str, name: &str, variables: &[&str]) -> Result<String> {
        self.or_variable(name, variables).ok_or_else(|| {
            let variables = variables.join(" or ");
            Error::new(Kind::Plan, format_args!("{kind}: no {name}; set {variables}, or `{name}` in the plan"))
        })
    }

    /// Refuses settings that select keys, for a store that hands out all of them: to pass over them would be to compare
    /// something else than was asked for.
    ///
    /// # Errors
    /// If one of them is there.
    pub fn select_nothing(&self, kind: &str) -> Result<()> {
        match ["prefix", "include", "exclude"].into_iter().find(|it| self.given.contains_key(*it)) {
            Some(name) => {
                let instead = "write `prefix` under [[table]], or `where`";
                Err(Error::new(Kind::Plan, format_args!("{kind}: `{name}` selects nothing here; {instead}")))
            }
            None => Ok(()),
        }
    }
}

/// Settings may hold secrets, so only their names are shown.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.given.keys()).finish()
    }
}
