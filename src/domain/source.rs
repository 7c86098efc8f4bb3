//! Sources: configured provider accounts that call us, and that we ask.

use std::time::Duration;

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
    /// What we ask the provider with; `None` where it is not asked with a key of ours.
    pub api_key: Option<Secret>,
    /// Where its API is, without a `/` at the end; `None` where neither the adapter nor the operator knows.
    pub base_url: Option<String>,
    /// Whether the provider is asked before an unsigned end is believed.
    pub confirm: Confirm,
    /// After this long `auto` tells an end unconfirmed if the provider cannot be asked.
    pub confirm_within: Duration,
    /// When its tasks are asked for.
    pub poll: Poll,
    /// Whether a client's own key is kept for the polls of its task.
    pub relay_keys: RelayKeys,
    /// Whether a file declares it; then it is changed only there, and its `base_url` may be anywhere.
    pub from_file: bool,
}

/// Whether the provider is asked before an unsigned end is believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Confirm {
    /// Where there is a key to ask with; told unconfirmed where it cannot be asked in time.
    #[default]
    Auto,
    /// Never told unless the provider confirms it.
    Always,
    /// Believed as it stands.
    Never,
}

impl Confirm {
    /// The word for it in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// When a source's tasks are asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct Poll {
    /// The first time, unless something better is known of how long it takes.
    pub after: Duration,
    /// Between two times.
    pub every: Duration,
    /// Then `task.overdue` is told.
    pub give_up_after: Duration,
    /// How many requests it is asked at most; `None` is what the adapter knows.
    pub pace: Option<Rate>,
    /// Whether the provider's own list is read for tasks of which nobody told us.
    pub discover: bool,
}

impl Default for Poll {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self { after: minutes(5), every: minutes(1), give_up_after: minutes(24 * 60), pace: None, discover: false }
    }
}

/// What becomes of the key with which a client relays, where the source has none of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RelayKeys {
    /// Kept encrypted until its task ends.
    #[default]
    Keep,
    /// Forgotten with the request.
    Forget,
}

impl RelayKeys {
    /// The word for it in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Forget => "forget",
        }
    }
}

impl Source {
    /// Which of its callback tokens this is, counted from 0. Each is compared in constant time.
    pub fn which_token(&self, token: &str) -> Option<usize> {
        let each = self.callback_tokens.iter().enumerate();
        each.fold(None, |found, (at, known)| if known.matches(token) { Some(at) } else { found })
    }

    /// Whether an unsigned end is only a hint, and the provider is asked.
    pub fn confirms(&self) -> bool {
        self.api_key.is_some() && self.base_url.is_some() && self.confirm != Confirm::Never
    }

    /// Whether the provider can be asked with our own key.
    pub fn can_ask(&self) -> bool {
        self.api_key.is_some() && self.base_url.is_some()
    }

    /// Whether a team may see it.
    pub fn is_visible_to(&self, team: &str) -> bool {
        self.teams.as_ref().is_none_or(|teams| teams.iter().any(|name| name == team))
    }
}
