//! How many per second: the rate limit of callbacks and of destinations, on a clock that is passed in.

use std::fmt;
use std::time::Duration;

use super::clock::Timestamp;

/// So many per so long, as `200/s` or `30/m`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate {
    /// How many, at least one.
    pub count: u32,
    /// In what time.
    pub per: Duration,
}

impl Rate {
    /// Reads `COUNT/s`, `COUNT/m` or `COUNT/h`.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a rate: write a number, a slash and s, m or h, as in \"5/s\"");
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let per = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(wrong()),
        };
        let count: u32 = count.trim().parse().map_err(|_| wrong())?;
        if count == 0 {
            return Err(format!("`{text}` would never let anything through: the number must be at least 1"));
        }
        Ok(Self { count, per: Duration::from_secs(per) })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// Keeps to a [`Rate`] by the generic cell rate algorithm: a burst of up to one second's worth (at
/// least one), then evenly spaced.
#[derive(Clone, Debug)]
pub struct Pace {
    rate: Rate,
    /// When the next one would be due if all were evenly spaced, in microseconds since 1970.
    next_micros: i64,
    /// How much may go at once.
    burst_micros: i64,
    /// Whether that counts within the rate.
    is_even: bool,
}

impl Pace {
    /// One that has let nothing through yet.
    pub fn new(rate: Rate) -> Self {
        Self { rate, next_micros: 0, burst_micros: BURST_MICROS, is_even: false }
    }

    /// One that goes beyond the rate in no second: what goes at once is a fiftieth of it at most, so that who
    /// keeps to it need not wake for each, and is left out of the rest.
    pub fn even(rate: Rate) -> Self {
        Self { burst_micros: BURST_MICROS / EVEN_PARTS, is_even: true, ..Self::new(rate) }
    }

    /// What it keeps to.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    fn spacing_micros(&self) -> i64 {
        let per = i64::try_from(self.rate.per.as_micros()).unwrap_or(i64::MAX);
        let spacing = (per / i64::from(self.rate.count)).max(1);
        let bursts = self.is_even && spacing < self.burst_micros;
        if bursts { spacing * EVEN_PARTS / (EVEN_PARTS - 1) + 1 } else { spacing }
    }

    /// How many may go now; at most one burst.
    pub fn available(&self, now: Timestamp) -> usize {
        let now = now.0.saturating_mul(1000);
        let spacing = self.spacing_micros();
        let left = now + spacing.max(self.burst_micros) - self.next_micros.max(now);
        usize::try_from(left.max(0) / spacing).unwrap_or_default()
    }

    /// Notes that so many went.
    pub fn spend(&mut self, now: Timestamp, many: usize) {
        let spent = self.spacing_micros().saturating_mul(i64::try_from(many).unwrap_or(i64::MAX));
        self.next_micros = self.next_micros.max(now.0.saturating_mul(1000)).saturating_add(spent);
    }

    /// How long until one may go; zero if it may now.
    pub fn wait(&self, now: Timestamp) -> Duration {
        let spacing = self.spacing_micros();
        let earliest = self.next_micros - spacing.max(self.burst_micros) + spacing;
        Duration::from_micros((earliest - now.0.saturating_mul(1000)).max(0).unsigned_abs())
    }

    /// Lets one through now.
    ///
    /// # Errors
    /// How long to wait before the next try, where it is too early.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        if self.available(now) == 0 {
            return Err(self.wait(now));
        }
        self.spend(now, 1);
        Ok(())
    }
}

/// Of an even pace one of so many parts may go at once.
const EVEN_PARTS: i64 = 50;
/// How much may go at once: one second's worth.
const BURST_MICROS: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_pace_is_not_gone_beyond_in_any_second() {
        for count in [1, 5, 49, 51, 200, 2000] {
            let mut pace = Pace::even(Rate { count, per: Duration::from_secs(1) });
            let mut gone: Vec<i64> = Vec::new();
            for millis in 0..3000 {
                let now = Timestamp(1_775_001_600_000 + millis);
                while pace.take(now).is_ok() {
                    gone.push(millis);
                }
            }
            let count = count as usize;
            let most =
                gone.iter().map(|at| gone.iter().filter(|other| (*at..at + 1000).contains(*other)).count()).max();
            assert!(most <= Some(count), "{most:?} of {count}");
            // Less by a fiftieth, and by what is lost to whole milliseconds.
            assert!(gone.len() >= count * 3 * 9 / 10, "{} of {count} a second", gone.len());
        }
    }

    #[test]
    fn rates_are_read_and_bad_ones_explained() {
        assert_eq!(Rate::parse("200/s"), Ok(Rate { count: 200, per: Duration::from_secs(1) }));
        assert_eq!(Rate::parse("30/m"), Ok(Rate { count: 30, per: Duration::from_secs(60) }));
        for bad in ["", "5", "5/d", "x/s", "0/s", "-1/s"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_a_second_lets_one_through_each_second() {
        let mut pace = Pace::new(Rate { count: 1, per: Duration::from_secs(1) });
        let mut passed = 0;
        for millis in 0..10_000 {
            passed += u32::from(pace.take(Timestamp(1_000_000 + millis)).is_ok());
        }
        assert_eq!(passed, 10);
        assert_eq!(pace.take(Timestamp(1_009_999)), Err(Duration::from_millis(1)));
    }

    #[test]
    fn a_burst_is_one_second_long() {
        let mut pace = Pace::new(Rate { count: 200, per: Duration::from_secs(1) });
        let now = Timestamp(1_000_000);
        let burst = (0..1000).filter(|_| pace.take(now).is_ok()).count();
        assert_eq!(burst, 200);
        let later = Timestamp(now.0 + 500);
        assert_eq!((0..1000).filter(|_| pace.take(later).is_ok()).count(), 100);
    }
}
