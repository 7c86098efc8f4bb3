//! Ids made by us: a prefix that names the thing, and a UUID v7 in Crockford's base 32, so that they
//! sort by the time they were made.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};
use uuid::Builder;

use super::clock::Timestamp;

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// One counter for the whole process, so that two ids of the same millisecond sort as they were made. Only a clock
/// that is set back makes an older id of a later one: an id's time is always that of what it names, so that
/// moments are found by ids.
static ORDER: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(rand::random::<u32>() >> 1));

fn time_ordered(prefix: &str, now: Timestamp) -> String {
    let order = ORDER.fetch_add(1, Ordering::Relaxed);
    let mut bytes: [u8; 10] = rand::random();
    // UUID v7 leaves 12 bits, then 62: the first 32 of those are the counter, the rest stays random.
    let [_, high, middle, low] = order.to_be_bytes();
    bytes[0] = u8::try_from(order >> 28).unwrap_or_default();
    bytes[1] = u8::try_from((order >> 20) & 0xff).unwrap_or_default();
    bytes[2] = (high << 2 | middle >> 6) & 0x3f;
    bytes[3] = middle << 2 | low >> 6;
    bytes[4] = low << 2 | bytes[4] & 3;
    let uuid = Builder::from_unix_timestamp_millis(now.0.max(0).unsigned_abs(), &bytes).into_uuid();
    spelled(prefix, uuid.as_u128())
}

/// The smallest id of this moment: whatever was made before sorts below it, whatever later above.
fn first_of(prefix: &str, at: Timestamp) -> String {
    // The first 48 of a UUID's 128 bits are the time in milliseconds.
    let bits = u128::from(at.0.max(0).unsigned_abs()) << 80;
    spelled(prefix, bits)
}

fn spelled(prefix: &str, bits: u128) -> String {
    let mut text = String::with_capacity(prefix.len() + 26);
    text.push_str(prefix);
    for shift in (0..26).rev() {
        text.push(char::from(CROCKFORD[((bits >> (shift * 5)) & 31) as usize]));
    }
    text
}

/// When an id was made. `None` for what is none.
fn made_at(prefix: &str, id: &str) -> Option<Timestamp> {
    let digits = id.strip_prefix(prefix).filter(|digits| digits.len() == 26)?;
    let bits = digits.bytes().try_fold(0_u128, |bits, digit| {
        let value = CROCKFORD.iter().position(|known| *known == digit)?;
        // 26 digits have room for 130 bits; an id has 128.
        (bits >> 123 == 0).then_some(bits << 5 | value as u128)
    })?;
    i64::try_from(bits >> 80).ok().map(Timestamp)
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

            /// The bound of this moment: those made before it sort below, those made then or later above.
            pub fn first_of(at: Timestamp) -> Self {
                Self(first_of($prefix, at))
            }

            /// When an id was made, as it says itself. `None` for a text that cannot be one.
            pub fn made_at(id: &str) -> Option<Timestamp> {
                made_at($prefix, id)
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
        assert!(EventId::first_of(now) <= made[0] && EventId::first_of(Timestamp(now.0 + 1)) > made[999]);
    }

    #[test]
    fn an_id_has_the_time_it_was_made_for_whatever_was_made_before() {
        for millis in [1_757_169_743_120, 1_757_169_743_119, 0, 253_402_300_799_999] {
            let id = EventId::new(Timestamp(millis));
            assert_eq!(EventId::made_at(id.as_str()), Some(Timestamp(millis)));
        }
    }

    #[test]
    fn what_is_no_id_has_no_time() {
        let whole = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";
        assert!(EventId::made_at(&format!("evt_{whole}")).is_some());
        let too_large = format!("evt_8{}", &whole[1..]);
        for bad in ["", "evt_", "evt_1", &format!("dlv_{whole}"), &too_large, "evt_0123456789abcdefghjkmnpqrs"] {
            assert_eq!(EventId::made_at(bad), None, "{bad}");
        }
    }
}
