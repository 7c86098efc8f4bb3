//! `[destinations.NAME]`

use serde_json::Value;

use super::section::Section;
use super::value;
use crate::channels::{Channel, Field, FieldKind};
use crate::domain::destination::{CONCURRENCY_MAX, Destination, Settings};
use crate::domain::pace::Rate;
use crate::domain::spelling::suggestion;

/// Every destination. One with mistakes is in it too, so that what names it is not a mistake of its own.
pub(super) fn destinations(section: Section<'_>, channels: &[&dyn Channel]) -> Vec<Destination> {
    let reader = section.reader();
    let read = |(name, section): (super::section::Found<String>, Section<'_>)| {
        if let Err(problem) = value::name(&name.value) {
            reader.wrong(&name.place, problem);
        }
        destination(name.value, section, channels)
    };
    section.named_sections().into_iter().map(read).collect()
}

fn destination(name: String, mut section: Section<'_>, channels: &[&dyn Channel]) -> Destination {
    let names = || channels.iter().map(|channel| channel.name());
    section.requires("team", "write the name of the team that owns it");
    section.requires("channel", suggestion("", names()));
    let team = section.read("team", "a team's name in quotes", value::name);
    let channel = section.read("channel", "a channel's name in quotes", |text| {
        let found = channels.iter().find(|channel| channel.name() == text);
        found.copied().ok_or_else(|| format!("there is no channel `{text}`; {}", suggestion(text, names())))
    });
    let rate = section.read("rate", "a rate such as \"1/s\"", Rate::parse).map(|found| found.value);
    let concurrency =
        section.count("concurrency", 1..=i64::from(CONCURRENCY_MAX)).and_then(|count| usize::try_from(count).ok());
    let channel = channel.map(|found| found.value);
    let mut settings = Settings::new();
    if let Some(channel) = channel {
        for field in channel.fields() {
            if let Some(value) = setting(&mut section, field) {
                settings.insert(field.name.to_owned(), value);
            }
        }
        section.finish();
    }
    Destination {
        name,
        team: team.map(|found| found.value).unwrap_or_default(),
        channel: channel.map(|channel| channel.name().to_owned()).unwrap_or_default(),
        settings,
        rate,
        concurrency,
        from_file: true,
    }
}

/// One setting of the channel, as it was written: what it means, the channel says.
fn setting(section: &mut Section<'_>, field: &Field) -> Option<Value> {
    let hint = match field.kind {
        FieldKind::Text => format!("write {} = \"…\"", field.name),
        FieldKind::Texts => format!("write {} = [\"…\"]", field.name),
    };
    if field.required {
        section.requires(field.name, hint);
    }
    let unchanged = |text: &str| {
        if field.required && text.trim().is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
    };
    match field.kind {
        FieldKind::Text => section.read(field.name, "a text in quotes", unchanged).map(|found| found.value.into()),
        FieldKind::Texts if section.is_list(field.name) => {
            let list = section.filled_list(field.name, "\"…\"", unchanged)?;
            Some(list.value.into_iter().map(|found| Value::String(found.value)).collect())
        }
        FieldKind::Texts => section.read(field.name, "a text or a list", unchanged).map(|found| found.value.into()),
    }
}
