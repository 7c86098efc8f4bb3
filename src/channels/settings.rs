//! Reading a destination's settings.

use serde_json::Value;

use super::Invalid;
use crate::domain::destination::Settings;

/// A setting that must be there, as one string.
pub(super) fn text<'a>(settings: &'a Settings, field: &'static str) -> Result<&'a str, Invalid> {
    match settings.get(field) {
        None => Err(invalid(field, "is missing")),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim()),
        Some(_) => Err(invalid(field, "must be a string that is not empty")),
    }
}

/// A setting that is a string or a list of strings; empty where it is not there.
pub(super) fn texts<'a>(settings: &'a Settings, field: &'static str) -> Result<Vec<&'a str>, Invalid> {
    let one = |value: &'a Value| match value {
        Value::String(text) if !text.trim().is_empty() => Ok(text.trim()),
        _ => Err(invalid(field, "must be a string or a list of strings, none of them empty")),
    };
    match settings.get(field) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(one).collect(),
        Some(value) => Ok(vec![one(value)?]),
    }
}

/// That this setting is wrong, and how.
pub(super) fn invalid(field: &'static str, problem: impl Into<String>) -> Invalid {
    Invalid { field, problem: problem.into() }
}
