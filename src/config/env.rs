//! The environment, taken once. Nothing else in the house reads it.

use std::collections::BTreeMap;

/// What stands before every variable that is ours.
const PREFIX: &str = "CALLBOARD_";

/// A snapshot of the environment variables. `Debug` hides the values, which may be secrets.
#[derive(Clone, Default)]
pub struct Env {
    variables: BTreeMap<String, String>,
}

impl Env {
    /// The process's own. Variables that are not UTF-8 are left out, as if they were not set.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(text).collect() }
    }

    /// The variable's value. `None` if it is not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The variables that are settings: ours, with two underscores somewhere in them. Each with its whole
    /// name, what comes after `CALLBOARD_`, and its value.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.variables.iter().filter_map(|(name, value)| {
            let rest = name.strip_prefix(PREFIX).filter(|rest| rest.contains("__"))?;
            Some((name.as_str(), rest, value.as_str()))
        })
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self { variables: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

/// The variable that overrides a key, given the sections and names on the way to it.
pub(super) fn variable_for(path: &[&str]) -> String {
    let parts: Vec<String> = path.iter().map(|part| part.to_uppercase().replace('-', "_")).collect();
    format!("{PREFIX}{}", parts.join("__"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_variables_with_two_underscores_are_settings() {
        let env: Env = [("CALLBOARD_ADMIN_KEY", "a"), ("CALLBOARD_SERVER__LISTEN", "b"), ("OTHER__KEY", "c")]
            .into_iter()
            .collect();
        let found: Vec<_> = env.settings().collect();
        assert_eq!(found, [("CALLBOARD_SERVER__LISTEN", "SERVER__LISTEN", "b")]);
        assert_eq!(env.get("CALLBOARD_ADMIN_KEY"), Some("a"));
        assert!(!format!("{env:?}").contains("\"a\""));
    }

    #[test]
    fn a_key_has_one_variable() {
        assert_eq!(variable_for(&["sources", "my-evolink", "rate"]), "CALLBOARD_SOURCES__MY_EVOLINK__RATE");
    }
}
