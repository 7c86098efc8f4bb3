//! `[[subscriptions]]`

use super::SubscriptionConfig;
use super::section::{Found, Place, Section};
use super::tree::Origin;
use crate::domain::destination::Destination;
use crate::domain::event::EventType;
use crate::domain::filter::Filter;
use crate::domain::source::Source;
use crate::domain::spelling::suggestion;

/// What a file's subscriptions may name: a file's destinations, for only they are sure to be there.
pub(super) fn subscriptions(
    sections: Vec<Section<'_>>,
    sources: &[Source],
    destinations: &[Destination],
) -> Vec<SubscriptionConfig> {
    sections.into_iter().map(|section| subscription(section, sources, destinations)).collect()
}

fn subscription(mut section: Section<'_>, sources: &[Source], destinations: &[Destination]) -> SubscriptionConfig {
    let names = || destinations.iter().map(|destination| destination.name.as_str());
    section.requires("destination", suggestion("", names()));
    let destination = section.read("destination", "a destination's name in quotes", |text| {
        let found = destinations.iter().find(|destination| destination.name == text);
        found.ok_or_else(|| format!("there is no destination `{text}` in the file; {}", suggestion(text, names())))
    });
    let destination = destination.map(|found| found.value);
    let subscription = SubscriptionConfig {
        destination: destination.map(|destination| destination.name.clone()).unwrap_or_default(),
        events: events(&mut section),
        sources: wanted_sources(&mut section, sources, destination),
        filter: filter(&mut section),
    };
    section.finish();
    subscription
}

fn events(section: &mut Section<'_>) -> Vec<EventType> {
    let all = || EventType::ALL.iter().map(|kind| kind.as_str());
    let found = section.filled_list("events", "\"task.completed\"", |text| {
        EventType::parse(text).ok_or_else(|| format!("there is no event type `{text}`; {}", suggestion(text, all())))
    });
    let Some(list) = found else { return EventType::DEFAULT.to_vec() };
    let mut events = Vec::new();
    for kind in list.value.into_iter().map(|found| found.value) {
        if !events.contains(&kind) {
            events.push(kind);
        }
    }
    events
}

fn wanted_sources(
    section: &mut Section<'_>,
    sources: &[Source],
    destination: Option<&Destination>,
) -> Option<Vec<String>> {
    let names = || sources.iter().map(|source| source.name.as_str());
    let list = section.filled_list("sources", "\"evolink\"", |text| {
        let found = sources.iter().find(|source| source.name == text);
        let source = found.ok_or_else(|| format!("there is no source `{text}`; {}", suggestion(text, names())))?;
        let Some(destination) = destination.filter(|destination| !destination.team.is_empty()) else {
            return Ok(source.name.clone());
        };
        let visible = source.teams.as_ref().is_none_or(|teams| teams.contains(&destination.team));
        if visible { Ok(source.name.clone()) } else { Err(not_visible(source, destination)) }
    })?;
    Some(list.value.into_iter().map(|found| found.value).collect())
}

fn not_visible(source: &Source, destination: &Destination) -> String {
    format!(
        "the source `{}` is not for the team `{}`, which owns `{}`: add the team to the source's `teams`",
        source.name, destination.team, destination.name
    )
}

/// A mistake is placed on its own line, where the expression has several.
fn filter(section: &mut Section<'_>) -> Option<Filter> {
    let Found { value: text, place } = section.text("where", "an expression in quotes")?;
    match Filter::compile(&text) {
        Ok(filter) => Some(filter),
        Err(error) => {
            let origin = match place.origin {
                Origin::Line(first) => Origin::Line(first + error.line - 1),
                other => other,
            };
            section.reader().wrong(&Place { path: place.path, origin }, error.to_string());
            None
        }
    }
}
