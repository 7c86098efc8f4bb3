//! Ids made by us: a prefix that names the thing, and a UUID v7 in Crockford's base 32, so that they
//! sort by the time they were made.

use std::fmt;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use uuid::{ContextV7, Uuid};

use super::clock::Timestamp;

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// One counter for the whole process, so that two ids of the same millisecond sort as they were made.
static ORDER: Mutex<ContextV7> = Mutex::new(ContextV7::new());

fn time_ordered(prefix: &str, now: Timestamp) -> String {
    let millis = now.0.max(0).unsigned_abs();
    let nanos = u32::try_from(millis % 1000).unwrap_or_default() * 1_000_000;
    let order = ORDER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let stamp = uuid::Timestamp::from_unix(&*order, millis / 1000, nanos);
    let bits = Uuid::new_v7(stamp).as_u128();
    let mut text = String::with_capacity(prefix.len() + 26);
    text.push_str(prefix);
    for shift in (0..26).rev() {
        text.push(char::from(CROCKFORD[((bits >> (shift * 5)) & 31) as usize]));
    }
    text
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// A new one; later ones sort after it.
            pub fn new(now: Timestamp) -> Self {
                Self(time_ordered($prefix, now))
            }

            /// One that was made before, as it was stored.
            pub fn stored(text: String) -> Self {
                Self(text)
            }

            /// As text, with its prefix.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// A callback: `cb_…`.
    CallbackId = "cb_";
    /// An event: `evt_…`.
    EventId = "evt_";
    /// A delivery: `dlv_…`.
    DeliveryId = "dlv_";
    /// An attempt: `att_…`.
    AttemptId = "att_";
    /// A question to a provider, and its answer: `pol_…`.
    PollId = "pol_";
    /// A relayed request that makes a task: `int_…`.
    IntentId = "int_";
    /// A subscription: `sub_…`.
    SubscriptionId = "sub_";
    /// A replay: `rpl_…`.
    ReplayId = "rpl_";
    /// An API key: `key_…`.
    KeyId = "key_";
    /// A change that somebody made: `aud_…`.
    AuditId = "aud_";
    /// Our own id of a task, which orders tasks by when we first knew of them: `tsk_…`.
    TaskKey = "tsk_";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_as_they_were_made_even_within_a_millisecond() {
        let now = Timestamp(1_757_169_743_120);
        let made: Vec<EventId> = (0..1000).map(|_| EventId::new(now)).collect();
        assert!(made.is_sorted());
        assert!(made[0].as_str().starts_with("evt_"));
        assert_eq!(made[0].as_str().len(), 30);
        assert!(EventId::new(Timestamp(now.0 + 1)) > made[999]);
    }
}
