//! Whether a source that usually calls has gone silent, or fails unusually: judged over simple counts. Where little
//! is known nothing is said: a source with little traffic is never in trouble for having none.

use std::time::Duration;

use super::clock::Timestamp;

/// What was heard is counted in slots of this, back from the last callback.
pub const SLOT: Duration = Duration::from_secs(10 * 60);
/// So many slots are looked at: seven days.
pub const SLOTS: usize = 7 * SLOTS_A_DAY;
const SLOTS_A_DAY: usize = 24 * SLOTS_AN_HOUR;
const SLOTS_AN_HOUR: usize = 6;
/// No silence shorter than this is one.
pub const SILENCE_MIN: Duration = Duration::from_secs(60 * 60);
/// After a recovery nothing is told for so long: what goes to and fro is not told each time.
const CALM: Duration = Duration::from_secs(60 * 60);
/// A key is refused for so long before that is told: some providers refuse for a moment.
const REFUSED_FOR: Duration = Duration::from_secs(5 * 60);
/// A source is busy that was heard in so many slots, on so many days.
const BUSY_SLOTS: usize = 50;
const BUSY_DAYS: usize = 3;
/// It is silent after so many times its longest wait.
const WAITS: u32 = 10;
/// Of a source that pauses longer than this, the length of a pause says nothing.
const REGULAR_WAIT: Duration = Duration::from_secs(6 * 60 * 60);
/// So many of these hours in silence, on each former day of which it was heard several times, are too many.
const EXPECTED_HOURS: usize = 3;
/// So many tasks without a callback are too many, where so large a share usually has one, of at least so many tasks.
const UNHEARD_MIN: i64 = 5;
const CALLED_PERCENT: i64 = 90;
const CALLED_OF_MIN: i64 = 20;

/// What is the matter with a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ailment {
    /// No callback comes any more.
    Silent,
    /// Its tasks fail.
    Failing,
    /// Its callbacks are not understood, or not signed rightly.
    Unreadable,
    /// Its key is refused.
    Refused,
}

impl Ailment {
    /// Every ailment there is.
    pub const ALL: [Self; 4] = [Self::Silent, Self::Failing, Self::Unreadable, Self::Refused];

    /// The word for it, the same everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Failing => "failing",
            Self::Unreadable => "unreadable",
            Self::Refused => "refused",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ailment| ailment.as_str() == word)
    }

    /// What `source.silent` says when it is over: its type has no other one for that (contract §1).
    pub fn over(self) -> &'static str {
        match self {
            Self::Silent => HEARD_AGAIN,
            Self::Failing => "heard again: its tasks end well again",
            Self::Unreadable => "heard again: its callbacks are understood again",
            Self::Refused => "heard again: its key is taken again",
        }
    }
}

/// What the reason of every `source.silent` begins with that tells of an end of trouble, and no other does.
pub const HEARD_AGAIN: &str = "heard again";

/// What the reason of every `source.silent` begins with that tells of a silence, and no other does.
pub const NO_CALLBACK: &str = "no callback";

/// When a source was heard before it fell silent, and of how many tasks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    /// Whether a callback came in each slot, the one that ends with the last callback first; at most [`SLOTS`].
    pub heard: Vec<bool>,
    /// Of the tasks that were known last, before the last callback: how many had one.
    pub called: i64,
    /// How many tasks those were.
    pub called_of: i64,
}

/// Counts of what went well and what did not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Share {
    /// What went well.
    pub good: i64,
    /// What did not.
    pub bad: i64,
}

impl Share {
    fn all(self) -> i64 {
        self.good + self.bad
    }

    fn percent(self) -> i64 {
        if self.all() == 0 { 0 } else { self.bad * 100 / self.all() }
    }
}

/// A share of what went wrong lately, and what is usual.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lately {
    /// When the counting begins.
    pub since: Timestamp,
    /// Since then.
    pub recent: Share,
    /// Before; where nothing was looked up, nothing.
    pub usual: Share,
}

