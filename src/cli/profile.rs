//! Profiles: services that a user works with, each with its key, in a file of the user's own.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::Failure;
use crate::config::Env;
use crate::domain::secret::Secret;
use crate::domain::spelling::suggestion;

/// The profile that is used where none is named, if it is there.
const DEFAULT: &str = "default";
/// What a file that others can read has of these.
const OTHERS_READ: u32 = 0o044;

/// One `[profiles.NAME]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) url: Option<String>,
    pub(super) key: Option<Secret>,
}

/// All of them, and where they are written.
pub(super) struct Profiles {
    path: PathBuf,
    profiles: BTreeMap<String, Profile>,
}

impl Profiles {
    /// Reads the user's file; there need not be one.
    pub(super) fn of_user(env: &Env) -> Result<Self, Failure> {
        let Some(path) = home(env, "XDG_CONFIG_HOME", ".config").map(|home| home.join("callboard/config.toml")) else {
            return Ok(Self { path: PathBuf::from("~/.config/callboard/config.toml"), profiles: BTreeMap::new() });
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::Wrong(format!("{}: it cannot be read: {error}", path.display()))),
        };
        let profiles = read(&text).map_err(|wrong| Failure::Wrong(format!("{}: {wrong}", path.display())))?;
        warn_of_others(&path, &profiles);
        Ok(Self { path, profiles })
    }

    /// The profile of that name.
    pub(super) fn named(&self, name: &str) -> Result<Profile, Failure> {
        self.profiles.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
            let hint = if known.is_empty() {
                format!("write it: [profiles.{name}] with `url` and `key`")
            } else {
                suggestion(name, known)
            };
            Failure::Wrong(format!("there is no profile `{name}` in {}; {hint}", self.path.display()))
        })
    }

    /// The one that is used where none is named.
    pub(super) fn default(&self) -> Option<Profile> {
        self.profiles.get(DEFAULT).cloned()
    }
}

/// The user's directory for one purpose: what the variable says, else this one in their home.
pub(super) fn home(env: &Env, variable: &str, otherwise: &str) -> Option<PathBuf> {
    let given = |name: &str| env.get(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    // The specification has relative paths ignored.
    given(variable).filter(|path| path.is_absolute()).or_else(|| Some(given("HOME")?.join(otherwise)))
}

fn warn_of_others(path: &Path, profiles: &BTreeMap<String, Profile>) {
    let Ok(about) = std::fs::metadata(path) else { return };
    if about.permissions().mode() & OTHERS_READ != 0 && profiles.values().any(|profile| profile.key.is_some()) {
        let path = path.display();
        super::console::complain(&format!("warning: others can read the keys in {path}: run `chmod 600 {path}`"));
    }
}

fn read(text: &str) -> Result<BTreeMap<String, Profile>, String> {
    let document = DeTable::parse(text).map_err(|error| format!("it is not valid TOML: {}", error.message()))?;
    let mut profiles = BTreeMap::new();
    for (key, value) in document.get_ref() {
        let (key, DeValue::Table(named)) = (key.get_ref().as_ref(), value.get_ref()) else {
            return Err("only [profiles.NAME] is expected".to_owned());
        };
        if key != "profiles" {
            return Err(format!("[{key}]: only [profiles.NAME] is expected"));
        }
        for (name, value) in named {
            let name = name.get_ref().to_string();
            let DeValue::Table(fields) = value.get_ref() else {
                return Err(format!("profiles.{name}: a table with `url` and `key` is expected"));
            };
            profiles.insert(name.clone(), profile(name, fields)?);
        }
    }
    Ok(profiles)
}

fn profile(name: String, fields: &DeTable<'_>) -> Result<Profile, String> {
    let mut profile = Profile { name, ..Profile::default() };
    for (field, value) in fields {
        let (field, name) = (field.get_ref().as_ref(), &profile.name);
        let DeValue::String(text) = value.get_ref() else {
            return Err(format!("profiles.{name}.{field}: a string is expected"));
        };
        match field {
            "url" => profile.url = Some(text.to_string()),
            "key" => profile.key = Some(Secret::new(text.as_ref())),
            other => {
                let hint = suggestion(other, ["url", "key"]);
                return Err(format!("profiles.{name}.{other}: unknown key; {hint}"));
            }
        }
    }
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_read_and_mistakes_are_named_without_their_values() {
        let profiles = read("[profiles.default]\nurl = \"http://a\"\n[profiles.b]\nkey = \"cbk_x\"\n").unwrap();
        assert_eq!(profiles["default"].url.as_deref(), Some("http://a"));
        assert_eq!(profiles["b"].key, Some(Secret::new("cbk_x")));
        assert!(read("").unwrap().is_empty());
        for (text, said) in [
            ("profiles = 1", "only [profiles.NAME]"),
            ("[profile.a]\nurl = 'hush'", "[profile]"),
            ("[profiles.a]\nulr = 'hush'", "profiles.a.ulr: unknown key; did you mean `url`?"),
            ("[profiles.a]\nkey = 5", "profiles.a.key: a string"),
            ("[profiles.a", "not valid TOML"),
        ] {
            let wrong = read(text).unwrap_err();
            assert!(wrong.contains(said) && !wrong.contains("hush"), "{text}: {wrong}");
        }
    }

    #[test]
    fn a_users_directory_is_what_the_variable_says_else_in_their_home() {
        let at = |pairs: &[(&str, &str)]| home(&pairs.iter().copied().collect(), "XDG_STATE_HOME", ".local/state");
        assert_eq!(at(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]), Some("/s".into()));
        assert_eq!(at(&[("HOME", "/h"), ("XDG_STATE_HOME", "s")]), Some("/h/.local/state".into()));
        assert_eq!(at(&[("HOME", "")]), None);
    }
}
