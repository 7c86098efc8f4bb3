//! How the tasks of a source become known, in words: for `check`, `serve` and `url`.

use crate::domain::source::Source;
use crate::providers::Provider;
use crate::providers::api::calls_back;

/// From whom we hear of its tasks, and of which tasks we never hear; with what to do about that.
pub(super) fn how_known(source: &Source, adapter: &dyn Provider) -> String {
    let lists = adapter.ask().is_some_and(|ask| ask.api().lists);
    let discover = if lists { ", or set `poll.discover`" } else { "" };
    match (calls_back(adapter), source.can_ask()) {
        (true, true) if source.poll.discover => {
            "a callback that never comes is noticed: the provider's list is read, and what is in it asked for".into()
        }
        (false, true) if source.poll.discover => {
            "never calls back: its tasks are found in the provider's list, and asked for".into()
        }
        (true, true) => format!(
            "tasks are asked for once they are known; one whose callback never comes is not, unless you relay or \
             register it{discover}"
        ),
        (true, false) => format!(
            "a callback that never comes cannot be noticed: set `api_key`, and relay or register its tasks{discover}"
        ),
        (false, true) => {
            format!("never calls back: relay or register its tasks, which are then asked for until they end{discover}")
        }
        (false, false) => {
            let missing = if source.base_url.is_none() { "`base_url` and `api_key`" } else { "`api_key`" };
            format!("never calls back: set {missing}, and relay or register its tasks{discover}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Env, Registries};
    use crate::providers::provider;

    fn said(keys: &str) -> String {
        let text = format!("[sources.a]\n{keys}");
        let config = Config::read(&text, None, &Env::default(), Registries::built_in());
        let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let source = &config.sources[0];
        how_known(source, provider(&source.provider).unwrap())
    }

    #[test]
    fn each_source_says_what_would_stay_unseen_and_what_to_do() {
        for (keys, words) in [
            ("provider = 'evolink'", "cannot be noticed: set `api_key`, and relay or register its tasks, or set"),
            ("provider = 'replicate'", "cannot be noticed: set `api_key`, and relay or register its tasks"),
            ("provider = 'evolink'\napi_key = 'k'", "unless you relay or register it, or set `poll.discover`"),
            ("provider = 'aivideoapi'\napi_key = 'k'", "unless you relay or register it"),
            (
                "provider = 'evolink'\napi_key = 'k'\npoll = { discover = true }",
                "never comes is noticed: the provider's",
            ),
            ("provider = 'kling3api'", "never calls back: set `api_key`, and relay"),
            ("provider = 'kling3api'\napi_key = 'k'", "never calls back: relay or register its tasks, which are then"),
            ("provider = 'api-in-one'", "never calls back: set `base_url` and `api_key`, and relay"),
            ("provider = 'api-in-one'\nbase_url = 'https://a'", "never calls back: set `api_key`, and relay"),
        ] {
            let said = said(keys);
            assert!(said.contains(words), "{keys}\n{said}");
            assert_eq!(said.contains("poll.discover"), words.contains("or set"), "{keys}\n{said}");
        }
    }
}
