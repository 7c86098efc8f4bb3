//! Where the service is, and the key to it: what the command line says, the environment, a profile, or what is
//! configured here.

use std::path::PathBuf;

use url::{Host, Url};

use super::client::Client;
use super::profile::{Profile, Profiles};
use super::{Failure, load};
use crate::config::{Config, Env};
use crate::domain::secret::Secret;

/// How a command finds the service.
#[derive(clap::Args, Clone, Default)]
pub(super) struct Reach {
    /// Where the service is [default: $CALLBOARD_URL, else the profile's, else where the configuration says]
    #[arg(long, global = true, value_name = "URL", help_heading = "Service")]
    url: Option<String>,
    /// The API key [default: $CALLBOARD_KEY, else the profile's, else the administrator's beside the database]
    #[arg(long, global = true, value_name = "KEY", help_heading = "Service")]
    key: Option<String>,
    /// The profile, of ~/.config/callboard/config.toml [default: $CALLBOARD_PROFILE, else `default` if there is one]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Service")]
    profile: Option<String>,
}

/// A service that was found.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) url: Url,
    /// Who said that it is there.
    pub(super) url_from: String,
    pub(super) key: Secret,
    pub(super) key_from: String,
    /// The profile's name, where one was used.
    pub(super) profile: Option<String>,
}

/// Something, and who said it.
type Said<T> = (T, String);

impl Reach {
    /// A client of the service that is meant.
    pub(super) fn client(&self, file: Option<PathBuf>, env: &Env) -> Result<Client, Failure> {
        Ok(Client::new(self.find(file, env)?))
    }

    fn find(&self, file: Option<PathBuf>, env: &Env) -> Result<Found, Failure> {
        let set = |name: &str| {
            env.get(name).filter(|text| !text.is_empty()).map(|text| (text.to_owned(), format!("${name}")))
        };
        let flag = |given: &Option<String>, name: &str| given.clone().map(|text| (text, format!("--{name}")));
        // Whoever names a profile in the command means it; what the environment says is for every command.
        let (named, standing) = self.profiles(env)?;
        let of_profile = |profile: &Option<Profile>| {
            profile.as_ref().and_then(|profile| Some((profile.url.clone()?, format!("the profile `{}`", profile.name))))
        };
        let local = Local { file, env };
        let url = flag(&self.url, "url").or_else(|| of_profile(&named)).or_else(|| set("CALLBOARD_URL"));
        let (url, url_from) = match url.or_else(|| of_profile(&standing)) {
            Some((text, from)) => (read_url(&text, &from)?, from),
            None => local.url()?,
        };
        let said = flag(&self.key, "key").map(secret);
        let said = said.or_else(|| key_of(&named, &url)).or_else(|| set("CALLBOARD_KEY").map(secret));
        let (key, key_from) = match said.or_else(|| key_of(&standing, &url)) {
            Some(said) => said,
            None => local.key(&url)?,
        };
        let profile = named.or(standing).map(|profile| profile.name);
        Ok(Found { url, url_from, key, key_from, profile })
    }

    /// The profile that the command names, and the one that stands without.
    fn profiles(&self, env: &Env) -> Result<(Option<Profile>, Option<Profile>), Failure> {
        let whole = self.url.is_some() && self.key.is_some();
        if whole && self.profile.is_none() {
            return Ok((None, None));
        }
        let profiles = Profiles::of_user(env)?;
        if let Some(name) = &self.profile {
            return Ok((Some(profiles.named(name)?), None));
        }
        match env.get("CALLBOARD_PROFILE").filter(|name| !name.is_empty()) {
            Some(name) => Ok((None, Some(profiles.named(name)?))),
            None => Ok((None, profiles.default())),
        }
    }
}

fn secret((text, from): Said<String>) -> Said<Secret> {
    (Secret::new(text.trim()), from)
}

/// A profile's key, if it may be shown to the service at `url`: a key is for one service alone.
fn key_of(profile: &Option<Profile>, url: &Url) -> Option<Said<Secret>> {
    let profile = profile.as_ref()?;
    let own = profile.url.as_deref().and_then(|own| Url::parse(own).ok());
    let may = own.is_none_or(|own| own.origin() == url.origin()) || is_here(url);
    Some((profile.key.clone().filter(|_| may)?, format!("the profile `{}`", profile.name)))
}

/// Reads where a service is; `/api/v1` at the end may be written or not.
fn read_url(text: &str, from: &str) -> Result<Url, Failure> {
    let wrong = |problem: String| Failure::Wrong(format!("{from}: {problem}: write it as in http://127.0.0.1:8080"));
    let trimmed = text.trim().trim_end_matches('/').trim_end_matches("/api/v1");
    let url = Url::parse(trimmed).map_err(|error| wrong(format!("`{text}` is not a URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong(format!("`{text}` is not an http or https URL")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds a user or a password".to_owned()));
    }
    Ok(url)
}

/// Whether a URL leads to this machine.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(v4)) => v4.is_loopback(),
        Some(Host::Ipv6(v6)) => v6.is_loopback(),
        None => false,
    }
}

/// The service that is configured on this machine.
struct Local<'a> {
    file: Option<PathBuf>,
    env: &'a Env,
}

