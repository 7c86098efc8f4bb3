//! `[sources.NAME]`

use serde_json::{Map, Value};

use super::asking::{Asking, asking};
use super::env::variable_for;
use super::section::{Found, Reader, Section};
use super::{Env, Mistakes, tree, value};
use crate::domain::pace::Rate;
use crate::domain::secret::Secret;
use crate::domain::source::Source;
use crate::domain::spelling::{nearest, suggestion};
use crate::providers::Provider;

/// Every source. One with mistakes is in it too, so that what names it is not a mistake of its own.
pub(super) fn sources(section: Section<'_>, providers: &[&dyn Provider]) -> Vec<Source> {
    let reader = section.reader();
    let named = section.named_sections();
    let mut seen: Vec<&Found<String>> = Vec::new();
    for (name, _) in &named {
        if let Err(problem) = value::name(&name.value) {
            reader.wrong(&name.place, problem);
        }
        let variable = variable_for(&["sources", &name.value]);
        if let Some(twin) = seen.iter().find(|twin| variable_for(&["sources", &twin.value]) == variable) {
            let problem = format!("in variables it is `{variable}__…`, as `{}` is: rename one of them", twin.value);
            reader.wrong(&name.place, problem);
        }
        seen.push(name);
    }
    named.into_iter().map(|(name, section)| source(name.value, section, providers)).collect()
}

/// Reads a source that was made at run time: its keys are those of `[sources.NAME]`, and mean the same. Nothing is
/// filled in from the environment.
///
/// # Errors
/// Every mistake that there is, each with the path of its key; with none where a key is missing.
pub fn made_source(name: &str, given: &Map<String, Value>, providers: &[&dyn Provider]) -> Result<Source, Mistakes> {
    let (env, table) = (Env::default(), tree::of_json(given));
    let reader = Reader::new(None, &env);
    let read = source(name.to_owned(), Section::root(&reader, &table), providers);
    let (mistakes, _) = reader.finish();
    if mistakes.is_empty() { Ok(Source { from_file: false, ..read }) } else { Err(Mistakes::of(mistakes)) }
}

fn source(name: String, mut section: Section<'_>, providers: &[&dyn Provider]) -> Source {
    let names = || providers.iter().map(|provider| provider.name());
    section.requires(
        "provider",
        match nearest(&name, names()) {
            Some(near) => format!("write provider = \"{near}\""),
            None => suggestion(&name, names()),
        },
    );
    let provider = section.read("provider", "a provider's name in quotes", |text| {
        let found = providers.iter().find(|provider| provider.name() == text);
        found.copied().ok_or_else(|| format!("there is no provider `{text}`; {}", suggestion(text, names())))
    });
    let provider = provider.map(|found| found.value);
    let Asking { api_key, base_url, confirm, confirm_within, poll, relay_keys } = asking(&mut section, provider);
    let source = Source {
        name,
        provider: provider.map(|provider| provider.name().to_owned()).unwrap_or_default(),
        callback_tokens: callback_tokens(&mut section),
        signing_secrets: signing_secrets(&mut section, provider),
        teams: teams(&mut section),
        rate: section.read("rate", "a rate such as \"200/s\"", Rate::parse).map(|found| found.value),
        api_key,
        base_url,
        confirm,
        confirm_within,
        poll,
        relay_keys,
        from_file: true,
    };
    section.finish();
    source
}

fn callback_tokens(section: &mut Section<'_>) -> Vec<Secret> {
    let found = section.one_or_more("callback_token", "a token of at least 16 characters", value::callback_token);
    found.map(|list| list.value.into_iter().map(|token| Secret::new(token.value)).collect()).unwrap_or_default()
}

fn signing_secrets(section: &mut Section<'_>, provider: Option<&dyn Provider>) -> Vec<Secret> {
    let found = section.one_or_more("signing_secret", "the secret that the provider gives", |text| {
        let secret = Secret::new(text);
        if text.trim().is_empty() {
            return Err("it is empty: write the secret that the provider gives, or leave the key out".to_owned());
        }
        provider.map_or(Ok(()), |provider| provider.check_secret(&secret)).map(|()| secret)
    });
    let Some(list) = found else { return Vec::new() };
    if let Some(provider) = provider.filter(|provider| !provider.about().signs) {
        let problem = format!("`{}` does not sign its callbacks, so there is no secret to check", provider.name());
        section.reader().wrong_but(&list.place, problem, "remove it");
    }
    list.value.into_iter().map(|secret| secret.value).collect()
}

fn teams(section: &mut Section<'_>) -> Option<Vec<String>> {
    let found = section.filled_list("teams", "\"ads\", \"ops\"", value::name)?;
    Some(found.value.into_iter().map(|team| team.value).collect())
}
