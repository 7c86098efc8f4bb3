//! What is learned of a task, and how far it can be believed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::task::{Output, Status, TaskError, Usage};

/// What the user gave along with a task: string to string.
pub type Metadata = BTreeMap<String, String>;

/// How far an observation can be believed, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Trust {
    /// Whoever knows the URL can have sent it.
    Unsigned,
    /// It carries a secret that is not bound to what it says.
    SharedSecret,
    /// A signature covers the task id, not the body.
    SignedId,
    /// A signature covers every byte of the body, or the provider said it when asked.
    SignedBody,
}

impl Trust {
    /// Every degree there is, weakest first.
    pub const ALL: [Self; 4] = [Self::Unsigned, Self::SharedSecret, Self::SignedId, Self::SignedBody];

    /// The word for it in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::SharedSecret => "shared_secret",
            Self::SignedId => "signed_id",
            Self::SignedBody => "signed_body",
        }
    }
}

/// How we came to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// The provider posted it.
    Callback,
    /// The provider answered when asked.
    Poll,
    /// The provider answered the request that made the task.
    Relay,
}

impl Via {
    /// Every way there is.
    pub const ALL: [Self; 3] = [Self::Callback, Self::Poll, Self::Relay];

    /// The word for it, the same everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::Poll => "poll",
            Self::Relay => "relay",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|via| via.as_str() == word)
    }
}

/// Who gave the metadata, weakest first: a stronger one replaces a weaker one, the first of equals stays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(i64)]
pub enum MetadataOrigin {
    /// Nobody gave any.
    Absent = 0,
    /// The query of an unsigned callback URL.
    Url = 1,
    /// The query of a callback URL that we signed.
    SignedUrl = 2,
    /// The client that registered or relayed the task.
    Registered = 3,
}

impl MetadataOrigin {
    /// Reads its number back; an unknown one counts as absent.
    pub fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Url,
            2 => Self::SignedUrl,
            3 => Self::Registered,
            _ => Self::Absent,
        }
    }
}

/// Everything one message said of one task, in our words. Only the id and the status are certain.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Observation {
    /// The provider's id of the task, as given.
    pub task_id: String,
    /// The status it claims.
    pub status: Status,
    /// The model's name.
    pub model: Option<String>,
    /// Percent, 0 to 100.
    pub progress: Option<u8>,
    /// Results, partial ones too.
    pub outputs: Vec<Output>,
    /// Why it failed.
    pub error: Option<TaskError>,
    /// What it cost.
    pub usage: Option<Usage>,
    /// When the provider says it began.
    #[serde(default, with = "optional_time")]
    pub created_at: Option<Timestamp>,
    /// When the provider says it ended.
    #[serde(default, with = "optional_time")]
    pub completed_at: Option<Timestamp>,
    /// How long the provider says it will take, from its beginning.
    pub expected: Option<Duration>,
}

impl Observation {
    /// One that says nothing beyond an id and a status. NUL, which PostgreSQL cannot store in text,
    /// becomes U+FFFD here and in every text that an adapter sets through [`clean`].
    pub fn new(task_id: &str, status: Status) -> Self {
        Self {
            task_id: clean(task_id),
            status,
            model: None,
            progress: None,
            outputs: Vec::new(),
            error: None,
            usage: None,
            created_at: None,
            completed_at: None,
            expected: None,
        }
    }
}

/// `text` with every NUL replaced by U+FFFD.
pub fn clean(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// Where an observation comes from, and what is known beside what it says.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// How it reached us.
    pub via: Via,
    /// How far it can be believed.
    pub trust: Trust,
    /// What the user gave along.
    pub metadata: Metadata,
    /// Who gave that.
    pub metadata_origin: MetadataOrigin,
}

pub(super) mod optional_time {
    use super::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "the signature that serde asks for")]
    pub(in crate::domain) fn serialize<S: Serializer>(at: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
        at.serialize(s)
    }

    pub(in crate::domain) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<String>::deserialize(d)?.as_deref().and_then(Timestamp::parse))
    }
}
