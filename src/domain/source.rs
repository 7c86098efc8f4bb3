//! Sources: configured provider accounts that call us.

use super::pace::Rate;
use super::secret::Secret;

/// One configured provider account.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, part of the callback URL.
    pub name: String,
    /// The provider behind it, one of `providers::PROVIDERS`.
    pub provider: String,
    /// The unguessable part of the callback URL; several while rotating, the first is the one shown.
    pub callback_tokens: Vec<Secret>,
    /// What the provider signs with; several while rotating, none where it does not sign.
    pub signing_secrets: Vec<Secret>,
    /// Which teams may see it; `None` is all.
    pub teams: Option<Vec<String>>,
    /// How many callbacks it may post; `None` is no limit.
    pub rate: Option<Rate>,
}

impl Source {
    /// Whether `token` is one of its callback tokens. Each is compared in constant time.
    pub fn has_token(&self, token: &str) -> bool {
        self.callback_tokens.iter().fold(false, |found, known| found | known.matches(token))
    }

    /// Whether a team may see it.
    pub fn is_visible_to(&self, team: &str) -> bool {
        self.teams.as_ref().is_none_or(|teams| teams.iter().any(|name| name == team))
    }
}
