//! An account at Cloudflare, reached over its REST interface: what D1 and Workers KV share.

use super::{
    Options,
    pace::Supply,
    web::{Advice, Answer, Request, Web, encoded},
};
use crate::error::Result;
use secrecy::SecretString;
use serde::Deserialize;

/// One account.
pub(super) struct Account {
    web: Web,
    /// Its path below the address of the interface.
    path: String,
    /// Nothing, where somebody said how fast the service may be asked.
    supply: Option<Supply>,
}

/// What an answer says of itself.
#[derive(Default, Deserialize)]
pub(super) struct Envelope {
    pub(super) success: Option<bool>,
    errors: Option<Vec<Fault>>,
}

/// What went wrong, in the service's words.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Fault {
    #[serde(default)]
    pub(super) code: i64,
    #[serde(default)]
    pub(super) message: String,
}

/// Where the interface is.
const API: &str = "https://api.cloudflare.com/client/v4";

impl Account {
    /// The account that the settings of a store of that kind name, or the environment in their stead.
    ///
    /// # Errors
    /// If the account or the token is not said, or cannot be used.
    pub(super) fn open(kind: &str, options: &Options) -> Result<Account> {
        let settings = &options.settings;
        let account = settings.required(kind, "account", &["CLOUDFLARE_ACCOUNT_ID", "CF_ACCOUNT_ID"])?;
        let token = settings.required(kind, "token", &["CLOUDFLARE_API_TOKEN", "CF_API_TOKEN"])?;
        let base = settings.or_variable("api", &["CLOUDFLARE_API_BASE_URL"]).unwrap_or_else(|| API.to_owned());
        let web = Web::new(base.trim_end_matches('/'), Some(&SecretString::from(token)), options)?;
        let supply = options.rate.is_none().then(|| options.supply.clone());
        Ok(Account { web, path: format!("/accounts/{}", encoded(&account)), supply })
    }

    /// The path of something that belongs to the account.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("{}{rest}", self.path)
    }

    /// Asks when it is time, as [`Web::send`] does.
    ///
    /// # Errors
    /// As there.
    pub(super) fn send(&self, request: &Request<'_>, advice: &dyn Fn(&Answer) -> Advice) -> Result<Answer> {
        if let Some(supply) = &self.supply {
            supply.wait();
        }
        self.web.send(request, advice)
    }
}

impl Envelope {
    /// What went wrong; of several things the first, of none an empty one.
    pub(super) fn fault(&self) -> Fault {
        self.faults().first().cloned().unwrap_or_default()
    }

    /// All that went wrong.
    pub(super) fn faults(&self) -> &[Fault] {
        self.errors.as_deref().unwrap_or_default()
    }

    /// Whether something went wrong, whatever the status is.
    pub(super) fn has_failed(&self) -> bool {
        self.success == Some(false) || !self.faults().is_empty()
    }
}
