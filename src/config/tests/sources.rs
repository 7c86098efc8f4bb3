//! `[sources.NAME]`, and how a source is asked.

use super::*;
use crate::domain::source::{Confirm, Poll, RelayKeys, Source};

#[test]
fn mistakes_of_sources() {
    for (keys, wanted) in [
        ("rate = '1/s'", "c.toml:1: sources.evolink: `provider` is missing; write provider = \"evolink\""),
        ("provider = 'evolnk'", "there is no provider `evolnk`; did you mean `evolink`?"),
        ("provider = 'x'", "it can be `evolink`, `homeless`, `replicate`"),
        ("provider = 'evolink'\ncallback_token = 'short'", "c.toml:3: sources.evolink.callback_token: it is part of"),
        ("provider = 'evolink'\ncallback_token = []", "the list is empty"),
        ("provider = 'evolink'\nsigning_secret = 'whsec_x'", "`evolink` does not sign its callbacks"),
        ("provider = 'replicate'\nsigning_secret = 'hush'", "signing_secret: it begins with whsec_"),
        ("provider = 'replicate'\nsigning_secret = ''", "it is empty"),
        ("provider = 'evolink'\nteams = ['Ads']", "`Ads` is not a name"),
        ("provider = 'evolink'\nrate = 5", "sources.evolink.rate: it is a number"),
        ("provider = 'evolink'\nrate = '5'", "`5` is not a rate"),
        ("provider = 'evolink'\n[sources.A]\nprovider = 'evolink'", "c.toml:3: sources.A: `A` is not a name"),
        ("provider = 'evolink'\n[sources]\nx = 1", "x: it is a number without quotes, and a table"),
    ] {
        let found = read_with(&format!("[sources.evolink]\n{keys}"), &[]).expect_err(keys).to_string();
        assert!(found.contains(wanted), "{keys}\n{found}");
        assert!(!found.contains("hush"), "{found}");
    }
    let twins = "[sources.a-b]\nprovider = 'evolink'\n[sources.a_b]\nprovider = 'evolink'";
    assert!(mistake(twins).contains("it is `CALLBOARD_SOURCES__A_B__…`, as `a-b` is"));
}

/// The one source of a text.
fn source(keys: &str) -> Source {
    let [source] = read(&format!("[sources.a]\n{keys}")).sources.try_into().unwrap();
    source
}

#[test]
fn a_source_is_asked_by_the_contracts_defaults() {
    let plain = source("provider = 'evolink'");
    assert!(plain.api_key.is_none() && !plain.can_ask() && !plain.confirms());
    assert_eq!(plain.base_url.as_deref(), Some("https://evolink.example"));
    assert_eq!((plain.confirm, plain.confirm_within), (Confirm::Auto, seconds(600)));
    assert_eq!((plain.poll, plain.relay_keys), (Poll::default(), RelayKeys::Keep));
    let keyed = source("provider = 'evolink'\napi_key = 'sk-1'\npoll = {}");
    assert!(keyed.can_ask() && keyed.confirms());
    assert_eq!(keyed.poll, Poll::default());
    // Nobody knows where it is; nothing asks that it be known.
    let homeless = source("provider = 'homeless'\nrelay_keys = 'forget'\nconfirm_within = '1m'");
    assert_eq!((homeless.base_url, homeless.relay_keys), (None, RelayKeys::Forget));
}

