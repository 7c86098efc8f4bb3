//! Ids made by us: a prefix that names the thing, and a UUID v7 in Crockford's base 32, so that they
//! sort by the time they were made.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// One counter for the whole process, so that two ids of the same millisecond sort as they were made. It never begins
/// anew with a later millisecond: an id then has the time that it was made for, also where that is an earlier one.
static ORDER: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(rand::random::<u64>() >> 23));

/// RFC 9562, version 7: 48 bits of milliseconds, 42 of the counter around the marks of version and variant, the rest
/// at random.
fn time_ordered(prefix: &str, now: Timestamp) -> String {
    let count = u128::from(ORDER.fetch_add(1, Ordering::Relaxed));
    let (high, low) = ((count >> 30) & 0xfff, count & 0x3fff_ffff);
    let bits = moment(now) | 7 << 76 | high << 64 | 0b10 << 62 | low << 32 | u128::from(rand::random::<u32>());
    spelled(prefix, bits)
}

fn moment(at: Timestamp) -> u128 {
    (u128::from(at.0.max(0).unsigned_abs()) & 0xffff_ffff_ffff) << 80
}

/// The smallest id of this moment: whatever was made before sorts below it, whatever later above.
fn first_of(prefix: &str, at: Timestamp) -> String {
    spelled(prefix, moment(at))
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
        // As any other reader of version 7 sees it.
        let id = EventId::new(Timestamp(1_757_169_743_120));
        let bits = id.as_str()[4..].bytes().fold(0_u128, |bits, digit| {
            bits << 5 | CROCKFORD.iter().position(|known| *known == digit).unwrap() as u128
        });
        let uuid = uuid::Uuid::from_u128(bits);
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!(uuid.get_timestamp().unwrap().to_unix(), (1_757_169_743, 120_000_000));
    }

    #[test]
    fn what_is_no_id_has_no_time() {
        let whole = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";
        assert!(EventId::made_at(&format!("evt_{whole}")).is_some());
        for bad in [
            "",
            "evt_",
            "evt_1",
            &format!("dlv_{whole}"),
            &format!("evt_8{}", &whole[1..]),
            "evt_0123456789abcdefghjkmnpqrs",
        ] {
            assert_eq!(EventId::made_at(bad), None, "{bad}");
        }
    }
}
