//! The keys of `[sources.NAME]` by which its provider is asked, and `[sources.NAME.poll]`.

use std::time::Duration;

use super::section::{Found, Place, Section};
use super::value;
use crate::domain::pace::Rate;
use crate::domain::secret::Secret;
use crate::domain::source::{Confirm, Poll, RelayKeys};
use crate::providers::Provider;
use crate::providers::api::Ask;

/// The default of contract §3.
const CONFIRM_WITHIN: Duration = Duration::from_secs(600);

/// No provider says anything new more often, and many would block who asks faster.
const EVERY_MIN: Duration = Duration::from_millis(100);

const A_DURATION: &str = "a duration such as \"5m\"";

const CONFIRM: [(&str, Confirm); 3] = [("auto", Confirm::Auto), ("always", Confirm::Always), ("never", Confirm::Never)];

const RELAY_KEYS: [(&str, RelayKeys); 2] = [("keep", RelayKeys::Keep), ("forget", RelayKeys::Forget)];

/// How a source is asked, as `Source` has it.
pub(super) struct Asking {
    pub(super) api_key: Option<Secret>,
    pub(super) base_url: Option<String>,
    pub(super) confirm: Confirm,
    pub(super) confirm_within: Duration,
    pub(super) poll: Poll,
    pub(super) relay_keys: RelayKeys,
}

/// `provider` is `None` where it is not known, which is a mistake already.
pub(super) fn asking(section: &mut Section<'_>, provider: Option<&dyn Provider>) -> Asking {
    Asking {
        api_key: api_key(section, provider),
        base_url: base_url(section, provider),
        confirm: confirm(section),
        confirm_within: section
            .read("confirm_within", A_DURATION, value::positive)
            .map_or(CONFIRM_WITHIN, |found| found.value),
        poll: poll(section, provider),
        relay_keys: section.word("relay_keys", &RELAY_KEYS).map(|found| found.value).unwrap_or_default(),
    }
}

fn api_key(section: &mut Section<'_>, provider: Option<&dyn Provider>) -> Option<Secret> {
    let found = section.read("api_key", "the key that the provider gives", |text| {
        if text.is_empty() {
            return Err("it is empty: write the key that the provider gives, or leave it out".to_owned());
        }
        if !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err("it has a space, a line end or a letter beyond ASCII in it: write the key alone, as the \
                        provider gives it"
                .to_owned());
        }
        Ok(Secret::new(text))
    })?;
    refuse_unasked(section, provider, &found.place);
    Some(found.value)
}

/// Notes that a key says how to ask a provider that cannot be asked.
fn refuse_unasked(section: &Section<'_>, provider: Option<&dyn Provider>, place: &Place) {
    if let Some(provider) = provider.filter(|provider| provider.ask().is_none()) {
        let problem = format!("this build does not know how to ask `{}`", provider.name());
        section.reader().wrong_but(place, problem, "remove it");
    }
}

fn base_url(section: &mut Section<'_>, provider: Option<&dyn Provider>) -> Option<String> {
    if let Some(found) = section.read("base_url", "a URL such as \"https://api.example.com\"", value::base_url) {
        return Some(found.value);
    }
    let ask = provider.and_then(Provider::ask)?;
    let known = ask.api().base_url.map(str::to_owned);
    if known.is_none() && !section.has("base_url") {
        require_base_url(section, provider);
    }
    known
}

/// Notes that a host is missing, at the first key that needs one.
fn require_base_url(section: &Section<'_>, provider: Option<&dyn Provider>) {
    let Some(place) = ["api_key", "poll"].into_iter().find_map(|key| section.place(key)) else { return };
    let name = provider.map(Provider::name).unwrap_or_default();
    let problem = format!("`base_url` is missing beside it, and no document names the host of `{name}`");
    let hint = match section.variable("base_url", &place) {
        Some(variable) => format!("set {variable}=https://… to where its API is"),
        None => "write base_url = \"https://…\", where its API is".to_owned(),
    };
    section.reader().wrong_but(&place, problem, hint);
}

fn confirm(section: &mut Section<'_>) -> Confirm {
    let Some(found) = section.word("confirm", &CONFIRM) else { return Confirm::default() };
    if found.value == Confirm::Always && !section.has("api_key") {
        let problem =
            "`always` tells nothing that the provider has not confirmed, and there is no `api_key` to ask with";
        section.reader().wrong_but(&found.place, problem, "set `api_key`, or write \"auto\"");
    }
    found.value
}

fn poll(source: &mut Section<'_>, provider: Option<&dyn Provider>) -> Poll {
    let default = Poll::default();
    if let Some(place) = source.place("poll") {
        refuse_unasked(source, provider, &place);
    }
    let mut section = source.section("poll");
    let mut duration = |key, parse: fn(&str) -> Result<Duration, String>, default| {
        section.read(key, A_DURATION, parse).map_or(default, |found: Found<Duration>| found.value)
    };
    let poll = Poll {
        after: duration("after", value::positive, default.after),
        every: duration("every", every, default.every),
        give_up_after: duration("give_up_after", value::positive, default.give_up_after),
        pace: section.read("pace", "a rate such as \"5/s\"", Rate::parse).map(|found| found.value),
        discover: discover(&mut section, provider, source.has("api_key")),
    };
    section.finish();
    poll
}

fn every(text: &str) -> Result<Duration, String> {
    let every = value::duration(text)?;
    if every < EVERY_MIN { Err("it must be at least 100ms".to_owned()) } else { Ok(every) }
}

fn discover(section: &mut Section<'_>, provider: Option<&dyn Provider>, has_key: bool) -> bool {
    let Some(found) = section.flag("discover") else { return false };
    let lists = |ask: &dyn Ask| ask.api().lists;
    if let Some((provider, ask)) = provider.and_then(|provider| Some((provider, provider.ask()?)))
        && found.value
    {
        if !lists(ask) {
            let problem = format!("`{}` has no list of its tasks that could be read", provider.name());
            section.reader().wrong_but(&found.place, problem, "remove it");
        } else if !has_key {
            let problem = "there is no `api_key` to read the provider's list with";
            section.reader().wrong_but(&found.place, problem, "set `api_key`, or remove it");
        }
    }
    found.value
}