/// So many went wrong at least, and so many in all, before it is unusual; and so many before are known.
const BAD_MIN: i64 = 10;
const RECENT_MIN: i64 = 20;
const USUAL_MIN: i64 = 50;
/// It is well again when of so many the share is less than half of what was too much.
const WELL_MIN: i64 = 10;

impl Lately {
    /// Whether it is worth looking up what is usual.
    pub fn is_striking(&self) -> bool {
        self.recent.bad >= BAD_MIN && self.recent.all() >= RECENT_MIN && self.recent.percent() >= 50
    }

    /// From how many percent on it is unusual: three times what is usual, never less than half of all; where much
    /// goes wrong as a rule, halfway from there to all.
    fn limit(&self) -> i64 {
        let usual = self.usual.percent();
        (usual * 3).min((100 + usual) / 2).max(50).max(usual + 10)
    }

    fn is_unusual(&self) -> bool {
        self.is_striking() && self.usual.all() >= USUAL_MIN && self.recent.percent() >= self.limit()
    }

    fn is_well(&self) -> bool {
        self.recent.all() >= WELL_MIN && self.recent.percent() * 2 < self.limit()
    }
}

/// What is known of a source.
#[derive(Clone, Debug, Default)]
pub struct Facts<'a> {
    /// When a callback last came that was understood.
    pub heard_at: Option<Timestamp>,
    /// Since when we listen without a break: what nobody could hear is no silence.
    pub listening_since: Timestamp,
    /// What was heard before that; `None` where it is not silent for long enough to ask.
    pub history: Option<&'a History>,
    /// Tasks that are known since the last callback, while we listened, and should have had one by now.
    pub unheard: i64,
    /// How its tasks end: what failed is bad.
    pub ends: Lately,
    /// How its callbacks are understood: what was quarantined or rejected is bad.
    pub callbacks: Lately,
    /// Since when its key is refused, and why.
    pub refused: Option<(Timestamp, &'a str)>,
    /// What was told, and since when that was so; `None` while it is well.
    pub told: Option<(Ailment, Timestamp)>,
    /// When it was last told to be well again.
    pub recovered_at: Option<Timestamp>,
}

impl Facts<'_> {
    /// Since when nothing is heard of it, although we listen. `None` if it was never heard.
    pub fn silent_since(&self) -> Option<Timestamp> {
        self.heard_at.map(|heard_at| heard_at.max(self.listening_since))
    }

    /// Whether nothing may be told yet, as its recovery was told a short while ago.
    pub fn is_resting(&self, now: Timestamp) -> bool {
        self.recovered_at.is_some_and(|at| now.since(at) < CALM)
    }
}

/// What its teams are to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Something is the matter.
    Ill {
        /// What.
        ailment: Ailment,
        /// The same for people.
        reason: String,
        /// When it began.
        since: Timestamp,
        /// Of how many tasks or callbacks it speaks; 0 where nothing is counted.
        count: i64,
    },
    /// What was told is over.
    Well(Ailment),
}

