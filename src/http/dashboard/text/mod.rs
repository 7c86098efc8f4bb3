//! Everything that is written on the pages, in both languages: one group of texts a page. Neither language can lack a
//! text, and a text that no page shows is refused by the compiler.

use std::fmt;

mod callbacks;
mod charts;
mod deliveries;
mod destinations;
mod doing;
mod events;
mod frame;
mod lists;
mod people;
mod settings;
mod tasks;
mod words;

use self::callbacks::Callbacks;
use self::charts::Charts;
use self::deliveries::Deliveries;
use self::destinations::{Destinations, Subscriptions};
use self::doing::{Doing, Replays};
use self::events::Events;
use self::frame::{Frame, Refusals, SignIn};
use self::lists::Lists;
use self::people::{Audit, Keys, Teams};
use self::settings::{Settings, Sources};
use self::tasks::Tasks;

/// One text; a `{}` in it stands for what is filled in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Text(&'static str);

impl Text {
    /// The text with this filled in.
    pub(super) fn with(self, value: impl fmt::Display) -> String {
        self.0.replacen("{}", &value.to_string(), 1)
    }
}

impl Text {
    /// The text as it stands.
    pub(super) fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Writes a group of texts: each with its name, in English and in Chinese.
macro_rules! texts {
    ($(#[$about:meta])* $name:ident { $($key:ident: $english:literal, $chinese:literal;)* }) => {
        $(#[$about])*
        #[derive(Debug)]
        pub(in crate::http::dashboard) struct $name { $(#[doc = $english] pub(in crate::http::dashboard) $key: $crate::http::dashboard::text::Text),* }

        impl $name {
            pub(super) const ENGLISH: Self = Self { $($key: $crate::http::dashboard::text::Text($english)),* };
            pub(super) const CHINESE: Self = Self { $($key: $crate::http::dashboard::text::Text($chinese)),* };
            #[cfg(test)]
            pub(super) const ALL: &[(&str, &str, &str)] = &[$((stringify!($key), $english, $chinese)),*];
        }
    };
}
use texts;

/// Joins the groups.
macro_rules! groups {
    ($($key:ident: $group:ident,)*) => {
        /// Every text of every page, in one language.
        #[derive(Debug)]
        pub(super) struct Texts {
            language: Language,
            $(#[doc = stringify!($group)] pub(super) $key: $group),*
        }

        static ENGLISH: Texts = Texts { language: Language::English, $($key: $group::ENGLISH),* };
        static CHINESE: Texts = Texts { language: Language::Chinese, $($key: $group::CHINESE),* };

        #[cfg(test)]
        const EVERY: &[&[(&str, &str, &str)]] = &[$($group::ALL),*];
    };
}

groups! {
    frame: Frame,
    refused: Refusals,
    sign_in: SignIn,
    lists: Lists,
    events: Events,
    settings: Settings,
    sources: Sources,
    destinations: Destinations,
    subscriptions: Subscriptions,
    teams: Teams,
    keys: Keys,
    audit: Audit,
    doing: Doing,
    replays: Replays,
    charts: Charts,
    tasks: Tasks,
    callbacks: Callbacks,
    deliveries: Deliveries,
}

impl Texts {
    /// One of our words, such as a status, as people read it; a word that is not ours stays as it is.
    pub(super) fn word<'a>(&self, word: &'a str) -> &'a str {
        let Some((_, english, chinese)) = words::WORDS.iter().find(|(known, ..)| *known == word) else { return word };
        if self.language == Language::English { english } else { chinese }
    }

    /// How long ago something was, or how long it will be, in one unit.
    pub(super) fn span(&self, seconds: u64) -> String {
        let units = [(86_400, self.frame.days), (3600, self.frame.hours), (60, self.frame.minutes)];
        let unit = units.into_iter().find(|(length, _)| seconds >= *length);
        unit.map_or_else(|| self.frame.seconds.with(seconds), |(length, text)| text.with(seconds / length))
    }
}

/// A language of the pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Language {
    /// English.
    English,
    /// Chinese, in simplified characters.
    Chinese,
}

impl Language {
    /// Every language, in the order in which they are offered.
    pub(super) const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// Its tag, as HTML has it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// What those call it who speak it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "中文",
        }
    }

    /// Reads the tag back. `None` if there is no such language.
    pub(super) fn parse(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.as_str() == tag)
    }

    /// The first one of an `Accept-Language` that we have; English if there is none.
    pub(super) fn accepted(header: &str) -> Self {
        let mut wanted: Vec<(f32, Self)> = header.split(',').filter_map(weighed).filter(|(q, _)| *q > 0.0).collect();
        wanted.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        wanted.first().map_or(Self::English, |(_, language)| *language)
    }

    /// Everything that is written on the pages.
    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }
}

fn weighed(part: &str) -> Option<(f32, Language)> {
    let (tag, weight) = part.split_once(';').unwrap_or((part, "q=1"));
    let language = Language::parse(tag.trim().split('-').next()?.to_ascii_lowercase().as_str())?;
    Some((weight.trim().strip_prefix("q=").and_then(|q| q.parse().ok()).unwrap_or(1.0), language))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::Role;
    use crate::domain::callback::CallbackOutcome;
    use crate::domain::delivery::DeliveryStatus;
    use crate::domain::event::EventType;
    use crate::domain::task::Status;

    #[test]
    fn no_text_is_empty_and_both_languages_fill_in_the_same() {
        for (key, english, chinese) in EVERY.iter().copied().flatten() {
            assert!(!english.trim().is_empty() && !chinese.trim().is_empty(), "{key}");
            assert_eq!(english.matches("{}").count(), chinese.matches("{}").count(), "{key}");
            let is_chinese = chinese.chars().any(|c| c >= '\u{4e00}') || english == chinese;
            assert!(is_chinese, "{key} is not translated: {chinese}");
        }
    }

    #[test]
    fn every_word_of_ours_is_translated() {
        let words = Status::ALL
            .map(Status::as_str)
            .into_iter()
            .chain(EventType::ALL.map(EventType::as_str))
            .chain(DeliveryStatus::ALL.map(DeliveryStatus::as_str))
            .chain(CallbackOutcome::ALL.map(CallbackOutcome::as_str))
            .chain(Role::ALL.map(Role::as_str));
        for word in words {
            assert!(words::WORDS.iter().any(|(known, ..)| *known == word), "{word}");
        }
        assert_eq!(CHINESE.word("completed"), "已完成");
        assert_eq!(ENGLISH.word("what nobody knows"), "what nobody knows");
    }

    #[test]
    fn the_language_is_the_first_that_is_accepted() {
        for (header, expected) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("en-GB,en;q=0.9,zh;q=0.1", Language::English),
            ("de,zh;q=0.2", Language::Chinese),
            ("zh;q=0,en;q=0.1", Language::English),
            ("de", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(Language::accepted(header), expected, "{header}");
        }
    }
}
