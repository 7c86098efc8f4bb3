//! How often somebody may try to sign in: a key is not to be found by trying.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::clock::Timestamp;

/// So many wrong keys are taken at once from one address.
const AT_ONCE: u32 = 10;
/// After that, one more each time that so much has passed.
const ONE_EVERY: Duration = Duration::from_secs(30);
/// So many addresses are kept in mind; of more, the one that was seen first is forgotten.
const ADDRESSES: usize = 10_000;

/// The wrong keys of late, by address. Each instance counts its own. Clones are the same.
#[derive(Clone, Default)]
pub struct Attempts(Arc<Mutex<HashMap<IpAddr, Tries>>>);

#[derive(Clone, Copy)]
struct Tries {
    /// How many count still, and since when.
    failed: u32,
    since: Timestamp,
}

impl Tries {
    /// What still counts.
    fn now(self, now: Timestamp) -> Self {
        let every = ONE_EVERY.as_millis().max(1);
        let forgiven = u32::try_from(now.since(self.since).as_millis() / every).unwrap_or(u32::MAX);
        Self {
            failed: self.failed.saturating_sub(forgiven),
            since: self.since.after(ONE_EVERY.saturating_mul(forgiven)),
        }
    }
}

impl Attempts {
    /// How long this address has to wait before it may try; zero if it may now.
    pub(super) fn wait(&self, address: IpAddr, now: Timestamp) -> Duration {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tries) = all.get(&whose(address)).map(|tries| tries.now(now)) else { return Duration::ZERO };
        if tries.failed < AT_ONCE { Duration::ZERO } else { ONE_EVERY.saturating_sub(now.since(tries.since)) }
    }

    /// Notes that it tried a wrong key.
    pub(super) fn failed(&self, address: IpAddr, now: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let whose = whose(address);
        if all.len() >= ADDRESSES && !all.contains_key(&whose) {
            all.retain(|_, tries| tries.now(now).failed > 0);
            if all.len() >= ADDRESSES
                && let Some(first) = all.iter().min_by_key(|(_, tries)| tries.since).map(|(address, _)| *address)
            {
                all.remove(&first);
            }
        }
        let tries = all.get(&whose).map(|tries| tries.now(now)).filter(|tries| tries.failed > 0);
        let tries = tries.unwrap_or(Tries { failed: 0, since: now });
        all.insert(whose, Tries { failed: tries.failed + 1, ..tries });
    }
}

/// One customer of a provider has a whole network of IPv6 addresses.
fn whose(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_775_001_600_000);

    #[test]
    fn ten_wrong_keys_are_taken_and_then_one_every_30_seconds() {
        let attempts = Attempts::default();
        let (mine, other) = ("2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        for _ in 0..AT_ONCE {
            assert!(attempts.wait(mine, START).is_zero());
            attempts.failed(mine, START);
        }
        let later = |seconds| START.after(Duration::from_secs(seconds));
        assert_eq!(attempts.wait(mine, later(10)), Duration::from_secs(20));
        assert_eq!(attempts.wait("2001:db8::2".parse().unwrap(), START), ONE_EVERY, "the same network");
        assert!(attempts.wait(other, START).is_zero());
        assert!(attempts.wait(mine, later(30)).is_zero());
        attempts.failed(mine, later(30));
        assert_eq!(attempts.wait(mine, later(30)), ONE_EVERY);
        assert!(attempts.wait(mine, later(30 * 20)).is_zero());
    }

    #[test]
    fn what_is_kept_in_mind_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..u32::try_from(ADDRESSES).unwrap() + 50 {
            attempts.failed(IpAddr::V4(number.into()), Timestamp(START.0 + i64::from(number)));
        }
        assert_eq!(attempts.0.lock().unwrap().len(), ADDRESSES);
    }
}