impl Local<'_> {
    fn config(&self) -> Result<Config, Failure> {
        load(self.file.clone(), self.env)
    }

    fn url(&self) -> Result<Said<Url>, Failure> {
        let from = "the configuration here".to_owned();
        Ok((read_url(&own_url(&self.config()?), &from)?, from))
    }

    /// The administrator's key, for a service on this machine or at the configured address.
    fn key(&self, url: &Url) -> Result<Said<Secret>, Failure> {
        let missing = |why: String| {
            Failure::Wrong(format!("no key for {url}: {why}. Give one with --key, CALLBOARD_KEY or a profile"))
        };
        let config = match self.config() {
            Ok(config) => config,
            Err(Failure::Wrong(mistakes)) => {
                return Err(missing(format!("the configuration here has none:\n{mistakes}\n")));
            }
            Err(other) => return Err(other),
        };
        let own = [own_url(&config), config.base_url()].into_iter().filter_map(|own| Url::parse(&own).ok());
        if !is_here(url) && !own.into_iter().any(|own| own.origin() == url.origin()) {
            return Err(missing("it is another service than the one that is configured here".to_owned()));
        }
        if let Some(key) = &config.server.admin_key {
            return Ok((key.clone(), "`server.admin_key`".to_owned()));
        }
        let path = config.database.key_file();
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok((Secret::new(text.trim()), path.display().to_string())),
            Err(error) => Err(missing(format!("{} cannot be read ({error})", path.display()))),
        }
    }
}

/// Where this machine reaches the API. A certificate is for the public name, not for a loopback address.
fn own_url(config: &Config) -> String {
    let public = config.server.tls.is_some() && config.server.manage_listen.is_none();
    if public { config.base_url() } else { config.manage_url() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A home with two profiles, and a directory in which a service is configured.
    fn found(flags: [Option<&str>; 3], variables: &[(&str, &str)]) -> Result<[String; 4], String> {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::create_dir(at("callboard")).unwrap();
        let profiles = "[profiles.default]\nurl = 'https://default.example'\nkey = 'cbk_default'\n\
                        [profiles.other]\nurl = 'https://other.example'\nkey = 'cbk_other'\n";
        let profiles = if variables.contains(&("NO", "PROFILES")) { "" } else { profiles };
        std::fs::write(at("callboard/config.toml"), profiles).unwrap();
        std::fs::set_permissions(at("callboard/config.toml"), std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(at("here.toml"), format!("[database]\nurl = 'sqlite:{}'\n", at("db").display())).unwrap();
        std::fs::write(at("callboard.key"), "cbk_local\n").unwrap();
        let env = [("XDG_CONFIG_HOME", place.path().to_str().unwrap())].into_iter().chain(variables.iter().copied());
        let [url, key, profile] = flags.map(|flag| flag.map(str::to_owned));
        match (Reach { url, key, profile }).find(Some(at("here.toml")), &env.collect()) {
            Ok(found) => Ok([
                found.url.to_string(),
                found.url_from,
                found.key.expose().to_owned(),
                found.key_from.replace(&place.path().display().to_string(), ""),
            ]),
            Err(Failure::Wrong(text)) => Err(text),
            Err(Failure::Failed(error)) => Err(format!("{error:#}")),
        }
    }

    #[test]
    fn the_command_line_wins_then_the_environment_then_a_profile_then_what_is_here() {
        let env: &[(&str, &str)] = &[("CALLBOARD_URL", "http://env.example/"), ("CALLBOARD_KEY", "cbk_env")];
        for (flags, variables, expected) in [
            (
                [Some("http://a.example/api/v1/"), Some("cbk_a"), None],
                env,
                ["http://a.example/", "--url", "cbk_a", "--key"],
            ),
            (
                [None, None, Some("other")],
                env,
                ["https://other.example/", "the profile `other`", "cbk_other", "the profile `other`"],
            ),
            ([None, None, None], env, ["http://env.example/", "$CALLBOARD_URL", "cbk_env", "$CALLBOARD_KEY"]),
            (
                [None, None, None],
                &[("CALLBOARD_PROFILE", "other")],
                ["https://other.example/", "the profile `other`", "cbk_other", "the profile `other`"],
            ),
            (
                [None, None, None],
                &[],
                ["https://default.example/", "the profile `default`", "cbk_default", "the profile `default`"],
            ),
            (
                [None, None, None],
                &[("NO", "PROFILES")],
                ["http://127.0.0.1:8080/", "the configuration here", "cbk_local", "/callboard.key"],
            ),
            (
                [Some("http://localhost:9"), None, None],
                &[("NO", "PROFILES")],
                ["http://localhost:9/", "--url", "cbk_local", "/callboard.key"],
            ),
        ] {
            assert_eq!(found(flags, variables).unwrap(), expected.map(str::to_owned));
        }
    }

    #[test]
    fn a_key_is_not_shown_to_another_service_than_its_own() {
        for variables in [&[][..], &[("NO", "PROFILES")][..]] {
            let wrong = found([Some("https://elsewhere.example"), None, None], variables).unwrap_err();
            assert!(wrong.contains("no key for https://elsewhere.example/") && wrong.contains("--key"), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (flags, said) in [
            ([Some("127.0.0.1:8080"), None, None], "--url: `127.0.0.1:8080` is not a"),
            ([Some("ftp://a"), None, None], "not an http or https URL"),
            ([Some("http://a:b@c"), None, None], "a user or a password"),
            ([None, None, Some("othr")], "there is no profile `othr`"),
        ] {
            let wrong = found(flags, &[]).unwrap_err();
            assert!(wrong.contains(said), "{wrong}");
        }
        assert!(found([None, None, Some("othr")], &[]).unwrap_err().contains("did you mean `other`?"));
    }
}