#[test]
fn everything_by_which_a_source_is_asked_is_understood() {
    let text = "[sources.a]\nprovider = 'homeless'\napi_key = '${KEY}'\nbase_url = 'http://127.0.0.1:9/api/'\n\
        confirm = 'always'\nconfirm_within = '30s'\nrelay_keys = 'forget'\n[sources.a.poll]\nafter = '1s'\n\
        every = '100ms'\ngive_up_after = '2d'\npace = '5/s'\ndiscover = false";
    let config = read_with(text, &[("KEY", "hush")]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(!format!("{config:?}").contains("hush"));
    let found = &config.sources[0];
    assert_eq!(found.api_key.as_ref().map(Secret::expose), Some("hush"));
    assert_eq!(found.base_url.as_deref(), Some("http://127.0.0.1:9/api"));
    assert_eq!((found.confirm, found.confirm_within), (Confirm::Always, seconds(30)));
    assert_eq!(found.relay_keys, RelayKeys::Forget);
    let pace = Some(Rate { count: 5, per: seconds(1) });
    let every = Duration::from_millis(100);
    let give_up_after = seconds(2 * 86_400);
    assert_eq!(found.poll, Poll { after: seconds(1), every, give_up_after, pace, discover: false });
    assert!(source("provider = 'evolink'\napi_key = 'sk'\npoll = { discover = true }").poll.discover);
    assert_eq!(source("provider = 'evolink'\napi_key = 'sk'\nconfirm = 'never'").confirm, Confirm::Never);
}

#[test]
fn mistakes_of_how_a_source_is_asked() {
    for (keys, wanted) in [
        ("provider = 'evolink'\napi_key = ''", "c.toml:3: sources.a.api_key: it is empty: write the key"),
        ("provider = 'evolink'\napi_key = 'hush hush'", "sources.a.api_key: it has a space"),
        ("provider = 'evolink'\napi_key = \"hush\\n\"", "sources.a.api_key: it has a space, a line end"),
        ("provider = 'evolink'\napi_key = ['hush']", "sources.a.api_key: it is a list: write the key"),
        (
            "provider = 'replicate'\napi_key = 'hush'",
            "c.toml:3: sources.a.api_key: this build does not know how to ask `replicate`; remove it",
        ),
        ("provider = 'replicate'\npoll = { every = '1m' }", "c.toml:3: sources.a.poll: this build does not know how"),
        (
            "provider = 'homeless'\n\napi_key = 'hush'\npoll = {}",
            "c.toml:4: sources.a.api_key: `base_url` is missing beside it, and no document names the host of `homeless`; \
             write base_url = \"https://…\"",
        ),
        ("provider = 'homeless'\n[sources.a.poll]\nevery = '1m'", "c.toml:3: sources.a.poll: `base_url` is missing"),
        ("provider = 'evolink'\nbase_url = 'api.x.y'", "sources.a.base_url: `api.x.y` is not a URL"),
        ("provider = 'evolink'\nbase_url = 'ftp://a'", "`ftp://a` is not an http or https URL"),
        (
            "provider = 'evolink'\nbase_url = 'https://u:hush@a'",
            "has a user or a password in it: leave them out, the key",
        ),
        ("provider = 'evolink'\nbase_url = 'https://a/?k=hush'", "it has a query or a fragment"),
        ("provider = 'evolink'\nbase_url = 'https://a/#x'", "has a query or a fragment"),
        // One mistake, not a second one for the URL that is missing.
        ("provider = 'homeless'\napi_key = 'hush'\nbase_url = 'x'", "sources.a.base_url: `x` is not a URL"),
        (
            "provider = 'evolink'\nconfirm = 'always'",
            "c.toml:3: sources.a.confirm: `always` tells nothing that the provider has not confirmed, and there is no \
             `api_key` to ask with; set `api_key`, or write \"auto\"",
        ),
        ("provider = 'evolink'\nconfirm = 'neve'", "`neve` is unknown; did you mean `never`?"),
        ("provider = 'evolink'\nconfirm = true", "it is true or false: write \"auto\" or \"always\" or \"never\""),
        ("provider = 'evolink'\nconfirm_within = '0s'", "sources.a.confirm_within: it must be more than zero"),
        ("provider = 'evolink'\nconfirm_within = 600", "sources.a.confirm_within: it is a number without quotes"),
        ("provider = 'evolink'\nrelay_keys = 'kept'", "sources.a.relay_keys: `kept` is unknown; it can be `keep`"),
        ("provider = 'evolink'\npoll = '5m'", "sources.a.poll: it is a text in quotes, and a table is needed here"),
        ("provider = 'evolink'\npoll = { afer = '5m' }", "sources.a.poll.afer: unknown key; did you mean `after`?"),
        (
            "provider = 'evolink'\n[sources.a.poll]\nafter = '5m'\neach = '5m'",
            "c.toml:5: sources.a.poll.each: unknown key; it can be `after`, `every`, `give_up_after`, `pace`, `discover`",
        ),
        ("provider = 'evolink'\npoll = { after = '0s' }", "sources.a.poll.after: it must be more than zero"),
        ("provider = 'evolink'\npoll = { every = '99ms' }", "sources.a.poll.every: it must be at least 100ms"),
        ("provider = 'evolink'\npoll = { every = '1' }", "sources.a.poll.every: `1` is not a duration"),
        ("provider = 'evolink'\npoll = { give_up_after = '0d' }", "poll.give_up_after: it must be more than zero"),
        ("provider = 'evolink'\npoll = { pace = '0/s' }", "poll.pace: `0/s` would never let anything through"),
        ("provider = 'evolink'\npoll = { pace = 5 }", "poll.pace: it is a number without quotes: write a rate"),
        ("provider = 'evolink'\npoll = { discover = 'yes' }", "poll.discover: write true or false, without quotes"),
        (
            "provider = 'evolink'\npoll = { discover = true }",
            "c.toml:3: sources.a.poll.discover: there is no `api_key` to read the provider's list with; set `api_key`",
        ),
        (
            "provider = 'homeless'\nbase_url = 'https://a'\napi_key = 'hush'\npoll = { discover = true }",
            "c.toml:5: sources.a.poll.discover: `homeless` has no list of its tasks that could be read; remove it",
        ),
    ] {
        let found = mistake(&format!("[sources.a]\n{keys}"));
        assert!(found.contains(wanted), "{keys}\n{found}");
        assert!(!found.contains("hush"), "{found}");
    }
}