/// Judges a source; `None` where there is nothing to be told. What was told is told again only after it was over.
pub fn judge(facts: &Facts<'_>, now: Timestamp) -> Option<Change> {
    if let Some((ailment, since)) = facts.told {
        let is_over = match ailment {
            Ailment::Silent => facts.heard_at.is_some_and(|heard_at| heard_at > since),
            Ailment::Failing => facts.ends.is_well(),
            Ailment::Unreadable => facts.callbacks.is_well(),
            Ailment::Refused => facts.refused.is_none(),
        };
        return is_over.then_some(Change::Well(ailment));
    }
    if facts.is_resting(now) {
        return None;
    }
    let ill = |ailment, reason, since, count| Some(Change::Ill { ailment, reason, since, count });
    if let Some((since, why)) = facts.refused.filter(|(since, _)| now.since(*since) >= REFUSED_FOR) {
        return ill(Ailment::Refused, format!("the provider does not answer our key: {why}"), since, 0);
    }
    if let Some((reason, since)) = silent(facts, now) {
        return ill(Ailment::Silent, reason, since, facts.unheard);
    }
    let Lately { since, recent, usual } = facts.callbacks;
    if facts.callbacks.is_unusual() {
        let many = format!("{} of {} callbacks since {since}", recent.bad, recent.all());
        let reason = format!("{many} were not understood or not signed rightly; usual are {} %", usual.percent());
        return ill(Ailment::Unreadable, reason, since, recent.bad);
    }
    let Lately { since, recent, usual } = facts.ends;
    if facts.ends.is_unusual() {
        let many = format!("{} of {} tasks that ended since {since}", recent.bad, recent.all());
        return ill(Ailment::Failing, format!("{many} failed; usual are {} %", usual.percent()), since, recent.bad);
    }
    None
}

/// Why it is silent, where it is, and since when.
fn silent(facts: &Facts<'_>, now: Timestamp) -> Option<(String, Timestamp)> {
    let (heard_at, history) = (facts.heard_at?, facts.history?);
    let silence = now.since(facts.silent_since()?);
    if silence < SILENCE_MIN {
        return None;
    }
    let wait = history.longest_wait();
    let usually_calls =
        history.called_of >= CALLED_OF_MIN && history.called * 100 >= history.called_of * CALLED_PERCENT;
    let why = if usually_calls && facts.unheard >= UNHEARD_MIN && silence > wait {
        format!("{} tasks are known since then, and none of them called back", facts.unheard)
    } else if history.is_busy() && wait <= REGULAR_WAIT && silence > wait * WAITS {
        format!("the longest wait of the days before was {} min", wait.as_secs() / 60)
    } else if history.is_busy() && history.expected_hours(now.since(heard_at), silence) >= EXPECTED_HOURS {
        "at this hour it called on every day before".to_owned()
    } else {
        return None;
    };
    Some((format!("{NO_CALLBACK} since {heard_at}: {why}"), heard_at))
}

impl History {
    /// Whether it was heard often enough, and on enough days, to say what is usual.
    fn is_busy(&self) -> bool {
        let days = self.heard.chunks(SLOTS_A_DAY).filter(|day| day.contains(&true)).count();
        self.heard.iter().filter(|heard| **heard).count() >= BUSY_SLOTS && days >= BUSY_DAYS
    }

    /// The longest time from one callback to the next, to a slot.
    fn longest_wait(&self) -> Duration {
        let at: Vec<usize> = (0..self.heard.len()).filter(|slot| self.heard[*slot]).collect();
        let longest = at.windows(2).map(|two| two[1] - two[0]).max().unwrap_or(1);
        SLOT * u32::try_from(longest).unwrap_or(u32::MAX)
    }

    /// How many whole hours of the last `silence` were hours in which it was heard more than once on every day of the
    /// history, which ended so long `ago`. After a day it is too long ago to say.
    fn expected_hours(&self, ago: Duration, silence: Duration) -> usize {
        let whole = |time: Duration| usize::try_from(time.as_secs() / 3600).unwrap_or(usize::MAX).min(24);
        let (from, to) = (whole(ago.saturating_sub(silence) + Duration::from_secs(3599)), whole(ago));
        let days = SLOTS / SLOTS_A_DAY;
        let is_expected = |hour: usize| {
            (1..=days).all(|day| {
                // The slots of that hour, `day` days ago.
                let end = day * SLOTS_A_DAY - hour * SLOTS_AN_HOUR;
                let heard = self.heard.get(end - SLOTS_AN_HOUR..end);
                heard.is_some_and(|slots| slots.iter().filter(|heard| **heard).count() > 1)
            })
        };
        (from..to).filter(|hour| is_expected(*hour)).count()
    }
}

#[cfg(test)]
mod tests;
